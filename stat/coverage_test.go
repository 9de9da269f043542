package stat_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/stat"
)

// The population of the coverage study: a positive row has score N(1, 1), a negative one N(0, 1); a second model adds N(0, 0.49) to
// the score; the probability is the true one; a row is predicted positive above threshold.
const (
	noise     = 0.7
	threshold = 0.8
)

type population struct{ prevalence float64 }

func (p population) probability(x float64) float64 {
	return 1 / (1 + math.Exp(0.5-x)*(1-p.prevalence)/p.prevalence)
}

// truths are the values of the metrics on the whole population, by the midpoint rule where there is no closed form.
func (p population) truths() map[string]float64 {
	pi := p.prevalence
	accuracy := func(sd float64) float64 {
		return pi*stat.NormalSF((threshold-1)/sd) + (1-pi)*stat.NormalCDF(threshold/sd)
	}
	tp, fp := pi*stat.NormalSF(threshold-1), (1-pi)*stat.NormalSF(threshold)
	var ap, logLoss, brier float64
	const step = 1e-3
	for x := -9.0; x < 10; x += step {
		mid := x + step/2
		f0, f1 := math.Exp(-mid*mid/2)/math.Sqrt(2*math.Pi), math.Exp(-(mid-1)*(mid-1)/2)/math.Sqrt(2*math.Pi)
		above := pi * stat.NormalSF(mid-1)
		ap += step * f1 * above / (above + (1-pi)*stat.NormalSF(mid))
		q := p.probability(mid)
		logLoss -= step * (pi*f1*math.Log(q) + (1-pi)*f0*math.Log1p(-q))
		brier += step * (pi*f1*(1-q)*(1-q) + (1-pi)*f0*q*q)
	}
	sd := math.Sqrt(1 + noise*noise)
	auc, second := stat.NormalCDF(1/math.Sqrt2), stat.NormalCDF(1/(sd*math.Sqrt2))
	return map[string]float64{
		"accuracy": accuracy(1), "recall": stat.NormalSF(threshold - 1), "F1": 2 * tp / (2*tp + fp + pi - tp), "AUC": auc, "AP": ap,
		"log loss": logLoss, "Brier": brier, "accuracy difference": accuracy(1) - accuracy(sd), "AUC difference": auc - second,
	}
}

// covered is one interval of one simulated set.
type covered struct{ metric, method string }

// simulate draws a set of n rows and returns its intervals. Replicates is the number of bootstrap replicates; 0 leaves the bootstrap out.
func (p population) simulate(t *testing.T, r stat.Rand, n, replicates int) map[covered]assay.Estimate {
	t.Helper()
	y, x, second := make([]bool, n), make([]float64, n), make([]float64, n)
	losses, briers := make([]float64, n), make([]float64, n)
	right1, right2 := make([]bool, n), make([]bool, n)
	cells := make([]int32, n)
	for i := range n {
		y[i], x[i] = r.Float64() < p.prevalence, r.Normal()
		if y[i] {
			x[i]++
		}
		second[i] = x[i] + noise*r.Normal()
		q := p.probability(x[i])
		truth, predicted := 0.0, x[i] > threshold
		if y[i] {
			truth = 1
			cells[i] = 2
			losses[i] = -math.Log(q)
		} else {
			losses[i] = -math.Log1p(-q)
		}
		briers[i] = (truth - q) * (truth - q)
		if predicted {
			cells[i]++
		}
		right1[i], right2[i] = predicted == y[i], (second[i] > threshold) == y[i]
	}
	const level = 0.95
	out := map[covered]assay.Estimate{}
	pair := stat.PairedOf(right1, right2)
	out[covered{"accuracy", "wilson"}] = stat.Proportion(float64(pair.Both+pair.First), float64(n), level, stat.Wilson)
	out[covered{"accuracy difference", "tango"}] = pair.Difference(level, stat.Tango)
	tally, err := stat.NewTally(cells, 4)
	if err != nil {
		t.Error(err)
		return nil
	}
	f1 := func(w []float64) float64 { return 2 * w[3] / (2*w[3] + w[1] + w[2]) }
	weights := make([]float64, 4)
	tally.Sum(nil, weights, nil)
	out[covered{"recall", "wilson"}] = stat.Proportion(weights[3], weights[2]+weights[3], level, stat.Wilson)
	d, err := stat.NewDeLong(y, x, second)
	if err != nil {
		t.Error(err)
		return nil
	}
	out[covered{"AUC", "delong"}] = d.Estimate(0, level, stat.AUCWald)
	out[covered{"AUC", "delong-logit"}] = d.Estimate(0, level, stat.AUCLogit)
	out[covered{"AUC", "default"}] = d.Estimate(0, level, "")
	out[covered{"AUC", "newcombe-area"}] = d.Estimate(0, level, stat.AUCNewcombe)
	out[covered{"AUC difference", "delong"}], _ = d.Difference(0, 1, level)
	out[covered{"log loss", "t"}] = stat.Mean(losses, level)
	out[covered{"Brier", "t"}] = stat.Mean(briers, level)
	if replicates == 0 {
		return out
	}
	ranking, err := stat.NewRanking(y, x)
	if err != nil {
		t.Error(err)
		return nil
	}
	sums, err := stat.NewTally(make([]int32, n), 1, losses)
	if err != nil {
		t.Error(err)
		return nil
	}
	reps, err := stat.Resampler{Seed: r.Uint64(), Replicates: replicates, Threads: 1}.Run(t.Context(), n, 4, func() stat.Evaluator {
		w, total, sum := make([]float64, 4), make([]float64, 1), make([]float64, 1)
		return func(counts []uint8, out []float64) {
			out[0], out[1] = ranking.Areas(counts)
			tally.Sum(counts, w, nil)
			out[2] = f1(w)
			sums.Sum(counts, total, sum)
			out[3] = sum[0] / total[0]
		}
	})
	if err != nil {
		t.Error(err)
		return nil
	}
	auc, ap := ranking.Areas(nil)
	jackAUC, jackAP := ranking.Jackknife()
	jackF1, jackLoss := make([]float64, n), make([]float64, n)
	loss := mean(losses)
	for i := range n {
		weights[cells[i]]--
		jackF1[i] = f1(weights)
		weights[cells[i]]++
		jackLoss[i] = (loss*float64(n) - losses[i]) / float64(n-1)
	}
	for s, metric := range []string{"AUC", "AP", "F1", "log loss"} {
		e := stat.Resampled{
			Value: []float64{auc, ap, f1(weights), loss}[s], Replicates: reps[s],
			Jackknife: [][]float64{[][]float64{jackAUC, jackAP, jackF1, jackLoss}[s]}, N: int64(n),
		}
		out[covered{metric, "percentile"}] = e.Estimate(level, stat.Percentile)
		out[covered{metric, "bca"}] = e.Estimate(level, stat.BCa)
	}
	return out
}

// coverage is how often, of the sets that gave an interval, it held the truth, and how many gave one.
type coverage struct{ hits, given, sets int }

func (c coverage) rate() float64 { return float64(c.hits) / float64(c.given) }

func (p population) study(t *testing.T, n, sets, replicates int) map[covered]coverage {
	t.Helper()
	truths := p.truths()
	var mu sync.Mutex
	var wait sync.WaitGroup
	out := map[covered]coverage{}
	threads := runtime.GOMAXPROCS(0)
	for thread := range threads {
		wait.Go(func() {
			for set := thread; set < sets; set += threads {
				r := stat.NewRand(20, uint64(n), math.Float64bits(p.prevalence), uint64(set))
				estimates := p.simulate(t, r, n, replicates)
				mu.Lock()
				for k, e := range estimates {
					c := out[k]
					c.sets++
					if e.HasInterval() {
						c.given++
						if truth := truths[k.metric]; e.Lo <= truth && truth <= e.Hi {
							c.hits++
						}
					}
					out[k] = c
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return out
}

// coverageRows are the lines of the study's table, in order.
var coverageRows = []covered{
	{"accuracy", "wilson"},
	{"recall", "wilson"},
	{"accuracy difference", "tango"},
	{"AUC", "default"},
	{"AUC", "delong-logit"},
	{"AUC", "delong"},
	{"AUC", "newcombe-area"},
	{"AUC", "bca"},
	{"AUC", "percentile"},
	{"AUC difference", "delong"},
	{"AP", "bca"},
	{"AP", "percentile"},
	{"F1", "bca"},
	{"F1", "percentile"},
	{"log loss", "t"},
	{"log loss", "bca"},
	{"log loss", "percentile"},
	{"Brier", "t"},
}

// TestCoverage simulates sets from a known population and counts how often the intervals hold the truth. ASSAY_COVERAGE=docs makes it
// run the whole study, some minutes, and write its table; without it a small part runs.
func TestCoverage(t *testing.T) {
	where := os.Getenv("ASSAY_COVERAGE")
	if where == "" {
		const sets = 400
		got := population{0.3}.study(t, 200, sets, 200)
		for _, k := range coverageRows {
			c := got[k]
			// Three and a half standard errors of 400 sets, and the two points that the intervals promise.
			if r := c.rate(); c.given < sets*99/100 || r < 0.95-0.02-0.038 || r > 0.95+0.02+0.03 {
				t.Errorf("%s by %s covers %.1f %% of %d sets", k.metric, k.method, 100*r, c.given)
			}
		}
		return
	}
	const sets, replicates = 2000, 1000
	var b strings.Builder
	fmt.Fprintf(&b, "# Coverage of the 95 %% intervals\n\n")
	fmt.Fprintf(&b, "Share of %d simulated sets whose interval holds the true value, in percent; the standard error of a cell is 0.5 points.\n", sets)
	fmt.Fprintf(&b, "A cell outside 95 ± 2 is marked `!`: there the method does not hold what it says. `(n %%)` is the share of sets in which the\n")
	fmt.Fprintf(&b, "method gave an interval at all, where that is below 99.5 %%; the others say why they have none, and are not counted.\n\n")
	fmt.Fprintf(&b, "Population: scores N(1, 1) of positive and N(0, 1) of negative rows (AUC 0.760), labels drawn with the given prevalence;\n")
	fmt.Fprintf(&b, "bootstrap with %d multinomial replicates. The default interval of\n", replicates)
	fmt.Fprintf(&b, "an AUC is newcombe-area with fewer than %d rows of a class, else delong-logit. Command:\n`ASSAY_COVERAGE=docs go test ./stat -run TestCoverage -timeout 60m`.\n", stat.FewOfClass)
	for _, prevalence := range []float64{0.05, 0.2, 0.5} {
		sizes := []int{30, 100, 300, 1000}
		fmt.Fprintf(&b, "\n## Prevalence %g\n\n| metric | method |", prevalence)
		for _, n := range sizes {
			fmt.Fprintf(&b, " n = %d |", n)
		}
		fmt.Fprintf(&b, "\n|---|---|%s\n", strings.Repeat("---|", len(sizes)))
		results := make([]map[covered]coverage, len(sizes))
		for i, n := range sizes {
			results[i] = population{prevalence}.study(t, n, sets, replicates)
		}
		for _, k := range coverageRows {
			fmt.Fprintf(&b, "| %s | %s |", k.metric, k.method)
			for _, got := range results {
				c := got[k]
				if c.given < 100 {
					fmt.Fprintf(&b, " – (%.0f %%) |", 100*float64(c.given)/float64(c.sets))
					continue
				}
				mark := ""
				if math.Abs(c.rate()-0.95) > 0.02 {
					mark = " !"
				}
				if share := float64(c.given) / float64(c.sets); share < 0.995 {
					mark += fmt.Sprintf(" (%.0f %%)", 100*share)
				}
				fmt.Fprintf(&b, " %.1f%s |", 100*c.rate(), mark)
			}
			fmt.Fprintln(&b)
		}
	}
	path := filepath.Join(assaytest.Root(), where, "performance.d", "stat-coverage.md")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
