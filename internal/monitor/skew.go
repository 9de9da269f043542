package monitor

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// KindSkew is rows that were served with other values than the model learned from.
const KindSkew = "skew"

// ToleratedSkew is the share of rows that may differ where a plan says nothing else.
const ToleratedSkew = 0.01

// skewColumns is how many columns that differ are named, those that differ most first.
const skewColumns = 20

// skewed adds the comparison of training rows that come back to a plan.
func (o *Settings) skewed(x Subject, m *assay.Monitor) error {
	if len(o.SkewKey) == 0 {
		return nil
	}
	var bad assay.Problems
	for _, c := range o.SkewKey {
		if _, ok := x.Train.Field(c); !ok {
			bad.Add("the training part has no column %q", c)
		}
	}
	tolerated := ToleratedSkew
	if o.ToleratedSkew != nil {
		tolerated = *o.ToleratedSkew
	}
	if !(tolerated >= 0 && tolerated <= 1) {
		bad.Add("a tolerated share of %v; want 0 to 1", tolerated)
	}
	m.Skew = &assay.SkewPlan{Join: o.SkewKey, Tolerated: tolerated}
	m.Signals = append(m.Signals, assay.SignalPlan{
		Scope: ScopeInput, Kind: KindSkew, Test: "binomial", Threshold: assay.Number(tolerated), Effect: "share of rows", Floor: assay.Number(math.NaN()), MinRows: minRequests, Persist: 1, Weight: 1,
	})
	return bad.Err(assay.Invalid, "rows that come back cannot be compared")
}

// skews compares the rows of a traffic whose key is that of a training row with that row, window by window: one aggregate over a join. A key that several
// training rows have says nothing of either; where the traffic has no such key nothing is looked for. Numbers differ where they are further apart than single precision tells, other values where their text differs.
func (w *Watch) skews(ctx context.Context, x Traffic, window string, keys []int64) (map[int64]*assay.Skew, error) {
	p := w.plan.Skew
	if p == nil || x.Train == nil {
		return nil, nil
	}
	key := ""
	switch absent := slices.DeleteFunc(slices.Clone(p.Join), func(c string) bool { _, ok := x.Table.Field(c); return ok }); {
	case x.Log != nil:
		key = loggedKey(x.Table, p.Join, absent)
	case len(absent) == 0:
		key = keyOf(x.Table, p.Join)
	default:
		return nil, nil
	}
	learned, served := []string{"any_value(" + keyOf(x.Train, p.Join) + ") AS k"}, []string{window + " AS w", key + " AS k"}
	var names, differ []string
	for _, f := range w.sides[ScopeInput].Features {
		was, ok := x.Train.Field(f.Name)
		is, ok2 := x.Table.Field(f.Name)
		if !ok || !ok2 {
			continue
		}
		i, value := len(names), category
		different := "s.v%[1]d IS DISTINCT FROM t.v%[1]d"
		if f.Edges != nil {
			value = numeric
			different = "(s.v%[1]d IS DISTINCT FROM t.v%[1]d AND NOT coalesce(abs(s.v%[1]d - t.v%[1]d) <= 1e-6 * greatest(abs(s.v%[1]d), abs(t.v%[1]d)), false))"
		}
		a, _ := value(&f, was)
		b, _ := value(&f, is)
		learned, served = append(learned, fmt.Sprintf("any_value(%s) AS v%d", a, i)), append(served, fmt.Sprintf("%s AS v%d", b, i))
		names, differ = append(names, f.Name), append(differ, fmt.Sprintf(different, i))
	}
	if len(names) == 0 {
		return nil, nil
	}
	out := map[int64]*assay.Skew{}
	for _, k := range keys {
		out[k] = &assay.Skew{Share: assay.Undefined("no training row came back", 0), Columns: []assay.SkewColumn{}}
	}
	sums := make([]string, len(differ))
	for i, d := range differ {
		sums[i] = "count(*) FILTER (" + d + ")"
	}
	answered := ""
	if x.Log != nil {
		answered = " WHERE _outcome = 'answered'"
	}
	r, err := x.Table.Query(ctx, fmt.Sprintf("SELECT w, count(*), count(*) FILTER (%s), %s FROM (SELECT %s FROM %s%s) s JOIN (SELECT %s FROM %s GROUP BY %s HAVING count(*) = 1) t ON s.k = t.k WHERE w IS NOT NULL GROUP BY w",
		strings.Join(differ, " OR "), strings.Join(sums, ", "), strings.Join(served, ", "), x.Table.Relation(), answered, strings.Join(learned, ", "), x.Train.Relation(), keyOf(x.Train, p.Join)))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	row := make([]int64, 3+len(names))
	dest := make([]any, len(row))
	for i := range row {
		dest[i] = &row[i]
	}
	for r.Next() {
		if err := r.Scan(dest...); err != nil {
			return nil, err
		}
		share := func(n int64) assay.Estimate {
			return stat.Proportion(float64(n), float64(row[1]), stat.DefaultLevel, stat.Wilson)
		}
		s := &assay.Skew{Matched: row[1], Differing: row[2], Share: share(row[2]), Columns: []assay.SkewColumn{}}
		for i, name := range names {
			if n := row[3+i]; n > 0 {
				s.Columns = append(s.Columns, assay.SkewColumn{Column: name, Differing: n, Share: share(n)})
			}
		}
		slices.SortStableFunc(s.Columns, func(a, b assay.SkewColumn) int { return cmp.Compare(b.Differing, a.Differing) })
		s.Left = max(0, len(s.Columns)-skewColumns)
		s.Columns = s.Columns[:len(s.Columns)-s.Left]
		if _, ok := out[row[0]]; ok {
			out[row[0]] = s
		}
	}
	return out, r.Close()
}

// skewSignal holds the share of rows that differ against what is tolerated: certainly more is an alarm.
func skewSignal(x assay.Signal, s assay.SignalPlan, k *assay.Skew) assay.Signal {
	if k == nil {
		x.Verdict, x.Message = assay.Undetermined, "the rows have no key to find the training rows by"
		return x
	}
	if x.N = k.Matched; x.N < max(s.MinRows, 1) {
		x.Verdict = assay.Undetermined
		x.Message = fmt.Sprintf("%s training rows came back; at least %s are needed", assay.FormatCount(x.N), assay.FormatCount(s.MinRows))
		return x
	}
	x.Statistic, x.Effect = assay.Number(k.Share.Value), k.Share
	x.PValue = assay.Number(stat.BinomialTest(k.Differing, k.Matched, float64(s.Threshold), stat.Greater).P)
	var names []string
	for _, c := range k.Columns[:min(len(k.Columns), 3)] {
		names = append(names, fmt.Sprintf("%s (%s)", c.Column, percent(c.Share.Value)))
	}
	x.Message = fmt.Sprintf("%s of %s rows that the model learned from were served with other values; %s is tolerated", assay.FormatCount(k.Differing), assay.FormatCount(k.Matched), percent(float64(s.Threshold)))
	if len(names) > 0 {
		x.Message += "; most in " + strings.Join(names, ", ")
	}
	return x
}
