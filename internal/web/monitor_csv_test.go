package web

import (
	"bytes"
	"encoding/csv"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// TestMonitorCSV: every table reads back as it was, with the figures of the page, whatever texts it holds; no cell of a text is a formula.
func TestMonitorCSV(t *testing.T) {
	hostile := assaytest.HostileTexts()
	for i, text := range []string{"=HYPERLINK(\"http://evil\")", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "＝1"} {
		hostile["formula "+strconv.Itoa(i)] = text
	}
	hostile["plain"] = "age"
	for name, text := range hostile {
		text = text[:min(len(text), 300)]
		_, windows, _ := watched(t, text, 3, 4)
		for i := range windows {
			windows[i].Drift.Signals[0].Message = text
			windows[i].Outcome, windows[i].Restated = labelled(text, i)
		}
		for _, table := range MonitorTables() {
			var b bytes.Buffer
			if err := MonitorCSV(&b, table, windows); err != nil {
				t.Fatal(err)
			}
			rows, err := csv.NewReader(&b).ReadAll() // which refuses rows of another length
			if err != nil || len(rows) < 4 {
				t.Fatalf("%s of %s: %d rows, %v", table, name, len(rows), err)
			}
			column := map[string]int{}
			for i, h := range rows[0] {
				column[h] = i
			}
			for _, row := range rows[1:] {
				for i, c := range row {
					if _, err := strconv.ParseFloat(c, 64); err != nil && c != "" && strings.ContainsRune("=+-@\t\r", rune(c[0])) {
						t.Errorf("%s of %s, column %s: %q is a formula", table, name, rows[0][i], c)
					}
				}
			}
			if table != "signals" {
				continue
			}
			at := 1
			for _, x := range windows {
				signals := x.Drift.Signals
				if x.Outcome != nil {
					signals = append(append([]assay.Signal{}, signals...), x.Outcome.Drift...)
				}
				for _, s := range signals {
					row := rows[at]
					at++
					if got := strings.TrimPrefix(row[column["column"]], "'"); got != strings.TrimPrefix(strings.ReplaceAll(s.Column, "\r\n", "\n"), "'") || row[column["window"]] != x.Label || row[column["verdict"]] != string(s.Verdict) {
						t.Fatalf("%s: row %d is %q, of signal %+v", name, at, row, s)
					}
					for head, want := range map[string]float64{"effect": s.Effect.Value, "effect_lower": s.Effect.Lo, "effect_upper": s.Effect.Hi, "p_value": float64(s.PValue), "floor": float64(s.Floor), "statistic": float64(s.Statistic)} {
						got, err := strconv.ParseFloat(row[column[head]], 64)
						if undefined := math.IsNaN(want) || !s.Effect.Defined() && strings.HasPrefix(head, "effect"); undefined != (row[column[head]] == "") || !undefined && (err != nil || got != want) {
							t.Fatalf("%s: row %d, %s is %q, want %v", name, at, head, row[column[head]], want)
						}
					}
				}
			}
			if at != len(rows) {
				t.Errorf("%s: %d rows of signals, want %d", name, len(rows)-1, at-1)
			}
		}
	}
	if err := MonitorCSV(&bytes.Buffer{}, "nothing", nil); assay.CodeOf(err) != assay.NotFound || assay.HintOf(err) == "" {
		t.Errorf("%v", err)
	}
}
