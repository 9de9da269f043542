package mlmodel

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/assay-ml/assay"
)

// Limits of a directory.
const (
	MaxFiles = 10_000
	MaxBytes = 1 << 30
)

// ArchiveName is what the archive of a directory is called among the outputs of a run.
const ArchiveName = "model.tar"

// Pack makes one archive of a directory: a tar of its files in the order of their paths, without times, owners or modes, so that the same
// files always make the same bytes. Python's caches are left out. Errors are Invalid for what is neither a file nor a folder, and for a
// directory beyond the limits.
func Pack(dir string) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	files, total := 0, int64(0)
	err := filepath.WalkDir(dir, func(at string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, at)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		switch {
		case e.IsDir() && e.Name() == "__pycache__" && at != dir:
			return filepath.SkipDir
		case e.IsDir():
			return nil
		case !e.Type().IsRegular():
			return assay.Errorf(assay.Invalid, "%q is neither a file nor a folder", name).Try("copy what it points to into the directory")
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		files++
		if total += info.Size(); files > MaxFiles || total > MaxBytes {
			return assay.Errorf(assay.Invalid, "the directory has more than %d files or %s bytes", MaxFiles, assay.FormatCount(MaxBytes))
		}
		f, err := os.Open(at)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: info.Size(), Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}); err != nil {
			return err
		}
		_, err = io.CopyN(w, f, info.Size())
		return err
	})
	if err == nil {
		err = w.Close()
	}
	var known *assay.Error
	if err != nil && !errors.As(err, &known) {
		return nil, assay.Errorf(assay.Unavailable, "%s cannot be read: %w", filepath.Base(dir), err)
	}
	return out.Bytes(), err
}

// Open reads the archive of a directory. Errors are Invalid.
func Open(archive []byte) (*Model, error) {
	files, err := unpack(archive)
	if err != nil {
		return nil, err
	}
	return Read(files)
}

func unpack(archive []byte) (map[string][]byte, error) {
	damaged := func(err error) error {
		return assay.Errorf(assay.Invalid, "the archive of the model's directory is damaged: %w", err)
	}
	src := bytes.NewReader(archive)
	r := tar.NewReader(src)
	files := map[string][]byte{}
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, damaged(err)
		}
		if h.Typeflag != tar.TypeReg || !fs.ValidPath(h.Name) || strings.Contains(h.Name, "\\") || h.Name == "." {
			return nil, damaged(errors.New("it holds something that is not a file within the directory"))
		}
		if len(files) == MaxFiles {
			return nil, damaged(errors.New("it has too many files"))
		}
		if h.Size > int64(src.Len()) { // also what claims to have holes
			return nil, damaged(io.ErrUnexpectedEOF)
		}
		at := len(archive) - src.Len()
		if n, err := io.Copy(io.Discard, r); err != nil || n != h.Size || len(archive)-src.Len() != at+int(n) {
			return nil, damaged(io.ErrUnexpectedEOF)
		}
		if _, twice := files[h.Name]; twice {
			return nil, damaged(errors.New("a file is there twice"))
		}
		files[h.Name] = archive[at : at+int(h.Size) : at+int(h.Size)]
	}
}

// Extract writes the files into a new directory.
func (m *Model) Extract(dir string) error {
	for name, b := range m.Files {
		to := filepath.Join(dir, filepath.FromSlash(path.Clean(name)))
		err := os.MkdirAll(filepath.Dir(to), 0o755)
		if err == nil {
			err = os.WriteFile(to, b, 0o644)
		}
		if err != nil {
			return assay.Errorf(assay.Unavailable, "the model's directory cannot be written: %w", err)
		}
	}
	return nil
}
