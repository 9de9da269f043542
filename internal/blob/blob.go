// Package blob keeps bytes under the digest of their content: model files, reports, schema documents, row fingerprints.
//
// A blob is written once and never changed; writing the same bytes again is a no-op that returns the same digest. A write that has
// returned survives a crash of the process and of the machine. Reading verifies: a reader that reaches the end has seen exactly the
// bytes that the digest names, or gets an error instead of io.EOF. The package knows nothing of what the bytes mean, keeps no index
// and deletes nothing.
//
// Layout of a directory: sha256/ab/cdef… holds the blob whose digest begins with "ab", mode 0444; tmp/ holds writes in progress.
package blob

import (
	"bytes"
	"context"
	"io"

	"github.com/assay-ml/assay"
)

// A Store keeps blobs. Its methods may be called from several goroutines, and several processes may share one store.
type Store interface {
	// Put writes everything that r gives and returns its digest and size in bytes. When it returns without an error, the blob is
	// durable. An error of r is returned as it is and leaves nothing behind.
	Put(ctx context.Context, r io.Reader) (assay.Digest, int64, error)
	// Open returns a reader of the blob, or NotFound. The reader gives Unavailable in place of io.EOF when the bytes do not have
	// the digest.
	Open(ctx context.Context, d assay.Digest) (io.ReadCloser, error)
	// Stat returns the size in bytes, or NotFound.
	Stat(ctx context.Context, d assay.Digest) (int64, error)
	// Each calls fn for every blob, in the order of their digests, until fn returns an error.
	Each(ctx context.Context, fn func(d assay.Digest, size int64) error) error
}

// ReadAll returns the verified bytes of a blob, or Invalid when it is larger than limit bytes.
func ReadAll(ctx context.Context, s Store, d assay.Digest, limit int64) ([]byte, error) {
	size, err := s.Stat(ctx, d)
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, assay.Errorf(assay.Invalid, "blob %s has %d bytes, more than the limit of %d", d.Short(), size, limit)
	}
	r, err := s.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	if _, err := b.ReadFrom(io.LimitReader(r, limit+1)); err != nil {
		return nil, err
	}
	if int64(b.Len()) > limit {
		return nil, assay.Errorf(assay.Invalid, "blob %s grew beyond the limit of %d bytes", d.Short(), limit)
	}
	return b.Bytes(), nil
}

// PutBytes writes b and returns its digest. Bytes that the store holds already, undamaged, are not written again.
func PutBytes(ctx context.Context, s Store, b []byte) (assay.Digest, error) {
	d := assay.DigestOf(b)
	if held, err := ReadAll(ctx, s, d, int64(len(b))); err == nil && len(held) == len(b) {
		if k, ok := s.(keeper); !ok || k.keep(d) == nil {
			return d, nil
		}
	}
	d, _, err := s.Put(ctx, bytes.NewReader(b))
	return d, err
}

// A keeper can make a blob durable that another process may have written a moment ago.
type keeper interface{ keep(assay.Digest) error }

func absent(d assay.Digest) error {
	return assay.Errorf(assay.NotFound, "blob %s is not in the store", d.Short()).Try("assay fsck")
}

func damaged(d assay.Digest, why string) error {
	return assay.Errorf(assay.Unavailable, "blob %s is damaged: %s", d.Short(), why).Try("assay fsck")
}
