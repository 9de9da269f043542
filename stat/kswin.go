package stat

import (
	"math"
	"slices"

	"github.com/assay-ml/assay"
)

// KSWINOptions are the settings of a KSWIN; the zero value is river's default.
type KSWINOptions struct {
	Alpha  float64               // p-value at which there is a change; 0 means 0.005
	Window int                   // latest values that are kept; 0 means 100
	Recent int                   // of them, the newest, which are compared with as many older ones; 0 means 30
	Clock  int                   // look for a change after every so many values; 0 means 1
	Seed   uint64                // of the draws of older values
	Draw   func(of, k int) []int // places of k of the older values, each once; nil: drawn at random
}

// kswinLeast is the distance that a change has at least, whatever its p-value, as in river.
const kswinLeast = 0.1

// A KSWIN keeps the latest values of a stream and reports when the newest of them are distributed in another way than as many that are drawn from
// the older ones, by the exact two-sample Kolmogorov–Smirnov test (Raab, Heusinger and Schleif, 2020). Unlike the detectors of a mean it
// also sees a change of the spread or the form. With the same draws it changes where river 0.26 does, which starts from nothing after a
// change. It is not safe for concurrent use.
type KSWIN struct {
	o             KSWINOptions
	tail          []float64 // P(D ≥ h / Recent), by h
	values        []float64 // a ring
	next, n       int       // place of the next value; values since the start
	places        []int
	draws         Rand
	older, recent []float64
	cells         []int32 // of sequences of small whole numbers: how many older values are each less how many recent; nil: values are sorted
	p             float64
	fired         bool
}

// NewKSWIN returns a detector. It refuses an alpha outside (0, 1), negative settings and a window shorter than twice its newest part.
func NewKSWIN(o KSWINOptions) (*KSWIN, error) {
	for _, d := range []struct {
		v  *int
		is int
	}{{&o.Window, 100}, {&o.Recent, 30}, {&o.Clock, 1}} {
		if *d.v == 0 {
			*d.v = d.is
		}
	}
	if o.Alpha == 0 {
		o.Alpha = 0.005
	}
	if !(o.Alpha > 0 && o.Alpha < 1) || o.Recent < 1 || o.Clock < 1 || o.Window < 2*o.Recent {
		return nil, assay.Errorf(assay.Invalid, "unusable KSWIN settings: alpha %v, window %d, recent %d, clock %d", o.Alpha, o.Window, o.Recent, o.Clock)
	}
	k := &KSWIN{o: o, tail: equalSmirnovSF(o.Recent), values: make([]float64, o.Window), places: make([]int, o.Window-o.Recent), draws: NewRand(o.Seed), p: math.NaN()}
	for i := range k.places {
		k.places[i] = i
	}
	return k, nil
}

// Add takes the next value and reports whether the distribution has changed. Values that are not finite are ignored.
func (k *KSWIN) Add(v float64) bool {
	if v-v != 0 {
		return false
	}
	if k.fired {
		k.next, k.n, k.fired, k.p = 0, 0, false, math.NaN()
	}
	if h := k.distance(v); h >= 0 {
		k.p = k.tail[h]
		k.fired = k.p <= k.o.Alpha && k.counts(h)
	}
	return k.fired
}

// P is the p-value of the last test since the start or the last change; NaN before the first.
func (k *KSWIN) P() float64 { return k.p }

// counts reports whether a distance is large enough to be a change.
func (k *KSWIN) counts(h int) bool { return float64(h)/float64(k.o.Recent) > kswinLeast }

// distance takes the next value and returns the distance of the newest values from older ones times their number; -1 where nothing is compared.
func (k *KSWIN) distance(v float64) int {
	k.values[k.next] = v
	k.next = (k.next + 1) % len(k.values)
	if k.n++; k.n < len(k.values) || (k.n-len(k.values))%k.o.Clock != 0 {
		return -1
	}
	r, of := k.o.Recent, len(k.places)
	at := func(i int) float64 { return k.values[(k.next+i)%len(k.values)] }
	drawn := k.places[:r]
	if k.o.Draw != nil {
		drawn = k.o.Draw(of, r)
	} else {
		for i := range r { // the beginning of a shuffle, whatever order it starts from
			j := i + k.draws.Intn(of-i)
			k.places[i], k.places[j] = k.places[j], k.places[i]
		}
	}
	if k.cells != nil {
		for i := range r {
			k.cells[int(at(drawn[i]))]++
			k.cells[int(at(of+i))]--
		}
		h, sum := int32(0), int32(0)
		for i, d := range k.cells {
			sum += d
			h = max(h, sum, -sum)
			k.cells[i] = 0
		}
		return int(h)
	}
	k.older, k.recent = k.older[:0], k.recent[:0]
	for i := range r {
		k.older, k.recent = append(k.older, at(drawn[i])), append(k.recent, at(of+i))
	}
	slices.Sort(k.older)
	slices.Sort(k.recent)
	h := 0
	for i, j := 0, 0; i < r && j < r; {
		v := math.Min(k.older[i], k.recent[j])
		for i < r && k.older[i] == v {
			i++
		}
		for j < r && k.recent[j] == v {
			j++
		}
		h = max(h, i-j, j-i)
	}
	return h
}

// KSWINChange returns the strongest evidence that a KSWIN meets in a sequence before it reports anything: -ln of the smallest p-value. So a KSWIN of a
// given alpha reports a change in the sequence if and only if the evidence is at least -ln(alpha). Alpha of the options has no effect.
// O(n · Recent · ln(Recent) / Clock); several times quicker where the values are whole numbers from 0 below 4,096, such as ranks.
func KSWINChange(values []float64, o KSWINOptions) (Change, error) {
	o.Alpha = 0
	k, err := NewKSWIN(o)
	c := Change{Evidence: math.Inf(-1)}
	if err != nil {
		return c, err
	}
	k.cells = cellsOf(values)
	seen := 0
	for _, v := range values {
		if v-v != 0 {
			continue
		}
		seen++
		h := k.distance(v)
		if h < 0 {
			continue
		}
		e := 0.0 // no change, and evidence that there could have been one
		if k.counts(h) {
			e = -math.Log(k.tail[h])
		}
		if e > c.Evidence {
			c = Change{e, seen - k.o.Recent}
		}
	}
	return c, nil
}

// kswinCells is how many cells are counted in, at most: of more, sorting is as quick.
const kswinCells = 4096

// cellsOf makes room to count values that are small whole numbers; nil where they are not.
func cellsOf(values []float64) []int32 {
	most := 0.0
	for _, v := range values {
		if v-v == 0 && (v < 0 || v >= kswinCells || v != math.Trunc(v)) {
			return nil
		}
		if v > most && v-v == 0 {
			most = v
		}
	}
	return make([]int32, int(most)+1)
}

// equalSmirnovSF is P(D ≥ h/n), for h from 0 to n, of the two-sided Kolmogorov–Smirnov statistic of two samples of n values without ties
// (Gnedenko and Korolyuk, 1951).
func equalSmirnovSF(n int) []float64 {
	ratio := make([]float64, n+1) // of the binomial coefficients 2n over n-j and 2n over n
	ratio[0] = 1
	for j := 1; j <= n; j++ {
		ratio[j] = ratio[j-1] * float64(n-j+1) / float64(n+j)
	}
	out := make([]float64, n+1)
	out[0] = 1
	for h := 1; h <= n; h++ {
		sign := 2.0
		for j := h; j <= n; j += h {
			out[h] += sign * ratio[j]
			sign = -sign
		}
		out[h] = math.Min(1, out[h])
	}
	return out
}
