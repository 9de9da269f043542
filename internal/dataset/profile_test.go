package dataset

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/table"
)

func profileOf(t testing.TB, path string, o ProfileOptions) *ProfileReport {
	t.Helper()
	tab, err := engine(t).Read(context.Background(), path, table.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Profile(context.Background(), tab, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A wild is a float that may be the string inf or -inf, or null.
type wild float64

func (w *wild) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case "null":
		*w = wild(math.NaN())
	case `"inf"`:
		*w = wild(math.Inf(1))
	case `"-inf"`:
		*w = wild(math.Inf(-1))
	default:
		var v float64
		if err := json.Unmarshal(b, &v); err != nil {
			return err
		}
		*w = wild(v)
	}
	return nil
}

type profileOracle struct {
	Table struct {
		Rows       int64 `json:"n"`
		Columns    int   `json:"n_var"`
		Duplicates int64 `json:"duplicated_rows"`
	} `json:"table"`
	Pandas map[string]struct {
		Missing  int64                `json:"n_missing"`
		Distinct int64                `json:"n_distinct"`
		Unique   int64                `json:"n_unique"`
		Infinite int64                `json:"n_infinite"`
		Top      [][2]json.RawMessage `json:"top10"`
		Finite   *struct {
			N                   int64           `json:"n"`
			Mean                wild            `json:"mean"`
			Std                 wild            `json:"std"`
			Variance            wild            `json:"variance"`
			Min                 wild            `json:"min"`
			Max                 wild            `json:"max"`
			Sum                 wild            `json:"sum"`
			Skewness            wild            `json:"skewness"`
			Kurtosis            wild            `json:"kurtosis"`
			MAD                 wild            `json:"mad"`
			Quantiles           map[string]wild `json:"quantiles"`
			IQR                 wild            `json:"iqr"`
			CV                  wild            `json:"cv"`
			Zeros               int64           `json:"n_zeros"`
			Negatives           int64           `json:"n_negative"`
			MonotonicIncreasing bool            `json:"monotonic_increase"`
			MonotonicDecreasing bool            `json:"monotonic_decrease"`
			Histogram           struct {
				Counts []int64 `json:"counts"`
				Edges  []wild  `json:"edges"`
			} `json:"histogram_10"`
		} `json:"finite"`
	} `json:"pandas"`
	Correlations struct {
		Columns  []string `json:"columns"`
		Pearson  [][]wild `json:"pearson"`
		Spearman [][]wild `json:"spearman"`
	} `json:"correlations_pandas"`
	Cramer struct {
		Columns []string `json:"columns"`
		Data    [][]wild `json:"data"`
	} `json:"cramers_v_bias_corrected"`
}

// Every statistic of pandas' tables, as far as a profile states it.
func TestProfileAgainstPandas(t *testing.T) {
	tables := filepath.Join(assaytest.Root(), "testdata", "oracle", "data", "tables")
	for _, c := range []struct{ oracle, table, path string }{
		{"data/column_stats.json", "titanic", filepath.Join(tables, "titanic.csv")},
		{"data/column_stats.json", "nasty", filepath.Join(tables, "nasty.csv")},
		{"data/column_stats_ma_employment.json", "ma_employment_train_2015", filepath.Join(assaytest.Root(), "examples", "employment", "train_2015.parquet")},
	} {
		t.Run(c.table, func(t *testing.T) {
			var all struct {
				Tables map[string]profileOracle `json:"tables"`
			}
			assaytest.OracleInto(t, c.oracle, &all)
			want := all.Tables[c.table]
			got := profileOf(t, c.path, ProfileOptions{Bins: 10})
			if got.Rows != want.Table.Rows || got.Columns != want.Table.Columns || got.Duplicates.Rows != want.Table.Duplicates {
				t.Errorf("%d rows, %d columns, %d duplicates: want %+v", got.Rows, got.Columns, got.Duplicates.Rows, want.Table)
			}
			if len(got.Variables) != len(want.Pandas) {
				t.Errorf("%d columns, the oracle has %d", len(got.Variables), len(want.Pandas))
			}
			for _, v := range got.Variables {
				compareVariable(t, v, want)
			}
			comparePairs(t, got, want)
		})
	}
}

func agree(t *testing.T, what string, got assay.Number, want wild, rel float64) {
	t.Helper()
	if !(assaytest.Tolerance{Rel: rel, Abs: rel}).Near(float64(got), float64(want)) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func compareVariable(t *testing.T, v Variable, oracle profileOracle) {
	t.Helper()
	w := oracle.Pandas[v.Name]
	if v.Missing != w.Missing || v.Distinct != w.Distinct || v.Unique != w.Unique {
		t.Errorf("%s: missing %d distinct %d unique %d, want %d %d %d", v.Name, v.Missing, v.Distinct, v.Unique, w.Missing, w.Distinct, w.Unique)
	}
	for i, top := range v.Top {
		if string(w.Top[i][1]) != fmt.Sprint(top.Count) {
			t.Errorf("%s: frequency %d is %d, want %s", v.Name, i, top.Count, w.Top[i][1])
		}
	}
	n, f := v.Numbers, w.Finite
	if f == nil || n == nil || v.Type == assay.TypeBoolean {
		if (f == nil) != (n == nil) && v.Type.Numeric() {
			t.Errorf("%s: numbers only on one side", v.Name)
		}
		return
	}
	if n.Count != f.N || n.PosInf+n.NegInf != w.Infinite || n.Zeros != f.Zeros || n.Negatives != f.Negatives {
		t.Errorf("%s: finite %d infinite %d zeros %d negative %d, want %d %d %d %d", v.Name, n.Count, n.PosInf+n.NegInf, n.Zeros, n.Negatives, f.N, w.Infinite, f.Zeros, f.Negatives)
	}
	if f.N == v.Rows && (n.Increasing != f.MonotonicIncreasing || n.Decreasing != f.MonotonicDecreasing) {
		t.Errorf("%s: increasing %t decreasing %t", v.Name, n.Increasing, n.Decreasing)
	}
	agree(t, v.Name+" min", n.Min, f.Min, 1e-9)
	agree(t, v.Name+" max", n.Max, f.Max, 1e-9)
	agree(t, v.Name+" sum", n.Sum, f.Sum, 1e-9)
	agree(t, v.Name+" mean", n.Mean, f.Mean, 1e-9)
	agree(t, v.Name+" mad", n.MAD, f.MAD, 1e-9)
	q := map[float64]assay.Number{}
	for _, x := range n.Quantiles {
		q[x.P] = x.Value
		agree(t, fmt.Sprintf("%s quantile %v", v.Name, x.P), x.Value, f.Quantiles[fmt.Sprint(x.P)], 1e-9)
	}
	agree(t, v.Name+" iqr", q[0.75]-q[0.25], f.IQR, 1e-9)
	if !math.IsInf(float64(n.Mean), 0) { // from an infinite mean arithmetic makes NaN, and pandas an infinite deviation
		agree(t, v.Name+" std", n.Std, f.Std, 1e-9)
		agree(t, v.Name+" variance", n.Variance, f.Variance, 1e-9)
		agree(t, v.Name+" skewness", n.Skewness, f.Skewness, 1e-8)
		agree(t, v.Name+" kurtosis", n.Kurtosis, f.Kurtosis, 1e-8)
		if n.Mean != 0 {
			agree(t, v.Name+" cv", n.Std/n.Mean, f.CV, 1e-9)
		}
	}
	for i, k := range f.Histogram.Counts {
		if n.Counts[i] != k {
			t.Errorf("%s: bin %d holds %d, want %d", v.Name, i, n.Counts[i], k)
		}
	}
	for i, e := range f.Histogram.Edges {
		agree(t, fmt.Sprintf("%s edge %d", v.Name, i), assay.Number(n.Edges[i]), e, 1e-9)
	}
}

func comparePairs(t *testing.T, got *ProfileReport, want profileOracle) {
	t.Helper()
	pairs := map[[2]string]Pair{}
	for _, q := range got.Pairs {
		pairs[[2]string{q.A, q.B}], pairs[[2]string{q.B, q.A}] = q, q
	}
	nan := assay.Number(math.NaN())
	find := func(a, b string) Pair {
		if q, ok := pairs[[2]string{a, b}]; ok {
			return q
		}
		return Pair{Pearson: nan, Spearman: nan, CramersV: nan}
	}
	checked := 0
	for i, a := range want.Correlations.Columns {
		for j, b := range want.Correlations.Columns {
			if i <= j {
				continue
			}
			q := find(a, b)
			checked++
			if a != "nasty_num" && b != "nasty_num" { // its squares overflow in pandas; ours are scaled
				agree(t, "pearson of "+a+" and "+b, q.Pearson, want.Correlations.Pearson[i][j], 1e-9)
			}
			if a != "big_int" && b != "big_int" { // pandas rounds 100000000000000001 and …3 to one float before it ranks them; see below
				agree(t, "spearman of "+a+" and "+b, q.Spearman, want.Correlations.Spearman[i][j], 1e-9)
			}
		}
	}
	for i, a := range want.Cramer.Columns {
		for j, b := range want.Cramer.Columns {
			if i > j {
				agree(t, "cramér of "+a+" and "+b, find(a, b).CramersV, want.Cramer.Data[i][j], 1e-9)
				checked++
			}
		}
	}
	if checked < 40 {
		t.Errorf("only %d pairs were checked", checked)
	}
}

// Ranks of integers beyond 2^53 are those of the integers, as if they were small.
func TestSpearmanOfBigIntegers(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, values ...string) string {
		text := "big,other\n"
		for i, v := range values {
			text += fmt.Sprintf("%s,%d\n", v, (i*7)%5)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	big := profileOf(t, write("big.csv", "5", "100000000000000003", "100000000000000001", "5", "100000000000000003", "100000000000000002"), ProfileOptions{})
	small := profileOf(t, write("small.csv", "1", "4", "2", "1", "4", "3"), ProfileOptions{})
	if b, s := big.Pairs[0].Spearman, small.Pairs[0].Spearman; b != s || math.IsNaN(float64(b)) {
		t.Errorf("%v, want %v", b, s)
	}
}
