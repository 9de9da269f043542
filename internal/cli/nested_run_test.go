//go:build unix

package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay/internal/assaytest"
)

// nestedProject is a project whose rows have a list, bytes, an object, a map and anything, as JSON Lines spell them, and the model of
// testdata/mlflow/nested, which takes them. A number of its map is whole or not as it comes.
func nestedProject(t *testing.T, interpreter string) string {
	t.Helper()
	dir := t.TempDir()
	var rows strings.Builder
	for i := range 400 {
		n, optional, list, more, base64 := i*7%10, "", "[]", "{}", ""
		if i%3 == 0 {
			optional = `,"s":"x"`
		}
		sum := 0.0
		if i%4 > 0 {
			list, sum = fmt.Sprintf("[%d.5,%d.25]", i*37%997, i%3), float64(i*37%997)+0.75+float64(i%3)
		}
		if i%2 == 0 {
			more, sum = fmt.Sprintf(`{"p":0.5,"q%d":%d}`, i%3, i), sum+0.5+float64(i)
			base64, sum = "aGVsbG8=", sum+50
		}
		anything := []string{"1", `"x"`, `{"k":null}`, "null", "true", "[2.5]"}[i%6]
		fmt.Fprintf(&rows, `{"id":"o%d","a":%s,"b":"%s","o":{"n":%d%s},"m":%s,"y":%s,"amount":%v}`+"\n", i, list, base64, n, optional, more, anything, 10+100*float64(n)+sum+float64(i*7919%601-300))
	}
	model := filepath.Join(dir, "model")
	if err := os.CopyFS(model, os.DirFS(filepath.Join(assaytest.Root(), "testdata", "mlflow", "nested"))); err != nil {
		t.Fatal(err)
	}
	mlmodel := filepath.Join(model, "MLmodel")
	b, err := os.ReadFile(mlmodel)
	const last = `"name": "m", "required": true}]`
	if err != nil || !strings.Contains(string(b), last) {
		t.Fatalf("the signature does not end with %s: %v", last, err)
	}
	if err := os.WriteFile(mlmodel, []byte(strings.Replace(string(b), last, `"name": "m", "required": true}, {"type": "any", "name": "y", "required": false}]`, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	project := `project: orders
data: {uri: orders.jsonl, key: id, target: {column: amount, task: regression}}
schema: schema.json
split: {by: random, validation: 0.2, test: 0.3, seed: 7}
evaluate: {metrics: [root_mean_squared_error], primary: root_mean_squared_error, baseline: mean, replicates: 200, seed: 7}
serve: {python: {interpreter: ` + interpreter + `, workers: 1}}
monitor: {window: 1d, min_rows: 50, persistence: 1, labels: {join: [id]}}
`
	for name, text := range map[string]string{"orders.jsonl": rows.String(), ProjectFile: project} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestNestedProject takes a model of nested columns through a whole project: data, registration, evaluation, check, serving by Python workers over every
// protocol, the log, labels, a plan and a replay.
func TestNestedProject(t *testing.T) {
	interpreter := os.Getenv("ASSAY_PYTHON")
	if os.Getenv("ASSAY_TEST_FULL") == "" || interpreter == "" {
		t.Skip("set ASSAY_TEST_FULL and ASSAY_PYTHON, a Python that has mlflow and pandas")
	}
	t.Parallel()
	dir := nestedProject(t, interpreter)
	m := &stageManager{clock: assaytest.Clock()}
	run := func(want int, args ...string) string {
		t.Helper()
		out, errs, exit := command(m, dir, args...)
		if exit != want {
			t.Fatalf("%v: exit status %d, want %d\n%s%s", args, exit, want, out, errs)
		}
		return out + errs
	}
	run(0, "schema", "infer", "-o", "schema.json")
	run(0, "split")
	if out := run(2, "register", "model"); !strings.Contains(out, `the data has as text what is to the model "binary" for "b", "json" for "y"`) || !strings.Contains(out, "Try: say so in schema.json") {
		t.Error(out)
	}
	spell(t, filepath.Join(dir, "schema.json"), map[string]string{"b": "binary", "y": "json"})
	for _, args := range []string{"snapshot", "check", "split", "register model", "eval orders:1"} {
		run(0, strings.Fields(args)...)
	}
	out := run(0, "serve", "check")
	for _, line := range []string{"input schema", "(5 columns", "held_out: 64 rows answered as offline (largest relative difference 0)", "missing_value: 1 rows refused"} {
		if !strings.Contains(out, line) {
			t.Errorf("no %q: %s", line, out)
		}
	}
	c, url := serving(t, dir, "--model", "orders:1")
	// 1.5 + 2 + 100·3 + 0.25, and the parameters: 7 + 1 + 2 where none are given.
	const row = `"a": [1.5, 2.0], "b": "", "o": {"n": 3, "s": "x"}, "m": {"p": 0.25}, "y": {"z": [null]}`
	tensors := `{"name":"a","shape":[1],"datatype":"BYTES","data":["[1.5,2.0]"]},{"name":"b","shape":[1],"datatype":"BYTES","data":["aGk="],"parameters":{"content_type":"base64"}},{"name":"o","shape":[1],"datatype":"BYTES","data":["{\"n\":3}"]},{"name":"m","shape":[1],"datatype":"BYTES","data":["{\"p\":0.25}"]}`
	for _, x := range []struct {
		path, body string
		status     int
		says       string
	}{
		{"/invocations", `{"dataframe_records": [{"id": "k1", ` + row + `}, {"id": "k2", "a": [], "b": "aGVsbG8=", "o": {"n": 0}, "m": {"p": 5}}]}`, 200, `[313.75, 65]`},
		{"/invocations", `{"dataframe_records": [{"id": "k3", ` + row + `}], "params": {"k": 1000}}`, 200, `[1306.75]`},
		{"/v1/models/orders:predict", `{"instances": [[[1.5, 2.0], "", {"n": 3}, {"p": 0.25}, 7]], "parameters": {"k": -1, "seeds": [], "id": "k4"}}`, 200, `[302.75]`},
		{"/v2/models/orders/infer", `{"parameters": {"k": -1, "seeds": [4, 5]}, "inputs": [{"name":"id","shape":[1],"datatype":"BYTES","data":["k5"]},` + tensors + `]}`, 200, `"data":[331.75]`},
		{"/v2/models/orders/infer", `{"inputs": [` + strings.Replace(tensors, `\"n\":3`, `\"n\":\"secret\"`, 1) + `]}`, 400, "row 0: o must be a whole number at .n"},
		{"/v2/models/orders/infer", `{"inputs": [` + strings.Replace(tensors, "[1.5,2.0]", "[1.5", 1) + `]}`, 400, "row 0: a must be of type json"},
		{"/invocations", `{"dataframe_records": [{"a": [], "b": "secret!", "o": {"n": 3}, "m": {}}]}`, 400, "row 0: b must be of type binary"},
		{"/invocations", `{"dataframe_records": [{"a": [], "b": "", "o": {"n": 3}, "m": null}]}`, 400, "row 0: m must have a value"},
		{"/invocations", `{"dataframe_records": [{"a": [1.5, "secret"], "b": "", "o": {"n": 3}, "m": {}}]}`, 400, "row 0: a must be a number at [1]"},
		{"/invocations", `{"dataframe_records": [{` + row + `}], "params": {"k": "secret"}}`, 400, `\"k\" must be a whole number`},
	} {
		status, answer := asked(t, url+x.path, "application/json", x.body)
		if status != x.status || !strings.Contains(strings.ReplaceAll(answer, " ", ""), strings.ReplaceAll(x.says, " ", "")) || strings.Contains(answer, "secret") {
			t.Errorf("%s %s: %d %s, want %d %s", x.path, x.body, status, answer, x.status, x.says)
		}
	}
	status, answer := asked(t, url+"/labels", "application/json", `{"labels":[{"key":"k1","label":"313"},{"key":"k5","label":"312"}]}`)
	if status != 200 {
		t.Errorf("%d %s", status, answer)
	}
	const query = `SELECT _key, _params, a, o->>'$.n' AS n, CAST(json_array_length(a) AS BIGINT) AS many, m->'$.p' AS p, y FROM log WHERE _outcome = 'answered' ORDER BY _key`
	var doc struct{ Rows [][]any }
	look := func() string {
		out, _, _ := command(m, dir, "--json", "log", "query", query)
		doc.Rows = nil
		_ = json.Unmarshal([]byte(out), &doc)
		return fmt.Sprint(doc.Rows)
	}
	want := `[[k1 <nil> [1.5, 2.0] 3 2 0.25 {"z": [null]}] [k2 <nil> [] 0 0 5 <nil>] [k3 {"k":1000} [1.5, 2.0] 3 2 0.25 {"z": [null]}] [k4 {"k":-1,"seeds":[]} [1.5, 2.0] 3 2 0.25 7] [k5 {"k":-1,"seeds":[4, 5]} [1.5,2.0] 3 2 0.25 <nil>]]`
	until(t, "logged", func() bool { return len(doc.Rows) == 5 || look() == "" })
	if got := look(); got != want {
		t.Errorf("the log holds %s, want %s", got, want)
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // the segment becomes Parquet
	if closed, err := filepath.Glob(filepath.Join(dir, ".assay", "log", "orders", "*.parquet")); err != nil || len(closed) != 1 {
		t.Errorf("segments %v: %v", closed, err)
	}
	if got := look(); got != want {
		t.Errorf("as Parquet the log holds %s, want %s", got, want)
	}
	if out := run(0, "labels", "status"); !strings.Contains(out, "in the log: 5 predictions were answered, 2 of them (40.0 %) have a label") {
		t.Error(out)
	}
	// Inside what is nested nothing is watched, and of bytes nothing at all, and the plan says so; what is around them is watched as ever.
	plan := run(0, "monitor", "plan", "orders:1")
	for _, line := range []string{"nothing inside: a, o, m, y.", "not watched, as they hold bytes, which the log leaves out, or nested values that the data has as text: b\n", "reference of the predictions: 81 rows"} {
		if !strings.Contains(plan, line) {
			t.Errorf("no %q: %s", line, plan)
		}
	}
	m.clock = func() time.Time { return time.Now().Add(48 * time.Hour) }
	if out, errs, exit := command(m, dir, "monitor", "run", "--model", "orders:1"); exit != 3 || !strings.Contains(out, "rows, too few to judge") || !strings.Contains(out, "no traffic") {
		t.Errorf("of few rows nothing can be said, and the day after none came: %d %s%s", exit, out, errs)
	}
	// The rows of the data are as before; that one kind of what may be anything is missing is seen.
	for _, x := range []struct {
		name, cut string
		exit      int
	}{{"same.jsonl", "", 0}, {"lacking.jsonl", `"y":true,`, 3}} {
		b, err := os.ReadFile(filepath.Join(dir, "orders.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		if x.cut != "" {
			b = []byte(strings.ReplaceAll(string(b), x.cut, ""))
		}
		b = bytes.Repeat(b, 10) // enough rows to judge
		if err := os.WriteFile(filepath.Join(dir, x.name), b, 0o644); err != nil {
			t.Fatal(err)
		}
		out, errs, exit := command(m, dir, "monitor", "replay", "--model", "orders:1", "--window", "4000 rows", "--inputs-only", x.name)
		if exit != x.exit {
			t.Errorf("%s: exit status %d, want %d: %s%s", x.name, exit, x.exit, out, errs)
		}
	}
}

// spell writes types of columns into a schema, in place of what it says of their text; one of anything need not be there.
func spell(t *testing.T, path string, types map[string]string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	for _, c := range doc["columns"].([]any) {
		c := c.(map[string]any)
		if typ := types[c["name"].(string)]; typ != "" {
			name := c["name"]
			clear(c)
			c["name"], c["type"], c["optional"] = name, typ, typ == "json"
		}
	}
	if b, err = json.Marshal(doc); err == nil {
		err = os.WriteFile(path, b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
