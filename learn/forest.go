package learn

import (
	"fmt"
	"math"
	"slices"
)

// How a node decides.
const (
	modeLeaf uint8 = iota
	modeLEQ
	modeLT
	modeGTE
	modeGT
	modeEQ
	modeNEQ
	modeSet // membership
)

// What a node takes for missing, besides what its missing field says of where that goes; and of modeSet, how a feature becomes the
// member of a set. NaN is missing to a set.
const (
	missingNaN   uint8 = iota // NaN
	missingZero               // NaN, and numbers that round to 0: LightGBM's zero_as_missing
	missingNone               // nothing: NaN counts as 0
	codeExact                 // the feature is the member
	codeFloor                 // the feature is rounded down; below 0 it is no member
	codeTruncate              // the feature is rounded towards 0
	slotZero                  // of a slot: its key is always 0
)

// zeroWidth is LightGBM's kZeroThreshold: numbers as close to 0 as this are 0 (include/LightGBM/meta.h).
const zeroWidth = 1.0000000180025095e-35

// A forestNode is a node of an ensemble; all trees share one slice.
type forestNode struct {
	value   float64
	feature int32
	yes, no int32 // next nodes; of a leaf, the range of its weights
	set     int32 // modeSet: index of the set
	mode    uint8
	kind    uint8 // missingNaN, missingZero or missingNone
	missing bool  // what is missing takes the yes branch
}

type leafWeight struct {
	target int32
	value  float64
}

// A forest is a tree ensemble ready to run on features of T. Trees of thresholds only are packed: their nodes are a few bytes each and
// compare integers that sort as the features do, so that a step is a load, a comparison and an addition, without a branch to predict,
// and eight walks go on at the same time. Other trees are walked node by node.
type forest[T float32 | float64, K int32 | int64] struct {
	nodes    []forestNode
	roots    []int32
	weights  []leafWeight
	sets     []valueSet
	features int // that the trees use: the largest index and one
	targets  int

	trees  []packedTree
	packed []packedNode[K]
	leaf   []int32 // of a packed leaf, its node
	value  []T     // of a packed leaf of a tree with one target, its weight
	slots  []slot
	codes  []codeRef // of packed nodes that test a set
	words  []uint64  // of those sets; the first is 0
	order  []int32   // packed trees, by depth
	fill   func(dst []K, row []T, slots []slot)
}

// A packedTree is where a tree lies among the packed nodes.
type packedTree struct {
	root   int32
	depth  int32
	target int32 // of every leaf, or -1
	fast   bool
	coded  bool // some node tests a set
}

// A codeRef is the set of a packed node: bits from a word on, and the slot whose key is the number of the bit. Bit 0 is for what is
// no possible member, bit 1 for what is missing, and the rest for codes from 0 on. A set sends its members to the second child.
type codeRef struct {
	word int32
	slot uint16
}

// A packedNode goes on to the node next places further, or the one after it where the key of its slot is above its own. A leaf goes
// on to itself.
type packedNode[K int32 | int64] struct {
	key  K
	slot uint16
	next uint16
}

// A slot is a feature and where its missing values go; each row is turned into one key a slot.
type slot struct {
	feature int32
	width   int32 // codes that sets of the feature have room for
	kind    uint8
	left    bool // what is missing sorts before everything
}

// maxSlots and maxStep are what a packedNode can hold.
const (
	maxSlots = 1 << 16
	maxStep  = 1<<16 - 1
)

// key32 maps floats to integers of the same order; 0 and -0 have one key. The largest and smallest integers are no number's key.
func key32(v float32) int32 {
	b := int32(math.Float32bits(v + 0))
	return b ^ (b >> 31 & math.MaxInt32)
}

// key64 is key32 for float64.
func key64(v float64) int64 {
	b := int64(math.Float64bits(v + 0))
	return b ^ (b >> 63 & math.MaxInt64)
}

func fill32(dst []int32, row []float32, slots []slot) {
	for i := range slots {
		s := &slots[i]
		v := row[s.feature]
		switch {
		case v != v && s.kind >= missingNone:
			dst[i] = 0
			if s.kind > missingNone && s.kind < slotZero {
				dst[i] = 1
			}
		case v != v || s.kind == missingZero && v >= -zeroWidth && v <= zeroWidth:
			if dst[i] = math.MaxInt32; s.left {
				dst[i] = math.MinInt32
			}
		case s.kind >= codeExact:
			dst[i] = int32(s.bit(float64(v)))
		default:
			dst[i] = key32(v)
		}
	}
}

func fill64(dst []int64, row []float64, slots []slot) {
	for i := range slots {
		s := &slots[i]
		v := row[s.feature]
		switch {
		case v != v && s.kind >= missingNone:
			dst[i] = 0
			if s.kind > missingNone && s.kind < slotZero {
				dst[i] = 1
			}
		case v != v || s.kind == missingZero && v >= -zeroWidth && v <= zeroWidth:
			if dst[i] = math.MaxInt64; s.left {
				dst[i] = math.MinInt64
			}
		case s.kind >= codeExact:
			dst[i] = int64(s.bit(float64(v)))
		default:
			dst[i] = key64(v)
		}
	}
}

// bit returns the number of the bit that stands for a number in the sets of a feature.
func (s *slot) bit(v float64) int32 {
	if s.kind == slotZero {
		return 0
	}
	if v = member(s.kind, v); v >= 0 && v < float64(s.width) && v == float64(int32(v)) {
		return int32(v) + 2
	}
	return 0
}

// member returns what is looked up in a set.
func member(kind uint8, v float64) float64 {
	switch {
	case kind == codeFloor && v < 0:
		return -1
	case kind == codeFloor, kind == codeTruncate:
		return math.Trunc(v)
	}
	return v
}

// A valueSet is a set of numbers: small whole ones as bits, others in order.
type valueSet struct {
	bits  []uint64
	other []float64
}

// maxSetCode bounds the codes of a set that is kept as bits.
const maxSetCode = 1 << 14

func codeLike(v float64) bool { return v >= 0 && v < maxSetCode && v == float64(int(v)) }

func (s *valueSet) add(v float64) {
	if !codeLike(v) {
		s.other = append(s.other, v)
		return
	}
	for len(s.bits) <= int(v)/64 {
		s.bits = append(s.bits, 0)
	}
	s.bits[int(v)/64] |= 1 << (int(v) % 64)
}

func (s *valueSet) has(v float64) bool {
	if !codeLike(v) {
		_, ok := slices.BinarySearch(s.other, v)
		return ok
	}
	i := int(v) / 64
	return i < len(s.bits) && s.bits[i]>>(int(v)%64)&1 == 1
}

// prepare32 checks an ensemble on float32 features and packs what can be packed.
func prepare32(f *forest[float32, int32]) error {
	f.fill = fill32
	return f.prepare(func(v float64) int32 { return key32(float32(v)) }, math.MaxInt32)
}

// prepare64 is prepare32 for float64 features.
func prepare64(f *forest[float64, int64]) error {
	f.fill = fill64
	return f.prepare(key64, math.MaxInt64)
}

func (f *forest[T, K]) prepare(key func(float64) K, top K) error {
	for i := range f.nodes {
		n := &f.nodes[i]
		if n.mode == modeLeaf {
			if n.yes < 0 || n.yes > n.no || int(n.no) > len(f.weights) {
				return fmt.Errorf("leaf %d has weights %d to %d of %d", i, n.yes, n.no, len(f.weights))
			}
			continue
		}
		if n.feature < 0 || n.feature > 1<<24 {
			return fmt.Errorf("node %d has feature %d", i, n.feature)
		}
		if min(n.yes, n.no) < 0 || int(max(n.yes, n.no)) >= len(f.nodes) {
			return fmt.Errorf("node %d has children %d and %d of %d nodes", i, n.yes, n.no, len(f.nodes))
		}
		f.features = max(f.features, int(n.feature)+1)
	}
	if err := f.checkPaths(); err != nil {
		return err
	}
	for i := range f.sets {
		slices.Sort(f.sets[i].other)
	}
	p := &packer[T, K]{forest: f, key: key, top: top, slots: map[slot]int{}, widths: map[int32]int32{}}
	p.measure()
	f.trees = make([]packedTree, len(f.roots))
	for t, root := range f.roots {
		f.trees[t] = p.tree(root)
		if f.trees[t].fast {
			f.order = append(f.order, int32(t))
		}
	}
	slices.SortStableFunc(f.order, func(a, b int32) int { return int(f.trees[a].depth - f.trees[b].depth) })
	return nil
}

// checkPaths refuses cycles: a walk that comes back to a node it has not left.
func (f *forest[T, K]) checkPaths() error {
	const (
		unseen = iota
		open
		done
	)
	state := make([]uint8, len(f.nodes))
	var stack []int32
	for start := range f.nodes {
		stack = append(stack[:0], int32(start))
		for len(stack) > 0 {
			i := stack[len(stack)-1]
			n := &f.nodes[i]
			if state[i] != unseen || n.mode == modeLeaf {
				state[i] = done
				stack = stack[:len(stack)-1]
				continue
			}
			state[i] = open
			for _, next := range [2]int32{n.yes, n.no} {
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

// A packer lays trees out for walking.
type packer[T float32 | float64, K int32 | int64] struct {
	forest *forest[T, K]
	key    func(float64) K
	top    K // the key that no feature goes above
	slots  map[slot]int
	widths map[int32]int32 // codes of the sets of a feature
	queue  []int32         // nodes of the tree in the order of their places
}

// measure finds how many codes the sets of each feature have room for.
func (p *packer[T, K]) measure() {
	f := p.forest
	for i := range f.nodes {
		if n := &f.nodes[i]; n.mode == modeSet {
			p.widths[n.feature] = max(p.widths[n.feature], int32(64*len(f.sets[n.set].bits)))
		}
	}
	if len(p.widths) > 0 {
		f.words = []uint64{0}
	}
}

// slot returns the place of a slot, or false where there is no room for another.
func (p *packer[T, K]) slot(s slot) (uint16, bool) {
	index, ok := p.slots[s]
	if !ok {
		if index = len(p.forest.slots); index == maxSlots {
			return 0, false
		}
		p.slots[s] = index
		p.forest.slots = append(p.forest.slots, s)
	}
	return uint16(index), true
}

// set writes the set of a node as bits.
func (p *packer[T, K]) set(n *forestNode) (codeRef, bool) {
	f := p.forest
	set := &f.sets[n.set]
	width := p.widths[n.feature]
	words := int(width+2)/64 + 1
	if len(set.other) > 0 || len(f.words)+words > 64*len(f.nodes)+1024 {
		return codeRef{}, false
	}
	at, ok := p.slot(slot{feature: n.feature, kind: n.kind, width: width})
	ref := codeRef{word: int32(len(f.words)), slot: at}
	f.words = append(f.words, make([]uint64, words)...)
	bits := f.words[ref.word:]
	for i, word := range set.bits { // shifted by two
		bits[i] |= word << 2
		if i+1 < len(bits) {
			bits[i+1] |= word >> 62
		}
	}
	if n.missing {
		bits[0] |= 2
	}
	return ref, ok
}

// tree packs one tree, or leaves it to be walked node by node where a node is not a threshold, a step is too long, or a node can be
// reached in two ways so often that the tree would grow.
func (p *packer[T, K]) tree(root int32) packedTree {
	f := p.forest
	start := len(f.packed)
	giveUp := func() packedTree {
		f.packed, f.leaf, f.value, f.codes = f.packed[:start], f.leaf[:start], f.value[:start], f.codes[:start]
		return packedTree{root: root}
	}
	out := packedTree{root: int32(start), target: -1, fast: true}
	single := true
	p.queue = append(p.queue[:0], root)
	depths := []int32{0}
	p.grow(1)
	for at := 0; at < len(p.queue); at++ {
		n := &f.nodes[p.queue[at]]
		place := start + at
		out.depth = max(out.depth, depths[at])
		f.leaf[place] = p.queue[at]
		if n.mode == modeLeaf {
			f.packed[place] = packedNode[K]{key: p.top}
			if w := f.weights[n.yes:n.no]; len(w) == 1 && (out.target < 0 || out.target == w[0].target) {
				out.target = w[0].target
				f.value[place] = T(w[0].value)
			} else {
				single = false
			}
			continue
		}
		next := len(p.queue) - at
		if n.value != n.value || next > maxStep || place > 2*len(f.nodes)+2 {
			return giveUp()
		}
		left, right := n.yes, n.no
		key, ok := p.key(n.value), true
		switch n.mode {
		case modeLEQ:
		case modeLT:
			key--
		case modeGTE:
			key--
			left, right = right, left
		case modeGT, modeSet:
			left, right = right, left
		default:
			return giveUp()
		}
		s := slot{feature: n.feature, kind: n.kind, left: n.kind != missingNone && n.missing == (left == n.yes)}
		if n.mode == modeSet {
			out.coded, key, s = true, p.top, slot{kind: slotZero}
			if f.codes[place], ok = p.set(n); !ok {
				return giveUp()
			}
		}
		index, ok := p.slot(s)
		if !ok {
			return giveUp()
		}
		f.packed[place] = packedNode[K]{key: key, slot: index, next: uint16(next)}
		p.queue = append(p.queue, left, right)
		depths = append(depths, depths[at]+1, depths[at]+1)
		p.grow(2)
	}
	if !single {
		out.target = -1
	}
	if out.coded { // the other nodes look at a bit that is never set
		zero, ok := p.slot(slot{kind: slotZero})
		if !ok {
			return giveUp()
		}
		for i := start; i < len(f.codes); i++ {
			if f.codes[i].word == 0 {
				f.codes[i].slot = zero
			}
		}
	}
	return out
}

func (p *packer[T, K]) grow(n int) {
	for range n {
		p.forest.packed = append(p.forest.packed, packedNode[K]{})
		p.forest.leaf = append(p.forest.leaf, 0)
		p.forest.value = append(p.forest.value, 0)
		p.forest.codes = append(p.forest.codes, codeRef{})
	}
}

// takesYes reports whether x takes the node's yes branch.
func (f *forest[T, K]) takesYes(n *forestNode, x T) bool {
	v := float64(x)
	if n.mode == modeSet {
		if v != v {
			return n.missing
		}
		return f.sets[n.set].has(member(n.kind, v))
	}
	if v != v || n.kind == missingZero && v >= -zeroWidth && v <= zeroWidth {
		if n.kind != missingNone {
			return n.missing || n.mode == modeNEQ
		}
		v = 0
	}
	switch n.mode {
	case modeLEQ:
		return v <= n.value
	case modeLT:
		return v < n.value
	case modeGTE:
		return v >= n.value
	case modeGT:
		return v > n.value
	case modeEQ:
		return v == n.value
	}
	return v != n.value // modeNEQ
}

// reach walks one tree node by node and returns the leaf that the row reaches.
func (f *forest[T, K]) reach(root int32, row []T) int32 {
	at := root
	for {
		n := &f.nodes[at]
		if n.mode == modeLeaf {
			return at
		}
		if at = n.no; f.takesYes(n, row[n.feature]) {
			at = n.yes
		}
	}
}
