package assaytest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A ModelCase is a model file with inputs, and what it must answer to them.
type ModelCase struct {
	Name      string
	Model     []byte
	Inputs    map[string]Array
	Outputs   map[string]Array
	Tolerance Tolerance
}

// An Array is a tensor of an oracle file. Floats, Ints or Strings holds the elements, by DType: float32 and float64, string, and any
// type of integers. With Keys it is a sequence of maps: Shape is [n, k], Keys are the k keys as text, and DType is float32.
type Array struct {
	DType   string
	Shape   []int
	Floats  []float64
	Ints    []int64
	Strings []string
	Keys    []string
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *Array) UnmarshalJSON(b []byte) error {
	var file struct {
		DType string          `json:"dtype"`
		Shape []int           `json:"shape"`
		Data  json.RawMessage `json:"data"`
		Keys  []any           `json:"keys"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		return err
	}
	a.DType, a.Shape = file.DType, file.Shape
	if file.Keys != nil {
		var rows [][]Float
		if err := json.Unmarshal(file.Data, &rows); err != nil {
			return err
		}
		for _, k := range file.Keys {
			a.Keys = append(a.Keys, fmt.Sprint(k))
		}
		for _, row := range rows {
			a.floats(row)
		}
		a.DType, a.Shape = "float32", []int{len(rows), len(a.Keys)}
		return nil
	}
	switch a.DType {
	case "string":
		return json.Unmarshal(file.Data, &a.Strings)
	case "float32", "float64":
		var v []Float
		err := json.Unmarshal(file.Data, &v)
		a.floats(v)
		return err
	}
	if err := json.Unmarshal(file.Data, &a.Ints); err == nil {
		return nil
	}
	var truth []bool
	err := json.Unmarshal(file.Data, &truth)
	for _, v := range truth {
		a.Ints = append(a.Ints, 0)
		if v {
			a.Ints[len(a.Ints)-1] = 1
		}
	}
	return err
}

func (a *Array) floats(v []Float) {
	for _, x := range v {
		a.Floats = append(a.Floats, float64(x))
	}
}

// Differs says where got is not what a says it must be, and "" where it is.
func (a Array) Differs(got Array, tol Tolerance) string {
	switch {
	case !slices.Equal(a.Shape, got.Shape):
		return fmt.Sprintf("shape %v, want %v", got.Shape, a.Shape)
	case !slices.Equal(a.Keys, got.Keys):
		return fmt.Sprintf("keys %q, want %q", got.Keys, a.Keys)
	case !slices.Equal(a.Strings, got.Strings):
		return fmt.Sprintf("strings %q, want %q", got.Strings, a.Strings)
	case !slices.Equal(a.Ints, got.Ints):
		return fmt.Sprintf("numbers %d, want %d", got.Ints, a.Ints)
	case len(a.Floats) != len(got.Floats):
		return fmt.Sprintf("%d numbers, want %d", len(got.Floats), len(a.Floats))
	}
	for i, want := range a.Floats {
		if !tol.Near(got.Floats[i], want) {
			return fmt.Sprintf("number %d is %v, want %v", i, got.Floats[i], want)
		}
	}
	return ""
}

// within is a folder of testdata of the module, or the folder itself where its path is absolute.
func within(folder string) string {
	if filepath.IsAbs(folder) {
		return folder
	}
	return filepath.Join(Root(), "testdata", filepath.FromSlash(folder))
}

// Model loads testdata/folder/name.onnx of the module and the JSON file beside it. An absolute folder is taken as it is.
func Model(t testing.TB, folder, name string) ModelCase {
	t.Helper()
	path := filepath.Join(within(folder), name)
	model, err := os.ReadFile(path + ".onnx")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Header struct {
			Tolerance Tolerance `json:"tolerance"`
		} `json:"header"`
		Inputs  map[string]Array `json:"inputs"`
		Outputs json.RawMessage  `json:"outputs"` // by name, or a list with names
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	c := ModelCase{Name: name, Model: model, Inputs: file.Inputs, Outputs: map[string]Array{}, Tolerance: file.Header.Tolerance}
	var list []json.RawMessage
	if json.Unmarshal(file.Outputs, &list) != nil {
		if err := json.Unmarshal(file.Outputs, &c.Outputs); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return c
	}
	for _, raw := range list {
		var named struct {
			Name string `json:"name"`
		}
		var a Array
		if err := json.Unmarshal(raw, &named); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := json.Unmarshal(raw, &a); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c.Outputs[named.Name] = a
	}
	return c
}

// Models loads every model of a folder of testdata, but those whose names begin with refuse_.
func Models(t testing.TB, folder string) []ModelCase {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(within(folder), "*.onnx"))
	if err != nil || len(files) == 0 {
		t.Fatal("no model", err)
	}
	var out []ModelCase
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".onnx"); !strings.HasPrefix(name, "refuse_") {
			out = append(out, Model(t, folder, name))
		}
	}
	return out
}
