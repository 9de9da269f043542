package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/mlmodel"
	"github.com/assay-ml/assay/internal/ort"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/learn"
)

// onnxRuntime loads the library, or skips the test.
func onnxRuntime(t *testing.T) *ort.Library {
	t.Helper()
	path := os.Getenv("ASSAY_TEST_ONNXRUNTIME")
	if path == "" {
		t.Skip("set ASSAY_TEST_ONNXRUNTIME to the shared library of ONNX Runtime")
	}
	library, err := ort.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return library
}

// Versions that ONNX Runtime evaluates are swapped under load: every request is answered, as NumPy has it, and what a version held is
// given back when its last request has ended.
func TestONNXRuntimeVersionsSwap(t *testing.T) {
	library := onnxRuntime(t)
	c := assaytest.Model(t, "onnxruntime", "columns")
	classes := []string{"no", "yes"}
	fields := []assay.Field{{Name: "age", Type: assay.TypeInteger}, {Name: "hours", Type: assay.TypeInteger}}
	in := schema.New("in")
	for _, f := range fields {
		in.Columns = append(in.Columns, schema.Column{Name: f.Name, Type: f.Type})
	}
	server := New(Options{Clock: time.Now, Nonce: "t"})
	bind := func(number int) *Bound {
		p, err := library.Open(c.Model, learn.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		e, err := Native(p, fields, classes)
		if err != nil {
			t.Fatal(err)
		}
		b, err := server.Bind(Binding{Name: "m", Number: number, Task: assay.Binary, Classes: classes, Input: in, Output: OutputSchema("out", classes, true), Engine: e})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.WarmUp(context.Background()); err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := bind(1)
	server.Set("m", first, first)
	var rows []string
	for i := range c.Inputs["age"].Floats {
		rows = append(rows, fmt.Sprintf("[%v, %v]", c.Inputs["age"].Floats[i], c.Inputs["hours"].Floats[i]))
	}
	body := []byte("[" + strings.Join(rows, ", ") + "]")
	want := c.Outputs["probabilities"].Floats
	ask := func() error {
		call, err := server.Begin("test", "m", "", "")
		if err != nil {
			return err
		}
		defer call.End()
		call.Body = body
		call.Reader.Reset(call.Body, 0)
		if err := call.ReadInstances(&call.Reader); err != nil {
			return err
		}
		if err := call.Predict(context.Background()); err != nil {
			return err
		}
		for i, p := range call.Output.Proba {
			if math.Abs(p-want[i]) > 1e-6 {
				return fmt.Errorf("score %d is %v, want %v", i, p, want[i])
			}
		}
		for i, l := range call.Output.Labels {
			if classes[l] != c.Outputs["label"].Strings[i] {
				return fmt.Errorf("row %d is %s", i, classes[l])
			}
		}
		return nil
	}
	var asked atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := ask(); err != nil {
					t.Error(err)
					return
				}
				asked.Add(1)
			}
		})
	}
	for number := range 30 {
		b := bind(number + 2)
		server.Set("m", b, b)
		for at := asked.Load(); asked.Load() < at+20 && !t.Failed(); {
			time.Sleep(time.Millisecond)
		}
	}
	close(stop)
	wg.Wait()
	if err := server.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := library.Models(); n != 0 {
		t.Errorf("%d models are open after the last version has gone", n)
	}
	t.Logf("%d requests", asked.Load())
}

// TestONNXRuntimeTakesDataBesideTheModel: both engines answer for a directory of MLflow, whose tensors are in a file of their own, as its python_function.
func TestONNXRuntimeTakesDataBesideTheModel(t *testing.T) {
	library := onnxRuntime(t)
	archive, err := mlmodel.Pack(filepath.Join(assaytest.Root(), "testdata", "mlflow", "onnx_beside"))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := mlmodel.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	file, err := dir.NativeFile()
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Input       []map[string]float64
		Predictions [][]float64
	}
	if err := json.Unmarshal(dir.Files["expected.json"], &want); err != nil {
		t.Fatal(err)
	}
	own, err := learn.Open(file, learn.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	other, err := library.Open(file, learn.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*learn.Predictor{own, other} {
		p.SetClasses([]string{"no", "yes"})
		var x assay.Frame
		for _, name := range []string{"age", "income", "hours"} {
			col := assay.Column{Name: name, Type: assay.TypeNumber}
			for _, row := range want.Input {
				col.Floats = append(col.Floats, row[name])
			}
			x = append(x, col)
		}
		got, err := p.Predict(x)
		if err != nil {
			t.Fatal(err)
		}
		for i, row := range want.Predictions {
			for j, v := range row {
				if math.Abs(got.Proba[2*i+j]-v) > 1e-6 {
					t.Errorf("row %d, class %d: %v, want %v", i, j, got.Proba[2*i+j], v)
				}
			}
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}
