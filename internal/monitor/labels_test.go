package monitor

import (
	"bufio"
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/learn"
	"github.com/assay-ml/assay/stat"
)

// column makes a column of text; "" is missing.
func column(name string, v ...string) assay.Column {
	c := assay.Column{Name: name, Type: assay.TypeString}
	at := map[string]int32{}
	for _, s := range v {
		code, ok := at[s]
		switch {
		case s == "":
			code = -1
		case !ok:
			code = int32(len(c.Levels))
			at[s] = code
			c.Levels = append(c.Levels, s)
		}
		c.Codes = append(c.Codes, code)
	}
	return c
}

// accuracy scores answers by the share that is right.
func accuracy(_ context.Context, a learn.Prediction, label []int32, _ []float64, _ assay.Frame) (assay.Evaluation, error) {
	right := 0.0
	for i := range label {
		if a.Labels[i] == label[i] {
			right++
		}
	}
	e := stat.Proportion(right, float64(len(label)), 0.95, stat.Wilson)
	return assay.Evaluation{Metrics: []assay.Metric{{Name: "accuracy_score", Higher: true, Estimate: e}}}, nil
}

// watched is a plan of days over predictions of a yes that is right nine times of ten, and the watch of it.
func watched(t testing.TB, e *table.Engine, labels assay.LabelPlan) *Watch {
	t.Helper()
	ref := tableOf(t, e, assay.Frame{{Name: "x", Type: assay.TypeNumber, Floats: []float64{1, 2, 3, 4}}})
	d, _, err := Freeze(context.Background(), ref, []string{"x"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	days, err := ParseWindow("1d")
	if err != nil {
		t.Fatal(err)
	}
	p, err := PlanOf(d, Settings{Windows: days, MinRows: 50, Labels: true})
	if err != nil {
		t.Fatal(err)
	}
	p.Monitor.Labels = &labels
	p.Monitor.Performance = []assay.MetricPlan{{Name: "accuracy_score", Higher: true, Reference: stat.Proportion(9000, 10000, 0.95, stat.Wilson), Margin: 0.01}}
	w, err := Open(p.Monitor, func(assay.Digest) ([]byte, error) { return p.Documents[0], nil })
	if err != nil {
		t.Fatal(err)
	}
	return w
}

const aDay = 86400.0

// predicted are predictions of rows a day, for two days; row i of day d has the key "d/i".
func predicted(t testing.TB, e *table.Engine, rows int) Traffic { return predictedDays(t, e, 2, rows) }

func predictedDays(t testing.TB, e *table.Engine, days, rows int) Traffic {
	t.Helper()
	var key, answer []string
	var at, x []float64
	for d := range days {
		for i := range rows {
			key, answer = append(key, fmt.Sprintf("%d/%d", d, i)), append(answer, "yes")
			at, x = append(at, 1_700_006_400+float64(d)*aDay+float64(i)), append(x, 1+float64(i%4))
		}
	}
	return Traffic{By: "at", Table: tableOf(t, e, assay.Frame{
		column("key", key...), column(PredictionColumn, answer...), {Name: "at", Type: assay.TypeTimestamp, Floats: at}, {Name: "x", Type: assay.TypeNumber, Floats: x},
	})}
}

type came struct {
	key, label string
	at         float64 // seconds after the first prediction
}

func labelTableOf(t testing.TB, e *table.Engine, all []came) *table.Table {
	t.Helper()
	var key, label []string
	var at []float64
	for _, c := range all {
		key, label, at = append(key, c.key), append(label, c.label), append(at, 1_700_006_400+c.at)
	}
	x := tableOf(t, e, assay.Frame{column("k", key...), column("y", label...), {Name: "came", Type: assay.TypeTimestamp, Floats: at}})
	l, _, err := LabelTable{Join: []string{"k"}, Label: "y", Came: "came", Now: time.Unix(2_000_000_000, 0)}.Labels(context.Background(), x)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func outcomesOfDays(t testing.TB, w *Watch, x Traffic, o Outcomes) []JudgedOutcome {
	t.Helper()
	seen, err := w.Run(context.Background(), x)
	if err != nil {
		t.Fatal(err)
	}
	o.Classes, o.Score = []string{"no", "yes"}, accuracy
	got, err := w.Outcomes(context.Background(), x, seen, o)
	if err != nil {
		t.Fatal(err)
	}
	return got.Windows
}

// Duplicates, conflicts, unknown classes, labels before their prediction, overdue ones and orphans are each counted, and what they do to the
// figures is what the plan says.
func TestLabelsThatDoNotFit(t *testing.T) {
	e := engine(t)
	var all []came
	for i := range 100 { // of the first day, an hour later each; every tenth says no
		label := "yes"
		if i%10 == 0 {
			label = "no"
		}
		all = append(all, came{fmt.Sprintf("0/%d", i), label, float64(i) + 3600})
	}
	all = append(all,
		came{"0/1", "yes", 7200}, came{"0/1", "yes", 7300}, // said again, twice
		came{"0/2", "no", 7200}, came{"0/10", "yes", 7200}, // disagree
		came{"1/0", "maybe", 2 * aDay},               // no class
		came{"1/1", "yes", 0},                        // before the prediction
		came{"1/2", "yes", 40 * aDay},                // overdue
		came{"7/7", "yes", aDay / 2},                 // of no prediction
		came{"", "yes", aDay}, came{"1/3", "", aDay}) // no key, no label
	for _, c := range []struct {
		policy             string
		labelled, right    int64
		undecided, unknown int64
	}{{ConflictRefuse, 98, 89, 2, 1}, {ConflictFirst, 100, 90, 2, 1}, {ConflictLast, 100, 90, 2, 1}} {
		w := watched(t, e, assay.LabelPlan{Join: []string{"key"}, WithinSeconds: 10 * 86400, MinCoverage: 0.5, Conflicts: c.policy, MaxConflicts: 0.05})
		got := outcomesOfDays(t, w, predicted(t, e, 100), Outcomes{Labels: labelTableOf(t, e, all)})
		a, b := got[0].Outcome, got[1].Outcome
		l := a.Labels
		if l.Labelled != c.labelled || l.Duplicates != 2 || l.Conflicts != c.undecided || l.Unmatched != 1 || l.Early != 0 || l.Overdue != 0 || l.Unknown != 0 {
			t.Errorf("%s, first day: %+v", c.policy, l)
		}
		if v := a.Performance[0].Realised; math.Round(v.Value*float64(v.N)) != float64(c.right) {
			t.Errorf("%s: %s of %d are right, want %d", c.policy, v, v.N, c.right)
		}
		if a.Verdict != assay.Pass || a.Performance[0].Verdict != assay.Pass {
			t.Errorf("%s: the first day is %s", c.policy, a.Verdict)
		}
		if m := b.Labels; m.Labelled != 2 || m.Unknown != 1 || m.Early != 1 || m.Overdue != 1 || b.Verdict != assay.Undetermined {
			t.Errorf("%s, second day: %+v, %s", c.policy, m, b.Verdict)
		}
		if d := float64(l.DelayP50); d < 3500 || d > 3700 {
			t.Errorf("%s: half within %v s", c.policy, d)
		}
	}
	// More that disagree than the plan allows is an alarm.
	w := watched(t, e, assay.LabelPlan{Join: []string{"key"}, MinCoverage: 0.5, Conflicts: ConflictFirst, MaxConflicts: 0.01})
	if got := outcomesOfDays(t, w, predicted(t, e, 100), Outcomes{Labels: labelTableOf(t, e, all)}); got[0].Outcome.Verdict != assay.Fail {
		t.Errorf("2 of 100 disagree and 1 is allowed: %s", got[0].Outcome.Verdict)
	}
}

// As labels come, the outcome of a window is restated; where they say the same, it stays what it was. Each further look has a smaller level.
func TestLabelsRestateWindows(t *testing.T) {
	e := engine(t)
	w := watched(t, e, assay.LabelPlan{Join: []string{"key"}, WithinSeconds: 3600, MinCoverage: 0.5, Conflicts: ConflictRefuse, MaxConflicts: 0.05})
	x := predicted(t, e, 400)
	var all []came
	for d := range 2 {
		for i := range 400 {
			label := "yes"
			if i%10 < 1+2*d { // the second day is worse: 70 % are right
				label = "no"
			}
			all = append(all, came{fmt.Sprintf("%d/%d", d, i), label, float64(d)*aDay + float64(i)*100})
		}
	}
	type known struct {
		id assay.Digest
		o  assay.Outcome
	}
	record := map[int64]known{}
	before := func(win assay.Window) (assay.Digest, *assay.Outcome) {
		if k, ok := record[win.Number]; ok {
			return k.id, &k.o
		}
		return "", nil
	}
	look := func(until float64) []JudgedOutcome {
		o := Outcomes{Labels: labelTableOf(t, e, all), Until: time.Unix(1_700_006_400+int64(until), 0), Before: before}
		got := outcomesOfDays(t, w, x, o)
		for _, j := range got {
			if j.Same == "" {
				record[j.Outcome.Window.Number] = known{assay.DigestOf(fmt.Append(nil, j.Outcome.Labels.Content, j.Outcome.Look)), j.Outcome}
			}
		}
		return got
	}
	first := look(10_000) // the first 101 labels of the first day
	if o := first[0].Outcome; o.Labels.Labelled != 101 || o.Verdict != assay.Undetermined || o.Look != 1 || o.Restates != "" {
		t.Errorf("a quarter of the labels: %+v %s", o.Labels, o.Verdict)
	}
	if o := first[0].Outcome.Labels; !math.IsNaN(float64(o.DelayP50)) && float64(o.DelayP50) < float64(o.DelayMax)/2 {
		t.Errorf("the delay of those that have not come is left out: %+v", o)
	}
	second := look(10 * aDay)
	for d, want := range []assay.Verdict{assay.Pass, assay.Fail} {
		o := second[d].Outcome
		if o.Labels.Labelled != 400 || o.Look != 2 || o.Restates == "" || o.Verdict != want || !(o.Level < first[d].Outcome.Level/3.9) {
			t.Errorf("day %d, all labels: %+v, look %d, level %v, %s, %+v", d, o.Labels, o.Look, o.Level, o.Verdict, o.Performance)
		}
	}
	for d, j := range look(10 * aDay) {
		if j.Same != record[j.Outcome.Window.Number].id {
			t.Errorf("day %d: the same labels are another fact", d)
		}
	}
	// That no more came until later is another fact, and no further look at the figures; that it was so earlier is known.
	for d, j := range look(11.5 * aDay) {
		if was := second[d].Outcome; j.Same != "" || j.Outcome.Restates == "" || j.Outcome.Look != 2 || j.Outcome.Level != was.Level || j.Outcome.Verdict != was.Verdict {
			t.Errorf("day %d, a day and a half later: %+v", d, j.Outcome)
		}
	}
	for d, j := range look(10.5 * aDay) {
		if j.Same != record[j.Outcome.Window.Number].id {
			t.Errorf("day %d: what was so earlier is another fact", d)
		}
	}
}

// What is on record of a window is shown for the same rows where no labels are at hand, and for nothing else: other rows have their own figures, and before
// any label came there is none.
func TestFiguresAreOfTheirRows(t *testing.T) {
	e := engine(t)
	w := watched(t, e, assay.LabelPlan{Join: []string{"key"}, WithinSeconds: 3600, MinCoverage: 0.5, Conflicts: ConflictRefuse, MaxConflicts: 0.05})
	x := predictedDays(t, e, 1, 400)
	var all []came
	for i := range 400 {
		all = append(all, came{fmt.Sprintf("0/%d", i), "yes", 100})
	}
	record := outcomesOfDays(t, w, x, Outcomes{Labels: labelTableOf(t, e, all)})[0].Outcome
	before := func(assay.Window) (assay.Digest, *assay.Outcome) { return assay.DigestOf([]byte("record")), &record }
	if j := outcomesOfDays(t, w, x, Outcomes{Before: before})[0]; j.Outcome.Labels.Labelled != 400 || j.Same == "" {
		t.Errorf("the same rows without labels at hand: %+v", j.Outcome.Labels)
	}
	for name, o := range map[string]Outcomes{
		"before any label came":     {Before: before, Until: time.Unix(1_700_006_300, 0), Labels: labelTableOf(t, e, all)},
		"with labels of other rows": {Before: before, Labels: labelTableOf(t, e, []came{{"7/7", "yes", 100}})},
	} {
		if j := outcomesOfDays(t, w, x, o)[0]; j.Outcome.Labels.Labelled != 0 || j.Outcome.Performance[0].Realised.Defined() || !j.Passing || j.Same != "" {
			t.Errorf("%s: %+v, passing %v", name, j.Outcome.Labels, j.Passing)
		}
	}
	all = append(all[:0:0], all...)
	for i := 200; i < 400; i++ {
		all[i].at = 5000
	}
	late := outcomesOfDays(t, w, x, Outcomes{Labels: labelTableOf(t, e, all)})[0].Outcome
	after := func(assay.Window) (assay.Digest, *assay.Outcome) { return assay.DigestOf([]byte("late")), &late }
	until := func(seconds int64) time.Time { return time.Unix(1_700_006_400+seconds, 0) }
	if j := outcomesOfDays(t, w, x, Outcomes{Before: after, Until: until(1000), Labels: labelTableOf(t, e, all)})[0]; !j.Passing || j.Same != "" || j.Outcome.Restates != "" || j.Outcome.Labels.Labelled != 200 || j.Outcome.Look != 1 {
		t.Errorf("as of a time when half of the labels had come: %+v, passing %v", j.Outcome.Labels, j.Passing)
	}
	if j := outcomesOfDays(t, w, x, Outcomes{Before: after, Until: until(90_000), Labels: labelTableOf(t, e, all)})[0]; j.Passing || j.Same == "" {
		t.Errorf("as of a time when all labels had come: %+v, passing %v", j.Outcome.Labels, j.Passing)
	}
	if j := outcomesOfDays(t, w, x, Outcomes{Before: before, Until: until(90_000), Labels: labelTableOf(t, e, all)})[0]; j.Passing || j.Outcome.Restates == "" {
		t.Errorf("as of a time later than what is on record: %+v, passing %v", j.Outcome.Labels, j.Passing)
	}
	if j := outcomesOfDays(t, w, predictedDays(t, e, 1, 300), Outcomes{Before: before})[0]; j.Outcome.Labels.Labelled != 0 || j.Outcome.Labels.Coverage.N != 300 || j.Passing || j.Outcome.Restates == "" {
		t.Errorf("other rows: %+v", j.Outcome)
	}
}

// The average precision of few positives is shown, and not judged: its p-value is too small too often. Other figures are judged.
func TestPrecisionOfFewIsNotJudged(t *testing.T) {
	w := &Watch{plan: assay.Monitor{Labels: &assay.LabelPlan{MinCoverage: 0.5}, Budget: assay.AlarmBudget{Correction: "benjamini_hochberg"}}}
	now, was := assay.Estimate{Value: 0.2, Lo: 0.1, Hi: 0.3, Level: 0.95, N: 500}, assay.Estimate{Value: 0.8, Lo: 0.78, Hi: 0.82, Level: 0.95, N: 5000}
	for _, c := range []struct {
		metric string
		rarer  int64
		want   assay.Verdict
	}{{precisionMetric, 59, assay.Undetermined}, {precisionMetric, 60, assay.Fail}, {"f1_score", 6, assay.Fail}} {
		out := assay.Outcome{Level: 0.001, Labels: assay.LabelJoin{Coverage: assay.Estimate{Value: 1, N: 500}}, Performance: []assay.RealisedMetric{realised(assay.MetricPlan{Name: c.metric, Higher: true, Reference: was}, now, proxy{}, c.rarer, 0)}}
		if w.decide(&out, nil); out.Verdict != c.want || out.Performance[0].Realised != now {
			t.Errorf("%s with %d of the rarer class: %s, want %s", c.metric, c.rarer, out.Verdict, c.want)
		}
	}
}

// A window with labels that say what the reference says fails no more often than the budget allows, however often it is looked at.
func TestLooksStayWithinTheBudget(t *testing.T) {
	p := assay.Monitor{Budget: assay.AlarmBudget{FalseAlarmsPerYear: 4, WindowsPerYear: 365}}
	sum := 0.0
	for k := 1; k <= 100_000; k++ {
		sum += OutcomeLevel(p, k)
	}
	if want := 2.0 / 365; sum > want || sum < 0.999*want {
		t.Errorf("all looks together have level %v, the budget gives %v", sum, want)
	}
}

// A table of labels is there once, however often it is added, and rows without a key or a label are counted and left out.
func TestAddLabels(t *testing.T) {
	e, ctx, dir := engine(t), context.Background(), filepath.Join(t.TempDir(), "labels")
	if _, err := ReadLabels(ctx, e, dir); assay.CodeOf(err) != assay.NotFound {
		t.Errorf("no labels: %v", err)
	}
	x := tableOf(t, e, assay.Frame{column("id", "a", "b", "", "d"), {Name: "y", Type: assay.TypeInteger, Floats: []float64{1, 0, 1, math.NaN()}}})
	o := LabelTable{Join: []string{"id"}, Label: "y", At: time.Unix(1_700_000_000, 0), Now: time.Unix(1_700_000_000, 0)}
	a, err := o.Add(ctx, dir, x)
	if err != nil || !reflect.DeepEqual(a, AddedLabels{Rows: 4, Added: 2, Keyless: 1, Empty: 1, Strangers: []Stranger{}}) {
		t.Fatalf("%+v, %v", a, err)
	}
	// Labels that no version knows are counted and named.
	odd := tableOf(t, e, assay.Frame{column("id", "a", "b", "c", "d", "e"), column("y", "yes", "maybe", "maybe", "7", strings.Repeat("x", 50))})
	for _, x := range []struct {
		known [][]string
		want  string
	}{
		{nil, "0 []"},
		{[][]string{{"no", "yes"}}, "4 [{maybe 2} {7 1} {" + strings.Repeat("x", 39) + "… 1}]"},
		{[][]string{{"no", "yes"}, {"maybe", "no"}}, "2 [{7 1} {" + strings.Repeat("x", 39) + "… 1}]"},
		{[][]string{{}}, "4 [{maybe 2} {" + strings.Repeat("x", 39) + "… 1} {yes 1}]"},
	} {
		o := o
		o.Known = x.known
		_, a, err := o.Labels(ctx, odd)
		if got := fmt.Sprint(a.Unknown, a.Strangers); err != nil || got != x.want || a.Added != 5 {
			t.Errorf("known %v: %s, %v; want %s", x.known, got, err, x.want)
		}
	}
	o.At = o.At.Add(time.Hour)
	if a, err := o.Add(ctx, dir, x); err != nil || !a.Again || a.Added != 0 {
		t.Errorf("the same again: %+v, %v", a, err)
	}
	l := OpenLabelLog(dir, "n1")
	if err := l.Append([]Label{{Key: "c", Value: "1", Came: o.Now}, {Request: "r", Index: 3, Value: "0", Came: o.Now}}); err != nil {
		t.Fatal(err)
	}
	// A disk that fails: nothing is acknowledged, and the next labels go into a file of their own.
	if err := l.file.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Append([]Label{{Key: "lost", Value: "1", Came: o.Now}}); assay.CodeOf(err) != assay.Unavailable {
		t.Errorf("a disk that fails: %v", err)
	}
	if err := l.Append([]Label{{Key: "e", Value: "1", Came: o.Now}}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	// What a process was writing when it was killed is left out.
	if err := os.WriteFile(filepath.Join(dir, "n2-0.jsonl"), []byte(`{"_came":"2023-11-14T22:13:20.000000","_key":"z","_lab`), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadLabels(ctx, e, dir)
	if err != nil || got.Rows() != 5 {
		t.Fatalf("%d labels, %v", got.Rows(), err)
	}
	for _, bad := range []LabelTable{{Join: []string{"no"}, Label: "y"}, {Join: []string{"id"}, Label: "no"}, {Join: []string{"id"}, Label: "y", Came: "id"}} {
		if _, err := bad.Add(ctx, dir, x); assay.CodeOf(err) != assay.Rejected {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// TestLabelsOutliveTheirProcess kills a process that takes labels; those that it had taken are there, whole, each once.
func TestLabelsOutliveTheirProcess(t *testing.T) {
	if dir := os.Getenv("ASSAY_TEST_LABELS"); dir != "" {
		l := OpenLabelLog(dir, os.Getenv("ASSAY_TEST_NONCE"))
		for i := 0; ; i++ {
			if err := l.Append([]Label{{Key: fmt.Sprint(os.Getenv("ASSAY_TEST_NONCE"), i), Value: strings.Repeat("x", i%100+1), Came: time.Unix(int64(i), 0)}}); err != nil {
				t.Fatal(err)
			}
			fmt.Println("took", i)
		}
	}
	dir := t.TempDir()
	taken := 0
	for round := range 3 {
		c := exec.Command(os.Args[0], "-test.run=^TestLabelsOutliveTheirProcess$")
		c.Env = append(os.Environ(), "ASSAY_TEST_LABELS="+dir, fmt.Sprintf("ASSAY_TEST_NONCE=p%d", round))
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); {
			if _, s, ok := strings.Cut(lines.Text(), "took "); ok {
				if n, err = strconv.Atoi(s); err != nil {
					t.Fatal(err)
				}
				if taken++; n == 20+17*round {
					if err := c.Process.Kill(); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		_ = c.Wait()
	}
	e := engine(t)
	got, err := ReadLabels(context.Background(), e, dir)
	if err != nil {
		t.Fatal(err)
	}
	var keys int64
	r, err := got.Query(context.Background(), "SELECT count(DISTINCT _key) FROM "+got.Relation())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Next() {
		if err := r.Scan(&keys); err != nil {
			t.Fatal(err)
		}
	}
	if keys != got.Rows() || keys < int64(taken) || keys > int64(taken)+3 {
		t.Errorf("%d labels of %d predictions are there, %d were taken", got.Rows(), keys, taken)
	}
}

// scored are predictions of the keys of one day, a minute apart, on each of three days, and the same key may come again within a day.
func scored(t testing.TB, e *table.Engine, keys, days int, again func(day, key int) (times int, same bool)) Traffic {
	t.Helper()
	var key, answer []string
	var at, x []float64
	for d := range days {
		for i := range keys {
			times, same := again(d, i)
			for n := range times {
				key, answer = append(key, fmt.Sprintf("%d", i)), append(answer, "yes")
				at = append(at, 1_700_006_400+float64(d)*aDay+float64(i)+float64(n)*3600)
				value := 1 + float64(i%4)
				if !same {
					value += float64(n)
				}
				x = append(x, value)
			}
		}
	}
	return Traffic{By: "at", Table: tableOf(t, e, assay.Frame{
		column("key", key...), column(PredictionColumn, answer...), {Name: "at", Type: assay.TypeTimestamp, Floats: at}, {Name: "x", Type: assay.TypeNumber, Floats: x},
	})}
}

// A label is of one prediction: that of a key with several of them counts for none, or for the one that the plan says, and is counted.
func TestLabelsOfKeysThatComeAgain(t *testing.T) {
	e := engine(t)
	var all []came // of the third day's predictions: six of ten are right
	for i := range 100 {
		label := "yes"
		if i%10 < 4 {
			label = "no"
		}
		all = append(all, came{strconv.Itoa(i), label, 2*aDay + float64(i) + 60})
	}
	once := func(int, int) (int, bool) { return 1, true }
	for name, c := range map[string]struct {
		repeats             string
		again               func(day, key int) (int, bool)
		labelled, ambiguous [3]int64
	}{
		"each day, refused":         {"", once, [3]int64{}, [3]int64{100, 100, 100}},
		"each day, refused by name": {RepeatsRefuse, once, [3]int64{}, [3]int64{100, 100, 100}},
		"each day, the last":        {RepeatsLast, once, [3]int64{0, 0, 100}, [3]int64{0, 0, 100}},
		"each day, all":             {RepeatsAll, once, [3]int64{100, 100, 100}, [3]int64{100, 100, 100}},
		"retries": {"", func(d, i int) (int, bool) { // of the third day, a third is asked for again
			if d < 2 {
				return 0, true
			}
			return 1 + min(1, i%3), true
		}, [3]int64{166}, [3]int64{}},
		"twice a day with other inputs": {"", func(d, i int) (int, bool) {
			if d < 2 {
				return 0, true
			}
			return 1 + min(1, i%2), false
		}, [3]int64{50}, [3]int64{100}},
		"twice a day with other inputs, the last before the label": {RepeatsLast, func(d, i int) (int, bool) {
			if d < 2 {
				return 0, true
			}
			return 1 + min(1, i%2), false
		}, [3]int64{100}, [3]int64{50}},
	} {
		t.Run(name, func(t *testing.T) {
			w := watched(t, e, assay.LabelPlan{Join: []string{"key"}, MinCoverage: 0.5, Conflicts: ConflictRefuse, MaxConflicts: 0.05, Repeats: c.repeats})
			x := scored(t, e, 100, 3, c.again)
			for i, j := range outcomesOfDays(t, w, x, Outcomes{Labels: labelTableOf(t, e, all)}) {
				l := j.Outcome.Labels
				if l.Labelled != c.labelled[i] || l.Ambiguous != c.ambiguous[i] || l.Conflicts != 0 || l.Unmatched != 0 {
					t.Errorf("window %d: %d labelled and %d ambiguous, want %d and %d; %+v", i, l.Labelled, l.Ambiguous, c.labelled[i], c.ambiguous[i], l)
				}
			}
		})
	}
	// Each label of a key that is scored each day finds its own prediction; predictions outside the traffic make a key ambiguous as well.
	var daily []came
	for d := range 3 {
		for i := range 100 {
			daily = append(daily, came{strconv.Itoa(i), []string{"yes", "no"}[d%2], float64(d)*aDay + 7200})
		}
	}
	last := watched(t, e, assay.LabelPlan{Join: []string{"key"}, MinCoverage: 0.5, Conflicts: ConflictRefuse, MaxConflicts: 0.05, Repeats: RepeatsLast})
	for d, j := range outcomesOfDays(t, last, scored(t, e, 100, 3, once), Outcomes{Labels: labelTableOf(t, e, daily)}) {
		l, v := j.Outcome.Labels, j.Outcome.Performance[0].Realised
		if l.Labelled != 100 || l.Conflicts+l.Duplicates+l.Early != 0 || v.Value != float64(1-d%2) {
			t.Errorf("day %d: %+v, %s", d, l, v)
		}
	}
	two := scored(t, e, 100, 2, once)
	day := func(d int) Traffic {
		part, err := two.Table.Where(context.Background(), fmt.Sprintf(`CAST("at" AS TIMESTAMP) %s '2023-11-16'::TIMESTAMP`, []string{"<", ">="}[d]))
		if err != nil {
			t.Fatal(err)
		}
		return Traffic{By: "at", Table: part}
	}
	refuse := watched(t, e, assay.LabelPlan{Join: []string{"key"}, MinCoverage: 0.5, Conflicts: ConflictRefuse, MaxConflicts: 0.05})
	for name, o := range map[string]Outcomes{"before": {Others: day(0).Table}, "of other versions": {Beside: day(0).Table}} {
		o.Labels = labelTableOf(t, e, daily[:100])
		if l := outcomesOfDays(t, refuse, day(1), o)[0].Outcome.Labels; l.Labelled != 0 || l.Ambiguous != 100 || l.Unmatched != 0 {
			t.Errorf("predictions %s: %+v", name, l)
		}
		if l := outcomesOfDays(t, last, day(1), o)[0].Outcome.Labels; l.Labelled != 0 || l.Ambiguous != 0 {
			t.Errorf("predictions %s, the last before the label: %+v", name, l)
		}
	}
}

// Where most labels came before their predictions nothing is judged; the midnight of the day of the prediction is a date.
func TestLabelsThatWereKnownBefore(t *testing.T) {
	e := engine(t)
	w := watched(t, e, assay.LabelPlan{Join: []string{"key"}, MinCoverage: 0.5, Conflicts: ConflictRefuse, MaxConflicts: 0.05})
	x := predictedDays(t, e, 1, 400)
	for name, c := range map[string]struct {
		at    func(i int) float64
		early int64
		want  assay.Verdict
	}{
		"months before":        {func(int) float64 { return -90 * aDay }, 400, assay.Undetermined},
		"a third of them":      {func(i int) float64 { return float64(i%3-1)*aDay + 7200 }, 134, assay.Pass},
		"dates of the day":     {func(int) float64 { return 0 }, 0, assay.Pass},
		"dates the day before": {func(int) float64 { return -aDay }, 400, assay.Undetermined},
	} {
		var all []came
		for i := range 400 {
			label := "yes"
			if i%10 == 0 {
				label = "no"
			}
			all = append(all, came{fmt.Sprintf("0/%d", i), label, c.at(i)})
		}
		if o := outcomesOfDays(t, w, x, Outcomes{Labels: labelTableOf(t, e, all)})[0].Outcome; o.Labels.Early != c.early || o.Verdict != c.want {
			t.Errorf("%s: %s, %+v", name, o.Verdict, o.Labels)
		}
	}
}

// A million labels, nearly all of which belong to no prediction of the log, are put together in the least memory that an engine may have: what an engine holds of
// each key does not grow with what its labels say, so that it can go to the disk.
func TestLabelsBeyondMemory(t *testing.T) {
	ctx := context.Background()
	e, err := table.Open(ctx, table.Options{MemoryBytes: 64 << 20, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	w := watched(t, e, assay.LabelPlan{Join: []string{"key"}, MinCoverage: 0.5, Conflicts: ConflictRefuse, WithinSeconds: 400 * day})
	x := predictedDays(t, e, 1, 2000)
	const labels, disagree = 1_000_000, 1000
	// The first keys have a second label, and every other one of them says something else.
	l, err := x.Table.Answer(ctx, fmt.Sprintf(`SELECT TIMESTAMP '2023-11-15' + to_seconds(i) AS _came, '0/' || (i %% %[2]d) AS _key, NULL::VARCHAR AS _request, NULL::BIGINT AS _index,
CASE WHEN i >= %[2]d AND i %% 2 = 0 THEN 'no' ELSE 'yes' END AS _label FROM range(%[1]d) t(i)`, labels, labels-disagree))
	if err != nil {
		t.Fatal(err)
	}
	got := outcomesOfDays(t, w, x, Outcomes{Labels: l})
	if len(got) != 1 {
		t.Fatalf("%d windows", len(got))
	}
	if j := got[0].Outcome.Labels; j.Labelled != 1500 || j.Conflicts != 500 || j.Duplicates != 500 {
		t.Errorf("%+v", j)
	}
}
