package monitor

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/stat"
)

// Columns that the join adds to the rows of a traffic.
const (
	joinedKey      = "_assay_key"
	joinedLabel    = "_assay_label"    // text; NULL where there is none that counts
	joinedAsked    = "_assay_asked"    // when the prediction was made; NULL without times
	joinedCame     = "_assay_came"     // when the label came; NULL where there is none
	joinedAgain    = "_assay_again"    // labels that said the same again
	joinedConflict = "_assay_conflict" // whether labels disagree
	joinedEarly    = "_assay_early"    // whether the label came before the prediction
	joinedShared   = "_assay_shared"   // whether there is a label of a key that other predictions have too
	joinedRow      = "_assay_row"      // of the traffic
)

// A joined traffic is the rows that were answered, each with its label as far as it came.
type joined struct {
	rows   *table.Table           // columns of the join; a row each, in the order of the traffic
	known  map[int64]windowLabels // by window
	orphan map[int64]int64        // labels without a prediction by the window that they came in
	all    int64                  // of them
}

// windowLabels is what is known of the labels of a window.
type windowLabels struct {
	rows        int64
	join        assay.LabelJoin
	asked, came []float64 // of each row that has a time: seconds, NaN for a label that has not come
	counts      tally     // of labels, over the cells of the reference
}

// joinKeys is the SQL by which predictions and labels find each other: of the rows of a table or of a log, and of the log of labels.
func joinKeys(rows *table.Table, logged bool, columns []string) (key, of string, err error) {
	if slices.Equal(columns, JoinRequest) {
		of = fmt.Sprintf("_request || chr(%d) || _index", schema.KeySeparator)
		if logged {
			return of, of, nil
		}
		return keyOf(rows, columns), of, nil
	}
	var absent []string
	for _, c := range columns {
		if _, ok := rows.Field(c); !ok {
			absent = append(absent, c)
		}
	}
	switch {
	case logged:
		return loggedKey(rows, columns, absent), labelKey, nil
	case len(absent) == 0:
		return keyOf(rows, columns), labelKey, nil
	}
	return "", "", assay.Errorf(assay.Rejected, "the predictions have no column %s to find their labels by", strings.Join(absent, ", ")).
		Try("set monitor.labels.join in assay.yaml; [request_id, row] for a log without keys")
}

// loggedKey is the SQL of the key of a row of a log: all columns as one where the caller gave some of them, otherwise those of the log, of which
// some may be absent.
func loggedKey(rows *table.Table, columns, absent []string) string {
	if len(absent) > 0 {
		return labelKey
	}
	return "coalesce(" + labelKey + ", " + keyOf(rows, columns) + ")"
}

// Labelled counts the answered predictions of a log, those of them for which a label has come, and of these the ones that share their key with another one.
func Labelled(ctx context.Context, log, labels *table.Table, join []string) (answered, labelled, shared int64, err error) {
	key, of, err := joinKeys(log, true, join)
	if err != nil {
		return 0, 0, 0, err
	}
	r, err := log.Query(ctx, fmt.Sprintf(`SELECT coalesce(sum(n), 0)::BIGINT, coalesce(sum(n) FILTER (l), 0)::BIGINT, coalesce(sum(n) FILTER (l AND n > 1), 0)::BIGINT FROM (
SELECT k, count(*) AS n, coalesce(k IN (SELECT %s FROM %s WHERE _label IS NOT NULL), false) AS l FROM (SELECT %s AS k FROM %s WHERE _outcome = 'answered') GROUP BY k)`,
		of, labels.Relation(), key, log.Relation()))
	if err != nil {
		return 0, 0, 0, err
	}
	defer r.Close()
	if r.Next() {
		err = r.Scan(&answered, &labelled, &shared)
	}
	return answered, labelled, shared, err
}

// join brings labels to the predictions of a traffic that is cut into windows.
func (w *Watch) join(ctx context.Context, x Traffic, cut *cutter, keys []int64, o Outcomes) (*joined, error) {
	p := w.plan.Labels
	asked := "NULL::TIMESTAMP"
	key, of, err := joinKeys(x.Table, x.Log != nil, p.Join)
	if err != nil {
		return nil, err
	}
	if x.By != "" && cut.moment != "" {
		asked = cut.moment
	}
	answered := ""
	if x.Log != nil {
		answered = " WHERE _outcome = 'answered'"
	}
	predictedRows := answered
	if a := x.accepted; a != nil && a.refused != "" {
		predictedRows = " WHERE NOT " + a.refused
	}
	rows, err := x.Table.Answer(ctx, fmt.Sprintf("SELECT _row AS %s, %s, %s AS %s, %s AS %s FROM (SELECT *, %s AS %s FROM %s)%s",
		joinedRow, windowColumn, key, joinedKey, asked, joinedAsked, cut.expr, windowColumn, x.Table.Relation(), predictedRows))
	if err != nil {
		return nil, err
	}
	var others, outside []string // keys of predictions outside the traffic: of the version before it, and of all versions with their times
	for _, t := range []*table.Table{o.Others, o.Beside} {
		if t == nil {
			continue
		}
		k, _, err := joinKeys(t, x.Log != nil, p.Join)
		if err != nil {
			return nil, err
		}
		at := "NULL::TIMESTAMP"
		if asked != "NULL::TIMESTAMP" {
			at = asked
		}
		one := "SELECT " + k + " AS k, " + at + " AS t FROM " + t.Relation() + answered
		if outside = append(outside, one); t == o.Others {
			others = append(others, one)
		}
	}
	beyond := strings.Join(outside, " UNION ALL ")
	shared, err := w.ambiguous(ctx, x, rows, beyond)
	if err != nil {
		return nil, err
	}
	value := "CASE WHEN d > 1 THEN NULL ELSE one END"
	first := "min_came"
	switch p.Conflicts {
	case ConflictFirst:
		value = "one"
	case ConflictLast:
		value, first = "other", "CASE WHEN d > 1 THEN max_came ELSE min_came END"
	}
	known := ""
	if !o.Until.IsZero() && o.Delay == 0 {
		known = " AND _came <= " + timestamp(o.Until)
	}
	labels := "SELECT " + of + " AS k, _label, _came, _row FROM " + o.Labels.Relation() + " WHERE _label IS NOT NULL" + known
	given := "SELECT k, NULL::BIGINT AS r, _label, _came, _row FROM (" + labels + ")"
	if shared != nil && p.Repeats == RepeatsLast {
		given += " WHERE k NOT IN (SELECT k FROM " + shared.Relation() + ") UNION ALL " +
			lastBefore("SELECT * FROM ("+labels+") WHERE k IN (SELECT k FROM "+shared.Relation()+")", shared.Relation(), rows.Relation(), beyond)
	}
	g, err := labelsByKey(ctx, o.Labels, given, value, first)
	if err != nil {
		return nil, err
	}
	// The engine joins by hashes where a condition is one of equality alone: a label of one prediction of a key is found by the key with the row behind it.
	sought, came, found := joinedKey, "g.came", "p.sought = g.k"
	if shared != nil && p.Repeats == RepeatsLast {
		sought = fmt.Sprintf("CASE WHEN %[1]s IN (SELECT k FROM %[2]s) THEN %[1]s || chr(2) || %[3]s ELSE %[1]s END", joinedKey, shared.Relation(), joinedRow)
		found = "p.sought = CASE WHEN g.r IS NULL THEN g.k ELSE g.k || chr(2) || g.r END"
	}
	if o.Delay > 0 {
		if asked == "NULL::TIMESTAMP" {
			return nil, assay.Errorf(assay.Invalid, "labels cannot come %s after predictions that have no time", o.Delay).Try("windows by a column of dates, timestamps or years")
		}
		came = fmt.Sprintf("("+joinedAsked+" + to_microseconds(%d))", o.Delay.Microseconds())
		if !o.Until.IsZero() {
			found += " AND " + came + " <= " + timestamp(o.Until)
		}
	}
	j := &joined{orphan: map[int64]int64{}}
	refused, also := "false", "false" // whether the label counts for none, and whether its key is one of several predictions
	if shared != nil {
		if also = "(g.k IS NOT NULL AND p." + joinedKey + " IN (SELECT k FROM " + shared.Relation() + "))"; Refusing(p) {
			refused = also
		}
	}
	// The join is made once, and only of what it adds; a join keeps no order, and sums depend on it. A time of day of nothing is that of a date: a label of the
	// day of the prediction is not early.
	j.rows, err = x.Table.Answer(ctx, fmt.Sprintf(`SELECT * EXCLUDE (v, c, lost), CASE WHEN NOT lost THEN v END AS %s, CASE WHEN v IS NOT NULL AND NOT lost THEN c END AS %s,
coalesce(v IS NOT NULL AND NOT lost AND c < %s AND NOT (c = date_trunc('day', c) AND c = date_trunc('day', %s)), false) AS %s
FROM (SELECT p.* EXCLUDE (_row, sought), g.v, %s AS c, %s AS lost, CASE WHEN %s THEN 0 ELSE coalesce(g.again, 0) END AS %s, NOT %s AND coalesce(g.conflict, false) AS %s, %s AS %s
FROM (SELECT *, %s AS sought FROM %s) p LEFT JOIN %s g ON %s) ORDER BY %s`,
		joinedLabel, joinedCame, joinedAsked, joinedAsked, joinedEarly, came, refused, refused, joinedAgain, refused, joinedConflict, also, joinedShared, sought, rows.Relation(), g.Relation(), found, joinedRow))
	if err != nil {
		return nil, err
	}
	if err := w.knownLabels(ctx, j, keys); err != nil {
		return nil, err
	}
	arrival := "0::BIGINT"
	if cut.timed && cut.plan.By == ByTime && o.Delay == 0 {
		c := &cutter{plan: cut.plan}
		c.byTime("came")
		arrival = c.expr
	}
	predicted := "SELECT " + joinedKey + " FROM " + j.rows.Relation() + " WHERE " + joinedKey + " IS NOT NULL"
	for _, q := range others {
		predicted += " UNION ALL SELECT k FROM (" + q + ") WHERE k IS NOT NULL"
	}
	q, err := g.Query(ctx, "SELECT "+arrival+", count(*) FROM "+g.Relation()+" WHERE k NOT IN ("+predicted+") GROUP BY 1 ORDER BY 1")
	if err != nil {
		return nil, err
	}
	defer q.Close()
	for q.Next() {
		var k *int64
		var n int64
		if err := q.Scan(&k, &n); err != nil {
			return nil, err
		}
		if j.all += n; k != nil && arrival != "0::BIGINT" {
			j.orphan[*k] = n
		}
	}
	return j, q.Close()
}

// timestamp is a moment as SQL.
func timestamp(t time.Time) string {
	return "TIMESTAMP " + table.Literal(t.UTC().Format("2006-01-02 15:04:05.000000"))
}

// knownLabels finds out what is known of the labels of every window: one statement each for all windows.
func (w *Watch) knownLabels(ctx context.Context, j *joined, keys []int64) error {
	j.known = make(map[int64]windowLabels, len(keys))
	late := "false"
	if n := w.plan.Labels.WithinSeconds; n > 0 {
		late = fmt.Sprintf("epoch_us(%s) - epoch_us(%s) > %d", joinedCame, joinedAsked, n*1_000_000)
	}
	r, err := j.rows.Query(ctx, fmt.Sprintf(`SELECT %[7]s, count(*), count(%[1]s), coalesce(sum(%[2]s), 0)::BIGINT, count(*) FILTER (%[3]s), count(*) FILTER (%[4]s), count(*) FILTER (%[1]s IS NOT NULL AND %[5]s), count(*) FILTER (%[8]s)
FROM %[6]s WHERE %[7]s IS NOT NULL GROUP BY 1`, joinedLabel, joinedAgain, joinedConflict, joinedEarly, late, j.rows.Relation(), windowColumn, joinedShared))
	if err != nil {
		return err
	}
	defer r.Close()
	for r.Next() {
		var k int64
		var x windowLabels
		if err := r.Scan(&k, &x.rows, &x.join.Labelled, &x.join.Duplicates, &x.join.Conflicts, &x.join.Early, &x.join.Overdue, &x.join.Ambiguous); err != nil {
			return err
		}
		j.known[k] = x
	}
	if err := r.Close(); err != nil {
		return err
	}
	fields := []assay.Field{{Name: joinedKey, Type: assay.TypeString}, {Name: joinedLabel, Type: assay.TypeString}, {Name: joinedCame, Type: assay.TypeTimestamp}}
	labelled, err := j.rows.Select(ctx, fmt.Sprintf("SELECT %s, %s, %s, %s, _row FROM %s WHERE %s IS NOT NULL", joinedKey, joinedLabel, joinedCame, windowColumn, j.rows.Relation(), joinedLabel), fields)
	if err != nil {
		return err
	}
	contents, err := labelled.ContentDigests(ctx, windowColumn, keys)
	if err != nil {
		return err
	}
	for i, k := range keys {
		x := j.known[k]
		x.join.Content = contents[i]
		j.known[k] = x
	}
	if err := w.labelCounts(ctx, j, keys); err != nil {
		return err
	}
	f, err := j.rows.Frame(ctx, []string{windowColumn, joinedAsked, joinedCame}, windowColumn+" IS NOT NULL AND "+joinedAsked+" IS NOT NULL")
	if err != nil {
		return err
	}
	for i, k := range f[0].Floats {
		x, ok := j.known[int64(k)]
		if !ok || x.join.Labelled == 0 {
			continue
		}
		x.asked, x.came = append(x.asked, f[1].Floats[i]), append(x.came, f[2].Floats[i])
		j.known[int64(k)] = x
	}
	return nil
}

// labelCounts counts the labels of every window over the cells of the reference of labels.
func (w *Watch) labelCounts(ctx context.Context, j *joined, keys []int64) error {
	d := w.sides[ScopeLabel]
	if d == nil || len(d.Features) != 1 {
		return nil
	}
	f := d.Features[0]
	value, typ := joinedLabel, assay.TypeString
	if f.Edges != nil {
		value, typ = "TRY_CAST("+joinedLabel+" AS DOUBLE)", assay.TypeNumber
	}
	v, err := j.rows.Select(ctx, fmt.Sprintf("SELECT %s AS %s, %s, _row FROM %s WHERE %s IS NOT NULL", value, table.Ident(f.Name), windowColumn, j.rows.Relation(), joinedLabel),
		[]assay.Field{{Name: f.Name, Type: typ}})
	if err != nil {
		return err
	}
	t, err := count(ctx, v, d.Features, windowColumn)
	if err != nil {
		return err
	}
	for _, k := range keys {
		x := j.known[k]
		x.counts = by(t, k, d.Features)
		j.known[k] = x
	}
	return nil
}

// labelJoin is what is known of the labels of a window.
func (j *joined) labelJoin(k int64) (assay.LabelJoin, error) {
	nan := assay.Number(math.NaN())
	x := j.known[k]
	out := x.join
	out.Unmatched, out.DelayP50, out.DelayP90, out.DelayMax = j.orphan[k], nan, nan, nan
	out.Coverage = assay.Undefined("no predictions", 0)
	if x.rows > 0 {
		out.Coverage = stat.Proportion(float64(out.Labelled), float64(x.rows), stat.DefaultLevel, stat.Wilson)
	}
	if out.Labelled == 0 || len(x.asked) == 0 {
		return out, nil
	}
	newest := math.Inf(-1) // those without a label still wait when the newest of the window comes
	for _, at := range x.came {
		if at > newest {
			newest = at
		}
	}
	if math.IsInf(newest, -1) { // it is not known when they came
		return out, nil
	}
	out.AsOf = assay.InstantOf(time.UnixMicro(int64(math.Round(newest * 1e6))))
	age, arrived := make([]float64, len(x.asked)), make([]bool, len(x.asked))
	longest := 0.0
	for i, at := range x.came {
		if arrived[i] = !math.IsNaN(at); !arrived[i] {
			at = newest
		}
		if age[i] = math.Max(0, at-x.asked[i]); arrived[i] {
			longest = math.Max(longest, age[i])
		}
	}
	c, err := stat.NewDelayCurve(age, arrived)
	if err != nil {
		return out, err
	}
	quantile := func(p float64) assay.Number {
		if a := c.Age(p); !math.IsInf(a, 0) {
			return assay.Number(a)
		}
		return nan
	}
	out.DelayP50, out.DelayP90, out.DelayMax = quantile(0.5), quantile(0.9), assay.Number(longest)
	return out, nil
}

// labelsByKey is what the labels of a key say together, of the SQL for labels with a key k, and a row r of the predictions where the label is of one of them: the
// label v that counts, which is value where they disagree, when it came, how many said the same again, and whether there is a conflict. Nearly all keys have one
// label; only of those that have different ones all labels are held at once, for that takes memory which the engine cannot put on the disk.
func labelsByKey(ctx context.Context, labels *table.Table, given, value, first string) (*table.Table, error) {
	return labels.Answer(ctx, fmt.Sprintf(`WITH keys AS MATERIALIZED (
SELECT k, r, CAST(count(*) AS BIGINT) AS n, min(hash(_label)) <> max(hash(_label)) AS differ, min(_came) AS came, min(_row) AS at FROM (%[1]s) WHERE k IS NOT NULL GROUP BY k, r)
SELECT a.k, a.r, a.n - 1 AS again, false AS conflict, l._label AS v, a.came FROM keys a JOIN %[2]s l ON l._row = a.at WHERE NOT a.differ
UNION ALL SELECT k, r, CAST(n - d AS BIGINT), d > 1, %[3]s, %[4]s FROM (
SELECT k, r, count(*) AS n, count(DISTINCT _label) AS d, first(_label ORDER BY _came, _row) AS one, last(_label ORDER BY _came, _row) AS other, min(_came) AS min_came, max(_came) AS max_came
FROM (%[1]s) WHERE k IN (SELECT k FROM keys WHERE differ) GROUP BY k, r HAVING d > 1)`, given, labels.Relation(), value, first))
}
