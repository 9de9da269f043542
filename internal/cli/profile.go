package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/blob"
	"github.com/assay-ml/assay/internal/dataset"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/internal/web"
)

// A profileRequest is what the command line asks of a profile.
type profileRequest struct {
	data    string // "": the project's
	target  string
	html    string
	allRows bool
	reading textReading
}

func (a *app) profileCommand() *cobra.Command {
	var q profileRequest
	c := &cobra.Command{
		Use: "profile [DATA]", Short: "Look at every row: distributions, missing values, relations, leakage, and what deserves attention",
		Long: `Look at every row of DATA, or of the project's data when none is given. Every number is exact.

In a project the rows that are, or will be, sealed for the test are left out. With --all-rows they are looked at as well, and nothing
is then said about relations to the target.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			q.data = first(args)
			var err error
			if q.html, err = a.output("--html", q.html, q.data); err != nil {
				return err
			}
			return a.profile(c.Context(), q)
		},
	}
	c.Flags().StringVar(&q.target, "target", "", "the `column` to predict; in a project it is known")
	c.Flags().StringVar(&q.html, "html", "", "write the report as a page to this `file`")
	c.Flags().BoolVar(&q.allRows, "all-rows", false, "look at sealed test rows too, without relations to the target")
	q.reading.flags(c)
	return c
}

func (a *app) profile(ctx context.Context, q profileRequest) error {
	p, err := LoadProject(a.Dir, a.config)
	if q.data != "" && a.config == "" && assay.CodeOf(err) == assay.NotFound {
		return a.profileFile(ctx, q, nil)
	}
	if err != nil {
		return err
	}
	s, err := a.openProject(ctx, p, "profile")
	if err != nil {
		return err
	}
	if q.data != "" && a.path(q.data) != p.Path(p.Data.URI) {
		return closing(s, a.profileFile(ctx, q, s))
	}
	if q.target != "" && q.target != p.Data.Target.Column {
		return closing(s, assay.Errorf(assay.Invalid, "--target %q is not the project's target, %s", q.target, p.Data.Target.Column).Try("assay profile"))
	}
	if q.reading != (textReading{}) {
		return closing(s, assay.Errorf(assay.Invalid, "how the project's data is read is said under data in %s", ProjectFile).Try("assay profile, without --delimiter, --quote, --encoding and --header"))
	}
	return closing(s, func() error {
		r, report, err := s.profileStage(ctx, q.allRows)
		if err != nil {
			return err
		}
		return a.showProfile(q, s.p.Name, r, report)
	}())
}

// profileEngine opens a table engine and leaves half of the limit to what a profile keeps outside it.
func (a *app) profileEngine(ctx context.Context) (*table.Engine, error) {
	memory, err := bytesFlag("--memory", a.memory)
	if err != nil {
		return nil, err
	}
	if memory > 0 {
		debug.SetMemoryLimit(memory / 2)
		memory = max(memory*3/10, 64<<20) // the database takes somewhat more than its limit
	}
	return table.Open(ctx, table.Options{MemoryBytes: memory, Threads: a.threads})
}

// profileFile profiles data that is not a project's. Inside a project, data that holds sealed rows is not related to its target.
func (a *app) profileFile(ctx context.Context, q profileRequest, s *session) error {
	e, err := a.profileEngine(ctx)
	if err != nil {
		return err
	}
	defer e.Close()
	ro := q.reading.over(table.ReadOptions{Stdin: a.Stdin})
	if s != nil {
		ro.As = s.reading().As // or sealed rows would not be known again
	}
	uri := q.data
	if uri != "-" {
		uri = a.path(uri)
	}
	t, err := e.Read(ctx, uri, ro)
	if err != nil {
		return err
	}
	o := dataset.ProfileOptions{Target: q.target}
	if s != nil {
		o.Sensitive = present(t, s.p.Data.Sensitive)
		if o.Target == "" {
			o.Target = first(present(t, []string{s.p.Data.Target.Column}))
		}
		if o.Target == s.p.Data.Target.Column {
			o.Task = s.p.Data.Target.profiled()
		}
		l, err := dataset.NewLook(ctx, t, present(t, s.p.Data.Key), s.p.Data.Target.names()...)
		if err != nil {
			return err
		}
		seen, err := s.sightings(ctx, l, l.All(), func(store.SealRecord) bool { return false })
		if err != nil {
			return err
		}
		if len(seen) > 0 {
			o.Target, o.Task = "", ""
			o.Scope = fmt.Sprintf("all rows; about %d of them are sealed test rows, so nothing is said about relations to the target", seen[0].rows)
		}
	}
	if q.allRows {
		o.Target, o.Task, o.Scope = "", "", "all rows, without relations to the target"
	}
	report, err := a.profileTable(ctx, t, o)
	if err != nil {
		return err
	}
	return a.showProfile(q, filepath.Base(q.data), assay.Record{}, report)
}

// present returns the names that are columns of t.
func present(t *table.Table, names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool {
		_, ok := t.Field(n)
		return !ok
	})
}

// profileTable profiles with a progress bar on a terminal.
func (a *app) profileTable(ctx context.Context, t *table.Table, o dataset.ProfileOptions) (*dataset.ProfileReport, error) {
	memory, err := bytesFlag("--memory", a.memory)
	if err != nil {
		return nil, err
	}
	o.MemoryBytes = memory / 2
	if !a.Terminal || a.quiet || a.json {
		return dataset.Profile(ctx, t, o)
	}
	bars := mpb.New(mpb.WithOutput(a.Stderr), mpb.WithWidth(40), mpb.WithRefreshRate(40*time.Millisecond))
	bar := bars.AddBar(int64(len(t.Fields())), mpb.BarRemoveOnComplete(), mpb.PrependDecorators(decor.Name("columns ")), mpb.AppendDecorators(decor.CountersNoUnit("%d / %d")))
	o.Progress = func(done, _ int) { bar.SetCurrent(int64(done)) }
	r, err := dataset.Profile(ctx, t, o)
	bar.Abort(true)
	bars.Wait()
	return r, err
}

// profileStage profiles the project's data on the rows that no test seals, and records it.
func (s *session) profileStage(ctx context.Context, allRows bool) (assay.Record, *dataset.ProfileReport, error) {
	if s.engine == nil {
		e, err := s.profileEngine(ctx)
		if err != nil {
			return assay.Record{}, nil, err
		}
		s.engine = e
	}
	snapRec, snap, err := s.snapshot(ctx)
	if err != nil {
		return assay.Record{}, nil, err
	}
	t, err := s.table(ctx)
	if err != nil {
		return assay.Record{}, nil, err
	}
	o := dataset.ProfileOptions{Target: s.p.Data.Target.Column, Task: s.p.Data.Target.profiled(), Sensitive: s.p.Data.Sensitive, Key: s.p.Data.Key}
	if allRows {
		o.Target, o.Task, o.Scope = "", "", "all rows, sealed test rows among them; nothing is said about relations to the target"
	} else if t, err = s.unsealed(ctx, t, snap.Content, &o); err != nil {
		return assay.Record{}, nil, err
	}
	report, err := s.profileTable(ctx, t, o)
	if err != nil {
		return assay.Record{}, nil, err
	}
	doc, err := json.Marshal(report)
	if err != nil {
		return assay.Record{}, nil, assay.Errorf(assay.Internal, "the profile cannot be written as JSON: %w", err)
	}
	stored, err := blob.PutBytes(ctx, s.st.Blobs(), doc)
	if err != nil {
		return assay.Record{}, nil, err
	}
	r, err := s.write(ctx, assay.KindProfile, snap.Content, []assay.Digest{snapRec.ID}, report.Payload(stored))
	return r, report, err
}

// unsealed returns the rows that the split of the data trains and validates on: of the newest split that there is, and otherwise of the
// one that assay.yaml asks for.
func (s *session) unsealed(ctx context.Context, t *table.Table, content assay.Digest, o *dataset.ProfileOptions) (*table.Table, error) {
	parts, err := s.parts(ctx, t, content)
	if err != nil {
		return nil, err
	}
	var keep []float64
	for i, part := range parts {
		if part < 2 {
			keep = append(keep, float64(i))
		}
	}
	o.Scope, o.Withheld = "the training and validation rows; sealed test rows are left out", t.Rows()-int64(len(keep))
	rows, err := s.engine.FromFrame(ctx, assay.Frame{{Name: "keep", Type: assay.TypeInteger, Floats: keep}})
	if err != nil {
		return nil, err
	}
	return t.Where(ctx, "_row IN (SELECT CAST(keep AS BIGINT) FROM "+rows.Relation()+")")
}

// parts returns the part of each row, as a Division numbers them.
func (s *session) parts(ctx context.Context, t *table.Table, content assay.Digest) ([]uint8, error) {
	r, err := s.latest(ctx, assay.KindSplit, content)
	if err != nil {
		return nil, err
	}
	if r == nil {
		o, err := s.splitOptions()
		if err != nil {
			return nil, err
		}
		d, err := dataset.Divide(ctx, t, o)
		if err != nil {
			return nil, err
		}
		return d.Part, s.refuseSealed(ctx, d, false, "")
	}
	split, err := assay.Decode[assay.Split](r.Evidence)
	if err != nil {
		return nil, err
	}
	assignment, err := blob.ReadAll(ctx, s.st.Blobs(), split.Assignment, math.MaxInt32)
	if err != nil {
		return nil, err
	}
	prints, err := dataset.Prints(ctx, t)
	if err != nil {
		return nil, err
	}
	return dataset.Assign(assignment, prints)
}

func (a *app) showProfile(q profileRequest, name string, r assay.Record, report *dataset.ProfileReport) error {
	if q.html != "" {
		if err := a.profilePage(q.html, name, r, report); err != nil {
			return err
		}
	}
	doc := map[string]any{"profile": report}
	if r.ID != "" {
		doc["evidence"] = r.ID
	}
	return a.print("assay.profile/1", doc, func(w io.Writer) {
		printProfile(w, name, report)
		if r.ID != "" {
			fmt.Fprintf(w, "evidence  %s\n", r.ID.Short())
		}
		if q.html != "" {
			fmt.Fprintf(w, "report    %s\n", a.shown(q.html))
		}
	})
}

// profilePage writes the page of a profile.
func (a *app) profilePage(path, name string, r assay.Record, report *dataset.ProfileReport) error {
	f, err := os.Create(path)
	if err != nil {
		return assay.Errorf(assay.Unavailable, "the report cannot be written: %w", err)
	}
	err = web.ProfileReport(f, name, report, web.Footer{Version: Version, Evidence: r.ID, Data: r.Subject, At: a.Now().UTC().Format(time.RFC3339)})
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// Rows that a terminal shows of a profile.
const (
	profileAlerts  = 12
	profileColumns = 60
)

func printProfile(w io.Writer, name string, r *dataset.ProfileReport) {
	fmt.Fprintf(w, "%s: %s rows, %d columns; %s\n", name, assay.FormatCount(r.Rows), r.Columns, r.Scope)
	if r.Withheld > 0 {
		fmt.Fprintf(w, "left out  %s rows\n", assay.FormatCount(r.Withheld))
	}
	cells := float64(r.Rows) * float64(r.Columns)
	nans := r.NaNs()
	fmt.Fprintf(w, "missing   %s cells (%s)", assay.FormatCount(r.Missing-nans), share(float64(r.Missing-nans), cells))
	if nans > 0 {
		fmt.Fprintf(w, "; NaN, apart from them, in %s (%s)", assay.FormatCount(nans), share(float64(nans), cells))
	}
	fmt.Fprintln(w)
	fmt.Fprintf(w, "repeated  %s rows equal an earlier row", assay.FormatCount(r.Duplicates.Rows))
	if len(r.Duplicates.Ignored) > 0 {
		fmt.Fprintf(w, "; %s without %s", assay.FormatCount(r.Duplicates.Without), strings.Join(r.Duplicates.Ignored, ", "))
	}
	fmt.Fprintln(w)
	if r.Reading != nil {
		fmt.Fprintf(w, "read      %s\n", r.Reading.Sentence())
	}
	for _, n := range fewNotes(r.Notes, "--html or --json") {
		fmt.Fprintf(w, "note      %s\n", n)
	}
	if t := r.Target; t != nil {
		fmt.Fprintf(w, "target    %s, %s", one(t.Column), t.Task)
		for i, c := range t.Classes {
			if i == 8 {
				fmt.Fprintf(w, "; and %d more", len(t.Classes)-i)
				break
			}
			fmt.Fprintf(w, "; %s: %s (%.1f %%)", one(c.Value), assay.FormatCount(c.Count), 100*float64(c.Fraction))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
	grid(w, func(tw *tabwriter.Writer) {
		fmt.Fprintln(tw, "column\tkind\tmissing\tdistinct\tmean or most frequent\tmin\tmax\ttarget")
		for i, v := range r.Variables {
			if i == profileColumns {
				break
			}
			middle, lo, hi := "", "", ""
			switch n := v.Numbers; {
			case v.Hidden:
				middle = "(hidden)"
			case n != nil && v.Kind == dataset.KindDate:
				lo, hi = v.First, v.Last
			case n != nil && v.Kind != dataset.KindCode && v.Kind != dataset.KindBoolean && v.Kind != dataset.KindIdentifier:
				middle, lo, hi = digits(float64(n.Mean)), cmp.Or(n.ExactMin, digits(float64(n.Min))), cmp.Or(n.ExactMax, digits(float64(n.Max)))
			case len(v.Top) > 0:
				middle = fmt.Sprintf("%s (%s)", assay.ShownLine(v.Top[0].Value, 24), share(float64(v.Top[0].Count), float64(v.Rows)))
			}
			missing := share(float64(v.Nulls), float64(v.Rows))
			if v.NaNs > 0 {
				missing += ", NaN " + share(float64(v.NaNs), float64(v.Rows))
			}
			relation := ""
			if v.Relation != nil && !math.IsNaN(float64(v.Relation.Strength)) {
				relation = strings.ReplaceAll(v.Relation.Measure, "_", " ") + " " + assay.FormatFixed(strengthOf(v.Relation), 3)
			}
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", assay.ShownLine(v.Name, 24), v.Kind, missing, assay.FormatCount(v.Distinct), middle, lo, hi, relation)
		}
	})
	if n := len(r.Variables) - profileColumns; n > 0 {
		fmt.Fprintf(w, "and %d columns more\n", n)
	}
	fmt.Fprintln(w)
	for i, al := range r.Alerts {
		if i == profileAlerts {
			fmt.Fprintf(w, "and %d more: --html or --json\n", len(r.Alerts)-i)
			break
		}
		fmt.Fprintf(w, "%.2f  %s: %s\n", al.Effect, strings.ReplaceAll(al.Code, "_", " "), assay.ShownLine(al.Message, 400))
		if al.Advice != "" {
			fmt.Fprintf(w, "      → %s\n", al.Advice)
		}
	}
	tryExclude(w, r)
	for _, l := range r.Limits {
		fmt.Fprintf(w, "limit: %s\n", l)
	}
}

// strengthOf is the number that the relation's measure names.
func strengthOf(r *dataset.Relation) float64 {
	if r.Measure == "auc" {
		return float64(r.AUC)
	}
	return float64(r.Strength)
}

func share(part, whole float64) string {
	if whole == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f %%", 100*part/whole)
}

func digits(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return fmt.Sprintf("%.5g", v)
}

// tryExclude says how to leave out the columns that seem to give the target away.
func tryExclude(w io.Writer, r *dataset.ProfileReport) {
	var columns []string
	for _, al := range r.Alerts {
		if al.Code == "leakage" || al.Code == "leakage_suspected" {
			columns = append(columns, al.Columns...)
		}
	}
	if len(columns) > 0 {
		fmt.Fprintf(w, "Try: data.exclude: [%s] in assay.yaml, unless known before the prediction is made\n", strings.Join(columns, ", "))
	}
}

// profileFile is what the page of the data's profile is called in the folder for reports.
const profileFile = "profile.html"

// printAlerts says in a few lines what a profile found, and writes its page.
func (s *session) printAlerts(r assay.Record, report *dataset.ProfileReport) error {
	dir, err := s.reports()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, profileFile)
	if err := s.profilePage(path, s.p.Name, r, report); err != nil {
		return err
	}
	fmt.Fprintf(s.out(), "%s rows, %d columns, %d finding%s; %s\n", assay.FormatCount(report.Rows), report.Columns, len(report.Alerts), map[bool]string{false: "s"}[len(report.Alerts) == 1], report.Scope)
	for i, al := range report.Alerts {
		if i == 3 {
			break
		}
		fmt.Fprintf(s.out(), "  %s: %s\n", strings.ReplaceAll(al.Code, "_", " "), assay.ShownLine(al.Message, 160))
	}
	tryExclude(s.out(), report)
	fmt.Fprintf(s.out(), "report %s\n", s.shown(path))
	return nil
}
