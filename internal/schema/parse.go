package schema

import (
	"math"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
)

// Parse reads a schema document. It is strict: an unknown key is an error that names its path and the nearest known key, and every
// fault is reported, not the first, with its line in a document of several. Errors have code assay.Invalid. The result is in canonical form: values have the form of their
// column's type, sets are sorted and unique, defaults that were spelt out are gone.
func Parse(b []byte) (*Schema, error) {
	n, err := readTree(b)
	if err != nil {
		return nil, err
	}
	r := &reader{}
	s := r.schema(n)
	if len(r.faults) == 0 {
		r.faults = s.normalize()
	}
	r.lines(b)
	if err := r.faults.Err(assay.Invalid, "the schema"); err != nil {
		return nil, err
	}
	return s, nil
}

func (r *reader) schema(n *tree) *Schema {
	s := &Schema{Columns: []Column{}}
	known := []string{"schema", "name", "columns", "closed", "ordered", "rows", "keys", "conditions"}
	ok := r.object(n, "", known, func(key string, v *tree, path string) {
		switch key {
		case "schema":
			s.Version = r.str(v, path)
		case "name":
			s.Name = r.str(v, path)
		case "columns":
			r.array(v, path, func(v *tree, path string) { s.Columns = append(s.Columns, r.column(v, path)) })
		case "closed":
			s.Closed = r.boolean(v, path)
		case "ordered":
			s.Ordered = r.boolean(v, path)
		case "rows":
			s.Rows = &RowCount{}
			r.object(v, path, []string{"min", "max", "severity"}, func(key string, v *tree, path string) {
				switch key {
				case "min":
					s.Rows.Min = r.count(v, path)
				case "max":
					s.Rows.Max = r.count(v, path)
				case "severity":
					s.Rows.Severity = r.severity(v, path)
				}
			})
		case "keys":
			r.array(v, path, func(v *tree, path string) {
				k := Key{}
				r.terms(v, path, &k.Terms, []string{"columns"}, func(_ string, v *tree, path string) {
					r.array(v, path, func(v *tree, path string) { k.Columns = append(k.Columns, r.str(v, path)) })
				})
				s.Keys = append(s.Keys, k)
			})
		case "conditions":
			r.array(v, path, func(v *tree, path string) {
				c := Condition{}
				r.terms(v, path, &c.Terms, []string{"name", "expression"}, func(key string, v *tree, path string) {
					if key == "name" {
						c.Name = r.str(v, path)
					} else {
						c.Expression = r.str(v, path)
					}
				})
				s.Conditions = append(s.Conditions, c)
			})
		}
	})
	if ok && s.Version != Version {
		r.fault("schema", "want %q, the version that this build reads, not %q", Version, s.Version)
	}
	return s
}

func (r *reader) column(n *tree, path string) Column {
	c := Column{}
	known := []string{"name", "type", "optional", "support", "not_null", "finite", "range", "set", "length", "pattern", "unique"}
	r.object(n, path, known, func(key string, v *tree, path string) {
		switch key {
		case "name":
			c.Name = r.str(v, path)
		case "type":
			c.Type = assay.Type(r.str(v, path))
			if _, ok := typeRules()[c.Type]; !ok {
				r.fault(path, "%q is not a type%s", c.Type, did(nearest(string(c.Type), typeNames())))
			}
		case "optional":
			c.Optional = r.boolean(v, path)
		case "support":
			c.Support = *r.count(v, path)
		case "not_null":
			c.NotNull = &NotNull{}
			r.terms(v, path, &c.NotNull.Terms, nil, nil)
		case "finite":
			c.Finite = &Finite{}
			r.terms(v, path, &c.Finite.Terms, []string{"allow"}, func(_ string, v *tree, path string) {
				r.array(v, path, func(v *tree, path string) { c.Finite.Allow = append(c.Finite.Allow, r.str(v, path)) })
			})
		case "range":
			c.Range = r.interval(v, path)
		case "set":
			c.Set = &Set{Values: []Value{}}
			r.terms(v, path, &c.Set.Terms, []string{"values"}, func(_ string, v *tree, path string) {
				r.array(v, path, func(v *tree, path string) { c.Set.Values = append(c.Set.Values, r.limit(v, path)) })
			})
		case "length":
			c.Length = &Length{}
			r.terms(v, path, &c.Length.Terms, []string{"min", "max"}, func(key string, v *tree, path string) {
				if key == "min" {
					c.Length.Min = r.count(v, path)
				} else {
					c.Length.Max = r.count(v, path)
				}
			})
		case "pattern":
			c.Pattern = &Pattern{}
			r.terms(v, path, &c.Pattern.Terms, []string{"regexp"}, func(_ string, v *tree, path string) {
				c.Pattern.Regexp = r.str(v, path)
			})
		case "unique":
			c.Unique = &Unique{}
			r.terms(v, path, &c.Unique.Terms, nil, nil)
		}
	})
	return c
}

func (r *reader) interval(n *tree, path string) *Range {
	g := &Range{}
	r.terms(n, path, &g.Terms, []string{"min", "max", "exclusive_min", "exclusive_max"}, func(key string, v *tree, path string) {
		switch key {
		case "min":
			x := r.limit(v, path)
			g.Min = &x
		case "max":
			x := r.limit(v, path)
			g.Max = &x
		case "exclusive_min":
			g.ExclusiveMin = r.boolean(v, path)
		case "exclusive_max":
			g.ExclusiveMax = r.boolean(v, path)
		}
	})
	return g
}

func (r *reader) limit(n *tree, path string) Value {
	v, ok := n.value()
	if !ok {
		r.fault(path, "want a number, a string or a truth value, not %s", n.what())
	}
	return v
}

// terms reads the keys that every constraint has, and calls read for its own.
func (r *reader) terms(n *tree, path string, t *Terms, own []string, read func(key string, v *tree, path string)) {
	known := append(append([]string{}, own...), "mostly", "severity", "support")
	r.object(n, path, known, func(key string, v *tree, path string) {
		switch key {
		case "mostly":
			f, err := strconv.ParseFloat(v.text, 64)
			if v.kind != '0' || err != nil || !(f > 0 && f <= 1) {
				r.fault(path, "want a fraction above 0 and at most 1")
			}
			t.Mostly = f
		case "severity":
			t.Severity = r.severity(v, path)
		case "support":
			t.Support = *r.count(v, path)
		default:
			read(key, v, path)
		}
	})
}

func (r *reader) severity(n *tree, path string) Severity {
	s := Severity(r.str(n, path))
	if s != Error && s != Warning {
		r.fault(path, "want error or warning, not %q", s)
	}
	return s
}

func did(near string) string { return pick(near == "", "", ", did you mean "+near+"?") }

// typeRules says which rules speak of which type.
func typeRules() map[assay.Type]string {
	return map[assay.Type]string{
		assay.TypeBoolean:   "set",
		assay.TypeInteger:   "range set unique",
		assay.TypeNumber:    "finite range set unique",
		assay.TypeString:    "set length pattern unique",
		assay.TypeDate:      "range set unique",
		assay.TypeTime:      "range set unique",
		assay.TypeTimestamp: "range set unique",
		assay.TypeBinary:    "length unique",
		assay.TypeJSON:      "",
		"":                  "unique",
	}
}

func typeNames() []string {
	var out []string
	for t := range typeRules() {
		if t != "" {
			out = append(out, string(t))
		}
	}
	sort.Strings(out)
	return out
}

// normalize brings s into canonical form and returns what is wrong with it.
func (s *Schema) normalize() assay.Problems {
	r := &reader{}
	names := map[string]bool{}
	for i := range s.Columns {
		c := &s.Columns[i]
		path := "columns[" + strconv.Itoa(i) + "]"
		switch {
		case c.Name == "":
			r.fault(path, "a column needs a name")
		case c.Name == "_row" || c.Name == "_reasons":
			r.fault(path, "the name %s is taken", c.Name)
		case names[c.Name]:
			r.fault(path, "the column %q repeats", c.Name)
		}
		names[c.Name] = true
		r.rules(c, path)
	}
	if s.Rows != nil {
		if s.Rows.Min == nil && s.Rows.Max == nil {
			r.fault("rows", "needs min or max")
		} else if s.Rows.Min != nil && s.Rows.Max != nil && *s.Rows.Min > *s.Rows.Max {
			r.fault("rows", "min is above max")
		}
		s.Rows.Severity = s.Rows.Severity.plain()
	}
	for i := range s.Keys {
		k := &s.Keys[i]
		path := "keys[" + strconv.Itoa(i) + "]"
		k.Terms.normalize()
		if len(k.Columns) == 0 {
			r.fault(path, "needs columns")
		}
		seen := map[string]bool{}
		for _, c := range k.Columns {
			if !names[c] {
				r.fault(path, "there is no column %q%s", c, did(nearest(c, s.names())))
			} else if seen[c] {
				r.fault(path, "the column %q repeats", c)
			}
			seen[c] = true
		}
	}
	called := map[string]bool{}
	for i := range s.Conditions {
		c := &s.Conditions[i]
		path := "conditions[" + strconv.Itoa(i) + "]"
		c.Terms.normalize()
		if c.Name == "" || called[c.Name] {
			r.fault(path, "needs a name of its own")
		}
		called[c.Name] = true
	}
	if len(r.faults) == 0 {
		if _, err := s.compileConditions(); err != nil {
			r.faults.Add("%s", err)
		}
	}
	return r.faults
}

// rules checks the constraints of one column against its type and against each other.
func (r *reader) rules(c *Column, path string) {
	allowed := strings.Fields(typeRules()[c.Type])
	check := func(set bool, rule string, t *Terms) {
		if !set {
			return
		}
		t.normalize()
		if !contains(allowed, rule) {
			r.fault(path+"."+rule, "does not apply to %s", pick(c.Type == "", "a column without a type", "type "+string(c.Type)))
		}
	}
	if c.NotNull != nil {
		c.NotNull.Terms.normalize()
	}
	if c.Finite != nil {
		check(true, "finite", &c.Finite.Terms)
		sort.Strings(c.Finite.Allow)
		for i, a := range c.Finite.Allow {
			if a != "nan" && a != "infinity" || i > 0 && a == c.Finite.Allow[i-1] {
				r.fault(path+".finite.allow", "want nan or infinity, each once, not %q", a)
			}
		}
	}
	if g := c.Range; g != nil {
		check(true, "range", &g.Terms)
		if contains(allowed, "range") {
			r.ordered(g, c.Type, path+".range")
		}
	}
	if g := c.Set; g != nil {
		check(true, "set", &g.Terms)
		if contains(allowed, "set") {
			r.members(g, c.Type, path+".set")
		}
	}
	if g := c.Length; g != nil {
		check(true, "length", &g.Terms)
		if g.Min == nil && g.Max == nil {
			r.fault(path+".length", "needs min or max")
		} else if g.Min != nil && g.Max != nil && *g.Min > *g.Max {
			r.fault(path+".length", "min is above max")
		}
	}
	if g := c.Pattern; g != nil {
		check(true, "pattern", &g.Terms)
		if _, err := compilePattern(g.Regexp); err != nil {
			r.fault(path+".pattern", "%s", err)
		}
	}
	if c.Unique != nil {
		check(true, "unique", &c.Unique.Terms)
	}
}

func (r *reader) ordered(g *Range, t assay.Type, path string) {
	if g.Min == nil && g.Max == nil {
		r.fault(path, "needs min or max")
		return
	}
	if g.ExclusiveMin && g.Min == nil || g.ExclusiveMax && g.Max == nil {
		r.fault(path, "an exclusive limit needs the limit")
	}
	for _, v := range []*Value{g.Min, g.Max} {
		if v == nil {
			continue
		}
		x, wrong := v.as(t)
		if wrong != "" {
			r.fault(path, "%q %s", v.text, wrong)
			return
		}
		*v = x
	}
	if g.Min == nil || g.Max == nil {
		return
	}
	lo, hi := g.Min.cell(t), g.Max.cell(t)
	if d := compare(&lo, &hi); d > 0 || d == 0 && (g.ExclusiveMin || g.ExclusiveMax) {
		r.fault(path, "no value lies between %s and %s", g.Min.text, g.Max.text)
	}
}

func (r *reader) members(g *Set, t assay.Type, path string) {
	if len(g.Values) == 0 {
		r.fault(path, "needs values")
	}
	for i, v := range g.Values {
		x, wrong := v.as(t)
		if wrong != "" {
			r.fault(path, "%q %s", v.text, wrong)
			return
		}
		g.Values[i] = x
	}
	sort.Slice(g.Values, func(i, j int) bool {
		a, b := g.Values[i].cell(t), g.Values[j].cell(t)
		return compare(&a, &b) < 0
	})
	out := g.Values[:0]
	for i, v := range g.Values {
		if i == 0 || v != g.Values[i-1] {
			out = append(out, v)
		}
	}
	g.Values = out
}

func (t *Terms) normalize() {
	if t.Mostly == 1 || math.IsNaN(t.Mostly) {
		t.Mostly = 0
	}
	t.Severity = t.Severity.plain()
}

// plain returns s with the default spelt as "".
func (s Severity) plain() Severity {
	if s == Error {
		return ""
	}
	return s
}

func (s *Schema) names() []string {
	out := make([]string, len(s.Columns))
	for i := range s.Columns {
		out[i] = s.Columns[i].Name
	}
	return out
}

// compilePattern compiles a pattern, and says what to do when it needs a backtracking engine.
func compilePattern(p string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(p)
	if err == nil {
		return re, nil
	}
	for _, look := range []string{"(?=", "(?!", "(?<=", "(?<!"} {
		if strings.Contains(p, look) {
			return nil, assay.Errorf(assay.Invalid, "the pattern %s has a lookaround (%s), which RE2 does not have; say it as two rules or as a condition", p, look)
		}
	}
	if regexp.MustCompile(`\\[1-9]`).MatchString(p) {
		return nil, assay.Errorf(assay.Invalid, "the pattern %s has a backreference, which RE2 does not have", p)
	}
	return nil, assay.Errorf(assay.Invalid, "the pattern %s is not a regular expression of RE2: %w", p, err)
}
