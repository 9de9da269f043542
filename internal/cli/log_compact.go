package cli

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/table"
)

// Limits of the engine that turns segments of the log into Parquet beside the server.
const (
	compactMemory  = 256 << 20
	compactThreads = 1
	lowPriority    = 10 // of Unix, 0–19: a tenth of a processor where all are taken
	compactEnds    = 2 * time.Second
)

// compact is what the server does with a closed segment: a process of its own with a low priority makes it Parquet, so that it takes
// neither processor time nor memory from the requests. It is asked to end when ctx does. Where there is no program to start, it is done in this process.
func (a *app) compact(ctx context.Context, segment, parquet string, fields []assay.Field) error {
	if a.Self == "" {
		return compactSegment(ctx, segment, parquet, fields)
	}
	c := exec.CommandContext(ctx, a.Self, "log", "compact", segment)
	c.Dir = a.Dir
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what stops the server from its terminal does not stop this
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = compactEnds
	var said bytes.Buffer
	c.Stderr = &said
	if err := c.Start(); err != nil {
		return compactSegment(ctx, segment, parquet, fields)
	}
	if err := c.Wait(); err != nil {
		first, _, _ := strings.Cut(strings.TrimPrefix(said.String(), "assay: "), "\n")
		return assay.Errorf(assay.Unavailable, "%s did not become Parquet: %w: %s", filepath.Base(segment), err, first)
	}
	return nil
}

// compactSegment writes a closed segment of the log as Parquet.
func compactSegment(ctx context.Context, segment, parquet string, fields []assay.Field) error {
	e, err := table.Open(ctx, table.Options{MemoryBytes: compactMemory, Threads: compactThreads})
	if err != nil {
		return err
	}
	defer e.Close()
	t, err := e.ReadSegments(ctx, nil, pieces(segment), fields)
	if err != nil {
		return err
	}
	return t.WritePrivate(ctx, parquet)
}

// compactCommand is the process that compact starts.
func (a *app) compactCommand() *cobra.Command {
	return &cobra.Command{
		Use: "compact SEGMENT", Short: "Write a closed segment of the log as Parquet, as a server does beside its requests",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			segment := a.path(args[0])
			fields, err := serve.LogFieldsOf(filepath.Dir(segment))
			if err != nil {
				return err
			}
			if a.Self != "" {
				giveWay()
			}
			return compactSegment(c.Context(), segment, serve.ParquetPath(segment), fields)
		},
	}
}

// giveWay gives this process a low priority, as far as the system lets it. On Linux priorities are those of threads: those that start
// later have that of the one that starts them. One that starts meanwhile may still have had the old one, so it looks until it has seen
// nothing to change twice.
func giveWay() {
	const looks = 100 // it ends where the system refuses
	for unchanged, n := 0, 0; unchanged < 2 && n < looks; n++ {
		unchanged++
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, lowPriority)
			return
		}
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				continue
			}
			// The system call answers 20 less the priority, so that none is negative.
			if has, err := syscall.Getpriority(syscall.PRIO_PROCESS, id); err == nil && 20-has < lowPriority {
				_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, lowPriority)
				unchanged = 0
			}
		}
	}
}
