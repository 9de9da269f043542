package web

import (
	"bytes"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/registry"
)

func cardDossier(word string) *registry.Dossier {
	id := func(s string) assay.Digest { return assay.DigestOf([]byte(s)) }
	e := assay.Estimate{Value: 0.871, Lo: 0.866, Hi: 0.876, Level: 0.95, Method: "delong", N: 2000}
	return &registry.Dossier{
		Name: "employment", Version: 3, Digest: id("file"),
		Model: registry.Fact[assay.Model]{ID: id("model"), Value: assay.Model{Format: "onnx", Learner: "gradient_boosting", Task: assay.Binary, Target: word, Classes: []string{"0", word}}},
		Evaluation: &registry.Fact[assay.Evaluation]{ID: id("evaluation"), Value: assay.Evaluation{
			Part: "test", Count: 2000, Final: true, Level: 0.95, Primary: "roc_auc_score", Baseline: "prior",
			Metrics: []assay.Metric{{Name: "roc_auc_score", Definition: "roc_auc_score@sklearn>=1.6", Estimate: e, Baseline: assay.Point(0.5, "", 2000), Gain: e, Verdict: assay.Pass}},
			Slices:  []assay.Slice{{Name: word, Count: 12, Verdict: assay.Undetermined}},
		}},
		Waivers: []registry.Fact[assay.Waiver]{{ID: id("waiver"), Value: assay.Waiver{Rule: "card", Stage: assay.StageStaging, By: word, Reason: word}}},
		Say:     registry.Statements{Description: word + "\n\n" + word, Limitations: word},
	}
}

func TestModelCard(t *testing.T) {
	var b bytes.Buffer
	f := Footer{Version: "0.1.0", Evidence: assay.DigestOf([]byte("card")), Data: assay.DigestOf([]byte("data")), At: "2026-01-02T03:04:05Z"}
	if err := ModelCard(&b, cardDossier("employed"), f); err != nil {
		t.Fatal(err)
	}
	assaytest.Golden(t, "card.html", b.Bytes())
	for _, want := range []string{"This card lacks", "0.871 [0.866, 0.876]", `href="#e-`, "Waivers", "◐ undetermined", "Fill card.licence"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, bad := range []string{"<script", "http://", "https://", "src="} {
		if strings.Contains(b.String(), bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
}

func TestModelCardEscapes(t *testing.T) {
	for _, h := range []string{"<script>alert(1)</script>", `"><img src=x onerror=alert(1)>`, "</style><b>", "{{.}}", "javascript:alert(1)"} {
		var b bytes.Buffer
		if err := ModelCard(&b, cardDossier(h), Footer{}); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(b.String(), "</style>"); n != 1 || strings.Contains(b.String(), "<script") || strings.Contains(b.String(), "<img") || strings.Contains(b.String(), `href="javascript`) {
			t.Errorf("%q is not escaped", h)
		}
	}
}
