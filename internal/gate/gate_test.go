package gate

import (
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
)

func record(t testing.TB, kind assay.Kind, payload any) assay.Record {
	t.Helper()
	b, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	return assay.Record{ID: assay.DigestOf(b), Evidence: assay.Evidence{Kind: kind, Version: 1, Payload: b}}
}

// complete returns facts that pass every rule of the default policy that staging requires.
func complete(t testing.TB) *Facts {
	t.Helper()
	f := NewFacts(assay.DigestOf([]byte("model")), assay.DigestOf([]byte("data")))
	set := func(name string, p any, extra map[string]any) {
		if err := f.Set(name, record(t, assay.Kind(name), p), extra); err != nil {
			t.Fatal(err)
		}
	}
	gain := assay.Estimate{Value: 0.4, Lo: 0.39, Hi: 0.41, Level: 0.95, Method: "delong", N: 100}
	split := assay.Split{By: "stratified"}
	set("snapshot", assay.Snapshot{Name: "d"}, nil)
	set("datasheet", assay.Datasheet{Complete: true, Missing: []string{}}, nil)
	set("validation", assay.Validation{Rows: 100, Verdict: assay.Pass}, nil)
	set("split", split, nil)
	set("run", assay.Run{Status: "finished", Spec: assay.RunSpec{Config: "sha256:00"}, Params: map[string]string{}, Outputs: []assay.File{{Name: "model.onnx"}},
		Metrics: map[string]assay.Number{"loss": 1}, Environment: assay.Environment{Platform: "linux/amd64"}, Score: 1}, map[string]any{"code_captured": true, "saw_sealed_rows": false})
	set("model", assay.Model{Format: "onnx"}, nil)
	set("disclosure", assay.Disclosure{Read: 1, Level: 0.95}, nil)
	set("evaluation", assay.Evaluation{Final: true, Split: f.ids["split"][0], Primary: "roc_auc_score", Baseline: "prior",
		Business: &assay.Metric{Name: "cost", Estimate: gain}, Slices: []assay.Slice{{Name: "SEX = 1"}},
		Metrics: []assay.Metric{{Name: "roc_auc_score", Estimate: gain, Gain: gain, Verdict: gain.Above(0)}}}, nil)
	set("comparison", assay.Comparison{Name: "prior", Primary: "roc_auc_score", Verdict: assay.Pass,
		Metrics: []assay.MetricDifference{{Name: "roc_auc_score", Difference: gain}}}, map[string]any{"current": true})
	set("card", assay.Card{Complete: true, Missing: []string{}}, map[string]any{"stale": false})
	return f
}

func judge(t testing.TB, p Policy, stage assay.Stage, f *Facts) assay.Judgement {
	t.Helper()
	j, err := Judge(p, stage, f)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func rule(j assay.Judgement, id string) assay.RuleResult {
	for _, r := range j.Rules {
		if r.ID == id {
			return r
		}
	}
	return assay.RuleResult{}
}

func TestDefaultPolicy(t *testing.T) {
	j := judge(t, Default(), assay.StageStaging, complete(t))
	for _, r := range j.Rules {
		if r.Required && r.Verdict != assay.Pass {
			t.Errorf("rule %s: %s (%s)", r.ID, r.Verdict, r.Reason)
		}
	}
	if j.Verdict != assay.Pass {
		t.Errorf("staging: %s", j.Verdict)
	}
	if got := judge(t, Default(), assay.StageProduction, complete(t)); got.Verdict != assay.Undetermined {
		t.Errorf("production without serving and monitoring evidence: %s, want undetermined", got.Verdict)
	}
}

// TestEachRuleCloses removes or spoils the evidence of one rule at a time: the gate must not open, and the rule must say why.
func TestEachRuleCloses(t *testing.T) {
	nan := assay.Undefined("one class", 10)
	straddles := assay.Estimate{Value: 0.001, Lo: -0.01, Hi: 0.012, Level: 0.95, Method: "delong", N: 10}
	cases := []struct {
		name, rule string
		spoil      func(*Facts)
		want       assay.Verdict
		reason     string
	}{
		{"no snapshot", "data", func(f *Facts) { delete(f.values, "snapshot") }, assay.Undetermined, "no evidence of snapshot"},
		{"datasheet incomplete", "data", func(f *Facts) {
			_ = f.Set("datasheet", record(t, "datasheet", assay.Datasheet{Missing: []string{"licence"}}), nil)
		}, assay.Fail, "lacks licence"},
		{"validation failed", "data", func(f *Facts) {
			_ = f.Set("validation", record(t, "validation", assay.Validation{Rows: 3, Verdict: assay.Fail}), nil)
		}, assay.Fail, "fail"},
		{"validation undetermined", "data", func(f *Facts) {
			_ = f.Set("validation", record(t, "validation", assay.Validation{Verdict: assay.Undetermined}), nil)
		}, assay.Undetermined, "undetermined"},
		{"sealed rows seen", "experiment", func(f *Facts) { f.values["run"].(map[string]any)["saw_sealed_rows"] = true }, assay.Fail, "sealed test set"},
		{"code unknown", "experiment", func(f *Facts) { f.values["run"].(map[string]any)["code_captured"] = false }, assay.Fail, "code"},
		{"metric undefined", "evaluation", func(f *Facts) { setMetric(t, f, nan) }, assay.Fail, "read 1"},
		{"gain undefined", "baseline", func(f *Facts) { setMetric(t, f, nan) }, assay.Undetermined, "undefined"},
		{"gain straddles", "baseline", func(f *Facts) { setMetric(t, f, straddles) }, assay.Undetermined, "gains"},
		{"another split", "evaluation", func(f *Facts) { f.values["evaluation"].(map[string]any)["split"] = "sha256:11" }, assay.Fail, ""},
		{"production moved", "comparison", func(f *Facts) { f.values["comparison"].(map[string]any)["current"] = false }, assay.Fail, "not what is in production"},
		{"card stale", "card", func(f *Facts) { f.values["card"].(map[string]any)["stale"] = true }, assay.Fail, "stale"},
		{"no primary metric", "baseline", func(f *Facts) { f.values["evaluation"].(map[string]any)["primary"] = "f1_score" }, assay.Undetermined, "does not answer"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := complete(t)
			c.spoil(f)
			j := judge(t, Default(), assay.StageStaging, f)
			r := rule(j, c.rule)
			if r.Verdict != c.want || !strings.Contains(r.Reason, c.reason) {
				t.Errorf("rule %s: %s (%q), want %s (%q)", c.rule, r.Verdict, r.Reason, c.want, c.reason)
			}
			if j.Verdict == assay.Pass {
				t.Error("the gate opened")
			}
			if r.Hint == "" {
				t.Error("no hint")
			}
		})
	}
}

func setMetric(t *testing.T, f *Facts, e assay.Estimate) {
	t.Helper()
	split := f.ids["split"][0]
	if err := f.Set("evaluation", record(t, "evaluation", assay.Evaluation{Final: true, Split: split, Primary: "roc_auc_score", Business: &assay.Metric{},
		Slices: []assay.Slice{{}}, Metrics: []assay.Metric{{Name: "roc_auc_score", Estimate: e, Gain: e, Verdict: e.Above(0)}}}), nil); err != nil {
		t.Fatal(err)
	}
}

func TestWaiver(t *testing.T) {
	f := complete(t)
	delete(f.values, "card")
	f.Waivers["card"] = record(t, assay.KindWaiver, assay.Waiver{Rule: "card", By: "Ada", Reason: "pilot"})
	j := judge(t, Default(), assay.StageStaging, f)
	r := rule(j, "card")
	if j.Verdict != assay.Pass || r.Verdict != assay.Undetermined || r.Waived == "" {
		t.Errorf("verdict %s, rule %s, waived %q", j.Verdict, r.Verdict, r.Waived)
	}
	f.Waivers = map[string]assay.Record{"data": f.Waivers["card"]}
	if j := judge(t, Default(), assay.StageStaging, f); j.Verdict == assay.Pass || rule(j, "data").Waived != "" {
		t.Error("a waiver of another rule opened the gate, or a rule that passes was marked as waived")
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"", "name is empty"},
		{"name: p\nrules: []\n", "rules is empty"},
		{"name: p\nrulez: []\n", "rulez"},
		{"name: p\nstages: {staging: [a], production: [b]}\nrules: [{id: a, title: A, require: 'true'}]", `rule "b", which does not exist`},
		{"name: p\nstages: {staging: [a], production: [a]}\nrules: [{id: a, title: A, require: '1 +'}]", "Syntax error"},
		{"name: p\nstages: {staging: [a], production: [a]}\nrules: [{id: a, title: A, require: '1 + 2'}]", "gives a int"},
		{"name: p\nstages: {staging: [a], production: [a]}\nrules: [{id: a, title: A, require: 'secrets.x'}]", "undeclared reference"},
		{"name: p\nstages: {staging: [a], production: [a]}\nrules: [{id: a, title: A, needs: [modle], require: 'true'}]", `needs "modle"`},
		{"name: p\nstages: {prod: [a]}\nrules: [{id: a, title: A, require: 'true'}, {id: a, title: B, require: 'true'}]", "used twice"},
	} {
		_, err := Parse([]byte(c.src))
		if assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.src, err, c.want)
		}
	}
}

func TestExpressionCost(t *testing.T) {
	f := complete(t)
	long := strings.Repeat("[1,2,3,4,5,6,7,8,9].all(a, ", 12) + "true" + strings.Repeat(")", 12)
	res := f.apply(Rule{ID: "x", Title: "x", Require: long})
	if res.Verdict != assay.Undetermined || !strings.Contains(res.Reason, "cost") {
		t.Errorf("%s: %s", res.Verdict, res.Reason)
	}
}

// TestOnlyPassOpens: whatever the rules answer, the verdict is pass only when every required rule passes or is waived.
func TestOnlyPassOpens(t *testing.T) {
	words := []string{"pass", "fail", "undetermined"}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 6).Draw(t, "rules")
		p := Policy{Name: "p", Stages: map[assay.Stage][]string{assay.StageStaging: {}, assay.StageProduction: {}}}
		f := NewFacts("m", "d")
		open := true
		required := 0
		for i := range n {
			id := string(rune('a' + i))
			w := rapid.SampledFrom(words).Draw(t, "verdict")
			p.Rules = append(p.Rules, Rule{ID: id, Title: id, Require: `"` + w + `"`})
			need, waived := rapid.Bool().Draw(t, "required"), rapid.Bool().Draw(t, "waived")
			if waived {
				f.Waivers[id] = assay.Record{ID: "w"}
			}
			if need {
				required++
				p.Stages[assay.StageStaging] = append(p.Stages[assay.StageStaging], id)
				open = open && (w == "pass" || waived)
			}
		}
		j, err := Judge(p, assay.StageStaging, f)
		if err != nil {
			t.Fatal(err)
		}
		if want := open && required > 0; (j.Verdict == assay.Pass) != want {
			t.Fatalf("verdict %s, want open %v", j.Verdict, want)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(string(DefaultSource()))
	f.Add("name: p\nstages: {staging: [a], production: [a]}\nrules: [{id: a, title: A, require: 'true'}]")
	f.Fuzz(func(t *testing.T, src string) {
		p, err := Parse([]byte(src))
		if err != nil {
			if assay.CodeOf(err) != assay.Invalid {
				t.Fatalf("code %s: %v", assay.CodeOf(err), err)
			}
			return
		}
		if _, err := Judge(p, assay.StageStaging, NewFacts("m", "d")); err != nil {
			t.Fatal(err)
		}
	})
}
