package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/blob"
	"github.com/assay-ml/assay/internal/dataset"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/web"
)

// grid writes aligned columns.
func grid(w io.Writer, rows func(tw *tabwriter.Writer)) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	rows(tw)
	tw.Flush()
}

func (a *app) snapshotCommand() *cobra.Command {
	var keep bool
	c := &cobra.Command{
		Use: "snapshot", Short: "Version the data set: digests of its bytes and of its rows, and its datasheet",
		Args: cobra.NoArgs,
		RunE: a.with("snapshot", func(ctx context.Context, s *session, _ []string) error {
			r, snap, sheet, err := s.takeSnapshot(ctx, keep)
			if err != nil {
				return err
			}
			s.sayNotes(s.data)
			return s.print("assay.snapshot/1", map[string]any{"evidence": r.ID, "snapshot": snap, "datasheet": sheet}, func(w io.Writer) {
				printSnapshot(w, r, snap, sheet)
			})
		}),
	}
	c.Flags().BoolVar(&keep, "store", false, "copy the files into the store too, so that this version can be restored")
	c.AddCommand(a.snapshotListCommand(), a.snapshotRestoreCommand())
	return c
}

func (a *app) snapshotListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the recorded versions of data sets, newest first",
		Args: cobra.NoArgs,
		RunE: a.withStore("snapshot list", func(ctx context.Context, s *session, _ []string) error {
			rs, snaps, err := s.snapshots(ctx)
			if err != nil {
				return err
			}
			list := make([]map[string]any, len(rs))
			for i, r := range rs {
				list[i] = map[string]any{"evidence": r.ID, "at": r.Entry.At, "snapshot": snaps[i]}
			}
			return s.print("assay.snapshots/1", map[string]any{"snapshots": list}, func(w io.Writer) {
				grid(w, func(tw *tabwriter.Writer) {
					fmt.Fprintf(tw, "evidence\tcontent\tat\tname\trows\tfiles\tstored\n")
					for i, r := range rs {
						kept := map[bool]string{true: "yes", false: "no"}[snaps[i].Stored]
						fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", r.ID.Short(), snaps[i].Content.Short(), r.Entry.At.UTC().Format(time.RFC3339), one(snaps[i].Name), assay.FormatCount(snaps[i].Rows), len(snaps[i].Files), kept)
					}
				})
			})
		}),
	}
}

func (a *app) snapshotRestoreCommand() *cobra.Command {
	var to string
	c := &cobra.Command{
		Use: "restore [SNAPSHOT]", Short: "Write the files of a stored version into a folder, each verified by its digest",
		Args: cobra.MaximumNArgs(1),
		RunE: a.withStore("snapshot restore", func(ctx context.Context, s *session, args []string) error {
			if to == "" {
				return assay.Errorf(assay.Invalid, "--to is missing: into which folder?").Try("assay snapshot restore --to restored")
			}
			r, snap, err := s.storedSnapshot(ctx, first(args))
			if err != nil {
				return err
			}
			dir := to
			if !filepath.IsAbs(dir) {
				dir = filepath.Join(a.Dir, dir)
			}
			if err := dataset.Restore(ctx, s.st.Blobs(), snap, dir); err != nil {
				return err
			}
			return s.print("assay.restore/1", map[string]any{"evidence": r.ID, "snapshot": snap, "folder": a.shown(dir)}, func(w io.Writer) {
				fmt.Fprintf(w, "%s: %d file(s) of snapshot %s in %s\n", one(snap.Name), len(snap.Files), r.ID.Short(), a.shown(dir))
			})
		}),
	}
	c.Flags().StringVar(&to, "to", "", "the `folder` to write into; no file that differs is overwritten")
	return c
}

func printSnapshot(w io.Writer, r assay.Record, snap assay.Snapshot, sheet assay.Datasheet) {
	fmt.Fprintf(w, "%s: %s rows, %d columns, %d file(s) of %s\n", one(snap.Name), assay.FormatCount(snap.Rows), len(snap.Fields), len(snap.Files), snap.Format)
	fmt.Fprintf(w, "content   %s\nevidence  %s\n", snap.Content, r.ID.Short())
	if sheet.Complete {
		fmt.Fprintln(w, "datasheet complete")
	} else {
		fmt.Fprintf(w, "datasheet lacks %s: fill data.documentation in %s\n", strings.Join(sheet.Missing, ", "), ProjectFile)
	}
}

func (a *app) splitCommand() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use: "split", Short: "Divide the rows into train, validation and test, and seal the test labels",
		Long: `Divide the rows into train, validation and test as assay.yaml says, run the leakage checks, write the part files and seal the
labels of the test part. On your own disk the seal is tamper-evident, not secret: the data file that you started from still holds them.

Rows that an earlier split sealed are recognised in another form too, and refused. Where they are recognised by counts alone, or would
only be sealed again, --reason splits them all the same: the split names the sealed rows and the reason, and the ledger counts on.`,
		Args: cobra.NoArgs,
		RunE: a.with("split", func(ctx context.Context, s *session, _ []string) error {
			r, split, err := s.splitStage(ctx, reason)
			if err != nil {
				return err
			}
			if err := s.print("assay.split/1", map[string]any{"evidence": r.ID, "split": split}, func(w io.Writer) { printSplit(w, s, r, split) }); err != nil {
				return err
			}
			return answer(leakageVerdict(split))
		}),
	}
	c.Flags().StringVar(&reason, "reason", "", "why a table is split that probably has sealed rows; their reads count on")
	return c
}

// leakageVerdict fails when a leakage check fails; a check that cannot decide does not stop the life of a model.
func leakageVerdict(split assay.Split) assay.Verdict {
	for _, f := range split.Findings {
		if f.Verdict == assay.Fail {
			return assay.Fail
		}
	}
	return assay.Pass
}

func printSplit(w io.Writer, s *session, r assay.Record, split assay.Split) {
	fmt.Fprintf(w, "split by %s, seed %d, evidence %s\n", split.By, split.Seed, r.ID.Short())
	grid(w, func(tw *tabwriter.Writer) {
		for _, p := range split.Parts {
			sealed := ""
			if p.Name == split.Sealed {
				sealed = "labels sealed"
			}
			fmt.Fprintf(tw, "  %s\t%10s rows\t%s\n", p.Name, assay.FormatCount(p.Rows), sealed)
		}
	})
	for _, f := range split.Findings {
		fmt.Fprintf(w, "  %s %s: %s\n", f.Verdict.Glyph(), f.Check, one(f.Message))
	}
	fmt.Fprintf(w, "parts in %s\n", s.shown(s.splitDir(r.ID)))
}

func (a *app) trainCommand() *cobra.Command {
	var learner, file string
	var set []string
	c := &cobra.Command{
		Use: "train", Short: "Train a built-in learner on the training part, seeded, into an ONNX model",
		Long: `Train a built-in learner on the training part, seeded, into an ONNX model. train.learner and train.params of assay.yaml say which, and
--learner and --param instead of them. The learners, with the parameters that each takes:

` + learnersHelp(),
		Args: cobra.NoArgs,
		RunE: a.with("train", func(ctx context.Context, s *session, _ []string) error {
			given, err := givenParams(set)
			if err != nil {
				return err
			}
			if learner == "" && file == "" && given == nil {
				r, m, err := s.trainProject(ctx)
				if err != nil {
					return err
				}
				return s.printTrained(ctx, r, m)
			}
			params := s.p.Train.Params
			if learner != "" && learner != s.p.Train.Learner {
				params = nil
			} else {
				learner = s.p.Train.Learner
			}
			if given != nil {
				all := maps.Clone(params)
				if all == nil {
					all = map[string]any{}
				}
				maps.Copy(all, given)
				params = all
			}
			r, m, err := s.trainStage(ctx, learner, params, file)
			if err != nil {
				return err
			}
			return s.printTrained(ctx, r, m)
		}),
	}
	c.Flags().StringVar(&learner, "learner", "", "a built-in `learner` instead of the one in assay.yaml, with its default parameters")
	c.Flags().StringArrayVar(&set, "param", nil, "a `NAME=VALUE` of the learner instead of the one in assay.yaml or the default; may be repeated")
	c.Flags().StringVar(&file, "data", "", "train on this `file` instead of the training part; rows that are sealed are counted and the gate will say so")
	return c
}

// givenParams reads parameters of the command line, typed as assay.yaml would type them; nil without any. What they must be is the learner's to say.
func givenParams(set []string) (map[string]any, error) {
	if len(set) == 0 {
		return nil, nil
	}
	out := map[string]any{}
	var bad assay.Problems
	for _, x := range set {
		name, text, ok := strings.Cut(x, "=")
		if _, twice := out[name]; !ok || name == "" || twice {
			bad.Add("--param %q: want NAME=VALUE, each name once", x)
			continue
		}
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			out[name] = n
		} else if f, err := strconv.ParseFloat(text, 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			out[name] = f
		} else if text == "true" || text == "false" {
			out[name] = text == "true"
		} else {
			out[name] = text
		}
	}
	if err := bad.Err(assay.Invalid, "the parameters cannot be read"); err != nil {
		return nil, assay.Errorf(assay.Invalid, "%w", err).Try("assay train --param learning_rate=0.05")
	}
	return out, nil
}

func (s *session) printTrained(ctx context.Context, r assay.Record, m assay.Model) error {
	runRec, err := s.st.Get(ctx, m.Run)
	if err != nil {
		return err
	}
	run, err := assay.Decode[assay.Run](runRec.Evidence)
	if err != nil {
		return err
	}
	return s.print("assay.model/1", map[string]any{"evidence": r.ID, "model": r.Subject, "run": m.Run, "metrics": run.Metrics, "learner": m.Learner}, func(w io.Writer) {
		fmt.Fprintf(w, "%s: model %s, %s bytes of ONNX, run %s\n", m.Learner, r.Subject.Short(), assay.FormatCount(m.File.Bytes), m.Run.Short())
		for _, name := range s.p.Evaluate.Metrics {
			fmt.Fprintf(w, "  %s on validation: %s\n", name, assay.FormatNumber(float64(run.Metrics["validation."+name]), 0.001))
		}
		if run.SealedRows > 0 {
			fmt.Fprintf(w, "  ✕ %s rows of the training data are sealed test rows: the gate will refuse this model\n", assay.FormatCount(run.SealedRows))
		}
	})
}

func (a *app) evalCommand() *cobra.Command {
	var final bool
	var reason, html string
	c := &cobra.Command{
		Use: "eval [MODEL]", Short: "Evaluate a model with intervals, slices and its baseline; --final reads the sealed test set",
		Args: cobra.MaximumNArgs(1),
		RunE: a.with("eval", func(ctx context.Context, s *session, args []string) error {
			file, err := s.output("--html", html, first(args))
			if err != nil {
				return err
			}
			r, e, err := s.evalStage(ctx, first(args), final, reason)
			if err != nil {
				return err
			}
			path, err := s.evaluationReport(ctx, r, e, file)
			if err != nil {
				return err
			}
			if err := s.print("assay.eval/1", map[string]any{"evidence": r.ID, "model": r.Subject, "evaluation": e}, func(w io.Writer) { printEvaluation(w, r, e); fmt.Fprintf(w, "report %s\n", s.shown(path)) }); err != nil {
				return err
			}
			if primaryFails(e) {
				return errAnswerNo
			}
			return nil
		}),
	}
	c.Flags().BoolVar(&final, "final", false, "evaluate on the sealed test set, once; every read is in the ledger")
	c.Flags().StringVar(&reason, "reason", "", "why the test set is read again; required from the second read on")
	c.Flags().StringVar(&html, "html", "", "write the report to this `file`")
	return c
}

// primaryFails reports whether the primary metric is worse than that of the baseline: what makes the answer of an evaluation no.
func primaryFails(e assay.Evaluation) bool {
	return slices.ContainsFunc(e.Metrics, func(m assay.Metric) bool { return m.Name == e.Primary && m.Verdict == assay.Fail })
}

// evaluationFile is what the page of an evaluation is called in the folder for reports.
func evaluationFile(id assay.Digest) string { return "evaluation-" + id.Short() + ".html" }

// evaluationReport writes the page of an evaluation and returns its path.
func (s *session) evaluationReport(ctx context.Context, r assay.Record, e assay.Evaluation, path string) (string, error) {
	if path == "" {
		dir, err := s.reports()
		if err != nil {
			return "", err
		}
		path = filepath.Join(dir, evaluationFile(r.ID))
	}
	var curves *assay.Curves
	if e.Curves != "" {
		b, err := blob.ReadAll(ctx, s.st.Blobs(), e.Curves, maxModelBytes)
		if err != nil {
			return "", err
		}
		curves = &assay.Curves{}
		if err := json.Unmarshal(b, curves); err != nil {
			return "", assay.Errorf(assay.Internal, "the curves of evaluation %s cannot be read: %w", r.ID.Short(), err).Try("assay fsck")
		}
	}
	f, err := os.Create(path)
	if err != nil {
		return "", assay.Errorf(assay.Unavailable, "the report cannot be written: %w", err)
	}
	err = web.EvaluationReport(f, s.p.Name, e, curves, web.Footer{Version: Version, Evidence: r.ID, Data: e.Data, At: s.Now().UTC().Format(time.RFC3339)})
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return path, err
}

func printEvaluation(w io.Writer, r assay.Record, e assay.Evaluation) {
	which := "the " + e.Part + " part"
	if e.Final {
		which = fmt.Sprintf("the sealed test part, read %d", e.Read)
	}
	fmt.Fprintf(w, "model %s on %s %s of %s, level %s, evidence %s\n", r.Subject.Short(), assay.FormatCount(e.Count), e.Queries.Units(), which, strconv.FormatFloat(e.Level, 'g', 6, 64), r.ID.Short())
	if e.Queries != nil {
		fmt.Fprintf(w, "%s\n", e.Queries.Sentence())
	}
	if e.Weight != "" {
		fmt.Fprintf(w, "%s\n", e.WeightSentence())
	}
	if e.Clipped > 0 {
		fmt.Fprintf(w, "%s\n", assay.ClippedSentence(e.Clipped))
	}
	var cautions []string
	grid(w, func(tw *tabwriter.Writer) {
		fmt.Fprintf(tw, "  metric\tmodel\tbaseline: %s\tgain\t\n", e.Baseline)
		row := func(m assay.Metric) {
			fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\t%s %s\n", m.Name, m.Estimate, m.Baseline, m.Gain, m.Verdict.Glyph(), m.Verdict)
			if m.Caution != "" {
				cautions = append(cautions, m.Name+": "+m.Caution)
			}
		}
		for _, m := range e.Metrics {
			row(m)
		}
		if e.Business != nil {
			row(*e.Business)
		}
	})
	for _, c := range cautions {
		fmt.Fprintf(w, "  %s\n", c)
	}
	printLabels(w, e)
	if len(e.Slices) > 0 {
		var t sliceTally
		for _, sl := range e.Slices {
			t.add(sl.Name, sl.Verdict)
		}
		fmt.Fprintf(w, "%d slices, %s against the %s: %s\n", len(e.Slices), e.Primary, e.SliceRule, t)
	}
}

// printLabels writes the table of the labels of a multilabel task, the first dozen of many.
func printLabels(w io.Writer, e assay.Evaluation) {
	const show = 12
	if len(e.Labels) == 0 {
		return
	}
	grid(w, func(tw *tabwriter.Writer) {
		fmt.Fprint(tw, "  label\ttrue\t")
		for _, m := range e.Labels[0].Metrics {
			fmt.Fprintf(tw, "%s\t", m.Name)
		}
		fmt.Fprintln(tw)
		for _, l := range e.Labels[:min(show, len(e.Labels))] {
			fmt.Fprintf(tw, "  %s\t%s\t", one(l.Name), assay.FormatCount(l.Positives))
			for _, m := range l.Metrics {
				fmt.Fprintf(tw, "%s\t", m.Estimate)
			}
			fmt.Fprintln(tw)
		}
	})
	if more := len(e.Labels) - show; more > 0 {
		fmt.Fprintf(w, "  and %d more labels: see the report\n", more)
	}
}

// A sliceTally counts the verdicts on slices and names those that fail.
type sliceTally struct {
	hold, open int
	worse      []string
}

func (t *sliceTally) add(name string, v assay.Verdict) {
	switch v {
	case assay.Pass:
		t.hold++
	case assay.Fail:
		t.worse = append(t.worse, name)
	default:
		t.open++
	}
}

func (t sliceTally) String() string {
	which := ""
	if len(t.worse) > 0 {
		which = " (" + orNone(t.worse) + ")"
	}
	return fmt.Sprintf("%d hold, %d fail%s, %d undetermined", t.hold, len(t.worse), which, t.open)
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	if len(names) > 6 {
		return strings.Join(names[:6], "; ") + fmt.Sprintf("; and %d more", len(names)-6)
	}
	return strings.Join(names, "; ")
}

func (a *app) compareCommand() *cobra.Command {
	var with, reason string
	var final bool
	c := &cobra.Command{
		Use: "compare [MODEL]", Short: "Compare a model with the one in production on the same rows, paired",
		Long: `Compare a model with the one in production on the same rows, paired; with its baseline where nothing is in production. The rows are the sealed
test rows where the ledger has a disclosure of both models with the settings of assay.yaml, which assay eval --final enters; otherwise they are
those of the validation part, and the answer says so. --final enters what the ledger lacks, as a read like any other.`,
		Args: cobra.MaximumNArgs(1),
		RunE: a.with("compare", func(ctx context.Context, s *session, args []string) error {
			r, c, err := s.compareStage(ctx, first(args), with, final, reason)
			if err != nil {
				return err
			}
			if err := s.print("assay.compare/1", map[string]any{"evidence": r.ID, "comparison": c}, func(w io.Writer) { printComparison(w, r, c) }); err != nil {
				return err
			}
			return answer(c.Verdict)
		}),
	}
	c.Flags().StringVar(&with, "with", "", "the `model` to compare with, instead of the one in production")
	c.Flags().BoolVar(&final, "final", false, "compare on the sealed test set; what the ledger lacks of either model is read and entered")
	c.Flags().StringVar(&reason, "reason", "", "why the test set is read again; required from the second read on")
	return c
}

func printComparison(w io.Writer, r assay.Record, c assay.Comparison) {
	fmt.Fprintf(w, "against %s on the same %s %s of the %s, level %s, evidence %s\n", c.Name, assay.FormatCount(c.Count), c.Queries.Units(), c.PartName(), strconv.FormatFloat(c.Level, 'g', 6, 64), r.ID.Short())
	if c.Clipped > 0 {
		fmt.Fprintf(w, "%s\n", assay.ClippedSentence(c.Clipped))
	}
	grid(w, func(tw *tabwriter.Writer) {
		fmt.Fprintf(tw, "  metric\tthis model\t%s\tdifference\t\n", c.Name)
		for _, m := range c.Metrics {
			fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\t%s %s\n", m.Name, m.Candidate, m.Reference, m.Difference, m.Verdict.Glyph(), m.Verdict)
		}
	})
	if len(c.Slices) > 0 {
		var t sliceTally
		for _, sl := range c.Slices {
			t.add(sl.Name, sl.Verdict)
		}
		fmt.Fprintf(w, "%d slices, %s against %s: %s\n", len(c.Slices), c.Primary, c.Name, t)
	}
	fmt.Fprintf(w, "%s %s: not worse by more than %v in %s\n", c.Verdict.Glyph(), c.Verdict, c.Margin, c.Primary)
}

func (a *app) registerCommand() *cobra.Command {
	return &cobra.Command{
		Use: "register [MODEL]", Short: "Give a model a version number under the project's name",
		Long: `Give a model a version number under the project's name. MODEL is what a run left, by its digest; or a file of ONNX (.onnx), XGBoost (.json,
.ubj) or LightGBM (.txt); or a directory of MLflow; or predictions (.csv, .jsonl, .parquet). Without it, it is the model that was trained last.`,
		Args: cobra.MaximumNArgs(1),
		RunE: a.with("register", func(ctx context.Context, s *session, args []string) error {
			v, made, err := s.registerStage(ctx, first(args), "")
			if err != nil {
				return err
			}
			return s.print("assay.version/1", v, func(w io.Writer) {
				fmt.Fprintf(w, "%s is model %s%s\n", versionName(v), v.Model.Short(), map[bool]string{true: "", false: ", as before"}[made])
			})
		}),
	}
}

func stageFlag(flag, to string) (assay.Stage, error) {
	switch st := assay.Stage(to); st {
	case assay.StageStaging, assay.StageProduction:
		return st, nil
	}
	return "", assay.Errorf(assay.Invalid, "--%s %q is none of staging, production", flag, to).Try("--%s staging", flag)
}

func (a *app) promoteCommand() *cobra.Command {
	var to string
	c := &cobra.Command{
		Use: "promote [VERSION]", Short: "Move a version to a stage, if the gate opens",
		Args: cobra.MaximumNArgs(1),
		RunE: a.with("promote", func(ctx context.Context, s *session, args []string) error {
			stage, err := stageFlag("to", to)
			if err != nil {
				return err
			}
			v, err := s.version(ctx, first(args))
			if err != nil {
				return err
			}
			j, p, err := s.promoteStage(ctx, v, stage)
			if err != nil {
				return err
			}
			if err := s.print("assay.promotion/1", map[string]any{"judgement": j, "promotion": p}, func(w io.Writer) { printJudgement(w, versionName(v), j, false); printPromotion(w, v, p, stage) }); err != nil {
				return err
			}
			return answer(j.Verdict)
		}),
	}
	c.Flags().StringVar(&to, "to", "", "staging or production")
	return c
}

func printPromotion(w io.Writer, v store.Version, p *assay.Promotion, stage assay.Stage) {
	if p == nil {
		fmt.Fprintf(w, "%s stays where it is.\n", versionName(v))
		return
	}
	fmt.Fprintf(w, "%s is in %s now", versionName(v), stage)
	if p.Previous > 0 {
		fmt.Fprintf(w, "; version %d was there before", p.Previous)
	}
	fmt.Fprintln(w, ".")
}

// printJudgement writes a verdict rule by rule; all shows the rules that the stage does not require too.
func printJudgement(w io.Writer, name string, j assay.Judgement, all bool) {
	fmt.Fprintf(w, "%s %s: %s for %s under policy %s\n", j.Verdict.Glyph(), j.Verdict, name, j.Stage, policyName(j))
	for _, r := range j.Rules {
		if !r.Required && !all {
			continue
		}
		note := ""
		if !r.Required {
			note = " (not required for " + string(j.Stage) + ")"
		}
		if r.Waived != "" {
			note += " (waived " + r.Waived.Short() + ")"
		}
		fmt.Fprintf(w, "  %s %s: %s%s\n      %s\n", r.Verdict.Glyph(), r.ID, r.Title, note, one(r.Reason))
		if r.Hint != "" && r.Verdict != assay.Pass {
			fmt.Fprintf(w, "      Try: %s\n", r.Hint)
		}
	}
}

func (a *app) rollbackCommand() *cobra.Command {
	var stage string
	c := &cobra.Command{
		Use: "rollback", Short: "Give a stage back to the version that held it before",
		Args: cobra.NoArgs,
		RunE: a.with("rollback", func(ctx context.Context, s *session, _ []string) error {
			st, err := stageFlag("stage", stage)
			if err != nil {
				return err
			}
			held, err := s.held(ctx, s.p.Name, st)
			if err != nil {
				return err
			}
			r, err := s.st.Rollback(ctx, store.Back{Name: s.p.Name, Stage: st, Expect: &held, Context: s.circumstances()})
			if err != nil {
				return err
			}
			p, err := assay.Decode[assay.Promotion](r.Evidence)
			if err != nil {
				return err
			}
			return s.print("assay.rollback/1", p, func(w io.Writer) {
				fmt.Fprintf(w, "%s:%d is in %s again; version %d was rolled back\n", p.Name, p.Version, p.Stage, p.Previous)
			})
		}),
	}
	c.Flags().StringVar(&stage, "stage", "production", "staging or production")
	return c
}

// seconds reads a duration such as 36h or 14d.
func seconds(key, text string) (float64, error) {
	if text == "" {
		return 0, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err == nil && n >= 0 {
			return n * 86400, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, assay.Errorf(assay.Invalid, "%s: %q is no duration; want a number and h, m, s or d", key, text).Try("%s: 14d", key)
	}
	return d.Seconds(), nil
}
