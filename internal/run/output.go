package run

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/assay-ml/assay"
)

// What one run may leave in its output directory. A run beyond a limit is recorded as failed, with the limit as its problem.
const (
	MaxOutputs     = 4096
	MaxMetrics     = 10000 // names; a curve counts once
	MaxParams      = 10000
	maxNameBytes   = 250
	maxParamBytes  = 64 << 10 // of one value
	maxParamsBytes = 4 << 20  // of all values
	maxDocument    = 16 << 20 // metrics.json and params.json
	maxMetricsLine = 1 << 20
	maxDepth       = 32
)

// The files of the output directory that Assay reads; every file is kept.
const (
	metricsFile  = "metrics.json"  // {"name": number}, nested objects joined with dots
	metricsLines = "metrics.jsonl" // one such object a line, with "step" or "epoch"; the last value of a name counts
	paramsFile   = "params.json"   // {"name": value}
	modelFile    = "model.onnx"
)

// outputs is what a run left behind.
type outputs struct {
	files    []assay.File
	metrics  map[string]assay.Number
	params   map[string]string
	model    assay.Digest
	problems []string
}

// collect reads the output directory and keeps every regular file in blobs, in the order of their names. Links are not followed: a
// run cannot make Assay read a file elsewhere. A file that breaks a rule is a problem of the run, not an error.
func collect(ctx context.Context, dir string, blobs putter) (outputs, error) {
	o := outputs{files: []assay.File{}, metrics: map[string]assay.Number{}, params: map[string]string{}}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return o, unavailable("the output directory", err)
	}
	defer root.Close()
	var names []string
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			o.problem("%s cannot be read: %v", name, reason(err))
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
		case ctx.Err() != nil:
			return ctx.Err()
		case d.IsDir():
		case !utf8.ValidString(name):
			o.problem("%q is no name in UTF-8 and was not kept", name)
		case !d.Type().IsRegular():
			o.problem("%s is not a regular file and was not kept", name)
		default:
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		return o, unavailable("the output directory", err)
	}
	slices.Sort(names)
	if len(names) > MaxOutputs {
		o.problem("%d files are in the output directory, at most %d are kept: write them into one archive", len(names), MaxOutputs)
		names = slices.DeleteFunc(names, func(n string) bool {
			return n != metricsFile && n != metricsLines && n != paramsFile && n != modelFile
		})
	}
	for _, name := range names {
		f, err := root.Open(name)
		if err != nil {
			o.problem("%s cannot be read: %v", name, reason(err))
			continue
		}
		d, n, err := blobs.Put(ctx, f)
		f.Close()
		if err != nil {
			return o, err
		}
		o.files = append(o.files, assay.File{Name: filepath.ToSlash(name), Bytes: n, Digest: d})
		if IsModel(name) {
			o.model = d
		}
	}
	read := func(name string, parse func(io.Reader) error) {
		f, err := root.Open(name)
		if err != nil {
			return // most runs leave only some of them
		}
		defer f.Close()
		if err := parse(f); err != nil {
			o.problem("%s: %s", name, err)
		}
	}
	// metrics.json is written at the end, so it has the last word.
	read(metricsLines, func(r io.Reader) error { return parseCurves(r, o.metrics) })
	read(metricsFile, func(r io.Reader) error { return parseMetrics(r, o.metrics) })
	read(paramsFile, func(r io.Reader) error { return parseParams(r, o.params) })
	return o, nil
}

func (o *outputs) problem(format string, args ...any) {
	o.problems = append(o.problems, strings.ToValidUTF8(fmt.Sprintf(format, args...), "\uFFFD"))
}

// parseMetrics reads one JSON object of numbers into out. NaN and infinities, as Python writes them, are undefined numbers.
func parseMetrics(r io.Reader, out map[string]assay.Number) error {
	v, err := document(r)
	if err != nil {
		return err
	}
	return merge(v, out, MaxMetrics, "metrics")
}

// parseCurves reads one object of numbers a line; later lines win. Lines that a killed run left torn at the end are passed over.
func parseCurves(r io.Reader, out map[string]assay.Number) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), maxMetricsLine)
	n, torn := 0, error(nil)
	for sc.Scan() {
		n++
		if torn != nil {
			return torn
		}
		if len(bytes.TrimSpace(sc.Bytes())) == 0 {
			continue
		}
		v, err := document(bytes.NewReader(sc.Bytes()))
		if err != nil {
			torn = fmt.Errorf("line %d: %w", n, err)
			continue
		}
		for _, position := range []string{"step", "epoch", "time", "timestamp"} {
			delete(v, position)
		}
		if err := merge(v, out, MaxMetrics, "metrics"); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	if sc.Err() == bufio.ErrTooLong {
		return fmt.Errorf("line %d is longer than %d bytes", n+1, maxMetricsLine)
	}
	return sc.Err()
}

// parseParams reads one JSON object into out, values as text: strings as they are, numbers as they were written, lists as JSON.
// Values whose name or form is a secret's are redacted.
func parseParams(r io.Reader, out map[string]string) error {
	v, err := document(r)
	if err != nil {
		return err
	}
	flat := map[string]any{}
	if err := flatten("", v, flat, 0); err != nil {
		return err
	}
	if len(flat)+len(out) > MaxParams {
		return fmt.Errorf("%d params, at most %d are kept", len(flat)+len(out), MaxParams)
	}
	total := 0
	for _, name := range slices.Sorted(maps.Keys(flat)) {
		text, ok := flat[name].(string)
		if !ok {
			b, err := json.Marshal(flat[name])
			if err != nil {
				return fmt.Errorf("%q cannot be written as text", name)
			}
			text = string(b)
		}
		if len(text) > maxParamBytes {
			return fmt.Errorf("%q has %d bytes, more than %d", name, len(text), maxParamBytes)
		}
		if total += len(text); total > maxParamsBytes {
			return fmt.Errorf("the values have more than %d bytes together", maxParamsBytes)
		}
		out[name] = pathless(redact(name, text))
	}
	return nil
}

func merge(v map[string]any, out map[string]assay.Number, limit int, what string) error {
	flat := map[string]any{}
	if err := flatten("", v, flat, 0); err != nil {
		return err
	}
	var bad []string
	for name, x := range flat {
		n, ok := numeric(x)
		if !ok {
			bad = append(bad, strconv.Quote(name))
			continue
		}
		if _, have := out[name]; !have && len(out) >= limit {
			return fmt.Errorf("more than %d %s", limit, what)
		}
		out[name] = n
	}
	if len(bad) > 0 {
		slices.Sort(bad)
		if more := len(bad) - 5; more > 0 {
			bad = append(bad[:5], fmt.Sprintf("and %d more", more))
		}
		return fmt.Errorf("not a number: %s", strings.Join(bad, ", "))
	}
	return nil
}

func numeric(x any) (assay.Number, bool) {
	switch x := x.(type) {
	case nil:
		return assay.Number(math.NaN()), true
	case bool:
		if x {
			return 1, true
		}
		return 0, true
	case json.Number:
		f, err := strconv.ParseFloat(x.String(), 64)
		if err != nil && !math.IsInf(f, 0) {
			return 0, false
		}
		return assay.Number(f), true
	case string:
		// What document made of Python's NaN and Infinity, or a number that was written as text.
		f, err := strconv.ParseFloat(x, 64)
		return assay.Number(f), err == nil
	}
	return 0, false
}

// document reads one JSON object, with numbers as they are written. Python's NaN, Infinity and -Infinity become strings.
func document(r io.Reader) (map[string]any, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err != nil {
		return nil, reason(err)
	}
	if len(b) > maxDocument {
		return nil, fmt.Errorf("larger than %d bytes", maxDocument)
	}
	b = quoteUndefined(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		return nil, jsonProblem(b, err)
	}
	if v == nil {
		return nil, fmt.Errorf("not a JSON object")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("more follows after the JSON object")
	}
	return v, nil
}

// jsonProblem says where the JSON is wrong without quoting what stands there.
func jsonProblem(b []byte, err error) error {
	switch e := err.(type) {
	case *json.SyntaxError:
		at := b[:min(int(e.Offset), len(b))]
		return fmt.Errorf("not JSON at line %d, byte %d of it", 1+bytes.Count(at, []byte("\n")), len(at)-bytes.LastIndexByte(at, '\n')-1)
	case *json.UnmarshalTypeError:
		return fmt.Errorf("not a JSON object")
	}
	if err == io.EOF {
		return fmt.Errorf("empty")
	}
	return fmt.Errorf("not complete JSON")
}

var undefined = []string{"-Infinity", "Infinity", "NaN"}

// quoteUndefined puts quotes around the three tokens that Python's json writes and JSON does not have.
func quoteUndefined(b []byte) []byte {
	if !bytes.Contains(b, []byte("NaN")) && !bytes.Contains(b, []byte("Infinity")) {
		return b
	}
	out := make([]byte, 0, len(b)+64)
	quoted := false
next:
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\' && i+1 < len(b):
			out = append(out, c)
			i++
		case c == '"':
			quoted = !quoted
		case !quoted:
			for _, token := range undefined {
				if bytes.HasPrefix(b[i:], []byte(token)) {
					out = append(append(append(out, '"'), token...), '"')
					i += len(token) - 1
					continue next
				}
			}
		}
		out = append(out, b[i])
	}
	return out
}

// flatten joins the names of nested objects with dots. Lists stay whole.
func flatten(prefix string, v map[string]any, out map[string]any, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("objects are nested deeper than %d", maxDepth)
	}
	for k, x := range v {
		name := k
		if prefix != "" {
			name = prefix + "." + k
		}
		if m, ok := x.(map[string]any); ok {
			if err := flatten(name, m, out, depth+1); err != nil {
				return err
			}
			continue
		}
		if name == "" || len(name) > maxNameBytes {
			return fmt.Errorf("a name has %d bytes; 1 to %d are allowed", len(name), maxNameBytes)
		}
		out[name] = x
	}
	return nil
}
