// Package mlflow speaks the protocols of MLflow's servers, so that MLflow clients work unmodified. This part is the scoring server:
// /invocations, /ping, /health and /version, for the default model and for each model under /models/{name}. What decides is in package
// serve; this package turns JSON and CSV into rows and answers into JSON.
//
// Where MLflow casts a value that does not fit and answers, this server refuses and names the row and the column; or makes the same cast and
// counts it, for a version that is served so.
package mlflow

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// A Scoring answers MLflow's scoring protocol.
type Scoring struct {
	Server  *serve.Server
	Version string // what /version answers
}

// Routes adds the protocol's paths to mux: for the default model, and per model and version.
func (s *Scoring) Routes(mux *http.ServeMux) {
	for _, path := range []string{"GET /ping", "GET /health"} {
		mux.HandleFunc(path, s.ping)
	}
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(s.Version))
	})
	for _, path := range []string{"POST /invocations", "POST /models/{name}/invocations", "POST /models/{name}/versions/{version}/invocations"} {
		mux.HandleFunc(path, s.invocations)
	}
}

// ping answers 200 and a line feed while the server takes traffic.
func (s *Scoring) ping(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if !s.Server.Ready() {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write([]byte("\n"))
}

func (s *Scoring) invocations(w http.ResponseWriter, r *http.Request) {
	c, err := s.Server.BeginWith("mlflow", r.PathValue("name"), r.PathValue("version"), serve.RequestID(r), r.Header.Get)
	if err != nil {
		s.Server.NameRequest(w.Header(), serve.RequestID(r))
		writeError(w, err)
		return
	}
	defer c.End()
	c.Traced(r.Header.Get(serve.TraceHeader), r.Header.Values(serve.TraceStateHeader))
	csv, bad := contentType(r.Header.Get("Content-Type"))
	if bad != "" {
		_ = c.Malform(serve.WrongType(bad))
		c.WriteHeaders(w.Header())
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusUnsupportedMediaType)
		_, _ = w.Write([]byte(bad))
		return
	}
	form := reply{}
	if err = c.ReadBody(w, r); err == nil {
		if casts := c.Version().Casts(); casts != nil {
			c.Rows.BeginCast(casts)
		}
		if csv {
			form.from, err = schema.FromCSV, readCSV(c)
		} else {
			form, err = readJSON(c)
		}
		if err == nil && c.Rows.Casting() {
			c.Found = c.Rows.Cast(form.from, c.Found)
		}
		if err != nil {
			err = c.Malform(err)
		} else {
			err = c.Predict(r.Context())
		}
	}
	c.WriteHeaders(w.Header())
	if err != nil {
		writeError(w, err)
		return
	}
	c.Reply = form.append(c.Reply[:0], c)
	h := w.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(c.Reply))}
	c.WriteReply(w)
}

var jsonType = []string{"application/json"}

// contentType tells JSON from CSV, and says what is wrong with any other type.
func contentType(h string) (csv bool, bad string) {
	if h == "application/json" {
		return false, ""
	}
	parts := strings.Split(h, ";")
	switch strings.TrimSpace(parts[0]) {
	case "application/json":
	case "text/csv":
		csv = true
	case "":
		return false, "The request has no Content-Type. It must be one of text/csv and application/json."
	default:
		return false, "This predictor only supports the following content types: text/csv and application/json. Got another one."
	}
	for _, p := range parts[1:] {
		key, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if !strings.EqualFold(key, "charset") || !strings.EqualFold(strings.Trim(value, `"`), "utf-8") {
			return false, "The only parameter of Content-Type that is supported is charset=utf-8."
		}
	}
	return csv, ""
}

// writeError answers with MLflow's error document.
func writeError(w http.ResponseWriter, err error) {
	status, code := serve.Status(err), assay.CodeOf(err).Info().MLflow
	if assay.CodeOf(err) == assay.Invalid && status == http.StatusBadRequest {
		code = "BAD_REQUEST"
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	body := append([]byte(`{"error_code": "`), code...)
	body = append(body, `", "message": `...)
	body = schema.AppendJSONString(body, []byte(err.Error()))
	body = append(body, '}')
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
