package serve

import (
	"fmt"
	"math"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// A Comparison holds two versions against each other on live traffic: a candidate (canary or shadow) and the live one. Pairs are
// requests that both evaluated, one of them to answer and the other for the comparison alone. It is safe for concurrent use.
type Comparison struct {
	candidate *Bound
	live      *Bound
	classes   []int32 // the candidate's class for each of the live version's; -1 for none
	positive  [2]int  // of candidate and live; -1 without one

	lock      sync.Mutex
	arms      [2]arm      // live, candidate
	pairs     stat.Paired // of requests: First are those where only the candidate failed
	rows      int64
	agree     int64
	positives stat.Paired // of rows: First are those that only the candidate calls positive
	n         float64     // of score differences
	mean, m2  float64
	spent     [2]histogram // time of evaluation, of pairs
	dropped   int64
	trial     *Trial
	shadow    bool // nothing is drawn
}

// An arm is what one version answered.
type arm struct {
	requests, failed, refused int64
	took                      histogram
}

// A histogram counts times by latencyBounds.
type histogram struct {
	counts [32]int64
	n      int64
}

func (h *histogram) add(d time.Duration) {
	h.counts[sort.SearchFloat64s(latencyBounds, d.Seconds())]++
	h.n++
}

// quantile is the upper bound of the cell in which the quantile lies, in seconds; NaN without values.
func (h *histogram) quantile(p float64) float64 {
	if h.n == 0 {
		return math.NaN()
	}
	var sum int64
	for i, c := range h.counts {
		if sum += c; float64(sum) >= p*float64(h.n) && i < len(latencyBounds) {
			return latencyBounds[i]
		}
	}
	return math.Inf(1)
}

func newComparison(candidate, live *Bound, trial *Trial) *Comparison {
	c := &Comparison{candidate: candidate, live: live, positive: [2]int{-1, -1}, trial: trial}
	for _, name := range live.Classes {
		c.classes = append(c.classes, int32(slices.Index(candidate.Classes, name)))
	}
	if live.Task == assay.Binary && len(live.Classes) == 2 {
		name := live.Positive
		if name == "" {
			name = live.Classes[1]
		}
		c.positive = [2]int{slices.Index(candidate.Classes, name), slices.Index(live.Classes, name)}
	}
	return c
}

// Candidate returns the version that is held against the live one.
func (c *Comparison) Candidate() *Bound { return c.candidate }

func (c *Comparison) arm(candidate, failed, refused bool, took time.Duration) {
	c.lock.Lock()
	defer c.lock.Unlock()
	a := &c.arms[0]
	if candidate {
		a = &c.arms[1]
	}
	a.requests++
	a.took.add(took)
	if failed {
		a.failed++
	}
	if refused {
		a.refused++
	}
}

func (c *Comparison) drop() {
	c.lock.Lock()
	c.dropped++
	c.lock.Unlock()
}

// A side is what one version said of a request.
type side struct {
	out    *Output
	failed bool
	spent  time.Duration
}

// pair notes a request that both evaluated. scores says that both answers are those of the models.
func (c *Comparison) pair(candidate, live side, rows int, scores bool) {
	c.lock.Lock()
	defer c.lock.Unlock()
	switch {
	case candidate.failed && live.failed:
		c.pairs.Both++
	case candidate.failed:
		c.pairs.First++
	case live.failed:
		c.pairs.Second++
	default:
		c.pairs.Neither++
	}
	c.spent[0].add(live.spent)
	c.spent[1].add(candidate.spent)
	if !scores {
		return
	}
	c.rows += int64(rows)
	if len(c.live.Classes) == 0 {
		for i, v := range live.out.Values {
			d := candidate.out.Values[i] - v
			if d == 0 {
				c.agree++
			}
			c.difference(d)
		}
		return
	}
	kc, kl := len(c.candidate.Classes), len(c.live.Classes)
	for i, label := range live.out.Labels {
		other := candidate.out.Labels[i]
		if c.classes[label] == other {
			c.agree++
		}
		pc, pl := c.positive[0], c.positive[1]
		if pl >= 0 {
			c.positives = count(c.positives, int(other) == pc, int(label) == pl)
		} else {
			pl, pc = int(label), int(c.classes[label])
		}
		if len(candidate.out.Proba) > 0 && len(live.out.Proba) > 0 && pc >= 0 {
			c.difference(candidate.out.Proba[i*kc+pc] - live.out.Proba[i*kl+pl])
		}
	}
}

func count(p stat.Paired, first, second bool) stat.Paired {
	switch {
	case first && second:
		p.Both++
	case first:
		p.First++
	case second:
		p.Second++
	default:
		p.Neither++
	}
	return p
}

func (c *Comparison) difference(d float64) {
	c.n++
	delta := d - c.mean
	c.mean += delta / c.n
	c.m2 += delta * (d - c.mean)
}

// worse says in words why the candidate answers less often than the live version, or "". The chance that any server ever says so of a candidate that is
// no worse is at most level, however often this is asked.
func (c *Comparison) worse(level float64) string {
	e := c.trial.Against()
	if !(e >= 1/level) {
		return ""
	}
	all, _ := c.trial.weigh()
	c.lock.Lock()
	defer c.lock.Unlock()
	cand, live, n := &c.arms[1], &c.arms[0], c.live.Number
	why := fmt.Sprintf("it failed in %d of %d requests, version %d in %d of %d", cand.failed, cand.requests, n, live.failed, live.requests)
	refused := fmt.Sprintf("it refused %d of %d requests, version %d %d of %d", cand.refused, cand.requests, n, live.refused, live.requests)
	if more := all[testRefused].EValue - all[testFailed].EValue; cand.refused > 0 && (more > 0 || more == 0 && cand.refused > cand.failed) {
		why = refused
	} else if cand.refused > 0 {
		why += "; " + refused
	}
	for i, of := range [tests]string{"requests that were drawn and failed", "requests that were drawn and refused", "rows that one alone did not answer, asked again,"} {
		if x := all[i]; x.N > 0 {
			why += fmt.Sprintf("; of %d %s %d are its own, where at most %.3g are expected", x.N, of, x.Own, float64(x.Expected))
		}
	}
	return why + fmt.Sprintf("; such or more by chance in at most %.2g of canaries that are no worse", 1/e)
}

// Compared is what a Comparison has seen so far. Differences are the candidate less the live version.
type Compared struct {
	Candidate         int            `json:"candidate"` // version
	Live              int            `json:"live"`      // version
	Answered          int64          `json:"answered"`  // requests by the candidate
	Failed            int64          `json:"failed"`    // of them: no answer, or one that must not be passed on
	Refused           int64          `json:"refused"`   // of them: refused by the input schema or the wire format
	LiveAnswered      int64          `json:"live_answered"`
	LiveFailed        int64          `json:"live_failed"`
	LiveRefused       int64          `json:"live_refused"`
	Pairs             int64          `json:"pairs"`        // requests that both evaluated
	Dropped           int64          `json:"dropped"`      // requests that the other version was not evaluated on for lack of room
	OnlyCandidate     int64          `json:"only_failed"`  // pairs in which the candidate alone failed or refused
	OnlyLive          int64          `json:"only_live"`    // pairs in which the live version alone did
	Rows              int64          `json:"rows"`         // of the pairs without a failure
	Agreement         assay.Estimate `json:"agreement"`    // share of rows with the same class, or exactly the same value
	Difference        assay.Estimate `json:"difference"`   // mean, of the positive class's probability, of that of the live version's class, or of the value
	PositiveRate      assay.Estimate `json:"positives"`    // difference of the shares of rows called positive
	FailureDifference assay.Estimate `json:"failure_rate"` // difference of the shares of pairs that failed
	EValue            assay.Number   `json:"e_value"`      // for the candidate answering less often, by what this server knows; 1/e bounds the chance that it ever sees that much of one that is no worse
	Tests             []Weighed      `json:"tests"`        // of which it is the mean; of a shadow the pairs alone
	Latency           [2]Latency     `json:"latency"`      // of evaluation in pairs: candidate, live
}

// Latency is upper bounds of quantiles in seconds.
type Latency struct {
	P50 assay.Number `json:"p50_seconds"`
	P99 assay.Number `json:"p99_seconds"`
}

// compareLevel is the coverage of the intervals of Compared.
const compareLevel = 0.95

// Compared returns what was seen so far. Rows of one request count as independent in its intervals.
func (c *Comparison) Compared() Compared {
	c.lock.Lock()
	defer c.lock.Unlock()
	all, e := c.trial.weigh()
	weighed := all[:]
	if c.shadow {
		weighed, e = all[testPairs:], float64(all[testPairs].EValue)
	}
	out := Compared{
		Candidate: c.candidate.Number, Live: c.live.Number,
		Answered: c.arms[1].requests, Failed: c.arms[1].failed, Refused: c.arms[1].refused,
		LiveAnswered: c.arms[0].requests, LiveFailed: c.arms[0].failed, LiveRefused: c.arms[0].refused,
		Pairs: c.pairs.N(), Dropped: c.dropped, OnlyCandidate: c.pairs.First, OnlyLive: c.pairs.Second, Rows: c.rows,
		Agreement:         stat.Proportion(float64(c.agree), float64(c.rows), compareLevel, ""),
		PositiveRate:      c.positives.Difference(compareLevel, ""),
		FailureDifference: c.pairs.Difference(compareLevel, ""),
		EValue:            assay.Number(e), Tests: weighed,
	}
	out.Difference = assay.Undefined("fewer than two rows", int64(c.n))
	if c.n > 1 {
		half := stat.TQuantile(0.5+compareLevel/2, c.n-1) * math.Sqrt(c.m2/(c.n-1)/c.n)
		out.Difference = assay.Estimate{Value: c.mean, Lo: c.mean - half, Hi: c.mean + half, Level: compareLevel, Method: "student-t", N: int64(c.n)}
	}
	for i := range out.Latency {
		h := &c.spent[1-i]
		out.Latency[i] = Latency{assay.Number(h.quantile(0.5)), assay.Number(h.quantile(0.99))}
	}
	return out
}
