package monitor

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// Bounds of what is learned of how windows differ.
const (
	leastVaried = 20  // stretches of a window's length; of fewer nothing is learned
	mostVaried  = 120 // that are left out one by one; of more every second, third …
)

// stretchOf is SQL for the stretch of a window's length that a held-out row is of, by its time; "" where rows have none.
func (x *Subject) stretchOf(windows assay.WindowPlan, perYear float64) string {
	if x.heldAt == "" || !(perYear > 0) {
		return ""
	}
	seconds := int64(math.Max(1, math.Round(yearly/perYear)))
	if n := windows.LengthSeconds; n > 0 && n <= seconds {
		seconds = n
	}
	c := &cutter{plan: assay.WindowPlan{By: ByTime, LengthSeconds: seconds}}
	c.byTime(x.heldAt)
	return c.expr
}

// groupsOf are the rows of each stretch, in the order of their numbers; nil where there are too few of them.
func groupsOf(stretch []float64) [][]int {
	at := map[float64][]int{}
	var keys []float64
	for i, k := range stretch {
		if math.IsNaN(k) {
			continue
		}
		if at[k] == nil {
			keys = append(keys, k)
		}
		at[k] = append(at[k], i)
	}
	if len(keys) < leastVaried {
		return nil
	}
	slices.Sort(keys)
	out := make([][]int, 0, len(keys))
	for _, k := range keys {
		out = append(out, at[k])
	}
	return out
}

// consecutive cuts rows into stretches of about the same length, in their order, where nothing else is known of them.
func consecutive(n int) [][]int {
	out := make([][]int, stretches)
	for b := range out {
		for i := b * n / stretches; i < (b+1)*n/stretches; i++ {
			out[b] = append(out[b], i)
		}
	}
	return out
}

// Between learns of held-out rows by how much the figures of a plan differ between stretches of a window's length beyond chance: rows that come together are
// alike, so that a window differs from another one by more than so many independent rows would. The figure of a stretch is that of all rows compared with that
// of all other rows (the jackknife over stretches; Efron and Stein, 1981), and of the variance of those what the rows would have by themselves is taken off
// (DerSimonian and Laird, 1986). It needs a time and enough stretches; without, the figures' intervals take rows for independent, which the plan shows by
// having none. The figures of slices are studied in the same way: a slice differs by more than all rows do, where the differences of slices cancel.
func Between(ctx context.Context, x Subject, p *assay.Monitor, o Outcomes) error {
	clock, err := x.Held.Clock(ctx, x.Time)
	if err != nil {
		return err
	}
	x.heldAt = clock.SQL
	stretch := x.stretchOf(p.Windows, p.Budget.WindowsPerYear)
	if stretch == "" || len(p.Performance) == 0 {
		return nil
	}
	step := max(1, (x.Held.Rows()+estimatorRows-1)/estimatorRows)
	fields := append(x.Held.Fields(), assay.Field{Name: joinedLabel, Type: assay.TypeString}, assay.Field{Name: joinedRow, Type: assay.TypeInteger}, assay.Field{Name: windowColumn, Type: assay.TypeInteger})
	v, err := x.Held.Select(ctx, "SELECT *, "+text(x.Held, x.Target)+" AS "+joinedLabel+", _row AS "+joinedRow+", "+stretch+" AS "+windowColumn+" FROM "+x.Held.Relation(), fields)
	if err != nil {
		return err
	}
	names := append(slices.Clone(x.Model.Inputs), joinedLabel, joinedRow, windowColumn)
	for _, c := range o.Columns {
		if !slices.Contains(names, c) {
			names = append(names, c)
		}
	}
	f, err := v.Frame(ctx, names, fmt.Sprintf("_row %% %d = 0 AND %s IS NOT NULL", step, joinedLabel))
	if err != nil {
		return err
	}
	groups := groupsOf(f.Column(windowColumn).Floats)
	if groups == nil {
		return nil
	}
	rows := &windowRows{n: int64(f.Rows())}
	if rows.answers, err = x.answers(ctx, func() (assay.Frame, error) { return f[:len(x.Model.Inputs)], nil }, f.Column(joinedRow).Floats); err != nil {
		return err
	}
	for _, c := range o.Columns {
		rows.columns = append(rows.columns, *f.Column(c))
	}
	var label []int32
	var value []float64
	l := f.Column(joinedLabel)
	for _, c := range l.Codes {
		if len(o.Classes) > 0 {
			at := slices.Index(o.Classes, l.Levels[c])
			if at < 0 {
				return nil
			}
			label = append(label, int32(at))
			continue
		}
		y, err := strconv.ParseFloat(l.Levels[c], 64)
		if err != nil || math.IsNaN(y) || math.IsInf(y, 0) {
			return nil
		}
		value = append(value, y)
	}
	figures := func(without []int) (assay.Evaluation, error) {
		out := make(map[int]bool, len(without))
		for _, i := range without {
			out[i] = true
		}
		var ls []int32
		var vs []float64
		rows.at = rows.at[:0]
		for i := range int(rows.n) {
			if out[i] {
				continue
			}
			if rows.at = append(rows.at, i); label != nil {
				ls = append(ls, label[i])
			} else {
				vs = append(vs, value[i])
			}
		}
		return o.Score(ctx, rows.labelled(), ls, vs, rows.columns.Take(rows.at))
	}
	all, err := figures(nil)
	if err != nil {
		return err
	}
	every := (len(groups) + mostVaried - 1) / mostVaried
	var without []assay.Evaluation
	var rowsOf []float64 // of the stretches that are left out
	for b := 0; b < len(groups); b += every {
		e, err := figures(groups[b])
		if err != nil {
			return err
		}
		without, rowsOf = append(without, e), append(rowsOf, float64(len(groups[b])))
	}
	n := float64(rows.n)
	study := func(reference assay.Estimate, of func(assay.Evaluation) assay.Estimate) *assay.Between {
		return differs(reference, of(all).Value, without, func(k int) (assay.Estimate, float64, float64) { return of(without[k]), rowsOf[k], n })
	}
	for i := range p.Performance {
		m := &p.Performance[i]
		m.Between = study(m.Reference, func(e assay.Evaluation) assay.Estimate { return find(e.Metrics, m.Name) })
	}
	if p.Business != nil {
		p.Business.Between = study(p.Business.Reference, func(e assay.Evaluation) assay.Estimate {
			if e.Business == nil {
				return assay.Undefined("no business metric", 0)
			}
			return e.Business.Estimate
		})
	}
	p.SliceBetween = nil
	for _, s := range all.Slices {
		if !slices.Contains(p.Slices, s.Name) || s.Count == 0 {
			continue
		}
		for _, m := range p.Performance {
			reference, ok := o.References[s.Name][m.Name]
			whole := findSlice(s, m.Name)
			if !ok || m.Between == nil {
				continue
			}
			b := differs(reference, whole.Value, without, func(k int) (assay.Estimate, float64, float64) {
				at := slices.IndexFunc(without[k].Slices, func(x assay.Slice) bool { return x.Name == s.Name })
				if at < 0 {
					return assay.Undefined("no rows", 0), 0, 0
				}
				x := without[k].Slices[at]
				return findSlice(x, m.Name), float64(s.Count - x.Count), float64(s.Count)
			})
			p.SliceBetween = append(p.SliceBetween, assay.SliceBetween{Slice: s.Name, Metric: m.Name, Share: float64(s.Count) / n, Between: b})
		}
	}
	return nil
}

// findSlice is a figure of a slice.
func findSlice(s assay.Slice, name string) assay.Estimate {
	for _, m := range s.Metrics {
		if m.Name == name {
			return m.Estimate
		}
	}
	return assay.Undefined("no labels", 0)
}

// differs is by how much a figure differs between stretches beyond chance; nil where it is not known. left is the figure without a stretch, how many rows
// that has, and how many all have.
func differs(reference assay.Estimate, all float64, without []assay.Evaluation, left func(k int) (e assay.Estimate, rows, n float64)) *assay.Between {
	if !reference.HasInterval() || reference.N == 0 {
		return nil
	}
	se := (reference.Hi - reference.Lo) / (2 * -stat.NormalQuantile((1-reference.Level)/2))
	row := se * se * float64(reference.N) // the variance that a row by itself adds
	var at, variance []float64
	for k := range without {
		e, rows, n := left(k)
		if d := all - e.Value; !math.IsNaN(d) && rows > 0 && rows < n && row > 0 {
			at, variance = append(at, d*(n-rows)/rows), append(variance, row/rows)
		}
	}
	if len(at) < leastVaried {
		return nil
	}
	sd, noise := between(at, variance)
	return &assay.Between{SD: assay.Number(sd), Error: assay.Number(noise), Stretches: len(at)}
}

// between is the standard deviation of means beyond their own variances (DerSimonian and Laird, 1986), and the standard error of its square, by the moments of a
// normal distribution.
func between(at, variance []float64) (sd, noise float64) {
	var w, w2, sum float64
	for i, x := range at {
		v := 1 / variance[i]
		w, w2, sum = w+v, w2+v*v, sum+v*x
	}
	q := 0.0
	for i, x := range at {
		q += (x - sum/w) * (x - sum/w) / variance[i]
	}
	c := w - w2/w
	if !(c > 0) {
		return 0, 0
	}
	square := math.Max(0, (q-float64(len(at)-1))/c)
	own := float64(len(at)-1) / c // the variance of a mean by itself
	return math.Sqrt(square), (square + own) * math.Sqrt(2/float64(len(at)-1))
}

// spread is the variance that windows add to a change of a figure, one standard error above what held-out rows show, for it is known no better: that of a window,
// and that of the mean of as many stretches of the reference.
func spread(b *assay.Between) float64 {
	if b == nil || b.Stretches < 1 {
		return 0
	}
	sd := float64(b.SD)
	return (sd*sd + float64(b.Error)) * (1 + 1/float64(b.Stretches))
}

// spreadOfSlice is spread for a figure of a slice. Where too few stretches have rows of the slice to learn it, all of the spread of the whole figure may be its
// own: the whole figure has the slice's difference by its share of the rows.
func spreadOfSlice(p *assay.Monitor, slice string, m assay.MetricPlan) float64 {
	for _, b := range p.SliceBetween {
		switch {
		case b.Slice != slice || b.Metric != m.Name:
		case b.Between != nil:
			return spread(b.Between)
		case b.Share > 0:
			return spread(m.Between) / (b.Share * b.Share)
		}
	}
	return spread(m.Between) // of plans of earlier releases
}
