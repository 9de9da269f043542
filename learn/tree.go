package learn

import (
	"math"

	"github.com/assay-ml/assay"
)

// Links from the raw score of an ensemble to what it predicts.
const (
	LinkLogit    = "logit"    // one score: the log odds of the second class
	LinkSoftmax  = "softmax"  // one score a class, normalised by softmax
	LinkIdentity = "identity" // the score is the value
	LinkLog      = "log"      // the score is the logarithm of the value
)

// An Ensemble is a sum of regression trees: the raw score of output k is Base[k] plus the leaf values of the trees of that output,
// added in the order of Trees.
type Ensemble struct {
	Trees   []Tree
	Outputs int       // scores a row: 1 for binary classification and regression, K for K classes
	Base    []float64 // starting score of each output
	Link    string    // LinkLogit, LinkSoftmax, LinkIdentity or LinkLog
	Inputs  int       // number of features
}

// A Tree is nodes in one slice; node 0 is the root and every child has a larger index than its parent.
type Tree struct {
	Output int // the output whose score it adds to
	Nodes  []Node
}

// A Node is a leaf when Left is negative; then Value is what it adds. Otherwise a row goes left when its feature is at most
// Threshold or, where Categories is set, when its feature is the code of a member of that set. NaN goes left where MissingLeft
// says so and right otherwise; a code outside the bitset goes right.
type Node struct {
	Feature     int32
	Threshold   float64
	Left, Right int32 // indexes into Tree.Nodes
	Value       float64
	MissingLeft bool
	Categories  []uint32 // bit c%32 of word c/32 is set when category code c goes left; nil for a numeric split
}

// goesLeft reports where a row with this value of the node's feature goes.
func (n *Node) goesLeft(x float64) bool {
	if math.IsNaN(x) {
		return n.MissingLeft
	}
	if n.Categories == nil {
		return x <= n.Threshold
	}
	if x < 0 || x != math.Trunc(x) || x >= float64(32*len(n.Categories)) {
		return false
	}
	c := uint(x)
	return n.Categories[c/32]>>(c%32)&1 == 1
}

// Score adds the raw scores of one row of features to out, which has one place an output and is set to Base first.
func (e *Ensemble) Score(row, out []float64) {
	copy(out, e.Base)
	for t := range e.Trees {
		nodes := e.Trees[t].Nodes
		n := &nodes[0]
		for n.Left >= 0 {
			if n.goesLeft(row[n.Feature]) {
				n = &nodes[n.Left]
			} else {
				n = &nodes[n.Right]
			}
		}
		out[e.Trees[t].Output] += n.Value
	}
}

// Check reports every way in which the ensemble is not well formed: an index out of range, a child before its parent, a feature or
// an output that does not exist, a value that is not finite.
func (e *Ensemble) Check() error {
	var p assay.Problems
	if e.Outputs < 1 || len(e.Base) != e.Outputs {
		p.Add("%d outputs with %d base scores", e.Outputs, len(e.Base))
	}
	switch e.Link {
	case LinkLogit, LinkIdentity, LinkLog:
		if e.Outputs != 1 {
			p.Add("link %s takes one output, there are %d", e.Link, e.Outputs)
		}
	case LinkSoftmax:
	default:
		p.Add("link %q is not known", e.Link)
	}
	for t := range e.Trees {
		if len(p) > 20 {
			break
		}
		e.Trees[t].check(t, e, &p)
	}
	return p.Err(assay.Invalid, "tree ensemble")
}

func (t *Tree) check(at int, e *Ensemble, p *assay.Problems) {
	if t.Output < 0 || t.Output >= e.Outputs {
		p.Add("tree %d: output %d of %d", at, t.Output, e.Outputs)
	}
	if len(t.Nodes) == 0 {
		p.Add("tree %d: no node", at)
	}
	for i := range t.Nodes {
		n := &t.Nodes[i]
		if n.Left < 0 {
			if math.IsNaN(n.Value) || math.IsInf(n.Value, 0) {
				p.Add("tree %d, node %d: leaf value %v", at, i, n.Value)
			}
			continue
		}
		if int(n.Left) <= i || int(n.Right) <= i || int(n.Left) >= len(t.Nodes) || int(n.Right) >= len(t.Nodes) {
			p.Add("tree %d, node %d: children %d and %d of %d nodes", at, i, n.Left, n.Right, len(t.Nodes))
		}
		if n.Feature < 0 || int(n.Feature) >= e.Inputs {
			p.Add("tree %d, node %d: feature %d of %d", at, i, n.Feature, e.Inputs)
		}
		if n.Categories == nil && math.IsNaN(n.Threshold) {
			p.Add("tree %d, node %d: threshold NaN", at, i)
		}
	}
}
