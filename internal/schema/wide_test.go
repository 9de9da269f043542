package schema

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// wideCSV is a table of 4 columns repeated, so that what is said of a column of a wide table can be compared with a narrow one.
func wideCSV(times, rows int) string {
	var b strings.Builder
	for i := range times {
		fmt.Fprintf(&b, "n%d,f%d,s%d,id%d,", i, i, i, i)
	}
	b.WriteString("last\n")
	for r := range rows {
		for range times {
			fmt.Fprintf(&b, "%d,%g,k%d,C%04d,", r%7, float64(r)/3, r%5, r)
		}
		fmt.Fprintf(&b, "%d\n", r%3)
	}
	return b.String()
}

// TestWideEqualsNarrow holds a schema of 301 columns, in the full command of 1,201, which statements read in parts, against that of 5
// columns.
func TestWideEqualsNarrow(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	const rows = 200
	times := 75
	if os.Getenv("ASSAY_TEST_FULL") != "" {
		times = 300
	}
	e := engine(t)
	narrow, wide := csv(t, e, wideCSV(1, rows)), csv(t, e, wideCSV(times, rows))
	if n := len(wide.Fields()); n < table.WideColumns {
		t.Fatalf("%d columns are not wide", n)
	}
	small, err := Infer(ctx, narrow, InferOptions{})
	if err != nil {
		t.Fatal(err)
	}
	large, err := Infer(ctx, wide, InferOptions{})
	if err != nil {
		t.Fatal(err)
	}
	plain := func(c Column) string {
		c.Name = ""
		s := New("x")
		s.Columns = []Column{c}
		s.Columns[0].Name = "x"
		b, err := s.JSON()
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for i := range large.Columns {
		want := small.Columns[4]
		if i < len(large.Columns)-1 {
			want = small.Columns[i%4]
		}
		if got := plain(large.Columns[i]); got != plain(want) {
			t.Fatalf("column %s is inferred as %s, alone as %s", large.Columns[i].Name, got, plain(want))
		}
	}
	v, err := large.Check(ctx, wide, CheckOptions{})
	if err != nil || v.Verdict != assay.Pass {
		t.Fatalf("its own schema: %v %v", v.Violations, err)
	}
	// Other rows: every column of numbers is broken in the rows from 200 on, in more statements than one.
	more := csv(t, e, wideCSV(times, rows+20))
	v, err = large.Check(ctx, more, CheckOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if v.Verdict != assay.Fail || v.Failing != 20 || len(v.Violations) != times {
		t.Fatalf("verdict %s, %d rows fail, %d violations: want fail, 20, %d", v.Verdict, v.Failing, len(v.Violations), times)
	}
	for _, x := range v.Violations {
		if x.Rule != RuleRange || x.Count != 20 || len(x.Rows) != DefaultFirstRows || x.Rows[0] != rows+1 {
			t.Fatalf("violation %+v", x)
		}
	}
	// A view keeps the numbers of its rows.
	part, err := more.Where(ctx, "_row >= 150")
	if err != nil {
		t.Fatal(err)
	}
	v, err = large.Check(ctx, part, CheckOptions{})
	if err != nil || v.Failing != 20 || v.Rows != 70 || v.Violations[0].Rows[0] != rows+1 {
		t.Fatalf("of a view: %d of %d rows fail, %v", v.Failing, v.Rows, err)
	}
}

// TestWideSuspects breaks each rule of numbers in a wide table, where the rules of a column are looked for together, and holds what is
// reported against a narrow table of the same values.
func TestWideSuspects(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	e := engine(t)
	doc := func(times int) *Schema {
		var cols []string
		for i := range times {
			cols = append(cols, fmt.Sprintf(`{"name":"a%[1]d","type":"number","not_null":{},"finite":{},"range":{"min":0,"max":10}},
				{"name":"b%[1]d","type":"number","finite":{"allow":["nan"]},"range":{"min":0,"max":10}},
				{"name":"c%[1]d","type":"integer","range":{"min":0,"max":10,"exclusive_max":true}},
				{"name":"d%[1]d","type":"number","not_null":{},"range":{"min":0,"max":10}}`, i))
		}
		s, err := Parse([]byte(`{"schema":"assay.schema/1","name":"x","columns":[` + strings.Join(cols, ",") + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	text := func(times int) string {
		rows := [][4]string{{"1.5", "2.5", "3", "4"}, {"", "2.5", "3", ""}, {"NaN", "NaN", "10", "5"}, {"inf", "-inf", "3", "0"}, {"10.5", "-0.5", "", "10"}, {"0", "10", "-1", "11"}}
		var b strings.Builder
		for i := range times {
			fmt.Fprintf(&b, "%sa%d,b%d,c%d,d%d", map[bool]string{true: ","}[i > 0], i, i, i, i)
		}
		for _, r := range rows {
			b.WriteString("\n" + strings.TrimSuffix(strings.Repeat(strings.Join(r[:], ",")+",", times), ","))
		}
		return b.String() + "\n"
	}
	count := func(times int) map[string]int64 {
		v, err := doc(times).Check(ctx, csv(t, e, text(times)), CheckOptions{})
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]int64{}
		for _, x := range v.Violations {
			out[x.Column+" "+x.Rule] = x.Count
		}
		return out
	}
	narrow, wide := count(1), count(70)
	want := map[string]int64{"a0 finite": 2, "a0 not_null": 1, "a0 range": 2, "b0 finite": 1, "b0 range": 2, "c0 range": 2, "d0 not_null": 1, "d0 range": 1}
	if !maps.Equal(narrow, want) || len(wide) != 70*len(want) {
		t.Fatalf("%d violations of 280 columns; of 4 columns %v, want %v", len(wide), narrow, want)
	}
	for rule, n := range narrow {
		for i := range 70 {
			if name := strings.Replace(rule, "0", fmt.Sprint(i), 1); wide[name] != n {
				t.Errorf("%s: %d rows, alone %d", name, wide[name], n)
			}
		}
	}
}
