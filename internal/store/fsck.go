package store

import (
	"context"

	"github.com/assay-ml/assay"
)

// A Report is what Fsck found.
type Report struct {
	Evidence int64     `json:"evidence"` // how many were looked at
	Entries  int64     `json:"entries"`
	Blobs    int64     `json:"blobs"`
	Problems []Problem `json:"problems"` // what is missing or altered
	Orphans  []Problem `json:"orphans"`  // what nothing refers to: harmless, and kept
}

// A Problem is one thing that is not as it should be.
type Problem struct {
	Code   string       `json:"code"` // altered, missing, broken_chain, dangling, database, orphan, temporary
	What   string       `json:"what"` // evidence, journal, blob, version, stage, alias, history, seal, ledger, database
	ID     assay.Digest `json:"id,omitempty"`
	Detail string       `json:"detail"`
}

// Clean reports whether nothing is missing or altered.
func (r Report) Clean() bool { return len(r.Problems) == 0 }

// Fsck implements Store.
func (s *SQLite) Fsck(ctx context.Context) (Report, error) {
	return Report{}, assay.Errorf(assay.Unimplemented, "fsck is not here yet")
}

// Export implements Store.
func (s *SQLite) Export(ctx context.Context, ids ...assay.Digest) ([]byte, error) {
	return nil, assay.Errorf(assay.Unimplemented, "export is not here yet")
}
