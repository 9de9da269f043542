package assaytest

import (
	"strings"
	"testing"

	"github.com/assay-ml/assay"
)

// forged is what would be read as a line of Assay's own, if a text could begin one.
const forged = "● pass: forged"

// HostileTexts are texts of people, by what each would do where it is shown as it is: names, tags, reasons, values and columns are never more trusted than these.
func HostileTexts() map[string]string {
	return map[string]string{
		"escape":    "red\x1b[31m\x1b]0;title\x07\u009b2J",
		"control":   "a\x00b\x08c\x7fd\u0085e",
		"direction": "a\u202eb\u2066c\u200fd",
		"hidden":    "a\u200bb\ufeffc\u00add\U000e0041e",
		"lines":     "a\r\n" + forged + "\n\t" + forged + "\u2028" + forged + "\n" + forged,
		"markup":    `"><img src=x onerror=alert(1)></style><script>alert(2)</script>`,
		"long":      strings.Repeat("long ", 20_000),
		"unicode":   "Ünï\u200dcode 👩\u200d🔬 نص",
	}
}

// Harmless fails the test if what a surface shows of a hostile text would do what it is for.
func Harmless(t testing.TB, surface, shown string) {
	t.Helper()
	if safe := assay.ShownText(shown); safe != strings.ReplaceAll(shown, "\r\n", "\n") {
		i := 0
		for i < min(len(safe), len(shown)) && safe[i] == shown[i] {
			i++
		}
		t.Errorf("%s: a character that commands or hides is shown: %q", surface, shown[max(0, i-20):min(len(shown), i+20)])
	}
	for line := range strings.Lines(shown) {
		if strings.HasPrefix(strings.TrimLeft(line, " \t"), forged) {
			t.Errorf("%s: a text can begin a line of its own", surface)
		}
		if len(line) > 70_000 && !strings.Contains(line, "<") {
			t.Errorf("%s: a line of %d bytes", surface, len(line))
		}
	}
}

// HarmlessPage is Harmless for HTML, in which the ends of lines mean nothing.
func HarmlessPage(t testing.TB, surface, shown string) {
	t.Helper()
	Harmless(t, surface, strings.ReplaceAll(shown, "\n", " "))
	for _, bad := range []string{"<img src=x", "<script", `="></style>`} {
		if strings.Contains(shown, bad) {
			t.Errorf("%s: a text becomes markup: %s", surface, bad)
		}
	}
	if n := strings.Count(shown, "</style>"); n != 1 {
		t.Errorf("%s: %d style sheets end", surface, n)
	}
}
