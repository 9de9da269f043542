package dataset

import (
	"fmt"
	"math"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// leakage runs every check. A check that does not apply is left out; one that cannot decide is undetermined. Whatever looks at labels
// looks at the rows outside the test set only.
func (d *Division) leakage(c splitColumns, s scanned) []assay.Leakage {
	var out []assay.Leakage
	if len(d.options.Key) > 0 {
		n, _ := across(c.keys, d.Part)
		out = append(out, assay.Leakage{
			Check: "key", Columns: d.options.Key, Observed: assay.Number(n), Expected: 0, Verdict: none(n),
			Message: plural(n, "test row shares its key", "test rows share their key") + " with a row outside the test set",
		})
	}
	if c.entity != nil {
		n, _ := across(c.entity, d.Part)
		l := assay.Leakage{
			Check: "entity", Columns: []string{d.options.Entity}, Observed: assay.Number(n), Expected: 0, Verdict: none(n),
			Message: fmt.Sprintf("%s with a row outside the test set", plural(n, "test row shares its "+d.options.Entity, "test rows share their "+d.options.Entity)),
		}
		if n > 0 {
			l.Message += "; split by group or stratified_group"
		}
		out = append(out, l)
	}
	out = append(out, s.twins.finding(d.Part), nearFinding(&s.twins, s.features, s.folded, d.Part))
	if c.strata != nil {
		out = append(out, s.twins.conflicts(c.strata, d.Part))
	}
	if c.time != nil {
		out = append(out, timeFinding(d.options, c.time, d.Part))
	}
	if d.options.By != "time" && (c.strata != nil || c.values != nil) {
		out = append(out, indexFinding(c, d.Part, s.ordered))
	}
	return append(out, targetFindings(s)...)
}

func none(n int) assay.Verdict {
	if n == 0 {
		return assay.Pass
	}
	return assay.Fail
}

// timeFinding compares the times of the parts: in a split by time nothing outside the test set may be as late as its first row.
func timeFinding(o SplitOptions, times []float64, parts []uint8) assay.Leakage {
	l := assay.Leakage{Check: "time", Columns: []string{o.Time}, Expected: 0, Verdict: assay.Pass}
	first := math.Inf(1)
	for i, t := range times {
		if parts[i] == inTest && t < first {
			first = t
		}
	}
	late := 0
	for i, t := range times {
		if parts[i] <= inValidation && t >= first {
			late++
		}
	}
	l.Observed = assay.Number(late)
	l.Message = plural(late, "row outside the test set is", "rows outside the test set are") + " not earlier than its first row"
	switch {
	case late > 0 && o.By == "time":
		l.Verdict = assay.Fail
	case late > 0:
		l.Verdict = assay.Undetermined
		l.Message += "; if the model will predict the future, split by time"
	}
	return l
}

// IndexLimit is the rank correlation of the row number with the target, in either direction, from which a file is called sorted by it.
const IndexLimit = 0.8

// indexFinding asks whether the row number orders the target: a file that is sorted by its target makes a row number, and any feature
// that grows with it, a label.
func indexFinding(c splitColumns, parts []uint8, ordered []string) assay.Leakage {
	l := assay.Leakage{Check: "index", Expected: 0, Verdict: assay.Undetermined}
	var y, at []float64
	var binary []int32
	for i, p := range parts {
		if p <= inValidation {
			at = append(at, float64(i))
			if c.strata != nil {
				y, binary = append(y, float64(c.strata[i])), append(binary, int32(c.strata[i]))
			} else {
				y = append(y, c.values[i])
			}
		}
	}
	strength := math.NaN()
	what := "rank correlation"
	if c.strata != nil && len(c.labels) == 2 {
		// For two classes the correlation of ranks is bounded by their shares; 2·AUC − 1 is not.
		strength = math.Abs(2*areaUnder(binary, at) - 1)
		what = "2·AUC − 1"
	} else if len(y) > 2 {
		strength = math.Abs(stat.Spearman(y, at).Statistic)
	}
	l.Observed = assay.Number(strength)
	switch {
	case math.IsNaN(strength):
		l.Message = "the target does not vary outside the test set"
	case strength < IndexLimit:
		l.Verdict = assay.Pass
		l.Message = fmt.Sprintf("the row number does not order the target (%s %.3f)", what, strength)
	case len(ordered) > 0:
		l.Verdict, l.Columns = assay.Fail, ordered
		l.Message = fmt.Sprintf("the file is sorted by its target (%s %.3f), and %s grows with the row number: exclude it", what, strength, ordered[0])
	default:
		l.Message = fmt.Sprintf("the file is sorted by its target (%s %.3f); no feature grows with the row number", what, strength)
	}
	return l
}
