//go:build unix

package cli

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// asked posts a request and returns the status and the body.
func asked(t *testing.T, url, kind, body string) (int, string) {
	t.Helper()
	r, err := http.Post(url, kind, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// TestUpstream puts a second assay serve in front of a first, over both protocols: the answers are the same, what does not fit is
// refused in front, the log fills, and a server that is gone is a 503 and no answer.
func TestUpstream(t *testing.T) {
	t.Parallel()
	m, dir := registered(t)
	do(t, m, dir, 0, "serve", "check", "people:1")
	back, url := serving(t, dir, "--model", "people:1")
	_, want := asked(t, url+"/invocations", "application/json", person)
	edit(t, dir, "card:", "serve: {upstream: {url: \""+url+"\", version: \"{version}\", timeout: 5s}}\ncard:")
	if _, errs, exit := command(m, dir, "serve", "--model", "people:1", "--listen", "127.0.0.1:0"); exit != 3 || !strings.Contains(errs, `was checked with the engine "assay"`) {
		t.Fatalf("a version that was checked with another engine: %d: %s", exit, errs)
	}
	out, errs, exit := command(m, dir, "--json", "serve", "check", "people:1")
	if exit != 0 {
		t.Fatal(errs, out)
	}
	var doc struct {
		Serving struct {
			Engine string
			Smoke  []struct{ Verdict string }
		}
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || doc.Serving.Engine != "upstream" || len(doc.Serving.Smoke) < 5 {
		t.Fatalf("%v: %s", err, out)
	}
	if strings.Contains(out, url) {
		t.Error("the evidence tells where the upstream is")
	}
	fronts := map[string]string{}
	_, fronts["oip"] = serving(t, dir, "--model", "people:1")
	edit(t, dir, "version: \"{version}\"", "protocol: invocations")
	edit(t, dir, url+"\"", url+"/models/people/versions/{version}/invocations\"")
	do(t, m, dir, 0, "serve", "check", "people:1")
	_, fronts["invocations"] = serving(t, dir, "--model", "people:1")
	for name, front := range fronts {
		if status, got := asked(t, front+"/invocations", "application/json", person); status != 200 || got != want {
			t.Errorf("%s: %d %s; want %s", name, status, got, want)
		}
		if status, got := asked(t, front+"/invocations", "application/json", strings.Replace(person, "72", `"x"`, 1)); status != 400 || !strings.Contains(got, "age") {
			t.Errorf("%s: a wrong row: %d %s", name, status, got)
		}
		if status, got := asked(t, front+"/v2/models/people/infer", "application/json", `{"inputs":[]}`); status != 400 {
			t.Errorf("%s: no inputs: %d %s", name, status, got)
		}
	}
	_ = back.Process.Kill()
	_ = back.Wait()
	for name, front := range fronts {
		if status, got := asked(t, front+"/invocations", "application/json", person); status != 503 || !strings.Contains(got, "upstream cannot be reached") {
			t.Errorf("%s: without the upstream: %d %s", name, status, got)
		}
		for range 5 {
			_, _ = asked(t, front+"/invocations", "application/json", person)
		}
		if r, err := http.Get(front + "/v2/models/people/ready"); err != nil || r.StatusCode == 200 {
			t.Errorf("%s: ready without the upstream: %v", name, err)
		} else {
			r.Body.Close()
		}
	}
	const counts = "SELECT _outcome, count(*) FROM log WHERE _outcome <> 'answered' GROUP BY 1 ORDER BY 1"
	want = `[["malformed",2],["refused",2],["shed",12]]`
	until(t, "logged", func() bool {
		out, _, _ := command(m, dir, "--json", "log", "query", counts)
		return strings.Contains(strings.Join(strings.Fields(out), ""), want)
	})
}

// TestUpstreamSmoke: where the upstream's answer is none for the rows that were sent, the check says what was wrong with it.
func TestUpstreamSmoke(t *testing.T) {
	t.Parallel()
	m, dir := registered(t)
	back := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"predictions": ["perhaps"]}`)
	}))
	defer back.Close()
	edit(t, dir, "card:", "serve: {upstream: {url: \""+back.URL+"/invocations\", protocol: invocations}}\ncard:")
	if out, errs, exit := command(m, dir, "serve", "check", "people:1"); exit != 3 || !strings.Contains(out, "single_row_1: 1 rows was answered with status 502: the upstream's answer: ") || strings.Contains(out, "incident") || strings.Contains(out, "perhaps") {
		t.Errorf("%d: %s%s", exit, out, errs)
	}
}
