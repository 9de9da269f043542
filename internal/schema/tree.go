package schema

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
)

// maxDocument bounds the size of a schema document, maxDepth its nesting.
const (
	maxDocument = 16 << 20
	maxDepth    = 64
)

// A tree is a JSON value that keeps what encoding/json loses: the order of keys, keys that repeat, and the digits of numbers.
type tree struct {
	kind    byte // { [ " 0 t f n, as the value begins
	at      int  // the byte at which it begins
	text    string
	names   []string
	members []*tree // of an object beside names, or of an array
}

// readTree reads a whole JSON text.
func readTree(b []byte) (*tree, error) {
	if len(b) > maxDocument {
		return nil, assay.Errorf(assay.Invalid, "the document has %d bytes, more than the %d that are allowed", len(b), maxDocument)
	}
	t := &tokenizer{b: b}
	n := t.tree(maxDepth)
	if n != nil && t.space() != 0 || n != nil && t.i < len(t.b) {
		t.fail("more after the end of the value")
	}
	if t.fault != "" {
		return nil, assay.Errorf(assay.Invalid, "not JSON: %s on line %d", t.fault, lineAt(b, t.i))
	}
	return n, nil
}

// lineAt is the line, from 1, of a byte of a text.
func lineAt(b []byte, i int) int { return 1 + bytes.Count(b[:min(i, len(b))], []byte("\n")) }

func (t *tokenizer) tree(depth int) *tree {
	c := t.space()
	at := t.i
	n := t.node(c, depth)
	if n != nil {
		n.at = at
	}
	return n
}

func (t *tokenizer) node(c byte, depth int) *tree {
	switch c {
	case '{', '[':
		if depth == 0 {
			t.fail("nested too deep")
			return nil
		}
		n, closing := &tree{kind: c}, c+2
		t.i++
		if t.space() == closing {
			t.i++
			return n
		}
		for {
			if c == '{' {
				if t.space() != '"' {
					t.fail("no key")
					return nil
				}
				k, ok := t.str()
				if !ok || !t.expect(':', "no colon after a key") {
					return nil
				}
				n.names = append(n.names, string(k))
			}
			m := t.tree(depth - 1)
			if m == nil {
				return nil
			}
			n.members = append(n.members, m)
			switch t.space() {
			case ',':
				t.i++
			case closing:
				t.i++
				return n
			default:
				t.fail("neither a comma nor an end")
				return nil
			}
		}
	case '"':
		s, ok := t.str()
		if !ok {
			return nil
		}
		return &tree{kind: '"', text: string(s)}
	case 't', 'f', 'n':
		for _, w := range []string{"true", "false", "null"} {
			if w[0] == c {
				if !t.word(w) {
					return nil
				}
				return &tree{kind: c, text: w}
			}
		}
	}
	s, _, ok := t.num()
	if !ok {
		return nil
	}
	return &tree{kind: '0', text: string(s)}
}

// what names the kind of the value for people.
func (n *tree) what() string {
	switch n.kind {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case 'n':
		return "null"
	}
	return "a truth value"
}

// value turns a scalar into a Value.
func (n *tree) value() (Value, bool) {
	switch n.kind {
	case '"':
		return Text(n.text), true
	case '0':
		return Value{valueNumber, n.text}, true
	case 't', 'f':
		return Bool(n.kind == 't'), true
	}
	return Value{}, false
}

// A reader walks trees and gathers everything that is wrong with them.
type reader struct {
	faults assay.Problems
	at     map[string]int // the byte at which the value at a path begins
}

// place notes where a value begins.
func (r *reader) place(path string, n *tree) {
	if r.at == nil {
		r.at = map[string]int{}
	}
	r.at[path] = n.at
}

// lines puts before each fault, which begins with its path, the line of the value there; in a document of one line that says nothing.
func (r *reader) lines(doc []byte) {
	if lineAt(bytes.TrimSpace(doc), len(doc)) == 1 {
		return
	}
	for i, f := range r.faults {
		for path, _, found := strings.Cut(f, ": "); found && path != ""; path = path[:max(0, strings.LastIndexAny(path, ".["))] {
			if at, ok := r.at[path]; ok {
				r.faults[i] = fmt.Sprintf("line %d: %s", lineAt(doc, at), f)
				break
			}
		}
	}
}

func (r *reader) fault(path, format string, args ...any) {
	r.faults.Add("%s: %s", pick(path == "", "the document", path), fmt.Sprintf(format, args...))
}

// object calls read for every key of n, and names unknown keys with the nearest known one.
func (r *reader) object(n *tree, path string, known []string, read func(key string, v *tree, path string)) bool {
	if n.kind != '{' {
		r.fault(path, "want an object, not %s", n.what())
		return false
	}
	seen := map[string]bool{}
	for i, k := range n.names {
		at := strings.TrimPrefix(path+"."+k, ".")
		r.place(at, n.members[i])
		switch {
		case seen[k]:
			r.fault(at, "the key repeats")
		case !contains(known, k):
			near := nearest(k, known)
			r.fault(at, "unknown key%s", pick(near == "", "", ", did you mean "+near+"?"))
		default:
			read(k, n.members[i], at)
		}
		seen[k] = true
	}
	return true
}

// array calls read for every member of n.
func (r *reader) array(n *tree, path string, read func(v *tree, path string)) {
	if n.kind != '[' {
		r.fault(path, "want an array, not %s", n.what())
		return
	}
	for i, m := range n.members {
		r.place(path+"["+strconv.Itoa(i)+"]", m)
		read(m, path+"["+strconv.Itoa(i)+"]")
	}
}

func (r *reader) str(n *tree, path string) string {
	if n.kind != '"' {
		r.fault(path, "want a string, not %s", n.what())
	}
	return n.text
}

func (r *reader) boolean(n *tree, path string) bool {
	if n.kind != 't' && n.kind != 'f' {
		r.fault(path, "want true or false, not %s", n.what())
	}
	return n.kind == 't'
}

// count reads an integer that is not negative.
func (r *reader) count(n *tree, path string) *int64 {
	d, ok := decimal([]byte(n.text))
	v, err := strconv.ParseInt(string(d), 10, 64)
	if n.kind != '0' || !ok || err != nil || v < 0 || v > maxSafe {
		r.fault(path, "want an integer from 0 to 2^53")
		v = 0
	}
	return &v
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// nearest returns the known name that s begins or that differs least from it, or "" when none is near.
func nearest(s string, known []string) string {
	best, at := "", len(s)/2+2
	for _, k := range known {
		if len(s) > 1 && strings.HasPrefix(k, s) {
			return k
		}
		if d := distance(strings.ToLower(s), strings.ToLower(k), at); d < at {
			best, at = k, d
		}
	}
	return best
}

// distance is the edit distance (Levenshtein) between a and b; it may stop at limit.
func distance(a, b string, limit int) int {
	if d := len(a) - len(b); d >= limit || -d >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
