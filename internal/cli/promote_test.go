package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/store"
)

// registered is a project whose first version is ready for staging, with a margin under which any other model is as good.
func registered(t *testing.T) (*stageManager, string) {
	t.Helper()
	return registeredFixture.copy(t)
}

var registeredFixture = fixture{make: func(t *testing.T) (*stageManager, string) {
	t.Helper()
	dir := t.TempDir()
	if err := copyFolder("testdata/people", dir); err != nil {
		t.Fatal(err)
	}
	edit(t, dir, "margin: 0.0", "margin: 1.0")
	m := &stageManager{clock: assaytest.Clock()}
	do(t, m, dir, 0, "make", "card")
	return m, dir
}}

func edit(t *testing.T, dir, old, text string) {
	t.Helper()
	path := filepath.Join(dir, ProjectFile)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b, []byte(old)) {
		t.Fatalf("%s does not hold %q", ProjectFile, old)
	}
	if err := os.WriteFile(path, bytes.Replace(b, []byte(old), []byte(text), 1), 0o644); err != nil {
		t.Fatal(err)
	}
}

func do(t *testing.T, m *stageManager, dir string, want int, args ...string) string {
	t.Helper()
	out, errs, got := command(m, dir, args...)
	if got != want {
		t.Fatalf("assay %s: exit %d, want %d\n%s%s", strings.Join(args, " "), got, want, out, errs)
	}
	return out + errs
}

// candidate trains, evaluates, registers, compares and documents another model.
func candidate(t *testing.T, m *stageManager, dir, learner string) {
	t.Helper()
	do(t, m, dir, 0, "train", "--learner", learner)
	do(t, m, dir, 0, "eval", "--final", "--reason", "another candidate")
	do(t, m, dir, 0, "register")
	do(t, m, dir, 0, "compare")
	do(t, m, dir, 0, "card")
}

func opened(t *testing.T, m *stageManager, dir string) *session {
	t.Helper()
	a := &app{World: m.world(dir, func(string) string { return "" }, strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{})}
	s, err := a.open(context.Background(), "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// TestTwoPromotions: two processes promote two versions, both of which the gate lets through beside the present holder. One wins; the
// other finds that what it would replace has changed.
func TestTwoPromotions(t *testing.T) {
	t.Parallel()
	m, dir := registered(t)
	do(t, m, dir, 0, "promote", "1", "--to", "staging")
	candidate(t, m, dir, "gradient_boosting")
	edit(t, dir, "learner: logistic_regression", "learner: gradient_boosting\n  params: {learning_rate: 0.05}")
	candidate(t, m, dir, "gradient_boosting")
	for _, v := range []string{"2", "3"} {
		do(t, m, dir, 0, "gate", "explain", v, "--to", "staging")
	}
	var wg sync.WaitGroup
	exits, outs := make([]int, 2), make([]string, 2)
	for i, v := range []string{"2", "3"} {
		wg.Add(1)
		go func() {
			defer wg.Done()
			out, errs, exit := command(m, dir, "promote", v, "--to", "staging")
			exits[i], outs[i] = exit, out+errs
		}()
	}
	wg.Wait()
	if exits[0]+exits[1] != 3 || exits[0]*exits[1] != 0 {
		t.Fatalf("exits %v, want one 0 and one 3\n%s\n%s", exits, outs[0], outs[1])
	}
	s := opened(t, m, dir)
	events, err := s.st.History(context.Background(), "people", 0)
	if err != nil {
		t.Fatal(err)
	}
	moves := 0
	for _, e := range events {
		if e.Action == "promote" {
			moves++
		}
	}
	h, err := s.st.Holder(context.Background(), "people", assay.StageStaging)
	if err != nil || moves != 2 || exits[h.Number-2] != 0 {
		t.Errorf("%d promotions, holder %d, exits %v (%v)", moves, h.Number, exits, err)
	}
}

// TestStaleVerdict: a verdict that was right when it was made promotes nothing after the evidence moved, and the next try judges anew.
func TestStaleVerdict(t *testing.T) {
	m, dir := registered(t)
	s := opened(t, m, dir)
	ctx := context.Background()
	v, err := s.version(ctx, "1")
	if err != nil {
		t.Fatal(err)
	}
	r, j, seen, err := s.judge(ctx, v, assay.StageStaging)
	if err != nil || j.Verdict != assay.Pass {
		t.Fatalf("%s (%v)", j.Verdict, err)
	}
	d, err := s.dossier(ctx, v)
	if err != nil {
		t.Fatal(err)
	}
	worse := d.Validation.Value
	worse.Verdict, worse.Failing = assay.Fail, 3
	if _, err := s.write(ctx, assay.KindValidation, d.Model.Value.Data, []assay.Digest{d.Snapshot.ID}, worse); err != nil {
		t.Fatal(err)
	}
	none := 0
	_, err = s.st.Promote(ctx, store.Move{Name: v.Name, Number: v.Number, Stage: assay.StageStaging, Verdict: r.ID, Policy: j.Policy, Expect: &none, Seen: &seen})
	if assay.CodeOf(err) != assay.Refused || !strings.Contains(err.Error(), "moved after the verdict") {
		t.Errorf("a stale verdict: %v", err)
	}
	j, p, err := s.promoteStage(ctx, v, assay.StageStaging)
	if err != nil || p != nil || j.Verdict != assay.Fail {
		t.Errorf("verdict %s, promotion %v (%v)", j.Verdict, p, err)
	}
	if _, err := s.st.Holder(ctx, v.Name, assay.StageStaging); assay.CodeOf(err) != assay.NotFound {
		t.Errorf("something holds the stage: %v", err)
	}
}

// TestWaivers: a waiver is for one rule, one stage, one version and one policy.
func TestWaivers(t *testing.T) {
	t.Parallel()
	m, dir := registered(t)
	for _, rule := range []string{"serving", "monitoring"} {
		do(t, m, dir, 0, "waive", rule, "1", "--to", "production", "--by", "Ada Lovelace", "--reason", "a pilot of two weeks")
	}
	if out := do(t, m, dir, 3, "promote", "1", "--to", "production"); !strings.Contains(out, "the card is stale") {
		t.Errorf("the card does not know the waivers and the gate says\n%s", out)
	}
	do(t, m, dir, 3, "card", "check", "1")
	do(t, m, dir, 0, "card", "1")
	b, err := os.ReadFile(filepath.Join(dir, ".assay", "reports", "card-people-1.md"))
	if err != nil || !strings.Contains(string(b), "| monitoring | production | Ada Lovelace | a pilot of two weeks |") {
		t.Errorf("the card does not print the waiver (%v)", err)
	}
	do(t, m, dir, 0, "card", "check", "1")
	do(t, m, dir, 0, "promote", "1", "--to", "production")
	candidate(t, m, dir, "gradient_boosting")
	if out := do(t, m, dir, 3, "promote", "2", "--to", "production"); strings.Contains(out, "waived") {
		t.Errorf("a waiver of version 1 counts for version 2\n%s", out)
	}
	policy := string(mustOutput(t, m, dir, "gate", "show"))
	if err := os.WriteFile(filepath.Join(dir, "team.yaml"), []byte(strings.Replace(policy, "name: definition-of-done", "name: team", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	edit(t, dir, "policy: default", "policy: team.yaml")
	if out := do(t, m, dir, 3, "gate", "explain", "1", "--to", "production"); strings.Contains(out, "waived") || !strings.Contains(out, "under policy team (") {
		t.Errorf("a waiver of another policy counts\n%s", out)
	}
	for _, bad := range [][]string{
		{"waive", "servin", "1", "--to", "production", "--by", "A", "--reason", "long enough a reason"},
		{"waive", "serving", "1", "--to", "production", "--reason", "long enough a reason"},
		{"waive", "serving", "1", "--to", "production", "--by", "A", "--reason", "short"},
		{"waive", "serving", "1", "--to", "prod", "--by", "A", "--reason", "long enough a reason"},
	} {
		do(t, m, dir, 2, bad...)
	}
}

func mustOutput(t *testing.T, m *stageManager, dir string, args ...string) []byte {
	t.Helper()
	out, _, exit := command(m, dir, args...)
	if exit != 0 {
		t.Fatalf("assay %v: exit %d", args, exit)
	}
	return []byte(out)
}

// TestRegistryLife walks versions through stages, back and forth, with aliases and tags.
func TestRegistryLife(t *testing.T) {
	t.Parallel()
	m, dir := registered(t)
	do(t, m, dir, 3, "rollback", "--stage", "staging") // nothing to go back to
	do(t, m, dir, 0, "promote", "1", "--to", "staging")
	if out := do(t, m, dir, 3, "rollback", "--stage", "staging"); !strings.Contains(out, "no version") {
		t.Errorf("rollback of the first version: %s", out)
	}
	if out := do(t, m, dir, 0, "register"); !strings.Contains(out, "as before") {
		t.Errorf("a second registration: %s", out)
	}
	do(t, m, dir, 0, "promote", "1", "--to", "staging") // it is there already
	candidate(t, m, dir, "gradient_boosting")
	do(t, m, dir, 0, "promote", "2", "--to", "staging")
	if out := do(t, m, dir, 0, "model", "list"); !strings.Contains(out, "archived") {
		t.Errorf("version 1 is not archived:\n%s", out)
	}
	// an archived version is judged against what holds the stage now, like any other
	if out := do(t, m, dir, 3, "promote", "1", "--to", "staging"); !strings.Contains(out, "not what it would replace now") {
		t.Errorf("an archived version: %s", out)
	}
	do(t, m, dir, 0, "compare", "people:1")
	do(t, m, dir, 0, "card", "1")
	do(t, m, dir, 0, "promote", "1", "--to", "staging")
	if out := do(t, m, dir, 0, "rollback", "--stage", "staging"); !strings.Contains(out, "people:2 is in staging again; version 1 was rolled back") {
		t.Errorf("rollback: %s", out)
	}
	do(t, m, dir, 0, "model", "alias", "people", "champion", "2")
	do(t, m, dir, 3, "model", "alias", "people", "champion", "1", "--expect", "1")
	do(t, m, dir, 0, "model", "alias", "people", "champion", "people:1", "--expect", "2")
	if out := do(t, m, dir, 0, "gate", "explain", "people@champion", "--to", "staging"); !strings.Contains(out, "people:1") {
		t.Errorf("the alias does not lead to version 1:\n%s", out)
	}
	do(t, m, dir, 0, "model", "alias", "people", "champion", "--remove")
	do(t, m, dir, 1, "gate", "explain", "people@champion")
	do(t, m, dir, 2, "model", "alias", "people", "champion")
	do(t, m, dir, 2, "model", "alias", "people", "v7", "1")
	do(t, m, dir, 1, "model", "alias", "people", "champion", "9")
	do(t, m, dir, 0, "model", "tag", "1", "owner=people team", "reviewed=")
	do(t, m, dir, 0, "model", "tag", "1", "--remove", "reviewed")
	do(t, m, dir, 2, "model", "tag", "1", "owner")
	do(t, m, dir, 2, "model", "tag", "1")
	s := opened(t, m, dir)
	v, err := s.st.Version(context.Background(), "people", 1)
	if err != nil || len(v.Tags) != 1 || v.Tags["owner"] != "people team" {
		t.Errorf("tags %v (%v)", v.Tags, err)
	}
	for _, want := range []string{"rollback", "unalias", "untag", "promote"} {
		if out := do(t, m, dir, 0, "model", "history"); !strings.Contains(out, want) {
			t.Errorf("the history lacks %s:\n%s", want, out)
		}
	}
	do(t, m, dir, 0, "fsck")
}

// TestTakenBack: a change of the schema or the documentation that is taken back brings the old evidence back into force, although
// it is not the newest.
func TestTakenBack(t *testing.T) {
	t.Parallel()
	m, dir := registered(t)
	edit(t, dir, "sources: made up for the tests of Assay", "sources: todo")
	do(t, m, dir, 0, "snapshot")
	if out := do(t, m, dir, 3, "gate", "explain", "1"); !strings.Contains(out, "the datasheet lacks sources") {
		t.Errorf("%s", out)
	}
	edit(t, dir, "sources: todo", "sources: made up for the tests of Assay")
	do(t, m, dir, 0, "snapshot")
	do(t, m, dir, 0, "gate", "explain", "1")
	schema := filepath.Join(dir, "schema.json")
	was, err := os.ReadFile(schema)
	if err != nil {
		t.Fatal(err)
	}
	limit := regexp.MustCompile(`"max": [0-9]`)
	if !limit.Match(was) {
		t.Fatalf("the inferred schema has no limit:\n%s", was)
	}
	if err := os.WriteFile(schema, limit.ReplaceAll(was, []byte(`"max": 9`)), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := do(t, m, dir, 3, "gate", "explain", "1"); !strings.Contains(out, "another schema") {
		t.Errorf("%s", out)
	}
	if err := os.WriteFile(schema, was, 0o644); err != nil {
		t.Fatal(err)
	}
	do(t, m, dir, 0, "gate", "explain", "1")
}
