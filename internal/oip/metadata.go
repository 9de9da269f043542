package oip

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/learn"
)

const serverName = "assay"

// extensions are those of the protocol that this server has, by Triton's names.
var extensions = []string{"binary_tensor_data", "model_repository"}

// A port is an input or output in a model's metadata.
type port struct {
	Name       string            `json:"name"`
	Datatype   string            `json:"datatype"`
	Shape      []int64           `json:"shape"`
	Parameters map[string]string `json:"parameters,omitempty"`
}

// A modelMetadata is what is told of a model.
type modelMetadata struct {
	Name       string            `json:"name"`
	Versions   []string          `json:"versions"`
	Platform   string            `json:"platform"`
	Inputs     []port            `json:"inputs"`
	Outputs    []port            `json:"outputs"`
	Parameters map[string]string `json:"parameters"`
}

func describe(b *serve.Bound, all []*serve.Bound) modelMetadata {
	m := modelMetadata{
		Name: b.Name, Platform: b.Platform, Inputs: []port{},
		Parameters: map[string]string{"content_type": "pd", "version": strconv.Itoa(b.Number), "model_digest": string(b.Model)},
	}
	if b.Threshold != 0 {
		m.Parameters["positive"], m.Parameters["threshold"] = b.Positive, strconv.FormatFloat(b.Threshold, 'g', -1, 64)
	}
	for _, v := range all {
		m.Versions = append(m.Versions, strconv.Itoa(v.Number))
	}
	in := b.Inputs()
	for i := range in.Fields() {
		f := in.Field(i)
		typ, content := inputType(b, i)
		m.Inputs = append(m.Inputs, port{f.Name, typ.String(), []int64{-1}, map[string]string{"content_type": content}})
	}
	typ := predictionType(b)
	m.Outputs = []port{{serve.PredictionField, typ.String(), []int64{-1}, map[string]string{"content_type": contentType(typ)}}}
	if hasProbabilities(b) {
		m.Outputs = append(m.Outputs, port{
			probabilitiesName, typeFP64.String(),
			[]int64{-1, int64(len(b.Classes))},
			map[string]string{"content_type": "np", "classes": classList(b)},
		})
	}
	return m
}

// inputType is columnType of a field, but that whole numbers have the width that the model takes.
func inputType(b *serve.Bound, i int) (datatype, string) {
	typ, content := columnType(b.Inputs().Field(i).Type)
	if typ == typeInt64 {
		if t, ok := b.Element(i); ok && wholeTypes[t] != noType {
			typ = wholeTypes[t]
		}
	}
	return typ, content
}

var wholeTypes = map[learn.ElementType]datatype{
	learn.Int8: typeInt8, learn.Int16: typeInt16, learn.Int32: typeInt32,
	learn.Uint8: typeUint8, learn.Uint16: typeUint16, learn.Uint32: typeUint32, learn.Uint64: typeUint64,
}

// columnType is the datatype in which a column is best sent, and the codec by which MLServer's clients write it.
func columnType(t assay.Type) (datatype, string) {
	switch t {
	case assay.TypeInteger:
		return typeInt64, "np"
	case assay.TypeNumber:
		return typeFP64, "np"
	case assay.TypeBoolean:
		return typeBool, "np"
	case assay.TypeDate, assay.TypeTimestamp:
		return typeBytes, "datetime"
	case assay.TypeBinary:
		return typeBytes, "base64"
	}
	return typeBytes, "str"
}

func writeDocument(w http.ResponseWriter, doc any) {
	body, err := json.Marshal(doc)
	if err != nil {
		writeError(w, assay.Errorf(assay.Internal, "%w", err))
		return
	}
	writeJSON(w, http.StatusOK, body)
}

func (s *Inference) serverMetadata(w http.ResponseWriter, _ *http.Request) {
	writeDocument(w, struct {
		Name       string   `json:"name"`
		Version    string   `json:"version"`
		Extensions []string `json:"extensions"`
	}{serverName, s.Version, extensions})
}

// models lists the names that are served, as KServe does.
func (s *Inference) models(w http.ResponseWriter, _ *http.Request) {
	writeDocument(w, map[string][]string{"models": append([]string{}, s.Server.Models()...)})
}

func (s *Inference) modelMetadata(w http.ResponseWriter, r *http.Request) {
	b, all, err := s.find(r.PathValue("name"), r.PathValue("version"))
	if err != nil {
		writeError(w, err)
		return
	}
	writeDocument(w, describe(b, all))
}

// modelReady answers 200 while a version takes traffic, 503 while the server does not, and 404 for what is not served.
func (s *Inference) modelReady(w http.ResponseWriter, r *http.Request) {
	b, _, err := s.find(r.PathValue("name"), r.PathValue("version"))
	if err != nil {
		writeError(w, err)
		return
	}
	if !s.Server.Ready() || !b.Healthy() {
		writeReady(w, false)
		return
	}
	writeDocument(w, struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		Ready   bool   `json:"ready"`
	}{b.Name, strconv.Itoa(b.Number), true})
}
