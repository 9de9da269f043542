package dataset

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/stat"
)

func profileFrame(t fataler, e *table.Engine, o ProfileOptions, columns ...assay.Column) *ProfileReport {
	tab := frame(t, e, columns...)
	defer tab.Drop(context.Background())
	r, err := Profile(context.Background(), tab, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// drawnColumns are columns of every shape: few and many values, missing, infinite, text, classes.
func drawnColumns(t *rapid.T, n int) []assay.Column {
	floats := func(label string, of *rapid.Generator[float64]) []float64 {
		return rapid.SliceOfN(of, n, n).Draw(t, label)
	}
	texts := assay.Column{Name: "text", Type: assay.TypeString, Levels: []string{"", "?", "a", "A ", "é"}, Codes: rapid.SliceOfN(rapid.Int32Range(-1, 4), n, n).Draw(t, "text")}
	wild := rapid.OneOf(rapid.Float64Range(-1e3, 1e3), rapid.SampledFrom([]float64{0, -1, 999, math.NaN(), math.Inf(1), math.Inf(-1)}))
	whole := rapid.Custom(func(t *rapid.T) float64 { return float64(rapid.IntRange(0, 6).Draw(t, "i")) })
	return []assay.Column{
		{Name: "wild", Type: assay.TypeNumber, Floats: floats("wild", wild)},
		{Name: "code", Type: assay.TypeInteger, Floats: floats("code", whole)},
		{Name: "day", Type: assay.TypeDate, Floats: floats("day", rapid.Custom(func(t *rapid.T) float64 { return 86400 * float64(rapid.IntRange(-9, 9999).Draw(t, "d")) }))},
		texts,
		{Name: "label", Type: assay.TypeInteger, Floats: floats("label", rapid.SampledFrom([]float64{0, 1, math.NaN()}))},
	}
}

// plain is the report without what depends on the order of rows, or on the file that they lie in, by definition.
func plain(t fataler, r *ProfileReport) string {
	for i := range r.Variables {
		if n := r.Variables[i].Numbers; n != nil {
			n.Increasing, n.Decreasing = false, false
		}
	}
	if r.Nullity != nil {
		r.Nullity.Counts = nil
	}
	r.Reading, r.Notes = nil, nil // of the file, not of its rows
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestProfileIgnoresTheOrderOfRows(t *testing.T) {
	assaytest.Draws(t, 40)
	e := engine(t)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 60).Draw(t, "rows")
		cols := assay.Frame(drawnColumns(t, n))
		order := rapid.Permutation(seq(n)).Draw(t, "order")
		o := ProfileOptions{Target: "label", Task: assay.Binary}
		a, b := plain(t, profileFrame(t, e, o, cols...)), plain(t, profileFrame(t, e, o, cols.Take(order)...))
		if a != b {
			t.Fatalf("%s\n%s", a, b)
		}
	})
}

func seq(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// What counts rows adds up over two halves of a table.
func TestProfileCountsAdd(t *testing.T) {
	assaytest.Draws(t, 40)
	e := engine(t)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 60).Draw(t, "rows")
		cut := rapid.IntRange(1, n-1).Draw(t, "cut")
		cols := assay.Frame(drawnColumns(t, n))
		whole := profileFrame(t, e, ProfileOptions{}, cols...)
		a, b := profileFrame(t, e, ProfileOptions{}, cols.Take(seq(n)[:cut])...), profileFrame(t, e, ProfileOptions{}, cols.Take(seq(n)[cut:])...)
		if whole.Rows != a.Rows+b.Rows || whole.Missing != a.Missing+b.Missing || whole.Duplicates.Rows < a.Duplicates.Rows+b.Duplicates.Rows {
			t.Fatal("rows, missing cells and repeats do not add up")
		}
		for i, v := range whole.Variables {
			x, y := a.Variables[i], b.Variables[i]
			if v.Missing != x.Missing+y.Missing || v.Distinct > x.Distinct+y.Distinct || v.Distinct < max(x.Distinct, y.Distinct) {
				t.Fatalf("%s: missing or distinct values do not add up", v.Name)
			}
			if v.Numbers != nil && (v.Numbers.Count != x.Numbers.Count+y.Numbers.Count || v.Numbers.Zeros != x.Numbers.Zeros+y.Numbers.Zeros ||
				v.Numbers.PosInf != x.Numbers.PosInf+y.Numbers.PosInf || v.Numbers.Negatives != x.Numbers.Negatives+y.Numbers.Negatives) {
				t.Fatalf("%s: counts of numbers do not add up", v.Name)
			}
		}
	})
}

// The same rows in CSV and in Parquet have one profile.
func TestProfileIgnoresTheFormat(t *testing.T) {
	dir := filepath.Join(assaytest.Root(), "examples", "employment")
	o := ProfileOptions{Target: "employed", Task: assay.Binary, Sensitive: []string{"SEX"}}
	a, b := plain(t, profileOf(t, filepath.Join(dir, "train_2015.parquet"), o)), plain(t, profileOf(t, filepath.Join(dir, "train_2015.csv.gz"), o))
	if a != b {
		t.Error("the profiles differ")
	}
}

// The datasheet of the employment data says which codes stand for "not applicable".
func TestDisguisedMissingOfEmployment(t *testing.T) {
	r := profileOf(t, filepath.Join(assaytest.Root(), "examples", "employment", "train_2015.parquet"), ProfileOptions{Target: "employed"})
	var got []string
	for _, d := range r.Disguised {
		got = append(got, d.Column+" "+d.Value)
	}
	if s := strings.Join(got, ", "); s != "SCHL 0, ESP 0, MIG 0, MIL 0, DREM 0" {
		t.Errorf("got %s", s)
	}
	if r.Duplicates.Rows != 0 || len(r.Duplicates.Ignored) != 1 || r.Duplicates.Without == 0 {
		t.Errorf("duplicates %+v", r.Duplicates)
	}
}

// Columns of more values than are coded by value go another way, which must give the same correlations.
func TestProfileOfManyValuesAgainstFew(t *testing.T) {
	const n = 3 * table.MaxCodes / 2
	x, y, z := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range n {
		x[i] = float64(i*7919%n) / 3
		y[i] = math.Sqrt(x[i]) + float64(i%10)*20
		z[i] = float64(i % 10)
		if i%11 == 0 {
			z[i] = math.NaN()
		}
		if i%13 == 0 {
			y[i] = math.NaN()
		}
		if i%101 == 0 {
			y[i] = math.Inf(1)
		}
	}
	r := profileFrame(t, engine(t), ProfileOptions{}, assay.Column{Name: "x", Type: assay.TypeNumber, Floats: x}, assay.Column{Name: "y", Type: assay.TypeNumber, Floats: y},
		assay.Column{Name: "z", Type: assay.TypeNumber, Floats: z})
	data := [][]float64{x, y, z}
	for _, q := range r.Pairs {
		a, b := data[q.A[0]-'x'], data[q.B[0]-'x']
		var u, v []float64
		for i := range a {
			if f := a[i] + b[i]; !math.IsNaN(f) && !math.IsInf(f, 0) {
				u, v = append(u, a[i]), append(v, b[i])
			}
		}
		estimate, _ := stat.Pearson(u, v, 0.95)
		pearson, spearman := estimate.Value, stat.Spearman(u, v).Statistic
		if q.N != int64(len(u)) || math.Abs(float64(q.Pearson)-pearson) > 1e-9 || math.Abs(float64(q.Spearman)-spearman) > 1e-9 {
			t.Errorf("%+v, want %d %v %v", q, len(u), pearson, spearman)
		}
	}
	if len(r.Pairs) != 3 {
		t.Errorf("%d pairs", len(r.Pairs))
	}
}

func TestProfileOfBadInput(t *testing.T) {
	e := engine(t)
	nan := math.NaN()
	num := func(name string, xs ...float64) assay.Column {
		return assay.Column{Name: name, Type: assay.TypeNumber, Floats: xs}
	}
	has := func(r *ProfileReport, code string) bool {
		for _, a := range r.Alerts {
			if a.Code == code {
				return true
			}
		}
		return false
	}
	huge := assay.Column{Name: "huge", Type: assay.TypeString, Levels: []string{strings.Repeat("x", 1<<20), strings.Repeat("y", 1<<20)}, Codes: []int32{0, 1, 0}}
	for _, c := range []struct {
		name    string
		options ProfileOptions
		columns []assay.Column
		alert   string
	}{
		{"no rows", ProfileOptions{Target: "a"}, []assay.Column{num("a"), num("b")}, "no_rows"},
		{"one row", ProfileOptions{Target: "a"}, []assay.Column{num("a", 1), num("b", 2)}, "constant_target"},
		{"one class", ProfileOptions{Target: "a", Task: assay.Binary}, []assay.Column{num("a", 1, 1, 1), num("b", 1, 2, 3)}, "constant_target"},
		{"constant number", ProfileOptions{Target: "a", Task: assay.Regression}, []assay.Column{num("a", 1, 1, 1), num("b", 1, 2, 3)}, "constant_target"},
		{"nothing but missing", ProfileOptions{}, []assay.Column{num("a", nan, nan), num("b", 1, 2)}, "empty"},
		{"infinite", ProfileOptions{Target: "b"}, []assay.Column{num("a", math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64), num("b", 0, 1, 0, 1)}, "not_finite"},
		{"huge texts", ProfileOptions{Target: "b"}, []assay.Column{huge, num("b", 0, 1, 1)}, ""},
		{"missing labels", ProfileOptions{Target: "b", Task: assay.Binary}, []assay.Column{num("a", 1, 2, 3, 4), num("b", 0, 1, nan, nan)}, "missing_target"},
		{"text target of many values", ProfileOptions{Target: "huge", Task: assay.Regression}, []assay.Column{huge, num("b", 0, 1, 1)}, ""},
		{"the label twice", ProfileOptions{Target: "b"}, []assay.Column{num("a", 5, 6, 5, 6, 6), num("b", 0, 1, 0, 1, 1)}, "leakage"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := profileFrame(t, e, c.options, c.columns...)
			if c.alert != "" && !has(r, c.alert) {
				t.Errorf("no %s among %+v", c.alert, r.Alerts)
			}
			b, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			if len(b) > 1<<17 {
				t.Errorf("the report has %d bytes", len(b))
			}
		})
	}
	_, err := Profile(context.Background(), frame(t, e, num("a", 1)), ProfileOptions{Target: "x", Sensitive: []string{"y"}, Key: []string{"z"}})
	if assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), `"x"`) || !strings.Contains(err.Error(), `"y"`) || !strings.Contains(err.Error(), `"z"`) {
		t.Errorf("got %v", err)
	}
}

// The values of a sensitive column are nowhere in a report, and a report stays small.
func TestProfileHidesSensitiveValues(t *testing.T) {
	var b strings.Builder
	b.WriteString("who,place,y\n")
	for i := range 500 {
		fmt.Fprintf(&b, "unknown,secret%d,%d\n", i%3, i%2)
	}
	path := filepath.Join(t.TempDir(), "a.csv")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	doc := plain(t, profileOf(t, path, ProfileOptions{Target: "y", Sensitive: []string{"place", "who"}}))
	if strings.Contains(doc, "secret") || strings.Contains(doc, "unknown") {
		t.Error(doc)
	}
}

func TestProfileGolden(t *testing.T) {
	r := profileOf(t, filepath.Join(assaytest.Root(), "testdata", "oracle", "data", "tables", "titanic.csv"), ProfileOptions{Target: "Survived", Task: assay.Binary, Sensitive: []string{"Sex"}})
	r.Pairs = r.Pairs[:5]
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	assaytest.Golden(t, "profile_titanic.json", append(b, '\n'))
}

// TestSentinels holds that codes for none are found among counts, incomes, years and measurements, in tables of few and of many distinct
// values, and that ends of ordinary columns are not taken for one.
func TestSentinels(t *testing.T) {
	e := engine(t)
	for _, n := range []int{1000, 2 * table.MaxCodes} {
		r := stat.NewRand(uint64(n), 3)
		kids := func() float64 { return math.Min(6, math.Floor(-math.Log(1-r.Float64())/0.8)) }
		income := func() float64 { return math.Round(100*math.Exp(10+r.Normal())) / 100 }
		year := func() float64 { return float64(1950 + r.Intn(70)) }
		temperature := func() float64 { return math.Round(10*(15+8*r.Normal())) / 10 }
		some := func(draw func() float64, share float64, code ...float64) func() float64 {
			return func() float64 {
				if u := r.Float64(); u < share {
					return code[int(u/share*float64(len(code)))]
				}
				return draw()
			}
		}
		whole := func(mean, sd float64) func() float64 {
			return func() float64 { return math.Round(mean + sd*r.Normal()) }
		}
		bound := func(draw func() float64, lo, hi float64) func() float64 {
			return func() float64 { return math.Max(lo, math.Min(hi, draw())) }
		}
		var got []string
		var f assay.Frame
		add := func(name string, draw func() float64) {
			v := make([]float64, n)
			for i := range v {
				v[i] = draw()
			}
			f = append(f, numbers(name, v...))
		}
		add("kids", some(kids, 0.03, 99))
		add("children", some(kids, 0.04, 98, 99))
		add("income", some(income, 0.04, -999))
		add("salary", some(income, 0.03, -1))
		add("year", some(year, 0.03, 9999))
		add("visits", some(func() float64 { return float64(r.Intn(40)) }, 0.08, -1))
		add("siblings", some(kids, 0.03, -1))
		add("celsius", some(temperature, 0.03, 999.9))
		want := "kids 99, children 98, children 99, income -999, salary -1, year 9999, visits -1, siblings -1, celsius 999.9"
		// Ordinary ones.
		add("age", func() float64 { return float64(18 + r.Intn(82)) })
		add("capped age", bound(whole(60, 20), 0, 99))
		add("capped income", bound(income, 0, 99999))
		add("degrees", whole(3, 2))
		add("rare frost", bound(whole(5, 2), -1, 50))
		add("from -1", func() float64 { return float64(r.Intn(12) - 1) })
		add("percent", bound(whole(80, 30), 0, 100))
		add("correlation", bound(func() float64 { return r.Float64()*2.2 - 1.1 }, -1, 1))
		add("hours", some(bound(whole(40, 10), 1, 80), 0.01, 99))
		add("counts", func() float64 { return math.Floor(math.Exp(1 + 1.5*r.Normal())) })
		add("scale", func() float64 { return float64(r.Intn(5) - 2) })
		for _, d := range profileFrame(t, e, ProfileOptions{}, f...).Disguised {
			if d.Rule == "sentinel" {
				got = append(got, d.Column+" "+d.Value)
			}
		}
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("%d rows:\n got %s\nwant %s", n, s, want)
		}
	}
}
