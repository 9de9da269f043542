package oip_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/oip"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/learn"
)

// model is a column by column description of what fixture trains.
type model struct {
	name    string
	spec    learn.Spec
	columns []schema.Column
	classes []string
}

// server serves three models that are trained here: m, a binary classifier over an integer, a number and a string, whose classes are
// integers; flowers, three classes that are strings over four numbers; and price, a regression over the same.
func server(t testing.TB) *serve.Server {
	return serverWithin(t, serve.Options{MaxBodyBytes: 1 << 16, MaxRows: 100})
}

// serverWithin is server within other bounds.
func serverWithin(t testing.TB, o serve.Options) *serve.Server {
	t.Helper()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	o.Clock, o.Nonce = func() time.Time { return at }, "n"
	s := serve.New(o)
	lo, hi := schema.Int(0), schema.Int(math.MaxInt64)
	mixed := []schema.Column{
		{Name: "age", Type: assay.TypeInteger, NotNull: &schema.NotNull{}, Range: &schema.Range{Min: &lo, Max: &hi}},
		{Name: "income", Type: assay.TypeNumber},
		{Name: "region", Type: assay.TypeString, Set: &schema.Set{Values: []schema.Value{schema.Text("north"), schema.Text("south")}}},
	}
	var numbers []schema.Column
	for _, n := range []string{"a", "b", "c", "d"} {
		numbers = append(numbers, schema.Column{Name: n, Type: assay.TypeNumber})
	}
	for _, m := range []model{
		{"m", learn.Spec{Learner: "logistic_regression", Task: assay.Binary, Target: learn.Target{Name: "y", Type: assay.TypeInteger, Classes: []string{"0", "1"}, Positive: "1"}}, mixed, []string{"0", "1"}},
		{"flowers", learn.Spec{Learner: "logistic_regression", Task: assay.Multiclass, Target: learn.Target{Name: "y", Type: assay.TypeString, Classes: []string{"iris", "rose", "tulip"}}}, numbers, []string{"iris", "rose", "tulip"}},
		{"price", learn.Spec{Learner: "linear_regression", Task: assay.Regression, Target: learn.Target{Name: "y", Type: assay.TypeNumber}}, numbers, nil},
	} {
		number := 2
		s.Set(m.name, nil)
		b := bind(t, s, m, number)
		s.Set(m.name, b, b)
	}
	s.SetReady(true)
	return s
}

func bind(t testing.TB, s *serve.Server, m model, number int) *serve.Bound {
	t.Helper()
	const n = 120
	var x assay.Frame
	var fields []assay.Field
	for j, c := range m.columns {
		fields = append(fields, assay.Field{Name: c.Name, Type: c.Type})
		col := assay.Column{Name: c.Name, Type: c.Type}
		if c.Type == assay.TypeString {
			col.Levels = []string{"north", "south"}
		}
		for i := range n {
			switch c.Type {
			case assay.TypeString:
				col.Codes = append(col.Codes, int32(i%2))
			case assay.TypeBoolean:
				col.Floats = append(col.Floats, float64(i%2))
			default:
				col.Floats = append(col.Floats, float64((i*(j+3))%(17+j)))
			}
		}
		x = append(x, col)
	}
	d := learn.Data{X: x}
	for i := range n {
		v := x[0].Floats[i] + x[1].Floats[i]
		if m.classes == nil {
			d.Values = append(d.Values, v)
		} else {
			d.Labels = append(d.Labels, int32(int(v)%len(m.classes)))
		}
	}
	fit, err := learn.Fit(t.Context(), m.spec, d)
	if err != nil {
		t.Fatal(err)
	}
	file, err := fit.ONNX()
	if err != nil {
		t.Fatal(err)
	}
	p, err := learn.Open(file, learn.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := serve.Native(p, fields, m.classes)
	if err != nil {
		t.Fatal(err)
	}
	in := schema.New("in")
	in.Columns = m.columns
	b, err := s.Bind(serve.Binding{
		Name: m.name, Number: number, Model: "d1", Platform: "assay_onnx", Task: m.spec.Task, Classes: m.classes, LabelType: m.spec.Target.Type,
		Input: in, Output: serve.OutputSchema("out", m.classes, m.classes != nil), Engine: e,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func handler(t testing.TB) http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	(&oip.Inference{Server: server(t), Version: "0.1.0"}).Routes(mux)
	return mux
}

func send(t testing.TB, h http.Handler, method, path string, body []byte, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(context.Background(), method, path, bytes.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

type reply struct {
	Model      string         `json:"model_name"`
	Version    string         `json:"model_version"`
	ID         string         `json:"id"`
	Parameters map[string]any `json:"parameters"`
	Outputs    []struct {
		Name       string         `json:"name"`
		Datatype   string         `json:"datatype"`
		Shape      []int          `json:"shape"`
		Parameters map[string]any `json:"parameters"`
		Data       []any          `json:"data"`
	} `json:"outputs"`
	Error string `json:"error"`
}

func infer(t testing.TB, h http.Handler, path, body string, headers ...string) (int, reply) {
	t.Helper()
	w := send(t, h, http.MethodPost, path, []byte(body), headers...)
	var r reply
	if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil {
		t.Fatalf("%s: %d %s: %v", body, w.Code, w.Body, err)
	}
	return w.Code, r
}

const (
	twoRows = `{"id":"r-1","inputs":[{"name":"age","shape":[2],"datatype":"INT64","data":[20,70]},{"name":"income","shape":[2],"datatype":"FP64","data":[10.5,null]},{"name":"region","shape":[2],"datatype":"BYTES","data":["north","south"]}]}`
	matrix  = `{"inputs":[{"name":"input-0","shape":[2,4],"datatype":"FP64","data":[1,2,3,4,5,6,7,8]}]}`
)

// TestMetadata reads every document, and the states of what is not there.
func TestMetadata(t *testing.T) {
	h := handler(t)
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/v2", 200, `{"name":"assay","version":"0.1.0","extensions":["binary_tensor_data","model_repository"]}`},
		{"GET", "/v2/", 200, `{"name":"assay","version":"0.1.0","extensions":["binary_tensor_data","model_repository"]}`},
		{"GET", "/v2/health/live", 200, `{"live":true}`},
		{"GET", "/v2/health/ready", 200, `{"ready":true}`},
		{"GET", "/v2/models", 200, `{"models":["flowers","m","price"]}`},
		{"GET", "/v2/models/m/ready", 200, `{"name":"m","version":"2","ready":true}`},
		{"GET", "/v2/models/m/versions/2/ready", 200, `{"name":"m","version":"2","ready":true}`},
		{"GET", "/v2/models/m/versions/9/ready", 404, `{"error":"version 9 of model \"m\" is not served"}`},
		{"GET", "/v2/models/nope/ready", 404, `{"error":"model \"nope\" is not served"}`},
		{"GET", "/v2/models/m", 200, `{"name":"m","versions":["2"],"platform":"assay_onnx","inputs":[{"name":"age","datatype":"INT64","shape":[-1],"parameters":{"content_type":"np"}},` +
			`{"name":"income","datatype":"FP64","shape":[-1],"parameters":{"content_type":"np"}},{"name":"region","datatype":"BYTES","shape":[-1],"parameters":{"content_type":"str"}}],` +
			`"outputs":[{"name":"prediction","datatype":"INT64","shape":[-1],"parameters":{"content_type":"np"}},` +
			`{"name":"probabilities","datatype":"FP64","shape":[-1,2],"parameters":{"classes":"[\"0\",\"1\"]","content_type":"np"}}],"parameters":{"content_type":"pd","model_digest":"d1","version":"2"}}`},
		{"GET", "/v2/models/m/versions/x", 404, `{"error":"version x of model \"m\" is not served"}`},
		{"POST", "/v2/repository/index", 200, `[{"name":"flowers","version":"2","state":"READY","reason":""},{"name":"m","version":"2","state":"READY","reason":""},{"name":"price","version":"2","state":"READY","reason":""}]`},
		{"POST", "/v2/repository/models/m/load", 501, `{"error":"this server has no repository: what it serves is fixed"}`},
		{"GET", "/v2/models/m/infer", 405, `{"error":"GET is not a method of this path; POST is"}`},
		{"DELETE", "/v2/models/m", 405, `{"error":"DELETE is not a method of this path; GET, HEAD is"}`},
		{"POST", "/v2", 405, `{"error":"POST is not a method of this path; GET, HEAD is"}`},
		{"GET", "/v2/models/m/nothing", 404, `{"error":"GET /v2/models/m/nothing is not a path of the Open Inference Protocol"}`},
	} {
		w := send(t, h, c.method, c.path, nil)
		if w.Code != c.status || w.Body.String() != c.body {
			t.Errorf("%s %s: %d %s", c.method, c.path, w.Code, w.Body)
		}
		if allow := w.Header().Get("Allow"); (c.status == 405) != (allow != "") {
			t.Errorf("%s %s: Allow %q", c.method, c.path, allow)
		}
	}
}

// TestInfer sends the same rows in every form: the answers agree.
func TestInfer(t *testing.T) {
	h := handler(t)
	status, want := infer(t, h, "/v2/models/m/infer", twoRows)
	if status != 200 || want.Model != "m" || want.Version != "2" || want.ID != "r-1" || len(want.Outputs) != 2 {
		t.Fatalf("%d %+v", status, want)
	}
	label, proba := want.Outputs[0], want.Outputs[1]
	if label.Name != "prediction" || label.Datatype != "INT64" || !cmp.Equal(label.Shape, []int{2}) || proba.Datatype != "FP64" || !cmp.Equal(proba.Shape, []int{2, 2}) || proba.Parameters["classes"] != `["0","1"]` {
		t.Errorf("%+v", want)
	}
	for row := range 2 {
		p0, p1 := proba.Data[2*row].(float64), proba.Data[2*row+1].(float64)
		if best := map[bool]float64{true: 1}[p1 > p0]; math.Abs(p0+p1-1) > 1e-6 || label.Data[row] != best {
			t.Errorf("row %d: %v, %v: %v", row, p0, p1, label.Data[row])
		}
	}
	for name, body := range map[string]string{
		"columns of shape [n,1], nested": `{"id":"r-1","inputs":[{"data":[[20],[70]],"name":"age","datatype":"INT32","shape":[2,1]},{"shape":[2,1],"name":"income","datatype":"FP32","data":[10.5,null]},{"name":"region","shape":[2,1],"datatype":"BYTES","data":[["north"],["south"]],"parameters":{"content_type":"str"}}]}`,
		"another order, codecs":          `{"inputs":[{"name":"region","shape":[2],"datatype":"BYTES","data":["bm9ydGg=","c291dGg="],"parameters":{"content_type":"base64"}},{"name":"age","shape":[2],"datatype":"UINT8","data":[20,70]},{"name":"income","shape":[2],"datatype":"FP64","data":[10.5,null],"parameters":{"content_type":"np"}}],"id":"r-1","parameters":{"content_type":"pd"}}`,
		"whole floats, more than needed": `{"id":"r-1","surprise":[1,{}],"inputs":[{"name":"age","shape":[2],"datatype":"FP64","data":[20.0,7e1]},{"name":"income","shape":[2],"datatype":"FP64","data":[10.5,null]},{"name":"region","shape":[2],"datatype":"BYTES","data":["north","south"]},{"name":"other","shape":[2],"datatype":"FP64","data":[1,2]}],"outputs":[{"name":"prediction"},{"name":"probabilities"}]}`,
	} {
		status, got := infer(t, h, "/v2/models/m/versions/2/infer", body)
		if diff := cmp.Diff(want, got); status != 200 || diff != "" {
			t.Errorf("%s: %d %s\n%s", name, status, got.Error, diff)
		}
	}
	// A matrix is all columns in order, and equal to the columns one by one.
	_, whole := infer(t, h, "/v2/models/flowers/infer", strings.Replace(matrix, "{", `{"id":"x",`, 1))
	_, nested := infer(t, h, "/v2/models/flowers/infer", `{"id":"x","inputs":[{"name":"X","shape":[2,4],"datatype":"FP32","data":[[1,2,3,4],[5,6,7,8]]}]}`)
	columns := `{"id":"x","inputs":[`
	for j, n := range []string{"a", "b", "c", "d"} {
		columns += fmt.Sprintf(`{"name":"%s","shape":[2],"datatype":"FP64","data":[%d,%d]},`, n, 1+j, 5+j)
	}
	_, single := infer(t, h, "/v2/models/flowers/infer", strings.TrimSuffix(columns, ",")+"]}")
	if d := cmp.Diff(whole, nested) + cmp.Diff(whole, single); d != "" || whole.Outputs[0].Datatype != "BYTES" || whole.Outputs[0].Parameters["content_type"] != "str" {
		t.Errorf("%s %+v", d, whole)
	}
	status, price := infer(t, h, "/v2/models/price/infer", matrix)
	if status != 200 || len(price.Outputs) != 1 || price.Outputs[0].Datatype != "FP64" || price.ID == "" {
		t.Errorf("%d %+v", status, price)
	}
	// MLServer's names of outputs are answered under the names that were asked for.
	_, asked := infer(t, h, "/v2/models/flowers/infer", `{"outputs":[{"name":"predict_proba"}],`+matrix[1:])
	if len(asked.Outputs) != 1 || asked.Outputs[0].Name != "predict_proba" || !cmp.Equal(asked.Outputs[0].Data, whole.Outputs[1].Data) {
		t.Errorf("%+v", asked)
	}
	var z bytes.Buffer
	g := gzip.NewWriter(&z)
	_, _ = g.Write([]byte(twoRows))
	_ = g.Close()
	if status, got := infer(t, h, "/v2/models/m/infer", z.String(), "Content-Encoding", "gzip"); status != 200 || !cmp.Equal(got, want) {
		t.Errorf("gzip: %d %+v", status, got)
	}
}

// TestRefusals sends what is not of the protocol or does not fit: each is refused with a reason that names the input, the row and the
// column, and never a value.
func TestRefusals(t *testing.T) {
	h := handler(t)
	column := func(typ, data string) string {
		return `{"inputs":[{"name":"age","shape":[2],"datatype":"` + typ + `","data":` + data + `},{"name":"income","shape":[2],"datatype":"FP64","data":[1,2]},{"name":"region","shape":[2],"datatype":"BYTES","data":["north","south"]}]}`
	}
	one := func(input string) string { return `{"inputs":[` + input + `]}` }
	for _, c := range []struct {
		name, model, body string
		status            int
		says              string
	}{
		{"int overflow of INT32", "m", column("INT32", "[1,3000000000]"), 400, "row 1: age must be an INT32"},
		{"negative UINT8", "m", column("UINT8", "[1,-1]"), 400, "row 1: age must be a UINT8"},
		{"a fraction in INT64", "m", column("INT64", "[1.5,1]"), 400, "row 0: age must be an INT64"},
		{"a fraction for integers", "m", column("FP64", "[1,1.25]"), 400, "row 1: age "},
		{"beyond FP32", "m", column("FP32", "[1,1e300]"), 400, "row 1: age must be an FP32"},
		{"beyond FP64", "m", strings.Replace(twoRows, "10.5", "1e999", 1), 400, "row 0: income "},
		{"beyond FP64 for integers", "m", column("FP64", "[1,1e999]"), 400, "row 1: age "},
		{"beyond INT64", "m", column("INT64", "[1,9223372036854775808]"), 400, "row 1: age must be an INT64"},
		{"string in INT64", "m", column("INT64", `["secret",1]`), 400, "row 0: age must be an INT64"},
		{"BYTES for integers", "m", column("BYTES", `["20","70"]`), 400, "row 0: age "},
		{"truth for integers", "m", column("BOOL", `[true,false]`), 400, "row 0: age "},
		{"numbers as BOOL", "m", column("BOOL", `[1,0]`), 400, "row 0: age must be a BOOL"},
		{"null where none may be", "m", column("INT64", "[1,null]"), 400, "row 1: age "},
		{"unseen category", "m", strings.Replace(twoRows, `"south"`, `"secret"`, 1), 400, "row 1: region "},
		{"no base64", "m", strings.Replace(twoRows, `"north","south"]`, `"bm9ydGg=","south"],"parameters":{"content_type":"base64"}`, 1), 400, "row 1: region must be base64"},
		{"a column missing", "m", one(`{"name":"age","shape":[1],"datatype":"INT64","data":[1]},{"name":"income","shape":[1],"datatype":"FP64","data":[1]}`), 400, "row 0: region "},
		{"another codec", "m", strings.Replace(twoRows, "{", `{"parameters":{"content_type":"pd_json"},`, 1), 400, `content_type "pd_json" is none of`},
		{"FP16 in JSON", "m", column("FP16", "[1,2]"), 400, `input "age": FP16 has no form in JSON`},
		{"no such datatype", "m", column("FLOAT", "[1,2]"), 400, `"FLOAT" is no datatype`},
		{"no datatype", "m", one(`{"name":"age","shape":[1],"data":[1]}`), 400, `input "age" has no datatype`},
		{"no shape", "m", one(`{"name":"age","datatype":"INT64","data":[1]}`), 400, `input "age" has no shape`},
		{"no data", "m", one(`{"name":"age","datatype":"INT64","shape":[1]}`), 400, `has neither data nor binary_data_size`},
		{"shape larger than data", "flowers", one(`{"name":"x","shape":[3,4],"datatype":"FP64","data":[1,2,3,4,5,6,7,8]}`), 400, "has 8 elements, its shape wants 12"},
		{"shape smaller than data", "flowers", one(`{"name":"x","shape":[1,4],"datatype":"FP64","data":[1,2,3,4,5,6,7,8]}`), 400, "has more than the 4 elements"},
		{"ragged", "flowers", one(`{"name":"x","shape":[2,4],"datatype":"FP64","data":[[1,2,3],[4,5,6,7,8]]}`), 400, "a list of 3 where the shape has 4"},
		{"nested too deep for its shape", "flowers", one(`{"name":"x","shape":[2,4],"datatype":"FP64","data":[[[1],2,3,4],[5,6,7,8]]}`), 400, "nested otherwise"},
		{"half nested", "flowers", one(`{"name":"x","shape":[2,4],"datatype":"FP64","data":[[1,2,3,4],5,6,7,8]}`), 400, "nested otherwise"},
		{"a list among elements", "flowers", one(`{"name":"x","shape":[2,4],"datatype":"FP64","data":[1,[2],3,4,5,6,7,8]}`), 400, "row 0: b must be an FP64"},
		{"wrong width", "flowers", one(`{"name":"x","shape":[1,2],"datatype":"FP64","data":[1,2]}`), 400, "no matrix of all of them: that has the shape [rows,4]"},
		{"negative dimension", "flowers", one(`{"name":"x","shape":[-1,4],"datatype":"FP64","data":[1,2,3,4]}`), 400, "a dimension of a request is not negative"},
		{"product overflows", "flowers", one(`{"name":"x","shape":[4294967296,4294967296],"datatype":"FP64","data":[1]}`), 400, "more elements than a request can hold"},
		{"product overflows, with 0", "flowers", one(`{"name":"x","shape":[4294967296,4294967296,0],"datatype":"FP64","data":[]}`), 400, "more elements than a request can hold"},
		{"beyond 64 bits", "flowers", one(`{"name":"x","shape":[99999999999999999999],"datatype":"FP64","data":[1]}`), 400, "not a whole number"},
		{"too many dimensions", "flowers", one(`{"name":"x","shape":[1,1,1,1,1,1,1,1,1],"datatype":"FP64","data":[1]}`), 400, "more than 8 dimensions"},
		{"no rows", "flowers", one(`{"name":"x","shape":[0,4],"datatype":"FP64","data":[]}`), 400, "the request has no rows"},
		{"too many rows", "flowers", one(`{"name":"x","shape":[101,4],"datatype":"FP64","data":[]}`), 400, "101 rows, more than the 100"},
		{"columns of different lengths", "m", strings.Replace(twoRows, `"age","shape":[2]`, `"age","shape":[1]`, 1), 400, `has 2 rows, input "age" has 1`},
		{"a column twice", "m", one(`{"name":"age","shape":[1],"datatype":"INT64","data":[1]},{"name":"age","shape":[1],"datatype":"INT64","data":[1]}`), 400, `input "age" is there twice`},
		{"a column as a matrix", "m", one(`{"name":"age","shape":[1,2],"datatype":"INT64","data":[1,2]}`), 400, `its shape must be [1] or [1,1]`},
		{"no inputs", "m", `{"inputs":[]}`, 400, "the request has no inputs"},
		{"inputs missing", "m", `{}`, 400, "the request has no inputs"},
		{"an id twice", "m", `{"id":"a","id":"b","inputs":[]}`, 400, "id is there twice"},
		{"an id with NUL", "m", `{"id":"a\u0000b","inputs":[]}`, 400, "not printable ASCII"},
		{"an id with a line feed", "m", `{"id":"a\r\nX: y","inputs":[]}`, 400, "not printable ASCII"},
		{"an id beyond ASCII", "m", `{"id":"\u00e4","inputs":[]}`, 400, "not printable ASCII"},
		{"a name twice", "m", one(`{"name":"zzz","name":"age","shape":[1],"datatype":"INT64","data":[1]}`), 400, "name is there twice"},
		{"a datatype twice", "m", one(`{"name":"age","shape":[1],"datatype":"BOOL","datatype":"INT64","data":[1]}`), 400, `input "age": datatype is there twice`},
		{"a shape twice", "m", one(`{"name":"age","shape":[9],"shape":[1],"datatype":"INT64","data":[1]}`), 400, "shape is there twice"},
		{"parameters of an input twice", "m", one(`{"name":"age","shape":[1],"datatype":"INT64","parameters":{},"parameters":{},"data":[1]}`), 400, "parameters is there twice"},
		{"a parameter of an input twice", "m", one(`{"name":"age","shape":[1],"datatype":"INT64","parameters":{"binary_data":true,"binary_data":false},"data":[1]}`), 400, `"binary_data" is there twice`},
		{"a parameter twice", "m", `{"parameters":{"content_type":"np","content_type":"pd"},"inputs":[]}`, 400, `"content_type" is there twice`},
		{"the name of an output twice", "m", `{"outputs":[{"name":"prediction","name":"probabilities"}],"inputs":[]}`, 400, "an output: name is there twice"},
		{"parameters of an output twice", "m", `{"outputs":[{"name":"prediction","parameters":{},"parameters":{}}],"inputs":[]}`, 400, "an output: parameters is there twice"},
		{"inputs twice", "m", `{"inputs":[],"inputs":[]}`, 400, "inputs is there twice"},
		{"NaN", "m", column("INT64", "[NaN,1]"), 400, "not JSON"},
		{"not JSON", "m", `{"inputs": [`, 400, "not JSON"},
		{"more after the end", "m", twoRows + "x", 400, "more after the end"},
		{"empty", "m", ``, 400, "not JSON"},
		{"a list", "m", `[]`, 400, "the request must be an object"},
		{"unknown output", "m", strings.Replace(twoRows, "{", `{"outputs":[{"name":"zzz"}],`, 1), 400, `output "zzz" is none of the model's`},
		{"probabilities of a regression", "price", strings.Replace(matrix, "{", `{"outputs":[{"name":"probabilities"}],`, 1), 400, "gives no probabilities"},
		{"an output twice", "m", strings.Replace(twoRows, "{", `{"outputs":[{"name":"prediction"},{"name":"prediction"}],`, 1), 400, "is asked for twice"},
		{"a long id", "m", `{"id":"` + strings.Repeat("x", 300) + `"}`, 400, "the id has more than 256 bytes"},
		{"unknown model", "nope", twoRows, 404, `model "nope" is not served`},
		{"unknown version", "m/versions/7", twoRows, 404, `version 7 of model "m" is not served`},
		{"too large", "m", strings.Repeat(" ", 1<<16+1), 413, "more than the 65536 bytes"},
	} {
		status, got := infer(t, h, "/v2/models/"+c.model+"/infer", c.body)
		if status != c.status || !strings.Contains(got.Error, c.says) {
			t.Errorf("%s: %d %s", c.name, status, got.Error)
		}
		if strings.Contains(got.Error, "secret") || strings.Contains(got.Error, "3000000000") {
			t.Errorf("%s: the answer repeats the value: %s", c.name, got.Error)
		}
	}
}

// TestExactIntegers sends integers beyond 2^53 by each way: one that is the largest is taken, the next is refused.
func TestExactIntegers(t *testing.T) {
	h := handler(t)
	for _, typ := range []string{"INT64", "UINT64"} {
		body := `{"inputs":[{"name":"age","shape":[1],"datatype":"` + typ + `","data":[%s]},{"name":"income","shape":[1],"datatype":"INT64","data":[%s]},{"name":"region","shape":[1],"datatype":"BYTES","data":["north"]}]}`
		if status, got := infer(t, h, "/v2/models/m/infer", fmt.Sprintf(body, "9223372036854775807", "9007199254740992")); status != 200 {
			t.Errorf("%s: %d %s", typ, status, got.Error)
		}
		if status, got := infer(t, h, "/v2/models/m/infer", fmt.Sprintf(body, "9223372036854775808", "1")); status != 400 {
			t.Errorf("%s: %d %s", typ, status, got.Error)
		}
	}
	for x, want := range map[uint64]int{math.MaxInt64: 200, math.MaxInt64 + 1: 400} {
		doc := `{"inputs":[{"name":"age","shape":[1],"datatype":"UINT64","parameters":{"binary_data_size":8}},{"name":"income","shape":[1],"datatype":"FP64","data":[1]},{"name":"region","shape":[1],"datatype":"BYTES","data":["north"]}]}`
		w := send(t, h, http.MethodPost, "/v2/models/m/infer", binary.LittleEndian.AppendUint64([]byte(doc), x), "Inference-Header-Content-Length", fmt.Sprint(len(doc)))
		if w.Code != want {
			t.Errorf("%d: %d %s", x, w.Code, w.Body)
		}
	}
}
