package cli

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/collect"
	"github.com/assay-ml/assay/internal/serve"
)

// ingestedFile remembers, in the folder of a model's log, which files are in it; ingestLock keeps a second process from taking files into
// the same log at the same time.
const (
	ingestedFile = "ingested.json"
	ingestLock   = "ingested.lock"
	eventsSuffix = ".events" // of the files that say which events a file had
	begunMark    = "begun "
)

// An ingestedList is which files a log has taken in: by their digest the time, or what was begun and has not ended.
type ingestedList struct {
	dir   string
	lock  *os.File
	files map[assay.Digest]string
}

// openIngested reads the list and holds it. Pieces of files whose taking in did not end, because the process was killed, are removed.
func openIngested(dir string) (_ *ingestedList, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, assay.Errorf(assay.Unavailable, "the folder of the prediction log cannot be made: %w", err)
	}
	l := &ingestedList{dir: dir, files: map[assay.Digest]string{}}
	if l.lock, err = os.OpenFile(filepath.Join(dir, ingestLock), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, assay.Errorf(assay.Unavailable, "the list of files that were taken in cannot be locked: %w", err)
	}
	if err := syscall.Flock(int(l.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		l.close()
		return nil, assay.Errorf(assay.Unavailable, "another process takes files into this log").Try("the same command, when it has ended")
	}
	b, err := os.ReadFile(filepath.Join(dir, ingestedFile))
	if err == nil {
		err = json.Unmarshal(b, &l.files)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		l.close()
		return nil, assay.Errorf(assay.Unavailable, "the list of files that were taken in cannot be read: %w", err)
	}
	for d, what := range l.files {
		if strings.HasPrefix(what, begunMark) {
			if err := l.undo(d); err != nil {
				l.close()
				return nil, err
			}
		}
	}
	return l, nil
}

func (l *ingestedList) close() { _ = l.lock.Close() }

// done is when a file was taken in.
func (l *ingestedList) done(d assay.Digest) (string, bool) {
	at, ok := l.files[d]
	return at, ok && !strings.HasPrefix(at, begunMark)
}

// begin notes that a file is being taken in, into pieces that hold nonce in their names. One that was taken in before stays noted so
// until this ends.
func (l *ingestedList) begin(d assay.Digest, nonce string) error {
	what := begunMark + nonce
	if at, ok := l.done(d); ok {
		what += " " + at
	}
	l.files[d] = what
	return l.save()
}

// end notes that it is in.
func (l *ingestedList) end(d assay.Digest, now time.Time) error {
	l.files[d] = now.UTC().Format(time.RFC3339)
	return l.save()
}

// undo removes what was begun of a file.
func (l *ingestedList) undo(d assay.Digest) error {
	nonce, before, _ := strings.Cut(strings.TrimPrefix(l.files[d], begunMark), " ")
	if err := serve.RemovePieces(l.dir, nonce); err != nil {
		return err
	}
	if delete(l.files, d); before != "" {
		l.files[d] = before
	} else if err := os.Remove(l.eventsOf(d)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return assay.Errorf(assay.Unavailable, "the list of events that were taken in cannot be removed: %w", err)
	}
	return l.save()
}

// eventsOf is the path of the list of a file's events.
func (l *ingestedList) eventsOf(d assay.Digest) string {
	return filepath.Join(l.dir, "ingested-"+strings.ReplaceAll(string(d), ":", "-")+eventsSuffix)
}

// events are those that files of the log had; none where they are to be taken in again.
func (l *ingestedList) events(again bool) (*collect.Seen, error) {
	seen := &collect.Seen{}
	if again {
		return seen, nil
	}
	for d := range l.files {
		b, err := os.ReadFile(l.eventsOf(d))
		if errors.Is(err, os.ErrNotExist) {
			continue // of a format without them
		}
		if err == nil {
			err = seen.Know(b)
		}
		if err != nil {
			return nil, assay.Errorf(assay.Unavailable, "the list of events that were taken in cannot be read: %w", err)
		}
	}
	return seen, nil
}

// keep writes which events a file had.
func (l *ingestedList) keep(d assay.Digest, seen *collect.Seen) error {
	if seen.Fresh() == 0 {
		return nil
	}
	return l.replace(l.eventsOf(d), seen.WriteFresh)
}

func (l *ingestedList) save() error {
	b, err := json.Marshal(l.files)
	if err != nil {
		return assay.Errorf(assay.Internal, "the list of files that were taken in: %w", err)
	}
	return l.replace(filepath.Join(l.dir, ingestedFile), func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// replace writes a file beside the log's pieces, whole or not at all.
func (l *ingestedList) replace(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path+".next", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err == nil {
		err = errors.Join(write(f), f.Sync(), f.Close())
	}
	if err == nil {
		err = os.Rename(path+".next", path)
	}
	if err != nil {
		return assay.Errorf(assay.Unavailable, "the list of what was taken in cannot be written: %w", err)
	}
	return nil
}
