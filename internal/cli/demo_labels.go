package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/table"
)

// labels sends what really happened to the server, by the key that the requests had.
func (d *demoRun) labels(ctx context.Context) error {
	e, err := table.Open(ctx, table.Options{})
	if err != nil {
		return err
	}
	defer e.Close()
	t, err := e.Read(ctx, filepath.Join(d.dir, "labels_*.parquet"), table.ReadOptions{})
	if err != nil {
		return err
	}
	x, err := t.Frame(ctx, []string{"id", "employed"}, "")
	if err != nil {
		return err
	}
	type label struct {
		Key   any `json:"key"`
		Label any `json:"label"`
	}
	began := d.Now()
	taken := 0
	for from := 0; from < x.Rows(); from += monitor.MaxLabels {
		var some []label
		for i := from; i < min(from+monitor.MaxLabels, x.Rows()); i++ {
			row := record(x, i)
			some = append(some, label{row["id"], row["employed"]})
		}
		n, err := d.postLabels(ctx, map[string]any{"labels": some})
		if err != nil {
			return err
		}
		taken += n
	}
	fmt.Fprintf(d.out, "%s labels in %.1f s, each on the disk before it was acknowledged\n", assay.FormatCount(int64(taken)), d.Now().Sub(began).Seconds())
	if taken != x.Rows() {
		return assay.Errorf(assay.Internal, "%d of %d labels were taken", taken, x.Rows())
	}
	return nil
}

// postLabels returns how many labels the server took.
func (d *demoRun) postLabels(ctx context.Context, doc any) (int, error) {
	body, err := json.Marshal(doc)
	if err != nil {
		return 0, assay.Errorf(assay.Internal, "the labels cannot be written: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, d.server.url+"/labels", bytes.NewReader(body))
	if err != nil {
		return 0, assay.Errorf(assay.Internal, "a request cannot be made: %w", err)
	}
	q.Header.Set("Content-Type", "application/json")
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, assay.Errorf(assay.Unavailable, "the server did not answer: %w", err)
	}
	defer r.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return 0, assay.Errorf(assay.Unavailable, "the server's answer ends too early: %w", err)
	}
	var got labelAnswer
	if r.StatusCode != http.StatusOK || json.Unmarshal(answer, &got) != nil {
		return 0, assay.Errorf(assay.Internal, "labels were answered with status %s: %s", strconv.Itoa(r.StatusCode), errorMessage(answer))
	}
	return got.Accepted, nil
}
