package upstream_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/upstream"
)

// declared is the metadata of a model with an input for each field.
const declared = `{"name":"m","platform":"x","inputs":[{"name":"age","datatype":"INT8","shape":[-1,1]},{"name":"city","datatype":"BYTES","shape":[-1,1]},{"name":"w","datatype":"FP32","shape":[-1,1]}],"outputs":[]}`

// answering is a server that describes a model and answers every request with the same status and body.
type answering struct {
	*httptest.Server
	status   atomic.Int64
	body     atomic.Pointer[string]
	meta     atomic.Pointer[string]
	requests atomic.Int64
	seen     atomic.Pointer[string]
	limit    atomic.Pointer[string]
	hang     atomic.Bool
}

func newAnswering(t *testing.T) *answering {
	a := &answering{}
	a.say(200, "")
	m := declared
	a.meta.Store(&m)
	stop := make(chan struct{})
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, *a.meta.Load())
			return
		}
		b, _ := io.ReadAll(r.Body)
		text, limit := string(b), r.Header.Get(serve.TimeoutHeader)
		a.seen.Store(&text)
		a.limit.Store(&limit)
		a.requests.Add(1)
		if a.hang.Load() {
			select {
			case <-r.Context().Done():
			case <-stop:
			}
			return
		}
		w.WriteHeader(int(a.status.Load()))
		_, _ = io.WriteString(w, *a.body.Load())
	}))
	t.Cleanup(func() { close(stop); a.Close() })
	return a
}

func (a *answering) say(status int, body string) {
	a.status.Store(int64(status))
	a.body.Store(&body)
}

func fields() []assay.Field {
	return []assay.Field{{Name: "age", Type: assay.TypeInteger}, {Name: "city", Type: assay.TypeString}, {Name: "w", Type: assay.TypeNumber}}
}

func engine(t testing.TB, o upstream.Options) *upstream.Engine {
	t.Helper()
	if o.Clock == nil {
		o.Clock = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	}
	if o.Fields == nil {
		o.Fields = fields()
	}
	if o.Model == "" {
		o.Model = "m"
	}
	e, err := upstream.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func yesNo() upstream.Answer {
	return upstream.Answer{Classes: []string{"no", "yes"}, Positive: "yes"}
}

// two are two rows of fields().
func two(t testing.TB) *schema.Batch {
	t.Helper()
	s := schema.New("in")
	for _, f := range fields() {
		s.Columns = append(s.Columns, schema.Column{Name: f.Name, Type: f.Type})
	}
	v, err := s.Compile()
	if err != nil {
		t.Fatal(err)
	}
	b := v.NewBatch()
	b.Add(2)
	b.SetInt(0, 0, 30)
	b.SetText(0, 1, []byte(`a "b"`))
	b.SetFloat(0, 2, 0.5)
	b.SetInt(1, 0, 40)
	b.SetText(1, 1, []byte("c"))
	b.SetNull(1, 2)
	return b
}

func TestRequests(t *testing.T) {
	a := newAnswering(t)
	a.say(200, `{"outputs":[{"name":"predict","shape":[2,1],"datatype":"BYTES","data":["yes","no"]}]}`)
	for _, c := range []struct{ name, meta, want string }{
		{
			"declared inputs", declared,
			`{"parameters":{"content_type":"pd"},"inputs":[{"name":"age","shape":[2,1],"datatype":"INT8","data":[30,40]},` +
				`{"name":"city","shape":[2,1],"datatype":"BYTES","parameters":{"content_type":"str"},"data":["a \"b\"","c"]},` +
				`{"name":"w","shape":[2,1],"datatype":"FP32","data":[0.5,null]}]}`,
		},
		{
			"no inputs declared", `{"name":"m"}`,
			`{"parameters":{"content_type":"pd"},"inputs":[{"name":"age","shape":[2,1],"datatype":"INT64","data":[30,40]},` +
				`{"name":"city","shape":[2,1],"datatype":"BYTES","parameters":{"content_type":"str"},"data":["a \"b\"","c"]},` +
				`{"name":"w","shape":[2,1],"datatype":"FP64","data":[0.5,null]}]}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			a.meta.Store(&c.meta)
			e := engine(t, upstream.Options{URL: a.URL + "/", Protocol: upstream.OpenInference, Answer: yesNo()})
			var out serve.Output
			if err := e.Predict(t.Context(), two(t), &out); err != nil {
				t.Fatal(err)
			}
			if got := *a.seen.Load(); got != c.want {
				t.Errorf("sent\n%s\nwant\n%s", got, c.want)
			}
			if !slices.Equal(out.Labels, []int32{1, 0}) || len(out.Proba) != 0 {
				t.Errorf("read %+v", out)
			}
			if d, err := time.ParseDuration(*a.limit.Load()); err != nil || d <= 0 || d > upstream.DefaultTimeout {
				t.Errorf("the time limit that was sent is %s", *a.limit.Load())
			}
		})
	}
	t.Run("named outputs", func(t *testing.T) {
		meta := `{"name":"m"}`
		a.meta.Store(&meta)
		a.say(200, `{"outputs":[{"name":"c","shape":[2],"datatype":"BYTES","data":["yes","no"]},{"name":"d","shape":[2],"datatype":"BYTES","data":["no","no"]},{"name":"q","shape":[2,2],"datatype":"FP64","data":[0.25,0.75,1,0]}]}`)
		named := yesNo()
		named.Label, named.Probabilities = "c", "q"
		e := engine(t, upstream.Options{URL: a.URL, Protocol: upstream.OpenInference, Answer: named})
		var out serve.Output
		if err := e.Predict(t.Context(), two(t), &out); err != nil {
			t.Fatal(err)
		}
		if got, want := *a.seen.Load(), `],"outputs":[{"name":"c"},{"name":"q"}]}`; !strings.HasSuffix(got, want) {
			t.Errorf("sent %s, want …%s", got, want)
		}
		if !slices.Equal(out.Labels, []int32{1, 0}) || !slices.Equal(out.Proba, []float64{0.25, 0.75, 1, 0}) {
			t.Errorf("read %+v", out)
		}
	})
	t.Run("invocations", func(t *testing.T) {
		a.say(200, `{"predictions":["yes",["no"]]}`)
		e := engine(t, upstream.Options{URL: a.URL + "/invocations", Protocol: upstream.Invocations, Answer: yesNo()})
		var out serve.Output
		if err := e.Predict(t.Context(), two(t), &out); err != nil {
			t.Fatal(err)
		}
		if got, want := *a.seen.Load(), `{"dataframe_split":{"columns":["age","city","w"],"data":[[30,"a \"b\"",0.5],[40,"c",null]]}}`; got != want {
			t.Errorf("sent\n%s\nwant\n%s", got, want)
		}
	})
	t.Run("one table of numbers", func(t *testing.T) {
		meta := `{"name":"m","inputs":[{"name":"predict","datatype":"FP32","shape":[-1,2]}]}`
		a.meta.Store(&meta)
		a.say(200, `{"outputs":[{"name":"x","shape":[2],"datatype":"FP32","data":[1.5,2.5]}]}`)
		s := schema.New("in")
		s.Columns = []schema.Column{{Name: "age", Type: assay.TypeInteger}, {Name: "w", Type: assay.TypeNumber}}
		v, err := s.Compile()
		if err != nil {
			t.Fatal(err)
		}
		b := v.NewBatch()
		b.Add(2)
		for row := range 2 {
			b.SetInt(row, 0, int64(row))
			b.SetFloat(row, 1, 0.25)
		}
		e := engine(t, upstream.Options{URL: a.URL, Protocol: upstream.OpenInference, Fields: []assay.Field{{Name: "age", Type: assay.TypeInteger}, {Name: "w", Type: assay.TypeNumber}}})
		var out serve.Output
		if err := e.Predict(t.Context(), b, &out); err != nil {
			t.Fatal(err)
		}
		if got, want := *a.seen.Load(), `{"inputs":[{"name":"predict","shape":[2,2],"datatype":"FP32","data":[0,0.25,1,0.25]}]}`; got != want {
			t.Errorf("sent\n%s\nwant\n%s", got, want)
		}
		if !slices.Equal(out.Values, []float64{1.5, 2.5}) {
			t.Errorf("read %+v", out)
		}
		// The integer does not fit 32-bit floats exactly or at all.
		b.SetFloat(0, 1, 1e300)
		if err := e.Predict(t.Context(), b, &out); assay.CodeOf(err) != assay.Rejected || !strings.HasPrefix(err.Error(), "row 0: w is beyond") {
			t.Errorf("1e300 as FP32: %v", err)
		}
	})
	t.Run("beyond the type of the input", func(t *testing.T) {
		meta := declared
		a.meta.Store(&meta)
		e := engine(t, upstream.Options{URL: a.URL, Protocol: upstream.OpenInference, Answer: yesNo()})
		b := two(t)
		b.SetInt(1, 0, 128)
		var out serve.Output
		if err := e.Predict(t.Context(), b, &out); assay.CodeOf(err) != assay.Rejected || !strings.HasPrefix(err.Error(), "row 1: age is beyond") {
			t.Errorf("128 as INT8: %v", err)
		}
		b.SetNull(1, 0)
		if err := e.Predict(t.Context(), b, &out); assay.CodeOf(err) != assay.Rejected || !strings.HasPrefix(err.Error(), "row 1: age is missing") {
			t.Errorf("a missing INT8: %v", err)
		}
	})
}

// TestWrongAnswers: whatever the other server answers, nothing wrong is passed on, and the status says whose fault it was.
func TestWrongAnswers(t *testing.T) {
	a := newAnswering(t)
	for _, c := range []struct {
		name   string
		status int
		body   string
		want   int
		says   string
	}{
		{"no JSON", 200, `<html>`, 502, "not an object"},
		{"nothing", 200, ``, 502, "not an object"},
		{"truncated", 200, `{"outputs":[{"name":"p","shape":[2],"datatype":"BYTES","data":["yes"`, 502, "at byte"},
		{"no outputs", 200, `{"model_name":"m"}`, 502, `it has no "outputs"`},
		{"an error with status 200", 200, `{"error":"it failed"}`, 502, `it has no "outputs"`},
		{"too few rows", 200, `{"outputs":[{"name":"p","shape":[1],"datatype":"BYTES","data":["yes"]}]}`, 502, "no output with the shape of 2 rows"},
		{"shape says more than data", 200, `{"outputs":[{"name":"p","shape":[2],"datatype":"BYTES","data":["yes"]}]}`, 502, `has 1 elements, its shape says 2`},
		{"data has more than shape", 200, `{"outputs":[{"name":"p","shape":[2],"datatype":"BYTES","data":["yes","no","no"]}]}`, 502, "more than the 2 elements"},
		{"another type than it says", 200, `{"outputs":[{"name":"p","shape":[2],"datatype":"BYTES","data":["yes",1]}]}`, 502, "element 1 of output \"p\" is not of type BYTES"},
		{"an unknown class", 200, `{"outputs":[{"name":"p","shape":[2],"datatype":"BYTES","data":["yes","perhaps"]}]}`, 502, "row 1: a class that is none of the model's"},
		{"a missing probability", 200, `{"outputs":[{"name":"p","shape":[2,2],"datatype":"FP64","data":[[0.5,0.5],[null,1]]}]}`, 502, "element 2 of output \"p\" is not a number"},
		{"NaN", 200, `{"outputs":[{"name":"p","shape":[2,2],"datatype":"FP64","data":[0.5,0.5,NaN,1]}]}`, 502, "element 2 of output \"p\" is not a number"},
		{"two that could be it", 200, `{"outputs":[{"name":"p","shape":[2],"datatype":"BYTES","data":["yes","no"]},{"name":"q","shape":[2],"datatype":"BYTES","data":["no","no"]}]}`, 502, "2 outputs could be it"},
		{"rows refused there", 400, `{"error":"no"}`, 502, "answered with status 400"},
		{"a redirect", 302, ``, 502, "answered with status 302"},
		{"a failure there", 500, `{"error":"no"}`, 502, "answered with status 500"},
		{"not ready", 503, ``, 503, "status 503"},
		{"busy", 429, ``, 503, "status 429"},
		{"late there", 504, ``, 504, "status 504"},
		{"huge", 200, `{"x":"` + strings.Repeat("a", 5000) + `"}`, 502, "more than the 4096 bytes"},
		{"deep", 200, `{"outputs":[{"name":"p","shape":[2],"datatype":"BYTES","data":` + strings.Repeat("[", 1000), 502, "deep"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a.say(c.status, c.body)
			e := engine(t, upstream.Options{URL: a.URL, Protocol: upstream.OpenInference, Answer: yesNo(), MaxBytes: 4096})
			var out serve.Output
			err := e.Predict(t.Context(), two(t), &out)
			if err == nil || serve.Status(err) != c.want || !strings.Contains(err.Error(), c.says) {
				t.Errorf("status %d: %v; want %d: …%s…", serve.Status(err), err, c.want, c.says)
			}
			if err != nil && strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("%v tells where the server is", err)
			}
		})
	}
}

func TestDeadlines(t *testing.T) {
	a := newAnswering(t)
	a.hang.Store(true)
	e := engine(t, upstream.Options{URL: a.URL, Protocol: upstream.OpenInference, Answer: yesNo(), Timeout: 50 * time.Millisecond})
	var out serve.Output
	if err := e.Predict(t.Context(), two(t), &out); serve.Status(err) != 504 || !strings.Contains(err.Error(), "within 50ms") {
		t.Errorf("a server that hangs: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	e = engine(t, upstream.Options{URL: a.URL, Protocol: upstream.OpenInference, Answer: yesNo()})
	for range 10 { // an impatient caller says nothing about the server
		if err := e.Predict(ctx, two(t), &out); serve.Status(err) != 504 || !strings.Contains(err.Error(), "the caller waits") {
			t.Errorf("an impatient caller: %v", err)
		}
	}
	if !e.Healthy() {
		t.Error("impatient callers opened the breaker")
	}
}

func TestBreaker(t *testing.T) {
	a := newAnswering(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e := engine(t, upstream.Options{URL: a.URL, Protocol: upstream.OpenInference, Answer: yesNo(), Clock: func() time.Time { return at }})
	ask := func() error {
		var out serve.Output
		return e.Predict(t.Context(), two(t), &out)
	}
	const good = `{"outputs":[{"name":"predict","shape":[2],"datatype":"BYTES","data":["yes","no"]}]}`
	a.say(500, "")
	for range 5 {
		if err := ask(); serve.Status(err) != 502 {
			t.Fatal(err)
		}
	}
	n := a.requests.Load()
	if err := ask(); serve.Status(err) != 503 || a.requests.Load() != n || e.Healthy() {
		t.Fatalf("after five failures: %v, %d more requests", err, a.requests.Load()-n)
	}
	at = at.Add(time.Second)
	if err := ask(); serve.Status(err) != 502 || a.requests.Load() != n+1 {
		t.Fatalf("the first try: %v", err)
	}
	at = at.Add(time.Second)
	if err := ask(); serve.Status(err) != 503 {
		t.Fatalf("the pause is not longer the second time: %v", err)
	}
	at = at.Add(time.Second)
	a.say(200, good)
	for range 3 {
		if err := ask(); err != nil {
			t.Fatal(err)
		}
	}
	if !e.Healthy() {
		t.Error("not healthy after answers")
	}
}

func TestNobodyListens(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + ln.Addr().String()
	ln.Close()
	e := engine(t, upstream.Options{URL: url, Protocol: upstream.Invocations, Answer: yesNo()})
	var out serve.Output
	if err := e.Predict(t.Context(), two(t), &out); serve.Status(err) != 503 || !strings.Contains(err.Error(), "cannot be reached") || strings.Contains(err.Error(), url[7:]) {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestOptions(t *testing.T) {
	for want, o := range map[string]upstream.Options{
		"address":       {URL: "localhost:80", Protocol: upstream.Invocations},
		"password":      {URL: "http://me:secret@h/", Protocol: upstream.Invocations},
		"name":          {URL: "http://h", Protocol: upstream.OpenInference},
		"protocol":      {URL: "http://h", Protocol: "grpc"},
		"two classes":   {URL: "http://h", Protocol: upstream.Invocations, Answer: upstream.Answer{Single: upstream.SingleProbability}},
		"a single":      {URL: "http://h", Protocol: upstream.Invocations, Answer: upstream.Answer{Single: "x"}},
		"http://HOST:P": {URL: "file:///etc", Protocol: upstream.Invocations},
	} {
		o.Clock = time.Time{}.Local
		if _, err := upstream.New(o); assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestAnswers(t *testing.T) {
	number := upstream.Answer{}
	digits := upstream.Answer{Classes: []string{"0", "1"}, Positive: "1"}
	single := digits
	single.Single = upstream.SingleProbability
	read := map[string]func(*upstream.Answer, []byte, int, *serve.Output) error{"p": (*upstream.Answer).Predictions, "t": (*upstream.Answer).Tensors, "l": (*upstream.Answer).Lines}
	for _, c := range []struct {
		a    upstream.Answer
		how  string
		body string
		want string // labels, probabilities and values; or what is wrong
	}{
		{number, "p", `{"predictions":[1.5,[2]]}`, "[] [] [1.5 2]"},
		{number, "p", `{"predictions":[1.5,null]}`, "row 1: the value is not a number"},
		{number, "p", `{"predictions":[1.5]}`, "it has 1 predictions for 2 rows"},
		{number, "p", `{"predictions":[1,2,3]}`, "it has more predictions than the 2 rows that were sent"},
		{number, "p", `{"predictions":[1,2],"predictions":[1,2]}`, "predictions is there twice"},
		{number, "p", `{"predictions":{"a":1}}`, "predictions is not a list"},
		{digits, "p", `{"predictions":[1,0.0]}`, "[1 0] [] []"},
		{digits, "p", `{"predictions":["1",true]}`, "[1 1] [] []"},
		{digits, "p", `{"predictions":[0.5,1]}`, "row 0: a class that is none of the model's"},
		{digits, "p", `{"predictions":[[0.25,0.75],[1,0]]}`, "[1 0] [0.25 0.75 1 0] []"},
		{digits, "p", `{"predictions":[[0.25,0.75],1]}`, "only some rows have probabilities"},
		{digits, "p", `{"predictions":[[0.25,0.5,0.25],1]}`, "row 0: a list of 3 values"},
		{digits, "p", `{"predictions":[{"prediction":1,"probability_1":0.75,"probability_0":0.25,"x":[1]},{"prediction":0,"probability_0":1,"probability_1":0}]}`, "[1 0] [0.25 0.75 1 0] []"},
		{digits, "p", `{"predictions":[{"prediction":1,"probability_1":0.75},{"prediction":0}]}`, "row 0: 1 probabilities for 2 classes"},
		{digits, "p", `{"predictions":[{"other":1},{"prediction":0}]}`, `row 0: an object without "prediction", and its fields are not the classes`},
		{digits, "p", `{"predictions":[{"0":0.75,"1":0.25},{"1":0.5,"0":0.5}]}`, "[0 0] [0.75 0.25 0.5 0.5] []"},
		{digits, "p", `{"predictions":[{"0":0.75,"1":0.25},{"1":0.5,"1":0.5}]}`, "row 1: a probability is there twice"},
		{digits, "p", `{"predictions":[{"0":0.75,"1":0.25},{"1":0.5,"2":0.5}]}`, `row 1: an object without "prediction", and its fields are not the classes`},
		{digits, "p", `{"predictions":[{"0":0.75,"1":"x"},{"1":0.5,"0":0.5}]}`, "row 0: a probability is not a number"},
		{single, "p", `{"predictions":[0.75,[0]]}`, "[1 0] [0.25 0.75 1 0] []"},
		{digits, "t", `{"outputs":[{"name":"predict","shape":[2,1],"datatype":"INT64","data":[1,0]},{"name":"predict_proba","shape":[2,2],"datatype":"FP64","data":[[0.25,0.75],[1,0]]}]}`, "[1 0] [0.25 0.75 1 0] []"},
		{digits, "t", `{"outputs":[{"data":[[1],[0]],"datatype":"FP32","shape":[2,1],"name":"x"}]}`, "[1 0] [] []"},
		{digits, "t", `{"outputs":[{"name":"x","shape":[2,3],"datatype":"FP32","data":[1,1,1,1,1,1]}]}`, "it has no output with the shape of 2 rows and 2 classes"},
		{single, "t", `{"outputs":[{"name":"x","shape":[2,1],"datatype":"FP32","data":[0.75,0]}]}`, "[1 0] [0.25 0.75 1 0] []"},
		{number, "t", `{"outputs":[{"name":"x","shape":[2,1],"datatype":"FP32","data":[0.75,0]}]}`, "[] [] [0.75 0]"},
		{number, "t", `{"outputs":[{"name":"x","shape":[9223372036854775807,2],"datatype":"FP32","data":[0.75,0]}]}`, "it has no output of numbers with the shape of 2 rows"},
		{number, "l", "1.5\n2\n", "[] [] [1.5 2]"},
		{number, "l", "1.5,2", "[] [] [1.5 2]"},
		{number, "l", "1.5\nx", "row 1: the value is not a number"},
		{digits, "l", "0.25,0.75\r\n1,0\r\n", "[1 0] [0.25 0.75 1 0] []"},
		{digits, "l", "1\n\"0\"", "[1 0] [] []"},
		{single, "l", "0.75\n0", "[1 0] [0.25 0.75 1 0] []"},
		{digits, "l", "", "it has 1 predictions for 2 rows"},
	} {
		a, err := c.a.Compile()
		if err != nil {
			t.Fatal(err)
		}
		var out serve.Output
		got := ""
		if err := read[c.how](a, []byte(c.body), 2, &out); err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprint(out.Labels, out.Proba, out.Values)
		}
		if got != c.want {
			t.Errorf("%s: %s; want %s", c.body, got, c.want)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		`{"predictions":[1,0]}`, `{"predictions":[{"prediction":1,"probability_1":0.75,"probability_0":0.25},[0.5,0.5]]}`, "0.25,0.75\n1,0",
		`{"outputs":[{"name":"predict","shape":[2,1],"datatype":"INT64","data":[[1],[0]]},{"name":"p","shape":[2,2],"datatype":"FP32","data":[1,0,NaN,1]}]}`,
		`{"outputs":[{"data":[],"datatype":"BYTES","shape":[0],"name":""}]}`,
	} {
		f.Add([]byte(s), 2)
	}
	a, err := upstream.Answer{Classes: []string{"0", "1"}, Positive: "1"}.Compile()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte, rows int) {
		if rows < 0 || rows > 100 {
			return
		}
		for i, read := range []func([]byte, int, *serve.Output) error{a.Predictions, a.Tensors, a.Lines} {
			var out serve.Output
			if read(body, rows, &out) != nil {
				continue
			}
			if len(out.Labels) != rows || len(out.Proba) != 0 && len(out.Proba) != 2*rows {
				t.Errorf("%d: %d rows, read %d labels and %d probabilities", i, rows, len(out.Labels), len(out.Proba))
			}
			for _, l := range out.Labels {
				if l < 0 || l > 1 {
					t.Errorf("%d: label %d", i, l)
				}
			}
		}
	})
}

// TestToken holds that a token goes along and nowhere else, and that the trace of the request goes along.
func TestToken(t *testing.T) {
	var got http.Header
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		_, _ = io.WriteString(w, `{"predictions":["yes","no"]}`)
	}))
	defer srv.Close()
	e := engine(t, upstream.Options{URL: srv.URL + "/invocations", Protocol: upstream.Invocations, Answer: yesNo(), Token: "s3cret"})
	rows := two(t)
	defer rows.Release()
	var out serve.Output
	if err := e.Predict(t.Context(), rows, &out); err != nil {
		t.Fatal(err)
	}
	if got.Get("Authorization") != "Bearer s3cret" || got.Get("Traceparent") != "" {
		t.Errorf("%v", got)
	}
	for address, token := range map[string]string{"http://example.org/invocations": "s3cret", "https://example.org/invocations": "s3\ncret"} {
		_, err := upstream.New(upstream.Options{URL: address, Protocol: upstream.Invocations, Answer: yesNo(), Token: token, Fields: fields(), Clock: time.Now})
		if assay.CodeOf(err) != assay.Invalid || strings.Contains(err.Error(), "s3") {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := upstream.New(upstream.Options{URL: "https://example.org/invocations", Protocol: upstream.Invocations, Answer: yesNo(), Token: "s3cret", Fields: fields(), Clock: time.Now}); err != nil {
		t.Error(err)
	}
}

// TestTrace: the trace of a request goes along, its state as well; a state that is none is left out, and without a parent nothing is said.
func TestTrace(t *testing.T) {
	var got http.Header
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		_, _ = io.WriteString(w, `{"predictions":["yes"]}`)
	}))
	defer srv.Close()
	s := serve.New(serve.Options{Clock: time.Now, Nonce: "t"})
	in := schema.New("in")
	for _, f := range fields() {
		in.Columns = append(in.Columns, schema.Column{Name: f.Name, Type: f.Type, Optional: true})
	}
	e := engine(t, upstream.Options{URL: srv.URL + "/invocations", Protocol: upstream.Invocations, Answer: yesNo(), Clock: time.Now})
	classes := []string{"no", "yes"}
	b, err := s.Bind(serve.Binding{Name: "m", Number: 1, Task: assay.Binary, Classes: classes, Input: in, Output: serve.OutputSchema("out", classes, false), Engine: e})
	if err != nil {
		t.Fatal(err)
	}
	s.Set("m", b, b)
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, c := range []struct {
		parent string
		state  []string
		want   []string
	}{
		{parent, []string{"a=1,b=2", "c=3"}, []string{parent, "a=1,b=2,c=3"}},
		{parent, nil, []string{parent, ""}},
		{parent, []string{"a=\x01"}, []string{parent, ""}},
		{parent, []string{strings.Repeat("a=1,", 2000)}, []string{parent, ""}},
		{"00-0-0-01", []string{"a=1"}, []string{"", ""}},
		{"", []string{"a=1"}, []string{"", ""}},
	} {
		call, err := s.Begin("test", "m", "", "")
		if err != nil {
			t.Fatal(err)
		}
		call.Traced(c.parent, c.state)
		call.Rows.Add(1)
		if err := call.Predict(t.Context()); err != nil {
			t.Fatal(err)
		}
		call.End()
		if got.Get("Traceparent") != c.want[0] || got.Get("Tracestate") != c.want[1] {
			t.Errorf("%.80q %.40q: %.80q %.40q", c.parent, c.state, got.Get("Traceparent"), got.Get("Tracestate"))
		}
	}
}

// TestNested holds that bytes and nested values go to /invocations as they came, and that the other protocol, which has no place for them, is
// refused before anything is asked.
func TestNested(t *testing.T) {
	a := newAnswering(t)
	a.say(200, `{"predictions":["yes","no"]}`)
	nested := []assay.Field{{Name: "l", Type: assay.TypeJSON}, {Name: "b", Type: assay.TypeBinary}, {Name: "x", Type: assay.TypeNumber}}
	s := schema.New("in")
	for _, f := range nested {
		s.Columns = append(s.Columns, schema.Column{Name: f.Name, Type: f.Type})
	}
	v, err := s.Compile()
	if err != nil {
		t.Fatal(err)
	}
	rows := v.NewBatch()
	defer rows.Release()
	var r schema.Reader
	for _, text := range []string{`{"l": [1, {"a": "b"}], "b": "aGk=", "x": 0.5}`, `{"l": null, "b": null, "x": null}`} {
		r.Reset([]byte(text), 0)
		if _, ok := rows.Object(&r, nil); !ok {
			t.Fatal(r.Err())
		}
	}
	e := engine(t, upstream.Options{URL: a.URL + "/invocations", Protocol: upstream.Invocations, Answer: yesNo(), Fields: nested})
	var out serve.Output
	if err := e.PredictWith(t.Context(), rows, []byte(`{"k":1}`), &out); err != nil {
		t.Fatal(err)
	}
	if want := `{"dataframe_split":{"columns":["l","b","x"],"data":[[[1, {"a": "b"}],"aGk=",0.5],[null,null,null]]},"params":{"k":1}}`; *a.seen.Load() != want {
		t.Errorf("%s, want %s", *a.seen.Load(), want)
	}
	_, err = upstream.New(upstream.Options{URL: a.URL, Protocol: upstream.OpenInference, Model: "m", Answer: yesNo(), Fields: nested, Clock: time.Now})
	if assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), `"l" is of type json`) || !strings.Contains(err.Error(), `"b" is of type binary`) {
		t.Error(err)
	}
	flat := engine(t, upstream.Options{URL: a.URL, Protocol: upstream.OpenInference, Answer: yesNo()})
	two := two(t)
	defer two.Release()
	if err := flat.PredictWith(t.Context(), two, []byte(`{"k":1}`), &out); assay.CodeOf(err) != assay.Rejected {
		t.Errorf("parameters over a protocol that has none: %v", err)
	}
}
