package assay

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// hiddenMark stands for a character that is not shown.
const hiddenMark = '·'

// shownRune is the one rule of what people's texts may do where they are shown: a character that cannot be seen and that commands a terminal, turns the direction
// of what follows or hides something is shown as a dot. The two joiners of Unicode stay, for scripts and pictures are written with them.
func shownRune(r rune) rune {
	switch {
	case r < ' ', r >= 0x7f && r < 0xa0, r == '\u2028', r == '\u2029':
		return hiddenMark
	case r < 0xad, r == '\u200c', r == '\u200d', unicode.Is(unicode.Prepended_Concatenation_Mark, r):
		return r
	case unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r), r == '\u3164' || r == '\u115f' || r == '\u1160':
		return hiddenMark
	}
	return r
}

// ShownText makes text of any lines fit to be shown to people, on a terminal, on a page or in a message: valid UTF-8, and a dot for every character that would command
// the place where it is shown, such as escape sequences, turns of direction and marks that cannot be seen. Ends of lines and tabs stay. A text without such characters
// comes back as it is.
func ShownText(s string) string { return shown(s, true) }

// ShownLine is ShownText in one line of at most n characters, at least one: blanks for ends of lines and tabs, so that no text can look like a line of its own, and
// "…" for what is cut off.
func ShownLine(s string, n int) string {
	if len(s) > utf8.UTFMax*(n+1) { // the rest is cut off in any case
		s = s[:utf8.UTFMax*(n+1)]
	}
	s = shown(s, false)
	if len(s) <= n || utf8.RuneCountInString(s) <= n {
		return s
	}
	i := 0
	for at := range s {
		if i++; i == n {
			return s[:at] + "…"
		}
	}
	return s
}

// ShownJSON writes the same JSON document with the characters that ShownText would not show as escapes, so that it can be shown and still holds them.
func ShownJSON(doc string) string {
	if plain(doc) || !strings.ContainsFunc(doc, hidden) {
		return doc
	}
	var b strings.Builder
	for _, r := range doc {
		switch {
		case !hidden(r):
			b.WriteRune(r)
		case r > 0xffff:
			hi, lo := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// hidden reports whether a character of a text is not shown; those below the blank, which JSON has outside its texts too, are not meant.
func hidden(r rune) bool { return r >= ' ' && shownRune(r) != r }

func shown(s string, lines bool) string {
	if plain(s) {
		return s
	}
	s = strings.ReplaceAll(s, "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case (r == '\n' || r == '\t') && lines:
			return r
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		}
		return shownRune(r)
	}, strings.ToValidUTF8(s, "\ufffd"))
}

// plain reports whether a text is of one line of visible ASCII, as nearly all are.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
