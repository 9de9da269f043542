package eval

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
)

// A population draws rows of a known law: a binary task with two normal scores of which the first separates better, both probabilities
// off by a slope, or a regression with heavy tails.
type population struct {
	task  assay.Task
	share float64 // of positives
}

func (p population) draw(n int, r *stat.Rand) (*Truth, *Scores, *Scores) {
	t := &Truth{Task: p.task}
	a, b := &Scores{Name: "a"}, &Scores{Name: "b"}
	if p.task == assay.Regression {
		for range n {
			x, e := 2*r.Normal(), r.Normal()
			e *= math.Exp(0.4 * r.Normal())
			t.Value = append(t.Value, x+e)
			a.Value, b.Value = append(a.Value, 0.95*x), append(b.Value, 0.8*x+0.3*r.Normal())
		}
		return t, a, b
	}
	t.Classes, t.Positive = []string{"0", "1"}, 1
	prior := math.Log(p.share / (1 - p.share))
	for range n {
		var y float64
		if r.Float64() < p.share {
			y = 1
		}
		common := r.Normal()
		// The log odds of a score that is normal with means 0 and d: d·x − d²/2 + prior; the slope makes them overconfident.
		for m, s := range []*Scores{a, b} {
			d := 1.6 - 0.4*float64(m)
			x := d*y + 0.8*common + 0.6*r.Normal()
			v := 1 / (1 + math.Exp(-1.2*(d*x-d*d/2+prior)))
			s.Proba = append(s.Proba, 1-v, v)
		}
		t.Class = append(t.Class, int32(y))
	}
	return t, a, b
}

func coverageMetrics(task assay.Task) []string {
	if only := os.Getenv("ASSAY_COVERAGE_OF"); only != "" && task == assay.Binary {
		return strings.Split(only, ",")
	}
	if task == assay.Regression {
		return []string{"mean_absolute_error", "root_mean_squared_error", "median_absolute_error", "r2_score"}
	}
	return []string{
		"roc_auc_score", "average_precision_score", "log_loss", "brier_score_loss", "accuracy_score", "balanced_accuracy_score", "f1_score",
		"matthews_corrcoef", "precision_score", "recall_score", "expected_calibration_error",
	}
}

// threshold is the share of positives, so that a rare class is predicted at all.
func (p population) threshold() float64 {
	if p.task == assay.Regression {
		return 0
	}
	return p.share
}

// truth is the value of each metric, and of each gain, on a sample so large that its error does not matter.
func (p population) truth(metrics []string) (value, gain []float64) {
	const n = 2_000_000
	r := stat.NewRand(99)
	t, a, b := p.draw(n, &r)
	pa, pb := prepare(t, a, p.threshold()), prepare(t, b, p.threshold())
	for _, name := range metrics {
		d, _ := metric.Lookup(name)
		x, err := d.Score(pa.input)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		y, err := d.Score(pb.input)
		if err != nil {
			panic("BUG: " + err.Error())
		}
		sign := 1.0
		if !d.Higher {
			sign = -1
		}
		value, gain = append(value, x.Value), append(gain, sign*(x.Value-y.Value))
	}
	return value, gain
}

// covered is the share of intervals that hold the true value, and of sets that have an interval.
type covered struct{ held, had, gain, gains int }

func (p population) cover(t *testing.T, n, sets, replicates int, metrics []string) []covered {
	value, gain := p.truth(metrics)
	out := make([]covered, len(metrics))
	var mu sync.Mutex
	var wait sync.WaitGroup
	const workers = 2
	for w := range workers {
		wait.Go(func() {
			for set := w; set < sets; set += workers {
				r := stat.NewRand(7, uint64(n), math.Float64bits(p.share), uint64(set))
				truth, a, b := p.draw(n, &r)
				e, err := Evaluate(context.Background(), truth, a, b, Options{Metrics: metrics, Replicates: replicates, Seed: uint64(set), Threads: 1, Threshold: p.threshold()})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for i, m := range e.Metrics {
					if m.Estimate.HasInterval() {
						out[i].had++
						if m.Estimate.Lo <= value[i] && value[i] <= m.Estimate.Hi {
							out[i].held++
						}
					}
					if m.Gain.HasInterval() {
						out[i].gains++
						if m.Gain.Lo <= gain[i] && gain[i] <= m.Gain.Hi {
							out[i].gain++
						}
					}
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return out
}

// Intervals hold the true value about as often as they say.
func TestCoverage(t *testing.T) {
	p := population{assay.Binary, 0.3}
	metrics := []string{"roc_auc_score", "average_precision_score", "log_loss", "accuracy_score", "f1_score", "recall_score"}
	const sets = 300
	for i, c := range p.cover(t, 200, sets, 400, metrics) {
		// Four standard deviations of a binomial share about 95 %.
		const low = 0.95 - 4*0.0126
		if c.had < sets*98/100 || c.gains < sets*98/100 {
			t.Errorf("%s has an interval in %d and a gain's in %d of %d sets", metrics[i], c.had, c.gains, sets)
		}
		if v := float64(c.held) / float64(c.had); v < low {
			t.Errorf("%s covers %.3f", metrics[i], v)
		}
		if v := float64(c.gain) / float64(c.gains); v < low {
			t.Errorf("the gain in %s covers %.3f", metrics[i], v)
		}
	}
}

// The table of docs/performance.d/eval-coverage.md; it takes an hour, so it has a variable of its own.
func TestCoverageTable(t *testing.T) {
	if os.Getenv("ASSAY_COVERAGE") == "" {
		t.Skip("set ASSAY_COVERAGE=1 to simulate the coverage of all intervals")
	}
	const sets, replicates = 2000, 1000
	sizes := []int{50, 200, 1000}
	var b strings.Builder
	for _, ps := range [][]population{{{assay.Binary, 0.5}, {assay.Binary, 0.2}, {assay.Binary, 0.05}}, {{assay.Regression, 0}}} {
		if os.Getenv("ASSAY_COVERAGE_OF") != "" && ps[0].task == assay.Regression {
			continue
		}
		metrics := coverageMetrics(ps[0].task)
		rows := make([][]string, len(metrics))
		header := []string{"metric"}
		for _, p := range ps {
			for _, n := range sizes {
				head := fmt.Sprintf("n %d", n)
				if p.task == assay.Binary {
					head += fmt.Sprintf(", %g %% positive", 100*p.share)
				}
				header = append(header, head)
				for i, c := range p.cover(t, n, sets, replicates, metrics) {
					rows[i] = append(rows[i], cell(c.held, c.had, sets)+" / "+cell(c.gain, c.gains, sets))
				}
			}
		}
		fmt.Fprintf(&b, "| %s |\n|---%s|\n", strings.Join(header, " | "), strings.Repeat("|---", len(header)-1))
		for i, name := range metrics {
			fmt.Fprintf(&b, "| %s | %s |\n", name, strings.Join(rows[i], " | "))
		}
		b.WriteString("\n")
	}
	fmt.Println(b.String())
	if slices.Contains(strings.Split(b.String(), " "), "NaN") {
		t.Error("a cell has no interval at all")
	}
}

// cell writes a coverage in percent; in bold beyond two points of the nominal one; with the share of sets that had no interval.
func cell(held, had, sets int) string {
	if had == 0 {
		return "none"
	}
	v := 100 * float64(held) / float64(had)
	s := fmt.Sprintf("%.1f", v)
	if math.Abs(v-95) > 2 {
		s = "**" + s + "**"
	}
	if had < sets {
		s += fmt.Sprintf(" (%.1f %% without)", 100*float64(sets-had)/float64(sets))
	}
	return s
}
