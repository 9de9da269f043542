package cli

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestCrossSite: what a page of another site makes a browser send changes nothing; clients without a browser's headers, and pages of the server
// itself, are let through, and everybody may read.
func TestCrossSite(t *testing.T) {
	reached := false
	h := fromElsewhere(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
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
		if reached != x.want || !x.want && w.Code != http.StatusForbidden {
			t.Errorf("%s with %v: %d, reached %v", x.method, x.header, w.Code, reached)
		}
	}
}
