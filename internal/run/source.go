package run

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/go-git/go-billy/v5/osfs"
	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
	"github.com/go-git/go-git/v5/plumbing/format/index"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// A putter keeps bytes and names them by their digest; a blob store is one.
type putter interface {
	Put(ctx context.Context, r io.Reader) (assay.Digest, int64, error)
}

const (
	maxSourceFiles = 20000   // source files outside a commit that are recorded
	maxSourceBytes = 4 << 20 // of one of them
)

// Files outside a commit are source when they end so. Everything else that lies about (data, models, logs) is not.
var sourceEndings = []string{
	".py", ".pyx", ".pxd", ".ipynb", ".r", ".rmd", ".jl", ".sh", ".bash", ".sql", ".go", ".c", ".cc", ".cpp", ".cu", ".cuh", ".h", ".hpp",
	".rs", ".java", ".scala", ".kt", ".js", ".ts", ".lua", ".pl", ".rb", ".m", ".stan", ".yaml", ".yml", ".toml", ".cfg", ".ini",
}

// Directories whose content is made, installed or kept by a tool.
var passedOver = []string{".git", ".hg", ".svn", ".assay", ".dvc", ".venv", "node_modules", "__pycache__", "site-packages", ".ipynb_checkpoints", ".tox", ".mypy_cache", ".pytest_cache", ".ruff_cache", "mlruns"}

// readSource describes the source in dir: the commit of the git work tree that holds it, and everything that differs from that commit.
//
// What differs is written as one manifest, a line a file ("M <digest> path", "D path", "? <digest> path"), sorted by path; its digest
// is Source.Dirty, and the manifest and each file it names (of a symbolic link, its target) are kept in blobs. Untracked files count when git does not ignore them and
// their ending is one of a source file. Outside a work tree every source file below dir is listed, so that a changed script is a
// different source there too. Absolute paths in skip, the output directory for one, are passed over. Nothing is written to the work
// tree or to git. incomplete reports that a limit was met.
func readSource(ctx context.Context, dir string, skip []string, blobs putter) (src assay.Source, incomplete bool, err error) {
	m := manifest{ctx: ctx, blobs: blobs, skip: skip}
	repo, openErr := git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	tree, bare := "", true
	if openErr == nil {
		if wt, err := repo.Worktree(); err == nil {
			tree, bare = wt.Filesystem.Root(), false
		}
	}
	if bare {
		m.root = dir
		if err := m.untracked(nil, nil); err != nil {
			return src, false, err
		}
	} else {
		m.root = tree
		if src.Commit, err = m.compare(repo); err != nil {
			return src, false, err
		}
	}
	if len(m.lines) > 0 {
		sort.Slice(m.lines, func(i, j int) bool { return m.lines[i].path < m.lines[j].path })
		var b bytes.Buffer
		for _, l := range m.lines {
			fmt.Fprintf(&b, "%s %s\n", l.what, l.path)
		}
		if src.Dirty, _, err = blobs.Put(ctx, &b); err != nil {
			return src, false, err
		}
	}
	return src, m.incomplete, nil
}

type manifest struct {
	ctx        context.Context
	blobs      putter
	root       string
	skip       []string
	lines      []changed
	incomplete bool
}

type changed struct{ what, path string }

// compare lists what differs between HEAD and the work tree, by way of the index, and returns the commit.
func (m *manifest) compare(repo *git.Repository) (string, error) {
	idx, err := repo.Storer.Index()
	if err != nil {
		return "", assay.Errorf(assay.Unavailable, "the index of the git work tree cannot be read: %w", reason(err))
	}
	commit, head := "", plumbing.ZeroHash
	if ref, err := repo.Head(); err == nil { // a work tree before its first commit has none
		c, err := repo.CommitObject(ref.Hash())
		if err != nil {
			return "", assay.Errorf(assay.Unavailable, "commit %s cannot be read: %w", ref.Hash(), err)
		}
		commit, head = ref.Hash().String(), c.TreeHash
	}
	staged, err := m.staged(repo, idx, head)
	if err != nil {
		return "", err
	}
	tracked := make(map[string]bool, len(idx.Entries))
	for _, e := range idx.Entries {
		if err := m.ctx.Err(); err != nil {
			return "", err
		}
		if tracked[e.Name] {
			continue // a path in conflict has up to three entries
		}
		tracked[e.Name] = true
		if e.SkipWorktree || e.Mode == filemode.Submodule {
			if e.Mode == filemode.Submodule && staged[e.Name] {
				m.lines = append(m.lines, changed{"M " + e.Hash.String(), e.Name})
			}
			continue
		}
		full := filepath.Join(m.root, filepath.FromSlash(e.Name))
		info, err := os.Lstat(full)
		switch {
		case err != nil:
			m.lines = append(m.lines, changed{"D", e.Name})
		case staged[e.Name] || e.Stage != 0 || !m.same(e, full, info, idx):
			if err := m.add("M", e.Name, info); err != nil {
				return "", err
			}
		}
	}
	for name := range staged {
		if !tracked[name] { // removed from the index; when the file is still there, git calls it untracked
			m.lines = append(m.lines, changed{"D", name})
		}
	}
	ignore := &ignorer{root: m.root}
	if ps, err := gitignore.LoadSystemPatterns(osfs.New("/")); err == nil {
		ignore.patterns = append(ignore.patterns, ps...)
	}
	if ps, err := gitignore.LoadGlobalPatterns(osfs.New("/")); err == nil {
		ignore.patterns = append(ignore.patterns, ps...)
	}
	ignore.read(filepath.Join(m.root, ".git", "info", "exclude"), nil)
	return commit, m.untracked(tracked, ignore)
}

// staged returns the paths that differ between the commit and the index. An index that caches its tree answers without reading one.
func (m *manifest) staged(repo *git.Repository, idx *index.Index, head plumbing.Hash) (map[string]bool, error) {
	if idx.Cache != nil {
		for _, e := range idx.Cache.Entries {
			if e.Path == "" && e.Entries >= 0 && e.Hash == head {
				return nil, nil
			}
		}
	}
	out := map[string]bool{}
	in := make(map[string]*index.Entry, len(idx.Entries))
	for _, e := range idx.Entries {
		in[e.Name] = e
		out[e.Name] = true
	}
	if head == plumbing.ZeroHash {
		return out, nil
	}
	tree, err := repo.TreeObject(head)
	if err != nil {
		return nil, assay.Errorf(assay.Unavailable, "tree %s cannot be read: %w", head, err)
	}
	w := object.NewTreeWalker(tree, true, nil)
	defer w.Close()
	for {
		name, e, err := w.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, assay.Errorf(assay.Unavailable, "tree %s cannot be read: %w", head, err)
		}
		if e.Mode == filemode.Dir {
			continue
		}
		if have := in[name]; have != nil && have.Hash == e.Hash && have.Mode == e.Mode {
			delete(out, name)
		} else {
			out[name] = true
		}
	}
}

// same reports whether a file still is what its index entry says: by size and time where they decide, and otherwise by content.
func (m *manifest) same(e *index.Entry, full string, info fs.FileInfo, idx *index.Index) bool {
	link := info.Mode()&fs.ModeSymlink != 0
	if link != (e.Mode == filemode.Symlink) || !link && !info.Mode().IsRegular() {
		return false
	}
	if !link && (e.Mode == filemode.Executable) != (info.Mode()&0o100 != 0) {
		return false
	}
	// A file written within the same instant as the index may have changed after it without its time telling (git calls it racy).
	if uint32(info.Size()) == e.Size && info.ModTime().Equal(e.ModifiedAt) && e.ModifiedAt.Before(idx.ModTime) {
		return true
	}
	var content []byte
	var err error
	if link {
		var target string
		target, err = os.Readlink(full)
		content = []byte(target)
	} else {
		content, err = os.ReadFile(full)
	}
	if err != nil {
		return false
	}
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", len(content))
	h.Write(content)
	return hex.EncodeToString(h.Sum(nil)) == e.Hash.String()
}

// add keeps the file's bytes and lists it. One that is too large to keep is listed by its size.
func (m *manifest) add(mark, name string, info fs.FileInfo) error {
	if len(m.lines) >= maxSourceFiles {
		m.incomplete = true
		return nil
	}
	full := filepath.Join(m.root, filepath.FromSlash(name))
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(full)
		if err != nil {
			return unavailable("the source file "+name, err)
		}
		d, _, err := m.blobs.Put(m.ctx, strings.NewReader(target))
		if err != nil {
			return err
		}
		m.lines = append(m.lines, changed{mark + " " + string(d), name})
		return nil
	}
	if !info.Mode().IsRegular() || info.Size() > maxSourceBytes {
		m.incomplete = true
		m.lines = append(m.lines, changed{fmt.Sprintf("%s %d-bytes", mark, info.Size()), name})
		return nil
	}
	f, err := os.Open(full)
	if err != nil {
		return unavailable("the source file "+name, err)
	}
	defer f.Close()
	d, _, err := m.blobs.Put(m.ctx, f)
	if err != nil {
		return err
	}
	m.lines = append(m.lines, changed{mark + " " + string(d), name})
	return nil
}

// untracked lists the source files below the root that are not tracked and not ignored.
func (m *manifest) untracked(tracked map[string]bool, ignore *ignorer) error {
	return filepath.WalkDir(m.root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			if d != nil && d.IsDir() {
				m.incomplete = true
				return filepath.SkipDir
			}
			return nil
		}
		if err := m.ctx.Err(); err != nil {
			return err
		}
		rel, err := filepath.Rel(m.root, p)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		if d.IsDir() {
			if name == "." {
				ignore.enter(nil)
				return nil
			}
			parts := strings.Split(name, "/")
			if slices.Contains(passedOver, d.Name()) || slices.Contains(m.skip, p) || ignore.match(parts, true) {
				return filepath.SkipDir
			}
			for _, sign := range []string{"pyvenv.cfg", "conda-meta", ".git"} { // another environment or another repository
				if _, err := os.Lstat(filepath.Join(p, sign)); err == nil {
					return filepath.SkipDir
				}
			}
			ignore.enter(parts)
			return nil
		}
		if tracked[name] || !slices.Contains(sourceEndings, strings.ToLower(path.Ext(name))) || slices.Contains(m.skip, p) || ignore.match(strings.Split(name, "/"), false) {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil // gone since the directory was read
		}
		return m.add("?", name, info)
	})
}

// An ignorer gathers the patterns of the .gitignore files on the way down. A nil one ignores nothing.
type ignorer struct {
	root     string
	patterns []gitignore.Pattern
	matcher  gitignore.Matcher
}

func (g *ignorer) enter(parts []string) {
	if g != nil {
		g.read(filepath.Join(append(append([]string{g.root}, parts...), ".gitignore")...), parts)
	}
}

func (g *ignorer) read(file string, domain []string) {
	b, err := os.ReadFile(file)
	if err != nil && g.matcher != nil {
		return
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(line) != "" && line[0] != '#' {
			g.patterns = append(g.patterns, gitignore.ParsePattern(line, domain))
		}
	}
	g.matcher = gitignore.NewMatcher(g.patterns)
}

func (g *ignorer) match(parts []string, dir bool) bool {
	return g != nil && g.matcher != nil && g.matcher.Match(parts, dir)
}
