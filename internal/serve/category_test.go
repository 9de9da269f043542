package serve

import (
	"context"
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/learn"
)

// TestCategoriesAreServed holds what is answered for rows whose categories are texts, numbers and truth values against what the library
// that made the model gives for them: an unknown category is missing to LightGBM, and refused for XGBoost.
func TestCategoriesAreServed(t *testing.T) {
	for _, name := range []string{"lgbm_4.7.0_numbers.txt", "xgb_3.2.0_numbers_json.json", "xgb_3.2.0_numbers_ubj.ubj", "lgbm_4.7.0_categories.txt"} {
		dir := filepath.Join(assaytest.Root(), "testdata", "oracle", "booster")
		file, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		p, err := learn.Open(file, learn.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, strings.TrimSuffix(name, filepath.Ext(name))+".expected"))
		if err != nil {
			t.Fatal(err)
		}
		var want struct {
			Columns    map[string][]any
			Prediction []float64
		}
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		in := schema.New("in")
		var fields []assay.Field
		for _, column := range slices.Sorted(maps.Keys(want.Columns)) {
			f := assay.Field{Name: column, Type: assay.TypeNumber}
			switch {
			case slices.ContainsFunc(want.Columns[column], func(v any) bool { _, ok := v.(string); return ok }):
				f.Type = assay.TypeString
			case column == "flag":
				f.Type = assay.TypeBoolean
			case column == "code":
				f.Type = assay.TypeInteger
			}
			fields = append(fields, f)
			in.Columns = append(in.Columns, schema.Column{Name: f.Name, Type: f.Type})
		}
		e, err := Native(p, fields, []string{"no", "yes"})
		if err != nil {
			t.Fatal(name, err)
		}
		v, err := in.Compile()
		if err != nil {
			t.Fatal(err)
		}
		batch := v.NewBatch()
		batch.Add(len(want.Prediction))
		for row := range want.Prediction {
			for i, f := range fields {
				switch x := want.Columns[f.Name][row].(type) {
				case string:
					batch.SetText(row, i, []byte(x))
				case float64:
					switch f.Type {
					case assay.TypeBoolean:
						batch.SetBool(row, i, x == 1)
					case assay.TypeInteger:
						batch.SetInt(row, i, int64(x))
					default:
						batch.SetFloat(row, i, x)
					}
				default:
					batch.SetNull(row, i)
				}
			}
		}
		if bad := batch.Check(nil); len(bad) > 0 {
			t.Fatal(name, bad)
		}
		var out Output
		if err := e.Predict(context.Background(), batch, &out); err != nil {
			t.Fatal(name, err)
		}
		for row, w := range want.Prediction {
			if got := out.Proba[2*row+1]; math.Abs(got-w) > 1e-6 {
				t.Errorf("%s: row %d is answered %v, want %v", name, row, got, w)
			}
		}
		if n := testing.AllocsPerRun(10, func() {
			if err := e.Predict(context.Background(), batch, &out); err != nil {
				t.Fatal(err)
			}
		}); n > 0 && !assaytest.Race {
			t.Errorf("%s: %v allocations", name, n)
		}
		if at, _ := v.Index([]byte("code")); len(fields) > 3 {
			batch.SetInt(2, at, 4)
			err := e.Predict(context.Background(), batch, &out)
			if refused := p.Format() == learn.FormatXGBoost; refused != (assay.CodeOf(err) == assay.Rejected) || refused && err.Error() != "row 2: code is no category of the model, which refuses it" {
				t.Errorf("%s: an unknown category gives %v", name, err)
			}
		}
	}
}

// TestCategoriesOfAnotherKindAreNotServed names the columns whose type is not that of the model's categories.
func TestCategoriesOfAnotherKindAreNotServed(t *testing.T) {
	file, err := os.ReadFile(filepath.Join(assaytest.Root(), "testdata", "oracle", "booster", "xgb_3.2.0_numbers_json.json"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := learn.Open(file, learn.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var fields []assay.Field
	for _, f := range p.Fields() {
		if f.Type = assay.TypeNumber; f.Name == "code" {
			f.Type = assay.TypeString
		}
		fields = append(fields, f)
	}
	_, err = Native(p, fields, []string{"no", "yes"})
	for _, want := range []string{`input "code" takes categories that are numbers, its field is of type string`, `input "text" takes categories that are texts, its field is of type number`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
