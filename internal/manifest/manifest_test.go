package manifest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/assay-ml/assay"
)

// hostile are families of files whose cost grows faster than they do.
var hostile = map[string]func(n int) string{
	"flow":     func(n int) string { return "a: " + strings.Repeat("[", n) + strings.Repeat("]", n) },
	"open":     func(n int) string { return "a: " + strings.Repeat("[", n) },
	"maps":     func(n int) string { return "a: " + strings.Repeat("{a: ", n) + strings.Repeat("}", n) },
	"dashes":   func(n int) string { return "a:\n  " + strings.Repeat("- ", n) + "x" },
	"question": func(n int) string { return strings.Repeat("? ", n) + "a" },
	"keys": func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "k%d: 1\n", i)
		}
		return b.String()
	},
	"nested": func(n int) string {
		var b strings.Builder
		for i := range min(n, 700) {
			b.WriteString(strings.Repeat(" ", i) + "a:\n")
		}
		return b.String()
	},
	"anchors": func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "k%d: &a%d x\n", i, i)
		}
		return b.String()
	},
	"aliases": func(n int) string { return "a: &a x\nb: [" + strings.Repeat("*a, ", n) + "1]" },
	"items":   func(n int) string { return "a: [" + strings.Repeat("1, ", n) + "1]" },
	"tags":    func(n int) string { return "a: " + strings.Repeat("!x ", n) + "1" },
	"percent": func(n int) string { return strings.Repeat("%\n", n) },
}

// TestHostile: each family is refused with a reason, or read, in a time that nobody waits for.
func TestHostile(t *testing.T) {
	for name, make := range hostile {
		for _, n := range []int{100, 1000, 10_000, 60_000} {
			src := make(n)
			began := time.Now()
			var v any
			err := Decode("x.yaml", []byte(src), &v)
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("%s of %d: %v", name, n, took)
			}
			if err != nil && assay.CodeOf(err) != assay.Invalid {
				t.Errorf("%s of %d: code %s", name, n, assay.CodeOf(err))
			}
			if n >= 10_000 && err == nil && name != "items" && name != "small" {
				t.Errorf("%s of %d is read", name, n)
			}
		}
	}
}

// TestBounds: the messages name the bound and the line.
func TestBounds(t *testing.T) {
	for src, want := range map[string]string{
		strings.Repeat("#", MaxBytes+1):                 "x.yaml has 262,145 bytes; the limit is 262,144",
		"a:\n- " + strings.Repeat("[", 50):              "x.yaml: line 2: more than 40 lists and maps within each other",
		hostile["dashes"](50):                           "x.yaml: line 2: more than 40 lists and maps within each other",
		hostile["nested"](50):                           "x.yaml: line 41: more than 40 lists and maps within each other",
		hostile["keys"](MaxKeys + 1):                    "x.yaml: line 2501: more than 2,500 keys in one map",
		hostile["aliases"](60):                          "x.yaml: line 2: more than 50 anchors and aliases",
		hostile["items"](40_000):                        "x.yaml has 80,005 names, values and marks; the limit is 60,000",
		"a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n":      "x.yaml: line 2: an alias within a value that has an anchor of its own; write the value out",
		"a: &a [x]\nb:\n  c: &b\n    d: {e: [1, *a]}\n": "x.yaml: line 4: an alias within a value that has an anchor of its own; write the value out",
	} {
		var v any
		if err := Decode("x.yaml", []byte(src), &v); err == nil || err.Error() != want {
			t.Errorf("%.40q: %v\nwant %s", src, err, want)
		}
	}
	for _, src := range []string{"", "a: 1", "a: &a [x]\nb: [*a, *a]\nc: *a\n", "a: &a {x: 1}\nb:\n  <<: *a\n  y: 2\n", strings.Repeat("- a: 1\n  b: [1, {c: 2}]\n", 500)} {
		var v any
		if err := Decode("x.yaml", []byte(src), &v); err != nil {
			t.Errorf("%.40q: %v", src, err)
		}
	}
}

// FuzzParse: what is within the bounds is decoded into a value that is not much larger than the file, quickly.
func FuzzParse(f *testing.F) {
	for _, make := range hostile {
		f.Add([]byte(make(30)))
	}
	f.Add([]byte("a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n"))
	f.Add([]byte("? [a]\n: b\n--- !!map {x: |\n  y}\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		began := time.Now()
		var v any
		err := Decode("x.yaml", src, &v)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%d bytes took %v", len(src), took)
		}
		if err != nil {
			if assay.CodeOf(err) != assay.Invalid {
				t.Errorf("code %s: %v", assay.CodeOf(err), err)
			}
			return
		}
		if b, err := yaml.Marshal(v); err == nil && len(b) > 1000+200*len(src) {
			t.Errorf("%d bytes became %d", len(src), len(b))
		}
	})
}
