package serve

import (
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/assay-ml/assay"
)

// Recover brings the calls to the log that killed processes left in their journals, and closes the segments of these processes. Where a
// journal held all that waited, nothing is missing in them. It does no harm beside servers that live, and to call it again; what finds no
// room on the disk stays in the journal until it does.
func Recover(dir string, clock func() time.Time) error {
	_, err := recoverJournals(dir, clock)
	return err
}

// recoverJournals is Recover; it returns the nonces of the processes whose journals stay for now.
func recoverJournals(dir string, clock func() time.Time) (later map[string]bool, err error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, assay.Errorf(assay.Unavailable, "the prediction log cannot be listed: %w", bare(err))
	}
	later = map[string]bool{}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case strings.HasSuffix(path, journalSuffix):
			done, err := recoverJournal(dir, path, clock)
			if err != nil {
				return nil, err
			}
			if !done {
				later[strings.TrimSuffix(e.Name(), journalSuffix)] = true
			}
		case strings.HasSuffix(path, journalSuffix+nextSuffix): // of a process that was killed as it began
			if f, err := os.Open(path); err == nil {
				if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
					_ = os.Remove(path)
				}
				_ = f.Close()
			}
		}
	}
	return later, nil
}

// recoverJournal reports whether nothing of a journal is left to be done: its process lives, or its calls are in the log.
func recoverJournal(dir, path string, clock func() time.Time) (done bool, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, leftError("read", err)
	}
	defer f.Close()
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return true, nil // its process lives
	}
	st, err := f.Stat()
	if err != nil {
		return false, leftError("read", err)
	}
	if now, err := os.Stat(path); err != nil || !os.SameFile(st, now) {
		return true, nil // another process has done it
	}
	b, err := io.ReadAll(io.LimitReader(f, journalBytes+1))
	if err != nil {
		return false, leftError("read", err)
	}
	x, ok := readJournal(b)
	if !ok { // its segments will say that rows may be missing
		if err := os.Rename(path, path+".damaged"); err != nil {
			return false, leftError("set aside", err)
		}
		return true, nil
	}
	models := map[string]bool{}
	for _, m := range x.models {
		models[m] = true
	}
	for m := range x.lost {
		models[m] = true
	}
	l := &Log{o: LogOptions{Dir: dir, Clock: clock, Nonce: strings.TrimSuffix(filepath.Base(path), journalSuffix)}}
	for _, model := range slices.Sorted(maps.Keys(models)) {
		if done, err := l.bring(model, x, st.ModTime()); err != nil || !done {
			return false, err
		}
	}
	if err := os.Remove(path); err != nil {
		return false, leftError("removed", err)
	}
	return true, nil
}

// bring writes those calls of a model that are in none of the segments of their process into one of their own, and closes these segments where
// nothing is missing in them. done is false where it cannot be written.
func (l *Log) bring(model string, x journalled, at time.Time) (done bool, err error) {
	left := map[string]bool{}
	for _, record := range x.calls[model] {
		left[string(record)] = true
	}
	var loss []byte
	if n := x.lost[model]; n > 0 {
		loss = recordOfLoss(nil, at, n, "")
		left[string(loss[frameHead:])] = true
	}
	_, open, err := Segments(modelDir(l.o.Dir, model))
	if err != nil {
		return false, err
	}
	open = slices.DeleteFunc(open, func(path string) bool { return nonceOf(path) != l.o.Nonce })
	for _, path := range open {
		if len(left) > 0 {
			if err := known(path, left); err != nil {
				return false, err
			}
		}
	}
	if len(left) > 0 && l.leave(model, x, left, loss) != nil {
		return false, nil
	}
	for _, path := range open {
		if openSegment(path) && x.whole {
			if _, err := adopt(path, true); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// leave writes what is left as a segment.
func (l *Log) leave(model string, x journalled, left map[string]bool, loss []byte) error {
	s, err := l.begun(model)
	if err != nil {
		return err
	}
	for _, record := range x.calls[model] {
		if !left[string(record)] {
			continue
		}
		c := cursor{b: record}
		c.call()
		serial := c.uint()
		s.hour = time.UnixMicro(c.int()).UTC().Truncate(time.Hour)
		if !s.layouts[serial] {
			if err := s.adopt(x.layouts[serial]); err != nil {
				return err
			}
		}
		from := len(s.buf)
		s.buf = seal(append(append(s.buf, 0, 0, 0, 0, 0, 0, 0, 0), record...), from)
	}
	if len(loss) > 0 && left[string(loss[frameHead:])] {
		if err := s.saveFields(false); err != nil {
			return err
		}
		s.buf = append(s.buf, loss...)
	}
	return s.place(l.o.Nonce)
}

// place writes the segment as a closed one.
func (s *segment) place(nonce string) error {
	next := filepath.Join(s.dir, nonce+".left")
	f, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return leftError("written", err)
	}
	defer os.Remove(next) // unless it has become the segment
	defer f.Close()
	if _, err := f.Write(s.buf); err != nil {
		return leftError("written", err)
	}
	if err := f.Sync(); err != nil {
		return leftError("written", err)
	}
	for n := 0; ; n++ {
		open := filepath.Join(s.dir, s.hour.Format(hourLayout)+"-"+nonce+"-"+strconv.Itoa(n)+openSuffix)
		if _, err := os.Stat(open); err == nil || taken(open) {
			continue
		}
		if err := os.Rename(next, closedPath(open)); err != nil {
			return leftError("written", err)
		}
		return nil
	}
}

// known takes out of left what a segment holds.
func known(path string, left map[string]bool) error {
	f, err := os.Open(path)
	if err != nil {
		return leftError("read", err)
	}
	defer f.Close()
	x, err := newRecordReader(f)
	for err == nil {
		var record []byte
		if record, err = x.next(); err == nil {
			delete(left, string(record))
		}
	}
	return nil // what is behind a damaged place is written again rather than not at all
}

func leftError(what string, err error) *assay.Error {
	return assay.Errorf(assay.Unavailable, "what a server that was killed left of the prediction log cannot be %s: %w", what, bare(err))
}
