// Package gate judges evidence against a policy. A policy is a list of rules; a rule names the evidence that it needs and requires
// something of it in CEL. The answer to each rule is pass, fail or undetermined, and undetermined does not open the gate.
//
// The package does not move a version: it writes a judgement, which a promotion re-reads in its own transaction. It does not
// gather proof either: what no capability has put into the store is missing here.
package gate

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/manifest"
)

// Limits of a policy file.
const (
	MaxRules = 200
)

// A Policy says what is required before a version may move to a stage.
type Policy struct {
	Name   string                   `yaml:"name" json:"name"`
	Stages map[assay.Stage][]string `yaml:"stages" json:"stages"` // ids of the rules that each stage requires
	Rules  []Rule                   `yaml:"rules" json:"rules"`

	programs map[expression]cel.Program // of the rules, compiled once; a rule that was changed since is compiled when it is asked
}

// An expression is the source of a program, and whether it answers with a text.
type expression struct {
	src  string
	text bool
}

// program returns the compiled expression.
func (p *Policy) program(x expression) (cel.Program, error) {
	if prog, ok := p.programs[x]; ok {
		return prog, nil
	}
	env, err := environment()
	if err != nil {
		return nil, assay.Errorf(assay.Internal, "the expression language cannot start: %w", err)
	}
	return compile(env, x.src, x.text)
}

// A Rule is one requirement.
type Rule struct {
	ID    string `yaml:"id" json:"id"`
	Title string `yaml:"title" json:"title"`
	// Needs lists the variables that must exist; without one of them the rule is undetermined.
	Needs []string `yaml:"needs,omitempty" json:"needs,omitempty"`
	// Require is a CEL expression over the variables of Facts: a bool, or one of the strings pass, fail, undetermined.
	Require string `yaml:"require" json:"require"`
	// Reason is a CEL expression of type string that explains the answer from the evidence; optional.
	Reason string `yaml:"reason,omitempty" json:"reason,omitempty"`
	// Hint is the next command when the rule does not pass.
	Hint string `yaml:"hint,omitempty" json:"hint,omitempty"`
	// HintFailed takes the place of Hint when the rule says fail: what was done need not be done again; optional.
	HintFailed string `yaml:"hint_failed,omitempty" json:"hint_failed,omitempty"`
}

//go:embed default.yaml
var defaultPolicy []byte

// Default returns the Definition of Done.
func Default() Policy {
	p, err := parse(defaultPolicy)
	if err != nil {
		panic("BUG: the built-in policy does not parse: " + err.Error())
	}
	return p
}

// DefaultSource returns the text of the built-in policy, to start one's own from.
func DefaultSource() []byte { return slices.Clone(defaultPolicy) }

// Parse reads a policy and compiles every rule. All problems are reported at once. The name of the built-in policy is its own: another
// policy that is called so is Invalid.
func Parse(src []byte) (Policy, error) {
	p, err := parse(src)
	if err != nil {
		return p, err
	}
	if d := Default(); strings.EqualFold(strings.TrimSpace(p.Name), d.Name) && p.Digest() != d.Digest() {
		return p, assay.Errorf(assay.Invalid, "policy %s: the name is the built-in policy's, and this is another one: digest %s, not %s", p.Name, p.Digest().Short(), d.Digest().Short()).
			Try("name: team, or another name, in that file")
	}
	return p, nil
}

func parse(src []byte) (Policy, error) {
	var p Policy
	if err := manifest.Decode("the policy", src, &p); err != nil {
		return p, assay.Errorf(assay.Invalid, "%w", err).Try("assay gate show")
	}
	if err := p.check(); err != nil {
		return p, err
	}
	return p, nil
}

func (p *Policy) check() error {
	p.programs = map[expression]cel.Program{}
	var bad assay.Problems
	if p.Name == "" {
		bad.Add("name is empty")
	}
	if len(p.Rules) == 0 {
		bad.Add("rules is empty: a policy that requires nothing opens every gate")
	}
	if len(p.Rules) > MaxRules {
		bad.Add("%d rules; the limit is %d", len(p.Rules), MaxRules)
		return bad.Err(assay.Invalid, "policy "+p.Name)
	}
	env, err := environment()
	if err != nil {
		return assay.Errorf(assay.Internal, "the expression language cannot start: %w", err)
	}
	ids := map[string]bool{}
	for i, r := range p.Rules {
		switch {
		case r.ID == "":
			bad.Add("rule %d has no id", i+1)
		case ids[r.ID]:
			bad.Add("rule id %q is used twice", r.ID)
		}
		ids[r.ID] = true
		if r.Title == "" {
			bad.Add("rule %q has no title", r.ID)
		}
		for _, n := range r.Needs {
			if !slices.Contains(variables, n) {
				bad.Add("rule %q needs %q, which is none of %s", r.ID, n, strings.Join(variables, ", "))
			}
		}
		prog, err := compile(env, r.Require, false)
		if err != nil {
			bad.Add("rule %q: require: %s", r.ID, err)
		} else {
			p.programs[expression{r.Require, false}] = prog
		}
		if r.Reason == "" {
			continue
		}
		if prog, err = compile(env, r.Reason, true); err != nil {
			bad.Add("rule %q: reason: %s", r.ID, err)
		} else {
			p.programs[expression{r.Reason, true}] = prog
		}
	}
	for stage, rules := range p.Stages {
		if stage != assay.StageStaging && stage != assay.StageProduction {
			bad.Add("stages: %q is none of staging, production", stage)
		}
		for _, id := range rules {
			if !ids[id] {
				bad.Add("stage %s requires rule %q, which does not exist", stage, id)
			}
		}
		if len(rules) == 0 {
			bad.Add("stage %s requires no rule", stage)
		}
	}
	for _, s := range []assay.Stage{assay.StageStaging, assay.StageProduction} {
		if _, ok := p.Stages[s]; !ok {
			bad.Add("stages: %s is missing", s)
		}
	}
	return bad.Err(assay.Invalid, "policy "+p.Name)
}

// Digest identifies the policy by its content, whatever the layout of its file.
func (p Policy) Digest() assay.Digest {
	b, err := json.Marshal(p) // field order is fixed and map keys are sorted
	if err != nil {
		panic(fmt.Sprintf("BUG: a policy cannot be written: %v", err))
	}
	return assay.DigestOf(b)
}
