package cli

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
)

// TestCrossSite: what a page of another site makes a browser send changes nothing; clients without a browser's headers, and pages of the server
// itself, are let through, and everybody may read.
func TestCrossSite(t *testing.T) {
	reached, refused, want := false, 0, 0
	h := hostNames{}.guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }), func() { refused++ })
	for _, x := range []struct {
		method string
		header [2]string
		want   bool
	}{
		{http.MethodPost, [2]string{"Sec-Fetch-Site", "cross-site"}, false},
		{http.MethodPost, [2]string{"Sec-Fetch-Site", "same-site"}, false},
		{http.MethodPost, [2]string{"Origin", "http://evil.example"}, false},
		{http.MethodPost, [2]string{"Origin", "null"}, false},
		{http.MethodPost, [2]string{"Sec-Fetch-Site", "same-origin"}, true},
		{http.MethodPost, [2]string{"Origin", "http://127.0.0.1:8400"}, true},
		{http.MethodPost, [2]string{"User-Agent", "curl"}, true},
		{http.MethodGet, [2]string{"Sec-Fetch-Site", "cross-site"}, true},
	} {
		reached = false
		r := httptest.NewRequest(x.method, "http://127.0.0.1:8400/v2/repository/models/m/unload", nil)
		r.Header.Set(x.header[0], x.header[1])
		r.Header.Set("Content-Type", "text/plain")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if !x.want {
			want++
		}
		if reached != x.want || refused != want || !x.want && w.Code != http.StatusForbidden {
			t.Errorf("%s with %v: %d, reached %v", x.method, x.header, w.Code, reached)
		}
	}
}

// TestRebinding: a page whose site's name leads to this machine is, to the browser, of the same site as the server. It can neither change nor read anything;
// programs may come under any name, and browsers under those of this machine and of the setting.
func TestRebinding(t *testing.T) {
	reached := false
	hosts := hostNames{"models.example.com"}
	h := hosts.guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }), func() {})
	const unload = "/v2/repository/models/m/unload"
	browser := map[string]string{"User-Agent": "Mozilla/5.0 (X11; Linux x86_64)"}
	with := func(pairs ...string) map[string]string {
		out := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			out[pairs[i]] = pairs[i+1]
		}
		return out
	}
	for _, x := range []struct {
		method, host, path string
		header             map[string]string
		want               int
	}{
		{"POST", "evil.example", unload, with("Origin", "http://evil.example", "Sec-Fetch-Site", "same-origin"), 421},
		{"POST", "evil.example:8400", unload, with("Origin", "http://evil.example:8400"), 421},
		{"POST", "evil.example:8400", unload, with("Sec-Fetch-Mode", "cors"), 421},
		{"POST", "127.0.0.1.evil.example", unload, with("Origin", "http://127.0.0.1.evil.example"), 421},
		{"POST", "localhost.evil.example", unload, with("Origin", "http://localhost.evil.example"), 421},
		{"POST", "", unload, with("Origin", "http://evil.example"), 421},
		{"GET", "evil.example:8400", "/metrics", browser, 421},
		{"GET", "evil.example:8400", "/v2/models/m", with("Sec-Fetch-Site", "same-origin"), 421},
		{"POST", "assay.ml.svc.cluster.local:8400", "/invocations", with("User-Agent", "python-requests/2.32"), 200},
		{"POST", "assay", "/v2/models/m/infer", with("User-Agent", "Mozilla/5.0 (compatible; a library)"), 200},
		{"GET", "assay.ml.svc", "/readyz", with("User-Agent", "kube-probe/1.31"), 200},
		{"POST", "127.0.0.1:8400", unload, with("Origin", "http://127.0.0.1:8400", "Sec-Fetch-Site", "same-origin"), 200},
		{"POST", "[::1]:8400", unload, with("Origin", "http://[::1]:8400"), 200},
		{"POST", "LocalHost:8400", unload, with("Sec-Fetch-Site", "same-origin"), 200},
		{"GET", "assay.localhost", "/metrics", browser, 200},
		{"GET", "127.8.9.10", "/metrics", browser, 200},
		{"POST", "models.example.com", "/invocations", with("Origin", "https://models.example.com"), 200},
		{"GET", "Models.Example.com.:443", "/metrics", browser, 200},
	} {
		reached = false
		r := httptest.NewRequest(x.method, "http://127.0.0.1:8400"+x.path, nil)
		r.Host = x.host
		for k, v := range x.header {
			r.Header.Set(k, v)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != x.want || reached != (x.want == 200) {
			t.Errorf("%s %s under %q with %v: %d, reached %v", x.method, x.path, x.host, x.header, w.Code, reached)
		}
		if w.Code == 421 && !strings.Contains(w.Body.String(), "serve.hosts") {
			t.Errorf("no way out: %s", w.Body)
		}
	}
	page := (&pages{hosts: hosts}).page(func(context.Context, *http.Request) ([]byte, error) { return []byte("page"), nil })
	r := httptest.NewRequest(http.MethodGet, "http://evil.example/", nil) // of a browser that says nothing of itself
	w := httptest.NewRecorder()
	if page.ServeHTTP(w, r); w.Code != 421 || strings.Contains(w.Body.String(), "page\n") {
		t.Errorf("a page: %d", w.Code)
	}
	for name, ok := range map[string]bool{"models.example.com": true, "10.0.0.7": true, "fe80::1": true, "Models.example.com": false, "https://x": false, "x:80": false, "x/y": false, "": false, "*.x": false} {
		var bad assay.Problems
		hostNames{name}.check(&bad)
		if (bad.Err(assay.Invalid, "x") == nil) != ok {
			t.Errorf("the name %q: %v", name, bad.Err(assay.Invalid, "x"))
		}
	}
}
