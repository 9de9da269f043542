package registry

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/assay-ml/assay"
)

// A point is one item of Annex IV to Regulation (EU) 2024/1689, the technical documentation of a high-risk system: what it asks for, the
// evidence and statements that speak to it, and what Assay does not know.
type point struct {
	number, title string
	rows          func(t *Table)
	write         string // what people must write beside it; empty when the evidence is the answer
}

// AnnexIV lays the evidence of a version out in the order of Annex IV. It points; it judges nothing, and what Assay cannot know is named
// as missing.
func AnnexIV(d *Dossier) Document {
	out := Document{Title: fmt.Sprintf("%s, version %d: technical documentation by Annex IV", d.Name, d.Version), Evidence: d.cited(), Complete: true}
	out.Sections = append(out.Sections, Section{Key: "about", Title: "What this page is", Blocks: []Block{{Text: "Annex IV to Regulation (EU) 2024/1689 lists what the technical documentation of a high-risk system " +
		"holds. This page names, point by point, the evidence that Assay has, and what has to be written by people. " +
		"Whether the documentation meets the Regulation is for the provider to judge and to answer for."}}})
	for _, p := range d.points() {
		s := Section{Key: "point-" + p.number, Title: p.number + ". " + p.title}
		t := list("what is known")
		if p.rows != nil {
			p.rows(t)
		}
		if len(t.Rows) > 0 {
			s.Blocks = append(s.Blocks, Block{Table: t})
		}
		switch {
		case p.write != "":
			s.Blocks = append(s.Blocks, Block{Missing: "Not in Assay: " + p.write})
		case len(t.Rows) == 0:
			s.Blocks = append(s.Blocks, Block{Missing: "No evidence yet; assay done names the commands."})
		}
		out.Sections = append(out.Sections, s)
	}
	return out
}

// WriteAnnexIV writes AnnexIV as Markdown. The same dossier gives the same bytes.
func WriteAnnexIV(d *Dossier) ([]byte, error) {
	var b bytes.Buffer
	writeMarkdown(&b, AnnexIV(d))
	return b.Bytes(), nil
}

func (d *Dossier) points() []point {
	say := func(t *Table, name, s string) {
		if said(s) {
			t.add("", text(name), text(strings.TrimSpace(s)))
		}
	}
	m := d.Model.Value
	return []point{
		{"1", "General description", func(t *Table) {
			say(t, "purpose", d.Say.IntendedUse)
			say(t, "not for", d.Say.OutOfScope)
			say(t, "users", d.Say.Users)
			say(t, "provider", d.Say.Owners)
			t.add(d.Model.ID, text("version"), textf("%s, version %d", d.Name, d.Version))
			t.add(d.Model.ID, text("model file"), code(string(d.Digest)))
			if x := d.Serving; x != nil {
				t.add(x.ID, text("how it is asked"), textf("requests of %d columns, checked before and after the model", x.Value.Input.Columns))
			}
		}, "the system that it is part of, hardware, the form in which it is placed on the market, user interface, instructions for use."},
		{"2(a)", "Methods and steps of development", func(t *Table) {
			if r := d.Run; r != nil {
				t.add(r.ID, text("command"), code(strings.Join(r.Value.Spec.Command, " ")))
				if n := len(r.Value.Environment.Packages); n > 0 {
					t.add(r.ID, text("packages"), textf("%d, each with its exact version", n))
				}
			}
		}, "pre-trained systems and tools of others, and how they were used."},
		{"2(b)", "Design specifications", func(t *Table) {
			t.add(d.Model.ID, text("task"), textf("%s: %s", m.Task, m.Target))
			say(t, "trade-offs", d.Say.Tradeoffs)
			say(t, "limitations", d.Say.Limitations)
		}, "the key design choices with their reasons and assumptions, and what the system optimises for."},
		{"2(c)", "Architecture and computing resources", func(t *Table) {
			t.add(d.Model.ID, text("learner"), textf("%s, written as %s", m.Learner, m.Format))
			if r := d.Run; r != nil {
				t.add(r.ID, text("trained on"), text(r.Value.Environment.Platform))
			}
		}, ""},
		{"2(d)", "Data", func(t *Table) {
			if s := d.Snapshot; s != nil {
				t.add(s.ID, text("data set"), textf("%s: %s rows, content %s", s.Value.Name, assay.FormatCount(s.Value.Rows), s.Value.Content))
			}
			if s := d.Datasheet; s != nil {
				t.add(s.ID, text("datasheet"), text(strings.TrimSuffix("provenance, population, gaps, exclusions, imputations; lacks "+strings.Join(s.Value.Missing, ", "), "; lacks ")))
			}
			if s := d.Validation; s != nil {
				t.add(s.ID, textf("held against %d constraints", s.Value.Constraints), verdict(s.Value.Verdict))
			}
			if s := d.Split; s != nil {
				t.add(s.ID, text("training, validation, test"), textf("divided by %s; leakage checks in the record", s.Value.By))
			}
		}, ""},
		{"2(e)", "Human oversight", nil, "who watches the system, by what means, and how its output is made understandable to them (Article 14)."},
		{"2(f)", "Changes determined beforehand", func(t *Table) {
			if x := d.Comparison; x != nil {
				t.add(x.ID, text("what a next version must hold"), textf("not worse than the one in production by more than %v in %s, on the same rows", x.Value.Margin, x.Value.Primary))
			}
		}, "which changes are planned, and why the system goes on meeting what is asked of it."},
		{"2(g)", "Validation and testing", func(t *Table) {
			if e := d.Evaluation; e != nil {
				t.add(e.ID, text("tested on"), textf("%s sealed rows, with intervals at level %v", assay.FormatCount(e.Value.Count), e.Value.Level))
				t.add(e.ID, text("accuracy"), textf("%d metrics, each beside the baseline %s", len(e.Value.Metrics), e.Value.Baseline))
				t.add(e.ID, text("discriminatory impacts"), textf("%d slices, %d disparities between groups", len(e.Value.Slices), len(e.Value.Fairness)))
			}
			if x := d.Disclosure; x != nil {
				t.add(x.ID, text("reads of the sealed labels"), textf("read %d", x.Value.Read))
			}
			t.add(d.Model.ID, text("test logs, dated and signed"), text("the journal dates each record; assay evidence export signs it. The responsible person signs as well"))
		}, ""},
		{"2(h)", "Cybersecurity", nil, "the measures taken."},
		{"3", "Monitoring, functioning and control", func(t *Table) {
			if e := d.Evaluation; e != nil {
				t.add(e.ID, text("accuracy by group"), textf("%d slices in the model card", len(e.Value.Slices)))
			}
			say(t, "limitations", d.Say.Limitations)
			say(t, "unlike the data", d.Say.OutOfDist)
			say(t, "risks to people", d.Say.Ethics)
			if x := d.Serving; x != nil {
				t.add(x.ID, text("input"), textf("a request that does not fit: %s; one far from the training data: %s", x.Value.OnInvalid, x.Value.OnOutlier))
			}
		}, ""},
		{"4", "Why the metrics are appropriate", func(t *Table) {
			if e := d.Evaluation; e != nil {
				t.add(e.ID, text("metric that decides"), code(e.Value.Primary))
				if b := e.Value.Business; b != nil {
					t.add(e.ID, text("what a mistake costs"), code(b.Definition))
				}
			}
		}, "why these metrics fit this use."},
		{"5", "Risk management", func(t *Table) {
			for _, w := range d.Waivers {
				t.add(w.ID, textf("rule %s was waived", w.Value.Rule), textf("%s: %s", w.Value.By, w.Value.Reason))
			}
		}, "the risk management system (Article 9)."},
		{"6", "Changes over the life of the system", func(t *Table) {
			t.add(d.Model.ID, text("versions"), code("assay model history"))
			if x := d.Comparison; x != nil {
				t.add(x.ID, text("held against"), text(x.Value.Name))
			}
		}, ""},
		{"7", "Standards", nil, "the harmonised standards that were applied, or the solutions taken instead."},
		{"8", "Declaration of conformity", nil, "the copy of the EU declaration (Article 47)."},
		{"9", "Monitoring after the system is placed on the market", func(t *Table) {
			if x := d.Monitor; x != nil {
				t.add(x.ID, text("plan"), textf("%d signals over windows by %s", len(x.Value.Signals), x.Value.Windows.By))
			}
			if x := d.Incident; x != nil {
				t.add(x.ID, text("newest incident"), text("see its record"))
			}
		}, ""},
	}
}
