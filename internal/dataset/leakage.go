package dataset

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/metric"
)

// Limits of the leakage checks.
const (
	// DistinctiveShare is the share of rows that may repeat an earlier row in a table whose rows are distinctive. Above it, repeats
	// are taken for the nature of a table of few coarse columns, unless some column hardly ever repeats.
	DistinctiveShare = 0.05
	// IdentifyingShare is the share of distinct values above which a column tells rows apart, so that repeats must be copies.
	IdentifyingShare = 0.5
	// TargetLimit is the power of a single column to order the target (AUC, or share explained) from which it is called leakage.
	TargetLimit = 0.995
)

// repeats is what is known about rows that equal an earlier one in every feature.
type repeats struct {
	prints      [][16]byte // over the features, in row order
	count       int        // rows that equal an earlier row
	distinctive bool
	moved       int // rows that followed their first twin to its part
}

// features are the columns that a model could learn from.
func (d *Division) features() []string {
	o := d.options
	drop := append([]string{o.Target, o.Entity, o.Time, o.Column}, o.Key...)
	drop = append(drop, o.Exclude...)
	return slices.DeleteFunc(names(d.table.Fields()), func(c string) bool { return slices.Contains(drop, c) })
}

// duplicates finds rows that repeat another in every feature, and, where rows are distinctive, moves each to the part of its first
// twin. A predefined split and a split by time or group are left as they are: there a move would break what the user asked for.
func (d *Division) duplicates(ctx context.Context) (repeats, error) {
	var r repeats
	features := d.features()
	if len(features) == 0 {
		return r, assay.Errorf(assay.Rejected, "no column is left to learn from: every one is a key, the target or excluded")
	}
	var err error
	if r.prints, err = prints(ctx, d.table, features); err != nil {
		return r, err
	}
	first := make(map[[16]byte]int, len(r.prints))
	for i, p := range r.prints {
		if _, ok := first[p]; ok {
			r.count++
		} else {
			first[p] = i
		}
	}
	r.distinctive = float64(r.count) <= DistinctiveShare*float64(len(r.prints))
	if !r.distinctive {
		var exprs []string
		for _, f := range features {
			exprs = append(exprs, fmt.Sprintf("count(DISTINCT %s)", table.Ident(f)))
		}
		rows, err := d.table.Query(ctx, "SELECT greatest("+strings.Join(exprs, ", ")+") FROM "+d.table.Relation())
		if err != nil {
			return r, err
		}
		defer rows.Close()
		var most int64
		if rows.Next() {
			if err := rows.Scan(&most); err != nil {
				return r, err
			}
		}
		if err := rows.Err(); err != nil {
			return r, err
		}
		r.distinctive = float64(most) >= IdentifyingShare*float64(len(r.prints))
	}
	if r.distinctive && (d.options.By == "stratified" || d.options.By == "random" || d.options.By == "hash") {
		for i, p := range r.prints {
			if f := first[p]; d.Part[f] != d.Part[i] {
				d.Part[i] = d.Part[f]
				r.moved++
			}
		}
	}
	return r, nil
}

// leakage runs every check. A check that does not apply is left out; one that cannot decide is undetermined.
func (d *Division) leakage(ctx context.Context, c splitColumns, dup repeats) ([]assay.Leakage, error) {
	var out []assay.Leakage
	add := func(l assay.Leakage) { out = append(out, l) }
	if len(d.options.Key) > 0 {
		keys, err := prints(ctx, d.table, d.options.Key)
		if err != nil {
			return nil, err
		}
		across, _ := overlap(keys, d.Part)
		add(assay.Leakage{
			Check: "key", Columns: d.options.Key, Observed: assay.Number(across), Expected: 0, Verdict: none(across),
			Message: fmt.Sprintf("%d test rows share their key with a row outside the test set", across),
		})
	}
	if c.entity != nil {
		across := overlapCodes(c.entity, d.Part)
		add(assay.Leakage{
			Check: "entity", Columns: []string{d.options.Entity}, Observed: assay.Number(across), Expected: 0, Verdict: none(across),
			Message: fmt.Sprintf("%d test rows share their %s with a row outside the test set", across, d.options.Entity),
		})
	}
	add(d.duplicateFinding(dup))
	if c.time != nil {
		add(timeFinding(d.options, c.time, d.Part))
	}
	if c.strata != nil && len(c.labels) == 2 && d.options.By != "time" {
		add(indexFinding(c.strata, d.Part))
	}
	targets, err := d.targetFindings(ctx, c)
	return append(out, targets...), err
}

func none(n int) assay.Verdict {
	if n == 0 {
		return assay.Pass
	}
	return assay.Fail
}

// overlap counts the test rows whose print occurs outside the test set too, and what a random division of the same rows gives.
func overlap(prints [][16]byte, parts []uint8) (observed int, expected float64) {
	group := make(map[[16]byte][2]int, len(prints)) // rows in test, rows elsewhere
	var test, rest float64
	for i, p := range prints {
		g := group[p]
		switch parts[i] {
		case inTest:
			g[0]++
			test++
		case inTrain, inValidation:
			g[1]++
			rest++
		}
		group[p] = g
	}
	q := test / (test + rest)
	for _, g := range group {
		if g[0] > 0 && g[1] > 0 {
			observed += g[0]
		}
		n := float64(g[0] + g[1])
		expected += n * q * (1 - math.Pow(q, n-1))
	}
	return observed, expected
}

func overlapCodes(codes []int, parts []uint8) int {
	outside := map[int]bool{}
	for i, c := range codes {
		if parts[i] == inTrain || parts[i] == inValidation {
			outside[c] = true
		}
	}
	n := 0
	for i, c := range codes {
		if parts[i] == inTest && outside[c] {
			n++
		}
	}
	return n
}

func (d *Division) duplicateFinding(r repeats) assay.Leakage {
	observed, expected := overlap(r.prints, d.Part)
	l := assay.Leakage{Check: "duplicates", Observed: assay.Number(observed), Expected: assay.Number(math.Round(expected))}
	share := 100 * float64(r.count) / float64(len(r.prints))
	switch {
	case r.distinctive && observed == 0:
		l.Expected, l.Verdict = 0, assay.Pass
		l.Message = fmt.Sprintf("%d rows (%.2g %%) repeat another; all are on the side of their twin", r.count, share)
		if r.moved > 0 {
			l.Message += fmt.Sprintf(", %d of them were moved there", r.moved)
		}
	case r.distinctive:
		l.Expected, l.Verdict = 0, assay.Fail
		l.Message = fmt.Sprintf("%d test rows repeat a row outside the test set", observed)
	case float64(observed) <= expected+4*math.Sqrt(expected+1):
		l.Verdict = assay.Pass
		l.Message = fmt.Sprintf("%.0f %% of the rows repeat another by nature; %d test rows have a twin outside, chance gives %.0f", share, observed, expected)
	default:
		l.Verdict = assay.Fail
		l.Message = fmt.Sprintf("%d test rows have a twin outside the test set, far more than the %.0f that chance gives", observed, expected)
	}
	return l
}

// timeFinding compares the times of the parts: in a split by time nothing outside the test set may be as late as its first row.
func timeFinding(o SplitOptions, times []float64, parts []uint8) assay.Leakage {
	l := assay.Leakage{Check: "time", Columns: []string{o.Time}, Expected: 0, Verdict: assay.Pass}
	first := math.Inf(1)
	for i, t := range times {
		if parts[i] == inTest {
			first = min(first, t)
		}
	}
	late := 0
	for i, t := range times {
		if (parts[i] == inTrain || parts[i] == inValidation) && t >= first {
			late++
		}
	}
	l.Observed = assay.Number(late)
	l.Message = fmt.Sprintf("%d rows outside the test set are not earlier than its first row", late)
	switch {
	case late > 0 && o.By == "time":
		l.Verdict = assay.Fail
	case late > 0:
		l.Verdict = assay.Undetermined
		l.Message += "; if the model will predict the future, split by time"
	}
	return l
}

// indexFinding asks whether the row number orders the labels: a file sorted by its target makes a row number or an id a feature.
func indexFinding(strata []int, parts []uint8) assay.Leakage {
	l := assay.Leakage{Check: "index", Expected: 0.5, Verdict: assay.Undetermined}
	var y []int32
	var s []float64
	for i, c := range strata {
		if parts[i] != inTest {
			y, s = append(y, int32(c)), append(s, float64(i))
		}
	}
	auc := orderedAUC(y, s)
	l.Observed = assay.Number(auc)
	if math.IsNaN(auc) {
		l.Message = "one class only outside the test set"
		return l
	}
	l.Verdict = assay.Pass
	l.Message = fmt.Sprintf("the row number orders the labels with AUC %.3f", auc)
	if math.Abs(auc-0.5) > 0.4 {
		l.Verdict = assay.Fail
		l.Message += ": the file is sorted by its target"
	}
	return l
}

// targetFindings looks, on the rows outside the test set, for single columns that give the target away.
func (d *Division) targetFindings(ctx context.Context, c splitColumns) ([]assay.Leakage, error) {
	if c.strata == nil || len(c.labels) != 2 {
		return nil, nil
	}
	var found []assay.Leakage
	strongest, most := "", 0.5
	for _, name := range d.features() {
		f, err := d.table.Frame(ctx, []string{name}, "")
		if err != nil {
			return nil, err
		}
		power := columnPower(&f[0], c.strata, d.Part)
		if math.IsNaN(power) {
			continue
		}
		if power > most {
			strongest, most = name, power
		}
		if power >= TargetLimit {
			found = append(found, assay.Leakage{
				Check: "target", Columns: []string{name}, Observed: assay.Number(power), Expected: 0.5, Verdict: assay.Fail,
				Message: fmt.Sprintf("%s alone orders the target with AUC %.4f: it is known only after the label, or is the label", name, power),
			})
		}
	}
	if len(found) == 0 {
		l := assay.Leakage{Check: "target", Observed: assay.Number(most), Expected: 0.5, Verdict: assay.Pass, Message: "no single column orders the target"}
		if strongest != "" {
			l.Columns = []string{strongest}
			l.Message = fmt.Sprintf("no single column gives the target away; the strongest, %s, orders it with AUC %.3f", strongest, most)
		}
		found = append(found, l)
	}
	return found, nil
}

// columnPower is how well one column orders a binary target on the rows outside the test set, 0.5 to 1: the AUC of its numbers in
// either direction, or of the class share of each of its values. The share is taken without the row itself, so that a column that
// differs in every row (an id) has no power.
func columnPower(c *assay.Column, strata []int, parts []uint8) float64 {
	var y []int32
	var s []float64
	if c.Codes != nil {
		pos := make([]float64, len(c.Levels)+1)
		all := make([]float64, len(c.Levels)+1)
		var totalPos, total float64
		for i, code := range c.Codes {
			if parts[i] != inTest {
				all[code+1]++
				pos[code+1] += float64(strata[i])
				total++
				totalPos += float64(strata[i])
			}
		}
		prior := totalPos / total
		for i, code := range c.Codes {
			if parts[i] != inTest {
				y = append(y, int32(strata[i]))
				s = append(s, (pos[code+1]-float64(strata[i])+prior)/all[code+1])
			}
		}
		return orderedAUC(y, s)
	}
	for i, v := range c.Floats {
		if parts[i] != inTest && !math.IsNaN(v) {
			y, s = append(y, int32(strata[i])), append(s, v)
		}
	}
	auc := orderedAUC(y, s)
	return max(auc, 1-auc)
}

// orderedAUC is the AUC of scores that are not NaN, NaN without both classes.
func orderedAUC(y []int32, s []float64) float64 {
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
