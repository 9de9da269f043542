//go:build !linux

package serve

import (
	"errors"
	"os"
)

// mapFile is not known elsewhere: what waits for the writer is lost when the process is killed, and the log says that it may be.
func mapFile(*os.File, int) ([]byte, error) { return nil, errors.ErrUnsupported }

func unmapFile([]byte) error { return nil }

func bootID() string { return "" }
