package store

import (
	"context"
	"errors"
	"io/fs"
	"strconv"
	"syscall"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/assay-ml/assay"
)

// fault says what could not be done and why, in words that hold no path and no SQL; err is kept for logs. An error that has a code
// already, and one of the context, is returned as it is.
func fault(what string, err error) error {
	var known *assay.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	code, why, hint := assay.Internal, "an unexpected error", ""
	var no sqlite3.Error
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		code, why, hint = assay.Unavailable, "no space is left on the disk", "free some space, then run the command again"
	case errors.Is(err, fs.ErrPermission):
		code, why, hint = assay.Unavailable, "permission denied", "check who owns the store's directory"
	case errors.Is(err, syscall.EROFS):
		code, why, hint = assay.Unavailable, "the file system is read-only", "use a store on a disk that can be written"
	case errors.As(err, &no):
		code, why, hint = sqliteFault(no)
	}
	e := assay.Errorf(code, "%s: %s", what, why)
	e.Err, e.Hint = err, hint
	return e
}

func sqliteFault(no sqlite3.Error) (code assay.Code, why, hint string) {
	switch no.Code {
	case sqlite3.ErrBusy, sqlite3.ErrLocked:
		return assay.Unavailable, "another process has held the store for " + busyTimeout.String(), "run the command again"
	case sqlite3.ErrFull:
		return assay.Unavailable, "no space is left on the disk", "free some space, then run the command again"
	case sqlite3.ErrReadonly, sqlite3.ErrCantOpen, sqlite3.ErrPerm:
		return assay.Unavailable, "the store's directory or database cannot be written", "check who owns the store's directory"
	case sqlite3.ErrIoErr:
		return assay.Unavailable, "the disk gave an error, or is full", "free some space, check the disk, then run assay fsck"
	case sqlite3.ErrCorrupt, sqlite3.ErrNotADB:
		return assay.Unavailable, "the database is damaged", "restore " + databaseName + " from a backup, then run assay fsck"
	case sqlite3.ErrNomem:
		return assay.Unavailable, "no memory is left", ""
	}
	return assay.Internal, "an unexpected error of the database", ""
}

// corrupt reports whether err says that the database file is damaged.
func corrupt(err error) bool {
	var no sqlite3.Error
	return errors.As(err, &no) && (no.Code == sqlite3.ErrCorrupt || no.Code == sqlite3.ErrNotADB)
}

// busy reports whether err says that another connection holds the database.
func busy(err error) bool {
	var no sqlite3.Error
	return errors.As(err, &no) && (no.Code == sqlite3.ErrBusy || no.Code == sqlite3.ErrLocked)
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }
