package eval

import (
	"fmt"
	"math"
	"strings"

	"github.com/assay-ml/assay"
)

// holds is from how many rows, and rows of the rarest class, an interval was measured to hold what it says: at least 93 % where it says
// 95 %. The table is docs/performance.d/eval-coverage.md.
type holds struct {
	rows, class int64
	never       bool // at no size that was measured
	standing    bool // wants leastStanding rows behind the mean, leastDiffering behind its gain
}

// From how many rows behind a mean over queries, or over rows of several labels, and behind a gain in it, the interval was measured to hold;
// see scoring.standing. Below them it covers 80 to 95 %.
const (
	leastStanding  = 20
	leastDiffering = 15
)

// weightedRows is from how many effective rows the intervals of weighted rows were measured to hold.
const weightedRows = 2000

// holdsOf gives the sizes of a metric's interval, or of that of its gain.
func (x *scoring) holdsOf(m *measure, gain bool) holds {
	if x.s.w != nil && m.name != "expected_calibration_error" {
		// Measured with log-normal weights (sigma 0.8, so that the effective number is about half of the rows), for accuracy, AUC, log loss and F1:
		// 91 to 94 % at 160 and 530 effective rows, 94 to 96 % at 2,100.
		return holds{rows: weightedRows, class: 40}
	}
	switch name := m.name; {
	case m.rows != nil && !m.hits && x.s.isOfLists():
		return holds{standing: true}
	case name == "expected_calibration_error":
		return holds{never: true}
	case strings.HasPrefix(name, "average_precision_score") && gain:
		return holds{rows: 1000, class: 200}
	case name == "roc_auc_score_micro", x.s.t.Task == assay.Multilabel && strings.HasPrefix(name, "average_precision_score_"):
		return holds{class: 25}
	case name == "log_loss" && !gain:
		return holds{class: 40}
	case name == "log_loss", name == "brier_score_loss":
		return holds{class: 25}
	case strings.HasPrefix(name, "root_mean_squared_"):
		if gain {
			return holds{rows: 200}
		}
		return holds{rows: 1000}
	case name == "r2_score" && !gain, name == "explained_variance_score" && !gain:
		return holds{rows: 200}
	case m.table != nil && gain && !m.paired(), m.tabled && gain:
		return holds{class: 40}
	case m.table != nil && m.share == nil || m.tabled && !gain:
		return holds{class: 25}
	}
	return holds{}
}

// caution says why an interval must not be decided on: there are fewer rows than it was measured to hold with. It is empty when nothing
// stands against it.
func (x *scoring) caution(i int, gain bool) string {
	m := x.first[i]
	what := "the interval"
	if gain {
		what = "the interval of the gain"
	}
	h := x.holdsOf(m, gain)
	switch {
	case h.never:
		return what + " is not known to hold at any number of rows"
	case h.standing:
		which, least := "away from the metric's bound, and about %.0f are", leastStanding
		if gain {
			which, least = "in which the models differ, and about %.0f do", leastDiffering
		}
		if k := x.standing(i, gain); k < float64(least) {
			return fmt.Sprintf("%s is not known to hold below %d %s "+which, what, least, x.s.unitName(), math.Floor(k))
		}
	case x.s.effective() < float64(h.rows):
		return fmt.Sprintf("%s is not known to hold below %s%s %s", what, assay.FormatCount(h.rows), x.s.equal(), x.s.unitName())
	case h.class > 0 && x.s.rarest() < float64(h.class):
		return fmt.Sprintf("%s is not known to hold below %d%s rows of each class", what, h.class, x.s.equal())
	}
	return ""
}

// equal is the word for rows whose number is an effective one.
func (s *sample) equal() string {
	if s.w == nil {
		return ""
	}
	return " effective"
}

// rarest is the number of rows of the rarest class, of weighted rows the effective one; of a multilabel task that of the label, or of its
// absence, that is rarest. A task without classes has as many as there are rows.
func (s *sample) rarest() float64 {
	if !s.t.Task.Classifies() {
		return float64(s.n)
	}
	k, wide := len(s.t.Classes), s.t.wide()
	if wide > 1 {
		k *= 2
	}
	sum, square := make([]float64, k), make([]float64, k)
	for j := range s.n {
		w, i := s.weight(j), s.at(j)
		for c, y := range s.t.Class[i*wide : (i+1)*wide] {
			sum[2*c+int(y)] += w // of one class a row c is 0
			square[2*c+int(y)] += w * w
		}
	}
	least := float64(s.n)
	for c, w := range sum {
		if w > 0 {
			w *= w / square[c]
		}
		least = min(least, w)
	}
	return least
}

// trusted lets a verdict stand unless there is a caution: then it is undetermined, whichever way it went.
func trusted(v assay.Verdict, caution string) assay.Verdict {
	if caution != "" {
		return assay.Undetermined
	}
	return v
}
