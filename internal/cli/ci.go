package cli

import (
	"context"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/dataset"
	"github.com/assay-ml/assay/internal/gate"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/learn"
)

// ciRows is how many training rows the small training of assay ci uses unless --rows says otherwise; as many rows at most are predicted.
const ciRows = 5000

// A ciCheck is one check, what it found, and where in the repository its subject is.
type ciCheck struct {
	assay.CICheck
	file  string // relative to the repository's root; empty for none
	line  int    // from 1; 0 for none
	took  time.Duration
	notes []ciNote // further findings, each at its own place
}

// A ciNote is one finding within a check.
type ciNote struct {
	message string
	line    int
}

// A ciRun is what the checks of one run share. A check that cannot have its input, because an earlier one failed, is left out.
type ciRun struct {
	*session
	rows   int
	data   string // a sample to check instead of data.uri
	to     assay.Stage
	checks []ciCheck

	sample   *table.Table // that is looked at
	unread   error        // why there is none
	table    *table.Table // the sample, once it has a digest
	content  assay.Digest
	division *dataset.Division
	small    *lesson // the part of the training rows that is trained on
	held     *lesson // validation rows for the smoke predictions
	model    []byte
}

func (a *app) ciCommand() *cobra.Command {
	var junit, to, data string
	var rows int
	c := &cobra.Command{
		Use: "ci", Short: "Check a repository in continuous integration: data, a small training, predictions, policy, gate",
		Long: `Check what a change to the repository could break, without registering, sealing or disclosing anything:

  config   assay.yaml is valid
  schema   the data, or a sample of it, passes the schema
  leakage  no leakage check between the parts of the split fails
  train    two small seeded trainings give the same bytes
  smoke    the model loads and every prediction is valid
  policy   the policy of the gate is valid and its examples come out as expected
  gate     what the gate says of the current version; it decides only with --to

Under GitHub Actions, findings become annotations and a step summary. Exit status 3: a check failed or could not decide.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if rows <= 0 {
				return assay.Errorf(assay.Invalid, "--rows %d is not positive", rows).Try("assay ci --rows %d", ciRows)
			}
			file, err := a.output("--junit", junit, data, a.schemaFile())
			if err != nil {
				return err
			}
			var stage assay.Stage
			if to != "" {
				if stage, err = stageFlag("to", to); err != nil {
					return err
				}
			}
			return a.ci(c.Context(), file, &ciRun{rows: rows, data: data, to: stage})
		},
	}
	c.Flags().StringVar(&junit, "junit", "", "write the checks as JUnit XML to this `file`")
	c.Flags().StringVar(&to, "to", "", "let the gate decide: the current version must pass for staging or production")
	c.Flags().StringVar(&data, "data", "", "check this `file`, a sample, instead of data.uri")
	c.Flags().IntVar(&rows, "rows", ciRows, "train on at most so many `rows`")
	return c
}

// ci runs every check and reports them. A project that cannot be read is a failed check too, so that it shows where the others would.
func (a *app) ci(ctx context.Context, junit string, r *ciRun) error {
	began := a.Now()
	s, broken := a.open(ctx, "ci")
	if broken == nil {
		r.session = s
		broken = r.read(ctx)
	} else if assay.CodeOf(broken) == assay.Invalid {
		broken = a.loosely(ctx, broken)
	}
	check := ciCheck{CICheck: assay.CICheck{Name: "config", Verdict: assay.Pass, Message: ProjectFile + " is valid"}, file: ProjectFile, took: a.Now().Sub(began)}
	if broken != nil {
		check.Verdict, check.Message, check.line = assay.Fail, singleLine(broken), lineIn(broken)
		r.checks = []ciCheck{check}
	} else {
		check.file = r.inRepository(filepath.Join(s.p.dir, ProjectFile))
		r.checks = []ciCheck{check}
		if err := r.run(ctx); err != nil {
			return closing(s, err)
		}
	}
	out := assay.CI{Checks: []assay.CICheck{}}
	var deciding []assay.Verdict
	for _, c := range r.checks {
		out.Checks = append(out.Checks, c.CICheck)
		if !c.Advisory {
			deciding = append(deciding, c.Verdict)
		}
	}
	out.Verdict = assay.Verdicts(deciding...)
	var id assay.Digest
	if s != nil {
		var err error
		if r.content != "" {
			var rec assay.Record
			rec, err = s.write(ctx, assay.KindCI, r.content, nil, out)
			id = rec.ID
		}
		if err = closing(s, err); err != nil {
			return err
		}
	}
	if err := a.reportCI(junit, r.checks, out); err != nil {
		return err
	}
	answered := map[string]any{"verdict": out.Verdict, "checks": out.Checks}
	if id != "" {
		answered["evidence"] = id
	}
	if err := a.print("assay.ci/1", answered, func(w io.Writer) { printCI(w, r.checks, out, id) }); err != nil {
		return err
	}
	if broken != nil && assay.CodeOf(broken) != assay.Invalid {
		return broken
	}
	return answer(out.Verdict)
}

func printCI(w io.Writer, checks []ciCheck, out assay.CI, id assay.Digest) {
	for _, c := range checks {
		fmt.Fprintf(w, "%s %-8s %s\n", glyphOf(c), c.Name, c.Message)
		for _, n := range c.notes {
			fmt.Fprintf(w, "    %s\n", n.message)
		}
	}
	fmt.Fprintf(w, "%s %s", out.Verdict.Glyph(), out.Verdict)
	if id != "" {
		fmt.Fprintf(w, ", evidence %s", id.Short())
	}
	fmt.Fprintln(w)
}

func glyphOf(c ciCheck) string {
	if c.Advisory {
		return "○"
	}
	return c.Verdict.Glyph()
}

// A ciFunc fills in a check. An error is a failure of the check, unless the run was stopped.
type ciFunc func(ctx context.Context, c *ciCheck) error

func (r *ciRun) run(ctx context.Context) error {
	for _, x := range []struct {
		name, file string
		fn         ciFunc
		ready      func() bool
	}{
		{"schema", r.p.Path(r.p.Schema), r.checkSchema, nil},
		{"leakage", filepath.Join(r.p.dir, ProjectFile), r.checkLeakage, func() bool { return r.table != nil }},
		{"train", filepath.Join(r.p.dir, ProjectFile), r.checkTraining, func() bool { return r.division != nil }},
		{"smoke", filepath.Join(r.p.dir, ProjectFile), r.checkPredictions, func() bool { return r.model != nil }},
		{"policy", r.policyFile(), r.checkPolicy, nil},
		{"gate", filepath.Join(r.p.dir, ProjectFile), r.checkGate, nil},
	} {
		if x.ready != nil && !x.ready() {
			continue
		}
		began := r.Now()
		c := ciCheck{CICheck: assay.CICheck{Name: x.name, Verdict: assay.Pass}, file: r.inRepository(x.file)}
		if err := x.fn(ctx, &c); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			c.Verdict, c.Advisory, c.Message = assay.Fail, false, r.pathless(singleLine(err))
			if hint := assay.HintOf(err); hint != "" {
				c.Message += "; try: " + r.pathless(hint)
			}
		}
		c.took = r.Now().Sub(began)
		r.checks = append(r.checks, c)
	}
	return nil
}

// skip says that there was nothing to check.
func (c *ciCheck) skip(format string, args ...any) error {
	c.Verdict, c.Advisory, c.Message = assay.Undetermined, true, fmt.Sprintf(format, args...)
	return nil
}

// read reads the data and returns what is wrong with the columns that assay.yaml names. Data that cannot be read fail the check of the
// schema.
func (r *ciRun) read(ctx context.Context) error {
	uri := r.p.Path(r.p.Data.URI)
	if r.data != "" {
		uri = r.path(r.data)
	}
	e, err := r.tables(ctx)
	if err != nil {
		return err
	}
	if r.sample, r.unread = e.Read(ctx, uri, r.reading()); r.unread != nil {
		return nil
	}
	return r.p.checkColumns(r.sample.Fields())
}

func (r *ciRun) checkSchema(ctx context.Context, c *ciCheck) error {
	if r.unread != nil {
		return r.unread
	}
	var err error
	t := r.sample
	if r.content, err = t.ContentDigest(ctx); err != nil {
		return err
	}
	r.table = t
	sc, err := r.readSchema("")
	if err != nil {
		return err
	}
	v, err := sc.Check(ctx, t, schema.CheckOptions{Boundary: "data"})
	if err != nil {
		return err
	}
	c.Verdict = v.Verdict
	c.Message = fmt.Sprintf("%s of %s rows violate one of %d constraints", assay.FormatCount(v.Failing), assay.FormatCount(v.Rows), v.Constraints)
	for _, x := range v.Violations {
		at := x.Column
		if at == "" {
			at = "the table"
		}
		c.notes = append(c.notes, ciNote{fmt.Sprintf("%s: %s (%s): %s rows", at, x.Rule, x.Detail, assay.FormatCount(x.Count)), lineOf(r.p.Path(r.p.Schema), fmt.Sprintf("%q", x.Column))})
	}
	return nil
}

func (r *ciRun) checkLeakage(ctx context.Context, c *ciCheck) error {
	o, err := r.splitOptions()
	if err != nil {
		return err
	}
	d, err := dataset.Divide(ctx, r.table, o)
	if err != nil {
		return err
	}
	r.division = d
	c.Verdict = leakageVerdict(d.Record)
	var sizes []string
	for _, p := range d.Record.Parts {
		sizes = append(sizes, assay.FormatCount(p.Rows)+" "+p.Name)
	}
	c.Message = fmt.Sprintf("split by %s into %s; %d checks", d.Record.By, strings.Join(sizes, ", "), len(d.Record.Findings))
	line := lineOf(filepath.Join(r.p.dir, ProjectFile), "split:")
	c.line = line
	for _, f := range d.Record.Findings {
		if f.Verdict != assay.Pass {
			c.notes = append(c.notes, ciNote{fmt.Sprintf("%s %s: %s", f.Verdict.Glyph(), f.Check, f.Message), line})
		}
	}
	return nil
}

// atMost takes at most n of the rows, evenly.
func atMost(rows []int, n int) []int {
	if len(rows) <= n {
		return rows
	}
	out := make([]int, n)
	for i := range out {
		out[i] = rows[i*len(rows)/n]
	}
	return out
}

// take reads the given rows of the data as a lesson.
func (r *ciRun) take(ctx context.Context, rows []int, classes []string) (*lesson, error) {
	var cond strings.Builder
	cond.WriteString("_row IN (")
	for i, x := range rows {
		if i > 0 {
			cond.WriteByte(',')
		}
		fmt.Fprintf(&cond, "%d", x)
	}
	cond.WriteByte(')')
	t, err := r.table.Where(ctx, cond.String())
	if err != nil {
		return nil, err
	}
	return r.lesson(ctx, t, classes)
}

func (r *ciRun) checkTraining(ctx context.Context, c *ciCheck) error {
	c.line = lineOf(filepath.Join(r.p.dir, ProjectFile), "train:")
	learner := r.p.Train.Learner
	if learner == "" {
		return c.skip("train.command is not run here; add a step with assay run -- %s", strings.Join(r.p.Train.Command, " "))
	}
	var err error
	if r.small, err = r.take(ctx, atMost(r.division.Rows(assay.Train), r.rows), nil); err != nil {
		return err
	}
	if r.held, err = r.take(ctx, atMost(r.division.Rows(assay.Valid), r.rows), r.small.classes); err != nil {
		return err
	}
	spec, err := r.spec(learner, r.p.Train.Params, r.small)
	if err != nil {
		return err
	}
	fit := func() ([]byte, error) {
		data, held := r.small.data(), r.held.data()
		data.Valid = &held
		m, err := learn.Fit(ctx, spec, data)
		if err != nil {
			return nil, err
		}
		return m.ONNX()
	}
	first, err := fit()
	if assay.CodeOf(err) == assay.Unimplemented {
		return c.skip("%s has no model file to compare", learner)
	}
	if err != nil {
		return err
	}
	second, err := fit()
	if err != nil {
		return err
	}
	r.model = first
	a, b := assay.DigestOf(first), assay.DigestOf(second)
	c.Message = fmt.Sprintf("%s on %s rows with seed %d: model %s both times", learner, assay.FormatCount(int64(r.small.x.Rows())), r.p.Train.Seed, a.Short())
	if a != b {
		c.Verdict = assay.Fail
		c.Message = fmt.Sprintf("%s on %s rows with seed %d: model %s, then %s", learner, assay.FormatCount(int64(r.small.x.Rows())), r.p.Train.Seed, a.Short(), b.Short())
	}
	return nil
}

func (r *ciRun) checkPredictions(ctx context.Context, c *ciCheck) error {
	prog, err := learn.LoadONNX(r.model)
	if err != nil {
		return err
	}
	n := r.held.x.Rows()
	p, err := prog.Predict(r.held.x)
	if err != nil {
		return err
	}
	if err := validPrediction(p, n, r.small.classes); err != nil {
		return err
	}
	c.Message = fmt.Sprintf("%s valid predictions of the small model", assay.FormatCount(int64(n)))
	v, err := r.version(ctx, "")
	if assay.CodeOf(err) == assay.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	_, m, err := r.modelOf(ctx, v)
	if err != nil {
		return err
	}
	if onlyPredictions(m) || r.p.Data.Target.outside() {
		return nil
	}
	if p, err = r.predictions(ctx, m, r.held.x); err != nil {
		return err
	}
	if err := validPrediction(p, n, m.Classes); err != nil {
		return fmt.Errorf("%s: %w", versionName(v), err)
	}
	c.Message += ", and of " + versionName(v)
	return nil
}

// validPrediction holds predictions against what any must be: one for each row, finite, of the known classes, probabilities that are
// some and that sum to one.
func validPrediction(p learn.Prediction, n int, classes []string) error {
	if classes == nil {
		if len(p.Values) != n {
			return assay.Errorf(assay.Rejected, "%d predictions for %d rows", len(p.Values), n)
		}
		for i, v := range p.Values {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return assay.Errorf(assay.Rejected, "prediction %d is not a finite number", i+1)
			}
		}
		return nil
	}
	if !slices.Equal(p.Classes, classes) {
		return assay.Errorf(assay.Rejected, "the model has %d classes in another order or of other names than the data's %d", len(p.Classes), len(classes))
	}
	k := len(classes)
	if len(p.Proba) != n*k {
		return assay.Errorf(assay.Rejected, "%d probabilities for %d rows of %d classes", len(p.Proba), n, k)
	}
	for i := range n {
		sum := 0.0
		for _, q := range p.Proba[i*k : (i+1)*k] {
			if !(q >= 0 && q <= 1) {
				return assay.Errorf(assay.Rejected, "a probability of prediction %d is not between 0 and 1", i+1)
			}
			sum += q
		}
		if math.Abs(sum-1) > 1e-5 { // model files compute in float32
			return assay.Errorf(assay.Rejected, "the probabilities of prediction %d sum to %g", i+1, sum)
		}
	}
	return nil
}

// policyFile is the team's own policy, or empty.
func (r *ciRun) policyFile() string {
	if r.p.Gate.Policy == "" || r.p.Gate.Policy == "default" {
		return ""
	}
	return r.p.Path(r.p.Gate.Policy)
}

func (r *ciRun) checkPolicy(_ context.Context, c *ciCheck) error {
	p, err := r.policy()
	if err != nil {
		c.line = lineIn(err)
		return err
	}
	file := r.policyFile()
	if file == "" {
		c.Message = "the built-in policy, " + p.Name
		return nil
	}
	results, err := gate.Test(p, file)
	if err != nil {
		return err
	}
	c.Message = fmt.Sprintf("%s: %d rules, %d examples", p.Name, len(p.Rules), len(results))
	for _, x := range results {
		if !x.OK {
			c.Verdict = assay.Fail
			c.notes = append(c.notes, ciNote{message: "✕ " + x.Name + ": " + x.Message})
		}
	}
	return nil
}

func (r *ciRun) checkGate(ctx context.Context, c *ciCheck) error {
	c.line = lineOf(filepath.Join(r.p.dir, ProjectFile), "gate:")
	v, err := r.version(ctx, "")
	if assay.CodeOf(err) == assay.NotFound {
		if r.to != "" {
			return err
		}
		return c.skip("no version is registered in this store")
	}
	if err != nil {
		return err
	}
	stage := r.to
	if stage == "" {
		stage = assay.StageStaging
	}
	_, j, _, err := r.judge(ctx, v, stage)
	if err != nil {
		return err
	}
	c.Verdict, c.Advisory = j.Verdict, r.to == ""
	c.Message = fmt.Sprintf("%s for %s: %s", versionName(v), stage, j.Verdict)
	for _, x := range j.Rules {
		if x.Required && x.Verdict != assay.Pass {
			waived := ""
			if x.Waived != "" {
				waived = " (waived " + x.Waived.Short() + ")"
			}
			c.notes = append(c.notes, ciNote{fmt.Sprintf("%s %s: %s%s", x.Verdict.Glyph(), x.ID, x.Reason, waived), c.line})
		}
	}
	return nil
}

// modelOf is the model of a version.
func (s *session) modelOf(ctx context.Context, v store.Version) (assay.Record, assay.Model, error) {
	rec, err := s.st.Get(ctx, v.Evidence)
	if err != nil {
		return rec, assay.Model{}, err
	}
	m, err := assay.Decode[assay.Model](rec.Evidence)
	return rec, m, err
}
