package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/web"
)

// Limits of the pages of a server.
const (
	pageTimeout  = 10 * time.Second
	pagesWaiting = 8 // that wait for their turn; more are sent away
)

// pages are what people see of a server in a browser. One is made at a time, so that they take little from predictions.
type pages struct {
	s      *session
	server *serve.Server
	log    *serve.Log // nil: nothing is logged
	hosts  hostNames
	lock   sync.Mutex
	due    map[assay.Digest]*dueScan // by plan
	room   chan struct{}
}

// routes adds the pages.
func (p *pages) routes(mux *http.ServeMux) {
	p.room = make(chan struct{}, pagesWaiting)
	site := func(make func(context.Context, *http.Request) (web.SitePage, error)) http.Handler {
		return p.page(func(ctx context.Context, r *http.Request) ([]byte, error) {
			x, err := make(ctx, r)
			if err != nil {
				return nil, err
			}
			var b bytes.Buffer
			err = web.Site(&b, x, p.footer())
			return b.Bytes(), err
		})
	}
	mux.Handle("GET /{$}", site(p.home))
	mux.Handle("GET /models", site(p.models))
	mux.Handle("GET /models/{name}", site(p.model))
	mux.Handle("GET /traffic", site(p.traffic))
	mux.Handle("GET /monitors", site(p.monitors))
	mux.Handle("GET /monitors/{name}/{number}", p.page(p.monitor))
	mux.Handle("GET /monitors/{name}/{number}/{file}", p.page(p.monitorFile))
	mux.Handle("GET /alerts", site(p.alerts))
	mux.Handle("GET /alerts/{key}", site(p.alert))
	mux.Handle("GET /evidence/{id}", site(p.evidence))
	for _, path := range []string{"/models", "/models/{name}", "/traffic", "/monitors", "/monitors/{name}/{number}", "/alerts", "/alerts/{key}", "/evidence/{id}"} {
		mux.Handle("GET "+path+"/{$}", p.page(func(context.Context, *http.Request) ([]byte, error) { return nil, errSlash }))
	}
}

func (p *pages) footer() web.Footer {
	return web.Footer{Version: Version, At: p.s.Now().UTC().Format(time.RFC3339)}
}

// errSlash says that a path ends in a slash too many: the page without it is meant.
var errSlash = errors.New("a slash too many")

// page answers with what is made, and with a page that says why not where it cannot be.
func (p *pages) page(make func(context.Context, *http.Request) ([]byte, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.hosts.known(r.Host) {
			p.hosts.foreign(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		select {
		case p.room <- struct{}{}:
			defer func() { <-p.room }()
		default:
			h.Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		p.lock.Lock()
		defer p.lock.Unlock()
		ctx, cancel := context.WithTimeout(r.Context(), pageTimeout)
		defer cancel()
		b, err := make(ctx, r)
		if err == errSlash {
			h.Set("Location", strings.TrimRight(r.URL.EscapedPath(), "/"))
			w.WriteHeader(http.StatusMovedPermanently)
			return
		}
		if err != nil {
			var sorry bytes.Buffer
			x := web.SitePage{Title: "This page cannot be shown", Lead: "Something is wrong with Assay itself.", Here: "Home"}
			var e *assay.Error // what it says is safe to show; other errors may hold paths
			if errors.As(err, &e) {
				x.Lead = e.Msg
			} else {
				p.s.say("page %s: %v", r.URL.Path, err)
			}
			if hint := assay.HintOf(err); hint != "" {
				x.Sections = []web.SiteSection{{ID: "next", Title: "What next", Empty: "Try:", Command: hint}}
			}
			if err := web.Site(&sorry, x, p.footer()); err != nil {
				p.s.say("a page cannot be shown: %v", err)
			}
			w.WriteHeader(assay.CodeOf(err).Info().HTTP)
			b = sorry.Bytes()
		} else if strings.HasSuffix(r.URL.Path, ".csv") {
			h.Set("Content-Type", "text/csv; charset=utf-8; header=present")
			h.Set("Content-Disposition", "attachment")
		}
		_, _ = w.Write(b) // a browser that has gone needs no answer
	})
}

// ago says how long something is past, for people.
func ago(d time.Duration) string {
	for _, u := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if n := int64(d / u.of); n > 1 {
			return fmt.Sprintf("%d %ss ago", n, u.name)
		} else if n == 1 {
			return fmt.Sprintf("1 %s ago", u.name)
		}
	}
	return "just now"
}

// when is a time with how long it is past under it.
func (p *pages) when(t time.Time) web.SiteCell {
	return web.SiteCell{Text: t.UTC().Format("2006-01-02 15:04 UTC"), More: []string{ago(p.s.Now().Sub(t))}}
}

func modelPath(name string) string { return "/models/" + name }

func monitorPath(name string, number int) string {
	return "/monitors/" + name + "/" + strconv.Itoa(number)
}

func number(n int64) web.SiteCell { return web.SiteCell{Text: assay.FormatCount(n)} }
