package schema

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/table"
)

func engine(t testing.TB) *table.Engine {
	t.Helper()
	e, err := table.Open(context.Background(), table.Options{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func csv(t testing.TB, e *table.Engine, content string) *table.Table {
	t.Helper()
	p := filepath.Join(t.TempDir(), "data.csv")
	if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	tab, err := e.Read(context.Background(), p, table.ReadOptions{Header: "yes"})
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

const people = `id,age,income,sex,zip,born,extra
1,30,1.5,f,01234,1990-02-28,x
2,-4,nan,m,01235,1990-02-28,x
2,200,inf,x,123,1800-01-01,x
4,,-7,,,,
5,12,3,f,00001,2000-01-01,x
`

const peopleSchema = `{"schema": "assay.schema/1", "closed": true, "rows": {"min": 10, "severity": "warning"}, "ordered": true,
  "columns": [
  {"name": "id", "type": "integer", "unique": {}},
  {"name": "age", "type": "integer", "not_null": {"mostly": 0.8}, "range": {"min": 0, "max": 120}},
  {"name": "income", "type": "number", "finite": {}, "range": {"min": 0, "mostly": 0.9}},
  {"name": "sex", "type": "string", "set": {"values": ["m", "f"]}},
  {"name": "born", "type": "date", "range": {"min": "1900-01-01"}},
  {"name": "zip", "type": "string", "length": {"min": 5, "max": 5}, "pattern": {"regexp": "^[0-9]{5}$", "severity": "warning"}},
  {"name": "gone", "type": "integer", "range": {"min": 0}},
  {"name": "maybe", "type": "integer", "optional": true}],
  "keys": [{"columns": ["sex", "id"]}],
  "conditions": [{"name": "adult income", "expression": "income == null || age >= 16"}, {"name": "never there", "expression": "maybe == null"}]}`

func check(t testing.TB, s *Schema, tab *table.Table, o CheckOptions) assay.Validation {
	t.Helper()
	v, err := s.Check(context.Background(), tab, o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestCheck(t *testing.T) {
	v := check(t, parse(t, peopleSchema), csv(t, engine(t), people), CheckOptions{Boundary: "data"})
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	assaytest.Golden(t, "people.validation.json", append(b, '\n'))
	if v.Verdict != assay.Fail || v.Failing != 5 {
		t.Errorf("verdict %s, %d failing", v.Verdict, v.Failing)
	}
	// Where the missing column and the extra one are no violations, rows fail for their own reasons.
	s := parse(t, peopleSchema)
	s.Closed, s.Columns[6].Optional = false, true
	v = check(t, s, csv(t, engine(t), people), CheckOptions{})
	if v.Failing != 4 {
		t.Errorf("%d failing", v.Failing)
	}
}

func TestQuarantine(t *testing.T) {
	s := parse(t, peopleSchema)
	s.Closed, s.Columns[6].Optional = false, true
	e := engine(t)
	tab := csv(t, e, people)
	// JSON has no word for NaN and infinity, so that a file of JSON Lines would not hold the rows as they are.
	_, err := s.Check(context.Background(), tab, CheckOptions{Quarantine: filepath.Join(t.TempDir(), "bad.jsonl")})
	if assay.CodeOf(err) != assay.Rejected {
		t.Error(err)
	}
	finite := csv(t, e, strings.NewReplacer("nan", "-1", "inf", "-2").Replace(people))
	for ext, tab := range map[string]*table.Table{"csv": tab, "jsonl": finite, "parquet": tab} {
		p := filepath.Join(t.TempDir(), "bad."+ext)
		check(t, s, tab, CheckOptions{Quarantine: p})
		if ext != "parquet" {
			b, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			assaytest.Golden(t, "people.quarantine."+ext, b)
		}
	}
	// Nothing fails: the file is there and holds no row.
	p := filepath.Join(t.TempDir(), "none.csv")
	check(t, parse(t, `{"schema": "assay.schema/1", "columns": []}`), tab, CheckOptions{Quarantine: p})
	if b, err := os.ReadFile(p); err != nil || string(b) != "id,age,income,sex,zip,born,extra,_row,_reasons\n" {
		t.Errorf("%q %v", b, err)
	}
	_, err = s.Check(context.Background(), tab, CheckOptions{Quarantine: "bad.xlsx"})
	if assay.CodeOf(err) != assay.Invalid {
		t.Error(err)
	}
}

func TestCheckVerdicts(t *testing.T) {
	e := engine(t)
	for _, c := range []struct {
		name, schema, data string
		want               assay.Verdict
	}{
		{"passes", `{"name": "a", "type": "integer", "range": {"min": 0}}`, "a\n1\n2\n", assay.Pass},
		{"fails", `{"name": "a", "type": "integer", "range": {"min": 2}}`, "a\n1\n2\n", assay.Fail},
		{"a warning passes", `{"name": "a", "type": "integer", "range": {"min": 2, "severity": "warning"}}`, "a\n1\n2\n", assay.Pass},
		{"mostly holds", `{"name": "a", "type": "integer", "range": {"min": 2, "mostly": 0.5}}`, "a\n1\n2\n", assay.Pass},
		{"nine of ten are 0.9", `{"name": "a", "type": "integer", "range": {"min": 1, "mostly": 0.9}}`, "a\n0\n1\n1\n1\n1\n1\n1\n1\n1\n1\n", assay.Pass},
		{"mostly does not hold", `{"name": "a", "type": "integer", "range": {"min": 2, "mostly": 0.6}}`, "a\n1\n2\n", assay.Fail},
		{"no rows", `{"name": "a"}`, "a\n", assay.Undetermined},
		{"no rows and a column is missing", `{"name": "b"}`, "a\n", assay.Fail},
		{"another type", `{"name": "a", "type": "date"}`, "a\n1\n", assay.Fail},
		{"all missing fits every type", `{"name": "a", "type": "date"}, {"name": "b"}`, "a,b\n,1\n", assay.Pass},
		{"whole numbers are integers", `{"name": "a", "type": "integer", "range": {"max": 2}}`, "a\n1.0\n2.0\n", assay.Pass},
		{"integers are numbers", `{"name": "a", "type": "number", "finite": {}, "range": {"max": 2}}`, "a\n1\n2\n", assay.Pass},
		{"fractions are no integers", `{"name": "a", "type": "integer"}`, "a\n1.5\n2.0\n", assay.Fail},
		{"NaN is no integer", `{"name": "a", "type": "integer"}`, "a\nnan\n2.0\n", assay.Fail},
		{"NaN may be allowed", `{"name": "a", "type": "number", "finite": {"allow": ["nan"]}, "range": {"max": 3}}`, "a\nnan\n2.0\n", assay.Pass},
		{"infinity may be allowed, and is out of range", `{"name": "a", "type": "number", "finite": {"allow": ["infinity"]}, "range": {"max": 3}}`, "a\ninf\n2.0\n", assay.Fail},
		{"beyond 64 bits", `{"name": "a", "type": "integer", "range": {"max": "100000000000000000001"}}`, "a\n100000000000000000002\n1\n", assay.Fail},
		{"unique ignores missing values", `{"name": "a", "type": "integer", "unique": {}}, {"name": "b"}`, "a,b\n,1\n,1\n1,1\n", assay.Pass},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := check(t, parse(t, `{"schema": "assay.schema/1", "columns": [`+c.schema+`]}`), csv(t, e, c.data), CheckOptions{})
			if v.Verdict != c.want {
				t.Errorf("got %s: %+v", v.Verdict, v.Violations)
			}
		})
	}
}

// What a check says may hold limits of the schema, and no value of the data.
func TestCheckKeepsValuesSecret(t *testing.T) {
	s := parse(t, `{"schema": "assay.schema/1", "closed": true, "columns": [{"name": "a", "type": "string", "set": {"values": ["x"]}, "length": {"max": 2}, "pattern": {"regexp": "^y"}, "unique": {}},
	  {"name": "b", "type": "integer"}], "keys": [{"columns": ["a"]}], "conditions": [{"name": "c", "expression": "a == 'q'"}]}`)
	v := check(t, s, csv(t, engine(t), "a,b\ns3cr3t,s3cr3t\ns3cr3t,s3cr3t\n"), CheckOptions{})
	b, _ := json.Marshal(v)
	if strings.Contains(string(b), "s3cr3t") || len(v.Violations) != 7 {
		t.Errorf("%s", b)
	}
}

func TestCheckManyColumns(t *testing.T) {
	t.Parallel()
	var names, cells, cols []string
	for i := range 1000 {
		names, cells = append(names, fmt.Sprintf("c%d", i)), append(cells, "1")
		cols = append(cols, fmt.Sprintf(`{"name": "c%d", "type": "integer", "not_null": {}, "range": {"min": 2}}`, i))
	}
	tab := csv(t, engine(t), strings.Join(names, ",")+"\n"+strings.Join(cells, ",")+"\n")
	v := check(t, parse(t, `{"schema": "assay.schema/1", "columns": [`+strings.Join(cols, ",")+`]}`), tab, CheckOptions{})
	if len(v.Violations) != 1000 {
		t.Errorf("%d violations", len(v.Violations))
	}
}
