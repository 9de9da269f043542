//go:build unix

package cli

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/store"
)

// twoVersions is a project whose versions 1 and 2 were both in staging, 2 after 1, and have their serving checks.
func twoVersions(t *testing.T) (*stageManager, string) {
	t.Helper()
	return twoVersionsFixture.copy(t)
}

var twoVersionsFixture = fixture{make: func(t *testing.T) (*stageManager, string) {
	t.Helper()
	m, dir := registered(t)
	do(t, m, dir, 0, "serve", "check", "people:1")
	do(t, m, dir, 0, "card")
	do(t, m, dir, 0, "promote", "--to", "staging", "people:1")
	candidate(t, m, dir, "gradient_boosting")
	do(t, m, dir, 0, "serve", "check", "people:2")
	do(t, m, dir, 0, "card")
	do(t, m, dir, 0, "promote", "--to", "staging", "people:2")
	return m, dir
}}

// load sends requests from several clients until stop is called, which returns how many were sent and what failed.
func load(t *testing.T, url string, clients int, answered func(client int, version string)) (stop func() (sent int64, failed []string)) {
	t.Helper()
	var sent atomic.Int64
	var lock sync.Mutex
	var failed []string
	done := make(chan struct{})
	var wg sync.WaitGroup
	for of := range clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			client := &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second}
			for {
				select {
				case <-done:
					return
				default:
				}
				r, err := client.Post(url+"/invocations", "application/json", strings.NewReader(person))
				if err == nil {
					var b []byte
					b, err = io.ReadAll(r.Body)
					r.Body.Close()
					answered(of, r.Header.Get(serve.VersionHeader))
					if r.StatusCode != http.StatusOK {
						lock.Lock()
						failed = append(failed, r.Status+" "+string(b))
						lock.Unlock()
					}
				}
				if err != nil {
					lock.Lock()
					failed = append(failed, err.Error())
					lock.Unlock()
				}
				sent.Add(1)
			}
		}()
	}
	return func() (int64, []string) { close(done); wg.Wait(); return sent.Load(), failed }
}

// TestSwapUnderLoad: a rollback, a promotion, a canary and a shadow take effect on a running server within a second, and not one of the
// requests of concurrent clients fails; a signal to end lets running requests end.
func TestSwapUnderLoad(t *testing.T) {
	t.Parallel()
	m, dir := twoVersions(t)
	c, url := serving(t, dir, "--stage", "staging")
	var last atomic.Value
	var seen [3]atomic.Int64
	var of [4]atomic.Int64
	stop := load(t, url, len(of), func(client int, version string) {
		last.Store(version)
		of[client].Add(1)
		if version == "1" || version == "2" {
			seen[version[0]-'0'].Add(1)
		}
	})
	became := func(what string, ok func() bool) {
		t.Helper()
		began := time.Now()
		until(t, what, ok)
		took := time.Since(began)
		t.Logf("%s after %v", what, took)
		// The registry is asked five times a second. What counts is a rollback, whose requests come one after the other.
		if strings.HasPrefix(what, "rolled back") && took > time.Second {
			t.Errorf("%s after %v, more than a second", what, took)
		}
	}
	is := func(version string) func() bool {
		return func() bool {
			r, err := http.Post(url+"/invocations", "application/json", strings.NewReader(person))
			if err != nil {
				return false
			}
			defer r.Body.Close()
			return r.Header.Get(serve.VersionHeader) == version
		}
	}
	became("version 2", is("2"))
	do(t, m, dir, 0, "rollback", "--stage", "staging")
	became("rolled back to version 1", is("1"))
	do(t, m, dir, 0, "serve", "canary", "people:2", "--percent", "50")
	before := seen[2].Load()
	became("version 2 as a canary", func() bool { return seen[2].Load() > before+20 })
	split := func() (doc struct{ Canary, Shadow *serve.Compared }) {
		r, err := http.Get(url + "/models/people/split")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		if err := json.NewDecoder(r.Body).Decode(&doc); err != nil {
			t.Fatal(err)
		}
		return doc
	}
	became("compared", func() bool { c := split().Canary; return c != nil && c.Pairs > 0 })
	do(t, m, dir, 0, "serve", "canary", "--stop")
	became("without a canary", func() bool { return split().Canary == nil })
	// A request that began while there was a canary may be answered by it afterwards: each client has had another answer since.
	var answered [len(of)]int64
	for i := range of {
		answered[i] = of[i].Load()
	}
	became("requests from before answered", func() bool {
		for i := range of {
			if of[i].Load() < answered[i]+2 {
				return false
			}
		}
		return true
	})
	before = seen[2].Load()
	do(t, m, dir, 0, "serve", "shadow", "people:2")
	became("compared with the shadow", func() bool { c := split().Shadow; return c != nil && c.Pairs+c.Dropped > 0 })
	if n := seen[2].Load(); n > before {
		t.Errorf("the shadow answered %d requests", n-before)
	}
	do(t, m, dir, 0, "promote", "--to", "staging", "people:2")
	became("promoted to version 2", is("2"))
	sent, failed := stop()
	t.Logf("%d requests", sent)
	if len(failed) > 0 {
		t.Errorf("%d of %d requests failed, the first: %s", len(failed), sent, failed[0])
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if got := c.ProcessState.ExitCode(); got != 143 {
		t.Errorf("exit status %d", got)
	}
	out, _, _ := command(m, dir, "--json", "evidence", "list", "--kind", "rollout")
	for _, says := range []string{`"mode": "canary"`, `"mode": "shadow"`} {
		if !strings.Contains(strings.ReplaceAll(out, `":"`, `": "`), says) {
			t.Errorf("no evidence with %s:\n%s", says, out)
		}
	}
	do(t, m, dir, 0, "fsck")
}

// TestDrain: after a signal to end the server answers for the time that --drain gives, and says so in /readyz.
func TestDrain(t *testing.T) {
	t.Parallel()
	m, dir := registered(t)
	do(t, m, dir, 0, "serve", "check", "people:1")
	c, url := serving(t, dir, "--model", "people:1", "--drain", "3s")
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	until(t, "unready", func() bool {
		r, err := http.Get(url + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		return r.StatusCode == http.StatusServiceUnavailable
	})
	if err := invoke(url); err != nil {
		t.Errorf("while draining: %v", err)
	}
	_ = c.Wait()
	if err := invoke(url); err == nil {
		t.Error("it answers after its end")
	}
}

// TestCanaryAbort: a server whose canary failed too often takes the alias away and writes why; a server that comes second finds it gone.
func TestCanaryAbort(t *testing.T) {
	t.Parallel()
	m, dir := twoVersions(t)
	do(t, m, dir, 0, "rollback", "--stage", "staging")
	if out := do(t, m, dir, 2, "serve", "canary", "people:2"); !strings.Contains(out, "--percent is 0; want more than 0 and at most 100") {
		t.Error(out)
	}
	if out := do(t, m, dir, 2, "serve", "canary", "people:2", "--percent", "5", "--sticky", "shoe_size"); !strings.Contains(out, `"shoe_size" is not an input column of the version`) {
		t.Error(out)
	}
	do(t, m, dir, 0, "serve", "canary", "people:2", "--percent", "5", "--sticky", "age")
	first, second := follows(t, m, dir), follows(t, m, dir)
	for _, f := range []*follower{first, second} {
		if got := f.served["people"].String(); got != "people:1, canary 2" {
			t.Fatalf("serving %s", got)
		}
		f.server.Split("people").Trip("it failed in 9 of 10 requests")
		if err := f.follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := f.served["people"].String(); got != "people:1" {
			t.Errorf("serving %s after the abort", got)
		}
	}
	if _, err := first.s.st.Alias(t.Context(), "people", canaryAlias); assay.CodeOf(err) != assay.NotFound {
		t.Errorf("the alias: %v", err)
	}
	rs, err := first.s.st.Find(t.Context(), store.Query{Kind: assay.KindRollout})
	if err != nil || len(rs) != 1 {
		t.Fatalf("%d rollouts: %v", len(rs), err)
	}
	p, err := assay.Decode[assay.Rollout](rs[0].Evidence)
	if err != nil || p.Outcome != "aborted" || p.Reason != "it failed in 9 of 10 requests" || p.Version != 2 || p.Against != 1 || p.Percent != 5 || p.Sticky != "age" {
		t.Errorf("%+v, %v", p, err)
	}
	// An alert's action takes away what is there, and says so when nothing is.
	do(t, m, dir, 0, "serve", "canary", "people:2", "--percent", "5")
	if done, err := first.s.abortCanary(t.Context(), "people", "drift", nil); err != nil || !done {
		t.Errorf("aborted %v, %v", done, err)
	}
	if done, err := first.s.abortCanary(t.Context(), "people", "drift", nil); err != nil || done {
		t.Errorf("aborted twice %v, %v", done, err)
	}
}

// TestServerEnds: a server that ends, and one told to end while it changes versions, still write what they saw of a shadow.
func TestServerEnds(t *testing.T) {
	t.Parallel()
	m, dir := twoVersions(t)
	do(t, m, dir, 0, "rollback", "--stage", "staging")
	do(t, m, dir, 0, "serve", "shadow", "people:2")
	f := follows(t, m, dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := follows(t, m, dir).ended(ctx, "people", f.served["people"], nil); err != nil {
		t.Fatal(err)
	}
	rs, err := f.s.st.Find(t.Context(), store.Query{Kind: assay.KindRollout})
	if err != nil || len(rs) != 2 {
		t.Fatalf("%d rollouts: %v", len(rs), err)
	}
	var reasons []string
	for _, r := range rs {
		p, err := assay.Decode[assay.Rollout](r.Evidence)
		if err != nil || p.Mode != shadowAlias || p.Outcome != "stopped" || p.Version != 2 || p.Against != 1 {
			t.Errorf("%+v, %v", p, err)
		}
		reasons = append(reasons, p.Reason)
	}
	if slices.Sort(reasons); !slices.Equal(reasons, []string{"the alias shadow was taken away", "the server ended"}) {
		t.Errorf("%q", reasons)
	}
}

// follows is a follower over the store of a project, without a listener.
func follows(t *testing.T, m *stageManager, dir string) *follower {
	t.Helper()
	s := opened(t, m, dir)
	server := serve.New(serve.Options{Clock: s.Now, Nonce: "test"})
	t.Cleanup(func() { _ = server.Close(context.WithoutCancel(t.Context())) })
	f := &follower{s: s, server: server, stage: assay.StageStaging, served: map[string]*served{}, off: map[string]bool{}}
	if err := f.follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestCanaryEvidenceGoesOn: a server that is started again, other settings and a second server go on with what was counted against a canary;
// a request that is sent again counts once with all of them. A canary that is stopped and started begins anew.
func TestCanaryEvidenceGoesOn(t *testing.T) {
	t.Parallel()
	m, dir := twoVersions(t)
	do(t, m, dir, 0, "rollback", "--stage", "staging")
	do(t, m, dir, 0, "serve", "canary", "people:2", "--percent", "5")
	if out := do(t, m, dir, 3, "serve", "shadow", "people:2"); !strings.Contains(out, "people:2 is the canary") {
		t.Error(out)
	}
	send := func(f *follower, from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			c, err := f.server.BeginWith("test", "people", "", "request "+strconv.Itoa(i), nil)
			if err != nil {
				t.Fatal(err)
			}
			c.Rows.Add(1) // a row without values, which neither version takes
			if err := c.Predict(t.Context()); assay.CodeOf(err) != assay.Rejected {
				t.Fatal(err)
			}
			c.End()
		}
	}
	refused := func(f *follower) serve.Weighed { return f.server.Split("people").Canary().Compared().Tests[1] }
	follow := func(f *follower) {
		t.Helper()
		if err := f.follow(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	first, second := follows(t, m, dir), follows(t, m, dir)
	send(first, 0, 30)
	follow(first)
	send(second, 20, 40)
	follow(second)
	if got := refused(second); got.Test != "refused" || got.N != 40 {
		t.Errorf("two servers have counted %+v", got)
	}
	third := follows(t, m, dir)
	send(third, 0, 40)
	if got := refused(third); got != refused(second) {
		t.Errorf("a server that is started again goes on with %+v", got)
	}
	do(t, m, dir, 0, "serve", "canary", "people:2", "--percent", "20")
	follow(third)
	send(third, 40, 50)
	if got := refused(third); got.N != 50 || math.Abs(float64(got.Expected)-(40*.05+10*.2)) > 1e-9 {
		t.Errorf("with another share: %+v", got)
	}
	if err := third.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := refused(follows(t, m, dir)); got.N != 50 {
		t.Errorf("the server that ended has left %+v", got)
	}
	do(t, m, dir, 0, "serve", "canary", "--stop")
	do(t, m, dir, 0, "serve", "shadow", "people:2")
	if out := do(t, m, dir, 3, "serve", "canary", "people:2", "--percent", "20"); !strings.Contains(out, "people:2 is the shadow") {
		t.Error(out)
	}
	do(t, m, dir, 0, "serve", "shadow", "--stop")
	do(t, m, dir, 0, "serve", "canary", "people:2", "--percent", "20")
	fourth := follows(t, m, dir)
	if got := refused(fourth); got.N != 0 {
		t.Errorf("another rollout begins with %+v", got)
	}
	// Both aliases on one version, as an alias can be set by hand: the shadow stays away, the canary takes part.
	do(t, m, dir, 0, "model", "alias", "people", "shadow", "2")
	if err := fourth.follow(t.Context()); err == nil || !strings.Contains(err.Error(), "people:2 is the canary") {
		t.Errorf("both: %v", err)
	}
	if got := fourth.served["people"].String(); got != "people:1, canary 2" {
		t.Errorf("serving %s", got)
	}
	do(t, m, dir, 0, "fsck")
}

// TestServersJudgeTogether: two processes that serve one registry judge a canary together: each takes a number of its own, and what speaks against the canary on
// both is put together. Neither has seen enough by itself when the canary is taken away, for both.
func TestServersJudgeTogether(t *testing.T) {
	t.Parallel()
	m, dir := twoVersions(t)
	do(t, m, dir, 0, "rollback", "--stage", "staging")
	do(t, m, dir, 0, "serve", "canary", "people:2", "--percent", "5", "--header", "X-Canary")
	var urls []string
	for range 2 {
		_, url := serving(t, dir, "--stage", "staging")
		urls = append(urls, url)
	}
	split := func(url string) (x struct {
		Canary  *serve.Compared
		Aborted string
	},
	) {
		r, err := http.Get(url + "/models/people/split")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		if err := json.NewDecoder(r.Body).Decode(&x); err != nil {
			t.Fatal(err)
		}
		return x
	}
	until(t, "both have the canary", func() bool { return split(urls[0]).Canary != nil && split(urls[1]).Canary != nil })
	s := follows(t, m, dir) // a third one
	v, err := s.s.st.Version(t.Context(), "people", 2)
	if err != nil {
		t.Fatal(err)
	}
	var taken judges
	if err := json.Unmarshal([]byte(v.Tags[judgesTag]), &taken); err != nil || taken.N != 3 {
		t.Errorf("%q: %v", v.Tags[judgesTag], err)
	}
	ask := func(url, id, body string) (version string, status int) {
		t.Helper()
		r, err := http.NewRequest(http.MethodPost, url+"/invocations", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set(serve.RequestIDHeader, id)
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		return a.Header.Get(serve.VersionHeader), a.StatusCode
	}
	// Requests that the draw gave to the canary are refused, and no others: what the canary alone refuses looks like that.
	n := 0
	refusedBy := func(url string) {
		t.Helper()
		for got := 0; got < 2; n++ {
			id := "request-" + strconv.Itoa(n)
			if version, _ := ask(url, id, person); !strings.HasSuffix(version, "2") {
				continue
			}
			if version, status := ask(url, id, strings.Replace(person, "72", "72.5", 1)); status != http.StatusBadRequest || !strings.HasSuffix(version, "2") {
				t.Fatalf("version %s answers with status %d", version, status)
			}
			got++
		}
	}
	refusedBy(urls[0])
	stored := func() bool {
		v, err := s.s.st.Version(t.Context(), "people", 2)
		return err == nil && v.Tags[canaryTag+".refused"] != ""
	}
	until(t, "the store has what the first saw", stored)
	if x := split(urls[0]); x.Canary == nil || x.Aborted != "" || float64(x.Canary.EValue) >= serve.AbortsAt(1, serve.DefaultFalseAbort) {
		t.Fatalf("two requests have aborted the canary: %+v", x)
	}
	refusedBy(urls[1])
	until(t, "both have let the canary go", func() bool { return split(urls[0]).Canary == nil && split(urls[1]).Canary == nil })
	rs, err := s.s.st.Find(t.Context(), store.Query{Kind: assay.KindRollout})
	if err != nil || len(rs) == 0 {
		t.Fatalf("%d rollouts: %v", len(rs), err)
	}
	aborted := 0
	for _, r := range rs {
		p, err := assay.Decode[assay.Rollout](r.Evidence)
		if err != nil {
			t.Fatal(err)
		}
		if p.Outcome == "aborted" {
			aborted++
		}
	}
	if aborted != 1 {
		t.Errorf("%d of %d rollouts were aborted, want one", aborted, len(rs))
	}
}
