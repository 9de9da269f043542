package learn

import (
	"context"
	"math"
	"runtime"
	"slices"

	"github.com/assay-ml/assay"
)

// Objectives of gradient boosting: what a tree reduces, and what the raw score means.
const (
	ObjectiveBinary     = "binary"     // log loss of two classes; LinkLogit
	ObjectiveMulticlass = "multiclass" // log loss of K classes, K trees an iteration; LinkSoftmax
	ObjectiveSquared    = "squared"    // half squared error; LinkIdentity
	ObjectiveAbsolute   = "absolute"   // absolute error: the conditional median; LinkIdentity
	ObjectiveQuantile   = "quantile"   // pinball loss: the conditional quantile; LinkIdentity
	ObjectivePoisson    = "poisson"    // half Poisson deviance of counts and rates; LinkLog
)

// Defaults of BoostParams: those of scikit-learn's HistGradientBoosting, which LightGBM shares.
const (
	DefaultTrees           = 100
	DefaultLearningRate    = 0.1
	DefaultMaxLeafNodes    = 31
	DefaultMinSamplesLeaf  = 20
	DefaultMinChildHessian = 1e-3
	DefaultMaxBins         = 255
)

const (
	maxBoostRows      = 1 << 26 // keeps the integer sums of a histogram exact
	maxCategoryCode   = 1 << 24 // above it float32 skips integers
	maxBoostLeafNodes = 1 << 16
)

// BoostData is what a booster learns from. A feature column with codes is categorical, any other is numeric; NaN and code -1 are
// missing. Values are used at float32 precision, which is what an ONNX runtime sees.
type BoostData struct {
	Features assay.Frame
	Target   []float64 // a row's class index 0..Classes-1, or its value
	Weights  []float64 // not negative; nil weighs every row 1; a row of weight 0 is as good as absent

	// Validation, if set, is scored after every iteration; its own Validation is ignored. Its columns must be those of Features:
	// same order, kind and levels.
	Validation *BoostData
}

// BoostParams are the settings of FitBoosting. A zero value means the default.
type BoostParams struct {
	Objective       string  // one of the Objective constants; required
	Classes         int     // number of classes: 2 for binary, at least 2 for multiclass, 0 otherwise
	Quantile        float64 // in (0, 1), for ObjectiveQuantile only; required there
	Trees           int     // iterations, 1 to 100,000; default 100
	LearningRate    float64 // in (0, 1]; default 0.1
	MaxLeafNodes    int     // 2 to 65,536; default 31; trees grow leaf by leaf, best gain first
	MaxDepth        int     // splits from the root to any leaf; 0 is without limit
	MinSamplesLeaf  int     // rows, whatever they weigh; default 20
	MinChildHessian float64 // sum of second derivatives a leaf must hold; default 1e-3
	L2              float64 // added to the sum of second derivatives; default 0
	MinGain         float64 // a split must gain more than this; default 0
	MaxBins         int     // of the present values of a feature, 2 to 255; default 255
	RowFraction     float64 // of the rows drawn for each iteration without replacement, in (0, 1]; default 1
	FeatureFraction float64 // of the features drawn for each tree, in (0, 1]; default 1
	Patience        int     // stop after so many iterations without a better validation loss, keep the best; 0 keeps all trees

	ClassWeights []float64 // multiplies the weight of each class's rows; nil is 1 each
	Monotone     []int     // a feature's +1 (prediction never falls as it grows), -1 (never rises) or 0; nil is none
	Seed         uint64    // of the row and feature draws
	Threads      int       // default GOMAXPROCS; the result does not depend on it
}

// BoostReport is what happened while fitting.
type BoostReport struct {
	Iterations     int       // kept in the ensemble
	Grown          int       // grown before stopping
	Stopped        string    // why growing ended: "trees", "patience" or "no split"
	TrainingLoss   float64   // mean weighted loss of the kept ensemble on the training rows
	ValidationLoss []float64 // after each grown iteration; nil without validation
	BaseLoss       float64   // validation loss of the base score alone; NaN without validation
	Splits         []int     // times each feature was split on, kept trees only
	Gain           []float64 // total gain of each feature's splits, kept trees only
}

// FitBoosting fits gradient-boosted trees on histograms: Newton steps on at most 255 bins a feature, leaves split best gain first,
// the sibling's histogram by subtraction; missing values go to the side that gains more, categorical features are split into sets
// after sorting their categories by gradient (Fisher 1958). Thresholds are chosen so that float32 evaluation takes every training
// row the way float64 does.
//
// Gradients are rounded to integers relative to the largest of the iteration (30 bits, second derivatives at least 8) and summed
// exactly, so the ensemble is the same to the byte at any thread count. Source: Friedman (2001); Ke et al., LightGBM (2017);
// checked against scikit-learn's HistGradientBoosting and LightGBM by the quality both reach.
//
// A constant target, or features that allow no split, give an ensemble of one leaf of value 0 per output on top of the base score.
// Problems with data or parameters are reported together as assay.Invalid. A cancelled ctx ends the fit within one tree.
func FitBoosting(ctx context.Context, data BoostData, params BoostParams) (*Ensemble, BoostReport, error) {
	p := params.withDefaults()
	if err := checkBoosting(&data, &p); err != nil {
		return nil, BoostReport{}, err
	}
	data = data.withoutZeroWeights()
	b := newBooster(&data, &p)
	return b.fit(ctx)
}

func (p BoostParams) withDefaults() BoostParams {
	if p.Trees == 0 {
		p.Trees = DefaultTrees
	}
	if p.LearningRate == 0 {
		p.LearningRate = DefaultLearningRate
	}
	if p.MaxLeafNodes == 0 {
		p.MaxLeafNodes = DefaultMaxLeafNodes
	}
	if p.MinSamplesLeaf == 0 {
		p.MinSamplesLeaf = DefaultMinSamplesLeaf
	}
	if p.MinChildHessian == 0 {
		p.MinChildHessian = DefaultMinChildHessian
	}
	if p.MaxBins == 0 {
		p.MaxBins = DefaultMaxBins
	}
	if p.RowFraction == 0 {
		p.RowFraction = 1
	}
	if p.FeatureFraction == 0 {
		p.FeatureFraction = 1
	}
	if p.Threads == 0 {
		p.Threads = runtime.GOMAXPROCS(0)
	}
	if p.Objective == ObjectiveBinary && p.Classes == 0 {
		p.Classes = 2
	}
	return p
}

func (p *BoostParams) link() string {
	switch p.Objective {
	case ObjectiveBinary:
		return LinkLogit
	case ObjectiveMulticlass:
		return LinkSoftmax
	case ObjectivePoisson:
		return LinkLog
	}
	return LinkIdentity
}

// withoutZeroWeights returns data without the rows of weight 0.
func (d BoostData) withoutZeroWeights() BoostData {
	if !slices.Contains(d.Weights, 0) {
		return d
	}
	var keep []int
	for i, w := range d.Weights {
		if w > 0 {
			keep = append(keep, i)
		}
	}
	out := BoostData{Features: d.Features.Take(keep), Target: make([]float64, len(keep)), Weights: make([]float64, len(keep)), Validation: d.Validation}
	for j, i := range keep {
		out.Target[j], out.Weights[j] = d.Target[i], d.Weights[i]
	}
	return out
}

// A booster is the state of one fit.
type booster struct {
	p      *BoostParams
	data   *BoostData
	n      int
	loss   *boostLoss
	scores [][]float64 // of the training rows, one slice an output
	bins   *binnedFrame
	grower *grower
	out    *Ensemble
	report BoostReport
	gains  []treeGains // beside out.Trees

	valid       *boostLoss
	validScores [][]float64
}

// treeGains is what one tree's splits add to the report.
type treeGains []struct {
	feature int
	gain    float64
}

func newBooster(data *BoostData, p *BoostParams) *booster {
	b := &booster{p: p, data: data, n: data.Features.Rows()}
	b.loss = newBoostLoss(p, data.Target, data.Weights)
	base := b.loss.base()
	b.scores = startScores(base, b.n)
	b.out = &Ensemble{Outputs: len(base), Base: base, Link: p.link(), Inputs: len(data.Features)}
	b.bins = binFrame(data.Features, p.MaxBins, p.Threads)
	b.grower = newGrower(p, b.bins, b.n)
	if v := data.Validation; v != nil {
		b.valid = newBoostLoss(p, v.Target, v.Weights)
		b.validScores = startScores(base, len(v.Target))
	}
	return b
}

func startScores(base []float64, n int) [][]float64 {
	out := make([][]float64, len(base))
	for k := range out {
		out[k] = make([]float64, n)
		for i := range out[k] {
			out[k][i] = base[k]
		}
	}
	return out
}

func (b *booster) fit(ctx context.Context) (*Ensemble, BoostReport, error) {
	r := &b.report
	r.BaseLoss = math.NaN()
	best, bestLoss := 0, math.Inf(1)
	if b.valid != nil {
		r.BaseLoss = b.valid.mean(b.validScores)
		bestLoss = r.BaseLoss
	}
	r.Stopped = "trees"
	for r.Grown < b.p.Trees {
		if err := ctx.Err(); err != nil {
			return nil, BoostReport{}, err
		}
		split, err := b.iterate(ctx, r.Grown)
		if err != nil {
			return nil, BoostReport{}, err
		}
		if !split {
			r.Stopped = "no split"
			break
		}
		r.Grown++
		if b.valid == nil {
			continue
		}
		loss := b.valid.mean(b.validScores)
		r.ValidationLoss = append(r.ValidationLoss, loss)
		if loss < bestLoss {
			best, bestLoss = r.Grown, loss
		}
		if b.p.Patience > 0 && r.Grown-best >= b.p.Patience {
			r.Stopped = "patience"
			break
		}
	}
	r.Iterations = r.Grown
	if b.p.Patience > 0 {
		r.Iterations = best
	}
	b.finish()
	return b.out, b.report, nil
}

// iterate grows one tree an output and reports whether any of them has a split; if none has, nothing is added.
func (b *booster) iterate(ctx context.Context, iteration int) (bool, error) {
	outputs := len(b.scores)
	first := len(b.out.Trees)
	b.loss.prepare(b.scores, b.p.Threads)
	any := false
	for k := range outputs {
		b.grower.start(iteration, k)
		b.loss.fill(b.grower, b.scores, k, b.p.Threads)
		tree, gains, err := b.grower.grow(ctx, b.loss, k, b.scores[k])
		if err != nil {
			return false, err
		}
		any = any || len(tree.Nodes) > 1
		b.out.Trees = append(b.out.Trees, tree)
		b.gains = append(b.gains, gains)
	}
	if !any {
		b.out.Trees, b.gains = b.out.Trees[:first], b.gains[:first]
		return false, nil
	}
	if b.valid != nil {
		for t := first; t < len(b.out.Trees); t++ {
			tree := &b.out.Trees[t]
			addTree(tree, b.data.Validation.Features, b.validScores[tree.Output], b.p.Threads)
		}
	}
	return true, nil
}

// finish drops the trees after the best iteration, and fills the report.
func (b *booster) finish() {
	outputs := len(b.scores)
	keep := b.report.Iterations * outputs
	if keep < len(b.out.Trees) {
		for t := keep; t < len(b.out.Trees); t++ {
			tree := &b.out.Trees[t]
			for i := range tree.Nodes {
				tree.Nodes[i].Value = -tree.Nodes[i].Value
			}
			addTree(tree, b.data.Features, b.scores[tree.Output], b.p.Threads)
		}
		b.out.Trees, b.gains = slices.Clip(b.out.Trees[:keep]), b.gains[:keep]
	}
	b.report.Splits = make([]int, b.out.Inputs)
	b.report.Gain = make([]float64, b.out.Inputs)
	for _, g := range b.gains {
		for _, s := range g {
			b.report.Splits[s.feature]++
			b.report.Gain[s.feature] += s.gain
		}
	}
	b.report.TrainingLoss = b.loss.mean(b.scores)
	if len(b.out.Trees) == 0 {
		for k := range outputs {
			b.out.Trees = append(b.out.Trees, Tree{Output: k, Nodes: []Node{{Left: -1, Right: -1}}})
		}
	}
}

// addTree adds the tree's values to the scores of the frame's rows.
func addTree(t *Tree, f assay.Frame, scores []float64, threads int) {
	inParts(threads, len(scores), 4096, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			n := &t.Nodes[0]
			for n.Left >= 0 {
				c := &f[n.Feature]
				var x float64
				switch {
				case c.Codes == nil:
					x = c.Floats[i]
				case c.Codes[i] < 0:
					x = math.NaN()
				default:
					x = float64(c.Codes[i])
				}
				if n.goesLeft(x) {
					n = &t.Nodes[n.Left]
				} else {
					n = &t.Nodes[n.Right]
				}
			}
			scores[i] += n.Value
		}
	})
}
