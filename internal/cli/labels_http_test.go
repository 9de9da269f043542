//go:build unix

package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/assay-ml/assay/internal/monitor"
)

// TestLabelsOverHTTP sends labels to a server, kills it while they come, and finds every label that was acknowledged; what is no label is refused
// and nothing of it is taken.
func TestLabelsOverHTTP(t *testing.T) {
	t.Parallel()
	m, dir := registered(t)
	if _, errs, exit := command(m, dir, "serve", "check", "people:1"); exit != 0 {
		t.Fatal(errs)
	}
	c, url := serving(t, dir, "--model", "people:1")
	// Two predictions by the key of their rows, one without.
	keyed := strings.Replace(person, `{"age"`, `{"id": "p1", "age"`, 1)
	for _, body := range []string{keyed, strings.Replace(keyed, "p1", "q1", 1), person} {
		r, err := http.Post(url+"/invocations", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if r.Body.Close(); r.StatusCode != http.StatusOK {
			t.Fatal(r.Status)
		}
	}
	post := func(path, kind, body string) (int, string) {
		r, err := http.Post(url+path, kind, strings.NewReader(body))
		if err != nil {
			return 0, err.Error()
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return 0, err.Error()
		}
		return r.StatusCode, string(b)
	}
	for _, x := range []struct {
		path, kind, body string
		status           int
		says             string
	}{
		{"/labels", "application/json", `{"labels":[{"key":"p1","label":"yes"},{"key":"p2","label":"no","came":"2999-01-01T00:00:00Z"}]}`, 200, `"accepted":2,"ahead":1,"unknown":0`},
		{"/labels", "application/json", `{"labels":[{"key":"p2","label":"no"},{"key":"p6","label":"maybe"},{"key":"p7","label":7}]}`, 200, `"accepted":3,"ahead":0,"unknown":2`},
		{"/models/people/labels", "application/json", `{"labels":[{"key":"p3","label":"yes"}]}`, 200, `"model":"people"`},
		{"/models/nobody/labels", "application/json", `{"labels":[{"key":"p3","label":"yes"}]}`, 404, "no model of that name"},
		{"/labels", "text/csv", "key,label\np4,yes\n", 415, "application/json"},
		{"/labels", "application/json", `{"labels":[{"key":"p4","label":"yes"},{"key":"p5"}]}`, 400, "label 1: no label"},
		{"/labels", "application/json", `{"labels":[{"request_id":"r","row":0,"label":"yes"}]}`, 400, "joined by: id"},
		{"/labels", "application/json", `{"labels":[{"key":`, 400, "invalid"},
		{"/labels", "application/json", `{"labels":[` + strings.Repeat(" ", monitor.MaxLabelBody) + `]}`, 413, "larger than"},
	} {
		status, body := post(x.path, x.kind, x.body)
		if status != x.status || !strings.Contains(body, x.says) {
			t.Errorf("POST %s %.60s: %d %s, want %d and %q", x.path, x.body, status, body, x.status, x.says)
		}
	}
	var mu sync.Mutex
	taken := 0
	var wait sync.WaitGroup
	for w := range 4 {
		wait.Go(func() {
			for i := 0; ; i++ {
				if status, _ := post("/labels", "application/json", fmt.Sprintf(`{"labels":[{"key":"w%d-%d","label":"no"}]}`, w, i)); status != 200 {
					return
				}
				mu.Lock()
				taken++
				if taken == 60 {
					if err := c.Process.Kill(); err != nil {
						t.Error(err)
					}
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	_ = c.Wait()
	var doc struct{ Models []labelState }
	out, errs, exit := command(m, dir, "--json", "labels", "status")
	if err := json.Unmarshal([]byte(out), &doc); exit != 0 || err != nil || len(doc.Models) != 1 {
		t.Fatalf("%d %s%s", exit, out, errs)
	}
	if n := int(doc.Models[0].Keys) - 5; n < taken || n > taken+4 || doc.Models[0].Duplicates != 1 {
		t.Errorf("%d labels are there, %d were acknowledged: %+v", n, taken, doc.Models[0])
	}
	// The next process goes on in a file of its own.
	c, url = serving(t, dir, "--model", "people:1")
	if status, body := post("/labels", "application/json", `{"labels":[{"key":"p1","label":"no"}]}`); status != 200 {
		t.Error(status, body)
	}
	if out, errs, _ = command(m, dir, "log", "list"); strings.Contains(out, "without being closed") || !strings.Contains(out, "people") { // the journal had all
		t.Errorf("after a kill: %s%s", out, errs)
	}
	out, _, _ = command(m, dir, "labels", "status")
	if !strings.Contains(out, "1 predictions have labels that disagree") {
		t.Error(out)
	}
	if !strings.Contains(out, "in the log: 3 predictions were answered, 1 of them (33.3 %) have a label") {
		t.Error(out)
	}
	_ = c.Process.Kill()
}
