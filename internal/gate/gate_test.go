package gate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cel.dev/cel-go/cel"
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

// about is evidence of a kind about something.
func about(t testing.TB, name string, subject assay.Digest, payload any) assay.Record {
	r := record(t, assay.Kind(name), payload)
	r.Subject = subject
	return r
}

// complete returns facts that pass every rule of the default policy that staging requires.
func complete(t testing.TB) *Facts {
	t.Helper()
	model, data := assay.DigestOf([]byte("model")), assay.DigestOf([]byte("data"))
	f := NewFacts(model, data)
	set := func(name string, subject assay.Digest, p any, extra map[string]any) {
		if err := f.Set(name, about(t, name, subject, p), extra); err != nil {
			t.Fatal(err)
		}
	}
	gain := assay.Estimate{Value: 0.4, Lo: 0.39, Hi: 0.41, Level: 0.95, Method: "delong", N: 100}
	rows := assay.DigestOf([]byte("rows"))
	set("snapshot", data, assay.Snapshot{Name: "d", Content: data, Rows: 100}, nil)
	set("datasheet", data, assay.Datasheet{Complete: true, Missing: []string{}}, nil)
	set("validation", data, assay.Validation{Boundary: "data", Rows: 100, Verdict: assay.Pass}, map[string]any{"schema_current": true})
	set("split", data, assay.Split{By: "stratified"}, nil)
	file := assay.File{Name: "model.onnx", Digest: model}
	set("run", "", assay.Run{
		Status: "finished", Spec: assay.RunSpec{Config: "sha256:00", Seed: 7}, Params: map[string]string{"trees": "10"}, Outputs: []assay.File{file},
		Metrics: map[string]assay.Number{"loss": 1}, Unseeded: []string{}, Environment: assay.Environment{Platform: "linux/amd64"}, Score: 1,
	},
		map[string]any{"code_captured": true, "saw_sealed_rows": false, "reproduced": false, "raw_data_untouched": "pass"})
	set("model", model, assay.Model{Format: "onnx", Task: assay.Binary, File: file}, nil)
	split := f.ids["split"][0]
	set("disclosure", model, assay.Disclosure{Split: split, Rows: rows, Read: 1, Level: 0.95}, nil)
	set("evaluation", model, assay.Evaluation{
		Final: true, Split: split, Rows: rows, Read: 1, Level: 0.95, Primary: "roc_auc_score", Baseline: "prior",
		Business: &assay.Metric{Name: "cost", Estimate: gain}, Slices: []assay.Slice{{Name: "SEX = 1", Verdict: assay.Pass}},
		Metrics: []assay.Metric{{Name: "roc_auc_score", Estimate: gain, Gain: gain, Verdict: gain.Above(0)}},
	}, nil)
	set("comparison", model, assay.Comparison{
		Name: "prior", Split: split, Rows: rows, Primary: "roc_auc_score", Verdict: assay.Pass,
		Metrics: []assay.MetricDifference{{Name: "roc_auc_score", Difference: gain}},
	}, map[string]any{"current": true, "margin_current": true})
	set("card", model, assay.Card{Complete: true, Missing: []string{}}, map[string]any{"stale": false})
	return f
}

// serves adds what production requires besides: bound checks, and a plan whose alerts were test-fired.
func serves(t testing.TB, f *Facts) *Facts {
	t.Helper()
	set := func(name string, p any) {
		if err := f.Set(name, about(t, name, f.Model, p), nil); err != nil {
			t.Fatal(err)
		}
	}
	f.values["model"].(map[string]any)["data"] = string(f.Data)
	schema, document := assay.DigestOf([]byte("schema")), assay.DigestOf([]byte("document"))
	set("serving", assay.Serving{
		Data: f.Data, Input: assay.Contract{Schema: schema, Document: document, Columns: 3}, Output: assay.Contract{Schema: schema, Document: document, Columns: 1},
		Smoke:    []assay.Smoke{{Name: "held_out", Expect: "answer", Verdict: assay.Pass}, {Name: "wrong_type", Expect: "refusal", Verdict: assay.Pass}},
		Problems: []string{}, Verdict: assay.Pass,
	})
	set("monitor", assay.Monitor{
		Data: f.Data, Budget: assay.AlarmBudget{FalseAlarmsPerYear: 4}, Signals: []assay.SignalPlan{{Scope: "input", Column: "age", Test: "ks"}},
		References: []assay.Reference{{Name: "features", Rows: 60, Document: document}, {Name: "predictions", Rows: 20, Document: document}},
		Alerts:     []assay.AlertPlan{{Name: "performance", Steps: []assay.Escalation{{To: []string{"team"}}, {AfterSeconds: 1800, To: []string{"lead"}}}}},
	})
	set("test_fire", assay.TestFire{
		Monitor: f.ids["monitor"][0], Challenge: "c1", Unproven: []string{}, Verdict: assay.Pass,
		Deliveries: []assay.Delivery{{Alert: "performance", Step: 1, Channel: "team", Accepted: true}, {Alert: "performance", Step: 2, Channel: "lead", Accepted: true}},
	})
	return f
}

// Slices of the first format were held against all other rows, which says how hard they are: they close no gate. Nor do slices with too
// few rows to say.
func TestSlicesThatDecideNothing(t *testing.T) {
	for _, spoil := range []func(e, c map[string]any){
		func(e, _ map[string]any) { e["slices"] = []any{map[string]any{"name": "age 65+", "verdict": "fail"}} },
		func(e, c map[string]any) {
			e["slice_rule"] = "baseline"
			e["slices"] = []any{map[string]any{"name": "age 65+", "verdict": "undetermined"}}
			c["slices"] = e["slices"]
		},
	} {
		f := complete(t)
		spoil(f.values["evaluation"].(map[string]any), f.values["comparison"].(map[string]any))
		j := judge(t, Default(), assay.StageStaging, f)
		for _, id := range []string{"evaluation", "comparison"} {
			if r := rule(j, id); r.Verdict != assay.Pass {
				t.Errorf("%s is %s: %s", id, r.Verdict, r.Reason)
			}
		}
	}
}

func language(t testing.TB) *cel.Env {
	t.Helper()
	env, err := environment()
	if err != nil {
		t.Fatal(err)
	}
	return env
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
	got := judge(t, Default(), assay.StageProduction, serves(t, complete(t)))
	for _, r := range got.Rules {
		if r.Verdict != assay.Pass {
			t.Errorf("rule %s: %s (%s)", r.ID, r.Verdict, r.Reason)
		}
	}
	if got.Verdict != assay.Pass {
		t.Errorf("production: %s", got.Verdict)
	}
	for id, want := range map[string]string{
		"serving":    "2 of 2 smoke predictions passed; input schema of 3 columns, output schema of 1",
		"monitoring": "1 signal, 4 false alarms a year allowed, 1 alert, 2 of 2 test messages accepted",
	} {
		if r := rule(got, id); r.Reason != want {
			t.Errorf("rule %s: %q, want %q", id, r.Reason, want)
		}
	}
}

// TestEachRuleCloses removes or spoils the evidence of one rule at a time: the gate must not open, and the rule must say why.
func TestEachRuleCloses(t *testing.T) {
	nan := assay.Undefined("one class", 10)
	worse := assay.Estimate{Value: -0.3, Lo: -0.35, Hi: -0.25, Level: 0.95, Method: "delong", N: 10}
	straddles := assay.Estimate{Value: 0.001, Lo: -0.01, Hi: 0.012, Level: 0.95, Method: "delong", N: 10}
	at := func(f *Facts, name string) map[string]any { return f.values[name].(map[string]any) }
	put := func(name, key string, v any) func(*Facts) {
		return func(f *Facts) { at(f, name)[key] = v }
	}
	within := func(name, inner, key string, v any) func(*Facts) {
		return func(f *Facts) { at(f, name)[inner].(map[string]any)[key] = v }
	}
	gone := func(name string) func(*Facts) { return func(f *Facts) { delete(f.values, name) } }
	metric := func(e assay.Estimate) func(*Facts) {
		return func(f *Facts) {
			b := record(t, "", assay.Metric{Name: "roc_auc_score", Estimate: e, Gain: e, Verdict: e.Above(0)})
			m, err := payload(b)
			if err != nil {
				t.Fatal(err)
			}
			at(f, "evaluation")["metrics"] = []any{m}
		}
	}
	cases := []struct {
		name, rule string
		spoil      func(*Facts)
		want       assay.Verdict
		reason     string
	}{
		{"no snapshot", "data", gone("snapshot"), assay.Undetermined, "no evidence of snapshot"},
		{"snapshot of other data", "data", put("snapshot", "content", "sha256:99"), assay.Fail, ""},
		{"datasheet incomplete", "data", func(f *Facts) {
			at(f, "datasheet")["complete"] = false
			at(f, "datasheet")["missing"] = []any{"licence"}
		}, assay.Fail, "lacks licence"},
		{"validation failed", "data", put("validation", "verdict", "fail"), assay.Fail, "fail"},
		{"validation undetermined", "data", put("validation", "verdict", "undetermined"), assay.Undetermined, "undetermined"},
		{"validation by an older schema", "data", put("validation", "schema_current", false), assay.Undetermined, "another schema"},
		{"validation of predictions", "data", put("validation", "boundary", "predictions"), assay.Fail, ""},
		{"sealed rows seen", "experiment", func(f *Facts) { at(f, "run")["saw_sealed_rows"] = true; at(f, "run")["sealed_rows"] = 7.0 }, assay.Fail, "7 rows of the sealed test set"},
		{"raw data opened", "experiment", func(f *Facts) {
			at(f, "run")["raw_data_untouched"] = "fail"
			at(f, "run")["raw_data"] = map[string]any{"opened": []any{"d.csv"}}
		}, assay.Fail, "d.csv was opened while the command ran, and holds the labels of the sealed test set: read the files that ASSAY_TRAIN"},
		{"run failed", "experiment", put("run", "status", "failed"), assay.Fail, "the run failed"},
		{"no params", "experiment", put("run", "params", map[string]any{}), assay.Fail, "no parameter"},
		{"no metrics", "experiment", put("run", "metrics", map[string]any{}), assay.Fail, "no metric"},
		{"another artifact", "experiment", put("run", "outputs", []any{map[string]any{"digest": "sha256:99"}}), assay.Fail, "not among the outputs"},
		{"unseeded generator", "experiment", put("run", "unseeded", []any{"torch"}), assay.Fail, "without a seed: torch"},
		{"no config", "experiment", func(f *Facts) { at(f, "run")["spec"].(map[string]any)["config"] = "" }, assay.Fail, "configuration"},
		{"code unknown", "experiment", put("run", "code_captured", false), assay.Fail, "code"},
		{"environment unknown", "experiment", func(f *Facts) { at(f, "run")["environment"].(map[string]any)["platform"] = "" }, assay.Fail, "environment"},
		{"split unknown", "experiment", gone("split"), assay.Undetermined, "no evidence of split"},
		{"metric undefined", "evaluation", metric(nan), assay.Undetermined, "(roc_auc_score undefined)"},
		{"metric without interval", "evaluation", metric(assay.Point(0.8, "", 10)), assay.Undetermined, "undefined"},
		{"no business metric", "evaluation", func(f *Facts) { delete(at(f, "evaluation"), "business") }, assay.Undetermined, "no business metric"},
		{"no slices", "evaluation", put("evaluation", "slices", []any{}), assay.Undetermined, "no slices"},
		{"a slice worse than the baseline", "evaluation", func(f *Facts) {
			at(f, "evaluation")["slice_rule"] = "baseline"
			at(f, "evaluation")["slices"] = []any{map[string]any{"name": "age 65+", "verdict": "fail"}, map[string]any{"name": "age 18-64", "verdict": "pass"}}
		}, assay.Fail, "2 slices, worse on age 65+"},
		{"not final", "evaluation", put("evaluation", "final", false), assay.Fail, ""},
		{"another split", "evaluation", put("evaluation", "split", "sha256:11"), assay.Fail, "another split"},
		{"not the read that was disclosed", "evaluation", put("disclosure", "read", 2.0), assay.Fail, "ledger"},
		{"a better level than the budget gives", "evaluation", put("evaluation", "level", 0.5), assay.Fail, "ledger"},
		{"a level that shows little", "evaluation", func(f *Facts) {
			at(f, "evaluation")["level"], at(f, "disclosure")["level"] = 0.89, 0.89
		}, assay.Undetermined, "at level 0.89 (too low a level"},
		{"other rows than were disclosed", "evaluation", put("disclosure", "rows", "sha256:11"), assay.Fail, "ledger"},
		{"gain undefined", "baseline", metric(nan), assay.Undetermined, "undefined"},
		{"gain straddles", "baseline", metric(straddles), assay.Undetermined, "gains 0.001"},
		{"gain straddles and the verdict lies", "baseline", func(f *Facts) {
			metric(straddles)(f)
			at(f, "evaluation")["metrics"].([]any)[0].(map[string]any)["verdict"] = "pass"
		}, assay.Undetermined, "gains 0.001"},
		{"worse than the baseline", "baseline", metric(worse), assay.Fail, "gains -0.3"},
		{"no primary metric", "baseline", put("evaluation", "primary", "f1_score"), assay.Undetermined, "f1_score was not evaluated"},
		{"production moved", "comparison", put("comparison", "current", false), assay.Undetermined, "not what it would replace"},
		{"another margin", "comparison", put("comparison", "margin_current", false), assay.Undetermined, "gate.margin"},
		{"compared on validation rows", "comparison", put("comparison", "rows", "sha256:11"), assay.Undetermined, "other rows"},
		{"compared on another metric", "comparison", put("comparison", "primary", "f1_score"), assay.Undetermined, "f1_score"},
		{"inferior", "comparison", put("comparison", "verdict", "fail"), assay.Fail, "differs by"},
		{"inferior on a slice", "comparison", put("comparison", "slices", []any{map[string]any{"name": "age 65+", "verdict": "fail"}}), assay.Fail, "worse on age 65+"},
		{"inferiority open", "comparison", put("comparison", "verdict", "undetermined"), assay.Undetermined, "differs by"},
		{"no card", "card", gone("card"), assay.Undetermined, "no evidence of card"},
		{"card stale", "card", put("card", "stale", true), assay.Fail, "stale"},
		{"not served", "serving", gone("serving"), assay.Undetermined, "no evidence of serving"},
		{"checks of another model", "serving", put("serving", "subject", "sha256:11"), assay.Fail, "another model"},
		{"checks for other data", "serving", put("serving", "data", "sha256:11"), assay.Fail, "another model"},
		{"no input schema", "serving", within("serving", "input", "schema", ""), assay.Fail, "before the model"},
		{"output schema not kept", "serving", within("serving", "output", "document", ""), assay.Fail, "behind the model"},
		{"cannot be served", "serving", put("serving", "problems", []any{"operator X is unknown"}), assay.Fail, "operator X"},
		{"no smoke", "serving", put("serving", "smoke", []any{}), assay.Undetermined, "asked for an answer"},
		{"no refusal tried", "serving", func(f *Facts) {
			at(f, "serving")["smoke"] = at(f, "serving")["smoke"].([]any)[:1]
		}, assay.Undetermined, "asked for a refusal"},
		{"a broken request was answered", "serving", func(f *Facts) {
			at(f, "serving")["smoke"].([]any)[1].(map[string]any)["verdict"] = "fail"
		}, assay.Fail, "1 of 2 smoke predictions passed: not wrong_type"},
		{"smoke undetermined", "serving", put("serving", "verdict", "undetermined"), assay.Undetermined, ""},
		{"no plan", "monitoring", gone("monitor"), assay.Undetermined, "no evidence of monitor"},
		{"never test-fired", "monitoring", gone("test_fire"), assay.Undetermined, "no evidence of test_fire"},
		{"plan of another model", "monitoring", put("monitor", "subject", "sha256:11"), assay.Fail, "another model"},
		{"nothing tested", "monitoring", put("monitor", "signals", []any{}), assay.Fail, "tests nothing"},
		{"no reference of predictions", "monitoring", func(f *Facts) {
			at(f, "monitor")["references"] = at(f, "monitor")["references"].([]any)[:1]
		}, assay.Fail, "no reference of the predictions"},
		{"reference of no rows", "monitoring", func(f *Facts) {
			at(f, "monitor")["references"].([]any)[0].(map[string]any)["rows"] = 0.0
		}, assay.Fail, "no reference of the features"},
		{"no alert", "monitoring", put("monitor", "alerts", []any{}), assay.Fail, "reaches nobody"},
		{"a step to nobody", "monitoring", func(f *Facts) {
			at(f, "monitor")["alerts"].([]any)[0].(map[string]any)["steps"].([]any)[1].(map[string]any)["to"] = []any{}
		}, assay.Fail, "reaches nobody"},
		{"no escalation", "monitoring", func(f *Facts) {
			a := at(f, "monitor")["alerts"].([]any)[0].(map[string]any)
			a["steps"] = a["steps"].([]any)[:1]
		}, assay.Fail, "no alert escalates"},
		{"another plan was test-fired", "monitoring", put("test_fire", "monitor", "sha256:11"), assay.Undetermined, "another plan"},
		{"a receiver refused", "monitoring", func(f *Facts) {
			at(f, "test_fire")["verdict"] = "fail"
			at(f, "test_fire")["unproven"] = []any{"step 2 of performance"}
		}, assay.Fail, "not proven: step 2 of performance"},
		{"nothing was sent", "monitoring", put("test_fire", "deliveries", []any{}), assay.Undetermined, "0 of 0"},
		{"card incomplete", "card", func(f *Facts) { at(f, "card")["complete"] = false; at(f, "card")["missing"] = []any{"card.licence"} }, assay.Fail, "lacks card.licence"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := serves(t, complete(t))
			c.spoil(f)
			j := judge(t, Default(), assay.StageProduction, f)
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

// TestHintOfAFailure holds that a comparison which was made and says no is not answered with: make it.
func TestHintOfAFailure(t *testing.T) {
	f := complete(t)
	f.values["comparison"].(map[string]any)["verdict"] = "fail"
	if r := rule(judge(t, Default(), assay.StageStaging, f), "comparison"); r.Hint != "a version that is worse should not ship; improve it, then assay eval --final and assay compare" {
		t.Errorf("the hint of a failed comparison is %q", r.Hint)
	}
	f.values["comparison"].(map[string]any)["current"] = false
	f.values["comparison"].(map[string]any)["verdict"] = "pass"
	f.values["validation"].(map[string]any)["rows"] = 68785.0
	j := judge(t, Default(), assay.StageStaging, f)
	if r := rule(j, "comparison"); r.Verdict != assay.Undetermined || r.Hint != "assay compare" {
		t.Errorf("a comparison that is out of date is %s, with the hint %q", r.Verdict, r.Hint)
	}
	if r := rule(j, "data"); r.Verdict != assay.Pass || !strings.Contains(r.Reason, "validation of 68,785 rows") {
		t.Errorf("the rule data is %s: %s", r.Verdict, r.Reason)
	}
}

// TestLack holds that evidence which does not count is no evidence to any rule, and that the rule says why.
func TestLack(t *testing.T) {
	f := complete(t)
	delete(f.values, "evaluation")
	f.Lack("evaluation", "made with other settings")
	j := judge(t, Default(), assay.StageStaging, f)
	for _, id := range []string{"evaluation", "baseline", "comparison"} {
		if r := rule(j, id); r.Verdict != assay.Undetermined || r.Reason != "no evidence of evaluation (made with other settings)" || !strings.Contains(r.Hint, "assay ") {
			t.Errorf("%s is %s: %s; %s", id, r.Verdict, r.Reason, r.Hint)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"", "name is empty"},
		{"name: p\nrules: []\n", "rules is empty"},
		{"name: p\nrulez: []\n", "rulez"},
		{"name: p\nstages: {staging: [a], production: [b]}\nrules: [{id: a, title: A, require: 'true'}]", `rule "b", which does not exist`},
		{"name: p\nstages: {staging: [a], production: [a]}\nrules: [{id: a, title: A, require: '1 +'}]", `rule "a": require: syntax error at character 4: it ends too early`},
		{"name: p\nstages: {staging: [a], production: [a]}\nrules: [{id: a, title: A, require: '1 + 2'}]", "gives a int"},
		{"name: p\nstages: {staging: [a], production: [a]}\nrules: [{id: a, title: A, require: 'secrets.x'}]", `there is no "secrets" at character 1`},
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
	res := f.apply(&Policy{}, Rule{ID: "x", Title: "x", Require: long})
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

// TestEveryFieldCounts takes one field at a time away from the evidence of a version that passes: whatever is missing, no rule may
// come to pass because of it, and no judgement may be an error.
func TestEveryFieldCounts(t *testing.T) {
	base, policy := complete(t), Default()
	for name, v := range base.values {
		for key := range v.(map[string]any) {
			f := complete(t)
			delete(f.values[name].(map[string]any), key)
			for _, r := range judge(t, policy, assay.StageStaging, f).Rules {
				if r.Reason == "" {
					t.Errorf("without %s.%s rule %s has no reason", name, key, r.ID)
				}
			}
			f = complete(t)
			f.values[name].(map[string]any)[key] = nil
			was := f.values[name]
			if j := judge(t, policy, assay.StageStaging, f); j.Verdict == assay.Pass && decides(name, key) {
				t.Errorf("%s.%s is null and the gate opens: %v", name, key, was)
			}
		}
	}
}

// decides lists the fields that the default policy asks for by name.
func decides(name, key string) bool {
	return slices.Contains([]string{
		"snapshot.content", "datasheet.complete", "datasheet.subject", "validation.subject", "validation.boundary", "validation.verdict", "validation.schema_current",
		"run.status", "run.params", "run.metrics", "run.outputs", "run.unseeded", "run.spec", "run.environment", "run.code_captured", "run.saw_sealed_rows", "run.raw_data_untouched",
		"model.file", "evaluation.final", "evaluation.split", "evaluation.rows", "evaluation.read", "evaluation.level", "evaluation.metrics", "evaluation.business",
		"evaluation.slices", "evaluation.primary", "disclosure.read", "disclosure.level", "disclosure.rows", "disclosure.split", "split.id",
		"comparison.current", "comparison.margin_current", "comparison.rows", "comparison.split", "comparison.primary", "comparison.verdict", "card.complete", "card.stale",
	}, name+"."+key)
}

func TestFunctions(t *testing.T) {
	const e = `{"value": 0.5, "lo": 0.4, "hi": 0.6}`
	for _, c := range []struct{ src, want string }{
		{`above(` + e + `, 0.3)`, "pass"},
		{`above(` + e + `, 0.4)`, "undetermined"},
		{`above(` + e + `, 0.5)`, "undetermined"},
		{`above(` + e + `, 0.6)`, "fail"},
		{`above(` + e + `, 1)`, "fail"},
		{`above({"value": 0.5, "lo": null, "hi": null}, 0)`, "undetermined"},
		{`above({"value": null}, 0)`, "undetermined"},
		{`above("0.5", 0)`, "undetermined"},
		{`above(` + e + `, "x")`, "undetermined"},
		{`verdict([])`, "undetermined"},
		{`verdict([true, "pass"])`, "pass"},
		{`verdict([true, "undetermined"])`, "undetermined"},
		{`verdict([false, "undetermined"])`, "fail"},
		{`estimate(` + e + `) == "0.50 [0.40, 0.60]"`, "pass"},
		{`estimate({}) == "undefined"`, "pass"},
		{`number(0.98333333) == "0.9833" && number(1) == "1" && number(null) == "undefined"`, "pass"},
		{`defined(` + e + `) && !defined({"value": 1.0}) && !defined(null)`, "pass"},
	} {
		prog, err := compile(language(t), c.src, false)
		if err != nil {
			t.Errorf("%s: %v", c.src, err)
			continue
		}
		if got, err := answer(prog, nil, false); err != nil || got != c.want {
			t.Errorf("%s = %q (%v), want %q", c.src, got, err, c.want)
		}
	}
}

func TestNullNeverOpens(t *testing.T) {
	for _, src := range []string{
		`monitor.x > 0.5`, `monitor.x >= 0.0 || false`, `!(monitor.x < 0.5)`, `verdict([monitor.x])`, `monitor.x`, `monitor.absent`, `monitor.x == monitor.x && monitor.x > 0`,
	} {
		f := NewFacts("m", "d")
		if err := f.Set("monitor", record(t, "monitor", map[string]any{"x": nil}), nil); err != nil {
			t.Fatal(err)
		}
		if r := f.apply(&Policy{}, Rule{ID: "r", Title: "r", Needs: []string{"monitor"}, Require: src}); r.Verdict != assay.Undetermined || r.Reason == "" {
			t.Errorf("%s of null: %s (%s)", src, r.Verdict, r.Reason)
		}
	}
}

const teamPolicy = `name: team
stages: {staging: [score], production: [score, who]}
rules:
  - {id: score, title: Good enough, needs: [evaluation], require: "above(evaluation.metrics[0].estimate, 0.8)"}
  - {id: who, title: An owner, needs: [card], require: card.complete}
`

func TestExamples(t *testing.T) {
	p, err := Parse([]byte(teamPolicy))
	if err != nil {
		t.Fatal(err)
	}
	got, err := RunExamples(p, []byte(`
- name: good
  evidence: {evaluation: {metrics: [{estimate: {value: 0.9, lo: 0.85, hi: 0.95}}]}}
  expect: {score: pass, who: undetermined}
  verdict: pass
- name: straddles
  evidence: {evaluation: {metrics: [{estimate: {value: 0.81, lo: 0.75, hi: 0.85}}]}}
  expect: {score: undetermined}
  verdict: undetermined
- name: undefined
  evidence: {evaluation: {metrics: [{estimate: {value: null}}]}}
  expect: {score: undetermined}
- name: waived
  stage: production
  evidence: {evaluation: {metrics: [{estimate: {value: 0.9, lo: 0.85, hi: 0.95}}]}}
  waived: [who]
  verdict: pass
- name: wrong
  evidence: {}
  expect: {score: pass}
  verdict: pass
`))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range got {
		if want := i != 4; r.OK != want {
			t.Errorf("%s: %v (%s)", r.Name, r.OK, r.Message)
		}
	}
	if m := got[4].Message; !strings.Contains(m, "rule score is undetermined (no evidence of evaluation), expected pass") || !strings.Contains(m, "the verdict for staging is undetermined") {
		t.Errorf("message %q", m)
	}
	_, err = RunExamples(p, []byte(`
- {name: a, evidence: {evaluations: {}}, expect: {scor: pass}}
- {name: a, stage: prod, expect: {score: maybe}}
- {evidence: {card: 7}, waived: [x]}
`))
	for _, want := range []string{`no rule can see "evaluations"`, `no rule "scor"`, `used twice`, `no stage "prod"`, `evidence.card is not a map`, `no rule "x"`, `example 3: it expects nothing`} {
		if assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %q", err, want)
		}
	}
	for _, src := range []string{"", "[]", "a: 1", "- {nam: x}"} {
		if _, err := RunExamples(p, []byte(src)); assay.CodeOf(err) != assay.Invalid {
			t.Errorf("%q: %v", src, err)
		}
	}
}

func TestExamplesBesideThePolicy(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "team.yaml")
	p, err := Parse([]byte(teamPolicy))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Test(p, file); err != nil || len(got) != 0 {
		t.Errorf("without examples: %v, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "team.test.yaml"), []byte("- {name: none, expect: {score: undetermined}}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := Test(p, file); err != nil || len(got) != 1 || !got[0].OK {
		t.Errorf("%v, %v", got, err)
	}
}

func TestDigestIgnoresLayout(t *testing.T) {
	a, err := Parse([]byte(teamPolicy))
	if err != nil {
		t.Fatal(err)
	}
	b, err := Parse([]byte("# a comment\n" + strings.ReplaceAll(teamPolicy, "name: team", "name:    team")))
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse([]byte(strings.ReplaceAll(teamPolicy, "0.8", "0.7")))
	if err != nil {
		t.Fatal(err)
	}
	if a.Digest() != b.Digest() || a.Digest() == c.Digest() {
		t.Error("the digest follows the layout, or does not follow the rules")
	}
}

func FuzzExamples(f *testing.F) {
	p, err := Parse([]byte(teamPolicy))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("- {name: none, expect: {score: undetermined}}")
	f.Add("- name: x\n  evidence: {evaluation: {metrics: [{estimate: {value: null}}]}}\n  waived: [who]\n  verdict: pass")
	f.Fuzz(func(t *testing.T, src string) {
		if _, err := RunExamples(p, []byte(src)); err != nil && assay.CodeOf(err) != assay.Invalid {
			t.Fatalf("code %s: %v", assay.CodeOf(err), err)
		}
	})
}

// TestAReproductionExcusesEntropy: a generator without a seed closes the gate until a reproduction has come out identical.
func TestAReproductionExcusesEntropy(t *testing.T) {
	f := complete(t)
	f.values["run"].(map[string]any)["unseeded"] = []any{"uuid.uuid4"}
	if r := rule(judge(t, Default(), assay.StageStaging, f), "experiment"); r.Verdict != assay.Fail || !strings.Contains(r.Reason, "uuid.uuid4") {
		t.Errorf("%s: %s", r.Verdict, r.Reason)
	}
	f.values["run"].(map[string]any)["reproduced"] = true
	if r := rule(judge(t, Default(), assay.StageStaging, f), "experiment"); r.Verdict != assay.Pass {
		t.Errorf("%s: %s", r.Verdict, r.Reason)
	}
}
