package monitor

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/learn"
	"github.com/assay-ml/assay/stat"
)

// Columns of a table of answers.
const (
	PredictionColumn  = "prediction"  // the class, or the value of a regression
	ProbabilityColumn = "probability" // of the positive class; with more than two classes of the predicted one
	windowColumn      = "_window"
)

// outputColumns are the columns of a task's answers.
func outputColumns(t assay.Task) []string {
	if t.Classifies() {
		return []string{PredictionColumn, ProbabilityColumn}
	}
	return []string{PredictionColumn}
}

// Frame writes answers as the columns that references of predictions have.
func (m Model) Frame(p learn.Prediction) assay.Frame {
	if !m.Task.Classifies() {
		return assay.Frame{{Name: PredictionColumn, Type: assay.TypeNumber, Floats: p.Values}}
	}
	levels := slices.Sorted(slices.Values(p.Classes))
	to := make([]int32, len(p.Classes))
	positive := -1
	for i, c := range p.Classes {
		at, _ := slices.BinarySearch(levels, c)
		to[i] = int32(at)
		if c == m.Positive && len(p.Classes) == 2 {
			positive = i
		}
	}
	codes, proba, k := make([]int32, len(p.Labels)), make([]float64, len(p.Labels)), len(p.Classes)
	for i, l := range p.Labels {
		codes[i] = to[l]
		switch {
		case len(p.Proba) == 0:
			proba[i] = math.NaN()
		case positive >= 0:
			proba[i] = p.Proba[i*k+positive]
		default:
			proba[i] = p.Proba[i*k+int(l)]
		}
	}
	return assay.Frame{
		{Name: PredictionColumn, Type: assay.TypeString, Codes: codes, Levels: levels},
		{Name: ProbabilityColumn, Type: assay.TypeNumber, Floats: proba},
	}
}

// predictBlock is how many rows are brought into memory to be predicted.
const predictBlock = 1 << 18

// eachPrediction predicts the rows of a table block by block and hands the answers on, and as a table with the number of each row's window, NaN for
// none. window is SQL, which sees the rows of the whole table; rows without a window, and those that are refused, are not predicted. at is SQL for when a row came, in seconds, which goes with its answer, "" where it need not.
func eachPrediction(ctx context.Context, t *table.Table, a *accepted, m Model, window, at string, f func(answers *table.Table, p learn.Prediction, windows []float64) error) error {
	if _, ok := t.Field(windowColumn); ok {
		return assay.Errorf(assay.Rejected, "the data has a column %q, which is used here", windowColumn)
	}
	selected, fields := "*", t.Fields()
	if a != nil {
		selected, fields = a.selected, slices.Clone(a.fields)
	}
	fields = append(fields, assay.Field{Name: windowColumn, Type: assay.TypeInteger})
	beside, carried := a.window(window)+" AS "+windowColumn, []string{windowColumn}
	if at != "" {
		fields, carried = append(fields, assay.Field{Name: carriedAt, Type: assay.TypeNumber}), append(carried, carriedAt)
		beside += ", " + at + " AS " + carriedAt
	}
	v, err := t.Select(ctx, "SELECT "+selected+", "+beside+" FROM "+t.Relation(), fields)
	if err != nil {
		return err
	}
	for from := int64(0); from < t.Rows() || from == 0; from += predictBlock {
		cond := windowColumn + " IS NOT NULL"
		if t.Rows() > predictBlock {
			cond += fmt.Sprintf(" AND _row >= %d AND _row < %d", from, from+predictBlock)
		}
		x, err := v.Frame(ctx, append(slices.Clone(m.Inputs), carried...), cond)
		if err != nil {
			return err
		}
		if x.Rows() == 0 && t.Rows() > 0 {
			continue
		}
		p, err := m.Predictor.PredictParallel(ctx, x[:len(m.Inputs)], max(1, m.Threads))
		if err != nil {
			return err
		}
		answers, err := t.Engine().FromFrame(ctx, append(m.Frame(p), x[len(m.Inputs):]...))
		if err != nil {
			return err
		}
		if err := f(answers, p, x[len(m.Inputs)].Floats); err != nil {
			return err
		}
	}
	return nil
}

// answers are those to held-out rows: to all of them, or to the ones of these numbers, whose columns rows gives where the model is asked.
func (x *Subject) answers(ctx context.Context, rows func() (assay.Frame, error), numbers []float64) (learn.Prediction, error) {
	if x.Answers == nil {
		f, err := rows()
		if err != nil {
			return learn.Prediction{}, err
		}
		return x.Model.Predictor.PredictParallel(ctx, f, max(1, x.Model.Threads))
	}
	all := *x.Answers
	if int64(all.Rows()) != x.Held.Rows() {
		return all, assay.Errorf(assay.Internal, "%d answers to %d held-out rows", all.Rows(), x.Held.Rows())
	}
	if numbers == nil {
		return all, nil
	}
	out, k := learn.Prediction{Classes: all.Classes}, len(all.Classes)
	for _, n := range numbers {
		i := int(n)
		if all.Labels != nil {
			out.Labels = append(out.Labels, all.Labels[i])
		}
		if all.Proba != nil {
			out.Proba = append(out.Proba, all.Proba[i*k:(i+1)*k]...)
		}
		if all.Values != nil {
			out.Values = append(out.Values, all.Values[i])
		}
	}
	return out, nil
}

// weightRows is how many held-out rows the weights of columns are computed on.
const weightRows = 2000

// weights says what each watched column is to the model: how far its answers move, on average over held-out rows, when the column's values are
// shuffled, relative to the column that moves them most. No label is looked at. A column that the model does not take has none.
// What columns are to a model that cannot be asked is not known: all are alike.
func (x *Subject) weights(ctx context.Context, seed uint64) (map[string]float64, error) {
	out := map[string]float64{}
	if x.Answers != nil {
		for _, c := range x.Columns {
			out[c] = 1
		}
		return out, nil
	}
	rows := x.Held.Rows()
	step := max(1, rows/weightRows)
	f, err := x.Held.Frame(ctx, x.Model.Inputs, fmt.Sprintf("_row %% %d = 0", step))
	if err != nil {
		return nil, err
	}
	answer := func(f assay.Frame) ([]float64, error) {
		p, err := x.Model.Predictor.PredictParallel(ctx, f, max(1, x.Model.Threads))
		if p.Values != nil {
			return p.Values, err
		}
		if p.Proba != nil {
			return p.Proba, err
		}
		out := make([]float64, len(p.Labels))
		for i, l := range p.Labels {
			out[i] = float64(l)
		}
		return out, err
	}
	before, err := answer(f)
	if err != nil {
		return nil, err
	}
	most := 0.0
	for j := range f {
		g := stat.NewRand(seed, 0x77656967687473, uint64(j))
		order := g.Perm(f.Rows())
		changed := slices.Clone(f)
		changed[j] = f[j : j+1].Take(order)[0]
		after, err := answer(changed)
		if err != nil {
			return nil, err
		}
		moved := 0.0
		for i := range before {
			if d := math.Abs(after[i] - before[i]); d > 0 {
				moved += d
			}
		}
		out[f[j].Name] = moved
		most = math.Max(most, moved)
	}
	for name := range out {
		if most > 0 {
			out[name] = math.Round(out[name]/most*1e6) / 1e6
		}
	}
	return out, nil
}
