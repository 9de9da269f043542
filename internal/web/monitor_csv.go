package web

import (
	"encoding/csv"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
)

// monitorTables are the tables of a monitor that may be had as CSV, in the order in which its page names them.
var monitorTables = []struct {
	name  string
	heads []string
	rows  func(MonitorWindow) [][]string
}{
	{"windows", []string{"rows", "refused", "failed", "lost", "sampled", "verdict", "causes", "first_cause"}, windowRows},
	{"signals", []string{"scope", "kind", "column", "test", "statistic", "p_value", "adjusted", "threshold", "rows", "reference_rows", "effect", "effect_lower", "effect_upper", "floor", "streak", "verdict", "message"}, signalRows},
	{"performance", []string{"slice", "metric", "higher_is_better", "realised", "realised_lower", "realised_upper", "labelled_rows", "estimated", "estimated_lower", "estimated_upper", "reference", "reference_lower", "reference_upper", "change", "change_lower", "change_upper", "p_value", "margin", "verdict"}, performanceRows},
	{"labels", []string{"predictions", "labelled", "coverage", "coverage_lower", "coverage_upper", "duplicates", "conflicts", "unknown", "ambiguous", "early", "overdue", "delay_p50_seconds", "delay_p90_seconds", "looks", "missing"}, labelRows},
}

// MonitorTables are the names of the tables that MonitorCSV writes.
func MonitorTables() []string {
	out := make([]string, len(monitorTables))
	for i, t := range monitorTables {
		out[i] = t.name
	}
	return out
}

// MonitorCSV writes one table of a monitor, of all windows in their order, as CSV (RFC 4180): the numbers of its page, with all their digits. The first columns name the
// window and when it begins and ends; what is not known is empty. A text that a spreadsheet would take for a formula begins with an apostrophe.
// It is NotFound where there is no such table.
func MonitorCSV(w io.Writer, table string, windows []MonitorWindow) error {
	for _, t := range monitorTables {
		if t.name != table {
			continue
		}
		out := csv.NewWriter(w)
		out.UseCRLF = true
		if err := out.Write(append([]string{"window", "begins", "ends"}, t.heads...)); err != nil {
			return err
		}
		for _, x := range windows {
			for _, row := range t.rows(x) {
				if err := out.Write(append([]string{cellText(x.Label), string(x.Drift.Window.Start), string(x.Drift.Window.End)}, row...)); err != nil {
					return err
				}
			}
		}
		out.Flush()
		return out.Error()
	}
	return assay.Errorf(assay.NotFound, "a monitor has no table %q; it has %s", table, strings.Join(MonitorTables(), ", ")).Try("leave the last part of the address out")
}

// cellText is a text of people in a cell of CSV: one that begins as a formula does is text there too.
func cellText(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r\n", rune(s[0])) || strings.HasPrefix(s, "＝") || strings.HasPrefix(s, "＋") || strings.HasPrefix(s, "－") || strings.HasPrefix(s, "＠") {
		return "'" + s
	}
	return s
}

func cellCount(n int64) string { return strconv.FormatInt(n, 10) }

func cellNumber(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return ""
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// cellEstimate is a value with the bounds of its interval, each empty where it is not known.
func cellEstimate(e assay.Estimate) []string {
	out := []string{"", "", ""}
	if e.Defined() {
		out[0] = cellNumber(e.Value)
	}
	if e.Defined() && e.HasInterval() {
		out[1], out[2] = cellNumber(e.Lo), cellNumber(e.Hi)
	}
	return out
}

func windowRows(x MonitorWindow) [][]string {
	d, first := x.Drift, ""
	if len(d.Ranking) > 0 {
		first = d.Ranking[0].Message
	}
	w := d.Window
	return [][]string{{cellCount(w.Rows), cellCount(w.Refused), cellCount(w.Failed), cellCount(w.Lost), cellNumber(w.Sampled), string(d.Verdict), cellCount(int64(len(d.Ranking))), cellText(first)}}
}

func signalRows(x MonitorWindow) [][]string {
	signals := x.Drift.Signals
	if x.Outcome != nil {
		signals = append(append([]assay.Signal{}, signals...), x.Outcome.Drift...)
	}
	var out [][]string
	for _, s := range signals {
		row := []string{s.Scope, s.Kind, cellText(s.Column), s.Test, cellNumber(float64(s.Statistic)), cellNumber(float64(s.PValue)), cellNumber(float64(s.Adjusted)), cellNumber(float64(s.Threshold)), cellCount(s.N), cellCount(s.Reference)}
		row = append(append(row, cellEstimate(s.Effect)...), cellNumber(float64(s.Floor)), cellCount(int64(s.Streak)), string(s.Verdict), cellText(s.Message))
		out = append(out, row)
	}
	return out
}

func performanceRows(x MonitorWindow) [][]string {
	if x.Outcome == nil {
		return nil
	}
	var out [][]string
	add := func(slice string, metrics []assay.RealisedMetric) {
		for _, m := range metrics {
			row := append([]string{cellText(slice), cellText(m.Name), strconv.FormatBool(m.Higher)}, cellEstimate(m.Realised)...)
			row = append(row, cellCount(m.Realised.N))
			for _, e := range []assay.Estimate{m.Proxy, m.Reference, m.Change} {
				row = append(row, cellEstimate(e)...)
			}
			out = append(out, append(row, cellNumber(float64(m.PValue)), cellNumber(m.Margin), string(m.Verdict)))
		}
	}
	add("", outcomeMetrics(*x.Outcome))
	for _, s := range x.Outcome.Slices {
		add(s.Name, s.Performance)
	}
	return out
}

func labelRows(x MonitorWindow) [][]string {
	if x.Outcome == nil {
		return nil
	}
	l := x.Outcome.Labels
	row := append([]string{cellCount(l.Coverage.N), cellCount(l.Labelled)}, cellEstimate(l.Coverage)...)
	for _, n := range []int64{l.Duplicates, l.Conflicts, l.Unknown, l.Ambiguous, l.Early, l.Overdue} {
		row = append(row, cellCount(n))
	}
	return [][]string{append(row, cellNumber(float64(l.DelayP50)), cellNumber(float64(l.DelayP90)), cellCount(int64(x.Outcome.Look)), cellText(x.Overdue))}
}
