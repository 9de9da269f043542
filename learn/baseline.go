package learn

import (
	"math"
	"sort"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// A Baseline predicts without looking at the features. Its definitions are those of scikit-learn's dummy estimators, plus the two
// that forecasting is measured against: the last value, and the value of one season ago.
type Baseline struct {
	name    string
	classes []string
	proba   []float64 // classification: the same for every row
	draw    bool      // labels are drawn from proba, and the probabilities are those of the drawn label
	values  []float64 // regression: repeated in this order
	fixed   *Prediction
	seed    uint64
}

// FixedBaseline is the baseline whose predictions are already known, for example those of a rule. It predicts for exactly as many
// rows as p holds.
func FixedBaseline(name string, p Prediction) (*Baseline, error) {
	n, k := p.Rows(), len(p.Classes)
	var problems assay.Problems
	if k > 0 && len(p.Labels) != n || len(p.Proba) > 0 && len(p.Proba) != n*k {
		problems.Add("%d labels and %d probabilities for %d rows of %d classes", len(p.Labels), len(p.Proba), n, k)
	}
	for _, y := range p.Labels {
		if y < 0 || int(y) >= k {
			problems.Add("label %d of %d classes", y, k)
			break
		}
	}
	return &Baseline{name: name, classes: p.Classes, fixed: &p}, problems.Err(assay.Invalid, "baseline "+name)
}

// Name returns the baseline's name.
func (b *Baseline) Name() string { return b.name }

// Predict predicts n rows. Draws are keyed by seed and row number, so the first rows do not depend on how many follow.
func (b *Baseline) Predict(n int) (Prediction, error) {
	if b.fixed != nil {
		if b.fixed.Rows() != n {
			return Prediction{}, assay.Errorf(assay.Invalid, "baseline %s has predictions for %d rows, %d are asked for", b.name, b.fixed.Rows(), n)
		}
		return *b.fixed, nil
	}
	if b.classes == nil {
		out := make([]float64, n)
		for i := range out {
			out[i] = b.values[i%len(b.values)]
		}
		return Prediction{Values: out}, nil
	}
	k := len(b.classes)
	p := Prediction{Classes: b.classes, Labels: make([]int32, n), Proba: make([]float64, n*k)}
	random := stat.NewRand(b.seed, 0)
	for i := range n {
		row := p.Proba[i*k : (i+1)*k]
		if !b.draw {
			copy(row, b.proba)
			p.Labels[i] = int32(largest(b.proba))
			continue
		}
		at := pick(b.proba, random.Float64At(uint64(i)))
		p.Labels[i], row[at] = int32(at), 1
	}
	return p, nil
}

// largest returns the position of the greatest value, the first of equals.
func largest(x []float64) int {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return best
}

// pick returns the position whose share of [0,1) holds u.
func pick(shares []float64, u float64) int {
	last := 0
	for i, s := range shares {
		if s > 0 {
			last = i
			if u < s {
				return i
			}
			u -= s
		}
	}
	return last
}

func (j *job) fitBaseline() (*Model, error) {
	b := &Baseline{name: j.spec.Learner, seed: j.spec.Seed}
	var err error
	if j.spec.Task.Classifies() {
		b.classes = j.spec.Target.Classes
		err = b.fitClasses(j)
	} else {
		err = b.fitValues(j)
	}
	if err != nil {
		return nil, err
	}
	if b.draw || len(b.values) > 1 {
		return &Model{spec: j.spec, baseline: b}, nil
	}
	m, err := b.constantModel(j)
	if err != nil {
		return nil, err
	}
	m.spec, m.baseline = j.spec, b
	return m, nil
}

func (b *Baseline) fitClasses(j *job) error {
	k := len(b.classes)
	share := make([]float64, k)
	total := 0.0
	for i, y := range j.data.Labels {
		w := 1.0
		if j.weights != nil {
			w = j.weights[i]
		}
		share[y] += w
		total += w
	}
	for c := range share {
		share[c] /= total
	}
	b.proba = share
	switch b.name {
	case "stratified":
		b.draw = true
	case "majority":
		top := largest(share)
		b.proba = make([]float64, k)
		b.proba[top] = 1
	case "uniform":
		for c := range share {
			share[c] = 1 / float64(k)
		}
		b.draw = j.params.bool("draw")
	case "constant":
		at := indexOf(b.classes)
		c, ok := at[j.params.string("class")]
		if !ok {
			return assay.Errorf(assay.Invalid, "constant baseline: %q is none of the classes %q", j.params.string("class"), b.classes)
		}
		b.proba = make([]float64, k)
		b.proba[c] = 1
	}
	return nil
}

func (b *Baseline) fitValues(j *job) error {
	y, w := j.data.Values, j.weights
	switch b.name {
	case "mean":
		sum, total := 0.0, 0.0
		for i, v := range y {
			wi := 1.0
			if w != nil {
				wi = w[i]
			}
			sum += wi * v
			total += wi
		}
		b.values = []float64{sum / total}
	case "median":
		b.values = []float64{quantile(y, w, 0.5)}
	case "quantile":
		b.values = []float64{quantile(y, w, j.params.float("quantile"))}
	case "constant":
		b.values = []float64{j.params.float("value")}
	case "last_value":
		b.values = y[len(y)-1:]
	case "seasonal_naive":
		period := j.params.int("period")
		if period > len(y) {
			return assay.Errorf(assay.Invalid, "seasonal_naive: a period of %d rows is longer than the %d training rows", period, len(y))
		}
		b.values = y[len(y)-period:]
	}
	return nil
}

// quantile is NumPy's linear interpolation without weights. With weights it is the lower weighted quantile: the smallest value at
// which the accumulated weight reaches q of the total; that is what scikit-learn's dummy regressor does.
func quantile(y, w []float64, q float64) float64 {
	order := make([]int, len(y))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return y[order[a]] < y[order[b]] })
	if w == nil {
		at := q * float64(len(y)-1)
		lo := int(math.Floor(at))
		hi := min(lo+1, len(y)-1)
		a, b, t := y[order[lo]], y[order[hi]], at-float64(lo)
		if t >= 0.5 {
			return b - (b-a)*(1-t)
		}
		return a + (b-a)*t
	}
	total := 0.0
	for _, i := range order {
		total += w[i]
	}
	sum := 0.0
	for _, i := range order {
		if sum += w[i]; sum >= q*total && sum > 0 {
			return y[i]
		}
	}
	return y[order[len(order)-1]]
}

// constantModel writes a graph that repeats one answer for as many rows as the first column has.
func (b *Baseline) constantModel(j *job) (*Model, error) {
	if len(j.data.X) == 0 {
		return &Model{}, nil
	}
	g := newGraphBuilder(b.name)
	p, err := fitPreparation(j.data.X, j.spec)
	if err != nil {
		return nil, err
	}
	p.declare(g)
	answer := b.proba
	if b.classes == nil {
		answer = b.values
	}
	row := make([]float32, len(answer))
	for i, v := range answer {
		row[i] = float32(v)
	}
	repeat := func(out string) {
		rows := g.node("row_count", "", "Shape", []string{p.columns[0]}, intAttr("start", 0), intAttr("end", 1))
		width := g.constant("width", intTensor([]int{1}, []int64{int64(len(row))}))
		shape := g.node("shape", "", "Concat", []string{rows, width}, intAttr("axis", 0))
		g.nodeTo(out, "", "Expand", []string{g.constant("answer", floatTensor([]int{1, len(row)}, row)), shape})
	}
	if b.classes != nil {
		g.classOutputs(j.spec.Target, repeat)
	} else {
		repeat(g.valueOutput())
	}
	return j.finish(g)
}
