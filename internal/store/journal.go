package store

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"github.com/gowebpki/jcs"

	"github.com/assay-ml/assay"
)

// entryBody is what the hash of a journal entry covers, in the order of its keys.
type entryBody struct {
	At       string            `json:"at"`
	Context  map[string]string `json:"context"`
	Evidence assay.Digest      `json:"evidence"`
	Previous assay.Digest      `json:"previous"`
	Producer string            `json:"producer"`
	Seq      int64             `json:"seq"`
}

// entryHash returns the canonical body of an entry and the hash that covers it.
func entryHash(e assay.Entry) ([]byte, assay.Digest, error) {
	b := entryBody{e.At.UTC().Format(time.RFC3339Nano), e.Context, e.Evidence, e.Previous, e.Producer, e.Seq}
	if b.Context == nil {
		b.Context = map[string]string{}
	}
	raw, err := json.Marshal(b)
	if err != nil {
		return nil, "", assay.Errorf(assay.Internal, "a journal entry cannot be written: %w", err)
	}
	body, err := jcs.Transform(raw)
	if err != nil {
		return nil, "", assay.Errorf(assay.Internal, "a journal entry has no canonical form: %w", err)
	}
	return body, assay.DigestOf(body), nil
}

// readEntry reads a stored body strictly: an entry whose canonical form is not these very bytes is refused.
func readEntry(body []byte, hash assay.Digest) (assay.Entry, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	var b entryBody
	if err := dec.Decode(&b); err != nil {
		return assay.Entry{}, assay.Errorf(assay.Unavailable, "a journal entry is damaged: %s", err).Try("assay fsck")
	}
	at, err := time.Parse(time.RFC3339Nano, b.At)
	if err != nil {
		return assay.Entry{}, assay.Errorf(assay.Unavailable, "journal entry %d is damaged: its time is not one", b.Seq).Try("assay fsck")
	}
	e := assay.Entry{Seq: b.Seq, Evidence: b.Evidence, Producer: b.Producer, At: at, Context: b.Context, Previous: b.Previous, Hash: hash}
	if len(e.Context) == 0 {
		e.Context = nil
	}
	return e, nil
}

// VerifyJournal checks entries that follow each other: each hash covers its entry, each Previous is the hash of the entry before,
// and sequence numbers go up by one. previous is the hash of the entry before the first, or empty when that is the journal's first.
// It returns every violation. A chain shows editing and removal of what has an entry after it; that the last entries were cut off
// shows only against a hash that was kept elsewhere.
func VerifyJournal(previous assay.Digest, entries []assay.Entry) []string {
	var ps assay.Problems
	for i, e := range entries {
		if _, h, err := entryHash(e); err != nil || h != e.Hash {
			ps.Add("journal entry %d was altered: its hash does not cover it", e.Seq)
		}
		if e.Previous != previous {
			ps.Add("journal entry %d does not follow the entry before it", e.Seq)
		}
		if i > 0 && e.Seq != entries[i-1].Seq+1 {
			ps.Add("journal entry %d follows entry %d: entries are missing", e.Seq, entries[i-1].Seq)
		}
		previous = e.Hash
	}
	return ps
}

// texts returns a copy of m in valid UTF-8.
func texts(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[strings.ToValidUTF8(k, "\uFFFD")] = strings.ToValidUTF8(v, "\uFFFD")
	}
	return out
}
