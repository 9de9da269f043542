package store

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/blob"
)

func benchStore(b *testing.B) *SQLite {
	s := must(OpenSQLite(b.Context(), Options{Dir: filepath.Join(b.TempDir(), "s"), Clock: assaytest.Clock(), Producer: "assay test"}))(b)
	b.Cleanup(func() { s.Close() })
	return s
}

func small(b *testing.B, i int) assay.Evidence {
	return evidence(b, assay.KindCI, digest(fmt.Sprint(i%1000)), nil, assay.CI{Checks: []assay.CICheck{{Name: fmt.Sprint(i), Verdict: assay.Pass, Message: "as it should be"}}, Verdict: assay.Pass})
}

// percentile reports the p-th percentile of the durations.
func percentile(b *testing.B, took []time.Duration, p int) {
	slices.Sort(took)
	b.ReportMetric(float64(took[(len(took)-1)*p/100].Microseconds())/1000, fmt.Sprintf("p%d-ms", p))
}

// BenchmarkAppend is one acknowledged evidence: the transaction is synced.
func BenchmarkAppend(b *testing.B) {
	s := benchStore(b)
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		e := small(b, i)
		from := time.Now()
		must(s.Append(b.Context(), nil, e))(b)
		took = append(took, time.Since(from))
	}
	percentile(b, took, 50)
	percentile(b, took, 95)
}

// BenchmarkPut is one acknowledged blob of 100 kB: file and directory are synced.
func BenchmarkPut(b *testing.B) {
	s := benchStore(b)
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		bytes := fmt.Appendf(make([]byte, 100_000), "%d", i)
		from := time.Now()
		must(blob.PutBytes(b.Context(), s.Blobs(), bytes))(b)
		took = append(took, time.Since(from))
	}
	percentile(b, took, 50)
	percentile(b, took, 95)
}

// filled returns a store with n pieces of evidence.
func filled(b *testing.B, n int) *SQLite {
	s := benchStore(b)
	const batch = 5000
	for i := 0; i < n; i += batch {
		evs := make([]assay.Evidence, batch)
		for j := range evs {
			evs[j] = small(b, i+j)
		}
		must(s.Append(b.Context(), nil, evs...))(b)
	}
	return s
}

// BenchmarkList is one page of 100 out of 100,000, from the middle; of all, of one kind, and all of one subject.
func BenchmarkList(b *testing.B) {
	s := filled(b, 100_000)
	for name, q := range map[string]Query{
		"all":     {Limit: 100, Before: 50_000},
		"kind":    {Limit: 100, Before: 50_000, Kind: assay.KindCI},
		"subject": {Subject: digest("7"), Kind: assay.KindCI},
	} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				from := time.Now()
				if rs := must(s.Find(b.Context(), q))(b); len(rs) != 100 {
					b.Fatal(len(rs))
				}
				took = append(took, time.Since(from))
			}
			percentile(b, took, 50)
			percentile(b, took, 95)
		})
	}
	b.Run("changes", func(b *testing.B) {
		var took []time.Duration
		for b.Loop() {
			from := time.Now()
			must(s.Changes(b.Context()))(b)
			took = append(took, time.Since(from))
		}
		percentile(b, took, 50)
		percentile(b, took, 99)
	})
	b.Run("fsck", func(b *testing.B) {
		for b.Loop() {
			if r := must(s.Fsck(b.Context()))(b); !r.Clean() {
				b.Fatal(r.Problems)
			}
		}
	})
}

// BenchmarkOpen opens a store that is there.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	for b.Loop() {
		s := must(OpenSQLite(b.Context(), Options{Dir: dir, Clock: assaytest.Clock(), Producer: "assay test"}))(b)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOverlap looks for a million rows in a sealed set of a million.
func BenchmarkOverlap(b *testing.B) {
	s := benchStore(b)
	sealed(b, s, "a", prints(0, 1_000_000))
	rows := prints(500_000, 1_000_000)
	for b.Loop() {
		if o := must(s.Overlap(b.Context(), rows))(b); len(o) != 1 || o[0].Rows != 500_000 {
			b.Fatal(o)
		}
	}
}

// BenchmarkID is the id of evidence with a payload of about 100 kB.
func BenchmarkID(b *testing.B) {
	checks := make([]assay.CICheck, 1000)
	for i := range checks {
		checks[i] = assay.CICheck{Name: fmt.Sprint(i), Message: "a message of about fifty characters, as they come"}
	}
	e := evidence(b, assay.KindCI, digest("s"), nil, assay.CI{Checks: checks})
	b.SetBytes(int64(len(e.Payload)))
	b.ReportAllocs()
	for b.Loop() {
		must(ID(e))(b)
	}
}
