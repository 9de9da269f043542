package cli

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// output is the path of a file that a command was told to write, by the flag of that name. A file that the command reads is refused, and
// so are the project's file, its data and its store: what is written there would destroy what it was made of. Two paths are one file when
// the system says so, whatever their names and through links. inputs are what else the command reads, as the command line has it: files,
// folders, patterns; "" and "-" are none. Callers ask before they do anything, so that nothing is written when it is refused.
func (a *app) output(flag, out string, inputs ...string) (string, error) {
	if out == "" {
		return "", nil
	}
	path := a.path(out)
	refuse := func(format string, args ...any) error {
		return assay.Errorf(assay.Invalid, "%s %s: "+format, append([]any{flag, out}, args...)...).Try("name another file")
	}
	if filepath.Base(path) == ProjectFile || a.config != "" && sameFile(path, a.path(a.config)) {
		return "", refuse("that is the project's own file")
	}
	store := filepath.Join(a.Dir, ".assay")
	if p, err := LoadProject(a.Dir, a.config); err == nil {
		store = p.Path(p.Store)
		if p.Data.URI != "" && a.reads(path, p.Path(p.Data.URI)) {
			return "", refuse("that is the project's data")
		}
	}
	if within(path, store) {
		return "", refuse("that is inside the store, which keeps what is in it itself")
	}
	for _, in := range inputs {
		if in != "" && in != "-" && a.reads(path, a.path(in)) {
			return "", refuse("the command reads that file, and would destroy it")
		}
	}
	return path, nil
}

// reads reports whether a source, as a path, is the file at path or has it among its files.
func (a *app) reads(path, source string) bool {
	if _, err := os.Stat(path); err != nil || source == "-" {
		return false // what is not there is read by nobody
	}
	if sameFile(path, source) {
		return true
	}
	files, err := table.Locate(source)
	if err != nil {
		return false // the command says what is wrong with it
	}
	for _, f := range files {
		if sameFile(path, f) {
			return true
		}
	}
	return false
}

// replaceFile writes a small file of the store's folder in one step. Several processes may do so at once: each has a temporary file of its
// own, and the last one stays.
func replaceFile(path string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.new")
	if err != nil {
		return bare(err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return bare(err)
	}
	return os.Rename(f.Name(), path)
}

// sameFile reports whether two paths lead to one file that is there.
func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// within reports whether path leads into the folder dir, also through links.
func within(path, dir string) bool {
	in := func(path, dir string) bool {
		rel, err := filepath.Rel(dir, path)
		return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
	}
	return in(path, dir) || in(resolved(path), resolved(dir))
}

// resolved is a path without links, as far as it is there.
func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if dir := filepath.Dir(path); dir != path {
		return filepath.Join(resolved(dir), filepath.Base(path))
	}
	return path
}
