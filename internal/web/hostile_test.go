package web

import (
	"bytes"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// TestHostileTextsOnPages: names, values and what people write do nothing on any page.
func TestHostileTextsOnPages(t *testing.T) {
	for name, text := range assaytest.HostileTexts() {
		site := SitePage{
			Title: text, Lead: text, Here: "Home", Crumbs: []SiteLink{{Text: text, Path: "/models/" + text}}, Facts: []SiteFact{{text, text}},
			Sections: []SiteSection{
				{ID: "x", Title: text, Text: text, Drawing: Bars(text, []Bar{{text, 1, text}}), DrawingTitle: text, Columns: []SiteColumn{{Name: text}, {Name: text}}, Rows: [][]SiteCell{{{Text: text, Path: "/x/" + text}, {Text: text, More: []string{text}, Code: true}}}},
				{ID: "y", Title: text, Empty: text, Command: text},
			},
		}
		for page, write := range map[string]func(*bytes.Buffer) error{
			"a page of the server": func(b *bytes.Buffer) error { return Site(b, site, Footer{Version: "1", At: text, Here: "Home"}) },
			"a card":               func(b *bytes.Buffer) error { return ModelCard(b, cardDossier(text), Footer{Version: "1"}) },
			"an evaluation": func(b *bytes.Buffer) error {
				return EvaluationReport(b, text, assay.Evaluation{Part: text, Primary: text, Baseline: text, Classes: []string{text, "b"}, Positive: text, Metrics: []assay.Metric{{Name: text, Verdict: assay.Pass}}, Slices: []assay.Slice{{Name: text, Verdict: assay.Fail, Reason: text}}}, nil, Footer{Version: "1"})
			},
			"a report of a monitor": func(b *bytes.Buffer) error {
				_, err := b.WriteString(monitored(t, text[:min(len(text), 200)], 2, 3))
				return err
			},
		} {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatalf("%s on %s: %v", name, page, err)
			}
			assaytest.HarmlessPage(t, name+" on "+page, b.String())
		}
	}
}
