package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/assay-ml/assay/internal/assaytest"
)

// leaves are the commands that do something, with arguments of the right number.
func leaves() map[string][]string {
	arguments := map[string]string{
		"init": "data.csv", "profile": "", "schema diff": "a.json b.json", "run": "true", "predict": "data.csv", "gate test": "policy.yaml",
		"waive": "serving --by Ada --reason a-long-enough-reason --to staging", "evidence show": "latest", "evidence graph": "latest", "evidence export": "latest", "evidence verify": "e.json",
		"model alias": "people champion 1", "model tag": "people:1 a=b", "snapshot restore": "--to folder", "search": "", "schema infer": "",
		"monitor replay": "data.csv", "labels add": "data.csv", "log query": "SELECT", "log ingest": "data.csv --format databricks", "log compact": "hour.seg", "alert show": "x", "alert ack": "x --by Ada --reason a-long-enough-reason",
		"alert mute": "x --by Ada --reason a-long-enough-reason --for 1h", "alert resolve": "x --by Ada --reason a-long-enough-reason",
	}
	out := map[string][]string{}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			walk(sub)
		}
		name := strings.TrimPrefix(strings.TrimPrefix(c.CommandPath(), "assay"), " ")
		if name == "" || c.HasSubCommands() && !strings.Contains("card snapshot serve", name) || strings.HasPrefix(name, "completion") || name == "help" {
			return
		}
		out[name] = append(strings.Fields(name), strings.Fields(arguments[name])...)
	}
	walk((&app{}).root())
	return out
}

// answered runs a command line for a person and for a machine: both must end with the same status, an error must come on standard
// error, with what to try next, and the machine must get one document.
func answered(t *testing.T, m *stageManager, dir string, want int, args ...string) {
	t.Helper()
	line := strings.Join(args, " ")
	stdout, stderr, exit := command(m, dir, args...)
	if exit != want {
		t.Errorf("assay %s: exit status %d, want %d\n%s%s", line, exit, want, stdout, stderr)
		return
	}
	said := want == 1 || want == 2 || want == 3 && stdout == ""
	if said && (stdout != "" || !strings.HasPrefix(stderr, "assay: ") || !strings.Contains(stderr, "\nTry: ")) {
		t.Errorf("assay %s: an error comes on standard error and says what to try:\n%s%s", line, stdout, stderr)
	}
	if want == 0 {
		return // TestDocuments runs these with --json
	}
	stdout, stderr, exit = command(m, dir, append([]string{"--json"}, args...)...)
	if exit != want {
		t.Errorf("assay --json %s: exit status %d, and %d without --json\n%s%s", line, exit, want, stdout, stderr)
	}
	doc := stdout
	if said || stdout == "" {
		doc = stderr
	}
	var v struct {
		Schema string `json:"schema"`
		Try    string `json:"try"`
	}
	if err := json.Unmarshal([]byte(doc), &v); err != nil || v.Schema == "" || said != (v.Schema == "assay.error/1") || said && v.Try == "" {
		t.Errorf("assay --json %s: not one document (%v):\n%s%s", line, err, stdout, stderr)
	}
}

// TestAskedWrongly: an unknown flag and too many arguments are 2 in every command.
func TestAskedWrongly(t *testing.T) {
	m, dir := &stageManager{clock: assaytest.Clock()}, t.TempDir()
	for name, args := range leaves() {
		answered(t, m, dir, 2, append(slices.Clone(args[:len(strings.Fields(name))]), "--no-such-flag")...)
		if many := append(slices.Clone(args), "1", "2", "3", "4", "5", "6", "7"); name != "run" && name != "model tag" && name != "evidence export" && name != "log ingest" {
			answered(t, m, dir, 2, many...)
		}
	}
}

// TestNothingThere: where there is neither a project nor a store, every command that needs one could not answer, which is 1.
func TestNothingThere(t *testing.T) {
	m, dir := &stageManager{clock: assaytest.Clock()}, t.TempDir()
	without := []string{"demo", "init", "gate show", "ci"} // they need none, make one, or say so as a check
	for name, args := range leaves() {
		if slices.Contains(without, name) {
			continue
		}
		answered(t, m, dir, 1, args...)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("commands that could not answer left %v (%v)", entries, err)
	}
}

// TestExitStatus: 0 is yes, 1 could not answer, 2 asked wrongly, 3 no, in every command and in both forms of its answer.
func TestExitStatus(t *testing.T) {
	t.Parallel()
	m, dir := registered(t)
	if err := os.WriteFile(filepath.Join(dir, "broken.csv"), []byte("id,age\np1,old\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"bad.yaml":   "name: x\nrules:\n  - {id: a, title: A, require: \"1 +\"}\n",
		"other.json": "{\"columns\": 1}",
		"not.json":   "{}",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	infinite := "id,age,sex,region,income,hours,tenure,churned\n"
	for i := range 40 {
		infinite += fmt.Sprintf("n%02d,%d,F,north,inf,%d,1.5,%s\n", i, 20+i, 10+i, []string{"yes", "no"}[i%2])
	}
	if err := os.WriteFile(filepath.Join(dir, "infinite.csv"), []byte(infinite), 0o644); err != nil {
		t.Fatal(err)
	}
	policy, _, _ := command(m, dir, "gate", "show")
	if err := os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte(policy), 0o644); err != nil {
		t.Fatal(err)
	}
	covered := map[string]bool{}
	for _, step := range []struct {
		want int
		args string
	}{
		{0, "profile"},
		{1, "profile nowhere.csv"},
		{2, "profile --no-such-flag"},
		{0, "schema infer"},
		{0, "schema show"},
		{1, "schema show nowhere.json"},
		{3, "schema show --format json-schema"},
		{2, "schema show --format xml"},
		{2, "schema show --lossy"},
		{0, "schema diff schema.json schema.json"},
		{1, "schema diff schema.json nowhere.json"},
		{2, "schema diff schema.json other.json"},
		{0, "check"},
		{1, "check nowhere.csv"},
		{3, "check broken.csv"},
		{0, "snapshot"},
		{0, "snapshot list"},
		{1, "snapshot restore --to folder"},
		{2, "snapshot restore"},
		{0, "split"},
		{0, "train"},
		{2, "train --learner nothing"},
		{2, "train --param trees"},
		{2, "train --param no_such=1"},
		{1, "train --data nowhere.csv"},
		{3, "train --data infinite.csv"},
		{0, "run -- sh -c true"},
		{0, "reproduce"},
		{2, "reproduce nothing"},
		{1, "reproduce abcdef"},
		{0, "eval"},
		{0, "eval --final"},
		{1, "eval nothing"},
		{0, "register"},
		{1, "register nothing"},
		{0, "compare"},
		{1, "compare --with nothing"},
		{0, "card"},
		{0, "card check"},
		{1, "card check 99"},
		{0, "predict people.csv"},
		{1, "predict nowhere.csv"},
		{3, "predict broken.csv"},
		{0, "gate explain"},
		{3, "gate explain --to production"},
		{1, "gate explain 99"},
		{2, "gate explain --to nowhere"},
		{0, "gate show"},
		{0, "gate test policy.yaml"},
		{1, "gate test nowhere.yaml"},
		{2, "gate test bad.yaml"},
		{3, "promote --to production"},
		{0, "promote --to staging"},
		{2, "promote --to nowhere"},
		{3, "rollback --stage staging"},
		{2, "rollback --stage nowhere"},
		{0, "waive serving --to production --by Ada --reason a-long-enough-reason"},
		{2, "waive nothing --to production --by Ada --reason a-long-enough-reason"},
		{2, "waive serving"},
		{3, "done"},
		{1, "done 99"},
		{2, "done --to nowhere"},
		{0, "make"},
		{2, "make nothing"},
		{0, "ci"},
		{3, "ci --data broken.csv"},
		{3, "ci --data nowhere.csv"},
		{2, "ci --rows -1"},
		{0, "evidence checkpoint"},
		{0, "evidence list"},
		{2, "evidence list --kind nothing"},
		{0, "evidence show people"},
		{2, "evidence show nothing"},
		{1, "evidence show abcdef"},
		{0, "evidence graph people"},
		{2, "evidence graph nothing"},
		{0, "evidence export people -o envelope.json"},
		{1, "evidence export abcdef"},
		{0, "evidence key"},
		{0, "evidence verify envelope.json"},
		{1, "evidence verify nowhere.json"},
		{3, "evidence verify not.json"},
		{0, "monitor plan"},
		{1, "monitor plan 99"},
		{3, "monitor test-fire"},
		{1, "monitor replay nowhere.csv"},
		{2, "monitor replay broken.csv"},
		{0, "monitor export prometheus"},
		{0, "monitor export grafana"},
		{0, "alert list"},
		{0, "alert send"},
		{1, "alert show nothing"},
		{1, "alert ack nothing --by Ada --reason a-long-enough-reason"},
		{1, "alert mute nothing --by Ada --reason a-long-enough-reason --for 1h"},
		{1, "alert resolve nothing --by Ada --reason a-long-enough-reason"},
		{1, "monitor report"},
		{3, "monitor replay days.csv --by day"},
		{1, "monitor replay nowhere.csv"},
		{2, "monitor replay people.csv --window soon"},
		{0, "monitor report"},
		{1, "monitor run"},
		{0, "labels add people.csv"},
		{1, "labels add nowhere.csv"},
		{3, "labels add people.csv --label nothing"},
		{2, "labels add people.csv --came-at soon"},
		{0, "labels status"},
		{0, "log list"},
		{1, "log query SELECT"},
		{1, "log compact hour.seg"},
		{2, "monitor look"},
		{2, "log ingest people.csv"},
		{1, "log ingest --model people:99 --format sagemaker people.csv"},
		{0, "model list"},
		{0, "model history"},
		{0, "model alias people champion 1"},
		{1, "model alias people champion 99"},
		{2, "model alias people production 1"},
		{2, "model alias people 2 1"},
		{0, "model alias people production --remove"},
		{0, "model tag people:1 a=b"},
		{1, "model tag people:99 a=b"},
		{2, "search"},
		{0, "serve check"},
		{1, "serve check 99"},
		{2, "serve --no-such-flag"},
		{0, "serve canary --percent 5"},
		{1, "serve canary 99 --percent 5"},
		{2, "serve canary"},
		{0, "serve canary --stop"},
		{0, "serve shadow"},
		{1, "serve shadow 99"},
		{2, "serve shadow --no-such-flag"},
		{0, "fsck"},
		{1, "init people.csv --target churned"},
		{1, "init nowhere.csv --target y --force"},
		{2, "init people.csv --force"},
		{2, "init people.csv --target nothing --force"},
		{3, "init broken.csv --target age --force"},
		{0, "init people.csv --target churned --force"},
		{2, "demo --no-such-flag"},
	} {
		args := strings.Fields(step.args)
		for n := 1; n <= min(3, len(args)); n++ {
			covered[strings.Join(args[:n], " ")] = true
		}
		answered(t, m, dir, step.want, args...)
	}
	for name := range leaves() {
		if !covered[name] {
			t.Errorf("no exit status of assay %s is held against the rule", name)
		}
	}
}
