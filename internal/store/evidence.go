package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gowebpki/jcs"

	"github.com/assay-ml/assay"
)

// Limits of one evidence.
const (
	MaxPayloadBytes = 16 << 20
	MaxDepth        = 64   // of nested arrays and objects in a payload
	MaxParents      = 4096 // a search names each of its runs
)

// Evidence makes evidence of a payload that has the Go type of its kind, in the newest version. Parents are sorted and made unique;
// nil lists and maps become empty ones, so that one fact has one form. It returns Invalid, naming every violation, for an unknown
// kind, a payload of another type, a subject or parent that is no digest, a number that canonical JSON does not keep exactly, or
// a payload beyond the limits.
func Evidence(kind assay.Kind, subject assay.Digest, parents []assay.Digest, payload any) (assay.Evidence, error) {
	k, ok := latest(kind)
	if !ok {
		return assay.Evidence{}, assay.Errorf(assay.Invalid, "%q is not a kind of evidence", kind)
	}
	p, err := k.encode(payload)
	if err != nil {
		return assay.Evidence{}, err
	}
	e := assay.Evidence{Kind: kind, Version: k.Version, Subject: subject, Parents: unique(parents), Payload: p}
	if _, err := ID(e); err != nil {
		return assay.Evidence{}, err
	}
	return e, nil
}

// unique returns a sorted copy without repetitions, never nil.
func unique(ds []assay.Digest) []assay.Digest {
	out := append([]assay.Digest{}, ds...)
	slices.Sort(out)
	return slices.Compact(out)
}

// ID returns the id of e: the SHA-256 of the RFC 8785 canonical JSON of its five fields. The order of keys and the white space of
// the payload do not matter. It returns Invalid, naming every violation, for evidence that is malformed; whether the payload fits
// its kind is checked when it is appended.
func ID(e assay.Evidence) (assay.Digest, error) {
	c, err := canonical(e)
	if err != nil {
		return "", err
	}
	return c.id, nil
}

// canon is evidence in canonical form.
type canon struct {
	id      assay.Digest
	payload []byte
}

func canonical(e assay.Evidence) (canon, error) {
	var ps assay.Problems
	if e.Kind == "" || strings.Trim(string(e.Kind), "abcdefghijklmnopqrstuvwxyz_") != "" {
		ps.Add("kind %q: want lower-case letters", e.Kind)
	}
	if e.Version < 1 {
		ps.Add("version %d: the first is 1", e.Version)
	}
	if _, err := assay.ParseDigest(string(e.Subject)); err != nil {
		ps.Add("subject %s", err)
	}
	if len(e.Parents) > MaxParents {
		ps.Add("%d parents, more than the limit of %d", len(e.Parents), MaxParents)
	}
	for i, p := range e.Parents {
		if _, err := assay.ParseDigest(string(p)); err != nil {
			ps.Add("parent %s", err)
		} else if i > 0 && e.Parents[i-1] >= p {
			ps.Add("parent %s is out of order or repeated", p.Short())
		}
	}
	payload, err := canonicalObject(e.Payload)
	if err != nil {
		ps.Add("payload: %s", err)
	}
	if err := ps.Err(assay.Invalid, fmt.Sprintf("malformed %s evidence", e.Kind)); err != nil {
		return canon{}, err
	}
	return canon{idOf(e, payload), payload}, nil
}

// idOf returns the id of evidence that is well formed and whose payload is in canonical form.
func idOf(e assay.Evidence, payload []byte) assay.Digest {
	// The five keys are in the order of RFC 8785, and nothing outside the payload needs an escape.
	var b bytes.Buffer
	b.Grow(len(payload) + 256 + 80*len(e.Parents))
	fmt.Fprintf(&b, `{"kind":%q,"parents":[`, e.Kind)
	for i, p := range e.Parents {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `%q`, p)
	}
	b.WriteString(`],"payload":`)
	b.Write(payload)
	fmt.Fprintf(&b, `,"subject":%q,"version":%d}`, e.Subject, e.Version)
	return assay.DigestOf(b.Bytes())
}

// canonicalObject returns the RFC 8785 form of a payload.
func canonicalObject(raw []byte) ([]byte, error) { return canonicalJSON(raw, MaxPayloadBytes) }

// canonicalJSON returns the RFC 8785 form of a JSON object of at most limit bytes, if that keeps all that it says.
func canonicalJSON(raw []byte, limit int) ([]byte, error) {
	if len(raw) > limit {
		return nil, assay.Errorf(assay.Invalid, "%d bytes, more than the limit of %d", len(raw), limit)
	}
	if !utf8.Valid(raw) {
		return nil, assay.Errorf(assay.Invalid, "not UTF-8")
	}
	if err := exact(raw); err != nil {
		return nil, err
	}
	out, err := jcs.Transform(raw)
	if err != nil {
		return nil, assay.Errorf(assay.Invalid, "not canonical JSON: %s", err)
	}
	if len(out) > limit {
		return nil, assay.Errorf(assay.Invalid, "%d bytes in canonical form, more than the limit of %d", len(out), limit)
	}
	return out, nil
}

// exact checks that raw is one JSON object within the depth limit, whose numbers a float64 keeps to the last digit that is written.
func exact(raw []byte) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	depth, first := 0, true
	for {
		tok, err := dec.Token()
		if err != nil {
			return assay.Errorf(assay.Invalid, "not JSON: %s", err)
		}
		switch t := tok.(type) {
		case json.Delim:
			if t == '{' || t == '[' {
				depth++
			} else {
				depth--
			}
		case json.Number:
			if err := exactNumber(string(t)); err != nil {
				return err
			}
		}
		if first && tok != json.Delim('{') {
			return assay.Errorf(assay.Invalid, "not a JSON object")
		}
		if first = false; depth > MaxDepth {
			return assay.Errorf(assay.Invalid, "nested deeper than %d levels", MaxDepth)
		}
		if depth == 0 {
			break
		}
	}
	if rest := bytes.TrimLeft(raw[dec.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return assay.Errorf(assay.Invalid, "something follows the JSON object")
	}
	return nil
}

// exactNumber refuses a number that its canonical form, the shortest text of the nearest float64, would change.
func exactNumber(s string) error {
	if len(s) <= 15 && strings.Trim(s, "-0123456789") == "" {
		return nil
	}
	f, err := json.Number(s).Float64()
	if err != nil {
		return assay.Errorf(assay.Invalid, "the number %.40s is beyond the range of a float64", s)
	}
	short, err := jcs.NumberToJSON(f)
	if err != nil {
		return assay.Errorf(assay.Invalid, "the number %.40s has no canonical form", s)
	}
	if !sameDecimal(s, short) {
		return assay.Errorf(assay.Invalid, "the number %.40s would become %s: write it as a string", s, short)
	}
	return nil
}

// sameDecimal reports whether two JSON numbers denote the same decimal value.
func sameDecimal(a, b string) bool {
	da, ea := decimal(a)
	db, eb := decimal(b)
	return da == db && (ea == eb || da == "")
}

// decimal returns the significant digits of a JSON number, with its sign, and the power of ten of the last one.
func decimal(s string) (digits string, exp int) {
	s, neg := strings.CutPrefix(s, "-")
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		if _, err := fmt.Sscanf(s[i+1:], "%d", &exp); err != nil {
			return "?" + s, 0 // an exponent beyond an int: equal to nothing but itself
		}
		s = s[:i]
	}
	whole, frac, _ := strings.Cut(s, ".")
	exp -= len(frac)
	s = strings.TrimLeft(whole+frac, "0")
	t := strings.TrimRight(s, "0")
	exp += len(s) - len(t)
	if neg && t != "" {
		t = "-" + t
	}
	return t, exp
}

// Parse reads the JSON of one evidence or of a Record, as `assay evidence show --json` writes it. It returns Invalid for what is not
// evidence of a kind that this build knows, and Rejected when it carries an id that is not that of its content.
func Parse(raw []byte) (assay.Evidence, error) {
	const envelope = 1 << 20 // for what surrounds the payload: parents and the journal entry
	if len(raw) > MaxPayloadBytes+envelope {
		return assay.Evidence{}, assay.Errorf(assay.Invalid, "%d bytes, more than evidence has", len(raw))
	}
	doc, err := canonicalJSON(raw, MaxPayloadBytes+envelope)
	if err != nil {
		return assay.Evidence{}, assay.Errorf(assay.Invalid, "the document is no evidence: %w", err)
	}
	var fields map[string]json.RawMessage
	var r assay.Record
	if err := errors.Join(json.Unmarshal(doc, &fields), json.Unmarshal(doc, &r)); err != nil {
		return assay.Evidence{}, assay.Errorf(assay.Invalid, "the document is no evidence: %s", err)
	}
	var ps assay.Problems
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains([]string{"id", "kind", "version", "subject", "parents", "payload", "entry"}, name) {
			ps.Add("unknown field %.80q", name)
		}
	}
	if err := ps.Err(assay.Invalid, "the document is no evidence"); err != nil {
		return assay.Evidence{}, err
	}
	e := r.Evidence
	if e.Parents == nil {
		e.Parents = []assay.Digest{}
	}
	c, err := canonical(e)
	if err != nil {
		return assay.Evidence{}, err
	}
	k, err := lookupKind(e.Kind, e.Version)
	if err != nil {
		return assay.Evidence{}, err
	}
	if _, err := k.decode(c.payload); err != nil {
		return assay.Evidence{}, err
	}
	if r.ID != "" && r.ID != c.id {
		return assay.Evidence{}, assay.Errorf(assay.Rejected, "the evidence calls itself %.80s, and its content has the id %s", r.ID, c.id)
	}
	e.Payload = c.payload
	return e, nil
}
