package cli

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/serve"
)

// TestMonitorRun holds a prediction log against a plan: a day like the training data, a day without traffic, a day that changed, one before the
// clock's and not over.
func TestMonitorRun(t *testing.T) {
	dir := t.TempDir()
	if err := copyFolder(filepath.Join("testdata", "people"), dir); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, ProjectFile), os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, "monitor: {window: 1d, min_rows: 50, persistence: 1, drift: {effect_floor: 0.3}}")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	m := &stageManager{clock: assaytest.Clock()}
	for _, args := range []string{"make register", "monitor plan"} {
		if out, stderr, exit := command(m, dir, strings.Fields(args)...); exit != 0 {
			t.Fatalf("assay %s: %d\n%s%s", args, exit, out, stderr)
		}
	}
	if _, stderr, exit := command(m, dir, "monitor", "run"); exit != 1 || !strings.Contains(stderr, "no prediction of this model was logged") {
		t.Errorf("without a log: %d, %s", exit, stderr)
	}
	b, err := os.ReadFile(filepath.Join(dir, "people.csv"))
	if err != nil {
		t.Fatal(err)
	}
	people, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	fields := append(serve.LogFields(), assay.Field{Name: "prediction", Type: assay.TypeString}, assay.Field{Name: "probability_no", Type: assay.TypeNumber}, assay.Field{Name: "probability_yes", Type: assay.TypeNumber})
	for _, name := range people[0][1:7] {
		typ := assay.TypeNumber
		switch name {
		case "sex", "region":
			typ = assay.TypeString
		case "age", "hours":
			typ = assay.TypeInteger
		}
		fields = append(fields, assay.Field{Name: name, Type: typ})
	}
	var lines bytes.Buffer
	line := func(day, outcome string, i int, change func(map[string]any)) {
		row := map[string]any{"_at": day + "T12:00:00.000000", "_request": day + strconv.Itoa(i), "_index": 0, "_version": 1, "_edge": "mlflow", "_outcome": outcome, "_sampled": 1, "prediction": "no", "probability_no": 0.9, "probability_yes": 0.1}
		for c, name := range people[0][1:7] {
			if v := people[1+i%600][1+c]; v == "" {
				row[name] = nil
			} else if n, err := strconv.ParseFloat(v, 64); err == nil {
				row[name] = n
			} else {
				row[name] = v
			}
		}
		change(row)
		doc, err := json.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		lines.Write(append(doc, '\n'))
	}
	answer := func(row map[string]any, i int) {
		if people[1+i%600][7] == "yes" {
			row["prediction"], row["probability_no"], row["probability_yes"] = "yes", 0.05, 0.95
		}
	}
	for i := range 400 {
		line("2025-12-29", "answered", i, func(row map[string]any) { answer(row, i) })
		line("2025-12-31", "answered", i, func(row map[string]any) {
			answer(row, i)
			row["region"] = "south"
		})
	}
	for i := range 7 {
		line("2025-12-31", "refused", i, func(row map[string]any) {
			delete(row, "prediction")
			delete(row, "probability_yes")
			delete(row, "probability_no")
		})
	}
	fmt.Fprintln(&lines, `{"_at":"2025-12-31T13:00:00.000000","_index":-1,"_outcome":"lost","_lost":11}`)
	line("2026-01-02", "answered", 0, func(map[string]any) {})
	log := serve.LogDir(filepath.Join(dir, ".assay", "log"), "people")
	if err := os.MkdirAll(log, 0o700); err != nil {
		t.Fatal(err)
	}
	doc, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"fields.json": doc, "2025123112-x-0.jsonl": lines.Bytes()} {
		if err := os.WriteFile(filepath.Join(log, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func() (out struct {
		Windows []replayedWindow `json:"windows"`
		Verdict assay.Verdict    `json:"verdict"`
	},
	) {
		stdout, stderr, exit := command(m, dir, "--json", "monitor", "run")
		if exit != 3 {
			t.Fatalf("%d: %s%s", exit, stdout, stderr)
		}
		if err := json.Unmarshal([]byte(stdout), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	out := run()
	var got []string
	for _, w := range out.Windows {
		d := w.Drift
		got = append(got, fmt.Sprintf("%s %s rows %d refused %d lost %d causes %d", w.Label, d.Verdict, d.Window.Rows, d.Window.Refused, d.Window.Lost, len(d.Ranking)))
	}
	moved := out.Windows[2].Drift
	if !slices.ContainsFunc(moved.Ranking, func(c assay.Cause) bool { return c.Scope == "input" && c.Column == "region" }) {
		t.Errorf("what moved: %+v", moved.Ranking)
	}
	// The answers are made up, so on the first day only inputs are as before.
	want := []string{
		"2025-12-29 .* rows 400 refused 0 lost 0 .*", "2025-12-30 fail rows 0 refused 0 lost 0 causes 1", "2025-12-31 fail rows 407 refused 7 lost 11 .*", "2026-01-01 fail rows 0 refused 0 lost 0 causes 1",
	}
	for i := range want {
		if i >= len(got) || !regexp.MustCompile("^"+want[i]+"$").MatchString(got[i]) {
			t.Fatalf("windows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d windows, want %d: the day of the clock is not over", len(got), len(want))
	}
	for _, c := range out.Windows[0].Drift.Ranking {
		if c.Scope == "input" {
			t.Errorf("an unchanged day: %+v", c)
		}
	}
	again := run()
	if !slices.EqualFunc(out.Windows, again.Windows, func(a, b replayedWindow) bool { return a.Evidence == b.Evidence }) {
		t.Error("the same windows are other evidence")
	}
	if stdout, stderr, exit := command(m, dir, "monitor", "report", "-o", "page.html"); exit != 0 || stdout != "people:1: 4 windows in page.html\n" {
		t.Errorf("report: %d, %s%s", exit, stdout, stderr)
	}
}
