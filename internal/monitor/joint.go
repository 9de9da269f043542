package monitor

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/learn"
	"github.com/assay-ml/assay/stat"
)

// Tests that look at all columns together.
const (
	TestDomain = "domain_classifier"  // a classifier that tells the rows of the window from those of the reference
	TestPCA    = "pca_reconstruction" // how far rows lie from what the reference's principal components make of them
)

// JointTests are the tests of all columns together that settings may choose.
func JointTests() []string { return []string{TestDomain, TestPCA} }

// jointDraws is how often a window is drawn from the reference's blocks, and jointPermutations how often rows change sides where it has none.
const (
	minJointRows      = 50 // of a window
	jointDraws        = 40
	jointPermutations = 999
)

// A together holds windows against a sample of reference rows.
type together struct {
	features []Feature // of the columns of the sample
	cells    [][]byte  // by feature and row
	rows     int
	block    []int // of each row; nil: rows are independent
	blocks   int
	like     int // of how many blocks a window is made, by its length
	seed     uint64
	level    float64 // of one test
	nulls    map[nullOf]blockNull
	parts    map[string]*components
}

// A nullOf names a calibration: of which test, columns, blocks in a window, and rows.
type nullOf struct {
	test, columns string
	like, rows    int
}

// A blockNull is the areas that windows of whole blocks of the reference had, without drift.
type blockNull struct {
	mean, sd float64
	draws    int
}

// openSample makes the comparison of a sample with windows.
func openSample(b []byte, features *Document, p assay.Monitor, level float64) (*together, error) {
	s, err := ReadSample(b)
	if err != nil {
		return nil, err
	}
	j := &together{rows: s.Rows, seed: p.Budget.Seed, level: level, nulls: map[nullOf]blockNull{}, parts: map[string]*components{}, like: 1}
	if b := float64(p.Budget.BlockSeconds); b > 0 {
		j.like = int(math.Max(1, math.Round(length(p)/b)))
	}
	for _, c := range s.Columns {
		i := slices.IndexFunc(features.Features, func(f Feature) bool { return f.Name == c.Name })
		if i < 0 {
			return nil, assay.Errorf(assay.Invalid, "the sample of reference rows has a column %q, which the reference has not", c.Name)
		}
		f := features.Features[i]
		for _, v := range c.Cells {
			if int(v) >= f.Cells() && v != noCell {
				return nil, assay.Errorf(assay.Invalid, "column %q of the sample has cell %d of %d", c.Name, v, f.Cells())
			}
		}
		j.features, j.cells = append(j.features, f), append(j.cells, c.Cells)
	}
	j.blocks = len(s.Blocks)
	for i, n := range s.Blocks {
		for range n {
			j.block = append(j.block, i)
		}
	}
	return j, nil
}

// A jointTraffic brings rows of windows into memory, several windows at once, in their order.
type jointTraffic struct {
	of     *together
	table  *table.Table
	group  string
	sizes  map[int64]int64
	keys   []int64
	loaded map[int64][][]byte
}

// jointTraffic is the rows of the windows of those keys; nil where the plan has no test that needs them.
func (w *Watch) jointTraffic(t *table.Table, group string, seen []tally) *jointTraffic {
	if w.joint == nil {
		return nil
	}
	x := &jointTraffic{of: w.joint, table: t, group: group, sizes: map[int64]int64{}, loaded: map[int64][][]byte{}}
	for _, s := range seen {
		x.keys, x.sizes[s.key] = append(x.keys, s.key), s.rows
	}
	return x
}

// window brings a window's rows, and those of windows after it.
func (x *jointTraffic) window(ctx context.Context, key int64) ([][]byte, error) {
	if got, ok := x.loaded[key]; ok {
		return got, nil
	}
	clear(x.loaded)
	var chosen []pick
	total := int64(0)
	for _, k := range x.keys[max(0, slices.Index(x.keys, key)):] {
		n := min(x.sizes[k], liveRows)
		if total += n; total > batchRows && len(chosen) > 0 {
			break
		}
		g := stat.NewRand(x.of.seed, 0x77696e646f77, uint64(k))
		chosen = append(chosen, pick{k, places(x.sizes[k], liveRows, &g)})
	}
	parts, err := rowsOf(ctx, x.table, x.of.features, x.group, chosen)
	if err != nil {
		return nil, err
	}
	for i, p := range chosen {
		x.loaded[p.group] = parts[i]
	}
	return x.loaded[key], nil
}

// test is what a window's judgement calls for a test of all columns together.
func (x *jointTraffic) test(key int64) func(context.Context, assay.SignalPlan, assay.Signal) (assay.Signal, error) {
	if x == nil {
		return nil
	}
	return func(ctx context.Context, s assay.SignalPlan, out assay.Signal) (assay.Signal, error) {
		live, err := x.window(ctx, key)
		if err != nil {
			return out, err
		}
		return x.of.judge(ctx, s, live, x.sizes[key], out)
	}
}

// A comparison is the columns that both sides have.
type comparison struct {
	*together
	at      []int    // of the sample's columns
	cells   [][]byte // of the sample, by those
	live    [][]byte // of the window, by those
	n       int      // rows of the window that are looked at
	columns string   // what at is, for what windows share
}

// judge runs one test on the rows of a window.
func (j *together) judge(ctx context.Context, s assay.SignalPlan, live [][]byte, rows int64, x assay.Signal) (assay.Signal, error) {
	c := &comparison{together: j}
	for i, v := range live {
		if v != nil {
			c.at, c.cells, c.live, c.n = append(c.at, i), append(c.cells, j.cells[i]), append(c.live, v), len(v)
		}
	}
	c.columns = fmt.Sprint(c.at)
	x.Reference = int64(j.rows)
	if c.n < minJointRows {
		return few(x, assay.SignalPlan{MinRows: minJointRows}), nil
	}
	if len(c.at) < 2 {
		x.Verdict, x.Message = assay.Undetermined, "the data has fewer than two of the columns that are looked at together"
		return x, nil
	}
	x.Effect = assay.Undefined("nothing to compare", rows)
	run := c.domain
	if s.Test == TestPCA {
		run = c.reconstruction
	}
	return run(ctx, rows, x)
}

// blocksOfWindow is how many blocks of the reference a window is like, however many rows it has; 0 where rows are independent, or the sample has too few blocks
// for it.
func (j *together) blocksOfWindow() int {
	if j.blocks < minStretches || j.like > j.blocks/4 { // a quarter for the window, and as much beside it on each side of the principal components
		return 0
	}
	return j.like
}

// thin takes at most so many rows of a window, evenly.
func thin(n, most int) []int {
	most = min(n, most)
	out := make([]int, most)
	for i := range out {
		out[i] = i * n / most
	}
	return out
}

// side is rows of one side by feature: what a comparison is made of.
type side struct {
	cells [][]byte
	rows  []int
}

// split shuffles rows and cuts them into two halves.
func split(rows []int, g *stat.Rand) (a, b []int) {
	s := slices.Clone(rows)
	g.Shuffle(len(s), func(i, k int) { s[i], s[k] = s[k], s[i] })
	return s[:len(s)/2], s[len(s)/2:]
}

func upTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// domain trains a classifier to tell the window's rows from the sample's on half of each, and judges it by the area under its ROC curve on the other half: as
// those rows have no part in the training, they may change sides without drift. Where the reference has blocks, rows of one may be alike in what the
// classifier learns; then the same is done with windows made of whole blocks of the reference against the others, and the area is held against theirs.
func (c *comparison) domain(ctx context.Context, rows int64, x assay.Signal) (assay.Signal, error) {
	area := func(window side, base side, g *stat.Rand) (flags []bool, scores []float64, gain []float64, err error) {
		trainW, testW := split(window.rows, g)
		trainB, testB := split(base.rows, g)
		e, gain, err := c.classifier(ctx, side{window.cells, trainW}, side{base.cells, trainB})
		if err != nil {
			return nil, nil, nil, err
		}
		row, out := make([]float64, len(c.at)), make([]float64, 1)
		for _, s := range []struct {
			in bool
			side
		}{{true, side{window.cells, testW}}, {false, side{base.cells, testB}}} {
			for _, r := range s.rows {
				for i := range row {
					row[i] = number(s.cells[i][r])
				}
				e.Score(row, out)
				flags, scores = append(flags, s.in), append(scores, out[0])
			}
		}
		return flags, scores, gain, nil
	}
	like := c.blocksOfWindow()
	taken := c.n
	if like > 0 {
		taken = like * (c.rows / c.blocks)
	}
	g := stat.NewRand(c.seed, 0x646f6d61696e)
	flags, scores, gain, err := area(side{c.live, thin(c.n, taken)}, side{c.cells, upTo(c.rows)}, &g)
	if err != nil {
		return x, err
	}
	estimate, test, err := stat.DomainAUC(flags, scores, nil, stat.DomainOptions{Permutations: jointPermutations, Tail: true, Seed: c.seed})
	if err != nil {
		return x, err
	}
	p := test.P
	if like > 0 {
		null, err := c.null(TestDomain, upTo(c.blocks), like, min(c.n, taken), func(window, base []int, g *stat.Rand) (float64, error) {
			flags, scores, _, err := area(side{c.cells, window}, side{c.cells, base}, g)
			if err != nil {
				return 0, err
			}
			d, err := stat.NewDeLong(flags, scores)
			if err != nil {
				return 0, err
			}
			return d.AUC(0), nil
		})
		if err != nil {
			return x, err
		}
		p = null.above(test.Statistic)
		x.Threshold = assay.Number(null.mean + null.sd*math.Sqrt(1+1/float64(null.draws))*stat.TQuantile(1-c.level, float64(null.draws-1)))
	} else {
		x.Threshold = assay.Number(0.5 + stat.NormalQuantile(1-c.level)*rankSD(flags))
	}
	x.Statistic, x.PValue, x.Effect = assay.Number(test.Statistic), assay.Number(p), areaEffect(estimate, rows)
	x.Message = fmt.Sprintf("a classifier tells the window from the reference with an area of %.3f under its ROC curve, most of all by %s", test.Statistic, c.most(gain))
	return x, nil
}

// number is a cell as a feature of a classifier.
func number(cell byte) float64 {
	if cell == noCell {
		return math.NaN()
	}
	return float64(cell)
}

// rankSD is the standard deviation of the area of a classifier that cannot tell two sides.
func rankSD(flags []bool) float64 {
	n := 0.0
	for _, f := range flags {
		if f {
			n++
		}
	}
	m := float64(len(flags)) - n
	return math.Sqrt((n + m + 1) / (12 * n * m))
}

// most names the columns by which a classifier tells the sides.
func (c *comparison) most(gain []float64) string {
	order := upTo(len(gain))
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case gain[a] > gain[b]:
			return -1
		case gain[a] < gain[b]:
			return 1
		}
		return 0
	})
	var names []string
	for _, i := range order[:min(len(order), 3)] {
		if gain[i] > 0 {
			names = append(names, c.features[c.at[i]].Name)
		}
	}
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// classifier fits boosted trees on the cells of both sides, which weigh the same. Small trees on many rows each find what columns have to do with each other,
// and learn little of chance.
func (c *comparison) classifier(ctx context.Context, window, base side) (*learn.Ensemble, []float64, error) {
	n, m := len(window.rows), len(base.rows)
	d := learn.BoostData{Target: make([]float64, n+m)}
	for i := range n {
		d.Target[i] = 1
	}
	for i, k := range c.at {
		f := &c.features[k]
		col := assay.Column{Name: f.Name, Type: assay.TypeNumber}
		each := func(to func(byte)) {
			for _, s := range []side{window, base} {
				for _, r := range s.rows {
					to(s.cells[i][r])
				}
			}
		}
		if f.Edges != nil {
			each(func(v byte) { col.Floats = append(col.Floats, number(v)) })
		} else {
			col.Type = assay.TypeString
			for v := range f.Cells() {
				col.Levels = append(col.Levels, fmt.Sprintf("%03d", v))
			}
			each(func(v byte) {
				code := int32(v)
				if v == noCell {
					code = -1
				}
				col.Codes = append(col.Codes, code)
			})
		}
		d.Features = append(d.Features, col)
	}
	share := 1.0
	if len(c.at) > 3 {
		share = 0.7
	}
	e, report, err := learn.FitBoosting(ctx, d, learn.BoostParams{
		Objective: learn.ObjectiveBinary, Trees: 40, LearningRate: 0.15, MaxLeafNodes: 8, MinSamplesLeaf: max(10, (n+m)/50), L2: 1, FeatureFraction: share,
		ClassWeights: []float64{1, float64(m) / float64(n)}, Seed: c.seed, Threads: 1,
	})
	return e, report.Gain, err
}

// areaEffect is an area under the curve as a distance in Cohen's w: that of two normal distributions that many standard deviations apart, √2·Φ⁻¹(area).
func areaEffect(e assay.Estimate, rows int64) assay.Estimate {
	if !e.Defined() {
		return e
	}
	at := func(a float64) float64 {
		return math.Sqrt2 * stat.NormalQuantile(math.Min(math.Max(a, 1e-9), 1-1e-9))
	}
	v, lo, hi := at(e.Value), at(e.Lo), at(e.Hi)
	if v < 0 {
		v, lo, hi = -v, -hi, -lo
	}
	e.Value, e.Lo, e.Hi, e.N = v, math.Max(0, lo), math.Max(0, hi), rows
	return e
}

// null draws windows of whole blocks, of so many rows, each against the blocks that are not in it; among are the blocks to draw from.
func (c *comparison) null(test string, among []int, like, rows int, area func(window, base []int, g *stat.Rand) (float64, error)) (blockNull, error) {
	if shift := bits.Len(uint(rows)) - 7; shift > 0 { // on the safe side, so that windows of about one size share it
		rows = rows >> shift << shift
	}
	key := nullOf{test, c.columns, like, rows}
	if n, ok := c.nulls[key]; ok {
		return n, nil
	}
	draws := jointDraws
	if like == 1 {
		draws = min(draws, len(among))
	}
	var areas []float64
	for d := range draws {
		g := stat.NewRand(c.seed, 0x626c6f636b73, uint64(like), uint64(d))
		in := map[int]bool{}
		for _, b := range among {
			in[b] = false
		}
		if like == 1 {
			in[among[d]] = true
		} else {
			for _, i := range g.Perm(len(among))[:like] {
				in[among[i]] = true
			}
		}
		var window, base []int
		for r, b := range c.block {
			switch drawn, ok := in[b]; {
			case drawn:
				window = append(window, r)
			case ok:
				base = append(base, r)
			}
		}
		if len(window) > rows {
			g.Shuffle(len(window), func(i, k int) { window[i], window[k] = window[k], window[i] })
			window = window[:rows]
		}
		a, err := area(window, base, &g)
		if err != nil {
			return blockNull{}, err
		}
		areas = append(areas, a)
	}
	n := blockNull{draws: len(areas)}
	for _, a := range areas {
		n.mean += a / float64(len(areas))
	}
	for _, a := range areas {
		n.sd += (a - n.mean) * (a - n.mean) / float64(len(areas)-1)
	}
	n.sd = math.Sqrt(n.sd)
	c.nulls[key] = n
	return n, nil
}

// above is the chance of an area of at least a, as that of one more window like those drawn (Student's prediction).
func (n blockNull) above(a float64) float64 {
	return stat.TSF((a-n.mean)/math.Max(n.sd, 1e-9)/math.Sqrt(1+1/float64(n.draws)), float64(n.draws-1))
}

// joint adds the tests of all columns together to a plan, with the sample of reference rows that they need; nil where there is too little to look at. Principal
// components that hold all of the columns have nothing to compare, and make no test.
func (o *Settings) joint(ctx context.Context, x Subject, features *Document, weights map[string]float64, m *assay.Monitor) ([]byte, int64, error) {
	tests := o.Joint
	if tests == nil {
		tests = JointTests()
	}
	if len(tests) == 0 {
		return nil, 0, nil
	}
	sample, rows, err := o.freezeSample(ctx, x, features, weights)
	if err != nil || sample == nil {
		return nil, 0, err
	}
	j, err := openSample(sample, features, assay.Monitor{Budget: assay.AlarmBudget{Seed: o.Seed}}, 0)
	if err != nil {
		return nil, 0, err
	}
	for _, t := range tests {
		if t == TestPCA {
			p, err := j.whole().components()
			if err != nil {
				return nil, 0, err
			}
			if p.of == nil {
				continue
			}
		}
		m.Signals = append(m.Signals, assay.SignalPlan{Scope: ScopeJoint, Kind: KindDistribution, Test: t, Threshold: assay.Number(math.NaN()), Effect: EffectCohen, Floor: assay.Number(*o.EffectFloor), Weight: 1})
	}
	return sample, rows, nil
}

// whole is a comparison with all columns of the sample.
func (j *together) whole() *comparison {
	c := &comparison{together: j, cells: j.cells, at: upTo(len(j.cells))}
	c.columns = fmt.Sprint(c.at)
	return c
}
