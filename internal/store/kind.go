package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
)

// KindInfo says what the payload of one kind of evidence, in one version, is.
type KindInfo struct {
	Kind    assay.Kind
	Version int
	Type    reflect.Type // the struct in package assay
}

// Kinds returns every kind of evidence that this build reads, each in every version, oldest version first. The caller owns the slice.
func Kinds() []KindInfo {
	return []KindInfo{
		kind[assay.Snapshot](assay.KindSnapshot),
		kind[assay.Datasheet](assay.KindDatasheet),
		kind[assay.Profile](assay.KindProfile),
		kind[assay.SchemaRecord](assay.KindSchema),
		kind[assay.Validation](assay.KindValidation),
		kind[assay.Split](assay.KindSplit),
		kind[assay.Run](assay.KindRun),
		kind[assay.Reproduction](assay.KindReproduction),
		kind[assay.Search](assay.KindSearch),
		kind[assay.Model](assay.KindModel),
		kind[assay.Disclosure](assay.KindDisclosure),
		kind[assay.Evaluation](assay.KindEvaluation),
		kind[assay.Comparison](assay.KindComparison),
		kind[assay.Waiver](assay.KindWaiver),
		kind[assay.Judgement](assay.KindVerdict),
		kind[assay.Promotion](assay.KindPromotion),
		kind[assay.Card](assay.KindCard),
		kind[assay.CI](assay.KindCI),
		kind[assay.Serving](assay.KindServing),
		kind[assay.Rollout](assay.KindRollout),
		kind[assay.Monitor](assay.KindMonitor),
		kind[assay.TestFire](assay.KindTestFire),
		kind[assay.Drift](assay.KindDrift),
		kind[assay.Outcome](assay.KindOutcome),
		kind[assay.Incident](assay.KindAlert),
	}
}

func kind[T any](k assay.Kind) KindInfo {
	return KindInfo{Kind: k, Version: 1, Type: reflect.TypeFor[T]()}
}

// What the digests of a payload name, as the names tag of their fields says. A field without a tag takes that of the field that holds
// it; "blob if F" is a blob when the field F beside it is true.
const (
	namesBlob     = "blob"     // bytes that must be in the store for as long as the evidence
	namesManifest = "manifest" // a blob of lines, in which every digest is a blob too
	namesEvidence = "evidence" // other evidence, by its id
	namesContent  = "content"  // rows, bytes or settings that need not be in the store
)

// Blobs returns the blobs that a payload, a pointer to Type, stands on: sorted, each once.
func (k KindInfo) Blobs(payload any) []assay.Digest {
	return naming(payload, namesBlob, namesManifest)
}

// BlobsOf returns the blobs that a piece of evidence stands on: sorted, each once. It fails when this build does not read the payload.
func BlobsOf(e assay.Evidence) ([]assay.Digest, error) {
	k, err := lookupKind(e.Kind, e.Version)
	if err != nil {
		return nil, err
	}
	p, err := k.decode(e.Payload)
	if err != nil {
		return nil, err
	}
	return k.Blobs(p), nil
}

// manifests returns those of Blobs that name further blobs.
func (k KindInfo) manifests(payload any) []assay.Digest { return naming(payload, namesManifest) }

// naming returns the digests below a payload that have one of the given tags: sorted, each once.
func naming(payload any, tags ...string) []assay.Digest {
	var out []assay.Digest
	named(reflect.ValueOf(payload), "", func(names, _ string, v reflect.Value) {
		if d := assay.Digest(v.String()); d != "" && slices.Contains(tags, names) {
			out = append(out, d)
		}
	})
	slices.Sort(out)
	return slices.Compact(out)
}

// named calls each with every digest below v, with the tag that says what it names and its place.
func named(v reflect.Value, names string, each func(names, at string, digest reflect.Value)) {
	var walk func(v reflect.Value, names, at string)
	walk = func(v reflect.Value, names, at string) {
		switch {
		case v.Type() == reflect.TypeFor[assay.Digest]():
			each(names, at, v)
		case v.Kind() == reflect.Pointer && !v.IsNil():
			walk(v.Elem(), names, at)
		case v.Kind() == reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i), names, at)
			}
		case v.Kind() == reflect.Map:
			for it := v.MapRange(); it.Next(); {
				walk(it.Value(), names, at)
			}
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				f := v.Type().Field(i)
				inner := f.Tag.Get("names")
				if inner == "" {
					inner = names
				}
				if cond, flag, ok := strings.Cut(inner, " if "); ok {
					if inner = namesContent; v.FieldByName(flag).Bool() {
						inner = cond
					}
				}
				walk(v.Field(i), inner, at+"."+f.Name)
			}
		}
	}
	walk(v, names, "")
}

func latest(k assay.Kind) (KindInfo, bool) {
	var out KindInfo
	for _, info := range Kinds() {
		if info.Kind == k && info.Version > out.Version {
			out = info
		}
	}
	return out, out.Version > 0
}

func lookupKind(k assay.Kind, version int) (KindInfo, error) {
	newest, ok := latest(k)
	if !ok {
		return KindInfo{}, assay.Errorf(assay.Invalid, "%q is not a kind of evidence", k)
	}
	if version > newest.Version {
		return KindInfo{}, assay.Errorf(assay.Unimplemented, "%s evidence of version %d is newer than this build reads (%d)", k, version, newest.Version).
			Try("use a newer assay")
	}
	for _, info := range Kinds() {
		if info.Kind == k && info.Version == version {
			return info, nil
		}
	}
	return KindInfo{}, assay.Errorf(assay.Invalid, "%s evidence has no version %d", k, version)
}

// encode turns a value of the kind's type, or a pointer to one, into canonical JSON.
func (k KindInfo) encode(payload any) ([]byte, error) {
	v := reflect.ValueOf(payload)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if !v.IsValid() || v.Type() != k.Type {
		return nil, assay.Errorf(assay.Invalid, "the payload of %s evidence is a %s, not a %T", k.Kind, k.Type.Name(), payload)
	}
	raw, err := json.Marshal(payload)
	if err != nil {
		return nil, assay.Errorf(assay.Invalid, "the payload of %s evidence cannot be written: %s", k.Kind, err)
	}
	into := reflect.New(k.Type) // a copy, so that the caller's nil lists stay as they are
	if err := json.Unmarshal(raw, into.Interface()); err != nil {
		return nil, assay.Errorf(assay.Invalid, "the payload of %s evidence cannot be read back: %s", k.Kind, err)
	}
	return k.form(into)
}

// form writes the one form of a decoded payload.
func (k KindInfo) form(p reflect.Value) ([]byte, error) {
	fill(p.Elem())
	raw, err := json.Marshal(p.Interface())
	if err != nil {
		return nil, assay.Errorf(assay.Invalid, "the payload of %s evidence cannot be written: %s", k.Kind, err)
	}
	out, err := canonicalObject(raw)
	if err != nil {
		return nil, assay.Errorf(assay.Invalid, "the payload of %s evidence: %s", k.Kind, err)
	}
	return out, nil
}

// decode reads a canonical payload strictly: it must be exactly what the kind's type writes, nothing more, nothing less.
func (k KindInfo) decode(payload []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.DisallowUnknownFields()
	p := reflect.New(k.Type)
	if err := dec.Decode(p.Interface()); err != nil {
		return nil, assay.Errorf(assay.Invalid, "the payload is no %s: %s", k.Type.Name(), strings.TrimPrefix(err.Error(), "json: "))
	}
	form, err := k.form(p)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(form, payload) {
		return nil, assay.Errorf(assay.Invalid, "the payload is no %s: %s", k.Type.Name(), mismatch(payload, form))
	}
	return p.Interface(), nil
}

// mismatch names the first place where a payload differs from the form of its type. It shows no value.
func mismatch(got, want []byte) string {
	var g, w any
	if json.Unmarshal(got, &g) != nil || json.Unmarshal(want, &w) != nil {
		return "it is not JSON"
	}
	if at := differ("", g, w); at != "" {
		return at
	}
	return "a number or a text is not written as the type writes it"
}

func differ(at string, got, want any) string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s must be an object", place(at))
		}
		for _, k := range slices.Sorted(maps.Keys(w)) {
			if _, ok := g[k]; !ok {
				return fmt.Sprintf("%s is missing", place(at+"/"+k))
			}
		}
		for _, k := range slices.Sorted(maps.Keys(g)) {
			if _, ok := w[k]; !ok {
				return fmt.Sprintf("%s is unknown, or empty and to be left out", place(at+"/"+k))
			}
			if d := differ(at+"/"+k, g[k], w[k]); d != "" {
				return d
			}
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Sprintf("%s must be a list", place(at))
		}
		for i := range w {
			if d := differ(fmt.Sprintf("%s/%d", at, i), g[i], w[i]); d != "" {
				return d
			}
		}
	default:
		if got != want {
			return fmt.Sprintf("%s is not written as its type writes it", place(at))
		}
	}
	return ""
}

func place(at string) string {
	if at == "" {
		return "it"
	}
	return at
}

// fill turns the nil lists and maps below v into empty ones.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fill(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		if v.IsNil() {
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Map:
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
	}
}
