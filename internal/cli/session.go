package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/dataset"
	"github.com/assay-ml/assay/internal/eval"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/table"
)

// A session is what the commands of one run share: the project, the store, the table engine and the data set, each opened when first
// asked for.
type session struct {
	*app
	p          *Project
	st         *store.SQLite
	engine     *table.Engine
	sums       *dataset.Sums
	data       *table.Table
	parent     string                // the command that opened it, for the journal
	unrecorded map[assay.Digest]bool // splits of which it was said that their files cannot be verified
	offered    *offered              // evidence about a file that is not accepted yet; nil when there is none
}

// open starts a session on the project of the working directory.
func (a *app) open(ctx context.Context, command string) (*session, error) {
	p, err := LoadProject(a.Dir, a.config)
	if err != nil {
		return nil, err
	}
	return a.openProject(ctx, p, command)
}

func (a *app) openProject(ctx context.Context, p *Project, command string) (*session, error) {
	st, err := store.OpenSQLite(ctx, store.Options{Dir: p.Path(p.Store), Clock: a.Now, Producer: "assay " + command + " " + Version})
	if err != nil {
		return nil, err
	}
	s := &session{app: a, p: p, st: st, sums: dataset.OpenSums(filepath.Join(p.Path(p.Store), "cache", "files.json")), parent: command}
	if command != "fsck" { // which names them
		s.clearRemains()
	}
	return s, nil
}

// openStore starts a session on a store alone: for commands that look at evidence and need no assay.yaml.
func (a *app) openStore(ctx context.Context, command string) (*session, error) {
	p, err := LoadProject(a.Dir, a.config)
	if err == nil {
		return a.openProject(ctx, p, command)
	}
	dir := filepath.Join(a.Dir, ".assay")
	if _, statErr := os.Stat(dir); a.config != "" || statErr != nil || assay.CodeOf(err) != assay.NotFound {
		return nil, err
	}
	p = &Project{Store: ".assay", dir: a.Dir}
	return a.openProject(ctx, p, command)
}

// Close ends the session; it returns the first thing that could not be closed.
func (s *session) Close() error {
	err := s.sums.Save()
	if s.engine != nil {
		err = errors.Join(err, s.engine.Close())
	}
	return errors.Join(err, s.st.Close())
}

// tables returns the table engine.
func (s *session) tables(ctx context.Context) (*table.Engine, error) {
	if s.engine != nil {
		return s.engine, nil
	}
	e, err := s.app.tableEngine(ctx)
	s.engine = e
	return e, err
}

func (a *app) tableEngine(ctx context.Context) (*table.Engine, error) {
	memory, err := bytesFlag("--memory", a.memory)
	if err != nil {
		return nil, err
	}
	return table.Open(ctx, table.Options{MemoryBytes: memory, Threads: a.threads})
}

// inPlaceEngine is an engine for a command that looks at a file once: Parquet is not loaded.
func (a *app) inPlaceEngine(ctx context.Context) (*table.Engine, error) {
	memory, err := bytesFlag("--memory", a.memory)
	if err != nil {
		return nil, err
	}
	return table.Open(ctx, table.Options{MemoryBytes: memory, Threads: a.threads, InPlace: true})
}

// readOptions are how the project reads its data.
func (p *Project) readOptions(a *app) table.ReadOptions {
	return table.ReadOptions{Delimiter: p.Data.Delimiter, Quote: p.Data.Quote, Encoding: p.Data.Encoding, Header: p.Data.Header, Nulls: p.Data.Nulls, Stdin: a.Stdin}
}

// table reads the project's data set.
func (s *session) table(ctx context.Context) (*table.Table, error) {
	if s.data != nil {
		return s.data, nil
	}
	e, err := s.tables(ctx)
	if err != nil {
		return nil, err
	}
	t, err := e.Read(ctx, s.p.Path(s.p.Data.URI), s.reading())
	if err != nil {
		return nil, err
	}
	if err := s.p.checkColumns(t.Fields()); err != nil {
		return nil, err
	}
	s.data = t
	return t, nil
}

// unwritable says which file could not be written and why, without the path of a server.
func unwritable(name string, err error) error {
	return assay.Errorf(assay.Unavailable, "%s cannot be written: %w", name, bare(err))
}

// bare takes the path off a file error.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// some lists names, the first dozen of many.
func some(names []string) string {
	const show = 12
	shown := make([]string, min(len(names), show))
	for i := range shown {
		shown[i] = one(names[i])
	}
	if len(names) <= show {
		return strings.Join(shown, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(shown, ", "), len(names)-show)
}

// checkColumns holds the columns that assay.yaml names against those of the table.
func (p *Project) checkColumns(fields []assay.Field) error {
	var bad assay.Problems
	p.columnProblems(fields, &bad)
	return bad.Err(assay.Invalid, ProjectFile)
}

// columnProblems adds what is wrong with the columns that assay.yaml names.
func (p *Project) columnProblems(fields []assay.Field, bad *assay.Problems) {
	have := fieldNames(fields)
	need := func(key string, cols ...string) {
		for _, c := range cols {
			if c != "" && !slices.Contains(have, c) {
				bad.Add("%s names column %q, which the data does not have%s", key, c, didYouMean(c, have))
			}
		}
	}
	key := "data.target.column"
	if p.Data.Target.Task == assay.Multilabel {
		key += "s"
	}
	need(key, p.Data.Target.names()...)
	need("data.target.query", p.Data.Target.Query)
	need("data.key", p.Data.Key...)
	need("data.entity", p.Data.Entity)
	need("data.time", p.Data.Time)
	need("data.sensitive", p.Data.Sensitive...)
	need("data.exclude", p.Data.Exclude...)
	need("data.categorical", p.Data.Category...)
	need("split.column", p.Split.Column)
	need("evaluate.weight", p.Evaluate.Weight)
	for _, f := range fields {
		if f.Name == p.Evaluate.Weight && !f.Type.Numeric() {
			bad.Add("evaluate.weight names column %q, which is of type %s; weights are numbers", f.Name, f.Type)
		}
	}
	need("monitor.columns", p.Monitor.Columns...)
	var said assay.Problems // with the file itself
	for _, c := range eval.SliceColumns(p.Evaluate.Slices, &said) {
		need("evaluate.slices", c.Name)
		if i := slices.Index(have, c.Name); i >= 0 && c.Banded && fields[i].Type == assay.TypeString {
			bad.Add("evaluate.slices cuts column %q into bands, which is text", c.Name)
		}
	}
	p.checkRules(fields, bad)
}

// unlearned are the columns that assay.yaml keeps from being features: the excluded ones and the weights.
func (p *Project) unlearned() []string {
	out := slices.Clone(p.Data.Exclude)
	if w := p.Evaluate.Weight; w != "" {
		out = append(out, w)
	}
	return out
}

// features are the columns that a model may learn from.
func (p *Project) features(fields []assay.Field) []string {
	drop := slices.Concat([]string{p.Data.Target.Query, p.Data.Entity, p.Data.Time, p.Split.Column}, p.Data.Target.names(), p.Data.Key, p.unlearned())
	var out []string
	for _, f := range fields {
		if !slices.Contains(drop, f.Name) {
			out = append(out, f.Name)
		}
	}
	return out
}

// write appends evidence and returns its record.
func (s *session) write(ctx context.Context, kind assay.Kind, subject assay.Digest, parents []assay.Digest, payload any) (assay.Record, error) {
	e, err := store.Evidence(kind, subject, parents, payload)
	if err != nil {
		return assay.Record{}, err
	}
	return s.append(ctx, e)
}

// circumstances go into the journal beside the evidence.
func (s *session) circumstances() map[string]string {
	c := map[string]string{"command": s.parent}
	if s.Host != "" {
		c["host"] = s.Host
	}
	if u := s.Env("USER"); u != "" {
		c["user"] = u
	}
	return c
}

// latest returns the newest evidence of a kind about a subject, or nil.
func (s *session) latest(ctx context.Context, kind assay.Kind, subject assay.Digest) (*assay.Record, error) {
	rs, err := s.st.Find(ctx, store.Query{Kind: kind, Subject: subject, Limit: 1})
	if err != nil || len(rs) == 0 {
		return nil, err
	}
	return &rs[0], nil
}

// need returns the newest evidence of a kind about a subject, or an error that names the command that makes it.
func (s *session) need(ctx context.Context, kind assay.Kind, subject assay.Digest, command string) (*assay.Record, error) {
	r, err := s.latest(ctx, kind, subject)
	if err == nil && r == nil {
		err = assay.Errorf(assay.NotFound, "no %s evidence about %s yet", kind, short(subject)).Try("%s", command)
	}
	return r, err
}

func short(d assay.Digest) string {
	if d == "" {
		return "anything"
	}
	return d.Short()
}

// reportsFolder is the name of the folder for the project's pages, in that of the store.
const reportsFolder = "reports"

// reports is the folder for the project's pages.
func (s *session) reports() (string, error) {
	dir := filepath.Join(s.p.Path(s.p.Store), reportsFolder)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", assay.Errorf(assay.Unavailable, "the folder for reports cannot be made: %w", err)
	}
	return dir, nil
}

// shown makes a path short for a person: relative to the working directory where that is shorter.
func (a *app) shown(path string) string {
	if rel, err := filepath.Rel(a.Dir, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}
