package schema

import (
	"context"
	"fmt"
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
