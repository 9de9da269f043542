package store

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
)

// seal is a row of the seals.
type seal struct {
	SealRecord
	seq int64
}

func (r SealRecord) same(o SealRecord) bool {
	return r.Split == o.Split && r.Data == o.Data && r.Rows == o.Rows && r.Count == o.Count && r.Fingerprints == o.Fingerprints && r.Labels == o.Labels
}

// An overlap is what a seal has in common with an older one: a row of the overlaps.
type overlap struct {
	seq         int64 // of the older seal
	older, mine int64 // rows of each that the other has too
}

// context is what the journal repeats of a seal and its overlaps, so that altering them shows.
func (r SealRecord) context(overlaps []overlap) map[string]string {
	slices.SortFunc(overlaps, func(a, b overlap) int { return cmp.Compare(a.seq, b.seq) })
	common := make([]string, len(overlaps))
	for i, o := range overlaps {
		common[i] = fmt.Sprintf("%d:%d:%d", o.seq, o.older, o.mine)
	}
	return map[string]string{
		"seal_overlaps": strings.Join(common, " "),
		"seal_data":     string(r.Data), "seal_rows": string(r.Rows), "seal_count": strconv.FormatInt(r.Count, 10),
		"seal_fingerprints": string(r.Fingerprints), "seal_labels": string(r.Labels),
	}
}

func seals(ctx context.Context, q queryer, where string, args ...any) ([]seal, error) {
	out := []seal{}
	err := each(ctx, q, func(scan func(...any) error) error {
		var s seal
		err := scan(&s.seq, &s.Split, &s.Data, &s.Rows, &s.Count, &s.Fingerprints, &s.Labels)
		out = append(out, s)
		return err
	}, `SELECT seq, split, data, rows, count, fingerprints, labels FROM seals `+where+` ORDER BY seq`, args...)
	return out, err
}

// Sealed implements Seals.
func (s *SQLite) Sealed(ctx context.Context) ([]SealRecord, error) {
	held, err := seals(ctx, s.reads, ``)
	if err != nil {
		return nil, fault("the seals cannot be read", err)
	}
	out := make([]SealRecord, len(held))
	for i := range held {
		out[i] = held[i].SealRecord
	}
	return out, nil
}

// Seal implements Seals.
func (s *SQLite) Seal(ctx context.Context, r SealRecord) error {
	alike, err := s.sealable(ctx, r)
	if err != nil {
		return err
	}
	// Sets are compared outside the transaction, for that may take a while; a seal that came meanwhile is compared in the next round.
	compared := map[int64]bool{}
	var overlaps []overlap
	for {
		held, err := seals(ctx, s.reads, ``)
		if err != nil {
			return fault("the seals cannot be read", err)
		}
		for _, h := range held {
			if h.Split == r.Split {
				if h.same(r) {
					return nil
				}
				return assay.Errorf(assay.Exists, "split %s is sealed already, with other rows or labels", r.Split.Short()).Try("assay split with another seed makes another split")
			}
			if compared[h.seq] {
				continue
			}
			older, mine, err := s.common(ctx, h.Fingerprints, r.Fingerprints)
			if err != nil {
				return err
			}
			compared[h.seq] = true
			if h.Fingerprints != r.Fingerprints {
				if older, mine, err = s.beyondChance(ctx, h.SealRecord, r, older, mine); err != nil {
					return err
				}
			}
			if n, ok := alike[h.Split]; ok { // the same rows by what the split says of them
				older, mine = max(older, min(n, h.Count)), max(mine, min(n, r.Count))
			}
			if older > 0 {
				overlaps = append(overlaps, overlap{h.seq, older, mine})
			}
		}
		done := false
		err = s.write(ctx, "the test labels cannot be sealed", func(tx *sql.Tx) error {
			var n int
			if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM seals`).Scan(&n); err != nil {
				return err
			}
			if n != len(compared) {
				return nil
			}
			c := texts(r.Context)
			maps.Copy(c, r.context(overlaps))
			entry, err := s.note(ctx, tx, r.Split, c)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO seals (seq, split, data, rows, count, fingerprints, labels) VALUES (?, ?, ?, ?, ?, ?, ?)`,
				entry.Seq, r.Split, r.Data, r.Rows, r.Count, r.Fingerprints, r.Labels); err != nil {
				return err
			}
			for _, o := range overlaps {
				if _, err := tx.ExecContext(ctx, `INSERT INTO overlaps (older, newer, older_rows, newer_rows) VALUES (?, ?, ?, ?)`,
					o.seq, entry.Seq, o.older, o.mine); err != nil {
					return err
				}
			}
			done = true
			return nil
		})
		if err != nil || done {
			return err
		}
	}
}

// sealable holds a seal against the split's evidence and its blobs, and returns how many rows of other splits' sealed sets the split says
// to have in another form.
func (s *SQLite) sealable(ctx context.Context, r SealRecord) (map[assay.Digest]int64, error) {
	ev, err := s.Get(ctx, r.Split)
	if err != nil {
		return nil, err
	}
	if ev.Kind != assay.KindSplit {
		return nil, assay.Errorf(assay.Invalid, "evidence %s is a %s, not a split", r.Split.Short(), ev.Kind)
	}
	p, err := assay.Decode[assay.Split](ev.Evidence)
	if err != nil {
		return nil, err
	}
	alike := map[assay.Digest]int64{}
	for _, a := range p.Alike {
		alike[a.Split] = a.Rows
	}
	var ps assay.Problems
	if ev.Subject != r.Data {
		ps.Add("the split is of data %s, not of %s", ev.Subject.Short(), r.Data.Short())
	}
	i := slices.IndexFunc(p.Parts, func(part assay.Part) bool { return part.Name == p.Sealed })
	if i < 0 {
		ps.Add("the split seals no part")
	} else if p.Parts[i].IDs != r.Rows || p.Parts[i].Rows != r.Count {
		ps.Add("the split seals %d rows %s, not %d rows %s", p.Parts[i].Rows, p.Parts[i].IDs.Short(), r.Count, r.Rows.Short())
	}
	if _, err := s.blobs.Stat(ctx, r.Labels); assay.CodeOf(err) == assay.NotFound || assay.CodeOf(err) == assay.Invalid {
		ps.Add("the labels: %s", err)
	} else if err != nil {
		return nil, err
	}
	n, sorted := int64(0), true
	var last Fingerprint
	err = s.fingerprints(ctx, r.Fingerprints, func(f Fingerprint) {
		sorted = sorted && (n == 0 || bytes.Compare(last[:], f[:]) <= 0)
		last = f
		n++
	})
	switch {
	case assay.CodeOf(err) == assay.NotFound, assay.CodeOf(err) == assay.Invalid:
		ps.Add("the fingerprints: %s", err)
	case err != nil:
		return nil, err
	case n != r.Count:
		ps.Add("%d fingerprints for %d rows", n, r.Count)
	case !sorted:
		ps.Add("the fingerprints are not sorted")
	}
	return alike, ps.Err(assay.Invalid, "the test labels cannot be sealed")
}

// Overlap implements Seals.
func (s *SQLite) Overlap(ctx context.Context, rows []Fingerprint, except ...assay.Digest) ([]SealOverlap, error) {
	held, err := seals(ctx, s.reads, ``)
	if err != nil {
		return nil, fault("the seals cannot be read", err)
	}
	sorted := slices.Clone(rows)
	slices.SortFunc(sorted, func(a, b Fingerprint) int { return bytes.Compare(a[:], b[:]) })
	out := []SealOverlap{}
	for _, h := range held {
		if slices.Contains(except, h.Fingerprints) {
			continue
		}
		i := 0
		sealed, given, err := s.merge(ctx, h.Fingerprints, func() (Fingerprint, bool) {
			if i == len(sorted) {
				return Fingerprint{}, false
			}
			i++
			return sorted[i-1], true
		})
		if err != nil {
			return nil, err
		}
		if given == 0 {
			continue
		}
		out = append(out, SealOverlap{h.SealRecord, given, sealed})
	}
	return out, nil
}

// kin returns the sequence numbers of the seals whose rows overlap substantially with those of s, itself included.
func kin(ctx context.Context, q queryer, s seal) (map[int64]bool, error) {
	out := map[int64]bool{s.seq: true}
	err := each(ctx, q, func(scan func(...any) error) error {
		var other, count, theirs, mine int64
		if err := scan(&other, &count, &theirs, &mine); err != nil {
			return err
		}
		common, smaller := mine, s.Count
		if count < s.Count {
			common, smaller = theirs, count
		}
		if float64(common) >= SubstantialOverlap*float64(smaller) {
			out[other] = true
		}
		return nil
	}, `SELECT s.seq, s.count, o.older_rows, o.newer_rows FROM overlaps o JOIN seals s ON s.seq = o.older WHERE o.newer = ?1
		UNION ALL SELECT s.seq, s.count, o.newer_rows, o.older_rows FROM overlaps o JOIN seals s ON s.seq = o.newer WHERE o.older = ?1`, s.seq)
	return out, err
}

// reads returns the disclosures of the given seals, oldest first, with the fingerprints of the seal that each used.
func reads(ctx context.Context, q queryer, of map[int64]bool) (out []disclosed, err error) {
	type row struct {
		evidence, fingerprints assay.Digest
	}
	var rows []row
	err = each(ctx, q, func(scan func(...any) error) error {
		var r row
		var seq int64
		if err := scan(&r.evidence, &seq, &r.fingerprints); err != nil {
			return err
		}
		if of[seq] {
			rows = append(rows, r)
		}
		return nil
	}, `SELECT d.evidence, d.seal, s.fingerprints FROM disclosures d JOIN seals s ON s.seq = d.seal ORDER BY d.seq`)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		rec, err := get(ctx, q, r.evidence)
		if err != nil {
			return nil, err
		}
		p, err := assay.Decode[assay.Disclosure](rec.Evidence)
		if err != nil {
			return nil, err
		}
		out = append(out, disclosed{rec, p, r.fingerprints})
	}
	return out, nil
}

// disclosed is one read of sealed labels.
type disclosed struct {
	record       assay.Record
	payload      assay.Disclosure
	fingerprints assay.Digest
}

func sealOf(ctx context.Context, q queryer, split assay.Digest) (seal, error) {
	held, err := seals(ctx, q, `WHERE split = ?`, split)
	if err != nil {
		return seal{}, err
	}
	if len(held) == 0 {
		return seal{}, assay.Errorf(assay.NotFound, "split %s has no sealed labels", split.Short()).Try("assay split")
	}
	return held[0], nil
}

// Disclose implements Seals.
func (s *SQLite) Disclose(ctx context.Context, r DisclosureRequest) (assay.Record, bool, error) {
	alpha := r.Alpha
	if alpha == 0 {
		alpha = DefaultAlpha
	}
	metrics := slices.Clone(r.Metrics)
	slices.Sort(metrics)
	metrics = slices.Compact(metrics)
	var ps assay.Problems
	if !(alpha > 0 && alpha < 1) {
		ps.Add("alpha %v: want a number between 0 and 1", alpha)
	}
	if _, err := assay.ParseDigest(string(r.Model)); err != nil {
		ps.Add("model %s", err)
	}
	if _, err := assay.ParseDigest(string(r.Configuration)); err != nil {
		ps.Add("configuration %s", err)
	}
	if len(metrics) == 0 {
		ps.Add("no metric is named")
	}
	if err := ps.Err(assay.Invalid, "sealed labels cannot be disclosed"); err != nil {
		return assay.Record{}, false, err
	}
	var out assay.Record
	existing := false
	err := s.write(ctx, "sealed labels cannot be disclosed", func(tx *sql.Tx) error {
		if err := ledgerWhole(ctx, tx); err != nil {
			return err
		}
		sl, err := sealOf(ctx, tx, r.Split)
		if err != nil {
			return err
		}
		if sl.Rows != r.Rows {
			return assay.Errorf(assay.Refused, "the sealed rows of split %s are %s, not %s", r.Split.Short(), sl.Rows.Short(), r.Rows.Short())
		}
		family, err := kin(ctx, tx, sl)
		if err != nil {
			return err
		}
		before, err := reads(ctx, tx, family)
		if err != nil {
			return err
		}
		for _, d := range before {
			if d.record.Subject == r.Model && d.fingerprints == sl.Fingerprints && d.payload.Configuration == r.Configuration && contains(d.payload.Metrics, metrics) {
				out, existing = d.record, true
				return nil
			}
		}
		k := len(before) + 1
		level := 1 - budget(before, alpha)/float64(k)
		if k > 1 && r.Reason == "" {
			return assay.Errorf(assay.Refused, "the sealed rows of split %s were read %s before: a further read needs a reason, and reports at level %.4f",
				r.Split.Short(), times(len(before)), level).Try(`assay eval --final --reason "why"`)
		}
		ev, err := Evidence(assay.KindDisclosure, r.Model, []assay.Digest{r.Split}, assay.Disclosure{
			Split: r.Split, Rows: r.Rows, Read: k, Level: level, Metrics: metrics, Configuration: r.Configuration, Reason: r.Reason,
		})
		if err != nil {
			return err
		}
		c, err := s.check(ctx, ev)
		if err != nil {
			return err
		}
		rec, isNew, err := s.append(ctx, tx, r.Context, c)
		if err != nil {
			return err
		}
		if !isNew {
			return assay.Errorf(assay.Internal, "disclosure %s is evidence without a line in the ledger", rec.ID.Short()).Try("assay fsck")
		}
		out = rec
		_, err = tx.ExecContext(ctx, `INSERT INTO disclosures (seq, evidence, seal, model) VALUES (?, ?, ?, ?)`, rec.Entry.Seq, rec.ID, sl.seq, r.Model)
		return err
	})
	if err != nil {
		return assay.Record{}, false, err
	}
	return out, existing, nil
}

// ledgerWhole refuses where the ledger lacks a line of a disclosure, or has one of none: what is read off it would be too little.
func ledgerWhole(ctx context.Context, q queryer) error {
	var lacking, beyond int
	err := q.QueryRowContext(ctx, `SELECT
		(SELECT count(*) FROM evidence e WHERE e.kind = ?1 AND NOT EXISTS (SELECT 1 FROM disclosures d WHERE d.evidence = e.id)),
		(SELECT count(*) FROM disclosures d WHERE NOT EXISTS (SELECT 1 FROM evidence e WHERE e.id = d.evidence AND e.kind = ?1))`,
		assay.KindDisclosure).Scan(&lacking, &beyond)
	if err != nil || lacking == 0 && beyond == 0 {
		return err
	}
	return assay.Errorf(assay.Refused, "the ledger is damaged: it lacks the lines of %d disclosures, and %d of its lines are of none", lacking, beyond).
		Try("assay fsck names them; restore the store from a backup")
}

// budget is the error budget of the same rows: the smallest α that a read of them was ever made under, the one asked for included. So a
// level that is lowered after a read loosens nothing.
func budget(before []disclosed, alpha float64) float64 {
	for _, d := range before {
		alpha = min(alpha, (1-d.payload.Level)*float64(d.payload.Read))
	}
	// A level is 1 − α/k: what is taken out of one again differs from α in the last bits, and must not differ from read to read.
	if r := math.Round(alpha*1e12) / 1e12; r > 0 {
		return r
	}
	return alpha
}

func contains(all, some []string) bool {
	for _, s := range some {
		if !slices.Contains(all, s) {
			return false
		}
	}
	return true
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// SealedLabels implements Seals.
func (s *SQLite) SealedLabels(ctx context.Context, disclosure assay.Digest) (io.ReadCloser, error) {
	held, err := seals(ctx, s.reads, `WHERE seq = (SELECT seal FROM disclosures WHERE evidence = ?)`, disclosure)
	if err != nil {
		return nil, fault("the ledger cannot be read", err)
	}
	if len(held) == 0 {
		return nil, assay.Errorf(assay.Refused, "%s is no recorded disclosure: sealed labels stay sealed", disclosure.Short()).Try("assay eval --final")
	}
	return s.blobs.Open(ctx, held[0].Labels)
}

// Disclosures implements Seals.
func (s *SQLite) Disclosures(ctx context.Context, split assay.Digest) ([]assay.Record, error) {
	out := []assay.Record{}
	err := s.snapshot(ctx, "the ledger cannot be read", func(tx *sql.Tx) error {
		sl, err := sealOf(ctx, tx, split)
		if err != nil {
			return err
		}
		family, err := kin(ctx, tx, sl)
		if err != nil {
			return err
		}
		ds, err := reads(ctx, tx, family)
		for _, d := range ds {
			out = append(out, d.record)
		}
		return err
	})
	return out, err
}
