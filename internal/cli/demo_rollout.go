package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/store"
)

// The versions that the demo's rollouts are about.
const (
	demoLive     = "1" // in production all along
	demoNewcomer = "4" // the model of another team, which goes wrong
	demoNext     = "5" // passes the gate as well
)

const (
	demoCanaryBatch = 20   // rows of a request while a version is the canary
	demoCanaryMost  = 3000 // requests until the canary must be gone
	demoCanaryAfter = 50   // requests when it is
	demoWait        = 30 * time.Second
)

// canary sends requests, one after the other, until the server has taken the canary away by itself, and some more. A request that fails is
// sent again under another name, as a client would. The next request is sent when the pair of the last one is compared, so that the same
// requests give the same counts however fast the machine is.
func (d *demoRun) canary(ctx context.Context) error {
	x, err := d.live(ctx)
	if err != nil {
		return err
	}
	if _, err := d.compared(ctx, "the server follows", func(s demoSplit) bool { return s.Canary != nil }); err != nil {
		return err
	}
	by, failed, rows := map[string]int{}, 0, 0
	sent := int64(0) // that the two versions shared
	send := func(id string, from int) error {
		batch := make([]map[string]any, 0, demoCanaryBatch)
		for i := from; i < from+demoCanaryBatch; i++ {
			batch = append(batch, record(x, i%x.Rows()))
		}
		for try := 1; ; try++ {
			a, err := d.ask(ctx, id+"-"+strconv.Itoa(try), batch)
			if err != nil {
				return err
			}
			sent++
			if a.code == http.StatusOK {
				by[a.version]++
				rows += len(batch)
				return properAnswer(a.body, len(batch))
			}
			failed++
			if a.code != http.StatusInternalServerError || a.version != demoNewcomer || !strings.Contains(a.message, "incident") || try == 5 {
				return assay.Errorf(assay.Internal, "version %s answered a request with status %d: %s", a.version, a.code, a.message)
			}
		}
	}
	n, e := 0, 0.0
	for ; ; n++ {
		if n == demoCanaryMost {
			return assay.Errorf(assay.Internal, "the canary was not aborted in %d requests", n)
		}
		if err := send("canary-"+strconv.Itoa(n), n*demoCanaryBatch); err != nil {
			return err
		}
		s, err := d.compared(ctx, "the last request is compared", func(s demoSplit) bool {
			c := s.Canary
			return c == nil || c.Answered+c.LiveAnswered == sent && c.Pairs+c.Dropped == c.Answered
		})
		if err != nil {
			return err
		}
		if s.Canary == nil {
			break
		}
		if e = float64(s.Canary.EValue); s.Aborted != "" {
			break
		}
	}
	if _, err := d.compared(ctx, "the canary is gone", func(s demoSplit) bool { return s.Canary == nil }); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "%d requests of %d rows: version %s answered %d, version %s %d. %d failed, with the id of an incident, and were answered when they were sent again.\n",
		n+1, demoCanaryBatch, demoLive, by[demoLive], demoNewcomer, by[demoNewcomer], failed)
	fmt.Fprintf(d.out, "Then the server took the canary out of the traffic: e-value %.0f; the first server to judge aborts at %.0f, so that at most one in 100 canaries which are no worse is ever aborted, by however many servers.\n", e, serve.AbortsAt(1, serve.DefaultFalseAbort))
	was := by[demoNewcomer]
	for i := range demoCanaryAfter {
		if err := send("after-"+strconv.Itoa(i), (n+1+i)*demoCanaryBatch); err != nil {
			return err
		}
	}
	if by[demoNewcomer] != was || by[demoLive]+was != n+1+demoCanaryAfter {
		return assay.Errorf(assay.Internal, "answers by version after the abort: %v", by)
	}
	fmt.Fprintf(d.out, "The next %d requests: all answered by version %s. In all %s rows were answered, each with probabilities within 0 and 1 that sum to 1.\n", demoCanaryAfter, demoLive, assay.FormatCount(int64(rows)))
	return d.rollout(ctx)
}

// rollout prints what the store has on the canary that was aborted.
func (d *demoRun) rollout(ctx context.Context) error {
	w := d.World
	w.Dir, w.Stdout, w.Stderr = d.dir, io.Discard, io.Discard
	s, err := (&app{World: w}).open(ctx, "demo")
	if err != nil {
		return err
	}
	defer s.Close()
	rs, err := s.st.Find(ctx, store.Query{Kind: assay.KindRollout, Limit: 1})
	if err != nil {
		return err
	}
	if len(rs) == 0 {
		return assay.Errorf(assay.Internal, "the canary left no evidence")
	}
	p, err := assay.Decode[assay.Rollout](rs[0].Evidence)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "evidence %s: %s, %s of %s:%d beside version %d, %s: %s\n", rs[0].ID.Short(), rs[0].Kind, p.Mode, p.Name, p.Version, p.Against, p.Outcome, p.Reason)
	if p.Outcome != "aborted" || strconv.Itoa(p.Version) != demoNewcomer {
		return assay.Errorf(assay.Internal, "version %d was %s", p.Version, p.Outcome)
	}
	return nil
}

// demoSplit is what a server says of a canary.
type demoSplit struct {
	Canary  *serve.Compared `json:"canary"`
	Aborted string          `json:"aborted"`
}

// compared asks the server what it saw of the canary until ok.
func (d *demoRun) compared(ctx context.Context, what string, ok func(demoSplit) bool) (demoSplit, error) {
	ctx, cancel := context.WithTimeout(ctx, demoWait)
	defer cancel()
	for pause := time.Duration(0); ; pause = min(pause+50*time.Microsecond, 5*time.Millisecond) {
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, d.server.url+"/models/employment/split", nil)
		if err != nil {
			return demoSplit{}, assay.Errorf(assay.Internal, "a request cannot be made: %w", err)
		}
		r, err := http.DefaultClient.Do(q)
		if err != nil {
			return demoSplit{}, assay.Errorf(assay.Unavailable, "waiting until %s: %w", what, err)
		}
		var s demoSplit
		err = json.NewDecoder(r.Body).Decode(&s)
		r.Body.Close()
		if err != nil {
			return s, assay.Errorf(assay.Internal, "what the server says of its canary: %w", err)
		}
		if ok(s) {
			return s, nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return s, assay.Errorf(assay.Unavailable, "waited %v until %s", demoWait, what)
		}
	}
}

// A demoAnswer is how a request was answered.
type demoAnswer struct {
	code    int
	version string // that answered
	body    []byte
	message string // of an error
}

// ask sends rows under the name id.
func (d *demoRun) ask(ctx context.Context, id string, rows []map[string]any) (demoAnswer, error) {
	body, err := json.Marshal(map[string]any{"dataframe_records": rows})
	if err != nil {
		return demoAnswer{}, assay.Errorf(assay.Internal, "a request cannot be written: %w", err)
	}
	return askWith(ctx, http.DefaultClient, d.server.url, id, body)
}

func askWith(ctx context.Context, client *http.Client, url, id string, body []byte) (demoAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/invocations", bytes.NewReader(body))
	if err != nil {
		return demoAnswer{}, assay.Errorf(assay.Internal, "a request cannot be made: %w", err)
	}
	q.Header.Set("Content-Type", "application/json")
	if id != "" {
		q.Header.Set(serve.RequestIDHeader, id)
	}
	r, err := client.Do(q)
	if err != nil {
		return demoAnswer{}, assay.Errorf(assay.Unavailable, "the server did not answer: %w", err)
	}
	defer r.Body.Close()
	a := demoAnswer{code: r.StatusCode, version: r.Header.Get(serve.VersionHeader)}
	if a.body, err = io.ReadAll(io.LimitReader(r.Body, 16<<20)); err != nil {
		return a, assay.Errorf(assay.Unavailable, "the server's answer ends too early: %w", err)
	}
	if a.code != http.StatusOK {
		a.message = errorMessage(a.body)
	}
	return a, nil
}

// properAnswer holds that there is an answer for each row, whose probabilities are some.
func properAnswer(body []byte, rows int) error {
	var doc struct {
		Predictions []map[string]float64 `json:"predictions"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return assay.Errorf(assay.Internal, "an answer is not what it must be: %w", err)
	}
	if len(doc.Predictions) != rows {
		return assay.Errorf(assay.Internal, "%d answers for %d rows", len(doc.Predictions), rows)
	}
	for i, p := range doc.Predictions {
		sum := 0.0
		for name, v := range p {
			if name == serve.PredictionField {
				continue
			}
			if !(v >= 0 && v <= 1) {
				return assay.Errorf(assay.Internal, "row %d was answered with what is no probability", i)
			}
			sum += v
		}
		if !(math.Abs(sum-1) <= 1e-4) {
			return assay.Errorf(assay.Internal, "row %d was answered with probabilities that do not sum to 1", i)
		}
	}
	return nil
}
