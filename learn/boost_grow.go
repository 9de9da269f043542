package learn

import (
	"container/heap"
	"context"
	"math"
	"math/bits"

	"github.com/assay-ml/assay/stat"
)

// histogramMemory bounds the histograms kept for the sake of subtraction; beyond it both children are counted.
const histogramMemory = 1 << 30

// Streams of the row and feature draws.
const (
	streamBoostRows = iota + 1
	streamBoostFeatures
)

// A leaf is a node of the growing tree that may still be divided.
type leaf struct {
	node       int32
	start, end int // of its rows in grower.rows
	depth      int
	sum        cell
	lo, hi     float64 // bounds of its value from monotone constraints, before the learning rate
	hist       []cell
	split      split
}

// A route takes a training row from a node to its left child if table holds 1 for the row's group code.
type route struct {
	codes []uint8 // of every row, for the split feature's group
	table [256]uint8
}

// A grower grows one tree after another on the same binned rows.
type grower struct {
	p        *BoostParams
	bins     *binnedFrame
	monotone []int // of every feature
	bounded  bool  // any constraint is set

	countBits             uint
	firstUnit, secondUnit float64 // what 1 of a rounded derivative is worth

	rows, scratch []int32 // rows of the draw, ordered by leaf; then the others
	inBag         int
	drawn         []int // features of this tree
	tables        []groupTables
	candidates    []split
	free          [][]cell
	held          int // histograms in use

	nodes  []Node
	routes []route // beside nodes
	leaves []leafRange
	gains  treeGains
}

// A leafRange is the rows of a node.
type leafRange struct {
	node       int32
	start, end int
}

func newGrower(p *BoostParams, bins *binnedFrame, n int) *grower {
	g := &grower{
		p: p, bins: bins, monotone: p.Monotone, rows: make([]int32, n), scratch: make([]int32, n),
		countBits: uint(bits.Len(uint(n))), tables: make([]groupTables, p.Threads), candidates: make([]split, len(bins.features)),
	}
	if g.monotone == nil {
		g.monotone = make([]int, len(bins.features))
	}
	for _, m := range g.monotone {
		g.bounded = g.bounded || m != 0
	}
	return g
}

// start draws the rows of the iteration and the features of the tree.
func (g *grower) start(iteration, output int) {
	n := len(g.rows)
	if g.p.RowFraction == 1 {
		for i := range g.rows {
			g.rows[i] = int32(i)
		}
		g.inBag = n
	} else {
		r := stat.NewRand(g.p.Seed, streamBoostRows, uint64(iteration))
		g.inBag = 0
		out := n
		for i := range g.rows {
			if r.Float64At(uint64(i)) < g.p.RowFraction {
				g.rows[g.inBag] = int32(i)
				g.inBag++
			} else {
				out--
				g.rows[out] = int32(i)
			}
		}
	}
	g.drawn = g.drawn[:0]
	for j := range g.bins.features {
		if g.bins.features[j].group >= 0 {
			g.drawn = append(g.drawn, j)
		}
	}
	if g.p.FeatureFraction < 1 && len(g.drawn) > 0 {
		r := stat.NewRand(g.p.Seed, streamBoostFeatures, uint64(iteration), uint64(output))
		keep := int(math.Ceil(g.p.FeatureFraction * float64(len(g.drawn))))
		perm := r.Perm(len(g.drawn))
		chosen := make([]bool, len(g.drawn))
		for _, i := range perm[:keep] {
			chosen[i] = true
		}
		kept := g.drawn[:0]
		for i, j := range g.drawn {
			if chosen[i] {
				kept = append(kept, j)
			}
		}
		g.drawn = kept
	}
}

// scale sets the units so that derivatives up to the bounds fit: 30 bits for the first, and for the second as many as a sum over all
// rows leaves beside their number. Units are powers of two, so that halves and whole numbers stay exact.
func (g *grower) scale(bound, curve float64) {
	unit := func(bound float64, room int) float64 {
		if bound == 0 {
			return 1
		}
		_, e := math.Frexp(bound) // bound <= 2^e
		return math.Ldexp(1, min(max(e-room, -1000), 1000))
	}
	g.firstUnit = unit(bound, 30)
	g.secondUnit = unit(curve, min(30, 62-2*int(g.countBits)))
}

// round stores the derivatives of the rows from lo.
func (g *grower) round(lo int, first, second []float64) {
	// Adding 1.5 * 2^52 leaves the nearest integer in the low bits.
	const magic = 3 << 51
	a, b := 1/g.firstUnit, 1/g.secondUnit
	second = second[:len(first)]
	for _, block := range g.bins.blocks {
		out := block[lo : lo+len(first)]
		for i := range out {
			out[i].first = int32(math.Float64bits(first[i]*a + magic))
			out[i].second = int32(math.Float64bits(second[i]*b + magic))
		}
	}
}

// leafQueue is the leaves that have a split, best first.
type leafQueue []*leaf

func (q leafQueue) Len() int { return len(q) }
func (q leafQueue) Less(i, j int) bool {
	if q[i].split.gain != q[j].split.gain {
		return q[i].split.gain > q[j].split.gain
	}
	return q[i].node < q[j].node
}
func (q leafQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *leafQueue) Push(x any)   { *q = append(*q, x.(*leaf)) }
func (q *leafQueue) Pop() any {
	last := len(*q) - 1
	l := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return l
}

// grow grows one tree and adds its values, times the learning rate, to the scores of all rows.
func (g *grower) grow(ctx context.Context, loss *boostLoss, output int, scores []float64) (Tree, treeGains, error) {
	g.nodes, g.routes, g.leaves, g.gains = append(g.nodes[:0], Node{Left: -1, Right: -1}), append(g.routes[:0], route{}), g.leaves[:0], nil
	root := &leaf{end: g.inBag, lo: math.Inf(-1), hi: math.Inf(1)}
	var queue leafQueue
	count := 1
	if len(g.drawn) > 0 && g.inBag > 0 {
		root.hist = g.newHist()
		g.histogram(g.rows[:g.inBag], root.hist)
		f := &g.bins.features[g.drawn[0]]
		for _, c := range root.hist[f.offset : f.offset+f.bins] {
			root.sum.first += c.first
			root.sum.second += c.second
		}
		root.split = g.findSplit(root)
		if root.split.gain > 0 {
			queue = append(queue, root)
		}
	}
	if len(queue) == 0 {
		g.dropHist(root)
		return g.stub(output), nil, nil
	}
	for len(queue) > 0 && count < g.p.MaxLeafNodes {
		if err := ctx.Err(); err != nil {
			return Tree{}, nil, err
		}
		l := heap.Pop(&queue).(*leaf)
		count++
		left, right := g.divide(l, count < g.p.MaxLeafNodes)
		for _, child := range []*leaf{left, right} {
			if child.split.gain > 0 {
				heap.Push(&queue, child)
			} else {
				g.close(child)
			}
		}
	}
	for _, l := range queue {
		g.close(l)
	}
	if loss.renews() {
		g.renew(loss, scores)
	}
	g.addScores(scores)
	t := Tree{Output: output, Nodes: append([]Node(nil), g.nodes...)}
	return t, g.gains, nil
}

// stub is a tree that adds nothing.
func (g *grower) stub(output int) Tree {
	return Tree{Output: output, Nodes: []Node{{Left: -1, Right: -1}}}
}

// close makes the leaf final.
func (g *grower) close(l *leaf) {
	g.dropHist(l)
	g.nodes[l.node].Value = g.p.LearningRate * g.sums(l.sum).step(g.p.L2, l.lo, l.hi)
	g.leaves = append(g.leaves, leafRange{l.node, l.start, l.end})
}

func (g *grower) newHist() []cell {
	g.held++
	if n := len(g.free); n > 0 {
		h := g.free[n-1]
		g.free = g.free[:n-1]
		return h
	}
	return make([]cell, g.bins.bins)
}

func (g *grower) dropHist(l *leaf) {
	if l.hist != nil {
		g.held--
		g.free = append(g.free, l.hist)
		l.hist = nil
	}
}

// divide splits the leaf as found and, if the tree may go on growing, finds the children's splits.
func (g *grower) divide(l *leaf, more bool) (left, right *leaf) {
	s := &l.split
	f := &g.bins.features[s.feature]
	at := int32(len(g.nodes))
	g.nodes = append(g.nodes, Node{Left: -1, Right: -1}, Node{Left: -1, Right: -1})
	g.routes = append(g.routes, route{}, route{})
	node := &g.nodes[l.node]
	node.Feature, node.Left, node.Right, node.MissingLeft = int32(s.feature), at, at+1, s.missingLeft
	g.describe(node, s, f)
	g.routes[l.node] = newRoute(g.bins, f, s)
	g.gains = append(g.gains, struct {
		feature int
		gain    float64
	}{s.feature, s.gain})

	middle := l.start + g.partition(l.start, l.end, &g.routes[l.node])
	left = &leaf{node: at, start: l.start, end: middle, depth: l.depth + 1, sum: s.left, lo: l.lo, hi: l.hi}
	right = &leaf{node: at + 1, start: middle, end: l.end, depth: l.depth + 1, lo: l.lo, hi: l.hi}
	right.sum = cell{l.sum.first - s.left.first, l.sum.second - s.left.second}
	if m := g.monotone[s.feature]; m != 0 {
		a, b := g.sums(left.sum).step(g.p.L2, l.lo, l.hi), g.sums(right.sum).step(g.p.L2, l.lo, l.hi)
		mid := a/2 + b/2
		if m > 0 {
			left.hi, right.lo = mid, mid
		} else {
			left.lo, right.hi = mid, mid
		}
	}
	if more && (g.p.MaxDepth == 0 || left.depth < g.p.MaxDepth) {
		g.search(l, left, right)
	}
	g.dropHist(l)
	return left, right
}

// search finds the splits of two children. The histogram of the smaller one is counted, the other's is the difference.
func (g *grower) search(parent, left, right *leaf) {
	small, large := left, right
	if right.end-right.start < left.end-left.start {
		small, large = right, left
	}
	if large.end-large.start < 2*g.p.MinSamplesLeaf {
		return
	}
	small.hist = g.newHist()
	g.histogram(g.rows[small.start:small.end], small.hist)
	if parent.hist != nil {
		subtract(parent.hist, small.hist)
		large.hist, parent.hist = parent.hist, nil
	} else {
		large.hist = g.newHist()
		g.histogram(g.rows[large.start:large.end], large.hist)
	}
	for _, l := range []*leaf{small, large} {
		if l.end-l.start >= 2*g.p.MinSamplesLeaf {
			l.split = g.findSplit(l)
		}
		if l.split.gain <= 0 || g.held*g.bins.bins*16 > histogramMemory {
			g.dropHist(l)
		}
	}
}

// describe writes the split's rule into the node.
func (g *grower) describe(node *Node, s *split, f *binnedFeature) {
	if f.codes == nil {
		node.Threshold = math.MaxFloat32 // every present value goes left
		if s.last < len(f.thresholds) {
			node.Threshold = f.thresholds[s.last]
		}
		return
	}
	top := int32(0)
	for b, c := range f.codes {
		if s.categories.has(b) {
			top = c
		}
	}
	node.Categories = make([]uint32, top/32+1)
	for b, c := range f.codes {
		if s.categories.has(b) {
			node.Categories[c/32] |= 1 << (c % 32)
		}
	}
}

func newRoute(bins *binnedFrame, f *binnedFeature, s *split) route {
	r := route{codes: bins.codes[f.group]}
	for c := range bins.groups[f.group].codes {
		b := c / f.stride % f.bins
		var left bool
		switch {
		case b == f.missing:
			left = s.missingLeft
		case f.codes != nil:
			left = s.categories.has(b)
		default:
			left = b <= s.last
		}
		if left {
			r.table[c] = 1
		}
	}
	return r
}

// partition reorders rows start..end, those that go left first, each side in its old order, and returns how many go left.
func (g *grower) partition(start, end int, r *route) int {
	rows, scratch := g.rows[start:end], g.scratch[start:end]
	type part struct{ lo, hi, left int }
	parts := make([]part, g.p.Threads)
	inParts(g.p.Threads, len(rows), smallLeaf, func(k, lo, hi int) {
		parts[k] = part{lo, hi, divideRows(rows[lo:hi], scratch[lo:hi], r)}
	})
	left := parts[0].left
	for _, p := range parts[1:] {
		left += copy(rows[left:], rows[p.lo:p.lo+p.left])
	}
	at := left
	for _, p := range parts {
		at += copy(rows[at:], scratch[p.lo:p.hi-p.left])
	}
	return left
}

// divideRows moves the rows that go left to the front of rows, and copies the others to scratch.
func divideRows(rows, scratch []int32, r *route) int {
	left, right, codes := 0, 0, r.codes
	scratch = scratch[:len(rows)]
	for _, i := range rows {
		l := int(r.table[codes[i]])
		rows[left] = i
		scratch[right] = i
		left += l
		right += 1 - l
	}
	return left
}

// addScores adds the leaves' values to the scores: through the ranges for the rows of the draw, through the routes for the others.
func (g *grower) addScores(scores []float64) {
	inParts(g.p.Threads, g.inBag, smallLeaf, func(_, lo, hi int) {
		for _, l := range g.leaves {
			if l.end <= lo || l.start >= hi {
				continue
			}
			v := g.nodes[l.node].Value
			for _, i := range g.rows[max(l.start, lo):min(l.end, hi)] {
				scores[i] += v
			}
		}
	})
	inParts(g.p.Threads, len(g.rows)-g.inBag, smallLeaf, func(_, lo, hi int) {
		for _, i := range g.rows[g.inBag+lo : g.inBag+hi] {
			n := int32(0)
			for g.nodes[n].Left >= 0 {
				r := &g.routes[n]
				next := g.nodes[n].Right
				if r.table[r.codes[i]] == 1 {
					next = g.nodes[n].Left
				}
				n = next
			}
			scores[i] += g.nodes[n].Value
		}
	})
}

// renew replaces the leaves' values by the loss's quantile of their residuals. With monotone constraints the two sides of a
// constrained split keep to their side of the middle of the sides' own quantiles.
func (g *grower) renew(loss *boostLoss, scores []float64) {
	ranges := make([]leafRange, len(g.nodes))
	for i := range ranges {
		ranges[i].start = math.MaxInt
	}
	for _, l := range g.leaves {
		ranges[l.node] = l
	}
	for i := len(g.nodes) - 1; i >= 0; i-- {
		if n := &g.nodes[i]; n.Left >= 0 {
			a, b := ranges[n.Left], ranges[n.Right]
			ranges[i] = leafRange{int32(i), min(a.start, b.start), max(a.end, b.end)}
		}
	}
	value := func(node int32) float64 { return g.residualQuantile(loss, scores, ranges[node]) }
	lo, hi := make([]float64, len(g.nodes)), make([]float64, len(g.nodes))
	lo[0], hi[0] = math.Inf(-1), math.Inf(1)
	for i := range g.nodes {
		n := &g.nodes[i]
		if n.Left < 0 {
			continue
		}
		for _, c := range []int32{n.Left, n.Right} {
			lo[c], hi[c] = lo[i], hi[i]
		}
		if m := g.monotone[n.Feature]; m != 0 {
			a, b := value(n.Left), value(n.Right)
			mid := min(max(a/2+b/2, lo[i]), hi[i])
			if m > 0 {
				hi[n.Left], lo[n.Right] = mid, mid
			} else {
				lo[n.Left], hi[n.Right] = mid, mid
			}
		}
	}
	inParts(g.p.Threads, len(g.leaves), 1, func(_, from, to int) {
		for _, l := range g.leaves[from:to] {
			g.nodes[l.node].Value = g.p.LearningRate * min(max(value(l.node), lo[l.node]), hi[l.node])
		}
	})
}

func (g *grower) residualQuantile(loss *boostLoss, scores []float64, l leafRange) float64 {
	residuals := make([]float64, l.end-l.start)
	var weights []float64
	if loss.w != nil {
		weights = make([]float64, l.end-l.start)
	}
	for k, i := range g.rows[l.start:l.end] {
		residuals[k] = loss.y[i] - scores[i]
		if weights != nil {
			weights[k] = loss.w[i]
		}
	}
	return loss.quantileOf(residuals, weights)
}
