package mlflow_test

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/mlflow"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/learn"
)

// scoring serves a logistic regression over one integer, one number and one string, trained here.
func scoring(t testing.TB) http.Handler {
	t.Helper()
	return scoringWith(t, nil)
}

// scoringWith does so with a log.
func scoringWith(t testing.TB, log serve.Recorder) http.Handler {
	t.Helper()
	return scoringOf(t, log, 4096)
}

func scoringOf(t testing.TB, log serve.Recorder, body int64) http.Handler {
	t.Helper()
	n := 200
	x := assay.Frame{
		{Name: "age", Type: assay.TypeInteger, Floats: make([]float64, n)},
		{Name: "income", Type: assay.TypeNumber, Floats: make([]float64, n)},
		{Name: "region", Type: assay.TypeString, Codes: make([]int32, n), Levels: []string{"north", "south"}},
	}
	labels := make([]int32, n)
	for i := range n {
		x[0].Floats[i], x[1].Floats[i], x[2].Codes[i] = float64(i%90), float64(i%7)*1000, int32(i%2)
		if i%90 > 40 {
			labels[i] = 1
		}
	}
	m, err := learn.Fit(t.Context(), learn.Spec{
		Learner: "logistic_regression", Task: assay.Binary, Target: learn.Target{Name: "y", Type: assay.TypeInteger, Classes: []string{"0", "1"}, Positive: "1"},
	}, learn.Data{X: x, Labels: labels})
	if err != nil {
		t.Fatal(err)
	}
	p := predictor(t, m)
	lo, hi := schema.Int(0), schema.Int(120)
	in := schema.New("in")
	in.Columns = []schema.Column{
		{Name: "age", Type: assay.TypeInteger, NotNull: &schema.NotNull{}, Range: &schema.Range{Min: &lo, Max: &hi}},
		{Name: "income", Type: assay.TypeNumber},
		{Name: "region", Type: assay.TypeString, Set: &schema.Set{Values: []schema.Value{schema.Text("north"), schema.Text("south")}}},
	}
	classes := []string{"0", "1"}
	e, err := serve.Native(p, []assay.Field{{Name: "age", Type: assay.TypeInteger}, {Name: "income", Type: assay.TypeNumber}, {Name: "region", Type: assay.TypeString}}, classes)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := serve.New(serve.Options{Clock: func() time.Time { return at }, Nonce: "n", MaxBodyBytes: body, Log: log})
	b, err := s.Bind(serve.Binding{Name: "m", Number: 2, Task: assay.Binary, Classes: classes, LabelType: assay.TypeInteger, Input: in, Output: serve.OutputSchema("out", classes, true), Engine: e, Key: []string{"id"}})
	if err != nil {
		t.Fatal(err)
	}
	s.Set("m", b, b)
	s.SetReady(true)
	mux := http.NewServeMux()
	(&mlflow.Scoring{Server: s, Version: "0.1.0"}).Routes(mux)
	return mux
}

func post(t testing.TB, h http.Handler, path, contentType, body string) (int, string, http.Header) {
	t.Helper()
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String(), w.Header()
}

// TestFormsAgree sends the same two rows in every form: the answer is the same.
func TestFormsAgree(t *testing.T) {
	h := scoring(t)
	const json, csv = "application/json", "text/csv; charset=UTF-8"
	var first string
	for _, c := range []struct{ name, contentType, body string }{
		{"records", json, `{"dataframe_records": [{"age": 20, "income": 10.5, "region": "north"}, {"region": "south", "age": 70, "income": null}]}`},
		{"split", json, `{"dataframe_split": {"index": [0, 1], "columns": ["age", "income", "region"], "data": [[20, 10.5, "north"], [70, null, "south"]]}}`},
		{"split, data first", json, `{"dataframe_split": {"data": [[20, 10.5, "north"], [70, null, "south"]], "columns": ["age", "income", "region"]}}`},
		{"split without names", json, `{"dataframe_split": {"data": [[20, 10.5, "north"], [70, null, "south"]]}}`},
		{"split with numbers for names", json, `{"dataframe_split": {"columns": [0, 1, 2], "data": [[20, 10.5, "north"], [70, null, "south"]]}}`},
		{"split in another order", json, `{"dataframe_split": {"columns": ["region", "age", "income"], "data": [["north", 20, 10.5], ["south", 70, null]]}}`},
		{"instances of records", json, `{"instances": [{"age": 20, "income": 10.5, "region": "north"}, {"age": 70, "income": null, "region": "south"}]}`},
		{"instances of lists", json, `{"instances": [[20, 10.5, "north"], [70, null, "south"]]}`},
		{"inputs by column", json, `{"inputs": {"age": [20, 70], "income": [10.5, null], "region": ["north", "south"]}}`},
		{"inputs of shape [n,1]", json, `{"inputs": {"age": [[20], [70]], "income": [[10.5], [null]], "region": [["north"], ["south"]]}}`},
		{"NaN, as Python writes it", json, `{"dataframe_split": {"columns": ["age", "income", "region"], "data": [[20, 10.5, "north"], [70, NaN, "south"]]}}`},
		{"inputs by row", json, `{"inputs": [[20, 10.5, "north"], [70, null, "south"]], "params": null}`},
		{"a column too many", json, `{"dataframe_records": [{"age": 20, "income": 10.5, "region": "north", "id": 7}, {"age": 70, "region": "south", "income": null}]}`},
		{"whole floats", json, `{"instances": [[20.0, 10.5, "north"], [7e1, null, "south"]]}`},
		{"CSV", csv, "age,income,region\n20,10.5,north\n70,,south\n"},
		{"CSV in another order, with a mark", csv, "\uFEFFregion,income,age\r\nnorth,10.5,20\r\nsouth,,70\r\n"},
	} {
		status, body, _ := post(t, h, "/invocations", c.contentType, c.body)
		if status != http.StatusOK {
			t.Errorf("%s: %d %s", c.name, status, body)
			continue
		}
		if first == "" {
			first = body
		}
		if body != first {
			t.Errorf("%s answered %s, not %s", c.name, body, first)
		}
	}
}

// keysSeen notes the keys of the rows of finished calls.
type keysSeen struct{ keys []string }

func (k *keysSeen) Offer(c *serve.Call) bool {
	k.keys = nil
	for row := range c.Rows.Rows() {
		if key := c.Rows.Key(row, nil); key != nil {
			k.keys = append(k.keys, string(key))
		} else {
			k.keys = append(k.keys, "none")
		}
	}
	return false
}

// TestKeys: what tells rows apart is read beside their columns, in every form that has names, and is no input.
func TestKeys(t *testing.T) {
	var log keysSeen
	h := scoringWith(t, &log)
	for _, c := range []struct{ contentType, body, want string }{
		{"application/json", `{"dataframe_records": [{"id": 7, "age": 20, "income": 10.5, "region": "north"}, {"region": "south", "age": 70, "income": null, "id": "a\"b"}]}`, `7 a"b`},
		{"application/json", `{"dataframe_records": [{"age": 20, "income": 10.5, "region": "north"}, {"region": "south", "age": 70, "income": null, "id": 1e3}]}`, "none 1000"},
		{"application/json", `{"dataframe_records": [{"age": 20, "income": 1, "region": "north", "id": null}, {"region": "south", "age": 70, "income": null, "id": 9223372036854775811}]}`, "none 9223372036854775811"},
		{"application/json", `{"dataframe_records": [{"age": 20, "income": 1, "region": "north", "id": -0}, {"region": "south", "age": 70, "income": null, "id": -170141183460469231731687303715884105729}]}`, "0 -170141183460469231731687303715884105729"},
		{"application/json", `{"dataframe_split": {"columns": ["age", "id", "income", "region"], "data": [[20, 2.5, 10.5, "north"], [70, true, null, "south"]]}}`, "2.5 true"},
		{"application/json", `{"instances": [{"age": 20, "income": 10.5, "region": "north", "id": "p"}, {"age": 70, "income": null, "region": "south"}]}`, "p none"},
		{"application/json", `{"inputs": {"id": ["p", 8], "age": [20, 70], "income": [10.5, null], "region": ["north", "south"]}}`, "p 8"},
		{"application/json", `{"inputs": {"age": 20, "income": 10.5, "region": "north", "id": 9}}`, "9"},
		{"text/csv", "age,income,region,id\n20,10.5,north,007\n70,,south,\n", "007 none"},
		{"application/json", `{"instances": [[20, 10.5, "north"]]}`, "none"},
		{"application/json", `{"instances": [[20, 10.5, "north"]], "params": {"id": "p"}}`, "p"}, // as other protocols have it
	} {
		if status, body, _ := post(t, h, "/invocations", c.contentType, c.body); status != http.StatusOK {
			t.Errorf("%s: %d %s", c.body, status, body)
		}
		if got := strings.Join(log.keys, " "); got != c.want {
			t.Errorf("%s: keys %q, want %q", c.body, got, c.want)
		}
	}
	for _, c := range []struct{ contentType, body, says string }{
		{"application/json", `{"dataframe_records": [{"age": 20, "income": 1, "region": "north", "id": null}, {"region": "south", "age": 70, "income": null, "id": {"x": [1]}}]}`, "row 1: id must be text, a finite number or a boolean"},
		{"application/json", `{"dataframe_records": [{"age": 20, "income": 1, "region": "north", "id": 1e999}]}`, "row 0: id must be text, a finite number or a boolean"},
		{"application/json", `{"dataframe_records": [{"age": 20, "income": 1, "region": "north", "id": "` + strings.Repeat("x", 1025) + `"}]}`, "row 0: id must have at most 1024 bytes"},
		{"application/json", `{"dataframe_records": [{"age": 20, "income": 1, "region": "north", "id": "a", "id": "a"}]}`, "row 0: id must not occur twice"},
		{"application/json", `{"instances": [{"age": 20, "income": 1, "region": "north", "id": null, "id": "a"}]}`, "row 0: id must not occur twice"},
		{"application/json", `{"inputs": {"id": ["p", 8], "age": [20, 70], "id": ["p", 8], "income": [10.5, null], "region": ["north", "south"]}}`, "row 1: id must not occur twice"},
		{"application/json", `{"dataframe_split": {"columns": ["id", "age", "id", "income", "region"], "data": [[1, 20, 2.5, 10.5, "north"]]}}`, `column \"id\" is there twice`},
		{"text/csv", "id,age,income,region,id\n1,20,10.5,north,007\n", `column \"id\" is there twice`},
		{"text/csv", "age,income,region,id\n20,10.5,north,\xff\n", "row 0: id must be text in UTF-8"},
		{"application/json", `{"instances": [[20, 10.5, "north"]], "params": {"id": [[1]]}}`, "row 0: id must be text, a finite number or a boolean"},
		{"application/json", `{"instances": [[20, 10.5, "north"]], "params": {"id": 1, "id": 2}}`, `\"id\" is there twice`},
	} {
		if status, body, _ := post(t, h, "/invocations", c.contentType, c.body); status != http.StatusBadRequest || !strings.Contains(body, c.says) {
			t.Errorf("%.200s: %d %s", c.body, status, body)
		}
	}
}

// TestReplies asks for each form of answer.
func TestReplies(t *testing.T) {
	h := scoring(t)
	ask := func(params string) any {
		status, body, header := post(t, h, "/models/m/versions/2/invocations", "application/json", `{"instances": [[80, 0, "north"]], "params": `+params+`}`)
		var out struct{ Predictions []any }
		if status != http.StatusOK || json.Unmarshal([]byte(body), &out) != nil || len(out.Predictions) != 1 {
			t.Fatalf("%d %s", status, body)
		}
		if header.Get(serve.VersionHeader) != "2" || header.Get(serve.RequestIDHeader) == "" {
			t.Errorf("headers %v", header)
		}
		return out.Predictions[0]
	}
	record, ok := ask(`{"unknown": [1]}`).(map[string]any)
	if !ok || record["prediction"] != 1.0 {
		t.Fatalf("%v", record)
	}
	p0, p1 := record["probability_0"].(float64), record["probability_1"].(float64)
	if math.Abs(p0+p1-1) > 1e-6 || p1 < 0.5 {
		t.Errorf("probabilities %v, %v", p0, p1)
	}
	if got := ask(`{"predict_method": "predict"}`); got != 1.0 {
		t.Errorf("label %v", got)
	}
	if diff := cmp.Diff([]any{p0, p1}, ask(`{"predict_method": "predict_proba"}`)); diff != "" {
		t.Error(diff)
	}
}

// TestLossyInput sends what MLflow's own server casts and answers. The three that its tests record are first.
func TestLossyInput(t *testing.T) {
	h := scoring(t)
	for name, row := range map[string]string{
		"overflow":               `[9007199254740993000, 0, "north"]`,
		"arbitrary string":       `["some arbitrary string", 0, "north"]`,
		"a number as a string":   `[1, 0, 3]`,
		"truth as a number":      `[true, 0, "north"]`,
		"fraction of an integer": `[1.5, 0, "north"]`,
		"text as a number":       `[1, "7", "north"]`,
		"beyond float64":         `[1, 1e999, "north"]`,
		"beyond float32":         `[1, 1e300, "north"]`,
		"unseen category":        `[1, 0, "west"]`,
		"missing":                `[null, 0, "north"]`,
		"nested":                 `[[1], 0, "north"]`,
	} {
		status, body, _ := post(t, h, "/invocations", "application/json", `{"instances": [[1, 0, "north"], `+row+`]}`)
		if status != http.StatusBadRequest || !strings.Contains(body, "row 1: ") || !strings.Contains(body, `"error_code": "INVALID_PARAMETER_VALUE"`) {
			t.Errorf("%s: %d %s", name, status, body)
		}
		for _, value := range []string{"9007199", "arbitrary", "west", "999"} {
			if strings.Contains(body, value) {
				t.Errorf("%s: the answer repeats the value: %s", name, body)
			}
		}
	}
}

// TestBadRequests sends what is not of the protocol. The fragments are those that MLflow's own tests look for.
func TestBadRequests(t *testing.T) {
	h := scoring(t)
	const typ = "application/json"
	for _, c := range []struct {
		name, contentType, body string
		status                  int
		says                    string
	}{
		{"no JSON", typ, `{"instances"`, 400, "Invalid input. Ensure that input is a valid JSON formatted string."},
		{"Infinity", typ, `{"instances": [[1, Infinity, "north"]]}`, 400, "Invalid input. Ensure that input is a valid JSON formatted string."},
		{"NaN where no number is", typ, `{"instances": NaN}`, 400, "instances must be a list"},
		{"NaN in a column that must not miss", typ, `{"instances": [[NaN, 1, "north"]]}`, 400, "row 0: age "},
		{"NaN as a string", typ, `{"instances": [[1, 1, NaN]]}`, 400, "row 0: region "},
		{"more after the end", typ, `{"instances": [[1, 0, "north"]]} x`, 400, "Invalid input. Ensure that input is a valid JSON formatted string."},
		{"empty", typ, ``, 400, "Invalid input. Ensure that input is a valid JSON formatted string."},
		{"nested too deep", typ, `{"params": ` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, 400, "nested too deep"},
		{"a list", typ, `[1]`, 400, "The input must be a JSON dictionary with exactly one of the input fields"},
		{"no form", typ, `{"data": []}`, 400, "The input must be a JSON dictionary with exactly one of the input fields"},
		{"two forms", typ, `{"instances": [[1, 0, "north"]], "inputs": []}`, 400, "The input must be a JSON dictionary with exactly one of the input fields"},
		{"the same form twice", typ, `{"instances": [[1, 0, "north"]], "instances": []}`, 400, "The input must be a JSON dictionary with exactly one of the input fields"},
		{"for a language model", typ, `{"messages": []}`, 400, "is for a language model"},
		{"split a list", typ, `{"dataframe_split": []}`, 400, "Dataframe split format must be a dictionary. Got list"},
		{"split with a number among names", typ, `{"dataframe_split": {"columns": ["age", 1], "data": [[1, 2]]}}`, 400, "the name of a column is not a string"},
		{"split with numbers in another order", typ, `{"dataframe_split": {"columns": [1, 0], "data": [[1, 2]]}}`, 400, "the columns are numbers"},
		{"split without data", typ, `{"dataframe_split": {"columns": ["age"]}}`, 400, "Provided dataframe_split field is not a valid dataframe representation"},
		{"split with two data", typ, `{"dataframe_split": {"data": [], "data": []}}`, 400, "Provided dataframe_split field is not a valid dataframe representation"},
		{"split with a longer row", typ, `{"dataframe_split": {"columns": ["age"], "data": [[1, 2]]}}`, 400, "Provided dataframe_split field is not a valid dataframe representation: row 0 has more than the 1 values"},
		{"an index of another length", typ, `{"dataframe_split": {"index": [0], "columns": ["age", "income", "region"], "data": [[1, 0, "north"], [1, 0, "north"]]}}`, 400, "Provided dataframe_split field is not a valid dataframe representation: index has 1 rows, data 2"},
		{"an index that is none", typ, `{"dataframe_split": {"index": "x", "data": [[1, 0, "north"]]}}`, 400, "Provided dataframe_split field is not a valid dataframe representation: index must be a list"},
		{"a key of no split", typ, `{"dataframe_split": {"rows": [], "data": [[1, 0, "north"]]}}`, 400, `\"rows\" is none of columns, index and data`},
		{"names twice", typ, `{"dataframe_records": [{"age": 49, "age": 70, "income": 1, "region": "north"}]}`, 400, "the request has names twice: row 0: age must not occur twice"},
		{"columns of other lengths", typ, `{"inputs": {"age": 49, "region": ["north", "north"], "income": 1}}`, 400, `column \"region\" has more than the 1 values of the other columns`},
		{"a number that is none", typ, `{"dataframe_records": [{"age": 0x31, "income": 1, "region": "north"}]}`, 400, "It is not JSON: neither a value nor a number"},
		{"a column twice", typ, `{"dataframe_split": {"columns": ["age", "age"], "data": [[1, 2]]}}`, 400, `column \"age\" is there twice`},
		{"records a dictionary", typ, `{"dataframe_records": {}}`, 400, "Dataframe records format must be a list of records. Got dictionary."},
		{"ragged", typ, `{"instances": [[1, 0]]}`, 400, "row 0 has 2 values for 3 columns"},
		{"ragged the other way", typ, `{"instances": [[1, 0, "north", 3]]}`, 400, "row 0 has more than the 3 values of its columns"},
		{"columns of different lengths", typ, `{"inputs": {"age": [1, 2], "income": [1]}}`, 400, "has 1 values, other columns 2"},
		{"no rows", typ, `{"instances": []}`, 400, "the request has no rows"},
		{"ragged CSV", "text/csv", "age,income\n1\n", 400, "not CSV: line 2"},
		{"an open quote", "text/csv", "age,income\n\"1,2\n", 400, "not CSV"},
		{"CSV without anything", "text/csv", "", 400, "the CSV has no header"},
		{"too large", typ, `{"instances": [` + strings.Repeat(" ", 5000) + `]}`, 413, "more than the 4096 bytes"},
		{"another type", "application/xml", `<a/>`, 415, "This predictor only supports the following content types"},
		{"another charset", "application/json; charset=latin-1", `{}`, 415, "charset=utf-8"},
		{"no type", "", `{}`, 415, "no Content-Type"},
	} {
		status, body, _ := post(t, h, "/invocations", c.contentType, c.body)
		if status != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %s", c.name, status, body)
		}
	}
	for path, want := range map[string]int{"/models/other/invocations": 404, "/models/m/versions/9/invocations": 404} {
		if status, body, _ := post(t, h, path, typ, `{}`); status != want || !strings.Contains(body, "RESOURCE_DOES_NOT_EXIST") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

// FuzzInvocations sends any JSON: the answer is 200 or 400, never a panic, and 200 only with a prediction for a row that fits.
func FuzzInvocations(f *testing.F) {
	h := scoring(f)
	for _, s := range []string{
		`{"dataframe_split": {"data": [[20, 10.5, "north"]], "columns": ["age", "income", "region"]}}`, `{"instances": [[1,2,"south"]]}`, `{"inputs": {"age": [1], "income": [2], "region": "north"}}`,
		`{"dataframe_records": [{"age": 1, "income": 1, "region": "north"}]}`, `{"inputs": {"age": [[1]]}, "params": {"predict_method": "predict"}}`, `{"instances": [1]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		status, answer, _ := post(t, h, "/invocations", "application/json", string(body))
		if status != 200 && status != 400 && status != 413 || !json.Valid([]byte(answer)) {
			t.Errorf("%d %s", status, answer)
		}
		if status == 200 && !json.Valid(bytes.ReplaceAll(body, []byte("NaN"), []byte("null"))) {
			t.Error("what is not JSON was answered")
		}
	})
}

// predictor is a fitted model as the evaluator of its ONNX file has it.
func predictor(t testing.TB, m *learn.Model) *learn.Predictor {
	t.Helper()
	file, err := m.ONNX()
	if err != nil {
		t.Fatal(err)
	}
	p, err := learn.Open(file, learn.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}
