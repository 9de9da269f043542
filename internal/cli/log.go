package cli

import (
	"context"
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
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/table"
)

// logDir is the folder of the prediction logs.
func (s *session) logDir() string { return filepath.Join(s.p.Path(s.p.Store), "log") }

// openLog starts the prediction log; nil when the project wants none.
func (s *session) openLog(nonce string) (*serve.Log, error) {
	c := s.p.Serve.Log
	if c.Off {
		return nil, nil
	}
	keep, err := seconds("serve.log.keep", c.Keep)
	if err != nil {
		return nil, err
	}
	bytes, err := bytesFlag("serve.log.keep_bytes", c.KeepBytes)
	if err != nil {
		return nil, err
	}
	return serve.OpenLog(serve.LogOptions{
		Dir: s.logDir(), Clock: s.Now, Nonce: nonce, Sample: c.Sample, Redact: c.Redact, Keep: time.Duration(keep) * time.Second, KeepBytes: bytes, Compact: s.compact,
	})
}

// voiceEvery is how often the failures of the log are told at most.
const voiceEvery = time.Minute

// A logVoice tells whoever runs the server that its log cannot be written.
type logVoice struct {
	told     time.Time
	failures int64 // that were told
}

// look returns a line on failures since it last told of some, or "".
func (v *logVoice) look(now time.Time, written func() (rows, failures int64, problem string), tallies func() []serve.Tally) string {
	_, failures, problem := written()
	if failures == v.failures || now.Sub(v.told) < voiceEvery {
		return ""
	}
	v.told, v.failures = now, failures
	var lost int64
	for _, t := range tallies() {
		lost += t.Lost
	}
	return fmt.Sprintf("%s; %s rows are not in it since this server began", problem, assay.FormatCount(lost))
}

// pieces are segments of the log that are not Parquet, as package table reads them.
func pieces(segments ...string) []table.Piece {
	out := make([]table.Piece, len(segments))
	for i, path := range segments {
		out[i] = table.Piece{
			Name: filepath.Base(path), WriteLines: func(w io.Writer) error { return serve.Lines(path, w) },
			Lost: func(line []byte) []byte { return serve.LostLine(path, line) },
		}
	}
	return out
}

// logged reads the whole log of a model.
func (s *session) logged(ctx context.Context, model string) (*table.Table, error) {
	return s.loggedWhere(ctx, model, nil, "")
}

// loggedWhere reads the rows of a model's log of which where is true, a condition on columns of every log, and of them those columns that it has; all
// rows where it is empty, all columns for nil. Segments without such rows are not read.
func (s *session) loggedWhere(ctx context.Context, model string, columns []string, where string) (*table.Table, error) {
	if err := serve.Recover(s.logDir(), s.Now); err != nil {
		return nil, err
	}
	dir := serve.LogDir(s.logDir(), model)
	fields, err := serve.LogFieldsOf(dir)
	if err != nil {
		return nil, err
	}
	if columns != nil {
		fields = slices.DeleteFunc(fields, func(f assay.Field) bool { return !slices.Contains(columns, f.Name) })
	}
	e, err := s.tables(ctx)
	if err != nil {
		return nil, err
	}
	// A server may close a segment, or make Parquet of one, between the list and the reading, and a list taken just then may lack it: what
	// was read counts when the list is the same afterwards.
	for try := 0; ; try++ {
		closed, open, err := serve.Segments(dir)
		if err != nil {
			return nil, err
		}
		t, err := e.ReadSegmentsWhere(ctx, closed, pieces(open...), fields, where)
		now, still, listErr := serve.Segments(dir)
		if listErr != nil {
			return nil, listErr
		}
		if slices.Equal(now, closed) && slices.Equal(still, open) || try == maxLogReads {
			return t, err
		}
		if err == nil {
			if err := t.Drop(ctx); err != nil {
				return nil, err
			}
		}
	}
}

// maxLogReads is how often a log is read again because its pieces changed meanwhile.
const maxLogReads = 10

// A logSummary is what the log of one model holds.
type logSummary struct {
	Model    string           `json:"model"`
	Segments int              `json:"segments"`
	Bytes    int64            `json:"bytes"`
	First    string           `json:"first"` // time of the first and the last line, UTC; empty without any
	Last     string           `json:"last"`
	Requests int64            `json:"requests"`
	Ended    map[string]int64 `json:"ended"`    // requests, by outcome
	Repeated int64            `json:"repeated"` // answered requests whose id another one before them had, as of a caller who sends it again: each row of them is in the log
	Rows     map[string]int64 `json:"rows"`     // by outcome; of a request that could not be read there are none
	Lost     int64            `json:"lost"`     // rows that are missing
	Unclosed int64            `json:"unclosed"` // segments whose process was killed: rows of just before that may be missing, and are not in lost
	Missing  []serve.Missing  `json:"missing"`  // the segments of which something is missing, by name
}

func (a *app) logCommand() *cobra.Command {
	c := &cobra.Command{Use: "log", Short: "The log of predictions: list, query, ingest"}
	list := &cobra.Command{
		Use: "list", Short: "What the log of each model holds, and what is missing in it",
		Args: cobra.NoArgs,
		RunE: a.with("log list", func(ctx context.Context, s *session, _ []string) error {
			all, err := s.logSummaries(ctx)
			if err != nil {
				return err
			}
			return s.print("assay.log.list/1", map[string]any{"logs": all}, func(w io.Writer) {
				if len(all) == 0 {
					fmt.Fprintln(w, "Nothing was logged yet. The log fills while assay serve answers.")
					return
				}
				grid(w, func(tw *tabwriter.Writer) {
					fmt.Fprintln(tw, "model\tfirst\tlast\trequests\tanswered\trefused\tfailed\trows answered\trows lost")
					for _, l := range all {
						fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Model, l.First, l.Last, assay.FormatCount(l.Requests), assay.FormatCount(l.Ended["answered"]),
							assay.FormatCount(l.Ended["refused"]+l.Ended["malformed"]), assay.FormatCount(l.Ended["failed"]+l.Ended["shed"]+l.Ended["cancelled"]), assay.FormatCount(l.Rows["answered"]), assay.FormatCount(l.Lost))
					}
				})
				for _, l := range all {
					if l.Repeated > 0 {
						fmt.Fprintf(w, "%s: %s answered requests have an id that another one before them had; a label by request and row is of several predictions there\n", l.Model, assay.FormatCount(l.Repeated))
					}
					logGaps{0, l.Unclosed, l.Missing}.print(w, l.Model+": ")
				}
			})
		}),
	}
	var model, out string
	query := &cobra.Command{
		Use: "query SQL", Short: "Ask the log of a model in SQL; the table is called log",
		Long: `Ask the log of a model in SQL. The table is called log: a row of a request is a row of it, with _at, _request, _index, _key, _version, _edge,
_outcome, _status, _reason, _violations, _coerced, _params, _incident, _fault, _score, _micros, _sampled, _lost, the input columns under their names, prediction and probability_CLASS.
The first 1,000 rows of the answer are printed ("truncated" in JSON when there are more); --out writes all of them.`,
		Args: cobra.ExactArgs(1),
		RunE: a.with("log query", func(ctx context.Context, s *session, args []string) error {
			if model == "" {
				model = s.p.Name
			}
			return s.logQuery(ctx, model, args[0], out)
		}),
	}
	query.Flags().StringVar(&model, "model", "", "`name` of the model; the project's without it")
	query.Flags().StringVarP(&out, "out", "o", "", "write the answer to this `file` (.csv, .jsonl, .parquet)")
	c.AddCommand(list, query, a.ingestCommand(), a.compactCommand())
	return c
}

// logSummaries looks at every model's log.
func (s *session) logSummaries(ctx context.Context) ([]logSummary, error) {
	models, err := s.st.Models(ctx)
	if err != nil {
		return nil, err
	}
	out := []logSummary{}
	for _, m := range models {
		t, err := s.logged(ctx, m.Name)
		if assay.CodeOf(err) == assay.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		l := logSummary{Model: m.Name, Rows: map[string]int64{}, Ended: map[string]int64{}}
		closed, open, err := serve.Segments(serve.LogDir(s.logDir(), m.Name))
		if err != nil {
			return nil, err
		}
		for _, path := range append(closed, open...) {
			l.Segments++
			if st, err := os.Stat(path); err == nil {
				l.Bytes += st.Size()
			}
		}
		r, err := t.Query(ctx, `SELECT _outcome, count(*) FILTER (_index >= 0), count(*) FILTER (_index <= 0), count(DISTINCT _request),
			coalesce(strftime(min(_at), '%Y-%m-%dT%H:%M:%SZ'), ''), coalesce(strftime(max(_at), '%Y-%m-%dT%H:%M:%SZ'), '') FROM `+t.Relation()+` GROUP BY 1 ORDER BY 1`)
		if err != nil {
			return nil, err
		}
		for r.Next() {
			var outcome, first, last string
			var rows, requests, named int64
			if err := r.Scan(&outcome, &rows, &requests, &named, &first, &last); err != nil {
				r.Close()
				return nil, err
			}
			l.Rows[outcome] += rows
			if outcome != "lost" {
				l.Requests += requests
				l.Ended[outcome] += requests
			}
			if outcome == "answered" {
				l.Repeated = requests - named
			}
			if l.First == "" || first < l.First {
				l.First = first
			}
			l.Last = max(l.Last, last)
		}
		if err := r.Close(); err != nil {
			return nil, err
		}
		gaps, err := gapsOf(ctx, t)
		if err != nil {
			return nil, err
		}
		l.Lost, l.Unclosed, l.Missing = gaps.Lost, gaps.Unclosed, gaps.Segments
		if err := t.Drop(ctx); err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// maxCellText is how many characters of a value a table on a terminal shows.
const maxCellText = 10_000

// maxAnswerRows is how many rows of a query are printed.
const maxAnswerRows = 1000

func (s *session) logQuery(ctx context.Context, model, sql, out string) error {
	file, err := s.output("--out", out)
	if err != nil {
		return err
	}
	t, err := s.logged(ctx, model)
	if err != nil {
		return err
	}
	if err := t.Named(ctx, "log"); err != nil {
		return err
	}
	if out != "" {
		v, err := t.Answer(ctx, sql)
		if err != nil {
			return err
		}
		if err := v.Write(ctx, file, nil, ""); err != nil {
			return err
		}
		s.say("%s", out)
		return nil
	}
	r, err := t.Query(ctx, sql)
	if err != nil {
		return assay.Errorf(assay.Invalid, "the query: %w", err)
	}
	defer r.Close()
	columns := r.Columns()
	rows := [][]any{}
	truncated := false
	for r.Next() {
		if truncated = len(rows) == maxAnswerRows; truncated {
			break
		}
		values, dest := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			dest[i] = &values[i]
		}
		if err := r.Scan(dest...); err != nil {
			return err
		}
		rows = append(rows, values)
	}
	if err := r.Err(); err != nil {
		return err
	}
	return s.print("assay.log.query/1", map[string]any{"columns": columns, "rows": rows, "truncated": truncated}, func(w io.Writer) {
		grid(w, func(tw *tabwriter.Writer) {
			heads := make([]string, len(columns))
			for i, c := range columns {
				heads[i] = one(c)
			}
			fmt.Fprintln(tw, strings.Join(heads, "\t"))
			for _, row := range rows {
				cells := make([]string, len(row))
				for i, v := range row {
					switch v := v.(type) {
					case nil:
					case time.Time:
						cells[i] = v.UTC().Format("2006-01-02T15:04:05.999999Z")
					default:
						cells[i] = assay.ShownLine(fmt.Sprint(v), maxCellText)
					}
				}
				fmt.Fprintln(tw, strings.Join(cells, "\t"))
			}
		})
		if truncated {
			fmt.Fprintf(w, "\nThere are more rows than these %s. Try: --out FILE\n", assay.FormatCount(maxAnswerRows))
		}
	})
}
