package monitor

import (
	"context"
	"fmt"
	"math"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// components are the principal components of one half of a sample, and how far the rows of the other half lie from what they make of them.
type components struct {
	of     *stat.Reconstruction // nil: they hold all of the columns, or there is none
	scores [][256]float64       // by column and cell: the number that stands for the cell
	rows   []int                // of the sample that were not fitted
	among  []int                // blocks that they are of
	errors map[int]float64      // by those rows
	mean   float64              // of them
}

// components computes those of the columns of a comparison, once.
func (c *comparison) components() (*components, error) {
	if p, ok := c.parts[c.columns]; ok {
		return p, nil
	}
	p := &components{errors: map[int]float64{}}
	c.parts[c.columns] = p
	for _, k := range c.at {
		p.scores = append(p.scores, c.features[k].scores())
	}
	g := stat.NewRand(c.seed, 0x706361)
	var fitted []int
	if c.blocks >= minStretches {
		a, b := split(upTo(c.blocks), &g)
		in := map[int]bool{}
		for _, x := range a {
			in[x] = true
		}
		p.among = b
		for r, x := range c.block {
			if in[x] {
				fitted = append(fitted, r)
			} else {
				p.rows = append(p.rows, r)
			}
		}
	} else {
		fitted, p.rows = split(upTo(c.rows), &g)
	}
	values := p.values(c.cells, fitted)
	for i := range c.at { // a column that has no value in this half says nothing
		none := true
		for r := range fitted {
			none = none && math.IsNaN(values[r*len(c.at)+i])
		}
		if none {
			p.scores[i] = [256]float64{}
		}
	}
	of, err := stat.NewReconstruction(p.values(c.cells, fitted), len(c.at), 0)
	if err != nil {
		return nil, err
	}
	if of.Components() == of.Columns() {
		return p, nil
	}
	p.of = of
	errors, err := of.Errors(p.values(c.cells, p.rows))
	if err != nil {
		return nil, err
	}
	for i, r := range p.rows {
		p.errors[r] = errors[i]
		p.mean += errors[i] / float64(len(errors))
	}
	return p, nil
}

// scores are the numbers that stand for the cells of a column: of an ordered one the normal score of the middle of the cell's ranks in the reference, so that no
// value is far from the others however far out it lies; of categories their share. NaN where there is no value.
func (f *Feature) scores() (out [256]float64) {
	out[noCell] = math.NaN()
	counts := floats(f.Counts.Cells)
	if f.Categories != nil {
		copy(out[:], stat.FrequencyCode(counts))
		return out
	}
	n := math.Max(1, float64(f.Counts.Values()))
	below := 0.0
	for i, c := range counts {
		at := (below + c/2) / n
		out[i] = stat.NormalQuantile(math.Min(math.Max(at, 0.5/n), 1-0.5/n))
		below += c
	}
	return out
}

// values are rows as numbers, row by row.
func (p *components) values(cells [][]byte, rows []int) []float64 {
	out := make([]float64, 0, len(rows)*len(cells))
	for _, r := range rows {
		for i := range cells {
			out = append(out, p.scores[i][cells[i][r]])
		}
	}
	return out
}

// reconstruction compares how far the window's rows lie from what the principal components of the reference make of them with how far rows of the reference do
// that had no part in the components: by ranks, in both directions.
func (c *comparison) reconstruction(_ context.Context, rows int64, x assay.Signal) (assay.Signal, error) {
	p, err := c.components()
	if err != nil {
		return x, err
	}
	if p.of == nil {
		x.Verdict, x.Message = assay.Undetermined, "the principal components hold all of the columns: nothing is left to compare"
		return x, nil
	}
	like, taken := c.blocksOfWindow(), c.n
	if like > 0 {
		taken = like * (c.rows / c.blocks)
	}
	live, err := p.of.Errors(p.values(c.live, thin(c.n, taken)))
	if err != nil {
		return x, err
	}
	mean := 0.0
	for _, v := range live {
		mean += v / float64(len(live))
	}
	base := make([]float64, len(p.rows))
	for i, r := range p.rows {
		base[i] = p.errors[r]
	}
	flags, scores := sides(live, base)
	estimate, test, err := stat.DomainAUC(flags, scores, nil, stat.DomainOptions{Permutations: 1})
	if err != nil {
		return x, err
	}
	var chance float64
	if like > 0 {
		null, err := c.null(TestPCA, p.among, like, min(c.n, taken), func(window, base []int, _ *stat.Rand) (float64, error) {
			of := func(rows []int) []float64 {
				out := make([]float64, len(rows))
				for i, r := range rows {
					out[i] = p.errors[r]
				}
				return out
			}
			d, err := stat.NewDeLong(sides(of(window), of(base)))
			if err != nil {
				return 0, err
			}
			return d.AUC(0), nil
		})
		if err != nil {
			return x, err
		}
		up := null.above(test.Statistic)
		chance = 2 * math.Min(up, 1-up)
	} else {
		if test.Statistic < 0.5 {
			for i := range scores {
				scores[i] = -scores[i]
			}
		}
		_, one, err := stat.DomainAUC(flags, scores, nil, stat.DomainOptions{Permutations: jointPermutations, Tail: true, Seed: c.seed})
		if err != nil {
			return x, err
		}
		chance = math.Min(1, 2*one.P)
	}
	x.Statistic, x.PValue, x.Effect = assay.Number(mean), assay.Number(chance), areaEffect(estimate, rows)
	x.Threshold = assay.Number(math.NaN())
	x.Message = fmt.Sprintf("rows lie %.2f standard deviations from the principal components of the reference on average, rows of the reference %.2f", mean, p.mean)
	return x, nil
}

// sides are the values of a window and of a reference as scores.
func sides(window, reference []float64) (flags []bool, scores []float64) {
	for range window {
		flags = append(flags, true)
	}
	for range reference {
		flags = append(flags, false)
	}
	return flags, append(append(scores, window...), reference...)
}
