//go:build unix

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestIngestAgain holds that no prediction counts twice because two files have it: what another file of the log had is left out and counted, by
// the source's own id; where the rows of a table have none, the file is refused. A caller's id that comes again is kept, and the list of logs counts it.
func TestIngestAgain(t *testing.T) {
	t.Parallel()
	m, dir := registered(t)
	do(t, m, dir, 0, "serve", "check", "people:1")
	ingest := func(text, want string, exit int, args ...string) {
		t.Helper()
		file := "file" + args[0]
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, errs, got := command(m, dir, append(append([]string{"log", "ingest", "--model", "people:1", "--format"}, args[1:]...), file)...)
		if got != exit || !strings.Contains(out+errs, want) {
			t.Errorf("%v: %d %s%s; want %d, %s", args, got, out, errs, exit, want)
		}
	}
	const row = "age,sex,region,income,hours,tenure\n34,F,north,,38,2.5\n"
	ingest(captured("a", row)+captured("b", row), "2 requests with 2 rows are in the log\n", 0, "1.jsonl", "sagemaker")
	ingest(captured("a", row)+captured("c", row), "1 requests with 1 rows are in the log\n  an event that was taken in before: 1, the first is number 1\n", 0, "2.jsonl", "sagemaker")
	ingest(captured("b", row)+captured("c", row), "has nothing that can be taken in as sagemaker: an event that was taken in before (2, the first is number 1)", 3, "3.jsonl", "sagemaker")
	ingest(captured("b", row)+captured("c", row), "2 requests with 2 rows are in the log\n", 0, "3.jsonl", "sagemaker", "--again")
	mine := func(event string) string {
		return strings.Replace(captured(event, row), `"eventId"`, `"inferenceId":"mine","eventId"`, 1)
	}
	ingest(mine("d")+mine("e"), "2 requests with 2 rows are in the log\n", 0, "4.jsonl", "sagemaker")

	const head = "databricks_request_id,client_request_id,timestamp_ms,status_code,execution_time_ms,request,response,sampling_fraction\n"
	line := func(id, at, status, share string) string {
		return id + ",," + at + "," + status + `,12,"` + strings.ReplaceAll(person, `"`, `""`) + `","{""predictions"": [""yes""]}",` + share + "\n"
	}
	const at = "1746093600000"
	ingest(head+line("x1", at, "200", "0.5")+line("", at, "200", "1")+line("", at, "200", "1")+line("x2", at, "201", "1")+line("x1", at, "200", "1")+line("x3", at, "200", "0")+line("x4", at, "200", "half")+
		line("x5", "9223372036854775807", "200", "1")+line("x6", at, "none", "1"),
		"2 requests with 2 rows are in the log\n  a row whose sampling_fraction is not above 0 and at most 1: 2, the first is number 6\n  a row without a status: 1, the first is number 9\n"+
			"  a row without a time: 1, the first is number 8\n  a row without databricks_request_id: 2, the first is number 2\n  an event that was taken in before: 1, the first is number 5\n", 0, "5.csv", "databricks")
	ingest(head+line("x7", at, "200", "1")+line("x2", at, "201", "1"), "1 requests with 1 rows are in the log\n  an event that was taken in before: 1, the first is number 2\n", 0, "6.csv", "databricks")

	const rows = "when,id,age,class\n2025-05-01T12:00:00Z,r1,50,yes\n2025-05-01T12:00:01Z,r2,51,no\n"
	table := []string{"table", "--map", "time=when", "--map", "prediction=class"}
	named := append(table[:5:5], "--map", "request=id")
	ingest(rows, "2 requests with 2 rows", 0, append([]string{"7.csv"}, named...)...)
	ingest(rows+"2025-05-01T12:00:02Z,r3,52,no\n", "1 requests with 1 rows are in the log\n  an event that was taken in before: 2, the first is number 1\n", 0, append([]string{"8.csv"}, named...)...)
	ingest("id,when,age,class\nr3,2025-05-01T12:00:02Z,52,no\n", "has nothing that can be taken in as table: an event that was taken in before (1, the first is number 1)", 3, append([]string{"9.csv"}, named...)...)
	ingest(rows+"2025-05-01T12:00:09Z,r9,52,no\n", "2 rows of the table are in the log already", 3, append([]string{"10.csv"}, table...)...)
	ingest(rows+"2025-05-01T12:00:09Z,r9,52,no\n", "3 requests with 3 rows", 0, append([]string{"10.csv", "table", "--again"}, table[1:]...)...)
	ingest("when,age,class\n2025-05-01T13:00:00Z,50,yes\n2025-05-01T13:00:00Z,50,yes\n", "2 requests with 2 rows", 0, append([]string{"11.csv"}, table...)...)

	out := do(t, m, dir, 0, "log", "list")
	if got := strings.Join(strings.Fields(out), " "); !strings.Contains(got, "Z 18 18 0 0 18 6 ") ||
		!strings.Contains(got, "people: 3 answered requests have an id that another one before them had") {
		t.Errorf("the list says\n%s", out)
	}
	// Whoever may not look into the log's folder has no business with a copy of its files either.
	files, err := filepath.Glob(filepath.Join(dir, ".assay", "log", "people", "*"))
	if err != nil || len(files) < 8 {
		t.Fatalf("%v: %v", files, err)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", filepath.Base(file), info.Mode(), err)
		}
	}
	const statuses = "SELECT _request, _outcome, _status FROM log WHERE _request = 'x2'"
	if out := do(t, m, dir, 0, "--json", "log", "query", statuses); !strings.Contains(strings.Join(strings.Fields(out), ""), `["x2","answered",201]`) {
		t.Errorf("a status of 201: %s", out)
	}
}
