package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/assay-ml/assay"
)

// An example is one case of a policy's own tests: evidence, and what each rule must answer.
type example struct {
	Name     string                   `yaml:"name"`
	Stage    assay.Stage              `yaml:"stage"`
	Evidence map[string]any           `yaml:"evidence"` // variable to payload
	Expect   map[string]assay.Verdict `yaml:"expect"`   // rule id to verdict
	Verdict  assay.Verdict            `yaml:"verdict"`  // of the stage; optional
}

// A TestResult says whether an example came out as expected.
type TestResult struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Message string `json:"message"`
}

// Test runs the examples that lie beside a policy file: POLICY.test.yaml, a list of {name, stage, evidence, expect, verdict}. Without
// that file there is nothing to run.
func Test(p Policy, file string) ([]TestResult, error) {
	path := strings.TrimSuffix(strings.TrimSuffix(file, ".yaml"), ".yml") + ".test.yaml"
	src, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return []TestResult{}, nil
	}
	if err != nil {
		return nil, assay.Errorf(assay.Unavailable, "the examples of the policy cannot be read: %w", err)
	}
	var examples []example
	if err := yaml.UnmarshalWithOptions(src, &examples, yaml.Strict()); err != nil {
		return nil, assay.Errorf(assay.Invalid, "the examples of the policy cannot be read: %s", yaml.FormatError(err, false, false))
	}
	out := make([]TestResult, 0, len(examples))
	for _, e := range examples {
		f := NewFacts("", "")
		for name, v := range e.Evidence {
			b, err := json.Marshal(v)
			if err != nil {
				return nil, assay.Errorf(assay.Invalid, "example %q: %s cannot be written as JSON: %w", e.Name, name, err)
			}
			if err := f.Set(name, assay.Record{Evidence: assay.Evidence{Kind: assay.Kind(name), Payload: b}}, nil); err != nil {
				return nil, assay.Errorf(assay.Invalid, "example %q: %s is not a map", e.Name, name)
			}
		}
		j, err := Judge(p, e.Stage, f)
		if err != nil {
			return nil, err
		}
		var wrong []string
		answered := map[string]assay.RuleResult{}
		for _, r := range j.Rules {
			answered[r.ID] = r
		}
		for id, want := range e.Expect {
			if got, ok := answered[id]; !ok {
				wrong = append(wrong, fmt.Sprintf("rule %s does not exist", id))
			} else if got.Verdict != want {
				wrong = append(wrong, fmt.Sprintf("rule %s is %s (%s), expected %s", id, got.Verdict, got.Reason, want))
			}
		}
		if e.Verdict != "" && j.Verdict != e.Verdict {
			wrong = append(wrong, fmt.Sprintf("the verdict is %s, expected %s", j.Verdict, e.Verdict))
		}
		r := TestResult{Name: e.Name, OK: len(wrong) == 0, Message: "as expected"}
		if len(wrong) > 0 {
			r.Message = strings.Join(wrong, "; ")
		}
		out = append(out, r)
	}
	return out, nil
}
