package dataset

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// Snapshot describes one version of a data set: the digest of every file and the digest of the rows. Names in the payload are
// relative to base.
func Snapshot(ctx context.Context, name, base string, t *table.Table, sums *Sums) (assay.Snapshot, error) {
	files, paths := t.Files(), t.Paths()
	digests, err := sums.Digest(ctx, paths)
	if err != nil {
		return assay.Snapshot{}, err
	}
	for i := range files {
		files[i].Digest = digests[i]
		if rel, err := filepath.Rel(base, paths[i]); err == nil && filepath.IsLocal(rel) {
			files[i].Name = filepath.ToSlash(rel)
		} else {
			files[i].Name = filepath.Base(paths[i])
		}
	}
	// The rows were read before the bytes; both must be of the same files.
	if err := t.Unchanged(); err != nil {
		return assay.Snapshot{}, err
	}
	content, err := t.ContentDigest(ctx)
	if err != nil {
		return assay.Snapshot{}, err
	}
	return assay.Snapshot{Name: name, Format: t.Format(), Files: files, Content: content, Rows: t.Rows(), Fields: t.Fields(), Reading: t.Reading()}, nil
}

// Sums digests files, each once: a file whose inode, size and modification time are those of an earlier digest is not read again.
// A nil *Sums remembers nothing. Safe for concurrent use.
type Sums struct {
	path  string
	mu    sync.Mutex
	known map[string]sum
	dirty bool
}

type sum struct {
	Identity string       `json:"identity"`
	Digest   assay.Digest `json:"digest"`
}

// OpenSums reads the memory kept in the file at path; a missing or damaged file is an empty memory.
func OpenSums(path string) *Sums {
	s := &Sums{path: path, known: map[string]sum{}}
	if b, err := os.ReadFile(path); err == nil {
		if json.Unmarshal(b, &s.known) != nil {
			s.known = map[string]sum{}
		}
	}
	return s
}

// Save writes the memory back when it has changed.
func (s *Sums) Save() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.dirty {
		return nil
	}
	b, err := json.Marshal(s.known)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.path), 0o755); err != nil {
		return assay.Errorf(assay.Unavailable, "the digest cache cannot be written: %w", err)
	}
	// A name of its own, as several processes may save at once; the last one stays.
	f, err := os.CreateTemp(filepath.Dir(s.path), filepath.Base(s.path)+".*.new")
	if err != nil {
		return assay.Errorf(assay.Unavailable, "the digest cache cannot be written: %w", err)
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), s.path)
	}
	if err != nil {
		os.Remove(f.Name())
		return assay.Errorf(assay.Unavailable, "the digest cache cannot be written: %w", err)
	}
	s.dirty = false
	return nil
}

// Digest returns the SHA-256 of each file, in the order of paths; files are read side by side on all cores.
func (s *Sums) Digest(ctx context.Context, paths []string) ([]assay.Digest, error) {
	out := make([]assay.Digest, len(paths))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, p := range paths {
		g.Go(func() error {
			d, err := s.one(ctx, p)
			out[i] = d
			return err
		})
	}
	return out, g.Wait()
}

func (s *Sums) one(ctx context.Context, path string) (assay.Digest, error) {
	before, err := os.Stat(path)
	if err != nil {
		return "", unreadable(path, err)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		abs = path
	}
	id := identity(before)
	if s != nil {
		s.mu.Lock()
		k, ok := s.known[abs]
		s.mu.Unlock()
		if ok && k.Identity == id {
			return k.Digest, nil
		}
	}
	d, after, err := digestAndIdentity(ctx, path)
	if err != nil {
		return "", err
	}
	if after != id {
		// Another process may have given the file a further name or written the same bytes again, neither of which changes what it holds.
		again, _, err := digestAndIdentity(ctx, path)
		if err != nil {
			return "", err
		}
		if again != d {
			return "", changedFile(path)
		}
		return d, nil
	}
	if s != nil {
		s.mu.Lock()
		s.known[abs] = sum{id, d}
		s.dirty = true
		s.mu.Unlock()
	}
	return d, nil
}

// digestAndIdentity reads a file and says which it was at the end.
func digestAndIdentity(ctx context.Context, path string) (assay.Digest, string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", "", unreadable(path, err)
	}
	defer f.Close()
	d, err := digestOf(ctx, f)
	if err != nil {
		return "", "", unreadable(path, err)
	}
	after, err := f.Stat()
	if err != nil {
		return "", "", unreadable(path, err)
	}
	return d, identity(after), nil
}

// Derived returns a digest that follows from the bytes of the file at path, and is made anew only when they are others than those it
// was made of before. What names the derivation. A nil *Sums always makes it.
func (s *Sums) Derived(ctx context.Context, path, what string, derive func() (assay.Digest, error)) (assay.Digest, error) {
	if s == nil {
		return derive()
	}
	b, err := s.one(ctx, path)
	if err != nil {
		return "", err
	}
	key := string(b) + "#" + what
	s.mu.Lock()
	k, ok := s.known[key]
	s.mu.Unlock()
	if ok {
		return k.Digest, nil
	}
	d, err := derive()
	if err != nil {
		return "", err
	}
	after, err := fileDigest(ctx, path)
	if err != nil {
		return "", err
	}
	if after != b {
		return "", changedFile(path)
	}
	s.mu.Lock()
	s.known[key] = sum{Digest: d}
	s.dirty = true
	s.mu.Unlock()
	return d, nil
}

func fileDigest(ctx context.Context, path string) (assay.Digest, error) {
	return (*Sums)(nil).one(ctx, path)
}

// digestOf reads to the end. One stream of SHA-256 uses one core; files are read side by side.
func digestOf(ctx context.Context, r io.Reader) (assay.Digest, error) {
	h := sha256.New()
	buf := make([]byte, 1<<20)
	for {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := r.Read(buf)
		h.Write(buf[:n])
		if errors.Is(err, io.EOF) {
			return assay.DigestSum([sha256.Size]byte(h.Sum(nil))), nil
		}
		if err != nil {
			return "", err
		}
	}
}

func unreadable(path string, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return assay.Errorf(assay.NotFound, "no file %s", filepath.Base(path))
	}
	return assay.Errorf(assay.Unavailable, "%s cannot be read: %w", filepath.Base(path), err)
}

func changedFile(path string) error {
	return assay.Errorf(assay.Unavailable, "%s changed while it was read", filepath.Base(path)).Try("run the command again when nothing writes to the file")
}
