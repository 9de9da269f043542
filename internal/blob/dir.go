package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/assay-ml/assay"
)

// The steps of a write, in order, as Trace reports them.
const (
	StepCreate    = "blob: create"
	StepWrite     = "blob: write"
	StepSync      = "blob: sync"
	StepRename    = "blob: rename"
	StepSyncDir   = "blob: sync directory"
	StepWritten   = "blob: written"
	algorithmDir  = "sha256"
	temporaryDir  = "tmp"
	temporaryName = "put-*"
)

// Dir is a Store in a directory of the local file system.
type Dir struct {
	root  string
	trace func(step string)

	mu     sync.Mutex
	synced map[string]bool // fan-out directories whose own entry this process has made durable
}

// OpenDir opens the blob directory dir and makes it if needed. It returns Unavailable when the directory cannot be made.
func OpenDir(dir string) (*Dir, error) {
	for _, p := range []string{dir, filepath.Join(dir, algorithmDir), filepath.Join(dir, temporaryDir)} {
		if err := os.MkdirAll(p, 0o755); err != nil {
			return nil, unavailable("the blob directory cannot be made", err)
		}
	}
	if err := errors.Join(syncDir(dir), syncDir(filepath.Dir(dir))); err != nil {
		return nil, unavailable("the blob directory cannot be made durable", err)
	}
	return &Dir{root: dir, trace: func(string) {}, synced: map[string]bool{}}, nil
}

// Trace makes d call fn just before each step of a write. Durability tests stop the process there. Call it before the first write.
func (d *Dir) Trace(fn func(step string)) { d.trace = fn }

func (d *Dir) path(id assay.Digest) (string, error) {
	if _, err := assay.ParseDigest(string(id)); err != nil {
		return "", err
	}
	h := id.Hex()
	return filepath.Join(d.root, algorithmDir, h[:2], h[2:]), nil
}

// Put implements Store. It writes to a temporary file, syncs it, renames it into place and syncs the directories, so that a blob
// is there as a whole or not at all. A blob that is there already is replaced by its equal, which heals a damaged one.
func (d *Dir) Put(ctx context.Context, r io.Reader) (assay.Digest, int64, error) {
	d.trace(StepCreate)
	f, err := os.CreateTemp(filepath.Join(d.root, temporaryDir), temporaryName)
	if err != nil {
		return "", 0, unavailable("a blob cannot be created", err)
	}
	defer os.Remove(f.Name()) // fails, as it should, once the file is renamed
	defer f.Close()

	d.trace(StepWrite)
	h := sha256.New()
	in := &source{ctx: ctx, r: r}
	n, err := io.Copy(io.MultiWriter(f, h), in)
	if in.err != nil {
		return "", 0, in.err
	}
	if err != nil {
		return "", 0, unavailable("a blob cannot be written", err)
	}
	id := assay.DigestSum([sha256.Size]byte(h.Sum(nil)))

	d.trace(StepSync)
	if err := errors.Join(f.Chmod(0o444), f.Sync(), f.Close()); err != nil {
		return "", 0, unavailable("a blob cannot be written", err)
	}
	p, err := d.path(id)
	if err != nil {
		return "", 0, err
	}
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		return "", 0, unavailable("a blob cannot be put in place", err)
	}
	d.trace(StepRename)
	if err := os.Rename(f.Name(), p); err != nil {
		return "", 0, unavailable("a blob cannot be put in place", err)
	}
	d.trace(StepSyncDir)
	if err := d.keep(id); err != nil {
		return "", 0, err
	}
	d.trace(StepWritten)
	return id, n, nil
}

// keep syncs the directories that lead to a blob: they may be the work of another process that has not come to it yet.
func (d *Dir) keep(id assay.Digest) error {
	p, err := d.path(id)
	if err != nil {
		return err
	}
	fan := filepath.Dir(p)
	if err := syncDir(fan); err != nil {
		return unavailable("a blob cannot be made durable", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.synced[fan] {
		return nil
	}
	if err := syncDir(filepath.Dir(fan)); err != nil {
		return unavailable("a blob cannot be made durable", err)
	}
	d.synced[fan] = true
	return nil
}

// Open implements Store.
func (d *Dir) Open(_ context.Context, id assay.Digest) (io.ReadCloser, error) {
	p, err := d.path(id)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, absent(id)
	}
	if err != nil {
		return nil, unavailable("blob "+id.Short()+" cannot be opened", err)
	}
	return &verifier{f: f, id: id, sum: sha256.New()}, nil
}

// Stat implements Store.
func (d *Dir) Stat(_ context.Context, id assay.Digest) (int64, error) {
	p, err := d.path(id)
	if err != nil {
		return 0, err
	}
	fi, err := os.Lstat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, absent(id)
	case err != nil:
		return 0, unavailable("blob "+id.Short()+" cannot be looked at", err)
	case !fi.Mode().IsRegular():
		return 0, damaged(id, "it is not a regular file")
	}
	return fi.Size(), nil
}

// Each implements Store. Names that are no blob's are skipped; Strays lists them.
func (d *Dir) Each(ctx context.Context, fn func(assay.Digest, int64) error) error {
	return d.walk(ctx, fn, func(string) error { return nil })
}

// A Stray is a file in a blob directory that is no blob. Name is relative to the directory, with forward slashes.
type Stray struct {
	Name      string    `json:"name"`
	Bytes     int64     `json:"bytes"`
	ChangedAt time.Time `json:"changed_at"`
	Temporary bool      `json:"temporary"` // a write in progress, or what an interrupted one left
}

// Strays returns the files of the directory that are no blobs, sorted by name.
func (d *Dir) Strays(ctx context.Context) ([]Stray, error) {
	var out []Stray
	add := func(name string) error {
		fi, err := os.Lstat(filepath.Join(d.root, filepath.FromSlash(name)))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return unavailable("the blob directory cannot be read", err)
		}
		out = append(out, Stray{name, fi.Size(), fi.ModTime().UTC(), false})
		return nil
	}
	if err := d.walk(ctx, func(assay.Digest, int64) error { return nil }, add); err != nil {
		return nil, err
	}
	tmp, err := d.temporaries()
	if err != nil {
		return nil, err
	}
	return append(out, tmp...), nil
}

// temporaries returns the files of writes in progress, and what interrupted writes left.
func (d *Dir) temporaries() ([]Stray, error) {
	files, err := os.ReadDir(filepath.Join(d.root, temporaryDir))
	if err != nil {
		return nil, unavailable("the blob directory cannot be read", err)
	}
	var out []Stray
	for _, f := range files {
		fi, err := f.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, unavailable("the blob directory cannot be read", err)
		}
		out = append(out, Stray{temporaryDir + "/" + f.Name(), fi.Size(), fi.ModTime().UTC(), true})
	}
	return out, nil
}

// Sweep removes temporary files that have not changed for the given time, and returns how many: what interrupted writes left behind.
// It asks the clock only when there are any.
func (d *Dir) Sweep(age time.Duration, clock func() time.Time) (int, error) {
	tmp, err := d.temporaries()
	if err != nil || len(tmp) == 0 {
		return 0, err
	}
	before, n := clock().Add(-age), 0
	for _, s := range tmp {
		if !s.ChangedAt.Before(before) {
			continue
		}
		if err := os.Remove(filepath.Join(d.root, filepath.FromSlash(s.Name))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return n, unavailable("a temporary file cannot be removed", err)
		}
		n++
	}
	return n, nil
}

// walk calls blob for every blob in order, and stray with the relative name of everything else below the algorithm's directory.
func (d *Dir) walk(ctx context.Context, blob func(assay.Digest, int64) error, stray func(string) error) error {
	fans, err := os.ReadDir(filepath.Join(d.root, algorithmDir))
	if err != nil {
		return unavailable("the blob directory cannot be read", err)
	}
	for _, fan := range fans {
		if !fan.IsDir() || len(fan.Name()) != 2 {
			if err := stray(algorithmDir + "/" + fan.Name()); err != nil {
				return err
			}
			continue
		}
		files, err := os.ReadDir(filepath.Join(d.root, algorithmDir, fan.Name()))
		if err != nil {
			return unavailable("the blob directory cannot be read", err)
		}
		for _, f := range files {
			if err := ctx.Err(); err != nil {
				return err
			}
			id, err := assay.ParseDigest("sha256:" + fan.Name() + f.Name())
			fi, infoErr := f.Info()
			if errors.Is(infoErr, fs.ErrNotExist) {
				continue
			}
			if infoErr != nil {
				return unavailable("the blob directory cannot be read", infoErr)
			}
			if err != nil || !fi.Mode().IsRegular() {
				err = stray(algorithmDir + "/" + fan.Name() + "/" + f.Name())
			} else {
				err = blob(id, fi.Size())
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// source keeps the reader's own error apart from the disk's, and stops when the context does.
type source struct {
	ctx context.Context
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		s.err = err
		return 0, err
	}
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// verifier hashes what it reads and withholds io.EOF from bytes that do not have the digest.
type verifier struct {
	f   *os.File
	id  assay.Digest
	sum hash.Hash
	err error
}

func (v *verifier) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.f.Read(p)
	v.sum.Write(p[:n])
	switch {
	case err == io.EOF && !bytes.Equal(v.sum.Sum(nil), sumOf(v.id)):
		v.err = damaged(v.id, "its bytes have another digest")
	case err == io.EOF:
		v.err = io.EOF
	case err != nil:
		v.err = unavailable("blob "+v.id.Short()+" cannot be read", err)
	}
	return n, v.err
}

func (v *verifier) Close() error { return v.f.Close() }

func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // NTFS journals the rename itself, and a directory cannot be synced
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
