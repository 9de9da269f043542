package blob

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"syscall"

	"github.com/assay-ml/assay"
)

// unavailable says what could not be done and why, in words that hold no path; err is kept for logs.
func unavailable(what string, err error) error {
	why, hint := "the file system gave an error", ""
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		why, hint = "no space is left on the disk", "free some space, then run the command again"
	case errors.Is(err, syscall.EFBIG):
		why, hint = "it exceeds the limit on the size of a file", "raise the limit (ulimit -f), then run the command again"
	case errors.Is(err, fs.ErrPermission):
		why, hint = "permission denied", "check who owns the store's directory"
	case errors.Is(err, syscall.EROFS):
		why, hint = "the file system is read-only", "use a store on a disk that can be written"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		why, hint = "too many files are open", "raise the limit (ulimit -n), then run the command again"
	}
	e := assay.Errorf(assay.Unavailable, "%s: %s", what, why)
	e.Err, e.Hint = err, hint
	return e
}

func sumOf(id assay.Digest) []byte {
	b, err := hex.DecodeString(id.Hex())
	if err != nil {
		panic("BUG: a digest that was parsed is not hexadecimal")
	}
	return b
}
