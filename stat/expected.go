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
	x := rankRows(predicted, score)
	c, auc := x.expect(versions[0])
	out := &Expected{TP: c[0], FP: c[1], FN: c[2], TN: c[3], Refits: make([][4]float64, len(versions)-1)}
	values := scoresOf(c, auc)
	refitted := make([][6]float64, len(versions)-1)
	parallel(len(refitted), func(v int) {
		c, auc := x.expect(versions[v+1])
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
	// The draws of one version follow each other, so that what they share is made once.
	shared := max(1, len(versions)-1)
	order := make([]int, 0, o.Draws)
	for v := range shared {
		for b := v; b < o.Draws; b += shared {
			order = append(order, b)
		}
	}
	parallelWith(o.Draws, func() func(i int) {
		bounds, of := make([]uint64, n), -1
		return func(i int) {
			b := order[i]
			if v := len(versions) - shared + b%shared; v != of {
				of = v
				x.bounds(versions[v], bounds)
			}
			out.Draws[b], areas[b] = x.draw(NewRand(o.Seed, uint64(b)), bounds)
		}
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
	if score == nil {
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

// rankedRows are rows by descending score.
type rankedRows struct {
	order     []int32  // rows
	predicted []uint64 // 1 for a row that is predicted positive, in that order
	positives int      // of them
	ties      []int32  // behind the last row of each score; nil without scores
}

func rankRows(predicted []bool, score []float64) *rankedRows {
	n := len(predicted)
	x := &rankedRows{order: make([]int32, n), predicted: make([]uint64, n)}
	for i := range x.order {
		x.order[i] = int32(i)
	}
	if score != nil {
		x.order = ascending(score)
		slices.Reverse(x.order)
		for i := range x.order {
			if i+1 == n || score[x.order[i]] != score[x.order[i+1]] {
				x.ties = append(x.ties, int32(i+1))
			}
		}
	}
	for i, row := range x.order {
		if predicted[row] {
			x.predicted[i] = 1
			x.positives++
		}
	}
	return x
}

// expect returns the confusion counts and the area under the curve, NaN without one, of labels that are probabilities.
func (x *rankedRows) expect(p []float64) (c [4]float64, auc float64) {
	var tp, fp, tieTP, tieFP, area float64 // cumulative by score
	tie := 0
	for i, row := range x.order {
		y := p[row]
		if x.predicted[i] == 1 {
			c[0] += y
			c[1] += 1 - y
		} else {
			c[2] += y
			c[3] += 1 - y
		}
		if x.ties != nil {
			tieTP += y
			tieFP += 1 - y
			if int(x.ties[tie]) == i+1 {
				tie++
				area += tieFP * (tp + tieTP/2)
				tp, fp, tieTP, tieFP = tp+tieTP, fp+tieFP, 0, 0
			}
		}
	}
	auc = math.NaN()
	if x.ties != nil && tp > 0 && fp > 0 {
		auc = area / (tp * fp)
	}
	return c, auc
}

// bounds writes below which of its 2^53 values a random number makes a row positive, in the order of the rows.
func (x *rankedRows) bounds(p []float64, out []uint64) {
	for i, row := range x.order {
		out[i] = uint64(math.Ceil(p[row] * 0x1p53))
	}
}

// draw is expect of labels that are drawn: a row is positive where its number of the generator lies below its bound. All sums are whole.
func (x *rankedRows) draw(r Rand, bounds []uint64) (c [4]float64, auc float64) {
	ties := x.ties
	if ties == nil {
		ties = []int32{int32(len(x.order))}
	}
	var hit, tp, fp, area uint64
	from := 0
	for _, to := range ties {
		order, bound, predicted := x.order[from:to], bounds[from:to], x.predicted[from:to]
		var tieTP uint64
		for i, row := range order {
			y := (r.Uint64At(uint64(row))>>11 - bound[i]) >> 63
			tieTP += y
			hit += y & predicted[i]
		}
		tieFP := uint64(len(order)) - tieTP
		area += tieFP * (2*tp + tieTP)
		tp, fp = tp+tieTP, fp+tieFP
		from = int(to)
	}
	n, positives := float64(len(x.order)), float64(x.positives)
	c[0], c[2] = float64(hit), float64(tp-hit)
	c[1], c[3] = positives-c[0], n-positives-c[2]
	auc = math.NaN()
	if x.ties != nil && tp > 0 && fp > 0 {
		auc = float64(area) / 2 / (float64(tp) * float64(fp))
	}
	return c, auc
}

// parallel calls f for 0 … n−1 on all processors.
func parallel(n int, f func(i int)) { parallelWith(n, func() func(int) { return f }) }

// parallelWith is parallel with a function for each goroutine, which may keep what its calls share.
func parallelWith(n int, each func() func(i int)) {
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		wait.Go(func() {
			f := each()
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
