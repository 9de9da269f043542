package web

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/dataset"
	"github.com/assay-ml/assay/internal/table"
)

func sampleProfile(columns int) *dataset.ProfileReport {
	nan := assay.Number(math.NaN())
	r := &dataset.ProfileReport{
		Rows: 1234, Columns: columns, Scope: "all rows", Exact: true, Missing: 12, Duplicates: dataset.Duplicates{Rows: 3, Ignored: []string{"c0"}, Without: 5},
		Target:    &dataset.TargetProfile{Column: "y", Task: assay.Binary, Classes: []dataset.Class{{Value: "no", Count: 1000, Fraction: 0.81, Weight: 0.617}, {Value: "yes", Count: 234, Fraction: 0.19, Weight: 2.64}}, Imbalance: 0.3, Ratio: 4.27, Consequences: []string{"split by stratum"}},
		Alerts:    []assay.Alert{{Code: "disguised_missing", Columns: []string{"c1"}, Effect: 0.5, Message: "<script>alert(1)</script>", Advice: "look"}},
		Disguised: []dataset.Disguise{{Column: "c1", Value: "0", Count: 7, Rule: "skip", Why: "why"}},
		Limits:    []string{"a limit"},
		Nullity:   &dataset.Nullity{Columns: []string{"c0", "<i>"}, Blocks: 3, Counts: [][]int64{{0, 100, 411}, {1, 0, 0}}},
		Holes:     []dataset.HolePair{{A: "c0", B: "c1", Both: 9, Phi: -0.25}},
	}
	for i := range columns {
		v := dataset.Variable{Summary: table.Summary{Name: fmt.Sprintf("c%d", i), Type: assay.TypeNumber, Rows: 1234, Distinct: 50, Top: []table.Frequency{{Value: "</style><b>", Count: 9}}, Numbers: &table.Numbers{
			Count: 1222, Min: 0, Max: 2015, Mean: 12.5, Std: 3, Variance: 9, Skewness: nan, Kurtosis: 1, MAD: 2, Sum: 100000,
			Quantiles: []table.QuantileValue{{P: 0.25, Value: 1}, {P: 0.5, Value: 2}, {P: 0.75, Value: 3}}, Edges: []float64{0, 1, 2}, Counts: []int64{1000, 222},
		}}, Kind: dataset.KindQuantity, Missing: 12, Relation: &dataset.Relation{Strength: 0.4, Measure: "auc", AUC: 0.7, CramersV: nan, Eta: nan, Spearman: nan, MissingIn: nan, MissingOut: nan}}
		v.Groups = []dataset.Group{{Class: "no", Numbers: *v.Numbers}, {Class: "yes", Numbers: *v.Numbers}}
		if i == 1 {
			v.Bands = []dataset.Band{{From: 0, To: 0.1, Low: -3, High: 2, Count: 120, Mean: 7.5, Std: 1.25}, {From: 0.1, To: 1, Low: 2, High: 99, Count: 1, Mean: 8, Std: nan}}
		}
		r.Variables = append(r.Variables, v)
		for j := range min(i, 40) {
			r.Pairs = append(r.Pairs, dataset.Pair{A: fmt.Sprintf("c%d", j), B: v.Name, N: 1222, Pearson: assay.Number(float64(j) / 41), Spearman: -0.5, CramersV: nan})
		}
	}
	return r
}

func TestProfileReport(t *testing.T) {
	var b bytes.Buffer
	if err := ProfileReport(&b, "people", sampleProfile(3), Footer{Version: "0.0.0", At: "2026-01-02T03:04:05Z"}); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, bad := range []string{"<script", "</style><b>", "http://", "https://", "src="} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %s", bad)
		}
	}
	assaytest.Golden(t, "profile.html", b.Bytes())
}

// The page of a very wide table stays within its size.
func TestProfileReportOfManyColumns(t *testing.T) {
	var b bytes.Buffer
	if err := ProfileReport(&b, "wide", sampleProfile(10_000), Footer{}); err != nil {
		t.Fatal(err)
	}
	if b.Len() > MaxReportBytes {
		t.Errorf("%d bytes", b.Len())
	}
	if !strings.Contains(b.String(), "9850 more columns") {
		t.Error("the page does not say what it leaves out")
	}
}
