package cli

import (
	"context"
	"crypto/sha256"
	"encoding/json"
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

// ingestedFile remembers, in the folder of a model's log, which files are in it.
const ingestedFile = "ingested.json"

func (a *app) ingestCommand() *cobra.Command {
	var ref, format, single string
	var again bool
	var mapped []string
	c := &cobra.Command{
		Use: "ingest FILE…", Short: "Bring the predictions of another server into the log, so that monitors see them",
		Long: `Bring predictions that another server answered into the log of a version, so that its monitors see them. Formats: sagemaker (data capture,
JSON Lines), databricks (an inference table, Parquet or what else a table is) and table (a row for each prediction: CSV, JSON Lines or
Parquet, with --map where columns have other names). The rows are held against the version's schemas; what
cannot be read is counted, by reason, and written into the log as missing. A file is taken in once.`,
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

// ingest logs the exchanges of files as those of a version.
func (s *session) ingest(ctx context.Context, v store.Version, format, single string, columns map[string]string, files []string, again bool) (counts collect.Counts, err error) {
	nonce := strconv.FormatInt(s.Now().UnixNano(), 36)
	log, err := s.openLog(nonce)
	if err != nil {
		return counts, err
	}
	if log == nil {
		return counts, assay.Errorf(assay.Refused, "serve.log.off is set: there is no log to take predictions in")
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	server := serve.New(serve.Options{Clock: s.Now, Nonce: nonce, Log: log})
	b, err := s.boundVersion(ctx, server, v)
	if err != nil {
		return counts, err
	}
	server.Set(v.Name, b, b)
	defer server.Close(ctx)
	done, err := s.ingestedBefore(v.Name)
	if err != nil {
		return counts, err
	}
	rec := &collect.Recorder{Server: server, Edge: format, Single: single}
	for _, file := range files {
		path := s.path(file)
		d, err := fileDigest(path)
		if err != nil {
			return counts, err
		}
		if at, ok := done[d]; ok && !again {
			return counts, assay.Errorf(assay.Refused, "%s is in the log already, since %s", filepath.Base(file), at).Try("assay log ingest --again, which takes its rows in twice")
		}
		one := collect.Counts{}
		record := func(number int64, x *collect.Exchange) error {
			x.Model = v.Name
			for log.Waiting() > maxIngestWaiting { // the writer is behind; nobody waits for this
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(time.Millisecond):
				}
			}
			rows, err := rec.Record(x)
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
		switch format {
		case sagemakerFormat:
			read, err = s.ingestCapture(path, record)
		case databricksFormat:
			read, err = s.ingestTable(ctx, file, record)
		default:
			read, err = s.ingestRows(ctx, log, b, file, d, columns)
		}
		if err != nil {
			return counts, err
		}
		if missed := total(read.Skipped); missed > 0 {
			if err := server.Missed(v.Name, "", int(missed)); err != nil {
				return counts, err
			}
		}
		one.Add(read)
		if one.Exchanges == 0 {
			return counts, assay.Errorf(assay.Rejected, "%s has nothing that can be taken in as %s: %s", filepath.Base(file), format, reasons(one))
		}
		counts.Add(one)
		done[d] = s.Now().UTC().Format(time.RFC3339)
		if err := s.saveIngested(v.Name, done); err != nil {
			return counts, err
		}
	}
	return counts, nil
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

func (s *session) ingestCapture(path string, record func(int64, *collect.Exchange) error) (collect.Counts, error) {
	f, err := os.Open(path)
	if err != nil {
		return collect.Counts{}, assay.Errorf(assay.Unavailable, "%s cannot be read: %w", filepath.Base(path), err)
	}
	defer f.Close()
	return collect.Capture(f, record)
}

// ingestTable reads an inference table of Databricks, with its older or newer columns.
func (s *session) ingestTable(ctx context.Context, uri string, record func(int64, *collect.Exchange) error) (collect.Counts, error) {
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
	number := int64(1)
	for ; r.Next(); number++ {
		row := collect.InferenceRow{}
		if err := r.Scan(&row.ID, &row.Micros, &row.Status, &row.Took, &row.Request, &row.Response); err != nil {
			return counts, err
		}
		x, why := row.Exchange()
		if x == nil {
			counts.Skip(why, number)
			continue
		}
		if err := record(number, x); err != nil {
			return counts, err
		}
	}
	for n := number; n <= t.Rows(); n++ {
		counts.Skip("a row whose id was there", n)
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

// ingestedBefore are the files that were taken in: digest and time.
func (s *session) ingestedBefore(model string) (map[assay.Digest]string, error) {
	out := map[assay.Digest]string{}
	b, err := os.ReadFile(filepath.Join(serve.LogDir(s.logDir(), model), ingestedFile))
	if errors.Is(err, os.ErrNotExist) {
		return out, nil
	}
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		return nil, assay.Errorf(assay.Unavailable, "the list of files that were taken in cannot be read: %w", err)
	}
	return out, nil
}

func (s *session) saveIngested(model string, done map[assay.Digest]string) error {
	b, err := json.Marshal(done)
	if err != nil {
		return err
	}
	dir := serve.LogDir(s.logDir(), model)
	next := filepath.Join(dir, ingestedFile+".next")
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(next, b, 0o600)); err != nil {
		return assay.Errorf(assay.Unavailable, "the list of files that were taken in cannot be written: %w", err)
	}
	return os.Rename(next, filepath.Join(dir, ingestedFile))
}
