package ort

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/learn"
)

// library loads the real ONNX Runtime.
func library(t testing.TB) *Library {
	t.Helper()
	path := os.Getenv("ASSAY_TEST_ONNXRUNTIME")
	if path == "" {
		t.Skip("set ASSAY_TEST_ONNXRUNTIME to the shared library of ONNX Runtime")
	}
	l, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// open opens a model with ONNX Runtime for the length of a test.
func open(t testing.TB, l *Library, b []byte, limits learn.Limits) *learn.Predictor {
	t.Helper()
	p, err := l.Open(b, limits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// evaluate runs a model on the inputs of a case and returns its outputs by name.
func evaluate(t testing.TB, p *learn.Predictor, c assaytest.ModelCase) (map[string]assaytest.Array, error) {
	t.Helper()
	s := p.Session()
	defer s.Close()
	for i, port := range p.Inputs() {
		a := c.Inputs[port.Name]
		in, err := s.Input(i, a.Shape...)
		if err != nil {
			return nil, err
		}
		copy(in.Doubles, a.Floats)
		copy(in.Ints, a.Ints)
		copy(in.Strings, a.Strings)
		for j := range in.Floats {
			in.Floats[j] = float32(a.Floats[j])
		}
	}
	if err := s.Run(); err != nil {
		return nil, err
	}
	out := map[string]assaytest.Array{}
	for i, port := range p.Outputs() {
		x := s.Output(i)
		a := assaytest.Array{Shape: append([]int{}, x.Shape...), Ints: append([]int64(nil), x.Ints...), Strings: append([]string(nil), x.Strings...), Floats: append([]float64(nil), x.Doubles...)}
		for _, v := range x.Floats {
			a.Floats = append(a.Floats, float64(v))
		}
		if x.Keys != nil {
			a.Keys = append(a.Keys, x.Keys.Strings...)
			for _, k := range x.Keys.Ints {
				a.Keys = append(a.Keys, strconv.FormatInt(k, 10))
			}
		}
		out[port.Name] = a
	}
	return out, nil
}

// Every model of the oracle gives the same in ONNX Runtime and in Assay's own evaluator, and what the oracle says.
func TestOracle(t *testing.T) {
	l := library(t)
	for _, c := range assaytest.Models(t, "oracle/onnx") {
		t.Run(c.Name, func(t *testing.T) {
			own, err := learn.Open(c.Model, learn.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(c.Name, "_layout") { // the rows of a layer first: ONNX has it, and its reference says what comes out
				if _, err := l.Open(c.Model, learn.Limits{}); err == nil || !strings.Contains(err.Error(), "layout == 1") {
					t.Errorf("ONNX Runtime takes the layout now, or says something else: %v", err)
				}
				return
			}
			theirs := open(t, l, c.Model, learn.Limits{})
			if a, b := fmt.Sprint(own.Fields(), own.Classes(), own.Outputs()), fmt.Sprint(theirs.Fields(), theirs.Classes(), theirs.Outputs()); a != b {
				t.Errorf("ports differ:\n%s\n%s", a, b)
			}
			a, err := evaluate(t, own, c)
			if err != nil {
				t.Fatal(err)
			}
			b, err := evaluate(t, theirs, c)
			if strings.HasPrefix(c.Name, "op_size") || c.Name == "op_einsum_apart" || c.Name == "op_einsum_int" { // a single number, and the model says neither that nor its type
				if assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), `output "out0" is a single number of which the model does not say the type`) {
					t.Errorf("onnxruntime: %v", err)
				}
				b = a
			} else if err != nil {
				t.Fatal(err)
			}
			if said := own.Cautions(); len(said) > 0 { // where the two differ, which is said when a model is opened
				for name := range c.Outputs {
					if a[name].Differs(b[name], c.Tolerance) == "" {
						t.Errorf("output %s is the same in both, although it is said that %s", name, said)
					}
				}
				b = a
			}
			for name, want := range c.Outputs {
				for i, got := range []assaytest.Array{a[name], b[name]} {
					if diff := want.Differs(got, c.Tolerance); diff != "" {
						t.Errorf("%s, output %s: %s", []string{"assay", "onnxruntime"}[i], name, diff)
					}
				}
				if diff := a[name].Differs(b[name], c.Tolerance); diff != "" {
					t.Errorf("output %s differs between the two: %s", name, diff)
				}
			}
		})
	}
}

// What Assay's own evaluator refuses runs in ONNX Runtime: an operator, a function of the model, 16-bit floats.
func TestBeyondOwnEvaluator(t *testing.T) {
	l := library(t)
	for _, c := range assaytest.Models(t, "onnxruntime") {
		t.Run(c.Name, func(t *testing.T) {
			if _, err := learn.Open(c.Model, learn.Limits{}); assay.CodeOf(err) != assay.Unimplemented {
				t.Errorf("assay: %v", err)
			}
			p := open(t, l, c.Model, learn.Limits{})
			got, err := evaluate(t, p, c)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(c.Outputs) {
				t.Errorf("%d outputs, want %d", len(got), len(c.Outputs))
			}
			for name, want := range c.Outputs {
				if diff := want.Differs(got[name], c.Tolerance); diff != "" {
					t.Errorf("output %s: %s", name, diff)
				}
			}
		})
	}
	c := assaytest.Model(t, "onnxruntime", "columns")
	p := open(t, l, c.Model, learn.Limits{})
	p.SetClasses([]string{"no", "yes"})
	frame := assay.Frame{{Name: "hours", Type: assay.TypeNumber, Floats: c.Inputs["hours"].Floats}, {Name: "age", Type: assay.TypeInteger, Floats: c.Inputs["age"].Floats}}
	got, err := p.Predict(frame)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range c.Outputs["label"].Strings {
		if got.Classes[got.Labels[i]] != want {
			t.Errorf("row %d: %s, want %s", i, got.Classes[got.Labels[i]], want)
		}
	}
}

// A model that ONNX Runtime does not know either is refused with its words; a damaged one is invalid.
func TestModelRefused(t *testing.T) {
	l := library(t)
	for name, want := range map[string]struct {
		code assay.Code
		text string
	}{
		"refuse_unknown_domain_op": {assay.Unimplemented, "does not take the model"},
		"refuse_cycle":             {assay.Invalid, "does not take the model"},
		"refuse_missing_input":     {assay.Invalid, "does not take the model"},
		"refuse_truncated":         {assay.Invalid, "at byte"},
	} {
		b, err := os.ReadFile(filepath.Join(assaytest.Root(), "testdata", "oracle", "onnx", name+".onnx"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = l.Open(b, learn.Limits{})
		t.Log(err)
		if assay.CodeOf(err) != want.code || !strings.Contains(err.Error(), want.text) {
			t.Errorf("%s: %v is not %s with %q", name, err, want.code, want.text)
		}
	}
	if n := l.Models(); n != 0 {
		t.Errorf("%d models are open after refusals", n)
	}
}

// Many goroutines ask one model, and every answer has the same bytes.
func TestSameBytes(t *testing.T) {
	l := library(t)
	for _, name := range []string{"forest_multiclass", "torch_cnn", "titanic_mixed_forest_zipmap"} {
		c := assaytest.Model(t, "oracle/onnx", name)
		p := open(t, l, c.Model, learn.Limits{})
		want, err := evaluate(t, p, c)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 25 {
					got, err := evaluate(t, p, c)
					if err != nil {
						t.Error(err)
						return
					}
					for k, a := range want {
						if diff := a.Differs(got[k], assaytest.Tolerance{}); diff != "" {
							t.Errorf("%s, %s: %s", name, k, diff)
						}
					}
				}
			})
		}
		wg.Wait()
	}
}

// A closed model gives its memory back.
func TestMemoryIsGivenBack(t *testing.T) {
	l := library(t)
	const constants = 4 << 20 // 16 MiB
	big := onnxFile(node("Gather", "zero", "zeros", "first"), node("Add", "y", "x", "zero"), zeros("zeros", constants, 1, 4), zeros("first", 1, 7, 8), matrix(11, "x", 1), matrix(12, "y", 1))
	resident := func() int64 {
		b, err := os.ReadFile("/proc/self/statm")
		if err != nil {
			t.Skip("no /proc")
		}
		var size, pages int64
		if _, err := fmt.Sscan(string(b), &size, &pages); err != nil {
			t.Fatal(err)
		}
		return pages * int64(os.Getpagesize()) >> 20
	}
	cycle := func() {
		p, err := l.Open(big, learn.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := evaluate(t, p, assaytest.ModelCase{Inputs: map[string]assaytest.Array{"x": {Shape: []int{1, 1}, Floats: []float64{1}}}})
		if err != nil || got["y"].Floats[0] != 1 {
			t.Fatal(got, err)
		}
		if err := errors.Join(p.Close(), p.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		cycle()
	}
	debug.FreeOSMemory()
	before := resident()
	for range 30 {
		cycle()
	}
	debug.FreeOSMemory()
	// Thirty models that were kept would be 480 MiB. The C library keeps some of what it got back, for each thread, and no more with more models.
	if grown := resident() - before; grown > 240 {
		t.Errorf("%d MiB more after 30 models of 16 MiB that were closed", grown)
	}
	if n := l.Models(); n != 0 {
		t.Errorf("%d models are open", n)
	}
}

// A run whose context ends is stopped between two nodes.
func TestRunStops(t *testing.T) {
	l := library(t)
	const width, nodes = 1 << 20, 1000
	graph := [][]byte{matrix(11, "x", width), matrix(12, "y", width)}
	for i := range nodes {
		in, out := "t"+strconv.Itoa(i), "t"+strconv.Itoa(i+1)
		if i == 0 {
			in = "x"
		}
		if i == nodes-1 {
			out = "y"
		}
		graph = append(graph, node("Add", out, in, "x"))
	}
	p := open(t, l, onnxFile(graph...), learn.Limits{})
	s := p.Session()
	defer s.Close()
	run := func(limit time.Duration) (time.Duration, error) {
		if _, err := s.Input(0, 1, width); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		began := time.Now()
		err := s.RunContext(ctx)
		return time.Since(began), err
	}
	whole, err := run(time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	cut, err := run(whole / 20)
	if !errors.Is(err, context.DeadlineExceeded) || cut > whole/2 {
		t.Errorf("%v of %v: %v", cut, whole, err)
	}
}

// What cannot be handed over is refused in place of being changed.
func TestInputsThatCannotBeGiven(t *testing.T) {
	for name, x := range map[string]*learn.Tensor{
		"a number that int32 cannot hold": {Type: learn.Int32, Shape: []int{1}, Ints: []int64{math.MaxInt32 + 1}},
		"a number that uint8 cannot hold": {Type: learn.Uint8, Shape: []int{1}, Ints: []int64{-1}},
		"uint64 cannot hold":              {Type: learn.Uint64, Shape: []int{1}, Ints: []int64{-1}},
		"a text with a NUL byte":          {Type: learn.String, Shape: []int{1}, Strings: []string{"a\x00b"}},
		"holds float16":                   {Type: 10, Shape: []int{1}},
	} {
		if _, err := valueOf(x); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v does not say %q", err, name)
		}
	}
	l := library(t)
	c := assaytest.Model(t, "oracle/onnx", "torch_wide")
	p := open(t, l, c.Model, learn.Limits{RunBytes: 64})
	if _, err := evaluate(t, p, c); err == nil || assay.CodeOf(err) != assay.Invalid {
		t.Errorf("beyond the limit: %v", err)
	}
}

// An error of a run names the node and nothing of the rows.
func TestRunErrorHoldsNoValue(t *testing.T) {
	l := library(t)
	c := assaytest.Model(t, "oracle/onnx", "op_gather")
	p := open(t, l, c.Model, learn.Limits{})
	for name, a := range c.Inputs {
		for i := range a.Ints {
			a.Ints[i] = 987654321
		}
		c.Inputs[name] = a
	}
	_, err := evaluate(t, p, c)
	t.Log(err)
	if err == nil || !strings.Contains(err.Error(), "Gather") || strings.Contains(err.Error(), "987654321") {
		t.Errorf("error %v", err)
	}
}

const loadEnv = "ASSAY_TEST_LOAD"

// TestChildLoads is run by TestLibraryRefused in processes of its own: what is loaded into a process stays there.
func TestChildLoads(t *testing.T) {
	path := os.Getenv(loadEnv)
	if path == "" {
		return
	}
	_, err := Load(path)
	fmt.Printf("\n%s|%v|%s\n", assay.CodeOf(err), err, assay.HintOf(err))
}

func TestLibraryRefused(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	compiled := func(name, source string) string {
		in, out := write(name+".c", []byte(source)), filepath.Join(dir, name)
		if b, err := exec.Command("cc", "-shared", "-fPIC", "-o", out, in).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		return out
	}
	foreign, other := uint16(183), "arm64" // EM_AARCH64
	if runtime.GOARCH == "arm64" {
		foreign, other = 62, "amd64"
	}
	for _, c := range []struct {
		path string
		code assay.Code
		text string
	}{
		{filepath.Join(dir, "nothing.so"), assay.NotFound, "no file"},
		{dir, assay.Invalid, "is no file"},
		{"libonnxruntime.so", assay.Invalid, "not an absolute path"},
		{write("text.so", []byte("not a library at all")), assay.Invalid, "is not a shared library"},
		{write("foreign.so", sharedObject(foreign)), assay.Invalid, "is made for " + other + ", this assay for " + runtime.GOARCH},
		{write("empty.so", sharedObject(map[string]uint16{"amd64": 62, "arm64": 183}[runtime.GOARCH])), assay.Unavailable, "cannot be loaded"},
		{compiled("other.so", "int answer(void) { return 42; }"), assay.Invalid, "but not ONNX Runtime"},
		{compiled("old.so", `
			typedef struct { const void *(*get)(unsigned); const char *(*version)(void); } base;
			static const void *get(unsigned version) { return version > 16 ? 0 : "api"; }
			static const char *version(void) { return "1.16.3"; }
			static const base b = {get, version};
			const base *OrtGetApiBase(void) { return &b; }`), assay.Unimplemented, "older than 1.24"},
	} {
		child := exec.Command(os.Args[0], "-test.run=^TestChildLoads$")
		child.Env = append(os.Environ(), loadEnv+"="+c.path)
		out, err := child.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", c.path, err, out)
		}
		_, line, _ := strings.Cut(string(out), "\n")
		line, _, _ = strings.Cut(line, "\n")
		t.Log(line)
		if !strings.HasPrefix(line, string(c.code)+"|") || !strings.Contains(line, c.text) {
			t.Errorf("%s: %q is not %s with %q", filepath.Base(c.path), line, c.code, c.text)
		}
	}
}

// A process has one ONNX Runtime.
func TestSecondLibrary(t *testing.T) {
	l := library(t)
	if again, err := Load(l.path); again != l || err != nil {
		t.Errorf("the same again: %v", err)
	}
	if _, err := Load(l.path + ".other"); assay.CodeOf(err) != assay.Refused || !strings.Contains(err.Error(), l.version) {
		t.Errorf("another: %v", err)
	}
}

// sharedObject is the header of a shared library for a processor, and nothing else.
func sharedObject(machine uint16) []byte {
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint16(b[16:], 3) // a shared object
	binary.LittleEndian.PutUint16(b[18:], machine)
	binary.LittleEndian.PutUint32(b[20:], 1)
	binary.LittleEndian.PutUint16(b[52:], 64)
	binary.LittleEndian.PutUint16(b[54:], 56)
	binary.LittleEndian.PutUint16(b[58:], 64)
	return b
}
