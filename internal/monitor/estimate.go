package monitor

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/learn"
	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
)

// Ways to estimate performance before labels come.
const (
	ProxyCBPE = "cbpe" // confidence-based: from calibrated probabilities
	ProxyDLE  = "dle"  // direct loss estimation: from a model of the loss of each row
)

// ProxyOf is what estimates a metric of a task before labels come; "" for nothing.
func ProxyOf(task assay.Task, name string) string {
	d, known := metric.Lookup(name)
	switch {
	case task == assay.Binary && (name == "roc_auc_score" || known && d.IsCounted()), task == assay.Multiclass && name == "accuracy_score":
		return ProxyCBPE
	case task == assay.Regression && slices.Contains([]string{"mean_absolute_error", "mean_squared_error", "root_mean_squared_error"}, name):
		return ProxyDLE
	}
	return ""
}

// What they take for granted, which nothing but labels can tell.
const (
	assumesCBPE = "taken for granted: a row with some score is as likely right as on the held-out rows; a change of what columns mean for the label does not show"
	assumesDLE  = "taken for granted: a row with some columns and prediction is as wrong as on the held-out rows; a change of what columns mean for the label does not show"
)

// An Estimator estimates performance without labels, frozen on held-out rows.
//
// Of a classification it holds calibrations of the probability (of the positive class; with more than two classes of the predicted one, as to
// whether it is right): the first is of the rows themselves, the others are of bootstrap replicates, so that intervals hold the
// uncertainty of the calibration. Rows that came together are alike, so windows differ by more than chance does; by how much is
// measured on stretches of the held-out rows, of the length of a window where they have a time, and is in the intervals too. Of a regression it holds a gradient boosting model of each loss, with the variance that is left of it
// over rows which the model had not seen.
type Estimator struct {
	Format   string           `json:"format"`
	Rows     int64            `json:"rows"`
	Positive string           `json:"positive,omitempty"` // empty: the predicted class
	Versions []learn.Isotonic `json:"versions,omitempty"`
	Windows  int              `json:"windows,omitempty"` // stretches of a window's length that shifts were measured on; 0: there was no time, or too little, and consecutive rows were taken
	Shift    float64          `json:"shift,omitempty"`   // how far stretches of the held-out rows lie from the calibration beyond chance: standard deviation in log odds
	Inputs   []string         `json:"inputs,omitempty"`  // of the loss models, beside the prediction
	Losses   []LossModel      `json:"losses,omitempty"`
}

// A LossModel predicts the loss of a row.
type LossModel struct {
	Loss     string  `json:"loss"`     // absolute, squared
	Model    []byte  `json:"model"`    // ONNX
	Bias     float64 `json:"bias"`     // mean of what is left over rows that the model had not seen
	Variance float64 `json:"variance"` // of it
	Shift    float64 `json:"shift"`    // standard deviation of its mean between stretches of the held-out rows beyond chance

	predictor *learn.Predictor
}

const (
	estimatorFormat = "assay.monitor.estimator/1"
	refits          = 40      // bootstrap replicates of the calibration
	estimatorRows   = 100_000 // held-out rows that it is made of at most, evenly spread
	lossFolds       = 5
	stretches       = 20 // pieces of consecutive held-out rows: rows that came together are alike
	estimatorStream = 0x65737469
)

func readEstimator(b []byte) (*Estimator, error) {
	var e Estimator
	if err := strict(b, &e); err != nil {
		return nil, assay.Errorf(assay.Invalid, "the estimator of performance cannot be read: %w", err)
	}
	var bad assay.Problems
	if e.Format != estimatorFormat {
		bad.Add("the format is %q, not %q", e.Format, estimatorFormat)
	}
	for i, v := range e.Versions {
		if len(v.X) == 0 || len(v.X) != len(v.Y) || !slices.IsSorted(v.X) || slices.ContainsFunc(v.Y, func(y float64) bool { return !(y >= 0 && y <= 1) }) {
			bad.Add("calibration %d is no function from scores to probabilities", i)
		}
	}
	for i := range e.Losses {
		l := &e.Losses[i]
		var err error
		if l.predictor, err = learn.Open(l.Model, learn.Limits{}); err != nil {
			bad.Add("the model of the %s loss cannot be opened: %v", l.Loss, err)
		}
	}
	if len(e.Versions)+len(e.Losses) == 0 {
		bad.Add("it holds nothing")
	}
	return &e, bad.Err(assay.Invalid, "the estimator of performance cannot be used")
}

// freezeEstimator makes the estimator of a version; nil where its task has none or the held-out rows are too few.
func freezeEstimator(ctx context.Context, x Subject, stretch string, seed uint64) (document []byte, rows int64, err error) {
	step := max(1, (x.Held.Rows()+estimatorRows-1)/estimatorRows)
	if stretch == "" {
		stretch = "NULL::BIGINT"
	}
	v, err := x.Held.Select(ctx, "SELECT *, "+text(x.Held, x.Target)+" AS "+joinedLabel+", _row AS "+joinedRow+", "+stretch+" AS "+windowColumn+" FROM "+x.Held.Relation(),
		append(x.Held.Fields(), assay.Field{Name: joinedLabel, Type: assay.TypeString}, assay.Field{Name: joinedRow, Type: assay.TypeInteger}, assay.Field{Name: windowColumn, Type: assay.TypeInteger}))
	if err != nil {
		return nil, 0, err
	}
	inputs := slices.Clone(x.Model.Inputs)
	f, err := v.Frame(ctx, append(slices.Clone(inputs), joinedLabel, joinedRow, windowColumn), fmt.Sprintf("_row %% %d = 0 AND %s IS NOT NULL", step, joinedLabel))
	if err != nil || f.Rows() < minEstimatorRows {
		return nil, 0, err
	}
	label, numbers, groups := f[len(inputs)], f[len(inputs)+1].Floats, groupsOf(f[len(inputs)+2].Floats)
	f = f[:len(inputs)]
	p, err := x.answers(ctx, func() (assay.Frame, error) { return f, nil }, numbers)
	if err != nil {
		return nil, 0, err
	}
	e := Estimator{Format: estimatorFormat, Rows: int64(f.Rows()), Windows: len(groups)}
	if groups == nil {
		groups = consecutive(f.Rows())
	}
	switch {
	case x.Model.Task == assay.Binary || x.Model.Task == assay.Multiclass:
		if len(p.Proba) == 0 {
			return nil, 0, nil
		}
		if x.Model.Task == assay.Binary {
			e.Positive = x.Model.Positive
		}
		score, _ := confidence(p, e.Positive)
		right := make([]float64, len(score))
		for i, c := range label.Codes {
			if is := label.Levels[c]; is == e.Positive || e.Positive == "" && is == p.Classes[p.Labels[i]] {
				right[i] = 1
			}
		}
		if e.Versions, err = calibrations(score, right, seed); err != nil {
			return nil, 0, err
		}
		e.Shift = e.shift(score, right, groups)
	case x.Model.Task == assay.Regression:
		truth := make([]float64, f.Rows())
		for i, c := range label.Codes {
			if truth[i], err = strconv.ParseFloat(label.Levels[c], 64); err != nil || math.IsInf(truth[i], 0) || math.IsNaN(truth[i]) {
				return nil, 0, assay.Errorf(assay.Rejected, "the target %q has a held-out value that is no finite number", x.Target)
			}
		}
		e.Inputs = inputs
		if e.Losses, err = lossModels(ctx, f, p.Values, truth, x.Categorical, groups, seed); err != nil {
			return nil, 0, err
		}
	default:
		return nil, 0, nil
	}
	document, err = json.Marshal(e)
	if err != nil {
		return nil, 0, assay.Errorf(assay.Internal, "the estimator of performance cannot be written: %w", err)
	}
	return document, e.Rows, nil
}

// minEstimatorRows is the fewest held-out rows that an estimator is made of.
const minEstimatorRows = 100

// confidence is the probability of the positive class, or with "" of the predicted one, and whether that is what was predicted.
func confidence(p learn.Prediction, positive string) (score []float64, predicted []bool) {
	k := len(p.Classes)
	at := slices.Index(p.Classes, positive)
	score, predicted = make([]float64, len(p.Labels)), make([]bool, len(p.Labels))
	for i, l := range p.Labels {
		c := int(l)
		if positive != "" {
			c = at
		}
		score[i], predicted[i] = p.Proba[i*k+c], int(l) == c
	}
	return score, predicted
}

// calibrations fits the probability that a score stands for, and refits it on bootstrap replicates of the rows.
func calibrations(score, right []float64, seed uint64) ([]learn.Isotonic, error) {
	first, err := learn.FitIsotonic(score, right, nil)
	if err != nil {
		return nil, err
	}
	out := []learn.Isotonic{first}
	counts, weight := make([]uint8, len(score)), make([]float64, len(score))
	for b := range uint64(refits) {
		r := stat.NewRand(seed, estimatorStream, b)
		r.PoissonFill(0, counts)
		for i, n := range counts {
			weight[i] = float64(n)
		}
		f, err := learn.FitIsotonic(score, right, weight)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

// shift estimates how far the log odds of stretches differ from the calibration, beyond what chance does.
func (e *Estimator) shift(score, right []float64, groups [][]int) float64 {
	var at, variance []float64
	for _, group := range groups {
		var off, information float64
		for _, i := range group {
			p := e.Versions[0].At(score[i])
			off, information = off+right[i]-p, information+p*(1-p)
		}
		if information > 0 {
			at, variance = append(at, off/information), append(variance, 1/information)
		}
	}
	sd, _ := between(at, variance)
	return sd * math.Sqrt(1+1/float64(max(1, len(at)))) // of a window from the mean of so many
}

// moved is a probability whose log odds are moved by d.
func moved(p, d float64) float64 {
	if p <= 0 || p >= 1 || d == 0 {
		return p
	}
	return 1 / (1 + (1-p)/p*math.Exp(-d))
}

// lossModels fits a model of each loss.
func lossModels(ctx context.Context, f assay.Frame, predicted, truth []float64, categorical []string, groups [][]int, seed uint64) ([]LossModel, error) {
	f = append(slices.Clone(f), assay.Column{Name: lossPrediction, Type: assay.TypeNumber, Floats: predicted})
	categorical = slices.DeleteFunc(slices.Clone(categorical), func(c string) bool { return f.Column(c) == nil || f.Column(c).Codes != nil })
	n := f.Rows()
	fit := func(f assay.Frame, y []float64) (*learn.Predictor, []byte, error) {
		m, err := learn.Fit(ctx, learn.Spec{
			Learner: "gradient_boosting", Task: assay.Regression, Categorical: categorical, Target: learn.Target{Name: "loss", Type: assay.TypeNumber}, Seed: seed,
			Params: map[string]any{"trees": 60, "max_leaf_nodes": 15},
		}, learn.Data{X: f, Values: y})
		if err != nil {
			return nil, nil, err
		}
		b, err := m.ONNX()
		if err != nil {
			return nil, nil, err
		}
		p, err := learn.Open(b, learn.Limits{})
		return p, b, err
	}
	var out []LossModel
	for _, name := range []string{"absolute", "squared"} {
		loss := make([]float64, n)
		for i, p := range predicted {
			if loss[i] = math.Abs(truth[i] - p); name == "squared" {
				loss[i] *= loss[i]
			}
		}
		l := LossModel{Loss: name}
		var err error
		if _, l.Model, err = fit(f, loss); err != nil {
			return nil, err
		}
		// What the model does not know of a row shows on rows that it was not fitted on.
		left := make([]float64, n)
		for fold := range lossFolds {
			var in, of []int
			for i := range n {
				if i%lossFolds == fold {
					of = append(of, i)
				} else {
					in = append(in, i)
				}
			}
			y := make([]float64, len(in))
			for k, i := range in {
				y[k] = loss[i]
			}
			m, _, err := fit(f.Take(in), y)
			if err != nil {
				return nil, err
			}
			p, err := m.PredictParallel(ctx, f.Take(of), 1)
			if err != nil {
				return nil, err
			}
			for k, i := range of {
				left[i] = loss[i] - p.Values[k]
			}
		}
		for _, v := range left {
			l.Bias += v / float64(n)
		}
		for _, v := range left {
			l.Variance += (v - l.Bias) * (v - l.Bias) / float64(n-1)
		}
		var at, variance []float64
		for _, group := range groups {
			mean := 0.0
			for _, i := range group {
				mean += left[i] / float64(len(group))
			}
			if l.Variance > 0 {
				at, variance = append(at, mean), append(variance, l.Variance/float64(len(group)))
			}
		}
		sd, _ := between(at, variance)
		l.Shift = sd * math.Sqrt(1+1/float64(max(1, len(at))))
		out = append(out, l)
	}
	return out, nil
}

// lossPrediction is the column of the prediction in the features of a loss model.
const lossPrediction = "_assay_prediction"

// drawnLabels is how many labels are simulated for a window in all, 200 to 1,000 sets of them.
const drawnLabels = 40_000_000

// A proxy is a figure that was estimated without labels.
type proxy struct {
	value      assay.Estimate
	assumption string
}

// proxies estimates the figures of a plan on the rows of a window from what the model answered, labels aside.
func (w *Watch) proxies(ctx context.Context, r *windowRows, o Outcomes) (map[string]proxy, error) {
	e := w.estimator
	switch {
	case e == nil || r.n == 0:
		return nil, nil
	case len(e.Losses) > 0:
		return e.losses(ctx, w.plan, r)
	case r.answers.Proba == nil:
		return nil, nil
	}
	score, predicted := confidence(r.answers, e.Positive)
	if e.Positive != "" {
		threshold := o.Threshold
		if threshold == 0 {
			threshold = 0.5
		}
		for i, s := range score {
			predicted[i] = s >= threshold
		}
	}
	versions := e.calibrated(score)
	draws := min(max(drawnLabels/len(score), 200), stat.DefaultExpectedDraws)
	x, err := stat.NewExpected(versions, predicted, score, stat.ExpectedOptions{Draws: draws, Seed: w.plan.Budget.Seed})
	if err != nil {
		return nil, err
	}
	out := map[string]proxy{}
	for _, p := range w.plan.Performance {
		if v, ok := expectedOf(p.Name, e.Positive, x); ok {
			out[p.Name] = proxy{v, assumesCBPE}
		}
	}
	if b := w.plan.Business; b != nil && o.Counts != nil && e.Positive != "" {
		out[b.Name] = proxy{ofCounts(x, o.Counts), assumesCBPE}
	}
	return out, nil
}

// calibrated are the probabilities that scores stand for, by the calibration and by each of its refits. What a tree model answers repeats, so it is
// looked up once for each different score.
func (e *Estimator) calibrated(score []float64) [][]float64 {
	distinct := slices.Clone(score)
	slices.Sort(distinct)
	distinct = slices.Compact(distinct)
	at := make([]int32, len(score))
	for i, s := range score {
		k, _ := slices.BinarySearch(distinct, s)
		at[i] = int32(k)
	}
	out := make([][]float64, len(e.Versions))
	of := make([]float64, len(distinct))
	for v, f := range e.Versions {
		d := 0.0
		if v > 0 { // the refits are moved as stretches of traffic are, by the quantiles of a normal distribution in an order of no meaning
			d = e.Shift * stat.NormalQuantile((float64((v*17)%(len(e.Versions)-1))+0.5)/float64(len(e.Versions)-1))
		}
		for k, s := range distinct {
			of[k] = moved(f.At(s), d)
		}
		out[v] = make([]float64, len(score))
		for i, k := range at {
			out[v][i] = of[k]
		}
	}
	return out
}

// expectedOf is one figure of the expected performance; false where it cannot be had.
func expectedOf(name, positive string, x *stat.Expected) (assay.Estimate, bool) {
	if positive == "" {
		return x.Precision, name == "accuracy_score" // all are predicted to be right
	}
	if name == "roc_auc_score" {
		return x.AUC, true
	}
	d, ok := metric.Lookup(name)
	if !ok || !d.IsCounted() {
		return assay.Estimate{}, false
	}
	return ofCounts(x, func(tp, fp, fn, tn float64) float64 {
		v, err := d.FromConfusion(metric.Confusion{Classes: 2, Counts: []float64{tn, fp, fn, tp}}, 1)
		if err != nil || !v.Defined() {
			return math.NaN()
		}
		return v.Value
	}), true
}

// ofCounts is a function of the confusion counts with the interval of the simulated ones.
func ofCounts(x *stat.Expected, f func(tp, fp, fn, tn float64) float64) assay.Estimate {
	n := int64(math.Round(x.TP + x.FP + x.FN + x.TN))
	e := assay.Estimate{Value: f(x.TP, x.FP, x.FN, x.TN), Level: stat.DefaultLevel, Method: ProxyCBPE, N: n}
	var draws, refits []float64
	for _, c := range x.Refits {
		refits = append(refits, f(c[0], c[1], c[2], c[3]))
	}
	bias := stat.RefitBias(e.Value, refits)
	e.Value -= bias
	for _, c := range x.Draws {
		if v := f(c[0], c[1], c[2], c[3]) - 2*bias; !math.IsNaN(v) {
			draws = append(draws, v)
		}
	}
	if math.IsNaN(e.Value) || len(draws) < len(x.Draws)*9/10 {
		return assay.Undefined("no value on the expected counts", n)
	}
	slices.Sort(draws)
	e.Lo, e.Hi = math.Min(e.Value, stat.Quantile(draws, (1-e.Level)/2)), math.Max(e.Value, stat.Quantile(draws, (1+e.Level)/2))
	return e
}

// losses estimates the mean losses of a regression.
func (e *Estimator) losses(ctx context.Context, plan assay.Monitor, r *windowRows) (map[string]proxy, error) {
	if r.features == nil || r.answers.Values == nil {
		return nil, nil
	}
	f := append(slices.Clone(r.features), assay.Column{Name: lossPrediction, Type: assay.TypeNumber, Floats: r.answers.Values})
	out := map[string]proxy{}
	for _, l := range e.Losses {
		p, err := l.predictor.PredictParallel(ctx, f, 1)
		if err != nil {
			return nil, err
		}
		mean, n := 0.0, float64(r.n)
		for _, v := range p.Values {
			mean += v / n
		}
		mean = math.Max(0, mean+l.Bias)
		half := -stat.NormalQuantile((1-stat.DefaultLevel)/2) * math.Sqrt(l.Variance*(1/n+1/float64(e.Rows))+l.Shift*l.Shift)
		v := assay.Estimate{Value: mean, Lo: math.Max(0, mean-half), Hi: mean + half, Level: stat.DefaultLevel, Method: ProxyDLE, N: r.n}
		root := v
		root.Value, root.Lo, root.Hi = math.Sqrt(v.Value), math.Sqrt(v.Lo), math.Sqrt(v.Hi)
		for _, m := range plan.Performance {
			switch {
			case l.Loss == "absolute" && m.Name == "mean_absolute_error", l.Loss == "squared" && m.Name == "mean_squared_error":
				out[m.Name] = proxy{v, assumesDLE}
			case l.Loss == "squared" && m.Name == "root_mean_squared_error":
				out[m.Name] = proxy{root, assumesDLE}
			}
		}
	}
	return out, nil
}

// featuresOf are the columns of a table that the estimator reads; nil where one is missing.
func (e *Estimator) featuresOf(t *table.Table) []string {
	if e == nil || len(e.Inputs) == 0 {
		return nil
	}
	for _, c := range e.Inputs {
		if _, ok := t.Field(c); !ok {
			return nil
		}
	}
	return e.Inputs
}
