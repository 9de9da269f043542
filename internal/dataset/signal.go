package dataset

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
)

// From these on a single column gives the target away: the area under the ROC curve for two classes, the share of the Brier score
// that it removes for more, the share of the variance that it explains of a number.
const (
	TargetAUC   = 0.995
	TargetBrier = 0.98
	TargetR2    = 0.995
)

// targetChance is how likely one of the columns may be to reach its limit by chance for the finding to count.
const targetChance = 0.001

// maxBins is into how many values of equal frequency a column of numbers is cut.
const maxBins = 256

// signal is how well one column alone tells the target.
type signal struct {
	name  string
	power float64 // in the unit of the limits above; NaN: cannot be told
	pairs bool    // the unit is the least area under the ROC curve of two classes
}

// signals measures columns against the target on the rows outside the test set.
type signals struct {
	label  string // which label the target is; empty: there is one target
	rows   []int  // the rows that are looked at
	class  []int32
	count  int       // classes; 0: the target is a number
	value  []float64 // the target, where it is a number
	result []signal
	tried  int // columns that were looked at
}

func newSignals(c splitColumns, parts []uint8) []*signals {
	var each []*signals
	for _, l := range c.each {
		each = append(each, newSignals(l, parts)...)
	}
	if c.strata == nil && c.values == nil {
		return each
	}
	s := &signals{label: c.name, count: len(c.labels)}
	for i, p := range parts {
		if p > inValidation {
			continue
		}
		s.rows = append(s.rows, i)
		if c.strata != nil {
			s.class = append(s.class, int32(c.strata[i]))
		} else {
			s.value = append(s.value, c.values[i])
		}
	}
	return append(each, s)
}

func (s *signals) add(c *assay.Column) {
	power, pairs := s.power(c)
	s.result, s.tried = append(s.result, signal{c.Name, power, pairs}), s.tried+1
}

// power is how well a column tells the target, and whether in the unit of leastArea.
func (s *signals) power(c *assay.Column) (power float64, pairs bool) {
	bin := bins(c, s.rows)
	switch {
	case s.count == 2:
		power = s.binaryPower(c, bin)
	case s.count > 2:
		power = s.brierPower(bin)
	default:
		power = s.varianceExplained(c, bin)
	}
	if limit, _, _ := s.limit(); !(power >= limit) {
		if closer, of := s.closer(c); closer > 0 {
			return closer, of
		}
	}
	return power, false
}

func (s *signals) limit() (limit, chance float64, what string) {
	switch {
	case s.label != "":
		return TargetAUC, 0.5, "orders the label " + s.label + " with AUC"
	case s.count == 2:
		return TargetAUC, 0.5, "orders the target with AUC"
	case s.count > 2:
		return TargetBrier, 0, "removes this share of the Brier score:"
	}
	return TargetR2, 0, "explains this share of the target's variance:"
}

// chanced reports whether so few rows are looked at that one of the columns may reach its limit by chance: for two classes by the number
// of ways to order the rows, and below 30 rows otherwise.
func (s *signals) chanced() bool {
	if s.count != 2 {
		return len(s.rows) < 30
	}
	ones := 0.0
	for _, c := range s.class {
		ones += float64(c)
	}
	n := float64(len(s.rows))
	lg := func(x float64) float64 { v, _ := math.Lgamma(x + 1); return v }
	return math.Log(2*float64(s.tried))-lg(n)+lg(ones)+lg(n-ones) > math.Log(targetChance)
}

// targetFindings tells the columns that give the target away, or the strongest where none does.
func targetFindings(sc scanned) []assay.Leakage {
	var out []assay.Leakage
	for _, s := range sc.signals {
		if len(s.rows) > 0 {
			out = append(out, s.findings()...)
		}
	}
	return out
}

func (s *signals) findings() []assay.Leakage {
	limit, chance, what := s.limit()
	var found []assay.Leakage
	best := signal{power: math.NaN()}
	for _, r := range s.result {
		if math.IsNaN(r.power) {
			continue
		}
		if math.IsNaN(best.power) || r.power > best.power {
			best = r
		}
		limit, chance, what := limit, chance, what
		if r.pairs {
			limit, chance, what = TargetAUC, 0.5, "orders every two classes of the target with AUC"
		}
		if r.power < limit {
			continue
		}
		l := assay.Leakage{
			Check: "target", Columns: []string{r.name}, Observed: assay.Number(r.power), Expected: assay.Number(chance), Verdict: assay.Fail,
			Message: fmt.Sprintf("%s alone %s %.4f; it is the label, or known only after it: exclude it", r.name, what, r.power),
		}
		if s.chanced() {
			l.Verdict = assay.Undetermined
			l.Message = fmt.Sprintf("%s alone %s %.4f, which may be chance among %s rows", r.name, what, r.power, grouped(int64(len(s.rows))))
		}
		found = append(found, l)
	}
	if len(found) > 0 {
		return found
	}
	l := assay.Leakage{Check: "target", Observed: assay.Number(best.power), Expected: assay.Number(chance), Verdict: assay.Pass, Message: "no single column tells the target"}
	if best.name != "" {
		l.Columns = []string{best.name}
		l.Message = fmt.Sprintf("no single column gives the target away; the strongest, %s, %s %.3f", best.name, what, best.power)
	}
	return []assay.Leakage{l}
}

// bins returns for each row the value of a column as a small number: the level of a text, a number where there are few, or the bin of a
// number among at most maxBins of equal frequency. Missing is a bin of its own, -1.
func bins(c *assay.Column, rows []int) []int32 {
	out := make([]int32, len(rows))
	if c.Codes != nil {
		for i, r := range rows {
			out[i] = c.Codes[r]
		}
		return out
	}
	keys := make([]uint64, 0, len(rows))
	for _, r := range rows {
		if v := c.Floats[r]; !math.IsNaN(v) {
			keys = append(keys, orderedBits(v))
		}
	}
	keys = sortUints(keys, make([]uint64, len(keys)))
	distinct := 0
	for i, k := range keys {
		if i == 0 || k != keys[i-1] {
			distinct++
		}
	}
	least := 1 // rows of a bin
	if distinct > maxBins {
		least = max(len(keys)/maxBins, 10)
	}
	var first []uint64 // the least value of each bin but the first
	size := 0
	for i, k := range keys {
		if i > 0 && k != keys[i-1] && size >= least {
			first, size = append(first, k), 0
		}
		size++
	}
	for i, r := range rows {
		out[i] = -1
		if v := c.Floats[r]; !math.IsNaN(v) {
			key := orderedBits(v)
			lo, hi := 0, len(first)
			for lo < hi {
				if mid := (lo + hi) / 2; first[mid] <= key {
					lo = mid + 1
				} else {
					hi = mid
				}
			}
			out[i] = int32(lo)
		}
	}
	return out
}

// binaryPower is the area under the ROC curve of a column's numbers in either direction, or of the class shares of its bins, whichever is
// greater. A share is taken without the row itself, so that a column that differs in every row has no power.
func (s *signals) binaryPower(c *assay.Column, bin []int32) float64 {
	top := slices.Max(bin) + 2
	pos, all := make([]float64, top), make([]float64, top)
	total := 0.0
	for i, b := range bin {
		all[b+1]++
		pos[b+1] += float64(s.class[i])
		total += float64(s.class[i])
	}
	prior := total / float64(len(bin))
	scores := make([]float64, len(bin))
	for i, b := range bin {
		scores[i] = (pos[b+1] - float64(s.class[i]) + prior) / all[b+1]
	}
	power := areaUnder(s.class, scores)
	if c.Codes != nil {
		return power
	}
	y, x := make([]int32, 0, len(s.rows)), scores[:0]
	for i, r := range s.rows {
		if v := c.Floats[r]; !math.IsNaN(v) {
			y, x = append(y, s.class[i]), append(x, v)
		}
	}
	if 2*len(x) < len(s.rows) {
		return power
	}
	if auc := areaUnder(y, x); !math.IsNaN(auc) {
		power = max(power, auc, 1-auc)
	}
	return power
}

// brierPower is the share of the Brier score of the class shares that the class shares of the bins remove, each taken without the row.
func (s *signals) brierPower(bin []int32) float64 {
	prior := make([]float64, s.count)
	size := make([]float64, slices.Max(bin)+2)
	cell := map[uint64]float64{}
	for i, b := range bin {
		prior[s.class[i]]++
		size[b+1]++
		cell[uint64(b+1)<<32|uint64(s.class[i])]++
	}
	n := float64(len(bin))
	squares := 0.0
	for k := range prior {
		prior[k] /= n
		squares += prior[k] * prior[k]
	}
	if squares == 1 {
		return math.NaN()
	}
	sumSquares := make([]float64, len(size))
	for k, v := range cell {
		sumSquares[k>>32] += v * v
	}
	score := 0.0
	for _, k := range slices.Sorted(maps.Keys(cell)) {
		b, class, v := k>>32, k&math.MaxUint32, cell[k]
		m := size[b]
		if m == 1 {
			score += 1 - 2*prior[class] + squares
			continue
		}
		score += v * (1 - 2*(v-1)/(m-1) + (sumSquares[b]-2*v+1)/((m-1)*(m-1)))
	}
	return 1 - score/n/(1-squares)
}

// varianceExplained is the share of the target's variance that the means of the bins explain, each taken without the row, that the rows next
// by the column's value explain, or that a line explains, whichever is greatest.
func (s *signals) varianceExplained(c *assay.Column, bin []int32) float64 {
	top := slices.Max(bin) + 2
	sums, size := make([]float64, top), make([]float64, top)
	mean := 0.0
	for _, y := range s.value {
		mean += y / float64(len(s.value))
	}
	for i, b := range bin {
		sums[b+1] += s.value[i] - mean
		size[b+1]++
	}
	var left, all float64
	for i, b := range bin {
		y := s.value[i] - mean
		guess := 0.0
		if size[b+1] > 1 {
			guess = (sums[b+1] - y) / (size[b+1] - 1)
		}
		left += (y - guess) * (y - guess)
		all += y * y
	}
	if all == 0 {
		return math.NaN()
	}
	power := max(0, 1-left/all)
	if c.Codes != nil {
		return power
	}
	var n, mx, my float64
	for i, r := range s.rows {
		if x := c.Floats[r]; !math.IsNaN(x) && !math.IsInf(x, 0) {
			n++
			mx += (x - mx) / n
			my += (s.value[i] - my) / n
		}
	}
	if 2*n < float64(len(s.rows)) {
		return power
	}
	// What is left between each row and the mean of its two neighbours by x: no more than noise if y is any smooth function of x (Gasser,
	// Sroka, Jennen-Steinmetz, Biometrika 73, 1986).
	var order []int
	for i, r := range s.rows {
		if !math.IsNaN(c.Floats[r]) {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(c.Floats[s.rows[a]], c.Floats[s.rows[b]]) })
	var rough, spread float64
	for k := 1; k+1 < len(order); k++ {
		y := s.value[order[k]]
		d := y - (s.value[order[k-1]]+s.value[order[k+1]])/2
		rough += d * d * 2 / 3
		spread += (y - my) * (y - my)
	}
	if len(order) >= 30 && spread > 0 {
		power = max(power, 1-rough/spread)
	}
	var sxy, sxx, syy float64
	for i, r := range s.rows {
		if x := c.Floats[r]; !math.IsNaN(x) && !math.IsInf(x, 0) {
			a, b := x-mx, s.value[i]-my
			sxy, sxx, syy = sxy+a*b, sxx+a*a, syy+b*b
		}
	}
	if r2 := sxy / sxx * sxy / syy; r2 > power {
		power = r2
	}
	return power
}

// grows reports whether a column never falls, or never rises, from row to row, and has a value of its own in nearly every row.
func grows(c *assay.Column) bool {
	if c.Codes != nil || len(c.Floats) < 10 {
		return false
	}
	up, down, same := 0, 0, 0
	for i := 1; i < len(c.Floats); i++ {
		a, b := c.Floats[i-1], c.Floats[i]
		switch {
		case b > a:
			up++
		case b < a:
			down++
		default:
			same++
		}
	}
	return (up == 0 || down == 0) && same*10 < len(c.Floats)
}

// areaUnder is the area under the ROC curve, NaN without both classes.
func areaUnder(y []int32, s []float64) float64 {
	for i, v := range s {
		if math.IsInf(v, 0) {
			s[i] = math.Copysign(math.MaxFloat64, v)
		}
	}
	auc, err := metric.RocAucScore(y, s, metric.RankOptions{})
	if err != nil || !auc.Defined() {
		return math.NaN()
	}
	return auc.Value
}
