package cli

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
)

// hostNames are the names, beside those of this machine, under which browsers reach the server: the setting serve.hosts.
type hostNames []string

// check finds names that are none.
func (n hostNames) check(bad *assay.Problems) {
	for _, h := range n {
		if hostOf(h) != h || h == "" || strings.ContainsAny(h, "/:@*? \t") && net.ParseIP(h) == nil {
			bad.Add("serve.hosts %.100q: want the name of a host in lower case, without scheme, port and path, such as models.example.com", h)
		}
	}
}

// hostOf is the name in a Host header, in lower case and without port.
func hostOf(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), "."))
}

// known reports whether a browser may reach the server under that name. A page of another site may give a name of its own this machine's address, and is then, to
// the browser, of the same site as the server.
func (n hostNames) known(host string) bool {
	h := hostOf(host)
	if ip := net.ParseIP(h); ip != nil && ip.IsLoopback() || h == "localhost" || strings.HasSuffix(h, ".localhost") {
		return true
	}
	return slices.Contains(n, h)
}

// browsed reports whether a request may be of a browser. What changes something names the page that it comes from in Origin, or how it came about in Sec-Fetch-*;
// what only reads may have neither, and then the browser gives itself away by its name.
func browsed(r *http.Request) bool {
	for name := range r.Header {
		if name == "Origin" || strings.HasPrefix(name, "Sec-Fetch-") {
			return true
		}
	}
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.HasPrefix(r.UserAgent(), "Mozilla/")
}

// foreign answers a request of a browser that came under a name that is not the server's.
func (n hostNames) foreign(w http.ResponseWriter, r *http.Request) {
	b, err := json.Marshal(map[string]string{
		"error": fmt.Sprintf("browsers do not reach this server under the name %.100q", hostOf(r.Host)),
		"try":   "http://127.0.0.1 with the port of the server; or, behind a proxy, name the host under serve.hosts in " + ProjectFile,
	})
	if err != nil {
		panic("BUG: two texts cannot be written as JSON: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusMisdirectedRequest)
	_, _ = w.Write(append(b, '\n'))
}

// guard refuses what a page of another site makes a browser send: under a name of the server that is not its own, and, but to read, from elsewhere. Clients that are
// no browsers are let through under any name. refused is called for each that is not.
func (n hostNames) guard(h http.Handler, refused func()) http.Handler {
	h = fromElsewhere(h, refused)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if browsed(r) && !n.known(r.Host) {
			refused()
			n.foreign(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}
