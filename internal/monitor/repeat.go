package monitor

import (
	"context"
	"fmt"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// What becomes of the label of a key that several predictions have. Requests that were made again, of the same window and the same inputs, are one prediction
// under each of them.
const (
	RepeatsRefuse = "refuse" // it counts for none of them, for nobody knows which one it is of
	RepeatsLast   = "last"   // it counts for the last one that was made before it came
	RepeatsAll    = "all"    // it counts for each of them
)

// Columns of the tables by which labels and predictions find each other.
const (
	sharedKey     = "k"
	sharedOutside = "beyond" // whether a prediction of the key lies outside the traffic
)

// Repeats reports whether predictions of a log share a key: then the columns of their inputs say which of them are one request that was made again.
func Repeats(ctx context.Context, log *table.Table, join []string) (bool, error) {
	key, _, err := joinKeys(log, true, join)
	if err != nil {
		return false, err
	}
	r, err := log.Query(ctx, "SELECT count(k) > count(DISTINCT k) FROM (SELECT "+key+" AS k FROM "+log.Relation()+" WHERE _outcome = 'answered')")
	if err != nil {
		return false, err
	}
	defer r.Close()
	var again bool
	if r.Next() {
		err = r.Scan(&again)
	}
	return again, err
}

// ambiguous are the keys, in a column k, that several predictions have which are not one request that was made again: they are of several windows, of other inputs,
// or some are outside the traffic. nil where there is none. rows are those of the traffic with the number, the window and the key of each; outside is SQL for the
// keys of predictions beside them, "" without.
func (w *Watch) ambiguous(ctx context.Context, x Traffic, rows *table.Table, outside string) (*table.Table, error) {
	all := "SELECT " + joinedKey + " AS k, false AS o FROM " + rows.Relation()
	if outside != "" {
		all += " UNION ALL SELECT k, true FROM (" + outside + ")"
	}
	shared, err := rows.Answer(ctx, fmt.Sprintf("SELECT k AS %s, bool_or(o) AS %s FROM (%s) WHERE k IS NOT NULL GROUP BY k HAVING count(*) > 1 AND NOT bool_and(o)", sharedKey, sharedOutside, all))
	if err != nil || shared.Rows() == 0 {
		return nil, err
	}
	same := []string{"s." + windowColumn}
	for _, f := range w.sides[ScopeInput].Features {
		if _, ok := x.Table.Field(f.Name); ok {
			same = append(same, "r."+table.Ident(f.Name))
		}
	}
	out, err := shared.Answer(ctx, fmt.Sprintf(`SELECT k FROM %[1]s WHERE beyond
UNION SELECT t.k FROM %[1]s t JOIN %[2]s s ON s.%[3]s = t.k JOIN %[4]s r ON r._row = s.%[5]s WHERE NOT t.beyond GROUP BY t.k HAVING count(DISTINCT hash(%[6]s)) > 1`,
		shared.Relation(), rows.Relation(), joinedKey, x.Table.Relation(), joinedRow, strings.Join(same, ", ")))
	if err != nil || out.Rows() == 0 {
		return nil, err
	}
	return out, nil
}

// lastBefore is SQL that gives the labels of ambiguous keys to one prediction each, in a column r: the last one that was made before the label came; the first one
// where the label came before all of them, and the last one where it is not known when either came. -1 is a prediction outside the traffic.
func lastBefore(labels, ambiguous, rows, outside string) string {
	candidates := fmt.Sprintf("SELECT %s AS k, coalesce(%s, '-infinity'::TIMESTAMP) AS t, %s AS r FROM %s", joinedKey, joinedAsked, joinedRow, rows)
	if outside != "" {
		candidates += " UNION ALL SELECT k, coalesce(t, '-infinity'::TIMESTAMP), -1 FROM (" + outside + ")"
	}
	candidates = "SELECT k, t, max(r) AS r FROM (" + candidates + ") WHERE k IN (SELECT k FROM " + ambiguous + ") GROUP BY k, t"
	return fmt.Sprintf(`SELECT l.k, coalesce(p.r, f.r) AS r, l._label, l._came, l._row FROM (%[1]s) l ASOF LEFT JOIN (%[2]s) p ON l.k = p.k AND coalesce(l._came, 'infinity'::TIMESTAMP) >= p.t
LEFT JOIN (SELECT k, arg_min(r, t) AS r FROM (%[2]s) GROUP BY k) f ON l.k = f.k`, labels, candidates)
}

// Refusing reports whether a label of a key that several predictions have counts for none of them.
func Refusing(p *assay.LabelPlan) bool { return p.Repeats == "" || p.Repeats == RepeatsRefuse }
