package dataset

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// Bins tell a relation only where they hold several rows each, and areas under the ROC curve only one that rises or falls. What is here finds
// the others in a table of any size: numbers whose order keeps the classes apart, numbers near which the target is always the same, and
// texts that hold the target among other characters. It counts where it reaches the limit and is left out below it.

const (
	// pairClasses is up to how many classes every two are held against each other; rareClass, from how many rows a class counts there.
	pairClasses = 64
	rareClass   = 5
	// spelledLevels is from how many different texts on the numbers and letters in them are looked at.
	spelledLevels = 20
	// spelledShare is the share of the texts that must hold a number for the numbers to be looked at.
	spelledShare = 0.95
	// sievedRows is from how many rows on a profile looks closely only at columns whose bins tell at least sievedPower of the target.
	sievedRows  = 300
	sievedPower = 0.9
)

// closer returns how well a column tells the target where bins and areas do not show it; NaN for no better. pairs says that the unit is the
// least area under the ROC curve of two classes.
func (s *signals) closer(c *assay.Column) (power float64, pairs bool) {
	limit, _, _ := s.limit()
	if c.Codes != nil {
		for _, x := range spelled(c) {
			if p, _ := s.power(&x); p >= limit {
				return p, false
			}
		}
		return math.NaN(), false
	}
	if s.count == 0 { // varianceExplained looks at neighbours itself
		return math.NaN(), false
	}
	order := s.order(c)
	if s.count > 2 {
		if p := s.leastArea(c, order); p >= TargetAUC {
			return p, true
		}
	}
	if p := s.neighbours(order); p >= limit {
		return p, false
	}
	return math.NaN(), false
}

// order is the rows that have a value, by the value.
func (s *signals) order(c *assay.Column) []int32 {
	out := make([]int32, 0, len(s.rows))
	for i, r := range s.rows {
		if !math.IsNaN(c.Floats[r]) {
			out = append(out, int32(i))
		}
	}
	slices.SortStableFunc(out, func(a, b int32) int {
		x, y := c.Floats[s.rows[a]], c.Floats[s.rows[b]]
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	return out
}

// neighbours is how well the classes of the two rows next to a row by a column's value tell its own: the area under the ROC curve for two
// classes, the share of the Brier score that is removed for more. NaN below 30 rows, and where half of the rows have no value.
func (s *signals) neighbours(order []int32) float64 {
	n := len(order)
	if n < 30 || 2*n < len(s.rows) {
		return math.NaN()
	}
	if s.count == 2 {
		y, score := make([]int32, 0, n-2), make([]float64, 0, n-2)
		for k := 1; k+1 < n; k++ {
			y = append(y, s.class[order[k]])
			score = append(score, float64(s.class[order[k-1]]+s.class[order[k+1]]))
		}
		return areaUnder(y, score)
	}
	prior, loss := make([]float64, s.count), 0.0
	for k, i := range order {
		prior[s.class[i]] += 1 / float64(n)
		if k == 0 || k+1 == n {
			continue
		}
		a, b := s.class[order[k-1]], s.class[order[k+1]]
		switch y := s.class[i]; {
		case a == y && b == y:
		case a == y || b == y:
			loss += 0.5
		case a == b:
			loss += 2
		default:
			loss += 1.5
		}
	}
	without := 1.0
	for _, p := range prior {
		without -= p * p
	}
	return 1 - loss/float64(n-2)/without
}

// leastArea is the least area under the ROC curve of a column's numbers over every two classes, each in the direction that is greater (Hand
// and Till, Machine Learning 45, 2001, take the mean). Classes of fewer than rareClass rows are left out. NaN where two are not left, and
// where half of the rows have no value.
func (s *signals) leastArea(c *assay.Column, order []int32) float64 {
	if s.count > pairClasses || 2*len(order) < len(s.rows) {
		return math.NaN()
	}
	below, all := make([]float64, s.count), make([]float64, s.count)
	for _, i := range order {
		all[s.class[i]]++
	}
	wins := make([]float64, s.count*s.count) // pairs of rows of classes a and b in which that of b is greater, ties half
	here := make([]float64, s.count)
	for k := 0; k < len(order); {
		x := c.Floats[s.rows[order[k]]]
		clear(here)
		for ; k < len(order) && c.Floats[s.rows[order[k]]] == x; k++ {
			here[s.class[order[k]]]++
		}
		for b, n := range here {
			if n == 0 {
				continue
			}
			for a := range below {
				wins[a*s.count+b] += n * (below[a] + here[a]/2)
			}
		}
		for a, n := range here {
			below[a] += n
		}
	}
	least := math.NaN()
	for a := range s.count {
		for b := range a {
			if all[a] < rareClass || all[b] < rareClass {
				continue
			}
			area := wins[a*s.count+b] / all[a] / all[b]
			if area = math.Max(area, 1-area); !(area >= least) {
				least = area
			}
		}
	}
	return least
}

// spelled are what the texts of a column hold: the first number of each, where nearly all have one, with its sign and, as a hyphen need be
// none, without; and what is left of the texts without digits.
func spelled(c *assay.Column) []assay.Column {
	if len(c.Levels) < spelledLevels {
		return nil
	}
	number, letters := make([]float64, len(c.Levels)), make([]int32, len(c.Levels))
	kinds, found := map[string]int32{}, 0
	for i, l := range c.Levels {
		number[i] = firstNumber(l)
		if !math.IsNaN(number[i]) {
			found++
		}
		plain := strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return -1
			}
			return r
		}, l)
		if _, ok := kinds[plain]; !ok {
			kinds[plain] = int32(len(kinds))
		}
		letters[i] = kinds[plain]
	}
	var out []assay.Column
	if float64(found) >= spelledShare*float64(len(c.Levels)) {
		x := assay.Column{Name: c.Name, Type: assay.TypeNumber, Floats: make([]float64, len(c.Codes))}
		size, signed := assay.Column{Name: c.Name, Type: assay.TypeNumber, Floats: make([]float64, len(c.Codes))}, false
		for i, code := range c.Codes {
			x.Floats[i] = math.NaN()
			if code >= 0 {
				x.Floats[i] = number[code]
			}
			size.Floats[i] = math.Abs(x.Floats[i])
			signed = signed || x.Floats[i] < 0
		}
		if out = append(out, x); signed {
			out = append(out, size)
		}
	}
	if len(kinds) > 1 && 2*len(kinds) < len(c.Levels) {
		x := assay.Column{Name: c.Name, Type: c.Type, Codes: make([]int32, len(c.Codes))}
		for i, code := range c.Codes {
			x.Codes[i] = -1
			if code >= 0 {
				x.Codes[i] = letters[code]
			}
		}
		out = append(out, x)
	}
	return out
}

// firstNumber is the first number in a text, negative after a hyphen; NaN without one.
func firstNumber(s string) float64 {
	digit := func(i int) bool { return i < len(s) && s[i] >= '0' && s[i] <= '9' }
	at := 0
	for at < len(s) && !digit(at) {
		at++
	}
	if at == len(s) {
		return math.NaN()
	}
	from, to := at, at
	if at > 0 && s[at-1] == '-' {
		from = at - 1
	}
	for digit(to) {
		to++
	}
	if to < len(s) && s[to] == '.' && digit(to+1) {
		for to++; digit(to); to++ {
		}
	}
	v, err := strconv.ParseFloat(s[from:to], 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

// giveaway looks closely at a column that does not seem to give the target away, and says by which measure it does.
func (p *profiler) giveaway(e *table.Examined, r *Relation) {
	if e.Codes.Len() == 0 || r.givesAway() || slices.Contains(p.options.Key, e.Name) {
		return
	}
	if at := e.Type == assay.TypeDate || e.Type == assay.TypeTimestamp; at && !p.report.Target.Task.Classifies() {
		return // a number that moves slowly is near its neighbours in time
	}
	if p.close == nil {
		p.close = p.closely()
	}
	s := p.close
	if len(s.rows) == 0 || s.chanced() {
		return
	}
	c := assay.Column{Name: e.Name, Type: e.Type}
	if e.Numbers != nil {
		c.Floats = make([]float64, e.Codes.Len())
		for i := range c.Floats {
			c.Floats[i] = math.NaN()
			if code := e.Codes.At(i); code > 0 {
				c.Floats[i] = float64(code) // in the order of the values, which is all that is looked at
			}
		}
	} else {
		c.Levels, c.Codes = e.Texts, make([]int32, e.Codes.Len())
		for i := range c.Codes {
			c.Codes[i] = int32(e.Codes.At(i)) - 1
		}
	}
	if len(s.rows) >= sievedRows && c.Floats != nil && s.binned(e) < sievedPower {
		return
	}
	power, pairs := s.power(&c)
	limit, _, _ := s.limit()
	if pairs {
		limit = TargetAUC
	}
	if !(power >= limit) {
		return
	}
	switch {
	case s.count == 2:
		r.AUC = assay.Number(power)
		r.Strength, r.Measure = 2*r.AUC-1, "auc"
	case pairs:
		r.Strength, r.Measure = assay.Number(power), MeasurePairs
	case s.count > 2:
		r.Strength, r.Measure = assay.Number(power), MeasureBrier
	default:
		r.Strength, r.Measure = assay.Number(power), MeasureVariance
	}
}

// Measures of a relation that gives the target away.
const (
	MeasurePairs    = "auc_of_every_two_classes"
	MeasureBrier    = "brier_score_removed"
	MeasureVariance = "variance_explained"
)

// givesAway reports whether the column alone tells the target.
func (r *Relation) givesAway() bool {
	switch r.Measure {
	case "auc":
		return float64(r.AUC) >= GiveawayLimit
	case MeasureBrier:
		return float64(r.Strength) >= TargetBrier
	}
	return float64(r.Strength) >= GiveawayLimit
}

// closely are the rows that have a target.
func (p *profiler) closely() *signals {
	t := p.columns[p.target]
	s := &signals{tried: len(p.columns)}
	if p.report.Target.Task.Classifies() {
		s.count = len(t.Counts)
		for i := range t.Codes.Len() {
			if code := t.Codes.At(i); code > 0 {
				s.rows, s.class = append(s.rows, i), append(s.class, int32(code)-1)
			}
		}
		return s
	}
	for i, y := range p.y {
		if !math.IsNaN(y) && !math.IsInf(y, 0) {
			s.rows, s.value = append(s.rows, i), append(s.value, y)
		}
	}
	return s
}

// binned is about what share of the target's variance, or of the Brier score of its classes, the bins of a column of numbers remove.
func (s *signals) binned(e *table.Examined) float64 {
	most := 0
	for i := range e.Codes.Len() {
		most = max(most, int(e.Codes.At(i)))
	}
	size := make([]int, most+1)
	for _, r := range s.rows {
		size[e.Codes.At(r)]++
	}
	to, bin, held := make([]int32, most+1), int32(0), 0
	for code := 1; code <= most; code++ {
		if held >= max(len(s.rows)/maxBins, 10) {
			bin, held = bin+1, 0
		}
		to[code], held = bin, held+size[code]
	}
	to[0] = -1
	out := make([]int32, len(s.rows))
	for i, r := range s.rows {
		out[i] = to[e.Codes.At(r)]
	}
	if s.count == 0 {
		return s.varianceExplained(&assay.Column{Codes: []int32{}}, out)
	}
	cell, all, in := make([]float64, int(bin+2)*s.count), make([]float64, s.count), make([]float64, bin+2)
	for i, b := range out {
		cell[int(b+1)*s.count+int(s.class[i])]++
		in[b+1]++
		all[s.class[i]]++
	}
	n, with, without := float64(len(out)), 0.0, 0.0
	for k, v := range cell {
		if v > 0 {
			with += v * v / in[k/s.count]
		}
	}
	for _, v := range all {
		without += v * v / n
	}
	return (with - without) / (n - without)
}
