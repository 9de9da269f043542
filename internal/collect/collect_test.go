package collect_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/collect"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// silent is an engine that nobody asks.
type silent struct{}

func (silent) Predict(context.Context, *schema.Batch, *serve.Output) error {
	panic("BUG: asked for what another server answered")
}
func (silent) Close() error { return nil }

// watched is a server with one model and the calls that it would log.
type watched struct {
	*serve.Server
	rows []string
	lost int
}

// Offer implements serve.Recorder.
func (w *watched) Offer(c *serve.Call) bool {
	line := fmt.Sprintf("%s %s %s %s", c.Edge, c.ID, c.At.UTC().Format("15:04:05"), c.Outcome)
	for row := range c.Rows.Rows() {
		age, city := c.Rows.AppendJSON(nil, row, 0), c.Rows.AppendJSON(nil, row, 1)
		line += fmt.Sprintf(" [%s %s", age, city)
		if c.Outcome == serve.Answered {
			line += fmt.Sprintf(" %s", c.Version().Class(c.Output.Labels[row]))
			if len(c.Output.Proba) > 0 { // a class may come alone
				line += fmt.Sprintf(" %v", c.Output.Proba[2*row:2*row+2])
			}
		}
		for _, f := range c.Found {
			if f.Row == row {
				line += " " + f.Field + ":" + f.Rule
			}
		}
		line += "]"
	}
	w.rows = append(w.rows, line)
	c.Release()
	return true
}

// Lose counts what is missing.
func (w *watched) Lose(_ string, rows int) { w.lost += rows }

func watch(t testing.TB) *watched {
	t.Helper()
	w := &watched{}
	w.Server = serve.New(serve.Options{Clock: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }, Nonce: "t", Log: w})
	in := schema.New("in")
	lo, hi := schema.Int(0), schema.Int(120)
	in.Columns = []schema.Column{{Name: "age", Type: assay.TypeInteger, Range: &schema.Range{Min: &lo, Max: &hi}}, {Name: "city", Type: assay.TypeString}}
	classes := []string{"no", "yes"}
	b, err := w.Bind(serve.Binding{Name: "m", Number: 1, Task: assay.Binary, Classes: classes, Positive: "yes", Input: in, Output: serve.OutputSchema("out", classes, true), Engine: silent{}})
	if err != nil {
		t.Fatal(err)
	}
	w.Set("m", b, b)
	w.SetReady(true)
	return w
}

func check(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("logged\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

const (
	records = `{"dataframe_records":[{"age":30,"city":"a"},{"age":200,"city":"b"}]}`
	tensors = `{"id":"other","inputs":[{"name":"age","shape":[1],"datatype":"INT64","data":[30]},{"name":"city","shape":[1],"datatype":"BYTES","data":["a"]}]}`
	proba   = `{"predictions":[[0.25,0.75],[1,0]]}`
)

func TestCapture(t *testing.T) {
	w := watch(t)
	rec := &collect.Recorder{Server: w.Server, Edge: "sagemaker"}
	f, err := os.Open("testdata/capture.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var wrong []string
	counts, err := collect.Capture(f, &collect.Seen{}, func(number int64, x *collect.Exchange) error {
		if _, err := rec.Record(x); err != nil {
			wrong = append(wrong, fmt.Sprintf("%d: %v", number, err))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	check(t, w.rows,
		`sagemaker my-id 10:00:00 answered [30 "a" yes [0.25 0.75]] [200 "b" no [1 0] age:range]`,
		`sagemaker e-2 10:00:01 answered [31 "c" yes [0.25 0.75]]`,
		`sagemaker e-3 10:00:02 answered [32 "d" no [0.75 0.25]]`,
		`sagemaker e-4 10:00:03 malformed`,
		`sagemaker e-5 10:00:04 failed [30 "a"]`,
		`sagemaker e-6 10:00:05 failed [30 "a" probabilities:sum]`,
	)
	check(t, wrong,
		"4: the request: not CSV: line 2: wrong number of fields",
		"5: the answer: it has 2 predictions for 1 rows",
		"6: the answer does not fit the output schema: m:1 row 0: the probabilities do not sum to 1",
	)
	got, err := json.Marshal(counts.Skipped)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"a line that is not a capture":1,"a line without eventId":1,"a request without its answer":1,"an encoding that is none of JSON, CSV and BASE64":1,` +
		`"an event that was taken in before":1,"an eventVersion other than 0":1,"an inferenceTime that is no time":1,"data that are not base64":1}`
	if string(got) != want {
		t.Errorf("skipped %s, want %s", got, want)
	}
	if counts.First[collect.ReasonRepeated] != 7 {
		t.Errorf("the first repeated id is at %d", counts.First[collect.ReasonRepeated])
	}
}

func TestGroundTruth(t *testing.T) {
	var got []string
	counts, err := collect.GroundTruth(strings.NewReader(strings.Join([]string{
		`{"groundTruthData":{"data":"1","encoding":"CSV"},"eventMetadata":{"eventId":"a"},"eventVersion":"0"}`,
		`{"groundTruthData":{"data":"yes, \"no\"","encoding":"CSV"},"eventMetadata":{"eventId":"b","inferenceId":"i"},"eventVersion":"0"}`,
		`{"groundTruthData":{"data":"","encoding":"CSV"},"eventMetadata":{"eventId":"c"},"eventVersion":"0"}`,
		`{"groundTruthData":{"data":"MQ==","encoding":"BASE64"},"eventMetadata":{"eventId":"d"},"eventVersion":"0"}`,
		`{"groundTruthData":{"data":"no,,yes","encoding":"CSV"},"eventMetadata":{"eventId":"e"},"eventVersion":"0"}`,
		`{"groundTruthData":{"data":"no\n\nyes\r\n","encoding":"CSV"},"eventMetadata":{"eventId":"f"},"eventVersion":"0"}`,
		`{"groundTruthData":{"data":" \"a, \"\"b\"\"\nc\" ,d","encoding":"CSV"},"eventMetadata":{"eventId":"g"},"eventVersion":"0"}`,
		`{"groundTruthData":{"data":"a,b\nc,d","encoding":"CSV"},"eventMetadata":{"eventId":"h"},"eventVersion":"0"}`,
		`{"groundTruthData":{"data":"\"a","encoding":"CSV"},"eventMetadata":{"eventId":"j"},"eventVersion":"0"}`,
		`{"groundTruthData":{"data":",\n","encoding":"CSV"},"eventMetadata":{"eventId":"k"},"eventVersion":"0"}`,
		`{"groundTruthData":{"data":"1","enc`,
	}, "\n")), func(_ int64, x collect.Truth) error {
		got = append(got, fmt.Sprintf("%s%q", x.ID, x.Values))
		return nil
	})
	if err != nil || counts.Exchanges != 5 || counts.Rows != 11 || len(counts.Skipped) != 5 || counts.Skipped["a line without a value"] != 2 {
		t.Errorf("%v: %+v", err, counts)
	}
	check(t, got, `a["1"]`, `i["yes" "no"]`, `e["no" "" "yes"]`, `f["no" "" "yes"]`, `g["a, \"b\"\nc" "d"]`)
}

func TestLongLines(t *testing.T) {
	long := bufio.NewReader(strings.NewReader(strings.Repeat("x", collect.MaxLine+10) + "\n{}\n"))
	counts, err := collect.Capture(long, &collect.Seen{}, func(int64, *collect.Exchange) error { return nil })
	if err != nil || counts.Skipped["a line that is too long"] != 1 || counts.First["an eventVersion other than 0"] != 2 {
		t.Errorf("%v: %+v", err, counts)
	}
}

func TestForms(t *testing.T) {
	for _, c := range []struct{ name, request, response, want string }{
		{"tensors", tensors, `{"outputs":[{"name":"p","shape":[1,2],"datatype":"FP32","data":[0.25,0.75]}]}`, `x e 00:00:00 answered [30 "a" yes [0.25 0.75]]`},
		{"instances", `{"instances":[[30,"a"]]}`, `{"predictions":[[0.25,0.75]]}`, `x e 00:00:00 answered [30 "a" yes [0.25 0.75]]`},
		{"a request with the caller's id", `{"client_request_id":"z","dataframe_records":[{"age":30,"city":"a"}]}`, `[[0.25,0.75]]`, `x e 00:00:00 answered [30 "a" yes [0.25 0.75]]`},
		{"created", `{"instances":[[30,"a"]]}`, `[[0.25,0.75]]`, `x e 00:00:00 answered [30 "a" yes [0.25 0.75]]`},
		{"no rows", `{"instances":[]}`, `[]`, `x e 00:00:00 malformed`},
		{"not UTF-8", "{\"instances\":[[30,\"\xff\"]]}", `[[0.25,0.75]]`, `x e 00:00:00 malformed`},
		{"a truncated answer", `{"instances":[[30,"a"]]}`, `{"predictions":[[0.25,`, `x e 00:00:00 failed [30 "a"]`},
		{"deep", strings.Repeat("[", 100000), `[]`, `x e 00:00:00 malformed`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := watch(t)
			r := &collect.Recorder{Server: w.Server, Edge: "x"}
			_, err := r.Record(&collect.Exchange{ID: "e", At: time.Unix(0, 0), Request: collect.Body{Data: []byte(c.request)}, Response: collect.Body{Data: []byte(c.response)}, Status: map[string]int{"created": 201}[c.name]})
			if ok := strings.Contains(c.want, "answered"); ok != (err == nil) {
				t.Error(err)
			}
			check(t, w.rows, c.want)
		})
	}
}

func TestEvents(t *testing.T) {
	w := watch(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e := &collect.Events{Recorder: &collect.Recorder{Server: w.Server, Edge: "cloudevents"}, Clock: func() time.Time { return at }}
	mux := http.NewServeMux()
	e.Routes(mux)
	post := func(body string, headers ...string) int {
		r := httptest.NewRequest(http.MethodPost, "/events", strings.NewReader(body))
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		a := httptest.NewRecorder()
		mux.ServeHTTP(a, r)
		return a.Code
	}
	kserve := func(id, kind, body string) int {
		return post(body, "Ce-Specversion", "1.0", "Ce-Id", id, "Ce-Type", "org.kubeflow.serving.inference."+kind, "Ce-Inferenceservicename", "m", "Ce-Namespace", "default",
			"Ce-Time", "2026-01-02T01:00:00.5Z", "Content-Type", "application/json")
	}
	seldon := func(id, request, kind, body string) int {
		return post(body, "Ce-Specversion", "0.3", "Ce-Id", id, "Ce-Requestid", request, "Ce-Type", "io.seldon.serving.inference."+kind, "Ce-Modelid", "m", "Content-Type", "application/json")
	}
	for i, c := range []struct{ got, want int }{
		{kserve("1", "request", records), 200},
		{kserve("1", "response", proba), 200},
		{kserve("2", "response", `{"outputs":[{"name":"p","shape":[1,2],"datatype":"FP32","data":[0.25,0.75]}]}`), 200}, // the answer comes first
		{kserve("2", "request", tensors), 200},
		{seldon("a", "3", "request", tensors), 200},
		{seldon("b", "3", "response", `{"outputs":[{"name":"p","shape":[1,2],"datatype":"FP32","data":[1,0]}]}`), 200},
		{kserve("4", "request", records), 200},
		{kserve("4", "request", records), 409}, // delivered again
		{kserve("4", "request", tensors), 409}, // of another request: a row that is missing
		{kserve("1", "request", records), 409}, // delivered again after its answer came
		{kserve("1", "response", proba), 409},
		{kserve("5", "request", `{"dataframe_records":[`), 200}, // read only when its answer is there
		{kserve("5", "response", proba), 400},
		{kserve("6", "other", ""), 400},
		{kserve("", "request", records), 400},
		{post(records, "Ce-Type", "org.kubeflow.serving.inference.request", "Ce-Id", "7"), 400},
		{post(records, "Ce-Specversion", "1.0", "Ce-Type", "org.kubeflow.serving.inference.request", "Ce-Id", "7", "Ce-Inferenceservicename", "nobody"), 404},
		{kserve("8", "request", strings.Repeat("x", serve.DefaultMaxBodyBytes+1)), 413},
	} {
		if c.got != c.want {
			t.Errorf("event %d: status %d, want %d", i, c.got, c.want)
		}
	}
	check(t, w.rows,
		`cloudevents 1 01:00:00 answered [30 "a" yes [0.25 0.75]] [200 "b" no [1 0] age:range]`,
		`cloudevents 2 01:00:00 answered [30 "a" yes [0.25 0.75]]`,
		`cloudevents 3 03:04:05 answered [30 "a" no [1 0]]`,
		`cloudevents 5 01:00:00 malformed`,
	)
	if n := e.Expire(at); n != 1 || w.lost != 1 { // what comes again is not missing, another one of the same id is
		t.Errorf("%d events wait, %d rows are missing", n, w.lost)
	}
	if n := e.Expire(at.Add(2 * time.Minute)); n != 0 || w.lost != 2 {
		t.Errorf("after two minutes %d events wait, %d rows are missing", n, w.lost)
	}
	// Memory is bounded: what finds no room is missing, and counted.
	big := strings.Repeat(" ", 15<<20)
	full := 0
	for i := range 6 {
		if kserve(fmt.Sprint("big", i), "request", big) == 503 {
			full++
		}
	}
	if full != 2 || w.lost != 4 {
		t.Errorf("%d events found no room, %d rows are missing", full, w.lost)
	}
	if e.Close(); w.lost != 8 {
		t.Errorf("at the end %d rows are missing", w.lost)
	}
}

func TestInferenceRows(t *testing.T) {
	for _, columns := range [][]string{
		{"client_request_id", "databricks_request_id", "timestamp_ms", "status_code", "execution_time_ms", "request", "response"},
		{"databricks_request_id", "request_time", "status_code", "execution_duration_ms", "request", "response"},
	} {
		var fields []assay.Field
		for _, c := range columns {
			typ := assay.TypeString
			if c == "request_time" {
				typ = assay.TypeTimestamp
			}
			fields = append(fields, assay.Field{Name: c, Type: typ})
		}
		if _, err := collect.InferenceTable(fields, "t"); err != nil {
			t.Error(err)
		}
	}
	_, err := collect.InferenceTable([]assay.Field{{Name: "request"}}, "t")
	if assay.CodeOf(err) != assay.Rejected || !strings.Contains(err.Error(), "status_code") || !strings.Contains(err.Error(), "timestamp_ms") {
		t.Error(err)
	}
	good := collect.InferenceRow{ID: "a", Event: "a", Sampled: 1, Micros: 1, Status: 200, Request: "{}"}
	for want, change := range map[string]func(*collect.InferenceRow){
		"": func(*collect.InferenceRow) {}, "a row without databricks_request_id": func(r *collect.InferenceRow) { r.Event = "" }, collect.ReasonRepeated: func(r *collect.InferenceRow) { r.Again = true }, "a row without a time": func(r *collect.InferenceRow) { r.Micros = 0 },
		"an answer without its request": func(r *collect.InferenceRow) { r.Request = " " }, "a row without a status": func(r *collect.InferenceRow) { r.Status = 0 },
		"a row whose sampling_fraction is not above 0 and at most 1": func(r *collect.InferenceRow) { r.Sampled = 0 },
	} {
		r := good
		change(&r)
		if x, why := r.Exchange(); why != want || (x == nil) != (want != "") {
			t.Errorf("%q, want %q", why, want)
		}
	}
}

// TestEventTimes: an event from the future, or of a time that cannot be read, is of the time when it came, and counted.
func TestEventTimes(t *testing.T) {
	w := watch(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e := &collect.Events{Recorder: &collect.Recorder{Server: w.Server, Edge: "cloudevents"}, Clock: func() time.Time { return at }}
	mux := http.NewServeMux()
	e.Routes(mux)
	for i, when := range []string{"2026-01-02T03:05:05Z", "2026-01-02T03:05:05.001Z", "2090-01-01T00:00:00Z", "yesterday", "", "1999-12-31T23:59:59Z"} {
		for kind, body := range map[string]string{"request": tensors, "response": `{"outputs":[{"name":"p","shape":[1,2],"datatype":"FP32","data":[1,0]}]}`} {
			r := httptest.NewRequest(http.MethodPost, "/events", strings.NewReader(body))
			for k, v := range map[string]string{"Ce-Specversion": "1.0", "Ce-Id": strconv.Itoa(i), "Ce-Type": "org.kubeflow.serving.inference." + kind, "Ce-Inferenceservicename": "m", "Ce-Time": when, "Content-Type": "application/json"} {
				r.Header.Set(k, v)
			}
			a := httptest.NewRecorder()
			if mux.ServeHTTP(a, r); a.Code != http.StatusOK {
				t.Errorf("%s at %q: status %d", kind, when, a.Code)
			}
		}
	}
	const row = `answered [30 "a" no [1 0]]`
	check(t, w.rows, "cloudevents 0 03:05:05 "+row, "cloudevents 1 03:04:05 "+row, "cloudevents 2 03:04:05 "+row, "cloudevents 3 03:04:05 "+row, "cloudevents 4 03:04:05 "+row, "cloudevents 5 23:59:59 "+row)
	reg := prometheus.NewRegistry()
	reg.MustRegister(e)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, f := range families {
		if f.GetName() == "assay_events_time_total" {
			for _, m := range f.GetMetric() {
				got += fmt.Sprintf("%s %v ", m.GetLabel()[0].GetValue(), m.GetCounter().GetValue())
			}
		}
	}
	if got != "ahead 4 unreadable 2 " {
		t.Errorf("counted: %q", got)
	}
}

// FuzzCapture: whatever a line holds, nothing but exchanges is logged, and each of them once. One server takes all inputs: binding one costs
// several times as much as reading a line. Go's fuzzer counts nothing while it makes an input smaller, for a minute each unless
// -fuzzminimizetime 1s says otherwise.
// FuzzCapture reads exchanges whose two sides are anything, in each encoding and content type, and the request as a line by itself. The parts of a
// line come apart because the engine makes every part that finds something new as short as it can, in time that grows with its square.
func FuzzCapture(f *testing.F) {
	encodings := []string{"JSON", "CSV", "BASE64", "?"}
	kinds := []string{"", "application/json", "text/csv", "application/json; charset=utf-8", "?"}
	f.Add(byte(0), byte(1), `{"instances":[{"age":30}]}`, `{"predictions":["yes"]}`)
	f.Add(byte(0), byte(1), `{"dataframe_split":{"columns":["age"],"data":[[1]]}}`, `[{"prediction":"no"}]`)
	f.Add(byte(0), byte(1), `{"inputs":[{"name":"age","shape":[1],"datatype":"INT64","data":[1]}]}`, `{"outputs":[{"name":"x","shape":[1],"data":["no"]}]}`)
	f.Add(byte(1), byte(2), "age,city\n30,a\n", "yes\n")
	f.Add(byte(2), byte(2), "MzAsYQo=", "eWVzCg==")
	f.Add(byte(3), byte(4), `{"eventVersion":"0"}`, "")
	f.Add(byte(0), byte(0), `{"groundTruthData":{"data":"1","encoding":"CSV"},"eventMetadata":{"eventId":"e"}}`, "")
	w := watch(f)
	r := &collect.Recorder{Server: w.Server, Edge: "x"}
	f.Fuzz(func(t *testing.T, encoding, kind byte, request, answer string) {
		side := func(data string) map[string]string {
			return map[string]string{"observedContentType": kinds[int(kind)%len(kinds)], "encoding": encodings[int(encoding)%len(encodings)], "data": data}
		}
		line, err := json.Marshal(map[string]any{
			"captureData": map[string]any{"endpointInput": side(request), "endpointOutput": side(answer)}, "eventMetadata": map[string]string{"eventId": "e", "inferenceTime": "2026-05-01T10:00:00Z"}, "eventVersion": "0",
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{string(line), request} {
			w.rows = w.rows[:0]
			n := 0
			if _, err := collect.Capture(strings.NewReader(text), &collect.Seen{}, func(_ int64, x *collect.Exchange) error {
				n++
				_, _ = r.Record(x)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if len(w.rows) != n {
				t.Errorf("%d exchanges, %d in the log", n, len(w.rows))
			}
		}
		_, _ = collect.GroundTruth(strings.NewReader(request), func(int64, collect.Truth) error { return nil })
	})
}

// TestSeen: an event is new once, also where another process wrote what was seen before.
func TestSeen(t *testing.T) {
	var a, b collect.Seen
	var written strings.Builder
	for _, c := range []struct {
		s    *collect.Seen
		id   string
		want bool
	}{{&a, "1", true}, {&a, "2", true}, {&a, "1", false}, {&a, "", true}} {
		if got := c.s.Add(c.id); got != c.want {
			t.Errorf("%q is new: %v", c.id, got)
		}
	}
	if err := a.WriteFresh(&written); err != nil || a.Fresh() != 3 {
		t.Fatalf("%d new ones: %v", a.Fresh(), err)
	}
	if a.Settle(); a.Fresh() != 0 || a.Add("2") || !a.Add("3") {
		t.Error("what was settled is new")
	}
	if err := b.Know([]byte(written.String())); err != nil || !b.Has("1") || b.Has("4") || b.Add("2") || !b.Add("4") || !b.Has("4") {
		t.Errorf("what another process wrote is not known: %v", err)
	}
	if err := b.Know([]byte("torn")); assay.CodeOf(err) != assay.Invalid {
		t.Errorf("a list that was cut off: %v", err)
	}
}

// TestFilesOfCaptures: what is gzip is read whatever it is called, a mark of UTF-8 is no part of the first line, a line that ends as on Windows or not at all is a
// line; UTF-16 and gzip that was cut off are refused with what is wrong with them.
func TestFilesOfCaptures(t *testing.T) {
	line := func(id string) string {
		return `{"captureData":{"endpointInput":{"data":"1","encoding":"CSV"},"endpointOutput":{"data":"1","encoding":"CSV"}},"eventMetadata":{"eventId":"` + id + `","inferenceTime":"2026-05-01T10:00:00Z"},"eventVersion":"0"}`
	}
	two := line("a") + "\r\n" + line("b")
	packed := func(text string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write([]byte(text))
		_ = z.Close()
		return b.String()
	}
	wide := "\xff\xfe"
	for _, c := range two {
		wide += string([]byte{byte(c), 0})
	}
	random := make([]byte, 1<<12)
	for i := range random {
		random[i] = byte(scrambled(i))
	}
	long := packed(two + string(random))
	for name, c := range map[string]struct {
		file, want string
		n          int
	}{
		"plain": {two, "", 2}, "a mark": {"\ufeff" + two, "", 2}, "gzip": {packed(two + "\n"), "", 2}, "a mark in gzip": {packed("\ufeff" + two), "", 2}, "two of gzip": {packed(two+"\n") + packed(line("c")), "", 3},
		"gzip that was cut off": {long[:len(long)-20], "the gzip is damaged, or ends before it should", -1},
		"a wrong sum":           {long[:len(long)-6] + "\x00\x00" + long[len(long)-4:], "the gzip is damaged, or ends before it should", -1},
		"a head alone":          {"\x1f\x8b", "it begins as gzip and is none", 0},
		"wide":                  {wide, "it is UTF-16", 0},
	} {
		n := 0
		counts, err := collect.Capture(strings.NewReader(c.file), &collect.Seen{}, func(int64, *collect.Exchange) error { n++; return nil })
		if (err == nil) != (c.want == "") || err != nil && (assay.CodeOf(err) != assay.Rejected || !strings.Contains(err.Error(), c.want)) || c.n >= 0 && n != c.n || err == nil && len(counts.Skipped) > 0 {
			t.Errorf("%s: %d exchanges, %+v, %v", name, n, counts, err)
		}
	}
}

func scrambled(i int) uint64 {
	h := uint64(i+1) * 0x9e3779b97f4a7c15
	return (h ^ h>>29) * 0xbf58476d1ce4e5b9 >> 32
}
