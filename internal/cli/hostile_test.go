package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/serve"
)

// TestHostileTexts: what people call and write does nothing on a terminal and on the pages of a server: tags, descriptions, names and reasons of those who answer
// alerts, names of columns and of data sets, and arguments that an error repeats.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	p, _ := heldProject(t, twoAlerts)
	logDays(t, p.dir, "2025123112", map[string]string{"2025-12-28": "", "2025-12-29": "south", "2025-12-30": "south"})
	p.run(3, "monitor", "run")
	s := p.session()
	defer s.Close()
	vs, err := s.watchedVersions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key := vs[0].cases[0].Incident.Key
	pages := &pages{s: s, server: serve.New(serve.Options{Clock: s.Now, Nonce: "n"})}
	mux := http.NewServeMux()
	pages.routes(mux)
	for name, text := range assaytest.HostileTexts() {
		tag := text[:min(len(text), 200)]
		if err := s.st.SetTags(t.Context(), "people", 1, map[string]string{tag: tag}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p.run(0, "alert", "mute", key, "--for", "1h", "--by", text, "--reason", "because "+text)
		for _, args := range [][]string{
			{"alert", "show", key},
			{"alert", "show", key, "--json"},
			{"alert", "list", "--all"},
			{"model", "list"},
			{"model", "history"},
			{"model", "history", "--json"},
			{"alert", "show", text},
			{"model", "history", tag},
			{"evidence", "show", text},
			{"evidence", "list", "--kind", text},
			{"log", "query", "SELECT '" + tag + "' AS \"" + strings.ReplaceAll(tag, `"`, `""`) + "x\""},
			{"monitor", "report", text},
			{"serve", "check", text},
			{text},
			{"monitor", text},
			{"alert", "list", "--" + tag},
			{"labels", "add", text},
			{"log", "ingest", "--model", "people:1", "--format", text, "x.csv"},
		} {
			var out, errs bytes.Buffer
			Main(t.Context(), args, p.world(&out, &errs))
			if said := out.String(); args[len(args)-1] != "--json" {
				assaytest.Harmless(t, name+" at assay "+strings.Join(args[:min(2, len(args)-1)], " "), said)
			} else if assay.ShownText(said) != said || !json.Valid(out.Bytes()) { // which is data: it holds all of it, as escapes
				t.Errorf("%s: assay %s", name, strings.Join(args[:2], " "))
			}
			assaytest.Harmless(t, name+" in the errors of assay "+strings.Join(args[:min(2, len(args)-1)], " "), errs.String())
		}
		var b bytes.Buffer
		a := &app{World: World{Stdout: &b, Stderr: &b}}
		if err := a.print("x/1", nil, func(w io.Writer) {
			printValidation(w, assay.Validation{Verdict: assay.Fail, Violations: []assay.Violation{{Column: text, Rule: "set", Detail: text, Count: 1}}})
			printSnapshot(w, assay.Record{}, assay.Snapshot{Name: text}, assay.Datasheet{Complete: true})
		}); err != nil {
			t.Fatal(err)
		}
		a.say("note: %s", one(text))
		assaytest.Harmless(t, name+" in what is printed", b.String())
		for _, path := range []string{"/", "/alerts", "/alerts/" + key, "/models", "/models/people", "/monitors"} {
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil))
			if w.Code != http.StatusOK {
				t.Fatalf("%s: %s: status %d", name, path, w.Code)
			}
			assaytest.HarmlessPage(t, name+" on "+path, w.Body.String())
		}
	}
}
