package cli

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/assay-ml/assay/internal/assaytest"
)

// A transcript is one block of a page that starts with "$ assay", "$ curl" or "$ export": command lines and what they print. A block that is marked with a
// language and the name of a file is that file, or is added to it where the name begins with ">>".
type transcript struct {
	line  int // of the page, 1-based, where the block's text begins
	lines []string
	file  string
}

// transcripts are the console blocks and the files of a Markdown page.
func transcripts(page string) []transcript {
	var out []transcript
	var block []string
	inside, start, file := false, 0, ""
	for i, l := range strings.Split(page, "\n") {
		switch {
		case !inside && strings.HasPrefix(l, "```"):
			inside, start, block, file = true, i+2, nil, ""
			if info := strings.Fields(strings.TrimLeft(l, "`")); len(info) == 2 {
				file = info[1]
			}
		case inside && strings.HasPrefix(l, "```"):
			inside = false
			if len(block) > 0 && (file != "" || strings.HasPrefix(block[0], "$ assay") || strings.HasPrefix(block[0], "$ curl") || strings.HasPrefix(block[0], "$ export")) {
				out = append(out, transcript{start, block, file})
			}
		case inside:
			block = append(block, l)
		}
	}
	return out
}

// TestDocs runs the console blocks of README.md and docs/*.md, page by page, in a folder that holds the files of internal/cli/testdata/docs.
// Lines that begin with "$ assay" are run in order; what follows is what they print on standard output and standard error, in which a line
// "…" stands for any number of lines, and "…" in a line for any text. "$ echo $?" shows the exit status; a command without one must exit 0.
// "$ export NAME=VALUE" sets the environment, in which an address is that of a receiver that accepts everything. "$ assay serve … &" starts a server, which "$ curl …" then asks until the page ends. With -update the page is
// written anew.
func TestDocs(t *testing.T) {
	root := assaytest.Root()
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	var ran atomic.Int64
	t.Cleanup(func() {
		if ran.Load() == 0 {
			t.Error("no page has a console block")
		}
	})
	for _, path := range append(pages, filepath.Join(root, "README.md")) {
		if name := filepath.Base(path); !assaytest.Full() && name != "README.md" && name != "tutorial.md" {
			continue // the inner loop goes the two ways that a newcomer goes
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		blocks := transcripts(string(text))
		if len(blocks) == 0 {
			continue
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, name := range []string{"docs", "people"} {
				if err := copyFolder(filepath.Join("testdata", name), dir); err != nil {
					t.Fatal(err)
				}
			}
			if filepath.Base(path) == "tutorial.md" { // it makes its own
				if err := os.Remove(filepath.Join(dir, ProjectFile)); err != nil {
					t.Fatal(err)
				}
			}
			m := &stageManager{clock: assaytest.Clock()}
			var server *docServer
			defer func() {
				if m.receiver != nil {
					m.receiver.Close()
				}
				if server != nil {
					server.close()
				}
			}()
			var page strings.Builder
			last := 0
			all := strings.Split(string(text), "\n")
			for _, b := range blocks {
				if name, more := strings.CutPrefix(b.file, ">>"); more {
					had, err := os.ReadFile(filepath.Join(dir, name))
					if err != nil {
						t.Fatal(err)
					}
					b.file, b.lines = name, append(strings.Split(strings.TrimRight(string(had), "\n"), "\n"), b.lines...)
				}
				if b.file != "" {
					if err := os.WriteFile(filepath.Join(dir, b.file), []byte(strings.Join(b.lines, "\n")+"\n"), 0o644); err != nil {
						t.Fatal(err)
					}
					continue
				}
				got, err := runTranscript(m, dir, b.lines, &server)
				if err != nil {
					t.Fatalf("line %d: %v", b.line, err)
				}
				ran.Add(1)
				for _, l := range all[last : b.line-1] {
					fmt.Fprintln(&page, l)
				}
				for _, l := range got {
					fmt.Fprintln(&page, l)
				}
				last = b.line - 1 + len(b.lines)
				if !updating() {
					if i := differs(b.lines, got); i >= 0 {
						t.Errorf("line %d: the page and Assay differ (make docs writes the page anew)\npage: %s\ngot:  %s", b.line+i, lineAt(b.lines, i), lineAt(got, i))
					}
				}
			}
			if updating() {
				page.WriteString(strings.Join(all[last:], "\n"))
				if err := os.WriteFile(path, []byte(page.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// export sets the environment of the commands that follow. A page names the address of a receiver that there is not: one that accepts everything stands in for it.
func (m *stageManager) export(args []string) {
	if m.env == nil {
		m.env = map[string]string{}
	}
	for _, a := range args {
		name, value, _ := strings.Cut(a, "=")
		if strings.HasPrefix(value, "https://") {
			if m.receiver == nil {
				m.receiver = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
			}
			value = m.receiver.URL
		}
		m.env[name] = value
	}
}

func lineAt(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(end)"
}

func differs(a, b []string) int {
	for i := range max(len(a), len(b)) {
		if lineAt(a, i) != lineAt(b, i) {
			return i
		}
	}
	return -1
}

// runTranscript runs the commands of a block and returns the block with what they really print; where the block leaves lines out with
// "…", the result leaves out the same ones when it can be matched, so that an unchanged page comes back unchanged.
func runTranscript(m *stageManager, dir string, lines []string, server **docServer) ([]string, error) {
	var out []string
	for i := 0; i < len(lines); {
		cmd, ok := strings.CutPrefix(lines[i], "$ ")
		if !ok {
			return nil, fmt.Errorf("%q is no command", lines[i])
		}
		out = append(out, lines[i])
		for strings.HasSuffix(cmd, "\\") && i+1 < len(lines) {
			i++
			out = append(out, lines[i])
			cmd = strings.TrimSuffix(cmd, "\\") + strings.TrimSpace(lines[i])
		}
		i++
		var shown []string
		for i < len(lines) && !strings.HasPrefix(lines[i], "$ ") {
			shown = append(shown, lines[i])
			i++
		}
		want := 0
		if i+1 < len(lines) && lines[i] == "$ echo $?" {
			if _, err := fmt.Sscan(lines[i+1], &want); err != nil {
				return nil, fmt.Errorf("%q is no exit status", lines[i+1])
			}
		}
		if cmd == "echo $?" {
			out = append(out, shown...)
			continue
		}
		args, err := words(cmd)
		if err != nil {
			return nil, err
		}
		var stdout, stderr string
		exit := 0
		switch {
		case args[0] == "export":
			m.export(args[1:])
		case args[0] == "curl" && *server != nil:
			stdout, err = (*server).curl(args[1:])
		case args[0] == "assay" && args[len(args)-1] == "&":
			*server, stderr, err = startServer(m, dir, args[1:len(args)-1])
		case args[0] == "assay":
			stdout, stderr, exit = command(m, dir, args[1:]...)
		default:
			err = fmt.Errorf("%s: only assay can be run, and curl against its server", cmd)
		}
		if err != nil {
			return nil, err
		}
		if exit != want {
			return nil, fmt.Errorf("%s: exit status %d, want %d\n%s", cmd, exit, want, stdout+stderr)
		}
		got := strings.Split(strings.TrimRight(stdout+stderr, "\n"), "\n")
		if stdout+stderr == "" {
			got = nil
		}
		for j, l := range got {
			got[j] = strings.TrimRight(l, " ")
		}
		blank := 0
		for len(shown) > 0 && shown[len(shown)-1] == "" {
			shown = shown[:len(shown)-1]
			blank++
		}
		if matchesShown(shown, got) {
			got = shown
		} else if updating() {
			got = elided(shown, got)
		}
		out = append(out, got...)
		for range blank {
			out = append(out, "")
		}
	}
	return out, nil
}

// matchesShown reports whether got is what is shown, in which "…" alone on a line stands for any lines.
func matchesShown(shown, got []string) bool {
	if len(shown) == 0 {
		return len(got) == 0
	}
	if strings.TrimSpace(shown[0]) == "…" {
		for i := range len(got) + 1 {
			if matchesShown(shown[1:], got[i:]) {
				return true
			}
		}
		return false
	}
	return len(got) > 0 && matchesLine(shown[0], got[0]) && matchesShown(shown[1:], got[1:])
}

// matchesLine reports whether got is the shown line, in which "…" stands for any text.
func matchesLine(shown, got string) bool {
	parts := strings.Split(shown, "…")
	if len(parts) == 1 {
		return shown == got
	}
	rest, ok := strings.CutPrefix(got, parts[0])
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(rest, p)
		if i < 0 {
			return false
		}
		rest = rest[i+len(p):]
	}
	return ok && strings.HasSuffix(rest, parts[len(parts)-1])
}

// elided leaves out of got what lies between as many lines as shown has before its first "…" and after its last.
func elided(shown, got []string) []string {
	first, last := -1, -1
	for i, l := range shown {
		if strings.TrimSpace(l) == "…" {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if tail := len(shown) - 1 - last; first >= 0 && first+tail < len(got) {
		return append(append(append([]string{}, got[:first]...), "…"), got[len(got)-tail:]...)
	}
	return got
}

// words splits a command line at spaces outside quotes.
func words(line string) ([]string, error) {
	var out []string
	var cur strings.Builder
	var quote rune
	open := false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			cur.WriteRune(r)
		case r == '\'' || r == '"':
			quote, open = r, true
		case r == ' ':
			if open || cur.Len() > 0 {
				out = append(out, cur.String())
			}
			cur.Reset()
			open = false
		default:
			cur.WriteRune(r)
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("%s: a quote is not closed", line)
	}
	if open || cur.Len() > 0 {
		out = append(out, cur.String())
	}
	return out, nil
}
