package web

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
)

// TestEveryFailedColumnIsListed: however many columns there are, each has a line, those that failed before all others and drawn as far as there is room, and the
// page is within its limit.
func TestEveryFailedColumnIsListed(t *testing.T) {
	for _, x := range []struct{ columns, windows, failed int }{{200, 30, 46}, {200, 3, 70}, {2000, 12, 300}, {2000, 2, 0}} {
		p, w, r := watched(t, "a column", x.columns, x.windows)
		fails := map[string]bool{"a column 0": true} // as that helper has it, where there are windows enough
		for k := range x.failed {                    // the changes that failed are the smallest of all
			fails[fmt.Sprintf("a column %d", x.columns-1-k)] = true
		}
		for i := range w {
			for j := range w[i].Drift.Signals {
				if g := &w[i].Drift.Signals[j]; i == x.windows-1 && fails[g.Column] && g.Kind == []string{"distribution", "range"}[j/3%2] && g.Effect.Defined() {
					g.Effect.Value, g.Verdict = 0.01, assay.Fail
				}
			}
		}
		var b bytes.Buffer
		if err := MonitorReport(&b, "churn:1", p, w, r, Footer{}); err != nil {
			t.Fatal(err)
		}
		page := b.String()
		if len(page) > MaxReportBytes {
			t.Errorf("%+v: %d bytes", x, len(page))
		}
		_, table, _ := strings.Cut(page, `<table class="list">`)
		table, _, _ = strings.Cut(table, "</table>")
		rows := regexp.MustCompile(`<tr><th scope="row">(?:<a href="#column-\d+">)?([^<]+)(</a>)?<td>(\w+)<td><span class="verdict (\w+)">`).FindAllStringSubmatch(table, -1)
		if len(rows) != x.columns+1 && len(rows) != x.columns { // the labels have a line of their own
			t.Errorf("%+v: %d lines", x, len(rows))
		}
		failed, drawn, others := 0, 0, false
		for _, r := range rows {
			if r[2] != "" {
				drawn++
			}
			if r[4] != "fail" {
				others = true
				continue
			}
			failed++
			if delete(fails, r[1]); others {
				t.Errorf("%+v: %s stands after columns that did not fail", x, r[1])
			}
		}
		if delete(fails, "a column 0"); len(fails) > 0 || failed < x.failed || drawn < min(failed, 60) {
			t.Errorf("%+v: %d failed, %d drawn, not listed as failed: %v", x, failed, drawn, fails)
		}
		t.Logf("%+v: %d bytes, %d drawn", x, len(page), drawn)
	}
}

// TestColumnsBeyondTheTable: of more columns than a page can have those that failed come first, and the rest is counted.
func TestColumnsBeyondTheTable(t *testing.T) {
	p, w, r := watched(t, strings.Repeat("very long ", 20), 9000, 3)
	var b bytes.Buffer
	if err := MonitorReport(&b, "churn:1", p, w, r, Footer{}); err != nil {
		t.Fatal(err)
	}
	if page := b.String(); len(page) > MaxReportBytes || !strings.Contains(page, "more columns are not in the table, 0 of them failed.") {
		t.Errorf("%d bytes", len(page))
	}
}
