package metric_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/metric"
)

// TestDocumentation keeps docs/metrics.md equal to the registry; -update writes it.
func TestDocumentation(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# Metrics

<!-- Written by TestDocumentation of package metric with -update; do not edit. -->

A metric is named as in scikit-learn and means exactly what it means there; the group metrics are fairlearn's. The definition id says
from which version of the library on, by its release notes, the values are these, edge cases included; every stored score carries it,
so that two scores are compared only when they measure the same thing. ` + "`@assay/1`" + ` marks Assay's own.

A value that the data leaves undefined (one class, no positive, 0/0) is the library's conventional number, marked with the reason; a
gate takes it for undetermined, not for a measurement. NaN or infinite scores, probabilities outside [0,1] and negative weights are
refused. All metrics take weights except the ` + "`_ovo`" + ` ones; the greatest error takes them and does not use them. Values were checked against
scikit-learn 1.9.1 and fairlearn 0.15.0 at a relative tolerance of 1e-12.

| name | definition id | better | tasks | meaning |
|---|---|---|---|---|
`)
	for _, d := range metric.All() {
		better := "lower"
		if d.Higher {
			better = "higher"
		}
		var tasks []string
		for _, t := range d.Tasks {
			tasks = append(tasks, string(t))
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s |\n", d.Name, d.ID, better, strings.Join(tasks, ", "), strings.ReplaceAll(d.Doc, "|", "\\|"))
	}
	assaytest.Golden(t, "../../docs/metrics.md", []byte(b.String()))
}
