package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/gate"
	"github.com/assay-ml/assay/internal/store"
)

func (a *app) evidenceCommand() *cobra.Command {
	c := &cobra.Command{Use: "evidence", Short: "Look at what was proven: list, show, graph, export, verify, key, checkpoint"}
	var kind, subject string
	var limit int
	var ids bool
	list := &cobra.Command{
		Use: "list", Short: "List evidence, newest first",
		RunE: a.withStore("evidence", func(ctx context.Context, s *session, _ []string) error {
			if kind != "" && !slices.Contains(assay.Kinds(), assay.Kind(kind)) {
				var names []string
				for _, k := range assay.Kinds() {
					names = append(names, string(k))
				}
				return assay.Errorf(assay.Invalid, "--kind %q is no kind of evidence%s", kind, didYouMean(kind, names)).Try("assay evidence list")
			}
			if limit < 1 {
				return assay.Errorf(assay.Invalid, "--limit %d is not positive", limit).Try("assay evidence list --ids, which prints all")
			}
			q := store.Query{Kind: assay.Kind(kind), Limit: limit}
			if ids {
				q.Limit = 0
			}
			if subject != "" {
				d, err := s.subject(ctx, subject)
				if err != nil {
					return err
				}
				q.Subject = d
			}
			rs, err := s.st.Find(ctx, q)
			if err != nil {
				return err
			}
			if ids {
				for _, r := range rs {
					fmt.Fprintln(s.out(), r.ID)
				}
				return nil
			}
			return s.print("assay.evidence.list/1", map[string]any{"evidence": rs}, func(w io.Writer) {
				grid(w, func(tw *tabwriter.Writer) {
					for _, r := range rs {
						fmt.Fprintf(tw, "%s\t%s\tabout %s\t%s\t%s\n", r.ID.Short(), r.Kind, r.Subject.Short(), r.Entry.At.UTC().Format(time.RFC3339), r.Entry.Producer)
					}
				})
			})
		}),
	}
	list.Flags().StringVar(&kind, "kind", "", "only this `kind`: snapshot, split, run, evaluation, …")
	list.Flags().StringVar(&subject, "subject", "", "only about this `digest` (or its beginning)")
	list.Flags().IntVar(&limit, "limit", 100, "at most so many")
	list.Flags().BoolVar(&ids, "ids", false, "print full ids only, all of them")
	show := &cobra.Command{
		Use: "show ID", Short: "Print one evidence with its payload and journal entry",
		Args: cobra.ExactArgs(1),
		RunE: a.withStore("evidence", func(ctx context.Context, s *session, args []string) error {
			r, err := s.evidence(ctx, args[0])
			if err != nil {
				return err
			}
			b, err := json.Marshal(r)
			if err != nil {
				return assay.Errorf(assay.Internal, "evidence %s cannot be written: %w", r.ID.Short(), err)
			}
			return s.print("assay.evidence/1", r, func(io.Writer) {
				var doc strings.Builder
				if indent(&doc, b) == nil {
					s.writeJSON([]byte(doc.String()))
				}
			})
		}),
	}
	graph := &cobra.Command{
		Use: "graph ID|MODEL", Short: "Draw everything that an evidence or a model was derived from",
		Args: cobra.ExactArgs(1),
		RunE: a.withStore("evidence", func(ctx context.Context, s *session, args []string) error {
			r, err := s.evidence(ctx, args[0])
			if err != nil {
				return err
			}
			return s.graph(ctx, r)
		}),
	}
	var out string
	export := &cobra.Command{
		Use: "export ID...", Short: "Write evidence and all that it was derived from as a signed in-toto statement",
		Args: cobra.MinimumNArgs(1),
		RunE: a.withStore("evidence", func(ctx context.Context, s *session, args []string) error {
			file, err := s.output("--out", out)
			if err != nil {
				return err
			}
			var ids []assay.Digest
			for _, x := range args {
				r, err := s.evidence(ctx, x)
				if err != nil {
					return err
				}
				ids = append(ids, r.ID)
			}
			b, err := s.st.Export(ctx, ids...)
			if err != nil {
				return err
			}
			if out == "" {
				_, err = s.Stdout.Write(append(b, '\n'))
				return err
			}
			if err := os.WriteFile(file, b, 0o644); err != nil {
				return unwritable(filepath.Base(out), err)
			}
			return s.print("assay.evidence.export/1", map[string]any{"evidence": ids, "file": out}, func(io.Writer) {})
		}),
	}
	export.Flags().StringVarP(&out, "out", "o", "", "write to this `file`")
	c.AddCommand(list, show, graph, export, a.verifyCommand(), a.keyCommand(), a.checkpointCommand())
	return c
}

// evidence finds one evidence by its id or its beginning, or the newest about a model, named by version or digest.
func (s *session) evidence(ctx context.Context, ref string) (assay.Record, error) {
	id, err := s.st.Resolve(ctx, ref)
	if err == nil {
		return s.st.Get(ctx, id)
	}
	d, serr := s.subject(ctx, ref)
	if serr != nil {
		return assay.Record{}, err
	}
	r, lerr := s.latest(ctx, "", d)
	if lerr != nil || r == nil {
		return assay.Record{}, err
	}
	return *r, nil
}

// subject finds a subject by its digest, the beginning of one, or a registered version.
func (s *session) subject(ctx context.Context, ref string) (assay.Digest, error) {
	if d, err := assay.ParseDigest(ref); err == nil {
		return d, nil
	}
	if v, err := s.version(ctx, ref); err == nil {
		return v.Model, nil
	}
	rs, err := s.st.Find(ctx, store.Query{})
	if err != nil {
		return "", err
	}
	var found []assay.Digest
	for _, r := range rs {
		if matches(r.Subject, ref) && !slices.Contains(found, r.Subject) {
			found = append(found, r.Subject)
		}
	}
	switch len(found) {
	case 0:
		return "", assay.Errorf(assay.NotFound, "nothing is known about %q", ref).Try("assay evidence list")
	case 1:
		return found[0], nil
	}
	return "", assay.Errorf(assay.Invalid, "%q is the beginning of %d subjects", ref, len(found)).Try("assay evidence list")
}

// graph prints the ancestry of an evidence as a tree; what was printed before is not expanded again.
func (s *session) graph(ctx context.Context, root assay.Record) error {
	type node struct {
		ID      assay.Digest   `json:"id"`
		Kind    assay.Kind     `json:"kind"`
		Subject assay.Digest   `json:"subject"`
		Parents []assay.Digest `json:"parents"`
	}
	seen := map[assay.Digest]bool{}
	var nodes []node
	var lines []string
	var walk func(r assay.Record, depth int) error
	walk = func(r assay.Record, depth int) error {
		mark := ""
		if seen[r.ID] && len(r.Parents) > 0 {
			mark = "  (above)"
		}
		lines = append(lines, fmt.Sprintf("%s%s %s about %s%s", strings.Repeat("  ", depth), r.ID.Short(), r.Kind, r.Subject.Short(), mark))
		if seen[r.ID] {
			return nil
		}
		seen[r.ID] = true
		nodes = append(nodes, node{r.ID, r.Kind, r.Subject, r.Parents})
		for _, p := range r.Parents {
			pr, err := s.st.Get(ctx, p)
			if err != nil {
				return err
			}
			if err := walk(pr, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk(root, 0); err != nil {
		return err
	}
	return s.print("assay.evidence.graph/1", map[string]any{"nodes": nodes}, func(w io.Writer) { fmt.Fprintln(w, strings.Join(lines, "\n")) })
}

// checkpointCommand writes what has to be kept elsewhere, so that a journal that was cut or rewritten shows.
func (a *app) checkpointCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use: "checkpoint", Short: "Print what the journal is now, signed: keep it elsewhere, for assay fsck --checkpoint",
		RunE: a.withStore("evidence", func(ctx context.Context, s *session, _ []string) error {
			file, err := s.output("--out", out)
			if err != nil {
				return err
			}
			c, err := s.st.Checkpoint(ctx)
			if err != nil {
				return err
			}
			if out == "" {
				return s.print("assay.evidence.checkpoint/1", c, func(io.Writer) { _, _ = io.WriteString(s.Stdout, c.Note) })
			}
			if err := os.WriteFile(file, []byte(c.Note), 0o644); err != nil {
				return unwritable(filepath.Base(out), err)
			}
			return s.print("assay.evidence.checkpoint/1", c, func(w io.Writer) {
				fmt.Fprintf(w, "checkpoint of %d journal entries in %s\n", c.Size, out)
			})
		}),
	}
	c.Flags().StringVarP(&out, "out", "o", "", "write to this `file`")
	return c
}

func (a *app) fsckCommand() *cobra.Command {
	var files []string
	c := &cobra.Command{
		Use: "fsck", Short: "Look at the whole store and name what is missing, altered or orphaned",
		RunE: a.withStore("fsck", func(ctx context.Context, s *session, _ []string) error {
			var kept []store.Checkpoint
			for _, file := range files {
				b, err := os.ReadFile(s.path(file))
				if err != nil {
					return assay.Errorf(assay.NotFound, "%s cannot be read: %w", file, bare(err)).Try("assay evidence checkpoint -o %s", file)
				}
				c, err := store.ParseCheckpoint(b)
				if err != nil {
					return err
				}
				kept = append(kept, c)
			}
			r, err := s.st.Fsck(ctx, kept...)
			if err != nil {
				return err
			}
			if err := s.checkFiles(ctx, &r); err != nil {
				return err
			}
			if err := s.print("assay.fsck/1", r, func(w io.Writer) {
				for _, p := range r.Problems {
					fmt.Fprintf(w, "✕ %s\n", finding(p))
				}
				for _, p := range r.Orphans {
					fmt.Fprintf(w, "◐ %s\n", finding(p))
				}
				if !r.Clean() {
					return
				}
				fmt.Fprintf(w, "● clean: %d evidence, %d journal entries, %d blobs\n", r.Evidence, r.Entries, r.Blobs)
				for i, c := range kept {
					fmt.Fprintf(w, "● the first %d journal entries are those of %s\n", c.Size, files[i])
				}
			}); err != nil {
				return err
			}
			if !r.Clean() {
				return errAnswerNo
			}
			return nil
		}),
	}
	c.Flags().StringArrayVar(&files, "checkpoint", nil, "hold the journal against this `file` of assay evidence checkpoint, too; may be repeated")
	return c
}

// finding is a problem on one line: what it is, of what, and why.
func finding(p store.Problem) string {
	if p.ID == "" || strings.Contains(p.Detail, p.ID.Short()) {
		return fmt.Sprintf("%s %s: %s", p.Code, p.What, p.Detail)
	}
	return fmt.Sprintf("%s %s %s: %s", p.Code, p.What, p.ID.Short(), p.Detail)
}

func (a *app) modelCommand() *cobra.Command {
	c := &cobra.Command{Use: "model", Short: "Look at models and versions: list, history, alias, tag"}
	list := &cobra.Command{
		Use: "list", Short: "List registered versions, newest first, then models without a version",
		RunE: a.withStore("model", func(ctx context.Context, s *session, _ []string) error {
			models, err := s.st.Models(ctx)
			if err != nil {
				return err
			}
			var versions []store.Version
			known := map[assay.Digest]bool{}
			for _, m := range models {
				vs, err := s.st.Versions(ctx, m.Name)
				if err != nil {
					return err
				}
				versions = append(versions, vs...)
				for _, v := range vs {
					known[v.Model] = true
				}
			}
			rs, err := s.st.Find(ctx, store.Query{Kind: assay.KindModel})
			if err != nil {
				return err
			}
			var loose []assay.Digest
			for _, r := range rs {
				if !known[r.Subject] && !slices.Contains(loose, r.Subject) {
					loose = append(loose, r.Subject)
				}
			}
			return s.print("assay.models/1", map[string]any{"versions": versions, "unregistered": loose}, func(w io.Writer) {
				grid(w, func(tw *tabwriter.Writer) {
					for _, v := range versions {
						fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", versionName(v), v.Model.Short(), v.Stage, strings.Join(v.Aliases, ", "))
					}
					for _, d := range loose {
						fmt.Fprintf(tw, "(no version)\t%s\t\t\n", d.Short())
					}
				})
			})
		}),
	}
	history := &cobra.Command{
		Use: "history [NAME]", Short: "What happened to a model's versions, newest first",
		Args: cobra.MaximumNArgs(1),
		RunE: a.withStore("model", func(ctx context.Context, s *session, args []string) error {
			name := first(args)
			if name == "" {
				name = s.p.Name
			}
			events, err := s.st.History(ctx, name, 0)
			if err != nil {
				return err
			}
			details, builtIn := make([]string, len(events)), gate.Default().Digest()
			for i, e := range events {
				details[i] = e.Detail
				if e.Action != "promote" {
					continue
				}
				if details[i], err = s.promotedUnder(ctx, e, builtIn); err != nil {
					return err
				}
			}
			return s.print("assay.history/1", map[string]any{"events": events}, func(w io.Writer) {
				grid(w, func(tw *tabwriter.Writer) {
					for i, e := range events {
						fmt.Fprintf(tw, "%s\t%s:%d\t%s\t%s\t%s\n", e.Entry.At.UTC().Format(time.RFC3339), e.Name, e.Number, e.Action, e.Stage, one(details[i]))
					}
				})
			})
		}),
	}
	c.AddCommand(list, history, a.aliasCommand(), a.tagCommand())
	return c
}

func (a *app) verifyCommand() *cobra.Command {
	var key string
	c := &cobra.Command{
		Use: "verify FILE", Short: "Check the signature of an exported statement and the ids of its evidence",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			b, err := os.ReadFile(a.path(args[0]))
			if err != nil {
				return assay.Errorf(assay.NotFound, "%s cannot be read: %w", args[0], bare(err)).Try("assay evidence export ID -o %s", args[0])
			}
			pem, err := a.publicKey(c.Context(), key)
			if err != nil {
				return err
			}
			public, err := store.ParsePublicKey(pem)
			if err != nil {
				return err
			}
			st, err := store.VerifyEnvelope(c.Context(), b, public)
			if err != nil {
				return err
			}
			return a.print("assay.evidence.verify/1", map[string]any{"statement": st}, func(w io.Writer) {
				fmt.Fprintf(w, "● the signature and the ids of all %d evidence are right\n", len(st.Predicate.Evidence))
			})
		},
	}
	c.Flags().StringVar(&key, "key", "", "`file` of the signer's public key (PEM); this store's key without it")
	return c
}

// publicKey reads a public key from a file, or that of the store.
func (a *app) publicKey(ctx context.Context, file string) ([]byte, error) {
	if file != "" {
		b, err := os.ReadFile(a.path(file))
		if err != nil {
			return nil, assay.Errorf(assay.NotFound, "%s cannot be read: %w", file, bare(err)).Try("assay evidence key > %s", file)
		}
		return b, nil
	}
	s, err := a.openStore(ctx, "evidence")
	if err != nil {
		return nil, err
	}
	b, err := s.st.PublicKey(ctx)
	return b, closing(s, err)
}

func (a *app) keyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "key", Short: "Print the public key that verifies what this store exports",
		RunE: a.withStore("evidence", func(ctx context.Context, s *session, _ []string) error {
			b, err := s.st.PublicKey(ctx)
			if err != nil {
				return err
			}
			return s.print("assay.evidence.key/1", map[string]any{"public_key": string(b)}, func(w io.Writer) { _, _ = w.Write(b) })
		}),
	}
}
