package mlflow

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sort"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// The four forms of a JSON request, and the keys of requests for language models, which are not served.
var (
	forms    = []string{"dataframe_split", "dataframe_records", "instances", "inputs"}
	llmForms = []string{"messages", "prompt", "input"}
)

const (
	notJSON = "Invalid input. Ensure that input is a valid JSON formatted string."
	// maxOthers is how many keys that are too many are looked at.
	maxOthers = 64

	oneOf = "The input must be a JSON dictionary with exactly one of the input fields {'dataframe_split', 'dataframe_records', 'instances', 'inputs'}."
)

// Read reads the body of a request that another server answered into the rows of the call.
func Read(c *serve.Call, isCSV bool) error {
	if isCSV {
		return readCSV(c)
	}
	_, err := readJSON(c)
	return err
}

// readJSON reads a request into the rows of the call, and says in which form the answer is wanted.
func readJSON(c *serve.Call) (reply, error) {
	r := &c.Reader
	r.Reset(c.Body, 0)
	r.AllowNaN() // as MLflow's own client writes the missing numbers of a DataFrame
	out := reply{}
	if r.Kind() != schema.JSONObject {
		if _, ok := r.Skip(); ok && r.End() {
			return out, assay.Errorf(assay.Invalid, "%s Received a value that is not a dictionary.", oneOf)
		}
		return out, invalidJSON(r)
	}
	first, count := "", 0
	var others []string
	var err error
	params := false
	for more := r.Enter(); more; more = r.More() {
		key, ok := r.Key()
		if !ok {
			break
		}
		if string(key) == "params" {
			if params {
				return out, assay.Errorf(assay.Invalid, "params is there twice")
			}
			params = true
			out, err = readParams(c, r)
		} else {
			name := nameOf(key)
			if count++; count == 1 {
				first = name
			} else if len(others) < maxOthers {
				others = append(others, name)
			}
			err = readForm(c, r, name, count == 1)
		}
		if err != nil && (r.Err() == nil || r.Mismatched()) {
			return out, err
		}
	}
	switch {
	case r.Err() != nil || !r.End():
		return out, invalidJSON(r)
	case count == 0:
		return out, wrongKeys(nil)
	case count > 1 || !slices.Contains(forms, first):
		return out, wrongKeys(append(others, first))
	}
	if first == "instances" || first == "inputs" {
		out.from = schema.FromArrays
	}
	return out, nil
}

// nameOf is the text of a key, without a copy where it is a form's.
func nameOf(key []byte) string {
	for _, f := range forms {
		if string(key) == f {
			return f
		}
	}
	return string(key)
}

// readForm reads the rows of one form; a second one, and what is no form, is skipped.
func readForm(c *serve.Call, r *schema.Reader, name string, first bool) error {
	switch {
	case !first:
	case name == "dataframe_split":
		return readSplit(c, r)
	case name == "dataframe_records":
		return readRecords(c, r)
	case name == "instances":
		return c.ReadInstances(r)
	case name == "inputs":
		return readInputs(c, r)
	}
	r.Skip()
	return nil
}

func wrongKeys(seen []string) error {
	for _, k := range seen {
		for _, l := range llmForms {
			if k == l {
				return assay.Errorf(assay.Invalid, "%s The model takes tables; a request with %q is for a language model.", oneOf, k)
			}
		}
	}
	for i, k := range seen {
		if len(k) > 100 {
			seen[i] = k[:100]
		}
	}
	sort.Strings(seen)
	if len(seen) > 8 {
		seen = append(seen[:8], "…")
	}
	return assay.Errorf(assay.Invalid, "%s Received dictionary with input fields: %s.", oneOf, strings.Join(seen, ", "))
}

func invalidJSON(r *schema.Reader) error {
	what := ""
	if err := r.Err(); err != nil {
		what = " It is " + err.Error() + "."
	}
	return assay.Errorf(assay.Invalid, "%s%s", notJSON, what)
}

// readParams reads the parameters of a request: how to answer, and those that the model declares. Where values are cast as MLflow does, what
// is none of these is ignored.
func readParams(c *serve.Call, r *schema.Reader) (reply, error) {
	out := reply{}
	if r.Kind() == schema.JSONNull {
		r.Null()
		return out, nil
	}
	if r.Kind() != schema.JSONObject {
		r.Skip()
		return out, assay.Errorf(assay.Invalid, "params must be a dictionary")
	}
	b := c.Version()
	given := c.Given(b.Casts() != nil)
	for more := r.Enter(); more; more = r.More() {
		key, ok := r.Key()
		if !ok {
			break
		}
		if string(key) != "predict_method" || r.Kind() != schema.JSONString || b.Param(key) != nil {
			given.Read(r, key)
			continue
		}
		method, _ := r.Text()
		switch string(method) {
		case "predict":
			out.method = labelsOnly
		case "predict_proba":
			out.method = probabilities
		default:
			return out, assay.Errorf(assay.Invalid, "predict_method must be predict or predict_proba")
		}
	}
	return out, given.End()
}

// readRecords reads a list of objects.
func readRecords(c *serve.Call, r *schema.Reader) error {
	if r.Kind() != schema.JSONArray {
		what := "value"
		if r.Kind() == schema.JSONObject {
			what = "dictionary"
		}
		r.Skip()
		return assay.Errorf(assay.Invalid, "Dataframe records format must be a list of records. Got %s.", what)
	}
	for more := r.Enter(); more; more = r.More() {
		if r.Kind() != schema.JSONObject {
			r.Skip()
			return assay.Errorf(assay.Invalid, "Dataframe records format must be a list of records. Got another value in the list.")
		}
		if err := c.Fits(c.Rows.Rows() + 1); err != nil {
			return err
		}
		var ok bool
		if c.Found, ok = c.Rows.Object(r, c.Found); !ok {
			break
		}
	}
	return nil
}

const notSplit = "Provided dataframe_split field is not a valid dataframe representation"

// readSplit reads {"columns": […], "index": […], "data": [[…], …]}; without columns the values fill the fields in their order.
func readSplit(c *serve.Call, r *schema.Reader) error {
	if r.Kind() != schema.JSONObject {
		what := "value"
		if r.Kind() == schema.JSONArray {
			what = "list"
		}
		r.Skip()
		return assay.Errorf(assay.Invalid, "Dataframe split format must be a dictionary. Got %s", what)
	}
	var l serve.Layout
	columns, data, end := false, -1, -1
	read, index := false, -1 // how many rows index names
	for more := r.Enter(); more; more = r.More() {
		key, ok := r.Key()
		if !ok {
			return nil
		}
		switch string(key) {
		case "columns":
			if columns {
				return assay.Errorf(assay.Invalid, "%s: columns is there twice", notSplit)
			}
			columns = true
			if r.Kind() != schema.JSONArray {
				r.Skip()
				return assay.Errorf(assay.Invalid, "%s: columns must be a list", notSplit)
			}
			if err := readNames(c, r, &l); err != nil {
				return err
			}
		case "data":
			if read || data >= 0 {
				return assay.Errorf(assay.Invalid, "%s: data is there twice", notSplit)
			}
			if columns {
				read = true
				if err := readMatrix(c, r, &l); err != nil {
					return err
				}
				continue
			}
			data = r.Pos()
			r.Skip()
		case "index":
			switch kind := r.Kind(); {
			case index >= 0:
				return assay.Errorf(assay.Invalid, "%s: index is there twice", notSplit)
			case kind == schema.JSONNull:
				r.Null()
			case kind != schema.JSONArray:
				r.Skip()
				return assay.Errorf(assay.Invalid, "%s: index must be a list", notSplit)
			default:
				index = 0
				for more := r.Enter(); more; more = r.More() {
					r.Skip()
					index++
				}
			}
		default:
			r.Skip()
			return assay.Errorf(assay.Invalid, "%s: %q is none of columns, index and data", notSplit, string(key[:min(len(key), 100)]))
		}
	}
	if r.Err() != nil {
		return nil
	}
	if data >= 0 {
		if !columns {
			l = serve.InOrder(c)
		}
		end = r.Pos()
		r.Seek(data)
		if err := readMatrix(c, r, &l); err != nil {
			return err
		}
		r.Seek(end)
		read = true
	}
	if !read {
		return assay.Errorf(assay.Invalid, "%s: it has no data", notSplit)
	}
	if index >= 0 && index != c.Rows.Rows() && r.Err() == nil {
		return assay.Errorf(assay.Invalid, "%s: index has %d rows, data %d", notSplit, index, c.Rows.Rows())
	}
	return nil
}

// readNames reads the names of columns. Numbers from 0 are what pandas calls columns that have none: then they are in the order of the schema.
func readNames(c *serve.Call, r *schema.Reader, l *serve.Layout) error {
	for more := r.Enter(); more; more = r.More() {
		n := len(l.Fields)
		switch {
		case r.Kind() == schema.JSONString && (n == 0 || l.Names[0] != nil):
			name, ok := r.Text()
			if !ok {
				return nil
			}
			if err := l.Add(c, name); err != nil {
				return err
			}
		case r.Kind() == schema.JSONNumber && (n == 0 || l.Names[0] == nil):
			if i, ok := r.Int(); !ok || i != int64(n) || n == c.Version().Inputs().Fields() {
				return assay.Errorf(assay.Invalid, "%s: the columns are numbers, and not those from 0 of the %d that the model takes", notSplit, c.Version().Inputs().Fields())
			}
			l.Fields, l.Names = append(l.Fields, n), append(l.Names, nil)
		default:
			r.Skip()
			return assay.Errorf(assay.Invalid, "%s: the name of a column is not a string", notSplit)
		}
	}
	return nil
}

// readMatrix reads a list of lists, one for each row.
func readMatrix(c *serve.Call, r *schema.Reader, l *serve.Layout) error {
	if err := l.Twice(c); err != nil {
		return err
	}
	if r.Kind() != schema.JSONArray {
		r.Skip()
		return assay.Errorf(assay.Invalid, "%s: data must be a list of rows", notSplit)
	}
	for more := r.Enter(); more; more = r.More() {
		if err := c.ReadRow(r, l); err != nil {
			return assay.Errorf(assay.Invalid, "%s: %w", notSplit, err)
		}
	}
	return nil
}

// readInputs reads columns by name, each a list of values or one value, or a list of rows.
func readInputs(c *serve.Call, r *schema.Reader) error {
	switch r.Kind() {
	case schema.JSONArray:
		return c.ReadInstances(r)
	case schema.JSONObject:
	default:
		r.Skip()
		return assay.Errorf(assay.Invalid, "inputs must be a dictionary of columns or a list of rows")
	}
	rows, seen := -1, map[int]bool{}
	for more := r.Enter(); more; more = r.More() {
		key, ok := r.Key()
		if !ok {
			return nil
		}
		f, known := c.Version().Inputs().Index(key)
		if !known {
			if err := readKeys(c, r, key); err != nil {
				return err
			}
			continue
		}
		if seen[f] {
			return assay.Errorf(assay.Invalid, "column %q is there twice", c.Version().Inputs().Field(f).Name)
		}
		seen[f] = true
		n, name := 0, c.Version().Inputs().Field(f).Name
		put := func() error {
			if n == c.Rows.Rows() {
				if rows >= 0 {
					return assay.Errorf(assay.Invalid, "column %q has more than the %d values of the other columns", name, rows)
				}
				if _, err := c.NewRow(); err != nil {
					return err
				}
			}
			n++
			if !c.Rows.JSON(r, n-1, f) {
				return r.Err()
			}
			return nil
		}
		if r.Kind() != schema.JSONArray {
			if err := put(); err != nil {
				return err
			}
		} else {
			for more := r.Enter(); more; more = r.More() {
				var err error
				// A column of shape [n,1] is a list of lists of one.
				if r.Kind() == schema.JSONArray && c.Version().Inputs().Field(f).Type != assay.TypeJSON {
					one := r.Enter()
					if one {
						if err = put(); err == nil {
							one = !r.More()
						}
					}
					if err == nil && r.Err() == nil && !one {
						err = assay.Errorf(assay.Invalid, "column %q has a list of other than one value", name)
					}
				} else {
					err = put()
				}
				if err != nil {
					return err
				}
			}
		}
		if rows >= 0 && n != rows && r.Err() == nil {
			return assay.Errorf(assay.Invalid, "column %q has %d values, other columns %d", name, n, rows)
		}
		rows = n
	}
	return nil
}

// readKeys reads a column that is no field: the keys of the rows, or what the schema does not know.
func readKeys(c *serve.Call, r *schema.Reader, name []byte) error {
	if !c.Rows.IsKey(name) || r.Kind() != schema.JSONArray {
		c.Found, _ = c.Rows.Extra(r, 0, name, c.Found)
		return nil
	}
	row := 0
	for more := r.Enter(); more; more = r.More() {
		if err := c.Fits(row + 1); err != nil {
			return err
		}
		c.Found, _ = c.Rows.Extra(r, row, name, c.Found)
		row++
	}
	return nil
}

// readCSV reads a header and rows. An empty field is missing.
func readCSV(c *serve.Call) error {
	var r schema.CSVReader
	r.Reset(c.Body, serve.MaxColumns+c.Version().Inputs().Fields())
	record, err := r.Read(nil)
	if errors.Is(err, io.EOF) {
		return assay.Errorf(assay.Invalid, "the CSV has no header")
	}
	if err != nil {
		return err
	}
	var l serve.Layout
	for i, name := range record {
		if i == 0 {
			name = bytes.TrimPrefix(name, []byte("\uFEFF"))
		}
		if err := l.Add(c, name); err != nil {
			return err
		}
	}
	if err := l.Twice(c); err != nil {
		return err
	}
	for {
		record, err = r.Read(record)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		row, err := c.NewRow()
		if err != nil {
			return err
		}
		for j, text := range record {
			switch f := l.Fields[j]; {
			case f >= 0:
				c.Rows.SetField(row, f, text)
			case !c.Rows.IsKey(l.Names[j]):
				c.Found = c.Rows.Missed(row, l.Names[j], c.Found)
			case len(text) > 0:
				c.Found = c.Rows.SetKey(row, l.Names[j], text, c.Found)
			}
		}
	}
}
