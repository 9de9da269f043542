package cli

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// projectKeys calls fn with the path of every key of assay.yaml; an item of a list is 0 in it, and a name NAME.
func projectKeys(t reflect.Type, path []string, fn func(path []string, f reflect.StructField)) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "" {
			continue
		}
		at := append(slices.Clone(path), name)
		fn(at, f)
		ft := f.Type
		for wrapped := true; wrapped; {
			switch {
			case ft.Kind() == reflect.Pointer:
				ft = ft.Elem()
			case ft.Kind() == reflect.Slice && ft.Elem().Kind() == reflect.Struct:
				ft, at = ft.Elem(), append(at, "0")
			case ft.Kind() == reflect.Map && ft.Elem().Kind() == reflect.Struct:
				ft, at = ft.Elem(), append(at, "NAME")
			default:
				wrapped = false
			}
		}
		if ft.Kind() == reflect.Struct {
			projectKeys(ft, at, fn)
		}
	}
}

func isNumber(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int64, reflect.Uint64, reflect.Float64:
		return true
	}
	return false
}

// with is a project in which one key has a value, as YAML, and the least else that is asked for.
func with(path []string, value any) []byte {
	doc := map[string]any{"project": "p", "data": map[string]any{"uri": "d.csv", "target": map[string]any{"column": "y", "task": "binary"}}}
	var set func(in map[string]any, path []string)
	set = func(in map[string]any, path []string) {
		switch {
		case len(path) == 1:
			in[path[0]] = value
		case path[1] == "0":
			item := map[string]any{}
			set(item, path[2:])
			in[path[0]] = []any{item}
		default:
			if in[path[0]] == nil {
				in[path[0]] = map[string]any{}
			}
			set(in[path[0]].(map[string]any), path[1:])
		}
	}
	set(doc, path)
	b, err := yaml.Marshal(doc)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return b
}

// TestProjectZeroIsNoDefault holds every number of assay.yaml to its word: a 0 is refused, naming the key, or means 0. It means 0 where
// the field can tell it from an absent key, or where an absent key is 0 as well.
func TestProjectZeroIsNoDefault(t *testing.T) {
	t.Parallel()
	zeroAnyway := []string{
		"split.seed", "train.seed", "search.seed", "evaluate.seed", "monitor.seed", "evaluate.slice_margin", "gate.margin", "monitor.margin", "monitor.business.margin",
		"serve.keep_versions",
	}
	n := 0
	projectKeys(reflect.TypeFor[Project](), nil, func(path []string, f reflect.StructField) {
		if !isNumber(f.Type) {
			return
		}
		n++
		key := strings.ReplaceAll(strings.Join(path, "."), ".0", "[0]")
		_, err := ParseProject(with(path, 0))
		refused := err != nil && strings.Contains(err.Error(), key+" is 0; want ")
		if refused && assay.CodeOf(err) != assay.Invalid {
			t.Errorf("%s: 0 is refused as %s", key, assay.CodeOf(err))
		}
		same := slices.Contains(zeroAnyway, key)
		if !refused && !same && f.Type.Kind() != reflect.Pointer || refused && same {
			t.Errorf("%s: a 0 is refused: %v; it means the same as no key: %v", key, refused, same)
		}
	})
	if n < 35 {
		t.Errorf("%d keys are numbers", n)
	}
}

func TestProjectBounds(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"evaluate.threshold: 0":               "evaluate.threshold is 0; want above 0 and below 1; without the key it is 0.5",
		"evaluate.threshold: .nan":            "evaluate.threshold is .nan; want above 0 and below 1",
		"evaluate.level: 95":                  "evaluate.level is 95; want above 0.5 and below 1; without the key it is 0.95",
		"evaluate.min_rows: -3":               "evaluate.min_rows is -3; want at least 1",
		"evaluate.slice_limit: .inf":          "evaluate.slice_limit is .inf; want a finite number",
		"search.trials: 0":                    "search.trials is 0; want at least 1; without the key it is 30",
		"monitor.labels.min_coverage: 1.5":    "monitor.labels.min_coverage is 1.5; want above 0 and at most 1",
		"monitor.drift.replicates: 10":        "monitor.drift.replicates is 10; want at least 200 and at most 1000000",
		"train.class_weight: heavy":           `train.class_weight "heavy" is none of balanced`,
		"search.sampler: luck":                `search.sampler "luck" is none of random, tpe`,
		"evaluate.correction: none":           `evaluate.correction "none" is none of holm, bh`,
		"card.owners: true":                   "card.owners is true or false; want text",
		"serve.python.workers: 65":            "serve.python.workers is 65; want at least 1 and at most 64",
		"data.documentation.exclusions: true": "data.documentation.exclusions is true or false; want text",
		"data.documentation.licence: [MIT]":   "data.documentation.licence is a list; want text",
		"monitor.alerts: [{wen: input}]":      `unknown key "monitor.alerts[0].wen"; did you mean "when"?`,
		"monitor.alerts: [{persist: 0}]":      "monitor.alerts[0].persist is 0; want at least 1",
	} {
		path, text, _ := strings.Cut(value, ": ")
		var v any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		_, err := ParseProject(with(strings.Split(path, "."), v))
		if err == nil || assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%s: %v, want line N: %s", value, err, want)
		}
	}
	// An alias is what it stands for.
	src := "project: p\ndata: {uri: d.csv, target: {column: y, task: binary}}\nsplit: {validation: &v 0, test: *v}\n"
	_, err := ParseProject([]byte(src))
	for _, key := range []string{"validation", "test"} {
		if want := fmt.Sprintf("line 3: split.%s is 0", key); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestFlagsBounds does the same for the flags that are numbers.
func TestFlagsBounds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := copyFolder(filepath.Join("testdata", "people"), dir); err != nil {
		t.Fatal(err)
	}
	m := &stageManager{clock: assaytest.Clock()}
	for _, line := range []string{"evidence list --limit 0", "model alias people champion 1 --expect -5", "reproduce --tolerance -1", "serve --drain -1s", "serve --keep 17", "ci --rows 0", "profile --threads -1", "profile --memory 0"} {
		answered(t, m, dir, 2, strings.Fields(line)...)
	}
}
