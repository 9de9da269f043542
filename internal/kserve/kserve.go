// Package kserve speaks KServe's V1 protocol: POST /v1/models/{name}:predict with {"instances": […]} and parameters, answered {"predictions": […]},
// and the two lists. What decides is in package serve. The explainer's :explain is not answered.
package kserve

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
)

// A V1 answers the protocol.
type V1 struct{ Server *serve.Server }

// Routes adds the protocol's paths to mux.
func (s *V1) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /v1/models", s.list)
	mux.HandleFunc("GET /v1/models/{name}", s.ready)
	mux.HandleFunc("POST /v1/models/{call}", s.call)
}

func (s *V1) list(w http.ResponseWriter, _ *http.Request) {
	body := []byte(`{"models":[`)
	for i, name := range s.Server.Models() {
		if i > 0 {
			body = append(body, ',')
		}
		body = schema.AppendJSONString(body, []byte(name))
	}
	write(w, http.StatusOK, append(body, "]}"...))
}

func (s *V1) ready(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	versions, live := s.Server.Versions(name)
	if len(versions) == 0 {
		fail(w, assay.Errorf(assay.NotFound, "model %q is not served", name[:min(len(name), 100)]))
		return
	}
	ready := live != nil && s.Server.Ready()
	body := append(schema.AppendJSONString([]byte(`{"name":`), []byte(name)), `,"ready":`...)
	body = append(strconv.AppendBool(body, ready), '}')
	write(w, pick(ready), body)
}

func pick(ready bool) int {
	if ready {
		return http.StatusOK
	}
	return http.StatusServiceUnavailable
}

func (s *V1) call(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutSuffix(r.PathValue("call"), ":predict")
	if !ok || name == "" {
		fail(w, assay.Errorf(assay.NotFound, "the path must be /v1/models/NAME:predict"))
		return
	}
	c, err := s.Server.BeginWith("kserve", name, "", serve.RequestID(r), r.Header.Get)
	if err != nil {
		s.Server.NameRequest(w.Header(), serve.RequestID(r))
		fail(w, err)
		return
	}
	defer c.End()
	c.Traced(r.Header.Get(serve.TraceHeader), r.Header.Values(serve.TraceStateHeader))
	if err = c.ReadBody(w, r); err == nil {
		if err = read(c); err != nil {
			err = c.Malform(err)
		} else {
			err = c.Predict(r.Context())
		}
	}
	c.WriteHeaders(w.Header())
	if err != nil {
		fail(w, err)
		return
	}
	c.Reply = reply(c.Reply[:0], c)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(c.Reply)))
	c.WriteReply(w)
}

// read reads {"instances": […], "parameters": {…}}, where params is another word for parameters; other keys, as signature_name, are ignored.
func read(c *serve.Call) error {
	r := &c.Reader
	r.Reset(c.Body, 0)
	if r.Kind() != schema.JSONObject {
		if _, ok := r.Skip(); !ok || !r.End() {
			return r.Err()
		}
		return assay.Errorf(assay.Invalid, `the request must be an object with "instances"`)
	}
	found, given := false, false
	for more := r.Enter(); more; more = r.More() {
		key, ok := r.Key()
		if !ok {
			return r.Err()
		}
		var err error
		switch string(key) {
		case "instances":
			if found {
				return assay.Errorf(assay.Invalid, "instances is there twice")
			}
			found = true
			err = c.ReadInstances(r)
		case "parameters", "params":
			if given {
				return assay.Errorf(assay.Invalid, "parameters is there twice")
			}
			given = true
			err = c.ReadParams(r)
		default:
			r.Skip()
		}
		if err != nil && r.Err() == nil {
			return err
		}
	}
	if !r.End() {
		return r.Err()
	}
	if !found {
		return assay.Errorf(assay.Invalid, `the request has no "instances"`)
	}
	return nil
}

// reply writes the predicted classes or values.
func reply(dst []byte, c *serve.Call) []byte {
	dst = append(dst, `{"predictions":[`...)
	for row := range c.Rows.Rows() {
		if row > 0 {
			dst = append(dst, ',')
		}
		if len(c.Version().Classes) == 0 {
			dst = serve.AppendNumber(dst, c.Output.Values[row])
		} else {
			dst = c.Version().AppendLabel(dst, c.Output.Labels[row])
		}
	}
	return append(dst, "]}"...)
}

func fail(w http.ResponseWriter, err error) {
	status := serve.Status(err)
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	write(w, status, append(schema.AppendJSONString([]byte(`{"error":`), []byte(err.Error())), '}'))
}

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that went away needs no answer
}
