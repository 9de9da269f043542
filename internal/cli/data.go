package cli

import (
	"context"
	"os"
	"path/filepath"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/blob"
	"github.com/assay-ml/assay/internal/dataset"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/table"
)

// snapshotStage versions and documents the data set.
func (s *session) snapshotStage(ctx context.Context) (assay.Record, assay.Snapshot, assay.Datasheet, error) {
	var none assay.Datasheet
	t, err := s.table(ctx)
	if err != nil {
		return assay.Record{}, assay.Snapshot{}, none, err
	}
	snap, err := dataset.Snapshot(ctx, s.p.Name, s.p.dir, t, s.sums)
	if err != nil {
		return assay.Record{}, snap, none, err
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
func (s *session) splitStage(ctx context.Context) (assay.Record, assay.Split, error) {
	snapRec, snap, err := s.snapshot(ctx)
	if err != nil {
		return assay.Record{}, assay.Split{}, err
	}
	t, err := s.table(ctx)
	if err != nil {
		return assay.Record{}, assay.Split{}, err
	}
	purge, err := seconds(s.p.Split.Purge)
	if err != nil {
		return assay.Record{}, assay.Split{}, err
	}
	d, err := dataset.Divide(ctx, t, dataset.SplitOptions{
		By: s.p.Split.By, Target: s.p.Data.Target.Column, Task: s.p.Data.Target.Task, Key: s.p.Data.Key, Entity: s.p.Data.Entity, Time: s.p.Data.Time,
		Column: s.p.Split.Column, Validation: s.p.Split.Validation, Test: s.p.Split.Test, Seed: s.p.Split.Seed, Purge: purge, Exclude: s.p.Data.Exclude,
	})
	if err != nil {
		return assay.Record{}, assay.Split{}, err
	}
	if err := s.refuseSealed(ctx, d); err != nil {
		return assay.Record{}, assay.Split{}, err
	}
	if _, err := blob.PutBytes(ctx, s.st.Blobs(), d.Assignment()); err != nil {
		return assay.Record{}, assay.Split{}, err
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

// refuseSealed refuses a split that would train on rows whose labels an earlier split sealed. Rows that occur more than once in the
// table say nothing about which of them was sealed, and are left out.
func (s *session) refuseSealed(ctx context.Context, d *dataset.Division) error {
	over, err := s.st.Overlap(ctx, d.Distinct(assay.Train, assay.Valid), dataset.RowsDigest(d.PartPrints(assay.Test)))
	if err != nil {
		return err
	}
	for _, o := range over {
		if o.Rows > 0 {
			return assay.Errorf(assay.Refused, "%d rows that this split would train on are sealed as test rows of split %s", o.Rows, o.Seal.Split.Short()).
				Try("keep the earlier split options, or split.by: hash so that a grown table keeps its test rows")
		}
	}
	return nil
}

// sealParts writes the part files and hands the labels of the test rows to the seal.
func (s *session) sealParts(ctx context.Context, d *dataset.Division, r assay.Record, snap assay.Snapshot) error {
	e, err := s.tables(ctx)
	if err != nil {
		return err
	}
	dir := s.splitDir(r.ID)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return assay.Errorf(assay.Unavailable, "the folder of the split cannot be made: %w", err)
	}
	files, err := d.Write(ctx, e, dir)
	if err != nil {
		return err
	}
	f, err := os.Open(files.TestLabels)
	if err != nil {
		return assay.Errorf(assay.Unavailable, "the labels to seal cannot be read: %w", err)
	}
	defer os.Remove(files.TestLabels)
	defer f.Close()
	labels, _, err := s.st.Blobs().Put(ctx, f)
	if err != nil {
		return err
	}
	prints := d.SealedPrints()
	fingerprints, err := blob.PutBytes(ctx, s.st.Blobs(), prints)
	if err != nil {
		return err
	}
	var test assay.Part
	for _, p := range d.Record.Parts {
		if p.Name == d.Record.Sealed {
			test = p
		}
	}
	return s.st.Seal(ctx, store.SealRecord{Split: r.ID, Data: snap.Content, Rows: test.IDs, Count: test.Rows, Fingerprints: fingerprints, Labels: labels, Context: s.circumstances()})
}

// splitDir is where the part files of a split lie.
func (s *session) splitDir(split assay.Digest) string {
	return filepath.Join(s.p.Path(s.p.Store), "splits", split.Short())
}

// part reads one of the part files of a split.
func (s *session) part(ctx context.Context, split assay.Digest, name string) (*table.Table, error) {
	file := map[string]string{assay.Train: "train.parquet", assay.Valid: "validation.parquet", assay.Test: "test_features.parquet"}[name]
	path := filepath.Join(s.splitDir(split), file)
	if _, err := os.Stat(path); err != nil {
		return nil, assay.Errorf(assay.NotFound, "the %s part of split %s is not on disk", name, split.Short()).Try("assay split")
	}
	e, err := s.tables(ctx)
	if err != nil {
		return nil, err
	}
	return e.Read(ctx, path, table.ReadOptions{})
}
