package learn

// A cell is what a histogram keeps of the rows in one bin: the sum of their first derivatives in units of the iteration, and in one
// word the sum of their second derivatives (high bits) and their number (low bits). Integer sums do not depend on their order, so a
// histogram is the same whichever threads add up its parts, and a sibling is an exact difference.
type cell struct {
	first  int64
	second int64
}

// A derivative is a row's first and second, rounded.
type derivative struct {
	first  int32
	second int32
}

// groupTables are the histograms of the groups of one word.
type groupTables [groupsPerWord][256]cell

// count adds the rows to the tables of the first groups of the word.
func (t *groupTables) count(groups int, words []uint64, rows []int32, d []derivative, countBits uint) {
	at := 0
	for ; groups-at >= 4; at += 4 {
		count4((*[4][256]cell)(t[at:]), words, uint(at*8), rows, d, countBits)
	}
	switch groups - at {
	case 3:
		count3((*[3][256]cell)(t[at:]), words, uint(at*8), rows, d, countBits)
	case 2:
		count2((*[2][256]cell)(t[at:]), words, uint(at*8), rows, d, countBits)
	case 1:
		count1(&t[at], words, uint(at*8), rows, d, countBits)
	}
}

// The four loops below are one: written out by number of tables, since the additions to different tables overlap in the processor
// and those to one table, for a feature of few bins, wait for each other.

func count4(t *[4][256]cell, words []uint64, shift uint, rows []int32, d []derivative, countBits uint) {
	words = words[:len(d)]
	for _, r := range rows {
		first, second := int64(d[r].first), int64(d[r].second)<<(countBits&63)|1
		w := words[r] >> (shift & 63)
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

func count3(t *[3][256]cell, words []uint64, shift uint, rows []int32, d []derivative, countBits uint) {
	words = words[:len(d)]
	for _, r := range rows {
		first, second := int64(d[r].first), int64(d[r].second)<<(countBits&63)|1
		w := words[r] >> (shift & 63)
		c := &t[0][uint8(w)]
		c.first += first
		c.second += second
		c = &t[1][uint8(w>>8)]
		c.first += first
		c.second += second
		c = &t[2][uint8(w>>16)]
		c.first += first
		c.second += second
	}
}

func count2(t *[2][256]cell, words []uint64, shift uint, rows []int32, d []derivative, countBits uint) {
	words = words[:len(d)]
	for _, r := range rows {
		first, second := int64(d[r].first), int64(d[r].second)<<(countBits&63)|1
		w := words[r] >> (shift & 63)
		c := &t[0][uint8(w)]
		c.first += first
		c.second += second
		c = &t[1][uint8(w>>8)]
		c.first += first
		c.second += second
	}
}

func count1(t *[256]cell, words []uint64, shift uint, rows []int32, d []derivative, countBits uint) {
	words = words[:len(d)]
	for _, r := range rows {
		c := &t[uint8(words[r]>>(shift&63))]
		c.first += int64(d[r].first)
		c.second += int64(d[r].second)<<(countBits&63) | 1
	}
}

// histogram sets hist to the histogram of the rows.
func (g *grower) histogram(rows []int32, hist []cell) {
	clear(hist)
	blocks := len(g.bins.words)
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
	return g.bins.groups[k*groupsPerWord : min((k+1)*groupsPerWord, len(g.bins.groups))]
}

// countBlock counts the rows in the tables of one goroutine's part, for the groups of word k.
func (g *grower) countBlock(part, k int, rows []int32) {
	t := &g.tables[part]
	groups := g.blockGroups(k)
	for i := range groups {
		clear(t[i][:groups[i].codes])
	}
	t.count(len(groups), g.bins.words[k], rows, g.d, g.countBits)
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
