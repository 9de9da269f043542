package cli

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/assay-ml/assay"
)

// A keyReader walks the YAML of assay.yaml beside the Go type that it is decoded into. It knows what is written: a 0 in the file is a 0 and
// no key that is absent, so that the default never takes the place of a value that somebody gave.
type keyReader struct {
	anchors map[string]ast.Node
	broken  assay.Problems // what cannot be decoded: unknown keys, wrong types
	beyond  assay.Problems // numbers that their key does not take
}

// Visit implements ast.Visitor: it collects what aliases stand for.
func (k *keyReader) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok {
		k.anchors[a.Name.String()] = a.Value
	}
	return k
}

// plain is a node without its anchor or tag, and what an alias stands for.
func (k *keyReader) plain(n ast.Node) ast.Node {
	for range 8 { // manifest.Parse refuses aliases within anchors
		switch x := n.(type) {
		case *ast.AnchorNode:
			n = x.Value
		case *ast.TagNode:
			n = x.Value
		case *ast.AliasNode:
			n = k.anchors[x.Value.String()]
		default:
			return n
		}
	}
	return n
}

// read reports unknown keys, keys given twice, wrong types and numbers out of bounds below a node.
func (k *keyReader) read(n ast.Node, t reflect.Type, path string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var pairs []*ast.MappingValueNode
	switch m := k.plain(n).(type) {
	case *ast.MappingNode:
		pairs = m.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{m}
	case *ast.SequenceNode:
		if t.Kind() == reflect.Slice {
			for i, v := range m.Values {
				at := fmt.Sprintf("%s[%d]", strings.TrimSuffix(path, "."), i)
				if !k.wrongType(v, t.Elem(), at) {
					k.read(v, t.Elem(), at+".")
				}
			}
		}
		return
	default:
		return
	}
	if t.Kind() == reflect.Map {
		for _, kv := range pairs {
			at := path + kv.Key.String()
			if !k.wrongType(kv.Value, t.Elem(), at) {
				k.read(kv.Value, t.Elem(), at+".")
			}
		}
		return
	}
	if t.Kind() != reflect.Struct {
		return
	}
	fields := map[string]reflect.StructField{}
	var names []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name != "" {
			fields[name] = f
			names = append(names, name)
		}
	}
	seen := map[string]bool{}
	for _, kv := range pairs {
		key := kv.Key.String()
		line := kv.Key.GetToken().Position.Line
		f, ok := fields[key]
		if !ok {
			k.broken.Add("line %d: unknown key %q%s", line, path+key, didYouMean(key, names))
			continue
		}
		if seen[key] {
			k.broken.Add("line %d: key %q is given twice", line, path+key)
		}
		seen[key] = true
		if !k.wrongType(kv.Value, f.Type, path+key) {
			k.bounds(kv.Value, f, path+key)
			k.enum(kv.Value, f, path+key)
			k.read(kv.Value, f.Type, path+key+".")
		}
	}
}

// bounds holds a number against the bounds of its key.
func (k *keyReader) bounds(n ast.Node, f reflect.StructField, path string) {
	v, ok := numberOf(k.plain(n))
	if !ok {
		return
	}
	tags := keyTags(f)
	want, holds := tags.bounds(v)
	if holds && v-v == 0 {
		return
	}
	if want == "" {
		want = "a finite number"
	}
	if d := tags["default"]; d != nil {
		want += "; without the key it is " + d[0]
	}
	k.beyond.Add("line %d: %s is %s; want %s", n.GetToken().Position.Line, path, k.plain(n).GetToken().Value, want)
}

// enum holds a text against those that its key takes.
func (k *keyReader) enum(n ast.Node, f reflect.StructField, path string) {
	all := keyTags(f)["enum"]
	if kindOf(k.plain(n)) == "nothing" || all == nil {
		return
	}
	got := k.plain(n).GetToken().Value
	if slices.Contains(all, got) {
		return
	}
	all = slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == "" })
	k.beyond.Add("line %d: %s %q is none of %s", n.GetToken().Position.Line, path, got, strings.Join(all, ", "))
}

// fieldTags are what the tag of a field says to the JSON Schema of assay.yaml, by name.
type fieldTags map[string][]string

func keyTags(f reflect.StructField) fieldTags {
	tags := fieldTags{}
	for _, part := range strings.Split(f.Tag.Get("jsonschema"), ",") {
		name, value, _ := strings.Cut(part, "=")
		tags[name] = append(tags[name], value)
	}
	return tags
}

// bounds says in which bounds a number of the key lies, and whether v does.
func (t fieldTags) bounds(v float64) (say string, holds bool) {
	holds = true
	var all []string
	for _, b := range []struct {
		tag, say string
		holds    func(bound float64) bool
	}{
		{"minimum", "at least", func(b float64) bool { return v >= b }},
		{"exclusiveMinimum", "above", func(b float64) bool { return v > b }},
		{"maximum", "at most", func(b float64) bool { return v <= b }},
		{"exclusiveMaximum", "below", func(b float64) bool { return v < b }},
	} {
		text := strings.Join(t[b.tag], "")
		bound, err := strconv.ParseFloat(text, 64)
		if err != nil {
			continue
		}
		all = append(all, b.say+" "+text)
		holds = holds && b.holds(bound)
	}
	return strings.Join(all, " and "), holds
}

// numberOf is the value of a node that is a number.
func numberOf(n ast.Node) (float64, bool) {
	switch x := n.(type) {
	case *ast.IntegerNode:
		switch v := x.Value.(type) {
		case int64:
			return float64(v), true
		case uint64:
			return float64(v), true
		}
	case *ast.FloatNode:
		return x.Value, true
	case *ast.InfinityNode:
		return x.Value, true
	case *ast.NanNode:
		return math.NaN(), true
	}
	return 0, false
}

// wrongType reports a value that is not of its key's type.
func (k *keyReader) wrongType(n ast.Node, t reflect.Type, path string) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	got := kindOf(k.plain(n))
	want, ok := "", false
	switch {
	case got == "nothing" || got == "" || t.Kind() == reflect.Interface:
		return false
	case t == reflect.TypeFor[Columns]():
		want, ok = "a column or a list of columns", got != "a map" && got != "true or false"
	case t == reflect.TypeFor[BaselineConfig]() && got != "a map": // a name, or a map whose keys are checked
		want, ok = "a name, or a map of learner and params", got != "a list" && got != "true or false"
	case t == reflect.TypeFor[Scalar]():
		want, ok = "one value", got != "a map" && got != "a list"
	case t.Kind() == reflect.Struct || t.Kind() == reflect.Map:
		want, ok = "a map", got == "a map"
	case t.Kind() == reflect.Slice:
		want, ok = "a list", got == "a list"
	case t.Kind() == reflect.Bool:
		want, ok = "true or false", got == "true or false"
	case t.Kind() == reflect.Float64:
		want, ok = "a number", got == "a number" || got == "a whole number" || got == "a negative whole number"
	case t.Kind() == reflect.Uint64:
		want, ok = "a whole number from 0", got == "a whole number"
	case t.Kind() == reflect.Int || t.Kind() == reflect.Int64:
		want, ok = "a whole number", got == "a whole number" || got == "a negative whole number"
	default:
		want, ok = "text", got != "a map" && got != "a list" && got != "true or false"
	}
	if !ok {
		k.broken.Add("line %d: %s is %s; want %s", n.GetToken().Position.Line, path, got, want)
	}
	return !ok
}

// kindOf says what a YAML node is, for a person.
func kindOf(n ast.Node) string {
	switch x := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a map"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "nothing"
	case *ast.BoolNode:
		return "true or false"
	case *ast.IntegerNode:
		if strings.HasPrefix(x.GetToken().Value, "-") {
			return "a negative whole number"
		}
		return "a whole number"
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	}
	return ""
}
