package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/learn"
)

const written = "<!-- Written by `make docs`; do not edit. -->\n\n"

// page holds a page of docs/ against what the code says, or writes it with -update.
func page(t *testing.T, name string, want []byte) {
	t.Helper()
	path := filepath.Join(assaytest.Root(), "docs", name)
	if updating() {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v: run make docs", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("docs/%s is not what the code says: run make docs", name)
	}
}

// TestReferenceCLI writes docs/cli.md from the command tree: the help of every command, as it is printed.
func TestReferenceCLI(t *testing.T) {
	root := (&app{}).root()
	var b bytes.Buffer
	b.WriteString("# Command line\n\n" + written)
	b.WriteString("Standard output is the answer; everything else goes to standard error. Every command knows the flags that `assay --help` lists.\n\n")
	var commands []*cobra.Command
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Hidden || c.Name() == "help" {
			return
		}
		commands = append(commands, c)
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
	for _, c := range commands {
		fmt.Fprintf(&b, "- [%s](#%s): %s\n", c.CommandPath(), strings.ReplaceAll(c.CommandPath(), " ", "-"), c.Short)
	}
	for _, c := range commands {
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		stdout, stderr, exit := command(&stageManager{clock: assaytest.Clock()}, t.TempDir(), args...)
		if exit != 0 || stderr != "" {
			t.Errorf("assay %s: exit status %d, %s", strings.Join(args, " "), exit, stderr)
		}
		if strings.HasPrefix(c.CommandPath(), "assay completion ") {
			stdout = c.Short + "\n\nUsage:\n  " + c.UseLine() + "\n" // the rest is the library's, about each shell
		}
		fmt.Fprintf(&b, "\n## %s\n\n```\n%s```\n", c.CommandPath(), withoutGlobals(c, stdout))
	}
	page(t, "cli.md", b.Bytes())
}

// withoutGlobals cuts the list of global flags from the help of all commands but the first.
func withoutGlobals(c *cobra.Command, help string) string {
	if !c.HasParent() {
		return help
	}
	head, _, _ := strings.Cut(help, "\nGlobal Flags:\n")
	return strings.TrimRight(head, "\n") + "\n"
}

// TestHelp: every command says in a sentence what it does, and every flag has a meaning.
func TestHelp(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: short help %q is no sentence without a full stop", c.CommandPath(), c.Short)
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s has no meaning", c.CommandPath(), f.Name)
			}
		})
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk((&app{}).root())
}

// TestReferencePerformance puts docs/performance.md together from the fragments of docs/performance.d, one a package.
func TestReferencePerformance(t *testing.T) {
	fragments, err := filepath.Glob(filepath.Join(assaytest.Root(), "docs", "performance.d", "*.md"))
	if err != nil || len(fragments) == 0 {
		t.Fatalf("%d fragments, %v", len(fragments), err)
	}
	var b bytes.Buffer
	b.WriteString("# Performance\n\n" + written + "Every figure stands beside the command that repeats it, and beside the peer's figure from the same run where there is a peer.\n")
	for _, f := range fragments {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(f), ".md")
		fmt.Fprintf(&b, "\n## %s\n", name)
		for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
			level := len(line) - len(strings.TrimLeft(line, "#"))
			switch {
			case level > 0 && i == 0:
				continue // the fragment's own title
			case level > 0:
				line = "### " + strings.TrimSpace(line[level:])
			}
			fmt.Fprintln(&b, line)
		}
	}
	page(t, "performance.md", b.Bytes())
}

// TestReferenceErrors writes docs/errors.md from the error table.
func TestReferenceErrors(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("# Errors\n\n" + written)
	b.WriteString(`Every error has one of ten codes. The exit status of the command line, the status of an HTTP answer and MLflow's error code follow from it.
With ` + "`--json`" + ` an error is one document ` + "`assay.error/1`" + ` on standard error, with code, message and the command to try next.

| code | exit | HTTP | MLflow | meaning |
|---|---|---|---|---|
`)
	for _, c := range assay.Codes() {
		fmt.Fprintf(&b, "| `%s` | %d | %d | `%s` | %s |\n", c.Code, c.Exit, c.HTTP, c.MLflow, c.Meaning)
	}
	b.WriteString(`
The exit status says the same in every output mode:

| exit | meaning |
|---|---|
| 0 | yes |
| 1 | could not answer |
| 2 | asked wrongly |
| 3 | worked, and the answer is no |
| 128 + n | ended by signal n |

` + "`assay run`" + ` ends with the exit status of the command that it ran.
`)
	page(t, "errors.md", b.Bytes())
}

// TestReferenceJSON writes docs/json.md from the Go types of the answers.
func TestReferenceJSON(t *testing.T) {
	root := assaytest.Root()
	says := fieldComments(t, root, filepath.Join(root, "internal", "store"), filepath.Join(root, "internal", "schema"), filepath.Join(root, "internal", "gate"), filepath.Join(root, "internal", "dataset"), filepath.Join(root, "internal", "monitor"), filepath.Join(root, "internal", "serve"), ".")
	for k, v := range localComments(t) {
		says[k] = v
	}
	var b bytes.Buffer
	b.WriteString("# JSON\n\n" + written)
	b.WriteString(`With ` + "`--json`" + ` a command prints exactly one document on standard output, whose ` + "`schema`" + ` names its kind and version. Within a version, fields are only
added. A fraction is 0 to 1, a digest is ` + "`sha256:`" + ` and 64 hexadecimal digits, a time is UTC, and a number that is not defined is null.

## Documents
`)
	var queue []reflect.Type
	table := func(t reflect.Type, anonymous string) {
		b.WriteString("\n| field | type | meaning |\n|---|---|---|\n")
		var fields func(t reflect.Type, prefix, owner string)
		fields = func(t reflect.Type, prefix, owner string) {
			for i := range t.NumField() {
				f := t.Field(i)
				name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
				if f.Anonymous && name == "" {
					fields(f.Type, prefix, typeKey(f.Type))
					continue
				}
				if name == "-" || !f.IsExported() {
					continue
				}
				if name == "" {
					name = f.Name
				}
				kind := jsonType(f.Type)
				if strings.Contains(opts, "omitempty") || strings.Contains(opts, "omitzero") {
					kind += ", may be absent"
				}
				meaning := says[owner+"."+f.Name]
				if d := says[typeKey(f.Type)]; meaning == "" && f.Type.Name() != "" && f.Type.Kind() != reflect.Struct && d != "" && f.Type.PkgPath() != "" && f.Type != reflect.TypeFor[assay.Digest]() {
					meaning = strings.TrimSuffix(d, ".")
				}
				fmt.Fprintf(&b, "| `%s%s` | %s | %s |\n", prefix, name, kind, strings.ReplaceAll(meaning, "|", "\\|"))
				for _, n := range named(f.Type) {
					if n.Name() == "" {
						fields(n, prefix+name+"[].", owner+"."+f.Name)
					} else {
						queue = append(queue, n)
					}
				}
			}
		}
		fields(t, "", anonymous)
	}
	for _, d := range jsonDocuments() {
		t := reflect.TypeOf(d.form)
		fmt.Fprintf(&b, "\n### %s\n\nFrom `%s`.\n", d.name, strings.ReplaceAll(d.commands, ", ", "`, `"))
		owner := typeKey(t)
		if t.Name() == "" {
			owner = d.name
		}
		table(t, owner)
	}
	b.WriteString("\n## Types\n")
	done := map[string]reflect.Type{}
	for len(queue) > 0 {
		next := queue
		queue = nil
		for _, n := range next {
			done[typeName(n)] = n
		}
		out := b
		b = bytes.Buffer{}
		var more []reflect.Type
		for _, n := range next {
			table(n, typeKey(n))
			for _, q := range queue {
				if done[typeName(q)] == nil {
					more = append(more, q)
				}
			}
			queue = nil
		}
		b, queue = out, more
	}
	var names []string
	for n := range done {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		t := done[n]
		fmt.Fprintf(&b, "\n### %s\n\n%s\n", n, says[typeKey(t)])
		table(t, typeKey(t))
	}
	page(t, "json.md", b.Bytes())
}

func typeKey(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.String()
}

// localComments are the comments of the anonymous structs in jsonDocuments, by document.
func localComments(t *testing.T) map[string]string {
	t.Helper()
	src, err := os.ReadFile("documents_test.go")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	doc := ""
	for line := range strings.Lines(string(src)) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, `{"assay.`); ok {
			doc, _, _ = strings.Cut("assay."+rest, `"`)
			continue
		}
		code, text, ok := strings.Cut(line, "// ")
		if f := strings.Fields(code); ok && doc != "" && len(f) >= 3 && strings.Contains(code, "`json:") {
			out[doc+"."+f[0]] = text
		}
	}
	return out
}

// projectSchema is the JSON Schema of assay.yaml.
func projectSchema() *jsonschema.Schema {
	var r *jsonschema.Reflector
	r = &jsonschema.Reflector{FieldNameTag: "yaml", Anonymous: true, DoNotReference: true, ExpandedStruct: true, Mapper: func(t reflect.Type) *jsonschema.Schema {
		switch t {
		case reflect.TypeFor[Columns]():
			return &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "string"}, {Type: "array", Items: &jsonschema.Schema{Type: "string"}}}}
		case reflect.TypeFor[BaselineConfig]():
			type plain BaselineConfig // the mapping: its own type would come here again
			params := r.Reflect(&plain{})
			params.Version, params.ID = "", ""
			return &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "string"}, params}}
		case reflect.TypeFor[map[string]string](): // a year is an answer, too
			return &jsonschema.Schema{Type: "object", AdditionalProperties: &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "string"}, {Type: "number"}}}}
		case reflect.TypeFor[Scalar]():
			return &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "string"}, {Type: "number"}, {Type: "boolean"}}}
		}
		return nil
	}}
	s := r.Reflect(&Project{})
	if v, ok := s.Properties.Get("train"); ok {
		if learner, ok := v.Properties.Get("learner"); ok {
			for _, l := range learn.Learners() {
				learner.Examples = append(learner.Examples, l.Name)
			}
		}
	}
	for path, names := range map[string][]string{
		"monitor.drift.numeric_test":     monitor.Tests(true),
		"monitor.drift.categorical_test": monitor.Tests(false),
		"monitor.drift.detectors":        monitor.EventTests(),
		"monitor.drift.multivariate":     append(monitor.JointTests(), noJoint),
		"monitor.alerts.when":            alertSubjects,
		"monitor.alerts.actions":         alertActions,
	} {
		of := s
		for _, key := range strings.Split(path, ".") {
			if of.Items != nil {
				of = of.Items
			}
			v, ok := of.Properties.Get(key)
			if !ok {
				panic("BUG: no key " + path)
			}
			of = v
		}
		var enum []any
		for _, name := range names {
			enum = append(enum, name)
		}
		switch {
		case of.Type == "array":
			of.Items.Enum = enum
		case of.OneOf != nil: // one, or a list
			of.OneOf[0].Enum, of.OneOf[1].Items.Enum = append([]any{""}, enum...), enum
		default:
			of.Enum = append([]any{""}, enum...)
		}
	}
	s.Title = "assay.yaml"
	s.Description = "every parameter of an experiment"
	return s
}

// TestReferenceSchema writes docs/assay.schema.json, for editors, and holds the projects that Assay brings along against it.
func TestReferenceSchema(t *testing.T) {
	b, err := json.MarshalIndent(projectSchema(), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, '\n')
	page(t, "assay.schema.json", b)
	valid := projectValidator(t)
	examples, err := filepath.Glob(filepath.Join(assaytest.Root(), "examples", "*", "assay.yaml"))
	if err != nil || len(examples) == 0 {
		t.Fatalf("%d examples, %v", len(examples), err)
	}
	for _, path := range append(examples, filepath.Join("testdata", "people", "assay.yaml")) {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := valid(src); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	guess := guess{Name: "x", Data: "x.csv", Target: []string{"y"}, Task: assay.Binary, Positive: "1", Key: "id"}
	if err := valid([]byte(guess.yaml())); err != nil {
		t.Errorf("what init writes: %v", err)
	}
	for _, wrong := range []string{"project: x\nprojects: y\n", "project: [x]\n", "project: x\ndata: {uri: x, target: {column: y, task: bin}}\n"} {
		if valid([]byte(wrong)) == nil {
			t.Errorf("the schema accepts %q", wrong)
		}
	}
}

// TestReferenceLearners writes docs/learners.md from the table of learners.
func TestReferenceLearners(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("# Learners\n\n" + written)
	b.WriteString("What `train.learner`, `train.candidates` and `assay train --learner` can name, with the parameters of `train.params` and `--param NAME=VALUE`.\nThose that ignore the features are baselines, which `evaluate.baseline` names, too ([evaluation](evaluation.md#the-baseline)).\n\n| learner | tasks | what it is |\n|---|---|---|\n")
	all := learn.Learners()
	for _, l := range all {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", l.Name, tasksOf(l), l.Doc)
	}
	for _, l := range all {
		if len(l.Params) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n## %s\n\n| parameter | values | default | meaning |\n|---|---|---|---|\n", l.Name)
		for _, p := range l.Params {
			if p.Doc == "" {
				t.Errorf("parameter %s of %s has no description", p.Name, l.Name)
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", p.Name, rangeOf(p), defaultOf(p), p.Doc)
		}
	}
	page(t, "learners.md", b.Bytes())
}

// TestReferenceProject writes docs/assay-yaml.md from the fields of Project.
func TestReferenceProject(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("# assay.yaml\n\n" + written)
	b.WriteString("Every parameter of an experiment is in this file. It is strict: an unknown key, a wrong type or a key that is given twice is an error that names\nthe line, and all problems are reported at once. `assay init` writes one; paths are relative to its folder. Editors can use\n[assay.schema.json](assay.schema.json).\n\n| key | type | default | meaning |\n|---|---|---|---|\n")
	var walk func(t reflect.Type, prefix string)
	walk = func(rt reflect.Type, prefix string) {
		for i := range rt.NumField() {
			f := rt.Field(i)
			name, opts, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if name == "" {
				continue
			}
			tags := keyTags(f)
			meaning := strings.Join(tags["description"], " ")
			var enum []string
			for _, e := range tags["enum"] {
				if e != "" {
					enum = append(enum, "`"+e+"`")
				}
			}
			if len(enum) > 0 {
				if meaning != "" {
					meaning += ": "
				}
				meaning += strings.Join(enum, ", ")
			}
			if bounds, _ := tags.bounds(0); bounds != "" {
				meaning += "; " + bounds
			}
			def := strings.Join(tags["default"], "")
			if def != "" {
				def = "`" + def + "`"
			} else if !strings.Contains(opts, "omitempty") {
				def = "required"
			}
			if meaning == "" {
				t.Errorf("key %s%s has no description", prefix, name)
			}
			ft := f.Type
			if ft.Kind() == reflect.Pointer {
				ft = ft.Elem()
			}
			fmt.Fprintf(&b, "| `%s%s` | %s | %s | %s |\n", prefix, name, yamlType(ft), def, strings.ReplaceAll(meaning, ";", ","))
			if ft.Kind() == reflect.Struct {
				walk(ft, prefix+name+".")
			} else if ft.Kind() == reflect.Map && ft.Elem().Kind() == reflect.Struct {
				walk(ft.Elem(), prefix+name+".NAME.")
			} else if ft.Kind() == reflect.Slice && ft.Elem().Kind() == reflect.Struct {
				walk(ft.Elem(), prefix+name+"[].")
			}
		}
	}
	walk(reflect.TypeFor[Project](), "")
	page(t, "assay-yaml.md", b.Bytes())
}

func yamlType(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[Columns]():
		return "column or list of columns"
	case reflect.TypeFor[Scalar]():
		return "value"
	case reflect.TypeFor[BaselineConfig]():
		return "text or map"
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return "map"
	case reflect.Interface:
		return "value"
	case reflect.Slice:
		return "list of " + yamlType(t.Elem())
	case reflect.Bool:
		return "boolean"
	case reflect.String:
		return "text"
	case reflect.Float64:
		return "number"
	}
	return "integer"
}
