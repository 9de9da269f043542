// Package oip speaks the Open Inference Protocol, version 2, over REST and gRPC, as KServe, Triton and MLServer do, so that their
// clients work unmodified: health, metadata, inference with the binary tensor extension, and the repository extension. What decides is
// in package serve; this package turns tensors into rows and answers into tensors.
//
// A request has one tensor for each column of the model's input schema, of shape [n] or [n,1], or a single tensor of all of them, of
// shape [n,k] in the order of the schema. Where other servers cast a value that does not fit, or reshape what has another length, this
// one refuses and names the row and the column, never the value. The package does not batch requests and does not stream.
package oip

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// An Inference answers the protocol.
type Inference struct {
	Server     *serve.Server
	Version    string // of this program, what the server's metadata say
	Repository Repository

	requests sync.Pool
	messages sync.Pool    // of *[]byte, for messages of gRPC until they are decoded
	calls    atomic.Int64 // of gRPC that are open
}

// A Repository takes models into service and out of it. It is safe for use by several goroutines.
type Repository interface {
	// Index lists every version that there is.
	Index(ctx context.Context) ([]Listed, error)
	// Load takes the versions of a model that should serve back into service; NotFound when there are none.
	Load(ctx context.Context, name string) error
	// Unload takes a model out of service, until it is loaded again or this process ends; NotFound when it is not served.
	Unload(ctx context.Context, name string) error
}

// A Listed is a version in the repository's index.
type Listed struct {
	Name    string
	Version int
	Ready   bool
	Reason  string // why it is not ready
}

// MarshalJSON writes the entry as the repository extension has it.
func (l Listed) MarshalJSON() ([]byte, error) {
	out := append([]byte(`{"name":`), schema.AppendJSONString(nil, []byte(l.Name))...)
	out = append(out, `,"version":"`+strconv.Itoa(l.Version)+`","state":"`+l.state()+`","reason":`...)
	return append(schema.AppendJSONString(out, []byte(l.Reason)), '}'), nil
}

func (l Listed) state() string {
	if l.Ready {
		return "READY"
	}
	return "UNAVAILABLE"
}

// Routes adds the protocol's paths to mux.
func (s *Inference) Routes(mux *http.ServeMux) {
	own := http.NewServeMux()
	s.routes(own)
	s.routes(mux)
	other := func(w http.ResponseWriter, r *http.Request) {
		if allowed := methodsOf(own, r); allowed != "" {
			w.Header().Set("Allow", allowed)
			writeJSON(w, http.StatusMethodNotAllowed, append(schema.AppendJSONString([]byte(`{"error":`), []byte(clip([]byte(r.Method))+" is not a method of this path; "+allowed+" is")), '}'))
			return
		}
		writeError(w, assay.Errorf(assay.NotFound, "%s %s is not a path of the Open Inference Protocol", r.Method, clip([]byte(r.URL.Path))))
	}
	mux.HandleFunc("/v2", other)
	mux.HandleFunc("/v2/", other)
}

// methodsOf lists the methods by which a path can be asked; "" where it is none.
func methodsOf(mux *http.ServeMux, r *http.Request) string {
	for method, allowed := range map[string]string{http.MethodGet: "GET, HEAD", http.MethodPost: "POST"} { // no path has both
		as := *r
		as.Method = method
		if _, pattern := mux.Handler(&as); pattern != "" {
			return allowed
		}
	}
	return ""
}

func (s *Inference) routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v2", s.serverMetadata)
	mux.HandleFunc("GET /v2/{$}", s.serverMetadata)
	mux.HandleFunc("GET /v2/health/live", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, []byte(`{"live":true}`)) })
	mux.HandleFunc("GET /v2/health/ready", func(w http.ResponseWriter, _ *http.Request) { writeReady(w, s.Server.Ready()) })
	mux.HandleFunc("GET /v2/models", s.models)
	for _, path := range []string{"/v2/models/{name}", "/v2/models/{name}/versions/{version}"} {
		mux.HandleFunc("GET "+path, s.modelMetadata)
		mux.HandleFunc("GET "+path+"/ready", s.modelReady)
		mux.HandleFunc("GET "+path+"/openapi.json", s.openAPI)
		mux.HandleFunc("POST "+path+"/infer", s.infer)
	}
	mux.HandleFunc("POST /v2/repository/index", s.index)
	mux.HandleFunc("POST /v2/repository/models/{name}/load", s.load)
	mux.HandleFunc("POST /v2/repository/models/{name}/unload", s.unload)
}

// headLength is the header that says how many bytes of a body are JSON, where tensors follow.
const headLength = "Inference-Header-Content-Length"

func (s *Inference) infer(w http.ResponseWriter, r *http.Request) {
	c, err := s.Server.BeginWith("oip", r.PathValue("name"), r.PathValue("version"), serve.RequestID(r), r.Header.Get)
	if err != nil {
		s.Server.NameRequest(w.Header(), serve.RequestID(r))
		writeError(w, err)
		return
	}
	defer c.End()
	c.Traced(r.Header.Get(serve.TraceHeader), r.Header.Values(serve.TraceStateHeader))
	q := s.request()
	defer s.requests.Put(q)
	if err = c.ReadBody(w, r); err == nil {
		head := len(c.Body)
		if h := r.Header[headLength]; len(h) > 0 {
			head, err = headOf(h, head)
		}
		if err == nil {
			err = q.readJSON(c, head)
		}
		if err != nil {
			err = c.Malform(err)
		} else {
			err = c.Predict(r.Context())
		}
	}
	h := w.Header()
	c.WriteHeaders(h)
	if err != nil {
		writeError(w, err)
		return
	}
	var head int
	c.Reply, head = q.appendReply(c.Reply[:0], c)
	h["Content-Type"] = jsonType
	if head < len(c.Reply) {
		h["Content-Type"] = binaryType
		h[headLength] = []string{strconv.Itoa(head)}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(c.Reply))}
	c.WriteReply(w)
}

// request returns an empty request to read into.
func (s *Inference) request() *request {
	q, ok := s.requests.Get().(*request)
	if !ok {
		return &request{}
	}
	q.reset()
	return q
}

func headOf(h []string, body int) (int, error) {
	for _, other := range h[1:] {
		if other != h[0] {
			return 0, assay.Errorf(assay.Invalid, "%s is there %d times, and not the same each time", headLength, len(h))
		}
	}
	n, err := strconv.Atoi(h[0])
	if err != nil || n < 0 || n > body {
		return 0, assay.Errorf(assay.Invalid, "%s is not the length of a part of the body, which has %d bytes", headLength, body)
	}
	return n, nil
}

var (
	jsonType   = []string{"application/json"}
	binaryType = []string{"application/octet-stream"}
)

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func writeReady(w http.ResponseWriter, ready bool) {
	if !ready {
		w.Header().Set("Retry-After", "1")
		writeJSON(w, http.StatusServiceUnavailable, []byte(`{"ready":false,"error":"not ready"}`))
		return
	}
	writeJSON(w, http.StatusOK, []byte(`{"ready":true}`))
}

// writeError answers {"error": …}.
func writeError(w http.ResponseWriter, err error) {
	status := serve.Status(err)
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, status, append(schema.AppendJSONString([]byte(`{"error":`), []byte(err.Error())), '}'))
}

// find returns the versions that a request names: the one of that number, or the one that answers and all that are served. Errors are
// NotFound, and Unavailable when the model is served but no version answers by default.
func (s *Inference) find(name, version string) (b *serve.Bound, all []*serve.Bound, err error) {
	all, live := s.Server.Versions(name)
	if len(all) == 0 {
		return nil, nil, assay.Errorf(assay.NotFound, "model %q is not served", clip([]byte(name)))
	}
	if version == "" {
		if live == nil {
			return nil, all, assay.Errorf(assay.Unavailable, "no version of model %q is in production", clip([]byte(name)))
		}
		return live, all, nil
	}
	for _, b := range all {
		if strconv.Itoa(b.Number) == version {
			return b, all, nil
		}
	}
	return nil, all, assay.Errorf(assay.NotFound, "version %s of model %q is not served", clip([]byte(strings.ToValidUTF8(version, "?"))), clip([]byte(name)))
}
