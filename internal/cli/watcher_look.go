package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/table"
)

// lookEnds is how long a process that looks at a log may take to end when it is asked to.
const lookEnds = 2 * time.Second

// A lookRequest is what a look at a log is told: the parts of a logRun that the record does not have.
type lookRequest struct {
	Version string    `json:"version"` // NAME:NUMBER
	Labels  bool      `json:"labels"`  // labels may have come since the last look
	From    time.Time `json:"from"`    // the version is served since
	Here    *role     `json:"here"`    // what the server knows of the version; absent: it does not say
}

// A lookAnswer is what came of a look. The evidence is on record before it is given.
type lookAnswer struct {
	Windows []lookedWindow `json:"windows"`
	Code    assay.Code     `json:"code,omitempty"` // of the error, if there was one
	Error   string         `json:"error,omitempty"`
}

// A lookedWindow is a window that was judged.
type lookedWindow struct {
	Number  int64         `json:"number"`
	Label   string        `json:"label"`
	Verdict assay.Verdict `json:"verdict"`
}

// lookBeside looks at the log of a version in a process of its own with a low priority, so that it takes neither memory nor processor time from
// the requests. The process is asked to end when ctx does, and ends by itself when this one is gone; what it has recorded by then stays, and the
// next look goes on from there. Where there is no program to start, the look is made in this process.
func (s *session) lookBeside(ctx context.Context, q lookRequest) ([]lookedWindow, error) {
	if s.Self == "" {
		return s.lookAt(ctx, q)
	}
	ask, err := json.Marshal(q)
	if err != nil {
		return nil, assay.Errorf(assay.Internal, "a look at the log cannot be asked for: %w", err)
	}
	args := []string{"monitor", "look"}
	if s.config != "" {
		args = append(args, "--config", s.config)
	}
	if s.onnxruntime != "" {
		args = append(args, "--onnxruntime", s.onnxruntime)
	}
	c := exec.CommandContext(ctx, s.Self, args...)
	c.Dir = s.Dir
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what stops the server from its terminal does not stop this
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = lookEnds
	var said, told bytes.Buffer
	c.Stdout, c.Stderr = &told, &said
	in, err := c.StdinPipe()
	if err != nil {
		return nil, assay.Errorf(assay.Internal, "a look at the log cannot be asked for: %w", err)
	}
	defer in.Close()
	if err := c.Start(); err != nil {
		return s.lookAt(ctx, q)
	}
	_, askErr := in.Write(append(ask, '\n')) // the pipe stays open: its end says that this process is gone
	err = c.Wait()
	var a lookAnswer
	if err == nil {
		err = askErr
	}
	if err == nil {
		err = json.Unmarshal(told.Bytes(), &a)
	}
	if err != nil {
		first, _, _ := strings.Cut(strings.TrimPrefix(said.String(), "assay: "), "\n")
		return nil, assay.Errorf(assay.Unavailable, "the look at the log of %s did not end: %w: %s", q.Version, err, first)
	}
	if a.Error != "" {
		return nil, assay.Errorf(a.Code, "%s", a.Error)
	}
	return a.Windows, nil
}

// lookAt judges what is new in the log of a version, in this process.
func (s *session) lookAt(ctx context.Context, q lookRequest) ([]lookedWindow, error) {
	v, err := s.version(ctx, q.Version)
	if err != nil {
		return nil, err
	}
	since, err := s.judgedSince(ctx, v)
	if err != nil {
		return nil, err
	}
	if s.engine == nil {
		if s.engine, err = table.Open(ctx, table.Options{MemoryBytes: watcherMemory, Threads: watcherThreads}); err != nil {
			return nil, err
		}
	}
	x, err := s.runLog(ctx, v, logRun{since: since, labels: q.Labels, from: q.From, here: q.Here})
	if err != nil {
		return nil, err
	}
	var out []lookedWindow
	for _, j := range x.windows {
		out = append(out, lookedWindow{Number: j.Drift.Window.Number, Label: j.Label, Verdict: j.Drift.Verdict})
	}
	return out, nil
}

// judgedSince are the windows by time that were judged by the plan of a version, the newest first, for a look to go on from; none where windows are not
// by time.
func (s *session) judgedSince(ctx context.Context, v store.Version) ([]assay.Drift, error) {
	_, m, err := s.modelOf(ctx, v)
	if err != nil {
		return nil, err
	}
	id, p, err := s.monitorOf(ctx, v, m)
	if err != nil {
		return nil, err
	}
	return s.judgedBy(ctx, v, id, p)
}

// lookCommand is the process that lookBeside starts.
func (a *app) lookCommand() *cobra.Command {
	return &cobra.Command{
		Use: "look", Short: "Judge what is new in a log, as a server does beside its requests",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: a.with("serve", func(ctx context.Context, s *session, _ []string) error {
			var q lookRequest
			lines := json.NewDecoder(s.Stdin)
			if err := lines.Decode(&q); err != nil {
				return assay.Errorf(assay.Invalid, "standard input is no request for a look: %w", err).Try("assay monitor run")
			}
			if s.Self != "" {
				giveWay()
			}
			asked, gone := context.WithCancel(ctx)
			defer gone()
			go func() {
				_, _ = io.Copy(io.Discard, s.Stdin)
				gone()
			}()
			var answer lookAnswer
			var err error
			if answer.Windows, err = s.lookAt(asked, q); err != nil {
				switch {
				case ctx.Err() != nil:
					return ctx.Err()
				case asked.Err() != nil:
					return assay.Errorf(assay.Unavailable, "who asked for the look is gone")
				}
				answer.Code, answer.Error = assay.CodeOf(err), err.Error()
			}
			b, err := json.Marshal(answer)
			if err != nil {
				return assay.Errorf(assay.Internal, "the answer of a look cannot be written: %w", err)
			}
			_, err = s.Stdout.Write(b)
			return err
		}),
	}
}
