package learn

import "math"

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
