package learn

// forestBlock is the number of rows that pass through one tree while it is in the cache.
const forestBlock = 256

// sum adds the weights of every tree to scores [rows][targets], for each score in the order of the trees, so that the rounding is the
// same whatever the number of rows.
func (f *forest[T, K]) sum(m *memory, x []T, rows, cols int, scores []T) error {
	block := min(rows, forestBlock)
	keys, err := takeKeys[K](m, block*len(f.slots)+1)
	if err != nil {
		return err
	}
	if rows == 1 {
		return f.sumOne(m, x[:cols], keys, scores)
	}
	for lo := 0; lo < rows; lo += block {
		hi := min(lo+block, rows)
		for i := lo; i < hi; i++ {
			f.fill(keys[(i-lo)*len(f.slots):(i-lo+1)*len(f.slots)], x[i*cols:(i+1)*cols], f.slots)
		}
		for t := range f.trees {
			if tree := &f.trees[t]; tree.fast {
				f.sumRows(tree, keys, hi-lo, scores[lo*f.targets:hi*f.targets])
				continue
			}
			for i := lo; i < hi; i++ {
				f.addLeaf(f.reach(f.trees[t].root, x[i*cols:(i+1)*cols]), scores[i*f.targets:])
			}
		}
	}
	return nil
}

// takeKeys returns room for n keys.
func takeKeys[K int32 | int64](m *memory, n int) ([]K, error) {
	var k K
	if err := m.spend(8 * int64(n)); err != nil {
		return nil, err
	}
	switch any(k).(type) {
	case int32:
		keys := m.keys.take(n)
		return any(keys).([]K), nil
	}
	keys := m.ints.take(n)
	return any(keys).([]K), nil
}

func (f *forest[T, K]) addLeaf(node int32, scores []T) {
	n := &f.nodes[node]
	for _, w := range f.weights[n.yes:n.no] {
		scores[w.target] += T(w.value)
	}
}

// sumOne walks eight trees at a time, of about the same depth, and adds up what they reach in the order of the trees.
func (f *forest[T, K]) sumOne(m *memory, row []T, keys []K, scores []T) error {
	f.fill(keys, row, f.slots)
	reached, err := takeKeys[int32](m, len(f.trees))
	if err != nil {
		return err
	}
	nodes, order, trees := f.packed, f.order, f.trees
	k := 0
	for ; k+8 <= len(order); k += 8 {
		o := order[k : k+8 : k+8]
		i0, i1, i2, i3 := int(trees[o[0]].root), int(trees[o[1]].root), int(trees[o[2]].root), int(trees[o[3]].root)
		i4, i5, i6, i7 := int(trees[o[4]].root), int(trees[o[5]].root), int(trees[o[6]].root), int(trees[o[7]].root)
		coded := false
		for _, t := range o {
			coded = coded || trees[t].coded
		}
		if coded {
			for _, t := range o {
				reached[t] = int32(f.walk(&trees[t], keys))
			}
			continue
		}
		for range trees[o[7]].depth {
			i0 = descend(nodes, keys, i0)
			i1 = descend(nodes, keys, i1)
			i2 = descend(nodes, keys, i2)
			i3 = descend(nodes, keys, i3)
			i4 = descend(nodes, keys, i4)
			i5 = descend(nodes, keys, i5)
			i6 = descend(nodes, keys, i6)
			i7 = descend(nodes, keys, i7)
		}
		reached[o[0]], reached[o[1]], reached[o[2]], reached[o[3]] = int32(i0), int32(i1), int32(i2), int32(i3)
		reached[o[4]], reached[o[5]], reached[o[6]], reached[o[7]] = int32(i4), int32(i5), int32(i6), int32(i7)
	}
	for ; k < len(order); k++ {
		reached[order[k]] = int32(f.walk(&trees[order[k]], keys))
	}
	for t := range trees {
		switch tree := &trees[t]; {
		case !tree.fast:
			f.addLeaf(f.reach(tree.root, row), scores)
		case tree.target >= 0:
			scores[tree.target] += f.value[reached[t]]
		default:
			f.addLeaf(f.leaf[reached[t]], scores)
		}
	}
	return nil
}

// descend goes from a node to one of its children, or stays at a leaf.
func descend[K int32 | int64](nodes []packedNode[K], keys []K, at int) int {
	n := &nodes[at]
	above := 0
	if keys[n.slot] > n.key {
		above = 1
	}
	return at + int(n.next) + above
}

// descendCoded is descend in a tree that tests sets.
func descendCoded[K int32 | int64](nodes []packedNode[K], codes []codeRef, words []uint64, keys []K, at int) int {
	n, c := &nodes[at], &codes[at]
	above := 0
	if keys[n.slot] > n.key {
		above = 1
	}
	bit := int(keys[c.slot])
	return at + int(n.next) + (above | int(words[int(c.word)+bit>>6]>>(bit&63)&1))
}

// walk returns the packed leaf that a row reaches.
func (f *forest[T, K]) walk(tree *packedTree, keys []K) int {
	at := int(tree.root)
	if tree.coded {
		for f.packed[at].next != 0 {
			at = descendCoded(f.packed, f.codes, f.words, keys, at)
		}
		return at
	}
	for range tree.depth {
		at = descend(f.packed, keys, at)
	}
	return at
}

// sumRows walks eight rows at a time through one tree.
func (f *forest[T, K]) sumRows(tree *packedTree, keys []K, rows int, scores []T) {
	nodes, w, root := f.packed, len(f.slots), int(tree.root)
	i := 0
	var at [8]int
	for ; i+8 <= rows; i += 8 {
		x0, x1, x2, x3 := keys[i*w:(i+1)*w], keys[(i+1)*w:(i+2)*w], keys[(i+2)*w:(i+3)*w], keys[(i+3)*w:(i+4)*w]
		if tree.coded {
			at[0], at[1], at[2], at[3] = f.walk4Coded(tree, x0, x1, x2, x3)
		} else {
			at[0], at[1], at[2], at[3] = walk4(nodes, x0, x1, x2, x3, root, int(tree.depth))
		}
		x0, x1, x2, x3 = keys[(i+4)*w:(i+5)*w], keys[(i+5)*w:(i+6)*w], keys[(i+6)*w:(i+7)*w], keys[(i+7)*w:(i+8)*w]
		if tree.coded {
			at[4], at[5], at[6], at[7] = f.walk4Coded(tree, x0, x1, x2, x3)
		} else {
			at[4], at[5], at[6], at[7] = walk4(nodes, x0, x1, x2, x3, root, int(tree.depth))
		}
		f.addRows(tree, at[:], scores[i*f.targets:])
	}
	for ; i < rows; i++ {
		at[0] = f.walk(tree, keys[i*w:(i+1)*w])
		f.addRows(tree, at[:1], scores[i*f.targets:])
	}
}

func walk4[K int32 | int64](nodes []packedNode[K], x0, x1, x2, x3 []K, root, depth int) (i0, i1, i2, i3 int) {
	i0, i1, i2, i3 = root, root, root, root
	for range depth {
		i0 = descend(nodes, x0, i0)
		i1 = descend(nodes, x1, i1)
		i2 = descend(nodes, x2, i2)
		i3 = descend(nodes, x3, i3)
	}
	return i0, i1, i2, i3
}

func (f *forest[T, K]) walk4Coded(tree *packedTree, x0, x1, x2, x3 []K) (i0, i1, i2, i3 int) {
	nodes, codes, words := f.packed, f.codes, f.words
	i0 = int(tree.root)
	i1, i2, i3 = i0, i0, i0
	for range tree.depth {
		i0 = descendCoded(nodes, codes, words, x0, i0)
		i1 = descendCoded(nodes, codes, words, x1, i1)
		i2 = descendCoded(nodes, codes, words, x2, i2)
		i3 = descendCoded(nodes, codes, words, x3, i3)
	}
	return i0, i1, i2, i3
}

// addRows adds the leaves that rows one after the other have reached.
func (f *forest[T, K]) addRows(tree *packedTree, at []int, scores []T) {
	if tree.target >= 0 {
		for j, a := range at {
			scores[j*f.targets+int(tree.target)] += f.value[a]
		}
		return
	}
	for j, a := range at {
		f.addLeaf(f.leaf[a], scores[j*f.targets:])
	}
}
