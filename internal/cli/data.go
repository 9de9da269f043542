package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/blob"
	"github.com/assay-ml/assay/internal/dataset"
	"github.com/assay-ml/assay/internal/store"
)

// snapshotStage versions and documents the data set.
func (s *session) snapshotStage(ctx context.Context) (assay.Record, assay.Snapshot, assay.Datasheet, error) {
	return s.takeSnapshot(ctx, false)
}

// takeSnapshot copies the files into the store too when keep is set.
func (s *session) takeSnapshot(ctx context.Context, keep bool) (assay.Record, assay.Snapshot, assay.Datasheet, error) {
	var none assay.Datasheet
	t, err := s.table(ctx)
	if err != nil {
		return assay.Record{}, assay.Snapshot{}, none, err
	}
	snap, err := dataset.Snapshot(ctx, s.p.Name, s.p.dir, t, s.sums)
	if err != nil {
		return assay.Record{}, snap, none, err
	}
	if keep {
		if err := dataset.Keep(ctx, s.st.Blobs(), &snap, t.Paths()); err != nil {
			return assay.Record{}, snap, none, err
		}
	}
	r, err := s.write(ctx, assay.KindSnapshot, snap.Content, nil, snap)
	if err != nil {
		return r, snap, none, err
	}
	sheet := dataset.Datasheet(s.p.Data.Document)
	_, err = s.write(ctx, assay.KindDatasheet, snap.Content, []assay.Digest{r.ID}, sheet)
	return r, snap, sheet, err
}

// snapshot returns the evidence about the data as it is now, making it when it is not there.
func (s *session) snapshot(ctx context.Context) (assay.Record, assay.Snapshot, error) {
	r, snap, _, err := s.snapshotStage(ctx)
	return r, snap, err
}

// splitStage divides the data, seals the test labels and writes the part files. A split of the same data with the same options is
// found again and not repeated.
func (s *session) splitStage(ctx context.Context, reason string) (assay.Record, assay.Split, error) {
	snapRec, snap, err := s.snapshot(ctx)
	if err != nil {
		return assay.Record{}, assay.Split{}, err
	}
	t, err := s.table(ctx)
	if err != nil {
		return assay.Record{}, assay.Split{}, err
	}
	o, err := s.splitOptions()
	if err != nil {
		return assay.Record{}, assay.Split{}, err
	}
	d, err := dataset.Divide(ctx, t, o)
	if err != nil {
		return assay.Record{}, assay.Split{}, err
	}
	known, err := s.asBefore(ctx, d, snap.Content)
	if err != nil {
		return assay.Record{}, assay.Split{}, err
	}
	if err := s.refuseSealed(ctx, d, known, reason); err != nil {
		return assay.Record{}, assay.Split{}, err
	}
	for _, o := range d.Record.Alike {
		s.say("about %s sealed rows of split %s are recognised in this table: a read of either counts as one of both.", assay.FormatCount(o.Rows), o.Split.Short())
	}
	for _, b := range [][]byte{d.Assignment(), d.Sketch()} {
		if _, err := blob.PutBytes(ctx, s.st.Blobs(), b); err != nil {
			return assay.Record{}, assay.Split{}, err
		}
	}
	r, err := s.write(ctx, assay.KindSplit, snap.Content, []assay.Digest{snapRec.ID}, d.Record)
	if err != nil {
		return r, d.Record, err
	}
	if err := s.sealParts(ctx, d, r, snap); err != nil {
		return r, d.Record, err
	}
	return r, d.Record, s.checkParts(ctx, r)
}

// splitOptions are how assay.yaml divides the rows.
func (s *session) splitOptions() (dataset.SplitOptions, error) {
	embargo, err := seconds("split.embargo", s.p.Split.Embargo)
	if err != nil {
		return dataset.SplitOptions{}, err
	}
	purge, err := seconds("split.purge", s.p.Split.Purge)
	return dataset.SplitOptions{
		By: s.p.Split.By, Target: s.p.Data.Target.Column, Labels: s.p.Data.Target.Columns, Query: s.p.Data.Target.Query, Task: s.p.Data.Target.Task, Key: s.p.Data.Key, Entity: s.p.Data.Entity, Time: s.p.Data.Time,
		Column: s.p.Split.Column, Validation: s.p.Split.Validation, Test: s.p.Split.Test, Seed: s.p.Split.Seed, Purge: purge, Embargo: embargo, Exclude: s.p.Data.Exclude,
	}, err
}

// asBefore gives the rows the parts that an earlier split with the same options gave the same content, when the rows now come in another
// order or from another file; known says that there is such a split, and what it said of sealed sets is said again.
func (s *session) asBefore(ctx context.Context, d *dataset.Division, content assay.Digest) (known bool, err error) {
	rs, err := s.st.Find(ctx, store.Query{Kind: assay.KindSplit, Subject: content})
	if err != nil {
		return false, err
	}
	for _, r := range rs {
		old, err := assay.Decode[assay.Split](r.Evidence)
		if err != nil {
			return false, err
		}
		if old.Options != d.Record.Options {
			continue
		}
		if old.Assignment != d.Record.Assignment {
			assignment, err := blob.ReadAll(ctx, s.st.Blobs(), old.Assignment, maxModelBytes)
			if err != nil {
				return false, err
			}
			if err := d.Keep(ctx, assignment); err != nil {
				return false, err
			}
		}
		d.Record.Alike = old.Alike
		return true, nil
	}
	return false, nil
}

// A sighting is a sealed set of which more rows are among others than chance gives.
type sighting struct {
	seal     store.SealRecord
	rows     int64 // of the sealed rows, about how many
	probable bool  // see dataset.Sighting
	spread   bool  // recognised by counts in the whole table, and not in the rows that were asked for alone
}

// sightings looks for sealed rows among the given rows of a table: by their content, and by the values of their cells, so that other
// names, fewer columns or another key do not hide them. Sets that skip names are left out.
func (s *session) sightings(ctx context.Context, l *dataset.Look, rows []int, skip func(store.SealRecord) bool) ([]sighting, error) {
	return s.sightingsAmong(ctx, l, rows, nil, skip)
}

// sightingsAmong looks for what is recognised by counts alone among other rows too, of which there are more. Of the ways to recognise rows
// the one counts that finds most: a few rows that are as they were do not hide the others. A sighting is probable if only counts tell.
func (s *session) sightingsAmong(ctx context.Context, l *dataset.Look, rows, among []int, skip func(store.SealRecord) bool) ([]sighting, error) {
	contents := l.Contents(rows)
	over, err := s.st.Overlap(ctx, contents)
	if err != nil {
		return nil, err
	}
	seals, err := s.st.Sealed(ctx)
	if err != nil {
		return nil, err
	}
	var out []sighting
	for _, seal := range seals {
		if skip(seal) {
			continue
		}
		sketch, err := s.sketch(ctx, seal)
		if err != nil {
			return nil, err
		}
		var best dataset.Sighting
		for _, o := range over {
			if o.Seal.Split == seal.Split {
				best = dataset.Sighting{Looked: int(seal.Count), Found: int(o.Sealed), Chance: l.ContentChance(contents, sketch)}
			}
		}
		is := sighting{seal: seal}
		if sketch != nil {
			cells, err := l.See(ctx, sketch, rows)
			if err != nil {
				return nil, err
			}
			best = more(best, cells)
			certain := best.Seen() && !best.Probable
			if !best.Seen() || best.Excess() < store.SubstantialOverlap {
				alike, err := l.Alike(ctx, sketch, rows)
				if err == nil && among != nil {
					var all dataset.Sighting
					all, err = l.Alike(ctx, sketch, among)
					is.spread = all.Seen() && all.Excess() > sameSide*alike.Excess() && more(best, all) == all
					alike = more(alike, all)
				}
				if err != nil {
					return nil, err
				}
				best = more(best, alike)
			}
			is.probable = best.Probable && !certain
		}
		if best.Seen() {
			is.rows = max(1, int64(best.Excess()*float64(seal.Count)+0.5))
			out = append(out, is)
		}
	}
	return out, nil
}

// sameSide is how many times as many sealed rows a whole table must have as one part of it for them not to be that part.
const sameSide = 1.5

// more is the sighting that found more of what is beyond chance.
func more(a, b dataset.Sighting) dataset.Sighting {
	if b.Seen() && (!a.Seen() || b.Excess() > a.Excess()) {
		return b
	}
	return a
}

// sketch reads what a split kept of its test rows; nil where it kept nothing.
func (s *session) sketch(ctx context.Context, seal store.SealRecord) (*dataset.Sketch, error) {
	r, err := s.st.Get(ctx, seal.Split)
	if err != nil {
		return nil, err
	}
	split, err := assay.Decode[assay.Split](r.Evidence)
	if err != nil || split.Sketch == "" {
		return nil, err
	}
	b, err := blob.ReadAll(ctx, s.st.Blobs(), split.Sketch, maxModelBytes)
	if err != nil {
		return nil, err
	}
	return dataset.ParseSketch(b)
}

// refuseSealed refuses a split that would train on rows whose labels an earlier split sealed, and one that would seal rows again whose labels
// were disclosed already, under a content that the ledger does not recognise. What is recognised by counts alone, and rows that are sealed
// again, may be split all the same with a reason: the split names the sealed sets, and the ledger counts their reads on. A split that was
// recorded before says again what it said.
func (s *session) refuseSealed(ctx context.Context, d *dataset.Division, known bool, reason string) error {
	fingerprints := assay.DigestOf(d.SealedPrints())
	mine := func(r store.SealRecord) bool {
		return r.Fingerprints == fingerprints || slices.ContainsFunc(d.Record.Alike, func(a assay.Alike) bool { return a.Split == r.Split })
	}
	over, err := s.sightings(ctx, d.Look, append(d.Rows(assay.Train), d.Rows(assay.Valid)...), mine)
	if err != nil {
		return err
	}
	for _, o := range over {
		if !o.probable {
			return assay.Errorf(assay.Refused, "this split would train on rows that are sealed as test rows of split %s: about %d of its %d", o.seal.Split.Short(), o.rows, o.seal.Count).
				Try("keep the data and the split options of that split; only split.by: hash lets a table grow under its seal")
		}
	}
	if known {
		return nil
	}
	test := d.Rows(assay.Test)
	again, err := s.sightingsAmong(ctx, d.Look, test, d.Look.All(), mine)
	if err != nil {
		return err
	}
	// A read of these rows is one of the new seal too where the ledger recognises them by content.
	contents := d.Look.Contents(test)
	counted, err := s.st.Overlap(ctx, contents)
	if err != nil {
		return err
	}
	for i, o := range append(over, again...) {
		training := i < len(over) || o.spread
		if slices.ContainsFunc(d.Record.Alike, func(a assay.Alike) bool { return a.Split == o.seal.Split }) ||
			float64(o.rows) < store.SubstantialOverlap*float64(min(o.seal.Count, int64(len(test)))) ||
			!training && slices.ContainsFunc(counted, func(k store.SealOverlap) bool {
				found := dataset.Sighting{Looked: int(k.Seal.Count), Found: int(k.Sealed), Chance: dataset.Chance(contents)}
				return k.Seal.Split == o.seal.Split && found.Seen() && found.Excess() >= store.SubstantialOverlap
			}) {
			continue
		}
		reads, err := s.st.Disclosures(ctx, o.seal.Split)
		if err != nil {
			return err
		}
		if reason == "" {
			if err := recognised(o, training, len(reads)); err != nil {
				return err
			}
		}
		by := map[bool]string{true: "counts", false: "cells"}[o.probable]
		d.Record.Alike = append(d.Record.Alike, assay.Alike{Split: o.seal.Split, Rows: o.rows, Sealed: !training, By: by, Reason: reason})
	}
	return nil
}

// recognised refuses what needs a reason: rows that are probably sealed among those to train on, and test rows whose labels were read.
func recognised(o sighting, training bool, reads int) error {
	split := o.seal.Split.Short()
	if training {
		return assay.Errorf(assay.Refused, "this table has probably the sealed rows of split %s in another form, about %d of its %d: rows and labels lie in it as they lay there", split, o.rows, o.seal.Count).
			Try(`keep the data and the split options of that split; or assay split --reason "why these are other rows", after which the ledger still counts the reads of that split`)
	}
	if reads > 0 {
		return assay.Errorf(assay.Refused, "the test rows are those of split %s in another form, and their labels were read %d time(s) there", split, reads).
			Try(`evaluate on split %s, or bring test rows that were never read; assay split --reason "why" seals them again, and the ledger counts on`, split)
	}
	return nil
}

// snapshots returns the recorded versions of data sets, newest first.
func (s *session) snapshots(ctx context.Context) ([]assay.Record, []assay.Snapshot, error) {
	rs, err := s.st.Find(ctx, store.Query{Kind: assay.KindSnapshot})
	if err != nil {
		return nil, nil, err
	}
	out := make([]assay.Snapshot, len(rs))
	for i, r := range rs {
		if out[i], err = assay.Decode[assay.Snapshot](r.Evidence); err != nil {
			return nil, nil, err
		}
	}
	return rs, out, nil
}

// storedSnapshot finds the snapshot to restore: by the start of its evidence id or of its content, or the newest whose bytes were kept.
func (s *session) storedSnapshot(ctx context.Context, ref string) (assay.Record, assay.Snapshot, error) {
	rs, snaps, err := s.snapshots(ctx)
	if err != nil {
		return assay.Record{}, assay.Snapshot{}, err
	}
	ref = strings.TrimPrefix(ref, "sha256:")
	named := -1
	for i, snap := range snaps {
		if strings.HasPrefix(rs[i].ID.Hex(), ref) || strings.HasPrefix(snap.Content.Hex(), ref) {
			if snap.Stored {
				return rs[i], snap, nil
			}
			named = i
		}
	}
	if named >= 0 {
		return rs[named], snaps[named], nil
	}
	return assay.Record{}, assay.Snapshot{}, assay.Errorf(assay.NotFound, "no snapshot %q", ref).Try("assay snapshot list")
}
