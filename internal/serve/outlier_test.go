package serve_test

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/stat"
)

// people draws rows whose columns depend on each other: income goes with age, nobody below 16 is married, and parity is odd exactly
// where one of two coins is up, which no pair of columns shows.
func people(rows int, stream uint64) assay.Frame {
	r := stat.NewRand(7, stream)
	num := func(name string) assay.Column {
		return assay.Column{Name: name, Type: assay.TypeNumber, Floats: make([]float64, rows)}
	}
	age, income, tax, coin, other, parity := num("age"), num("income"), num("tax"), num("coin"), num("other"), num("parity")
	tax.Type = assay.TypeNumber
	state := assay.Column{Name: "state", Type: assay.TypeString, Levels: []string{"married", "single", "widowed"}, Codes: make([]int32, rows)}
	for i := range rows {
		age.Floats[i] = math.Floor(90 * r.Float64())
		income.Floats[i] = 500*age.Floats[i] + 4000*r.Normal()
		if r.Float64() < 0.05 {
			income.Floats[i] = math.NaN()
		}
		tax.Floats[i] = math.Exp(r.Normal())
		switch u := r.Float64(); {
		case age.Floats[i] < 16 || u < 0.4:
			state.Codes[i] = 1
		case age.Floats[i] > 60 && u < 0.6:
			state.Codes[i] = 2
		}
		coin.Floats[i], other.Floats[i] = math.Floor(2*r.Float64()), math.Floor(2*r.Float64())
		parity.Floats[i] = math.Mod(coin.Floats[i]+other.Floats[i], 2)
	}
	return assay.Frame{age, income, tax, coin, other, parity, state}
}

func peopleSchema() *schema.Schema {
	s := schema.New("people")
	for _, c := range people(1, 0) {
		s.Columns = append(s.Columns, schema.Column{Name: c.Name, Type: c.Type})
	}
	return s
}

// batch is the rows of a frame as a request has them.
func batch(t testing.TB, in *schema.Schema, f assay.Frame) *schema.Batch {
	t.Helper()
	v, err := in.Compile()
	if err != nil {
		t.Fatal(err)
	}
	b := v.NewBatch()
	b.Add(f.Rows())
	for j := range f {
		for i := range f.Rows() {
			switch {
			case f[j].Missing(i):
				b.SetNull(i, j)
			case f[j].Codes != nil:
				b.SetText(i, j, []byte(f[j].Levels[f[j].Codes[i]]))
			default:
				b.SetFloat(i, j, f[j].Floats[i])
			}
		}
	}
	return b
}

func support(t testing.TB, train, held int) *serve.Support {
	t.Helper()
	s, err := serve.LearnSupport(people(train, 1), people(held, 2), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestOutliersAreCalibrated: of rows like the held-out ones, the stated share is flagged, whatever the share and however few there are.
func TestOutliersAreCalibrated(t *testing.T) {
	for _, x := range []struct {
		train, held int
		share       float64
	}{{20_000, 20_000, 0.001}, {20_000, 20_000, 0.05}, {2_000, 400, 0.05}, {200, 4_000, 0.01}} {
		s := support(t, x.train, x.held)
		const fresh = 40_000
		in := peopleSchema()
		o, err := s.Outliers(in, x.share)
		if err != nil {
			t.Fatal(err)
		}
		flagged := 0
		rows := batch(t, in, people(fresh, 3))
		for _, score := range o.Score(rows, nil) {
			if score > o.Threshold() {
				flagged++
			}
		}
		rows.Release()
		// The share among new rows is a Beta variable of the held-out ranks, and the count binomial given it.
		m := float64(x.held)
		want := x.share
		sd := math.Sqrt(want * (1 - want) * (1/m + 1/float64(fresh)))
		got := float64(flagged) / fresh
		t.Logf("train %d, held out %d: %.5f flagged of %.3f stated", x.train, x.held, got, want)
		if got > want+4*sd+1/m || got < want-4*sd-1/m {
			t.Errorf("train %d, held out %d: flagged %.5f, want %.3f ± %.5f", x.train, x.held, got, want, 4*sd)
		}
	}
}

// TestOutliersSee: what the method is made to see gets a score beyond every threshold, and what it cannot see does not.
func TestOutliersSee(t *testing.T) {
	s := support(t, 20_000, 20_000)
	in := peopleSchema()
	o, err := s.Outliers(in, serve.DefaultOutlierShare)
	if err != nil {
		t.Fatal(err)
	}
	ordinary := map[string]any{"age": 40.0, "income": 20_500.0, "tax": 1.0, "coin": 1.0, "other": 0.0, "parity": 1.0, "state": "married"}
	for _, x := range []struct {
		name    string
		change  map[string]any
		unusual bool
	}{
		{"ordinary", nil, false},
		{"above the range", map[string]any{"tax": 1e4}, true},
		{"far below the range", map[string]any{"age": -400.0}, true},
		{"between the values", map[string]any{"coin": 0.5}, true},
		{"a new category", map[string]any{"state": "divorced"}, true},
		{"never missing", map[string]any{"age": nil}, true},
		{"at times missing", map[string]any{"income": nil}, false},
		{"married at seven", map[string]any{"age": 7.0, "income": 3_500.0}, true},
		{"a rich child", map[string]any{"age": 7.0, "income": 43_000.0, "state": "single"}, true},
		{"odd in a way that no pair shows", map[string]any{"parity": 0.0}, false},
	} {
		v, err := in.Compile()
		if err != nil {
			t.Fatal(err)
		}
		b := v.NewBatch()
		b.Add(1)
		for name, value := range ordinary {
			if changed, ok := x.change[name]; ok {
				value = changed
			}
			i, _ := v.Index([]byte(name))
			switch y := value.(type) {
			case float64:
				b.SetFloat(0, i, y)
			case string:
				b.SetText(0, i, []byte(y))
			default:
				b.SetNull(0, i)
			}
		}
		score := o.Score(b, nil)[0]
		t.Logf("%s: %.5f", x.name, score)
		if (score > o.Threshold()) != x.unusual {
			t.Errorf("%s: score %.5f, threshold %.3f", x.name, score, o.Threshold())
		}
		b.Release()
	}
}

// TestSupportDocument: equal rows give equal bytes, and what is read back scores alike; rows in another order give the same counts.
func TestSupportDocument(t *testing.T) {
	s := support(t, 3_000, 1_000)
	doc, err := s.Document()
	if err != nil {
		t.Fatal(err)
	}
	again, _ := support(t, 3_000, 1_000).Document()
	if !bytes.Equal(doc, again) {
		t.Error("two documents of the same rows differ")
	}
	back, err := serve.ReadSupport(doc)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ = back.Document(); !bytes.Equal(doc, again) {
		t.Error("the document is not what was read")
	}
	in := peopleSchema()
	rows := batch(t, in, people(500, 9))
	defer rows.Release()
	a, _ := s.Outliers(in, 0.01)
	b, _ := back.Outliers(in, 0.01)
	if x, y := a.Score(rows, nil), b.Score(rows, nil); fmt.Sprint(x) != fmt.Sprint(y) {
		t.Error("the scores differ after reading")
	}
	for _, broken := range []string{"{}", `{"schema":"assay.support/2"}`, strings.Replace(string(doc), `"cells":[`, `"cells":[-1,`, 1), strings.Replace(string(doc), `"a":`, `"a":99`, 1), string(doc[:100])} {
		if _, err := serve.ReadSupport([]byte(broken)); assay.CodeOf(err) != assay.Invalid {
			t.Errorf("%.60s…: %v", broken, err)
		}
	}
}

func TestSupportRefuses(t *testing.T) {
	empty := people(0, 1)
	if _, err := serve.LearnSupport(empty, people(5, 1), nil); assay.CodeOf(err) != assay.Invalid {
		t.Errorf("no training rows: %v", err)
	}
	dates := assay.Frame{{Name: "on", Type: assay.TypeDate, Floats: []float64{1, 2}}}
	if _, err := serve.LearnSupport(dates, dates, nil); assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), "no column") {
		t.Errorf("dates alone: %v", err)
	}
	s := support(t, 500, 500)
	if _, err := s.Outliers(peopleSchema(), 1); assay.CodeOf(err) != assay.Invalid {
		t.Errorf("a share of 1: %v", err)
	}
}

// TestSupportOfHardColumns: constant, empty and nearly unique columns neither break the score nor flag ordinary rows.
func TestSupportOfHardColumns(t *testing.T) {
	frame := func(n, from int) assay.Frame {
		c := assay.Column{Name: "constant", Type: assay.TypeNumber, Floats: make([]float64, n)}
		e := assay.Column{Name: "empty", Type: assay.TypeNumber, Floats: make([]float64, n)}
		id := assay.Column{Name: "id", Type: assay.TypeString}
		for i := range n {
			e.Floats[i] = math.NaN()
			id.Levels, id.Codes = append(id.Levels, fmt.Sprintf("person %08d", from+i)), append(id.Codes, int32(i))
		}
		return assay.Frame{c, e, id}
	}
	s, err := serve.LearnSupport(frame(5_000, 0), frame(5_000, 10_000), nil)
	if err != nil {
		t.Fatal(err)
	}
	in := schema.New("hard")
	for _, name := range []string{"constant", "empty", "id"} {
		in.Columns = append(in.Columns, schema.Column{Name: name, Type: map[bool]assay.Type{true: assay.TypeString, false: assay.TypeNumber}[name == "id"]})
	}
	o, _ := s.Outliers(in, 0.01)
	rows := batch(t, in, frame(1_000, 90_000))
	for i, score := range o.Score(rows, nil) {
		if score > o.Threshold() {
			t.Fatalf("row %d is flagged with %v", i, score)
		}
	}
	f := frame(1, 95_000)
	f[0].Floats[0] = 3
	if score := o.Score(batch(t, in, f), nil)[0]; score <= o.Threshold() {
		t.Errorf("another value of a constant column has the score %v", score)
	}
}

func FuzzReadSupport(f *testing.F) {
	doc, _ := support(f, 60, 30).Document()
	f.Add(doc)
	f.Add([]byte(`{"schema":"assay.support/1","columns":[{"name":"x","edges":{"upper":[1],"scale":1},"cells":[1,2]}]}`))
	in := peopleSchema()
	f.Fuzz(func(t *testing.T, doc []byte) {
		s, err := serve.ReadSupport(doc)
		if err != nil {
			return
		}
		o, err := s.Outliers(in, 0.01)
		if err != nil {
			t.Fatal(err)
		}
		rows := batch(t, in, people(20, 4))
		defer rows.Release()
		for _, score := range o.Score(rows, nil) {
			if !(score >= 0 && score <= 1) {
				t.Fatalf("score %v", score)
			}
		}
	})
}

// wide is rows of 14 numbers and 6 texts.
func wide(n int, stream uint64) assay.Frame {
	r := stat.NewRand(3, stream)
	var f assay.Frame
	for j := range 20 {
		c := assay.Column{Name: fmt.Sprintf("c%02d", j), Type: assay.TypeNumber}
		if j >= 14 {
			c.Type = assay.TypeString
			for k := range 20 {
				c.Levels = append(c.Levels, fmt.Sprintf("category %02d", k))
			}
		}
		for i := range n {
			if j >= 14 {
				c.Codes = append(c.Codes, int32(20*r.Float64()*r.Float64()))
			} else if j > 0 {
				c.Floats = append(c.Floats, r.Normal()+f[0].Floats[i])
			} else {
				c.Floats = append(c.Floats, r.Normal())
			}
		}
		f = append(f, c)
	}
	return f
}

func wideScorer(t testing.TB) (serve.Outliers, *schema.Batch) {
	t.Helper()
	s, err := serve.LearnSupport(wide(20_000, 1), wide(5_000, 2), nil)
	if err != nil {
		t.Fatal(err)
	}
	in := schema.New("wide")
	for _, c := range wide(1, 1) {
		in.Columns = append(in.Columns, schema.Column{Name: c.Name, Type: c.Type})
	}
	o, err := s.Outliers(in, 0.001)
	if err != nil {
		t.Fatal(err)
	}
	return o, batch(t, in, wide(256, 3))
}

func TestOutliersDoNotAllocate(t *testing.T) {
	o, rows := wideScorer(t)
	out := make([]float64, 0, rows.Rows())
	if n := testing.AllocsPerRun(100, func() { out = o.Score(rows, out[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkOutliers scores rows of 20 columns: the time is that of one row.
func BenchmarkOutliers(b *testing.B) {
	o, rows := wideScorer(b)
	out := make([]float64, 0, rows.Rows())
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += rows.Rows() {
		out = o.Score(rows, out[:0])
	}
}

// BenchmarkLearnSupport counts 20,000 rows of 20 columns and ranks 5,000.
func BenchmarkLearnSupport(b *testing.B) {
	train, held := wide(20_000, 1), wide(5_000, 2)
	for b.Loop() {
		if _, err := serve.LearnSupport(train, held, nil); err != nil {
			b.Fatal(err)
		}
	}
}
