package cli

import (
	"context"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/blob"
	"github.com/assay-ml/assay/internal/store"
)

// offered is what is known of files that were offered and not accepted yet. A refusal drops it, keep writes it.
type offered struct {
	files    map[assay.Digest]string // paths
	bytes    [][]byte
	evidence []assay.Evidence
}

// offer holds a file under its digest, until keep, instead of storing it.
func (s *session) offer(path string) (assay.Digest, int64, error) {
	cannot := func(err error) (assay.Digest, int64, error) {
		return "", 0, assay.Errorf(assay.Unavailable, "%s cannot be read: %w", filepath.Base(path), err)
	}
	f, err := os.Open(path)
	if err != nil {
		return cannot(err)
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return cannot(err)
	}
	d := assay.DigestSum([sha256.Size]byte(h.Sum(nil)))
	if s.offered == nil {
		s.offered = &offered{files: map[assay.Digest]string{}}
	}
	s.offered.files[d] = path
	return d, n, nil
}

// append writes evidence, or holds it while a file that it may be about is not accepted.
func (s *session) append(ctx context.Context, e assay.Evidence) (assay.Record, error) {
	if s.offered != nil {
		id, err := store.ID(e)
		s.offered.evidence = append(s.offered.evidence, e)
		return assay.Record{ID: id, Evidence: e}, err
	}
	rs, err := s.st.Append(ctx, s.circumstances(), e)
	if err != nil {
		return assay.Record{}, err
	}
	return rs[0], nil
}

// keepBytes stores a blob, or holds it like evidence.
func (s *session) keepBytes(ctx context.Context, b []byte) (assay.Digest, error) {
	if s.offered != nil {
		s.offered.bytes = append(s.offered.bytes, b)
		return assay.DigestOf(b), nil
	}
	return blob.PutBytes(ctx, s.st.Blobs(), b)
}

// offerBytes holds bytes that are the content of no file.
func (s *session) offerBytes(b []byte) assay.Digest {
	if s.offered == nil {
		s.offered = &offered{files: map[assay.Digest]string{}}
	}
	s.offered.bytes = append(s.offered.bytes, b)
	return assay.DigestOf(b)
}

// openFile opens a stored file, or one that was offered.
func (s *session) openFile(ctx context.Context, f assay.File) (io.ReadCloser, error) {
	if s.offered != nil {
		if path, ok := s.offered.files[f.Digest]; ok {
			return os.Open(path)
		}
	}
	return s.st.Blobs().Open(ctx, f.Digest)
}

// modelBytes reads a model file that is stored or was offered.
func (s *session) modelBytes(ctx context.Context, f assay.File) ([]byte, error) {
	if s.offered != nil {
		for _, b := range s.offered.bytes {
			if int64(len(b)) == f.Bytes && assay.DigestOf(b) == f.Digest {
				return b, nil
			}
		}
	}
	if s.offered == nil || s.offered.files[f.Digest] == "" {
		return blob.ReadAll(ctx, s.st.Blobs(), f.Digest, maxModelBytes)
	}
	if f.Bytes > maxModelBytes {
		return nil, assay.Errorf(assay.Rejected, "%s has %d bytes; at most %d are read", f.Name, f.Bytes, maxModelBytes)
	}
	return os.ReadFile(s.offered.files[f.Digest])
}

// keep writes what was held: files, blobs, then all evidence in one transaction.
func (s *session) keep(ctx context.Context) error {
	if s.offered == nil {
		return nil
	}
	for d, path := range s.offered.files {
		f, err := os.Open(path)
		if err != nil {
			return assay.Errorf(assay.Unavailable, "%s cannot be read: %w", filepath.Base(path), err)
		}
		now, _, err := s.st.Blobs().Put(ctx, f)
		f.Close()
		if err != nil {
			return err
		}
		if now != d {
			return assay.Errorf(assay.Unavailable, "%s was changed while it was read", filepath.Base(path)).Try("run the command again")
		}
	}
	for _, b := range s.offered.bytes {
		if _, err := blob.PutBytes(ctx, s.st.Blobs(), b); err != nil {
			return err
		}
	}
	if _, err := s.st.Append(ctx, s.circumstances(), s.offered.evidence...); err != nil {
		return err
	}
	s.offered = nil
	return nil
}
