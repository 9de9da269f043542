package eval

import (
	"context"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
)

// A population draws rows of a known law: a binary task with two normal scores of which the first separates better, both probabilities
// off by a slope, or a regression with heavy tails.
type population struct {
	task   assay.Task
	share  float64 // of positives, of labels that are true, of documents that are relevant
	better float64 // of lists: how much more the models separate than those of two classes
	graded bool    // of a ranking: relevances are grades
}

func (p population) draw(n int, r *stat.Rand) (*Truth, *Scores, *Scores) {
	switch p.task {
	case assay.Multilabel:
		return p.drawLabels(n, r)
	case assay.Ranking:
		return p.drawQueries(n, r)
	}
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

// coverageMetrics are those of the table; ASSAY_COVERAGE_OF names some of them.
func coverageMetrics(task assay.Task) []string {
	all := map[assay.Task][]string{
		assay.Binary: {
			"roc_auc_score", "average_precision_score", "log_loss", "brier_score_loss", "accuracy_score", "balanced_accuracy_score", "f1_score",
			"matthews_corrcoef", "precision_score", "recall_score", "expected_calibration_error",
		},
		assay.Regression: {"mean_absolute_error", "root_mean_squared_error", "median_absolute_error", "r2_score"},
		assay.Multilabel: {
			"roc_auc_score_macro", "roc_auc_score_micro", "average_precision_score_macro", "average_precision_score_micro", "f1_score_macro",
			"f1_score_micro", "precision_score_macro", "accuracy_score", "hamming_loss", "ndcg_score", "label_ranking_average_precision_score", "coverage_error", "label_ranking_loss",
		},
		assay.Ranking: {
			"ndcg_score", "ndcg_score_k_3", "dcg_score_k_10", "mean_average_precision", "mean_reciprocal_rank",
			"label_ranking_average_precision_score", "coverage_error", "label_ranking_loss",
		},
	}[task]
	if only := os.Getenv("ASSAY_COVERAGE_OF"); only != "" {
		return slices.DeleteFunc(all, func(name string) bool { return !slices.Contains(strings.Split(only, ","), name) })
	}
	return all
}

// threshold is the share of positives, so that a rare class is predicted at all.
func (p population) threshold() float64 {
	if !p.task.Classifies() {
		return 0
	}
	return p.share
}

// truth is the value of each metric, and of each gain, on a sample so large that its error does not matter.
func (p population) truth(metrics []string) (value, gain []float64) {
	n := 2_000_000
	if p.task == assay.Multilabel {
		n = 400_000 // of five cells each; the error is a twentieth of that of 1000 rows
	}
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

// A covered counts the sets whose interval holds the true value, those that have an interval, and those whose interval comes with a caution.
type covered struct{ own, gain tried }

type tried struct{ held, had, warned int }

func (c *tried) add(e assay.Estimate, truth float64, warned bool) {
	if !e.HasInterval() {
		return
	}
	c.had++
	if e.Lo <= truth && truth <= e.Hi {
		c.held++
	}
	if warned {
		c.warned++
	}
}

// evaluate gives the metrics of an evaluation; of several labels without the table label by label, whose intervals are those of two classes.
func (p population) evaluate(t *Truth, a, b *Scores, o Options) ([]assay.Metric, error) {
	if p.task != assay.Multilabel {
		e, err := Evaluate(context.Background(), t, a, b, o)
		return e.Metrics, err
	}
	o = o.withDefaults()
	defs, err := definitions(o.Metrics)
	if err != nil {
		return nil, err
	}
	x, err := newScoring(newSample(t, nil), prepare(t, a, o.Threshold), prepare(t, b, o.Threshold), "", defs, o)
	if err != nil {
		return nil, err
	}
	if err := bootstrap(context.Background(), t, o, x); err != nil {
		return nil, err
	}
	out := make([]assay.Metric, len(defs))
	for i := range defs {
		out[i] = x.metric(i)
	}
	return out, nil
}

func (c *covered) add(m assay.Metric, value, gain float64) {
	c.own.add(m.Estimate, value, strings.HasPrefix(m.Caution, "the interval is"))
	c.gain.add(m.Gain, gain, strings.Contains(m.Caution, "the interval of the gain"))
}

func (p population) cover(t *testing.T, n, sets, replicates int, metrics []string, value, gain []float64) []covered {
	out := make([]covered, len(metrics))
	var mu sync.Mutex
	var wait sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		wait.Go(func() {
			for set := w; set < sets; set += workers {
				r := stat.NewRand(7, uint64(n), math.Float64bits(p.share), uint64(set))
				truth, a, b := p.draw(n, &r)
				rows, err := p.evaluate(truth, a, b, Options{Metrics: metrics, Replicates: replicates, Seed: uint64(set), Threads: 1, Threshold: p.threshold()})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for i, m := range rows {
					out[i].add(m, value[i], gain[i])
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return out
}

// coverMeans is cover for metrics that are means of one number a row of lists. The numbers of a large population are computed once, sets are
// drawn of its rows, and their intervals and cautions are those of an evaluation.
func (p population) coverMeans(t *testing.T, sizes []int, sets int, metrics []string) [][]covered {
	const pool = 100_000
	r := stat.NewRand(99)
	truth, a, b := p.draw(pool, &r)
	truth = truth.fold()
	pa, pb := prepare(truth, a, p.threshold()), prepare(truth, b, p.threshold())
	defs, err := definitions(metrics)
	if err != nil {
		t.Fatal(err)
	}
	draw := func(rows []int32) *scoring {
		x := &scoring{s: &sample{t: truth, rows: rows, n: len(rows)}, o: Options{Metrics: metrics}.withDefaults(), a: pa, b: pb}
		for _, d := range defs {
			m, err := x.s.measure(d, pa, true)
			if err != nil {
				t.Fatal(err)
			}
			w, err := x.s.measure(d, pb, true)
			if err != nil {
				t.Fatal(err)
			}
			if err := x.add(m, w); err != nil {
				t.Fatal(err)
			}
		}
		return x
	}
	all := make([]int32, pool)
	for i := range all {
		all[i] = int32(i)
	}
	whole := draw(all)
	out := make([][]covered, len(sizes))
	for k, n := range sizes {
		out[k] = make([]covered, len(metrics))
		rows := make([]int32, n)
		for set := range sets {
			r := stat.NewRand(7, uint64(n), math.Float64bits(p.share), uint64(set))
			for j := range rows {
				rows[j] = int32(r.Intn(pool))
			}
			slices.Sort(rows)
			x := draw(rows)
			for i, d := range defs {
				gain := whole.first[i].value - whole.second[i].value
				if !d.Higher {
					gain = -gain
				}
				out[k][i].add(x.metric(i), whole.first[i].value, gain)
			}
		}
	}
	return out
}

// isOfMeans reports whether coverMeans takes the metric.
func (p population) isOfMeans(name string) bool {
	d, _ := metric.Lookup(name)
	return d.IsMean() && (p.task == assay.Multilabel || p.task == assay.Ranking)
}

// table is the coverage of metrics at some sizes of sets.
func (p population) table(t *testing.T, sizes []int, sets, replicates int, metrics []string) [][]covered {
	var means, others []string
	for _, name := range metrics {
		if p.isOfMeans(name) {
			means = append(means, name)
		} else {
			others = append(others, name)
		}
	}
	out := make([][]covered, len(sizes))
	if len(others) > 0 {
		value, gain := p.truth(others)
		for k, n := range sizes {
			began := time.Now()
			out[k] = p.cover(t, n, sets, replicates, others, value, gain)
			t.Logf("n %d, %s: %v", n, p, time.Since(began).Round(time.Millisecond))
		}
	}
	if len(means) > 0 {
		for k, c := range p.coverMeans(t, sizes, sets, means) {
			out[k] = append(out[k], c...)
		}
	}
	return out
}

// Intervals hold the true value about as often as they say.
func TestCoverage(t *testing.T) {
	p := population{task: assay.Binary, share: 0.3}
	metrics := []string{"roc_auc_score", "average_precision_score", "log_loss", "accuracy_score", "f1_score", "recall_score"}
	const sets = 300
	value, gain := p.truth(metrics)
	for i, c := range p.cover(t, 200, sets, 400, metrics, value, gain) {
		// Four standard deviations of a binomial share about 95 %.
		const low = 0.95 - 4*0.0126
		for what, c := range map[string]tried{"the interval": c.own, "the gain's interval": c.gain} {
			if c.had < sets*98/100 {
				t.Errorf("%s of %s is in %d of %d sets", what, metrics[i], c.had, sets)
			}
			if v := float64(c.held) / float64(c.had); v < low {
				t.Errorf("%s of %s covers %.3f", what, metrics[i], v)
			}
		}
	}
}

// coverageTables are the populations of the table, and the sizes of the sets drawn of them.
var coverageTables = []struct {
	title string
	sizes []int
	of    []population
}{
	{"Two classes", []int{50, 200, 1000}, []population{{task: assay.Binary, share: 0.5}, {task: assay.Binary, share: 0.2}, {task: assay.Binary, share: 0.05}}},
	{"Regression", []int{50, 200, 1000}, []population{{task: assay.Regression}}},
	// Metrics that are no means of rows come first in the list of a multilabel task, as in the table.
	{"Several labels a row", []int{50, 200, 1000}, []population{
		{task: assay.Multilabel, share: 0.5}, {task: assay.Multilabel, share: 0.2}, {task: assay.Multilabel, share: 0.05},
	}},
	{"Rankings", []int{20, 50, 200, 1000}, []population{{task: assay.Ranking, share: 0.5}, {task: assay.Ranking, share: 0.2}, {task: assay.Ranking, share: 0.05}}},
	{"Rankings, nearly perfect models", []int{50, 200, 1000}, []population{
		{task: assay.Ranking, share: 0.5, better: 2}, {task: assay.Ranking, share: 0.2, better: 2}, {task: assay.Ranking, share: 0.05, better: 2},
	}},
	{"Rankings of grades", []int{20, 50, 200, 1000}, []population{{task: assay.Ranking, share: 0.3, graded: true}}},
}

func (p population) String() string {
	switch p.task {
	case assay.Binary:
		return fmt.Sprintf("%g %% positive", 100*p.share)
	case assay.Multilabel:
		return fmt.Sprintf("%g %% true", 100*p.share)
	case assay.Ranking:
		return fmt.Sprintf("%g %% relevant", 100*p.share)
	}
	return ""
}

// The tables of docs/performance.d/eval-coverage.md; they take hours, so they have a variable of their own: ASSAY_COVERAGE is how many sets
// are drawn of a cell, 1 for 2000. ASSAY_COVERAGE_TASK, ASSAY_COVERAGE_SIZES and ASSAY_COVERAGE_OF name a task, sizes and metrics, to do a part.
func TestCoverageTable(t *testing.T) {
	sets, err := strconv.Atoi(os.Getenv("ASSAY_COVERAGE"))
	if err != nil {
		t.Skip("set ASSAY_COVERAGE=1 to simulate the coverage of all intervals")
	}
	if sets == 1 {
		sets = 2000
	}
	const replicates = 1000
	for _, table := range coverageTables {
		task := table.of[0].task
		if only := os.Getenv("ASSAY_COVERAGE_TASK"); only != "" && only != string(task) {
			continue
		}
		metrics := coverageMetrics(task)
		if table.of[0].graded {
			metrics = slices.DeleteFunc(metrics, func(name string) bool { return !slices.Contains(gradedMetrics(), name) })
		}
		if len(metrics) == 0 {
			continue
		}
		sizes := table.sizes
		if only := os.Getenv("ASSAY_COVERAGE_SIZES"); only != "" {
			sizes = slices.DeleteFunc(slices.Clone(sizes), func(n int) bool { return !slices.Contains(strings.Split(only, ","), strconv.Itoa(n)) })
		}
		rows := make([][]string, len(metrics))
		header := []string{"metric"}
		for _, p := range table.of {
			for k, cells := range p.table(t, sizes, sets, replicates, metrics) {
				header = append(header, strings.TrimSuffix(fmt.Sprintf("n %d, %s", sizes[k], p), ", "))
				for i, c := range cells {
					rows[i] = append(rows[i], c.own.cell(sets)+" / "+c.gain.cell(sets))
				}
			}
		}
		fmt.Printf("## %s\n\n| %s |\n|---%s|\n", table.title, strings.Join(header, " | "), strings.Repeat("|---", len(header)-1))
		for i, name := range metrics {
			fmt.Printf("| %s | %s |\n", name, strings.Join(rows[i], " | "))
		}
		fmt.Println()
	}
}

// cell writes a coverage in percent; in bold beyond two points of the nominal one, with the share of sets whose interval came with a caution;
// with the share of sets that had no interval.
func (c tried) cell(sets int) string {
	if c.had == 0 {
		return "none"
	}
	v := 100 * float64(c.held) / float64(c.had)
	s := fmt.Sprintf("%.1f", v)
	if math.Abs(v-95) > 2 {
		s = "**" + s + "**"
		if c.warned > 0 {
			s += fmt.Sprintf(" (caution in %.0f %%)", 100*float64(c.warned)/float64(c.had))
		}
	}
	if c.had < sets {
		s += fmt.Sprintf(" (%.1f %% without)", 100*float64(sets-c.had)/float64(sets))
	}
	return s
}
