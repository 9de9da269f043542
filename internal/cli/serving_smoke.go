package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/mlflow"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/learn"
)

// smokeRows is how many held-out rows go through the serving path before a version may take traffic.
const smokeRows = 64

// A smoker sends requests through the scoring protocol, as a client would.
type smoker struct {
	mux       *http.ServeMux
	in        *schema.Schema
	x         assay.Frame
	want      learn.Prediction
	decision  decision
	tolerance float64
	seen      *smokeLog
}

// smokeLog looks at the calls of smoke predictions.
type smokeLog struct {
	classesAlone atomic.Bool            // an answer was classes without probabilities
	fault        atomic.Pointer[string] // what was wrong with the last answer; "" where nothing was
}

// Offer implements serve.Recorder.
func (l *smokeLog) Offer(c *serve.Call) bool {
	if len(c.Output.Labels) > 0 && len(c.Output.Proba) == 0 {
		l.classesAlone.Store(true)
	}
	fault := c.Fault()
	l.fault.Store(&fault)
	c.Release()
	return true
}

func (s *session) smoke(ctx context.Context, server *serve.Server, m assay.Model, in *schema.Schema, d decision, tolerance float64, seen *smokeLog) ([]assay.Smoke, error) {
	part, err := s.part(ctx, m.Split, assay.Valid)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range in.Columns {
		names = append(names, c.Name)
	}
	x, err := part.Frame(ctx, names, "")
	if err != nil {
		return nil, err
	}
	rows := make([]int, min(x.Rows(), smokeRows))
	for i := range rows {
		rows[i] = i
	}
	x = x.Take(rows)
	want, err := s.predictions(ctx, m, x)
	if err != nil {
		return nil, err
	}
	if err := d.apply(&want); err != nil {
		return nil, err
	}
	k := &smoker{mux: http.NewServeMux(), in: in, x: x, want: want, decision: d, tolerance: tolerance, seen: seen}
	(&mlflow.Scoring{Server: server}).Routes(k.mux)
	all := make([]map[string]any, x.Rows())
	for i := range all {
		all[i] = record(x, i)
	}
	out := []assay.Smoke{k.answered(ctx, "held_out", all, 0)}
	for i := range min(3, len(all)) {
		out = append(out, k.answered(ctx, "single_row_"+strconv.Itoa(i+1), all[i:i+1], i))
	}
	if s.p.Serve.Coerce != "" {
		if row := asText(in, all[0]); row != nil {
			out = append(out, k.answered(ctx, "cast", []map[string]any{row}, 0))
		}
	}
	for _, b := range breakages(in, all[0], s.p.Serve.Coerce != "") {
		out = append(out, k.refused(ctx, b.name, b.row))
	}
	return out, nil
}

// record is a row of a frame as a request has it.
func record(x assay.Frame, row int) map[string]any {
	out := map[string]any{}
	for j := range x {
		out[x[j].Name] = value(&x[j], row)
	}
	return out
}

// value is that of a column in a row as a request has it.
func value(c *assay.Column, row int) any {
	switch {
	case c.Missing(row):
		return nil
	case c.Type == assay.TypeJSON:
		return json.RawMessage(c.Levels[c.Codes[row]])
	case c.Type == assay.TypeBinary:
		return base64.StdEncoding.EncodeToString([]byte(c.Levels[c.Codes[row]]))
	case c.Codes != nil:
		return c.Levels[c.Codes[row]]
	case c.Type == assay.TypeBoolean:
		return c.Floats[row] != 0
	case c.Type == assay.TypeDate:
		return time.Unix(int64(c.Floats[row]), 0).UTC().Format(time.DateOnly)
	case c.Type == assay.TypeTimestamp:
		return time.UnixMicro(int64(math.Round(c.Floats[row] * 1e6))).UTC().Format("2006-01-02T15:04:05.999999Z")
	case c.Ints != nil:
		return c.Ints[row]
	}
	return c.Floats[row]
}

// A breakage is a row that must be refused.
type breakage struct {
	name string
	row  map[string]any
}

// asText is a row whose first number is there as a text, which a cast reads; nil where it has none.
func asText(in *schema.Schema, good map[string]any) map[string]any {
	for _, c := range in.Columns {
		if c.Type != assay.TypeInteger && c.Type != assay.TypeNumber {
			continue
		}
		row := maps.Clone(good)
		switch x := good[c.Name].(type) {
		case float64:
			row[c.Name] = strconv.FormatFloat(x, 'f', -1, 64)
		case int64:
			row[c.Name] = strconv.FormatInt(x, 10)
		default:
			continue
		}
		return row
	}
	return nil
}

// breakages makes of a good row one that lacks a column, one of a wrong type and one beyond each first limit that the schema has. Where
// values are cast, those that a cast makes fit are left out.
func breakages(in *schema.Schema, good map[string]any, cast bool) []breakage {
	broken := func(name string, change func(map[string]any)) breakage {
		row := map[string]any{}
		for k, v := range good {
			row[k] = v
		}
		change(row)
		return breakage{name, row}
	}
	var out []breakage
	seen := map[string]bool{}
	once := func(name string, change func(map[string]any)) {
		if !seen[name] {
			seen[name] = true
			out = append(out, broken(name, change))
		}
	}
	for _, c := range in.Columns {
		if !c.Optional {
			once("missing_column", func(r map[string]any) { delete(r, c.Name) })
		}
		switch c.Type {
		case assay.TypeInteger, assay.TypeNumber:
			once("wrong_type", func(r map[string]any) { r[c.Name] = "some text" })
			if c.Range != nil && c.Range.Max != nil && !(cast && c.Type == assay.TypeInteger) && c.Range.Severity != schema.Warning && c.Range.Mostly == 0 {
				once("out_of_range", func(r map[string]any) { r[c.Name] = 1e300 })
			}
		case assay.TypeString:
			if cast {
				break
			}
			once("wrong_type_text", func(r map[string]any) { r[c.Name] = 12 })
		}
		if c.NotNull != nil && c.NotNull.Severity != schema.Warning && c.NotNull.Mostly == 0 {
			once("missing_value", func(r map[string]any) { r[c.Name] = nil })
		}
	}
	return out
}

// send posts rows as dataframe_records and returns the status and the body.
func (k *smoker) send(ctx context.Context, rows []map[string]any) (status int, body, request []byte) {
	rows = slices.Clone(rows)
	for i, row := range rows {
		rows[i] = maps.Clone(row)
		for name, v := range row {
			if x, ok := v.(float64); ok && math.Abs(x) >= 1<<53 { // the digits of a float say more than it holds
				text := strconv.FormatFloat(x, 'e', -1, 64)
				if c := k.in.Column(name); c != nil && c.Type == assay.TypeInteger && math.Abs(x) < 1<<63 {
					text = strconv.FormatFloat(x, 'f', 0, 64)
				}
				rows[i][name] = json.Number(text)
			}
		}
	}
	request, err := json.Marshal(map[string]any{"dataframe_records": rows})
	if err != nil {
		return 0, nil, nil
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "/invocations", bytes.NewReader(request))
	if err != nil {
		return 0, nil, request
	}
	r.Header.Set("Content-Type", "application/json")
	w := &kept{header: http.Header{}, status: http.StatusOK}
	k.mux.ServeHTTP(w, r)
	return w.status, w.Bytes(), request
}

// kept is an answer that goes nowhere.
type kept struct {
	bytes.Buffer
	header http.Header
	status int
}

func (k *kept) Header() http.Header    { return k.header }
func (k *kept) WriteHeader(status int) { k.status = status }

// answered sends rows that must be answered as they are offline; from is the number of the first.
func (k *smoker) answered(ctx context.Context, name string, rows []map[string]any, from int) assay.Smoke {
	status, body, request := k.send(ctx, rows)
	out := assay.Smoke{Name: name, Rows: int64(len(rows)), Input: assay.DigestOf(request), Output: assay.DigestOf(body), Expect: "answer", Verdict: assay.Fail, Difference: assay.Number(math.NaN())}
	if status != http.StatusOK {
		out.Refused, out.Output = out.Rows, ""
		why := errorMessage(body)
		if fault := k.seen.fault.Load(); fault != nil && *fault != "" {
			why = *fault // of which the caller is told an id alone
		}
		out.Message = fmt.Sprintf("was answered with status %d: %s", status, why)
		return out
	}
	out.Answered = out.Rows
	var reply struct {
		Predictions []json.RawMessage `json:"predictions"`
	}
	if err := json.Unmarshal(body, &reply); err != nil || len(reply.Predictions) != len(rows) {
		out.Message = fmt.Sprintf("was answered with %d predictions", len(reply.Predictions))
		return out
	}
	worst := 0.0
	for i, p := range reply.Predictions {
		worst = math.Max(worst, k.difference(p, from+i))
	}
	out.Difference = assay.Number(worst)
	if !(worst <= k.tolerance) {
		out.Message = "differs from the offline scores"
		return out
	}
	out.Verdict = assay.Pass
	return out
}

// difference is the largest relative difference of an answered row to the offline scores; infinite for another class.
func (k *smoker) difference(p json.RawMessage, row int) float64 {
	relative := func(a, b float64) float64 { return math.Abs(a-b) / math.Max(math.Abs(b), 1e-12) }
	if len(k.want.Values) > 0 {
		var x float64
		if json.Unmarshal(p, &x) != nil {
			return math.Inf(1)
		}
		return relative(x, k.want.Values[row])
	}
	var fields map[string]any
	if json.Unmarshal(p, &fields) != nil {
		var label any
		if json.Unmarshal(p, &label) != nil || fmt.Sprint(label) != k.want.Classes[k.want.Labels[row]] {
			return math.Inf(1)
		}
		return 0
	}
	worst, n := 0.0, len(k.want.Classes)
	if fmt.Sprint(fields[serve.PredictionField]) != k.want.Classes[k.want.Labels[row]] {
		// Scores that differ within the tolerance may lie on two sides of the threshold.
		if cut := k.decision.threshold; cut == 0 || relative(k.want.Proba[row*n+k.decision.positive], cut) > k.tolerance {
			return math.Inf(1)
		}
	}
	for j, c := range k.want.Classes {
		x, ok := fields[serve.ProbabilityField(c)].(float64)
		if !ok {
			return math.Inf(1)
		}
		worst = math.Max(worst, relative(x, k.want.Proba[row*n+j]))
	}
	return worst
}

// refused sends a row that must be refused.
func (k *smoker) refused(ctx context.Context, name string, row map[string]any) assay.Smoke {
	status, body, request := k.send(ctx, []map[string]any{row})
	out := assay.Smoke{Name: name, Rows: 1, Input: assay.DigestOf(request), Expect: "refusal", Verdict: assay.Fail, Difference: assay.Number(math.NaN())}
	if status == http.StatusBadRequest {
		out.Refused, out.Verdict = 1, assay.Pass
		return out
	}
	if status == http.StatusOK {
		out.Answered, out.Output = 1, assay.DigestOf(body)
	}
	out.Message = fmt.Sprintf("was answered with status %d", status)
	return out
}

func errorMessage(body []byte) string {
	var e struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &e) != nil {
		return "no error document"
	}
	return e.Message
}
