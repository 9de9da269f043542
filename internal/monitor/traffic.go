package monitor

import (
	"fmt"
	"math"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// Shares of the traffic that are tolerated where a plan says nothing else: more of it is an alarm, however small the budget is.
const (
	ToleratedRefused = 0.05 // of requests
	ToleratedFailed  = 0.01 // of requests
	ToleratedLost    = 0.01 // of rows
	minRequests      = 20   // that a share of requests says something of
)

// Tolerated are the shares of the traffic beyond which there is an alarm, 0 to 1; nil: the default. With 0 the first request is one.
type Tolerated struct{ Refused, Failed, Lost *float64 }

func (t *Tolerated) check(bad *assay.Problems) {
	for _, x := range []struct {
		name  string
		share **float64
		is    float64
	}{{"refused", &t.Refused, ToleratedRefused}, {"failed", &t.Failed, ToleratedFailed}, {"lost", &t.Lost, ToleratedLost}} {
		if *x.share == nil {
			*x.share = &x.is
		}
		if v := **x.share; !(v >= 0 && v <= 1) {
			bad.Add("a tolerated share of %v that is %s; want 0 to 1", v, x.name)
		}
	}
}

// signals watch what becomes of requests.
func (t Tolerated) signals() []assay.SignalPlan {
	one := func(kind, test, effect string, threshold float64, rows int64) assay.SignalPlan {
		return assay.SignalPlan{Scope: ScopeTraffic, Kind: kind, Test: test, Threshold: assay.Number(threshold), Effect: effect, Floor: assay.Number(math.NaN()), MinRows: rows, Persist: 1, Weight: 1}
	}
	return []assay.SignalPlan{
		one(KindVolume, "count", "rows", 1, 0), one(KindRefused, "binomial", "share of requests", *t.Refused, minRequests),
		one(KindFailed, "binomial", "share of requests", *t.Failed, minRequests), one(KindLost, "count", "share of rows", *t.Lost, 0),
	}
}

// Losses says in words which rows of a window were not answered, or are not in what was looked at; "" where there is nothing to say.
func Losses(w assay.Window) string {
	var out []string
	for _, x := range []struct {
		n    int64
		what string
	}{{w.Refused, "refused"}, {w.Failed, "failed"}, {w.Late, "late"}, {w.Lost, "lost"}} {
		if x.n > 0 {
			out = append(out, assay.FormatCount(x.n)+" rows "+x.what)
		}
	}
	if w.Lost > 0 {
		out[len(out)-1] += fmt.Sprintf(" (%s)", percent(float64(w.Lost)/float64(max(1, w.Rows+w.Lost))))
	}
	if w.Repeated > 0 {
		out = append(out, assay.FormatCount(w.Repeated)+" requests of an id that came before")
	}
	if w.Unclosed == 1 {
		out = append(out, "a segment of the log ended without being closed")
	} else if w.Unclosed > 1 {
		out = append(out, assay.FormatCount(w.Unclosed)+" segments of the log ended without being closed")
	}
	if w.Sampled > 0 && w.Sampled < 1 {
		out = append(out, percent(w.Sampled)+" of the answered rows were to be logged")
	}
	return strings.Join(out, ", ")
}

// unanswered holds the share of requests that were refused or failed, and that of rows which the log lost, against what is tolerated. That a request is
// refused says nothing of the next one, and its rows are refused together; so requests are counted, and the chance is that of as many where the share is
// what is tolerated. What is lost is known, and needs no test.
func unanswered(x assay.Signal, s assay.SignalPlan, h held) assay.Signal {
	with, what := h.log.refusedRequests, "requests were refused"
	x.N = h.log.requests
	switch s.Kind {
	case KindFailed:
		with, what = h.log.failedRequests, "requests failed"
	case KindLost:
		x.N, with, what = h.rows+h.log.lost, h.log.lost, "rows are not in the log"
	}
	if x.N < max(s.MinRows, 1) {
		return few(x, s)
	}
	share := float64(with) / float64(x.N)
	x.Statistic = assay.Number(share)
	x.Effect = stat.Proportion(float64(with), float64(x.N), 0.95, stat.Wilson)
	told := fmt.Sprintf("%s of %s %s; %s is tolerated", assay.FormatCount(with), assay.FormatCount(x.N), what, percent(float64(s.Threshold)))
	if s.Kind == KindLost {
		if x.Verdict = assay.Pass; share > float64(s.Threshold) {
			x.Verdict, x.Message = assay.Fail, told
		}
		return x
	}
	x.PValue = assay.Number(stat.BinomialTest(with, x.N, float64(s.Threshold), stat.Greater).P)
	x.Message = told
	return x
}
