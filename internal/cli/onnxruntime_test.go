package cli

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-ml/assay/internal/assaytest"
)

// TestServeONNXRuntime takes a model that Assay's own evaluator refuses through registration, evaluation, check, prediction, plan and
// serving; its evidence names what evaluated it, and another engine does not answer for it.
func TestServeONNXRuntime(t *testing.T) {
	library := os.Getenv("ASSAY_TEST_ONNXRUNTIME")
	if library == "" {
		t.Skip("set ASSAY_TEST_ONNXRUNTIME to the shared library of ONNX Runtime")
	}
	t.Parallel()
	m, dir := registered(t)
	run := func(want int, args ...string) (out, errs string) {
		t.Helper()
		out, errs, exit := command(m, dir, args...)
		if exit != want {
			t.Fatalf("%v: exit status %d, want %d\n%s%s", args, exit, want, out, errs)
		}
		return out, errs
	}
	model := filepath.Join(assaytest.Root(), "testdata", "onnxruntime", "columns.onnx")
	if _, errs := run(1, "register", model); !strings.Contains(errs, `node "score" (Einsum): equation "...f,f->..." of 2 inputs is not supported`) || !strings.Contains(errs, "--onnxruntime FILE") {
		t.Error(errs)
	}
	run(0, "--onnxruntime", library, "register", model)
	run(1, "eval", "people:2")
	if err := os.Symlink(library, filepath.Join(dir, "library.so")); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, ProjectFile))
	if err != nil {
		t.Fatal(err)
	}
	// The flag wins over the file, and a process has one library, so the file names the same one here.
	if err := os.WriteFile(filepath.Join(dir, ProjectFile), append(b, "serve: {onnxruntime: "+library+"}\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	engine := func(kind string) string {
		t.Helper()
		out, _ := run(0, "--json", "evidence", "list", "--kind", kind)
		var list struct {
			Evidence []struct {
				ID string `json:"id"`
			} `json:"evidence"`
		}
		if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Evidence) == 0 {
			t.Fatalf("%v\n%s", err, out)
		}
		out, _ = run(0, "--json", "evidence", "show", list.Evidence[0].ID)
		_, engine, _ := strings.Cut(out, `"engine": "`)
		engine, _, _ = strings.Cut(engine, `"`)
		return engine
	}
	run(0, "eval", "people:2")
	evaluated := engine("evaluation")
	if !strings.HasPrefix(evaluated, "onnxruntime 1.") {
		t.Errorf("evaluated by %q", evaluated)
	}
	run(0, "serve", "check", "people:2")
	if checked := engine("serving"); checked != evaluated {
		t.Errorf("checked by %q, evaluated by %q", checked, evaluated)
	}
	run(0, "monitor", "plan", "people:2")
	if out, errs, exit := command(m, dir, "monitor", "replay", "--model", "people:2", "--by", "day", "days.csv"); exit == 1 || exit == 2 {
		t.Fatalf("%d %s%s", exit, out, errs)
	}
	if watched := engine("drift"); watched != evaluated {
		t.Errorf("replayed by %q, evaluated by %q", watched, evaluated)
	}
	// The project's own model was evaluated by Assay: another engine alone makes it be evaluated again, and the same one does not.
	for _, x := range []struct{ args, says string }{{"make", "what evaluates the model changed"}, {"make", "eval      up to date"}, {"--onnxruntime none make", "what evaluates the model changed"}} {
		if out, _ := run(0, strings.Fields(x.args)...); !strings.Contains(out, x.says) {
			t.Errorf("%s: %s", x.args, out)
		}
	}
	run(0, "predict", "--model", "people:2", "-o", "theirs.csv", "people.csv")
	// A model that both know is answered alike by both.
	run(0, "predict", "--model", "people:1", "-o", "one.csv", "people.csv")
	run(0, "--onnxruntime", "none", "predict", "--model", "people:1", "-o", "other.csv", "people.csv")
	one, other := readScores(t, filepath.Join(dir, "one.csv")), readScores(t, filepath.Join(dir, "other.csv"))
	tol := assaytest.Tolerance{Rel: 1e-5, Abs: 1e-6}
	if len(one) != 600 || len(other) != len(one) {
		t.Fatalf("%d and %d predictions", len(one), len(other))
	}
	for i := range one {
		if !tol.Near(one[i], other[i]) {
			t.Errorf("row %d: %v by ONNX Runtime, %v by Assay", i, one[i], other[i])
			break
		}
	}
	_, url := serving(t, dir, "--model", "people:2")
	r, err := http.Post(url+"/invocations", "application/json", strings.NewReader(`{"dataframe_records": [{"age": 72, "hours": 24}]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(r.Body)
	// 1/(1+exp(-(0.03*72-0.05*24+0.2)))
	if r.StatusCode != http.StatusOK || !strings.Contains(string(body), `"prediction":"yes"`) && !strings.Contains(string(body), `"prediction": "yes"`) || !strings.Contains(string(body), "0.761") {
		t.Errorf("%d %s", r.StatusCode, body)
	}
	meta, err := http.Get(url + "/v2/models/people")
	if err != nil {
		t.Fatal(err)
	}
	defer meta.Body.Close()
	if body, _ = io.ReadAll(meta.Body); !strings.Contains(string(body), `"platform":"onnxruntime_onnx"`) {
		t.Errorf("%s", body)
	}
	if _, errs := run(3, "--onnxruntime", "none", "serve", "--model", "people:2", "--listen", "127.0.0.1:0"); !strings.Contains(errs, `was checked with the engine "`+evaluated+`", and "assay" would answer now`) {
		t.Error(errs)
	}
}

// readScores reads the last column of a file of predictions.
func readScores(t *testing.T, path string) []float64 {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []float64
	for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n")[1:] {
		var v float64
		if err := json.Unmarshal([]byte(line[strings.LastIndex(line, ",")+1:]), &v); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		out = append(out, v)
	}
	return out
}
