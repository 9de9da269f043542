package dataset

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/blob"
)

// Keep copies the files of a snapshot into a blob store, so that Restore can bring them back, and marks it as stored. paths are the files
// in the order of snap.Files. A file that no longer has the digest of the snapshot is an error.
func Keep(ctx context.Context, blobs blob.Store, snap *assay.Snapshot, paths []string) error {
	for i, p := range paths {
		f, err := os.Open(p)
		if err != nil {
			return unreadable(p, err)
		}
		digest, _, err := blobs.Put(ctx, f)
		f.Close()
		if err != nil {
			return err
		}
		if digest != snap.Files[i].Digest {
			return changedFile(p)
		}
	}
	snap.Stored = true
	return nil
}

// Restore writes the files of a stored snapshot below dir, each verified by its digest. It refuses, before anything is written, names that
// could lead out of dir; it follows no link, and overwrites no file that differs.
func Restore(ctx context.Context, blobs blob.Store, snap assay.Snapshot, dir string) error {
	if !snap.Stored {
		return assay.Errorf(assay.NotFound, "the bytes of data set %s were not kept", snap.Name).Try("assay snapshot --store, while the files are there")
	}
	var bad assay.Problems
	seen := map[string]bool{}
	for _, f := range snap.Files {
		switch {
		case !safe(f.Name):
			bad.Add("%q is no name of a file inside a folder", f.Name)
		case seen[strings.ToLower(f.Name)]:
			bad.Add("%q occurs twice", f.Name)
		}
		seen[strings.ToLower(f.Name)] = true
	}
	if err := bad.Err(assay.Refused, "the snapshot cannot be restored"); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return assay.Errorf(assay.Unavailable, "the folder to restore into cannot be made: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return assay.Errorf(assay.Unavailable, "the folder to restore into cannot be opened: %w", err)
	}
	defer root.Close()
	for _, f := range snap.Files {
		if err := restoreFile(ctx, blobs, root, f); err != nil {
			return err
		}
	}
	return nil
}

// safe reports whether a name of a snapshot stays inside a folder on every system.
func safe(name string) bool {
	return name != "" && name != "." && path.Clean(name) == name && filepath.IsLocal(filepath.FromSlash(name)) && !strings.ContainsAny(name, "\\:\x00")
}

func restoreFile(ctx context.Context, blobs blob.Store, root *os.Root, f assay.File) error {
	cannot := func(err error) error {
		return assay.Errorf(assay.Unavailable, "%s cannot be restored: %w", f.Name, err)
	}
	if info, err := root.Lstat(f.Name); err == nil {
		if !info.Mode().IsRegular() {
			return assay.Errorf(assay.Exists, "%s is there, and is no plain file", f.Name).Try("assay snapshot restore --to another folder")
		}
		old, err := root.Open(f.Name)
		if err != nil {
			return cannot(err)
		}
		digest, err := digestOf(ctx, old)
		old.Close()
		if err != nil {
			return cannot(err)
		}
		if digest != f.Digest {
			return assay.Errorf(assay.Exists, "%s is there, with other content", f.Name).Try("assay snapshot restore --to another folder")
		}
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return cannot(err)
	}
	in, err := blobs.Open(ctx, f.Digest)
	if err != nil {
		return err
	}
	defer in.Close()
	if dir := path.Dir(f.Name); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return cannot(err)
		}
	}
	// The file appears under its name when its bytes are verified, and not before.
	partial := f.Name + ".restoring"
	out, err := root.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return cannot(err)
	}
	_, err = io.Copy(out, in) // the blob store verifies the digest at the end
	if err == nil {
		err = out.Sync()
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = root.Rename(partial, f.Name)
	}
	if err != nil {
		root.Remove(partial)
		if assay.CodeOf(err) != assay.Internal {
			return err
		}
		return cannot(err)
	}
	return nil
}
