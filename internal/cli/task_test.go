package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// taskProject is the folder of a project with the data and the predictions of testdata/oracle/task.
func taskProject(t *testing.T, file string) (m *stageManager, dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := copyFolder(filepath.Join(assaytest.Root(), "testdata", "oracle", "task"), dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ProjectFile), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	return &stageManager{clock: assaytest.Clock()}, dir
}

// evaluationOf evaluates a file by the command line.
func evaluationOf(t *testing.T, m *stageManager, dir, file string) assay.Evaluation {
	t.Helper()
	out, errs, exit := command(m, dir, "--json", "eval", file)
	var doc struct{ Evaluation assay.Evaluation }
	if err := json.Unmarshal([]byte(out), &doc); exit != 0 || err != nil {
		t.Fatalf("exit status %d, %v\n%s", exit, err, errs)
	}
	return doc.Evaluation
}

func taskOracle(t *testing.T) (want map[string]map[string]json.RawMessage, tol assaytest.Tolerance) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(assaytest.Root(), "testdata", "oracle", "task", "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var head struct {
		Header struct{ Tolerance assaytest.Tolerance }
	}
	if err := json.Unmarshal(b, &head); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	return want, head.Header.Tolerance
}

func peer(t *testing.T, raw json.RawMessage) float64 {
	t.Helper()
	var v float64
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func metricsAsked(want map[string]json.RawMessage) string {
	var names []string
	for name := range want {
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// TestMultilabelIsThePeers holds every figure of an evaluated file of predictions, all labels and each, against scikit-learn's.
func TestMultilabelIsThePeers(t *testing.T) {
	t.Parallel()
	want, tol := taskOracle(t)
	m, dir := taskProject(t, "project: articles\ndata:\n  uri: articles.csv\n  key: id\n  target: {columns: [news, sport, tech, arts], task: multilabel}\nsplit: {by: predefined, column: part}\nevaluate: {replicates: 200, metrics: ["+
		metricsAsked(want["articles_good"])+"]}\n")
	if _, errs, exit := command(m, dir, "split"); exit != 0 {
		t.Fatal(errs)
	}
	for _, name := range []string{"articles_good", "articles_weak"} {
		e := evaluationOf(t, m, dir, name+".csv")
		if len(e.Metrics) != len(want[name]) || e.Count != 161 {
			t.Errorf("%s: %d metrics of %d rows", name, len(e.Metrics), e.Count)
		}
		for _, got := range e.Metrics {
			if w := peer(t, want[name][got.Name]); !tol.Near(got.Estimate.Value, w) {
				t.Errorf("%s: %s is %v, not %v", name, got.Name, got.Estimate.Value, w)
			}
			if v := got.Estimate; !v.HasInterval() || !(v.Lo <= v.Value && v.Value <= v.Hi) {
				t.Errorf("%s: %s has the interval %v", name, got.Name, v)
			}
		}
		if len(e.Labels) != 4 {
			t.Fatalf("%s: %d labels", name, len(e.Labels))
		}
		for _, l := range e.Labels {
			var of map[string]float64
			if err := json.Unmarshal(want[name+"_labels"][l.Name], &of); err != nil || len(of) != len(l.Metrics) {
				t.Fatalf("%s: %v, %d metrics", l.Name, err, len(l.Metrics))
			}
			for _, got := range l.Metrics {
				if !tol.Near(got.Estimate.Value, of[got.Name]) {
					t.Errorf("%s, %s: %s is %v, not %v", name, l.Name, got.Name, got.Estimate.Value, of[got.Name])
				}
			}
		}
	}
}

// TestRankingIsThePeers does the same for rankings, whose queries scikit-learn scored one by one, and for their baselines.
func TestRankingIsThePeers(t *testing.T) {
	t.Parallel()
	want, tol := taskOracle(t)
	loose := assaytest.Tolerance{Rel: 1e-9, Abs: 1e-12} // of differences
	for baseline, base := range map[string]string{"constant": "searches_constant", "'rule: bm25'": "searches_rule"} {
		m, dir := taskProject(t, "project: searches\ndata:\n  uri: searches.csv\n  key: id\n  target: {column: relevance, task: ranking, query: query}\nsplit: {by: predefined, column: part}\nevaluate: {baseline: "+
			baseline+", metrics: ["+metricsAsked(want[base])+"]}\n")
		if _, errs, exit := command(m, dir, "split"); exit != 0 {
			t.Fatal(errs)
		}
		for _, name := range []string{"searches_good", "searches_weak"} {
			out, errs, exit := command(m, dir, "--json", "eval", name+".csv")
			var doc struct{ Evaluation assay.Evaluation }
			if err := json.Unmarshal([]byte(out), &doc); err != nil || exit != 0 && exit != 3 {
				t.Fatal(err, errs)
			}
			e := doc.Evaluation
			if q := e.Queries; q == nil || e.Count != int64(peer(t, want["queries"]["count"])) || q.Documents != int64(peer(t, want["queries"]["documents"])) || q.Barren != int64(peer(t, want["queries"]["without_relevant"])) {
				t.Errorf("%d queries: %+v", e.Count, q)
			}
			if len(e.Metrics) != len(want[base]) {
				t.Errorf("%s: %d metrics", name, len(e.Metrics))
			}
			for _, got := range e.Metrics {
				model, first := peer(t, want[name][got.Name]), peer(t, want[base][got.Name])
				if !tol.Near(got.Estimate.Value, model) || !tol.Near(got.Baseline.Value, first) || !loose.Near(got.Gain.Value, model-first) {
					t.Errorf("%s: %s is %v over %v (gain %v), not %v over %v", name, got.Name, got.Estimate.Value, got.Baseline.Value, got.Gain.Value, model, first)
				}
			}
		}
	}
}

// TestMultilabelONNX evaluates models with a probability for each label, as one output of four columns and as four outputs, and refuses to
// serve or to watch them: nothing there knows of several labels a row.
func TestMultilabelONNX(t *testing.T) {
	t.Parallel()
	want, _ := taskOracle(t)
	near := assaytest.Tolerance{Abs: 1e-6}
	m, dir := taskProject(t, "project: articles\ndata:\n  uri: articles.csv\n  key: id\n  exclude: [section, author]\n  target: {columns: [news, sport, tech, arts], task: multilabel}\nsplit: {by: predefined, column: part}\nevaluate: {metrics: ["+
		metricsAsked(want["articles_onnx"])+"]}\n")
	run := func(exit int, args ...string) string {
		t.Helper()
		out, errs, got := command(m, dir, args...)
		if got != exit {
			t.Fatalf("%v: exit status %d, want %d\n%s%s", args, got, exit, out, errs)
		}
		return errs
	}
	run(0, "split")
	for _, name := range []string{"articles_one.onnx", "articles_four.onnx"} {
		e := evaluationOf(t, m, dir, name)
		if len(e.Metrics) != 4 || len(e.Labels) != 4 {
			t.Errorf("%s: %d metrics, %d labels", name, len(e.Metrics), len(e.Labels))
		}
		for _, got := range e.Metrics {
			if w := peer(t, want["articles_onnx"][got.Name]); !near.Near(got.Estimate.Value, w) {
				t.Errorf("%s: %s is %v, not %v", name, got.Name, got.Estimate.Value, w)
			}
		}
	}
	run(0, "compare", "articles_four.onnx", "--with", "articles_one.onnx")
	run(0, "register", "articles_four.onnx")
	if errs := run(1, "serve", "check"); !strings.Contains(errs, "no server is for a multilabel task") {
		t.Error(errs)
	}
	if errs := run(1, "monitor", "plan"); !strings.Contains(errs, "no monitor is for a multilabel task") {
		t.Error(errs)
	}
	run(0, "predict", "--out", "answers.csv", "articles.csv")
	b, err := os.ReadFile(filepath.Join(dir, "answers.csv"))
	if err != nil || !strings.HasPrefix(string(b), "id,probability_news,probability_sport,probability_tech,probability_arts\n") {
		t.Errorf("%v, %.100s", err, b)
	}
	// What predict writes is what eval takes.
	again := evaluationOf(t, m, dir, "answers.csv")
	for i, got := range again.Metrics {
		if w := peer(t, want["articles_onnx"][got.Name]); !near.Near(got.Estimate.Value, w) {
			t.Errorf("answers: %s is %v, not %v (%d)", got.Name, got.Estimate.Value, w, i)
		}
	}
	// Labels of another order or number are not guessed.
	yaml, err := os.ReadFile(filepath.Join(dir, ProjectFile))
	if err != nil {
		t.Fatal(err)
	}
	fewer := strings.Replace(string(yaml), "columns: [news, sport, tech, arts]", "columns: [news, sport, tech]", 1)
	if err := os.WriteFile(filepath.Join(dir, ProjectFile), []byte(strings.Replace(fewer, "author]", "author, arts]", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, ".assay")); err != nil {
		t.Fatal(err)
	}
	run(0, "split")
	if errs := run(2, "eval", "articles_one.onnx"); !strings.Contains(errs, "none of the model's outputs (probabilities [?,4]) is the probabilities of the labels news, sport, tech") {
		t.Error(errs)
	}
}
