package cli

import (
	"context"
	"math"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/blob"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// FallbackConfig says what is answered instead of a prediction.
type FallbackConfig struct {
	Label Scalar             `yaml:"label,omitempty" jsonschema:"description=class that is answered"`
	Proba map[string]float64 `yaml:"probabilities,omitempty" jsonschema:"description=probability of each class; they sum to 1"`
	Value *float64           `yaml:"value,omitempty" jsonschema:"description=value that is answered by a regression"`
	Rule  string             `yaml:"rule,omitempty" jsonschema:"description=expression over the columns of a request as in evaluate.baseline; the word baseline stands for the rule there; where it has no value the constant is answered"`
}

// fallback makes what assay.yaml declares into what is bound to a version, or nil.
func (s *session) fallback(m assay.Model, in *schema.Schema) (*serve.Fallback, error) {
	c := s.p.Serve.Fallback
	if c == nil {
		return nil, nil
	}
	f := &serve.Fallback{Label: string(c.Label), Rule: strings.TrimSpace(strings.TrimPrefix(c.Rule, rulePrefix))}
	var bad assay.Problems
	if m.Task.Classifies() {
		if c.Value != nil {
			bad.Add("value is for a regression; this task is %s", m.Task)
		}
		if f.Label == "" {
			bad.Add("label is missing: one of %v", m.Classes)
		}
		for _, k := range m.Classes {
			if p, ok := c.Proba[k]; ok {
				f.Proba = append(f.Proba, p)
			} else if len(c.Proba) > 0 {
				bad.Add("probabilities lacks class %q", k)
			}
		}
		for k := range c.Proba {
			if !slices.Contains(m.Classes, k) {
				bad.Add("probabilities names %q, which is none of the classes %v", k, m.Classes)
			}
		}
		slices.Sort(bad)
	} else {
		if c.Label != "" || len(c.Proba) > 0 {
			bad.Add("label and probabilities are for a classification; this task is %s", m.Task)
		}
		if c.Value == nil {
			bad.Add("value is missing")
		} else {
			f.Value = *c.Value
		}
	}
	if f.Rule == "baseline" {
		rule, ok := s.p.Evaluate.Baseline.rule()
		if !ok {
			bad.Add("rule: evaluate.baseline is %q, which is no rule", s.p.Evaluate.Baseline)
		}
		f.Rule = rule
	}
	if err := bad.Err(assay.Invalid, ProjectFile+": serve.fallback"); err != nil {
		return nil, err
	}
	return f, ruled(f, m, in)
}

// ruled makes the rule of a fallback ready, where it has one.
func ruled(f *serve.Fallback, m assay.Model, in *schema.Schema) error {
	if f == nil || f.Rule == "" {
		return nil
	}
	var fields []assay.Field
	for _, c := range in.Columns {
		fields = append(fields, assay.Field{Name: c.Name, Type: c.Type})
	}
	prog, err := compileRule("serve.fallback.rule", f.Rule, m.Task, fields)
	if err != nil {
		return err
	}
	f.Eval = func(rows *schema.Batch, row int) (float64, bool) { return evalRule(prog, fields, rows, row) }
	return nil
}

// evalRule evaluates a rule on one row of a request; false where it has no value because one is missing or of another type.
func evalRule(prog cel.Program, fields []assay.Field, rows *schema.Batch, row int) (float64, bool) {
	vars := newRuleRow(len(fields))
	for i, f := range fields {
		if f.Type == assay.TypeString {
			if text, ok := rows.Text(row, i); ok {
				vars.set(f.Name, string(text))
			}
		} else if x := rows.Float(row, i); !math.IsNaN(x) {
			vars.set(f.Name, x)
		}
	}
	out, _, err := prog.Eval(vars.vars)
	if err != nil {
		return 0, false
	}
	switch v := out.Value().(type) {
	case bool:
		return map[bool]float64{true: 1}[v], true
	case float64:
		return v, true
	}
	return 0, false
}

// outlierReference makes what the rows of requests to a model are held against, from its training and held-out rows, and stores it; nil where all
// columns are nested or bytes.
func (s *session) outlierReference(ctx context.Context, m assay.Model, in *schema.Schema) (assay.Digest, *serve.Support, error) {
	var parts [2]assay.Frame
	var names []string
	nested := true
	for _, c := range in.Columns {
		names = append(names, c.Name)
		nested = nested && (c.Type == assay.TypeJSON || c.Type == assay.TypeBinary)
	}
	if nested {
		return "", nil, nil // nothing inside them is looked at
	}
	for i, name := range []string{assay.Train, assay.Valid} {
		t, err := s.part(ctx, m.Split, name)
		if err != nil {
			return "", nil, err
		}
		if parts[i], err = t.Frame(ctx, names, ""); err != nil {
			return "", nil, err
		}
	}
	ref, err := serve.LearnSupport(parts[0], parts[1], s.p.Data.Category)
	if err != nil {
		return "", nil, err
	}
	doc, err := ref.Document()
	if err != nil {
		return "", nil, err
	}
	d, err := blob.PutBytes(ctx, s.st.Blobs(), doc)
	return d, ref, err
}

// maxReferenceBytes bounds the reference of a version.
const maxReferenceBytes = 256 << 20

// storedReference reads the reference that serving evidence names; nil where it names none.
func (s *session) storedReference(ctx context.Context, p *assay.Serving, in *schema.Schema) (serve.Outliers, error) {
	if p.Reference == "" {
		return nil, nil
	}
	doc, err := blob.ReadAll(ctx, s.st.Blobs(), p.Reference, maxReferenceBytes)
	if err != nil {
		return nil, err
	}
	ref, err := serve.ReadSupport(doc)
	if err != nil {
		return nil, err
	}
	return ref.Outliers(in, float64(p.Outliers))
}
