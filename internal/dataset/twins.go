package dataset

import (
	"fmt"
	"math"
	"strings"

	"github.com/assay-ml/assay"
)

const (
	// CopyFactor is how many times more pairs of equal rows there must be than chance gives (see coincide) for equal rows to be
	// taken for copies: at 2, any such pair is a copy rather than a coincidence.
	CopyFactor = 2
	// NearLimit is the share of the test rows with a near twin outside from which near duplicates are leakage.
	NearLimit = 0.01
	// foldDigits are the significant digits that numbers keep when near duplicates are looked for.
	foldDigits = 4
)

// twins is what is known about rows that equal another in every feature.
type twins struct {
	coincidence
	repeats     int  // rows that equal an earlier row
	distinctive bool // rows tell apart what they describe: equal ones are copies
	moved       int  // rows that followed their first twin to its part
}

func findTwins(c *cells) twins {
	t := twins{coincidence: coincide(c)}
	seen := make(map[uint64]bool, len(t.row))
	for _, h := range t.row {
		if seen[h] {
			t.repeats++
		}
		seen[h] = true
	}
	t.distinctive = t.pairs > CopyFactor*t.natural
	if len(c.hash) == 1 { // nothing to compare with: copies where hardly any value repeats
		t.distinctive = t.repeats*20 <= len(t.row)
	}
	if t.pairs == 0 {
		t.distinctive = true
	}
	return t
}

// gather moves each row to the part of its first twin.
func (t *twins) gather(parts []uint8) {
	first := make(map[uint64]int, len(t.row))
	for i, h := range t.row {
		f, ok := first[h]
		if !ok {
			first[h] = i
			continue
		}
		if parts[i] != parts[f] {
			parts[i] = parts[f]
			t.moved++
		}
	}
}

// across counts the test rows whose hash occurs outside the test set too, and how many would by chance, had the same rows been divided
// at random.
func across[K comparable](row []K, parts []uint8) (observed int, expected float64) {
	group := make(map[K][2]int, len(row)) // rows in test, rows elsewhere
	var test, rest float64
	for i, h := range row {
		g := group[h]
		switch parts[i] {
		case inTest:
			g[0]++
			test++
		case inTrain, inValidation:
			g[1]++
			rest++
		}
		group[h] = g
	}
	q := test / (test + rest)
	for _, g := range group {
		if g[0] > 0 && g[1] > 0 {
			observed += g[0]
		}
		// Each row of a group of m is in test with q, and then not alone there with 1 − q^(m−1).
		if m := float64(g[0] + g[1]); m > 1 {
			expected += m * q * (1 - math.Pow(q, m-1))
		}
	}
	return observed, expected
}

func (t *twins) finding(parts []uint8) assay.Leakage {
	observed, expected := across(t.row, parts)
	l := assay.Leakage{Check: "duplicates", Observed: assay.Number(observed), Expected: assay.Number(math.Round(expected))}
	switch {
	case t.repeats == 0:
		l.Expected, l.Verdict, l.Message = 0, assay.Pass, "no row repeats another in its features"
	case t.distinctive && observed == 0:
		l.Expected, l.Verdict = 0, assay.Pass
		l.Message = fmt.Sprintf("%s (%s) another; all are on the side of their twin", plural(t.repeats, "row repeats", "rows repeat"), percent(t.repeats, len(t.row)))
		if t.moved > 0 {
			l.Message += fmt.Sprintf(", %s moved there", grouped(int64(t.moved)))
		}
	case t.distinctive:
		l.Expected, l.Verdict = 0, assay.Fail
		l.Message = fmt.Sprintf("%s a row outside the test set, and rows are distinctive: they are copies", plural(observed, "test row repeats", "test rows repeat"))
	case float64(observed) <= expected+4*math.Sqrt(expected+1):
		l.Verdict = assay.Pass
		l.Message = fmt.Sprintf("%s of the rows repeat another by nature; %s a twin outside, chance gives %s", percent(t.repeats, len(t.row)), plural(observed, "test row has", "test rows have"), grouped(int64(math.Round(expected))))
	default:
		l.Verdict = assay.Fail
		l.Message = fmt.Sprintf("%s a twin outside the test set, far more than the %s that chance gives", plural(observed, "test row has", "test rows have"), grouped(int64(math.Round(expected))))
	}
	return l
}

// conflicts counts, outside the test set, the rows whose features equal those of a row with another label.
func (t *twins) conflicts(strata []int, parts []uint8) assay.Leakage {
	const several = -1
	label := make(map[uint64]int, len(t.row))
	for i, h := range t.row {
		if parts[i] > inValidation {
			continue
		}
		if l, ok := label[h]; !ok {
			label[h] = strata[i]
		} else if l != strata[i] {
			label[h] = several
		}
	}
	n, of := 0, 0
	for i, h := range t.row {
		if parts[i] > inValidation {
			continue
		}
		of++
		if label[h] == several {
			n++
		}
	}
	l := assay.Leakage{Check: "conflicts", Observed: assay.Number(n), Expected: 0, Verdict: assay.Pass, Message: "no rows of equal features have different labels"}
	switch {
	case n > 0 && t.distinctive:
		l.Verdict = assay.Undetermined
		l.Message = fmt.Sprintf("%s features with a row of another label, and rows are distinctive: a label is wrong, or a copy was relabelled", plural(n, "row shares its", "rows share their"))
	case n > 0:
		l.Expected = assay.Number(math.NaN())
		l.Message = fmt.Sprintf("%s of the rows share their features with a row of another label; the features do not tell them apart", percent(n, of))
	}
	return l
}

// fold is what is left of a column when spelling and rounding are taken away: text in lower case with single spaces and without
// punctuation at its ends, numbers to four significant digits, but at least to the four of what lies between the least and the greatest,
// so that dates of one month stay apart. The numbers of a table's only column stay as they are: rows that are one number each come near
// each other by nature.
func fold(c *assay.Column, only bool) []uint64 {
	out := make([]uint64, c.Len())
	if c.Codes == nil {
		least, most := math.Inf(1), math.Inf(-1)
		for _, v := range c.Floats {
			if !math.IsInf(v, 0) && v == v {
				least, most = min(least, v), max(most, v)
			}
		}
		spread := most - least
		for i, v := range c.Floats {
			if !only {
				v = roundTo(v, min(spread, math.Abs(v)), foldDigits)
			}
			out[i] = hashNumber(v)
		}
		return out
	}
	levels := make([]uint64, len(c.Levels))
	for i, l := range c.Levels {
		levels[i] = hashText(strings.Trim(strings.Join(strings.Fields(strings.ToLower(l)), " "), ".,;:!?'\"-_ "))
	}
	for i, code := range c.Codes {
		out[i] = missingHash
		if code >= 0 {
			out[i] = levels[code]
		}
	}
	return out
}

// roundTo rounds v to what is the last of the significant digits of a number of some size.
func roundTo(v, size float64, digits int) float64 {
	if v == 0 || size == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return v
	}
	scale := math.Pow(10, float64(digits-1)-math.Floor(math.Log10(size)))
	if math.IsInf(v*scale, 0) || scale == 0 {
		return v
	}
	return math.Round(v*scale) / scale
}

// nearFinding counts the test rows that have no equal row outside the test set but one that differs in spelling or rounding, or in a
// single column. A single column counts only where the rest of the row is distinctive by itself, so that what differs in one place is
// a changed copy and not a similar row.
func nearFinding(exact *twins, c, folded *cells, parts []uint8) assay.Leakage {
	l := assay.Leakage{Check: "near_duplicates", Expected: 0, Verdict: assay.Pass}
	tests := 0
	for _, p := range parts {
		if p == inTest {
			tests++
		}
	}
	if len(c.hash) == 1 && !exact.distinctive {
		l.Observed, l.Expected = assay.Number(math.NaN()), assay.Number(math.NaN())
		l.Message = "the only feature repeats by nature: that rows are near each other says nothing"
		return l
	}
	near := make([]bool, len(parts))
	spelled := coincide(folded)
	if spelled.pairs > CopyFactor*spelled.natural {
		mark(near, spelled.row, parts)
	}
	var places []string
	if exact.distinctive && len(c.hash) > 2 {
		count := newPairCounter(c, exact.row)
		for j := range c.hash {
			if n := count.withoutColumn(j); n <= exact.pairs || n > float64(len(exact.row)) {
				continue
			}
			rest := &cells{hash: append(append([][]uint64{}, c.hash[:j]...), c.hash[j+1:]...)}
			if without := coincide(rest); without.pairs > 10*CopyFactor*without.natural {
				if mark(near, without.row, parts) > 0 {
					places = append(places, c.names[j])
				}
			}
		}
	}
	twin := make([]bool, len(parts))
	mark(twin, exact.row, parts)
	n := 0
	for i := range near {
		if near[i] && !twin[i] {
			n++
		}
	}
	l.Observed = assay.Number(n)
	switch {
	case n == 0:
		l.Message = "no test row is a changed copy of a row outside the test set"
		return l
	case float64(n) >= NearLimit*float64(tests) && n > 2:
		l.Verdict = assay.Fail
	default:
		l.Verdict = assay.Undetermined
	}
	l.Message = fmt.Sprintf("%s a row outside the test set but for spelling, rounding or one column", plural(n, "test row equals", "test rows equal"))
	if len(places) > 0 {
		l.Columns = places[:min(len(places), 5)]
	}
	return l
}

// mark sets the test rows whose hash occurs outside the test set, and counts those that it finds.
func mark(set []bool, row []uint64, parts []uint8) int {
	outside := make(map[uint64]bool, len(row))
	for i, h := range row {
		if parts[i] <= inValidation {
			outside[h] = true
		}
	}
	n := 0
	for i, h := range row {
		if parts[i] == inTest && outside[h] {
			set[i] = true
			n++
		}
	}
	return n
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(int64(n)) + " " + many
}

func percent(n, of int) string {
	if v := 100 * float64(n) / float64(of); v >= 99.5 { // two digits of it are 1e+02
		return fmt.Sprintf("%.3g %%", v)
	}
	return fmt.Sprintf("%.2g %%", 100*float64(n)/float64(of))
}
