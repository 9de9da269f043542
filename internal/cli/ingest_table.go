package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/collect"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/table"
)

// What a column of a table of predictions may be, beside an input column: the columns that --map names.
const (
	mapTime       = "time"       // when the request came; required
	mapRequest    = "request"    // id of the request; absent: made of the file and the row
	mapKey        = "key"        // the caller's key of the row
	mapPrediction = "prediction" // class or value; required
)

// columnMap reads --map NAME=COLUMN.
func columnMap(list []string) (map[string]string, error) {
	out := map[string]string{}
	for _, x := range list {
		name, column, ok := strings.Cut(x, "=")
		if !ok || name == "" || column == "" {
			return nil, assay.Errorf(assay.Invalid, "--map %q is not NAME=COLUMN", x)
		}
		if out[name] != "" {
			return nil, assay.Errorf(assay.Invalid, "--map names %s twice", name)
		}
		out[name] = column
	}
	return out, nil
}

// rows takes in a table with a row for each prediction. All of it is one piece of the log, which is there whole or not at all.
func (x *ingestion) rows(ctx context.Context, log *serve.Log, file string, digest assay.Digest) (collect.Counts, error) {
	var counts collect.Counts
	s, b, columns := x.s, x.b, x.columns
	in := b.Inputs()
	known := []string{mapTime, mapRequest, mapKey, mapPrediction}
	for i := range in.Fields() {
		known = append(known, in.Field(i).Name)
	}
	outs := b.Outputs()
	for i := range outs.Fields() {
		known = append(known, outs.Field(i).Name)
	}
	var bad assay.Problems
	for name := range columns {
		if !slices.Contains(known, name) {
			bad.Add("--map %s: want time, request, key, prediction, probability_CLASS or an input column of the version", name)
		}
	}
	if err := bad.Err(assay.Invalid, "the columns cannot be mapped"); err != nil {
		return counts, err
	}
	source := func(name string) string {
		if c := columns[name]; c != "" {
			return c
		}
		return name
	}
	imported, err := log.Import(b)
	if err != nil {
		return counts, err
	}
	e, err := s.tables(ctx)
	if err != nil {
		return counts, err
	}
	stated := map[string]assay.Type{source(mapTime): assay.TypeTimestamp}
	for i, f := range imported.Inputs {
		stated[source(imported.Columns[i])] = f.Type
	}
	head, err := e.Read(ctx, s.path(file), table.ReadOptions{})
	if err != nil {
		return counts, err
	}
	for name := range stated {
		if _, ok := head.Field(name); !ok {
			delete(stated, name)
		}
	}
	clock, err := head.Clock(ctx, source(mapTime))
	if err != nil {
		return counts, err
	}
	if f, _ := head.Field(source(mapTime)); f.Type.Numeric() && clock.SQL != "" { // seconds since 1970, or the like
		delete(stated, source(mapTime))
	}
	if err := head.Drop(ctx); err != nil {
		return counts, err
	}
	t, err := e.Read(ctx, s.path(file), table.ReadOptions{Types: stated})
	if err != nil {
		return counts, err
	}
	q := &rowsQuery{t: t, bad: &bad}
	if _, as := stated[source(mapTime)]; !as && clock.SQL != "" {
		q.literal("_at", assay.TypeTimestamp, clock.SQL)
	} else {
		q.add("_at", assay.TypeTimestamp, source(mapTime), true)
	}
	if _, ok := t.Field(source(mapRequest)); ok {
		q.add("_request", assay.TypeString, source(mapRequest), true)
	} else {
		q.literal("_request", assay.TypeString, "'"+digest.Short()+"-' || _row")
	}
	if columns[mapKey] != "" {
		q.add("_key", assay.TypeString, columns[mapKey], true)
	}
	for _, f := range []struct {
		field assay.Field
		sql   string
	}{
		{assay.Field{Name: "_index", Type: assay.TypeInteger}, "CAST(0 AS BIGINT)"},
		{assay.Field{Name: "_version", Type: assay.TypeInteger}, fmt.Sprintf("CAST(%d AS BIGINT)", b.Number)},
		{assay.Field{Name: "_edge", Type: assay.TypeString}, "'table'"},
		{assay.Field{Name: "_outcome", Type: assay.TypeString}, "'answered'"},
		{assay.Field{Name: "_sampled", Type: assay.TypeNumber}, "CAST(1 AS DOUBLE)"},
	} {
		q.literal(f.field.Name, f.field.Type, f.sql)
	}
	for i, f := range imported.Inputs {
		q.add(f.Name, f.Type, source(imported.Columns[i]), false)
	}
	for i, f := range imported.Outputs {
		if i > 0 && len(imported.Outputs) == 3 && q.complement(f, source(outs.Field(i).Name), source(outs.Field(3-i).Name)) {
			continue // of two classes, the probability of one says that of the other
		}
		q.add(f.Name, f.Type, source(outs.Field(i).Name), i == 0)
	}
	if err := bad.Err(assay.Rejected, file+" is not a table of this version's predictions"); err != nil {
		return counts, assay.Errorf(assay.Rejected, "%w", err).Try("--map time=COLUMN --map prediction=COLUMN, as the columns are called in %s", file)
	}
	v, err := t.Select(ctx, "SELECT _row, "+strings.Join(q.selects, ", ")+" FROM "+t.Relation(), q.fields)
	if err != nil {
		return counts, err
	}
	if err := checkRows(ctx, v, b, imported.Outputs); err != nil {
		return counts, err
	}
	if !x.again {
		_, named := t.Field(source(mapRequest))
		if v, err = x.withoutRepeats(ctx, v, named, &counts); err != nil || v.Rows() == 0 {
			return counts, err
		}
	}
	if err := v.WritePrivate(ctx, imported.Path); err != nil {
		return counts, err
	}
	counts.Exchanges, counts.Rows = v.Rows(), v.Rows()
	return counts, nil
}

// withoutRepeats leaves out the rows whose request the log has of another table, and counts them. Rows without a name cannot be told from others
// that are alike: where the log has any of the same time, key, inputs and prediction, that is an error of code Refused.
func (x *ingestion) withoutRepeats(ctx context.Context, v *table.Table, named bool, counts *collect.Counts) (*table.Table, error) {
	log, err := x.s.loggedWhere(ctx, x.v.Name, nil, "_edge = 'table'")
	if assay.CodeOf(err) == assay.NotFound || err == nil && log.Rows() == 0 {
		return v, nil
	}
	if err != nil {
		return nil, err
	}
	if named {
		fresh, err := v.Where(ctx, "_request NOT IN (SELECT _request FROM "+log.Relation()+" WHERE _request IS NOT NULL)")
		if err != nil {
			return nil, err
		}
		if again := v.Rows() - fresh.Rows(); again > 0 {
			first, err := v.Answer(ctx, "SELECT min(_row) + 1 AS n FROM "+v.Relation()+" WHERE _request IN (SELECT _request FROM "+log.Relation()+")")
			if err != nil {
				return nil, err
			}
			n, err := first.Frame(ctx, []string{"n"}, "")
			if err != nil {
				return nil, err
			}
			counts.Skip(collect.ReasonRepeated, int64(n[0].Floats[0]))
			counts.Skipped[collect.ReasonRepeated] = again
		}
		return fresh, nil
	}
	var alike []string
	for _, f := range v.Fields() {
		if _, ok := log.Field(f.Name); ok && f.Name != "_request" {
			alike = append(alike, table.Ident(f.Name))
		}
	}
	row := "hash(" + strings.Join(alike, ", ") + ")"
	same, err := v.Where(ctx, row+" IN (SELECT "+row+" FROM "+log.Relation()+")")
	if err != nil {
		return nil, err
	}
	if same.Rows() > 0 {
		return nil, assay.Errorf(assay.Refused, "%s rows of the table are in the log already, of another table: the same time, inputs and prediction; without a name of each request nobody can tell whether they are the same",
			assay.FormatCount(same.Rows())).Try("--map request=COLUMN with the id of each request, or --again, which takes them in beside those")
	}
	return v, nil
}

// A rowsQuery is the SELECT that makes lines of the log of a table's rows.
type rowsQuery struct {
	t       *table.Table
	bad     *assay.Problems
	selects []string
	fields  []assay.Field
}

func (q *rowsQuery) literal(name string, typ assay.Type, sql string) {
	q.selects = append(q.selects, sql+" AS "+table.Ident(name))
	q.fields = append(q.fields, assay.Field{Name: name, Type: typ})
}

// add takes a column of the table; one that is not there is a problem where it is required, and missing in every row otherwise.
func (q *rowsQuery) add(name string, typ assay.Type, column string, required bool) {
	f, ok := q.t.Field(column)
	if !ok {
		if required {
			q.bad.Add("the column %s is missing", column)
		}
		return
	}
	sql := table.Ident(column)
	switch {
	case f.Type == typ:
	case typ == assay.TypeNumber && f.Type == assay.TypeInteger:
		sql = "CAST(" + sql + " AS DOUBLE)"
	case typ == assay.TypeString && (f.Type == assay.TypeInteger || f.Type == assay.TypeBoolean):
		sql = "CAST(" + sql + " AS VARCHAR)"
	default:
		q.bad.Add("the column %s is of type %s, and %s wants %s", column, f.Type, name, typ)
		return
	}
	q.literal(name, typ, sql)
}

// complement takes a probability that the table does not have from that of the other class, where it has that one.
func (q *rowsQuery) complement(f assay.Field, column, other string) bool {
	_, own := q.t.Field(column)
	g, ok := q.t.Field(other)
	if own || !ok || g.Type != assay.TypeNumber && g.Type != assay.TypeInteger {
		return false
	}
	q.literal(f.Name, f.Type, "1 - CAST("+table.Ident(other)+" AS DOUBLE)")
	return true
}

// checkRows refuses what would make the log lie: rows without a time or a prediction, and classes that the model does not have.
func checkRows(ctx context.Context, v *table.Table, b *serve.Bound, outputs []assay.Field) error {
	prediction := table.Ident(outputs[0].Name)
	other := "false"
	if len(b.Classes) > 0 {
		list := make([]string, len(b.Classes))
		for i, c := range b.Classes {
			list[i] = table.Literal(c)
		}
		other = prediction + " NOT IN (" + strings.Join(list, ", ") + ")"
	}
	r, err := v.Query(ctx, "SELECT count(*) FILTER (_at IS NULL), count(*) FILTER ("+prediction+" IS NULL), count(*) FILTER ("+other+"), count(*) - count(DISTINCT _request) FROM "+v.Relation())
	if err != nil {
		return err
	}
	defer r.Close()
	var untimed, unanswered, foreign, twice int64
	for r.Next() {
		if err := r.Scan(&untimed, &unanswered, &foreign, &twice); err != nil {
			return err
		}
	}
	if err := r.Err(); err != nil {
		return err
	}
	var bad assay.Problems
	for _, x := range []struct {
		n    int64
		what string
	}{
		{untimed, "without a time"},
		{unanswered, "without a prediction"},
		{foreign, "with a prediction that is none of the model's classes"},
		{twice, "with a request's id that another row has, or none"},
	} {
		if x.n > 0 {
			bad.Add("%s rows %s", assay.FormatCount(x.n), x.what)
		}
	}
	return bad.Err(assay.Rejected, "the table cannot be taken in")
}
