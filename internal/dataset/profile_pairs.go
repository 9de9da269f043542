package dataset

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sort"

	"golang.org/x/sync/errgroup"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// maxCells is how large a joint count of two columns may be.
const maxCells = 1 << 16

// quantitative columns have correlations.
func quantitative(e *table.Examined) bool {
	return e.Numbers != nil && (e.Type.Numeric() || e.Type == assay.TypeBoolean) && e.Distinct > 1
}

func categorical(e *table.Examined) bool {
	return !e.Ranked && e.Codes.Len() > 0 && len(e.Counts) >= 2 && len(e.Counts) <= CategoryValues
}

// small reports whether two columns can be counted jointly.
func small(a, b *table.Examined) bool {
	return !a.Ranked && !b.Ranked && a.Codes.Len() > 0 && b.Codes.Len() > 0 && (len(a.Counts)+1)*(len(b.Counts)+1) <= maxCells
}

// pairs compares columns with each other. Columns of few values are counted jointly, and everything follows from the counts; for the
// others products are summed over blocks of rows.
func (p *profiler) pairs(ctx context.Context) error {
	chosen := p.chosen()
	type task struct{ i, j int }
	var joint, large []task
	for x, i := range chosen {
		for _, j := range chosen[x+1:] {
			a, b := p.columns[i], p.columns[j]
			numeric := quantitative(a) && quantitative(b)
			switch {
			case small(a, b) && (numeric || categorical(a) && categorical(b)):
				joint = append(joint, task{i, j})
			case numeric:
				large = append(large, task{i, j})
			}
		}
	}
	results := make([]Pair, len(joint))
	disguises := make([][]Disguise, len(joint))
	g, gctx := errgroup.WithContext(ctx)
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		g.Go(func() error {
			cells := make([]uint32, maxCells)
			for n := w; n < len(joint); n += workers {
				if err := gctx.Err(); err != nil {
					return err
				}
				results[n], disguises[n] = p.compare(joint[n].i, joint[n].j, cells)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	p.report.Pairs = append(p.report.Pairs, results...)
	for _, d := range disguises {
		p.report.Disguised = append(p.report.Disguised, d...)
	}
	if len(large) > 0 {
		wanted := make([][2]int, len(large))
		for i, t := range large {
			wanted[i] = [2]int{t.i, t.j}
		}
		more, err := p.products(ctx, wanted)
		if err != nil {
			return err
		}
		p.report.Pairs = append(p.report.Pairs, more...)
	}
	sort.SliceStable(p.report.Pairs, func(i, j int) bool {
		a, b := p.report.Pairs[i], p.report.Pairs[j]
		if p.index[a.A] != p.index[b.A] {
			return p.index[a.A] < p.index[b.A]
		}
		return p.index[a.B] < p.index[b.B]
	})
	return nil
}

// chosen returns the columns that are compared, in the order of the table.
func (p *profiler) chosen() []int {
	if p.sieve != nil {
		p.prune()
		if p.sieve.eligible > PairColumns {
			p.limitPairs(p.sieve.eligible)
		}
		slices.Sort(p.sieve.kept)
		return p.sieve.kept
	}
	var all []int
	for i, e := range p.columns {
		if quantitative(e) || categorical(e) {
			all = append(all, i)
		}
	}
	if len(all) <= PairColumns {
		return all
	}
	p.limitPairs(len(all))
	sort.SliceStable(all, func(a, b int) bool { return p.strength(all[a]) > p.strength(all[b]) })
	all = all[:PairColumns]
	sort.Ints(all)
	return all
}

// compare counts two columns jointly.
func (p *profiler) compare(i, j int, cells []uint32) (Pair, []Disguise) {
	a, b := p.columns[i], p.columns[j]
	ka, kb := len(a.Counts), len(b.Counts)
	width := kb + 1
	cells = cells[:(ka+1)*width]
	clear(cells)
	countJoint(&a.Codes, &b.Codes, width, cells)
	nan := assay.Number(math.NaN())
	q := Pair{A: a.Name, B: b.Name, Pearson: nan, Spearman: nan, CramersV: nan}
	for x := 1; x <= ka; x++ {
		for _, v := range cells[x*width+1 : (x+1)*width] {
			q.N += int64(v)
		}
	}
	if quantitative(a) && quantitative(b) {
		n, r, s := jointCorrelation(cells, width, a.Values, b.Values)
		q.N, q.Pearson, q.Spearman = n, assay.Number(r), assay.Number(s)
	}
	if categorical(a) && categorical(b) {
		q.CramersV = assay.Number(cramer(cells, ka, kb, width))
		if missing(a)+missing(b) == 0 && i != p.target && j != p.target {
			aFromB, bFromA := determined(cells, ka, kb, width), determined(transpose(cells, ka+1, kb+1), kb, ka, ka+1)
			switch {
			case aFromB && bFromA:
				q.Function = "both"
			case aFromB && kb*10 < int(a.Rows):
				q.Function = "a"
			case bFromA && ka*10 < int(a.Rows):
				q.Function = "b"
			}
		}
	}
	var found []Disguise
	if i != p.target && j != p.target {
		found = append(p.skips(a, b, cells, width), p.skips(b, a, transpose(cells, ka+1, kb+1), ka+1)...)
	}
	return q, found
}

func transpose(cells []uint32, rows, columns int) []uint32 {
	out := make([]uint32, len(cells))
	for i := range rows {
		for j := range columns {
			out[j*rows+i] = cells[i*columns+j]
		}
	}
	return out
}

// maskOf marks the rows in which a column is missing, if it is in some and not in all.
func maskOf(i int, e *table.Examined) (holeMask, bool) {
	n := e.Codes.Len()
	if m := missing(e); m == 0 || m == e.Rows || n == 0 {
		return holeMask{}, false
	}
	b := make([]uint64, (n+63)/64)
	for r := range n {
		if e.Codes.At(r) == 0 {
			b[r/64] |= 1 << (r % 64)
		}
	}
	return holeMask{i, b, missing(e)}, true
}

// holes relates the missing values of columns to each other.
func (p *profiler) holes() {
	var masks []holeMask
	if p.sieve != nil {
		masks = p.sieve.masks
		slices.SortFunc(masks, func(a, b holeMask) int { return a.column - b.column })
	} else {
		for i, e := range p.columns {
			if m, ok := maskOf(i, e); ok {
				masks = append(masks, m)
			}
		}
	}
	p.nullity(masks)
	if len(masks) > PairColumns {
		p.report.Limits = append(p.report.Limits, fmt.Sprintf("the missing values of the first %d of %d columns are compared with each other", PairColumns, len(masks)))
		masks = masks[:PairColumns]
	}
	n := float64(p.report.Rows)
	for x, a := range masks {
		for _, b := range masks[x+1:] {
			both := int64(0)
			for k, w := range a.bits {
				both += int64(onesCount(w & b.bits[k]))
			}
			fa, fb := float64(a.n)/n, float64(b.n)/n
			phi := (float64(both)/n - fa*fb) / math.Sqrt(fa*(1-fa)*fb*(1-fb))
			p.report.Holes = append(p.report.Holes, HolePair{p.columns[a.column].Name, p.columns[b.column].Name, both, assay.Number(phi)})
		}
	}
}
