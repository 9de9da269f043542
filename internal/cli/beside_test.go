//go:build unix

package cli

import (
	"net/http"
	"strings"
	"testing"
)

// TestVersionsKept: a version that another has followed in the stage answers who names it as long as the server keeps it, and one that was
// rolled back does not.
func TestVersionsKept(t *testing.T) {
	t.Parallel()
	m, dir := twoVersions(t)
	served := func(f *follower, want string) {
		t.Helper()
		if err := f.follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := f.served["people"].String(); got != want {
			t.Errorf("serving %s, want %s", got, want)
		}
		versions, _ := f.server.Versions("people")
		if n := strings.Count(want, ",") + 1; len(versions) != n {
			t.Errorf("%d versions are addressable, want %d", len(versions), n)
		}
	}
	alone, kept := follows(t, m, dir), follows(t, m, dir)
	kept.keep, kept.looked = 1, false
	served(alone, "people:2")
	served(kept, "people:2, 1")
	if got := strings.Join(kept.versions(), " "); got != "people:1 people:2" {
		t.Errorf("watching %s", got)
	}
	do(t, m, dir, 0, "rollback", "--stage", "staging")
	served(alone, "people:1")
	served(kept, "people:1")
	do(t, m, dir, 0, "promote", "--to", "staging", "people:2")
	served(kept, "people:2, 1")
	if _, errs, exit := command(m, dir, "serve", "--stage", "staging", "--keep", "17"); exit != 2 || !strings.Contains(errs, "at most 16 versions stay") {
		t.Errorf("too many: %d %s", exit, errs)
	}
}

// TestVersionsBeside serves two versions of one model at once: each answers who asks for it, over every protocol that has versions, the
// first one the rest. Unload and load act on all of them, and the repository's index tells what is served.
func TestVersionsBeside(t *testing.T) {
	t.Parallel()
	m, dir := twoVersions(t)
	_, url := serving(t, dir, "--model", "people:2", "--model", "people:1")
	const infer = `{"inputs": [{"name": "age", "shape": [1], "datatype": "INT64", "data": [72]}, {"name": "sex", "shape": [1], "datatype": "BYTES", "data": ["F"]}, ` +
		`{"name": "region", "shape": [1], "datatype": "BYTES", "data": ["north"]}, {"name": "income", "shape": [1], "datatype": "FP64", "data": [18276.74]}, ` +
		`{"name": "hours", "shape": [1], "datatype": "INT64", "data": [24]}, {"name": "tenure", "shape": [1], "datatype": "FP64", "data": [3.31]}]}`
	version := func(path, body string) string {
		t.Helper()
		r, err := http.Post(url+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		if r.StatusCode != http.StatusOK {
			return r.Status
		}
		return r.Header.Get("X-Assay-Model-Version")
	}
	all := func(when string, want map[string]string) {
		t.Helper()
		for path, v := range want {
			body := person
			if strings.HasSuffix(path, "infer") {
				body = infer
			}
			if got := version(path, body); got != v {
				t.Errorf("%s: %s: version %q, want %q", when, path, got, v)
			}
		}
	}
	both := map[string]string{
		"/invocations": "2", "/models/people/invocations": "2", "/models/people/versions/1/invocations": "1", "/models/people/versions/2/invocations": "2",
		"/v2/models/people/infer": "2", "/v2/models/people/versions/1/infer": "1", "/v2/models/people/versions/2/infer": "2",
		"/v2/models/people/versions/3/infer": "404 Not Found",
	}
	all("served", both)
	if status, body := asked(t, url+"/v2/repository/index", "application/json", `{"ready": true}`); status != 200 || strings.Count(body, `"READY"`) != 2 {
		t.Errorf("the index: %d %s", status, body)
	}
	if status, body := asked(t, url+"/v2/repository/models/people/unload", "application/json", ""); status != 200 {
		t.Fatalf("unload: %d %s", status, body)
	}
	gone := map[string]string{}
	for path := range both {
		gone[path] = "404 Not Found"
	}
	gone["/invocations"] = "503 Service Unavailable" // no model at all is served
	all("unloaded", gone)
	if status, body := asked(t, url+"/v2/repository/models/people/load", "application/json", ""); status != 200 {
		t.Fatalf("load: %d %s", status, body)
	}
	all("loaded", both)
	if status, body := asked(t, url+"/v2/repository/models/nobody/load", "application/json", ""); status != 404 {
		t.Errorf("load of what there is not: %d %s", status, body)
	}
	if _, errs, exit := command(m, dir, "serve", "--model", "people:1", "--model", "people:1"); exit != 2 || !strings.Contains(errs, "people:1 is named twice") {
		t.Errorf("a version that is named twice: %d %s", exit, errs)
	}
}
