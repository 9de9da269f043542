package table

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
)

// wideText is a table of 5 columns repeated; the last column of all is the row's number.
func wideText(times, rows int) string {
	var b strings.Builder
	for i := range times {
		fmt.Fprintf(&b, "n%d,f%d,s%d,d%d,h%d,", i, i, i, i, i)
	}
	b.WriteString("last\n")
	for r := range rows {
		for range times {
			missing := fmt.Sprintf("%g", float64(r*r%101)/7)
			if r%9 == 0 {
				missing = ""
			}
			fmt.Fprintf(&b, "%d,%s,k%d,2020-01-%02d,1234567890123456789012%d,", r*37%11, missing, r*r%5, 1+r%28, r%10)
		}
		fmt.Fprintf(&b, "%d\n", r)
	}
	return b.String()
}

// TestWideEqualsNarrow holds what is read of a table of 301 columns, whose statements name stored columns and read groups of them,
// against a table of 6 columns, whose statements go through its view one column at a time.
func TestWideEqualsNarrow(t *testing.T) {
	ctx := context.Background()
	e := open(t)
	const rows = 120
	narrow, wide := readText(t, e, wideText(1, rows)), readText(t, e, wideText(60, rows))
	if len(wide.fields) < WideColumns || wide.From("n3") == wide.relation || narrow.From("n0") != narrow.relation {
		t.Fatal("the wide table is not wide, or the narrow one not narrow")
	}
	for _, cond := range []string{"", "last % 3 = 1 AND n0 < 9"} {
		a, b := narrow, wide
		if cond != "" {
			var err error
			if a, err = a.Where(ctx, cond); err != nil {
				t.Fatal(err)
			}
			if a, err = a.Where(ctx, "_row > 4"); err != nil {
				t.Fatal(err)
			}
			if b, err = b.Where(ctx, cond); err != nil {
				t.Fatal(err)
			}
			if b, err = b.Where(ctx, "_row > 4"); err != nil {
				t.Fatal(err)
			}
			if a.rows != b.rows || b.rows == 0 {
				t.Fatalf("%d rows and %d", a.rows, b.rows)
			}
		}
		seen := map[string]string{}
		for _, tab := range []*Table{a, b} {
			n := 0
			by := &Examined{}
			keep := func(e *Examined) error { *by = *e; return nil }
			if err := tab.Examine(ctx, []string{"s0"}, ExamineOptions{Each: keep}); err != nil {
				t.Fatal(err)
			}
			err := tab.Examine(ctx, nil, ExamineOptions{By: by, Each: func(e *Examined) error {
				n++
				kind := strings.TrimRight(e.Name, "0123456789")
				e.Name = kind
				if first, ok := seen[kind]; !ok {
					seen[kind] = told(t, e)
				} else if first != told(t, e) {
					t.Errorf("%q: a column %s is\n%s, the first one\n%s", cond, kind, told(t, e), first)
				}
				return nil
			}})
			if err != nil || n != len(tab.fields) {
				t.Fatalf("%d columns examined, %v", n, err)
			}
		}
		fa, err := a.Frame(ctx, []string{"last", "s0"}, "")
		if err != nil {
			t.Fatal(err)
		}
		fb, err := b.Frame(ctx, []string{"last", "s0"}, "")
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(fa, fb) {
			t.Errorf("%q: frames differ", cond)
		}
		pa, err := a.Fingerprints(ctx, []string{"last", "n0"}, "")
		if err != nil {
			t.Fatal(err)
		}
		pb, err := b.Fingerprints(ctx, []string{"last", "n0"}, "")
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(pa, pb) {
			t.Errorf("%q: fingerprints differ", cond)
		}
		if cond != "" {
			if err := b.Drop(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// told writes all that an Examined column says.
func told(t *testing.T, e *Examined) string {
	b, err := json.Marshal([]any{e.Summary, e.Codes, e.Ranked, e.Texts, e.Counts, e.Characters, e.Groups})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s %v %v", b, e.Values, e.AUC)
}

func readText(t testing.TB, e *Engine, content string) *Table {
	path := filepath.Join(t.TempDir(), "t.csv")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return read(t, e, path, ReadOptions{})
}

// TestBesides holds Parquet files that are read as groups of columns beside each other against what was written: one of more columns than
// are read at a time, and one of several row groups.
func TestBesides(t *testing.T) {
	ctx := context.Background()
	e := open(t)
	wide := readText(t, e, wideText(besideColumns/5, 20))
	if from := besides("f", wide.fields, wide.rows, besideColumns); strings.Count(from, "POSITIONAL JOIN") != 1 {
		t.Fatalf("%d columns of %d rows are not read in two groups", len(wide.fields), wide.rows)
	}
	if from := besides("f", wide.fields, besideValues, besideColumns); from != "f" {
		t.Error("a file that does not fit into memory is read in groups")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "wide.parquet")
	if err := wide.Write(ctx, path, nil, "_row % 7 <> 3"); err != nil {
		t.Fatal(err)
	}
	back := read(t, e, path, ReadOptions{})
	if !reflect.DeepEqual(back.fields, wide.fields) {
		t.Fatal("the columns are others")
	}
	got, err := back.Fingerprints(ctx, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	want, err := wide.Fingerprints(ctx, nil, "_row % 7 <> 3")
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d rows, want %d: %v", len(got), len(want), err)
	}
	for i := range got {
		if got[i].Row != int64(i) || got[i].Fingerprint != want[i].Fingerprint {
			t.Fatalf("row %d is another", i)
		}
	}

	const rows = 300_000 // of more than two row groups
	long := Literal(filepath.Join(e.dir, "long.parquet"))
	if err := e.exec(ctx, fmt.Sprintf("COPY (SELECT i AS a, i * 7 %% 1000 AS b, 'k' || i AS c, i / 3 AS d, -i AS e FROM range(%d) r(i)) TO %s (FORMAT parquet)", rows, long)); err != nil {
		t.Fatal(err)
	}
	from := besides("read_parquet("+long+")", []assay.Field{{Name: "a"}, {Name: "b"}, {Name: "c"}, {Name: "d"}, {Name: "e"}}, rows, 2)
	if err := e.exec(ctx, "CREATE TABLE together AS SELECT a, b, c, d, e FROM "+from); err != nil {
		t.Fatal(err)
	}
	var n, ordered int64
	if err := e.queryRow(ctx, "SELECT count(*), count(*) FILTER (a = rowid AND b = a * 7 % 1000 AND c = 'k' || a AND d = a / 3 AND e = -a) FROM together", &n, &ordered); err != nil {
		t.Fatal(err)
	}
	if n != rows || ordered != rows {
		t.Fatalf("%d rows, %d of them whole and in their place; want %d", n, ordered, rows)
	}
}
