package metric

import (
	"math"
	"strings"

	"github.com/assay-ml/assay"
)

// Range returns the least and the greatest value that the metric can have for a task, as its Doc says them; ±Inf where there is no
// bound. An interval reaches no further.
func (d Definition) Range(task assay.Task) (least, greatest float64) {
	inf := math.Inf(1)
	switch d.Name {
	case "matthews_corrcoef":
		return -1, 1
	case "brier_score_loss":
		if task == assay.Multiclass {
			return 0, 2
		}
		return 0, 1
	case "positive_likelihood_ratio", "negative_likelihood_ratio", "log_loss", "coverage_error":
		return 0, inf
	case "r2_score", "explained_variance_score":
		return -inf, 1
	}
	switch {
	case strings.HasPrefix(d.Name, "dcg_score"):
		return 0, inf
	case strings.HasPrefix(d.Name, "d2_"), strings.HasPrefix(d.Name, "cohen_kappa_"):
		return -inf, 1
	case d.Input == NeedValues:
		return 0, inf
	}
	return 0, 1
}

// Cut returns the interval cut at the metric's range. What it has no number for stays as it is.
func (d Definition) Cut(task assay.Task, e assay.Estimate) assay.Estimate {
	least, greatest := d.Range(task)
	if e.Lo < least {
		e.Lo = least
	}
	if e.Hi > greatest {
		e.Hi = greatest
	}
	return e
}

// CutDifference returns the interval of a difference of two values of the metric, cut at what the width of its range allows.
func (d Definition) CutDifference(task assay.Task, e assay.Estimate) assay.Estimate {
	least, greatest := d.Range(task)
	width := greatest - least
	e.Lo, e.Hi = max(e.Lo, -width), min(e.Hi, width) // NaN stays
	return e
}
