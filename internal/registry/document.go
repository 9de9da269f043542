package registry

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
)

// A Document is the content of a card, before it has a form: Markdown and HTML are written from the same one. Text is plain; what
// makes it safe belongs to the form.
type Document struct {
	Title    string
	Complete bool
	Missing  []string
	Sections []Section
	Evidence []Named // everything that is cited, with the full id
}

// A Section is a heading and what stands under it.
type Section struct {
	Key    string // for anchors
	Title  string
	Sub    bool // belongs to the section before
	Blocks []Block
}

// A Block is one of: paragraphs of text, what is missing and how to fill it in, or a table.
type Block struct {
	Text    string
	Missing string
	Table   *Table
}

// A Table has a name for each column but the last, which is the evidence of the row.
type Table struct {
	Head    []string
	Numbers []bool // of each column: right-aligned
	Rows    []Row
}

// A Row is the cells of one row and the evidence that they come from; empty for what a person said.
type Row struct {
	Cells    []Cell
	Evidence assay.Digest
}

// A Cell is one of: text, a number with its interval, or a verdict.
type Cell struct {
	Text     string
	Code     bool // Text is a name, a command or a digest
	Estimate *assay.Estimate
	Verdict  assay.Verdict
}

func text(s string) Cell                    { return Cell{Text: s} }
func textf(format string, args ...any) Cell { return Cell{Text: fmt.Sprintf(format, args...)} }
func code(s string) Cell                    { return Cell{Text: s, Code: true} }
func figure(e assay.Estimate) Cell          { return Cell{Estimate: &e} }
func verdict(v assay.Verdict) Cell          { return Cell{Verdict: v} }
func (t *Table) add(id assay.Digest, cells ...Cell) {
	t.Rows = append(t.Rows, Row{cells, id})
}

// list is a table of a name and a value.
func list(name string) *Table { return &Table{Head: []string{name, ""}, Numbers: []bool{false, false}} }

// Describe gathers the content of the card of a version. The same dossier gives the same document.
func Describe(d *Dossier) Document {
	missing := d.missing()
	out := Document{Title: fmt.Sprintf("%s, version %d", d.Name, d.Version), Complete: len(missing) == 0, Missing: missing, Evidence: d.cited()}
	out.Sections = append(out.Sections, d.model(), d.uses())
	out.Sections = append(out.Sections, d.data()...)
	out.Sections = append(out.Sections, d.training()...)
	out.Sections = append(out.Sections, d.evaluation()...)
	out.Sections = append(out.Sections, d.comparison())
	out.Sections = append(out.Sections,
		d.limitations(),
		Section{Key: "out-of-distribution", Title: "Out-of-distribution behaviour", Sub: true, Blocks: statement("card.out_of_distribution", d.Say.OutOfDist)},
		Section{Key: "ethics", Title: "Ethical considerations", Blocks: statement("card.ethical_considerations", d.Say.Ethics)})
	if d.Serving != nil || d.Monitor != nil {
		out.Sections = append(out.Sections, d.operation())
	}
	if len(d.Waivers) > 0 {
		out.Sections = append(out.Sections, d.waivers())
	}
	return out
}

// statement is what a person said, or that nobody said it.
func statement(key, s string) []Block {
	if !said(s) {
		return []Block{{Missing: "Fill " + key + " in assay.yaml."}}
	}
	return []Block{{Text: strings.TrimSpace(s)}}
}

func (d *Dossier) model() Section {
	m, id := d.Model.Value, d.Model.ID
	t := list("model")
	t.add(id, text("task"), textf("%s: %s", m.Task, m.Target))
	t.add(id, text("learner"), textf("%s, written as %s", m.Learner, m.Format))
	t.add(id, text("inputs"), textf("%d columns", len(m.Inputs)))
	if len(m.Classes) > 0 {
		t.add(id, text("classes, in order"), text(strings.Join(m.Classes, ", ")))
	}
	if m.Positive != "" {
		t.add(id, text("positive class"), text(m.Positive))
	}
	t.add(id, text("model file"), code(string(d.Digest)))
	if said(d.Say.Licence) {
		t.add("", text("licence"), text(d.Say.Licence))
	}
	if said(d.Say.Owners) {
		t.add("", text("owners"), text(d.Say.Owners))
	}
	if said(d.Say.Contact) {
		t.add("", text("contact"), text(d.Say.Contact))
	}
	s := Section{Key: "model", Title: "Model", Blocks: statement("card.description", d.Say.Description)}
	if !said(d.Say.Licence) {
		s.Blocks = append(s.Blocks, Block{Missing: "Fill card.licence in assay.yaml."})
	}
	return Section{s.Key, s.Title, false, append(s.Blocks, Block{Table: t}, Block{Text: "A figure reads value [low, high]. The last column of each table names the evidence that the row comes from."})}
}

func (d *Dossier) uses() Section {
	s := Section{Key: "uses", Title: "Intended use", Blocks: statement("card.intended_use", d.Say.IntendedUse)}
	if said(d.Say.Users) {
		s.Blocks = append(s.Blocks, Block{Text: "Users: " + strings.TrimSpace(d.Say.Users)})
	}
	if said(d.Say.OutOfScope) {
		s.Blocks = append(s.Blocks, Block{Text: "Out of scope: " + strings.TrimSpace(d.Say.OutOfScope)})
	}
	return s
}

func (d *Dossier) limitations() Section {
	s := Section{Key: "limitations", Title: "Limitations", Blocks: statement("card.limitations", d.Say.Limitations)}
	if said(d.Say.Tradeoffs) {
		s.Blocks = append(s.Blocks, Block{Text: "Trade-offs: " + strings.TrimSpace(d.Say.Tradeoffs)})
	}
	return s
}

func (d *Dossier) data() []Section {
	main := Section{Key: "data", Title: "Data"}
	t := list("data set")
	if s := d.Snapshot; s != nil {
		t.add(s.ID, text("name"), text(s.Value.Name))
		t.add(s.ID, text("size"), textf("%s rows, %d columns", assay.FormatCount(s.Value.Rows), len(s.Value.Fields)))
		t.add(s.ID, text("content"), code(string(s.Value.Content)))
	} else {
		main.Blocks = append(main.Blocks, Block{Missing: "The data is not versioned: run assay snapshot."})
	}
	if v := d.Validation; v != nil {
		t.add(v.ID, text("schema check"), textf("%s: %s of %s rows violate one of %d constraints", v.Value.Verdict, assay.FormatCount(v.Value.Failing), assay.FormatCount(v.Value.Rows), v.Value.Constraints))
	} else {
		main.Blocks = append(main.Blocks, Block{Missing: "The data is not checked: run assay check."})
	}
	if s := d.Split; s != nil {
		t.add(s.ID, text("split"), textf("by %s, seed %d", s.Value.By, s.Value.Seed))
		for _, p := range s.Value.Parts {
			name := p.Name + " part"
			if p.Name == s.Value.Sealed {
				name += ", labels sealed"
			}
			t.add(s.ID, text(name), textf("%s rows", assay.FormatCount(p.Rows)))
		}
		for _, a := range s.Value.Alike {
			t.add(s.ID, textf("sealed test rows of split %s in another form", a.Split.Short()), text(recognised(a)))
		}
	} else {
		main.Blocks = append(main.Blocks, Block{Missing: "The data is not split: run assay split."})
	}
	main.Blocks = append(main.Blocks, Block{Table: t})
	out := []Section{main}
	if s := d.Datasheet; s != nil {
		t := list("question")
		for _, k := range slices.Sorted(maps.Keys(s.Value.Fields)) {
			t.add(s.ID, text(k), text(s.Value.Fields[k]))
		}
		sheet := Section{Key: "datasheet", Title: "Datasheet", Sub: true, Blocks: []Block{{Table: t}}}
		for _, k := range s.Value.Missing {
			sheet.Blocks = append(sheet.Blocks, Block{Missing: "Fill data.documentation." + k + " in assay.yaml."})
		}
		out = append(out, sheet)
	} else {
		out = append(out, Section{Key: "datasheet", Title: "Datasheet", Sub: true, Blocks: []Block{{Missing: "Fill data.documentation in assay.yaml and run assay snapshot."}}})
	}
	if s := d.Split; s != nil && len(s.Value.Findings) > 0 {
		t := &Table{Head: []string{"check", "verdict", "finding"}, Numbers: make([]bool, 3)}
		for _, l := range s.Value.Findings {
			t.add(s.ID, text(l.Check), verdict(l.Verdict), text(l.Message))
		}
		out = append(out, Section{Key: "leakage", Title: "Leakage checks", Sub: true, Blocks: []Block{{Table: t}}})
	}
	return out
}

// recognised says of a sealed set how many of its rows a split has, how they were recognised and why it was split all the same.
func recognised(a assay.Alike) string {
	s := "about " + assay.FormatCount(a.Rows) + " rows, recognised by " + a.By
	if a.Sealed {
		s += ", sealed again"
	}
	if a.Reason != "" {
		s += "; accepted with the reason: " + a.Reason
	}
	return s
}

func (d *Dossier) training() []Section {
	r := d.Run
	if r == nil {
		return []Section{{Key: "training", Title: "Training", Blocks: []Block{{Missing: "No run is recorded for this model: run assay train or assay run."}}}}
	}
	v := r.Value
	t := list("run")
	t.add(r.ID, text("command"), code(strings.Join(v.Spec.Command, " ")))
	t.add(r.ID, text("seed"), text(strconv.FormatUint(v.Spec.Seed, 10)))
	if v.Spec.Code.Commit != "" {
		state := ""
		if v.Spec.Code.Dirty != "" {
			state = " with uncommitted changes"
		}
		t.add(r.ID, text("code"), text(v.Spec.Code.Commit+state))
	}
	t.add(r.ID, text("environment"), text(strings.Join(slices.DeleteFunc([]string{v.Environment.Interpreter, v.Environment.Platform, fmt.Sprintf("%d packages", len(v.Environment.Packages))},
		func(s string) bool { return s == "" || s == "0 packages" }), ", ")))
	t.add(r.ID, text("reproducibility"), text(strconv.FormatFloat(v.Score, 'f', 2, 64)))
	if len(v.Missing) > 0 {
		t.add(r.ID, text("what stands in its way"), text(strings.Join(v.Missing, ", ")))
	}
	if v.SealedRows > 0 {
		t.add(r.ID, text("sealed test rows that it was given"), text(assay.FormatCount(v.SealedRows)))
	}
	out := []Section{{Key: "training", Title: "Training", Blocks: []Block{{Table: t}}}}
	if len(v.Params) > 0 {
		p := list("parameter")
		for _, k := range slices.Sorted(maps.Keys(v.Params)) {
			p.add(r.ID, text(k), text(cmp.Or(v.Params[k], "none")))
		}
		out = append(out, Section{Key: "parameters", Title: "Parameters", Sub: true, Blocks: []Block{{Table: p}}})
	}
	return out
}

func (d *Dossier) evaluation() []Section {
	e := d.Evaluation
	if e == nil {
		return []Section{{Key: "evaluation", Title: "Evaluation", Blocks: []Block{{Missing: "The sealed test set was not evaluated: run assay eval --final."}}}}
	}
	v := e.Value
	t := list("held-out rows")
	t.add(e.ID, text("rows"), textf("%s of the %s part, sealed before training", assay.FormatCount(v.Count), v.Part))
	if x := d.Disclosure; x != nil {
		t.add(x.ID, text("reads of the sealed labels"), textf("read %d, at level %s", x.Value.Read, assay.FormatNumber(x.Value.Level, math.NaN())))
		if x.Value.Reason != "" {
			t.add(x.ID, text("why they were read again"), text(x.Value.Reason))
		}
	}
	t.add(e.ID, text("baseline"), text(v.Baseline))
	if v.Weight != "" {
		t.add(e.ID, text("rows are weighted by"), textf("%s; effective number %s", v.Weight, assay.FormatCount(int64(v.Effective))))
	}
	if v.Entity != "" {
		t.add(e.ID, text("intervals resample"), textf("whole values of %s", v.Entity))
	}
	m := &Table{Head: []string{"metric", "model", "baseline", "gain", "beats it", "definition", "interval"}, Numbers: []bool{false, true, true, true, false, false, false}}
	metrics := slices.Clone(v.Metrics)
	if v.Business != nil {
		metrics = append(metrics, *v.Business)
	}
	for _, x := range metrics {
		m.add(e.ID, text(x.Name), figure(x.Estimate), figure(x.Baseline), figure(x.Gain), verdict(x.Verdict), code(x.Definition), text(x.Estimate.Method))
	}
	out := []Section{{Key: "evaluation", Title: "Evaluation", Blocks: []Block{
		{Table: t},
		{Table: m},
		{Text: fmt.Sprintf("Intervals at level %s. The gain is the paired difference to the baseline, positive when the model is better.", assay.FormatNumber(v.Level, math.NaN()))},
	}}}
	if len(v.Slices) > 0 {
		t := &Table{Head: []string{"slice", "rows", v.Primary, "gain over " + v.Baseline, "gap to the rest", "verdict"}, Numbers: []bool{false, true, true, true, true, false}}
		for _, s := range v.Slices {
			est, gap := assay.Undefined("not scored", s.Count), assay.Undefined("not scored", s.Count)
			for _, x := range s.Metrics {
				if x.Name == v.Primary {
					est, gap = x.Estimate, x.Gap
				}
			}
			gain := assay.Undefined("not scored", s.Count)
			if s.Gain != nil {
				gain = *s.Gain
			}
			t.add(e.ID, text(s.Name), text(assay.FormatCount(s.Count)), figure(est), figure(gain), figure(gap), verdict(s.Verdict))
		}
		out = append(out, Section{Key: "slices", Title: "Slices", Sub: true, Blocks: []Block{
			{Table: t},
			{Text: v.SliceSentence()},
		}})
	} else {
		out = append(out, Section{Key: "slices", Title: "Slices", Sub: true, Blocks: []Block{{Missing: "No slice was looked at: fill evaluate.slices in assay.yaml."}}})
	}
	if len(v.Fairness) > 0 {
		t := &Table{Head: []string{"column", "measure", "value", "between"}, Numbers: []bool{false, false, true, false}}
		for _, f := range v.Fairness {
			between := textf("%s and %s", f.Low, f.High)
			if f.Low == "" && f.High == "" {
				between.Text = "fewer than two groups"
			}
			if len(f.Left) > 0 {
				between.Text += "; left out, too few rows: " + strings.Join(f.Left, ", ")
			}
			t.add(e.ID, text(f.Column), text(f.Name), figure(f.Estimate), between)
		}
		out = append(out, Section{Key: "fairness", Title: "Group fairness", Sub: true, Blocks: []Block{{Table: t}}})
	}
	return out
}

func (d *Dossier) comparison() Section {
	s := Section{Key: "comparison", Title: "Comparison"}
	x := d.Comparison
	if x == nil {
		s.Blocks = []Block{{Missing: "Run assay compare."}}
		return s
	}
	v := x.Value
	t := list("comparison")
	t.add(x.ID, text("with"), text(v.Name))
	t.add(x.ID, text("on the same rows"), textf("%s of the %s", assay.FormatCount(v.Count), v.PartName()))
	t.add(x.ID, textf("not worse by more than %s in %s", assay.FormatNumber(v.Margin, math.NaN()), v.Primary), verdict(v.Verdict))
	m := &Table{Head: []string{"metric", "this version", v.Name, "difference", "test", "verdict"}, Numbers: []bool{false, true, true, true, false, false}}
	for _, y := range v.Metrics {
		m.add(x.ID, text(y.Name), figure(y.Candidate), figure(y.Reference), figure(y.Difference), text(y.Test), verdict(y.Verdict))
	}
	s.Blocks = []Block{{Table: t}, {Table: m}}
	return s
}

// operation is what stands around the model once it serves.
func (d *Dossier) operation() Section {
	t := list("in operation")
	if x := d.Serving; x != nil {
		v := x.Value
		t.add(x.ID, text("requests are checked against"), textf("a schema of %d columns; one that does not fit: %s; one far from the training data: %s", v.Input.Columns, v.OnInvalid, v.OnOutlier))
		t.add(x.ID, text("answers are checked against"), textf("a schema of %d columns", v.Output.Columns))
		t.add(x.ID, textf("%d smoke predictions", len(v.Smoke)), verdict(v.Verdict))
	}
	if x := d.Monitor; x != nil {
		v := x.Value
		t.add(x.ID, text("watched by"), textf("%d signals over windows by %s, %s false alarms a year allowed", len(v.Signals), v.Windows.By, assay.FormatNumber(v.Budget.FalseAlarmsPerYear, math.NaN())))
		for _, r := range v.References {
			t.add(x.ID, textf("reference of %s", r.Name), textf("%s rows of the %s part", assay.FormatCount(r.Rows), r.Part))
		}
		for _, a := range v.Alerts {
			t.add(x.ID, textf("alert %s, %s", a.Name, a.Severity), textf("%d steps of escalation", len(a.Steps)))
		}
	}
	if x := d.Incident; x != nil {
		v := x.Value
		said := "since window " + assay.FormatCount(v.Since.Number)
		if len(v.Causes) > 0 {
			said += ": " + v.Causes[0].Message
		}
		t.add(x.ID, textf("incident %s, %s", v.Key, v.Severity), text(said))
	}
	return Section{Key: "operation", Title: "Operation", Blocks: []Block{{Table: t}}}
}

func (d *Dossier) waivers() Section {
	t := &Table{Head: []string{"rule", "stage", "by", "reason"}, Numbers: make([]bool, 4)}
	for _, w := range d.Waivers {
		t.add(w.ID, text(w.Value.Rule), text(string(w.Value.Stage)), text(w.Value.By), text(w.Value.Reason))
	}
	return Section{Key: "waivers", Title: "Waivers", Blocks: []Block{{Text: "Rules of the gate that did not pass and that a person answered for."}, {Table: t}}}
}
