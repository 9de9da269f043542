package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/collect"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/table"
)

// Formats of logs that can be ingested.
const (
	sagemakerFormat  = "sagemaker"
	databricksFormat = "databricks"
	tableFormat      = "table" // a row for each prediction
)

func (a *app) ingestCommand() *cobra.Command {
	var ref, format, single string
	var again bool
	var mapped []string
	c := &cobra.Command{
		Use: "ingest FILE…", Short: "Bring the predictions of another server into the log, so that monitors see them",
		Long: `Bring predictions that another server answered into the log of a version, so that its monitors see them. Formats: sagemaker (data capture,
JSON Lines), databricks (an inference table, Parquet or what else a table is) and table (a row for each prediction: CSV, JSON Lines or
Parquet, with --map where columns have other names). The rows are held against the version's schemas; what
cannot be read is counted, by reason, and written into the log as missing. A file is taken in once, and whole or not at all; an event that another
file of the log had (eventId, databricks_request_id, or the request of a table) is left out and counted.`,
		Args: cobra.MinimumNArgs(1),
		RunE: a.with("log ingest", func(ctx context.Context, s *session, args []string) error {
			if !slices.Contains([]string{sagemakerFormat, databricksFormat, tableFormat}, format) {
				return assay.Errorf(assay.Invalid, "--format is %q; want one of sagemaker, databricks, table", format)
			}
			columns, err := columnMap(mapped)
			if err != nil {
				return err
			}
			if len(columns) > 0 && format != tableFormat {
				return assay.Errorf(assay.Invalid, "--map is for --format table only")
			}
			v, err := s.version(ctx, ref)
			if err != nil {
				return err
			}
			counts, err := s.ingest(ctx, v, format, single, columns, args, again)
			if err != nil {
				return err
			}
			return s.print("assay.log.ingest/1", map[string]any{"version": versionName(v), "counts": counts}, func(w io.Writer) {
				fmt.Fprintf(w, "%s: %s requests with %s rows are in the log\n", versionName(v), assay.FormatCount(counts.Exchanges), assay.FormatCount(counts.Rows))
				reasons := []string{}
				for reason := range counts.Skipped {
					reasons = append(reasons, reason)
				}
				slices.Sort(reasons)
				for _, reason := range reasons {
					fmt.Fprintf(w, "  %s: %s, the first is number %d\n", reason, assay.FormatCount(counts.Skipped[reason]), counts.First[reason])
				}
			})
		}),
	}
	c.Flags().StringVar(&ref, "model", "", "`version` (NAME:NUMBER) that answered; the newest of the project's model without it")
	c.Flags().StringVar(&format, "format", "", "`format` of the files: sagemaker, databricks, table")
	c.Flags().StringSliceVar(&mapped, "map", nil, "of a table: `NAME=COLUMN` that holds it: time, request, key, prediction, probability_CLASS or an input column; may be repeated")
	c.Flags().StringVar(&single, "single", "", "what a single `value` of a classifier's answer is: label (default), probability of the positive class")
	c.Flags().BoolVar(&again, "again", false, "take a file in that was taken in before")
	return c
}

// maxIngestWaiting is how many bytes may wait for the log's writer before reading pauses.
const maxIngestWaiting = 8 << 20

// maxIngestedRows is how many rows an exchange of a file may have: it was answered already, whatever this server takes.
const maxIngestedRows = 1 << 20

// A relay hands finished calls to the log of the file that is being taken in.
type relay struct{ *serve.Log }

// ingest logs the exchanges of files as those of a version. Each file has pieces of the log of its own: where it cannot be taken in to its
// end they are removed, by this process or, when that was killed, by the next one that takes the file in.
func (s *session) ingest(ctx context.Context, v store.Version, format, single string, columns map[string]string, files []string, again bool) (counts collect.Counts, err error) {
	if s.p.Serve.Log.Off {
		return counts, assay.Errorf(assay.Refused, "serve.log.off is set: there is no log to take predictions in")
	}
	list, err := openIngested(serve.LogDir(s.logDir(), v.Name))
	if err != nil {
		return counts, err
	}
	defer list.close()
	nonce := strconv.FormatInt(s.Now().UnixNano(), 36)
	to := &relay{}
	server := serve.New(serve.Options{Clock: s.Now, Nonce: nonce, MaxRows: maxIngestedRows, Log: to})
	_, m, err := s.modelOf(ctx, v)
	if err != nil {
		return counts, err
	}
	bind := func() (*serve.Bound, error) { return s.boundVersion(ctx, server, v) }
	if onlyPredictions(m) {
		bind = func() (*serve.Bound, error) { return s.loggedOnly(ctx, server, v, m) }
	}
	b, err := bind()
	if err != nil {
		return counts, err
	}
	server.Set(v.Name, b, b)
	defer server.Close(ctx)
	known, err := list.events(again)
	if err != nil {
		return counts, err
	}
	x := &ingestion{seen: known, again: again, s: s, v: v, b: b, server: server, to: to, format: format, columns: columns, rec: &collect.Recorder{Server: server, Edge: format, Single: single}}
	for i, file := range files {
		d, err := fileDigest(s.path(file))
		if err != nil {
			return counts, err
		}
		if at, ok := list.done(d); ok && !again {
			return counts, assay.Errorf(assay.Refused, "%s is in the log already, since %s", filepath.Base(file), at).Try("assay log ingest --again, which takes its rows in twice")
		}
		own := nonce + "i" + strconv.Itoa(i)
		if err := list.begin(d, own); err != nil {
			return counts, err
		}
		one, err := x.file(ctx, file, d, own)
		if err != nil {
			return counts, errors.Join(err, list.undo(d))
		}
		counts.Add(one)
		if err := list.keep(d, known); err != nil {
			return counts, errors.Join(err, list.undo(d))
		}
		if err := list.end(d, s.Now()); err != nil {
			return counts, err
		}
		known.Settle()
	}
	return counts, nil
}

// An ingestion takes files in as predictions of one version.
type ingestion struct {
	s       *session
	v       store.Version
	b       *serve.Bound
	server  *serve.Server
	to      *relay
	rec     *collect.Recorder
	format  string
	columns map[string]string
	seen    *collect.Seen // events that the log has
	again   bool          // rows that are in the log are taken in once more
}

// file takes one file in, into pieces of the log whose names hold nonce. They are written when it returns.
func (x *ingestion) file(ctx context.Context, file string, d assay.Digest, nonce string) (one collect.Counts, err error) {
	log, err := x.s.openLog(nonce)
	if err != nil {
		return one, err
	}
	x.to.Log = log
	defer func() { err = errors.Join(err, log.Close()) }()
	record := func(number int64, e *collect.Exchange) error {
		e.Model = x.v.Name
		for log.Waiting() > maxIngestWaiting { // the writer is behind; nobody waits for this
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Millisecond):
			}
		}
		rows, err := x.rec.Record(e)
		switch code := assay.CodeOf(err); {
		case code == assay.NotFound || code == assay.Unavailable:
			return err
		case err != nil:
			one.Skip(err.Error(), number)
		default:
			one.Exchanges++
			one.Rows += int64(rows)
		}
		return nil
	}
	var read collect.Counts
	switch x.format {
	case sagemakerFormat:
		read, err = ingestCapture(x.s.path(file), x.seen, record)
	case databricksFormat:
		read, err = x.s.ingestTable(ctx, file, x.seen, record)
	default:
		read, err = x.rows(ctx, log, file, d)
	}
	if err != nil {
		return one, err
	}
	if missed := total(read.Skipped) - read.Skipped[collect.ReasonRepeated]; missed > 0 { // what is there already is not missing
		if err := x.server.Missed(x.v.Name, "", int(missed)); err != nil {
			return one, err
		}
	}
	one.Add(read)
	if one.Exchanges == 0 {
		return one, assay.Errorf(assay.Rejected, "%s has nothing that can be taken in as %s: %s", filepath.Base(file), x.format, reasons(one))
	}
	return one, nil
}

func total(m map[string]int64) (n int64) {
	for _, k := range m {
		n += k
	}
	return n
}

// maxReasons is how many reasons an error lists.
const maxReasons = 5

func reasons(c collect.Counts) string {
	var all []string
	for reason, n := range c.Skipped {
		all = append(all, fmt.Sprintf("%s (%d, the first is number %d)", reason, n, c.First[reason]))
	}
	slices.Sort(all)
	if len(all) == 0 {
		return "it is empty"
	}
	out := all[0]
	for _, r := range all[1:min(len(all), maxReasons)] {
		out += "; " + r
	}
	return out
}

func ingestCapture(path string, seen *collect.Seen, record func(int64, *collect.Exchange) error) (collect.Counts, error) {
	f, err := os.Open(path)
	if err != nil {
		return collect.Counts{}, assay.Errorf(assay.Unavailable, "%s cannot be read: %w", filepath.Base(path), err)
	}
	defer f.Close()
	counts, err := collect.Capture(f, seen, record)
	return counts, ofFile(path, err)
}

// ofFile names the file in an error about what it holds.
func ofFile(path string, err error) error {
	if e := (&assay.Error{}); errors.As(err, &e) && e.Code == assay.Rejected {
		return &assay.Error{Code: e.Code, Msg: filepath.Base(path) + ": " + e.Msg, Hint: e.Hint, Err: e.Err}
	}
	return err
}

// ingestTable reads an inference table of Databricks, with its older or newer columns.
func (s *session) ingestTable(ctx context.Context, uri string, seen *collect.Seen, record func(int64, *collect.Exchange) error) (collect.Counts, error) {
	var counts collect.Counts
	e, err := s.tables(ctx)
	if err != nil {
		return counts, err
	}
	t, err := e.Read(ctx, s.path(uri), table.ReadOptions{})
	if err != nil {
		return counts, err
	}
	sql, err := collect.InferenceTable(t.Fields(), t.Relation())
	if err != nil {
		return counts, err
	}
	r, err := t.Query(ctx, sql)
	if err != nil {
		return counts, err
	}
	defer r.Close()
	for r.Next() {
		row := collect.InferenceRow{}
		if err := r.Scan(&row.ID, &row.Event, &row.Micros, &row.Status, &row.Took, &row.Request, &row.Response, &row.Sampled, &row.Number, &row.Again); err != nil {
			return counts, err
		}
		x, why := row.Exchange()
		if x != nil && !seen.Add(x.Event) {
			x, why = nil, collect.ReasonRepeated
		}
		if x == nil {
			counts.Skip(why, row.Number)
			continue
		}
		if err := record(row.Number, x); err != nil {
			return counts, err
		}
	}
	return counts, r.Err()
}

func fileDigest(path string) (assay.Digest, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", assay.Errorf(assay.NotFound, "%s cannot be read: %w", filepath.Base(path), err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", assay.Errorf(assay.Unavailable, "%s cannot be read: %w", filepath.Base(path), err)
	}
	return assay.DigestSum([sha256.Size]byte(h.Sum(nil))), nil
}
