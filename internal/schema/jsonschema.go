package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp/syntax"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
)

// Dialect is the JSON Schema dialect that is written and read.
const Dialect = "https://json-schema.org/draft/2020-12/schema"

// timePattern says a time of day, for which the format "time" of JSON Schema does not do: that one has an offset.
const timePattern = `^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?$`

// base64Pattern says a binary value.
const base64Pattern = `^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$`

// finiteComment begins the comment that keeps the rule finite of a column. A number of JSON is always finite, so a validator needs no rule; a
// table that is checked against the schema when it is read again does.
const finiteComment = "assay.schema: finite"

// JSONSchema returns the rules for one row as a JSON Schema (2020-12) of an object. Not everything can be said there: what speaks of
// several rows, conditions, ranges of dates, tolerances, warnings, and patterns that mean something else in ECMAScript. Unless lossy is
// set, that is an error of code assay.Rejected that names all of it; otherwise it is left out, and lost names it.
//
// A validator must assert formats for dates and timestamps to be held to theirs.
func (s *Schema) JSONSchema(lossy bool) (doc []byte, lost []string, err error) {
	s, err = s.canonical()
	if err != nil {
		return nil, nil, err
	}
	w := &jsonWriter{properties: map[string]any{}}
	for _, c := range s.constraints() {
		what := strings.TrimPrefix(c.name+": "+c.rule, ": ")
		switch {
		case c.column < 0 && c.rule != RuleUnknown:
			w.lose("%s", what)
		case c.terms.required() < 1:
			w.lose("%s, because it is mostly", what)
		case c.terms.Severity == Warning:
			w.lose("%s, because it is a warning", what)
		case c.rule == RuleUnique:
			w.lose("%s", what)
		}
	}
	names := []string{}
	for i := range s.Columns {
		c := &s.Columns[i]
		w.properties[c.Name] = w.column(c)
		if !c.Optional {
			names = append(names, c.Name)
		}
	}
	if len(w.lost) > 0 && !lossy {
		var bad assay.Problems = w.lost
		return nil, nil, bad.Err(assay.Rejected, "JSON Schema cannot say everything that the schema says")
	}
	out := map[string]any{"$schema": Dialect, "type": "object", "properties": w.properties, "required": names}
	if s.Name != "" {
		out["title"] = s.Name
	}
	if s.Closed {
		out["additionalProperties"] = false
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(out); err != nil {
		return nil, nil, assay.Errorf(assay.Internal, "the JSON Schema cannot be written: %w", err)
	}
	return b.Bytes(), w.lost, nil
}

type jsonWriter struct {
	properties map[string]any
	lost       []string
}

func (w *jsonWriter) lose(format string, args ...any) {
	w.lost = append(w.lost, fmt.Sprintf(format, args...))
}

// strict reports whether a constraint holds for every row and refuses it.
func (t Terms) strict() bool { return t.required() == 1 && t.Severity != Warning }

func (w *jsonWriter) column(c *Column) map[string]any {
	p := map[string]any{}
	kind := ""
	switch c.Type {
	case assay.TypeBoolean, assay.TypeInteger, assay.TypeNumber, assay.TypeString:
		kind = string(c.Type)
	case assay.TypeDate:
		kind, p["format"] = "string", "date"
	case assay.TypeTimestamp:
		kind, p["format"] = "string", "date-time"
	case assay.TypeTime:
		kind, p["pattern"] = "string", timePattern
	case assay.TypeBinary:
		kind, p["pattern"], p["contentEncoding"] = "string", base64Pattern, "base64"
	}
	null := c.NotNull == nil || !c.NotNull.strict()
	switch {
	case kind != "" && null:
		p["type"] = []string{kind, "null"}
	case kind != "":
		p["type"] = kind
	case !null:
		p["not"] = map[string]any{"type": "null"}
	}
	if f := c.Finite; f != nil && f.strict() {
		p["$comment"] = strings.Join(append([]string{finiteComment}, f.Allow...), " but ")
	}
	number := func(v *Value) json.Number { return json.Number(v.text) }
	if r := c.Range; r != nil && r.strict() {
		if !c.Type.Numeric() {
			w.lose("%s: range of a %s", c.Name, c.Type)
		} else {
			if r.Min != nil {
				p[pick(r.ExclusiveMin, "exclusiveMinimum", "minimum")] = number(r.Min)
			}
			if r.Max != nil {
				p[pick(r.ExclusiveMax, "exclusiveMaximum", "maximum")] = number(r.Max)
			}
		}
	}
	if g := c.Set; g != nil && g.strict() {
		if c.Type == assay.TypeTimestamp || c.Type == assay.TypeTime {
			w.lose("%s: set of a %s, which can be written in several ways", c.Name, c.Type)
		} else {
			p["enum"] = enum(g.Values, null)
		}
	}
	if l := c.Length; l != nil && l.strict() {
		if c.Type == assay.TypeBinary {
			w.lose("%s: length in bytes", c.Name)
		} else {
			if l.Min != nil {
				p["minLength"] = *l.Min
			}
			if l.Max != nil {
				p["maxLength"] = *l.Max
			}
		}
	}
	if g := c.Pattern; g != nil && g.strict() {
		if why := foreign(g.Regexp); why != "" {
			w.lose("%s: pattern with %s", c.Name, why)
		} else {
			p["pattern"] = g.Regexp
		}
	}
	return p
}

func enum(values []Value, null bool) []any {
	var out []any
	for _, v := range values {
		switch v.kind {
		case valueNumber:
			out = append(out, json.Number(v.text))
		case valueBool:
			out = append(out, v.text == "true")
		default:
			out = append(out, v.text)
		}
	}
	if null {
		out = append(out, nil)
	}
	return out
}

// foreign names what in an RE2 pattern has no meaning, or another one, in ECMAScript.
func foreign(p string) string {
	for i := 0; i < len(p); i++ {
		switch {
		case strings.HasPrefix(p[i:], `\\`):
			i++
		case strings.HasPrefix(p[i:], "(?") && !strings.HasPrefix(p[i:], "(?:"):
			return "a group of the form (?…)"
		case strings.HasPrefix(p[i:], "[:"):
			return "a POSIX class"
		case p[i] == '\\' && i+1 < len(p) && strings.IndexByte("AzZQECapPx", p[i+1]) >= 0:
			return `\` + p[i+1:i+2]
		case p[i] == '\\' && i+1 < len(p) && strings.IndexByte("01234567", p[i+1]) >= 0:
			return "an octal escape"
		}
	}
	// A dot and a negated class differ on the ends of lines that ECMAScript knows besides \n; a class \s on white space beyond ASCII.
	re, err := syntax.Parse(p, syntax.Perl)
	if err != nil {
		return "a fault"
	}
	if anyNotNL(re) {
		return "a dot, which matches other characters there"
	}
	if strings.Contains(p, `\s`) || strings.Contains(p, `\S`) {
		return `\s, which matches other characters there`
	}
	return ""
}

func anyNotNL(re *syntax.Regexp) bool {
	if re.Op == syntax.OpAnyCharNotNL {
		return true
	}
	for _, sub := range re.Sub {
		if anyNotNL(sub) {
			return true
		}
	}
	return false
}

// Read reads a schema in Assay's own form or as a JSON Schema, which says so by its "$schema", or by properties and no form of its own.
func Read(b []byte) (*Schema, error) {
	var head struct {
		Own        *json.RawMessage `json:"schema"`
		Dialect    *json.RawMessage `json:"$schema"`
		Properties *json.RawMessage `json:"properties"`
	}
	if len(b) <= maxDocument && json.Unmarshal(b, &head) == nil && head.Own == nil && (head.Dialect != nil || head.Properties != nil) {
		return FromJSONSchema(b)
	}
	return Parse(b)
}

// FromJSONSchema reads a JSON Schema (2020-12) of a flat object. It keeps the subset that JSONSchema writes, with annotations (title,
// description, default, examples, $comment but that of finite numbers, $id, deprecated, readOnly, writeOnly) ignored, and refuses everything else, naming each
// keyword with its JSON pointer, because a rule that is dropped in silence would let data pass.
func FromJSONSchema(doc []byte) (*Schema, error) {
	n, err := readTree(doc)
	if err != nil {
		return nil, err
	}
	r := &jsonReader{required: map[string]bool{}}
	s := New("")
	s.Columns = []Column{}
	r.object(n, "", func(key string, v *tree, at string) {
		switch key {
		case "$schema":
			if strings.TrimSuffix(v.text, "#") != Dialect {
				r.bad.Add("%s: want %s", at, Dialect)
			}
		case "title":
			s.Name = v.text
		case "type":
			if r.isObject = v.text == "object"; !r.isObject {
				r.bad.Add("%s: want an object", at)
			}
		case "properties":
			r.object(v, at, func(name string, v *tree, at string) { s.Columns = append(s.Columns, r.property(name, v, at)) })
		case "required":
			for i, m := range v.members {
				if m.kind != '"' {
					r.bad.Add("%s/%d: want a string", at, i)
				}
				r.required[m.text] = true
				r.order = append(r.order, m.text)
			}
		case "additionalProperties":
			if v.kind != 't' && v.kind != 'f' {
				r.bad.Add("%s: only true and false can be kept", at)
			}
			s.Closed = v.kind == 'f'
		default:
			r.other(key, at)
		}
	})
	if !r.isObject && n.kind == '{' {
		r.bad.Add("/type: want \"object\", or the schema holds of everything that is no object")
	}
	for _, name := range r.order {
		if s.Column(name) == nil {
			s.Columns = append(s.Columns, Column{Name: name})
		}
	}
	for i := range s.Columns {
		s.Columns[i].Optional = !r.required[s.Columns[i].Name]
	}
	if len(r.bad) > 0 {
		return nil, r.bad.Err(assay.Rejected, "the JSON Schema cannot be kept")
	}
	if bad := s.normalize(); len(bad) > 0 {
		return nil, bad.Err(assay.Invalid, "the JSON Schema")
	}
	return s, nil
}

// jsonReader reads the subset and gathers what is outside it.
type jsonReader struct {
	bad      assay.Problems
	required map[string]bool
	order    []string // of required
	isObject bool
}

func (r *jsonReader) object(n *tree, path string, read func(key string, v *tree, at string)) {
	if n.kind != '{' {
		r.bad.Add("%s: want an object, not %s", pick(path == "", "/", path), n.what())
		return
	}
	seen := map[string]bool{}
	for i, k := range n.names {
		at := path + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(k)
		if seen[k] {
			r.bad.Add("%s: the key repeats", at)
		}
		seen[k] = true
		read(k, n.members[i], at)
	}
}

// other accepts annotations and refuses every other keyword.
func (r *jsonReader) other(key, at string) {
	switch key {
	case "title", "description", "default", "examples", "$comment", "$id", "deprecated", "readOnly", "writeOnly":
	default:
		r.bad.Add("%s: the keyword %s cannot be kept", at, key)
	}
}

// property reads the schema of one field. The keywords are gathered first, because their meaning depends on the type.
func (r *jsonReader) property(name string, n *tree, path string) Column {
	c := Column{Name: name}
	words := map[string]*tree{}
	null := true
	r.object(n, path, func(key string, v *tree, at string) {
		switch key {
		case "type", "format", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength",
			"pattern", "contentEncoding", "not":
			words[key] = v
		case "$comment":
			c.Finite = r.finite(v, at)
		default:
			r.other(key, at)
		}
	})
	if t := words["type"]; t != nil {
		list := []*tree{t}
		if t.kind == '[' {
			list = t.members
		}
		null = false
		for _, m := range list {
			switch m.text {
			case "null":
				null = true
			case "boolean", "integer", "number", "string":
				if c.Type != "" {
					r.bad.Add("%s/type: more than one type cannot be kept", path)
				}
				c.Type = assay.Type(m.text)
			default:
				r.bad.Add("%s/type: the type %q cannot be kept", path, m.text)
			}
		}
		if c.Type == "" && len(r.bad) == 0 {
			r.bad.Add("%s/type: a field that is always null cannot be kept", path)
		}
	}
	if v := words["not"]; v != nil {
		if len(v.names) != 1 || v.names[0] != "type" || v.members[0].text != "null" {
			r.bad.Add("%s/not: cannot be kept, but for null", path)
		}
		null = false
	}
	r.text(&c, words, path)
	null = r.values(&c, words, path, null)
	r.interval(&c, words, path)
	if !null {
		c.NotNull = &NotNull{}
	}
	return c
}

// finite reads the comment that keeps the rule finite; any other comment is none.
func (r *jsonReader) finite(v *tree, at string) *Finite {
	rest, ok := strings.CutPrefix(v.text, finiteComment)
	if !ok || v.kind != '"' {
		return nil
	}
	f := &Finite{}
	if rest == "" {
		return f
	}
	if rest, ok = strings.CutPrefix(rest, " but "); !ok {
		r.bad.Add("%s: want %q, with \" but nan\" and \" but infinity\" after it where they are allowed", at, finiteComment)
		return nil
	}
	f.Allow = strings.Split(rest, " but ")
	return f
}

// text reads what speaks of strings.
func (r *jsonReader) text(c *Column, words map[string]*tree, path string) {
	if v := words["format"]; v != nil {
		switch {
		case v.text == "date" && c.Type == assay.TypeString:
			c.Type = assay.TypeDate
		case v.text == "date-time" && c.Type == assay.TypeString:
			c.Type = assay.TypeTimestamp
		default:
			r.bad.Add("%s/format: the format %q cannot be kept", path, v.text)
		}
	}
	if v := words["pattern"]; v != nil && c.Type == assay.TypeString {
		switch {
		case v.text == timePattern:
			c.Type = assay.TypeTime
		case v.text == base64Pattern && words["contentEncoding"] != nil && words["contentEncoding"].text == "base64":
			c.Type = assay.TypeBinary
		default:
			if why := foreign(v.text); why != "" {
				r.bad.Add("%s/pattern: a pattern with %s cannot be kept", path, why)
			}
			c.Pattern = &Pattern{Regexp: v.text}
		}
	}
	if words["contentEncoding"] != nil && c.Type != assay.TypeBinary {
		r.bad.Add("%s/contentEncoding: cannot be kept", path)
	}
	for _, key := range []string{"minLength", "maxLength", "pattern"} {
		v := words[key]
		if v == nil || c.Type == assay.TypeTime || c.Type == assay.TypeBinary {
			if v != nil && key != "pattern" {
				r.bad.Add("%s/%s: cannot be kept", path, key)
			}
			continue
		}
		if c.Type != assay.TypeString {
			r.bad.Add("%s/%s: cannot be kept without the type string", path, key)
			continue
		}
		if key == "pattern" {
			continue
		}
		k := &reader{}
		n := k.count(v, path+"/"+key)
		r.bad = append(r.bad, k.faults...)
		if c.Length == nil {
			c.Length = &Length{}
		}
		if key == "minLength" {
			c.Length.Min = n
		} else {
			c.Length.Max = n
		}
	}
}

// values reads enum and const, and reports whether null remains possible.
func (r *jsonReader) values(c *Column, words map[string]*tree, path string, null bool) bool {
	list, at := []*tree(nil), path+"/enum"
	switch e, k := words["enum"], words["const"]; {
	case e != nil && k != nil:
		r.bad.Add("%s: enum and const together cannot be kept", path)
		return null
	case e != nil && e.kind != '[':
		r.bad.Add("%s: want an array", at)
		return null
	case e != nil:
		list = e.members
	case k != nil:
		list, at = []*tree{k}, path+"/const"
	default:
		return null
	}
	if c.Type == "" {
		r.bad.Add("%s: cannot be kept without a type", at)
		return null
	}
	hasNull := false
	c.Set = &Set{}
	for i, m := range list {
		v, ok := m.value()
		switch {
		case m.kind == 'n':
			hasNull = true
		case !ok:
			r.bad.Add("%s/%d: want a number, a string, a truth value or null", at, i)
		case v.kind == valueText && c.Type.Numeric():
			r.bad.Add("%s/%d: a string, which the type %s rules out", at, i, c.Type)
		default:
			c.Set.Values = append(c.Set.Values, v)
		}
	}
	return null && hasNull
}

func (r *jsonReader) interval(c *Column, words map[string]*tree, path string) {
	g := &Range{}
	for _, key := range []string{"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"} {
		w := words[key]
		if w == nil {
			continue
		}
		if w.kind != '0' || !c.Type.Numeric() {
			r.bad.Add("%s/%s: want a number, of a field of type integer or number", path, key)
			continue
		}
		v, wrong := Value{valueNumber, w.text}.as(c.Type)
		if wrong != "" {
			r.bad.Add("%s/%s: %s %s", path, key, strconv.Quote(w.text), wrong)
			continue
		}
		side := &g.Min
		if strings.HasSuffix(key, "aximum") {
			side = &g.Max
		}
		if *side != nil {
			r.bad.Add("%s/%s: beside the inclusive limit it cannot be kept", path, key)
		}
		*side = &v
		switch key {
		case "exclusiveMinimum":
			g.ExclusiveMin = true
		case "exclusiveMaximum":
			g.ExclusiveMax = true
		}
	}
	if g.Min != nil || g.Max != nil {
		c.Range = g
	}
}
