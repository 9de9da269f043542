package stat

import (
	"math"
	"time"

	"github.com/assay-ml/assay"
)

// A Persistence asks that K of the last M windows exceed their threshold before there is an alarm. The zero value is one of one.
type Persistence struct{ K, M int }

// Check refuses anything but 1 ≤ K ≤ M ≤ 1000.
func (p Persistence) Check() error {
	if p = p.orOne(); p.K < 1 || p.M < p.K || p.M > 1000 {
		return assay.Errorf(assay.Invalid, "persistence of %d in %d windows; 1 ≤ K ≤ M ≤ 1000 is needed", p.K, p.M)
	}
	return nil
}

func (p Persistence) orOne() Persistence {
	if p == (Persistence{}) {
		return Persistence{1, 1}
	}
	return p
}

// Alarms returns for each window, oldest first, whether the alarm is on after it: at least K of it and the M-1 before exceeded. Windows
// without a verdict are left out by the caller, they neither confirm nor clear.
func (p Persistence) Alarms(exceeded []bool) []bool {
	p = p.orOne()
	out := make([]bool, len(exceeded))
	on := 0
	for i, e := range exceeded {
		if e {
			on++
		}
		if i >= p.M && exceeded[i-p.M] {
			on--
		}
		out[i] = on >= p.K
	}
	return out
}

// OnsetRate returns how often an alarm begins per window, when windows are independent and each exceeds with the given probability.
//
// The alarm begins at a window when it was off after the window before and is on after this one. It is on now and was not before only
// if this window exceeded, exactly K-1 of the M-1 windows before it did, and the one that just left, M windows back, did not (had it,
// there would have been K before). So the rate is
//
//	a · C(M-1, K-1) a^(K-1) (1-a)^(M-K) · (1-a)  =  C(M-1, K-1) a^K (1-a)^(M-K+1).
func (p Persistence) OnsetRate(a float64) float64 {
	p = p.orOne()
	n := float64(p.M)
	c, _ := math.Lgamma(n)
	k, _ := math.Lgamma(float64(p.K))
	r, _ := math.Lgamma(float64(p.M - p.K + 1))
	if a <= 0 || a >= 1 {
		return 0
	}
	return math.Exp(c - k - r + float64(p.K)*math.Log(a) + float64(p.M-p.K+1)*math.Log1p(-a))
}

// Level returns the probability of exceeding at which alarms begin at the given rate per window: the inverse of OnsetRate where it
// rises, up to K/(M+1). A larger rate than it ever reaches gives that point.
func (p Persistence) Level(rate float64) float64 {
	p = p.orOne()
	if !(rate > 0) {
		return 0
	}
	lo, hi := 0.0, float64(p.K)/float64(p.M+1)
	if p.OnsetRate(hi) <= rate {
		return hi
	}
	for range 2000 {
		mid := lo + (hi-lo)/2
		if mid <= lo || mid >= hi {
			break
		}
		if p.OnsetRate(mid) <= rate {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// year is the mean Gregorian one.
const year = 31556952 * time.Second

// An AlarmBudget says how many false alarms a year are tolerated of one monitored thing, and how it is watched.
type AlarmBudget struct {
	PerYear     float64       // tolerated false alarms a year, above 0
	Window      time.Duration // length of a window
	Columns     int           // tests a window
	Correction  Correction    // "": each column on its own; Bonferroni, Holm, BH or BY: over the columns of a window
	Persistence Persistence
	Dependence  float64 // correlation of the evidence of one window with that of the next, 0 to 1; used with a correction
}

// Levels are what a budget comes to.
type Levels struct {
	Windows float64 // a year
	Window  float64 // probability that a window without drift exceeds anywhere, at most
	Test    float64 // level of each test; with a correction that of the hardest step: Window/Columns, for BY less its factor
}

// Levels converts the budget. With W windows a year of which an alarm needs K of M:
//
// Without a correction a column's alarm needs K of M exceedances of that column. Alarms begin W·Columns·OnsetRate(a) times a year in
// expectation, whatever the dependence between columns, because expectations add up. Test is the a at which that is PerYear; compare each
// p-value with it.
//
// With a correction, a window exceeds when an adjusted p-value (Adjust) is at most Window, and the alarm of the model needs K of M such
// windows; an alarm that also asks for the same column in each is rarer still. Without drift anywhere, Bonferroni, Holm and BY have a
// rejection with probability at most Window under any dependence between columns, BH under independence or positive dependence. So
// alarms begin at most W·OnsetRate(Window) times a year, and Window is where that is PerYear.
//
// Both assume that windows are independent given the reference; PerYear then bounds the mean over references. With Dependence they need not be: the same column
// exceeds again as often as one of two normal variables of that correlation does after the other, both at the hardest step's level and in both directions. It refuses a budget
// without tests, windows or alarms, and corrections that have no such guarantee.
func (b AlarmBudget) Levels() (Levels, error) {
	var p assay.Problems
	if !(b.PerYear > 0) || math.IsInf(b.PerYear, 0) {
		p.Add("%v false alarms a year", b.PerYear)
	}
	if b.Window <= 0 {
		p.Add("a window of %s", b.Window)
	}
	if b.Columns < 1 {
		p.Add("%d columns", b.Columns)
	}
	switch b.Correction {
	case "", Bonferroni, Holm, BH, BY:
	default:
		p.Add("correction %q", string(b.Correction))
	}
	if !(b.Dependence >= 0 && b.Dependence <= 1) {
		p.Add("a dependence of %v", b.Dependence)
	}
	if err := b.Persistence.Check(); err != nil {
		p.Add("%v", err)
	}
	if err := p.Err(assay.Invalid, "unusable alarm budget"); err != nil {
		return Levels{}, err
	}
	l := Levels{Windows: float64(year) / float64(b.Window)}
	columns := float64(b.Columns)
	rate := b.PerYear / l.Windows
	if b.Correction == "" {
		l.Test = b.Persistence.Level(rate / columns)
		l.Window = math.Min(1, columns*l.Test)
		return l, nil
	}
	l.Window = b.Persistence.Level(rate)
	if k := b.Persistence.orOne(); b.Dependence > 0 && k.K > 1 {
		ways := math.Exp(logFactorial(float64(k.M-1)) - logFactorial(float64(k.K-1)) - logFactorial(float64(k.M-k.K)))
		lo, hi := 0.0, l.Window
		for range 200 {
			mid := lo + (hi-lo)/2
			if again := math.Max(mid, exceedsAgain(mid/columns, b.Dependence)); mid*math.Min(1, ways*math.Pow(again, float64(k.K-1))) <= rate {
				lo = mid
			} else {
				hi = mid
			}
		}
		l.Window = lo
	}
	l.Test = l.Window / columns
	if b.Correction == BY {
		var h float64
		for k := 1.0; k <= columns; k++ {
			h += 1 / k
		}
		l.Test /= h
	}
	return l, nil
}

// exceedsAgain is the chance that a standard normal variable lies beyond the two-sided threshold of a level, given that another one does which has such a
// correlation with it.
func exceedsAgain(level, correlation float64) float64 {
	if !(level > 0) {
		return 0
	}
	if level >= 1 || correlation >= 1 {
		return 1
	}
	z := -NormalQuantile(level / 2)
	rest := math.Sqrt(1 - correlation*correlation)
	// Simpson's rule over the density of the first beyond z, of which nothing to speak of lies beyond z + 8.
	const steps, reach = 400, 8
	var sum, whole float64
	for i := range steps + 1 {
		x := z + reach*float64(i)/steps
		w := math.Exp(-x * x / 2)
		switch {
		case i == 0 || i == steps:
		case i%2 == 1:
			w *= 4
		default:
			w *= 2
		}
		whole += w
		sum += w * (NormalCDF((correlation*x-z)/rest) + NormalCDF((-correlation*x-z)/rest))
	}
	return sum / whole
}
