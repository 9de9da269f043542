package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// evaluation is the golden evaluation of package eval, so that the page shows what that package writes.
func evaluation(t testing.TB, task string) assay.Evaluation {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(assaytest.Root(), "internal", "eval", "testdata", task+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var e assay.Evaluation
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatal(err)
	}
	e.Part = "validation"
	return e
}

func curves(points int) *assay.Curves {
	c := &assay.Curves{}
	for i, name := range []string{"gradient_boosting", "prior"} {
		m := assay.ModelCurves{Name: name}
		for j := range points {
			x := float64(j) / float64(points-1)
			m.ROC = append(m.ROC, [2]float64{x, math.Pow(x, 0.3+0.7*float64(i))})
			m.PrecisionRecall = append(m.PrecisionRecall, [2]float64{1 - x, 0.5 + x/2})
			m.Lift = append(m.Lift, [2]float64{x, 2 - x})
		}
		c.Models = append(c.Models, m)
	}
	p := assay.Estimate{Value: 0.8, Lo: 0.7, Hi: 0.9, Level: 0.95, Method: "wilson", N: 100}
	c.Thresholds = []assay.ThresholdRow{{Threshold: 0.5, Selected: 0.5, Precision: p, Recall: p, FalseRate: p, F1: 0.8}, {Threshold: 0.1, Selected: 1, Precision: p, Recall: p, FalseRate: p, F1: assay.Number(math.NaN())}}
	c.Scores = assay.ScoreHistograms{Positive: []int64{1, 2, 30}, Negative: []int64{20, 3, 1}}
	return c
}

func report(t testing.TB, e assay.Evaluation, c *assay.Curves) string {
	t.Helper()
	var b bytes.Buffer
	if err := EvaluationReport(&b, "churn", e, c, Footer{Version: "0.1", Evidence: assay.DigestOf([]byte("e")), Data: assay.DigestOf([]byte("d")), At: "2026-01-02T03:04:05Z"}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGoldenEvaluationReport(t *testing.T) {
	assaytest.Golden(t, "evaluation-binary.html", []byte(report(t, evaluation(t, "binary"), curves(20))))
	assaytest.Golden(t, "evaluation-regression.html", []byte(report(t, evaluation(t, "regression"), nil)))
}

// A report is one file: no script, nothing from outside, every section that the table of contents names, every heading once.
func TestEvaluationReportStandsAlone(t *testing.T) {
	for _, task := range []string{"binary", "multiclass", "multilabel", "regression"} {
		page := report(t, evaluation(t, task), nil)
		for _, bad := range []string{"<script", "http://", "https://", "<link", "@import", "url(", "NaN", "%!", "ZgotmplZ"} {
			if strings.Contains(page, bad) {
				t.Errorf("%s: the page holds %q", task, bad)
			}
		}
		for _, m := range regexp.MustCompile(`href="#([a-z]+)"`).FindAllStringSubmatch(page, -1) {
			if n := strings.Count(page, `id="`+m[1]+`"`); n != 1 {
				t.Errorf("%s: section %q is there %d times", task, m[1], n)
			}
		}
		for _, svg := range regexp.MustCompile(`<svg [^>]*>`).FindAllString(page, -1) {
			if !strings.Contains(svg, `role="img"`) || !strings.Contains(svg, `aria-label="`) || strings.Contains(svg, `aria-label=""`) {
				t.Errorf("%s: a chart has no name: %s", task, svg)
			}
		}
	}
}

// Names come from data: they are text, never markup.
func TestEvaluationReportEscapes(t *testing.T) {
	e := evaluation(t, "binary")
	const evil = `<img src=x onerror=alert(1)>"&`
	e.Slices[0].Name, e.Positive, e.Baseline, e.Classes[0], e.Fairness[0].Column, e.Fairness[0].Low, e.Metrics[0].Estimate.Method = evil, evil, evil, evil, evil, evil, evil
	c := curves(5)
	c.Models[0].Name = evil
	if page := report(t, e, c); strings.Contains(page, "<img") || strings.Contains(page, `alert(1)>"&`) {
		t.Error("a name from the data became markup")
	}
}

// The size of a report is bounded whatever the number of slices.
func TestEvaluationReportIsSmall(t *testing.T) {
	e := evaluation(t, "binary")
	one := e.Slices[0]
	one.Metrics = one.Metrics[:8]
	e.Slices = nil
	for i := range 500 {
		one.Name = fmt.Sprintf("a rather long name of a column = a rather long value %d", i)
		e.Slices = append(e.Slices, one)
	}
	if n := len(report(t, e, curves(300))); n > MaxReportBytes {
		t.Errorf("500 slices of 8 metrics make %d bytes", n)
	}
}

// What is undefined is said in words.
func TestEvaluationReportOfNothing(t *testing.T) {
	e := assay.Evaluation{
		Part: "validation", Task: assay.Regression, Threshold: assay.Number(math.NaN()), Slices: []assay.Slice{{Name: "s", Verdict: assay.Undetermined}},
		Primary: "r2_score", Metrics: []assay.Metric{{Name: "r2_score", Estimate: assay.Undefined("one row", 1), Gain: assay.Undefined("one row", 1), Baseline: assay.Undefined("one row", 1), Verdict: assay.Undetermined}},
	}
	page := report(t, e, nil)
	if strings.Contains(page, "NaN") || !strings.Contains(page, "undefined") || !strings.Contains(page, "too few rows") {
		t.Error("an evaluation without values is not shown as one")
	}
}
