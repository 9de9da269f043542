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
