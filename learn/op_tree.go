package learn

import (
	"fmt"
	"sync"
)

func treeOperators() []operator {
	return []operator{
		{domain: domainML, name: "TreeEnsembleRegressor", least: 1, most: 1, compile: compileTreeRegressor},
		{domain: domainML, name: "TreeEnsembleClassifier", least: 1, most: 1, compile: compileTreeClassifier},
		{domain: domainML, name: "TreeEnsemble", least: 1, most: 1, compile: compileTreeEnsemble},
	}
}

func treeModes() map[string]uint8 {
	return map[string]uint8{
		"LEAF": modeLeaf, "BRANCH_LEQ": modeLEQ, "BRANCH_LT": modeLT, "BRANCH_GTE": modeGTE, "BRANCH_GT": modeGT, "BRANCH_EQ": modeEQ, "BRANCH_NEQ": modeNEQ,
	}
}

// An onnxTrees is a tree ensemble of ONNX as its node spells it, and the forests made of it: one for features of float32, and one for
// doubles, which ONNX Runtime compares and adds up in double.
type onnxTrees struct {
	nodes    []forestNode
	roots    []int32
	weights  []leafWeight
	sets     []valueSet
	targets  int
	features int

	single *forest[float32, int32]
	double *forest[float64, int64]
	once   sync.Once
	failed error
}

// finish merges equality tests and prepares the forest of single precision.
func (o *onnxTrees) finish() (*onnxTrees, error) {
	o.mergeSets()
	o.single = &forest[float32, int32]{nodes: o.nodes, roots: o.roots, weights: o.weights, sets: o.sets, targets: o.targets}
	err := prepare32(o.single)
	o.features = o.single.features
	return o, err
}

// doublesOf reads an attribute of floats, or its variant that is a tensor of doubles.
func doublesOf(c *nodeContext, name string) []float64 {
	if v := c.floats(name); v != nil {
		out := make([]float64, len(v))
		for i, x := range v {
			out[i] = float64(x)
		}
		return out
	}
	if t := c.tensor(name + "_as_tensor"); t != nil && t.Type != String {
		out, _ := t.asDoubles(nil)
		return out
	}
	return nil
}

// readTrees reads the ensemble of the older operators, whose leaves are nodes and whose trees have numbers.
func readTrees(c *nodeContext, prefix string, targets int) (*onnxTrees, error) {
	trees, ids := c.ints("nodes_treeids"), c.ints("nodes_nodeids")
	features, modes := c.ints("nodes_featureids"), c.strings("nodes_modes")
	yes, no := c.ints("nodes_truenodeids"), c.ints("nodes_falsenodeids")
	missing := c.ints("nodes_missing_value_tracks_true")
	values := doublesOf(c, "nodes_values")
	doublesOf(c, "nodes_hitrates") // of the exporter's own record
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
	o := &onnxTrees{nodes: make([]forestNode, n), targets: targets}
	known := treeModes()
	child := make([]bool, n)
	for i := range n {
		mode, ok := known[modes[i]]
		if !ok {
			return nil, fmt.Errorf("node mode %q is not supported", modes[i])
		}
		if mode != modeLeaf && (features[i] < 0 || features[i] > 1<<24) {
			return nil, fmt.Errorf("tree %d, node %d: feature %d", trees[i], ids[i], features[i])
		}
		o.nodes[i] = forestNode{value: values[i], feature: int32(features[i]), mode: mode, missing: len(missing) > 0 && missing[i] != 0}
		if mode == modeLeaf {
			continue
		}
		a, okA := at[key{trees[i], yes[i]}]
		b, okB := at[key{trees[i], no[i]}]
		if !okA || !okB {
			return nil, fmt.Errorf("tree %d, node %d: a child does not exist", trees[i], ids[i])
		}
		o.nodes[i].yes, o.nodes[i].no = a, b
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
		o.roots = append(o.roots, int32(i))
	}
	if len(o.roots) == 0 {
		return nil, fmt.Errorf("the tree of node %d has a cycle", ids[0])
	}
	if err := o.readWeights(c, prefix, func(tree, node int64) (int32, bool) { i, ok := at[key{tree, node}]; return i, ok }); err != nil {
		return nil, err
	}
	return o.finish()
}

// readWeights gives each leaf its range of weights.
func (o *onnxTrees) readWeights(c *nodeContext, prefix string, find func(tree, node int64) (int32, bool)) error {
	trees, nodes := c.ints(prefix+"_treeids"), c.ints(prefix+"_nodeids")
	ids, values := c.ints(prefix+"_ids"), doublesOf(c, prefix+"_weights")
	if len(trees) != len(nodes) || len(ids) != len(nodes) || len(values) != len(nodes) {
		return fmt.Errorf("the attributes of %d leaf weights differ in length", len(nodes))
	}
	of := make([]int32, len(nodes))
	count := make([]int32, len(o.nodes)+1)
	for i := range nodes {
		leaf, ok := find(trees[i], nodes[i])
		if !ok || o.nodes[leaf].mode != modeLeaf {
			return fmt.Errorf("a weight belongs to node %d of tree %d, which is not a leaf", nodes[i], trees[i])
		}
		if ids[i] < 0 || ids[i] >= int64(o.targets) {
			return fmt.Errorf("a weight belongs to output %d of %d", ids[i], o.targets)
		}
		of[i] = leaf
		count[leaf+1]++
	}
	for i := range o.nodes {
		count[i+1] += count[i]
		if n := &o.nodes[i]; n.mode == modeLeaf {
			n.yes, n.no = count[i], count[i+1]
		}
	}
	o.weights = make([]leafWeight, len(nodes))
	for i, leaf := range of {
		o.weights[count[leaf]] = leafWeight{int32(ids[i]), values[i]}
		count[leaf]++
	}
	return nil
}

// mergeSets turns an equality test, or a run of them on one feature that all lead to the same node, into one test of membership.
func (o *onnxTrees) mergeSets() {
	merged := make([]bool, len(o.nodes))
	words := 0
	for i := range o.nodes {
		n := o.nodes[i]
		if merged[i] || n.mode != modeEQ || !codeLike(n.value) || words > 4*len(o.nodes)+1024 {
			continue
		}
		next := n.no
		var set valueSet
		set.add(n.value)
		for steps := 0; steps < len(o.nodes); steps++ {
			m := o.nodes[next]
			if m.mode != modeEQ || m.feature != n.feature || m.yes != n.yes || !codeLike(m.value) || m.missing {
				break
			}
			set.add(m.value)
			merged[next] = true
			next = m.no
		}
		words += len(set.bits)
		n.mode, n.kind, n.no, n.set = modeSet, codeExact, next, int32(len(o.sets))
		o.sets = append(o.sets, set)
		o.nodes[i] = n
	}
}

// check returns the rows and columns of a tensor that the trees can walk.
func (o *onnxTrees) check(t *Tensor) (rows, cols int, err error) {
	rows, cols, err = t.matrix()
	if err == nil && cols < o.features {
		err = fmt.Errorf("%d features where the trees use %d", cols, o.features)
	}
	return rows, cols, err
}

// doubles returns the forest of double precision, which is made when it is first needed.
func (o *onnxTrees) doubles() (*forest[float64, int64], error) {
	o.once.Do(func() {
		o.double = &forest[float64, int64]{nodes: o.nodes, roots: o.roots, weights: o.weights, sets: o.sets, targets: o.targets}
		o.failed = prepare64(o.double)
	})
	return o.double, o.failed
}

// scores returns the sums of the leaves [rows, targets]: as floats, or as doubles where the features are.
func (o *onnxTrees) scores(m *memory, t *Tensor) (out *Tensor, err error) {
	rows, cols, err := o.check(t)
	if err != nil {
		return nil, err
	}
	if t.Type == Float64 {
		f, err := o.doubles()
		if err != nil {
			return nil, err
		}
		if out, err = m.tensor(Float64, rows, o.targets); err != nil {
			return nil, err
		}
		return out, f.sum(m, t.Doubles, rows, cols, out.Doubles)
	}
	x, err := t.float32s(m)
	if err != nil {
		return nil, err
	}
	if out, err = m.tensor(Float32, rows, o.targets); err != nil {
		return nil, err
	}
	return out, o.single.sum(m, x, rows, cols, out.Floats)
}

// extremes takes the smallest or largest weight of each target over the trees, 0 for a target without any: as floats, or as doubles where
// the features are.
func (o *onnxTrees) extremes(m *memory, t *Tensor, largest bool) (*Tensor, error) {
	rows, cols, err := o.check(t)
	if err != nil {
		return nil, err
	}
	seen, err := m.tensor(Bool, rows, o.targets)
	if err != nil {
		return nil, err
	}
	if t.Type == Float64 {
		f, err := o.doubles()
		if err != nil {
			return nil, err
		}
		out, err := m.tensor(Float64, rows, o.targets)
		if err != nil {
			return nil, err
		}
		f.extremes(t.Doubles, cols, largest, out.Doubles, seen.Ints)
		return out, nil
	}
	x, err := t.float32s(m)
	if err != nil {
		return nil, err
	}
	out, err := m.tensor(Float32, rows, o.targets)
	if err != nil {
		return nil, err
	}
	o.single.extremes(x, cols, largest, out.Floats, seen.Ints)
	return out, nil
}

// extremes puts the smallest or largest weight of each target [rows, targets] into out, and a 1 into seen for each that has one.
func (f *forest[T, K]) extremes(x []T, cols int, largest bool, out []T, seen []int64) {
	for _, root := range f.roots {
		for i := range len(out) / f.targets {
			leaf := &f.nodes[f.reach(root, x[i*cols:(i+1)*cols])]
			for _, w := range f.weights[leaf.yes:leaf.no] {
				at, v := i*f.targets+int(w.target), T(w.value)
				if seen[at] == 0 || largest && v > out[at] || !largest && v < out[at] {
					out[at], seen[at] = v, 1
				}
			}
		}
	}
}

func compileTreeRegressor(c *nodeContext) (kernel, error) {
	targets := c.int("n_targets", 1)
	if targets < 1 || targets > int64(c.limits.Fields) {
		return nil, fmt.Errorf("n_targets is %d", targets)
	}
	o, err := readTrees(c, "target", int(targets))
	if err != nil {
		return nil, err
	}
	post := c.string("post_transform", "NONE")
	c.cautionOne(o.targets, post)
	return o.regressor(c.string("aggregate_function", "SUM"), doublesOf(c, "base_values"), post, Float32)
}

// regressor is the kernel that answers with values of the given type. A transform has the precision of floats, as in ONNX Runtime.
func (o *onnxTrees) regressor(how string, base []float64, post string, typ ElementType) (kernel, error) {
	transform, err := transformNamed(post)
	if err != nil {
		return nil, err
	}
	if len(base) != 0 && len(base) != o.targets {
		return nil, fmt.Errorf("%d base values for %d targets", len(base), o.targets)
	}
	switch how {
	case "SUM", "AVERAGE", "MIN", "MAX":
	default:
		return nil, fmt.Errorf("aggregate_function %q is not supported", how)
	}
	return unary(func(m *memory, t *Tensor) (*Tensor, error) {
		var out *Tensor
		var err error
		if how == "MIN" || how == "MAX" {
			out, err = o.extremes(m, t, how == "MAX")
		} else {
			out, err = o.scores(m, t)
		}
		if err != nil {
			return nil, err
		}
		trees := len(o.roots)
		for i := range out.Floats {
			if how == "AVERAGE" {
				out.Floats[i] /= float32(trees)
			}
			if len(base) != 0 {
				out.Floats[i] += float32(base[i%o.targets])
			}
		}
		for i := range out.Doubles {
			if how == "AVERAGE" {
				out.Doubles[i] /= float64(trees)
			}
			if len(base) != 0 {
				out.Doubles[i] += base[i%o.targets]
			}
		}
		if post != "NONE" {
			if out, err = cast(m, out, Float32); err != nil {
				return nil, err
			}
			transform(out.Floats, o.targets)
		}
		return cast(m, out, typ)
	}), nil
}

// compileTreeEnsemble reads the operator of version 5, whose leaves are apart from the nodes.
func compileTreeEnsemble(c *nodeContext) (kernel, error) {
	splits, modes := c.tensor("nodes_splits"), c.tensor("nodes_modes")
	features, missing := c.ints("nodes_featureids"), c.ints("nodes_missing_value_tracks_true")
	yes, no, yesLeaf, noLeaf := c.ints("nodes_truenodeids"), c.ints("nodes_falsenodeids"), c.ints("nodes_trueleafs"), c.ints("nodes_falseleafs")
	leafTargets, leafWeights, roots := c.ints("leaf_targetids"), c.tensor("leaf_weights"), c.ints("tree_roots")
	c.tensor("nodes_hitrates")
	targets := c.int("n_targets", 1)
	n := len(features)
	if splits == nil || modes == nil || leafWeights == nil || splits.Type == String || !modes.Type.integral() || leafWeights.Type == String {
		return nil, fmt.Errorf("nodes_splits, nodes_modes or leaf_weights is missing")
	}
	if n == 0 || splits.Len() != n || modes.Len() != n || len(yes) != n || len(no) != n || len(yesLeaf) != n || len(noLeaf) != n || len(missing) != 0 && len(missing) != n {
		return nil, fmt.Errorf("the attributes of %d nodes differ in length", n)
	}
	leaves := leafWeights.Len()
	if targets < 1 || targets > int64(c.limits.Fields) || len(leafTargets) != leaves || leaves == 0 || len(roots) == 0 {
		return nil, fmt.Errorf("%d targets, %d leaves with %d target ids, %d roots", targets, leaves, len(leafTargets), len(roots))
	}
	o := &onnxTrees{nodes: make([]forestNode, n+leaves), targets: int(targets)}
	for i := range leaves {
		if leafTargets[i] < 0 || leafTargets[i] >= targets {
			return nil, fmt.Errorf("leaf %d belongs to output %d of %d", i, leafTargets[i], targets)
		}
		o.weights = append(o.weights, leafWeight{int32(leafTargets[i]), leafWeights.number(i)})
		o.nodes[n+i] = forestNode{mode: modeLeaf, yes: int32(i), no: int32(i + 1)}
	}
	var members []float64
	if t := c.tensor("membership_values"); t != nil && t.Type != String {
		members, _ = t.asDoubles(nil)
	}
	child := func(at, leaf int64) int64 {
		if leaf != 0 {
			at += int64(n)
		}
		return at
	}
	for i := range n {
		a, b := child(yes[i], yesLeaf[i]), child(no[i], noLeaf[i])
		mode := modes.Ints[i]
		if min(a, b) < 0 || max(a, b) >= int64(len(o.nodes)) || yesLeaf[i] == 0 && yes[i] >= int64(n) || noLeaf[i] == 0 && no[i] >= int64(n) {
			return nil, fmt.Errorf("node %d: a child does not exist", i)
		}
		if mode < 0 || mode > 6 || features[i] < 0 || features[i] > 1<<24 {
			return nil, fmt.Errorf("node %d has mode %d and feature %d", i, mode, features[i])
		}
		node := forestNode{value: splits.number(i), feature: int32(features[i]), yes: int32(a), no: int32(b), mode: uint8(mode) + 1, missing: len(missing) > 0 && missing[i] != 0}
		if node.mode == modeSet {
			var set valueSet
			for len(members) > 0 && members[0] == members[0] {
				set.add(members[0])
				members = members[1:]
			}
			if len(members) == 0 {
				return nil, fmt.Errorf("membership_values end before node %d", i)
			}
			members = members[1:] // NaN ends each set
			node.kind, node.set = codeExact, int32(len(o.sets))
			o.sets = append(o.sets, set)
		}
		o.nodes[i] = node
	}
	for _, r := range roots {
		if r < 0 || r >= int64(n) {
			return nil, fmt.Errorf("root %d of %d nodes", r, n)
		}
		at := int32(r)
		if o.nodes[at].yes == o.nodes[at].no && o.nodes[o.nodes[at].yes].mode == modeLeaf { // a tree that is one leaf
			at = o.nodes[at].yes
		}
		o.roots = append(o.roots, at)
	}
	how, transforms := c.int("aggregate_function", 1), []string{"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"}
	post := c.int("post_transform", 0)
	if how < 0 || how > 3 || post < 0 || post >= int64(len(transforms)) {
		return nil, fmt.Errorf("aggregate_function %d, post_transform %d", how, post)
	}
	switch transforms[post] {
	case "SOFTMAX":
		c.caution("post_transform 1 is a softmax, as ONNX specifies; to ONNX Runtime it is a logistic")
	case "LOGISTIC":
		c.caution("post_transform 2 is a logistic, as ONNX specifies; to ONNX Runtime it is a softmax")
	}
	c.cautionOne(o.targets, transforms[post])
	o, err := o.finish()
	if err != nil {
		return nil, err
	}
	return o.regressor([]string{"AVERAGE", "SUM", "MIN", "MAX"}[how], nil, transforms[post], splits.Type)
}

func compileTreeClassifier(c *nodeContext) (kernel, error) {
	labels, err := classLabels(c)
	if err != nil {
		return nil, err
	}
	k := labels.Len()
	o, err := readTrees(c, "class", k)
	if err != nil {
		return nil, err
	}
	base := doublesOf(c, "base_values")
	if len(base) > k {
		return nil, fmt.Errorf("%d base values for %d classes", len(base), k)
	}
	transformName := c.string("post_transform", "NONE")
	transform, err := postTransform(c)
	if err != nil {
		return nil, err
	}
	single, positive := k == 2, true
	for _, w := range o.weights {
		single = single && w.target == o.weights[0].target
		positive = positive && w.value >= 0
	}
	one := oneWeight{transform: transformName, second: single && o.weights[0].target == 1, positive: positive}
	if single {
		switch {
		case one.second && len(base) > 0 || len(base) > 1:
			return nil, refuse("%d base values are not supported where the leaves weigh one class of two, the one at %d", len(base), o.weights[0].target)
		case transformName == "PROBIT":
			return nil, refuse("post_transform %s is not supported where the leaves weigh one class of two: it makes no probabilities of them", transformName)
		}
	}
	start := make([]float32, len(base))
	for i, v := range base {
		start[i] = float32(v)
	}
	sparse := k > 2 && len(base) == 0 && o.sparse()
	return func(m *memory, in []*Tensor) ([]*Tensor, error) {
		seen, err := m.scratch(k)
		if err != nil {
			return nil, err
		}
		var x []float32
		if sparse && in[0].Type != Float64 {
			if x, err = in[0].float32s(m); err != nil {
				return nil, err
			}
		}
		sums, err := o.scores(m, in[0])
		if err != nil {
			return nil, err
		}
		result, err := cast(m, sums, Float32)
		if err != nil {
			return nil, err
		}
		scores, rows := result.Floats, result.Shape[0]
		label, err := m.tensor(labels.Type, rows)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			row := scores[i*k : (i+1)*k]
			if single {
				label.copyElement(i, labels, one.class(row, start))
				continue
			}
			for j := range start {
				row[j] += start[j]
			}
			best := argmax(row)
			if sparse && row[best] == 0 {
				best = o.reached(in[0], x, i, row, seen)
			}
			label.copyElement(i, labels, best)
		}
		if !single || one.second {
			transform(scores, k)
		}
		return m.list(label, result), nil
	}, nil
}

// sparse reports whether some leaf does not weigh every target, so that a row may have a target without any weight.
func (o *onnxTrees) sparse() bool {
	for i := range o.nodes {
		if n := &o.nodes[i]; n.mode == modeLeaf && int(n.no-n.yes) < o.targets {
			return true
		}
	}
	return false
}

// reached returns the class of the greatest score among those that some leaf of row i weighs, as ONNX Runtime does. The features are x, or
// the doubles of t; seen is room for a number a class.
func (o *onnxTrees) reached(t *Tensor, x []float32, i int, scores []float32, seen []float64) int {
	clear(seen)
	_, cols, _ := t.matrix()
	for _, root := range o.roots {
		var at int32
		if t.Type == Float64 {
			at = o.double.reach(root, t.Doubles[i*cols:(i+1)*cols])
		} else {
			at = o.single.reach(root, x[i*cols:(i+1)*cols])
		}
		for _, w := range o.weights[o.nodes[at].yes:o.nodes[at].no] {
			seen[w.target] = 1
		}
	}
	best := -1
	for j, v := range scores {
		if seen[j] != 0 && (best < 0 || v > scores[best]) {
			best = j
		}
	}
	return max(best, 0)
}

// A oneWeight handles two classes whose leaves weigh one of them only: the sum is a probability where no weight is negative, and a score
// around 0 otherwise; a logistic makes a score of either. Where the leaves weigh the second class the scores stay what they are, as in
// ONNX Runtime.
type oneWeight struct {
	transform        string
	second, positive bool
}

// class fills the row and returns the class.
func (o *oneWeight) class(row, base []float32) int {
	s := row[0] + row[1]
	if len(base) == 1 {
		s += base[0]
	}
	best, limit := 0, float32(0)
	if o.positive {
		limit = 0.5
	}
	if s > limit {
		best = 1
	}
	switch {
	case o.second:
	case o.transform == "LOGISTIC":
		row[0], row[1] = logistic32(-s), logistic32(s)
	case o.positive:
		row[0], row[1] = 1-s, s
	default:
		row[0], row[1] = -s, s
	}
	return best
}
