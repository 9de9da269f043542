package oip_test

import (
	"encoding/hex"
	"fmt"
	"math"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/oip"
	"github.com/assay-ml/assay/internal/ort"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/learn"
)

// narrowModel is y = Cast(i32 as INT32 to FLOAT), made by onnx.helper.
const narrowModel = "08083a580a190a036933321201662204436173742a090a02746f1801a001020a100a016612017922084964656e746974791201675a130a03693332120c0a0a080612060a000a02080162110a0179120c0a0a080112060a000a02080142040a00100f"

// TestNarrowIntegers: an input of 32 bits takes no more than they hold, whatever evaluates the model, and the metadata names its width.
func TestNarrowIntegers(t *testing.T) {
	file, err := hex.DecodeString(narrowModel)
	if err != nil {
		t.Fatal(err)
	}
	evaluators := map[string]func() (*learn.Predictor, error){"own": func() (*learn.Predictor, error) { return learn.Open(file, learn.Limits{}) }}
	if path := os.Getenv("ASSAY_TEST_ONNXRUNTIME"); path != "" {
		evaluators["ONNX Runtime"] = func() (*learn.Predictor, error) {
			lib, err := ort.Load(path)
			if err != nil {
				return nil, err
			}
			return lib.Open(file, learn.Limits{})
		}
	}
	for name, open := range evaluators {
		p, err := open()
		if err != nil {
			t.Fatal(name, err)
		}
		in := schema.New("in")
		in.Columns = []schema.Column{{Name: "i32", Type: assay.TypeInteger}}
		e, err := serve.Native(p, []assay.Field{{Name: "i32", Type: assay.TypeInteger}}, nil)
		if err != nil {
			t.Fatal(name, err)
		}
		s := serve.New(serve.Options{Clock: assaytest.Clock(), Nonce: "n"})
		b, err := s.Bind(serve.Binding{Name: "m", Number: 1, Task: assay.Regression, Input: in, Output: serve.OutputSchema("out", nil, false), Engine: e})
		if err != nil {
			t.Fatal(name, err)
		}
		s.Set("m", b, b)
		s.SetReady(true)
		mux := http.NewServeMux()
		(&oip.Inference{Server: s, Version: "0.1.0"}).Routes(mux)
		for x, fits := range map[int64]bool{0: true, math.MaxInt32: true, math.MinInt32: true, math.MaxInt32 + 1: false, math.MinInt32 - 1: false, 4294967301: false} {
			status, body, _ := sendBinary(t, mux, "/v2/models/m/infer", fmt.Sprintf(`{"inputs":[{"name":"i32","shape":[1],"datatype":"INT64","data":[%d]}]}`, x), nil)
			if fits != (status == 200) || !fits && (status != 400 || !strings.Contains(body, "row 0: i32 is beyond what the model can hold (32-bit integers)")) {
				t.Errorf("%s: %d: %d %s", name, x, status, body)
			}
		}
		if told := send(t, mux, http.MethodGet, "/v2/models/m", nil).Body.String(); !strings.Contains(told, `{"name":"i32","datatype":"INT32"`) {
			t.Errorf("%s: %s", name, told)
		}
	}
}
