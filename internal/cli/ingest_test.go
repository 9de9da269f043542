//go:build unix

package cli

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
)

// TestIngest brings the predictions of other servers into the log: SageMaker's data capture, an inference table, CloudEvents. Monitors
// read the same log.
func TestIngest(t *testing.T) {
	t.Parallel()
	m, dir := registered(t)
	do(t, m, dir, 0, "serve", "check", "people:1")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	row := "age,sex,region,income,hours,tenure\n34,F,north,,38,2.5\n"
	write("capture.jsonl", captured("a", row)+captured("b", strings.Replace(row, "34", "35", 1))+captured("a", row)+"{\"captureData\":{\"endp")
	out, errs, exit := command(m, dir, "log", "ingest", "--model", "people:1", "--format", "sagemaker", "capture.jsonl")
	if want := "people:1: 2 requests with 2 rows are in the log\n  a line that is not a capture: 1, the first is number 4\n  an event that was taken in before: 1, the first is number 3\n"; exit != 0 || out != want {
		t.Fatalf("%d: %s%s; want %s", exit, out, errs, want)
	}
	if _, errs, exit := command(m, dir, "log", "ingest", "--model", "people:1", "--format", "sagemaker", "capture.jsonl"); exit != 3 || !strings.Contains(errs, "capture.jsonl is in the log already") {
		t.Errorf("the same file again: %d %s", exit, errs)
	}
	write("empty.jsonl", "{}\n")
	if _, errs, exit := command(m, dir, "log", "ingest", "--model", "people:1", "--format", "sagemaker", "empty.jsonl"); exit != 3 || !strings.Contains(errs, "nothing that can be taken in") {
		t.Errorf("a file of something else: %d %s", exit, errs)
	}
	var table strings.Builder
	w := csv.NewWriter(&table)
	_ = w.Write([]string{"client_request_id", "databricks_request_id", "timestamp_ms", "status_code", "execution_time_ms", "request", "response", "sampling_fraction"})
	_ = w.Write([]string{"mine", "x1", "1746093600000", "200", "12", person, `{"predictions": ["yes"]}`, "0.25"})
	_ = w.Write([]string{"", "x2", "1746093601000", "400", "3", `{"dataframe_records": [{"age": "x"}]}`, `{"error_code": "BAD_REQUEST"}`, ""})
	_ = w.Write([]string{"", "x2", "1746093601000", "400", "3", `{"dataframe_records": [{"age": "x"}]}`, `{"error_code": "BAD_REQUEST"}`, ""})
	w.Flush()
	write("table.csv", table.String())
	if out, errs, exit := command(m, dir, "log", "ingest", "--model", "people:1", "--format", "databricks", "table.csv"); exit != 0 || !strings.Contains(out, "2 requests with 2 rows") || !strings.Contains(out, "an event that was taken in before: 1, the first is number 3") {
		t.Fatalf("%d: %s%s", exit, out, errs)
	}
	write("rows.csv", "when,years,sex,p,class\n2025-05-01T12:00:00Z,50,F,0.75,yes\n2025-05-01T12:00:01Z,51,M,0.25,no\n")
	rows := []string{"log", "ingest", "--model", "people:1", "--format", "table", "--map", "time=when", "--map", "age=years", "--map", "prediction=class", "--map", "probability_yes=p"}
	if out, errs, exit := command(m, dir, append(rows, "rows.csv")...); exit != 0 || !strings.Contains(out, "2 requests with 2 rows") {
		t.Fatalf("%d: %s%s", exit, out, errs)
	}
	write("wrong.csv", "when,years,class\n2025-05-01T12:00:00Z,50,perhaps\n,51,\n")
	if _, errs, exit := command(m, dir, append(rows, "wrong.csv")...); exit != 3 || !strings.Contains(errs, "1 rows without a time") || !strings.Contains(errs, "1 rows without a prediction") || !strings.Contains(errs, "1 rows with a prediction that is none") {
		t.Errorf("a wrong table: %d %s", exit, errs)
	}
	write("text.csv", "when,years,class\n2025-05-01T12:00:00Z,old,yes\n")
	if _, errs, exit := command(m, dir, append(rows, "text.csv")...); exit != 3 || !strings.Contains(errs, "years") || strings.Contains(errs, "old") {
		t.Errorf("a column of another type: %d %s", exit, errs)
	}
	if _, errs, exit := command(m, dir, append(rows[:6:6], "--map", "shoe=size", "wrong.csv")...); exit != 2 || !strings.Contains(errs, "--map shoe") {
		t.Errorf("a column that the version does not have: %d %s", exit, errs)
	}
	_, url := serving(t, dir, "--model", "people:1")
	for kind, body := range map[string]string{"request": person, "response": `{"predictions": ["no"]}`} {
		r, err := http.NewRequest(http.MethodPost, url+"/events", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "e1", "Ce-Type": "org.kubeflow.serving.inference." + kind, "Ce-Inferenceservicename": "people", "Content-Type": "application/json"} {
			r.Header.Set(k, v)
		}
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if a.StatusCode != http.StatusOK {
			t.Errorf("the %s: status %d", kind, a.StatusCode)
		}
	}
	const query = "SELECT _edge, CASE WHEN _edge <> 'table' THEN _request END AS r, _outcome, prediction, age FROM log WHERE _index >= 0 OR _outcome = 'malformed' ORDER BY 1, 2, age"
	want := `[["cloudevents","e1","answered","no",72],["databricks","mine","answered","yes",72],["databricks","x2","malformed",null,null],["sagemaker","a","answered","yes",34],["sagemaker","b","answered","yes",35],["table",null,"answered","yes",50],["table",null,"answered","no",51]]`
	got := ""
	until(t, "logged", func() bool {
		got, _, _ = command(m, dir, "--json", "log", "query", query)
		return strings.Contains(strings.Join(strings.Fields(got), ""), want)
	})
	if out := do(t, m, dir, 0, "--json", "log", "query", "SELECT _sampled FROM log WHERE _edge = 'databricks' ORDER BY _request"); !strings.Contains(strings.Join(strings.Fields(out), ""), "[[0.25],[1]]") {
		t.Errorf("the share that the table was to have: %s", out)
	}
	// A file whose taking in was cut off by a kill is taken in again, and not twice.
	list := filepath.Join(dir, ".assay", "log", "people", ingestedFile)
	b, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	var files map[assay.Digest]string
	if err := json.Unmarshal(b, &files); err != nil || len(files) != 3 {
		t.Fatalf("%s: %v", b, err)
	}
	d, err := fileDigest(filepath.Join(dir, "rows.csv"))
	if err != nil {
		t.Fatal(err)
	}
	pieces, err := filepath.Glob(filepath.Join(filepath.Dir(list), "*-import-0.parquet"))
	if err != nil || len(pieces) != 1 {
		t.Fatalf("%v: %v", pieces, err)
	}
	nonce := strings.TrimSuffix(filepath.Base(pieces[0])[len("2006-01-02T15-"):], "-import-0.parquet")
	files[d] = begunMark + nonce
	if b, err = json.Marshal(files); err == nil {
		err = os.WriteFile(list, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	held, err := openIngested(filepath.Dir(list))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(pieces[0]); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", pieces[0], err)
	}
	if _, errs, exit := command(m, dir, append(rows, "rows.csv")...); exit != 1 || !strings.Contains(errs, "another process takes files into this log") {
		t.Errorf("beside another: %d %s", exit, errs)
	}
	held.close()
	if out, errs, exit := command(m, dir, append(rows, "rows.csv")...); exit != 0 || !strings.Contains(out, "2 requests with 2 rows") {
		t.Errorf("after a kill: %d %s%s", exit, out, errs)
	}
	if got, _, _ := command(m, dir, "--json", "log", "query", query); !strings.Contains(strings.Join(strings.Fields(got), ""), want) {
		t.Errorf("after a kill: %s", got)
	}
	// SageMaker's ground truth names the requests that were taken in.
	truth := func(id, data string) string {
		return `{"groundTruthData":{"data":"` + data + `","encoding":"CSV"},"eventMetadata":{"eventId":"` + id + `"},"eventVersion":"0"}` + "\n"
	}
	write("truth.jsonl", truth("a", "yes")+truth("b", "no")+"{}\n")
	if _, errs, exit := command(m, dir, "labels", "add", "--format", "sagemaker", "truth.jsonl"); exit != 3 || !strings.Contains(errs, "labels find their predictions by id") {
		t.Errorf("labels join by key: %d: %s", exit, errs)
	}
	config, err := os.ReadFile(filepath.Join(dir, "assay.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	write("assay.yaml", string(config)+"monitor: {labels: {join: [request_id, row]}}\n")
	if out, errs, exit := command(m, dir, "labels", "add", "--format", "sagemaker", "truth.jsonl"); exit != 0 || out != "people: 2 labels added\n  ◐ an eventVersion other than 0: 1, the first is number 3\n" {
		t.Errorf("%d: %s%s", exit, out, errs)
	}
	if out, _, exit := command(m, dir, "labels", "add", "--format", "sagemaker", "truth.jsonl"); exit != 0 || !strings.Contains(out, "were there already") {
		t.Errorf("%d: %s", exit, out)
	}
	if _, errs, exit := command(m, dir, "labels", "add", "--format", "sagemaker", "empty.jsonl"); exit != 3 || !strings.Contains(errs, "empty.jsonl has no ground truth: an eventVersion other than 0 (1, the first is number 1)") {
		t.Errorf("%d: %s", exit, errs)
	}
	if _, errs, exit := command(m, dir, "labels", "add", "--format", "azure", "truth.jsonl"); exit != 2 || !strings.Contains(errs, `--format is "azure"`) {
		t.Errorf("%d: %s", exit, errs)
	}
	// What is printed of an answer ends at a number of rows, and says so.
	for rows, more := range map[int]bool{maxAnswerRows: false, maxAnswerRows + 1: true} {
		ask := fmt.Sprintf("SELECT range FROM range(%d)", rows)
		var answer struct {
			Rows      [][]any
			Truncated *bool
		}
		out, errs, exit := command(m, dir, "--json", "log", "query", ask)
		if err := json.Unmarshal([]byte(out), &answer); err != nil || exit != 0 || len(answer.Rows) != maxAnswerRows || answer.Truncated == nil || *answer.Truncated != more {
			t.Errorf("%d rows: %v %d %s: %d rows are printed", rows, err, exit, errs, len(answer.Rows))
		}
		if out, _, _ := command(m, dir, "log", "query", ask); strings.HasSuffix(out, "There are more rows than these 1,000. Try: --out FILE\n") != more {
			t.Errorf("%d rows as text end with %q", rows, out[max(0, len(out)-80):])
		}
	}
	if out, _, _ := command(m, dir, "--json", "log", "query", "SELECT sum(_lost)::BIGINT FROM log"); !strings.Contains(strings.Join(strings.Fields(out), ""), "[[1]]") {
		t.Errorf("what could not be read is not missing in the log: %s", out)
	}
}

// TestIngestedIsWatched judges what another server answered: two days of predictions as a table, their labels as SageMaker's ground
// truth. The realised metric of a day is that of an evaluation of the same rows.
func TestIngestedIsWatched(t *testing.T) {
	t.Parallel()
	m, dir := monitored(t, ", labels: {join: [request_id, row], within: 2d}, margin: 0.05")
	for _, args := range []string{"serve check", "predict people.csv --out scored.csv"} {
		do(t, m, dir, 0, strings.Fields(args)...)
	}
	rows := func(name string) [][]string {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		out, err := csv.NewReader(f).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	people, scored := rows("people.csv"), rows("scored.csv")
	var table, truth strings.Builder
	w := csv.NewWriter(&table)
	_ = w.Write(append(append([]string{"when", "call"}, people[0][1:7]...), "class", "no", "yes"))
	for d, noon := range []string{"1767009600000", "1767096000000"} { // of 2025-12-29 and the day after, in milliseconds since 1970
		for i := 1; i <= 300; i++ {
			p, s := people[300*d+i], scored[300*d+i]
			if p[0] != s[0] {
				t.Fatalf("row %d is of %s and %s", i, p[0], s[0])
			}
			_ = w.Write(append(append([]string{noon, p[0]}, p[1:7]...), s[1:4]...))
			if d == 0 {
				fmt.Fprintf(&truth, `{"groundTruthData":{"data":"%s","encoding":"CSV"},"eventMetadata":{"eventId":"%s"},"eventVersion":"0"}`+"\n", p[7], p[0])
			}
		}
	}
	w.Flush()
	for name, text := range map[string]string{"table.csv": table.String(), "truth.jsonl": truth.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	do(t, m, dir, 0, "log", "ingest", "--format", "table", "--map", "time=when,request=call,prediction=class,probability_no=no,probability_yes=yes", "table.csv")
	do(t, m, dir, 0, "labels", "add", "--format", "sagemaker", "--came-at", "2025-12-31", "truth.jsonl")
	stdout, stderr, _ := command(m, dir, "--json", "monitor", "run", "--reason", "the people of the table as traffic")
	var doc struct {
		Windows  []replayedWindow
		Outcomes []outcomeWindow
	}
	if err := json.Unmarshal([]byte(stdout), &doc); err != nil || len(doc.Windows) < 2 || len(doc.Outcomes) < 2 {
		t.Fatalf("%v: %s%s", err, stdout, stderr)
	}
	for i, x := range doc.Windows[:2] {
		if x.Drift.Window.Rows != 300 || x.Drift.Window.Lost != 0 || x.Drift.Window.Failed != 0 {
			t.Errorf("window %d: %+v", i, x.Drift.Window)
		}
	}
	labels, score := make([]int32, 300), make([]float64, 300)
	for i := range labels {
		if people[1+i][7] == "yes" {
			labels[i] = 1
		}
		v, err := strconv.ParseFloat(scored[1+i][3], 64)
		if err != nil {
			t.Fatal(err)
		}
		score[i] = v
	}
	want, err := metric.RocAucScore(labels, score, metric.RankOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if o := doc.Outcomes[0].Outcome; o.Labels.Labelled != 300 || o.Labels.Coverage.Value != 1 || math.Abs(float64(o.Performance[0].Realised.Value)-want.Value) > 1e-12 {
		t.Errorf("the labelled day: %+v, %+v; want %v", o.Labels, o.Performance, want)
	}
	if o := doc.Outcomes[1].Outcome; o.Labels.Labelled != 0 || o.Verdict != assay.Undetermined {
		t.Errorf("the day without labels: %+v, %s", o.Labels, o.Verdict)
	}
}
