package stat

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/assay-ml/assay"
)

// DefaultExpectedDraws is the number of simulated label sets of NewExpected when nobody asks for another.
const DefaultExpectedDraws = 1000

// ExpectedOptions say how NewExpected makes its intervals; the zero value is its default.
type ExpectedOptions struct {
	Level float64 // 0 means DefaultLevel
	Draws int     // 0 means DefaultExpectedDraws
	Seed  uint64
}

// An Expected is the performance of a binary classifier on rows whose labels are not known yet, from the probabilities that each row is
// positive. It is as good as these probabilities are calibrated on the rows at hand: it follows a change of the inputs, and is blind to
// a change of what the inputs mean (concept drift) and to regions that the calibration never saw. With more than one version of the
// probabilities the intervals hold the uncertainty of the calibration as well.
//
// The intervals are for the score that the labels will show on exactly these rows.
type Expected struct {
	TP, FP, FN, TN float64 // expected confusion counts
	Accuracy       assay.Estimate
	Precision      assay.Estimate
	Recall         assay.Estimate
	Specificity    assay.Estimate
	F1             assay.Estimate
	AUC            assay.Estimate
	Draws          [][4]float64 // TP, FP, FN, TN of each simulated label set: for the interval of any other score of the counts
	Refits         [][4]float64 // the same, expected under each version of the probabilities but the first: see RefitBias
}

// NewExpected estimates performance by confidence. versions holds one or more calibrated probabilities of the positive class a row: the
// first gives the values, less the bias that the others show (RefitBias), and the simulated label sets take the others in turn, so pass the
// calibration and, after it, those refitted on bootstrap replicates of the reference. predicted is the class that the model answered, score what it ranked by; nil leaves the AUC
// undefined.
//
// Values are the scores of the expected confusion counts, and for the AUC of the expected cumulative counts by descending score, equal
// scores together; equal to NannyML 0.13's CBPE on the same probabilities to its rounding (1e-5). Intervals are quantiles of the scores
// of label sets drawn from the probabilities. For the accuracy over more than two classes pass the probability of the predicted class
// and predicted true throughout: its precision is that accuracy.
//
// It refuses no rows, unequal lengths, probabilities outside [0, 1], undefined scores, and unusable options. A function of the seed;
// O(rows × draws) time.
func NewExpected(versions [][]float64, predicted []bool, score []float64, o ExpectedOptions) (*Expected, error) {
	if o.Level == 0 {
		o.Level = DefaultLevel
	}
	if o.Draws == 0 {
		o.Draws = DefaultExpectedDraws
	}
	var problems assay.Problems
	n := len(predicted)
	if n == 0 || len(versions) == 0 {
		problems.Add("no rows or no probabilities")
	}
	for v, p := range versions {
		if len(p) != n {
			problems.Add("%d probabilities in version %d for %d rows", len(p), v, n)
		}
		for i, x := range p {
			if !(x >= 0 && x <= 1) {
				problems.Add("probability %d of version %d is outside [0, 1]", i, v)
				break
			}
		}
	}
	if score != nil && len(score) != n {
		problems.Add("%d scores for %d rows", len(score), n)
	}
	if hasNaN(score) {
		problems.Add("undefined scores")
	}
	if badLevel(o.Level) || o.Draws < 20 {
		problems.Add("level %v, %d draws", o.Level, o.Draws)
	}
	if err := problems.Err(assay.Invalid, "cannot estimate performance without labels"); err != nil {
		return nil, err
	}
	// Rows by descending score, with the last row of each tie marked, so that a label set is one pass.
	order := make([]int32, n)
	last := make([]bool, n)
	for i := range order {
		order[i] = int32(i)
	}
	if score != nil {
		order = ascending(score)
		slices.Reverse(order)
		for i := range order {
			last[i] = i+1 == n || score[order[i]] != score[order[i+1]]
		}
	}
	ranked := score != nil
	pass := func(label func(row int32) float64) (c [4]float64, auc float64) {
		var tp, fp, tieTP, tieFP, area float64 // cumulative by score
		for i, row := range order {
			y := label(row)
			if predicted[row] {
				c[0] += y
				c[1] += 1 - y
			} else {
				c[2] += y
				c[3] += 1 - y
			}
			if ranked {
				tieTP += y
				tieFP += 1 - y
				if last[i] {
					area += tieFP * (tp + tieTP/2)
					tp, fp, tieTP, tieFP = tp+tieTP, fp+tieFP, 0, 0
				}
			}
		}
		auc = math.NaN()
		if ranked && tp > 0 && fp > 0 {
			auc = area / (tp * fp)
		}
		return c, auc
	}
	c, auc := pass(func(row int32) float64 { return versions[0][row] })
	out := &Expected{TP: c[0], FP: c[1], FN: c[2], TN: c[3], Refits: make([][4]float64, len(versions)-1)}
	values := scoresOf(c, auc)
	refitted := make([][6]float64, len(versions)-1)
	parallel(len(refitted), func(v int) {
		c, auc := pass(func(row int32) float64 { return versions[v+1][row] })
		out.Refits[v], refitted[v] = c, scoresOf(c, auc)
	})
	bias := make([]float64, len(values))
	for s := range values {
		of := make([]float64, len(refitted))
		for v := range refitted {
			of[v] = refitted[v][s]
		}
		bias[s] = RefitBias(values[s], of)
		values[s] -= bias[s]
	}
	draws := make([][]float64, len(values))
	out.Draws = make([][4]float64, o.Draws)
	areas := make([]float64, o.Draws)
	parallel(o.Draws, func(b int) {
		p, r := versions[b%len(versions)], NewRand(o.Seed, uint64(b))
		if len(versions) > 1 {
			p = versions[1+b%(len(versions)-1)]
		}
		out.Draws[b], areas[b] = pass(func(row int32) float64 {
			if r.Float64At(uint64(row)) < p[row] {
				return 1
			}
			return 0
		})
	})
	for b, c := range out.Draws {
		for s, v := range scoresOf(c, areas[b]) {
			if !math.IsNaN(v) {
				draws[s] = append(draws[s], v-2*bias[s]) // the refits are biased about the fit as the fit is about the truth
			}
		}
	}
	for s, e := range []*assay.Estimate{&out.Accuracy, &out.Precision, &out.Recall, &out.Specificity, &out.F1, &out.AUC} {
		*e = simulated(values[s], draws[s], o, int64(n))
	}
	if !ranked {
		out.AUC = assay.Undefined("no scores", int64(n))
	}
	return out, nil
}

// RefitBias estimates by how much a value is too large because the probabilities behind it were fitted to few rows: by as much as its values under
// refits to bootstrap replicates of these rows are larger than it (Efron and Tibshirani, 1993, chapter 10). It is 0 without refits and where a
// value is undefined.
func RefitBias(value float64, refits []float64) float64 {
	sum := 0.0
	for _, v := range refits {
		sum += v - value
	}
	if len(refits) == 0 || math.IsNaN(sum) {
		return 0
	}
	return sum / float64(len(refits))
}

// parallel calls f for 0 … n−1 on all processors.
func parallel(n int, f func(i int)) {
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		wait.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				f(i)
			}
		})
	}
	wait.Wait()
}

// scoresOf are accuracy, precision, recall, specificity, F1 and the area, NaN where 0/0.
func scoresOf(c [4]float64, auc float64) [6]float64 {
	tp, fp, fn, tn := c[0], c[1], c[2], c[3]
	return [6]float64{(tp + tn) / (tp + fp + fn + tn), tp / (tp + fp), tp / (tp + fn), tn / (tn + fp), 2 * tp / (2*tp + fp + fn), auc}
}

// simulated makes an estimate of a value and draws of it.
func simulated(value float64, draws []float64, o ExpectedOptions, n int64) assay.Estimate {
	switch {
	case math.IsNaN(value):
		return assay.Undefined("no row to score", n)
	case float64(o.Draws-len(draws)) > MaxUndefined*float64(o.Draws):
		return assay.Point(value, "no interval: undefined in too many simulated label sets", n)
	}
	slices.Sort(draws)
	lo, hi := Quantile(draws, (1-o.Level)/2), Quantile(draws, (1+o.Level)/2)
	return assay.Estimate{Value: value, Lo: math.Min(lo, value), Hi: math.Max(hi, value), Level: o.Level, Method: "cbpe", N: n}
}
