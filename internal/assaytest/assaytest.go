// Package assaytest is what the tests of several packages share: golden files, oracle tables and a fixed clock. Only test files
// import it.
package assaytest

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write golden files instead of comparing with them")

// Root returns the module's root directory: that of the nearest go.mod above the package under test.
func Root() string {
	dir, err := os.Getwd()
	if err != nil {
		panic("BUG: a test without a working directory: " + err.Error())
	}
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.mod")); err == nil || d == filepath.Dir(d) {
			return d
		}
	}
}

// Golden compares got with the file testdata/name of the package under test, or writes that file when the test runs with -update.
func Golden(t testing.TB, name string, got []byte) {
	t.Helper()
	p := filepath.Join("testdata", filepath.FromSlash(name))
	if *update {
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(p)
	if err != nil {
		t.Fatalf("no golden file: %v (run the test with -update to write it)", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from what the test got; read the difference, then run with -update\n%s", p, firstDifference(string(want), string(got)))
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := 0; i < len(w) || i < len(g); i++ {
		var a, b string
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			return fmt.Sprintf("line %d\n- %s\n+ %s", i+1, a, b)
		}
	}
	return ""
}

// A Case is one row of an oracle table: the arguments and either a value or the error with which the peer refuses them.
type Case struct {
	ID    string                     `json:"id"`
	Fn    string                     `json:"fn"`
	What  string                     `json:"what"`
	Args  map[string]json.RawMessage `json:"args"`
	Value json.RawMessage            `json:"value"`
	Error *struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	} `json:"error"`
	Warnings []json.RawMessage `json:"warnings"` // their form differs from table to table
}

// Tolerance is how close is close enough, as the table's header states it.
type Tolerance struct {
	Rel float64 `json:"rel"`
	Abs float64 `json:"abs"`
}

// Near reports whether got equals want within the tolerance; NaN equals NaN, and an infinity equals itself.
func (tol Tolerance) Near(got, want float64) bool {
	if math.IsNaN(want) || math.IsNaN(got) {
		return math.IsNaN(want) && math.IsNaN(got)
	}
	if math.IsInf(want, 0) || math.IsInf(got, 0) {
		return got == want
	}
	return math.Abs(got-want) <= tol.Abs+tol.Rel*math.Abs(want)
}

// Oracle loads testdata/oracle/name of the module, for example "metric/ranking.json".
func Oracle(t testing.TB, name string) ([]Case, Tolerance) {
	t.Helper()
	var table struct {
		Header struct {
			Tolerance Tolerance `json:"tolerance"`
		} `json:"header"`
		Cases []Case `json:"cases"`
	}
	OracleInto(t, name, &table)
	if len(table.Cases) == 0 {
		t.Fatalf("oracle table %s holds no case", name)
	}
	return table.Cases, table.Header.Tolerance
}

// OracleInto decodes testdata/oracle/name into v.
func OracleInto(t testing.TB, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(Root(), "testdata", "oracle", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatalf("oracle table %s: %v", name, err)
	}
}

// Float is a float64 that reads NaN, Infinity, -Infinity and null (as NaN) besides numbers.
type Float float64

// UnmarshalJSON implements json.Unmarshaler.
func (f *Float) UnmarshalJSON(b []byte) error {
	switch strings.Trim(string(b), `"`) {
	case "NaN", "null":
		*f = Float(math.NaN())
	case "Infinity":
		*f = Float(math.Inf(1))
	case "-Infinity":
		*f = Float(math.Inf(-1))
	default:
		var v float64
		if err := json.Unmarshal(b, &v); err != nil {
			return err
		}
		*f = Float(v)
	}
	return nil
}

// Floats decodes a JSON array (of any of Float's forms) into float64s; it returns nil for an absent argument or null.
func Floats(t testing.TB, raw json.RawMessage) []float64 {
	t.Helper()
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	var fs []Float
	if err := json.Unmarshal(raw, &fs); err != nil {
		t.Fatalf("not an array of numbers: %v", err)
	}
	out := make([]float64, len(fs))
	for i, f := range fs {
		out[i] = float64(f)
	}
	return out
}

// CollectSeldom makes the tests of the inner loop collect garbage less often, which saves a tenth of their time; the full test command
// collects as the program does.
func CollectSeldom() {
	if !Full() && os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// Full reports whether the full test command runs, in which every test has its full size.
func Full() bool { return os.Getenv("ASSAY_TEST_FULL") != "" }

// Size is how large or how often something is: short in the inner loop, long in the full test command.
func Size(short, long int) int {
	if Full() {
		return long
	}
	return short
}

// Draws makes the properties of a test be tried n times in the inner loop. The test must not be parallel: the number is that of the process.
func Draws(t testing.TB, n int) {
	t.Helper()
	const checks = "rapid.checks"
	if Full() {
		return
	}
	f := flag.Lookup(checks)
	if f == nil {
		t.Fatalf("the test has no flag %s", checks)
	}
	before := f.Value.String()
	if err := f.Value.Set(strconv.Itoa(n)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Value.Set(before); err != nil {
			t.Fatal(err)
		}
	})
}

// Clock returns a clock that starts at 2026-01-02 03:04:05 UTC and moves on by one second a call, whoever calls.
func Clock() func() time.Time {
	start := time.Date(2026, 1, 2, 3, 4, 4, 0, time.UTC)
	var calls atomic.Int64
	return func() time.Time { return start.Add(time.Duration(calls.Add(1)) * time.Second) }
}
