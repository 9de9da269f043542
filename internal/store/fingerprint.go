package store

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"math"

	"github.com/assay-ml/assay"
)

// fingerprints reads a blob of fingerprints to its end.
func (s *SQLite) fingerprints(ctx context.Context, d assay.Digest, fn func(Fingerprint)) error {
	r, err := s.openFingerprints(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	for r.next() {
		fn(r.at)
	}
	return r.err
}

// fingerprintReader goes through the fingerprints of a blob.
type fingerprintReader struct {
	io.Closer
	buf *bufio.Reader
	at  Fingerprint
	err error
}

func (s *SQLite) openFingerprints(ctx context.Context, d assay.Digest) (*fingerprintReader, error) {
	r, err := s.blobs.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	return &fingerprintReader{Closer: r, buf: bufio.NewReaderSize(r, 1<<18)}, nil
}

func (r *fingerprintReader) next() bool {
	_, err := io.ReadFull(r.buf, r.at[:])
	switch {
	case err == io.EOF:
		return false
	case errors.Is(err, io.ErrUnexpectedEOF):
		r.err = assay.Errorf(assay.Invalid, "the last fingerprint is cut off")
	default:
		r.err = err
	}
	return err == nil
}

// common counts the rows of each of two sorted sets of fingerprints that are in the other one too.
func (s *SQLite) common(ctx context.Context, a, b assay.Digest) (inA, inB int64, err error) {
	rb, err := s.openFingerprints(ctx, b)
	if err != nil {
		return 0, 0, err
	}
	defer rb.Close()
	inA, inB, err = s.merge(ctx, a, func() (Fingerprint, bool) {
		ok := rb.next()
		return rb.at, ok
	})
	return inA, inB, errors.Join(err, rb.err)
}

// beyondChance takes from the rows that two sets have in common those that other rows of the same population would have, where rows repeat
// by nature: the share of a set whose content occurs more than once (Good and Turing). What is left of them is at least four standard
// errors, or nothing.
func (s *SQLite) beyondChance(ctx context.Context, a, b SealRecord, inA, inB int64) (int64, int64, error) {
	if inA == 0 {
		return 0, 0, nil
	}
	left := func(of, among SealRecord, found int64) (int64, error) {
		chance, err := s.repeats(ctx, among.Fingerprints)
		if err != nil || chance < 0.01 {
			return found, err
		}
		n := float64(of.Count)
		excess := float64(found) - chance*n
		if excess <= 4*math.Sqrt(n*chance*(1-chance))+0.1*n*(1-chance) {
			return 0, nil
		}
		return int64(excess/(1-chance) + 0.5), nil
	}
	older, err := left(a, b, inA)
	if err != nil {
		return 0, 0, err
	}
	newer, err := left(b, a, inB)
	return older, newer, err
}

// repeats is the share of the rows of a set whose content occurs in it more than once.
func (s *SQLite) repeats(ctx context.Context, d assay.Digest) (float64, error) {
	var n, once, times int64
	var last Fingerprint
	end := func() {
		if times == 1 {
			once++
		}
	}
	err := s.fingerprints(ctx, d, func(f Fingerprint) {
		if n > 0 && f != last {
			end()
			times = 0
		}
		n++
		times++
		last = f
	})
	end()
	if n == 0 {
		return 0, err
	}
	return 1 - float64(once)/float64(n), err
}

// merge counts the common rows of a blob of fingerprints and of a sorted sequence.
func (s *SQLite) merge(ctx context.Context, d assay.Digest, next func() (Fingerprint, bool)) (inBlob, inNext int64, err error) {
	r, err := s.openFingerprints(ctx, d)
	if err != nil {
		return 0, 0, err
	}
	defer r.Close()
	okR := r.next()
	f, ok := next()
	for steps := 0; okR && ok; steps++ {
		if steps&0xffff == 0 && ctx.Err() != nil {
			return 0, 0, ctx.Err()
		}
		switch bytes.Compare(r.at[:], f[:]) {
		case -1:
			okR = r.next()
		case 1:
			f, ok = next()
		default:
			for at := f; ok && f == at; f, ok = next() {
				inNext++
			}
			for at := r.at; okR && r.at == at; okR = r.next() {
				inBlob++
			}
		}
	}
	for okR { // to the end, where the blob is verified
		okR = r.next()
	}
	return inBlob, inNext, r.err
}
