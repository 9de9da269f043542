package dataset

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// variables writes down each column.
func (p *profiler) variables() {
	for i, e := range p.columns {
		v := Variable{Summary: e.Summary, Kind: p.kind[i], Missing: missing(e), Characters: e.Characters, Relation: p.rel[i], Values: p.rates[i], Bands: p.bands[i]}
		if t := p.report.Target; t != nil && e.Groups != nil {
			for k, g := range e.Groups {
				v.Groups = append(v.Groups, Group{t.Classes[k].Value, g})
			}
		}
		if p.kind[i] == KindDate && e.Numbers != nil && e.Numbers.Count > 0 {
			layout := "2006-01-02"
			switch e.Type {
			case assay.TypeTimestamp:
				layout = "2006-01-02 15:04:05"
			case assay.TypeTime:
				layout = "15:04:05"
			}
			at := func(s assay.Number) string { return time.Unix(int64(math.Floor(float64(s))), 0).UTC().Format(layout) }
			v.First, v.Last = at(e.Numbers.Min), at(e.Numbers.Max)
			if e.Type != assay.TypeTime && !e.Ranked {
				v.Weekdays = weekdays(e)
			}
		}
		if p.kind[i] == KindIdentifier || len(v.Top) > 0 && v.Top[0].Count == 1 && e.Rows > 1 {
			v.Top, v.Values = []table.Frequency{}, nil // values that do not repeat tell nothing and name rows
		}
		if slices.Contains(p.options.Sensitive, e.Name) {
			hide(&v)
		}
		if len(v.Top) > 0 {
			v.Top = slices.Clone(v.Top)
			for k := range v.Top {
				v.Top[k].Value = clipText(v.Top[k].Value)
			}
		}
		for k := range v.Values {
			v.Values[k].Value = clipText(v.Values[k].Value)
		}
		p.report.Variables = append(p.report.Variables, v)
	}
	if t := p.report.Target; t != nil && slices.Contains(p.options.Sensitive, t.Column) {
		for k := range t.Classes {
			t.Classes[k].Value = fmt.Sprintf("(hidden %d)", k+1)
		}
	}
}

// weekdays counts the rows by day of the week, from Monday.
func weekdays(e *table.Examined) []int64 {
	out := make([]int64, 7)
	for k, s := range e.Values {
		out[(int(time.Unix(int64(math.Floor(s)), 0).UTC().Weekday())+6)%7] += e.Counts[k]
	}
	return out
}

// maxShown is how many characters of a value a report shows.
const maxShown = 80

func clipText(s string) string {
	n := 0
	for i := range s {
		if n++; n > maxShown {
			return s[:i] + "…"
		}
	}
	return s
}

// hide leaves the counts of a sensitive column and takes its values out.
func hide(v *Variable) {
	v.Hidden = true
	v.Top, v.Values, v.First, v.Last, v.Groups, v.Weekdays, v.Bands = []table.Frequency{}, nil, "", "", nil, nil, nil
	if n := v.Numbers; n != nil {
		v.Numbers = &table.Numbers{
			Count: n.Count, PosInf: n.PosInf, NegInf: n.NegInf, Min: assay.Number(math.NaN()), Max: assay.Number(math.NaN()), Sum: assay.Number(math.NaN()),
			Mean: assay.Number(math.NaN()), Variance: assay.Number(math.NaN()), Std: assay.Number(math.NaN()), Skewness: assay.Number(math.NaN()), Kurtosis: assay.Number(math.NaN()), MAD: assay.Number(math.NaN()),
		}
	}
}

// A finding is an alert with what it concerns of the target.
type finding struct {
	assay.Alert
	effect   float64 // 0–1, of the finding by itself
	relation float64 // 0–1, strength of its strongest column
}

// alerts turns what was seen into findings, one a kind of trouble, ranked by effect and by relation to the target.
func (p *profiler) alerts() {
	var fs []finding
	add := func(code string, columns []string, effect float64, advice, message string, args ...any) {
		f := finding{Alert: assay.Alert{Code: code, Columns: columns, Message: fmt.Sprintf(message, args...), Advice: advice}, effect: math.Min(1, math.Max(0, effect))}
		for _, c := range columns {
			if i, ok := p.index[c]; ok && p.rel[i] != nil && !math.IsNaN(float64(p.rel[i].Strength)) {
				f.relation = math.Max(f.relation, float64(p.rel[i].Strength))
			}
			if t := p.report.Target; t != nil && c == t.Column {
				f.relation = 1
			}
		}
		if columns == nil {
			f.Columns = []string{}
		}
		fs = append(fs, f)
	}
	rows := float64(p.report.Rows)
	if p.report.Rows == 0 {
		add("no_rows", nil, 1, "", "the table has no rows")
	}
	p.targetAlerts(add)
	p.columnAlerts(add, rows)
	p.pairAlerts(add)
	if d := p.report.Duplicates; d.Rows > 0 {
		add("duplicate_rows", nil, float64(d.Rows)/rows, "drop them, or let assay split keep copies on one side", "%s of %s rows equal an earlier row", grouped(d.Rows), grouped(p.report.Rows))
	} else if d.Without > 0 {
		add("duplicate_rows", d.Ignored, float64(d.Without)/rows/2, "where a table of few coarse columns repeats by nature this is no error; assay split compares the overlap of its parts with chance",
			"without %s, %s of %s rows equal an earlier row", strings.Join(d.Ignored, ", "), grouped(d.Without), grouped(p.report.Rows))
	}
	for i := range fs {
		fs[i].Effect = fs[i].effect * (1 + fs[i].relation) / 2
		if p.target < 0 {
			fs[i].Effect = fs[i].effect
		}
		fs[i].Effect = math.Round(fs[i].Effect*1e6) / 1e6
	}
	sort.SliceStable(fs, func(i, j int) bool { return fs[i].Effect > fs[j].Effect })
	for _, f := range fs {
		p.report.Alerts = append(p.report.Alerts, f.Alert)
	}
}

type addAlert func(code string, columns []string, effect float64, advice, message string, args ...any)

func (p *profiler) targetAlerts(add addAlert) {
	t := p.report.Target
	if t == nil {
		return
	}
	if t.Missing > 0 {
		add("missing_target", []string{t.Column}, math.Sqrt(float64(t.Missing)/float64(p.report.Rows)), "rows without a label can neither train nor judge a model: find out why, and leave them out",
			"%s rows have no %s", grouped(t.Missing), t.Column)
	}
	if t.Task.Classifies() && len(t.Classes) < 2 || !t.Task.Classifies() && p.columns[p.target].Distinct < 2 {
		add("constant_target", []string{t.Column}, 1, "", "%s has one value: nothing can be learned", t.Column)
		return
	}
	if t.Imbalance >= Imbalanced {
		add("imbalance", []string{t.Column}, float64(t.Imbalance), strings.Join(t.Consequences, "; "), "the most frequent class of %s is %.1f times as frequent as the rarest", t.Column, float64(t.Ratio))
	}
	var tells, what []string
	most := 0.0
	for i, r := range p.rel {
		if r == nil || i == p.target {
			continue
		}
		name := p.columns[i].Name
		if float64(r.AUC) >= GiveawayLimit {
			add("leakage", []string{name}, 1, "leave it out unless it is known before the prediction is made", "%s alone orders %s with AUC %.4f: it is known only after the label, or is the label", name, t.Column, float64(r.AUC))
		} else if r.Measure != "auc" && r.givesAway() {
			add("leakage", []string{name}, 1, "leave it out unless it is known before the prediction is made", "%s alone gives %s away: %s is %.4f", name, t.Column, strings.ReplaceAll(r.Measure, "_", " "), float64(r.Strength))
		} else if r.Measure == "auc" && float64(r.AUC) >= 0.95 {
			add("leakage_suspected", []string{name}, 0.9, "ask when its value becomes known", "%s alone orders %s with AUC %.4f, which is rarely honest", name, t.Column, float64(r.AUC))
		}
		if m := r.Missing; m != nil && m.HasInterval() && (m.Lo > 0.05 || m.Hi < -0.05) {
			tells = append(tells, name)
			most = math.Max(most, math.Abs(m.Value))
			what = append(what, fmt.Sprintf("%s %.1f %% (elsewhere %.1f %%)", name, 100*float64(r.MissingIn), 100*float64(r.MissingOut)))
		}
	}
	if len(tells) > 0 {
		add("missing_tells", tells, most, "being missing is information: keep it as a category or an indicator, and ask whether it is known in time",
			"the share of %s %s differs where a value is missing: %s", t.Column, t.Classes[1].Value, nameList(what))
	}
}

func (p *profiler) columnAlerts(add addAlert, rows float64) {
	by := map[string][]string{}
	effect := map[string]float64{}
	note := func(code, column string, e float64) {
		by[code] = append(by[code], column)
		effect[code] = math.Max(effect[code], e)
	}
	for i, e := range p.columns {
		present := float64(e.Rows - missing(e))
		order := dateOrder(e)
		switch p.kind[i] {
		case KindEmpty:
			if rows > 0 {
				note("empty", e.Name, 0.6)
			}
			continue
		case KindConstant:
			if i != p.target {
				note("constant", e.Name, 0.3)
			}
			continue
		case KindIdentifier:
			if !slices.Contains(p.options.Key, e.Name) && order == "" { // a key is one on purpose
				note("identifier", e.Name, 0.5)
			}
		case KindCode:
			if i != p.target {
				note("codes", e.Name, 0.3)
			}
		case KindText:
			if 2*e.Distinct > int64(present) && e.Distinct > CategoryValues && order == "" {
				note("high_cardinality", e.Name, 0.3)
			}
		}
		if m := float64(e.Nulls) / rows; m > 0.01 && i != p.target { // NaN is not_finite
			note("missing", e.Name, m/2)
		}
		if n := e.Numbers; n != nil {
			if bad := float64(n.PosInf+n.NegInf) + float64(e.NaNs); bad > 0 {
				note("not_finite", e.Name, 0.3+0.7*bad/rows)
			}
			if s := math.Abs(float64(n.Skewness)); s > 20 && p.kind[i] == KindQuantity {
				note("skewed", e.Name, 0.2)
			}
		}
		if order != "" && i != p.target {
			note("dates_as_text", e.Name, 0.4)
			by["order of dates"] = append(by["order of dates"], fmt.Sprintf("%s (%s)", e.Name, order))
		}
		if c := e.Characters; c != nil {
			if c.Padded > 0 {
				note("padded", e.Name, 0.1+float64(c.Padded)/rows)
			}
			if k := caseVariants(e); k > 0 {
				note("case_variants", e.Name, 0.2)
			}
		}
	}
	names := func(code string) string { return nameList(by[code]) }
	has := func(code string) bool { return len(by[code]) > 0 }
	if has("empty") {
		add("empty", by["empty"], effect["empty"], "drop them, or find out why they are empty", "no row has a value in %s", names("empty"))
	}
	if has("constant") {
		add("constant", by["constant"], effect["constant"], "they tell a model nothing; drop them", "%s: one value in all rows", names("constant"))
	}
	if has("identifier") {
		add("identifier", by["identifier"], effect["identifier"], "name it under data.key, or exclude it: a model can only memorise it", "%s: a different value in (nearly) every row", names("identifier"))
	}
	if has("codes") {
		add("codes", by["codes"], effect["codes"], "list them under data.categorical, unless their order and distance mean something", "%s: integers that look like codes; their mean says nothing", names("codes"))
	}
	if has("high_cardinality") {
		add("high_cardinality", by["high_cardinality"], effect["high_cardinality"], "as a category it can only be memorised; derive features from it", "%s: text that hardly repeats", names("high_cardinality"))
	}
	if has("missing") {
		most, which := 0.0, ""
		for _, c := range by["missing"] {
			if m := float64(p.columns[p.index[c]].Nulls) / rows; m > most {
				most, which = m, c
			}
		}
		add("missing", by["missing"], effect["missing"], "decide column by column: leave out, impute on training rows only, or keep missing as a value", "%s; %s misses %.1f %%", plural(len(by["missing"]), "column misses more than 1 % of its values", "columns miss more than 1 % of their values"), which, 100*most)
	}
	if has("not_finite") {
		add("not_finite", by["not_finite"], effect["not_finite"], "find the division or the overflow that made them", "%s: NaN or infinite values, counted apart from missing ones and left out of moments", names("not_finite"))
	}
	if has("skewed") {
		add("skewed", by["skewed"], effect["skewed"], "look at the extremes; a logarithm may help a linear model", "%s: skewness beyond 20", names("skewed"))
	}
	if has("padded") {
		add("padded", by["padded"], effect["padded"], "trim them: a padded value is another category", "%s: values with spaces at an end", names("padded"))
	}
	if has("case_variants") {
		add("case_variants", by["case_variants"], effect["case_variants"], "unify them: each spelling is another category", "%s: values that differ only in case or in spaces around them", names("case_variants"))
	}
	if has("dates_as_text") {
		add("dates_as_text", by["dates_as_text"], effect["dates_as_text"], "write them as 2022-05-08: read as dates they have an order, and one of them can be data.time", "%s: dates that are read as text, for they are not written as ISO 8601 has it", names("order of dates"))
	}
	if ds := p.report.Disguised; len(ds) > 0 {
		var cols, what []string
		share := 0.0
		for _, d := range ds {
			cols = append(cols, d.Column)
			value := clipText(d.Value)
			if slices.Contains(p.options.Sensitive, d.Column) {
				value = "(hidden)"
			}
			what = append(what, fmt.Sprintf("%s %q", d.Column, value))
			share = math.Max(share, float64(d.Count)/rows)
		}
		add("disguised_missing", slices.Compact(cols), 0.4+0.6*share, "treat the value as a category of its own or as missing; never as a number", "values that seem to stand for a missing one: %s", nameList(what))
	}
}

// caseVariants counts the values of a category that equal another one but for case and surrounding spaces.
func caseVariants(e *table.Examined) int {
	if e.Texts == nil || len(e.Texts) > 1000 || e.Type != assay.TypeString {
		return 0
	}
	seen := map[string]bool{}
	n := 0
	for _, s := range e.Texts {
		k := strings.ToLower(strings.TrimSpace(s))
		if seen[k] {
			n++
		}
		seen[k] = true
	}
	return n
}

func (p *profiler) pairAlerts(add addAlert) {
	var cols, what []string
	most := 0.0
	for _, q := range p.report.Pairs {
		if p.target >= 0 && (q.A == p.options.Target || q.B == p.options.Target) {
			continue
		}
		strength := math.Max(math.Abs(nonNaN(q.Pearson)), math.Abs(nonNaN(q.Spearman)))
		if p.kind[p.index[q.A]] == KindCode || p.kind[p.index[q.B]] == KindCode {
			strength = 0
		}
		strength = math.Max(strength, nonNaN(q.CramersV))
		if strength >= 0.95 || q.Function != "" {
			most = math.Max(most, strength)
			cols = append(cols, q.A, q.B)
			switch {
			case q.Function == "a":
				what = append(what, q.B+" determines "+q.A)
			case q.Function == "b":
				what = append(what, q.A+" determines "+q.B)
			default:
				what = append(what, q.A+" and "+q.B)
			}
		}
	}
	if len(what) > 0 {
		slices.Sort(cols)
		add("redundant", slices.Compact(cols), 0.2+0.2*most, "keep one of each; importances split between them", "columns that say nearly the same: %s", nameList(what))
	}
}

func nonNaN(n assay.Number) float64 {
	if math.IsNaN(float64(n)) {
		return 0
	}
	return float64(n)
}

// nameList writes at most eight names.
func nameList(names []string) string {
	if len(names) > 8 {
		return strings.Join(names[:8], ", ") + fmt.Sprintf(" and %d more", len(names)-8)
	}
	return strings.Join(names, ", ")
}

// grouped writes a count with thousands separated.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
