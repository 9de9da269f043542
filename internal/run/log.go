package run

import (
	"bufio"
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
// end the run.
func (l *runLog) tee(w io.Writer) io.Writer { return logWriter{l, w} }

type logWriter struct {
	log *runLog
	to  io.Writer
}

func (w logWriter) Write(p []byte) (int, error) {
	if w.to != nil {
		_, _ = w.to.Write(p)
	}
	l := w.log
	l.mu.Lock()
	defer l.mu.Unlock()
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
	return len(p), nil
}

// keep writes the log to blobs with the given secrets replaced, line by line, and says at its end how much was dropped.
func (l *runLog) keep(ctx context.Context, blobs putter, secrets []string) (assay.Digest, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
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
