package cli

import (
	"encoding/csv"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-ml/assay/internal/collect"
	"github.com/assay-ml/assay/internal/oip"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/web"
)

// TestPages opens every page of a server on a project with traffic, windows that moved and an alert that fires: each answers its question, leads to pages that
// are there, holds no script and asks for nothing else. With ASSAY_PAGES the pages are kept in that folder, to be looked at.
func TestPages(t *testing.T) {
	t.Parallel()
	p, ops := heldProject(t, twoAlerts)
	logDays(t, p.dir, "2025123112", map[string]string{"2025-12-28": "", "2025-12-29": "south", "2025-12-30": "south", "2025-12-31": "", "2026-01-01": "north"})
	ops.status = http.StatusBadRequest // nobody is told
	p.run(3, "monitor", "run")
	p.run(0, "card")
	p.run(0, "serve", "check") // after which the card is stale
	p.run(3, "done")
	s := p.session()
	defer s.Close()
	server := serve.New(serve.Options{Clock: s.Now, Nonce: "n"})
	v, err := s.version(t.Context(), "people:1")
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.boundVersion(t.Context(), server, v)
	if err != nil {
		t.Fatal(err)
	}
	server.Set("people", b, b)
	server.SetReady(true)
	h := httptest.NewServer(s.handler(server, &oip.Inference{Server: server, Version: Version}, nil, nil, &collect.Events{Recorder: &collect.Recorder{Server: server, Edge: "cloudevents"}, Clock: s.Now}))
	defer h.Close()
	for range 3 {
		if err := invoke(h.URL); err != nil {
			t.Fatal(err)
		}
	}
	get := func(path string) (int, string, http.Header) {
		t.Helper()
		r, err := http.Get(h.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(b), r.Header
	}
	want := map[string][]string{
		"/":                  {"What needs me?", "alert drift-", "monitor people:1", "Models", "messages to ops", "reached nobody; the last one: it answered 400", "gate of people:1 for production", "card of people:1", "stale: it does not know serving"},
		"/models":            {"1 registered; 1 answer here.", `href="/models/people"`},
		"/models/people":     {"None is in production.", "what would stop the next one?", "What would stop version 1", "fail", "monitor", "register", `href="/evidence/`},
		"/traffic":           {"Requests: 3, of which 0 were not answered", "people:1", "live"},
		"/monitors":          {"In the newest window of 1 of 1 watched versions.", "5 of the last 5", "region"},
		"/monitors/people/1": {"5 of 5 windows moved", "2026-01-01"},
		"/alerts":            {"Incidents: ", " resolved.", "messages waiting"},
	}
	seen, queue, files := map[string]bool{}, []string{"/"}, map[string]int{}
	for len(queue) > 0 {
		path := queue[0]
		if queue = queue[1:]; seen[path] {
			continue
		}
		seen[path] = true
		status, body, header := get(path)
		if status != http.StatusOK {
			t.Errorf("%s: status %d", path, status)
			continue
		}
		if strings.HasSuffix(path, ".csv") {
			rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
			if err != nil || len(rows) < 1 || rows[0][0] != "window" || !strings.HasPrefix(header.Get("Content-Type"), "text/csv") || header.Get("Content-Disposition") != "attachment" {
				t.Errorf("%s: %v, %v, %.200s", path, err, header, body)
			}
			files[path] = len(rows)
			continue
		}
		for _, x := range want[path] {
			if !strings.Contains(body, x) {
				t.Errorf("%s does not say %q", path, x)
			}
		}
		delete(want, path)
		for _, bad := range []string{"<script", "<link", "url(", "http://", "https://", "NaN", "%!", "ZgotmplZ", p.dir, ops.URL} {
			if strings.Contains(body, bad) && !strings.Contains(body, "http://127.0.0.1:8400/invocations") {
				t.Errorf("%s holds %q", path, bad)
			}
		}
		if len(body) > web.MaxReportBytes || strings.Count(body, "<h1") != 1 || strings.Count(body, "<main") != 1 || strings.Count(body, `aria-current="page"`) != 1 {
			t.Errorf("%s: %d bytes", path, len(body))
		}
		if !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: headers %v", path, header)
		}
		for _, part := range strings.Split(body, `href="/`)[1:] {
			to, _, _ := strings.Cut(part, `"`)
			queue = append(queue, "/"+to)
		}
		if dir := os.Getenv("ASSAY_PAGES"); dir != "" {
			name := strings.ReplaceAll(strings.Trim(path, "/"), "/", "-")
			if err := os.WriteFile(filepath.Join(dir, "page-"+name+".html"), []byte(body), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if files["/monitors/people/1/windows.csv"] != 6 || files["/monitors/people/1/signals.csv"] < 30 || len(files) != len(web.MonitorTables()) {
		t.Errorf("tables as CSV, with so many lines: %v", files)
	}
	if len(want) > 0 {
		t.Errorf("pages that no link leads to: %v", want)
	}
	if len(seen) < 9 { // two incidents at least have pages of their own
		t.Errorf("%d pages", len(seen))
	}
	for from, to := range map[string]string{"/models/": "/models", "/models/people/": "/models/people", "/monitors/people/1/": "/monitors/people/1"} {
		r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+from, nil)
		w := httptest.NewRecorder()
		if h.Config.Handler.ServeHTTP(w, r); w.Code != http.StatusMovedPermanently || w.Header().Get("Location") != to {
			t.Errorf("%s: %d, to %q", from, w.Code, w.Header().Get("Location"))
		}
	}
	for path, status := range map[string]int{"/evidence/ffffffff": 404, "/evidence/x": 400, "/models/nothing": 404, "/monitors/people/7": 404, "/monitors/people/x": 400, "/monitors/people/1/none.csv": 404, "/monitors/people/1/windows": 404, "/alerts/none": 404, "/elsewhere": 404} {
		if got, body, _ := get(path); got != status || path != "/elsewhere" && !strings.Contains(body, "This page cannot be shown") {
			t.Errorf("%s: status %d, want %d", path, got, status)
		}
	}
}
