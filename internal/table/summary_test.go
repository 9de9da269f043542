package table

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// A finiteOracle is what pandas says of the finite values of a column. The strings inf and -inf are infinities.
type finiteOracle struct {
	N         int64                      `json:"n"`
	Quantiles map[string]json.RawMessage `json:"quantiles"`
	Zeros     int64                      `json:"n_zeros"`
	Negatives int64                      `json:"n_negative"`
	Increase  bool                       `json:"monotonic_increase"`
	Decrease  bool                       `json:"monotonic_decrease"`
	Histogram struct {
		Counts []int64   `json:"counts"`
		Edges  []float64 `json:"edges"`
	} `json:"histogram_10"`
	Mean, Std, Variance, Min, Max, Sum, Skewness, Kurtosis, MAD json.RawMessage
}

type columnOracle struct {
	Missing  int64                `json:"n_missing"`
	Distinct int64                `json:"n_distinct"`
	Unique   int64                `json:"n_unique"`
	Infinite int64                `json:"n_infinite"`
	Top      [][2]json.RawMessage `json:"top10"`
	Finite   *finiteOracle        `json:"finite"`
}

func number(raw json.RawMessage) float64 {
	switch string(raw) {
	case "", "null":
		return math.NaN()
	case `"inf"`:
		return math.Inf(1)
	case `"-inf"`:
		return math.Inf(-1)
	}
	var f float64
	if err := json.Unmarshal(raw, &f); err != nil {
		return math.NaN()
	}
	return f
}

func TestSummarizeAgainstPandas(t *testing.T) {
	e := open(t)
	tables := filepath.Join(assaytest.Root(), "testdata", "oracle", "data", "tables")
	for _, c := range []struct{ oracle, table, path string }{
		{"data/column_stats.json", "titanic", filepath.Join(tables, "titanic.csv")},
		{"data/column_stats.json", "nasty", filepath.Join(tables, "nasty.csv")},
		{"data/column_stats_ma_employment.json", "ma_employment_train_2015", example("train_2015.parquet")},
	} {
		var oracle struct {
			Tables map[string]struct {
				Pandas map[string]columnOracle `json:"pandas"`
			} `json:"tables"`
		}
		assaytest.OracleInto(t, c.oracle, &oracle)
		tab := read(t, e, c.path, ReadOptions{})
		all, err := tab.Summarize(context.Background(), nil, SummaryOptions{Bins: 10})
		if err != nil {
			t.Fatal(err)
		}
		if len(oracle.Tables[c.table].Pandas) != len(all) {
			t.Fatalf("%s: %d columns, the oracle has %d", c.table, len(all), len(oracle.Tables[c.table].Pandas))
		}
		for _, s := range all {
			want := oracle.Tables[c.table].Pandas[s.Name]
			compareSummary(t, c.table+"."+s.Name, s, want)
		}
	}
}

func compareSummary(t *testing.T, name string, s Summary, want columnOracle) {
	t.Helper()
	if s.Nulls+s.NaNs != want.Missing || s.Distinct != want.Distinct || s.Unique != want.Unique {
		t.Errorf("%s: missing %d distinct %d unique %d, want %d %d %d", name, s.Nulls+s.NaNs, s.Distinct, s.Unique, want.Missing, want.Distinct, want.Unique)
	}
	var counts, wantCounts []int64
	for _, f := range s.Top {
		counts = append(counts, f.Count)
	}
	for _, f := range want.Top {
		wantCounts = append(wantCounts, int64(number(f[1])))
	}
	if !slices.Equal(counts, wantCounts) {
		t.Errorf("%s: top counts %v, want %v", name, counts, wantCounts)
	}
	if want.Finite == nil || s.Numbers == nil || s.Type == assay.TypeBoolean {
		return
	}
	n, w := s.Numbers, want.Finite
	if n.PosInf+n.NegInf != want.Infinite || n.Count != w.N || n.Zeros != w.Zeros || n.Negatives != w.Negatives {
		t.Errorf("%s: infinite %d finite %d zeros %d negative %d, want %d %d %d %d", name, n.PosInf+n.NegInf, n.Count, n.Zeros, n.Negatives, want.Infinite, w.N, w.Zeros, w.Negatives)
	}
	if w.N == s.Rows && (n.Increasing != w.Increase || n.Decreasing != w.Decrease) {
		t.Errorf("%s: increasing %t decreasing %t, want %t %t", name, n.Increasing, n.Decreasing, w.Increase, w.Decrease)
	}
	near := func(what string, got assay.Number, raw json.RawMessage, rel float64) {
		x, y := float64(got), number(raw)
		tol := assaytest.Tolerance{Rel: rel, Abs: rel}
		if !tol.Near(x, y) {
			t.Errorf("%s: %s is %v, want %v", name, what, x, y)
		}
	}
	near("min", n.Min, w.Min, 1e-9)
	near("max", n.Max, w.Max, 1e-9)
	near("mad", n.MAD, w.MAD, 1e-9)
	near("sum", n.Sum, w.Sum, 1e-9)
	near("mean", n.Mean, w.Mean, 1e-9)
	if !math.IsInf(float64(n.Mean), 0) { // of an infinite mean pandas makes an infinite deviation, which is NaN by arithmetic
		near("variance", n.Variance, w.Variance, 1e-9)
		near("std", n.Std, w.Std, 1e-9)
		near("skewness", n.Skewness, w.Skewness, 1e-8)
		near("kurtosis", n.Kurtosis, w.Kurtosis, 1e-8)
	}
	for _, q := range n.Quantiles {
		near("quantile "+fmt.Sprint(q.P), q.Value, w.Quantiles[fmt.Sprint(q.P)], 1e-9)
	}
	if len(w.Histogram.Counts) > 0 && !slices.Equal(n.Counts, w.Histogram.Counts) {
		t.Errorf("%s: histogram %v, want %v", name, n.Counts, w.Histogram.Counts)
	}
	for i, edge := range w.Histogram.Edges {
		if (assaytest.Tolerance{Rel: 1e-9, Abs: 1e-12}).Near(n.Edges[i], edge) {
			continue
		}
		t.Errorf("%s: edge %d is %v, want %v", name, i, n.Edges[i], edge)
	}
}

// A summary over few and many values, with and without fixed edges, against definitions computed the slow way.
func TestSummarizeAgainstDefinitions(t *testing.T) {
	e := open(t)
	ctx := context.Background()
	var x []float64
	for i := range 10_000 {
		x = append(x, math.Floor(1e6*math.Sin(float64(i)))/128)
	}
	x = append(x, math.NaN(), 0, -5e-324, 5e-324, -1e300, 1e300)
	tab, err := e.FromFrame(ctx, assay.Frame{{Name: "x", Type: assay.TypeNumber, Floats: x}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := tab.Summarize(ctx, []string{"x"}, SummaryOptions{Edges: map[string][]float64{"x": {-1000, 0, 10, 1000}}, Quantiles: []float64{0, 0.3, 1}, Top: -1})
	if err != nil {
		t.Fatal(err)
	}
	sorted := slices.DeleteFunc(slices.Clone(x), math.IsNaN)
	slices.Sort(sorted)
	n := s[0].Numbers
	if s[0].Distinct != int64(len(slices.Compact(slices.Clone(sorted)))) || n.Count != int64(len(sorted)) || s[0].Nulls != 1 || len(s[0].Top) != 0 {
		t.Errorf("%+v", s[0])
	}
	h := 0.3 * float64(len(sorted)-1)
	want := sorted[int(h)] + (h-math.Floor(h))*(sorted[int(h)+1]-sorted[int(h)])
	if n.Quantiles[0].Value != -1e300 || math.Abs(float64(n.Quantiles[1].Value)-want) > 1e-9 || n.Quantiles[2].Value != 1e300 {
		t.Errorf("quantiles %v, want %v in the middle", n.Quantiles, want)
	}
	var counts [3]int64
	var outside int64
	for _, v := range sorted {
		switch {
		case v < -1000 || v > 1000:
			outside++
		case v < 0:
			counts[0]++
		case v < 10:
			counts[1]++
		default:
			counts[2]++
		}
	}
	if !slices.Equal(n.Counts, counts[:]) || n.Outside != outside {
		t.Errorf("histogram %v and %d outside, want %v and %d", n.Counts, n.Outside, counts, outside)
	}
	for _, o := range []SummaryOptions{{Bins: -1}, {Quantiles: []float64{1.5, math.NaN()}}, {Edges: map[string][]float64{"x": {1, 1}}}} {
		if _, err := tab.Summarize(ctx, nil, o); assay.CodeOf(err) != assay.Invalid {
			t.Errorf("%+v: %v", o, err)
		}
	}
	empty, err := tab.Summarize(ctx, nil, SummaryOptions{Where: "false"})
	if err != nil || empty[0].Rows != 0 || !math.IsNaN(float64(empty[0].Numbers.Mean)) {
		t.Errorf("no rows: %+v, %v", empty, err)
	}
	if _, err := json.Marshal(empty); err != nil {
		t.Error(err)
	}
}

// Values of 128-bit integers and decimals are counted exactly, and every type has a summary.
func TestSummarizeEveryType(t *testing.T) {
	e := open(t)
	ctx := context.Background()
	tab := read(t, e, file(t, "a.csv", "h,b,d,t,c,s\n170141183460469231731687303715884105727,true,2020-01-01,2020-01-01 10:00:00,10:00:00,é\n"+
		"170141183460469231731687303715884105726,false,2020-01-03,2020-01-01 10:00:02,11:00:00,xyz\n,,,,,\n"), ReadOptions{})
	all, err := tab.Summarize(ctx, nil, SummaryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"h": "170141183460469231731687303715884105726", "b": "false", "d": "2020-01-01", "t": "2020-01-01 10:00:00", "c": "10:00:00", "s": "xyz",
	}
	for _, s := range all {
		if s.Rows != 3 || s.Nulls != 1 || s.Distinct != 2 || s.Unique != 2 || s.Top[0].Value != want[s.Name] {
			t.Errorf("%+v", s)
		}
	}
	if s := all[5].Lengths; s == nil || s.Min != 1 || s.Max != 3 || s.Mean != 2 {
		t.Errorf("lengths %+v", s)
	}
	if n := all[2].Numbers; n.Mean != 1577836800+86400 {
		t.Errorf("the mean date is %v", n.Mean)
	}
}

// TestSummarizeExactEnds: the ends of whole numbers beyond float64 are exact, whatever their width, and so is whether they rise; those that float64 holds are not said twice.
func TestSummarizeExactEnds(t *testing.T) {
	e := open(t, Options{})
	tab := readText(t, e, `small,edge,big,least,wide,class
1,0,9007199254740993,-9223372036854775808,170141183460469231731687303715884105727,a
2,-9007199254740991,9007199254740994,9223372036854775807,-170141183460469231731687303715884105726,b
3,9007199254740991,9007199254740995,0,1,a
`)
	all, err := tab.Summarize(context.Background(), nil, SummaryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][2]string{
		"small": {}, "edge": {}, "big": {"9007199254740993", "9007199254740995"}, "least": {"-9223372036854775808", "9223372036854775807"},
		"wide": {"-170141183460469231731687303715884105726", "170141183460469231731687303715884105727"},
	}
	for _, s := range all {
		w, ok := want[s.Name]
		if !ok {
			continue
		}
		n := s.Numbers
		if got := [2]string{n.ExactMin, n.ExactMax}; got != w || s.Type != assay.TypeInteger {
			t.Errorf("%s (%s) lies between %q, want %q", s.Name, s.Type, got, w)
		}
		if s.Name == "big" && (!n.Increasing || n.Decreasing || n.Min != 9007199254740992) { // the first two are one float64
			t.Errorf("big: %+v", n)
		}
	}
	err = tab.Examine(context.Background(), []string{"big", "class"}, ExamineOptions{Each: func(x *Examined) error {
		if x.Name == "big" && (x.Numbers.ExactMin != "9007199254740993" || x.Numbers.ExactMax != "9007199254740995") {
			t.Errorf("examined: %+v", x.Numbers)
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(all[0].Numbers)
	if err != nil || strings.Contains(string(b), "exact") {
		t.Errorf("a small column says its ends twice: %s (%v)", b, err)
	}
}
