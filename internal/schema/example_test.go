package schema_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
)

// TestExample makes up a row from limits of every kind; what fits no rule that it can read is not made up.
func TestExample(t *testing.T) {
	lo, hi, day := schema.Int(10), schema.Int(20), schema.Text("2024-02-29")
	big, three := schema.Int(9007199254740993), int64(6)
	s := schema.New("x")
	s.Columns = []schema.Column{
		{Name: "a", Type: assay.TypeInteger, Range: &schema.Range{Min: &lo, Max: &hi}},
		{Name: "b", Type: assay.TypeNumber, Range: &schema.Range{Min: &lo, ExclusiveMin: true}},
		{Name: "c", Type: assay.TypeNumber, Range: &schema.Range{Max: &lo}},
		{Name: "d", Type: assay.TypeString, Set: &schema.Set{Values: []schema.Value{schema.Text("north"), schema.Text("south")}}},
		{Name: "e", Type: assay.TypeDate, Range: &schema.Range{Min: &day}},
		{Name: "f", Type: assay.TypeTimestamp},
		{Name: "g", Type: assay.TypeBoolean},
		{Name: "h", Type: assay.TypeInteger, Set: &schema.Set{Values: []schema.Value{big}}},
		{Name: "i", Type: assay.TypeString, Length: &schema.Length{Min: &three}},
		{Name: "j", Type: assay.TypeBinary},
		{Name: "k", Type: assay.TypeTime},
	}
	row, ok := s.Example()
	var got []string
	for _, x := range row {
		got = append(got, string(x))
	}
	want := []string{"15", "11", "1", `"north"`, `"2024-02-29"`, `"2026-01-31T12:30:00Z"`, "true", "9007199254740993", `"textaa"`, `"AAAA"`, `"12:30:00"`}
	if diff := cmp.Diff(want, got); !ok || diff != "" {
		t.Errorf("%v %s", ok, diff)
	}
	s.Columns[8].Pattern = &schema.Pattern{Regexp: "^[0-9]{7}$"}
	if _, ok := s.Example(); ok {
		t.Error("a row was made up for a pattern")
	}
}
