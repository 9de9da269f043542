package assay_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
)

func TestShownLine(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "a\nb\tc\r\nd": "a b c d", "\x1b[31mred": "·[31mred", "a\u202eb": "a·b", "a\u200bb": "a·b", "\xff\xfex": "\ufffdx", "👩\u200d🔬 نص": "👩\u200d🔬 نص",
		"½ µ ö": "½ µ ö", "a\u00adb\U000e0041": "a·b·", "0123456789": "0123456789", "0123456789a": "012345678…", strings.Repeat("ö", 11): strings.Repeat("ö", 9) + "…",
	} {
		if got := assay.ShownLine(in, 10); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := assay.ShownText("a\r\nb\n\tc\x1b"); got != "a\nb\n\tc·" {
		t.Errorf("%q", got)
	}
}

// TestShownProperties: what is shown is valid, stays as it is when it is shown again, and is as long as it may be; a document of JSON says the same.
func TestShownProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "text")
		n := rapid.IntRange(1, 40).Draw(t, "n")
		line, text := assay.ShownLine(s, n), assay.ShownText(s)
		if !utf8.ValidString(line) || utf8.RuneCountInString(line) > n || strings.ContainsAny(line, "\n\t\r\x1b") || assay.ShownLine(line, n) != line {
			t.Fatalf("line %q", line)
		}
		if !utf8.ValidString(text) || assay.ShownText(text) != text {
			t.Fatalf("text %q", text)
		}
		doc, err := json.Marshal(map[string]string{"a": s})
		if err != nil {
			t.Fatal(err)
		}
		var was, is map[string]string
		shown := assay.ShownJSON(string(doc))
		if json.Unmarshal(doc, &was) != nil || json.Unmarshal([]byte(shown), &is) != nil || was["a"] != is["a"] || assay.ShownText(shown) != shown {
			t.Fatalf("JSON %s became %s", doc, shown)
		}
	})
}
