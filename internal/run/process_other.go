//go:build !unix

package run

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/assay-ml/assay"
)

// An ended process: how it ended and what it used.
type ended struct {
	exit                       int
	signal                     string
	outside, orphans, detached bool
	user, sys                  time.Duration
	maxRSS                     int64
}

func start(context.Context, []string, string, *os.File, []string, io.Writer, io.Writer, <-chan os.Signal) (ended, error) {
	return ended{}, assay.Errorf(assay.Unimplemented, "runs need process groups, which this system does not have")
}
