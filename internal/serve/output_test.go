package serve

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/schema"
)

// TestPlainOutput: what is taken without a look at the schema fits it, and the words for what does not are the schema's, for the schema
// that every model has and for narrower ones.
func TestPlainOutput(t *testing.T) {
	half, most, none := schema.Number(0.5), schema.Number(0.9), []schema.Value{schema.Text("yes")}
	taken := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		classes := [][]string{nil, {"no", "yes"}, {"a", "b", "c"}}[rapid.IntRange(0, 2).Draw(t, "classes")]
		proba := rapid.Bool().Draw(t, "probabilities")
		out := OutputSchema("out", classes, proba)
		last := &out.Columns[len(out.Columns)-1]
		switch rapid.IntRange(0, 5).Draw(t, "narrower") {
		case 1:
			if last.Type == assay.TypeNumber {
				last.Range = &schema.Range{Min: &half, Max: &most}
			}
		case 2:
			if last.Type == assay.TypeNumber {
				last.Range = &schema.Range{Max: &most, ExclusiveMax: true}
			}
		case 3:
			if len(classes) == 2 {
				out.Columns[0].Set.Values = none
			}
		case 4:
			if len(classes) == 0 {
				out.Conditions = []schema.Condition{{Name: "small", Expression: "prediction < 2.0"}}
			}
		}
		s := New(Options{Clock: assaytest.Clock(), Nonce: "s"})
		task := assay.Regression
		if classes != nil {
			task = assay.Multiclass
		}
		in := schema.New("in")
		in.Columns = []schema.Column{{Name: "x", Type: assay.TypeNumber}}
		b, err := s.Bind(Binding{Name: "m", Number: 1, Task: task, Classes: classes, Input: in, Output: out, Engine: fixed{}})
		if err != nil {
			t.Fatal(err)
		}
		rows, k := rapid.IntRange(1, 4).Draw(t, "rows"), len(classes)
		number := rapid.OneOf(rapid.Float64Range(0, 1), rapid.SampledFrom([]float64{0, 0.5, 0.9, 1, math.NaN(), math.Inf(1), -1, 3}))
		var o Output
		for range rows {
			if k == 0 {
				o.Values = append(o.Values, number.Draw(t, "value"))
				continue
			}
			o.Labels = append(o.Labels, int32(rapid.IntRange(-1, k).Draw(t, "label")))
			if !proba {
				continue
			}
			rest := 1.0
			for j := range k {
				p := number.Draw(t, "p")
				if j == k-1 && rapid.Bool().Draw(t, "sums to 1") {
					p = rest
				}
				rest -= p
				o.Proba = append(o.Proba, p)
			}
		}
		plain := b.plain.takes(&o, k)
		b.plain = nil
		if wrong := b.wrong(&o, rows); plain && wrong != "" {
			t.Fatalf("taken, and the schema says: %s", wrong)
		}
		taken[plain]++
	})
	if taken[true] == 0 || taken[false] == 0 {
		t.Errorf("nothing was taken, or everything: %v", taken)
	}
}
