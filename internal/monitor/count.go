package monitor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// A tally is what one window held: its rows, and the counts of each column.
type tally struct {
	key     int64
	rows    int64
	columns []Counts
}

// numeric is the SQL of a column's value as a DOUBLE, and that of its being of another type ("" when it never is).
func numeric(f *Feature, live assay.Field) (value, wrong string) {
	id := table.Ident(live.Name)
	switch live.Type {
	case assay.TypeDate, assay.TypeTime, assay.TypeTimestamp:
		if f.Type == live.Type {
			return "CAST(epoch(" + id + ") AS DOUBLE)", ""
		}
		return "NULL::DOUBLE", id + " IS NOT NULL"
	case assay.TypeString:
		v := "TRY_CAST(" + id + " AS DOUBLE)"
		if !f.Type.Numeric() {
			v = "CAST(epoch(TRY_CAST(" + id + " AS TIMESTAMP)) AS DOUBLE)"
		}
		return v, id + " IS NOT NULL AND " + v + " IS NULL"
	case assay.TypeInteger, assay.TypeNumber, assay.TypeBoolean:
		if f.Type.Numeric() {
			return "CAST(" + id + " AS DOUBLE)", ""
		}
	}
	return "NULL::DOUBLE", id + " IS NOT NULL"
}

// category is the SQL of a column's value as text, and that of its being of another type. One number has one text, whatever its type.
func category(f *Feature, live assay.Field) (value, wrong string) {
	id := table.Ident(live.Name)
	if f.Type == assay.TypeJSON {
		kind := nestedKind(live)
		return "NULLIF(" + kind + ", '')", "coalesce(" + kind + " = '', false)"
	}
	number := func(v string) string {
		return "CASE WHEN " + v + " = trunc(" + v + ") AND abs(" + v + ") < 1e15 THEN CAST(CAST(" + v + " AS BIGINT) AS VARCHAR) WHEN NOT isnan(" + v + ") THEN CAST(" + v + " AS VARCHAR) END"
	}
	switch live.Type {
	case assay.TypeString:
		if f.Type.Numeric() {
			v := "TRY_CAST(" + id + " AS DOUBLE)"
			return number(v), id + " IS NOT NULL AND " + v + " IS NULL"
		}
		if f.Type == assay.TypeBoolean {
			v := "CAST(TRY_CAST(" + id + " AS BOOLEAN) AS VARCHAR)"
			return v, id + " IS NOT NULL AND " + v + " IS NULL"
		}
		return id, ""
	case assay.TypeNumber:
		return number("CAST(" + id + " AS DOUBLE)"), ""
	case assay.TypeBoolean:
		if f.Type.Numeric() {
			return "CAST(CAST(" + id + " AS INTEGER) AS VARCHAR)", ""
		}
	case assay.TypeBinary, assay.TypeJSON:
		return "NULL::VARCHAR", id + " IS NOT NULL"
	case assay.TypeInteger:
		if f.Type == assay.TypeBoolean {
			v := "CASE " + id + " WHEN 0 THEN 'false' WHEN 1 THEN 'true' END"
			return v, id + " IS NOT NULL AND " + v + " IS NULL"
		}
	}
	return "CAST(" + id + " AS VARCHAR)", ""
}

// nestedKind is the SQL of what kind of JSON a value is, all that is known of the values of a nested column: empty for what is no JSON, NULL for what
// is missing. Other types count as the JSON that they would be.
func nestedKind(live assay.Field) string {
	id := table.Ident(live.Name)
	kind := "'text'"
	switch live.Type {
	case assay.TypeInteger:
		kind = "'number'"
	case assay.TypeNumber:
		kind = "CASE WHEN NOT isnan(CAST(" + id + " AS DOUBLE)) THEN 'number' END"
	case assay.TypeBoolean:
		kind = "'truth value'"
	case assay.TypeJSON, assay.TypeString: // a log has their text
		kind = "CASE WHEN NOT json_valid(" + id + ") THEN '' ELSE CASE json_type(" + id + ") WHEN 'NULL' THEN NULL WHEN 'ARRAY' THEN 'list' WHEN 'OBJECT' THEN 'object' WHEN 'VARCHAR' THEN 'text' WHEN 'BOOLEAN' THEN 'truth value' ELSE 'number' END END"
	}
	return "CASE WHEN " + id + " IS NOT NULL THEN " + kind + " END"
}

// count counts the columns of every window over the cells of the features; window is the SQL of a row's window. Numbers are one grouped
// aggregate over the relation, all other columns another one, of their different values, which are put into their cells as they come; of
// many columns there are more, of so many at once. A column that the relation does not have is missing in every row. Windows come in order,
// rows without a window are left out.
func count(ctx context.Context, t *table.Table, features []Feature, window string) ([]tally, error) {
	var out []tally
	at := map[int64]int{}
	r, err := t.Query(ctx, "SELECT w, count(*) FROM (SELECT "+window+" AS w FROM "+t.Relation()+") WHERE w IS NOT NULL GROUP BY 1 ORDER BY 1")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for r.Next() {
		x := tally{columns: make([]Counts, len(features))}
		if err := r.Scan(&x.key, &x.rows); err != nil {
			return nil, err
		}
		at[x.key] = len(out)
		if out = append(out, x); len(out) > maxWindows {
			return nil, assay.Errorf(assay.Rejected, "the windows are so short that there are more than %s", assay.FormatCount(maxWindows)).Try("use longer windows")
		}
	}
	if err := r.Close(); err != nil {
		return nil, err
	}
	var numbers, categories []int
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(scans)
	for i := range features {
		f := &features[i]
		switch _, ok := t.Field(f.Name); {
		case !ok:
			for w := range out {
				out[w].columns[i] = Counts{Cells: make([]int64, f.Cells()), Missing: out[w].rows}
			}
		case f.Edges != nil:
			numbers = append(numbers, i)
		default:
			categories = append(categories, i)
		}
	}
	for part := range slices.Chunk(numbers, numbersAtOnce) {
		g.Go(func() error { return countNumbers(gctx, t, features, part, window, out, at, &mu) })
	}
	for part := range slices.Chunk(categories, categoriesAtOnce) {
		g.Go(func() error { return countCategories(gctx, t, features, part, window, out, at, &mu) })
	}
	return out, g.Wait()
}

// How many columns one statement counts.
const (
	numbersAtOnce    = 25
	categoriesAtOnce = 25
)

func countNumbers(ctx context.Context, t *table.Table, features []Feature, columns []int, window string, out []tally, at map[int64]int, mu *sync.Mutex) error {
	var values, sums []string
	for _, i := range columns {
		f := &features[i]
		live, _ := t.Field(f.Name)
		v, wrong := numeric(f, live)
		values = append(values, fmt.Sprintf("%s AS v%d", v, i))
		none := "0"
		if wrong != "" {
			values = append(values, fmt.Sprintf("(%s) AS x%d", wrong, i))
			none = fmt.Sprintf("count(*) FILTER (x%d)", i)
		}
		bounds := make([]string, 0, f.Cells())
		for _, u := range f.Edges.Upper {
			bounds = append(bounds, strconv.FormatFloat(u, 'e', -1, 64))
		}
		bounds[0] += "::DOUBLE"
		bounds = append(bounds, "'inf'")
		sums = append(sums, fmt.Sprintf("count(v%[1]d), %[2]s, ", i, none))
		if live.Type == assay.TypeInteger || live.Type == assay.TypeBoolean {
			sums = append(sums, "0, ")
		} else {
			sums = append(sums, fmt.Sprintf("count(*) FILTER (NOT isfinite(v%d)), ", i))
		}
		sums = append(sums, fmt.Sprintf("map_values(histogram(v%d, [%s])), ", i, strings.Join(bounds, ", ")))
	}
	key := "w, "
	group := "GROUP BY w"
	if len(out) == 1 { // one window needs no groups, which is faster
		key, group = strconv.FormatInt(out[0].key, 10)+", ", ""
	}
	from := " FROM (SELECT " + window + " AS w, " + strings.Join(values, ", ") + " FROM " + t.Relation() + ") WHERE w IS NOT NULL "
	r, err := t.Query(ctx, "SELECT "+strings.Join(sums, "")+key+"count(*)"+from+group)
	if err != nil {
		return err
	}
	defer r.Close()
	const each = 4
	row := make([]int64, len(columns)*each+2)
	cells := make([]any, len(columns))
	dest := make([]any, 0, len(row))
	for i := range columns {
		for j := range each - 1 {
			dest = append(dest, &row[i*each+j])
		}
		dest = append(dest, &cells[i])
	}
	dest = append(dest, &row[len(row)-2], &row[len(row)-1])
	var odd []int // columns with values that are not finite
	mu.Lock()
	defer mu.Unlock()
	for r.Next() {
		if err := r.Scan(dest...); err != nil {
			return err
		}
		w := &out[at[row[len(row)-2]]]
		for i, column := range columns {
			x := row[i*each:]
			c := Counts{Cells: make([]int64, features[column].Cells()), TypeErrors: x[1], Missing: row[len(row)-1] - x[0] - x[1]}
			list, ok := cells[i].([]any)
			if cells[i] != nil && (!ok || len(list) < len(c.Cells)) {
				return assay.Errorf(assay.Internal, "column %q was counted over other cells", features[column].Name)
			}
			for j := range min(len(list), len(c.Cells)) {
				c.Cells[j], _ = list[j].(int64)
			}
			if x[2] > 0 && !slices.Contains(odd, column) {
				odd = append(odd, column)
			}
			w.columns[column] = c
		}
	}
	if err := r.Close(); err != nil {
		return err
	}
	for _, column := range odd {
		if err := countInfinities(ctx, t, column, from, out, at); err != nil {
			return err
		}
	}
	return nil
}

// countInfinities takes the infinite values of a column out of its outermost cells, and counts what is not a number.
func countInfinities(ctx context.Context, t *table.Table, column int, from string, out []tally, at map[int64]int) error {
	r, err := t.Query(ctx, fmt.Sprintf("SELECT w, count(*) FILTER (isnan(v%[1]d)), count(*) FILTER (v%[1]d = 'inf'::DOUBLE), count(*) FILTER (v%[1]d = '-inf'::DOUBLE)%[2]s AND NOT isfinite(v%[1]d) GROUP BY w", column, from))
	if err != nil {
		return err
	}
	defer r.Close()
	for r.Next() {
		var key, nan, above, below int64
		if err := r.Scan(&key, &nan, &above, &below); err != nil {
			return err
		}
		c := &out[at[key]].columns[column]
		c.NaN, c.PosInf, c.NegInf = nan, above, below
		c.Cells[0] -= below + nan // the engine puts what is no number first
		c.Cells[len(c.Cells)-1] -= above
	}
	return r.Close()
}

// countCategories counts the different values of columns, each in a grouping set of one aggregate, and what they mean for the reference.
func countCategories(ctx context.Context, t *table.Table, features []Feature, columns []int, window string, out []tally, at map[int64]int, mu *sync.Mutex) error {
	var raw, sets, of, values, wrongs, nans []string
	for i, column := range columns {
		f := &features[column]
		live, _ := t.Field(f.Name)
		name := fmt.Sprintf("v%d", i)
		given := table.Ident(live.Name)
		if f.Type == assay.TypeJSON { // whose values are as many as there are rows
			given = nestedKind(live)
		}
		raw, sets = append(raw, given+" AS "+name), append(sets, "(w, "+name+")")
		of = append(of, fmt.Sprintf("WHEN grouping(%s) = 0 THEN %d", name, i))
		live.Name = name
		value, wrong := category(f, live)
		if f.Type == assay.TypeJSON {
			value, wrong = "NULLIF("+name+", '')", "coalesce("+name+" = '', false)"
		}
		values = append(values, fmt.Sprintf("WHEN %d THEN %s", i, value))
		if wrong != "" {
			wrongs = append(wrongs, fmt.Sprintf("WHEN %d THEN %s", i, wrong))
		}
		if live.Type == assay.TypeNumber && f.Type != assay.TypeJSON {
			nans = append(nans, fmt.Sprintf("WHEN %d THEN coalesce(isnan(CAST(%s AS DOUBLE)), false)", i, name))
		}
	}
	either := func(cases []string) string {
		if len(cases) == 0 {
			return "false"
		}
		return "CASE c " + strings.Join(cases, " ") + " ELSE false END"
	}
	r, err := t.Query(ctx, "SELECT c, w, CASE c "+strings.Join(values, " ")+" END, "+either(wrongs)+", "+either(nans)+", n FROM (SELECT *, CASE "+strings.Join(of, " ")+" END AS c, count(*) AS n FROM (SELECT "+
		window+" AS w, "+strings.Join(raw, ", ")+" FROM "+t.Relation()+") WHERE w IS NOT NULL GROUP BY GROUPING SETS ("+strings.Join(sets, ", ")+"))")
	if err != nil {
		return err
	}
	defer r.Close()
	mu.Lock()
	defer mu.Unlock()
	for w := range out {
		for _, column := range columns {
			out[w].columns[column].Cells = make([]int64, features[column].Cells())
		}
	}
	for r.Next() {
		var i, key, n int64
		var v *string
		var x, z bool
		if err := r.Scan(&i, &key, &v, &x, &z, &n); err != nil {
			return err
		}
		c := &out[at[key]].columns[columns[i]]
		switch {
		case x:
			c.TypeErrors += n
		case z:
			c.NaN += n
		case v == nil:
			c.Missing += n
		default:
			c.Cells[features[columns[i]].Categories.Cell(*v)] += n
		}
	}
	return r.Close()
}

// perWindow counts something of each window of a table: SQL of an aggregate over v, which is the SQL value of a row. Windows without a value are left out.
func perWindow(ctx context.Context, t *table.Table, window, value, aggregate string) (map[int64]int64, error) {
	r, err := t.Query(ctx, "SELECT w, "+aggregate+" FROM (SELECT "+window+" AS w, "+value+" AS v FROM "+t.Relation()+") WHERE w IS NOT NULL AND v IS NOT NULL GROUP BY w")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	out := map[int64]int64{}
	for r.Next() {
		var k, n int64
		if err := r.Scan(&k, &n); err != nil {
			return nil, err
		}
		out[k] = n
	}
	return out, r.Close()
}

// by finds the tally of a window; one without rows is empty.
func by(tallies []tally, key int64, features []Feature) tally {
	i, ok := slices.BinarySearchFunc(tallies, key, func(t tally, k int64) int { return cmp.Compare(t.key, k) })
	if ok {
		return tallies[i]
	}
	x := tally{key: key, columns: make([]Counts, len(features))}
	for i := range features {
		x.columns[i].Cells = make([]int64, features[i].Cells())
	}
	return x
}
