package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/registry"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/web"
)

// cardFormats are the forms of a card, with the ending of each one's file.
var cardFormats = []struct{ name, ending, says string }{
	{"md", ".md", "Markdown with the front matter of the Hugging Face Hub"},
	{"html", ".html", "one page that opens from disk"},
	{"json", ".json", "every payload that the card draws on"},
	{"mct", ".mct.json", "the JSON of the Model Card Toolkit 0.0.2"},
	{"cyclonedx", ".cdx.json", "a machine-learning bill of materials, CycloneDX 1.6"},
	{"eval-results", ".eval_results.yaml", "the final figures as the Hub reads them from .eval_results"},
	{"annex-iv", ".annex-iv.md", "the evidence by the points of Annex IV of the EU AI Act, and what people must write"},
}

func (a *app) cardCommand() *cobra.Command {
	var out, format string
	var names []string
	long := "Write the model card of a version, the newest when none is named. Every figure names the evidence it comes from.\n\nFormats:\n"
	for _, f := range cardFormats {
		names = append(names, f.name)
		long += fmt.Sprintf("  %-12s %s\n", f.name, f.says)
	}
	c := &cobra.Command{
		Use: "card [VERSION]", Short: "Write the model card; every figure names its evidence", Long: long,
		Args: cobra.MaximumNArgs(1),
		RunE: a.with("card", func(ctx context.Context, s *session, args []string) error {
			at := slices.Index(names, format)
			if at < 0 {
				return assay.Errorf(assay.Invalid, "--format %q is none of %s", format, strings.Join(names, ", ")).Try("assay card --format html")
			}
			file := out
			if out != "-" {
				var err error
				if file, err = s.output("--out", out); err != nil {
					return err
				}
			}
			v, err := s.version(ctx, first(args))
			if err != nil {
				return err
			}
			r, card, doc, err := s.cardStage(ctx, v)
			if err != nil {
				return err
			}
			if doc, err = s.cardAs(ctx, v, format, r, doc); err != nil {
				return err
			}
			if out == "-" {
				_, err := s.Stdout.Write(doc)
				return err
			}
			path, err := s.writeCardAs(v, doc, cardFormats[at].ending, file)
			if err != nil {
				return err
			}
			return s.print("assay.card/1", map[string]any{"evidence": r.ID, "card": card, "file": s.shown(path)}, func(w io.Writer) {
				fmt.Fprintf(w, "card of %s in %s, evidence %s\n", versionName(v), s.shown(path), r.ID.Short())
				if !card.Complete {
					fmt.Fprintf(w, "  ✕ it lacks %s\n", strings.Join(card.Missing, ", "))
				}
			})
		}),
	}
	c.Flags().StringVarP(&out, "out", "o", "", "write to this `file`; - is the standard output")
	c.Flags().StringVar(&format, "format", "md", "`form` of the card: "+strings.Join(names, ", "))
	c.AddCommand(a.cardCheckCommand())
	return c
}

// cardAs gives the card of a version another form than Markdown.
func (s *session) cardAs(ctx context.Context, v store.Version, format string, card assay.Record, markdown []byte) ([]byte, error) {
	if format == "md" {
		return markdown, nil
	}
	d, err := s.dossier(ctx, v)
	if err != nil {
		return nil, err
	}
	switch format {
	case "json":
		return registry.WriteJSON(d)
	case "mct":
		return registry.WriteToolkit(d)
	case "cyclonedx":
		return registry.WriteCycloneDX(d)
	case "eval-results":
		return registry.WriteEvalResults(d)
	case "annex-iv":
		return registry.WriteAnnexIV(d)
	}
	var b bytes.Buffer
	err = web.ModelCard(&b, d, web.Footer{Version: Version, Evidence: card.ID, Data: d.Model.Value.Data, At: card.Entry.At.UTC().Format(time.RFC3339)})
	return b.Bytes(), err
}

// cardFile is what the card of a version is called in the folder for reports.
func cardFile(v store.Version, ending string) string {
	return fmt.Sprintf("card-%s-%d%s", v.Name, v.Number, ending)
}

// writeCard writes the Markdown card of a version and returns its path.
func (s *session) writeCard(v store.Version, doc []byte, out string) (string, error) {
	return s.writeCardAs(v, doc, ".md", out)
}

func (s *session) writeCardAs(v store.Version, doc []byte, ending, out string) (string, error) {
	if out == "" {
		dir, err := s.reports()
		if err != nil {
			return "", err
		}
		out = filepath.Join(dir, cardFile(v, ending))
	}
	if err := os.WriteFile(out, doc, 0o644); err != nil {
		return "", assay.Errorf(assay.Unavailable, "the card cannot be written: %w", err)
	}
	return out, nil
}

func (a *app) cardCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check [VERSION]", Short: "Name the missing sections and stale figures of a card",
		Args: cobra.MaximumNArgs(1),
		RunE: a.with("card", func(ctx context.Context, s *session, args []string) error {
			v, err := s.version(ctx, first(args))
			if err != nil {
				return err
			}
			d, err := s.dossier(ctx, v)
			if err != nil {
				return err
			}
			found, err := s.card(ctx, d)
			if err != nil {
				return err
			}
			if found == nil {
				return assay.Errorf(assay.NotFound, "%s has no card yet", versionName(v)).Try("assay card %s", versionName(v))
			}
			card := found.Value
			stale := registry.Stale(card, d)
			if err := s.print("assay.card.check/1", map[string]any{"complete": card.Complete, "missing": card.Missing, "stale": stale}, func(w io.Writer) {
				for _, m := range card.Missing {
					fmt.Fprintf(w, "✕ missing: %s\n", m)
				}
				for _, m := range stale {
					fmt.Fprintf(w, "✕ stale: %s\n", m)
				}
				if card.Complete && len(stale) == 0 {
					fmt.Fprintf(w, "● the card of %s is complete and not stale\n", versionName(v))
				}
			}); err != nil {
				return err
			}
			if !card.Complete || len(stale) > 0 {
				return errAnswerNo
			}
			return nil
		}),
	}
}
