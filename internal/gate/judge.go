package gate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"

	"github.com/assay-ml/assay"
)

// variables are the names that a rule may use. Each holds the payload of the evidence that counts for the version, plus its
// evidence id under "id" and what it is about under "subject".
var variables = []string{
	"snapshot", "datasheet", "profile", "schema", "validation", "split", "run", "reproduction", "search", "model",
	"evaluation", "disclosure", "comparison", "card", "serving", "monitor", "test_fire", "drift", "outcome",
}

// Facts is the evidence about one version that a policy is applied to.
type Facts struct {
	Model  assay.Digest
	Data   assay.Digest
	values map[string]any
	ids    map[string][]assay.Digest
	lacks  map[string]string // why there is nothing under a variable
	// Waivers by rule id, for the stage that is judged; the newest wins.
	Waivers map[string]assay.Record
}

// NewFacts starts the facts about a version.
func NewFacts(model, data assay.Digest) *Facts {
	return &Facts{Model: model, Data: data, values: map[string]any{}, ids: map[string][]assay.Digest{}, lacks: map[string]string{}, Waivers: map[string]assay.Record{}}
}

// Set puts evidence under a variable. Extra fields (for example "stale" on a card) are facts that follow from the store as a whole
// and not from one payload.
func (f *Facts) Set(name string, r assay.Record, extra map[string]any) error {
	if !slices.Contains(variables, name) {
		return assay.Errorf(assay.Invalid, "no rule can see %q; the variables are %s", name, strings.Join(variables, ", "))
	}
	v, err := payload(r)
	if err != nil {
		return err
	}
	for k, x := range extra {
		v[k] = x
	}
	f.values[name] = v
	f.ids[name] = []assay.Digest{r.ID}
	return nil
}

// Lack says why no evidence counts under a variable, where there is some: a rule that needs it is undetermined for that reason.
func (f *Facts) Lack(name, why string) { f.lacks[name] = why }

func payload(r assay.Record) (map[string]any, error) {
	v := map[string]any{}
	if err := json.Unmarshal(r.Payload, &v); err != nil {
		return nil, assay.Errorf(assay.Internal, "the payload of %s evidence %s cannot be read: %w", r.Kind, r.ID.Short(), err)
	}
	v["id"] = string(r.ID)
	if r.Subject != "" {
		v["subject"] = string(r.Subject)
	}
	return v, nil
}

// Judge applies a policy for a stage. Every rule of the policy is answered, required or not, in the order of the policy; the
// verdict is the conjunction of the required ones after waivers.
func Judge(p Policy, stage assay.Stage, f *Facts) (assay.Judgement, error) {
	required, ok := p.Stages[stage]
	if !ok {
		return assay.Judgement{}, assay.Errorf(assay.Invalid, "policy %s has no stage %q: the stages are staging and production", p.Name, stage)
	}
	out := assay.Judgement{Policy: p.Digest(), Name: p.Name, Stage: stage, Data: f.Data}
	var verdicts []assay.Verdict
	for _, r := range p.Rules {
		res := f.apply(&p, r)
		res.Required = slices.Contains(required, r.ID)
		if w, ok := f.Waivers[r.ID]; ok && res.Verdict != assay.Pass {
			res.Waived = w.ID
		}
		if res.Required {
			v := res.Verdict
			if res.Waived != "" {
				v = assay.Pass
			}
			verdicts = append(verdicts, v)
		}
		out.Rules = append(out.Rules, res)
	}
	out.Verdict = assay.Verdicts(verdicts...)
	return out, nil
}

func (f *Facts) apply(p *Policy, r Rule) assay.RuleResult {
	res := assay.RuleResult{ID: r.ID, Title: r.Title, Verdict: assay.Undetermined, Hint: r.Hint, Evidence: []assay.Digest{}}
	var missing []string
	for _, n := range r.Needs {
		if _, ok := f.values[n]; !ok {
			if why := f.lacks[n]; why != "" {
				n += " (" + why + ")"
			}
			missing = append(missing, n)
			continue
		}
		res.Evidence = append(res.Evidence, f.ids[n]...)
	}
	slices.Sort(res.Evidence)
	res.Evidence = slices.Compact(res.Evidence)
	if len(missing) > 0 {
		res.Reason = "no evidence of " + strings.Join(missing, ", ")
		return res
	}
	v, err := f.eval(p, expression{r.Require, false})
	if err != nil {
		res.Reason = err.Error()
		return res
	}
	res.Verdict = assay.Verdict(v)
	res.Reason = string(res.Verdict)
	if r.Reason != "" {
		if why, err := f.eval(p, expression{r.Reason, true}); err == nil {
			res.Reason = why
		}
	}
	switch {
	case res.Verdict == assay.Pass:
		res.Hint = ""
	case res.Verdict == assay.Fail && r.HintFailed != "":
		res.Hint = r.HintFailed
	}
	return res
}

// eval answers an expression: a verdict's word, or its text.
func (f *Facts) eval(p *Policy, x expression) (string, error) {
	prog, err := p.program(x)
	if err != nil {
		return "", err
	}
	vars := map[string]any{}
	for _, name := range variables {
		if v, ok := f.values[name]; ok {
			vars[name] = v
		}
	}
	return answer(prog, vars, x.text)
}

func answer(prog cel.Program, vars map[string]any, text bool) (string, error) {
	v, _, err := prog.Eval(vars)
	if err != nil {
		return "", fmt.Errorf("the evidence does not answer: %s", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	if text {
		s, ok := v.Value().(string)
		if !ok {
			return "", fmt.Errorf("the reason is a %s, not a string", v.Type().TypeName())
		}
		return s, nil
	}
	w, err := verdictOf(v)
	return string(w), err
}
