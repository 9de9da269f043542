package store

import (
	"context"
	"io"

	"github.com/assay-ml/assay"
)

// A Fingerprint stands for the content of a row.
type Fingerprint = [16]byte

// SubstantialOverlap is the share of the smaller of two sealed sets that must be in the larger one for a read of either to count as
// a read of both. Two independent test sets of a fifth of the same table share a fifth of their rows.
const SubstantialOverlap = 0.1

// DefaultAlpha is the error budget that reads of sealed labels spend when a request names none.
const DefaultAlpha = 0.05

// Seals keep the labels of test sets and the ledger of their use. A read is counted by the content of the rows, so that it survives
// new names and new splits of the same rows. On a user's own disk the seal is tamper-evident, not secret: whoever may read the
// directory may read the labels in it.
type Seals interface {
	// Seal withholds the labels of a split's sealed part from then on. It returns Invalid when the record does not agree with the
	// split's evidence or the fingerprints are not sorted, and Exists when the split is sealed with other content. Sealing the same
	// again does nothing.
	Seal(ctx context.Context, r SealRecord) error
	// Sealed returns every seal, oldest first.
	Sealed(ctx context.Context) ([]SealRecord, error)
	// Overlap returns the sealed sets that hold some of the given rows, which may come in any order. Sets whose Fingerprints are in
	// except are left out.
	Overlap(ctx context.Context, rows []Fingerprint, except ...assay.Digest) ([]SealOverlap, error)
	// Disclose records that sealed labels are about to be used, and returns the record of an assay.Disclosure: the k-th read of rows
	// that overlap substantially, whatever their name, reports at level 1 − α/k, where α is the smallest that a read of them stated, this
	// one included: a later, larger α loosens nothing. A request that was answered before (same model, same
	// rows, same configuration, no further metric) gets the recorded answer with true, and spends nothing. From the second read on a reason is required:
	// Refused without one. Refused too where the ledger has not one line for each disclosure.
	Disclose(ctx context.Context, r DisclosureRequest) (assay.Record, bool, error)
	// SealedLabels opens the labels that a disclosure gives access to. It returns Refused for an id that is no recorded disclosure.
	// The caller uses them within the process and shows none.
	SealedLabels(ctx context.Context, disclosure assay.Digest) (io.ReadCloser, error)
	// Disclosures returns the disclosures of all sealed sets that overlap substantially with the split's, oldest first.
	Disclosures(ctx context.Context, split assay.Digest) ([]assay.Record, error)
}

// A SealRecord says what was sealed.
type SealRecord struct {
	Split        assay.Digest      `json:"split"`        // evidence id
	Data         assay.Digest      `json:"data"`         // content of the data set: the split's subject
	Rows         assay.Digest      `json:"rows"`         // of the sealed part's row ids: Part.IDs
	Count        int64             `json:"count"`        // rows of the sealed part
	Fingerprints assay.Digest      `json:"fingerprints"` // blob: the sorted fingerprints of the rows, one after the other
	Labels       assay.Digest      `json:"labels"`       // blob
	Context      map[string]string `json:"-"`            // for the journal
}

// A SealOverlap says how much of a set of rows is sealed.
type SealOverlap struct {
	Seal   SealRecord `json:"seal"`
	Rows   int64      `json:"rows"`   // of the given rows, how many are in the sealed set
	Sealed int64      `json:"sealed"` // of the sealed rows, how many are among the given
}

// A DisclosureRequest asks for the use of sealed labels.
type DisclosureRequest struct {
	Model   assay.Digest
	Split   assay.Digest // evidence id
	Rows    assay.Digest // must be the seal's
	Metrics []string     // what will be disclosed
	// Configuration is the digest of everything that decides which figures are made of the labels: other settings are another read.
	Configuration assay.Digest
	Reason        string  // required from the second read on
	Alpha         float64 // the error budget, in (0,1); 0: DefaultAlpha. A smaller one of an earlier read stands
	Context       map[string]string
}
