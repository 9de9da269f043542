//go:build unix

package cli

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/assay-ml/assay/internal/assaytest"
)

// TestThreshold evaluates with a threshold that is not the usual one: what is served, predicted and planned for is decided by it, and a version that
// answers by another one is not promoted.
func TestThreshold(t *testing.T) {
	t.Parallel()
	const cut = 0.2
	m, dir := &stageManager{clock: assaytest.Clock()}, t.TempDir()
	if err := copyFolder("testdata/people", dir); err != nil {
		t.Fatal(err)
	}
	run := func(exit int, args ...string) string { t.Helper(); return do(t, m, dir, exit, args...) }
	decide := func(p float64) string {
		if p >= cut {
			return "yes"
		}
		return "no"
	}
	run(0, "make", "train")
	run(0, "register")
	first := run(0, "serve", "check") // nothing was evaluated: the settings say the usual threshold
	if strings.Contains(first, "from a probability") {
		t.Error(first)
	}
	path := filepath.Join(dir, "assay.yaml")
	settings, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	settings = bytes.Replace(settings, []byte("\nevaluate:\n"), []byte("\nevaluate:\n  threshold: 0.2\n"), 1)
	if err := os.WriteFile(path, append(settings, "monitor: {window: 200 rows, rows_per_day: 200, min_rows: 50, persistence: 1, labels: {join: [id]}}\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	run(0, "eval", "people:1")
	if told := run(3, "serve", "--model", "people:1", "--listen", "127.0.0.1:0"); !strings.Contains(told, "was evaluated with a threshold of 0.2, and its checks know of none") {
		t.Error(told)
	}
	run(0, "eval", "people:1", "--final")
	if told := run(3, "gate", "explain", "--to", "production"); !strings.Contains(told, "it answers by a threshold of 0.5, and was evaluated by one of 0.2") {
		t.Error(told)
	}
	if told := run(0, "serve", "check"); !strings.Contains(told, "from a probability of 0.2 on, as it was evaluated") {
		t.Error(told)
	}
	if told := run(3, "gate", "explain", "--to", "production"); strings.Contains(told, "it answers by a threshold") || !strings.Contains(told, "9 of 9 smoke predictions passed") {
		t.Error(told)
	}

	if told := run(0, "predict", "people.csv", "--model", "people:1"); !strings.Contains(told, "a row is yes from a probability of 0.2 on") {
		t.Error(told)
	}
	f, err := os.Open(filepath.Join(dir, "predictions.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	offline, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	between := 0
	want := map[string]float64{}
	for _, r := range offline[1:] { // id, prediction, probability_no, probability_yes
		p, err := strconv.ParseFloat(r[3], 64)
		if err != nil || r[1] != decide(p) {
			t.Fatalf("%v: want %s (%v)", r, decide(p), err)
		}
		if want[r[0]] = p; p >= cut && p < 0.5 {
			between++
		}
	}
	if between < 20 {
		t.Fatalf("only %d rows tell the thresholds apart", between)
	}

	_, url := serving(t, dir, "--model", "people:1")
	post := func(path, body string) []byte {
		t.Helper()
		r, err := http.Post(url+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != http.StatusOK {
			t.Fatalf("%s: status %d: %s (%v)", path, r.StatusCode, b, err)
		}
		return b
	}
	people, err := os.ReadFile(filepath.Join(dir, "people.csv"))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(people)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var records []string
	for _, r := range rows[1:201] {
		var fields []string
		for j, name := range rows[0] {
			switch {
			case name == "churned":
			case name == "id" || name == "sex" || name == "region":
				fields = append(fields, fmt.Sprintf("%q: %q", name, r[j]))
			case r[j] == "":
				fields = append(fields, fmt.Sprintf("%q: null", name))
			default:
				fields = append(fields, fmt.Sprintf("%q: %s", name, r[j]))
			}
		}
		records = append(records, "{"+strings.Join(fields, ", ")+"}")
	}
	type answer struct {
		Prediction string
		Yes        float64 `json:"probability_yes"`
	}
	var invoked struct{ Predictions []answer }
	if err := json.Unmarshal(post("/invocations", `{"dataframe_records": [`+strings.Join(records, ", ")+`]}`), &invoked); err != nil {
		t.Fatal(err)
	}
	for i, p := range invoked.Predictions {
		if id := rows[i+1][0]; p.Prediction != decide(p.Yes) || p.Yes != want[id] {
			t.Errorf("row %s: answered %+v, %v offline", id, p, want[id])
		}
	}
	var v1 struct{ Predictions []string }
	if err := json.Unmarshal(post("/v1/models/people:predict", `{"instances": [`+strings.Join(records, ", ")+`]}`), &v1); err != nil {
		t.Fatal(err)
	}
	for i, p := range v1.Predictions {
		if p != invoked.Predictions[i].Prediction {
			t.Errorf("row %d: V1 answers %s, /invocations %s", i, p, invoked.Predictions[i].Prediction)
		}
	}
	get := func(path string) string {
		t.Helper()
		r, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if told := get("/v2/models/people"); !strings.Contains(told, `"positive":"yes"`) || !strings.Contains(told, `"threshold":"0.2"`) {
		t.Error(told)
	}
	if told := get("/v2/models/people/openapi.json"); !strings.Contains(told, "A row is yes from a probability of 0.2 on.") {
		t.Error(told)
	}

	// The plan's figures and its reference of predictions are of the same decision.
	var plan struct {
		Plan struct{ Threshold float64 }
	}
	if err := json.Unmarshal([]byte(run(0, "--json", "monitor", "plan", "people:1")), &plan); err != nil || plan.Plan.Threshold != cut {
		t.Errorf("the plan decides by %v: %v", plan.Plan.Threshold, err)
	}
	if told := run(0, "monitor", "replay", "people.csv"); !strings.Contains(told, "0 of 3 windows moved") {
		t.Error(told)
	}
}
