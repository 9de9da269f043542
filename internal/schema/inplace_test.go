package schema

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/table"
)

const noColumns = `{"schema": "assay.schema/1", "columns": []}`

func inPlace(t *testing.T, path string) *table.Table {
	t.Helper()
	e, err := table.Open(context.Background(), table.Options{TempDir: t.TempDir(), InPlace: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	tab, err := e.Read(context.Background(), path, table.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !tab.InPlace() {
		t.Fatal("the file was loaded")
	}
	return tab
}

// TestInPlaceEqualsLoaded checks files where they lie and loaded: the validation and the quarantine file are the same.
func TestInPlaceEqualsLoaded(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	e := engine(t)
	written := filepath.Join(t.TempDir(), "people.parquet")
	if err := csv(t, e, people).Write(ctx, written, nil, ""); err != nil {
		t.Fatal(err)
	}
	example := filepath.Join(assaytest.Root(), "examples", "employment", "train_2015.parquet")
	if !assaytest.Full() { // a sixteenth of its rows
		whole, err := e.Read(ctx, example, table.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		part, err := whole.Where(ctx, "_row % 16 = 0")
		if err != nil {
			t.Fatal(err)
		}
		example = filepath.Join(t.TempDir(), "part.parquet")
		if err := part.Write(ctx, example, nil, ""); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{written, example} {
		loaded, err := e.Read(ctx, path, table.ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		inferred, err := Infer(ctx, loaded, InferOptions{})
		if err != nil {
			t.Fatal(err)
		}
		narrow := *inferred
		narrow.Columns = append([]Column(nil), inferred.Columns...)
		for i := range narrow.Columns {
			if r := narrow.Columns[i].Range; r != nil && r.Max != nil && narrow.Columns[i].Type.Numeric() {
				low := *r
				low.Max = low.Min
				narrow.Columns[i].Range = &low
			}
			narrow.Columns[i].Unique = &Unique{}
		}
		for name, s := range map[string]*Schema{"inferred": inferred, "broken": &narrow, "other": parse(t, peopleSchema), "none": parse(t, noColumns)} {
			var docs, rows [2][]byte
			for i, tab := range []*table.Table{loaded, inPlace(t, path)} {
				o := CheckOptions{Boundary: "data", Quarantine: filepath.Join(t.TempDir(), "bad.csv")}
				if docs[i], err = json.Marshal(check(t, s, tab, o)); err != nil {
					t.Fatal(err)
				}
				if rows[i], err = os.ReadFile(o.Quarantine); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(docs[0], docs[1]) || !bytes.Equal(rows[0], rows[1]) {
				t.Errorf("%s, %s: loaded %s, in place %s; quarantine files of %d and %d bytes", filepath.Base(path), name, docs[0], docs[1], len(rows[0]), len(rows[1]))
			}
		}
	}
}

// The statistics of a file say what its writer wanted to: a value that they deny is found all the same.
func TestInPlaceDoesNotBelieveStatistics(t *testing.T) {
	ctx := context.Background()
	const greatest = 72623859790382856
	path := filepath.Join(t.TempDir(), "lies.parquet")
	if err := csv(t, engine(t), "a\n5\n72623859790382856\n").Write(ctx, path, nil, ""); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	footer := len(b) - 8 - int(binary.LittleEndian.Uint32(b[len(b)-8:]))
	truth, lie := binary.LittleEndian.AppendUint64(nil, greatest), binary.LittleEndian.AppendUint64(nil, 6)
	if !bytes.Contains(b[footer:], truth) {
		t.Fatal("the file has no statistics to falsify")
	}
	b = append(b[:footer:footer], bytes.ReplaceAll(b[footer:], truth, lie)...)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	v := check(t, parse(t, `{"schema": "assay.schema/1", "columns": [{"name": "a", "type": "integer", "range": {"max": 10}}]}`), inPlace(t, path), CheckOptions{})
	if v.Verdict != assay.Fail || v.Failing != 1 || v.Violations[0].Rows[0] != 2 {
		t.Errorf("%+v", v)
	}
}

// Damage and a file that changes are found by the check, also where the schema names no column of the file.
func TestInPlaceRejects(t *testing.T) {
	ctx := context.Background()
	b, err := os.ReadFile(filepath.Join(assaytest.Root(), "examples", "employment", "train_2015.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	whole, damaged := filepath.Join(t.TempDir(), "whole.parquet"), filepath.Join(t.TempDir(), "damaged.parquet")
	if err := os.WriteFile(whole, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s := parse(t, noColumns)
	changed := inPlace(t, whole)
	if err := os.Chtimes(whole, time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	_, err = s.Check(ctx, changed, CheckOptions{})
	if assay.CodeOf(err) != assay.Rejected || !strings.Contains(err.Error(), "whole.parquet changed while it was being read") {
		t.Errorf("%v, want rejected: changed", err)
	}
	e, err := table.Open(ctx, table.Options{TempDir: t.TempDir(), InPlace: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	// Damage may be found when the file is opened or when its pages are read.
	for _, from := range []int{100, len(b) / 3} {
		bad := bytes.Clone(b)
		for i := from; i < from+5000; i++ {
			bad[i] ^= 0x5a
		}
		if err := os.WriteFile(damaged, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		tab, err := e.Read(ctx, damaged, table.ReadOptions{})
		if err == nil {
			_, err = s.Check(ctx, tab, CheckOptions{})
		}
		if assay.CodeOf(err) != assay.Rejected || !strings.Contains(err.Error(), "damaged.parquet is damaged") {
			t.Errorf("from byte %d: %v, want rejected: damaged", from, err)
		}
	}
}

// TestScreenEqualsCounts breaks rules of a wide table in every group of which a screening statement asks at once, in some, and in one.
func TestScreenEqualsCounts(t *testing.T) {
	ctx := context.Background()
	wide := csv(t, engine(t), wideCSV(80, 30))
	c := &checking{table: wide}
	for _, every := range []int{1, 7, 1000000} {
		y := &tally{at: map[string]int{}}
		for i, f := range wide.Fields() {
			y.add(ident(f.Name)+" IS NULL", "", []string{f.Name})
			if f.Type == assay.TypeInteger {
				limit := "100"
				if i%every == 0 {
					limit = "1"
				}
				y.add(ident(f.Name)+" > "+limit, "", []string{f.Name})
			}
		}
		want, err := c.run(ctx, y)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.screen(ctx, y)
		if err != nil {
			t.Fatal(err)
		}
		var sum int64
		for i := range want {
			if sum += want[i]; got[i] != want[i] {
				t.Fatalf("every %d: %s: %d, want %d", every, y.suspect[i], got[i], want[i])
			}
		}
		if sum == 0 {
			t.Fatalf("every %d: nothing is broken", every)
		}
	}
}
