package table

import (
	"context"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
)

func TestCondition(t *testing.T) {
	ctx := context.Background()
	e := open(t)
	tab := read(t, e, file(t, "a.csv", "age,name,when day\n1,x,2020-01-01\n2,y,2020-01-02\n"), ReadOptions{})
	for _, good := range []string{
		`age > 1`, `age BETWEEN 1 AND 2 OR name IN ('x', 'y')`, `"when day" >= DATE '2020-01-02'`, `NOT (name IS NULL)`,
		`lower(name) LIKE 'x%'`, `CASE WHEN age = 1 THEN true ELSE false END`, `CAST(age AS DOUBLE) / 2 = 0.5`, `_row % 2 = 0`,
		`AGE = -1`, `coalesce(name, 'z') <> 'z'`, `regexp_matches(name, '^x')`, `name = ')'`, "age > 1 -- comment",
	} {
		if err := tab.Condition(ctx, good); err != nil {
			t.Errorf("%s: %v", good, err)
			continue
		}
		if _, err := tab.Where(ctx, good); err != nil {
			t.Errorf("%s is accepted but cannot be used: %v", good, err)
		}
	}
	for _, bad := range []struct{ cond, want string }{
		{`age IN (SELECT 1)`, "subquery"},
		{`EXISTS (SELECT * FROM read_csv('/etc/passwd'))`, "subquery"},
		{`age > 1) OR (1 = 1`, "not one expression"},
		{`true) UNION SELECT (1`, "not one expression"},
		{`true) GROUP BY (age`, "not one expression"},
		{`true); DROP TABLE x; SELECT (1`, "not an SQL expression"},
		{`age = ?`, "not one expression"},
		{`count(*) > 1`, "count"},
		{`row_number() OVER () = 1`, "window"},
		{`getenv('HOME') = ''`, "getenv"},
		{`query('select 1')`, "query"},
		{`[x FOR x IN [1]] IS NULL`, "may not"},
		{`salary > 1 AND height > 2`, `"height"`},
		{`age >`, "not an SQL expression"},
		{``, "empty"},
		{`repeat(name, 1000000000) = ''`, "repeat"},
		{strings.Repeat("age + ", 5000) + "1", "too long"},
		{`other.age = 1`, "age"},
		{`COLUMNS(*) = 1`, "may not"},
	} {
		err := tab.Condition(ctx, bad.cond)
		if assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%.60s: %v, want invalid with %q", bad.cond, err, bad.want)
		}
	}
}

func TestQueriesCannotReachOut(t *testing.T) {
	ctx := context.Background()
	e := open(t)
	secret := file(t, "secret.csv", "a\n42\n")
	for _, sql := range []string{
		"SELECT * FROM read_csv(" + Literal(secret) + ")",
		"SELECT * FROM " + Literal(secret),
		"SELECT * FROM read_text('/etc/passwd')",
		"SELECT * FROM glob('/etc/*')",
		"SELECT * FROM read_csv('http://127.0.0.1:1/x.csv')",
		"SELECT * FROM read_parquet('s3://bucket/x.parquet')",
		"SELECT * FROM sniff_csv(" + Literal(secret) + ")",
	} {
		r, err := e.query(ctx, sql)
		if err == nil {
			r.Next()
			err = r.Close()
		}
		if err == nil {
			t.Errorf("%s was allowed", sql)
		} else if strings.Contains(err.Error(), "42") || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error tells too much: %v", sql, err)
		}
	}
	for _, sql := range []string{
		"COPY (SELECT 1) TO " + Literal(secret),
		"ATTACH " + Literal(secret+".db"),
		"SET memory_limit = '1TB'",
		"SET enable_external_access = true",
		"RESET allowed_directories",
		"INSTALL httpfs",
		"LOAD httpfs",
		"EXPORT DATABASE " + Literal(secret+".d"),
	} {
		if err := e.exec(ctx, sql); err == nil {
			t.Errorf("%s was allowed", sql)
		}
		if _, err := e.query(ctx, sql); err == nil {
			t.Errorf("%s is not a query and was allowed", sql)
		}
	}
	if _, err := e.query(ctx, "SELECT 1; SELECT 2"); err == nil {
		t.Error("two statements in one query were allowed")
	}
}

// Messages of DuckDB quote values. None may come through.
func TestErrorsHoldNoValues(t *testing.T) {
	ctx := context.Background()
	e := open(t)
	tab := read(t, e, file(t, "a.csv", "n,s\n1,Mabel-Oakley-7731\n9223372036854775807,x\n"), ReadOptions{})
	for _, sql := range []string{
		"SELECT CAST(s AS INTEGER) FROM " + tab.Relation(),
		"SELECT CAST(n + n AS TINYINT) FROM " + tab.Relation(),
		"SELECT n + 9223372036854775807 FROM " + tab.Relation(),
		"SELECT strptime(s, '%Y') FROM " + tab.Relation(),
		"SELECT CAST(s AS DATE) FROM " + tab.Relation(),
		"SELECT CAST(s AS JSON) FROM " + tab.Relation(),
		"SELECT error(s) FROM " + tab.Relation(),
		"SELECT 'Mabel-Oakley-7731' + 1",
		"SELECT 'Mabel-Oakley-7731'::INTEGER",
		"SELECT no_such_function('Mabel-Oakley-7731')",
	} {
		r, err := tab.Query(ctx, sql)
		if err == nil {
			for r.Next() {
			}
			err = r.Close()
		}
		if err == nil {
			t.Errorf("%s: no error", sql)
			continue
		}
		if strings.Contains(err.Error(), "Mabel") || strings.Contains(err.Error(), "9223372036854775807") {
			t.Errorf("%s: the error holds a value: %v", sql, err)
		}
	}
}
