package metric

import (
	"math"
	"slices"
)

// explain is 1 − loss/null of one output. A perfect prediction of a constant truth is 1 and any other 0, unless unforced.
func (o ValueOptions) explain(loss, null float64) Value {
	switch {
	case null == 0 && o.Unforced:
		return Value{1 - loss/null, "the truth is constant"}
	case loss == 0:
		return defined(1)
	case null == 0:
		return defined(0)
	}
	return settled(1 - loss/null)
}

// explained averages the scores of the outputs; nulls are their variances.
func (o ValueOptions) explained(vs []Value, nulls []float64) Value {
	return averageOf(vs, func(c int) float64 {
		if o.Average == VarianceWeighted {
			return nulls[c]
		}
		return 1
	}, false)
}

// spread is the weighted sum of squares about the weighted mean of v; exactly 0 where v is constant.
func spread(v, w []float64) float64 {
	if constant(v, w) {
		return 0
	}
	m := mean(v, w)
	if w == nil {
		return squaredSum(v, nil, m)
	}
	return weightedSum(v, w, func(x float64) float64 { return (x - m) * (x - m) })
}

// squaredLoss is the weighted sum of (y−p)².
func squaredLoss(y, p, w []float64) float64 {
	if w == nil {
		return squaredSum(y, p, 0)
	}
	return lossSum(y, p, w, squared)
}

// squaredSum is Σ (y−p)², where p may be nil and m is used instead.
func squaredSum(y, p []float64, m float64) float64 {
	return blockSum(len(y), func(from, to int) float64 {
		a := y[from:to]
		var s, t float64
		if p == nil {
			i := 0
			for ; i+2 <= len(a); i += 2 {
				s += (a[i] - m) * (a[i] - m)
				t += (a[i+1] - m) * (a[i+1] - m)
			}
			for ; i < len(a); i++ {
				s += (a[i] - m) * (a[i] - m)
			}
			return s + t
		}
		b := p[from:to:to]
		i := 0
		for ; i+2 <= len(a) && i+2 <= len(b); i += 2 {
			s += (a[i] - b[i]) * (a[i] - b[i])
			t += (a[i+1] - b[i+1]) * (a[i+1] - b[i+1])
		}
		for ; i < len(a) && i < len(b); i++ {
			s += (a[i] - b[i]) * (a[i] - b[i])
		}
		return s + t
	})
}

// constant reports whether all rows of positive weight hold one value.
func constant(v, w []float64) bool {
	first, weight := math.NaN(), rowWeight(w)
	for i, x := range v {
		switch {
		case weight(i) == 0 || x == first:
		case math.IsNaN(first):
			first = x
		default:
			return false
		}
	}
	return true
}

// R2Score is the share of the variance of the truth that the prediction explains: 1 is perfect, 0 is the mean of the truth, worse is
// negative. Higher is better. NaN for fewer than two rows.
func R2Score(truth, pred []float64, o ValueOptions) (Value, error) {
	var nulls []float64
	vs, err := o.outputs("R²", truth, pred, func(y, p []float64) Value {
		null := spread(y, o.Weights)
		nulls = append(nulls, null)
		if len(y) < 2 {
			return undefined("fewer than two rows")
		}
		loss := squaredLoss(y, p, o.Weights)
		return o.explain(loss, null)
	})
	if err != nil {
		return Value{}, err
	}
	return o.explained(vs, nulls), nil
}

// ExplainedVarianceScore is R2Score without the cost of a constant error: 1 − Var(truth−prediction)/Var(truth). Higher is better.
func ExplainedVarianceScore(truth, pred []float64, o ValueOptions) (Value, error) {
	var nulls []float64
	vs, err := o.outputs("explained variance", truth, pred, func(y, p []float64) Value {
		d := make([]float64, len(y))
		for i := range y {
			d[i] = y[i] - p[i]
		}
		null := spread(y, o.Weights)
		nulls = append(nulls, null)
		return o.explain(spread(d, o.Weights), null)
	})
	if err != nil {
		return Value{}, err
	}
	return o.explained(vs, nulls), nil
}

// D2PinballScore is the share of the pinball loss of the alpha-quantile of the truth that the prediction saves: 1 is perfect, 0 is
// the quantile, worse is negative. Higher is better. NaN for fewer than two rows.
func D2PinballScore(truth, pred []float64, alpha float64, o ValueOptions) (Value, error) {
	if !(alpha >= 0 && alpha <= 1) {
		return Value{}, invalid("alpha is %v; it lies in [0,1]", alpha)
	}
	if o.Average != UniformAverage {
		return Value{}, invalid("a D² score of several outputs is their plain mean")
	}
	o.Unforced = false
	loss := pinball(alpha)
	vs, err := o.outputs("D² pinball score", truth, pred, func(y, p []float64) Value {
		if len(y) < 2 {
			return undefined("fewer than two rows")
		}
		w := o.Weights
		if w == nil {
			w = slices.Repeat([]float64{1}, len(y))
		}
		q := quantile(y, w, alpha)
		var num, den accumulator
		for i := range y {
			num.add(w[i] * loss(y[i], p[i]))
			den.add(w[i] * loss(y[i], q))
		}
		return o.explain(num.value(), den.value())
	})
	if err != nil {
		return Value{}, err
	}
	return o.explained(vs, nil), nil
}

// D2AbsoluteErrorScore is the share of the absolute error of the median that the prediction saves: 1 is perfect, 0 is the median,
// worse is negative. Higher is better. NaN for fewer than two rows.
func D2AbsoluteErrorScore(truth, pred []float64, o ValueOptions) (Value, error) {
	return D2PinballScore(truth, pred, 0.5, o)
}

// D2TweedieScore is the share of the Tweedie deviance of the mean that the prediction saves: 1 is perfect, 0 is the mean, worse is
// negative. Higher is better. NaN for fewer than two rows or a constant truth. One output; the domain is that of MeanTweedieDeviance.
func D2TweedieScore(truth, pred []float64, power float64, o ValueOptions) (Value, error) {
	if err := checkTweedie(truth, pred, power, o); err != nil {
		return Value{}, err
	}
	if _, _, err := o.check("D² Tweedie score", truth, pred); err != nil {
		return Value{}, err
	}
	switch {
	case len(truth) < 2:
		return undefined("fewer than two rows"), nil
	case constant(truth, o.Weights):
		return undefined("the truth is constant"), nil
	}
	loss, m := tweedie(power), mean(truth, o.Weights)
	var num, den accumulator
	for i, y := range truth {
		w := rowWeight(o.Weights)(i)
		num.add(w * loss(y, pred[i]))
		den.add(w * loss(y, m))
	}
	if den.value() == 0 {
		return undefined("the truth is constant"), nil
	}
	return settled(1 - num.value()/den.value()), nil
}

// median is the middle value, or the mean of the two middle ones. It counts the leading 16 bits of the ordered values and sorts only
// those that share them with the middle.
func median(v []float64) float64 {
	const shift = 48
	counts := make([]uint32, 1<<16)
	for _, x := range v {
		counts[sortKey(x)>>shift]++
	}
	low, high := (len(v)-1)/2, len(v)/2
	before, first, last := 0, -1, 0
	for b, at := 0, 0; ; b++ {
		next := at + int(counts[b])
		if first < 0 && next > low {
			first, before = b, at
		}
		if next > high {
			last = b
			break
		}
		at = next
	}
	var keys []uint64
	for _, x := range v {
		if k := sortKey(x); k>>shift >= uint64(first) && k>>shift <= uint64(last) {
			keys = append(keys, k)
		}
	}
	keys = sortKeys(keys)
	a, b := keyScore(keys[low-before]), keyScore(keys[high-before])
	if low == high {
		return a
	}
	return a/2 + b/2
}

// quantile is the averaged inverted distribution function: the value at which the running weight reaches q of the total, or the mean
// with the next value where it reaches it exactly. The running weight is a plain sum, because whether it is reached exactly is part
// of the definition.
func quantile(v, w []float64, q float64) float64 {
	keys := make([]keyed[float64], 0, len(v))
	for i, x := range v {
		if w[i] > 0 {
			keys = append(keys, keyed[float64]{sortKey(x), w[i]})
		}
	}
	keys = sortKeyed(keys)
	running := make([]float64, len(keys))
	var s float64
	for i, k := range keys {
		s += k.val
		running[i] = s
	}
	target := q * s
	if target == 0 {
		target = math.SmallestNonzeroFloat64
	}
	i, _ := slices.BinarySearch(running, target)
	i = min(i, len(keys)-1)
	at := keyScore(keys[i].key)
	if running[i]-target > epsilon || i+1 == len(keys) {
		return at
	}
	return at/2 + keyScore(keys[i+1].key)/2
}
