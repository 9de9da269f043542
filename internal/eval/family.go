package eval

import (
	"math"
	"slices"

	"github.com/assay-ml/assay"
)

// A family says how a metric is computed from rows and which interval fits it.
type family struct {
	tasks []assay.Task
	// cells: a function of the confusion counts, row-major true × predicted with the positive class of a binary task last.
	cells func(n []float64, k int) float64
	// share gives, for a proportion, its numerator and denominator; its interval is Wilson's.
	share func(n []float64, k int) (x, of float64)
	// loss: the mean of a per-row loss, then finish (nil: as it is).
	loss   func(t *Truth, p *prepared, i int) float64
	finish func(mean float64) (value, slope float64)
	// rank: from the order of the scores.
	rank func(y []uint8, score []float64, order []int32) influence
	// method names the interval of rank metrics: delong or bootstrap.
	delong bool
}

var (
	binaryOnly = []assay.Task{assay.Binary}
	classes    = []assay.Task{assay.Binary, assay.Multiclass}
	regression = []assay.Task{assay.Regression}
)

// families are the metrics that have an interval. The names, directions and definitions are those of package metric.
var families = map[string]family{
	"roc_auc_score":           {tasks: binaryOnly, rank: aucInfluence, delong: true},
	"average_precision_score": {tasks: binaryOnly, rank: averagePrecisionInfluence},
	"log_loss":                {tasks: classes, loss: logLossRow},
	"brier_score_loss":        {tasks: binaryOnly, loss: brierRow},
	"accuracy_score":          {tasks: classes, cells: accuracy, share: func(n []float64, k int) (float64, float64) { return trace(n, k), total(n) }},
	"balanced_accuracy_score": {tasks: classes, cells: balancedAccuracy},
	"f1_score":                {tasks: binaryOnly, cells: f1},
	"precision_score": {tasks: binaryOnly, cells: func(n []float64, _ int) float64 { return ratio(n[3], n[3]+n[1]) },
		share: func(n []float64, _ int) (float64, float64) { return n[3], n[3] + n[1] }},
	"recall_score": {tasks: binaryOnly, cells: func(n []float64, _ int) float64 { return ratio(n[3], n[3]+n[2]) },
		share: func(n []float64, _ int) (float64, float64) { return n[3], n[3] + n[2] }},
	"matthews_corrcoef":       {tasks: classes, cells: matthews},
	"cohen_kappa_score":       {tasks: classes, cells: kappa},
	"mean_absolute_error":     {tasks: regression, loss: func(t *Truth, p *prepared, i int) float64 { return math.Abs(t.Value[i] - p.value[i]) }},
	"mean_squared_error":      {tasks: regression, loss: squaredRow},
	"root_mean_squared_error": {tasks: regression, loss: squaredRow, finish: func(m float64) (float64, float64) { r := math.Sqrt(m); return r, 1 / (2 * r) }},
	"r2_score":                {tasks: regression},
}

// Metrics returns the names of the metrics with intervals for a task, sorted.
func Metrics(task assay.Task) []string {
	var out []string
	for name, f := range families {
		if slices.Contains(f.tasks, task) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

func squaredRow(t *Truth, p *prepared, i int) float64 {
	d := t.Value[i] - p.value[i]
	return d * d
}

// logLossRow clips as scikit-learn does for float64: by the machine epsilon.
func logLossRow(t *Truth, p *prepared, i int) float64 {
	const eps = 0x1p-52
	k := len(t.Classes)
	row := p.proba[i*k : i*k+k]
	var sum float64
	for _, v := range row {
		sum += v
	}
	v := row[t.Class[i]] / sum
	return -math.Log(min(max(v, eps), 1-eps))
}

func brierRow(t *Truth, p *prepared, i int) float64 {
	y := 0.0
	if int(t.Class[i]) == t.Positive {
		y = 1
	}
	return (p.score[i] - y) * (p.score[i] - y)
}

func ratio(a, b float64) float64 {
	if b == 0 {
		return math.NaN()
	}
	return a / b
}

func total(n []float64) (s float64) {
	for _, v := range n {
		s += v
	}
	return s
}

func trace(n []float64, k int) (s float64) {
	for c := range k {
		s += n[c*k+c]
	}
	return s
}

func accuracy(n []float64, k int) float64 { return ratio(trace(n, k), total(n)) }

// balancedAccuracy is the mean recall of the classes that occur.
func balancedAccuracy(n []float64, k int) float64 {
	var sum, used float64
	for c := range k {
		if of := total(n[c*k : c*k+k]); of > 0 {
			sum += n[c*k+c] / of
			used++
		}
	}
	return ratio(sum, used)
}

// f1 is 0 without a true positive, as long as something is positive; NaN when nothing is.
func f1(n []float64, _ int) float64 { return ratio(2*n[3], 2*n[3]+n[1]+n[2]) }

func matthews(n []float64, k int) float64 {
	var s, c, tp, tt, pp float64
	s, c = total(n), trace(n, k)
	for i := range k {
		t := total(n[i*k : i*k+k])
		var p float64
		for j := range k {
			p += n[j*k+i]
		}
		tp += t * p
		tt += t * t
		pp += p * p
	}
	den := math.Sqrt((s*s - pp) * (s*s - tt))
	if den == 0 {
		return 0
	}
	return (c*s - tp) / den
}

func kappa(n []float64, k int) float64 {
	s, c := total(n), trace(n, k)
	var chance float64
	for i := range k {
		t := total(n[i*k : i*k+k])
		var p float64
		for j := range k {
			p += n[j*k+i]
		}
		chance += t * p
	}
	chance /= s
	return ratio(c-chance, s-chance)
}

// r2 with its effects: 1 − Σ(y−ŷ)² / Σ(y−ȳ)².
func r2Influence(t *Truth, p *prepared, rows []int32) influence {
	n := float64(len(rows))
	in := influence{value: math.NaN(), effect: make([]float64, len(rows))}
	var mean, res, tot float64
	for _, i := range rows {
		mean += t.Value[i]
	}
	mean /= n
	for _, i := range rows {
		res += squaredRow(t, p, int(i))
		tot += (t.Value[i] - mean) * (t.Value[i] - mean)
	}
	if n < 2 {
		return in
	}
	if tot == 0 {
		in.value = 0
		if res == 0 {
			in.value = 1
		}
		return in
	}
	in.value = 1 - res/tot
	for j, i := range rows {
		d := (t.Value[i] - mean) * (t.Value[i] - mean)
		in.effect[j] = -squaredRow(t, p, int(i))/tot + res/(tot*tot)*d
	}
	return in
}
