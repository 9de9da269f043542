package registry

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/assay-ml/assay"
)

// WriteCard writes the model card as Markdown with the front matter of the Hugging Face Hub, and the payload that records it. The same
// dossier gives the same bytes.
func WriteCard(d *Dossier) ([]byte, assay.Card, error) {
	var b bytes.Buffer
	front, err := yaml.Marshal(d.frontMatter())
	if err != nil {
		return nil, assay.Card{}, assay.Errorf(assay.Internal, "the front matter of the card cannot be written: %w", err)
	}
	fmt.Fprintf(&b, "---\n%s---\n\n", front)
	page := Describe(d)
	writeMarkdown(&b, page)
	fmt.Fprintf(&b, "\n`assay evidence graph %s` draws how they follow from each other.\n", d.Digest.Short())
	doc := b.Bytes()
	return doc, assay.Card{
		Name: d.Name, Version: d.Version, Document: assay.DigestOf(doc), Statements: d.Say.digest(), Sources: d.sources(),
		Missing: page.Missing, Complete: page.Complete,
	}, nil
}

func writeMarkdown(b *bytes.Buffer, page Document) {
	fmt.Fprintf(b, "# %s\n\n", escape(page.Title))
	if !page.Complete {
		fmt.Fprintf(b, "**Incomplete.** This card lacks %s.\n\n", escape(strings.Join(page.Missing, ", ")))
	}
	for _, s := range page.Sections {
		level := "##"
		if s.Sub {
			level = "###"
		}
		fmt.Fprintf(b, "%s %s\n\n", level, escape(s.Title))
		for _, x := range s.Blocks {
			switch {
			case x.Table != nil:
				writeTable(b, x.Table)
			case x.Missing != "":
				fmt.Fprintf(b, "**Missing.** %s\n\n", escape(x.Missing))
			default:
				for _, p := range paragraphs(x.Text) {
					fmt.Fprintf(b, "%s\n\n", escape(p))
				}
			}
		}
	}
	fmt.Fprintf(b, "## Evidence\n\n`assay evidence show ID` prints each.\n\n| evidence | id |\n|---|---|\n")
	for _, n := range page.Evidence {
		fmt.Fprintf(b, "| %s | `%s` |\n", escape(n.Name), n.ID)
	}
}

func writeTable(b *bytes.Buffer, t *Table) {
	if len(t.Rows) == 0 {
		return
	}
	b.WriteString("|")
	for _, h := range t.Head {
		fmt.Fprintf(b, " %s |", escape(h))
	}
	b.WriteString(" evidence |\n|")
	for _, n := range t.Numbers {
		b.WriteString(map[bool]string{true: "---:|", false: "---|"}[n])
	}
	b.WriteString("---|\n")
	for _, r := range t.Rows {
		b.WriteString("|")
		for _, c := range r.Cells {
			fmt.Fprintf(b, " %s |", c.markdown())
		}
		if r.Evidence == "" {
			b.WriteString(" assay.yaml |\n")
		} else {
			fmt.Fprintf(b, " `%s` |\n", r.Evidence.Short())
		}
	}
	b.WriteString("\n")
}

func (c Cell) markdown() string {
	switch {
	case c.Estimate != nil:
		return c.Estimate.String() // its brackets are no link: nothing follows them, and text that could define one is escaped
	case c.Verdict != "":
		return c.Verdict.Glyph() + " " + escape(string(c.Verdict))
	case c.Code && c.Text != "":
		return span(c.Text)
	}
	return escape(c.Text)
}

// span is an inline code span around any text on one line: its fence is longer than any run of backticks in the text.
func span(s string) string {
	s = strings.ReplaceAll(line(s), "|", "\\|") // a table splits cells before it reads code spans
	longest, run := 0, 0
	for _, r := range s {
		if r == '`' {
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
	}
	fence := strings.Repeat("`", longest+1)
	if longest > 0 {
		return fence + " " + s + " " + fence
	}
	return fence + s + fence
}

// paragraphs divides a text at its empty lines.
func paragraphs(s string) []string {
	var out []string
	for p := range strings.SplitSeq(strings.ReplaceAll(s, "\r\n", "\n"), "\n\n") {
		if p = line(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// escape makes one line of Markdown that reads as the text itself: no markup, no HTML, no link, no end of a table's cell. An underscore
// inside a word stays, for it means nothing there.
func escape(s string) string {
	s = line(s)
	var b strings.Builder
	rs := []rune(s)
	word := func(i int) bool {
		return i >= 0 && i < len(rs) && (rs[i] >= 'a' && rs[i] <= 'z' || rs[i] >= 'A' && rs[i] <= 'Z' || rs[i] >= '0' && rs[i] <= '9')
	}
	for i, r := range rs {
		switch {
		case r == '<':
			b.WriteString("&lt;")
			continue
		case r == '&':
			b.WriteString("&amp;")
			continue
		case strings.ContainsRune("\\`*[]|~$", r), r == '_' && (!word(i-1) || !word(i+1)), i == 0 && strings.ContainsRune("#>+-=", r):
			b.WriteByte('\\')
		case (r == '.' || r == ')') && i > 0 && (i+1 == len(rs) || rs[i+1] == ' ') && strings.Trim(string(rs[:i]), "0123456789") == "":
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
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

// hubLicences are the ids that the Hub accepts without a name of their own; a part of its list.
var hubLicences = strings.Fields(`apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigcode-openrail-m afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause
	bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0
	cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0 cdla-permissive-1.0 cdla-permissive-2.0 wtfpl
	ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc lppl-1.3c ms-pl mpl-2.0 odc-by odbl
	osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl unknown other`)

// line makes one line of a text, fit to be shown.
func line(s string) string { return assay.ShownText(strings.Join(strings.Fields(s), " ")) }

// frontMatter is the metadata of a model card on the Hugging Face Hub: model-index has one result, for the sealed rows, whose metrics
// carry their interval, definition and evidence in args. What only the Hub may write (verified, verifyToken) is not written.
func (d *Dossier) frontMatter() yaml.MapSlice {
	task := "tabular-classification"
	switch d.Model.Value.Task {
	case assay.Regression:
		task = "tabular-regression"
	case assay.Ranking: // the Hub has no task of tables for it
		task = "other"
	}
	front := yaml.MapSlice{}
	if l := strings.TrimSpace(d.Say.Licence); said(l) {
		if id := strings.ToLower(l); slices.Contains(hubLicences, id) {
			front = append(front, yaml.MapItem{Key: "license", Value: id})
		} else { // the Hub knows a list of ids; all else is "other" with a name
			front = append(front, yaml.MapItem{Key: "license", Value: "other"}, yaml.MapItem{Key: "license_name", Value: line(l)})
		}
	}
	front = append(front, yaml.MapItem{Key: "library_name", Value: d.Model.Value.Format}, yaml.MapItem{Key: "pipeline_tag", Value: task},
		yaml.MapItem{Key: "tags", Value: []string{"assay", d.Model.Value.Learner}})
	if d.Evaluation == nil {
		return front
	}
	e := d.Evaluation.Value
	var ids []string
	var metrics []yaml.MapSlice
	all := slices.Clone(e.Metrics)
	if e.Business != nil {
		all = append(all, *e.Business)
	}
	for _, m := range all {
		ids = append(ids, line(hubMetric(m.Name)))
		if !m.Estimate.Defined() {
			continue
		}
		args := yaml.MapSlice{{Key: "definition", Value: m.Definition}, {Key: "evidence", Value: string(d.Evaluation.ID)}}
		if m.Estimate.HasInterval() {
			args = append(args, yaml.MapItem{Key: "low", Value: m.Estimate.Lo}, yaml.MapItem{Key: "high", Value: m.Estimate.Hi},
				yaml.MapItem{Key: "level", Value: m.Estimate.Level}, yaml.MapItem{Key: "method", Value: m.Estimate.Method})
		}
		metrics = append(metrics, yaml.MapSlice{
			{Key: "type", Value: line(hubMetric(m.Name))},
			{Key: "value", Value: m.Estimate.Value},
			{Key: "name", Value: line(m.Name)},
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
			{Key: "task", Value: yaml.MapSlice{{Key: "type", Value: task}, {Key: "name", Value: line(d.Model.Value.Target)}}},
			{Key: "dataset", Value: yaml.MapSlice{{Key: "type", Value: line(dataset)}, {Key: "name", Value: line(dataset)}, {Key: "split", Value: e.Part}, {Key: "revision", Value: string(e.Data)}}},
			{Key: "metrics", Value: metrics},
		}}},
	}}})
}

// WriteEvalResults writes the figures of the final evaluation as the Hugging Face Hub reads them from .eval_results/*.yaml: a list of one
// value each. The interval, the definition and the evidence are in the notes, for the form has no place for them. verifyToken is the
// Hub's to write, and a date would not be the same twice: the journal has it.
func WriteEvalResults(d *Dossier) ([]byte, error) {
	out := []yaml.MapSlice{}
	if x := d.Evaluation; x != nil {
		dataset := d.Name
		if d.Snapshot != nil {
			dataset = d.Snapshot.Value.Name
		}
		all := slices.Clone(x.Value.Metrics)
		if x.Value.Business != nil {
			all = append(all, *x.Value.Business)
		}
		for _, m := range all {
			if !m.Estimate.Defined() {
				continue
			}
			notes := fmt.Sprintf("%s of the %s part, %s rows; %s", line(m.Definition), x.Value.Part, assay.FormatCount(x.Value.Count), m.Estimate.Method)
			if m.Estimate.HasInterval() {
				notes = fmt.Sprintf("%s [%s, %s] at level %s", notes, shortest(m.Estimate.Lo), shortest(m.Estimate.Hi), shortest(m.Estimate.Level))
			}
			out = append(out, yaml.MapSlice{
				{Key: "dataset", Value: yaml.MapSlice{{Key: "id", Value: line(dataset)}, {Key: "task_id", Value: line(hubMetric(m.Name))}, {Key: "revision", Value: string(x.Value.Data)}}},
				{Key: "value", Value: m.Estimate.Value},
				{Key: "notes", Value: notes + "; evidence " + string(x.ID)},
			})
		}
	}
	b, err := yaml.Marshal(out)
	if err != nil {
		return nil, assay.Errorf(assay.Internal, "the results of the card cannot be written: %w", err)
	}
	return b, nil
}
