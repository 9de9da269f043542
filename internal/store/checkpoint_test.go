package store

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
)

// TestMerkle holds the head against the tree of Go's checksum database, leaf by leaf, and against the test vectors of Certificate
// Transparency.
func TestMerkle(t *testing.T) {
	var ours merkle
	var hashes tlogHashes
	for n := range int64(300) {
		want := must(tlog.TreeHash(n, hashes))(t)
		if got := ours.head(); n > 0 && got != [sha256.Size]byte(want) {
			t.Fatalf("%d leaves: %x, want %x", n, got, want)
		}
		leaf := fmt.Appendf(nil, "entry %d", n*n)
		ours.add(leaf)
		hashes = append(hashes, must(tlog.StoredHashes(n, leaf, hashes))(t)...)
	}
	var ct merkle
	for i, leaf := range []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"} {
		ct.add(must(hex.DecodeString(leaf))(t))
		want := map[int]string{
			0: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
			7: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
		}[i]
		if head := ct.head(); want != "" && hex.EncodeToString(head[:]) != want {
			t.Errorf("%d leaves: %x, want %s", i+1, head, want)
		}
	}
	var none merkle
	if head := none.head(); hex.EncodeToString(head[:]) != "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" {
		t.Errorf("no leaves: %x", head)
	}
}

type tlogHashes []tlog.Hash

func (h tlogHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = h[x]
	}
	return out, nil
}

// TestCheckpointIsASignedNote: a reader of the field's format, with the store's public key, accepts what the store wrote.
func TestCheckpointIsASignedNote(t *testing.T) {
	s := openDir(t, scratch(t))
	populate(t, s)
	c := must(s.Checkpoint(t.Context()))(t)
	public := must(ParsePublicKey(must(s.PublicKey(t.Context()))(t)))(t)
	v := must(note.NewVerifier(must(note.NewEd25519VerifierKey(c.Origin, public.(ed25519.PublicKey)))(t)))(t)
	n := must(note.Open([]byte(c.Note), note.VerifierList(v)))(t)
	if want := fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, c.Root); n.Text != want || len(n.Sigs) != 1 {
		t.Errorf("%q with %d signatures, want %q", n.Text, len(n.Sigs), want)
	}
	if head := must(s.Head(t.Context()))(t); c.Size != head {
		t.Errorf("size %d, and the journal has %d entries", c.Size, head)
	}
	if again := must(s.Checkpoint(t.Context()))(t); again != c {
		t.Errorf("another checkpoint of the same journal: %+v", again)
	}
	if read := must(ParseCheckpoint([]byte(c.Note)))(t); read != c {
		t.Errorf("read back as %+v", read)
	}
}

// TestFsckCheckpoint: a journal that goes on is as it was; one whose end was cut off together with its evidence, or that was written
// anew, is found out, and so is a checkpoint of another store or that somebody altered.
func TestFsckCheckpoint(t *testing.T) {
	ctx := t.Context()
	dir := scratch(t)
	s := openDir(t, dir)
	empty := must(s.Checkpoint(ctx))(t)
	populate(t, s)
	early := must(s.Checkpoint(ctx))(t)
	for i := range 3 {
		add(t, s, assay.KindCI, digest(fmt.Sprint(i)), nil, assay.CI{})
	}
	late := must(s.Checkpoint(ctx))(t)
	finds := func(want string, kept ...Checkpoint) {
		t.Helper()
		ps := must(s.Fsck(ctx, kept...))(t).Problems
		if want == "" && len(ps) == 0 {
			return
		}
		if len(ps) != 1 || ps[0].Code+" "+ps[0].What+": "+ps[0].Detail != want {
			t.Errorf("%+v, want %q", ps, want)
		}
	}
	finds("", empty, early, late)

	other := openDir(t, scratch(t))
	populate(t, other)
	foreign := must(other.Checkpoint(ctx))(t)
	finds(fmt.Sprintf("altered checkpoint: the checkpoint is of another store: its origin is %q, and this store's is %q", foreign.Origin, early.Origin), foreign)
	forged := early
	forged.Size--
	forged.Note = strings.Replace(early.Note, fmt.Sprintf("\n%d\n", early.Size), fmt.Sprintf("\n%d\n", forged.Size), 1)
	if ps := must(s.Fsck(ctx, forged))(t).Problems; len(ps) != 2 || !strings.Contains(ps[0].Detail, "not signed with the key of this store") {
		t.Errorf("%+v", ps)
	}
	_, private, _ := ed25519.GenerateKey(rand.Reader)
	stranger := impostor{must((&signer{private, ""}).note())(t), late.Origin}
	forged.Note = string(must(note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", late.Origin, late.Size, late.Root)}, stranger))(t))
	forged.Size = late.Size
	forged.Root = late.Root
	finds("altered checkpoint: the checkpoint is not signed with the key of this store: it was altered", forged)

	cut := early.Size + 1
	tamper(t, dir, fmt.Sprintf(`DELETE FROM journal WHERE seq > %d`, cut), fmt.Sprintf(`DELETE FROM evidence WHERE seq > %d`, cut))
	finds("") // what remains is in itself as it should be
	finds("", empty, early)
	finds(fmt.Sprintf("missing journal: the end was cut off: the checkpoint counts %d entries, and the journal holds %d entries", late.Size, cut), late)
	for i := range 2 { // and something else is put in its place
		add(t, s, assay.KindCI, digest(fmt.Sprint("other ", i)), nil, assay.CI{})
	}
	finds("", empty, early)
	finds(fmt.Sprintf("altered journal: it was rewritten: its first %d entries are not those of the checkpoint", late.Size), late)
}

// An impostor signs with a key of its own under the name of another.
type impostor struct {
	noteKey
	name string
}

func (i impostor) Name() string { return i.name }

func TestParseCheckpoint(t *testing.T) {
	root := strings.Repeat("A", 43) + "="
	good := "o\n7\n" + root + "\nextension\n\n— o AAAAAAAA\n"
	if c, err := ParseCheckpoint([]byte(good)); err != nil || c.Size != 7 || c.Root != root || c.Origin != "o" {
		t.Errorf("%+v, %v", c, err)
	}
	for text, bad := range map[string]string{
		"want an origin": "o\n7\n" + root, "on a line each": "o\n7\n\n— o A\n", "its size is no number": "o\n07\n" + root + "\n\n", "no SHA-256": "o\n7\nAAAA\n\n",
		"its origin is empty": "\n7\n" + root + "\n\n", "more than the limit": strings.Repeat("x", MaxCheckpointBytes+1),
		"size is no number": "o\n-1\n" + root + "\n\n",
	} {
		_, err := ParseCheckpoint([]byte(bad))
		wants(t, err, assay.Invalid, text, "is no checkpoint")
	}
}

func FuzzParseCheckpoint(f *testing.F) {
	f.Add([]byte("o\n7\n" + strings.Repeat("A", 43) + "=\n\n— o AAAAAAAA\n"))
	f.Add([]byte("\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ParseCheckpoint(b)
		if err != nil {
			wants(t, err, assay.Invalid)
			return
		}
		if !strings.HasPrefix(c.Note, fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, c.Root)) {
			t.Errorf("%q is read as %+v", b, c)
		}
	})
}

// TestCheckpointProperty: any change of any entry below its size changes the head.
func TestCheckpointProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		leaves := rapid.SliceOfN(rapid.SliceOf(rapid.Byte()), 1, 40).Draw(t, "leaves")
		head := func(ls [][]byte) [sha256.Size]byte {
			var m merkle
			for _, l := range ls {
				m.add(l)
			}
			return m.head()
		}
		want := head(leaves)
		i := rapid.IntRange(0, len(leaves)-1).Draw(t, "i")
		other := append([][]byte{}, leaves...)
		other[i] = append(append([]byte{}, leaves[i]...), 0)
		if head(other) == want || head(leaves[:i]) == want {
			t.Fatal("another journal has the same head")
		}
	})
}
