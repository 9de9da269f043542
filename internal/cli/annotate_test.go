package cli

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/learn"
)

func checkOf(name string, v assay.Verdict, message string, notes ...string) ciCheck {
	c := ciCheck{CICheck: assay.CICheck{Name: name, Verdict: v, Message: message}, file: "a,b:c.yaml", line: 3, took: 1500 * time.Millisecond}
	for _, n := range notes {
		c.notes = append(c.notes, ciNote{n, 7})
	}
	return c
}

func TestAnnotations(t *testing.T) {
	skipped := checkOf("gate", assay.Undetermined, "nothing there")
	skipped.Advisory = true
	told := checkOf("gate", assay.Fail, "shut", "a rule")
	told.Advisory = true
	got := annotations([]ciCheck{checkOf("config", assay.Pass, "fine"), checkOf("schema", assay.Fail, "50% bad\nsecond line", "x"), skipped, told})
	want := []string{
		"::error file=a%2Cb%3Ac.yaml,line=3,title=assay ci%3A schema::50%25 bad%0Asecond line",
		"::error file=a%2Cb%3Ac.yaml,line=7,title=assay ci%3A schema::x",
		"::warning file=a%2Cb%3Ac.yaml,line=3,title=assay ci%3A gate::shut",
		"::warning file=a%2Cb%3Ac.yaml,line=7,title=assay ci%3A gate::a rule",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAnnotationLimits(t *testing.T) {
	notes := make([]string, 40)
	for i := range notes {
		notes[i] = fmt.Sprint("finding ", i)
	}
	told := checkOf("gate", assay.Undetermined, "open", notes...)
	told.Advisory = true
	got := annotations([]ciCheck{checkOf("schema", assay.Fail, "bad", notes...), told})
	count := func(level string) (n int) {
		for _, l := range got {
			if strings.HasPrefix(l, "::"+level+" ") {
				n++
			}
		}
		return n
	}
	if count("error") != maxAnnotations || count("warning") != maxAnnotations || len(got) != 2*maxAnnotations {
		t.Errorf("%d errors, %d warnings of %d", count("error"), count("warning"), len(got))
	}
	if !strings.HasSuffix(got[maxAnnotations-1], "::32 more findings; the log and the step summary have them all") {
		t.Errorf("last error: %s", got[maxAnnotations-1])
	}
}

func TestStepSummary(t *testing.T) {
	b := stepSummary([]ciCheck{checkOf("schema", assay.Fail, "a | <b> `c` [d](e)")}, assay.CI{Verdict: assay.Fail})
	if !strings.Contains(string(b), "a \\| &lt;b> \\`c\\` \\[d\\](e) |") {
		t.Errorf("%s", b)
	}
	notes := make([]string, 3000)
	for i := range notes {
		notes[i] = strings.Repeat("x", 1000)
	}
	b = stepSummary([]ciCheck{checkOf("schema", assay.Fail, "bad", notes...)}, assay.CI{Verdict: assay.Fail})
	if len(b) > maxSummaryBytes || len(b) < maxSummaryBytes-2000 || !bytes.HasSuffix(b, []byte("The rest is in the log.\n")) {
		t.Errorf("%d bytes", len(b))
	}
}

func TestJUnit(t *testing.T) {
	skipped := checkOf("gate", assay.Undetermined, "nothing there")
	skipped.Advisory = true
	b, err := junitXML([]ciCheck{checkOf("config", assay.Pass, "fine"), checkOf("schema", assay.Fail, "<b> & \x1b \"q\"", "]]>"), checkOf("leakage", assay.Undetermined, "open"), skipped})
	if err != nil {
		t.Fatal(err)
	}
	var got junitSuites
	if err := xml.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if got.Tests != 4 || got.Failures != 2 || got.Skipped != 1 || got.Time != "6.000" || len(got.Suite.Cases) != 4 {
		t.Errorf("%+v", got)
	}
	if f := got.Suite.Cases[1].Failure; f == nil || f.Message != "<b> & \uFFFD \"q\"" || !strings.HasSuffix(f.Text, "]]>") {
		t.Errorf("failure %+v", f)
	}
}

func TestValidPrediction(t *testing.T) {
	ab := []string{"a", "b"}
	nan := 0.0
	nan /= nan
	for _, c := range []struct {
		name    string
		p       learn.Prediction
		n       int
		classes []string
		want    string
	}{
		{"good", learn.Prediction{Classes: ab, Proba: []float64{0.25, 0.75}}, 1, ab, ""},
		{"order", learn.Prediction{Classes: []string{"b", "a"}, Proba: []float64{0.25, 0.75}}, 1, ab, "order"},
		{"short", learn.Prediction{Classes: ab, Proba: []float64{0.25, 0.75}}, 2, ab, "2 probabilities for 2 rows"},
		{"sum", learn.Prediction{Classes: ab, Proba: []float64{0.25, 0.5}}, 1, ab, "sum to 0.75"},
		{"nan", learn.Prediction{Classes: ab, Proba: []float64{nan, 0.5}}, 1, ab, "not between"},
		{"range", learn.Prediction{Classes: ab, Proba: []float64{-0.5, 1.5}}, 1, ab, "not between"},
		{"values", learn.Prediction{Values: []float64{1, 2}}, 2, nil, ""},
		{"value", learn.Prediction{Values: []float64{1, nan}}, 2, nil, "prediction 2 is not a finite number"},
		{"few", learn.Prediction{Values: []float64{1}}, 2, nil, "1 predictions for 2 rows"},
	} {
		err := validPrediction(c.p, c.n, c.classes)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestAtMost(t *testing.T) {
	rows := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	if got := atMost(rows, 3); !slices.Equal(got, []int{1, 4, 7}) {
		t.Errorf("%v", got)
	}
	if got := atMost(rows, 10); !slices.Equal(got, rows) {
		t.Errorf("%v", got)
	}
}
