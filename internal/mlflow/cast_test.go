package mlflow_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/mlflow"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// an echo is a model that answers how often it was asked, and keeps what it was given: a value of column 0 for each row.
type echo struct{ seen []string }

func (e *echo) Predict(_ context.Context, rows *schema.Batch, out *serve.Output) error {
	e.seen = e.seen[:0]
	out.Values = out.Values[:0]
	for row := range rows.Rows() {
		out.Values = append(out.Values, 1)
		e.seen = append(e.seen, told(rows, row, 0))
	}
	return nil
}

func (e *echo) Close() error { return nil }

// told is a value as casts.json has it.
func told(rows *schema.Batch, row, i int) string {
	switch f := rows.Float(row, i); {
	case rows.Missing(row, i):
		return "null"
	case math.IsInf(f, 0):
		return "float " + strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(f, 'g', -1, 64), "+"))
	case rows.Validator().Field(i).Type == assay.TypeNumber:
		return "float " + strconv.FormatFloat(f, 'g', -1, 64)
	}
	return string(rows.AppendJSON(nil, row, i))
}

// casting serves an echo of one column c.
func casting(t testing.TB, kind string, e *echo) (*serve.Server, http.Handler) {
	t.Helper()
	return oneColumn(t, kind, e, "mlflow")
}

// strict are servers of one column that make no casts, by kind.
var strict = map[string]http.Handler{}

// strictly is the status of a request to a version that makes no casts.
func strictly(t testing.TB, kind, body, contentType string) int {
	t.Helper()
	if strict[kind] == nil {
		_, strict[kind] = oneColumn(t, kind, &echo{}, "")
	}
	status, _, _ := post(t, strict[kind], "/invocations", contentType, body)
	return status
}

func oneColumn(t testing.TB, kind string, e *echo, coerce string) (*serve.Server, http.Handler) {
	t.Helper()
	types := map[string]struct {
		typ   assay.Type
		numpy string
	}{
		"integer": {assay.TypeInteger, "int32"}, "long": {assay.TypeInteger, "int64"}, "float": {assay.TypeNumber, "float32"}, "double": {assay.TypeNumber, "float64"},
		"boolean": {assay.TypeBoolean, "bool"}, "string": {assay.TypeString, "string"}, "datetime": {assay.TypeTimestamp, "datetime"},
	}
	in := schema.New("in")
	in.Columns = []schema.Column{{Name: "c", Type: types[kind].typ}}
	if kind == "integer" || kind == "long" || kind == "boolean" {
		in.Columns[0].NotNull = &schema.NotNull{}
	}
	if kind == "long" {
		lo, hi := schema.Int(math.MinInt64), schema.Int(math.MaxInt64)
		in.Columns[0].Range = &schema.Range{Min: &lo, Max: &hi}
	}
	if kind == "integer" {
		lo, hi := schema.Int(math.MinInt32), schema.Int(math.MaxInt32)
		in.Columns[0].Range = &schema.Range{Min: &lo, Max: &hi}
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	s := serve.New(serve.Options{Clock: func() time.Time { return at }, Nonce: "n"})
	b, err := s.Bind(serve.Binding{Name: "m", Number: 1, Task: assay.Regression, Input: in, Output: serve.OutputSchema("out", nil, false), Engine: e, Coerce: coerce, Kinds: []string{types[kind].numpy}})
	if err != nil {
		t.Fatal(err)
	}
	s.Set("m", b, b)
	s.SetReady(true)
	mux := http.NewServeMux()
	(&mlflow.Scoring{Server: s}).Routes(mux)
	return s, mux
}

// A seen is what MLflow made of the values of a request.
type seen struct {
	Values []json.RawMessage
	DType  string
	Error  string
}

// told is a value as the echo has it; object says that it is none that a column of one type holds.
func (s *seen) told(t testing.TB, i int) (text string, object bool) {
	var v struct{ Int, Float, Time, Object *string }
	raw := s.Values[i]
	if raw[0] == '"' {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			t.Fatal(err)
		}
		return string(schema.AppendJSONString(nil, []byte(text))), false
	}
	if raw[0] != '{' {
		return string(raw), false
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	switch {
	case v.Int != nil:
		return *v.Int, false
	case v.Float != nil:
		f, err := strconv.ParseFloat(*v.Float, 64)
		if err != nil {
			t.Fatal(err)
		}
		if math.IsInf(f, 0) {
			return "float " + *v.Float, false
		}
		return "float " + strconv.FormatFloat(f, 'g', -1, 64), false
	case v.Time != nil:
		ns, err := strconv.ParseInt(*v.Time, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return `"` + time.Unix(0, ns).UTC().Truncate(time.Microsecond).Format("2006-01-02T15:04:05.999999Z") + `"`, false
	}
	return "", true
}

// difference says why this server refuses what MLflow casts, as docs/compatibility.md lists it, or "".
func difference(kind string, csv bool, body string, want *seen) string {
	cell, _, _ := strings.Cut(strings.TrimPrefix(body, "c\n"), "\n")
	switch {
	case want.Error != "":
	case csv && kind != "string" && slices.Contains([]string{"true", "True", "TRUE", "false", "007", "+1", " 1"}, cell) && (kind != "boolean" || cell[0] == '+' || cell[0] == ' '),
		csv && kind == "boolean" && (cell == "1" || cell == "0"),
		csv && (kind == "float" || kind == "double") && slices.Contains([]string{"NA", "None", "inf"}, cell):
		return "a word or number in CSV"
	case kind == "boolean" && strings.Contains(body, "null"):
		return "null for a truth value"
	case (kind == "string" || kind == "boolean" || kind == "double") && nestedValue.MatchString(body) && !(kind == "boolean" && !strings.Contains(body, `{"inputs"`) && !strings.Contains(body, `{"instances"`)):
		if kind == "boolean" && strings.Contains(body, `{"c": {`) {
			return ""
		}
		return "a list or object for a scalar"
	case strings.Contains(body, "\\u0661") && kind != "string" && kind != "boolean":
		return "digits of another script"
	case kind == "datetime" && (strings.Contains(body, "Jan") || strings.Contains(body, `"nan"`) || numericText.MatchString(body) || strings.Contains(body, `"dataframe_records": [{"c": 0}, {"c": ""}`)):
		return "a time that is not of ISO 8601"
	}
	return ""
}

var (
	nestedValue = regexp.MustCompile(`"c": (\[[^"]|\[\]|\{)|"c": \[[^\]]*[\[{]`)
	numericText = regexp.MustCompile(`"[-+ ]?[0-9]+ ?"`)
)

// TestCasts sends what was sent to MLflow. What it answered, this server answers with the same values, but for the differences that
// docs/compatibility.md lists; what it refused, this server refuses.
func TestCasts(t *testing.T) {
	b, err := os.ReadFile("testdata/casts.json")
	if err != nil {
		t.Fatal(err)
	}
	var table struct {
		Cases []struct {
			Forms []string
			Body  string
			Seen  map[string]seen
		}
	}
	if err := json.Unmarshal(b, &table); err != nil || len(table.Cases) < 290 {
		t.Fatalf("%d cases: %v", len(table.Cases), err)
	}
	same, refused, differs := 0, 0, map[string]int{}
	for _, kind := range []string{"integer", "long", "float", "double", "boolean", "string", "datetime"} {
		e := &echo{}
		_, h := casting(t, kind, e)
		for _, c := range table.Cases {
			want, ok := c.Seen[kind]
			if !ok {
				continue
			}
			typ := "application/json"
			if slices.Contains(c.Forms, "csv") {
				typ = "text/csv"
			}
			status, body, header := post(t, h, "/invocations", typ, c.Body)
			what := fmt.Sprintf("%s %s %.100q", kind, c.Forms, c.Body)
			if why := difference(kind, typ == "text/csv", c.Body, &want); why != "" {
				differs[why]++
				if status != http.StatusBadRequest {
					t.Errorf("%s: %d %v, though it is listed as refused: %s", what, status, e.seen, why)
				}
				continue
			}
			if want.Error != "" {
				refused++
				if status != http.StatusBadRequest {
					t.Errorf("%s: answered %v; MLflow %s", what, e.seen, want.Error)
				}
				continue
			}
			if status != http.StatusOK {
				t.Errorf("%s: %d %s; MLflow %s", what, status, body, want.Values)
				continue
			}
			same++
			for i, got := range e.seen {
				w, object := want.told(t, i)
				if kind == "string" && typ == "text/csv" && w == "null" {
					w = got // words that say that a value is missing are texts here
				}
				if kind == "string" && !strings.HasPrefix(w, `"`) && w != "null" {
					// MLflow hands a number or truth value over as it is; a column of texts has Python's text of it.
					w = `"` + strings.TrimPrefix(w, "float ") + `"`
					switch w {
					case `"true"`:
						w = `"True"`
					case `"false"`:
						w = `"False"`
					}
					if strings.HasPrefix(string(want.Values[i]), `{"float"`) {
						var v struct{ Float string }
						_ = json.Unmarshal(want.Values[i], &v)
						w = `"` + v.Float + `"`
					}
				}
				if object || got != w {
					t.Errorf("%s: row %d is %s; MLflow %s", what, i, got, want.Values[i])
				}
			}
			if changed := strictly(t, kind, c.Body, typ) != http.StatusOK; changed && header.Get(serve.CoercedHeader) == "" {
				t.Errorf("%s: what is refused without casts was answered as %v, and nothing was told", what, e.seen)
			}
		}
	}
	t.Logf("%d as MLflow, %d refused by both, refused here: %v", same, refused, differs)
}

// TestCoerced holds that what a cast changes is told, counted and logged, and what it does not change is not.
func TestCoerced(t *testing.T) {
	e := &echo{}
	s, h := casting(t, "integer", e)
	const typ = "application/json"
	status, _, header := post(t, h, "/invocations", typ, `{"dataframe_split": {"columns": ["c"], "data": [[1], [2147483648], [3], [3000000000]]}}`)
	if status != 200 || header.Get(serve.CoercedHeader) != "1,3" || !slices.Equal(e.seen, []string{"1", "-2147483648", "3", "-1294967296"}) {
		t.Errorf("%d %v %v", status, header, e.seen)
	}
	if _, _, header := post(t, h, "/invocations", typ, `{"dataframe_split": {"columns": ["c"], "data": [[1], [2.0]]}}`); header.Get(serve.CoercedHeader) != "" {
		t.Errorf("%v", header)
	}
	if got := s.Tallies()[0].Coerced; got != 2 {
		t.Errorf("%d coerced values", got)
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(s)
	w := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if line := `assay_coerced_values_total{column="c",model="m",rule="overflow",version="1"} 2`; !strings.Contains(w.Body.String(), line) {
		t.Errorf("%s is not among the metrics", line)
	}
	// Other protocols do not cast.
	c, err := s.Begin("oip", "m", "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.End()
	c.Reader.Reset([]byte(`[["12"]]`), 0)
	if err := c.ReadInstances(&c.Reader); err != nil || assay.CodeOf(c.Predict(t.Context())) != assay.Rejected {
		t.Error(err, c.Err)
	}
}

// TestCastsAllocate: a version that casts allocates as little as one that does not, where nothing is to be changed.
func TestCastsAllocate(t *testing.T) {
	if assaytest.Race {
		t.Skip("the race detector allocates")
	}
	var n [2]float64
	body := []byte(`{"dataframe_records": [` + strings.Repeat(`{"c": 1.5}, `, 99) + `{"c": 2.25}]}`)
	for i, coerce := range []string{"", "mlflow"} {
		_, h := oneColumn(t, "double", &echo{}, coerce)
		n[i] = testing.AllocsPerRun(200, asking(t, h, body))
	}
	if n[1] > n[0] {
		t.Errorf("%v allocations with casts, %v without", n[1], n[0])
	}
}

// FuzzCasts sends any JSON to a version that casts: the answer is 200 or 400, and valid JSON.
func FuzzCasts(f *testing.F) {
	handlers := map[string]http.Handler{}
	kinds := []string{"integer", "long", "float", "double", "boolean", "string", "datetime"}
	for _, kind := range kinds {
		_, handlers[kind] = casting(f, kind, &echo{})
	}
	for i, body := range []string{
		`{"dataframe_split": {"columns": ["c"], "data": [[3000000000], [2.5]]}}`, `{"instances": [{"c": "1_000"}, {"c": true}]}`, `{"inputs": {"c": [1e999, null]}}`,
		`{"dataframe_records": [{"c": [ ]}, {"c": {"a": 1}}, {}]}`, `{"instances": [{"c": -18446744073709551616}, {"c": "\ud83d\ude00"}]}`, `{"inputs": [NaN, -0]}`, `{"inputs": {"c": 5}}`,
	} {
		f.Add(uint8(i), []byte(body))
	}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/invocations", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handlers[kinds[int(kind)%len(kinds)]].ServeHTTP(w, r)
		if w.Code != 200 && w.Code != 400 || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// TestCoercedDigits counts casts that lose digits of numbers which are written with a fraction or exponent, and none that lose nothing.
func TestCoercedDigits(t *testing.T) {
	for _, c := range []struct{ kind, text, want, rule string }{
		{"long", "9007199254740993.0", "9007199254740992", "precision"},
		{"long", "9007199254740993.5", "9007199254740994", "fraction"},
		{"long", "9007199254740992.0", "9007199254740992", ""},
		{"long", "7.0", "7", ""},
		{"long", "-9007199254740993.0", "-9007199254740992", "precision"},
		{"double", "9007199254740993.0", "float 9.007199254740992e+15", "precision"},
		{"double", "9007199254740992.0", "float 9.007199254740992e+15", ""},
		{"double", "1.152921504606847e18", "float 1.152921504606847e+18", ""},
		{"double", "0.1", "float 0.1", ""},
		{"float", "9007199254740993.0", "float 9.007199254740992e+15", "precision"},
	} {
		for _, form := range []string{`{"dataframe_records": [{"c": %s}]}`, `{"dataframe_split": {"columns": ["c"], "data": [[%s]]}}`, `{"inputs": {"c": [%s]}}`} {
			e := &echo{}
			_, h := casting(t, c.kind, e)
			body := fmt.Sprintf(form, c.text)
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/invocations", strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if told := w.Header().Get("X-Assay-Coerced"); w.Code != 200 || len(e.seen) != 1 || e.seen[0] != c.want || (told != "") != (c.rule != "") {
				t.Errorf("%s %s: %d %v, X-Assay-Coerced %q, want %s %s", c.kind, body, w.Code, e.seen, told, c.want, c.rule)
			}
		}
	}
	e := &echo{}
	_, h := casting(t, "double", e)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/invocations", strings.NewReader("c\n9007199254740993\n1\n"))
	r.Header.Set("Content-Type", "text/csv")
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != 200 || w.Header().Get("X-Assay-Coerced") != "0" || e.seen[0] != "float 9.007199254740992e+15" {
		t.Errorf("CSV: %d %s %v %q", w.Code, w.Body, e.seen, w.Header().Get("X-Assay-Coerced"))
	}
}
