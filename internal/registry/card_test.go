package registry

import (
	"bytes"
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

func id(s string) assay.Digest { return assay.DigestOf([]byte(s)) }

func fact[T any](name string, v T) *Fact[T] { return &Fact[T]{id(name), v} }

// full is the dossier of a version that has everything.
func full() *Dossier {
	e := func(v, w float64) assay.Estimate {
		return assay.Estimate{Value: v, Lo: v - w, Hi: v + w, Level: 0.95, Method: "bca", N: 2000}
	}
	auc := assay.Metric{Name: "roc_auc_score", Definition: "roc_auc_score@sklearn>=1.6", Higher: true, Estimate: e(0.871, 0.005), Baseline: assay.Point(0.5, "", 2000), Gain: e(0.371, 0.005), Verdict: assay.Pass}
	gain := e(-0.05, 0.02)
	return &Dossier{
		Name: "employment", Version: 3, Digest: id("file"),
		Model: Fact[assay.Model]{id("model"), assay.Model{
			Format: "onnx", Learner: "gradient_boosting", Task: assay.Binary, Target: "employed",
			Inputs: []assay.Field{{Name: "AGEP", Type: assay.TypeInteger}}, Classes: []string{"0", "1"}, Positive: "1", Data: id("data"), Split: id("split"), Run: id("run"),
		}},
		Snapshot:   fact("snapshot", assay.Snapshot{Name: "employment", Content: id("data"), Rows: 10000, Fields: make([]assay.Field, 17)}),
		Datasheet:  fact("datasheet", assay.Datasheet{Fields: map[string]string{"sources": "a survey", "licence": "public domain"}, Missing: []string{}, Complete: true}),
		Validation: fact("validation", assay.Validation{Boundary: "data", Rows: 10000, Constraints: 60, Verdict: assay.Pass}),
		Split: fact("split", assay.Split{
			By: "stratified", Seed: 7, Sealed: "test", Parts: []assay.Part{{Name: "train", Rows: 6000}, {Name: "validation", Rows: 2000}, {Name: "test", Rows: 2000}},
			Alike:    []assay.Alike{{Split: id("older"), Rows: 1240, By: "counts", Reason: "another survey"}, {Split: id("oldest"), Rows: 2000, Sealed: true, By: "cells"}},
			Findings: []assay.Leakage{{Check: "key", Verdict: assay.Pass, Message: "no key is on two sides"}},
		}),
		Run: fact("run", assay.Run{
			Spec:   assay.RunSpec{Command: []string{"assay", "train", "gradient_boosting"}, Seed: 7, Code: assay.Source{Commit: "0.1.0"}},
			Params: map[string]string{"trees": "100", "increasing": ""}, Score: 0.9, Missing: []string{"dirty_tree"}, Environment: assay.Environment{Platform: "linux/amd64"},
		}),
		Disclosure: fact("disclosure", assay.Disclosure{Read: 2, Level: 0.975, Reason: "the first candidate failed"}),
		Evaluation: fact("evaluation", assay.Evaluation{
			Data: id("data"), Part: "test", Count: 2000, Final: true, Read: 2, Level: 0.975, Primary: "roc_auc_score", Baseline: "prior",
			Metrics:   []assay.Metric{auc, {Name: "f1_score", Definition: "f1_score@sklearn>=1.8", Estimate: assay.Undefined("one class", 2000), Baseline: assay.Undefined("", 0), Gain: assay.Undefined("", 0), Verdict: assay.Undetermined}},
			Business:  &assay.Metric{Name: "cost_per_1000", Definition: "business: fp / n", Estimate: e(431, 20), Baseline: e(2000, 50), Gain: e(1569, 60), Verdict: assay.Pass},
			SliceRule: "baseline", SliceMargin: 0.01,
			Slices: []assay.Slice{
				{Name: "SEX = 1", Count: 1500, Gain: &gain, Metrics: []assay.SliceMetric{{Name: "roc_auc_score", Estimate: e(0.86, 0.01), Gap: e(-0.02, 0.01)}}, Verdict: assay.Fail},
				{Name: "SEX = missing", Count: 3, Verdict: assay.Undetermined},
			},
			Fairness: []assay.Disparity{{Column: "SEX", Name: "demographic_parity_difference", Estimate: e(0.1, 0.02), Low: "2", High: "1", Left: []string{"missing"}}},
		}),
		Comparison: fact("comparison", assay.Comparison{
			Name: "employment:1", Count: 2000, Primary: "roc_auc_score", Margin: 0.01, Verdict: assay.Pass,
			Metrics: []assay.MetricDifference{{Name: "roc_auc_score", Candidate: e(0.871, 0.005), Reference: e(0.866, 0.005), Difference: e(0.005, 0.002), Test: "delong", Verdict: assay.Pass}},
		}),
		Waivers: []Fact[assay.Waiver]{{id("waiver"), assay.Waiver{Name: "employment", Version: 3, Rule: "monitoring", Stage: assay.StageProduction, By: "Ada Lovelace", Reason: "a pilot of two weeks"}}},
		Say: Statements{
			Description: "Predicts who is at work.\n\nA second paragraph.", Licence: "Apache-2.0", Owners: "people team", Contact: "people@example.org", IntendedUse: "Research.",
			OutOfScope: "Decisions about persons.", Limitations: "One state, one year.", OutOfDist: "Unknown codes count as missing.", Ethics: "Groups differ.", Users: "Researchers.", Tradeoffs: "Recall before precision.",
		},
	}
}

func write(t testing.TB, d *Dossier) (string, assay.Card) {
	t.Helper()
	doc, card, err := WriteCard(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(doc), card
}

func TestCardGoldens(t *testing.T) {
	doc, card := write(t, full())
	assaytest.Golden(t, "card.md", []byte(doc))
	if card.Document != assay.DigestOf([]byte(doc)) || !card.Complete || len(card.Missing) != 0 || card.Name != "employment" || card.Version != 3 {
		t.Errorf("card %+v", card)
	}
	for name, form := range map[string]func(*Dossier) ([]byte, error){
		"card.json": WriteJSON, "card.mct.json": WriteToolkit, "card.eval_results.yaml": WriteEvalResults, "card.annex-iv.md": WriteAnnexIV,
	} {
		b, err := form(full())
		if err != nil {
			t.Fatal(err)
		}
		assaytest.Golden(t, name, b)
		again, err := form(full())
		if err != nil || !bytes.Equal(b, again) {
			t.Errorf("%s: other bytes the second time (%v)", name, err)
		}
	}
	empty := &Dossier{Name: "new", Version: 1, Digest: id("file"), Model: Fact[assay.Model]{ID: id("model"), Value: assay.Model{Task: assay.Regression, Target: "y"}}}
	doc, card = write(t, empty)
	assaytest.Golden(t, "card-empty.md", []byte(doc))
	if card.Complete {
		t.Error("a card without anything is complete")
	}
}

// TestEveryRowCites holds every table row of the Markdown against its rule: the last cell is an evidence id that the list at the end
// spells out, or assay.yaml.
func TestEveryRowCites(t *testing.T) {
	doc, card := write(t, full())
	body, list, ok := strings.Cut(doc, "## Evidence")
	if !ok {
		t.Fatal("no list of evidence")
	}
	for _, s := range card.Sources {
		if !strings.Contains(list, string(s)) {
			t.Errorf("the list lacks %s", s)
		}
	}
	rows := 0
	_, body, _ = strings.Cut(body, "---\n\n")
	for _, l := range strings.Split(body, "\n") {
		if !strings.HasPrefix(l, "|") || strings.HasSuffix(l, " evidence |") || strings.HasPrefix(l, "|-") {
			continue
		}
		rows++
		cells := strings.Split(strings.TrimSuffix(l, " |"), " | ")
		last := strings.Trim(cells[len(cells)-1], "`")
		if last != "assay.yaml" && !slices.ContainsFunc(card.Sources, func(d assay.Digest) bool { return d.Short() == last }) {
			t.Errorf("no evidence in %q", l)
		}
	}
	if rows < 30 {
		t.Errorf("only %d rows", rows)
	}
}

func TestFrontMatter(t *testing.T) {
	doc, _ := write(t, full())
	parts := strings.SplitN(doc, "---\n", 3)
	if parts[0] != "" {
		t.Fatal("the card does not begin with its front matter")
	}
	var front struct {
		License string
		Index   []struct {
			Name    string
			Results []struct {
				Task    struct{ Type string }
				Dataset struct{ Type, Name, Split, Revision string }
				Metrics []struct {
					Type  string
					Value float64
					Args  map[string]any
				}
			}
		} `yaml:"model-index"`
	}
	if err := yaml.Unmarshal([]byte(parts[1]), &front); err != nil {
		t.Fatal(err)
	}
	r := front.Index[0].Results[0]
	if front.License != "apache-2.0" || r.Task.Type != "tabular-classification" || r.Dataset.Split != "test" || r.Dataset.Revision != string(id("data")) {
		t.Errorf("front matter %+v", front)
	}
	if len(r.Metrics) != 2 || r.Metrics[0].Type != "roc_auc" || r.Metrics[0].Value != 0.871 || r.Metrics[0].Args["evidence"] != string(id("evaluation")) {
		t.Errorf("metrics %+v: the undefined one must be left out", r.Metrics)
	}
	if strings.Contains(parts[1], "verif") {
		t.Error("the front matter claims a verification that only the Hub gives")
	}
	d := full()
	d.Say.Licence = "Our: own terms\n---\nverified: true"
	doc, _ = write(t, d)
	parts = strings.SplitN(doc, "---\n", 3)
	var hostile map[string]any
	if err := yaml.Unmarshal([]byte(parts[1]), &hostile); err != nil {
		t.Fatal(err)
	}
	if hostile["license"] != "other" || hostile["verified"] != nil || hostile["license_name"] != "Our: own terms --- verified: true" {
		t.Errorf("front matter %v", hostile)
	}
}

// hostile are texts that would do something if they were not escaped.
var hostile = []string{
	"<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[click](javascript:alert(1))", "![x](http://evil/x.png)", "a | b | c", "\n\n# heading\n\n- list", "`code` ``more``",
	"---\nverified: true\n---", "**bold** _it_ ~~no~~", "&lt;b&gt;", "\x00\x1b[31m", "1. one", "> quote", "[x]: http://evil", "\\", "$x$", "<!-- comment", "![[x]]", "[value]: http://evil",
}

func TestHostileText(t *testing.T) {
	for name, h := range assaytest.HostileTexts() {
		d := full()
		d.Say = Statements{h, h, h, h, h, h, h, h, h, h, h}
		d.Datasheet.Value.Fields = map[string]string{h: h}
		d.Evaluation.Value.Slices[0].Name, d.Run.Value.Params = h, map[string]string{h: h}
		d.Waivers[0].Value.By, d.Waivers[0].Value.Reason = h, h
		doc, _ := write(t, d)
		for line := range strings.Lines(doc) {
			assaytest.Harmless(t, name+" in a card", line[:min(len(line), 60_000)])
		}
	}
	for _, h := range hostile {
		d := full()
		d.Name = "m"
		d.Say = Statements{h, h, h, h, h, h, h, h, h, h, h}
		d.Datasheet.Value.Fields = map[string]string{h: h}
		d.Model.Value.Target, d.Model.Value.Classes, d.Model.Value.Learner = h, []string{h, h}, h
		d.Run.Value.Spec.Command = []string{h, h}
		d.Run.Value.Params = map[string]string{h: h}
		d.Evaluation.Value.Slices[0].Name = h
		d.Evaluation.Value.Metrics[0].Definition = h
		d.Evaluation.Value.Business.Name = h
		d.Comparison.Value.Name = h
		d.Waivers[0].Value.By, d.Waivers[0].Value.Reason = h, h
		doc, _ := write(t, d)
		_, body, _ := strings.Cut(doc[4:], "---\n\n# m") // after the front matter
		if body == "" {
			t.Fatalf("%q: the front matter has no end", h)
		}
		plain := regexp.MustCompile(`\\[!-~]`).ReplaceAllString(body, "")                   // what is escaped does nothing
		plain = regexp.MustCompile("(`+)[^`]?.*?[^`]?(`+)").ReplaceAllString(plain, "CODE") // nor does what is in a code span
		for _, bad := range []string{"<script", "<img", "<!--", "](", "\n# heading", "\n- list", "\n1. one", "\n> quote", "**bold", "\x00", "\x1b", "\n[value]:", "\n[x]:"} {
			if strings.Contains(plain, bad) && bad != "**bold" || strings.Contains(plain, "**bold") {
				t.Errorf("%q leaves %q in the card", h, bad)
			}
		}
		for _, l := range strings.Split(body, "\n") {
			if !strings.HasPrefix(l, "|") || strings.HasPrefix(l, "|-") {
				continue
			}
			if got := len(regexp.MustCompile(`(?:^|[^\\])(?:\\\\)*\|`).FindAllString(l, -1)); got < 3 || got > 9 {
				t.Errorf("%q changes the cells of %q", h, l)
			}
		}
		for _, form := range []func(*Dossier) ([]byte, error){WriteJSON, WriteToolkit} {
			b, err := form(d)
			if err != nil || !json.Valid(b) {
				t.Errorf("%q: JSON %v", h, err)
			}
		}
	}
}

// TestEscapeReadsBack: what escape writes reads as the words that went in, when backslashes and entities are taken away.
func TestEscapeReadsBack(t *testing.T) {
	back := strings.NewReplacer("&lt;", "<", "&amp;", "&")
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching("[a-z0-9_ *<>&#|.()`~+=!$\\[\\]-]{0,40}").Draw(t, "text")
		if got := back.Replace(strings.ReplaceAll(escape(s), "\\", "")); got != line(s) {
			t.Fatalf("%q became %q", s, got)
		}
	})
}

func TestMissing(t *testing.T) {
	for want, spoil := range map[string]func(*Dossier){
		"card.description":            func(d *Dossier) { d.Say.Description = "  " },
		"card.intended_use":           func(d *Dossier) { d.Say.IntendedUse = "TODO: ask" },
		"card.limitations":            func(d *Dossier) { d.Say.Limitations = "…" },
		"card.out_of_distribution":    func(d *Dossier) { d.Say.OutOfDist = "tbd" },
		"card.ethical_considerations": func(d *Dossier) { d.Say.Ethics = "?" },
		"card.licence":                func(d *Dossier) { d.Say.Licence = "" },
		"snapshot":                    func(d *Dossier) { d.Snapshot = nil },
		"datasheet":                   func(d *Dossier) { d.Datasheet.Value.Complete = false },
		"split":                       func(d *Dossier) { d.Split = nil },
		"run":                         func(d *Dossier) { d.Run = nil },
		"final evaluation":            func(d *Dossier) { d.Evaluation = nil },
		"comparison":                  func(d *Dossier) { d.Comparison = nil },
	} {
		d := full()
		spoil(d)
		doc, card := write(t, d)
		if card.Complete || !slices.Equal(card.Missing, []string{want}) {
			t.Errorf("%s: missing %q", want, card.Missing)
		}
		if !strings.Contains(doc, "lacks "+want) {
			t.Errorf("%s: the card does not say so", want)
		}
	}
}

// TestOperation: what stands around a serving model is on the card, with its evidence; a new test-fire makes no card stale.
func TestOperation(t *testing.T) {
	d := full()
	d.Serving = &Fact[assay.Serving]{id("serving"), assay.Serving{Input: assay.Contract{Columns: 16}, Output: assay.Contract{Columns: 2}, OnInvalid: "reject", OnOutlier: "flag", Smoke: make([]assay.Smoke, 6), Verdict: assay.Pass}}
	d.Monitor = &Fact[assay.Monitor]{id("monitor"), assay.Monitor{
		Windows: assay.WindowPlan{By: "time"}, Budget: assay.AlarmBudget{FalseAlarmsPerYear: 4}, Signals: make([]assay.SignalPlan, 40),
		References: []assay.Reference{{Name: "features", Part: "train", Rows: 6000}}, Alerts: []assay.AlertPlan{{Name: "performance", Severity: "critical", Steps: make([]assay.Escalation, 2)}},
	}}
	d.TestFire = &Fact[assay.TestFire]{id("fired"), assay.TestFire{}}
	doc, card := write(t, d)
	for _, want := range []string{
		"## Operation", "| answers are checked against | a schema of 2 columns | `" + id("serving").Short() + "` |", "| 6 smoke predictions | ● pass |",
		"| watched by | 40 signals over windows by time, 4 false alarms a year allowed | `" + id("monitor").Short() + "` |", "| reference of features | 6,000 rows of the train part |",
		"| alert performance, critical | 2 steps of escalation |", string(id("monitor")),
	} {
		if !strings.Contains(doc, want) {
			t.Errorf("the card lacks %q", want)
		}
	}
	if got := Stale(card, full()); len(got) != 2 {
		t.Errorf("%q", got)
	}
	d.TestFire.ID = id("fired again")
	if got := Stale(card, d); len(got) != 0 {
		t.Errorf("%q", got)
	}
	d.Monitor.ID = id("another plan")
	if got := Stale(card, d); len(got) != 2 {
		t.Errorf("%q", got)
	}
}

func TestStale(t *testing.T) {
	_, card := write(t, full())
	if got := Stale(card, full()); len(got) != 0 {
		t.Errorf("a new card is stale: %q", got)
	}
	for want, change := range map[string]func(*Dossier){
		"it does not know evaluation": func(d *Dossier) { d.Evaluation.ID = id("another") },
		"it does not know waiver":     func(d *Dossier) { d.Waivers = append(d.Waivers, Fact[assay.Waiver]{ID: id("w2")}) },
		"which no longer counts":      func(d *Dossier) { d.Comparison = nil },
		"reads otherwise":             func(d *Dossier) { d.Say.Limitations += "!" },
	} {
		d := full()
		change(d)
		if got := Stale(card, d); !strings.Contains(strings.Join(got, "; "), want) {
			t.Errorf("stale %q, want %q", got, want)
		}
	}
}

func TestUndefinedFigures(t *testing.T) {
	d := full()
	d.Evaluation.Value.Metrics[0].Estimate = assay.Estimate{Value: math.Inf(1), Lo: math.NaN(), Hi: math.NaN()}
	doc, _ := write(t, d)
	if !strings.Contains(doc, "| roc_auc_score | undefined |") {
		t.Error("an infinite figure is not shown as undefined")
	}
	b, err := WriteToolkit(d)
	if err != nil || bytes.Contains(b, []byte(`"type": "roc_auc_score",
        "value": "+Inf"`)) {
		t.Errorf("the toolkit's card holds an infinite figure (%v)", err)
	}
}
