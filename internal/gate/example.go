package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/manifest"
)

// MaxExamples bounds the examples of one policy.
const MaxExamples = 1000

// An example is one case of a policy's own tests: evidence, and what each rule must answer.
type example struct {
	Name     string                   `yaml:"name"`
	Stage    assay.Stage              `yaml:"stage"`    // empty: staging
	Evidence map[string]any           `yaml:"evidence"` // variable to payload
	Waived   []string                 `yaml:"waived"`   // rule ids that a person answers for
	Expect   map[string]assay.Verdict `yaml:"expect"`   // rule id to verdict
	Verdict  assay.Verdict            `yaml:"verdict"`  // of the stage; empty: not looked at
}

// A TestResult says whether an example came out as expected.
type TestResult struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Message string `json:"message"`
}

// ExamplesFile is where the examples of a policy lie: POLICY.test.yaml beside POLICY.yaml.
func ExamplesFile(policy string) string {
	return strings.TrimSuffix(strings.TrimSuffix(policy, ".yaml"), ".yml") + ".test.yaml"
}

// Test runs the examples that lie beside a policy file. Without that file there is nothing to run and the result is empty.
func Test(p Policy, file string) ([]TestResult, error) {
	src, err := os.ReadFile(ExamplesFile(file))
	if errors.Is(err, os.ErrNotExist) {
		return []TestResult{}, nil
	}
	if err != nil {
		return nil, assay.Errorf(assay.Unavailable, "the examples of the policy cannot be read: %w", err)
	}
	return RunExamples(p, src)
}

// RunExamples judges each example of a YAML list of {name, stage, evidence, waived, expect, verdict} and says whether it came out as
// expected. All that is wrong with the examples themselves is reported at once.
func RunExamples(p Policy, src []byte) ([]TestResult, error) {
	var examples []example
	if err := manifest.Decode("the examples of the policy", src, &examples); err != nil {
		return nil, err
	}
	var bad assay.Problems
	if len(examples) == 0 {
		bad.Add("there is none")
	}
	if len(examples) > MaxExamples {
		bad.Add("%d examples; the limit is %d", len(examples), MaxExamples)
		examples = nil
	}
	out := make([]TestResult, 0, len(examples))
	names := map[string]bool{}
	for i, e := range examples {
		if e.Name == "" {
			e.Name = fmt.Sprintf("example %d", i+1)
		}
		if names[e.Name] {
			bad.Add("the name %q is used twice", e.Name)
		}
		names[e.Name] = true
		out = append(out, e.run(p, &bad))
	}
	if err := bad.Err(assay.Invalid, "the examples of policy "+p.Name); err != nil {
		return nil, err
	}
	return out, nil
}

// run judges one example and gathers what is wrong with the example itself.
func (e example) run(p Policy, bad *assay.Problems) TestResult {
	f := NewFacts("", "")
	for _, name := range slices.Sorted(maps.Keys(e.Evidence)) {
		b, err := json.Marshal(e.Evidence[name])
		if err != nil {
			bad.Add("%s: %s cannot be written as JSON", e.Name, name)
			continue
		}
		if _, ok := e.Evidence[name].(map[string]any); !ok {
			bad.Add("%s: evidence.%s is not a map", e.Name, name)
			continue
		}
		if err := f.Set(name, assay.Record{Evidence: assay.Evidence{Kind: assay.Kind(name), Payload: b}}, nil); err != nil {
			bad.Add("%s: %s", e.Name, err)
		}
	}
	if e.Stage == "" {
		e.Stage = assay.StageStaging
	}
	verdict := func(where string, v assay.Verdict) {
		if v != assay.Pass && v != assay.Fail && v != assay.Undetermined {
			bad.Add("%s: %s %q is none of pass, fail, undetermined", e.Name, where, v)
		}
	}
	if len(e.Expect) == 0 && e.Verdict == "" {
		bad.Add("%s: it expects nothing", e.Name)
	}
	if e.Verdict != "" {
		verdict("verdict", e.Verdict)
	}
	for _, id := range e.Waived {
		if !p.has(id) {
			bad.Add("%s: waived: policy %s has no rule %q", e.Name, p.Name, id)
		}
		f.Waivers[id] = assay.Record{ID: assay.DigestOf([]byte(e.Name + id))}
	}
	j, err := Judge(p, e.Stage, f)
	if err != nil {
		bad.Add("%s: %s", e.Name, err)
		return TestResult{}
	}
	answered := map[string]assay.RuleResult{}
	for _, r := range j.Rules {
		answered[r.ID] = r
	}
	var wrong []string
	for _, id := range slices.Sorted(maps.Keys(e.Expect)) {
		want := e.Expect[id]
		verdict("expect."+id, want)
		got, ok := answered[id]
		switch {
		case !ok:
			bad.Add("%s: expect: policy %s has no rule %q", e.Name, p.Name, id)
		case got.Verdict != want:
			wrong = append(wrong, fmt.Sprintf("rule %s is %s (%s), expected %s", id, got.Verdict, got.Reason, want))
		}
	}
	if e.Verdict != "" && j.Verdict != e.Verdict {
		wrong = append(wrong, fmt.Sprintf("the verdict for %s is %s, expected %s", e.Stage, j.Verdict, e.Verdict))
	}
	if len(wrong) > 0 {
		return TestResult{Name: e.Name, Message: strings.Join(wrong, "; ")}
	}
	return TestResult{Name: e.Name, OK: true, Message: "as expected"}
}

// has reports whether the policy has a rule of that id.
func (p Policy) has(id string) bool {
	return slices.ContainsFunc(p.Rules, func(r Rule) bool { return r.ID == id })
}
