package upstream

import (
	"math"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
)

// maxInputs bounds how many inputs a description of a model is read for.
const maxInputs = 1 << 16

// inputs are the tensors that a model of the Open Inference Protocol takes.
type inputs struct {
	matrix bool // one tensor with all fields; otherwise one for each of columns
	name   string
	typ    string // of the matrix
	// columns are the tensors in the order of the server; where it declares none, the fields in theirs.
	columns []input
}

type input struct {
	field int
	name  string
	typ   string // empty: what fits the field
}

// readInputs reads the metadata of a model and finds the field of each input. Errors are Invalid and name every input without one.
func readInputs(body []byte, fields []assay.Field) (*inputs, error) {
	var r schema.Reader
	r.Reset(body, 0)
	var declared []input
	for more := r.Kind() == schema.JSONObject && r.Enter(); more; more = r.More() {
		key, ok := r.Key()
		if !ok {
			break
		}
		if string(key) != "inputs" || r.Kind() != schema.JSONArray {
			r.Skip()
			continue
		}
		for more := r.Enter(); more; more = r.More() {
			in := input{field: -1}
			for more := r.Kind() == schema.JSONObject && r.Enter(); more; more = r.More() {
				key, _ := r.Key()
				if name := string(key); (name == "name" || name == "datatype") && r.Kind() == schema.JSONString {
					text, _ := r.Text()
					if name == "name" {
						in.name = string(text)
					} else {
						in.typ = string(text)
					}
					continue
				}
				r.Skip()
			}
			if r.Err() != nil || len(declared) == maxInputs {
				break
			}
			declared = append(declared, in)
		}
	}
	if !r.End() {
		return nil, r.Err()
	}
	at := map[string]int{}
	for i, f := range fields {
		at[f.Name] = i
	}
	out := &inputs{}
	if len(declared) == 0 { // as MLServer has it, unless its settings say more
		for i, f := range fields {
			out.columns = append(out.columns, input{field: i, name: f.Name})
		}
		return out, nil
	}
	if _, named := at[declared[0].name]; len(declared) == 1 && !named {
		out.matrix, out.name, out.typ = true, declared[0].name, declared[0].typ
		var bad assay.Problems
		if !floatType(out.typ) && !wholeType(out.typ) {
			bad.Add("input %q is of type %s, and a table of numbers was expected", clip(out.name), clip(out.typ))
		}
		for _, f := range fields {
			if f.Type != assay.TypeInteger && f.Type != assay.TypeNumber && f.Type != assay.TypeBoolean {
				bad.Add("%s is of type %s, and the model takes one table of numbers", f.Name, f.Type)
			}
		}
		return out, bad.Err(assay.Invalid, "the rows cannot be given to the model")
	}
	var bad assay.Problems
	for _, in := range declared {
		i, ok := at[in.name]
		if !ok {
			bad.Add("input %q is not a field of the schema", clip(in.name))
			continue
		}
		text := fields[i].Type != assay.TypeInteger && fields[i].Type != assay.TypeNumber && fields[i].Type != assay.TypeBoolean
		if text != (in.typ == "BYTES") || !text && in.typ != "BOOL" && !floatType(in.typ) && !wholeType(in.typ) {
			bad.Add("input %q is of type %s, its field of type %s", clip(in.name), clip(in.typ), fields[i].Type)
		}
		in.field = i
		out.columns = append(out.columns, in)
	}
	return out, bad.Err(assay.Invalid, "the rows cannot be given to the model")
}

func clip(s string) string {
	if len(s) > 100 {
		return s[:100] + "…"
	}
	return s
}

// encode appends the request.
func (e *Engine) encode(dst []byte, rows *schema.Batch, in *inputs) ([]byte, error) {
	if in == nil {
		return e.split(dst, rows)
	}
	n := rows.Rows()
	var err error
	if in.matrix {
		dst = append(dst, `{"inputs":[{"name":`...)
		dst = schema.AppendJSONString(dst, []byte(in.name))
		dst = append(dst, `,"shape":[`...)
		dst = strconv.AppendInt(dst, int64(n), 10)
		dst = append(dst, ',')
		dst = strconv.AppendInt(dst, int64(len(e.o.Fields)), 10)
		dst = append(dst, `],"datatype":"`...)
		dst = append(dst, in.typ...)
		dst = append(dst, `","data":[`...)
		for row := range n {
			for f := range e.o.Fields {
				if row+f > 0 {
					dst = append(dst, ',')
				}
				if dst, err = e.element(dst, rows, row, f, in.typ); err != nil {
					return nil, err
				}
			}
		}
		return append(e.wanted(append(dst, "]}]"...)), '}'), nil
	}
	dst = append(dst, `{"parameters":{"content_type":"pd"},"inputs":[`...)
	for i, c := range in.columns {
		typ := c.typ
		if typ == "" {
			typ = columnType(rows, c.field)
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"name":`...)
		dst = schema.AppendJSONString(dst, []byte(c.name))
		dst = append(dst, `,"shape":[`...)
		dst = strconv.AppendInt(dst, int64(n), 10)
		dst = append(dst, `,1],"datatype":"`...)
		dst = append(dst, typ...)
		if dst = append(dst, '"'); typ == "BYTES" {
			dst = append(dst, `,"parameters":{"content_type":"str"}`...)
		}
		dst = append(dst, `,"data":[`...)
		for row := range n {
			if row > 0 {
				dst = append(dst, ',')
			}
			if dst, err = e.element(dst, rows, row, c.field, typ); err != nil {
				return nil, err
			}
		}
		dst = append(dst, "]}"...)
	}
	return append(e.wanted(append(dst, ']')), '}'), nil
}

// wanted appends the outputs that were named: a server may give others only when it is asked.
func (e *Engine) wanted(dst []byte) []byte {
	begin := `,"outputs":[`
	for _, name := range []string{e.o.Answer.Label, e.o.Answer.Probabilities} {
		if name == "" {
			continue
		}
		dst = append(append(dst, begin...), `{"name":`...)
		dst = append(schema.AppendJSONString(dst, []byte(name)), '}')
		begin = ","
	}
	if begin == "," {
		dst = append(dst, ']')
	}
	return dst
}

// columnType is the datatype of a field where the server declares none: integers of which some are missing are sent as floats, the only
// type that has a missing value on the wire.
func columnType(rows *schema.Batch, f int) string {
	switch rows.Validator().Field(f).Type {
	case assay.TypeInteger:
		for row := range rows.Rows() {
			if rows.Missing(row, f) {
				return "FP64"
			}
		}
		return "INT64"
	case assay.TypeNumber:
		return "FP64"
	case assay.TypeBoolean:
		return "BOOL"
	}
	return "BYTES"
}

func floatType(t string) bool { return t == "FP64" || t == "FP32" || t == "FP16" || t == "BF16" }

func wholeType(t string) bool { return strings.HasPrefix(t, "INT") || strings.HasPrefix(t, "UINT") }

// element appends one value. A value that the datatype cannot hold is Rejected.
func (e *Engine) element(dst []byte, rows *schema.Batch, row, f int, typ string) ([]byte, error) {
	name := e.o.Fields[f].Name
	if rows.Missing(row, f) {
		if floatType(typ) || typ == "BYTES" {
			return append(dst, "null"...), nil
		}
		return nil, assay.Errorf(assay.Rejected, "row %d: %s is missing, and the model takes no missing value there", row, name)
	}
	beyond := assay.Errorf(assay.Rejected, "row %d: %s is beyond what the model can hold (%s)", row, name, typ)
	switch {
	case floatType(typ):
		x := rows.Float(row, f)
		if i, ok := rows.Int(row, f); ok && int64(x) != i {
			return nil, beyond
		}
		if math.IsInf(x, 0) || typ == "FP32" && math.IsInf(float64(float32(x)), 0) || typ == "FP16" && math.Abs(x) >= 65520 {
			return nil, beyond
		}
		return strconv.AppendFloat(dst, x, 'g', -1, 64), nil
	case wholeType(typ):
		x, ok := rows.Int(row, f)
		if !ok {
			y := rows.Float(row, f)
			if x = int64(y); y != math.Trunc(y) || y < -(1<<63) || y >= 1<<63 {
				return nil, beyond
			}
		}
		bits, _ := strconv.Atoi(strings.TrimLeft(typ, "UINT"))
		if unsigned := typ[0] == 'U'; unsigned && (x < 0 || bits < 64 && x>>bits != 0) || !unsigned && bits < 64 && (x < -1<<(bits-1) || x >= 1<<(bits-1)) {
			return nil, beyond
		}
		return strconv.AppendInt(dst, x, 10), nil
	case typ == "BOOL":
		x, ok := rows.Int(row, f)
		if !ok || x != 0 && x != 1 {
			return nil, beyond
		}
		return strconv.AppendBool(dst, x == 1), nil
	}
	return rows.AppendJSON(dst, row, f), nil
}

// split appends the rows as dataframe_split.
func (e *Engine) split(dst []byte, rows *schema.Batch) ([]byte, error) {
	dst = append(dst, `{"dataframe_split":{"columns":[`...)
	for i, f := range e.o.Fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = schema.AppendJSONString(dst, []byte(f.Name))
	}
	dst = append(dst, `],"data":[`...)
	for row := range rows.Rows() {
		if row > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '[')
		for f := range e.o.Fields {
			if f > 0 {
				dst = append(dst, ',')
			}
			if math.IsInf(rows.Float(row, f), 0) {
				return nil, assay.Errorf(assay.Rejected, "row %d: %s is infinite, which JSON cannot say", row, e.o.Fields[f].Name)
			}
			switch raw, ok := rows.Raw(row, f); {
			case !ok:
				dst = rows.AppendJSON(dst, row, f)
			case e.o.Fields[f].Type == assay.TypeBinary:
				dst = schema.AppendJSONString(dst, raw)
			default:
				dst = append(dst, raw...)
			}
		}
		dst = append(dst, ']')
	}
	return append(dst, "]}}"...), nil
}
