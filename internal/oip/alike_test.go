package oip_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/oip"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// reads is a model that keeps what it is given.
type reads struct{ seen []string }

func (e *reads) Predict(_ context.Context, rows *schema.Batch, out *serve.Output) error {
	for row := range rows.Rows() {
		e.seen = append(e.seen, string(rows.AppendJSON(nil, row, 0)))
		out.Values = append(out.Values, 0)
	}
	return nil
}

func (e *reads) Close() error { return nil }

// reading serves a model of one column of the type.
func reading(t testing.TB, typ assay.Type) (http.Handler, *reads) {
	t.Helper()
	e := &reads{}
	s := serve.New(serve.Options{Clock: assaytest.Clock(), Nonce: "n"})
	in := schema.New("in")
	in.Columns = []schema.Column{{Name: "c", Type: typ}}
	b, err := s.Bind(serve.Binding{Name: "m", Number: 1, Task: assay.Regression, Input: in, Output: serve.OutputSchema("out", nil, false), Engine: e})
	if err != nil {
		t.Fatal(err)
	}
	s.Set("m", b, b)
	s.SetReady(true)
	mux := http.NewServeMux()
	(&oip.Inference{Server: s, Version: "0.1.0"}).Routes(mux)
	return mux, e
}

// element is a whole number or float of a datatype as JSON and as bytes; held is false where the type has no such value.
func element(typ, text string) (bytes []byte, held bool) {
	whole := !strings.ContainsAny(text, ".e")
	le := binary.LittleEndian
	switch typ {
	case "FP64", "FP32":
		x, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, false
		}
		if typ == "FP32" {
			y := float32(x)
			if math.IsInf(float64(y), 0) || whole && !exact(text, float64(y)) {
				return nil, false
			}
			return le.AppendUint32(nil, math.Float32bits(y)), true
		}
		return le.AppendUint64(nil, math.Float64bits(x)), !whole || exact(text, x)
	}
	bits, _ := strconv.Atoi(strings.TrimLeft(typ, "UINT"))
	var u uint64
	if strings.HasPrefix(typ, "U") {
		x, err := strconv.ParseUint(text, 10, bits)
		if err != nil {
			return nil, false
		}
		u = x
	} else {
		x, err := strconv.ParseInt(text, 10, bits)
		if err != nil {
			return nil, false
		}
		u = uint64(x)
	}
	return le.AppendUint64(nil, u)[:bits/8], true
}

// exact reports whether a float is the whole number of that text.
func exact(text string, f float64) bool { return strconv.FormatFloat(f, 'f', 0, 64) == text }

// TestAlike sends numbers of every datatype to a column of every type in JSON and as bytes: the model gets the same, or both are refused; what the
// datatype does not hold is refused in JSON.
func TestAlike(t *testing.T) {
	kinds := []assay.Type{assay.TypeInteger, assay.TypeNumber, assay.TypeBoolean, assay.TypeString, assay.TypeTimestamp}
	models := map[assay.Type]http.Handler{}
	given := map[assay.Type]*reads{}
	for _, k := range kinds {
		models[k], given[k] = reading(t, k)
	}
	edges := []int64{0, 1, 127, 128, 255, 256, 1<<15 - 1, 1 << 15, 1<<16 - 1, 1 << 16, 1<<24 + 1, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<53 - 1, 1 << 53, 1<<53 + 1, 1 << 62, math.MaxInt64}
	rapid.Check(t, func(r *rapid.T) {
		kind := rapid.SampledFrom(kinds).Draw(r, "column")
		typ := rapid.SampledFrom([]string{"UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP32", "FP64"}).Draw(r, "datatype")
		float := typ[0] == 'F'
		texts := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) string {
			switch n := rapid.IntRange(0, 9).Draw(r, "kind"); {
			case n < 5 || !float:
				x := rapid.SampledFrom(edges).Draw(r, "edge") + rapid.Int64Range(-2, 0).Draw(r, "beside")
				text := strconv.FormatInt(x, 10)
				switch {
				case rapid.IntRange(0, 3).Draw(r, "sign") == 0 && x > 0:
					text = "-" + text
				case x > 1<<62 && n == 0:
					text = strconv.FormatUint(2*uint64(x)+1, 10)
				}
				return text
			case n < 7:
				return strconv.FormatFloat(float64(rapid.Float32Range(-1e6, 1e6).Draw(r, "single")), 'f', -1, 32)
			case n < 8:
				return rapid.SampledFrom([]string{"0.1", "16777217.0", "16777217.5", "9007199254740993.0", "1e23", "1e-400", "3e39", "1e400", "2.5", "1e3"}).Draw(r, "text")
			default:
				return strconv.FormatFloat(rapid.Float64().Draw(r, "x"), 'g', -1, 64)
			}
		}), 1, 4).Draw(r, "texts")
		for i, text := range texts {
			texts[i] = strings.Replace(text, "e+", "e", 1)
		}
		var tail []byte
		held := true
		for _, text := range texts {
			b, ok := element(typ, text)
			tail, held = append(tail, b...), held && ok
		}
		e := given[kind]
		ask := func(doc string, tail []byte) (int, []string) {
			e.seen = nil
			status, _, _ := sendBinary(t, models[kind], "/v2/models/m/infer", doc, tail)
			return status, slices.Clone(e.seen)
		}
		nest := rapid.Bool().Draw(r, "nested")
		shape, data := fmt.Sprintf("[%d]", len(texts)), "["+strings.Join(texts, ", ")+"]"
		if nest {
			shape, data = fmt.Sprintf("[%d,1]", len(texts)), "[["+strings.Join(texts, "], [")+"]]"
		}
		doc := `{"inputs":[{"name":"c","shape":` + shape + `,"datatype":"` + typ + `",%s}]}`
		status, seen := ask(fmt.Sprintf(doc, `"data":`+data), nil)
		if !held {
			if status != 400 {
				r.Fatalf("%s of %s holds none of %v: %d %v", typ, kind, texts, status, seen)
			}
			return
		}
		status2, seen2 := ask(fmt.Sprintf(doc, fmt.Sprintf(`"parameters":{"binary_data_size":%d}`, len(tail))), tail)
		if status != status2 || !slices.Equal(seen, seen2) {
			r.Fatalf("%s to %s, %v: in JSON %d %v, as bytes %d %v", typ, kind, texts, status, seen, status2, seen2)
		}
	})
}
