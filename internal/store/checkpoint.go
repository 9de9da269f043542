package store

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/assay-ml/assay"
)

// MaxCheckpointBytes is the largest checkpoint that is read.
const MaxCheckpointBytes = 1 << 20

// A Checkpoint says what the first Size entries of a journal are. Its text is a signed note as C2SP's tlog-checkpoint describes it:
// origin, size, root, an empty line, signatures. Root is the head of the RFC 6962 Merkle tree whose leaves are the canonical bodies of
// the entries, so that any later journal that still begins with these entries has the same head at that size.
type Checkpoint struct {
	Origin string `json:"origin"` // names the store by its public key
	Size   int64  `json:"size"`   // journal entries
	Root   string `json:"root"`   // base64
	Note   string `json:"note"`   // the signed text
}

// origin is the name of the journal of the store whose key that is, and of the key in its notes: 16 hex digits of the SHA-256 of the
// public key's DER form.
func (k *signer) origin() string {
	der, err := x509.MarshalPKIXPublicKey(k.private.Public())
	if err != nil {
		panic("BUG: an ed25519 key has no DER form: " + err.Error())
	}
	return "assay/journal/" + assay.DigestOf(der).Hex()[:16]
}

// Checkpoint implements Store.
func (s *SQLite) Checkpoint(ctx context.Context) (Checkpoint, error) {
	k, err := s.key(ctx)
	if err != nil {
		return Checkpoint{}, err
	}
	c := Checkpoint{Origin: k.origin()}
	err = s.snapshot(ctx, "the journal cannot be read", func(tx *sql.Tx) error {
		root, n, err := journalHead(ctx, tx, -1)
		c.Root, c.Size = base64.StdEncoding.EncodeToString(root[:]), n
		return err
	})
	if err != nil {
		return Checkpoint{}, err
	}
	sign, err := k.note()
	if err != nil {
		return Checkpoint{}, err
	}
	text, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, c.Root)}, sign)
	if err != nil {
		return Checkpoint{}, assay.Errorf(assay.Internal, "the checkpoint cannot be signed: %w", err)
	}
	c.Note = string(text)
	return c, nil
}

// A noteKey signs notes.
type noteKey struct {
	*signer
	note.Verifier
}

func (k *signer) note() (noteKey, error) {
	v, err := note.NewEd25519VerifierKey(k.origin(), k.private.Public().(ed25519.PublicKey))
	if err != nil {
		return noteKey{}, assay.Errorf(assay.Internal, "the signing key signs no notes: %w", err)
	}
	verify, err := note.NewVerifier(v)
	if err != nil {
		return noteKey{}, assay.Errorf(assay.Internal, "the signing key signs no notes: %w", err)
	}
	return noteKey{k, verify}, nil
}

// Sign implements note.Signer.
func (k noteKey) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(k.private, msg), nil }

// ParseCheckpoint reads the three lines of a checkpoint without looking at its signatures. Further lines of the body are extensions and
// mean nothing here. It returns Invalid for anything else.
func ParseCheckpoint(text []byte) (Checkpoint, error) {
	bad := func(why string, args ...any) (Checkpoint, error) {
		return Checkpoint{}, assay.Errorf(assay.Invalid, "the file is no checkpoint of a journal: "+why, args...).Try("assay evidence checkpoint -o FILE")
	}
	if len(text) > MaxCheckpointBytes {
		return bad("it has %d bytes, more than the limit of %d", len(text), MaxCheckpointBytes)
	}
	c := Checkpoint{Note: string(text)}
	body, _, signed := strings.Cut(c.Note, "\n\n")
	lines := strings.Split(body, "\n")
	if !signed || len(lines) < 3 {
		return bad("want an origin, a size and a root on a line each, an empty line and a signature")
	}
	c.Origin, c.Root = lines[0], lines[2]
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return bad("its size is no number")
	}
	c.Size = size
	if root, err := base64.StdEncoding.Strict().DecodeString(c.Root); err != nil || len(root) != sha256.Size {
		return bad("its root is no SHA-256 in base64")
	}
	if c.Origin == "" {
		return bad("its origin is empty")
	}
	return c, nil
}

// checkpoint holds the journal against a checkpoint that was kept elsewhere.
func (f *fsck) checkpoint(ctx context.Context, q queryer, c Checkpoint) error {
	k, err := f.readKey()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil {
		f.problem("missing", "checkpoint", "", "the store has no key, and a checkpoint was signed with one: this is another store")
	} else if why := k.signed(c); why != "" {
		f.problem("altered", "checkpoint", "", "%s", why)
	}
	root, n, err := journalHead(ctx, q, c.Size)
	switch {
	case err != nil:
		return err
	case n < c.Size:
		f.problem("missing", "journal", "", "the end was cut off: the checkpoint counts %s, and the journal holds %s", entriesText(c.Size), entriesText(n))
	case base64.StdEncoding.EncodeToString(root[:]) != c.Root:
		f.problem("altered", "journal", "", "it was rewritten: its first %s are not those of the checkpoint", entriesText(c.Size))
	}
	return nil
}

func entriesText(n int64) string {
	if n == 1 {
		return "1 entry"
	}
	return assay.FormatCount(n) + " entries"
}

// signed says why a checkpoint is not one that the key has signed; empty when it is.
func (k *signer) signed(c Checkpoint) string {
	if c.Origin != k.origin() {
		return fmt.Sprintf("the checkpoint is of another store: its origin is %.80q, and this store's is %q", c.Origin, k.origin())
	}
	n, err := k.note()
	if err == nil {
		_, err = note.Open([]byte(c.Note), note.VerifierList(n.Verifier))
	}
	if err != nil {
		return "the checkpoint is not signed with the key of this store: it was altered"
	}
	return ""
}

// journalHead returns the head of the Merkle tree over the first limit entries of the journal, all of them for a negative limit, and
// how many there were.
func journalHead(ctx context.Context, q queryer, limit int64) ([sha256.Size]byte, int64, error) {
	var t merkle
	err := each(ctx, q, func(scan func(...any) error) error {
		var body sql.RawBytes
		if err := scan(&body); err != nil {
			return err
		}
		t.add(body)
		return nil
	}, `SELECT body FROM journal ORDER BY seq LIMIT ?`, limit)
	return t.head(), t.n, err
}

// merkle computes the head of the tree of RFC 6962 section 2.1 leaf by leaf: it keeps the heads of the perfect trees that the leaves
// so far divide into, the largest first.
type merkle struct {
	heads [][sha256.Size]byte
	n     int64
}

func (t *merkle) add(leaf []byte) {
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(leaf)
	head := [sha256.Size]byte(h.Sum(nil))
	t.n++
	for i := t.n; i%2 == 0; i /= 2 {
		head = inner(t.heads[len(t.heads)-1], head)
		t.heads = t.heads[:len(t.heads)-1]
	}
	t.heads = append(t.heads, head)
}

func (t *merkle) head() [sha256.Size]byte {
	if t.n == 0 {
		return sha256.Sum256(nil)
	}
	head := t.heads[len(t.heads)-1]
	for i := len(t.heads) - 2; i >= 0; i-- {
		head = inner(t.heads[i], head)
	}
	return head
}

func inner(left, right [sha256.Size]byte) [sha256.Size]byte {
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}
