package store

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	intoto "github.com/in-toto/attestation/go/v1"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/assay-ml/assay"
)

func exported(t testing.TB) (*SQLite, assay.Record, []byte, crypto.PublicKey) {
	s := openDir(t, t.TempDir())
	a := add(t, s, assay.KindDatasheet, digest("data"), nil, assay.Datasheet{Complete: true})
	b := add(t, s, assay.KindCI, digest("data"), []assay.Digest{a.ID}, assay.CI{Verdict: assay.Pass})
	must(s.Append(t.Context(), map[string]string{"user": "somebody"}, evidence(t, assay.KindCI, digest("other"), nil, assay.CI{})))(t)
	env := must(s.Export(t.Context(), b.ID))(t)
	key := must(ParsePublicKey(must(s.PublicKey(t.Context()))(t)))(t)
	return s, b, env, key
}

func TestExport(t *testing.T) {
	s, b, env, key := exported(t)
	st := must(VerifyEnvelope(t.Context(), env, key))(t)
	if len(st.Predicate.Evidence) != 2 || st.Predicate.Evidence[1].ID != b.ID || len(st.Subject) != 1 || st.Subject[0].Digest["sha256"] != digest("data").Hex() {
		t.Errorf("%+v", st)
	}
	if again := must(s.Export(t.Context(), b.ID))(t); !bytes.Equal(again, env) {
		t.Error("the same export has other bytes")
	}
	var e dsse.Envelope
	if err := json.Unmarshal(env, &e); err != nil {
		t.Fatal(err)
	}
	body := must(e.DecodeB64Payload())(t)
	var peer intoto.Statement
	if err := protojson.Unmarshal(body, &peer); err != nil {
		t.Fatal(err)
	}
	if err := peer.Validate(); err != nil {
		t.Error(err)
	}
	all := must(s.Export(t.Context(), must(s.Find(t.Context(), Query{Subject: digest("other")}))(t)[0].ID))(t)
	if raw := must(VerifyEnvelope(t.Context(), all, key))(t); strings.Contains(string(must(json.Marshal(raw))(t)), "somebody") {
		t.Error("an export shows circumstances")
	}
	_, err := s.Export(t.Context())
	wants(t, err, assay.Invalid)
	_, err = s.Export(t.Context(), digest("nowhere"))
	wants(t, err, assay.NotFound)
}

// resign changes the statement of an envelope and signs it again with the store's own key: the signature is right, the content not.
func resign(t *testing.T, s *SQLite, env []byte, change func(*Statement)) []byte {
	t.Helper()
	var e dsse.Envelope
	if err := json.Unmarshal(env, &e); err != nil {
		t.Fatal(err)
	}
	var st Statement
	if err := json.Unmarshal(must(e.DecodeB64Payload())(t), &st); err != nil {
		t.Fatal(err)
	}
	change(&st)
	signer := must(dsse.NewEnvelopeSigner(must(s.key(t.Context()))(t)))(t)
	signed := must(signer.SignPayload(t.Context(), PayloadType, must(json.Marshal(st))(t)))(t)
	return must(json.Marshal(signed))(t)
}

func TestVerifyEnvelope(t *testing.T) {
	s, _, env, key := exported(t)
	ctx := t.Context()
	stranger, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, err = VerifyEnvelope(ctx, env, stranger)
	wants(t, err, assay.Rejected, "no given key has signed")
	must(VerifyEnvelope(ctx, env, stranger, key, key))(t)
	_, err = VerifyEnvelope(ctx, env)
	wants(t, err, assay.Invalid, "no public key")
	weak := must(rsa.GenerateKey(rand.Reader, 2048))(t)
	_, err = VerifyEnvelope(ctx, env, weak.Public())
	wants(t, err, assay.Invalid, "want an ed25519 or ECDSA")
	for _, junk := range []string{"", "{}", "null", "[]", string(env) + "x", `{"payload":"!","payloadType":"x","signatures":[]}`} {
		if _, err := VerifyEnvelope(ctx, []byte(junk), key); err == nil {
			t.Errorf("%q is accepted", junk)
		}
	}
	for text, change := range map[string]func(*Statement){
		"its content has the id":  func(st *Statement) { st.Predicate.Evidence[0].Payload = json.RawMessage(`{}`) },
		"does not come before it": func(st *Statement) { st.Predicate.Evidence = st.Predicate.Evidence[1:] },
		"announced and missing":   func(st *Statement) { st.Predicate.Asked = append(st.Predicate.Asked, digest("more")) },
		"is of no evidence":       func(st *Statement) { st.Subject[0].Digest["sha256"] = digest("x").Hex() },
		"subjects are named of 1": func(st *Statement) { st.Subject = nil },
		"malformed":               func(st *Statement) { st.Predicate.Evidence[0].Version = 0 },
	} {
		_, err := VerifyEnvelope(ctx, resign(t, s, env, change), key)
		wants(t, err, assay.Rejected, text)
	}
	_, err = VerifyEnvelope(ctx, resign(t, s, env, func(st *Statement) { st.PredicateType = "https://slsa.dev/provenance/v1" }), key)
	wants(t, err, assay.Invalid, "not a statement of evidence")

	// Every byte of the signed body counts.
	var e dsse.Envelope
	if err := json.Unmarshal(env, &e); err != nil {
		t.Fatal(err)
	}
	body := must(e.DecodeB64Payload())(t)
	for i := range body {
		bad := bytes.Clone(body)
		bad[i] ^= 1
		e.Payload = base64.StdEncoding.EncodeToString(bad)
		if _, err := VerifyEnvelope(ctx, must(json.Marshal(e))(t), key); err == nil {
			t.Fatalf("a change of byte %d goes unnoticed", i)
		}
	}
}

type ecdsaSigner struct{ key *ecdsa.PrivateKey }

func (k ecdsaSigner) Sign(_ context.Context, data []byte) ([]byte, error) {
	h := crypto.SHA256.New()
	h.Write(data)
	return ecdsa.SignASN1(rand.Reader, k.key, h.Sum(nil))
}
func (k ecdsaSigner) KeyID() (string, error) { return dsse.SHA256KeyID(k.key.Public()) }

func TestVerifyECDSA(t *testing.T) {
	_, _, env, _ := exported(t)
	var e dsse.Envelope
	if err := json.Unmarshal(env, &e); err != nil {
		t.Fatal(err)
	}
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	signer := must(dsse.NewEnvelopeSigner(ecdsaSigner{key}))(t)
	signed := must(signer.SignPayload(t.Context(), PayloadType, must(e.DecodeB64Payload())(t)))(t)
	must(VerifyEnvelope(t.Context(), must(json.Marshal(signed))(t), key.Public()))(t)
}

func TestSigningKey(t *testing.T) {
	dir := t.TempDir()
	stores := []*SQLite{openDir(t, dir), openDir(t, dir), openDir(t, dir)}
	keys := make([]string, len(stores))
	var wg sync.WaitGroup
	for i, s := range stores {
		wg.Go(func() {
			if k, err := s.PublicKey(context.Background()); err == nil {
				keys[i] = string(k)
			}
		})
	}
	wg.Wait()
	if keys[0] == "" || keys[0] != keys[1] || keys[1] != keys[2] {
		t.Fatalf("first use at once made several keys: %q", keys)
	}
	p := filepath.Join(dir, keyName)
	if fi := must(os.Stat(p))(t); fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %o", fi.Mode())
	}
	if err := os.Chmod(p, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := stores[0].PublicKey(t.Context())
	wants(t, err, assay.Forbidden, "can be read by others")
	if err := os.WriteFile(p, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(p, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = stores[0].PublicKey(t.Context())
	wants(t, err, assay.Unavailable, "the signing key is damaged")
	for _, junk := range []string{"", "junk", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"} {
		_, err := ParsePublicKey([]byte(junk))
		wants(t, err, assay.Invalid)
	}
}

func FuzzVerifyEnvelope(f *testing.F) {
	_, _, env, key := exported(f)
	f.Add(env)
	f.Add([]byte(`{"payload":"","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"","sig":""}]}`))
	want, err := VerifyEnvelope(context.Background(), env, key)
	if err != nil {
		f.Fatal(err)
	}
	good, err := json.Marshal(want)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		st, err := VerifyEnvelope(context.Background(), raw, key)
		if assay.CodeOf(err) == assay.Internal {
			t.Fatal(err)
		}
		if err != nil {
			return
		}
		if got, err := json.Marshal(st); err != nil || !bytes.Equal(got, good) {
			t.Fatalf("another statement verifies: %s", got)
		}
	})
}
