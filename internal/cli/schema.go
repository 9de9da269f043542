package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/table"
)

func (a *app) schemaCommand() *cobra.Command {
	c := &cobra.Command{Use: "schema", Short: "Say what must hold of the data: infer, show, compare schemas"}
	var out string
	var reading textReading
	infer := &cobra.Command{
		Use: "infer [DATA]", Short: "Propose a schema from what the rows show; each constraint says how many support it",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.inferSchema(c.Context(), first(args), out, reading)
		},
	}
	infer.Flags().StringVarP(&out, "out", "o", "", "write the schema to this `file` instead of standard output")
	reading.flags(infer)
	var format string
	var lossy bool
	show := &cobra.Command{
		Use: "show [FILE]", Short: "Print a schema and its digest, or the schema as JSON Schema",
		Long: `Print a schema and its digest. Every command that takes a schema takes a JSON Schema (2020-12) of a flat object as well, so this turns
one into Assay's own form.

With --format json-schema the rules for one row are written as JSON Schema. Where it cannot say everything, all of that is named and nothing is
written; with --lossy it is left out, and named.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			sc, err := a.readSchema(first(args))
			if err != nil {
				return err
			}
			switch format {
			case "assay":
				if lossy {
					return assay.Errorf(assay.Invalid, "--lossy is of --format json-schema").Try("assay schema show --format json-schema --lossy")
				}
				return a.printSchema(sc)
			case "json-schema":
				return a.exportSchema(sc, lossy)
			}
			return assay.Errorf(assay.Invalid, "--format %q is none of assay, json-schema", format).Try("assay schema show --format json-schema")
		},
	}
	show.Flags().StringVar(&format, "format", "assay", "`form` of the schema: assay, json-schema")
	show.Flags().BoolVar(&lossy, "lossy", false, "leave out what JSON Schema cannot say")
	diff := &cobra.Command{
		Use: "diff OLD NEW", Short: "Say what a new schema asks more and less, and for whom it breaks",
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			old, err := a.readSchema(args[0])
			if err != nil {
				return err
			}
			now, err := a.readSchema(args[1])
			if err != nil {
				return err
			}
			changes := schema.Diff(old, now)
			producer, consumer := schema.Breaks(changes)
			if err := a.print("assay.schema.diff/1", map[string]any{"changes": changes, "breaks_producer": producer, "breaks_consumer": consumer}, func(w io.Writer) {
				for _, c := range changes {
					fmt.Fprintf(w, "%s %s: %s: %s\n", c.Direction, one(c.Column), c.Rule, one(c.Detail))
				}
				fmt.Fprintf(w, "%d changes; breaks who writes the data: %v; breaks who reads it: %v\n", len(changes), producer, consumer)
			}); err != nil {
				return err
			}
			if len(changes) > 0 {
				return errAnswerNo
			}
			return nil
		},
	}
	c.AddCommand(infer, show, diff)
	return c
}

// printSchema prints the schema itself, or with --json a document that holds it.
func (a *app) printSchema(sc *schema.Schema) error {
	b, err := sc.JSON()
	if err != nil {
		return err
	}
	digest, err := sc.Digest()
	if err != nil {
		return err
	}
	return a.print("assay.schema/1", map[string]any{"digest": digest, "document": json.RawMessage(b)}, func(io.Writer) { a.writeJSON(b) })
}

// exportSchema prints a schema as JSON Schema, and says on standard error what that leaves out.
func (a *app) exportSchema(sc *schema.Schema, lossy bool) error {
	b, lost, err := sc.JSONSchema(lossy)
	if e := (&assay.Error{}); errors.As(err, &e) {
		return e.Try("assay schema show --format json-schema --lossy")
	}
	if err != nil {
		return err
	}
	digest, err := sc.Digest()
	if err != nil {
		return err
	}
	if lost == nil {
		lost = []string{}
	}
	if !a.json {
		for _, what := range lost {
			a.say("left out: %s", what)
		}
	}
	return a.print("assay.schema.export/1", map[string]any{"digest": digest, "document": json.RawMessage(b), "lost": lost}, func(io.Writer) { a.writeJSON(b) })
}

// schemaFile is the path of the project's schema; "" without a project.
func (a *app) schemaFile() string {
	p, err := LoadProject(a.Dir, a.config)
	if err != nil {
		return ""
	}
	return p.Path(p.Schema)
}

// readSchema reads a schema file, Assay's or a JSON Schema; an empty path means the project's.
func (a *app) readSchema(path string) (*schema.Schema, error) {
	if path == "" {
		p, err := LoadProject(a.Dir, a.config)
		if err != nil {
			return nil, err
		}
		path = p.Path(p.Schema)
	} else if !filepath.IsAbs(path) {
		path = filepath.Join(a.Dir, path)
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, assay.Errorf(assay.NotFound, "no schema file %s", filepath.Base(path)).Try("assay schema infer -o %s", filepath.Base(path))
	}
	if err != nil {
		return nil, assay.Errorf(assay.Unavailable, "%s cannot be read: %w", filepath.Base(path), err)
	}
	sc, err := schema.Read(b)
	if err != nil {
		base := filepath.Base(path)
		return nil, assay.Errorf(assay.CodeOf(err), "%s: %s", base, strings.TrimPrefix(err.Error(), "the schema: ")).
			Try("mend %s; assay schema infer -o FILE writes one, in JSON", base)
	}
	return sc, nil
}

func (a *app) inferSchema(ctx context.Context, data, out string, reading textReading) error {
	file, err := a.output("--out", out, data)
	if err != nil {
		return err
	}
	e, err := a.tableEngine(ctx)
	if err != nil {
		return err
	}
	defer e.Close()
	o := schema.InferOptions{}
	ro := table.ReadOptions{Stdin: a.Stdin}
	if data == "" {
		p, err := LoadProject(a.Dir, a.config)
		if err != nil {
			return err
		}
		data, ro, o = p.Path(p.Data.URI), p.readOptions(a), p.inferOptions()
	} else {
		data = a.path(data)
	}
	t, err := e.Read(ctx, data, reading.over(ro))
	if err != nil {
		return err
	}
	a.sayNotes(t)
	sc, err := schema.Infer(ctx, t, o)
	if err != nil {
		return err
	}
	b, err := sc.JSON()
	if err != nil {
		return err
	}
	if out == "" {
		return a.printSchema(sc)
	}
	if err := os.WriteFile(file, b, 0o644); err != nil {
		return unwritable(filepath.Base(out), err)
	}
	if a.json {
		return a.printSchema(sc)
	}
	a.say("%d columns from %s rows into %s", len(sc.Columns), assay.FormatCount(t.Rows()), out)
	return nil
}

func (p *Project) inferOptions() schema.InferOptions {
	return schema.InferOptions{Name: p.Name, Key: p.Data.Key, Optional: p.Data.Target.names()}
}

// path resolves a path of the command line.
func (a *app) path(s string) string {
	if s == "-" || filepath.IsAbs(s) || strings.Contains(s, "://") {
		return s
	}
	return filepath.Join(a.Dir, s)
}

// A checkRequest is what the command line asks of a check.
type checkRequest struct {
	data, against, quarantine string // "": the project's data, its schema, no file
	reading                   textReading
}

func (a *app) checkCommand() *cobra.Command {
	var q checkRequest
	c := &cobra.Command{
		Use: "check [DATA]", Short: "Check data against the schema: every violation, failing rows to a quarantine file",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			q.data = first(args)
			var err error
			if q.quarantine, err = a.output("--quarantine", q.quarantine, q.data, cmp.Or(q.against, a.schemaFile())); err != nil {
				return err
			}
			if q.data == "" && q.against == "" && q.reading == (textReading{}) {
				return a.with("check", func(ctx context.Context, s *session, _ []string) error {
					r, v, err := s.checkStage(ctx, q.quarantine)
					if err != nil {
						return err
					}
					if err := s.print("assay.check/1", map[string]any{"evidence": r.ID, "validation": v}, func(w io.Writer) { printValidation(w, v) }); err != nil {
						return err
					}
					return answer(v.Verdict)
				})(c, args)
			}
			return a.checkFile(c.Context(), q)
		},
	}
	c.Flags().StringVar(&q.against, "schema", "", "schema `file` instead of the project's")
	c.Flags().StringVar(&q.quarantine, "quarantine", "", "write all failing rows, with the reasons, to this `file` (.csv, .jsonl, .parquet)")
	q.reading.flags(c)
	return c
}

// checkFile checks any file against a schema, without a project and without evidence. What the schema calls text is read as text.
func (a *app) checkFile(ctx context.Context, q checkRequest) error {
	sc, err := a.readSchema(q.against)
	if err != nil {
		return err
	}
	ro, data := table.ReadOptions{Stdin: a.Stdin}, a.path(q.data)
	if q.data == "" {
		p, err := LoadProject(a.Dir, a.config)
		if err != nil {
			return err
		}
		data, ro = p.Path(p.Data.URI), p.readOptions(a)
	}
	ro = q.reading.over(ro)
	ro.As = statedTypes(sc)
	e, err := a.inPlaceEngine(ctx)
	if err != nil {
		return err
	}
	defer e.Close()
	t, err := e.Read(ctx, data, ro)
	if err != nil {
		return err
	}
	v, err := sc.Check(ctx, t, schema.CheckOptions{Boundary: "data", Quarantine: q.quarantine})
	if err != nil {
		return err
	}
	if err := a.print("assay.check/1", map[string]any{"validation": v}, func(w io.Writer) { printValidation(w, v) }); err != nil {
		return err
	}
	return answer(v.Verdict)
}

// checkStage checks the data set against the project's schema and records schema and validation.
func (s *session) checkStage(ctx context.Context, quarantine string) (assay.Record, assay.Validation, error) {
	sc, err := s.readSchema("")
	if err != nil {
		return assay.Record{}, assay.Validation{}, err
	}
	snapRec, snap, err := s.snapshot(ctx)
	if err != nil {
		return assay.Record{}, assay.Validation{}, err
	}
	t, err := s.table(ctx)
	if err != nil {
		return assay.Record{}, assay.Validation{}, err
	}
	schemaRec, err := s.schemaEvidence(ctx, sc)
	if err != nil {
		return assay.Record{}, assay.Validation{}, err
	}
	v, err := sc.Check(ctx, t, schema.CheckOptions{Boundary: "data", Quarantine: quarantine})
	if err != nil {
		return assay.Record{}, v, err
	}
	r, err := s.write(ctx, assay.KindValidation, snap.Content, []assay.Digest{snapRec.ID, schemaRec.ID}, v)
	return r, v, err
}

func printValidation(w io.Writer, v assay.Validation) {
	fmt.Fprintf(w, "%s %s: %s rows against %d constraints of schema %s\n", v.Verdict.Glyph(), v.Verdict, assay.FormatCount(v.Rows), v.Constraints, v.Schema.Short())
	for _, x := range v.Violations {
		where := "table"
		if x.Column != "" {
			where = x.Column
		}
		fmt.Fprintf(w, "  ✕ %s %s: %s: %s rows (%.3g %%)", one(where), x.Rule, one(x.Detail), assay.FormatCount(x.Count), 100*x.Fraction)
		if len(x.Rows) > 0 {
			fmt.Fprintf(w, ", the first are %v", x.Rows)
		}
		fmt.Fprintln(w)
	}
	if v.Failing > 0 {
		fmt.Fprintf(w, "%s rows fail; assay check --quarantine FILE writes them all with the reasons\n", assay.FormatCount(v.Failing))
	}
}
