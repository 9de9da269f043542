package web

import (
	"bytes"
	"strings"
	"testing"
)

// TestCommandsOnPages: a command's flags and keys stay whole where a line breaks, and its text is text; a share that is neither none nor all never reads as one.
func TestCommandsOnPages(t *testing.T) {
	var b bytes.Buffer
	p := SitePage{Title: "t", Sections: []SiteSection{{ID: "x", Columns: []SiteColumn{{Name: "a"}, {Name: "b"}}, Rows: [][]SiteCell{{{Text: "a"}, {Text: "assay alert ack k-1 --by <b>", Code: true}}}}}}
	if err := Site(&b, p, Footer{}); err != nil {
		t.Fatal(err)
	}
	if want := `<code>assay alert ack <span class="nb">k-1</span> <span class="nb">--by</span> &lt;b&gt;</code>`; !strings.Contains(b.String(), want) {
		t.Errorf("the page lacks %s:\n%s", want, b.String())
	}
	percent, ok := functions()["percent"].(func(float64) string)
	if !ok {
		t.Fatal("percent is another function")
	}
	for v, want := range map[float64]string{0: "0.0 %", 1e-5: "< 0.1 %", 0.0005: "0.1 %", 0.5: "50.0 %", 0.9994: "99.9 %", 0.9999: "> 99.9 %", 1: "100.0 %"} {
		if got := percent(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}
