// Package registry keeps what is said about model versions: the evidence that counts for a version, its standing before the gate, and
// its card. The rows themselves (versions, stages, aliases) and the promotion transaction belong to the store.
//
// It trains nothing, scores nothing and judges nothing.
package registry

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/assay-ml/assay"
)

// Statements are what only people can say about a model. They come from the project's file.
type Statements struct {
	Description string
	Licence     string
	Owners      string
	Contact     string
	IntendedUse string
	OutOfScope  string
	Limitations string
	OutOfDist   string
	Ethics      string
}

// A Fact is evidence that a card draws on.
type Fact[T any] struct {
	ID    assay.Digest
	Value T
}

// Of reads the payload of a record. A nil record gives nil.
func Of[T any](r *assay.Record) (*Fact[T], error) {
	if r == nil {
		return nil, nil
	}
	v, err := assay.Decode[T](r.Evidence)
	if err != nil {
		return nil, err
	}
	return &Fact[T]{r.ID, v}, nil
}

// A Dossier is all that a card is written from: the statements and the current evidence about one version. A nil fact is missing.
type Dossier struct {
	Name       string
	Version    int
	Model      Fact[assay.Model]
	Digest     assay.Digest // of the model file
	Snapshot   *Fact[assay.Snapshot]
	Datasheet  *Fact[assay.Datasheet]
	Validation *Fact[assay.Validation]
	Split      *Fact[assay.Split]
	Run        *Fact[assay.Run]
	Evaluation *Fact[assay.Evaluation] // of the sealed test set
	Disclosure *Fact[assay.Disclosure]
	Comparison *Fact[assay.Comparison]
	Waivers    []Fact[assay.Waiver]
	Say        Statements
}

// Named is evidence under the name that rules and cards know it by.
type Named struct {
	Name string
	ID   assay.Digest
}

// Facts lists the evidence of the dossier but for the waivers, in the order of a model's life.
func (d *Dossier) Facts() []Named {
	out := []Named{}
	add := func(name string, id assay.Digest) { out = append(out, Named{name, id}) }
	if d.Snapshot != nil {
		add("snapshot", d.Snapshot.ID)
	}
	if d.Datasheet != nil {
		add("datasheet", d.Datasheet.ID)
	}
	if d.Validation != nil {
		add("validation", d.Validation.ID)
	}
	if d.Split != nil {
		add("split", d.Split.ID)
	}
	if d.Run != nil {
		add("run", d.Run.ID)
	}
	add("model", d.Model.ID)
	if d.Disclosure != nil {
		add("disclosure", d.Disclosure.ID)
	}
	if d.Evaluation != nil {
		add("evaluation", d.Evaluation.ID)
	}
	if d.Comparison != nil {
		add("comparison", d.Comparison.ID)
	}
	return out
}

// cited lists everything that a card of the dossier names: its facts and its waivers.
func (d *Dossier) cited() []Named {
	out := d.Facts()
	for _, w := range d.Waivers {
		out = append(out, Named{"waiver", w.ID})
	}
	return out
}

// sources are the evidence ids that the card's figures point at, sorted.
func (d *Dossier) sources() []assay.Digest {
	var ids []assay.Digest
	for _, n := range d.cited() {
		ids = append(ids, n.ID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// missing names the sections that nobody or nothing has filled in.
func (d *Dossier) missing() []string {
	out := []string{}
	say := func(name, text string) {
		t := strings.ToLower(strings.TrimSpace(text))
		if t == "" || strings.HasPrefix(t, "todo") || t == "…" {
			out = append(out, name)
		}
	}
	say("card.description", d.Say.Description)
	say("card.intended_use", d.Say.IntendedUse)
	say("card.limitations", d.Say.Limitations)
	say("card.out_of_distribution", d.Say.OutOfDist)
	say("card.ethical_considerations", d.Say.Ethics)
	say("card.licence", d.Say.Licence)
	proof := func(name string, have bool) {
		if !have {
			out = append(out, name)
		}
	}
	proof("snapshot", d.Snapshot != nil)
	proof("datasheet", d.Datasheet != nil && d.Datasheet.Value.Complete)
	proof("split", d.Split != nil)
	proof("run", d.Run != nil)
	proof("final evaluation", d.Evaluation != nil)
	proof("comparison", d.Comparison != nil)
	return out
}

// WriteCard writes the model card as Markdown with the front matter of the Hugging Face Hub, and the payload that records it, but
// for Document, the digest of the Markdown. The same dossier gives the same bytes.
func WriteCard(d *Dossier) ([]byte, assay.Card, error) {
	var b bytes.Buffer
	front, err := yaml.Marshal(d.frontMatter())
	if err != nil {
		return nil, assay.Card{}, assay.Errorf(assay.Internal, "the front matter of the card cannot be written: %w", err)
	}
	fmt.Fprintf(&b, "---\n%s---\n\n", front)
	c := &cardWriter{&b, d}
	c.head()
	c.uses()
	c.data()
	c.training()
	c.evaluation()
	c.comparison()
	c.limits()
	c.waivers()
	c.evidence()
	doc := b.Bytes()
	missing := d.missing()
	return doc, assay.Card{Name: d.Name, Version: d.Version, Document: assay.DigestOf(doc), Statements: d.Say.digest(), Sources: d.sources(), Missing: missing, Complete: len(missing) == 0}, nil
}

// Stale names what of a card no longer is what the store and the project know: evidence that came or was replaced after it was written,
// evidence that it cites and that no longer counts, and statements that read otherwise. It is empty for a card that is up to date.
func Stale(card assay.Card, current *Dossier) []string {
	out := []string{}
	now := current.cited()
	for _, n := range now {
		if !slices.Contains(card.Sources, n.ID) {
			out = append(out, fmt.Sprintf("it does not know %s %s", n.Name, n.ID.Short()))
		}
	}
	for _, id := range card.Sources {
		if !slices.ContainsFunc(now, func(n Named) bool { return n.ID == id }) {
			out = append(out, fmt.Sprintf("it cites evidence %s, which no longer counts", id.Short()))
		}
	}
	if card.Statements != current.Say.digest() {
		out = append(out, "card in assay.yaml reads otherwise now")
	}
	return out
}

// digest identifies what people said.
func (s Statements) digest() assay.Digest {
	b, err := json.Marshal(s)
	if err != nil {
		panic("BUG: statements cannot be written as JSON: " + err.Error())
	}
	return assay.DigestOf(b)
}

// hubMetrics are the ids of the Hugging Face Hub for the metrics that have one.
var hubMetrics = map[string]string{
	"roc_auc_score": "roc_auc", "f1_score": "f1", "accuracy_score": "accuracy", "precision_score": "precision",
	"recall_score": "recall", "mean_absolute_error": "mae", "mean_squared_error": "mse", "r2_score": "r_squared", "brier_score_loss": "brier_score",
	"matthews_corrcoef": "matthews_correlation", "average_precision_score": "average_precision",
}

func hubMetric(name string) string {
	if m, ok := hubMetrics[name]; ok {
		return m
	}
	return name
}

func (d *Dossier) frontMatter() yaml.MapSlice {
	task := "tabular-classification"
	if d.Model.Value.Task == assay.Regression {
		task = "tabular-regression"
	}
	front := yaml.MapSlice{}
	if l := strings.TrimSpace(d.Say.Licence); l != "" {
		front = append(front, yaml.MapItem{Key: "license", Value: l})
	}
	front = append(front, yaml.MapItem{Key: "library_name", Value: d.Model.Value.Format}, yaml.MapItem{Key: "pipeline_tag", Value: task},
		yaml.MapItem{Key: "tags", Value: []string{"assay", d.Model.Value.Learner}})
	if d.Evaluation == nil {
		return front
	}
	e := d.Evaluation.Value
	var ids []string
	var metrics []yaml.MapSlice
	for _, m := range e.Metrics {
		ids = append(ids, hubMetric(m.Name))
		if !m.Estimate.Defined() {
			continue
		}
		args := yaml.MapSlice{{Key: "definition", Value: m.Definition}, {Key: "evidence", Value: string(d.Evaluation.ID)}}
		if m.Estimate.HasInterval() {
			args = append(args, yaml.MapItem{Key: "low", Value: m.Estimate.Lo}, yaml.MapItem{Key: "high", Value: m.Estimate.Hi},
				yaml.MapItem{Key: "level", Value: m.Estimate.Level}, yaml.MapItem{Key: "method", Value: m.Estimate.Method})
		}
		metrics = append(metrics, yaml.MapSlice{
			{Key: "type", Value: hubMetric(m.Name)},
			{Key: "value", Value: m.Estimate.Value},
			{Key: "name", Value: m.Name},
			{Key: "args", Value: args},
		})
	}
	dataset := d.Name
	if d.Snapshot != nil {
		dataset = d.Snapshot.Value.Name
	}
	return append(front, yaml.MapItem{Key: "metrics", Value: ids}, yaml.MapItem{Key: "model-index", Value: []yaml.MapSlice{{
		{Key: "name", Value: d.Name},
		{Key: "results", Value: []yaml.MapSlice{{
			{Key: "task", Value: yaml.MapSlice{{Key: "type", Value: task}}},
			{Key: "dataset", Value: yaml.MapSlice{{Key: "type", Value: dataset}, {Key: "name", Value: dataset}, {Key: "split", Value: e.Part}, {Key: "revision", Value: string(e.Data)}}},
			{Key: "metrics", Value: metrics},
		}}},
	}}})
}

// cardWriter writes the sections of the card.
type cardWriter struct {
	b *bytes.Buffer
	d *Dossier
}

func (c *cardWriter) f(format string, args ...any) { fmt.Fprintf(c.b, format, args...) }

// cite is the mark that carries an evidence id.
func cite(id assay.Digest) string { return "`" + id.Short() + "`" }

// said writes a statement of a person, or what is missing.
func (c *cardWriter) said(key, text string) {
	if t := strings.TrimSpace(text); t != "" {
		c.f("%s\n\n", t)
		return
	}
	c.f("**Missing.** Fill `%s` in assay.yaml.\n\n", key)
}

func (c *cardWriter) head() {
	d, m := c.d, c.d.Model.Value
	c.f("# %s, version %d\n\n", d.Name, d.Version)
	c.said("card.description", d.Say.Description)
	c.f("| | |\n|---|---|\n")
	c.f("| Task | %s: %s |\n", m.Task, m.Target)
	c.f("| Learner | %s, written as %s |\n", m.Learner, m.Format)
	c.f("| Inputs | %d columns |\n", len(m.Inputs))
	if len(m.Classes) > 0 {
		c.f("| Classes, in the order of the probabilities | %s |\n", strings.Join(m.Classes, ", "))
	}
	c.f("| Model digest | `%s` |\n", d.Digest)
	if d.Say.Owners != "" {
		c.f("| Owners | %s |\n", d.Say.Owners)
	}
	if d.Say.Contact != "" {
		c.f("| Contact | %s |\n", d.Say.Contact)
	}
	c.f("\nNumbers read `value [low, high]` with a 95 %% interval unless another level is given; every figure names the evidence it comes from.\n\n")
}

func (c *cardWriter) uses() {
	c.f("## Uses\n\n### Intended use\n\n")
	c.said("card.intended_use", c.d.Say.IntendedUse)
	if c.d.Say.OutOfScope != "" {
		c.f("### Out of scope\n\n%s\n\n", c.d.Say.OutOfScope)
	}
}

func (c *cardWriter) data() {
	d := c.d
	c.f("## Data\n\n")
	if s := d.Snapshot; s != nil {
		c.f("%s rows and %d columns of %s, content `%s` %s.\n\n", thousands(s.Value.Rows), len(s.Value.Fields), s.Value.Name, s.Value.Content.Short(), cite(s.ID))
	} else {
		c.f("**Missing.** The data is not versioned: run `assay snapshot`.\n\n")
	}
	if s := d.Datasheet; s != nil {
		c.f("| Datasheet %s | |\n|---|---|\n", cite(s.ID))
		for _, k := range slices.Sorted(maps.Keys(s.Value.Fields)) {
			c.f("| %s | %s |\n", k, cell(s.Value.Fields[k]))
		}
		for _, k := range s.Value.Missing {
			c.f("| %s | **missing** |\n", k)
		}
		c.f("\n")
	}
	if v := d.Validation; v != nil {
		c.f("Checked against the schema: %s, %s of %s rows violate one of %d constraints %s.\n\n", v.Value.Verdict, thousands(v.Value.Failing), thousands(v.Value.Rows), v.Value.Constraints, cite(v.ID))
	}
	if s := d.Split; s != nil {
		c.f("Split by %s with seed %d %s:\n\n| part | rows |\n|---|---:|\n", s.Value.By, s.Value.Seed, cite(s.ID))
		for _, p := range s.Value.Parts {
			c.f("| %s | %s |\n", p.Name, thousands(p.Rows))
		}
		c.f("\nLeakage checks:\n\n| check | verdict | finding |\n|---|---|---|\n")
		for _, l := range s.Value.Findings {
			c.f("| %s | %s %s | %s |\n", l.Check, l.Verdict.Glyph(), l.Verdict, cell(l.Message))
		}
		c.f("\n")
	}
}

func (c *cardWriter) training() {
	c.f("## Training\n\n")
	r := c.d.Run
	if r == nil {
		c.f("**Missing.** No run is recorded for this model.\n\n")
		return
	}
	v := r.Value
	c.f("Run %s with seed %d: `%s`. Reproducibility %.2f", cite(r.ID), v.Spec.Seed, strings.ReplaceAll(strings.Join(v.Spec.Command, " "), "`", "'"), v.Score)
	if len(v.Missing) > 0 {
		c.f("; what stands in the way: %s", strings.Join(v.Missing, ", "))
	}
	c.f(".\n\n")
	if len(v.Params) > 0 {
		c.f("| parameter | value |\n|---|---|\n")
		for _, k := range slices.Sorted(maps.Keys(v.Params)) {
			c.f("| %s | %s |\n", cell(k), cell(v.Params[k]))
		}
		c.f("\n")
	}
}

func (c *cardWriter) evaluation() {
	c.f("## Evaluation\n\n")
	e := c.d.Evaluation
	if e == nil {
		c.f("**Missing.** The sealed test set was not evaluated: run `assay eval --final`.\n\n")
		return
	}
	v := e.Value
	c.f("%s held-out rows %s, sealed before training", thousands(v.Count), cite(e.ID))
	if ds := c.d.Disclosure; ds != nil {
		c.f("; read %d time%s, this read at level %s %s", ds.Value.Read, plural(ds.Value.Read), strconv.FormatFloat(ds.Value.Level, 'g', 6, 64), cite(ds.ID))
	}
	c.f(". Baseline: %s.\n\n| metric | model | baseline | gain | |\n|---|---|---|---|---|\n", v.Baseline)
	for _, m := range v.Metrics {
		c.metric(m)
	}
	if v.Business != nil {
		c.metric(*v.Business)
	}
	c.f("\n")
	if len(v.Slices) > 0 {
		c.f("### Slices\n\nOn %s. A slice fails when it is worse than all other rows after Holm's correction; it is undetermined with too few rows.\n\n| slice | rows | %s | gap | |\n|---|---:|---|---|---|\n", v.Primary, v.Primary)
		for _, s := range v.Slices {
			est, gap := assay.Undefined("not scored", s.Count), assay.Undefined("not scored", s.Count)
			for _, m := range s.Metrics {
				if m.Name == v.Primary {
					est, gap = m.Estimate, m.Gap
				}
			}
			c.f("| %s | %s | %s | %s | %s %s |\n", cell(s.Name), thousands(s.Count), est, gap, s.Verdict.Glyph(), s.Verdict)
		}
		c.f("\n")
	}
	if len(v.Fairness) > 0 {
		c.f("### Group fairness\n\n| column | measure | value | between |\n|---|---|---|---|\n")
		for _, f := range v.Fairness {
			c.f("| %s | %s | %s | %s and %s |\n", cell(f.Column), f.Name, f.Estimate, cell(f.Low), cell(f.High))
		}
		c.f("\n")
	}
}

func (c *cardWriter) metric(m assay.Metric) {
	c.f("| %s | %s | %s | %s | %s %s |\n", m.Name, m.Estimate, m.Baseline, m.Gain, m.Verdict.Glyph(), m.Verdict)
}

func (c *cardWriter) comparison() {
	c.f("## Comparison\n\n")
	x := c.d.Comparison
	if x == nil {
		c.f("**Missing.** Run `assay compare`.\n\n")
		return
	}
	v := x.Value
	c.f("Against %s on the same %s rows %s: %s %s within a margin of %s in %s.\n\n| metric | this version | %s | difference | |\n|---|---|---|---|---|\n",
		v.Name, thousands(v.Count), cite(x.ID), v.Verdict.Glyph(), v.Verdict, strconv.FormatFloat(v.Margin, 'g', -1, 64), v.Primary, cell(v.Name))
	for _, m := range v.Metrics {
		c.f("| %s | %s | %s | %s | %s %s |\n", m.Name, m.Candidate, m.Reference, m.Difference, m.Verdict.Glyph(), m.Verdict)
	}
	c.f("\n")
}

func (c *cardWriter) limits() {
	c.f("## Limitations\n\n")
	c.said("card.limitations", c.d.Say.Limitations)
	c.f("### Out-of-distribution behaviour\n\n")
	c.said("card.out_of_distribution", c.d.Say.OutOfDist)
	c.f("## Ethical considerations\n\n")
	c.said("card.ethical_considerations", c.d.Say.Ethics)
}

func (c *cardWriter) waivers() {
	if len(c.d.Waivers) == 0 {
		return
	}
	c.f("## Waivers\n\nRules of the gate that a person answered for:\n\n| rule | stage | by | reason | |\n|---|---|---|---|---|\n")
	for _, w := range c.d.Waivers {
		c.f("| %s | %s | %s | %s | %s |\n", w.Value.Rule, w.Value.Stage, cell(w.Value.By), cell(w.Value.Reason), cite(w.ID))
	}
	c.f("\n")
}

func (c *cardWriter) evidence() {
	c.f("## Evidence\n\n`assay evidence show ID` prints each; `assay evidence graph %s` draws them.\n\n", c.d.Digest.Short())
	for _, id := range c.d.sources() {
		c.f("- `%s`\n", id)
	}
}

// cell makes text safe in a Markdown table.
func cell(s string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "\r", " ").Replace(strings.TrimSpace(s))
}

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}

// thousands writes a count with separators.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	neg := ""
	if n < 0 && n != math.MinInt64 {
		neg, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return neg + s
}
