package cli

import (
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
	infer := &cobra.Command{
		Use: "infer [DATA]", Short: "Propose a schema from what the rows show; each constraint says how many support it",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.inferSchema(c.Context(), first(args), out) },
	}
	infer.Flags().StringVarP(&out, "out", "o", "", "write the schema to this `file` instead of standard output")
	show := &cobra.Command{
		Use: "show [FILE]", Short: "Print a schema and its digest",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			sc, err := a.readSchema(first(args))
			if err != nil {
				return err
			}
			return a.printSchema(sc)
		},
	}
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
					fmt.Fprintf(w, "%s %s: %s: %s\n", c.Direction, c.Column, c.Rule, c.Detail)
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
	return a.print("assay.schema/1", map[string]any{"digest": digest, "document": json.RawMessage(b)}, func(w io.Writer) { _, _ = w.Write(b) })
}

// readSchema reads a schema file; an empty path means the project's.
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
	return schema.Parse(b)
}

func (a *app) inferSchema(ctx context.Context, data, out string) error {
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
	t, err := e.Read(ctx, data, ro)
	if err != nil {
		return err
	}
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
	if err := os.WriteFile(a.path(out), b, 0o644); err != nil {
		return unwritable(filepath.Base(out), err)
	}
	if a.json {
		return a.printSchema(sc)
	}
	a.say("%d columns from %s rows into %s", len(sc.Columns), assay.FormatCount(t.Rows()), out)
	return nil
}

func (p *Project) inferOptions() schema.InferOptions {
	return schema.InferOptions{Name: p.Name, Key: p.Data.Key, Optional: []string{p.Data.Target.Column}}
}

// path resolves a path of the command line.
func (a *app) path(s string) string {
	if s == "-" || filepath.IsAbs(s) || strings.Contains(s, "://") {
		return s
	}
	return filepath.Join(a.Dir, s)
}

func (a *app) checkCommand() *cobra.Command {
	var against, quarantine string
	c := &cobra.Command{
		Use: "check [DATA]", Short: "Check data against the schema: every violation, failing rows to a quarantine file",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 && against == "" {
				return a.with("check", func(ctx context.Context, s *session, _ []string) error {
					r, v, err := s.checkStage(ctx, quarantine)
					if err != nil {
						return err
					}
					if err := s.print("assay.check/1", map[string]any{"evidence": r.ID, "validation": v}, func(w io.Writer) { printValidation(w, v) }); err != nil {
						return err
					}
					return answer(v.Verdict)
				})(c, args)
			}
			return a.checkFile(c.Context(), first(args), against, quarantine)
		},
	}
	c.Flags().StringVar(&against, "schema", "", "schema `file` instead of the project's")
	c.Flags().StringVar(&quarantine, "quarantine", "", "write all failing rows, with the reasons, to this `file` (.csv, .jsonl, .parquet)")
	return c
}

// checkFile checks any file against a schema, without a project and without evidence.
func (a *app) checkFile(ctx context.Context, data, against, quarantine string) error {
	sc, err := a.readSchema(against)
	if err != nil {
		return err
	}
	ro := table.ReadOptions{Stdin: a.Stdin}
	if data == "" {
		p, err := LoadProject(a.Dir, a.config)
		if err != nil {
			return err
		}
		data, ro = p.Path(p.Data.URI), p.readOptions(a)
	} else {
		data = a.path(data)
	}
	e, err := a.inPlaceEngine(ctx)
	if err != nil {
		return err
	}
	defer e.Close()
	t, err := e.Read(ctx, data, ro)
	if err != nil {
		return err
	}
	if quarantine != "" {
		quarantine = a.path(quarantine)
	}
	v, err := sc.Check(ctx, t, schema.CheckOptions{Boundary: "data", Quarantine: quarantine})
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
	if quarantine != "" {
		quarantine = s.path(quarantine)
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
		fmt.Fprintf(w, "  ✕ %s %s: %s: %s rows (%.3g %%)", where, x.Rule, x.Detail, assay.FormatCount(x.Count), 100*x.Fraction)
		if len(x.Rows) > 0 {
			fmt.Fprintf(w, ", the first are %v", x.Rows)
		}
		fmt.Fprintln(w)
	}
	if v.Failing > 0 {
		fmt.Fprintf(w, "%s rows fail; assay check --quarantine FILE writes them all with the reasons\n", assay.FormatCount(v.Failing))
	}
}
