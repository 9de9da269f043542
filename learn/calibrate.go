package learn

import (
	"math"
	"slices"
	"sort"

	"github.com/assay-ml/assay"
)

// A Sigmoid maps a score x to the probability 1/(1+exp(A·x+B)).
type Sigmoid struct{ A, B float64 }

// At returns the probability at score x.
func (s Sigmoid) At(x float64) float64 { return logistic(-(s.A*x + s.B)) }

func checkCalibration(x, y, w []float64) error {
	var p assay.Problems
	if len(x) == 0 || len(y) != len(x) || w != nil && len(w) != len(x) {
		p.Add("%d scores, %d outcomes and %d weights", len(x), len(y), len(w))
		return p.Err(assay.Invalid, "cannot calibrate")
	}
	total := 0.0
	for i := range x {
		bad := math.IsNaN(x[i]) || math.IsInf(x[i], 0) || math.IsNaN(y[i]) || math.IsInf(y[i], 0)
		if w != nil {
			bad = bad || !(w[i] >= 0) || math.IsInf(w[i], 0)
			total += w[i]
		}
		if bad && len(p) == 0 {
			p.Add("row %d has a score, an outcome or a weight that is not finite, or a negative weight", i)
		}
	}
	if w != nil && total == 0 {
		p.Add("the weights are all 0")
	}
	return p.Err(assay.Invalid, "cannot calibrate")
}

// FitSigmoid fits Platt's calibration with his smoothed targets (Platt 2000, Lin et al. 2007), as scikit-learn does. y is 0 or 1; w may
// be nil. Without both outcomes the answer is the smoothed prior.
func FitSigmoid(x, y, w []float64) (Sigmoid, error) {
	if err := checkCalibration(x, y, w); err != nil {
		return Sigmoid{}, err
	}
	weight := func(i int) float64 {
		if w == nil {
			return 1
		}
		return w[i]
	}
	positives, negatives, scale := 0.0, 0.0, 0.0
	for i, v := range y {
		if v > 0 {
			positives += weight(i)
		} else {
			negatives += weight(i)
		}
		scale = max(scale, math.Abs(x[i]))
	}
	if scale == 0 {
		scale = 1
	}
	high, low := (positives+1)/(positives+2), 1/(negatives+2)
	a, b := 0.0, math.Log((negatives+1)/(positives+1)) // a is of x/scale
	loss := func(a, b float64) float64 {
		sum := 0.0
		for i, v := range x {
			z, t := a*v/scale+b, low
			if y[i] > 0 {
				t = high
			}
			sum += weight(i) * (max(z, 0) + math.Log1p(math.Exp(-math.Abs(z))) - (1-t)*z)
		}
		return sum
	}
	f := loss(a, b)
	for range 100 {
		var ga, gb, haa, hab, hbb float64
		for i, v := range x {
			u := v / scale
			q, t := logistic(a*u+b), low // q is the probability of outcome 0
			if y[i] > 0 {
				t = high
			}
			d, h := weight(i)*(q-(1-t)), weight(i)*q*(1-q)
			ga, gb = ga+d*u, gb+d
			haa, hab, hbb = haa+h*u*u, hab+h*u, hbb+h
		}
		haa, hbb = haa+1e-12*(haa+1), hbb+1e-12*(hbb+1)
		det := haa*hbb - hab*hab
		if !(det > 0) {
			break
		}
		da, db := (hbb*ga-hab*gb)/det, (haa*gb-hab*ga)/det
		t := 1.0
		next := loss(a-da, b-db)
		for next > f && t > 1e-10 {
			t /= 2
			next = loss(a-t*da, b-t*db)
		}
		if next > f {
			break
		}
		a, b, f = a-t*da, b-t*db, next
		if ga*da+gb*db <= 1e-14*(1+f) {
			break
		}
	}
	return Sigmoid{a / scale, b}, nil
}

// Isotonic is a non-decreasing function through the points (X[i], Y[i]): linear between them and constant outside. X is strictly
// increasing.
type Isotonic struct{ X, Y []float64 }

// At returns the value at x.
func (f Isotonic) At(x float64) float64 {
	i := sort.SearchFloat64s(f.X, x)
	switch {
	case i == 0:
		return f.Y[0]
	case i == len(f.X):
		return f.Y[i-1]
	}
	t := (x - f.X[i-1]) / (f.X[i] - f.X[i-1])
	return f.Y[i-1] + t*(f.Y[i]-f.Y[i-1])
}

// FitIsotonic fits the non-decreasing function of smallest weighted squared error by pooling adjacent violators (Barlow et al. 1972).
// Outcomes at equal x are averaged first; w may be nil and rows of weight 0 take no part. Checked against scikit-learn to 1e-6.
func FitIsotonic(x, y, w []float64) (Isotonic, error) {
	if err := checkCalibration(x, y, w); err != nil {
		return Isotonic{}, err
	}
	order := make([]int, 0, len(x))
	for i := range x {
		if w == nil || w[i] > 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case x[a] < x[b]:
			return -1
		case x[a] > x[b]:
			return 1
		}
		return 0
	})
	type pool struct {
		sum, weight float64
		first, last int // of the distinct x
	}
	var at []float64
	var pools []pool
	for k, i := range order {
		wi := 1.0
		if w != nil {
			wi = w[i]
		}
		if k > 0 && x[i] == at[len(at)-1] {
			p := &pools[len(pools)-1]
			p.sum, p.weight = p.sum+wi*y[i], p.weight+wi
			continue
		}
		at = append(at, x[i])
		pools = append(pools, pool{wi * y[i], wi, len(at) - 1, len(at) - 1})
	}
	top := 0
	for _, p := range pools[1:] {
		for ; top >= 0 && pools[top].sum*p.weight >= p.sum*pools[top].weight; top-- {
			p = pool{p.sum + pools[top].sum, p.weight + pools[top].weight, pools[top].first, p.last}
		}
		top++
		pools[top] = p
	}
	var f Isotonic
	for _, p := range pools[:top+1] {
		v := p.sum / p.weight
		f.X, f.Y = append(f.X, at[p.first]), append(f.Y, v)
		if p.last > p.first {
			f.X, f.Y = append(f.X, at[p.last]), append(f.Y, v)
		}
	}
	return f, nil
}

// A calibrator changes the log odds of a binary classifier into a probability, inside the graph.
type calibrator struct {
	sigmoid  *Sigmoid
	isotonic *Isotonic
}

// emit writes the probabilities from the scores [rows, 2], whose first column is 0 and second the log odds.
func (c *calibrator) emit(b *graphBuilder, scores, out string) {
	if c == nil {
		b.nodeTo(out, "", "Softmax", []string{scores}, intAttr("axis", 1))
		return
	}
	if c.sigmoid != nil {
		slope := b.constant("slope", floatTensor([]int{1, 2}, []float32{0, float32(-c.sigmoid.A)}))
		shift := b.constant("shift", floatTensor([]int{1, 2}, []float32{0, float32(-c.sigmoid.B)}))
		scores = b.node("calibrated", "", "Add", []string{b.node("sloped", "", "Mul", []string{scores, slope}), shift})
		b.nodeTo(out, "", "Softmax", []string{scores}, intAttr("axis", 1))
		return
	}
	odds := b.node("odds", "", "Gather", []string{scores, b.constant("second", intTensor([]int{1}, []int64{1}))}, intAttr("axis", 1))
	p := c.isotonic.emit(b, odds)
	other := b.node("complement", "", "Sub", []string{b.constant("one", floatTensor([]int{1, 1}, []float32{1})), p})
	b.nodeTo(out, "", "Concat", []string{other, p}, intAttr("axis", 1))
}

// emit writes the function of a column [rows, 1] as a sum of ramps: each rises over one interval by what the function does there.
func (f Isotonic) emit(b *graphBuilder, x string) string {
	n := max(len(f.X)-1, 1)
	from, width, slope := newTensor(Float32, 1, n), newTensor(Float32, 1, n), newTensor(Float32, n, 1)
	for k := range len(f.X) - 1 {
		lo, hi := float32(f.X[k]), float32(f.X[k+1])
		if hi <= lo { // closer than float32 tells apart: rise in the next step it can
			hi = math.Nextafter32(lo, float32(math.Inf(1)))
		}
		from.Floats[k], width.Floats[k] = lo, hi-lo
		slope.Floats[k] = float32((f.Y[k+1] - f.Y[k]) / float64(hi-lo))
	}
	zero := b.constant("zero", floatTensor([]int{1, 1}, []float32{0}))
	ramp := b.node("above", "", "Sub", []string{x, b.constant("from", from)})
	ramp = b.node("risen", "", "Max", []string{ramp, zero})
	ramp = b.node("ramp", "", "Min", []string{ramp, b.constant("interval", width)})
	sum := b.node("risen_sum", "", "MatMul", []string{ramp, b.constant("steepness", slope)})
	return b.node("calibrated", "", "Add", []string{sum, b.constant("start", floatTensor([]int{1, 1}, []float32{float32(f.Y[0])}))})
}

// fitCalibrator learns the calibration from predictions for rows that the models had not seen: those of a cross-validation.
func (j *job) fitCalibrator() (*calibrator, error) {
	if j.spec.Calibrate == "" {
		return nil, nil
	}
	plain := j.spec
	plain.Calibrate = ""
	cv, err := CrossValidate(j.ctx, plain, j.data, CrossValidation{Metrics: []string{"log_loss"}})
	if err != nil {
		return nil, assay.Errorf(assay.CodeOf(err), "calibrate %s: %w", j.spec.Learner, err)
	}
	var x, y, w []float64
	for i, fold := range cv.Rows {
		p := cv.Predictions[i].Proba
		for k, row := range fold.Test {
			x = append(x, logOdds(p[2*k], p[2*k+1]))
			y = append(y, float64(j.data.Labels[row]))
			if j.data.Weights != nil {
				w = append(w, j.data.Weights[row])
			}
		}
	}
	c := &calibrator{}
	if j.spec.Calibrate == "sigmoid" {
		s, err := FitSigmoid(x, y, w)
		c.sigmoid = &s
		return c, err
	}
	f, err := FitIsotonic(x, y, w)
	c.isotonic = &f
	return c, err
}

// logOdds is log(p1/p0), held within what float32 probabilities can tell.
func logOdds(p0, p1 float64) float64 { return min(max(math.Log(p1)-math.Log(p0), -100), 100) }
