package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/assay-ml/assay"
)

// Names in an export.
const (
	PayloadType   = "application/vnd.in-toto+json"
	StatementType = "https://in-toto.io/Statement/v1"
	PredicateType = "https://github.com/assay-ml/assay/evidence/v1"
)

// MaxEnvelopeBytes is the largest envelope that is read or written.
const MaxEnvelopeBytes = 256 << 20

const keyName = "signing_key.pem"

// A Statement is an in-toto statement about the subjects of evidence.
type Statement struct {
	Type          string     `json:"_type"`
	Subject       []Resource `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     Predicate  `json:"predicate"`
}

// A Resource names a subject of a statement.
type Resource struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"` // "sha256" to hex
}

// A Predicate holds evidence, each after those it was derived from.
type Predicate struct {
	Asked    []assay.Digest `json:"asked"` // the ids that the export was made for
	Evidence []Exported     `json:"evidence"`
}

// Exported is evidence with its id and what the journal tells of it. Its circumstances (host, user, paths) stay in the store.
type Exported struct {
	ID assay.Digest `json:"id"`
	assay.Evidence
	Producer string       `json:"producer"`
	At       time.Time    `json:"at"`
	Seq      int64        `json:"seq"`
	Entry    assay.Digest `json:"entry"` // hash of the journal entry
}

// Export implements Store.
func (s *SQLite) Export(ctx context.Context, ids ...assay.Digest) ([]byte, error) {
	if len(ids) == 0 {
		return nil, assay.Errorf(assay.Invalid, "no evidence is named for the export").Try("assay evidence list")
	}
	records, err := s.ancestry(ctx, ids)
	if err != nil {
		return nil, err
	}
	st := Statement{Type: StatementType, Subject: []Resource{}, PredicateType: PredicateType, Predicate: Predicate{unique(ids), []Exported{}}}
	size := 0
	for _, r := range records {
		if size += len(r.Payload); size > MaxEnvelopeBytes/2 {
			return nil, assay.Errorf(assay.Invalid, "the evidence has more than %d bytes: export it in parts", MaxEnvelopeBytes/2)
		}
		st.Predicate.Evidence = append(st.Predicate.Evidence, Exported{r.ID, r.Evidence, r.Entry.Producer, r.Entry.At, r.Entry.Seq, r.Entry.Hash})
		if slices.Contains(st.Predicate.Asked, r.ID) {
			st.Subject = append(st.Subject, Resource{string(r.Kind) + " " + r.ID.Short(), map[string]string{"sha256": r.Subject.Hex()}})
		}
	}
	body, err := json.Marshal(st)
	if err != nil {
		return nil, assay.Errorf(assay.Internal, "the export cannot be written: %w", err)
	}
	key, err := s.key(ctx)
	if err != nil {
		return nil, err
	}
	signer, err := dsse.NewEnvelopeSigner(key)
	if err != nil {
		return nil, assay.Errorf(assay.Internal, "the export cannot be signed: %w", err)
	}
	env, err := signer.SignPayload(ctx, PayloadType, body)
	if err != nil {
		return nil, assay.Errorf(assay.Internal, "the export cannot be signed: %w", err)
	}
	out, err := json.MarshalIndent(env, "", "  ")
	if err != nil {
		return nil, assay.Errorf(assay.Internal, "the export cannot be written: %w", err)
	}
	return append(out, '\n'), nil
}

// ancestry returns the records of the ids and of everything they were derived from, oldest first.
func (s *SQLite) ancestry(ctx context.Context, ids []assay.Digest) ([]assay.Record, error) {
	var out []assay.Record
	err := s.snapshot(ctx, "evidence cannot be read", func(tx *sql.Tx) error {
		seen := map[assay.Digest]bool{}
		for todo := slices.Clone(ids); len(todo) > 0; {
			id := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if seen[id] {
				continue
			}
			seen[id] = true
			r, err := get(ctx, tx, id)
			if err != nil {
				return err
			}
			out = append(out, r)
			todo = append(todo, r.Parents...)
		}
		return nil
	})
	slices.SortFunc(out, func(a, b assay.Record) int { return cmp.Compare(a.Entry.Seq, b.Entry.Seq) })
	return out, err
}

// VerifyEnvelope checks an export: that one of the keys signed it, that it is a statement of evidence, that each id is that of its
// content and that everything an evidence was derived from is in it. It returns Invalid for what is not such an envelope and Rejected
// for one that does not hold. Keys are ed25519 or ECDSA public keys.
func VerifyEnvelope(ctx context.Context, envelope []byte, keys ...crypto.PublicKey) (Statement, error) {
	if len(envelope) > MaxEnvelopeBytes {
		return Statement{}, assay.Errorf(assay.Invalid, "the envelope has %d bytes, more than the limit of %d", len(envelope), MaxEnvelopeBytes)
	}
	var env dsse.Envelope
	if err := strict(envelope, &env); err != nil {
		return Statement{}, assay.Errorf(assay.Invalid, "the file is no DSSE envelope: %s", err).Try("assay evidence export ID -o FILE")
	}
	var verifiers []dsse.Verifier
	seen := map[string]bool{}
	for _, k := range keys {
		v, err := newVerifier(k)
		if err != nil {
			return Statement{}, err
		}
		if !seen[v.id] {
			verifiers = append(verifiers, v)
		}
		seen[v.id] = true
	}
	if len(verifiers) == 0 {
		return Statement{}, assay.Errorf(assay.Invalid, "no public key is given to verify with")
	}
	v, err := dsse.NewEnvelopeVerifier(verifiers...)
	if err != nil {
		return Statement{}, assay.Errorf(assay.Internal, "the envelope cannot be verified: %w", err)
	}
	_, body, err := v.VerifyAndDecode(ctx, &env)
	if err != nil {
		return Statement{}, assay.Errorf(assay.Rejected, "no given key has signed the envelope: %s", err).Try("assay evidence verify FILE --key KEY, with the signer's public key")
	}
	if env.PayloadType != PayloadType {
		return Statement{}, assay.Errorf(assay.Invalid, "the envelope holds %.80q, not an in-toto statement", env.PayloadType)
	}
	var st Statement
	if err := strict(body, &st); err != nil {
		return Statement{}, assay.Errorf(assay.Invalid, "the envelope holds no statement of evidence: %s", err)
	}
	if st.Type != StatementType || st.PredicateType != PredicateType {
		return Statement{}, assay.Errorf(assay.Invalid, "the envelope holds a %.80q about %.80q, not a statement of evidence", st.Type, st.PredicateType)
	}
	return st, st.check()
}

func (st Statement) check() error {
	var ps assay.Problems
	held := map[assay.Digest]bool{}
	subjects := map[string]bool{}
	for _, e := range st.Predicate.Evidence {
		id, err := ID(e.Evidence)
		switch {
		case err != nil:
			ps.Add("evidence %s: %s", e.ID.Short(), err)
		case id != e.ID:
			ps.Add("evidence %s: its content has the id %s", e.ID.Short(), id.Short())
		}
		for _, p := range e.Parents {
			if !held[p] {
				ps.Add("evidence %s was derived from %s, which does not come before it", e.ID.Short(), p.Short())
			}
		}
		held[e.ID] = true
		if slices.Contains(st.Predicate.Asked, e.ID) {
			subjects[e.Subject.Hex()] = true
		}
	}
	for _, id := range st.Predicate.Asked {
		if !held[id] {
			ps.Add("evidence %s is announced and missing", id.Short())
		}
	}
	named := map[string]bool{}
	for _, r := range st.Subject {
		named[r.Digest["sha256"]] = true
		if !subjects[r.Digest["sha256"]] {
			ps.Add("subject %.80q is of no evidence that was asked for", r.Name)
		}
	}
	if len(named) < len(subjects) {
		ps.Add("%d subjects are named of %d", len(named), len(subjects))
	}
	return ps.Err(assay.Rejected, "the statement does not hold")
}

// strict decodes one JSON document without unknown fields and without anything after it.
func strict(raw []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if len(bytes.TrimLeft(raw[dec.InputOffset():], " \t\r\n")) > 0 {
		return errors.New("something follows the document")
	}
	return nil
}

// PublicKey implements Store.
func (s *SQLite) PublicKey(ctx context.Context) ([]byte, error) {
	key, err := s.key(ctx)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key.private.Public())
	if err != nil {
		return nil, assay.Errorf(assay.Internal, "the public key cannot be written: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// ParsePublicKey reads a PEM public key.
func ParsePublicKey(b []byte) (crypto.PublicKey, error) {
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, assay.Errorf(assay.Invalid, "the file is no PEM public key").Try("assay evidence key > key.pem")
	}
	k, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, assay.Errorf(assay.Invalid, "the public key cannot be read: %s", err)
	}
	_, err = newVerifier(k)
	return k, err
}

// signer signs with the store's key.
type signer struct {
	private ed25519.PrivateKey
	id      string
}

// Sign implements dsse.Signer.
func (k *signer) Sign(_ context.Context, data []byte) ([]byte, error) {
	return ed25519.Sign(k.private, data), nil
}

// KeyID implements dsse.Signer.
func (k *signer) KeyID() (string, error) { return k.id, nil }

// verifier checks signatures of one public key.
type verifier struct {
	public crypto.PublicKey
	id     string
}

func newVerifier(k crypto.PublicKey) (*verifier, error) {
	switch k.(type) {
	case ed25519.PublicKey, *ecdsa.PublicKey:
	default:
		return nil, assay.Errorf(assay.Invalid, "a %T cannot verify: want an ed25519 or ECDSA public key", k)
	}
	id, err := dsse.SHA256KeyID(k)
	if err != nil {
		return nil, assay.Errorf(assay.Invalid, "the public key has no id: %s", err)
	}
	return &verifier{k, id}, nil
}

// Verify implements dsse.Verifier.
func (v *verifier) Verify(_ context.Context, data, sig []byte) error {
	ok := false
	switch k := v.public.(type) {
	case ed25519.PublicKey:
		ok = len(k) == ed25519.PublicKeySize && ed25519.Verify(k, data, sig)
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(data)
		ok = ecdsa.VerifyASN1(k, sum[:], sig)
	}
	if !ok {
		return errors.New("the signature does not match")
	}
	return nil
}

// KeyID implements dsse.Verifier.
func (v *verifier) KeyID() (string, error) { return v.id, nil }

// Public implements dsse.Verifier.
func (v *verifier) Public() crypto.PublicKey { return v.public }

// key returns the store's signing key and makes it on first use. It is made under the store's write lock, so that two processes do
// not make two.
func (s *SQLite) key(ctx context.Context) (*signer, error) {
	k, err := s.readKey()
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	err = s.write(ctx, "the signing key cannot be made", func(*sql.Tx) error {
		if k, err = s.readKey(); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			return err
		}
		return writeKey(filepath.Join(s.dir, keyName), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	})
	if err != nil {
		return nil, err
	}
	k, err = s.readKey()
	return k, fault("the signing key cannot be read", err)
}

// Secret returns 32 bytes that only those know who may read the store's key, other ones for every purpose: for digests that tell things apart
// without saying what they are. The key is made on first use.
func (s *SQLite) Secret(ctx context.Context, purpose string) ([]byte, error) {
	k, err := s.key(ctx)
	if err != nil {
		return nil, err
	}
	m := hmac.New(sha256.New, k.private.Seed())
	m.Write([]byte("assay secret\n" + purpose))
	return m.Sum(nil), nil
}

// writeKey writes a file that only its owner reads, whole or not at all.
func writeKey(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil || runtime.GOOS == "windows" {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// readKey reads the signing key. The error is fs.ErrNotExist when there is none yet.
func (s *SQLite) readKey() (*signer, error) {
	path := filepath.Join(s.dir, keyName)
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fs.ErrNotExist
	}
	if err != nil {
		return nil, fault("the signing key cannot be read", err)
	}
	if runtime.GOOS != "windows" && fi.Mode().Perm()&0o077 != 0 {
		return nil, assay.Errorf(assay.Forbidden, "the signing key can be read by others (mode %04o)", fi.Mode().Perm()).Try("chmod 600 %s in the store's directory", keyName)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fault("the signing key cannot be read", err)
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, assay.Errorf(assay.Unavailable, "the signing key is damaged").Try("restore %s from a backup", keyName)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, assay.Errorf(assay.Unavailable, "the signing key is damaged").Try("restore %s from a backup", keyName)
	}
	id, err := dsse.SHA256KeyID(private.Public())
	if err != nil {
		return nil, assay.Errorf(assay.Internal, "the signing key has no id: %w", err)
	}
	return &signer{private, id}, nil
}
