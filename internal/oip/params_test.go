package oip_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/mlmodel"
	"github.com/assay-ml/assay/internal/oip"
	"github.com/assay-ml/assay/internal/oip/wire"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// plain answers 1 for every row and takes no parameters.
type plain struct{}

func (plain) Predict(_ context.Context, rows *schema.Batch, out *serve.Output) error {
	for range rows.Rows() {
		out.Values = append(out.Values, 1)
	}
	return nil
}
func (plain) Close() error { return nil }

// parametric keeps the parameters that it was given.
type parametric struct {
	plain
	params string
}

func (p *parametric) PredictWith(ctx context.Context, rows *schema.Batch, params []byte, out *serve.Output) error {
	p.params = string(params)
	return p.Predict(ctx, rows, out)
}

// keysSeen notes the keys of the rows of finished calls, with a slash for the separator.
type keysSeen struct{ keys []string }

func (k *keysSeen) Offer(c *serve.Call) bool {
	k.keys = nil
	for row := range c.Rows.Rows() {
		key := "none"
		if b := c.Rows.Key(row, nil); b != nil {
			key = strings.ReplaceAll(string(b), string(rune(schema.KeySeparator)), "/")
		}
		k.keys = append(k.keys, key)
	}
	return false
}

// withParams serves a model of one column c with the parameters of testdata/mlflow/echo; rows are told apart by columns of the given names.
func withParams(t testing.TB, e serve.Engine, log serve.Recorder, key ...string) *oip.Inference {
	t.Helper()
	archive, err := mlmodel.Pack("../../testdata/mlflow/echo")
	if err != nil {
		t.Fatal(err)
	}
	m, err := mlmodel.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	var params []serve.Param
	for i := range m.Signature.Params {
		p := &m.Signature.Params[i]
		params = append(params, serve.Param{Name: p.Name, Type: p.Type, List: p.List, Default: p.Default, Typed: p.Typed})
	}
	in := schema.New("in")
	in.Closed = true
	in.Columns = []schema.Column{{Name: "c", Type: assay.TypeNumber}, {Name: "month", Type: assay.TypeDate, Optional: true}}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := serve.New(serve.Options{Clock: func() time.Time { return at }, Nonce: "n", Log: log})
	b, err := s.Bind(serve.Binding{
		Name: "m", Number: 1, Task: assay.Regression, Input: in, Output: serve.OutputSchema("out", nil, false), Engine: e, Params: params, Key: key,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Set("m", b, b)
	s.SetReady(true)
	return &oip.Inference{Server: s}
}

func routes(o *oip.Inference) http.Handler {
	mux := http.NewServeMux()
	o.Routes(mux)
	return mux
}

// TestParams: the parameters of a request that its protocol does not know are those of the model, held against the signature as /invocations does;
// they come as MLServer's mlflow runtime takes them.
func TestParams(t *testing.T) {
	e := &parametric{}
	o := withParams(t, e, nil)
	h, cl := routes(o), connect(t, o)
	for _, c := range []struct{ rest, grpc, given, says string }{
		{`{"content_type": "pd", "headers": {"a": 1}, "priority": 1}`, `{"content_type": {"stringParam": "pd"}, "priority": {"int64Param": 1}}`, "", ""},
		{`null`, `{}`, "", ""},
		{`{"k": 3, "content_type": "pd", "name": "q", "seeds": [4, 5], "threshold": 1}`, `{"k": {"int64Param": 3}, "name": {"stringParam": "q"}, "seeds": {"stringParam": "[4, 5]"}, "threshold": {"int64Param": 1}}`, `{"k":3,"name":"q","seeds":[4, 5],"threshold":1.0}`, ""},
		{`{"flag": true, "threshold": 0.5}`, `{"threshold": {"doubleParam": 0.5}, "flag": {"boolParam": true}}`, `{"flag":true,"threshold":0.5}`, ""},
		{`{"k": 7}`, `{"k": {"uint64Param": 7}}`, `{"k":7}`, ""},
		{`{"nope": 1}`, `{"nope": {"int64Param": 1}}`, "", `"nope" is none of the model's`},
		{`{"k": "secret"}`, `{"k": {"stringParam": "secret"}}`, "", `"k" must be a whole number`},
		{`{"k": 1.5}`, `{"k": {"doubleParam": 1.5}}`, "", `"k" must be a whole number of its type`},
		{`{"seeds": 4}`, `{"seeds": {"int64Param": 4}}`, "", `"seeds" must be a list`},
		{`{"seeds": "secret"}`, `{"seeds": {"stringParam": "secret"}}`, "", `"seeds" must be a list`},
		{`{"k": null}`, `{"k": {}}`, "", `"k" must not be null`},
	} {
		e.params = ""
		w := send(t, h, http.MethodPost, "/v2/models/m/infer", []byte(`{"parameters": `+c.rest+`, "inputs": [{"name": "c", "shape": [1], "datatype": "FP64", "data": [1]}]}`))
		says := strings.ReplaceAll(c.says, `"`, `\"`)
		if (w.Code == 200) != (c.says == "") || w.Code != 200 && w.Code != 400 || !strings.Contains(w.Body.String(), says) || e.params != c.given || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: %d %s %q", c.rest, w.Code, w.Body, e.params)
		}
		e.params = ""
		_, err := cl.ModelInfer(t.Context(), message(t, `{"modelName":"m","parameters":`+c.grpc+`,"inputs":[{"name":"c","shape":[1],"datatype":"FP64","contents":{"fp64Contents":[1]}}]}`))
		if (err == nil) != (c.says == "") || err != nil && (status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret")) || e.params != c.given {
			t.Errorf("%s: %v %q", c.grpc, err, e.params)
		}
	}
	if w := send(t, h, http.MethodPost, "/v2/models/m/infer", []byte(`{"parameters": {"k": 1}, "parameters": {"k": 2}, "inputs": [{"name": "c", "shape": [1], "datatype": "FP64", "data": [1]}]}`)); w.Code != 400 || !strings.Contains(w.Body.String(), "parameters is there twice") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := send(t, routes(withParams(t, plain{}, nil)), http.MethodPost, "/v2/models/m/infer", []byte(`{"parameters": {"k": 1}, "inputs": [{"name": "c", "shape": [1], "datatype": "FP64", "data": [1]}]}`)); w.Code != 400 || !strings.Contains(w.Body.String(), "is evaluated by what takes none") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestOpenAPIParams: the document has the parameters of the signature with their types and defaults, and its examples name them and are answered as
// it says. Where the model takes none it has none.
func TestOpenAPIParams(t *testing.T) {
	type parameters struct {
		Properties map[string]struct {
			Type, Format string
			Default      any
			Items        *struct{ Type, Format string }
		}
		AdditionalProperties *bool
	}
	var d struct {
		Paths map[string]struct {
			Post struct {
				RequestBody struct {
					Content map[string]struct{ Example json.RawMessage }
				}
				Responses map[string]struct {
					Content map[string]struct{ Example json.RawMessage }
				}
			}
		}
		Components struct {
			Schemas map[string]struct{ Properties map[string]json.RawMessage }
		}
	}
	read := func(e serve.Engine, name, property string) (p parameters, h http.Handler) {
		h = routes(withParams(t, e, nil))
		if err := json.Unmarshal(send(t, h, http.MethodGet, "/v2/models/m/openapi.json", nil).Body.Bytes(), &d); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(d.Components.Schemas[name].Properties[property], &p); err != nil {
			t.Fatalf("%s.%s: %v", name, property, err)
		}
		return p, h
	}
	for name, property := range map[string]string{"Invocation": "params", "InferRequest": "parameters", "Instances": "parameters"} {
		e := &parametric{}
		p, h := read(e, name, property)
		k, seeds, threshold := p.Properties["k"], p.Properties["seeds"], p.Properties["threshold"]
		if k.Type != "integer" || k.Format != "int64" || k.Default != 1.0 || seeds.Type != "array" || seeds.Items.Format != "int64" || threshold.Default != 0.5 || p.Properties["flag"].Type != "boolean" || p.Properties["name"].Default != "a" {
			t.Errorf("%s: %+v", name, p)
		}
		if closed := p.AdditionalProperties != nil && !*p.AdditionalProperties; closed != (name != "InferRequest") {
			t.Errorf("%s: %v", name, p.AdditionalProperties)
		}
		post := d.Paths["/v2/models/m/infer"].Post
		const want = `{"flag":false,"k":1,"name":"a","seeds":[1, 2],"threshold":0.5}`
		if e.params != want {
			t.Errorf("tried with %s", e.params)
		}
		e.params = ""
		got := send(t, h, http.MethodPost, "/v2/models/m/infer", post.RequestBody.Content["application/json"].Example)
		if got.Code != 200 || got.Body.String() != string(post.Responses["200"].Content["application/json"].Example) || strings.ReplaceAll(e.params, " ", "") != strings.ReplaceAll(want, " ", "") {
			t.Errorf("%d %s %s", got.Code, got.Body, e.params)
		}
		for path, key := range map[string]string{"/invocations": `"params":{"flag":false`, "/v1/models/m:predict": `"parameters":{"flag":false`} {
			if ex := string(d.Paths[path].Post.RequestBody.Content["application/json"].Example); !strings.Contains(ex, key) {
				t.Errorf("%s: %s", path, ex)
			}
		}
	}
	if p, _ := read(plain{}, "Instances", "parameters"); len(p.Properties) != 0 || len(d.Paths["/invocations"].Post.RequestBody.Content["application/json"].Example) == 0 {
		t.Errorf("%+v", p)
	}
}

// TestKeys: a tensor or a parameter of the name of a column of the key tells the rows apart, in every form that elements have; a column of
// the model is part of a key of several.
func TestKeys(t *testing.T) {
	var log keysSeen
	o := withParams(t, plain{}, &log, "id")
	h, cl := routes(o), connect(t, o)
	raw := func(text ...string) (b []byte) {
		for _, s := range text {
			b = append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
		}
		return b
	}
	rows := func(h http.Handler, key, parameters string, status int, want string) {
		t.Helper()
		log.keys = nil
		w := send(t, h, http.MethodPost, "/v2/models/m/infer", []byte(`{"parameters": `+parameters+`, "inputs": [`+key+`{"name": "c", "shape": [2], "datatype": "FP64", "data": [1, 2]}]}`))
		if got := strings.Join(log.keys, " "); w.Code != status || status == 200 && got != want || status != 200 && !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s %s: %d %s, keys %s, want %s", key, parameters, w.Code, w.Body, got, want)
		}
	}
	rows(h, `{"name": "id", "shape": [2], "datatype": "BYTES", "data": ["a", "b c"]}, `, `{}`, 200, "a b c")
	rows(h, `{"name": "id", "shape": [2, 1], "datatype": "INT64", "data": [[9007199254740993], [null]]}, `, `{}`, 200, "9007199254740993 none")
	rows(h, `{"name": "id", "shape": [2], "datatype": "BYTES", "parameters": {"content_type": "base64"}, "data": ["YQ==", null]}, `, `{}`, 200, "a none")
	for key, says := range map[string]string{
		`"datatype": "BYTES", "parameters": {"content_type": "base64"}, "data": ["YQ==", "?"]`: "row 1: id must be base64",
		`"datatype": "BYTES", "data": ["YQ==", 7]`:                                             "row 1: id must be a string, as its tensor says",
		`"datatype": "BYTES", "data": ["` + strings.Repeat("x", 1025) + `", "y"]`:              "row 0: id must have at most 1024 bytes",
		`"datatype": "INT8", "data": [300, 1]`:                                                 "row 0: id must be an INT8",
		`"datatype": "INT64", "data": [1, [2]]`:                                                "row 1: id must be an INT64",
	} {
		rows(h, `{"name": "id", "shape": [2], `+key+`}, `, `{}`, 400, says)
	}
	rows(h, `{"name": "id", "shape": [2], "datatype": "UINT64", "data": [18446744073709551615, 7e1]}, `, `{}`, 200, "18446744073709551615 70")
	rows(h, ``, `{"id": ["p", 17]}`, 200, "p 17")
	rows(h, ``, `{}`, 200, "none none")
	rows(h, ``, `{"id": "p"}`, 400, "it must be a list of one for each of the 2 rows")
	rows(h, ``, `{"id": ["p", "q", "r"]}`, 400, "it must be a list of one for each of the 2 rows")
	rows(h, ``, `{"id": {"a": 1}}`, 400, "it must be a list of one for each of the 2 rows")
	rows(h, `{"name": "id", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}, `, `{"id": ["p", "q"]}`, 400, "it must be a list of one for each of the 2 rows")
	rows(h, `{"name": "id", "shape": [3], "datatype": "BYTES", "data": ["a", "b", "c"]}, `, `{}`, 400, "has 2 rows")
	rows(h, `{"name": "id", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}, {"name": "id", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}, `, `{}`, 400, "is there twice")
	// A matrix of all columns, and the key beside it.
	body := []byte(`{"inputs": [{"name": "id", "shape": [2], "datatype": "INT32", "data": [5, 6]}, {"name": "all", "shape": [2, 2], "datatype": "BYTES", "data": [null, "2026-01-01", null, "2026-02-01"]}]}`)
	if w := send(t, h, http.MethodPost, "/v2/models/m/infer", body); w.Code != 200 || strings.Join(log.keys, " ") != "5 6" {
		t.Errorf("%d %s %v", w.Code, w.Body, log.keys)
	}
	for _, c := range []struct {
		typ  string
		data []byte
		want string
	}{
		{"BYTES", raw("x", "y"), "x y"},
		{"INT8", []byte{0xff, 7}, "-1 7"},
		{"UINT8", []byte{0xff, 7}, "255 7"},
		{"INT64", binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, 1<<63), 1), "-9223372036854775808 1"},
		{"UINT64", binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, 1<<63), 1), "9223372036854775808 1"},
		{"BOOL", []byte{1, 0}, "true false"},
		{"FP16", []byte{0, 0x3c, 0, 0x38}, "1 0.5"},
		{"BF16", []byte{0x80, 0x3f, 0xc0, 0x7f}, "1 none"},
		{"FP32", []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0x3f}, "1 0.5"},
		{"FP64", []byte{0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f}, "1 none"},
	} {
		m := message(t, `{"modelName":"m","inputs":[{"name":"id","shape":[2],"datatype":"`+c.typ+`"},{"name":"c","shape":[2],"datatype":"FP64"}]}`)
		m.RawInputContents = [][]byte{c.data, make([]byte, 16)}
		log.keys = nil
		if _, err := cl.ModelInfer(t.Context(), m); err != nil || strings.Join(log.keys, " ") != c.want {
			t.Errorf("%s: %v, keys %v, want %s", c.typ, err, log.keys, c.want)
		}
	}
	for contents, want := range map[string]string{
		`"datatype":"BYTES","contents":{"bytesContents":["YQ==","Yg=="]}`: "a b", `"datatype":"INT64","contents":{"int64Contents":["1","-2"]}`: "1 -2",
		`"datatype":"BOOL","contents":{"boolContents":[true,false]}`: "true false", `"datatype":"INT32","contents":{"intContents":[1,-2]}`: "1 -2",
		`"datatype":"UINT32","contents":{"uintContents":[1,2]}`: "1 2", `"datatype":"UINT64","contents":{"uint64Contents":["1","2"]}`: "1 2",
		`"datatype":"FP32","contents":{"fp32Contents":[1,2.5]}`: "1 2.5", `"datatype":"FP64","contents":{"fp64Contents":[1,"NaN"]}`: "1 none",
	} {
		m := message(t, `{"modelName":"m","inputs":[{"name":"id","shape":[2],`+contents+`},{"name":"c","shape":[2],"datatype":"FP64","contents":{"fp64Contents":[1,2]}}]}`)
		if _, err := cl.ModelInfer(t.Context(), m); err != nil || strings.Join(log.keys, " ") != want {
			t.Errorf("%s: %v, keys %v, want %s", contents, err, log.keys, want)
		}
	}
	one := message(t, `{"modelName":"m","parameters":{"id":{"int64Param":7}},"inputs":[{"name":"c","shape":[1],"datatype":"FP64","contents":{"fp64Contents":[1]}}]}`)
	if _, err := cl.ModelInfer(t.Context(), one); err != nil || strings.Join(log.keys, " ") != "7" {
		t.Errorf("%v, keys %v", err, log.keys)
	}
	// Several columns are one key, in the order of the columns; one of them is the model's.
	h = routes(withParams(t, plain{}, &log, "id", "month", "shop"))
	month := `{"name": "month", "shape": [2], "datatype": "BYTES", "data": ["2026-01-01", "2026-02-01"]}, `
	rows(h, month+`{"name": "shop", "shape": [2], "datatype": "INT64", "data": [4, 5]}, {"name": "id", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}, `, `{}`, 200, "a/2026-01-01/4 b/2026-02-01/5")
	rows(h, month+`{"name": "shop", "shape": [2], "datatype": "INT64", "data": [4, null]}, `, `{"id": ["a", "b"]}`, 200, "a/2026-01-01/4 none")
	rows(h, `{"name": "shop", "shape": [2], "datatype": "INT64", "data": [4, 5]}, `, `{"id": ["a", "b"]}`, 200, "none none")
	rows(h, month+`{"name": "shop", "shape": [2], "datatype": "BYTES", "data": ["4\u001f5", "5"]}, `, `{"id": ["a", "b"]}`, 400, "row 0: shop must not hold the character U+001F")
	for _, wrong := range []string{`"datatype":"INT8","contents":{"intContents":[1,300]}`, `"datatype":"UINT16","contents":{"uintContents":[1,65536]}`, `"datatype":"FP64","contents":{"fp64Contents":[1,"Infinity"]}`} {
		m := message(t, `{"modelName":"m","inputs":[{"name":"id","shape":[2],`+wrong+`},{"name":"c","shape":[2],"datatype":"FP64","contents":{"fp64Contents":[1,2]}}]}`)
		if _, err := cl.ModelInfer(t.Context(), m); err == nil || !strings.Contains(err.Error(), "row 1: id must be ") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
	var none *wire.ModelInferRequest
	if _, err := cl.ModelInfer(t.Context(), none); err == nil {
		t.Error("an empty message was answered")
	}
}
