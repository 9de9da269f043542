package stat

import (
	"math"

	"github.com/assay-ml/assay"
)

// ADWINOptions are the settings of an ADWIN; the zero value is river's default.
type ADWINOptions struct {
	Delta      float64 // confidence of each cut; 0 means 0.002. Smaller alarms less
	Clock      int     // look for a cut after every so many values; 0 means 32
	MaxBuckets int     // buckets of one size before two are merged; 0 means 5
	MinWindow  int     // shortest side of a cut; 0 means 5
	Grace      int     // no cut before so many values; 0 means 10
	Keep       bool    // go on with what the cut left, as in the paper; river starts from nothing after a change
}

// An ADWIN keeps a window of the latest values of a stream that is as long as its mean has not changed, and reports when it cuts off an
// older part whose mean differs (Bifet and Gavaldà, 2007, with the variance bound of section 3.2). Values are summarised in buckets of
// sizes 1, 2, 4 …, so it takes O(log n) memory. Without Keep it changes where river 0.26 does. It is not safe for concurrent use.
type ADWIN struct {
	o               ADWINOptions
	rows            [][]bucket // by size, smallest first; within a size the oldest first
	width           float64
	total, variance float64
	ticks           int
	detections      int
	fired           bool
}

// A bucket holds the total and the sum of squared deviations of 2^row values.
type bucket struct{ total, variance float64 }

// NewADWIN returns a detector. It refuses a delta outside (0, 1) and negative settings.
func NewADWIN(o ADWINOptions) (*ADWIN, error) {
	for _, d := range []struct {
		v  *int
		is int
	}{{&o.Clock, 32}, {&o.MaxBuckets, 5}, {&o.MinWindow, 5}, {&o.Grace, 10}} {
		if *d.v == 0 {
			*d.v = d.is
		}
	}
	if o.Delta == 0 {
		o.Delta = 0.002
	}
	if !(o.Delta > 0 && o.Delta < 1) || min(o.Clock, o.MaxBuckets, o.MinWindow, o.Grace) < 1 {
		return nil, assay.Errorf(assay.Invalid, "unusable ADWIN settings: delta %v, clock %d, max buckets %d, min window %d, grace %d", o.Delta, o.Clock, o.MaxBuckets, o.MinWindow, o.Grace)
	}
	return &ADWIN{o: o, rows: [][]bucket{nil}}, nil
}

// Add takes the next value and reports whether the mean has changed; the window then holds what is left after the change, until the
// next value. Values that are not finite are ignored.
func (a *ADWIN) Add(v float64) bool {
	if v-v != 0 {
		return false
	}
	if a.fired && !a.o.Keep {
		*a = ADWIN{o: a.o, rows: [][]bucket{nil}, detections: a.detections}
	}
	a.fired = false
	a.insert(v)
	if a.ticks%a.o.Clock != 0 || a.width <= float64(a.o.Grace) {
		return false
	}
	for a.cut() {
		a.fired = true
	}
	if a.fired {
		a.detections++
	}
	return a.fired
}

// insert puts a value into the window.
func (a *ADWIN) insert(v float64) {
	a.width++
	if a.width > 1 {
		d := v - a.total/(a.width-1)
		a.variance += (a.width - 1) * d * d / a.width
	}
	a.total += v
	a.rows[0] = append(a.rows[0], bucket{total: v})
	a.merge()
	a.ticks++
}

// merge joins the two oldest buckets of a size that has too many into one of the next.
func (a *ADWIN) merge() {
	for i := 0; i < len(a.rows) && len(a.rows[i]) > a.o.MaxBuckets; i++ {
		if i+1 == len(a.rows) {
			a.rows = append(a.rows, nil)
		}
		x, y := a.rows[i][0], a.rows[i][1]
		n := math.Ldexp(1, i)
		d := x.total/n - y.total/n
		a.rows[i+1] = append(a.rows[i+1], bucket{x.total + y.total, x.variance + y.variance + n*n*d*d/(n+n)})
		a.rows[i] = a.rows[i][:copy(a.rows[i], a.rows[i][2:])]
	}
}

// cut looks for a point that splits the window into two of different means, oldest first, and drops the oldest bucket if there is one.
func (a *ADWIN) cut() bool {
	var n0, u0 float64
	n1, u1 := a.width, a.total
	least := float64(a.o.MinWindow)
	confidence := math.Log(2 * math.Log(a.width) / a.o.Delta)
	for i := len(a.rows) - 1; i >= 0; i-- {
		n := math.Ldexp(1, i)
		for _, b := range a.rows[i] {
			n0, n1 = n0+n, n1-n
			u0, u1 = u0+b.total, u1-b.total
			if n0 < least || n1 < least {
				continue
			}
			m := 1/(n0-least+1) + 1/(n1-least+1)
			bound := math.Sqrt(2*m*(a.variance/a.width)*confidence) + 2.0/3*confidence*m
			if math.Abs(u0/n0-u1/n1) > bound {
				a.drop()
				return true
			}
		}
	}
	return false
}

// drop forgets the oldest bucket.
func (a *ADWIN) drop() {
	last := len(a.rows) - 1
	n, b := math.Ldexp(1, last), a.rows[last][0]
	a.width -= n
	a.total -= b.total
	d := b.total/n - a.total/a.width
	a.variance -= b.variance + n*a.width*d*d/(n+a.width)
	a.rows[last] = a.rows[last][:copy(a.rows[last], a.rows[last][1:])]
	for last > 0 && len(a.rows[last]) == 0 {
		a.rows = a.rows[:last]
		last--
	}
}

// Width is the number of values in the window, Mean their mean (0 without one) and Variance their variance.
func (a *ADWIN) Width() int64 { return int64(a.width) }

// Mean is the mean of the window, 0 before the first value.
func (a *ADWIN) Mean() float64 {
	if a.width == 0 {
		return 0
	}
	return a.total / a.width
}

// Variance is the variance of the window, with the number of values as divisor; 0 before the first.
func (a *ADWIN) Variance() float64 {
	if a.width == 0 {
		return 0
	}
	return a.variance / a.width
}

// Detections is how often Add has reported a change.
func (a *ADWIN) Detections() int { return a.detections }

// PageHinkleyOptions are the settings of a PageHinkley; the zero value is river's default.
type PageHinkleyOptions struct {
	Min         int         // values before a change is looked for; 0 means 30
	Delta       float64     // change of the mean that is tolerated; 0 means 0.005, a negative value none
	Threshold   float64     // cumulative deviation at which there is a change; 0 means 50
	Alpha       float64     // how much of the past deviations is kept at each value; 0 means 0.9999
	Alternative Alternative // Greater looks for increases, Less for decreases; "" and TwoSided for both
}

// A PageHinkley reports a change of the mean of a stream by the cumulative deviations from the running mean (Page, 1954; Hinkley, 1971),
// with forgetting and with the behaviour of river 0.26: after a report it starts anew with the next value. Thresholds are in the unit of
// the values. It is not safe for concurrent use.
type PageHinkley struct {
	o           PageHinkleyOptions
	n, mean     float64
	up, down    float64
	least, most float64
	fired       bool
}

// NewPageHinkley returns a detector. It refuses settings that are not finite, a threshold that is not positive, an alpha outside (0, 1]
// and an unknown alternative.
func NewPageHinkley(o PageHinkleyOptions) (*PageHinkley, error) {
	if o.Min == 0 {
		o.Min = 30
	}
	if o.Delta == 0 {
		o.Delta = 0.005
	}
	o.Delta = math.Max(o.Delta, 0)
	if o.Threshold == 0 {
		o.Threshold = 50
	}
	if o.Alpha == 0 {
		o.Alpha = 1 - 0.0001
	}
	if o.Min < 1 || !(o.Threshold > 0) || math.IsInf(o.Threshold, 0) || !(o.Alpha > 0 && o.Alpha <= 1) || math.IsNaN(o.Delta) || math.IsInf(o.Delta, 0) {
		return nil, assay.Errorf(assay.Invalid, "unusable Page-Hinkley settings: min %d, delta %v, threshold %v, alpha %v", o.Min, o.Delta, o.Threshold, o.Alpha)
	}
	switch o.Alternative {
	case "", TwoSided, Greater, Less:
	default:
		return nil, assay.Errorf(assay.Invalid, "unusable Page-Hinkley settings: alternative %q", string(o.Alternative))
	}
	return &PageHinkley{o: o, fired: true}, nil
}

// Add takes the next value and reports whether the mean has changed. Values that are not finite are ignored.
func (p *PageHinkley) Add(v float64) bool {
	if v-v != 0 {
		return false
	}
	if p.fired {
		*p = PageHinkley{o: p.o, least: math.Inf(1), most: -1} // river's starting point
	}
	p.n++
	p.mean += 1 / p.n * (v - p.mean)
	d := v - p.mean
	p.up = p.o.Alpha*p.up + d - p.o.Delta
	p.down = p.o.Alpha*p.down + d + p.o.Delta
	p.least, p.most = math.Min(p.least, p.up), math.Max(p.most, p.down)
	if p.n < float64(p.o.Min) {
		return false
	}
	rise, fall := p.up-p.least > p.o.Threshold, p.most-p.down > p.o.Threshold
	p.fired = rise && p.o.Alternative != Less || fall && p.o.Alternative != Greater
	return p.fired
}

// Mean is the mean since the start or the last change.
func (p *PageHinkley) Mean() float64 { return p.mean }
