package upstream

import (
	"bytes"
	"math"
	"slices"
	"strconv"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/metric"
)

// What a single value of a row is, where a classifier answers one.
const (
	SingleLabel       = "label"
	SingleProbability = "probability" // of the positive class
)

// An Answer turns what another server says about rows into an Output. Compiled is one that Compile returned; it is safe for use by
// several goroutines.
type Answer struct {
	Classes  []string // of the version, in the order of its probabilities; none for a regressor
	Positive string
	Single   string // what a single value is: SingleLabel (default) or SingleProbability
	// Threshold is the probability of the positive class from which a row that has probabilities alone is of it; 0: the most probable class.
	Threshold float64
	// Outputs of the Open Inference Protocol; where they are empty, names that servers commonly use, or the only output that it can be.
	Label         string
	Probabilities string

	positive int
	text     map[string]int32
	number   map[float64]int32
	keys     map[string]int32 // of the fields of a record
}

// maxOutputs bounds how many tensors an answer may have.
const maxOutputs = 1 << 12

// Names under which servers answer.
var (
	labelNames       = []string{serve.PredictionField, "predict", "label", "output_label"}
	probabilityNames = []string{"probabilities", "predict_proba", "probability", "output_probability"}
)

// Compile makes an Answer ready.
func (a Answer) Compile() (*Answer, error) {
	out := &Answer{}
	return out, a.compile(out)
}

func (a Answer) compile(out *Answer) error {
	*out = a
	out.positive = slices.Index(a.Classes, a.Positive)
	switch {
	case a.Single != "" && a.Single != SingleLabel && a.Single != SingleProbability:
		return assay.Errorf(assay.Invalid, "a single value is %q; want %s or %s", a.Single, SingleLabel, SingleProbability)
	case a.Single == SingleProbability && (len(a.Classes) != 2 || out.positive < 0):
		return assay.Errorf(assay.Invalid, "a single value can be a probability only of two classes of which one is positive")
	}
	out.text, out.number, out.keys = map[string]int32{}, map[float64]int32{}, map[string]int32{}
	for i, c := range a.Classes {
		out.text[c] = int32(i)
		if x, err := strconv.ParseFloat(c, 64); err == nil {
			out.number[x] = int32(i)
		}
		out.keys[serve.ProbabilityField(c)] = int32(i)
	}
	return nil
}

// wrong is an error of an answer; it never holds a value.
func wrong(format string, args ...any) error { return assay.Errorf(assay.Invalid, format, args...) }

// Predictions reads {"predictions": […]}: a row's element is a value, a list of one value, a list of probabilities, or an object with
// "prediction" and "probability_CLASS", or with the probability of every class by its name. MLflow, KServe's V1 and SageMaker's containers answer so.
func (a *Answer) Predictions(body []byte, rows int, out *serve.Output) error {
	reset(out)
	var r schema.Reader
	r.Reset(body, 0)
	found := false
	if r.Kind() != schema.JSONObject {
		return wrong(`not an object with "predictions"`)
	}
	for more := r.Enter(); more; more = r.More() {
		key, ok := r.Key()
		if !ok {
			return r.Err()
		}
		if string(key) != "predictions" {
			r.Skip()
			continue
		}
		if found {
			return wrong("predictions is there twice")
		}
		found = true
		if err := a.list(&r, rows, out); err != nil {
			return err
		}
	}
	if !r.End() {
		return r.Err()
	}
	if !found {
		return wrong(`it has no "predictions"`)
	}
	return a.finish(rows, out)
}

// list reads the elements of predictions.
func (a *Answer) list(r *schema.Reader, rows int, out *serve.Output) error {
	if r.Kind() != schema.JSONArray {
		return wrong("predictions is not a list")
	}
	row := 0
	for more := r.Enter(); more; more = r.More() {
		if row == rows {
			return wrong("it has more predictions than the %d rows that were sent", rows)
		}
		var err error
		switch r.Kind() {
		case schema.JSONObject:
			err = a.record(r, row, out)
		case schema.JSONArray:
			err = a.vector(r, row, out)
		default:
			err = a.single(r, row, out)
		}
		if r.Err() != nil {
			return r.Err()
		}
		if err != nil {
			return err
		}
		row++
	}
	if r.Err() == nil && row != rows {
		return wrong("it has %d predictions for %d rows", row, rows)
	}
	return r.Err()
}

// byClass reports whether the fields of a record are the classes and nothing else: a row of a table of probabilities, as MLflow answers a
// DataFrame. The reader stays where it is.
func (a *Answer) byClass(r *schema.Reader) bool {
	at, n, all := r.Pos(), 0, true
	for more := r.Enter(); more; more = r.More() {
		key, ok := r.Key()
		if !ok {
			return false
		}
		_, class := a.text[string(key)]
		all = all && class
		n++
		r.Skip()
	}
	if r.Err() != nil {
		return false
	}
	r.Seek(at)
	return all && n == len(a.Classes) && n > 1
}

// record reads {"prediction": …, "probability_CLASS": …}, whose other fields are left out, or {"CLASS": …} of every class.
func (a *Answer) record(r *schema.Reader, row int, out *serve.Output) error {
	k, classOf := len(a.Classes), a.keys
	if a.byClass(r) {
		classOf = a.text
	}
	from := len(out.Proba)
	given, label := 0, false
	for more := r.Enter(); more; more = r.More() {
		key, ok := r.Key()
		if !ok {
			return nil
		}
		class, proba := classOf[string(key)]
		switch {
		case proba:
			x, ok := numberOf(r)
			if !ok {
				return wrong("row %d: a probability is not a number", row)
			}
			if given == 0 {
				for range k {
					out.Proba = append(out.Proba, math.NaN())
				}
			}
			if !math.IsNaN(out.Proba[from+int(class)]) {
				return wrong("row %d: a probability is there twice", row)
			}
			out.Proba[from+int(class)] = x
			given++
		case string(key) == serve.PredictionField:
			if label {
				return wrong("row %d: the prediction is there twice", row)
			}
			label = true
			if err := a.value(r, row, out); err != nil {
				return err
			}
		default:
			r.Skip()
		}
	}
	if r.Err() == nil && given > 0 && given < k {
		return wrong("row %d: %d probabilities for %d classes", row, given, k)
	}
	if r.Err() == nil && !label && (k == 0 || given == 0) {
		return wrong("row %d: an object without %q, and its fields are not the classes", row, serve.PredictionField)
	}
	return nil
}

// vector reads a list: of one value, or of the probabilities.
func (a *Answer) vector(r *schema.Reader, row int, out *serve.Output) error {
	k, n, at := len(a.Classes), 0, r.Pos()
	for more := r.Enter(); more; more = r.More() {
		r.Skip()
		n++
	}
	if r.Err() != nil {
		return nil
	}
	end := r.Pos()
	r.Seek(at)
	r.Enter()
	switch {
	case n == 1:
		if err := a.single(r, row, out); err != nil {
			return err
		}
	case n == k && k > 1:
		for range n {
			x, ok := numberOf(r)
			if !ok {
				return wrong("row %d: a probability is not a number", row)
			}
			out.Proba = append(out.Proba, x)
			r.More()
		}
		r.Seek(end)
		return nil
	default:
		return wrong("row %d: a list of %d values", row, n)
	}
	r.More()
	r.Seek(end)
	return nil
}

// single reads the only value of a row.
func (a *Answer) single(r *schema.Reader, row int, out *serve.Output) error {
	if a.Single != SingleProbability {
		return a.value(r, row, out)
	}
	x, ok := numberOf(r)
	if !ok {
		return wrong("row %d: the probability is not a number", row)
	}
	a.pair(x, out)
	return nil
}

// pair adds the probabilities of two classes.
func (a *Answer) pair(x float64, out *serve.Output) {
	if a.positive == 1 {
		out.Proba = append(out.Proba, 1-x, x)
	} else {
		out.Proba = append(out.Proba, x, 1-x)
	}
}

// value reads a class or a number.
func (a *Answer) value(r *schema.Reader, row int, out *serve.Output) error {
	if len(a.Classes) == 0 {
		x, ok := numberOf(r)
		if !ok {
			return wrong("row %d: the value is not a number", row)
		}
		out.Values = append(out.Values, x)
		return nil
	}
	class, ok := int32(0), false
	switch r.Kind() {
	case schema.JSONString:
		if text, good := r.Text(); good {
			class, ok = a.text[string(text)]
		}
	case schema.JSONNumber:
		if text, good := r.Number(); good {
			if class, ok = a.text[string(text)]; !ok {
				if x, err := strconv.ParseFloat(string(text), 64); err == nil {
					class, ok = a.number[x]
				}
			}
		}
	case schema.JSONBool:
		if x, good := r.Bool(); good {
			class, ok = a.truth(x)
		}
	default:
		r.Skip()
	}
	if !ok {
		return wrong("row %d: a class that is none of the model's", row)
	}
	out.Labels = append(out.Labels, class)
	return nil
}

// truth finds the class of a truth value.
func (a *Answer) truth(x bool) (int32, bool) {
	for _, name := range [][2]string{{"false", "true"}, {"False", "True"}, {"0", "1"}} {
		i := 0
		if x {
			i = 1
		}
		if class, ok := a.text[name[i]]; ok {
			return class, true
		}
	}
	return 0, false
}

func numberOf(r *schema.Reader) (float64, bool) {
	if r.Kind() != schema.JSONNumber {
		r.Skip()
		return 0, false
	}
	text, ok := r.Number()
	if !ok {
		return 0, false
	}
	x, err := strconv.ParseFloat(string(text), 64)
	return x, err == nil
}

// Lines reads an answer of CSV without a header, as SageMaker's containers give it: a row's line is a value, or the probabilities; or one
// line has a value for each row.
func (a *Answer) Lines(body []byte, rows int, out *serve.Output) error {
	reset(out)
	lines := bytes.Split(bytes.TrimSpace(body), []byte("\n"))
	if cells := bytes.Split(lines[0], []byte(",")); len(lines) == 1 && rows > 1 && len(cells) == rows {
		lines = cells
	}
	if len(lines) != rows {
		return wrong("it has %d predictions for %d rows", len(lines), rows)
	}
	for row, line := range lines {
		cells := bytes.Split(bytes.TrimSpace(line), []byte(","))
		if len(cells) == 1 {
			if err := a.cell(cells[0], row, out); err != nil {
				return err
			}
			continue
		}
		if len(cells) != len(a.Classes) {
			return wrong("row %d: a line of %d values", row, len(cells))
		}
		for _, c := range cells {
			x, err := strconv.ParseFloat(string(bytes.TrimSpace(c)), 64)
			if err != nil {
				return wrong("row %d: a probability is not a number", row)
			}
			out.Proba = append(out.Proba, x)
		}
	}
	return a.finish(rows, out)
}

// cell reads a value of CSV.
func (a *Answer) cell(text []byte, row int, out *serve.Output) error {
	text = bytes.Trim(bytes.TrimSpace(text), `"`)
	x, err := strconv.ParseFloat(string(text), 64)
	if len(a.Classes) > 0 && a.Single != SingleProbability {
		class, ok := a.text[string(text)]
		if !ok && err == nil {
			class, ok = a.number[x]
		}
		if !ok {
			return wrong("row %d: a class that is none of the model's", row)
		}
		out.Labels = append(out.Labels, class)
		return nil
	}
	switch {
	case err != nil:
		return wrong("row %d: the value is not a number", row)
	case len(a.Classes) == 0:
		out.Values = append(out.Values, x)
	default:
		a.pair(x, out)
	}
	return nil
}

func reset(o *serve.Output) { o.Labels, o.Proba, o.Values = o.Labels[:0], o.Proba[:0], o.Values[:0] }

// finish finds the class of every row from its probabilities, where no class was answered, and holds the counts against each other.
func (a *Answer) finish(rows int, out *serve.Output) error {
	k := len(a.Classes)
	switch {
	case k == 0 && len(out.Values) != rows:
		return wrong("it has %d values for %d rows", len(out.Values), rows)
	case k == 0:
		return nil
	case len(out.Proba) != 0 && len(out.Proba) != rows*k:
		return wrong("only some rows have probabilities")
	case len(out.Labels) == rows:
		return nil
	case len(out.Labels) > 0 || len(out.Proba) == 0:
		return wrong("it has %d classes for %d rows", len(out.Labels), rows)
	}
	if a.Threshold != 0 && k == 2 && a.positive >= 0 {
		out.Labels = metric.Decide(out.Labels, out.Proba, a.positive, a.Threshold)
		return nil
	}
	for row := range rows {
		p := out.Proba[row*k : (row+1)*k]
		best := 0
		for j := range p {
			if p[j] > p[best] {
				best = j
			}
		}
		out.Labels = append(out.Labels, int32(best))
	}
	return nil
}
