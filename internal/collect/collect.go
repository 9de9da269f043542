// Package collect makes predictions that another server answered lines of Assay's prediction log, so that every monitor works on them:
// CloudEvents of KServe and of Seldon and MLServer (over HTTP), SageMaker's data capture, Databricks' inference tables. A request and its
// answer are read as the edges read their own, held against the version's schemas, scored for outliers and logged. What cannot be read
// is counted, by reason, and written into the log as missing rows.
//
// The package does not ask the other server, and does not refuse a row: it was answered already.
package collect

import (
	"bytes"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/mlflow"
	"github.com/assay-ml/assay/internal/oip"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/upstream"
)

// A Body is a payload as it went over the wire.
type Body struct {
	Type string // content type; empty: JSON, where it looks like it, otherwise CSV
	Data []byte
}

// An Exchange is one request and its answer.
type Exchange struct {
	ID       string // by which labels find it; a caller may give one to several
	Event    string // the source's own id, which no other exchange has; empty: it has none
	Model    string // empty: the only one
	Version  string // empty: the one that answers by default
	At       time.Time
	Took     time.Duration // 0: unknown
	Status   int           // of HTTP; 0: 200
	Sampled  float64       // the share of answered requests that the source kept; 0: it does not say
	Request  Body
	Response Body
}

// A Recorder logs exchanges. It is safe for use by several goroutines.
type Recorder struct {
	Server *serve.Server
	Edge   string // what the log calls the source: cloudevents, sagemaker, databricks
	Single string // what a single value of a classifier's answer is, as upstream.Answer has it
}

// Record logs one exchange and returns its rows. A request that cannot be read is logged as a malformed one, an answer that cannot be
// read as a failure; the error says what is wrong, and errors of code NotFound or Unavailable that nothing was logged.
func (r *Recorder) Record(x *Exchange) (rows int, err error) {
	c, err := r.Server.Observe(r.Edge, x.Model, x.Version, x.ID, x.At)
	if err != nil {
		return 0, err
	}
	c.Kept = x.Sampled
	defer c.End()
	v := c.Version()
	answer, err := upstream.Answer{Classes: v.Classes, Positive: v.Positive, Single: r.Single, Threshold: v.Threshold}.Compile()
	if err != nil {
		c.Observed(serve.Malformed, x.Took)
		return 0, err
	}
	if err := read(c, x.Request); err != nil {
		// The rows before the fault are not a request.
		c.Rows.Release()
		c.Rows, c.Found = c.Version().Inputs().NewBatch(), c.Found[:0]
		c.Observed(serve.Malformed, x.Took)
		return 0, assay.Errorf(assay.Invalid, "the request: %v", err)
	}
	rows = c.Rows.Rows()
	outcome := outcomeOf(x.Status)
	c.Status = x.Status
	if outcome == serve.Answered {
		if err = readAnswer(answer, x.Response, rows, &c.Output); err != nil {
			outcome, err = serve.Failed, assay.Errorf(assay.Invalid, "the answer: %v", err)
		}
	}
	c.Observed(outcome, x.Took)
	if err == nil && outcome == serve.Answered && c.Err != nil {
		err = assay.Errorf(assay.Rejected, "the answer does not fit the output schema: %v", c.Err)
	}
	return rows, err
}

func outcomeOf(status int) serve.Outcome {
	switch {
	case status == 0 || status >= 200 && status < 300:
		return serve.Answered
	case status == 429 || status == 503 || status == 504:
		return serve.Shed
	case status == 422:
		return serve.Refused
	case status >= 400 && status < 500:
		return serve.Malformed
	}
	return serve.Failed
}

// isCSV tells CSV from JSON.
func (b Body) isCSV() (bool, error) {
	kind, _, _ := strings.Cut(b.Type, ";")
	switch kind = strings.ToLower(strings.TrimSpace(kind)); {
	case kind == "text/csv":
		return true, nil
	case kind == "application/json", strings.HasSuffix(kind, "+json"):
		return false, nil
	case kind == "", kind == "text/plain", kind == "application/octet-stream":
		t := bytes.TrimLeft(b.Data, " \t\r\n")
		return len(t) == 0 || t[0] != '{' && t[0] != '[', nil
	}
	return false, assay.Errorf(assay.Invalid, "the content type is neither JSON nor CSV")
}

// read reads a request: tensors of the Open Inference Protocol, one of the forms of /invocations, or CSV with or without a header.
func read(c *serve.Call, b Body) error {
	csv, err := b.isCSV()
	if err != nil {
		return err
	}
	if !utf8.Valid(b.Data) {
		return assay.Errorf(assay.Invalid, "it is not UTF-8")
	}
	c.Body = append(c.Body[:0], b.Data...)
	switch {
	case csv:
		if !hasHeader(c, c.Body) {
			c.Body = append(header(c.Version().Inputs()), c.Body...)
		}
		err = mlflow.Read(c, true)
	case tensors(c.Body):
		err = oip.Read(c)
	default:
		c.Body = without(c.Body, "client_request_id")
		err = mlflow.Read(c, false)
	}
	if err == nil && c.Rows.Rows() == 0 {
		err = assay.Errorf(assay.Invalid, "it has no rows")
	}
	return err
}

// hasHeader reports whether a cell of the first line is the name of a field.
func hasHeader(c *serve.Call, body []byte) bool {
	line, _, _ := bytes.Cut(bytes.TrimPrefix(body, []byte("\uFEFF")), []byte("\n"))
	for cell := range bytes.SplitSeq(line, []byte(",")) {
		if _, ok := c.Version().Inputs().Index(bytes.Trim(cell, " \r\"")); ok {
			return true
		}
	}
	return false
}

// header is the line that CSV without one lacks.
func header(v *schema.Validator) []byte {
	var out []byte
	for i := range v.Fields() {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, '"')
		out = append(out, strings.ReplaceAll(v.Field(i).Name, `"`, `""`)...)
		out = append(out, '"')
	}
	return append(out, '\n')
}

// tensors reports whether a JSON text is a request of the Open Inference Protocol: its inputs are objects with a datatype.
func tensors(body []byte) bool {
	var r schema.Reader
	r.Reset(body, 0)
	for more := r.Kind() == schema.JSONObject && r.Enter(); more; more = r.More() {
		key, ok := r.Key()
		if !ok {
			return false
		}
		if string(key) != "inputs" || r.Kind() != schema.JSONArray {
			r.Skip()
			continue
		}
		if !r.Enter() || r.Kind() != schema.JSONObject {
			return false
		}
		for more := r.Enter(); more; more = r.More() {
			key, ok := r.Key()
			if !ok || string(key) == "datatype" {
				return ok
			}
			r.Skip()
		}
		return false
	}
	return false
}

// without is an object without one of its keys; what is no object is left as it is.
func without(body []byte, name string) []byte {
	if !bytes.Contains(body, []byte(name)) {
		return body
	}
	var r schema.Reader
	r.Reset(body, 0)
	r.AllowNaN()
	if r.Kind() != schema.JSONObject {
		return body
	}
	out := []byte{'{'}
	for more := r.Enter(); more; more = r.More() {
		key, ok := r.Key()
		if !ok {
			return body
		}
		key = schema.AppendJSONString(nil, key)
		value, ok := r.Skip()
		if !ok {
			return body
		}
		if string(key) == `"`+name+`"` {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, key...), ':'), value...)
	}
	if !r.End() {
		return body
	}
	return append(out, '}')
}

// readAnswer reads an answer: tensors, {"predictions": …}, a JSON list, or CSV.
func readAnswer(a *upstream.Answer, b Body, rows int, out *serve.Output) error {
	csv, err := b.isCSV()
	switch {
	case err != nil:
		return err
	case !utf8.Valid(b.Data):
		return assay.Errorf(assay.Invalid, "it is not UTF-8")
	case csv:
		return a.Lines(b.Data, rows, out)
	}
	var r schema.Reader
	r.Reset(b.Data, 0)
	if r.Kind() == schema.JSONArray {
		return a.Predictions(append(append([]byte(`{"predictions":`), b.Data...), '}'), rows, out)
	}
	for more := r.Kind() == schema.JSONObject && r.Enter(); more; more = r.More() {
		key, ok := r.Key()
		if ok && string(key) == "outputs" {
			return a.Tensors(b.Data, rows, out)
		}
		r.Skip()
	}
	return a.Predictions(b.Data, rows, out)
}
