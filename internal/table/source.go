package table

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/assay-ml/assay"
)

// Formats of sources and of files that Write makes.
const (
	CSV     = "csv" // any delimiter
	JSON    = "json"
	JSONL   = "jsonl"
	Parquet = "parquet"
	Memory  = "memory" // a frame
)

// A source is one file as it was when reading began.
type source struct {
	name  string // relative to the URI's folder, forward slashes
	path  string
	size  int64
	mtime time.Time
	info  fs.FileInfo
}

// changed returns an error if the file is no longer what it was.
func (s *source) changed() error {
	info, err := os.Stat(s.path)
	if err != nil {
		return assay.Errorf(assay.Rejected, "%s has gone since it was opened", s.name)
	}
	if info.Size() != s.size || !info.ModTime().Equal(s.mtime) || !os.SameFile(info, s.info) {
		return assay.Errorf(assay.Rejected, "%s changed while it was being read: it had %d bytes and has %d", s.name, s.size, info.Size()).
			Try("wait until nothing writes to the file, or copy it")
	}
	return nil
}

// locate finds the files of a URI in the order of their names. Standard input is not located.
func locate(uri string) ([]source, error) {
	if scheme, rest, ok := strings.Cut(uri, "://"); ok {
		if scheme != "file" {
			return nil, assay.Errorf(assay.Unimplemented, "%s:// sources are not supported by this build", scheme).Try("download the data and name the file")
		}
		uri = rest
	}
	info, err := os.Stat(uri)
	switch {
	case err == nil && info.IsDir():
		return folder(uri)
	case err == nil:
		s, err := stat(uri, filepath.Base(uri))
		return []source{s}, err
	case strings.ContainsAny(uri, "*?["):
		paths, err := filepath.Glob(uri)
		if err != nil {
			return nil, assay.Errorf(assay.Invalid, "%q is not a pattern that can be matched", uri)
		}
		slices.Sort(paths)
		base := filepath.Dir(uri[:strings.IndexAny(uri, "*?[")] + "x")
		var out []source
		for _, p := range paths {
			hidden := strings.HasPrefix(filepath.Base(p), ".") && !strings.HasPrefix(filepath.Base(uri), ".")
			if info, err := os.Stat(p); err != nil || info.IsDir() || hidden {
				continue
			}
			name, err := filepath.Rel(base, p)
			if err != nil {
				name = filepath.Base(p)
			}
			s, err := stat(p, filepath.ToSlash(name))
			if err != nil {
				return nil, err
			}
			out = append(out, s)
		}
		if len(out) == 0 {
			return nil, assay.Errorf(assay.NotFound, "no file matches %s", uri).Try("ls %s", filepath.Dir(uri))
		}
		return out, nil
	case os.IsPermission(err):
		return nil, assay.Errorf(assay.Forbidden, "%s may not be read", uri)
	}
	return nil, assay.Errorf(assay.NotFound, "%s does not exist", uri).Try("ls %s", filepath.Dir(uri))
}

func stat(p, name string) (source, error) {
	info, err := os.Stat(p)
	if err != nil {
		return source{}, assay.Errorf(assay.NotFound, "%s does not exist", p).Try("ls %s", filepath.Dir(p))
	}
	if !info.Mode().IsRegular() {
		return source{}, assay.Errorf(assay.Invalid, "%s is not a regular file", p).Try("pipe it to standard input and name -")
	}
	abs, err := filepath.Abs(p)
	if err != nil {
		return source{}, assay.Errorf(assay.Internal, "%s has no absolute path: %w", p, err)
	}
	return source{name: name, path: abs, size: info.Size(), mtime: info.ModTime(), info: info}, nil
}

// deltaLog is the folder that makes a folder of Parquet files a Delta table, in which files that were removed lie beside those that count.
const deltaLog = "_delta_log"

// folder returns the data files below dir: those with a known extension, hidden files and folders left out.
func folder(dir string) ([]source, error) {
	var out []source
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() && base == deltaLog {
			return assay.Errorf(assay.Unimplemented, "%s is a Delta table: its log says which of its files count, and this build does not read that", dir).
				Try("write the version that you mean as Parquet, and name that folder")
		}
		if p != dir && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if d.IsDir() || formatOf(base) == "" {
			return nil
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		s, err := stat(p, filepath.ToSlash(rel))
		out = append(out, s)
		return err
	})
	if err != nil {
		if assay.CodeOf(err) != assay.Internal {
			return nil, err
		}
		return nil, assay.Errorf(assay.Unavailable, "the folder %s cannot be read", dir)
	}
	if len(out) == 0 {
		return nil, assay.Errorf(assay.NotFound, "the folder %s holds no CSV, JSON or Parquet file", dir)
	}
	slices.SortFunc(out, func(a, b source) int { return strings.Compare(a.name, b.name) })
	return out, nil
}

// formatOf tells the format from a file name; "" if the extension says nothing.
func formatOf(name string) string {
	name = strings.ToLower(name)
	ext := path.Ext(name)
	switch ext {
	case ".gz", ".zst", ".zstd":
		name = strings.TrimSuffix(name, ext)
	}
	switch path.Ext(name) {
	case ".csv", ".tsv", ".tab", ".psv":
		return CSV
	case ".json":
		return JSON
	case ".jsonl", ".ndjson":
		return JSONL
	case ".parquet", ".pq":
		return Parquet
	}
	return ""
}

// sniff tells the format from the first bytes, decompressed: Parquet by its magic, JSON by its first character, CSV otherwise.
func sniff(head []byte) string {
	if strings.HasPrefix(string(head), "PAR1") {
		return Parquet
	}
	switch text := strings.TrimLeft(string(head), "\ufeff \t\r\n"); {
	case strings.HasPrefix(text, "{"):
		return JSONL
	case strings.HasPrefix(text, "["):
		return JSON
	}
	return CSV
}

// spool copies r to a file in the engine's directory, so that it can be read twice.
func (e *Engine) spool(ctx context.Context, r io.Reader) (source, error) {
	p := filepath.Join(e.dir, e.name("input"))
	f, err := os.OpenFile(p, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return source{}, assay.Errorf(assay.Unavailable, "standard input cannot be kept on disk: %w", err)
	}
	_, err = io.Copy(f, &contextReader{ctx: ctx, r: r})
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(p)
		if ctx.Err() != nil {
			return source{}, ctx.Err()
		}
		return source{}, assay.Errorf(assay.Unavailable, "standard input cannot be kept on disk: %w", err)
	}
	s, err := stat(p, "-")
	return s, err
}

// A contextReader ends with the context's error when it is done, and reports how far it is.
type contextReader struct {
	ctx      context.Context
	r        io.Reader
	done     int64
	total    int64
	progress func(done, total int64)
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.done += int64(n)
	if c.progress != nil && n > 0 {
		c.progress(c.done, c.total)
	}
	return n, err
}
