// Package store keeps what was proven, and in which order: evidence, the journal, the registry of model versions, the seals of test
// sets and the ledger of their use. All SQL of Assay's own records is here. It judges nothing, with one exception that cannot be
// elsewhere: what moves a version to a stage, and what counts a read of sealed labels, happens in the transaction that records it.
//
// Layout of a store directory: assay.db (SQLite in WAL mode, with assay.db-wal and assay.db-shm beside it while it is open), blobs/
// (package blob) and, once something was exported, signing_key.pem.
package store

import (
	"context"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/blob"
)

// A Store keeps the records of one project or team. Its methods may be called from several goroutines, and several processes may
// have one store open. A method that has returned without an error has made its work durable. Errors are *assay.Error: Unavailable
// when the disk is full or read-only, when the store is damaged or when another process held it for too long; an error leaves no
// half of a change behind.
type Store interface {
	Archive
	Registry
	Seals

	// Export returns a DSSE envelope around an in-toto statement that holds the evidence of the given ids and everything they were
	// derived from, signed with the store's key, which is made on first use.
	Export(ctx context.Context, ids ...assay.Digest) ([]byte, error)
	// PublicKey returns the PEM form of the key that verifies the store's exports, which is made on first use.
	PublicKey(ctx context.Context) ([]byte, error)
	// Checkpoint says what the journal is now, signed with the store's key, which is made on first use. Kept elsewhere, it shows later
	// that the end of the journal was cut off or that it was rewritten.
	Checkpoint(ctx context.Context) (Checkpoint, error)
	// Fsck looks at everything and names what is missing, altered or orphaned. The journal must still begin as each of the kept
	// checkpoints says. It returns an error only when it could not look.
	Fsck(ctx context.Context, kept ...Checkpoint) (Report, error)
	Close() error
}

// An Archive keeps evidence, the journal and blobs.
type Archive interface {
	// Append stores evidence in one transaction and returns its records in the given order. Evidence that is there already is
	// returned as it is and adds no journal entry. The payload must be what the kind's type writes, parents must be there or come
	// earlier in evs, and blobs that the payload stands on must be written before. Promotions and disclosures are refused: Promote,
	// Rollback and Disclose write them. circumstances go into the journal: host, user, durations, paths.
	Append(ctx context.Context, circumstances map[string]string, evs ...assay.Evidence) ([]assay.Record, error)
	// Get returns the evidence of that id, or NotFound.
	Get(ctx context.Context, id assay.Digest) (assay.Record, error)
	// Find returns the evidence that the query describes, newest first.
	Find(ctx context.Context, q Query) ([]assay.Record, error)
	// Resolve returns the one id that begins with prefix, which is a digest or at least four hex digits, with or without "sha256:".
	// It returns NotFound, or Invalid when several ids begin so.
	Resolve(ctx context.Context, prefix string) (assay.Digest, error)
	// Journal returns the entries after the given sequence number, oldest first; limit 0 means all.
	Journal(ctx context.Context, after int64, limit int) ([]assay.Entry, error)
	// Head returns the sequence number of the newest journal entry; 0 for an empty store.
	Head(ctx context.Context) (int64, error)
	// Blobs returns the bytes that evidence names. It does not open sealed labels.
	Blobs() blob.Store
}

// A Query describes evidence; an empty field asks for nothing.
type Query struct {
	Kind    assay.Kind
	Subject assay.Digest
	Parent  assay.Digest // evidence that was derived from this one directly
	Before  int64        // only evidence whose Entry.Seq is smaller: the next page begins where the last one ended
	Limit   int          // 0: no limit

	// Windows asks for drift or outcomes of one subject by window: of each the newest record only, the window with the greatest number first. Before is not
	// heeded.
	Windows bool
}

// Options say where a store is and who writes to it.
type Options struct {
	Dir      string           // made if needed
	Clock    func() time.Time // required; called by one goroutine at a time
	Producer string           // what the journal says of entries: "assay eval 1.0.0"; required
}
