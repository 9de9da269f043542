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
	"time"

	"github.com/spf13/cobra"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/examples"
)

// A demoStep is one command of the demo, and why it is there.
type demoStep struct {
	why  string
	args []string
	exit int                                         // the status that the step must have
	do   func(d *demoRun, ctx context.Context) error // instead of a command
}

// demoSteps are the commands of the demo, in their order.
func demoSteps() []demoStep {
	return []demoStep{
		{why: "Know the data: distributions, what is missing and why, what relates to the target.", args: []string{"profile", "--html", "profile.html"}, exit: 0},
		{why: "Say what must hold. This schema is inferred, and every constraint says how many rows support it.", args: []string{"schema", "infer", "-o", "schema.json"}, exit: 0},
		{why: "Version it: one digest of the bytes, one of the rows, and a datasheet that is filled in.", args: []string{"snapshot"}, exit: 0},
		{why: "Check it. The same schema is checked at every boundary.", args: []string{"check"}, exit: 0},
		{why: "Split it before anyone looks closer. The labels of the test part are sealed now, and leakage is checked at once.", args: []string{"split"}, exit: 0},
		{why: "Train. Cross-validation on the training part chooses among a baseline, a logistic regression and gradient boosting.", args: []string{"train"}, exit: 0},
		{why: "Evaluate on the validation part: every number has an interval, the baseline stands beside it, slices say for whom it is worse.", args: []string{"eval"}, exit: 0},
		{why: "Evaluate once on the sealed test part. The read is in the ledger; the next one will report at a stricter level.", args: []string{"eval", "--final"}, exit: 0},
		{why: "Register it: model files get version numbers.", args: []string{"register"}, exit: 0},
		{why: "Compare it with what is in production. Nothing is yet, so the baseline takes that place.", args: []string{"compare"}, exit: 0},
		{why: "Write it down. Every figure of the card names the evidence it comes from.", args: []string{"card"}, exit: 0},
		{why: "Promote it to staging: the gate reads the evidence, rule by rule.", args: []string{"promote", "--to", "staging"}, exit: 0},
		{why: "A second candidate, a logistic regression, is worse. It goes the same way …", args: []string{"train", "--learner", "logistic_regression"}, exit: 0},
		{why: "… its read of the test set is the second, needs a reason, and reports at a stricter level …", args: []string{"eval", "--final", "--reason", "second candidate of the demo"}, exit: 0},
		{why: "", args: []string{"register"}, exit: 0},
		{why: "… and the paired comparison with the version in staging says no.", args: []string{"compare"}, exit: 3},
		{why: "", args: []string{"card"}, exit: 0},
		{why: "So the gate refuses it.", args: []string{"promote", "--to", "staging"}, exit: 3},
		{why: "A third candidate cheats: it trains on the whole file, sealed rows included.", args: []string{"train", "--learner", "gradient_boosting", "--data", "train_2015.parquet"}, exit: 0},
		{why: "Its score on the test set looks better than it is …", args: []string{"eval", "--final", "--reason", "third candidate of the demo"}, exit: 0},
		{why: "", args: []string{"register"}, exit: 0},
		{why: "", args: []string{"compare"}, exit: 0},
		{why: "", args: []string{"card"}, exit: 0},
		{why: "… but row fingerprints tell, and the gate refuses it.", args: []string{"promote", "--to", "staging"}, exit: 3},
		{why: "What is still missing before the first version may go to production? Serving and monitoring.", args: []string{"done", "1"}, exit: 3},
		{why: "Bind it to what stands before and behind it: the schemas of requests and answers. Smoke predictions go through the whole path.", args: []string{"serve", "check", "1"}, exit: 0},
		{why: "Somebody must be told when it goes wrong. Here a receiver on this machine stands for two people.", do: (*demoRun).receive},
		{why: "Plan how it is watched: references are frozen, and every threshold follows from the false alarms a year that are tolerated.", args: []string{"monitor", "plan", "1"}, exit: 0},
		{why: "Every step of every alert is fired at its receiver for a test: an alert that reaches nobody is none.", args: []string{"monitor", "test-fire", "1"}, exit: 0},
		{why: "", do: (*demoRun).told},
		{why: "The card draws on all of that, so it is written again …", args: []string{"card", "1"}, exit: 0},
		{why: "… and now the gate opens: the version goes to production.", args: []string{"promote", "1", "--to", "production"}, exit: 0},
		{why: "It answers requests: assay serve, on a port of this machine.", do: (*demoRun).serve},
		{why: "The people of the three years after come in, as requests of 500 rows.", do: (*demoRun).traffic},
		{why: "What really happened is known later, and comes to the server by the ids that the requests had.", do: (*demoRun).labels},
		{why: "", args: []string{"labels", "status"}, exit: 0},
		{why: "Another team offers a model, as an ONNX file: a naive Bayes classifier that was fitted on 1,000 rows.", args: []string{"register", "naive_bayes.onnx"}, exit: 0},
		{why: "It passes the checks of serving …", args: []string{"serve", "check", "4"}, exit: 0},
		{why: "… and may answer a fifth of the requests, beside the version in production.", args: []string{"serve", "canary", "4", "--percent", "20"}, exit: 0},
		{why: "It was fitted without smoothing: of a person with two codes that its rows never had together it makes 0/0. That is never passed on, and it is counted.", do: (*demoRun).canary},
		{why: "A fourth candidate has more trees, in smaller steps, and goes the whole way.", args: []string{"train", "--learner", "gradient_boosting", "--param", "trees=300", "--param", "learning_rate=0.05"}, exit: 0},
		{why: "", args: []string{"eval"}, exit: 0},
		{why: "", args: []string{"eval", "--final", "--reason", "fourth candidate of the demo"}, exit: 0},
		{why: "", args: []string{"register"}, exit: 0},
		{why: "", args: []string{"compare"}, exit: 0},
		{why: "", args: []string{"serve", "check", "5"}, exit: 0},
		{why: "", args: []string{"monitor", "plan", "5"}, exit: 0},
		{why: "", args: []string{"monitor", "test-fire", "5"}, exit: 0},
		{why: "", do: (*demoRun).told},
		{why: "", args: []string{"card", "5"}, exit: 0},
		{why: "It takes the place of version 1, while four clients ask one request after the other.", do: (*demoRun).load},
		{why: "", args: []string{"promote", "5", "--to", "production"}, exit: 0},
		{why: "", do: func(d *demoRun, ctx context.Context) error { return d.answersFrom(ctx, demoNext) }},
		{why: "Somebody has second thoughts: one command gives production back, and the server follows.", args: []string{"rollback", "--stage", "production"}, exit: 0},
		{why: "", do: func(d *demoRun, ctx context.Context) error { return d.answersFrom(ctx, demoLive) }},
		{why: "", do: (*demoRun).unload},
		{why: "The server stops: the log is closed, and what is missing in it would be counted.", do: (*demoRun).unserve},
		{why: "", args: []string{"log", "list"}, exit: 0},
		{why: "", args: []string{"log", "query", "SELECT _violations AS refused_for, count(*) AS n FROM log WHERE _violations IS NOT NULL GROUP BY ALL ORDER BY n DESC LIMIT 5"}, exit: 0},
		{why: "Did something move? The same three years, held against the plan year by year, as it was when no label had come.", args: []string{"monitor", "replay", "live_*.parquet", "--model", "employment:1", "--by", "year", "--as-of", "2019-01-01"}, exit: 3},
		{why: "Who was told? The replay brought the alerts up to what it saw: one alert for the version, with what moved in the order of its weight.", do: (*demoRun).told},
		{why: "Nobody takes it over. Half an hour later, by the demo's clock, which is set forward, the next step is due: the lead is told too.", do: (*demoRun).half},
		{why: "", args: []string{"alert", "send"}, exit: 0},
		{why: "", do: (*demoRun).escalated},
		{why: "The lead takes it over, and nobody else is told of it any more.", do: (*demoRun).acknowledge},
		{why: "A year after each it is known who was at work. What did the change do to the model, and to what its errors cost?", args: []string{"monitor", "replay", "live_*.parquet", "--model", "employment:1", "--by", "year", "--delay", "1y"}, exit: 3},
		{why: "The same as a page: estimates before the labels came, what they showed, and what was restated.", args: []string{"monitor", "report", "1", "-o", "monitor.html"}, exit: 0},
		{why: "Where do the alerts stand? Nothing waits to be sent.", args: []string{"alert", "list"}, exit: 0},
		{why: "At last: is everything that was acknowledged there and unaltered?", args: []string{"fsck"}, exit: 0},
	}
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
	d := &demoRun{app: a, dir: dir}
	defer d.close()
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
	for _, st := range demoSteps() {
		if st.why != "" {
			fmt.Fprintf(tell, "\n# %s\n", st.why)
		}
		d.out = tell
		if st.do != nil {
			if err := st.do(d, ctx); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(tell, "$ assay %s\n", shellLine(st.args))
		if err := d.step(ctx, st); err != nil {
			return err
		}
		answer.Steps = append(answer.Steps, told{"assay " + shellLine(st.args), st.why, st.exit})
	}
	return a.print("assay.demo/1", answer, func(w io.Writer) {
		fmt.Fprintf(w, "\nThat was the whole life in %.0f seconds. Look at profile.html and monitor.html in %s, and at the reports in %s.\n", a.Now().Sub(started).Seconds(), a.shown(dir), a.shown(filepath.Join(dir, ".assay", "reports")))
		fmt.Fprintf(w, "To see its pages in a browser: cd %s && assay serve\n", a.shown(dir))
	})
}

func shellLine(args []string) string {
	out := make([]string, len(args))
	for i, x := range args {
		out[i] = x
		if strings.ContainsAny(x, " \"'*") {
			out[i] = "'" + x + "'"
		}
	}
	return strings.Join(out, " ")
}

// step runs one command in the folder of the demo and holds its exit status against the one that the story needs.
func (d *demoRun) step(ctx context.Context, st demoStep) error {
	w := d.World
	w.Stdout, w.Env = d.out, d.environment
	w.Now = func() time.Time { return d.Now().Add(d.ahead) }
	if d.json {
		w.Stderr = io.Discard // a step says nothing beside the document; its error is returned
	}
	w.Dir = d.dir
	child := &app{World: w}
	root := child.root()
	root.SetArgs(st.args)
	root.SetIn(w.Stdin)
	root.SetOut(w.Stdout)
	root.SetErr(w.Stderr)
	err := root.ExecuteContext(ctx)
	d.ended = d.Now()
	if got := assay.ExitStatus(err); got != st.exit {
		if err == nil || errors.Is(err, errAnswerNo) {
			return assay.Errorf(assay.Internal, "assay %s: exit status %d, expected %d", shellLine(st.args), got, st.exit)
		}
		return err
	}
	return nil
}
