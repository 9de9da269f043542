package eval

import (
	"math"
	"sort"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
)

// A sums is a metric that is a function of weighted sums of columns, by cell: w holds the weight of each cell, v the weighted sums,
// v[c*columns+j] of column j in cell c.
type sums struct {
	cell    []int32 // of each row; nil: one cell
	cells   int
	columns [][]float64
	value   func(w, v []float64) float64
}

// sumsOf gives the columns and the function of a metric for all rows; nil for other metrics.
func sumsOf(name string) func(p *prepared) (*sums, error) {
	root := func(of string) func(p *prepared) (*sums, error) {
		return func(p *prepared) (*sums, error) {
			loss, err := p.perRow(of)
			return &sums{nil, 1, [][]float64{loss}, func(w, v []float64) float64 { return math.Sqrt(v[0] / w[0]) }}, err
		}
	}
	// The share of the loss of constant class shares that is saved; chance gives that loss from the shares.
	saved := func(of string, chance func(share []float64) float64) func(p *prepared) (*sums, error) {
		return func(p *prepared) (*sums, error) {
			loss, err := p.perRow(of)
			return &sums{p.t.Class, len(p.t.Classes), [][]float64{loss}, func(w, v []float64) float64 {
				share := make([]float64, len(w))
				var all, sum float64
				for c := range w {
					all += w[c]
					sum += v[c]
				}
				for c := range w {
					share[c] = w[c] / all
				}
				base := chance(share)
				if base == 0 {
					return math.NaN()
				}
				return 1 - sum/all/base
			}}, err
		}
	}
	switch name {
	case "root_mean_squared_error":
		return root("mean_squared_error")
	case "root_mean_squared_log_error":
		return root("mean_squared_log_error")
	case "d2_log_loss_score":
		return saved("log_loss", func(share []float64) (h float64) {
			for _, p := range share {
				if p > 0 {
					h -= p * math.Log(p)
				}
			}
			return h
		})
	case "d2_brier_score":
		return saved("brier_score_loss", func(share []float64) float64 {
			b := 1.0
			for _, p := range share {
				b -= p * p
			}
			if len(share) == 2 {
				b /= 2
			}
			return b
		})
	case "r2_score", "explained_variance_score":
		return func(p *prepared) (*sums, error) { return explained(p, name == "r2_score"), nil }
	case "expected_calibration_error":
		return calibrationError
	}
	return nil
}

// explained is the share of the variance of the truth that is explained; constant says that a constant error counts.
func explained(p *prepared, constant bool) *sums {
	n, unit := p.t.N(), p.t.meanWeight()
	c := make([][]float64, 4) // error, its square, truth, its square; both about their means, so that the sums do not cancel
	for i := range c {
		c[i] = make([]float64, n)
	}
	var meanY, meanE float64
	for i, y := range p.t.Value {
		meanY += y / float64(n)
		meanE += (y - p.input.Values[i]) / float64(n)
	}
	for i, y := range p.t.Value {
		e := y - p.input.Values[i]
		c[0][i], c[2][i] = e-meanE, y-meanY
		c[1][i], c[3][i] = c[0][i]*c[0][i], c[2][i]*c[2][i]
		if constant {
			c[1][i] = e * e
		}
	}
	return &sums{nil, 1, c, func(w, v []float64) float64 {
		total := v[3] - v[2]*v[2]/w[0]
		rest := v[1]
		if !constant {
			rest = max(0, rest-v[0]*v[0]/w[0]) // a variance: rounding makes it negative where the rows are few and alike
		}
		if !(total > 0) || w[0] < 2*unit {
			return math.NaN()
		}
		return 1 - rest/total
	}}
}

// calibrationError is the mean distance of probability and share of positives over the bins of package metric.
func calibrationError(p *prepared) (*sums, error) {
	score := p.score(p.t.Positive)
	inner := make([]float64, metric.DefaultBins-1)
	step := 1 / float64(metric.DefaultBins)
	for i := range inner {
		inner[i] = float64(i+1) * step
	}
	cell, gap := make([]int32, len(score)), make([]float64, len(score))
	for i, v := range score {
		cell[i] = int32(sort.SearchFloat64s(inner, v))
		gap[i] = v
		if int(p.t.Class[i]) == p.t.Positive {
			gap[i]--
		}
	}
	return &sums{cell, metric.DefaultBins, [][]float64{gap}, func(w, v []float64) float64 {
		var all, off float64
		for b := range w {
			all += w[b]
			off += math.Abs(v[b])
		}
		return off / all
	}}, nil
}

// summed is a metric of weighted sums.
func (m *measure) summed(d metric.Definition, p *prepared) (func() float64, error) {
	f, err := sumsOf(d.Name)(p)
	if err != nil {
		return nil, err
	}
	if d.Name == "expected_calibration_error" {
		// Noise in the bins adds to the error, and to that of a replicate once more: the reflected interval takes the second from the
		// first. BCa was measured to cover 5 % at n = 200.
		m.likes = stat.Basic
	}
	return m.bySums(f)
}

// bySums gives a measure its weights, its values without a row and its value; f holds columns of all rows.
func (m *measure) bySums(f *sums) (func() float64, error) {
	cell := take(m.s, f.cell, 1)
	if f.cell == nil {
		cell = make([]int32, m.s.n)
	}
	columns := make([][]float64, len(f.columns))
	for i, c := range f.columns {
		columns[i] = take(m.s, c, 1)
	}
	t, err := newTally(cell, f.cells, columns, m.s.w)
	if err != nil {
		return nil, assay.Errorf(assay.Rejected, "%s: %w", m.name, err)
	}
	k := len(columns)
	m.weigh = func() func(_, local []uint8) float64 {
		w, v, sum := make([]float64, f.cells), make([]float64, f.cells*k), t.summer()
		return func(_, local []uint8) float64 {
			sum(local, w, v)
			return f.value(w, v)
		}
	}
	m.leave = func() []float64 {
		w, v := make([]float64, f.cells), make([]float64, f.cells*k)
		t.summer()(nil, w, v)
		before, out := make([]float64, k), make([]float64, m.s.n)
		for j, c := range cell {
			at := v[int(c)*k : (int(c)+1)*k]
			copy(before, at)
			one, whole := m.s.weight(j), w[c]
			w[c] -= one
			for i := range at {
				at[i] -= one * columns[i][j]
			}
			out[j] = f.value(w, v)
			w[c] = whole
			copy(at, before)
		}
		return out
	}
	return func() float64 {
		w, v := make([]float64, f.cells), make([]float64, f.cells*k)
		t.summer()(nil, w, v)
		return f.value(w, v)
	}, nil
}

// A tally adds up columns by cell, of rows with weights or without.
type tally struct {
	*stat.Tally
	weighted bool // the first column is the weight itself, the others are multiplied by it
}

func newTally(cell []int32, cells int, columns [][]float64, weight []float64) (tally, error) {
	if weight != nil {
		all := [][]float64{weight}
		for _, c := range columns {
			product := make([]float64, len(c))
			for j, v := range c {
				product[j] = weight[j] * v
			}
			all = append(all, product)
		}
		columns = all
	}
	t, err := stat.NewTally(cell, cells, columns...)
	return tally{t, weight != nil}, err
}

// summer returns a function that writes the weight of each cell and the weighted sums, as stat.Tally.Sum does; it owns its scratch.
func (t tally) summer() func(counts []uint8, w, v []float64) {
	if !t.weighted {
		return t.Sum
	}
	k := t.Columns()
	drawn, sums := make([]float64, t.Cells()), make([]float64, t.Cells()*k)
	return func(counts []uint8, w, v []float64) {
		t.Sum(counts, drawn, sums)
		for c := range w {
			w[c] = sums[c*k]
			copy(v[c*(k-1):(c+1)*(k-1)], sums[c*k+1:(c+1)*k])
		}
	}
}

// meanWeight is that of a row; 1 without weights.
func (t *Truth) meanWeight() float64 {
	if t.Weight == nil {
		return 1
	}
	var sum float64
	for _, w := range t.Weight {
		sum += w
	}
	return sum / float64(len(t.Weight))
}
