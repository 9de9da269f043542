package cli

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/collect"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/stat"
)

// labelDir is the folder of the labels of a model.
func (s *session) labelDir(model string) string {
	return serve.LogDir(filepath.Join(s.p.Path(s.p.Store), "labels"), model)
}

// labelTable says how a table of labels is read: as the settings say that labels find their predictions.
func (s *session) labelTable(label, came string) monitor.LabelTable {
	o := monitor.LabelTable{Join: s.p.Data.Key, Label: label, Came: came, Now: s.Now()}
	if l := s.p.Monitor.Labels; l != nil && len(l.Join) > 0 {
		o.Join = l.Join
	}
	if len(o.Join) == 0 {
		o.Join = monitor.JoinRequest
	}
	if o.Label == "" {
		o.Label = s.p.Data.Target.Column
	}
	return o
}

// knownLabels reads the labels that have come for a model; nil when none has.
func (s *session) knownLabels(ctx context.Context, model string) (*table.Table, error) {
	e, err := s.tables(ctx)
	if err != nil {
		return nil, err
	}
	t, err := monitor.ReadLabels(ctx, e, s.labelDir(model))
	if assay.CodeOf(err) == assay.NotFound {
		return nil, nil
	}
	return t, err
}

// labelMark changes whenever labels have come for a model.
func (s *session) labelMark(model string) (string, error) {
	entries, err := os.ReadDir(s.labelDir(model))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", assay.Errorf(assay.Unavailable, "the log of labels cannot be listed: %w", bare(err))
	}
	var out strings.Builder
	for _, e := range entries {
		if fi, err := e.Info(); err == nil && !strings.HasPrefix(e.Name(), ".") {
			fmt.Fprintf(&out, "%s %d\n", e.Name(), fi.Size())
		}
	}
	return string(assay.DigestOf([]byte(out.String()))), nil
}

// moment reads a time that a person gave: a date, or RFC 3339.
func moment(flag, v string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, v); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, assay.Errorf(assay.Invalid, "--%s %q is no time", flag, v).Try("--%s 2026-01-31, or 2026-01-31T12:00:00Z", flag)
}

func (a *app) labelsCommand() *cobra.Command {
	c := &cobra.Command{Use: "labels", Short: "What really happened, brought to the predictions: add, status"}
	var model, label, came, cameAt, query, format string
	add := &cobra.Command{
		Use: "add FILE", Short: "Add labels that have come, from a file (CSV, Parquet, JSON Lines) or a query over it",
		Long: `Add labels that have come for predictions that were made. A label finds its prediction by monitor.labels.join (data.key without it), or by
request_id and row. The rows are on the disk when the command ends; nothing is overwritten, and adding the same labels again adds nothing.
Which of two labels that disagree counts is decided when a window is judged, by monitor.labels.conflicts;
what becomes of the label of a key that several predictions have, by monitor.labels.repeats.

--query makes the labels of the file by SQL, in which it is called labels. --format sagemaker reads ground truth as SageMaker keeps it (JSON Lines);
its ids are those of the requests that assay log ingest took in, so that monitor.labels.join must be [request_id, row].`,
		Args: cobra.ExactArgs(1),
		RunE: a.with("labels add", func(ctx context.Context, s *session, args []string) error {
			if model == "" {
				model = s.p.Name
			}
			o := s.labelTable(label, came)
			o.At = o.Now
			var err error
			if cameAt != "" {
				if o.At, err = moment("came-at", cameAt); err != nil {
					return err
				}
			}
			var t *table.Table
			var skipped collect.Counts
			switch format {
			case "":
				t, err = s.labelsOf(ctx, args[0], query)
			case sagemakerFormat:
				o.Join, o.Label = monitor.JoinRequest, truthLabel
				t, skipped, err = s.groundTruth(ctx, args[0])
			default:
				err = assay.Errorf(assay.Invalid, "--format is %q; want sagemaker, or nothing for a table", format)
			}
			if err != nil {
				return err
			}
			if o.Known, err = s.classesOf(ctx, model); err != nil {
				return err
			}
			if skipped.Skipped == nil {
				skipped.Skipped = map[string]int64{}
			}
			got, err := o.Add(ctx, s.labelDir(model), t)
			if err != nil {
				return err
			}
			return s.print("assay.labels.add/1", map[string]any{"model": model, "labels": got, "unread": skipped.Skipped}, func(w io.Writer) {
				if got.Again {
					fmt.Fprintf(w, "%s: these %s labels were there already; nothing is added\n", model, assay.FormatCount(got.Rows-got.Keyless-got.Empty-got.Timeless))
					return
				}
				fmt.Fprintf(w, "%s: %s labels added\n", model, assay.FormatCount(got.Added))
				for _, x := range []struct {
					n    int64
					what string
				}{{got.Keyless, "rows without a key are left out"}, {got.Empty, "rows without a label are left out"}, {got.Timeless, "rows without a time are left out"}, {got.Ahead, "labels are from the future: a clock is wrong; they count as come now"}} {
					if x.n > 0 {
						fmt.Fprintf(w, "  ◐ %s %s\n", assay.FormatCount(x.n), x.what)
					}
				}
				if got.Unknown > 0 {
					fmt.Fprintf(w, "  ◐ %s labels are no class of any version of the model, or no number, and will count as missing: %s\n", assay.FormatCount(got.Unknown), strangers(got))
				}
				for _, reason := range slices.Sorted(maps.Keys(skipped.Skipped)) {
					fmt.Fprintf(w, "  ◐ %s: %s, the first is number %d\n", reason, assay.FormatCount(skipped.Skipped[reason]), skipped.First[reason])
				}
			})
		}),
	}
	add.Flags().StringVar(&model, "model", "", "`name` of the model; the project's without it")
	add.Flags().StringVar(&label, "label", "", "`column` of the labels; the target's name without it")
	add.Flags().StringVar(&came, "came", "", "`column` that says when a label came")
	add.Flags().StringVar(&cameAt, "came-at", "", "`time` at which all of them came; now without it")
	add.Flags().StringVar(&query, "query", "", "`SQL` that makes the labels; the file is called labels in it")
	add.Flags().StringVar(&format, "format", "", "`format` of the file, where it is no table: sagemaker (ground truth)")
	add.MarkFlagsMutuallyExclusive("came", "came-at")
	add.MarkFlagsMutuallyExclusive("format", "query")
	add.MarkFlagsMutuallyExclusive("format", "label")
	add.MarkFlagsMutuallyExclusive("format", "came")
	status := &cobra.Command{
		Use: "status", Short: "Which labels have come, how late, and what share of each window's predictions they are of",
		Args: cobra.NoArgs,
		RunE: a.with("labels status", func(ctx context.Context, s *session, _ []string) error {
			all, err := s.labelStates(ctx)
			if err != nil {
				return err
			}
			return s.print("assay.labels.status/1", map[string]any{"models": all}, func(w io.Writer) { printLabelStates(w, all) })
		}),
	}
	c.AddCommand(add, status)
	return c
}

// classesOf are the classes of each version of a model, none for a regression.
func (s *session) classesOf(ctx context.Context, model string) ([][]string, error) {
	versions, err := s.st.Versions(ctx, model)
	if assay.CodeOf(err) == assay.NotFound || err == nil && len(versions) == 0 {
		return nil, assay.Errorf(assay.NotFound, "there is no model %q that labels could be of", model).Try("assay model list")
	}
	if err != nil {
		return nil, err
	}
	var out [][]string
	for _, v := range versions {
		_, m, err := s.modelOf(ctx, v)
		if err != nil {
			return nil, err
		}
		out = append(out, m.Classes)
	}
	return out, nil
}

// strangers names labels that are no class, with how many there are of each.
func strangers(a monitor.AddedLabels) string {
	var out []string
	named := int64(0)
	for _, x := range a.Strangers {
		out = append(out, fmt.Sprintf("%q (%s)", x.Label, assay.FormatCount(x.Labels)))
		named += x.Labels
	}
	if named < a.Unknown {
		out = append(out, fmt.Sprintf("others (%s)", assay.FormatCount(a.Unknown-named)))
	}
	return strings.Join(out, ", ")
}

// labelsOf reads a file of labels, or what a query makes of it.
func (s *session) labelsOf(ctx context.Context, file, query string) (*table.Table, error) {
	e, err := s.tables(ctx)
	if err != nil {
		return nil, err
	}
	t, err := e.Read(ctx, s.path(file), s.reading())
	if err != nil || query == "" {
		return t, err
	}
	if err := t.Named(ctx, "labels"); err != nil {
		return nil, err
	}
	return t.Answer(ctx, query)
}

// The columns of the table that ground truth becomes.
const truthLabel = "label"

// groundTruth reads SageMaker's ground truth as a table: the request, the row of it and the label.
func (s *session) groundTruth(ctx context.Context, file string) (t *table.Table, counts collect.Counts, err error) {
	if join := s.labelTable("", "").Join; !slices.Equal(join, monitor.JoinRequest) {
		return nil, counts, assay.Errorf(assay.Refused, "labels find their predictions by %s, and ground truth names requests: none of it would be found", strings.Join(join, ", ")).
			Try("monitor.labels.join: [request_id, row] in assay.yaml, then assay monitor plan")
	}
	f, err := os.Open(s.path(file))
	if err != nil {
		return nil, counts, assay.Errorf(assay.NotFound, "%s cannot be read: %w", filepath.Base(file), err)
	}
	defer f.Close()
	r, w := io.Pipe()
	read := make(chan struct{})
	go func() {
		defer close(read)
		out := csv.NewWriter(w)
		err := out.Write(append(slices.Clone(monitor.JoinRequest), truthLabel))
		if err == nil {
			counts, err = collect.GroundTruth(f, func(_ int64, x collect.Truth) error {
				for i, v := range x.Values {
					if err := out.Write([]string{x.ID, strconv.Itoa(i), v}); err != nil {
						return err
					}
				}
				return ctx.Err()
			})
		}
		out.Flush()
		w.CloseWithError(errors.Join(ofFile(file, err), out.Error()))
	}()
	t, err = s.spooled(ctx, r, "labels.csv", table.ReadOptions{Types: map[string]assay.Type{monitor.JoinRequest[0]: assay.TypeString, monitor.JoinRequest[1]: assay.TypeInteger}})
	_ = r.Close()
	<-read
	if counts.Rows == 0 && err == nil {
		err = assay.Errorf(assay.Rejected, "%s has no ground truth: %s", filepath.Base(file), reasons(counts))
	}
	return t, counts, err
}

// A labelState is what is known of the labels of a model.
type labelState struct {
	Model      string          `json:"model"`
	Labels     int64           `json:"labels"`      // that came
	Keys       int64           `json:"predictions"` // that they name
	Duplicates int64           `json:"duplicates"`  // that said the same again
	Conflicts  int64           `json:"conflicts"`   // predictions that labels disagree about
	Logged     int64           `json:"logged"`      // predictions that the log has as answered
	Known      int64           `json:"labelled"`    // of them: with a label
	Ambiguous  int64           `json:"ambiguous"`   // of these: whose key other predictions have too
	Gaps       logGaps         `json:"gaps"`        // what is missing in the log, of which nobody knows whether it would have a label
	First      assay.Instant   `json:"first,omitempty"`
	Last       assay.Instant   `json:"last,omitempty"`
	Windows    []labelledState `json:"windows"` // that were judged, by version and time
}

// A labelledState is how far the labels of a window have come, as it was judged last.
type labelledState struct {
	Version  int             `json:"version"`
	Label    string          `json:"label"` // when the window was, for people
	Evidence assay.Digest    `json:"evidence"`
	Restated int             `json:"restated"` // how often
	Rows     int64           `json:"rows"`
	Labels   assay.LabelJoin `json:"labels"`
	Verdict  assay.Verdict   `json:"verdict"`
	Overdue  string          `json:"overdue,omitempty"` // that all labels should have come, and too few did; absent where it is not so
}

func (s *session) labelStates(ctx context.Context) ([]labelState, error) {
	models, err := s.st.Models(ctx)
	if err != nil {
		return nil, err
	}
	out := []labelState{}
	for _, m := range models {
		x := labelState{Model: m.Name, Windows: []labelledState{}, Gaps: logGaps{Segments: []serve.Missing{}}}
		t, err := s.knownLabels(ctx, m.Name)
		if err != nil {
			return nil, err
		}
		if t != nil {
			r, err := t.Query(ctx, `SELECT coalesce(sum(n), 0)::BIGINT, count(*), coalesce(sum(n - d), 0)::BIGINT, count(*) FILTER (d > 1), min(a), max(b) FROM (
				SELECT count(*) AS n, count(DISTINCT _label) AS d, min(_came) AS a, max(_came) AS b FROM `+t.Relation()+` WHERE _label IS NOT NULL GROUP BY _key, _request, _index)`)
			if err != nil {
				return nil, err
			}
			var first, last *time.Time
			if r.Next() {
				err = r.Scan(&x.Labels, &x.Keys, &x.Duplicates, &x.Conflicts, &first, &last)
			}
			if cerr := r.Close(); err == nil {
				err = cerr
			}
			if err != nil {
				return nil, err
			}
			if first != nil && last != nil {
				x.First, x.Last = assay.InstantOf(*first), assay.InstantOf(*last)
			}
			if err = s.labelledLog(ctx, m.Name, t, &x); err != nil {
				return nil, err
			}
		}
		versions, err := s.st.Versions(ctx, m.Name)
		if err != nil {
			return nil, err
		}
		for _, v := range versions {
			windows, err := s.labelledWindows(ctx, v)
			if err != nil {
				return nil, err
			}
			x.Windows = append(x.Windows, windows...)
		}
		out = append(out, x)
	}
	return out, nil
}

// labelledLog counts the predictions in a model's log, those of which the label is known, and what the log lacks; none where there is no log.
func (s *session) labelledLog(ctx context.Context, model string, labels *table.Table, x *labelState) error {
	log, err := s.logged(ctx, model)
	if assay.CodeOf(err) == assay.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	defer log.Drop(context.WithoutCancel(ctx))
	if x.Gaps, err = gapsOf(ctx, log); err != nil {
		return err
	}
	x.Logged, x.Known, x.Ambiguous, err = monitor.Labelled(ctx, log, labels, s.labelTable("", "").Join)
	return err
}

// labelledWindows are the windows of a version's plan, as their labels say now.
func (s *session) labelledWindows(ctx context.Context, v store.Version) ([]labelledState, error) {
	_, m, err := s.modelOf(ctx, v)
	if err != nil {
		return nil, err
	}
	id, p, err := s.monitorOf(ctx, v, m)
	if assay.CodeOf(err) == assay.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	known, err := s.outcomesOf(ctx, v, id)
	if err != nil {
		return nil, err
	}
	var out []labelledState
	for _, n := range sortedNumbers(known) {
		o := known[n].newest.Value
		out = append(out, labelledState{
			Version: v.Number, Label: monitor.WindowLabel(p.Windows, o.Window), Evidence: known[n].newest.ID, Restated: o.Look - 1, Rows: o.Labels.Coverage.N, Labels: o.Labels, Verdict: o.Verdict, Overdue: monitor.LabelsOverdue(p, o, s.Now()),
		})
	}
	return out, nil
}

func printLabelStates(w io.Writer, all []labelState) {
	for _, x := range all {
		if x.Labels == 0 && len(x.Windows) == 0 {
			fmt.Fprintf(w, "%s: no label has come\n", x.Model)
			continue
		}
		fmt.Fprintf(w, "%s: %s labels of %s predictions; %s said the same again, %s predictions have labels that disagree\n", x.Model, assay.FormatCount(x.Labels), assay.FormatCount(x.Keys), assay.FormatCount(x.Duplicates), assay.FormatCount(x.Conflicts))
		if x.Logged > 0 {
			fmt.Fprintf(w, "  in the log: %s predictions were answered, %s of them (%s) have a label\n", assay.FormatCount(x.Logged), assay.FormatCount(x.Known), shareText(stat.Proportion(float64(x.Known), float64(x.Logged), 0.95, "")))
		}
		if x.Ambiguous > 0 {
			fmt.Fprintf(w, "  ◐ in the log: %s of these share their key with other predictions; monitor.labels.repeats says for which of them a label counts\n", assay.FormatCount(x.Ambiguous))
		}
		x.Gaps.print(w, "  in the log: ")
		if len(x.Windows) == 0 {
			continue
		}
		grid(w, func(tw *tabwriter.Writer) {
			fmt.Fprintln(tw, "\twindow\tpredictions\tlabelled\thalf within\tdisagree\tambiguous\toverdue\trestated")
			for _, r := range x.Windows {
				if r.Overdue != "" {
					r.Verdict = assay.Fail
				}
				fmt.Fprintf(tw, "%s\t%s:%d %s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\n", r.Verdict.Glyph(), x.Model, r.Version, r.Label, assay.FormatCount(r.Rows), shareText(r.Labels.Coverage), delayText(r.Labels.DelayP50), assay.FormatCount(r.Labels.Conflicts), assay.FormatCount(r.Labels.Ambiguous), assay.FormatCount(r.Labels.Overdue), r.Restated)
			}
		})
		for _, r := range x.Windows {
			if r.Overdue != "" {
				fmt.Fprintf(w, "  ✕ %s:%d %s: %s\n", x.Model, r.Version, r.Label, r.Overdue)
			}
		}
	}
}

func shareText(e assay.Estimate) string {
	if !e.Defined() {
		return "none"
	}
	return fmt.Sprintf("%.1f %%", 100*e.Value)
}

// delayText is a delay in the largest unit that it reaches.
func delayText(seconds assay.Number) string {
	v := float64(seconds)
	for _, u := range []struct {
		name string
		of   float64
	}{{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 0}} {
		if v >= u.of {
			return fmt.Sprintf("%.3g %s", v/max(u.of, 1), u.name)
		}
	}
	return "unknown"
}
