package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/collect"
	"github.com/assay-ml/assay/internal/dataset"
	"github.com/assay-ml/assay/internal/gate"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/store"
)

// A jsonDocument is one kind of answer with --json: its name, the commands that print it, and a Go value of its form.
type jsonDocument struct {
	name, commands string
	form           any
}

// jsonDocuments is what docs/json.md is written from. TestDocuments holds real answers against it.
func jsonDocuments() []jsonDocument {
	return []jsonDocument{
		{"assay.init/1", "init", struct {
			File     string     `json:"file"`     // that was written
			Project  string     `json:"project"`  // its name
			Task     assay.Task `json:"task"`     // binary, multiclass, regression
			Key      string     `json:"key"`      // column that identifies a row; may be empty
			Excluded []string   `json:"excluded"` // columns that are left out as features
			Notes    []string   `json:"notes"`    // what was seen of the columns, and why some are left out
		}{}},
		{"assay.demo/1", "demo", struct {
			Folder string `json:"folder"` // that everything happened in
			Steps  []struct {
				Command string `json:"command"` // as a person would type it
				Why     string `json:"why"`     // may be empty
				Exit    int    `json:"exit"`    // its exit status
			} `json:"steps"` // in their order
		}{}},
		{"assay.make/1", "make", struct {
			Stages  []stageAnswer `json:"stages"`  // in the order of a model's life
			Stopped string        `json:"stopped"` // the stages whose answer is no, and what is wrong; empty when all say yes
		}{}},
		{"assay.snapshot/1", "snapshot", struct {
			Evidence  assay.Digest    `json:"evidence"` // id of the snapshot
			Snapshot  assay.Snapshot  `json:"snapshot"`
			Datasheet assay.Datasheet `json:"datasheet"`
		}{}},
		{"assay.snapshots/1", "snapshot list", struct {
			Snapshots []struct {
				Evidence assay.Digest   `json:"evidence"`
				At       time.Time      `json:"at"`
				Snapshot assay.Snapshot `json:"snapshot"`
			} `json:"snapshots"` // newest first
		}{}},
		{"assay.restore/1", "snapshot restore", struct {
			Evidence assay.Digest   `json:"evidence"`
			Snapshot assay.Snapshot `json:"snapshot"`
			Folder   string         `json:"folder"` // that the files are in now
		}{}},
		{"assay.profile/1", "profile", struct {
			Evidence assay.Digest           `json:"evidence,omitempty"` // id of the profile; absent for a file outside the project
			Profile  *dataset.ProfileReport `json:"profile"`
		}{}},
		{"assay.check/1", "check", struct {
			Evidence   assay.Digest     `json:"evidence,omitempty"` // id of the validation; absent for a file outside the project
			Validation assay.Validation `json:"validation"`
		}{}},
		{"assay.schema.diff/1", "schema diff", struct {
			Changes        []schema.Change `json:"changes"`
			BreaksProducer bool            `json:"breaks_producer"` // data that passed the old schema may fail the new one
			BreaksConsumer bool            `json:"breaks_consumer"` // data that passes the new schema may surprise a reader of the old one
		}{}},
		{"assay.split/1", "split", struct {
			Evidence assay.Digest `json:"evidence"` // id of the split
			Split    assay.Split  `json:"split"`
		}{}},
		{"assay.model/1", "train", struct {
			Evidence assay.Digest            `json:"evidence"` // id of the model's evidence
			Model    assay.Digest            `json:"model"`    // of the model file
			Run      assay.Digest            `json:"run"`      // id of the run's evidence
			Learner  string                  `json:"learner"`
			Metrics  map[string]assay.Number `json:"metrics"` // by name, as the run recorded them
		}{}},
		{"assay.run/1", "run", struct {
			Evidence assay.Digest  `json:"evidence"` // id of the run
			Run      assay.Run     `json:"run"`
			Model    *assay.Record `json:"model"` // null when the run left none
		}{}},
		{"assay.reproduction/1", "reproduce", struct {
			Evidence     assay.Digest       `json:"evidence"`
			Reproduction assay.Reproduction `json:"reproduction"`
		}{}},
		{"assay.search/1", "search", struct {
			Evidence assay.Digest `json:"evidence"`
			Search   assay.Search `json:"search"`
		}{}},
		{"assay.eval/1", "eval", struct {
			Evidence   assay.Digest     `json:"evidence"` // id of the evaluation
			Model      assay.Digest     `json:"model"`    // digest of the model that was evaluated
			Evaluation assay.Evaluation `json:"evaluation"`
		}{}},
		{"assay.compare/1", "compare", struct {
			Evidence   assay.Digest     `json:"evidence"` // id of the comparison
			Comparison assay.Comparison `json:"comparison"`
		}{}},
		{"assay.version/1", "register, model tag", store.Version{}},
		{"assay.alias/1", "model alias", struct {
			Name    string `json:"name"`
			Alias   string `json:"alias"`
			Version int    `json:"version"` // 0 when the alias was taken away
		}{}},
		{"assay.ci/1", "ci", struct {
			Verdict  assay.Verdict   `json:"verdict"`
			Checks   []assay.CICheck `json:"checks"`
			Evidence assay.Digest    `json:"evidence,omitempty"` // id of the CI run; absent when the data could not be read
		}{}},
		{"assay.predict/1", "predict", struct {
			Rows  int64        `json:"rows"`  // that were scored
			Model assay.Digest `json:"model"` // of the model file
			File  string       `json:"file"`  // that was written
		}{}},
		{"assay.promotion/1", "promote", struct {
			Judgement assay.Judgement  `json:"judgement"`
			Promotion *assay.Promotion `json:"promotion"` // null when the gate stayed shut
		}{}},
		{"assay.rollback/1", "rollback", assay.Promotion{}},
		{"assay.card/1", "card", struct {
			Evidence assay.Digest `json:"evidence"` // id of the card
			Card     assay.Card   `json:"card"`
			File     string       `json:"file"` // where the Markdown is
		}{}},
		{"assay.card.check/1", "card check", struct {
			Complete bool     `json:"complete"`
			Missing  []string `json:"missing"` // sections
			Stale    []string `json:"stale"`   // what the card does not know yet
		}{}},
		{"assay.done/1", "done", assay.Judgement{}},
		{"assay.gate/1", "gate explain", assay.Judgement{}},
		{"assay.gate.test/1", "gate test", struct {
			Policy   assay.Digest      `json:"policy"`
			Examples []gate.TestResult `json:"examples"`
		}{}},
		{"assay.waiver/1", "waive", struct {
			Evidence assay.Digest `json:"evidence"` // id of the waiver
		}{}},
		{"assay.serving/1", "serve check", struct {
			Evidence assay.Digest  `json:"evidence"` // id of the serving evidence
			Serving  assay.Serving `json:"serving"`
		}{}},
		{"assay.rollout/1", "serve canary, serve shadow", struct {
			Name     string          `json:"name"`
			Version  int             `json:"version"` // 0 when it was stopped
			Mode     string          `json:"mode"`    // canary, shadow
			Settings *canarySettings `json:"settings"`
		}{}},
		{"assay.log.list/1", "log list", struct {
			Logs []logSummary `json:"logs"` // by model
		}{}},
		{"assay.log.query/1", "log query", struct {
			Columns   []string `json:"columns"`
			Rows      [][]any  `json:"rows"`      // at most 1,000
			Truncated bool     `json:"truncated"` // there are more
		}{}},
		{"assay.log.ingest/1", "log ingest", struct {
			Version string         `json:"version"`
			Counts  collect.Counts `json:"counts"`
		}{}},
		{"assay.monitor.plan/1", "monitor plan", struct {
			Evidence assay.Digest  `json:"evidence"` // id of the plan
			Plan     assay.Monitor `json:"plan"`
			Excluded []string      `json:"excluded"` // columns that are not watched: they hold bytes, or nested values that the data has as text
			Redacted []string      `json:"redacted"` // columns that are not watched: serve.log.redact keeps them out of the log
			Nested   []string      `json:"nested"`   // columns of nested values: whether there is one and of what kind is watched, nothing inside
			Empty    []string      `json:"empty"`    // columns without a value in training: only whether that stays so is watched
			Ends     []string      `json:"ends"`     // open incidents of the plan before, with their state: they end with it
		}{}},
		{"assay.monitor.replay/1", "monitor replay", struct {
			Monitor  assay.Digest     `json:"monitor"`  // id of the plan
			Windows  []replayedWindow `json:"windows"`  // in the order of time
			Outcomes []outcomeWindow  `json:"outcomes"` // what the labels say, by window
			Orphans  int64            `json:"orphans"`  // labels that are of no prediction here
			Untimed  int64            `json:"untimed"`  // rows without a time, which are in no window
			Strays   []monitor.Stray  `json:"strays"`   // rows whose time lies far from that of nearly all rows: in no window
			Absent   []string         `json:"absent"`   // columns that are watched or that the model takes, and the data does not have: missing in every row
			Verdict  assay.Verdict    `json:"verdict"`  // fail: a window moved; undetermined: one could not be judged
		}{}},
		{"assay.alerts/1", "alert list", struct {
			Alerts  []alertAnswer    `json:"alerts"` // open ones, or all
			Outbox  monitor.Tally    `json:"outbox"`
			Damaged []monitor.Damage `json:"damaged"` // files of the outbox
		}{}},
		{"assay.alert/1", "alert show, alert ack, alert mute, alert resolve", struct {
			Key     string        `json:"key"`     // of the incident
			Version string        `json:"version"` // NAME:NUMBER
			States  []alertAnswer `json:"states"`  // oldest first
		}{}},
		{"assay.alert.send/1", "alert send", struct {
			Changed  []string         `json:"changed"`  // keys of incidents
			Actions  []actedOn        `json:"actions"`  // that were done, or could not be
			Messages []sentMessage    `json:"messages"` // that were tried
			Outbox   monitor.Tally    `json:"outbox"`
			Damaged  []monitor.Damage `json:"damaged"` // files of the outbox that were set aside now
		}{}},
		{"assay.monitor.test_fire/1", "monitor test-fire", struct {
			Evidence assay.Digest   `json:"evidence"` // id of the test
			TestFire assay.TestFire `json:"test_fire"`
		}{}},
		{"assay.monitor.export/1", "monitor export prometheus, monitor export grafana", struct {
			Format  string `json:"format"`  // prometheus, grafana
			Content string `json:"content"` // of the file
		}{}},
		{"assay.monitor.run/1", "monitor run", struct {
			Monitor  assay.Digest     `json:"monitor"`          // id of the plan
			Windows  []replayedWindow `json:"windows"`          // that have ended, in the order of time
			Beyond   []replayedWindow `json:"beyond_retention"` // that were judged and stay so: the log no longer has all of their rows
			Outcomes []outcomeWindow  `json:"outcomes"`         // what the labels say, by window
			Orphans  int64            `json:"orphans"`          // labels that are of no prediction here
			Untimed  int64            `json:"untimed"`          // rows without a time
			Absent   []string         `json:"absent"`           // watched columns that the log does not have
			Verdict  assay.Verdict    `json:"verdict"`          // fail: a window moved; undetermined: one could not be judged, or none has ended
		}{}},
		{"assay.labels.add/1", "labels add", struct {
			Model  string              `json:"model"`
			Labels monitor.AddedLabels `json:"labels"`
			Unread map[string]int64    `json:"unread"` // lines of ground truth that cannot be read, by reason
		}{}},
		{"assay.labels/1", "labels add, over HTTP", struct {
			Model    string `json:"model"`
			Accepted int    `json:"accepted"` // labels that are on the disk
			Ahead    int64  `json:"ahead"`    // of them from the future: they count as come now
			Unknown  int64  `json:"unknown"`  // of them no class of a version that is served, or no number: figures leave them out
		}{}},
		{"assay.labels.status/1", "labels status", struct {
			Models []labelState `json:"models"`
		}{}},
		{"assay.monitor.report/1", "monitor report", struct {
			File    string `json:"file"`    // that was written
			Windows int    `json:"windows"` // on the page
		}{}},
		{"assay.evidence.list/1", "evidence list", struct {
			Evidence []assay.Record `json:"evidence"` // newest first
		}{}},
		{"assay.evidence.graph/1", "evidence graph", struct {
			Nodes []struct {
				ID      assay.Digest   `json:"id"`
				Kind    assay.Kind     `json:"kind"`
				Subject assay.Digest   `json:"subject"`
				Parents []assay.Digest `json:"parents"`
			} `json:"nodes"`
		}{}},
		{"assay.evidence.verify/1", "evidence verify", struct {
			Statement *store.Statement `json:"statement"`
		}{}},
		{"assay.evidence.key/1", "evidence key", struct {
			PublicKey string `json:"public_key"` // PEM
		}{}},
		{"assay.evidence.checkpoint/1", "evidence checkpoint", store.Checkpoint{}},
		{"assay.models/1", "model list", struct {
			Versions     []store.Version `json:"versions"`     // newest first
			Unregistered []assay.Digest  `json:"unregistered"` // model files without a version
		}{}},
		{"assay.history/1", "model history", struct {
			Events []store.Event `json:"events"` // newest first
		}{}},
		{"assay.evidence/1", "evidence show", assay.Record{}},
		{"assay.evidence.export/1", "evidence export -o", struct {
			Evidence []assay.Digest `json:"evidence"` // ids that were asked for
			File     string         `json:"file"`     // that was written
		}{}},
		{"assay.schema/1", "schema show, schema infer", struct {
			Digest   assay.Digest    `json:"digest"`
			Document json.RawMessage `json:"document"` // the schema itself, see schema.md
		}{}},
		{"assay.schema.export/1", "schema show --format json-schema", struct {
			Digest   assay.Digest    `json:"digest"`   // of Assay's own form
			Document json.RawMessage `json:"document"` // JSON Schema 2020-12
			Lost     []string        `json:"lost"`     // what JSON Schema cannot say, with --lossy
		}{}},
		{"assay.policy/1", "gate show", struct {
			Digest assay.Digest `json:"digest"`
			Source string       `json:"source"` // YAML
		}{}},
		{"assay.fsck/1", "fsck", store.Report{}},
		{"assay.error/1", "any, on standard error", struct {
			Code    assay.Code `json:"code"` // see errors.md
			Message string     `json:"message"`
			Try     string     `json:"try"` // the next command; may be empty
		}{}},
	}
}

// TestDocuments prints every document that a short life can print, and holds it against the form that is documented.
func TestDocuments(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := copyFolder(filepath.Join("testdata", "people"), dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "capture.jsonl"), []byte(captured("a", "34,F,north,,38,2.5\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	m := &stageManager{clock: assaytest.Clock()}
	forms := map[string]any{}
	for _, d := range jsonDocuments() {
		forms[d.name] = d.form
	}
	seen := map[string]bool{}
	for _, step := range []struct {
		exit int
		args string
	}{
		{0, "init people.csv --target churned --force"},
		{-1, "people"},
		{0, "snapshot"},
		{0, "snapshot list"},
		{0, "profile"},
		{0, "check"},
		{0, "check people.csv --schema schema.json"},
		{0, "schema diff schema.json schema.json"},
		{0, "split"},
		{0, "train"},
		{0, "eval"},
		{0, "eval --final"},
		{0, "register"},
		{0, "compare"},
		{0, "predict people.csv"},
		{3, "card check"},
		{0, "card"},
		{0, "card check"},
		{0, "serve check"},
		{0, "log ingest --format sagemaker capture.jsonl"},
		{0, "log list"},
		{0, "monitor plan"},
		{3, "monitor replay days.csv --by day"},
		{0, "monitor report"},
		{0, "labels add people.csv"},
		{0, "labels status"},
		{0, "make card"},
		{0, "gate explain"},
		{0, "promote --to staging"},
		{0, "waive serving --to production --by Ada --reason a-long-enough-reason"},
		{3, "done"},
		{3, "rollback --stage staging"},
		{0, "gate test policy.yaml"},
		{0, "reproduce"},
		{0, "search"},
		{0, "run -- sh -c true"},
		{0, "schema show"},
		{0, "schema show --format json-schema --lossy"},
		{0, "schema infer"},
		{0, "gate show"},
		{0, "evidence show people"},
		{0, "evidence export people -o envelope.json"},
		{0, "evidence key"},
		{0, "evidence verify envelope.json"},
		{0, "model alias people champion 1"},
		{0, "ci"},
		{0, "model list"},
		{0, "model alias people champion 1"},
		{0, "ci"},
		{0, "model history"},
		{0, "evidence list"},
		{0, "evidence graph people"},
		{0, "serve shadow"},
		{0, "fsck"},
		{0, "evidence checkpoint"},
		{0, "alert list"},
		{0, "alert send"},
		{1, "eval nothing"},
		{2, "eval --wrong"},
	} {
		if step.exit < 0 {
			if err := copyFolder(filepath.Join("testdata", step.args), dir); err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(filepath.Join(dir, ProjectFile), os.O_APPEND|os.O_WRONLY, 0o644)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteString("search: {sampler: random, trials: 2, seed: 7, space: {c: {low: 0.1, high: 10, log: true}}}\n"); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			policy, _, _ := command(m, dir, "gate", "show")
			if err := os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte(policy), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		stdout, stderr, exit := command(m, dir, append([]string{"--json"}, strings.Fields(step.args)...)...)
		if exit != step.exit {
			if step.args == "card check" && exit == 1 && step.exit == 3 { // before there is a card
				stdout = ""
			} else {
				t.Errorf("assay %s: exit status %d, want %d\n%s%s", step.args, exit, step.exit, stdout, stderr)
				continue
			}
		}
		out := stdout
		if stdout == "" {
			out = stderr
		} else if stderr != "" && !strings.HasPrefix(step.args, "run") && !strings.HasPrefix(step.args, "reproduce") {
			t.Errorf("assay --json %s wrote to standard error beside its document: %s", step.args, stderr)
		}
		dec := json.NewDecoder(strings.NewReader(out))
		var doc map[string]json.RawMessage
		if err := dec.Decode(&doc); err != nil {
			t.Errorf("assay --json %s: %v\n%s", step.args, err, out)
			continue
		}
		if dec.More() {
			t.Errorf("assay --json %s prints more than one document:\n%s", step.args, out)
		}
		var name string
		if err := json.Unmarshal(doc["schema"], &name); err != nil || forms[name] == nil {
			t.Errorf("assay --json %s: document %s is not documented", step.args, doc["schema"])
			continue
		}
		seen[name] = true
		delete(doc, "schema")
		body, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		strict := json.NewDecoder(bytes.NewReader(body))
		strict.DisallowUnknownFields()
		if err := strict.Decode(reflect.New(reflect.TypeOf(forms[name])).Interface()); err != nil {
			t.Errorf("assay --json %s: %s is not as documented: %v", step.args, name, err)
		}
	}
	// what a short life does not print has scripts of its own
	elsewhere := []string{"assay.alert/1", "assay.labels/1", "assay.monitor.test_fire/1", "assay.monitor.export/1", "assay.monitor.run/1", "assay.demo/1", "assay.restore/1", "assay.rollback/1", "assay.log.query/1"}
	for name := range forms {
		if !seen[name] && !slices.Contains(elsewhere, name) {
			t.Errorf("no command printed %s", name)
		}
	}
}

// TestReferenceDocuments: every name that the commands print is in the table.
func TestReferenceDocuments(t *testing.T) {
	var documented []string
	for _, d := range jsonDocuments() {
		documented = append(documented, d.name)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`"(assay\.[a-z._]+/\d+)"`)
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range name.FindAllStringSubmatch(string(src), -1) {
			if !slices.Contains(documented, m[1]) {
				t.Errorf("%s prints %s, which jsonDocuments does not know", f, m[1])
			}
		}
	}
}

// fieldComments are the comments of struct fields and types in the Go files of a folder: "Type.Field" or "Type" to text.
func fieldComments(t *testing.T, folders ...string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			pkg := f.Name.Name
			for _, d := range f.Decls {
				g, ok := d.(*ast.GenDecl)
				if !ok || g.Tok != token.TYPE {
					continue
				}
				for _, spec := range g.Specs {
					ts := spec.(*ast.TypeSpec)
					if g.Doc != nil {
						out[pkg+"."+ts.Name.Name] = oneLine(g.Doc.Text())
					}
					st, ok := ts.Type.(*ast.StructType)
					if !ok {
						continue
					}
					for _, fl := range st.Fields.List {
						text := fl.Comment.Text()
						if text == "" {
							text = fl.Doc.Text()
						}
						for _, n := range fl.Names {
							out[pkg+"."+ts.Name.Name+"."+n.Name] = oneLine(text)
						}
					}
				}
			}
		}
	}
	return out
}

func oneLine(s string) string {
	return strings.Join(strings.Fields(s), " ")
}

// jsonType names a Go type as a reader of JSON sees it; named structs are links into the page.
func jsonType(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Time]():
		return "time, RFC 3339"
	case reflect.TypeFor[assay.Digest]():
		return "digest"
	case reflect.TypeFor[assay.Number]():
		return "number or null"
	case reflect.TypeFor[json.RawMessage]():
		return "any"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return jsonType(t.Elem()) + " or null"
	case reflect.Slice, reflect.Array:
		return "list of " + jsonType(t.Elem())
	case reflect.Map:
		return "map of " + jsonType(t.Elem())
	case reflect.Struct:
		if t.Name() == "" {
			return "object"
		}
		return "[" + typeName(t) + "](#" + strings.ToLower(strings.ReplaceAll(typeName(t), ".", "")) + ")"
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "text"
	case reflect.Float32, reflect.Float64:
		return "number"
	case reflect.Interface:
		return "any"
	}
	return "integer"
}

// typeName is the Go name of a type; those of the root package go without it.
func typeName(t reflect.Type) string {
	return strings.TrimPrefix(strings.TrimPrefix(t.String(), "assay."), "cli.")
}

// named walks to the named structs in a type.
func named(t reflect.Type) []reflect.Type {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return named(t.Elem())
	case reflect.Struct:
		if t == reflect.TypeFor[time.Time]() {
			return nil
		}
		return []reflect.Type{t}
	}
	return nil
}

// captured is a line of SageMaker's data capture.
func captured(id, rows string) string {
	return fmt.Sprintf(`{"captureData":{"endpointInput":{"observedContentType":"text/csv","mode":"INPUT","data":%q,"encoding":"CSV"},"endpointOutput":{"observedContentType":"text/csv","mode":"OUTPUT","data":"0.25,0.75\n","encoding":"CSV"}},`+
		`"eventMetadata":{"eventId":%q,"inferenceTime":"2025-05-01T10:00:00Z"},"eventVersion":"0"}`, rows, id) + "\n"
}
