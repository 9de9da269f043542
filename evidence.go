package assay

import (
	"encoding/json"
	"time"
)

// A Kind says what an evidence proves, and so which Go type its payload has.
type Kind string

const (
	KindSnapshot     Kind = "snapshot"     // Snapshot
	KindDatasheet    Kind = "datasheet"    // Datasheet
	KindProfile      Kind = "profile"      // Profile
	KindSchema       Kind = "schema"       // SchemaRecord
	KindValidation   Kind = "validation"   // Validation
	KindSplit        Kind = "split"        // Split
	KindRun          Kind = "run"          // Run
	KindReproduction Kind = "reproduction" // Reproduction
	KindSearch       Kind = "search"       // Search
	KindModel        Kind = "model"        // Model
	KindDisclosure   Kind = "disclosure"   // Disclosure
	KindEvaluation   Kind = "evaluation"   // Evaluation
	KindComparison   Kind = "comparison"   // Comparison
	KindWaiver       Kind = "waiver"       // Waiver
	KindVerdict      Kind = "verdict"      // Judgement
	KindPromotion    Kind = "promotion"    // Promotion
	KindCard         Kind = "card"         // Card
	KindCI           Kind = "ci"           // CI
	KindServing      Kind = "serving"      // Serving
	KindRollout      Kind = "rollout"      // Rollout
	KindMonitor      Kind = "monitor"      // Monitor
	KindTestFire     Kind = "test_fire"    // TestFire
	KindDrift        Kind = "drift"        // Drift
	KindOutcome      Kind = "outcome"      // Outcome
	KindAlert        Kind = "alert"        // Incident
)

// Kinds returns every kind of evidence, in the order of a model's life. The caller owns the slice.
func Kinds() []Kind {
	return []Kind{
		KindSnapshot, KindDatasheet, KindProfile, KindSchema, KindValidation, KindSplit, KindRun, KindReproduction, KindSearch,
		KindModel, KindDisclosure, KindEvaluation, KindComparison, KindWaiver, KindVerdict, KindPromotion, KindCard,
		KindCI, KindServing, KindRollout, KindMonitor, KindTestFire, KindDrift, KindOutcome, KindAlert,
	}
}

// Evidence is one proven fact: immutable, and named by its content. Its id is the SHA-256 of the RFC 8785 canonical JSON of exactly
// these five fields, so that the same fact has the same id whoever finds it and whenever. A payload therefore holds no clock time,
// no duration, no host name and no absolute path: those belong to the journal Entry.
//
// Every Digest in a payload carries a names tag that says what it is the digest of: "blob", bytes that must be in the store for as long
// as the evidence is; "manifest", such bytes in which every digest is that of a blob too; "evidence", the id of other evidence; "content", rows, bytes or settings that need not be there. A tag on a list,
// a map or a struct holds for the digests inside it.
type Evidence struct {
	Kind    Kind            `json:"kind"`
	Version int             `json:"version"` // of the payload's type; 1 is the first
	Subject Digest          `json:"subject"` // what the evidence is about: a data set's content, a run's specification, a model
	Parents []Digest        `json:"parents"` // ids of the evidence this one was derived from, sorted, unique
	Payload json.RawMessage `json:"payload"`
}

// A Record is evidence as a store holds it, with its id and the journal entry that first brought it.
type Record struct {
	ID Digest `json:"id"`
	Evidence
	Entry Entry `json:"entry"`
}

// An Entry is one line of the journal: that a producer brought an evidence, when and in which circumstances. Entries are append-only
// and hash-chained: Hash covers the entry and Previous, so that removal or editing shows.
//
// Context[LogContext] is the digest of a blob, which must be in the store for as long as the entry.
type Entry struct {
	Seq      int64             `json:"seq"`
	Evidence Digest            `json:"evidence"`
	Producer string            `json:"producer"` // "assay eval 1.0.0"
	At       time.Time         `json:"at"`
	Context  map[string]string `json:"context,omitempty"` // host, user, duration, paths: circumstances, not facts
	Previous Digest            `json:"previous"`
	Hash     Digest            `json:"hash"`
}

// LogContext is the key of a journal entry's context that holds the digest of what a run printed.
const LogContext = "log"

// Decode reads the payload of r into a value of the type that belongs to its kind.
func Decode[T any](e Evidence) (T, error) {
	var v T
	if err := json.Unmarshal(e.Payload, &v); err != nil {
		return v, Errorf(Internal, "the payload of %s evidence about %s cannot be read: %w", e.Kind, e.Subject.Short(), err)
	}
	return v, nil
}
