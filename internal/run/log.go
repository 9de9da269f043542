package run

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/assay-ml/assay"
)

// maxLogBytes is how much of a run's output is kept; the rest is counted.
const maxLogBytes = 64 << 20

// A runLog spools the command's output to a file, standard output and standard error as they come.
type runLog struct {
	mu      sync.Mutex
	file    *os.File
	kept    int64
	dropped int64
	err     error
	streams []*logWriter
}

func openLog(path string) (*runLog, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, unavailable("the log", err)
	}
	return &runLog{file: f}, nil
}

func (l *runLog) close() { l.file.Close() }

// tee returns a writer that spools and passes on to w, which may be nil. It never fails: a full disk or a closed terminal must not
// end the run. What it spools are whole lines, so that those of two streams do not get into each other, and a secret is never cut in two
// by a line of the other stream.
func (l *runLog) tee(w io.Writer) io.Writer {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &logWriter{log: l, to: w}
	l.streams = append(l.streams, s)
	return s
}

// maxLogLine is how much of a line waits for its end.
const maxLogLine = 1 << 20

type logWriter struct {
	log  *runLog
	to   io.Writer
	line []byte // what came after the last line feed
}

func (w *logWriter) Write(p []byte) (int, error) {
	if w.to != nil {
		_, _ = w.to.Write(p)
	}
	l := w.log
	l.mu.Lock()
	defer l.mu.Unlock()
	whole := bytes.LastIndexByte(p, '\n') + 1
	if whole > 0 {
		l.spool(w.line)
		l.spool(p[:whole])
		w.line = w.line[:0]
	}
	if w.line = append(w.line, p[whole:]...); len(w.line) > maxLogLine {
		l.spool(w.line)
		w.line = w.line[:0]
	}
	return len(p), nil
}

// spool writes to the file, up to the limit.
func (l *runLog) spool(p []byte) {
	n := min(int64(len(p)), maxLogBytes-l.kept)
	if l.err == nil && n > 0 {
		var wrote int
		wrote, l.err = l.file.Write(p[:n])
		n = int64(wrote)
	}
	if l.err != nil {
		n = 0
	}
	l.kept += n
	l.dropped += int64(len(p)) - n
}

// finish spools the last lines that have no end, each on a line of its own.
func (l *runLog) finish() {
	open := false
	for _, w := range l.streams {
		if len(w.line) == 0 {
			continue
		}
		if open {
			l.spool([]byte{'\n'})
		}
		l.spool(w.line)
		w.line, open = w.line[:0], true
	}
}

// keep writes the log to blobs with the given secrets replaced, line by line, and says at its end how much was dropped.
func (l *runLog) keep(ctx context.Context, blobs putter, secrets []string) (assay.Digest, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.finish()
	if _, err := l.file.Seek(0, io.SeekStart); err != nil {
		return "", unavailable("the log", err)
	}
	pairs := make([]string, 0, 2*len(secrets))
	for _, s := range secrets {
		pairs = append(pairs, s, redacted)
	}
	hide := strings.NewReplacer(pairs...)
	r, w := io.Pipe()
	go func() {
		in := bufio.NewReaderSize(l.file, 1<<20)
		for {
			line, err := in.ReadString('\n')
			if _, werr := io.WriteString(w, secretValue.ReplaceAllString(hide.Replace(line), redacted)); werr != nil {
				return
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				w.CloseWithError(err)
				return
			}
		}
		if l.dropped > 0 {
			fmt.Fprintf(w, "\n[assay: %d further bytes were not kept]\n", l.dropped)
		}
		w.Close()
	}()
	d, _, err := blobs.Put(ctx, r)
	r.Close()
	return d, err
}

// fileDigest is the digest of a file's bytes.
func fileDigest(ctx context.Context, path string) (assay.Digest, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	buf := make([]byte, 1<<20)
	for {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		n, err := f.Read(buf)
		h.Write(buf[:n])
		if err == io.EOF {
			return assay.DigestSum([sha256.Size]byte(h.Sum(nil))), nil
		}
		if err != nil {
			return "", err
		}
	}
}
