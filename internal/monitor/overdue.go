package monitor

import (
	"fmt"
	"time"

	"github.com/assay-ml/assay"
)

// LabelsOverdue says of a window that has too few labels, although all of them should have come, how many it has and since when that is known; of every other
// window nothing.
func LabelsOverdue(plan assay.Monitor, o assay.Outcome, now time.Time) string {
	if !LabelsMissing(plan, o, now) {
		return ""
	}
	text := fmt.Sprintf("labels overdue: %s of %s have come, %s are asked for", assay.FormatCount(o.Labels.Labelled), assay.FormatCount(o.Labels.Coverage.N), percent(plan.Labels.MinCoverage))
	if end, err := o.Window.End.Time(); err == nil {
		text += "; all should have come by " + end.Add(time.Duration(plan.Labels.WithinSeconds)*time.Second).UTC().Format("2006-01-02 15:04 UTC")
	}
	return text
}
