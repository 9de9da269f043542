package cli

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/serve"
)

// monitored is testdata/people with those settings of its monitor, a registered version and its plan.
func monitored(t *testing.T, settings string) (*stageManager, string) {
	t.Helper()
	k, err := madeBy("people", "make", "register")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	m, err := k.copy(dir)
	if err != nil {
		t.Fatal(err)
	}
	addSettings(t, dir, "monitor: {window: 1d, min_rows: 50, persistence: 1, drift: {effect_floor: 0.3}"+settings+"}\n")
	do(t, m, dir, 0, "monitor", "plan")
	return m, dir
}

// addSettings adds to the assay.yaml of a project.
func addSettings(t *testing.T, dir, text string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, ProjectFile), os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, text)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// people are the lines of testdata/people, the names of the columns first.
func people(t *testing.T) [][]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "people", "people.csv"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A peopleLog is a segment of the log of predictions of testdata/people that is being made.
type peopleLog struct {
	t      *testing.T
	people [][]string
	lines  bytes.Buffer
}

func newPeopleLog(t *testing.T) *peopleLog {
	t.Helper()
	return &peopleLog{t: t, people: people(t)}
}

// line adds a request with person i, who is answered "no", as it is after change.
func (l *peopleLog) line(day, outcome string, i int, change func(map[string]any)) {
	l.t.Helper()
	row := map[string]any{"_at": day + "T12:00:00.000000", "_request": day + strconv.Itoa(i), "_index": 0, "_version": 1, "_edge": "mlflow", "_outcome": outcome, "_sampled": 1, "prediction": "no", "probability_no": 0.9, "probability_yes": 0.1}
	for c, name := range l.people[0][1:7] {
		if v := l.people[1+i%600][1+c]; v == "" {
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
		l.t.Fatal(err)
	}
	l.lines.Write(append(doc, '\n'))
}

// write puts the segment into the log of a project.
func (l *peopleLog) write(dir, segment string) {
	l.t.Helper()
	fields := append(serve.LogFields(), assay.Field{Name: "prediction", Type: assay.TypeString}, assay.Field{Name: "probability_no", Type: assay.TypeNumber}, assay.Field{Name: "probability_yes", Type: assay.TypeNumber})
	for _, name := range l.people[0][1:7] {
		typ := assay.TypeNumber
		switch name {
		case "sex", "region":
			typ = assay.TypeString
		case "age", "hours":
			typ = assay.TypeInteger
		}
		fields = append(fields, assay.Field{Name: name, Type: typ})
	}
	log := serve.LogDir(filepath.Join(dir, ".assay", "log"), "people")
	if err := os.MkdirAll(log, 0o700); err != nil {
		l.t.Fatal(err)
	}
	doc, err := json.Marshal(fields)
	if err != nil {
		l.t.Fatal(err)
	}
	for name, b := range map[string][]byte{"fields.json": doc, segment + "-x-0.jsonl": l.lines.Bytes()} {
		if err := os.WriteFile(filepath.Join(log, name), b, 0o600); err != nil {
			l.t.Fatal(err)
		}
	}
}

// logDays writes a segment of that log: 400 rows on each day, in the region that it names, or as they are where it names none.
func logDays(t *testing.T, dir, segment string, days map[string]string) {
	t.Helper()
	l := newPeopleLog(t)
	for _, day := range sortedKeys(days) {
		for i := range 400 {
			l.line(day, "answered", i, func(row map[string]any) {
				if days[day] != "" {
					row["region"] = days[day]
				}
			})
		}
	}
	l.write(dir, segment)
}
