package learn

import (
	"fmt"
	"math"
)

func treeOperators() []operator {
	return []operator{
		{domain: domainML, name: "TreeEnsembleRegressor", least: 1, most: 1, compile: compileTreeRegressor},
		{domain: domainML, name: "TreeEnsembleClassifier", least: 1, most: 1, compile: compileTreeClassifier},
	}
}

// How a node decides; the order is that of the names in treeModes.
const (
	modeLeaf = iota
	modeLEQ
	modeLT
	modeGTE
	modeGT
	modeEQ
	modeNEQ
	modeSet // made of a run of modeEQ nodes with one target
)

func treeModes() map[string]uint8 {
	return map[string]uint8{
		"LEAF": modeLeaf, "BRANCH_LEQ": modeLEQ, "BRANCH_LT": modeLT, "BRANCH_GTE": modeGTE, "BRANCH_GT": modeGT, "BRANCH_EQ": modeEQ, "BRANCH_NEQ": modeNEQ,
	}
}

// A flatNode is a node of a compiled ensemble; all trees share one slice.
type flatNode struct {
	value   float32
	feature int32
	yes, no int32 // next nodes; of a leaf, the range of its weights
	set     int32 // modeSet: index of the bitset
	mode    uint8
	missing bool // NaN takes the yes branch
}

type leafWeight struct {
	target int32
	value  float32
}

// flatTrees is an ensemble as it runs. With one target and thresholds only, weights are read from the leaf itself.
type flatTrees struct {
	nodes    []flatNode
	roots    []int32
	weights  []leafWeight
	sets     [][]uint64
	targets  int
	features int // largest feature index plus 1
	plain    bool
}

// maxSetCode bounds the codes of a set that is kept as bits.
const maxSetCode = 1 << 14

func readTrees(c *nodeContext, prefix string, targets int) (*flatTrees, error) {
	trees, ids := c.ints("nodes_treeids"), c.ints("nodes_nodeids")
	features, modes := c.ints("nodes_featureids"), c.strings("nodes_modes")
	yes, no := c.ints("nodes_truenodeids"), c.ints("nodes_falsenodeids")
	missing := c.ints("nodes_missing_value_tracks_true")
	values := c.floats("nodes_values")
	c.floats("nodes_hitrates") // of the exporter's own record
	n := len(ids)
	if n == 0 || len(trees) != n || len(features) != n || len(modes) != n || len(yes) != n || len(no) != n || len(values) != n || len(missing) != 0 && len(missing) != n {
		return nil, fmt.Errorf("the attributes of %d nodes differ in length", n)
	}
	type key struct{ tree, node int64 }
	at := make(map[key]int32, n)
	for i := range n {
		k := key{trees[i], ids[i]}
		if _, twice := at[k]; twice {
			return nil, fmt.Errorf("tree %d has two nodes %d", trees[i], ids[i])
		}
		at[k] = int32(i)
	}
	f := &flatTrees{nodes: make([]flatNode, n), targets: targets}
	known := treeModes()
	child := make([]bool, n)
	for i := range n {
		mode, ok := known[modes[i]]
		if !ok {
			return nil, fmt.Errorf("node mode %q is not supported", modes[i])
		}
		f.nodes[i] = flatNode{value: values[i], feature: int32(features[i]), mode: mode, missing: len(missing) > 0 && missing[i] != 0}
		if mode == modeLeaf {
			continue
		}
		if features[i] < 0 || features[i] > 1<<24 {
			return nil, fmt.Errorf("tree %d, node %d: feature %d", trees[i], ids[i], features[i])
		}
		f.features = max(f.features, int(features[i])+1)
		a, okA := at[key{trees[i], yes[i]}]
		b, okB := at[key{trees[i], no[i]}]
		if !okA || !okB {
			return nil, fmt.Errorf("tree %d, node %d: a child does not exist", trees[i], ids[i])
		}
		f.nodes[i].yes, f.nodes[i].no = a, b
		child[a], child[b] = true, true
	}
	rooted := map[int64]bool{}
	for i := range n {
		if child[i] {
			continue
		}
		if rooted[trees[i]] {
			return nil, fmt.Errorf("tree %d has two roots", trees[i])
		}
		rooted[trees[i]] = true
		f.roots = append(f.roots, int32(i))
	}
	if err := f.checkPaths(); err != nil {
		return nil, err
	}
	if err := f.readWeights(c, prefix, func(tree, node int64) (int32, bool) { i, ok := at[key{tree, node}]; return i, ok }); err != nil {
		return nil, err
	}
	f.mergeSets()
	return f, nil
}

// checkPaths refuses cycles: a walk that comes back to a node it has not left.
func (f *flatTrees) checkPaths() error {
	const (
		unseen = iota
		open
		done
	)
	state := make([]uint8, len(f.nodes))
	for start := range f.nodes {
		stack := []int32{int32(start)}
		for len(stack) > 0 {
			i := stack[len(stack)-1]
			n := &f.nodes[i]
			if state[i] != unseen || n.mode == modeLeaf {
				state[i] = done
				stack = stack[:len(stack)-1]
				continue
			}
			state[i] = open
			for _, next := range []int32{n.yes, n.no} {
				switch state[next] {
				case open:
					return fmt.Errorf("the tree of node %d has a cycle", start)
				case unseen:
					stack = append(stack, next)
				}
			}
		}
	}
	return nil
}

// readWeights gives each leaf its range of weights.
func (f *flatTrees) readWeights(c *nodeContext, prefix string, find func(tree, node int64) (int32, bool)) error {
	trees, nodes := c.ints(prefix+"_treeids"), c.ints(prefix+"_nodeids")
	ids, values := c.ints(prefix+"_ids"), c.floats(prefix+"_weights")
	if len(trees) != len(nodes) || len(ids) != len(nodes) || len(values) != len(nodes) {
		return fmt.Errorf("the attributes of %d leaf weights differ in length", len(nodes))
	}
	of := make([]int32, len(nodes))
	count := make([]int32, len(f.nodes)+1)
	for i := range nodes {
		leaf, ok := find(trees[i], nodes[i])
		if !ok || f.nodes[leaf].mode != modeLeaf {
			return fmt.Errorf("a weight belongs to node %d of tree %d, which is not a leaf", nodes[i], trees[i])
		}
		if ids[i] < 0 || ids[i] >= int64(f.targets) {
			return fmt.Errorf("a weight belongs to output %d of %d", ids[i], f.targets)
		}
		of[i] = leaf
		count[leaf+1]++
	}
	for i := range f.nodes {
		count[i+1] += count[i]
		if n := &f.nodes[i]; n.mode == modeLeaf {
			n.yes, n.no = count[i], count[i+1]
		}
	}
	f.weights = make([]leafWeight, len(nodes))
	next := append([]int32(nil), count...)
	for i, leaf := range of {
		f.weights[next[leaf]] = leafWeight{int32(ids[i]), values[i]}
		next[leaf]++
	}
	f.plain = f.targets == 1
	for i := range f.nodes {
		n := &f.nodes[i]
		if n.mode != modeLeaf {
			f.plain = f.plain && n.mode == modeLEQ
			continue
		}
		if f.plain = f.plain && n.no-n.yes == 1; f.plain {
			n.value = f.weights[n.yes].value
		}
	}
	return nil
}

// mergeSets turns runs of equality tests on one feature, all of which lead to the same node, into one test of membership.
func (f *flatTrees) mergeSets() {
	merged := make([]bool, len(f.nodes))
	for i := range f.nodes {
		n := f.nodes[i]
		if merged[i] || n.mode != modeEQ || !codeLike(n.value) {
			continue
		}
		next := n.no
		bits := setBit(nil, n.value)
		for m := f.nodes[next]; m.mode == modeEQ && m.feature == n.feature && m.yes == n.yes && codeLike(m.value) && !m.missing; m = f.nodes[next] {
			bits = setBit(bits, m.value)
			merged[next] = true
			next = m.no
		}
		if next == n.no {
			continue
		}
		n.mode, n.no, n.set = modeSet, next, int32(len(f.sets))
		f.sets = append(f.sets, bits)
		f.nodes[i] = n
	}
}

func codeLike(v float32) bool { return v >= 0 && v < maxSetCode && v == float32(int(v)) }

func setBit(bits []uint64, v float32) []uint64 {
	for len(bits) <= int(v)/64 {
		bits = append(bits, 0)
	}
	bits[int(v)/64] |= 1 << (int(v) % 64)
	return bits
}

// takesYes reports whether x takes the node's yes branch.
func (f *flatTrees) takesYes(n *flatNode, x float32) bool {
	if x != x {
		return n.missing || n.mode == modeNEQ
	}
	switch n.mode {
	case modeLEQ:
		return x <= n.value
	case modeLT:
		return x < n.value
	case modeGTE:
		return x >= n.value
	case modeGT:
		return x > n.value
	case modeEQ:
		return x == n.value
	case modeNEQ:
		return x != n.value
	}
	bits := f.sets[n.set]
	if !codeLike(x) || int(x)/64 >= len(bits) {
		return false
	}
	return bits[int(x)/64]>>(int(x)%64)&1 == 1
}

// leaf walks one tree and returns the leaf that the row reaches.
func (f *flatTrees) leaf(root int32, row []float32) *flatNode {
	n := &f.nodes[root]
	for n.mode != modeLeaf {
		if f.takesYes(n, row[n.feature]) {
			n = &f.nodes[n.yes]
		} else {
			n = &f.nodes[n.no]
		}
	}
	return n
}

// sum adds the weights of every tree to scores [rows][targets], in the order of the trees.
func (f *flatTrees) sum(x []float32, rows, cols int, scores []float32) {
	const block = 64 // rows that pass through one tree while it is in the cache
	for lo := 0; lo < rows; lo += block {
		hi := min(lo+block, rows)
		for _, root := range f.roots {
			if f.plain {
				f.sumPlain(root, x, cols, lo, hi, scores)
				continue
			}
			for i := lo; i < hi; i++ {
				leaf := f.leaf(root, x[i*cols:(i+1)*cols])
				for _, w := range f.weights[leaf.yes:leaf.no] {
					scores[i*f.targets+int(w.target)] += w.value
				}
			}
		}
	}
}

func (f *flatTrees) sumPlain(root int32, x []float32, cols, lo, hi int, scores []float32) {
	nodes := f.nodes
	for i := lo; i < hi; i++ {
		row := x[i*cols : (i+1)*cols]
		n := &nodes[root]
		for n.mode != modeLeaf {
			v := row[n.feature]
			if v <= n.value || v != v && n.missing {
				n = &nodes[n.yes]
			} else {
				n = &nodes[n.no]
			}
		}
		scores[i] += n.value
	}
}

// input returns the rows of features of a tree node.
func (f *flatTrees) input(m *memory, t *Tensor) (x []float32, rows, cols int, err error) {
	if x, err = t.float32s(m); err != nil {
		return nil, 0, 0, err
	}
	if rows, cols, err = t.matrix(); err == nil && cols < f.features {
		err = fmt.Errorf("%d features where the trees use %d", cols, f.features)
	}
	return x, rows, cols, err
}

func compileTreeRegressor(c *nodeContext) (kernel, error) {
	targets := c.int("n_targets", 1)
	if targets < 1 || targets > 1<<20 {
		return nil, fmt.Errorf("n_targets is %d", targets)
	}
	f, err := readTrees(c, "target", int(targets))
	if err != nil {
		return nil, err
	}
	base := c.floats("base_values")
	if len(base) != 0 && len(base) != f.targets {
		return nil, fmt.Errorf("%d base values for %d targets", len(base), f.targets)
	}
	how := c.string("aggregate_function", "SUM")
	switch how {
	case "SUM", "AVERAGE", "MIN", "MAX":
	default:
		return nil, fmt.Errorf("aggregate_function %q is not supported", how)
	}
	transform, err := postTransform(c)
	if err != nil {
		return nil, err
	}
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		x, rows, cols, err := f.input(m, t)
		if err != nil {
			return nil, err
		}
		result, err := m.tensor(Float32, rows, f.targets)
		if err != nil {
			return nil, err
		}
		scores := result.Floats
		if how == "MIN" || how == "MAX" {
			f.extremes(x, rows, cols, scores, how == "MAX")
		} else {
			f.sum(x, rows, cols, scores)
		}
		for i := range scores {
			if how == "AVERAGE" {
				scores[i] /= float32(len(f.roots))
			}
			if len(base) != 0 {
				scores[i] += base[i%f.targets]
			}
		}
		transform(scores, f.targets)
		return result, nil
	}), nil
}

// extremes takes the smallest or largest weight of each target over the trees, 0 for a target without any.
func (f *flatTrees) extremes(x []float32, rows, cols int, scores []float32, largest bool) {
	seen := make([]bool, len(scores))
	for _, root := range f.roots {
		for i := range rows {
			leaf := f.leaf(root, x[i*cols:(i+1)*cols])
			for _, w := range f.weights[leaf.yes:leaf.no] {
				at := i*f.targets + int(w.target)
				if !seen[at] || largest && w.value > scores[at] || !largest && w.value < scores[at] {
					scores[at], seen[at] = w.value, true
				}
			}
		}
	}
}

func compileTreeClassifier(c *nodeContext) (kernel, error) {
	labels, err := classLabels(c)
	if err != nil {
		return nil, err
	}
	k := labels.Len()
	f, err := readTrees(c, "class", k)
	if err != nil {
		return nil, err
	}
	base := c.floats("base_values")
	if len(base) > k {
		return nil, fmt.Errorf("%d base values for %d classes", len(base), k)
	}
	transformName := c.string("post_transform", "NONE")
	transform, err := postTransform(c)
	if err != nil {
		return nil, err
	}
	single, positive := k == 2, true
	for _, w := range f.weights {
		single = single && w.target == f.weights[0].target
		positive = positive && w.value >= 0
	}
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		x, rows, cols, err := f.input(m, in[0])
		if err != nil {
			return nil, err
		}
		result, err := m.tensor(Float32, rows, k)
		if err != nil {
			return nil, err
		}
		label, err := m.tensor(labels.Type, rows)
		if err != nil {
			return nil, err
		}
		scores := result.Floats
		f.sum(x, rows, cols, scores)
		for i := range rows {
			row := scores[i*k : (i+1)*k]
			if single {
				best := oneWeightClass(row, base, positive, transformName)
				label.copyElement(i, labels, best)
				continue
			}
			for j := range base {
				row[j] += base[j]
			}
			label.copyElement(i, labels, argmax(row))
		}
		if !single {
			transform(scores, k)
		}
		return m.list(label, result), nil
	}, nil
}

// oneWeightClass handles two classes whose leaves weigh one of them only: the sum is a probability where no weight is negative, and a
// score around 0 otherwise. It fills the row and returns the class.
func oneWeightClass(row, base []float32, positive bool, transform string) int {
	s := row[0] + row[1]
	switch len(base) {
	case 1:
		s += base[0]
	case 2:
		s += base[1]
	}
	best, limit := 0, float32(0)
	if positive {
		limit = 0.5
	}
	if s > limit {
		best = 1
	}
	switch {
	case positive:
		row[0], row[1] = 1-s, s
	case transform == "LOGISTIC":
		row[0], row[1] = logistic32(-s), logistic32(s)
	default:
		row[0], row[1] = -s, s
	}
	return best
}

// emit writes an ensemble over the features tensor and returns the name of its raw scores, [rows, Outputs]. A set split becomes a
// run of equality tests that share their target.
func (e *Ensemble) emit(b *graphBuilder, features string) string {
	w := &treeWriter{}
	for t := range e.Trees {
		w.tree(int64(t), &e.Trees[t])
	}
	base := make([]float32, len(e.Base))
	for i, v := range e.Base {
		base[i] = float32(v)
	}
	return b.node("scores", domainML, "TreeEnsembleRegressor", []string{features},
		intsAttr("nodes_treeids", w.trees), intsAttr("nodes_nodeids", w.ids), intsAttr("nodes_featureids", w.features),
		floatsAttr("nodes_values", w.values), stringsAttr("nodes_modes", w.modes), intsAttr("nodes_truenodeids", w.yes),
		intsAttr("nodes_falsenodeids", w.no), intsAttr("nodes_missing_value_tracks_true", w.missing),
		intsAttr("target_treeids", w.leafTrees), intsAttr("target_nodeids", w.leafIDs), intsAttr("target_ids", w.leafTargets),
		floatsAttr("target_weights", w.leafValues), intAttr("n_targets", int64(e.Outputs)), floatsAttr("base_values", base))
}

// A treeWriter collects the node attributes of an ensemble.
type treeWriter struct {
	trees, ids, features, yes, no, missing []int64
	values, leafValues                     []float32
	modes                                  []string
	leafTrees, leafIDs, leafTargets        []int64
}

func (w *treeWriter) add(tree, id, feature int64, mode string, value float32, yes, no int64, missing bool) {
	w.trees, w.ids, w.features = append(w.trees, tree), append(w.ids, id), append(w.features, feature)
	w.modes, w.values = append(w.modes, mode), append(w.values, value)
	w.yes, w.no = append(w.yes, yes), append(w.no, no)
	var m int64
	if missing {
		m = 1
	}
	w.missing = append(w.missing, m)
}

func (w *treeWriter) tree(t int64, tree *Tree) {
	extra := int64(len(tree.Nodes)) // ids of the further tests of a set
	for i := range tree.Nodes {
		n := &tree.Nodes[i]
		id, feature, yes, no := int64(i), int64(n.Feature), int64(n.Left), int64(n.Right)
		codes := setCodes(n.Categories)
		switch {
		case n.Left < 0:
			w.add(t, id, 0, "LEAF", 0, 0, 0, false)
			w.leafTrees, w.leafIDs = append(w.leafTrees, t), append(w.leafIDs, id)
			w.leafTargets, w.leafValues = append(w.leafTargets, int64(tree.Output)), append(w.leafValues, float32(n.Value))
		case n.Categories == nil:
			w.add(t, id, feature, "BRANCH_LEQ", floor32(n.Threshold), yes, no, n.MissingLeft)
		case len(codes) == 0: // only missing goes left
			w.add(t, id, feature, "BRANCH_LEQ", float32(math.Inf(-1)), yes, no, n.MissingLeft)
		default:
			for k, code := range codes {
				next := no
				if k < len(codes)-1 {
					next = extra
				}
				w.add(t, id, feature, "BRANCH_EQ", float32(code), yes, next, n.MissingLeft && k == 0)
				id = extra
				extra++
			}
			extra-- // the last test of the run needed no id after it
		}
	}
}

// setCodes lists the members of a bitset.
func setCodes(bits []uint32) []int {
	var out []int
	for i, word := range bits {
		for b := range 32 {
			if word>>b&1 == 1 {
				out = append(out, 32*i+b)
			}
		}
	}
	return out
}

// floor32 is the largest float32 that is not above v: a float32 is at most v exactly when it is at most floor32(v).
func floor32(v float64) float32 {
	f := float32(v)
	if float64(f) > v {
		f = math.Nextafter32(f, float32(math.Inf(-1)))
	}
	return f
}
