package metric

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/assay-ml/assay/internal/assaytest"
)

// A row is one case of an oracle table.
type row struct {
	t     *testing.T
	tol   assaytest.Tolerance
	ID    string                     `json:"id"`
	Fn    string                     `json:"fn"`
	What  string                     `json:"what"`
	Args  map[string]json.RawMessage `json:"args"`
	Value json.RawMessage            `json:"value"`
	Error *struct{ Type, Message string }
	Warns []struct{ Category, Message string } `json:"warnings"`
}

// marked reports whether the peer warned about the value, and not about how it was called.
func (r row) marked() bool {
	for _, w := range r.Warns {
		if w.Category != "FutureWarning" && !strings.Contains(w.Message, "invalid value encountered") {
			return true
		}
	}
	return false
}

// oracle runs every case of a table of which there must be n. The function answers what the package does for the case, as floats in
// any nesting, and whether the answer is marked undefined.
func oracle(t *testing.T, name string, n int, call func(row) (got any, mark string, err error)) {
	t.Helper()
	var table struct {
		Header struct{ Tolerance assaytest.Tolerance }
		Cases  []row
	}
	assaytest.OracleInto(t, name, &table)
	if len(table.Cases) != n {
		t.Fatalf("%s holds %d cases, not %d", name, len(table.Cases), n)
	}
	for _, r := range table.Cases {
		t.Run(r.ID, func(t *testing.T) {
			r.t, r.tol = t, table.Header.Tolerance
			got, mark, err := call(r)
			if r.Error != nil {
				if err == nil {
					t.Fatalf("%s: got %v; the peer refuses: %s", r.What, got, r.Error.Message)
				}
				return
			}
			if err != nil {
				t.Fatalf("%s: %v", r.What, err)
			}
			r.compare("", got, decode(t, r.Value))
			if r.marked() != (mark != "") && !(mark != "" && holdsNaN(got)) {
				t.Errorf("%s: marked %q; the peer warns: %v", r.What, mark, r.Warns)
			}
		})
	}
}

func decode(t *testing.T, raw json.RawMessage) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func holdsNaN(v any) bool { return strings.Contains(fmt.Sprint(v), "NaN") }

// compare holds the answer against the table's value, element by element.
func (r row) compare(at string, got, want any) {
	r.t.Helper()
	switch w := want.(type) {
	case float64:
		g, ok := got.(float64)
		if !ok || !r.tol.Near(g, w) {
			r.t.Errorf("%s%s: got %v, want %v", r.What, at, got, w)
		}
	case string:
		if g, ok := got.(float64); ok {
			special := map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}
			if f, ok := special[w]; !ok || !r.tol.Near(g, f) {
				r.t.Errorf("%s%s: got %v, want %v", r.What, at, g, w)
			}
		} else if got != w {
			r.t.Errorf("%s%s: got %v, want %v", r.What, at, got, w)
		}
	case []any:
		var list []any
		switch g := got.(type) {
		case []any:
			list = g
		case []float64:
			for _, x := range g {
				list = append(list, x)
			}
		case [][]float64:
			for _, x := range g {
				list = append(list, x)
			}
		}
		if len(list) != len(w) {
			r.t.Errorf("%s%s: got %d elements, want %d", r.What, at, len(list), len(w))
			return
		}
		for i := range w {
			r.compare(fmt.Sprintf("%s[%d]", at, i), list[i], w[i])
		}
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(w) {
			r.t.Errorf("%s%s: got %v, want %d keys", r.What, at, got, len(w))
			return
		}
		for k := range w {
			r.compare(at+"."+k, g[k], w[k])
		}
	case nil:
		if got != nil {
			r.t.Errorf("%s%s: got %v, want nothing", r.What, at, got)
		}
	default:
		r.t.Fatalf("%s: the table holds %T", at, want)
	}
}

func (r row) has(name string) bool {
	raw, ok := r.Args[name]
	return ok && string(raw) != "null"
}

// floats flattens an array, or an array of arrays, and says how wide the rows of the latter are.
func (r row) floats(name string) (v []float64, width int) {
	r.t.Helper()
	if !r.has(name) {
		return nil, 0
	}
	var rows []json.RawMessage
	if err := json.Unmarshal(r.Args[name], &rows); err != nil {
		r.t.Fatal(err)
	}
	if len(rows) == 0 || rows[0][0] != '[' {
		return assaytest.Floats(r.t, r.Args[name]), 0
	}
	for _, x := range rows {
		f := assaytest.Floats(r.t, x)
		v, width = append(v, f...), len(f)
	}
	return v, width
}

func (r row) weights() []float64 {
	w, _ := r.floats("sample_weight")
	return w
}

func (r row) float(name string, otherwise float64) float64 {
	if !r.has(name) {
		return otherwise
	}
	var f assaytest.Float
	if err := json.Unmarshal(r.Args[name], &f); err != nil {
		r.t.Fatal(err)
	}
	return float64(f)
}

func (r row) text(name string) string {
	var s string
	if r.has(name) {
		if err := json.Unmarshal(r.Args[name], &s); err != nil {
			r.t.Fatal(err)
		}
	}
	return s
}

func (r row) flag(name string, otherwise bool) bool {
	if !r.has(name) {
		return otherwise
	}
	return string(r.Args[name]) == "true"
}

// labels encodes the named columns of labels, with labels= in the union; classes are written as in the table.
func (r row) labels(truth, pred string) (classes []string, y, p []int32, err error) {
	r.t.Helper()
	var list struct{ truth, pred, listed []any }
	for name, to := range map[string]*[]any{truth: &list.truth, pred: &list.pred, "labels": &list.listed} {
		if r.has(name) {
			*to = decode(r.t, r.Args[name]).([]any)
		}
	}
	all := append(append([]any{}, list.truth...), list.listed...)
	if a, b, ok := typed[string](all, list.pred); ok && !strings.Contains(fmt.Sprint(all), "NaN") {
		classes, y, p, err = Encode(a, b)
	} else if a, b, ok := typed[float64](numbers(all), numbers(list.pred)); ok {
		var whole []float64
		whole, y, p, err = Encode(a, b)
		for _, c := range whole {
			classes = append(classes, fmt.Sprint(c))
		}
	} else {
		// Columns of two types cannot be one []T.
		return nil, nil, nil, invalid("labels of two types")
	}
	if err == nil {
		y = y[:len(list.truth)]
	}
	return classes, y, p, err
}

func typed[T any](a, b []any) (x, y []T, ok bool) {
	for i, v := range append(append([]any{}, a...), b...) {
		t, ok := v.(T)
		if !ok {
			return nil, nil, false
		}
		if i < len(a) {
			x = append(x, t)
		} else {
			y = append(y, t)
		}
	}
	return x, y, true
}

// numbers reads the names of the non-finite floats.
func numbers(v []any) []any {
	out := append([]any{}, v...)
	for i, x := range out {
		if x == "NaN" {
			out[i] = math.NaN()
		}
	}
	return out
}

// indices are the positions of the listed labels among the classes.
func (r row) indices(classes []string) []int {
	if !r.has("labels") {
		return nil
	}
	var listed []any
	_ = json.Unmarshal(r.Args["labels"], &listed)
	out := []int{}
	for _, l := range listed {
		for i, c := range classes {
			if fmt.Sprint(l) == c {
				out = append(out, i)
			}
		}
	}
	return out
}
