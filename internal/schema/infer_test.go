package schema

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/table"
)

func TestInferEmployment(t *testing.T) {
	e := engine(t)
	tab, err := e.Read(context.Background(), filepath.Join(assaytest.Root(), "examples", "employment", "train_2015.parquet"), table.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Infer(context.Background(), tab, InferOptions{Name: "employment", Key: []string{"id"}, Optional: []string{"employed"}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.JSON()
	if err != nil {
		t.Fatal(err)
	}
	assaytest.Golden(t, "employment.schema.json", b)
	v := check(t, s, tab, CheckOptions{Boundary: "data"})
	if v.Verdict != assay.Pass || len(v.Violations) != 0 || v.Constraints < 60 {
		t.Errorf("a table does not satisfy what was inferred from it: %+v", v)
	}
}

// synthetic has one column for each thing that can be inferred, and rows rows.
func synthetic(rows int) string {
	var b strings.Builder
	b.WriteString("id,code,word,level,amount,when,many,hole,empty\n")
	for i := range rows {
		hole := fmt.Sprint(i % 7)
		if i%10 == 0 {
			hole = ""
		}
		fmt.Fprintf(&b, "%d,AB-%05d,%s,%s,%d.5,2020-01-%02d,%d,%s,\n", 1000+i, i*7, strings.Repeat("x", 1+i%9)+fmt.Sprint(i), []string{"low", "high"}[i%2], i%90, 1+i%28, i*i%400, hole)
	}
	return b.String()
}

func TestInferSynthetic(t *testing.T) {
	e := engine(t)
	for _, rows := range []int{5, 50, 2000} {
		tab := csv(t, e, synthetic(rows))
		s, err := Infer(context.Background(), tab, InferOptions{})
		if err != nil {
			t.Fatal(err)
		}
		b, _ := s.JSON()
		assaytest.Golden(t, fmt.Sprintf("synthetic_%d.schema.json", rows), b)
		if v := check(t, s, tab, CheckOptions{}); len(v.Violations) != 0 {
			t.Errorf("%d rows: %+v", rows, v.Violations)
		}
	}
	tab := csv(t, e, "a,b\n")
	s, err := Infer(context.Background(), tab, InferOptions{})
	if err != nil || len(s.Columns) != 2 || s.Columns[0].Type != "" {
		t.Errorf("%+v %v", s, err)
	}
	if _, err := Infer(context.Background(), tab, InferOptions{Key: []string{"aa"}}); assay.CodeOf(err) != assay.NotFound {
		t.Error(err)
	}
}

func TestShapes(t *testing.T) {
	for _, c := range []struct {
		shapes []string
		want   string
	}{
		{[]string{"99999"}, "^[0-9]{5}$"},
		{[]string{"99999", "9999"}, "^[0-9]{4,5}$"},
		{[]string{"AA-99", "AA-9"}, "^[A-Z]{2}-[0-9]{1,2}$"},
		{[]string{"A.9(9)"}, `^[A-Z]\.[0-9]\([0-9]\)$`},
		{[]string{"Aaaa", "Aaaaa"}, ""},
		{[]string{"aaaa"}, ""},
		{[]string{"99", "9a"}, ""},
		{[]string{"9é"}, ""},
		{[]string{"9-9-9-9-9-9"}, ""},
	} {
		got, ok := shapesToPattern(c.shapes)
		if !ok {
			got = ""
		}
		if got != c.want {
			t.Errorf("%v: %q, want %q", c.shapes, got, c.want)
		}
	}
}
