package learn

// A cell is what a histogram keeps of the rows in one bin: the sum of their first derivatives in units of the iteration, and in one
// word the sum of their second derivatives (high bits) and their number (low bits). Integer sums do not depend on their order, so a
// histogram is the same whichever threads add up its parts, and a sibling is an exact difference.
type cell struct {
	first  int64
	second int64
}

// groupTables are the histograms of the groups of one block.
type groupTables [groupsPerBlock][256]cell

// count adds the rows to the tables of the block's first groups.
func (t *groupTables) count(groups int, block []binnedRow, rows []int32, countBits uint) {
	at := 0
	switch groups {
	case 8:
		count8((*[8][256]cell)(t), block, rows, countBits)
		return
	case 6, 7:
		count6((*[6][256]cell)(t[:]), block, rows, countBits)
		at = 6
	case 4, 5:
		count4((*[4][256]cell)(t[:]), block, rows, countBits)
		at = 4
	case 2, 3:
		count2((*[2][256]cell)(t[:]), block, rows, countBits)
		at = 2
	}
	if at < groups {
		count1(&t[at], block, uint(at*8), rows, countBits)
	}
}

// The five loops below are one, written out by number of tables: additions to different tables overlap in the processor, while those
// to one table wait for each other where neighbouring rows share a bin, and a pass over the rows costs its fetches.

func count8(t *[8][256]cell, block []binnedRow, rows []int32, countBits uint) {
	for _, i := range rows {
		r := &block[i]
		first, second, w := int64(r.first), int64(r.second)<<(countBits&63)|1, r.codes
		c := &t[0][uint8(w)]
		c.first += first
		c.second += second
		c = &t[1][uint8(w>>8)]
		c.first += first
		c.second += second
		c = &t[2][uint8(w>>16)]
		c.first += first
		c.second += second
		c = &t[3][uint8(w>>24)]
		c.first += first
		c.second += second
		c = &t[4][uint8(w>>32)]
		c.first += first
		c.second += second
		c = &t[5][uint8(w>>40)]
		c.first += first
		c.second += second
		c = &t[6][uint8(w>>48)]
		c.first += first
		c.second += second
		c = &t[7][uint8(w>>56)]
		c.first += first
		c.second += second
	}
}

func count6(t *[6][256]cell, block []binnedRow, rows []int32, countBits uint) {
	for _, i := range rows {
		r := &block[i]
		first, second, w := int64(r.first), int64(r.second)<<(countBits&63)|1, r.codes
		c := &t[0][uint8(w)]
		c.first += first
		c.second += second
		c = &t[1][uint8(w>>8)]
		c.first += first
		c.second += second
		c = &t[2][uint8(w>>16)]
		c.first += first
		c.second += second
		c = &t[3][uint8(w>>24)]
		c.first += first
		c.second += second
		c = &t[4][uint8(w>>32)]
		c.first += first
		c.second += second
		c = &t[5][uint8(w>>40)]
		c.first += first
		c.second += second
	}
}

func count4(t *[4][256]cell, block []binnedRow, rows []int32, countBits uint) {
	for _, i := range rows {
		r := &block[i]
		first, second, w := int64(r.first), int64(r.second)<<(countBits&63)|1, r.codes
		c := &t[0][uint8(w)]
		c.first += first
		c.second += second
		c = &t[1][uint8(w>>8)]
		c.first += first
		c.second += second
		c = &t[2][uint8(w>>16)]
		c.first += first
		c.second += second
		c = &t[3][uint8(w>>24)]
		c.first += first
		c.second += second
	}
}

func count2(t *[2][256]cell, block []binnedRow, rows []int32, countBits uint) {
	for _, i := range rows {
		r := &block[i]
		first, second, w := int64(r.first), int64(r.second)<<(countBits&63)|1, r.codes
		c := &t[0][uint8(w)]
		c.first += first
		c.second += second
		c = &t[1][uint8(w>>8)]
		c.first += first
		c.second += second
	}
}

func count1(t *[256]cell, block []binnedRow, shift uint, rows []int32, countBits uint) {
	for _, i := range rows {
		r := &block[i]
		c := &t[uint8(r.codes>>(shift&63))]
		c.first += int64(r.first)
		c.second += int64(r.second)<<(countBits&63) | 1
	}
}

// histogram sets hist to the histogram of the rows.
func (g *grower) histogram(rows []int32, hist []cell) {
	clear(hist)
	blocks := len(g.bins.blocks)
	if blocks >= g.p.Threads {
		grain := 1
		if len(rows) < smallLeaf {
			grain = blocks
		}
		inParts(g.p.Threads, blocks, grain, func(part, lo, hi int) {
			for k := lo; k < hi; k++ {
				g.countBlock(part, k, rows)
				g.addBlock(part, k, hist)
			}
		})
		return
	}
	for k := range blocks {
		parts := 1
		inParts(g.p.Threads, len(rows), smallLeaf/2, func(part, lo, hi int) { g.countBlock(part, k, rows[lo:hi]) })
		if p := (len(rows) + smallLeaf/2 - 1) / (smallLeaf / 2); p > 1 {
			parts = min(g.p.Threads, p)
		}
		for part := range parts {
			g.addBlock(part, k, hist)
		}
	}
}

// smallLeaf is the number of rows below which handing work to another thread costs more than it saves.
const smallLeaf = 8192

func (g *grower) blockGroups(k int) []binGroup {
	return g.bins.groups[k*groupsPerBlock : min((k+1)*groupsPerBlock, len(g.bins.groups))]
}

// countBlock counts the rows in the tables of one goroutine's part, for the groups of block k.
func (g *grower) countBlock(part, k int, rows []int32) {
	t := &g.tables[part]
	groups := g.blockGroups(k)
	for i := range groups {
		clear(t[i][:groups[i].codes])
	}
	t.count(len(groups), g.bins.blocks[k], rows, g.countBits)
}

// addBlock adds the part's tables to the features' histograms: a feature's bin is the sum of all codes that hold it.
func (g *grower) addBlock(part, k int, hist []cell) {
	for i, group := range g.blockGroups(k) {
		table := g.tables[part][i][:group.codes]
		for _, j := range group.features {
			f := &g.bins.features[j]
			h := hist[f.offset : f.offset+f.bins]
			if f.stride == 1 && f.bins == len(table) {
				for b := range table {
					h[b].first += table[b].first
					h[b].second += table[b].second
				}
				continue
			}
			for at := 0; at < len(table); {
				for b := range h {
					c := h[b]
					for _, s := range table[at : at+f.stride] {
						c.first += s.first
						c.second += s.second
					}
					h[b] = c
					at += f.stride
				}
			}
		}
	}
}

// subtract takes the histogram of one child off the parent's, which leaves the other child's.
func subtract(parent, child []cell) {
	child = child[:len(parent)]
	for b := range parent {
		parent[b].first -= child[b].first
		parent[b].second -= child[b].second
	}
}
