package serve_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// odd takes every row for one out of distribution.
type odd struct{}

func (odd) Score(rows *schema.Batch, out []float64) []float64 {
	for range rows.Rows() {
		out = append(out, 1)
	}
	return out
}

func (odd) Threshold() float64 { return 0.5 }

// TestReasons: the log says of each way to end which status was answered and why, of a model's answer that is withheld also which rule which output of
// which row breaks, under the id that the caller is told; a fallback that stands in for it is told from one for odd rows.
func TestReasons(t *testing.T) {
	labels := func(l ...int32) func(context.Context, *schema.Batch, *serve.Output) error {
		return func(_ context.Context, _ *schema.Batch, o *serve.Output) error {
			o.Labels, o.Proba = append(o.Labels[:0], l...), []float64{1, 0, math.NaN(), 1}
			return nil
		}
	}
	broken := func(context.Context, *schema.Batch, *serve.Output) error { return errors.New("node 7 fails") }
	fallback := serve.Policy{OnOutlier: "fallback", OnInvalid: "fallback", Fallback: &serve.Fallback{Label: "no", Proba: []float64{1, 0}}}
	for name, x := range map[string]struct {
		predict func(context.Context, *schema.Batch, *serve.Output) error
		policy  serve.Policy
		odd     bool
		age     int64
		want    []string // of each line: outcome, status, reason, violations, fault, and whether it has an incident
	}{
		"answered":                {predict: constant(0.25, 0.75), age: 1, want: []string{"answered 200", "answered 200"}},
		"sum":                     {predict: constant(0.75, 0.75), age: 1, want: []string{"failed 500 output probabilities sum | m:1 row 0: the probabilities do not sum to 1 i", "failed 500 output probabilities sum | m:1 row 0: the probabilities do not sum to 1 i"}},
		"a class and a number":    {predict: labels(0, 7), age: 1, want: []string{"failed 500 output | m:1 row 1: prediction is none of the model's classes i", "failed 500 output prediction set; probabilities sum; probability_no not_null | m:1 row 1: prediction is none of the model's classes i"}},
		"count":                   {predict: labels(0), age: 1, want: []string{"failed 500 output prediction count | m:1 answered 1 labels for 2 rows i", "failed 500 output | m:1 answered 1 labels for 2 rows i"}},
		"engine":                  {predict: broken, age: 1, want: []string{"failed 500 engine | node 7 fails i", "failed 500 engine | node 7 fails i"}},
		"withheld":                {predict: labels(0, 1), policy: fallback, age: 1, want: []string{"answered 200 output | m:1 row 1: the probabilities do not sum to 1 i", "answered 200 output probabilities sum; probability_no not_null | m:1 row 1: the probabilities do not sum to 1 i"}},
		"engine, with a fallback": {predict: broken, policy: fallback, age: 1, want: []string{"answered 200 engine | node 7 fails i", "answered 200 engine | node 7 fails i"}},
		"odd":                     {predict: constant(1, 0), policy: fallback, odd: true, age: 1, want: []string{"answered 200 out_of_distribution", "answered 200 out_of_distribution"}},
		"odd, refused":            {predict: constant(1, 0), policy: serve.Policy{OnOutlier: "reject"}, odd: true, age: 1, want: []string{"refused 400 out_of_distribution", "refused 400 out_of_distribution"}},
		"invalid":                 {predict: constant(1, 0), age: 500, want: []string{"refused 400 invalid", "refused 400 invalid age range"}},
		"invalid, with fallback":  {predict: constant(1, 0), policy: fallback, age: 500, want: []string{"answered 200 invalid", "answered 200 invalid age range"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var told []serve.Incident
			s, l := loggedWith(t, serve.LogOptions{Dir: dir}, serve.Options{OnIncident: func(i serve.Incident) { told = append(told, i) }}, &engine{predict: x.predict})
			b := binding(1, &engine{predict: x.predict})
			b.Policy = x.policy
			if x.odd {
				b.Outliers = odd{}
			}
			v := bind(t, s, b)
			s.Set("m", v, v)
			c, err := ask(t.Context(), s, 1, x.age)
			if (err != nil) != !strings.HasPrefix(x.want[0], "answered") || err != nil && c.Incident != "" && !strings.Contains(err.Error(), c.Incident) {
				t.Errorf("%v, incident %q", err, c.Incident)
			}
			incident, request := c.Incident, c.ID
			c.End()
			if len(told) > 1 || (len(told) == 1) != (incident != "") {
				t.Fatalf("told of %+v; incident %q", told, incident)
			}
			for _, i := range told {
				words := strings.Fields(x.want[0])
				if i.ID != incident || i.Request != request || i.Model != "m" || i.Version != 1 || fmt.Sprint(i.Status) != words[1] || i.Reason != words[2] || !strings.Contains(x.want[0], "| "+i.Fault+" i") || i.Fallback != (i.Status == 200) {
					t.Errorf("told of %+v; incident %q", i, incident)
				}
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			for i, line := range lines(t, dir) {
				got := fmt.Sprint(line["_outcome"], " ", line["_status"])
				for _, key := range []string{"_reason", "_violations"} {
					if text, ok := line[key]; ok {
						got += " " + text.(string)
					}
				}
				if text, ok := line["_fault"]; ok {
					got += " | " + text.(string)
				}
				if line["_incident"] != nil {
					if got += " i"; line["_incident"] != incident {
						t.Errorf("the log says %v, the caller was told %s", line["_incident"], incident)
					}
				}
				if got != x.want[i] {
					t.Errorf("row %d: %s, want %s", i, got, x.want[i])
				}
			}
		})
	}
}

// TestMalformedReasons: of a request that is not of the protocol the log says what is wrong with it.
func TestMalformedReasons(t *testing.T) {
	for want, malform := range map[string]func(c *serve.Call) error{
		"415 content_type": func(c *serve.Call) error { return c.Malform(serve.WrongType("no")) },
		"400 json": func(c *serve.Call) error {
			c.Reader.Reset([]byte("{"), 0)
			c.Reader.Skip()
			return c.Malform(c.Reader.Err())
		},
		"400 csv": func(c *serve.Call) error {
			var r schema.CSVReader
			r.Reset([]byte("a\"\n"), 0)
			_, err := r.Read(nil)
			return c.Malform(err)
		},
		"400 rows":     func(c *serve.Call) error { return c.Malform(c.Fits(1 << 30)) },
		"413 size":     func(c *serve.Call) error { return c.ReadBody(body(strings.Repeat("x", 5000), "")) },
		"400 encoding": func(c *serve.Call) error { return c.ReadBody(body("x", "gzip")) },
		"400 protocol": func(c *serve.Call) error { return c.Malform(assay.Errorf(assay.Invalid, "no inputs")) },
	} {
		dir := t.TempDir()
		s, l := loggedWith(t, serve.LogOptions{Dir: dir}, serve.Options{MaxBodyBytes: 4096}, &engine{predict: constant(1, 0)})
		c, err := s.Begin("test", "m", "", "r")
		if err != nil {
			t.Fatal(err)
		}
		if malform(c) == nil {
			t.Errorf("%s: taken", want)
		}
		c.End()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		all := lines(t, dir)
		if got := fmt.Sprint(all[0]["_status"], " ", all[0]["_reason"]); len(all) != 1 || all[0]["_outcome"] != "malformed" || got != want {
			t.Errorf("%v, want %s", all, want)
		}
	}
}

func body(text, encoding string) (http.ResponseWriter, *http.Request) {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(text))
	r.Header.Set("Content-Encoding", encoding)
	return httptest.NewRecorder(), r
}
