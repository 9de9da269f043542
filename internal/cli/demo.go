package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/examples"
)

// A demoStep is one command of the demo, and why it is there.
type demoStep struct {
	why  string
	args []string
	exit int // the status that the step must have
}

var demoSteps = []demoStep{
	{"Know the data: distributions, what is missing and why, what relates to the target.", []string{"profile", "--html", "profile.html"}, 0},
	{"Say what must hold. This schema is inferred, and every constraint says how many rows support it.", []string{"schema", "infer", "-o", "schema.json"}, 0},
	{"Version it: one digest of the bytes, one of the rows, and a datasheet that is filled in.", []string{"snapshot"}, 0},
	{"Check it. The same schema is checked at every boundary.", []string{"check"}, 0},
	{"Split it before anyone looks closer. The labels of the test part are sealed now, and leakage is checked at once.", []string{"split"}, 0},
	{"Train. Cross-validation on the training part chooses among a baseline, a logistic regression and gradient boosting.", []string{"train"}, 0},
	{"Evaluate on the validation part: every number has an interval, the baseline stands beside it, slices say for whom it is worse.", []string{"eval"}, 0},
	{"Evaluate once on the sealed test part. The read is in the ledger; the next one will report at a stricter level.", []string{"eval", "--final"}, 0},
	{"Register it: model files get version numbers.", []string{"register"}, 0},
	{"Compare it with what is in production. Nothing is yet, so the baseline takes that place.", []string{"compare"}, 0},
	{"Write it down. Every figure of the card names the evidence it comes from.", []string{"card"}, 0},
	{"Promote it to staging: the gate reads the evidence, rule by rule.", []string{"promote", "--to", "staging"}, 0},
	{"A second candidate, a logistic regression, is worse. It goes the same way …", []string{"train", "--learner", "logistic_regression"}, 0},
	{"… its read of the test set is the second, needs a reason, and reports at a stricter level …", []string{"eval", "--final", "--reason", "second candidate of the demo"}, 0},
	{"", []string{"register"}, 0},
	{"… and the paired comparison with the version in staging says no.", []string{"compare"}, 3},
	{"", []string{"card"}, 0},
	{"So the gate refuses it.", []string{"promote", "--to", "staging"}, 3},
	{"A third candidate cheats: it trains on the whole file, sealed rows included.", []string{"train", "--learner", "gradient_boosting", "--data", "train_2015.parquet"}, 0},
	{"Its score on the test set looks better than it is …", []string{"eval", "--final", "--reason", "third candidate of the demo"}, 0},
	{"", []string{"register"}, 0},
	{"", []string{"compare"}, 0},
	{"", []string{"card"}, 0},
	{"… but row fingerprints tell, and the gate refuses it.", []string{"promote", "--to", "staging"}, 3},
	{"What is still missing before the first version may go to production? Serving and monitoring.", []string{"done", "1"}, 3},
	{"At last: is everything that was acknowledged there and unaltered?", []string{"fsck"}, 0},
}

func (a *app) demoCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use: "demo", Short: "Do the whole life of a model on bundled real data, printing each command",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.demo(c.Context(), dir) },
	}
	c.Flags().StringVar(&dir, "dir", "assay-demo", "`folder` to work in; it is kept, and a demo that was there is replaced")
	return c
}

// demoMark is the file by which a folder is known to be a demo's, so that nothing else is ever removed.
const demoMark = ".assay-demo"

func (a *app) demo(ctx context.Context, dir string) error {
	dir = a.path(dir)
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(dir, demoMark)); err != nil {
			return assay.Errorf(assay.Exists, "the folder %s is not empty and not a demo's", a.shown(dir)).Try("assay demo --dir ANOTHER")
		}
		if err := os.RemoveAll(dir); err != nil {
			return assay.Errorf(assay.Unavailable, "the last demo cannot be removed: %w", err)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return assay.Errorf(assay.Unavailable, "the folder of the demo cannot be made: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, demoMark), nil, 0o644); err != nil {
		return assay.Errorf(assay.Unavailable, "the folder of the demo cannot be written: %w", err)
	}
	err := fs.WalkDir(examples.Employment, "employment", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := examples.Employment.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, filepath.Base(path)), b, 0o644)
	})
	if err != nil {
		return assay.Errorf(assay.Unavailable, "the example cannot be written: %w", err)
	}
	started := a.Now()
	type told struct {
		Command string `json:"command"`
		Why     string `json:"why"`
		Exit    int    `json:"exit"`
	}
	answer := struct {
		Folder string `json:"folder"`
		Steps  []told `json:"steps"`
	}{Folder: a.shown(dir)}
	tell := a.Stdout
	if a.json {
		tell = io.Discard
	}
	fmt.Fprintf(tell, "The life of a model, on 68,785 people of the US Census in Massachusetts, 2015: who is at work?\nEverything happens in %s.\n", a.shown(dir))
	for _, st := range demoSteps {
		if st.why != "" {
			fmt.Fprintf(tell, "\n# %s\n", st.why)
		}
		fmt.Fprintf(tell, "$ assay %s\n", shellLine(st.args))
		if err := a.step(ctx, dir, st, tell); err != nil {
			return err
		}
		answer.Steps = append(answer.Steps, told{"assay " + shellLine(st.args), st.why, st.exit})
	}
	return a.print("assay.demo/1", answer, func(w io.Writer) {
		fmt.Fprintf(w, "\nThat was the whole life in %.0f seconds. Look at profile.html and at the reports in %s.\n", a.Now().Sub(started).Seconds(), a.shown(filepath.Join(dir, ".assay", "reports")))
	})
}

func shellLine(args []string) string {
	out := make([]string, len(args))
	for i, x := range args {
		out[i] = x
		if strings.ContainsAny(x, " \"'") {
			out[i] = "'" + x + "'"
		}
	}
	return strings.Join(out, " ")
}

// step runs one command in the folder of the demo and holds its exit status against the one that the story needs.
func (a *app) step(ctx context.Context, dir string, st demoStep, out io.Writer) error {
	w := a.World
	w.Stdout = out
	if a.json {
		w.Stderr = io.Discard // a step says nothing beside the document; its error is returned
	}
	w.Dir = dir
	child := &app{World: w}
	root := child.root()
	root.SetArgs(st.args)
	root.SetIn(w.Stdin)
	root.SetOut(w.Stdout)
	root.SetErr(w.Stderr)
	err := root.ExecuteContext(ctx)
	if got := assay.ExitStatus(err); got != st.exit {
		if err == nil || errors.Is(err, errAnswerNo) {
			return assay.Errorf(assay.Internal, "assay %s: exit status %d, expected %d", shellLine(st.args), got, st.exit)
		}
		return err
	}
	return nil
}
