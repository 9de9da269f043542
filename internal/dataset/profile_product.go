package dataset

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"runtime"

	"golang.org/x/sync/errgroup"
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

func onesCount(w uint64) int { return bits.OnesCount64(w) }

// lanes is into how many sums rows are dealt. It is fixed, so that the result does not depend on the number of threads.
const lanes = 4

// blockRows is how many rows are multiplied at a time.
const blockRows = 2048

// A gram sums the products of columns over rows: of values, and, where some are missing, of values with masks.
type gram struct {
	m            int
	holes        bool
	xy, xm, qm   [lanes][]float64 // values·values, values·masks, squares·masks
	mm           [lanes][]float64 // masks·masks
	x, mask, sqr [lanes][]float64 // the block, row-major
}

func newGram(m int, holes bool) *gram {
	g := &gram{m: m, holes: holes}
	for l := range lanes {
		g.xy[l], g.x[l] = make([]float64, m*m), make([]float64, m*blockRows)
		if holes {
			g.xm[l], g.qm[l], g.mm[l] = make([]float64, m*m), make([]float64, m*m), make([]float64, m*m)
			g.mask[l], g.sqr[l] = make([]float64, m*blockRows), make([]float64, m*blockRows)
		}
	}
	return g
}

// add multiplies the first n rows of lane l's block. A missing value is NaN.
func (g *gram) add(l, n int) {
	m, x := g.m, g.x[l][:n*g.m]
	if g.holes {
		mask, sqr := g.mask[l][:n*m], g.sqr[l][:n*m]
		for i, v := range x {
			mask[i] = 1
			if v != v {
				x[i], mask[i] = 0, 0
			}
			sqr[i] = x[i] * x[i]
		}
		product(x, mask, g.xm[l], n, m)
		product(sqr, mask, g.qm[l], n, m)
		product(mask, mask, g.mm[l], n, m)
	}
	product(x, x, g.xy[l], n, m)
}

// product adds aᵀb to c.
func product(a, b, c []float64, n, m int) {
	blas64.Gemm(blas.Trans, blas.NoTrans, 1, blas64.General{Rows: n, Cols: m, Stride: m, Data: a}, blas64.General{Rows: n, Cols: m, Stride: m, Data: b}, 1,
		blas64.General{Rows: m, Cols: m, Stride: m, Data: c})
}

func (g *gram) sum() {
	for l := 1; l < lanes; l++ {
		for _, s := range [][lanes][]float64{g.xy, g.xm, g.qm, g.mm} {
			for i, v := range s[l] {
				s[0][i] += v
			}
		}
	}
}

// correlation returns Pearson's r of columns i and j on the rows where both have a value, n of them.
func (g *gram) correlation(i, j int, rows float64) (n, r float64) {
	m := g.m
	n = rows
	xy, xx, yy := g.xy[0][i*m+j], g.xy[0][i*m+i], g.xy[0][j*m+j]
	if g.holes {
		n = g.mm[0][i*m+j]
		sx, sy := g.xm[0][i*m+j], g.xm[0][j*m+i]
		xx, yy, xy = g.qm[0][i*m+j]-sx*sx/n, g.qm[0][j*m+i]-sy*sy/n, xy-sx*sy/n
	}
	if n < 2 || !(xx > 1e-13*n) || !(yy > 1e-13*n) {
		return n, math.NaN()
	}
	return n, math.Max(-1, math.Min(1, xy/math.Sqrt(xx)/math.Sqrt(yy)))
}

// products correlates pairs of columns of which one at least has many distinct values.
func (p *profiler) products(ctx context.Context, wanted [][2]int) ([]Pair, error) {
	var columns []int
	at := map[int]int{}
	for _, w := range wanted {
		for _, i := range w {
			if _, ok := at[i]; !ok {
				at[i] = len(columns)
				columns = append(columns, i)
			}
		}
	}
	whole := func(i int) bool {
		e := p.columns[i]
		return missing(e) == 0 && e.Numbers.PosInf+e.Numbers.NegInf == 0
	}
	holes := false
	for _, i := range columns {
		holes = holes || !whole(i)
	}
	pearson, err := p.pearson(ctx, columns, holes)
	if err != nil {
		return nil, err
	}
	var ranked []int
	atRank := map[int]int{}
	for _, i := range columns {
		if whole(i) {
			atRank[i] = len(ranked)
			ranked = append(ranked, i)
		}
	}
	var spearman *gram
	if len(ranked) > 1 {
		if spearman, err = p.rankProducts(ctx, ranked); err != nil {
			return nil, err
		}
	}
	out := make([]Pair, len(wanted))
	var again []int
	rows := float64(p.report.Rows)
	for k, w := range wanted {
		a, b := p.columns[w[0]], p.columns[w[1]]
		n, r := pearson.correlation(at[w[0]], at[w[1]], rows)
		out[k] = Pair{A: a.Name, B: b.Name, N: int64(n), Pearson: assay.Number(r), Spearman: assay.Number(math.NaN()), CramersV: assay.Number(math.NaN())}
		if whole(w[0]) && whole(w[1]) {
			_, s := spearman.correlation(atRank[w[0]], atRank[w[1]], rows)
			out[k].Spearman = assay.Number(s)
		} else {
			again = append(again, k)
		}
	}
	if len(again)*int(p.report.Rows) > RerankBudget {
		p.report.Limits = append(p.report.Limits, fmt.Sprintf("Spearman's correlation of %d pairs of columns with missing values is left out: each needs its own ranks", len(again)))
		return out, nil
	}
	g, ctx := errgroup.WithContext(ctx)
	workers := runtime.GOMAXPROCS(0)
	if p.report.Rows > 1<<20 {
		workers = 1 // each holds up to 16 bytes a row
	}
	for w := range workers {
		g.Go(func() error {
			var worker reranker
			for k := w; k < len(again); k += workers {
				if err := ctx.Err(); err != nil {
					return err
				}
				q := &out[again[k]]
				q.Spearman = assay.Number(worker.spearman(p.columns[wanted[again[k]][0]], p.columns[wanted[again[k]][1]]))
			}
			return nil
		})
	}
	return out, g.Wait()
}

// lanesOf runs f for every lane, so that each lane sees its blocks in order.
func lanesOf(ctx context.Context, f func(ctx context.Context, lane int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for l := range lanes {
		g.Go(func() error { return f(ctx, l) })
	}
	return g.Wait()
}

// pearson sums the products of standardized values. Columns coded by value give them from their codes; the others are read again.
func (p *profiler) pearson(ctx context.Context, columns []int, holes bool) (*gram, error) {
	m := len(columns)
	g := newGram(m, holes)
	mean, scale := make([]float64, m), make([]float64, m)
	var again []string
	for c, i := range columns {
		e := p.columns[i]
		mean[c], scale[c] = float64(e.Numbers.Mean), 1/float64(e.Numbers.Std)
		if math.IsNaN(mean[c]) || math.IsInf(mean[c], 0) || math.IsInf(scale[c], 0) || math.IsNaN(scale[c]) || scale[c] == 0 {
			mean[c], scale[c] = 0, math.NaN() // without a finite variance there is no correlation
			g.holes = true
		}
		again = append(again, e.Name)
	}
	if g.holes && !holes {
		g = newGram(m, true)
	}
	type batch struct {
		lane int
		n    int
	}
	// Lanes work in turn: a lane is filled while the others multiply.
	free, full := [lanes]chan struct{}{}, [lanes]chan batch{}
	for l := range lanes {
		free[l], full[l] = make(chan struct{}, 1), make(chan batch, 1)
		free[l] <- struct{}{}
	}
	eg, ctx := errgroup.WithContext(ctx)
	for l := range lanes {
		eg.Go(func() error {
			for b := range full[l] {
				g.add(b.lane, b.n)
				free[l] <- struct{}{}
			}
			return nil
		})
	}
	eg.Go(func() error {
		defer func() {
			for l := range lanes {
				close(full[l])
			}
		}()
		lane, n := 0, 0
		flush := func() {
			if n > 0 {
				full[lane] <- batch{lane, n}
				lane, n = (lane+1)%lanes, 0
			}
		}
		err := p.table.Blocks(ctx, again, "", func(block [][]float64) error {
			for from := 0; from < len(block[0]); {
				if n == 0 {
					select {
					case <-free[lane]:
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				take := min(blockRows-n, len(block[0])-from)
				x := g.x[lane][n*m:]
				for c := range m {
					mu, s := mean[c], scale[c]
					for r, v := range block[c][from : from+take] {
						v = (v - mu) * s
						if math.IsInf(v, 0) {
							v = math.NaN()
						}
						x[r*m+c] = v
					}
				}
				n, from = n+take, from+take
				if n == blockRows {
					flush()
				}
			}
			return nil
		})
		if err == nil {
			flush()
		}
		return err
	})
	if err := eg.Wait(); err != nil {
		return nil, err
	}
	g.sum()
	return g, nil
}

// rankProducts sums the products of centred midranks of columns without missing values.
func (p *profiler) rankProducts(ctx context.Context, columns []int) (*gram, error) {
	m, rows := len(columns), int(p.report.Rows)
	g := newGram(m, false)
	half := float64(rows+1) / 2
	scale := 1 / float64(rows)
	ranks := make([][]float64, m) // by code, centred; nil for a column that is coded by rank
	for c, i := range columns {
		if e := p.columns[i]; !e.Ranked {
			counts := make([]float64, len(e.Counts))
			for k, n := range e.Counts {
				counts[k] = float64(n)
			}
			ranks[c] = append([]float64{0}, midranks(counts)...)
			for k := range ranks[c] {
				ranks[c][k] = (ranks[c][k] - half) * scale
			}
		}
	}
	err := lanesOf(ctx, func(ctx context.Context, l int) error {
		for from := l * blockRows; from < rows; from += lanes * blockRows {
			if err := ctx.Err(); err != nil {
				return err
			}
			n := min(blockRows, rows-from)
			x := g.x[l]
			for c, i := range columns {
				codes := &p.columns[i].Codes
				switch of := ranks[c]; {
				case codes.U8 != nil:
					for r, v := range codes.U8[from : from+n] {
						x[r*m+c] = of[v]
					}
				case codes.U16 != nil:
					for r, v := range codes.U16[from : from+n] {
						x[r*m+c] = of[v]
					}
				default:
					for r, v := range codes.U32[from : from+n] {
						x[r*m+c] = (float64(v)/2 - half) * scale
					}
				}
			}
			g.add(l, n)
		}
		return nil
	})
	g.sum()
	return g, err
}

// A reranker ranks the rows of two columns anew on which both have a finite value. It uses its memory again for the next pair: 8 bytes a
// row for each column that is coded by rank.
type reranker struct{ a, b []uint32 }

// spearman is Spearman's correlation on those rows.
func (w *reranker) spearman(a, b *table.Examined) float64 {
	loA, hiA := finiteCodes(a)
	loB, hiB := finiteCodes(b)
	w.a, w.b = cleared(w.a, int(hiA)+1), cleared(w.b, int(hiB)+1)
	rows := a.Codes.Len()
	n := uint32(0)
	for r := range rows {
		x, y := a.Codes.At(r), b.Codes.At(r)
		if x >= loA && x <= hiA && y >= loB && y <= hiB {
			w.a[x]++
			w.b[y]++
			n++
		}
	}
	for _, counts := range [][]uint32{w.a, w.b} { // from here on twice the midrank
		before := uint32(0)
		for i, k := range counts {
			counts[i] = 2*before + k + 1
			before += k
		}
	}
	centre := float64(n) + 1
	var xx, yy, xy float64
	for r := range rows {
		x, y := a.Codes.At(r), b.Codes.At(r)
		if x >= loA && x <= hiA && y >= loB && y <= hiB {
			p, q := (float64(w.a[x])-centre)/centre, (float64(w.b[y])-centre)/centre
			xx += p * p
			yy += q * q
			xy += p * q
		}
	}
	if n < 2 || !(xx > 0) || !(yy > 0) {
		return math.NaN()
	}
	return math.Max(-1, math.Min(1, xy/math.Sqrt(xx)/math.Sqrt(yy)))
}

func cleared(s []uint32, n int) []uint32 {
	if cap(s) < n {
		return make([]uint32, n)
	}
	s = s[:n]
	clear(s)
	return s
}

// finiteCodes returns the least and the greatest code of finite values; codes are in the order of values.
func finiteCodes(e *table.Examined) (lo, hi uint32) {
	present := e.Rows - missing(e)
	if e.Ranked {
		// Twice the midrank of a finite value is above that of what comes before it, and at most twice the rows up to its last.
		return uint32(2*e.Numbers.NegInf) + 1, uint32(2 * (present - e.Numbers.PosInf))
	}
	lo, hi = 1, uint32(len(e.Values))
	for lo <= hi && math.IsInf(e.Values[lo-1], -1) {
		lo++
	}
	for hi >= lo && math.IsInf(e.Values[hi-1], 1) {
		hi--
	}
	return lo, hi
}
