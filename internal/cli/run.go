package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/run"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/learn"
)

func (a *app) runCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "run [-- COMMAND...]", Short: "Run a training command with seeds, and record what it was given and what came out",
		Long: `Run a command, or train.command of assay.yaml, with seeded generators and a captured environment.

The command finds in its environment: ASSAY_TRAIN and ASSAY_VALIDATION (Parquet files with labels), ASSAY_TEST_FEATURES (without), ASSAY_CONFIG
(a file with train and data of assay.yaml), ASSAY_SEED, and ASSAY_OUT, the folder for what it leaves: metrics.json, params.json, model.onnx
(or model.json, model.ubj of XGBoost, model.txt of LightGBM) or predictions.parquet, and any other file. Python's generators are seeded before the program sees them.`,
		Args: cobra.ArbitraryArgs,
		RunE: a.with("run", func(ctx context.Context, s *session, args []string) error {
			if len(args) == 0 {
				args = s.p.Train.Command
			}
			if len(args) == 0 {
				return assay.Errorf(assay.Invalid, "no command: neither after -- nor as train.command in %s", ProjectFile).Try("assay run -- python train.py")
			}
			r, model, err := s.runStage(ctx, args, nil)
			if err != nil {
				return err
			}
			p, err := assay.Decode[assay.Run](r.Evidence)
			if err != nil {
				return err
			}
			if err := s.print("assay.run/1", map[string]any{"evidence": r.ID, "run": p, "model": model}, func(w io.Writer) { printRun(w, r, p, model) }); err != nil {
				return err
			}
			if p.Exit != 0 {
				return exitStatus(p.Exit)
			}
			if p.Status != run.Finished {
				return exitStatus(1)
			}
			return nil
		}),
	}
	c.Flags().SetInterspersed(false)
	return c
}

// runSpec is what a command is given: the parts of the split, and the experiment's part of assay.yaml.
func (s *session) runSpec(ctx context.Context, command []string) (run.Spec, assay.Record, error) {
	splitRec, split, err := s.splitEvidence(ctx)
	if err != nil {
		return run.Spec{}, splitRec, err
	}
	files, inputs, err := s.runInputs(ctx, splitRec, split)
	if err != nil {
		return run.Spec{}, splitRec, err
	}
	target := map[string]any{"column": s.p.Data.Target.Column, "task": s.p.Data.Target.Task, "positive": string(s.p.Data.Target.Positive)}
	if c := s.p.Data.Target.Columns; len(c) > 0 {
		target["columns"] = []string(c)
	}
	if q := s.p.Data.Target.Query; q != "" {
		target["query"] = q
	}
	config, err := json.Marshal(map[string]any{"seed": s.p.Train.Seed, "params": s.p.Train.Params, "data": map[string]any{
		"key": []string(s.p.Data.Key), "target": target,
		"exclude": s.p.unlearned(), "categorical": s.p.Data.Category,
	}})
	if err != nil {
		return run.Spec{}, splitRec, assay.Errorf(assay.Invalid, "train.params cannot be written as JSON: %w", err)
	}
	raw, err := s.rawFiles(ctx)
	if err != nil {
		return run.Spec{}, splitRec, err
	}
	return run.Spec{
		Raw: raw, Command: command, Dir: s.p.dir, Config: config, Seed: s.p.Train.Seed, Inputs: inputs, Files: files, Stdout: s.Stderr, Stderr: s.Stderr,
		Store: s.p.Path(s.p.Store), Parents: []assay.Digest{splitRec.ID}, Clock: s.Now,
	}, splitRec, nil
}

// rawFiles are the files of this machine that hold the labels of sealed rows as far as the store knows: those that the data is read from, and
// those of the project that a snapshot of data with a seal names and that still have its bytes, whatever data.uri names by now.
func (s *session) rawFiles(ctx context.Context) ([]string, error) {
	raw, err := table.Locate(s.p.Path(s.p.Data.URI))
	if err != nil {
		raw = nil // data that is not on this machine cannot be watched
	}
	seals, err := s.st.Sealed(ctx)
	if err != nil {
		return nil, err
	}
	_, snaps, err := s.snapshots(ctx)
	if err != nil {
		return nil, err
	}
	for _, snap := range snaps {
		if !slices.ContainsFunc(seals, func(r store.SealRecord) bool { return r.Data == snap.Content }) {
			continue
		}
		for _, f := range snap.Files {
			path := filepath.Join(s.p.dir, filepath.FromSlash(f.Name))
			info, err := os.Stat(path)
			if err != nil || !info.Mode().IsRegular() || info.Size() != f.Bytes || slices.Contains(raw, path) {
				continue
			}
			now, err := s.sums.Digest(ctx, []string{path})
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err == nil && now[0] == f.Digest {
				raw = append(raw, path)
			}
		}
	}
	return raw, nil
}

// runInputs are the part files of a split by name, and their content digests.
func (s *session) runInputs(ctx context.Context, splitRec assay.Record, split assay.Split) (map[string]string, map[string]assay.Digest, error) {
	files := map[string]string{}
	for name, as := range map[string]string{assay.Train: "train", assay.Valid: "validation", assay.Test: "test_features"} {
		files[as] = s.partPath(splitRec.ID, name)
	}
	for _, name := range partNames {
		state, err := s.partState(ctx, splitRec, name, s.sums)
		switch {
		case err != nil:
			return nil, nil, err
		case state.code == "missing":
			return nil, nil, assay.Errorf(assay.NotFound, "the %s part of split %s is not on disk", name, splitRec.ID.Short()).Try("assay split")
		case state.code == "altered":
			return nil, nil, alteredPart(splitRec.ID, name)
		case state.code != "":
			s.sayUnrecorded(splitRec.ID)
		}
	}
	inputs := map[string]assay.Digest{"data": splitRec.Subject, "split": splitRec.ID}
	for _, p := range split.Parts {
		inputs[map[string]string{assay.Train: "train", assay.Valid: "validation", assay.Test: "test_features"}[p.Name]] = p.IDs
	}
	return files, inputs, nil
}

// signals passes interrupts on to a command: the first one asks it to end, and it decides.
func signals() (<-chan os.Signal, func()) {
	ch := make(chan os.Signal, 4)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	return ch, func() { signal.Stop(ch) }
}

// commandLearner is what is said of a model that a command made, where a built-in learner has its name.
const commandLearner = "command"

// runStage runs a command and records the run and, when it left one, the model. imported may be nil; see run.Spec.
func (s *session) runStage(ctx context.Context, command []string, imported func(map[string]assay.Digest)) (assay.Record, *assay.Record, error) {
	spec, splitRec, err := s.runSpec(ctx, command)
	if err != nil {
		return assay.Record{}, nil, err
	}
	ch, stop := signals()
	defer stop()
	spec.Signals, spec.Imported = ch, imported
	r, err := run.Execute(context.WithoutCancel(ctx), spec, s.st)
	if err != nil {
		return r, nil, err
	}
	p, err := assay.Decode[assay.Run](r.Evidence)
	if err != nil || p.Status != run.Finished || !leftModel(p.Outputs) {
		return r, nil, err
	}
	t, err := s.part(ctx, splitRec.ID, assay.Train)
	if err != nil {
		return r, nil, err
	}
	train, err := s.lesson(ctx, t, nil)
	if err != nil {
		return r, nil, err
	}
	positive, _, err := s.positive(train.classes)
	if err != nil {
		return r, nil, err
	}
	m, err := run.RecordModel(ctx, r, run.ModelSpec{
		Learner: commandLearner, Task: s.p.Data.Target.Task, Target: s.p.Data.Target.String(), Classes: train.classes, Positive: positive,
		Dataset: splitRec.Subject, Split: splitRec.ID, Open: s.openModel,
	}, s.st)
	if err != nil {
		return r, nil, err
	}
	return r, &m, s.setCurrent(m.ID)
}

func leftModel(outputs []assay.File) bool {
	return slices.ContainsFunc(outputs, func(f assay.File) bool {
		return run.IsModel(f.Name) || strings.HasPrefix(f.Name, "predictions.")
	})
}

// rawDataRemedy is what to do about a command that opened the raw data, in the words of the built-in policy's rule experiment.
const rawDataRemedy = "read the files that ASSAY_TRAIN, ASSAY_VALIDATION and ASSAY_TEST_FEATURES name instead, or assay waive experiment"

func printRun(w io.Writer, r assay.Record, p assay.Run, model *assay.Record) {
	fmt.Fprintf(w, "run %s: %s, exit status %d, reproducibility %.2f\n", r.ID.Short(), p.Status, p.Exit, p.Score)
	grid(w, func(tw *tabwriter.Writer) {
		for _, k := range slices.Sorted(maps.Keys(p.Metrics)) {
			fmt.Fprintf(tw, "  %s\t%s\n", k, assay.FormatNumber(float64(p.Metrics[k]), 0.0001))
		}
	})
	fmt.Fprintf(w, "  seeded: %s\n", orNone(p.Seeded))
	if len(p.Unseeded) > 0 {
		fmt.Fprintf(w, "  ✕ not seeded: %s\n", strings.Join(p.Unseeded, ", "))
	}
	if len(p.Missing) > 0 {
		fmt.Fprintf(w, "  stands in the way of a repetition: %s\n", strings.Join(p.Missing, ", "))
	}
	if p.RawData != nil && len(p.RawData.Opened) > 0 {
		fmt.Fprintf(w, "  ✕ %s was opened while the command ran: it holds the labels of the test set\n", strings.Join(p.RawData.Opened, ", "))
		fmt.Fprintf(w, "    the built-in policy will not promote a model of this run: %s\n", rawDataRemedy)
	}
	for _, x := range p.Problems {
		fmt.Fprintf(w, "  ✕ %s\n", x)
	}
	for _, f := range p.Outputs {
		fmt.Fprintf(w, "  %s, %s bytes\n", f.Name, assay.FormatCount(f.Bytes))
	}
	switch {
	case model != nil:
		fmt.Fprintf(w, "model %s\n", model.Subject.Short())
	case p.Status == run.Finished:
		fmt.Fprintln(w, "  no model: a script leaves model.onnx, model.json or model.ubj (XGBoost), model.txt (LightGBM) or predictions.csv in $ASSAY_OUT")
	}
}

func (a *app) reproduceCommand() *cobra.Command {
	var tolerance float64
	c := &cobra.Command{
		Use: "reproduce [RUN]", Short: "Run a recorded run again, compare bit for bit, and name the cause of a difference",
		Args: cobra.MaximumNArgs(1),
		RunE: a.with("reproduce", func(ctx context.Context, s *session, args []string) error {
			if !(tolerance >= 0 && tolerance < 1) {
				return assay.Errorf(assay.Invalid, "--tolerance %v is not from 0 to below 1", tolerance).Try("assay reproduce --tolerance 1e-6")
			}
			r, err := s.runEvidence(ctx, first(args))
			if err != nil {
				return err
			}
			rec, rep, err := s.reproduce(ctx, r, tolerance)
			if err != nil {
				return err
			}
			if err := s.print("assay.reproduction/1", map[string]any{"evidence": rec, "reproduction": rep}, func(w io.Writer) {
				fmt.Fprintf(w, "%s %s: run %s", rep.Verdict.Glyph(), rep.Verdict, r.ID.Short())
				if rep.Identical {
					fmt.Fprint(w, " gave the same bytes and metrics again")
				}
				if many := strings.Contains(rep.Cause, ","); many {
					fmt.Fprintf(w, ", the causes of the difference are %s", rep.Cause)
				} else if rep.Cause != "" {
					fmt.Fprintf(w, ", the cause of the difference is %s", rep.Cause)
				}
				fmt.Fprintln(w)
				for _, d := range rep.Differences {
					fmt.Fprintf(w, "  %s: %s, then %s\n", d.What, d.First, d.Second)
				}
			}); err != nil {
				return err
			}
			return answer(rep.Verdict)
		}),
	}
	c.Flags().Float64Var(&tolerance, "tolerance", 0, "relative difference of metrics that still counts as the same")
	return c
}

// runEvidence finds a run by its id, or the run of the current model.
func (s *session) runEvidence(ctx context.Context, ref string) (assay.Record, error) {
	if ref == "" {
		_, m, err := s.model(ctx, "")
		if err != nil {
			return assay.Record{}, err
		}
		return s.st.Get(ctx, m.Run)
	}
	id, err := s.st.Resolve(ctx, ref)
	if err != nil {
		return assay.Record{}, err
	}
	return s.st.Get(ctx, id)
}

// reproduce runs a run again: a command through the launcher, a built-in learner through training, whose evidence has the same id
// exactly when every byte and metric is the same.
func (s *session) reproduce(ctx context.Context, r assay.Record, tolerance float64) (assay.Digest, assay.Reproduction, error) {
	p, err := assay.Decode[assay.Run](r.Evidence)
	if err != nil {
		return "", assay.Reproduction{}, err
	}
	if len(p.Spec.Command) == 3 && p.Spec.Command[0] == "assay" && p.Spec.Command[1] == "train" {
		return s.retrain(ctx, r, p)
	}
	spec, _, err := s.runSpec(ctx, p.Spec.Command)
	if err != nil {
		return "", assay.Reproduction{}, err
	}
	recalled, err := run.Recall(ctx, r, s.st)
	if err != nil {
		return "", assay.Reproduction{}, err
	}
	recalled.Dir, recalled.Inputs, recalled.Files, recalled.Store, recalled.Clock = spec.Dir, spec.Inputs, spec.Files, spec.Store, spec.Clock
	recalled.Stdout, recalled.Stderr, recalled.Parents = s.Stderr, s.Stderr, spec.Parents
	rec, err := run.Reproduce(ctx, r, recalled, run.ReproduceOptions{Tolerance: tolerance}, s.st)
	if err != nil {
		return "", assay.Reproduction{}, err
	}
	rep, err := assay.Decode[assay.Reproduction](rec.Evidence)
	return rec.ID, rep, err
}

// retrain repeats a built-in learner's run with the parameters that assay.yaml has now.
func (s *session) retrain(ctx context.Context, r assay.Record, p assay.Run) (assay.Digest, assay.Reproduction, error) {
	learner := p.Spec.Command[2]
	var params map[string]any
	if learner == s.p.Train.Learner {
		params = s.p.Train.Params
	}
	var parents []assay.Digest
	for _, id := range r.Parents {
		pr, err := s.st.Get(ctx, id)
		if err != nil {
			return "", assay.Reproduction{}, err
		}
		if pr.Kind == assay.KindSearch {
			parents = append(parents, id)
		}
	}
	_, m, err := s.trainStage(ctx, learner, params, "", parents...)
	if err != nil {
		return "", assay.Reproduction{}, err
	}
	again, err := s.st.Get(ctx, m.Run)
	if err != nil {
		return "", assay.Reproduction{}, err
	}
	rep := assay.Reproduction{Run: r.ID, Identical: again.ID == r.ID, Differences: []assay.Difference{}, Verdict: assay.Pass}
	if !rep.Identical {
		q, err := assay.Decode[assay.Run](again.Evidence)
		if err != nil {
			return "", rep, err
		}
		rep.Differences, rep.Cause, rep.Verdict = run.Differences(p, q), run.CauseUnknown, assay.Fail
		if again.Subject != r.Subject {
			rep.Cause, rep.Verdict = run.CauseInput, assay.Undetermined
		}
	}
	rec, err := s.write(ctx, assay.KindReproduction, r.Subject, []assay.Digest{r.ID, again.ID}, rep)
	return rec.ID, rep, err
}

func (a *app) searchCommand() *cobra.Command {
	return &cobra.Command{
		Use: "search", Short: "Search hyper-parameters by cross-validation on the training part only",
		Args: cobra.NoArgs,
		RunE: a.with("search", func(ctx context.Context, s *session, _ []string) error {
			r, p, err := s.search(ctx)
			if err != nil {
				return err
			}
			return s.print("assay.search/1", map[string]any{"evidence": r.ID, "search": p}, func(w io.Writer) {
				fmt.Fprintf(w, "%d trials by %s, best %s %s, evidence %s\n", len(p.Trials), p.Sampler, p.Metric, p.BestScore, r.ID.Short())
				for _, k := range slices.Sorted(maps.Keys(p.Best)) {
					fmt.Fprintf(w, "  %s: %s\n", k, p.Best[k])
				}
				fmt.Fprintf(w, "put them into train.params of %s, then assay train\n", ProjectFile)
			})
		}),
	}
}

func (s *session) search(ctx context.Context) (assay.Record, assay.Search, error) {
	c := s.p.Search
	if c == nil {
		return assay.Record{}, assay.Search{}, assay.Errorf(assay.Invalid, "%s has no search: name the space to search", ProjectFile).Try("search: {trials: 30, space: {learning_rate: {low: 0.01, high: 0.3, log: true}}}")
	}
	splitRec, _, err := s.splitEvidence(ctx)
	if err != nil {
		return assay.Record{}, assay.Search{}, err
	}
	tt, err := s.part(ctx, splitRec.ID, assay.Train)
	if err != nil {
		return assay.Record{}, assay.Search{}, err
	}
	train, err := s.lesson(ctx, tt, nil)
	if err != nil {
		return assay.Record{}, assay.Search{}, err
	}
	vt, err := s.part(ctx, splitRec.ID, assay.Valid)
	if err != nil {
		return assay.Record{}, assay.Search{}, err
	}
	valid, err := s.lesson(ctx, vt, train.classes)
	if err != nil {
		return assay.Record{}, assay.Search{}, err
	}
	params := maps.Clone(s.p.Train.Params)
	for name := range c.Space {
		delete(params, name)
	}
	spec, err := s.spec(s.p.Train.Learner, params, train)
	if err != nil {
		return assay.Record{}, assay.Search{}, err
	}
	var bad assay.Problems
	space := c.dimensions(&bad)
	if err := bad.Err(assay.Invalid, ProjectFile); err != nil {
		return assay.Record{}, assay.Search{}, err
	}
	config, err := json.Marshal(map[string]any{"search": section(c), "train": section(s.p.Train)})
	if err != nil {
		return assay.Record{}, assay.Search{}, assay.Errorf(assay.Internal, "the search cannot be written as JSON: %w", err)
	}
	data, held := train.data(), valid.data()
	data.Valid = &held
	trials := c.Trials
	if trials == 0 {
		trials = 30
	}
	r, err := run.Search(ctx, run.SearchSpec{
		Learn: spec, Data: data, Search: learn.Search{Space: space, Sampler: c.Sampler, Pruner: c.Pruner, Seed: c.Seed}, Trials: trials,
		Cross: learn.CrossValidation{Splits: s.p.Train.Folds}, Metric: s.p.Evaluate.Primary, Config: config,
		Inputs: map[string]assay.Digest{"data": splitRec.Subject, "split": splitRec.ID}, Split: splitRec.ID, Parents: []assay.Digest{splitRec.ID}, Version: Version, Clock: s.Now,
		Progress: func(t assay.Trial) {
			s.say("  trial %d: %s %s", t.Number, t.State, assay.FormatNumber(float64(t.Value), 0.0001))
		},
	}, s.st)
	if err != nil {
		return r, assay.Search{}, err
	}
	p, err := assay.Decode[assay.Search](r.Evidence)
	return r, p, err
}

// dimensions are the space of a search as the sampler takes it, sorted by name; it adds what is wrong with them.
func (c *SearchConfig) dimensions(bad *assay.Problems) []learn.Dimension {
	var out []learn.Dimension
	for _, name := range slices.Sorted(maps.Keys(c.Space)) {
		x := c.Space[name]
		d := learn.Dimension{Name: name, Type: "number", Log: x.Log}
		switch {
		case len(x.Choices) > 0 && (x.Low != nil || x.High != nil):
			bad.Add("search.space.%s has choices and a range; want one", name)
		case len(x.Choices) > 0:
			d.Type = "choice"
			for _, v := range x.Choices {
				d.Choices = append(d.Choices, fmt.Sprint(v))
			}
		case x.Low == nil || x.High == nil:
			bad.Add("search.space.%s needs low and high, or choices", name)
		default:
			d.Low, d.High = *x.Low, *x.High
			if x.Int {
				d.Type = "integer"
			}
		}
		out = append(out, d)
	}
	return out
}
