package learn

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// A boosterCase is a model of XGBoost or LightGBM and what the library that made it answered.
type boosterCase struct {
	Header struct {
		Library   string              `json:"library"`
		Case      string              `json:"case"`
		Tolerance assaytest.Tolerance `json:"tolerance"`
	} `json:"header"`
	Model      string                     `json:"model"`
	Rows       int                        `json:"rows"`
	Inputs     []*float64                 `json:"inputs"`
	Margin     []float64                  `json:"margin"`
	Prediction []float64                  `json:"prediction"`
	Columns    map[string]json.RawMessage `json:"columns"`
}

func (c *boosterCase) inputs() []float64 {
	out := make([]float64, len(c.Inputs))
	for i, v := range c.Inputs {
		if out[i] = math.NaN(); v != nil {
			out[i] = *v
		}
	}
	return out
}

// boosterCases returns the oracle's models by name.
func boosterCases(t testing.TB) map[string]*boosterCase {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(assaytest.Root(), "testdata", "oracle", "booster", "*.expected"))
	if err != nil || len(files) == 0 {
		t.Fatal("no model", err)
	}
	out := map[string]*boosterCase{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c := &boosterCase{}
		if err := json.Unmarshal(b, c); err != nil {
			t.Fatal(file, err)
		}
		out[strings.TrimSuffix(filepath.Base(file), ".expected")] = c
	}
	return out
}

func (c *boosterCase) open(t testing.TB) *Predictor {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(assaytest.Root(), "testdata", "oracle", "booster", c.Model))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Open(b, Limits{})
	if err != nil {
		t.Fatal(c.Model, err)
	}
	return p
}

// run gives the first rows of a case to a session.
func (c *boosterCase) run(t testing.TB, s *Session, lo, hi int) {
	t.Helper()
	x := c.inputs()
	k := len(x) / c.Rows
	in, err := s.Input(0, hi-lo, k)
	if err != nil {
		t.Fatal(c.Model, err)
	}
	for i, v := range x[lo*k : hi*k] {
		if in.Type == Float32 {
			in.Floats[i] = float32(v)
		} else {
			in.Doubles[i] = v
		}
	}
	if err := s.Run(); err != nil {
		t.Fatal(c.Model, err)
	}
}

// TestBoostersGiveWhatTheirLibrariesGive holds margins and predictions of several versions against the oracle.
func TestBoostersGiveWhatTheirLibrariesGive(t *testing.T) {
	for name, c := range boosterCases(t) {
		p := c.open(t)
		s := p.Session()
		c.run(t, s, 0, c.Rows)
		outputs := map[Role]*Tensor{}
		for i, o := range p.Outputs() {
			outputs[o.Role] = s.Output(i)
		}
		near := func(what string, got *Tensor, step, from int, want []float64) {
			x, err := got.asDoubles(nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, w := range want {
				if v := x[i*step+from]; !c.Header.Tolerance.Near(v, w) {
					t.Errorf("%s (%s): %s %d is %v, want %v", name, c.Header.Library, what, i, v, w)
					return
				}
			}
		}
		if got, want := outputs[RoleMargin].Len(), len(c.Margin); got != want {
			t.Errorf("%s: %d margins, want %d", name, got, want)
			continue
		}
		near("margin", outputs[RoleMargin], 1, 0, c.Margin)
		switch {
		case strings.HasSuffix(name, "_softmax"):
			near("label", outputs[RoleLabel], 1, 0, c.Prediction)
		case outputs[RoleProbability] != nil && len(c.Prediction) == c.Rows:
			near("probability", outputs[RoleProbability], 2, 1, c.Prediction)
		case outputs[RoleProbability] != nil:
			near("probability", outputs[RoleProbability], 1, 0, c.Prediction)
		default:
			near("value", outputs[RoleValue], 1, 0, c.Prediction)
		}
		s.Close()
	}
}

// frame is the table of a case, with categories as strings and numbers as the table of a pandas user has them.
func (c *boosterCase) frame(t testing.TB) assay.Frame {
	t.Helper()
	frame := assay.Frame{}
	for _, name := range slices.Sorted(maps.Keys(c.Columns)) {
		var texts []*string
		if json.Unmarshal(c.Columns[name], &texts) == nil {
			frame = append(frame, textColumn(name, texts))
			continue
		}
		var v []*float64
		if err := json.Unmarshal(c.Columns[name], &v); err != nil {
			t.Fatal(name, err)
		}
		frame = append(frame, assay.Column{Name: name, Type: assay.TypeNumber, Floats: (&boosterCase{Inputs: v}).inputs()})
	}
	return frame
}

// hasCategories reports whether the model says which categories its columns have.
func hasCategories(p *Predictor) bool {
	return slices.ContainsFunc(p.in[0].Columns, func(f Feature) bool { return f.Categories != nil })
}

// TestBoostersTakeTablesWithCategories gives categories as strings and numbers, among them some that the model does not know.
func TestBoostersTakeTablesWithCategories(t *testing.T) {
	for name, c := range boosterCases(t) {
		if c.Columns == nil {
			continue
		}
		p := c.open(t)
		if !hasCategories(p) {
			if strings.HasPrefix(name, "lgbm") {
				t.Errorf("%s: no categories", name)
			}
			continue // XGBoost before 3.1 does not write them
		}
		got, err := p.Predict(c.frame(t))
		if err != nil {
			t.Fatal(name, err)
		}
		for i, w := range c.Prediction {
			if !c.Header.Tolerance.Near(got.Proba[2*i+1], w) {
				t.Errorf("%s: row %d is %v, want %v", name, i, got.Proba[2*i+1], w)
				break
			}
		}
	}
}

// TestCategoriesOfAnotherKindAreRefused gives numbers for texts, texts for numbers, and to XGBoost, which refuses it, an unknown category.
func TestCategoriesOfAnotherKindAreRefused(t *testing.T) {
	cases := boosterCases(t)
	for _, name := range []string{"lgbm_4.7.0_numbers", "xgb_3.2.0_numbers_json"} {
		c := cases[name]
		p := c.open(t)
		text, unknown := "3", "unknown"
		for _, tt := range []struct {
			column assay.Column
			want   string
		}{
			{textColumn("code", slices.Repeat([]*string{&text}, c.Rows)), `column "code" holds strings, the model's categories are numbers`},
			{numeric("text", make([]float64, c.Rows)...), `column "text" holds numbers, the model's categories are strings`},
			{numeric("code", slices.Repeat([]float64{4}, c.Rows)...), `column "code" has 24 values that are no category of the model, which refuses them`},
			{textColumn("text", slices.Repeat([]*string{&unknown}, c.Rows)), `column "text" has 24 values that are no category of the model, which refuses them`},
		} {
			frame := c.frame(t)
			*frame.Column(tt.column.Name) = tt.column
			_, err := p.Predict(frame)
			if strings.Contains(tt.want, "refuses") && p.Format() == FormatLightGBM {
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, want %s", name, err, tt.want)
			}
		}
	}
}

// TestLightGBMCategoriesThatFitNoColumn refuses categories whose column is not known, and such as cannot be told apart.
func TestLightGBMCategoriesThatFitNoColumn(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(assaytest.Root(), "testdata", "oracle", "booster", "lgbm_4.7.0_numbers.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ old, new, want string }{
		{"\n[categorical_feature: 0,", "\n[categorical_feature: ", "which of its columns its 5 lists of categories belong to is not said"},
		{"[3, 5, 9, 1000000]", `[3, 5, 9, "x"]`, `column "code": some categories of a column are texts and some are numbers`},
		{"[3, 5, 9, 1000000]", "[3, 5, 9, 9007199254740993]", `column "code": category 3 is no number below 2^53`},
		{"[3, 5, 9, 1000000]", "[3, 5, 9, 9.0]", `column "code": category 3 is there twice`},
		{"[3, 5, 9, 1000000]", "[3, 5, 9, []]", `column "code": category 3 is neither a text nor a number`},
		{"pandas_categorical:[", "pandas_categorical:", "pandas_categorical is no list of lists"},
	} {
		_, err := Open(bytes.Replace(b, []byte(tt.old), []byte(tt.new), 1), Limits{})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.new, err, tt.want)
		}
	}
}

// textColumn makes a column of strings; nil is missing.
func textColumn(name string, values []*string) assay.Column {
	c := assay.Column{Name: name, Type: assay.TypeString, Codes: make([]int32, len(values))}
	seen := map[string]bool{}
	for _, v := range values {
		if v != nil && !seen[*v] {
			seen[*v] = true
			c.Levels = append(c.Levels, *v)
		}
	}
	slices.Sort(c.Levels)
	index := indexOf(c.Levels)
	for i, v := range values {
		if c.Codes[i] = -1; v != nil {
			c.Codes[i] = int32(index[*v])
		}
	}
	return c
}

// TestBoostersOneRowAtATime gives the same bits for a row alone, without allocating, as among others.
func TestBoostersOneRowAtATime(t *testing.T) {
	for name, c := range boosterCases(t) {
		p := c.open(t)
		all, one := p.Session(), p.Session()
		c.run(t, all, 0, c.Rows)
		for i := range c.Rows {
			c.run(t, one, i, i+1)
			for o := range p.Outputs() {
				want, err := sliceAxis(nil, all.Output(o), 0, int64(i), int64(i+1), 1)
				if err != nil {
					t.Fatal(err)
				}
				if got := one.Output(o); !reflect.DeepEqual(exact(got), exact(want)) {
					t.Fatalf("%s: row %d alone gives another output %d", name, i, o)
				}
			}
		}
		row := append([]float32(nil), one.inputs[0].Floats...)
		double := append([]float64(nil), one.inputs[0].Doubles...)
		n := testing.AllocsPerRun(20, func() {
			in, err := one.Input(0, 1, p.in[0].Shape[1])
			if err != nil {
				t.Fatal(err)
			}
			copy(in.Floats, row)
			copy(in.Doubles, double)
			if err := one.Run(); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations a row", name, n)
		}
	}
}

// TestXGBoostStartsFromProbabilities: until 3.1 a probability that rows start from is taken as it is, and 0 is refused.
func TestXGBoostStartsFromProbabilities(t *testing.T) {
	margin := func(name, version string) (float64, error) {
		c := boosterCases(t)[name]
		b, err := os.ReadFile(filepath.Join(assaytest.Root(), "testdata", "oracle", "booster", c.Model))
		if err != nil {
			t.Fatal(err)
		}
		p, err := Open(bytes.Replace(b, []byte(`"version":[3,2,0]`), []byte(`"version":`+version), 1), Limits{})
		if err != nil {
			return 0, err
		}
		s := p.Session()
		defer s.Close()
		c.run(t, s, 0, 1)
		return float64(s.Output(2).Floats[0]), nil
	}
	now, err := margin("xgb_3.2.0_start_low", "[3,2,0]")
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"[1,7,6]", "[2,1,4]", "[3,1,2]"} {
		before, err := margin("xgb_3.2.0_start_low", version)
		if want := math.Log(1e-9) - math.Log(1e-6); err != nil || math.Abs(before-now-want) > 1e-5 {
			t.Errorf("%s: the margin is %v of %v, want %v less (%v)", version, before, now, -want, err)
		}
		if _, err := margin("xgb_3.2.0_constant_0", version); err == nil || !strings.Contains(err.Error(), "base_score is 0, which is no probability") {
			t.Errorf("%s: a base score of 0 gives %v", version, err)
		}
	}
}

// TestLightGBMNumbersCloseToZeroAreZero: a threshold decides as LightGBM's does after it has put numbers close to 0 at 0.
func TestLightGBMNumbersCloseToZeroAreZero(t *testing.T) {
	var near []float64
	for _, v := range []float64{0, zeroWidth / 2, zeroWidth, 2 * zeroWidth, 1} {
		for _, w := range []float64{v, math.Nextafter(v, 9), math.Nextafter(v, -9)} {
			near = append(near, w, -w)
		}
	}
	for _, threshold := range near {
		for _, x := range near {
			rounded := x
			if math.Abs(x) <= zeroWidth {
				rounded = 0
			}
			if got, want := x <= zeroSplit(threshold), rounded <= threshold; got != want {
				t.Errorf("%g at %g: %v, want %v", x, threshold, got, want)
			}
		}
	}
}
