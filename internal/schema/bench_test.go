package schema

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/table"
)

// BenchmarkCheck checks inferred constraints on a table, beside one scan of the table that looks at every column once. The table is
// the example data, or the file that the environment variable ASSAY_BENCH_TABLE names.
func BenchmarkCheck(b *testing.B) {
	path := os.Getenv("ASSAY_BENCH_TABLE")
	if path == "" {
		path = filepath.Join(assaytest.Root(), "examples", "employment", "train_2015.parquet")
	}
	e := engine(b)
	tab, err := e.Read(context.Background(), path, table.ReadOptions{})
	if err != nil {
		b.Fatal(err)
	}
	s, err := Infer(context.Background(), tab, InferOptions{})
	if err != nil {
		b.Fatal(err)
	}
	if out := os.Getenv("ASSAY_BENCH_SCHEMA"); out != "" {
		doc, err := s.JSON()
		if err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(out, doc, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	run := func(name string, s *Schema) {
		b.Run(fmt.Sprintf("%s/rows=%d/constraints=%d", name, tab.Rows(), len(s.constraints())), func(b *testing.B) {
			for b.Loop() {
				v, err := s.Check(context.Background(), tab, CheckOptions{})
				if err != nil || v.Verdict == assay.Undetermined {
					b.Fatal(v, err)
				}
			}
		})
	}
	run("pass", s)
	single := *s
	single.Columns = append([]Column(nil), s.Columns...)
	for i := range single.Columns {
		single.Columns[i].Unique = nil
	}
	run("pass_without_unique", &single)
	for i := range single.Columns {
		if r := single.Columns[i].Range; r != nil && r.Max != nil && single.Columns[i].Type.Numeric() {
			low := *r
			low.Max = low.Min
			single.Columns[i].Range = &low
		}
	}
	run("fail", &single)
	var sums []string
	for _, f := range tab.Fields() {
		id := table.Ident(f.Name)
		sums = append(sums, "count("+id+"), min("+id+"), max("+id+")")
	}
	b.Run("scan", func(b *testing.B) {
		for b.Loop() {
			rows, err := tab.Query(context.Background(), "SELECT "+strings.Join(sums, ", ")+" FROM "+tab.Relation())
			if err != nil || !rows.Next() {
				b.Fatal(err)
			}
			rows.Close()
		}
	})
	b.Run("infer", func(b *testing.B) {
		for b.Loop() {
			if _, err := Infer(context.Background(), tab, InferOptions{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
