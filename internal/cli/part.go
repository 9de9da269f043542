package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/blob"
	"github.com/assay-ml/assay/internal/dataset"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/table"
)

// partNames are the parts of a split in the order in which they are looked at.
var partNames = []string{assay.Train, assay.Valid, assay.Test}

// sealParts writes the part files and hands the labels of the test rows to the seal.
func (s *session) sealParts(ctx context.Context, d *dataset.Division, r assay.Record, snap assay.Snapshot) error {
	e, err := s.tables(ctx)
	if err != nil {
		return err
	}
	dir := s.splitDir(r.ID)
	if _, err := os.Stat(dir); err == nil {
		if err := s.sayAltered(ctx, r); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return assay.Errorf(assay.Unavailable, "the folder of the split cannot be made: %w", err)
	}
	sealing, done, err := s.openSealing()
	if err != nil {
		return err
	}
	defer done()
	files, err := d.Write(ctx, e, dir, sealing)
	if err != nil {
		return err
	}
	f, err := os.Open(files.TestLabels)
	if err != nil {
		return assay.Errorf(assay.Unavailable, "the labels to seal cannot be read: %w", bare(err))
	}
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
	test, err := partOf(d.Record, d.Record.Sealed)
	if err != nil {
		return err
	}
	return s.st.Seal(ctx, store.SealRecord{Split: r.ID, Data: snap.Content, Rows: test.IDs, Count: test.Rows, Fingerprints: fingerprints, Labels: labels, Context: s.circumstances()})
}

// sayAltered tells a person which files of a split are written anew because they are gone or were changed.
func (s *session) sayAltered(ctx context.Context, r assay.Record) error {
	for _, name := range partNames {
		state, err := s.partState(ctx, r, name, s.sums)
		if err != nil {
			return err
		}
		if state.code != "" {
			s.say("%s of split %s %s; it is written anew from the data", dataset.PartFile(name), r.ID.Short(), state.what)
		}
	}
	return nil
}

// splitDir is where the part files of a split lie.
func (s *session) splitDir(split assay.Digest) string {
	return filepath.Join(s.p.Path(s.p.Store), "splits", split.Short())
}

func (s *session) partPath(split assay.Digest, name string) string {
	return filepath.Join(s.splitDir(split), dataset.PartFile(name))
}

func partOf(split assay.Split, name string) (assay.Part, error) {
	for _, p := range split.Parts {
		if p.Name == name {
			return p, nil
		}
	}
	return assay.Part{}, assay.Errorf(assay.NotFound, "the split has no part %q", name)
}

// splitRows is how many rows the parts of a split have together.
func (s *session) splitRows(ctx context.Context, split assay.Digest) (int64, error) {
	r, err := s.st.Get(ctx, split)
	if err != nil {
		return 0, err
	}
	rec, err := assay.Decode[assay.Split](r.Evidence)
	n := int64(0)
	for _, p := range rec.Parts {
		n += p.Rows
	}
	return n, err
}

// part reads one of the part files of a split, and refuses one that does not hold what the split recorded.
func (s *session) part(ctx context.Context, split assay.Digest, name string) (*table.Table, error) {
	r, err := s.st.Get(ctx, split)
	if err != nil {
		return nil, err
	}
	rec, err := assay.Decode[assay.Split](r.Evidence)
	if err != nil {
		return nil, err
	}
	want, err := partOf(rec, name)
	if err != nil {
		return nil, err
	}
	path := s.partPath(split, name)
	if _, err := os.Stat(path); err != nil {
		return nil, assay.Errorf(assay.NotFound, "the %s part of split %s is not on disk", name, split.Short()).Try("assay split")
	}
	e, err := s.tables(ctx)
	if err != nil {
		return nil, err
	}
	t, err := e.Read(ctx, path, table.ReadOptions{})
	if err != nil {
		if c := assay.CodeOf(err); want.Written != "" && (c == assay.Invalid || c == assay.Rejected) {
			return nil, alteredPart(split, name)
		}
		return nil, err
	}
	if want.Written == "" {
		s.sayUnrecorded(split)
		if t.Rows() != want.Rows {
			return nil, alteredPart(split, name)
		}
		return t, nil
	}
	got, err := s.sums.Derived(ctx, path, "written", func() (assay.Digest, error) { return dataset.Written(ctx, t) })
	if err != nil {
		return nil, err
	}
	if got != want.Written {
		return nil, alteredPart(split, name)
	}
	return t, t.Unchanged() // between the rows that were read and the digest that was remembered
}

func alteredPart(split assay.Digest, name string) error {
	return assay.Errorf(assay.Refused, "%s of split %s is not what the split recorded: it was changed after it was written", dataset.PartFile(name), split.Short()).
		Try("assay split, which writes the parts anew from the same data")
}

// sayUnrecorded says once that the files of a split cannot be held against anything.
func (s *session) sayUnrecorded(split assay.Digest) {
	if s.unrecorded[split] {
		return
	}
	if s.unrecorded == nil {
		s.unrecorded = map[assay.Digest]bool{}
	}
	s.unrecorded[split] = true
	s.say("Split %s is of an older version, which recorded no digests of its files: whether they are as they were written is undetermined. Try: assay split", split.Short())
}

// A partState says what is wrong with the file of a part; code is empty when nothing is.
type partState struct{ code, what string }

// partState holds the file of a part against the split. A nil sums remembers nothing, so that every byte is read.
func (s *session) partState(ctx context.Context, r assay.Record, name string, sums *dataset.Sums) (partState, error) {
	split, err := assay.Decode[assay.Split](r.Evidence)
	if err != nil {
		return partState{}, err
	}
	want, err := partOf(split, name)
	if err != nil {
		return partState{}, err
	}
	path := s.partPath(r.ID, name)
	if _, err := os.Stat(path); err != nil {
		return partState{"missing", "is gone"}, nil
	}
	if want.Written == "" {
		return partState{"undetermined", "was written by an older version, which recorded no digest of it"}, nil
	}
	got, err := sums.Derived(ctx, path, "written", func() (assay.Digest, error) {
		e, err := s.tables(ctx)
		if err != nil {
			return "", err
		}
		t, err := e.Read(ctx, path, table.ReadOptions{})
		if err != nil {
			return "", err
		}
		return dataset.Written(ctx, t)
	})
	if ctx.Err() != nil {
		return partState{}, ctx.Err()
	}
	if err != nil || got != want.Written {
		return partState{"altered", "is not what the split recorded"}, nil
	}
	return partState{}, nil
}

// checkFiles adds to what fsck found the files of splits, which lie in the store's folder, and labels that a killed split left.
func (s *session) checkFiles(ctx context.Context, report *store.Report) error {
	splits, err := s.st.Find(ctx, store.Query{Kind: assay.KindSplit})
	if err != nil {
		return err
	}
	for _, r := range splits {
		if _, err := os.Stat(s.splitDir(r.ID)); errors.Is(err, fs.ErrNotExist) {
			report.Problems = append(report.Problems, store.Problem{
				Code: "missing", What: "part", ID: r.ID,
				Detail: fmt.Sprintf("the folder of split %s is gone: assay split writes it anew, from the same data and with the same options", r.ID.Short()),
			})
			continue
		}
		for _, name := range partNames {
			state, err := s.partState(ctx, r, name, nil)
			if err != nil {
				return err
			}
			p := store.Problem{Code: state.code, What: "part", ID: r.ID, Detail: fmt.Sprintf("%s of split %s %s", dataset.PartFile(name), r.ID.Short(), state.what)}
			switch state.code {
			case "":
			case "undetermined":
				report.Orphans = append(report.Orphans, p)
			default:
				report.Problems = append(report.Problems, p)
			}
		}
	}
	for _, path := range s.remains() {
		p := store.Problem{Code: "temporary", What: "part", Detail: s.shown(path) + ": what an interrupted split left; the next command but fsck removes it"}
		if strings.Contains(filepath.Base(path), dataset.LabelsFile) {
			p.What = "labels"
			report.Problems = append(report.Problems, p)
			continue
		}
		report.Orphans = append(report.Orphans, p)
	}
	return s.checkOutbox(report)
}

// sealingLock is held, shared, by every split that writes; who removes what was left holds it alone.
const sealingLock = "lock"

func (s *session) sealingDir() string { return filepath.Join(s.p.Path(s.p.Store), "sealing") }

// openSealing makes a folder that only its owner can read, for the labels on their way into the seal. What a killed split leaves there is
// removed by the next command.
func (s *session) openSealing() (dir string, done func(), err error) {
	cannot := func(err error) error {
		return assay.Errorf(assay.Unavailable, "the folder for labels to seal cannot be made: %w", bare(err))
	}
	if err := os.MkdirAll(s.sealingDir(), 0o700); err != nil {
		return "", nil, cannot(err)
	}
	lock, err := os.OpenFile(filepath.Join(s.sealingDir(), sealingLock), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", nil, cannot(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_SH); err != nil {
		lock.Close()
		return "", nil, cannot(err)
	}
	if dir, err = os.MkdirTemp(s.sealingDir(), "split-"); err != nil {
		lock.Close()
		return "", nil, cannot(err)
	}
	return dir, func() {
		os.RemoveAll(dir)
		lock.Close()
	}, nil
}

// remains are the files that interrupted splits left: labels on their way into the seal, and parts that were not whole.
func (s *session) remains() []string {
	splits := filepath.Join(s.p.Path(s.p.Store), "splits", "*")
	var out []string
	for _, pattern := range []string{
		filepath.Join(s.sealingDir(), "split-*", "*"), filepath.Join(s.sealingDir(), "split-*", ".*"),
		filepath.Join(splits, dataset.LabelsFile), filepath.Join(splits, ".*.parquet.*"),
	} {
		found, err := filepath.Glob(pattern)
		if err == nil {
			out = append(out, found...)
		}
	}
	return out
}

// clearRemains removes what interrupted splits left, unless a split is being written now. What cannot be removed stays, and fsck names it.
func (s *session) clearRemains() {
	if len(s.remains()) == 0 {
		return
	}
	if os.MkdirAll(s.sealingDir(), 0o700) != nil {
		return
	}
	lock, err := os.OpenFile(filepath.Join(s.sealingDir(), sealingLock), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return
	}
	defer lock.Close()
	if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return
	}
	for _, path := range s.remains() {
		os.Remove(path)
	}
	folders, err := filepath.Glob(filepath.Join(s.sealingDir(), "split-*"))
	if err == nil {
		for _, dir := range folders {
			os.Remove(dir)
		}
	}
}
