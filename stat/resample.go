package stat

import (
	"context"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/assay-ml/assay"
)

// A Scheme says how the weights of a bootstrap replicate are drawn.
type Scheme string

const (
	Multinomial Scheme = "multinomial" // n units drawn with replacement
	Poisson     Scheme = "poisson"     // each unit has a Poisson(1) weight of its own, a function of (seed, replicate, unit) alone
)

// DefaultReplicates is the number of bootstrap replicates when nobody asks for another.
const DefaultReplicates = 2000

// PoissonFrom is the number of units from which the zero Scheme means Poisson; below it means Multinomial.
const PoissonFrom = 20_000

// A Resampler draws bootstrap replicates as weights: in replicate b, row i counts counts[i] times. A statistic that is computed from
// weights needs neither a copy nor a sort of its rows. The weights of a replicate depend on the seed and its number only, and
// results are stored by number, so neither Threads nor their timing changes a bit.
type Resampler struct {
	Seed       uint64
	Replicates int    // 0 means DefaultReplicates
	Threads    int    // 0 means one a processor
	Scheme     Scheme // "" decides by the number of units and takes Multinomial with Strata
	Clusters   []int  // one code a row: rows of a cluster are drawn together; nil: each row is a unit
	Strata     []int  // one code a row: the number of rows drawn from each stratum is fixed; not with Clusters or Poisson
}

// An Evaluator computes the statistics of one replicate from the rows' weights into out. It must not keep either slice.
type Evaluator func(counts []uint8, out []float64)

// Run draws the replicates over rows 0 … rows-1 and returns the statistics, one slice a statistic, one value a replicate. Each
// thread calls worker once, so an Evaluator can own scratch memory; evaluators run concurrently. It stops when ctx is done.
func (r Resampler) Run(ctx context.Context, rows, statistics int, worker func() Evaluator) ([][]float64, error) {
	replicates := r.Replicates
	if replicates == 0 {
		replicates = DefaultReplicates
	}
	draw, err := r.drawer(rows)
	if err != nil {
		return nil, err
	}
	if replicates < 1 || statistics < 0 {
		return nil, assay.Errorf(assay.Invalid, "cannot resample: %d replicates of %d statistics", replicates, statistics)
	}
	threads := r.Threads
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	threads = min(threads, replicates)
	flat := make([]float64, replicates*statistics)
	var next atomic.Int64
	var wait sync.WaitGroup
	for range threads {
		wait.Go(func() {
			evaluate := worker()
			counts := make([]uint8, rows)
			fill := draw()
			for ctx.Err() == nil {
				b := int(next.Add(1)) - 1
				if b >= replicates {
					return
				}
				fill(NewRand(r.Seed, uint64(b)), counts)
				evaluate(counts, flat[b*statistics:(b+1)*statistics:(b+1)*statistics])
			}
		})
	}
	wait.Wait()
	if err := ctx.Err(); err != nil {
		return nil, assay.Errorf(assay.Unavailable, "resampling stopped: %w", err)
	}
	out := make([][]float64, statistics)
	for s := range out {
		out[s] = make([]float64, replicates)
		for b := range out[s] {
			out[s][b] = flat[b*statistics+s]
		}
	}
	return out, nil
}

// Counts returns the weights of one replicate, as Run hands them to an Evaluator.
func (r Resampler) Counts(rows, replicate int) ([]uint8, error) {
	draw, err := r.drawer(rows)
	if err != nil {
		return nil, err
	}
	counts := make([]uint8, rows)
	draw()(NewRand(r.Seed, uint64(replicate)), counts)
	return counts, nil
}

// drawer returns a maker of functions that fill the weights of a replicate; each function owns its scratch memory.
func (r Resampler) drawer(rows int) (func() func(Rand, []uint8), error) {
	var p assay.Problems
	if rows < 1 {
		p.Add("no rows")
	}
	if r.Clusters != nil && len(r.Clusters) != rows {
		p.Add("%d cluster codes for %d rows", len(r.Clusters), rows)
	}
	if r.Strata != nil && len(r.Strata) != rows {
		p.Add("%d stratum codes for %d rows", len(r.Strata), rows)
	}
	if r.Clusters != nil && r.Strata != nil {
		p.Add("clusters and strata at once")
	}
	if r.Strata != nil && r.Scheme == Poisson {
		p.Add("Poisson weights cannot fix the size of a stratum")
	}
	if r.Scheme != "" && r.Scheme != Poisson && r.Scheme != Multinomial {
		p.Add("unknown scheme %q", r.Scheme)
	}
	if err := p.Err(assay.Invalid, "cannot resample"); err != nil {
		return nil, err
	}
	units := rows
	var cluster []int32
	if r.Clusters != nil {
		index, sizes := dense(r.Clusters)
		cluster, units = index, len(sizes)
	}
	unitWeights := func(g Rand, counts []uint8) { multinomial(g, counts) }
	switch {
	case r.Strata != nil:
		index, sizes := dense(r.Strata)
		members := make([][]int32, len(sizes))
		for i, s := range index {
			members[s] = append(members[s], int32(i))
		}
		unitWeights = func(g Rand, counts []uint8) {
			clear(counts)
			from := uint64(0)
			for _, rows := range members {
				for range rows {
					i, _ := bits.Mul64(g.Uint64At(from), uint64(len(rows)))
					bump(&counts[rows[i]])
					from++
				}
			}
		}
	case r.Scheme == Poisson || r.Scheme == "" && units >= PoissonFrom:
		unitWeights = func(g Rand, counts []uint8) { g.PoissonFill(0, counts) }
	}
	if cluster == nil {
		return func() func(Rand, []uint8) { return unitWeights }, nil
	}
	return func() func(Rand, []uint8) {
		weights := make([]uint8, units)
		return func(g Rand, counts []uint8) {
			unitWeights(g, weights)
			for i, c := range cluster {
				counts[i] = weights[c]
			}
		}
	}, nil
}

// bump adds one, up to 255; a fair draw of n from n never gets there.
func bump(c *uint8) {
	if *c < 255 {
		*c++
	}
}

// multinomial draws len(counts) units with replacement.
func multinomial(g Rand, counts []uint8) {
	clear(counts)
	n := uint64(len(counts))
	if n >= 1<<16 {
		for i := range n {
			j, _ := bits.Mul64(g.Uint64At(i), n)
			bump(&counts[j])
		}
		return
	}
	// Two draws share a hash: below 2^16 units the bias of 32 bits is under 2^-16 of each probability.
	for i := uint64(0); i < n; i += 2 {
		w := g.Uint64At(i >> 1)
		bump(&counts[w>>32*n>>32])
		if i+1 < n {
			bump(&counts[w&0xffffffff*n>>32])
		}
	}
}
