package oip

import (
	"context"
	"io"
	"net/http"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
)

// maxIndexBody is how long the body of a request to the repository may be; it holds nothing but {"ready": true}.
const maxIndexBody = 64 << 10

// list returns the index, or what is served where there is no repository.
func (s *Inference) list(ctx context.Context, ready bool) ([]Listed, error) {
	var all []Listed
	if s.Repository != nil {
		var err error
		if all, err = s.Repository.Index(ctx); err != nil {
			return nil, err
		}
	} else {
		for _, name := range s.Server.Models() {
			versions, _ := s.Server.Versions(name)
			for _, b := range versions {
				all = append(all, Listed{Name: name, Version: b.Number, Ready: true})
			}
		}
	}
	out := []Listed{}
	for _, l := range all {
		if l.Ready || !ready {
			out = append(out, l)
		}
	}
	return out, nil
}

func (s *Inference) index(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxIndexBody))
	if err != nil {
		writeError(w, assay.Errorf(assay.Invalid, "the body could not be read"))
		return
	}
	ready, err := readyOnly(body)
	if err != nil {
		writeError(w, err)
		return
	}
	all, err := s.list(r.Context(), ready)
	if err != nil {
		writeError(w, err)
		return
	}
	writeDocument(w, all)
}

// readyOnly reads {"ready": true}; an empty body wants everything.
func readyOnly(body []byte) (ready bool, err error) {
	var r schema.Reader
	r.Reset(body, 0)
	if r.Kind() == schema.JSONEnd && r.End() {
		return false, nil
	}
	if r.Kind() != schema.JSONObject {
		return false, assay.Errorf(assay.Invalid, "the request must be an object")
	}
	for more := r.Enter(); more; more = r.More() {
		key, _ := r.Key()
		if string(key) == "ready" && r.Kind() == schema.JSONBool {
			ready, _ = r.Bool()
			continue
		}
		r.Skip()
	}
	if !r.End() {
		return false, r.Err()
	}
	return ready, nil
}

var errNoRepository = assay.Errorf(assay.Unimplemented, "this server has no repository: what it serves is fixed")

func (s *Inference) change(ctx context.Context, name string, load bool) error {
	switch {
	case s.Repository == nil:
		return errNoRepository
	case load:
		return s.Repository.Load(ctx, name)
	}
	return s.Repository.Unload(ctx, name)
}

func (s *Inference) load(w http.ResponseWriter, r *http.Request) { s.answerChange(w, r, true) }

func (s *Inference) unload(w http.ResponseWriter, r *http.Request) { s.answerChange(w, r, false) }

func (s *Inference) answerChange(w http.ResponseWriter, r *http.Request, load bool) {
	name := r.PathValue("name")
	if err := s.change(r.Context(), name, load); err != nil {
		writeError(w, err)
		return
	}
	writeDocument(w, map[string]any{"name": name, pick(load, "load", "unload"): true})
}

func pick(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}
