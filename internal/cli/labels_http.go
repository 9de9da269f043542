package cli

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/serve"
)

// A labelDesk takes labels over HTTP while a server runs.
type labelDesk struct {
	s      *session
	server *serve.Server
	nonce  string
	mu     sync.Mutex
	logs   map[string]*monitor.LabelLog // by model
}

// labelAnswer is the answer to labels that are on the disk.
type labelAnswer struct {
	Schema   string `json:"schema"`
	Model    string `json:"model"`
	Accepted int    `json:"accepted"`
	Ahead    int64  `json:"ahead"`   // from the future: they have come now
	Unknown  int64  `json:"unknown"` // no class of a version that is served, or no number: figures leave them out
}

// waitLabels is how many seconds a client should wait when labels cannot be written.
const waitLabels = 5

// take answers POST /labels and POST /models/{name}/labels: 200 when all labels are on the disk, else none is taken.
func (d *labelDesk) take(w http.ResponseWriter, r *http.Request) {
	answer, status, err := d.labels(r)
	w.Header().Set("Content-Type", "application/json")
	if err == nil {
		_ = json.NewEncoder(w).Encode(answer)
		return
	}
	if status == 0 {
		status = assay.CodeOf(err).Info().HTTP
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(waitLabels))
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"schema": "assay.error/1", "code": string(assay.CodeOf(err)), "message": err.Error(), "try": assay.HintOf(err)})
}

func (d *labelDesk) labels(r *http.Request) (*labelAnswer, int, error) {
	name := r.PathValue("name")
	models := d.server.Models()
	switch {
	case name == "" && len(models) == 1:
		name = models[0]
	case name == "":
		return nil, 0, assay.Errorf(assay.Invalid, "several models are served: whose labels are these?").Try("POST /models/NAME/labels")
	case !slices.Contains(models, name):
		return nil, 0, assay.Errorf(assay.NotFound, "no model of that name is served").Try("GET /v2/repository/index says which are")
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return nil, http.StatusUnsupportedMediaType, assay.Errorf(assay.Invalid, "labels are application/json").Try("Content-Type: application/json")
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return nil, http.StatusUnsupportedMediaType, assay.Errorf(assay.Invalid, "labels are not compressed here").Try("send them without Content-Encoding")
	}
	body, done, err := d.server.ReadAll(r.Body, r.ContentLength, monitor.MaxLabelBody)
	defer done()
	if serve.TooLarge(err) {
		return nil, http.StatusRequestEntityTooLarge, assay.Errorf(assay.Invalid, "the body is larger than %d bytes", monitor.MaxLabelBody).Try("send them in several requests, or assay labels add FILE")
	}
	if err != nil {
		return nil, 0, err
	}
	labels, ahead, err := monitor.ReadLabelRequest(body, d.s.labelTable("", "").Join, d.s.Now())
	if err != nil {
		return nil, 0, err
	}
	if err := d.log(name).Append(labels); err != nil {
		return nil, 0, err
	}
	return &labelAnswer{Schema: "assay.labels/1", Model: name, Accepted: len(labels), Ahead: ahead, Unknown: unknownLabels(d.server, name, labels)}, 0, nil
}

// unknownLabels counts labels that mean nothing to any version of a model that is served. They are kept: they may be of an earlier one.
func unknownLabels(server *serve.Server, model string, labels []monitor.Label) (n int64) {
	versions, _ := server.Versions(model)
	for _, l := range labels {
		if !slices.ContainsFunc(versions, func(b *serve.Bound) bool { return monitor.Judges(b.Classes, l.Value) }) {
			n++
		}
	}
	return n
}

func (d *labelDesk) log(name string) *monitor.LabelLog {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.logs[name]
	if l == nil {
		l = monitor.OpenLabelLog(d.s.labelDir(name), d.nonce)
		d.logs[name] = l
	}
	return l
}

// close closes the files of all models.
func (d *labelDesk) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for _, l := range d.logs {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}
