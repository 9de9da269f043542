package serve

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"slices"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/stat"
)

// A Support is what the training rows of a model looked like, as counts: what the rows of a request are held against to tell how unusual
// they are. No row is kept. Rows are scored in three steps.
//
//   - A value is as surprising as the share of training rows that lie in cells at most as dense is small: minus its logarithm, which is
//     exponential where the value comes from the training distribution, whatever the column. Cells are quantiles of numbers, frequent
//     values and categories; missing is a cell, too, and what was never seen has the mass of what was seen once (Good, 1953). Beyond the
//     range of the training rows the logarithm of the distance is added. This is the histogram-based outlier score of Goldstein and
//     Dengel (2012) with tail mass instead of height, as in ECOD (Li et al., 2022), so that columns of any kind add up.
//   - Pairs of dependent columns add minus the information component log((n+½)/(e+½)) of what is seen together against what would be
//     by chance (Norén, Hopstadius and Bate, 2013). The pairs of the tree that holds most information (Chow and Liu, 1968) add to the
//     sum; further ones can only be the worst surprise.
//   - The sum and the worst single surprise are ranked among held-out rows, and so is the larger of the two ranks. Hence the score, the
//     share of held-out rows that are less unusual, holds for rows like them without any assumption.
//
// What it cannot see: a combination of three or more columns of which every pair is common, an odd pair among columns that hardly depend
// on each other, dates and timestamps (which new rows exceed by nature), nested values, and one more value inside a cell.
type Support struct {
	Schema  string          `json:"schema"` // assay.support/1
	Rows    int64           `json:"rows"`   // of training
	Columns []SupportColumn `json:"columns"`
	Pairs   []SupportPair   `json:"pairs"`
	Skipped []string        `json:"skipped"` // columns that are not looked at
	Sum     rankTable       `json:"sum"`
	Worst   rankTable       `json:"worst"`
	Both    rankTable       `json:"both"`
}

// A SupportColumn is one column of the training rows.
type SupportColumn struct {
	Name       string           `json:"name"`
	Edges      *stat.Edges      `json:"edges,omitempty"`      // of numbers and truth values
	Categories *stat.Categories `json:"categories,omitempty"` // of texts
	Cells      []int64          `json:"cells"`                // rows in each
	Missing    int64            `json:"missing"`              // rows without a value
	Once       int64            `json:"once"`                 // values that one row has, where the values are few
	Low        float64          `json:"low"`
	High       float64          `json:"high"`
}

// A SupportPair counts two columns together, in coarse groups of their cells.
type SupportPair struct {
	A     int     `json:"a"`
	B     int     `json:"b"`
	Tree  bool    `json:"tree"`
	Cells []int64 `json:"cells"` // row-major, maxGroups each way
}

const (
	supportSchema   = "assay.support/1"
	supportCells    = 100    // quantile cells of a number
	maxGroups       = 16     // of a column in a pair; a power of two
	numberGroups    = 12     // of the values of a number
	missingGroup    = 15     // the group of rows without a value
	otherGroup      = 14     // the group of all categories that have none of their own
	minInformation  = 0.005  // nats that a pair must share to be counted
	pairWork        = 400e6  // row visits while pairs are looked for
	maxPairRows     = 20_000 // with which they are looked for
	minPairRows     = 2_000
	maxPairColumns  = 1_500
	MaxSupportHeld  = 20_000 // held-out rows that a Support ranks against: more are thinned out
	maxSupportBytes = 256 << 20
)

// LearnSupport counts the training rows and ranks the held-out ones; both have the same columns. Those named in codes are numbers that
// stand for categories: each has a cell of its own. The result depends on the rows alone, not on their order among equal ones or on
// the machine's threads. Errors are Invalid: no rows, or no column that can be looked at.
func LearnSupport(train, held assay.Frame, codes []string) (*Support, error) {
	if train.Rows() == 0 || held.Rows() == 0 {
		return nil, assay.Errorf(assay.Invalid, "a reference needs training and held-out rows: there are %d and %d", train.Rows(), held.Rows())
	}
	s := &Support{Schema: supportSchema, Rows: int64(train.Rows()), Columns: []SupportColumn{}, Pairs: []SupportPair{}, Skipped: []string{}}
	var cells [][]uint8 // the group of each training row, by column
	for i := range train {
		c := &train[i]
		sc, err := learnColumn(c, slices.Contains(codes, c.Name))
		if err != nil {
			return nil, err
		}
		if sc == nil || held.Column(c.Name) == nil {
			s.Skipped = append(s.Skipped, c.Name)
			continue
		}
		s.Columns = append(s.Columns, *sc)
		x := sc.scored(0)
		groups := make([]uint8, c.Len())
		cell := x.cellsOf(c)
		for row := range groups {
			k, _ := cell(row)
			groups[row] = x.group[k]
		}
		cells = append(cells, groups)
	}
	if len(s.Columns) == 0 {
		return nil, assay.Errorf(assay.Invalid, "no column of the training rows can be a reference")
	}
	s.findPairs(cells)
	s.calibrate(held)
	return s, nil
}

// learnColumn counts a column; nil for one that is not looked at.
func learnColumn(c *assay.Column, codes bool) (*SupportColumn, error) {
	out := &SupportColumn{Name: c.Name}
	switch {
	case c.Type == assay.TypeDate || c.Type == assay.TypeTimestamp || c.Type == assay.TypeBinary || c.Type == assay.TypeJSON:
		return nil, nil
	case c.Codes != nil:
		counts := make([]int64, len(c.Levels))
		for _, k := range c.Codes {
			if k < 0 {
				out.Missing++
			} else {
				counts[k]++
			}
		}
		by := map[string]int64{}
		for i, n := range counts {
			if n > 0 {
				by[c.Levels[i]] = n
			}
		}
		if len(by) == 0 {
			return nil, nil
		}
		categories, err := stat.FreezeCategories(by, 0)
		if err != nil {
			return nil, err
		}
		out.Categories, out.Once = categories, categories.Once
		out.Cells = make([]int64, categories.Cells())
		for v, n := range by {
			out.Cells[categories.Cell(v)] += n
		}
	default:
		finite := make([]float64, 0, len(c.Floats))
		for _, v := range c.Floats {
			if v-v == 0 {
				finite = append(finite, v)
			}
		}
		out.Missing = int64(len(c.Floats) - len(finite))
		if len(finite) == 0 {
			return nil, nil
		}
		o := stat.EdgeOptions{Cells: supportCells}
		if codes {
			o.Cells = stat.MaxEdgeCells
		}
		edges, err := stat.FreezeEdges(finite, o)
		if err != nil {
			return nil, err
		}
		out.Edges, out.Cells = edges, make([]int64, edges.Cells())
		out.Low, out.High = finite[0], finite[0]
		for _, v := range finite {
			out.Cells[edges.Cell(v)]++
			out.Low, out.High = min(out.Low, v), max(out.High, v)
		}
		for _, a := range edges.Atoms {
			if out.Cells[a] == 1 {
				out.Once++
			}
		}
	}
	return out, nil
}

// scored makes a column ready: the cost and the group of every cell.
func (s *SupportColumn) scored(field int) scoredColumn {
	x := scoredColumn{field: field, edges: s.Edges, categories: s.Categories, low: s.Low, high: s.High, scale: 1}
	k := len(s.Cells)
	x.cost, x.group = make([]float64, k+2), make([]uint8, k+2)
	var values int64
	for _, n := range s.Cells {
		values += n
	}
	total := float64(values + s.Missing + 1)
	present := -math.Log((float64(values) + .5) / total)
	x.cost[k] = -math.Log((float64(s.Missing) + .5) / total)
	x.group[k] = noGroup
	if s.Missing > 0 {
		x.group[k] = missingGroup
	}
	x.cost[k+1], x.group[k+1] = math.Log(2*total), noGroup

	// The mass of all cells at most as dense, from the thinnest up.
	type dense struct {
		cell    int
		rank    int // 0 what spreads over a range, 1 single values
		density float64
	}
	var order []dense
	for i, n := range s.Cells {
		if n == 0 {
			x.cost[i], x.group[i] = present-math.Log((float64(s.Once)+.5)/float64(values+1)), noGroup
			continue
		}
		d := dense{i, 1, float64(n)}
		if s.Edges != nil && !s.atom(i) {
			width := 0.0
			if i > 0 && i < len(s.Edges.Upper) {
				width = s.Edges.Upper[i] - s.Edges.Upper[i-1]
			}
			d.rank, d.density = 0, float64(n)/max(width, math.SmallestNonzeroFloat64)
		}
		if s.Categories != nil && i == s.Categories.Other() {
			d.rank = 0
		}
		order = append(order, d)
	}
	slices.SortFunc(order, func(a, b dense) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.density, b.density), cmp.Compare(a.cell, b.cell))
	})
	var mass int64
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && order[j].rank == order[i].rank && order[j].density == order[i].density {
			mass += s.Cells[order[j].cell]
			j++
		}
		for ; i < j; i++ {
			x.cost[order[i].cell] = present - math.Log((float64(mass)+.5)/float64(values+1))
		}
	}
	if s.Edges != nil {
		x.scale = s.Edges.Scale
		x.guide = newGuide(x.edges.Upper, x.low, x.high)
	}
	s.groups(&x, values)
	return x
}

func (s *SupportColumn) atom(cell int) bool {
	_, ok := slices.BinarySearch(s.Edges.Atoms, cell)
	return ok
}

// groups divides the cells that have rows into at most maxGroups.
func (s *SupportColumn) groups(x *scoredColumn, values int64) {
	var before int64
	for i, n := range s.Cells {
		if n == 0 {
			continue
		}
		if s.Categories != nil {
			x.group[i] = uint8(min(i, otherGroup))
			continue
		}
		x.group[i] = uint8(min(numberGroups-1, int(float64(numberGroups)*(float64(before)+float64(n)/2)/float64(values))))
		before += n
	}
}

// cellsOf returns what finds the cell of a row of a frame's column, as cell does of a request.
func (c *scoredColumn) cellsOf(col *assay.Column) func(row int) (cell int, beyond float64) {
	last := len(c.cost) - 1
	if c.categories != nil {
		at := make([]int, len(col.Levels))
		for i, v := range col.Levels {
			at[i] = c.categories.Cell(v)
		}
		return func(row int) (int, float64) {
			if col.Codes == nil {
				return last, 0
			}
			if k := col.Codes[row]; k >= 0 {
				return at[k], 0
			}
			return last - 1, 0
		}
	}
	return func(row int) (int, float64) {
		if col.Codes != nil {
			return last, 0
		}
		v := col.Floats[row]
		if v != v {
			return last - 1, 0
		}
		if k := c.cellOf(v); k >= 0 {
			return k, c.beyond(v)
		}
		return last, 0
	}
}

// findPairs chooses the pairs of columns that depend on each other and counts them.
func (s *Support) findPairs(cells [][]uint8) {
	n, d := len(cells[0]), min(len(cells), maxPairColumns)
	if d < 2 {
		return
	}
	look := min(n, max(minPairRows, min(maxPairRows, int(pairWork/(float64(d)*float64(d)/2)))))
	step := float64(n) / float64(look)
	sample := make([][]uint8, d)
	for i := range d {
		sample[i] = make([]uint8, look)
		for j := range look {
			sample[i][j] = cells[i][int(float64(j)*step)]
		}
	}
	type edge struct {
		a, b  int
		share float64
	}
	var edges []edge
	for a := range d {
		for b := a + 1; b < d; b++ {
			if share := information(countPair(sample[a], sample[b])); share > minInformation {
				edges = append(edges, edge{a, b, share})
			}
		}
	}
	slices.SortFunc(edges, func(x, y edge) int {
		return cmp.Or(cmp.Compare(y.share, x.share), cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b))
	})
	root := make([]int, d)
	for i := range root {
		root[i] = i
	}
	find := func(i int) int {
		for root[i] != i {
			root[i] = root[root[i]]
			i = root[i]
		}
		return i
	}
	further := d
	for _, e := range edges {
		a, b := find(e.a), find(e.b)
		tree := a != b
		if tree {
			root[a] = b
		} else if further--; further < 0 {
			continue
		}
		s.Pairs = append(s.Pairs, SupportPair{A: e.a, B: e.b, Tree: tree, Cells: countPair(cells[e.a], cells[e.b])})
	}
}

func countPair(a, b []uint8) []int64 {
	out := make([]int64, maxGroups*maxGroups)
	for i, x := range a {
		if y := b[i]; x|y < maxGroups {
			out[int(x)*maxGroups+int(y)]++
		}
	}
	return out
}

// margins are the counts of each column of a pair alone, and all of them.
func margins(cells []int64) (a, b [maxGroups]int64, n int64) {
	for i, c := range cells {
		a[i/maxGroups] += c
		b[i%maxGroups] += c
		n += c
	}
	return a, b, n
}

// information is the mutual information in nats, less what so few rows show by chance (Miller, 1955).
func information(cells []int64) float64 {
	a, b, n := margins(cells)
	if n == 0 {
		return 0
	}
	sum, ka, kb := 0.0, -1, -1
	for i := range maxGroups {
		if a[i] > 0 {
			ka++
		}
		if b[i] > 0 {
			kb++
		}
	}
	for i, c := range cells {
		if c > 0 {
			sum += float64(c) * math.Log(float64(c)*float64(n)/(float64(a[i/maxGroups])*float64(b[i%maxGroups])))
		}
	}
	return (sum - float64(ka*kb)/2) / float64(n)
}

func (p *SupportPair) scored(a, b int, _ int64) scoredPair {
	out := scoredPair{a: a, b: b, tree: p.Tree}
	ma, mb, n := margins(p.Cells)
	for i, c := range p.Cells {
		chance := 0.0
		if n > 0 {
			chance = float64(ma[i/maxGroups]) * float64(mb[i%maxGroups]) / float64(n)
		}
		out.cost[i] = float32(math.Log((chance + .5) / (float64(c) + .5)))
	}
	return out
}

// calibrate ranks the held-out rows.
func (s *Support) calibrate(held assay.Frame) {
	n := held.Rows()
	rows := make([]int, min(n, MaxSupportHeld))
	for i := range rows {
		rows[i] = int(int64(i) * int64(n) / int64(len(rows)))
	}
	names := make([]string, len(s.Columns))
	for i := range s.Columns {
		names[i] = s.Columns[i].Name
	}
	x := s.scorer(names)
	sums, worsts := make([]float64, len(rows)), make([]float64, len(rows))
	x.frame(held, names, rows, func(i int, sum, worst float64) { sums[i], worsts[i] = sum, worst })
	s.Sum, s.Worst = newRankTable(sums), newRankTable(worsts)
	both := make([]float64, len(rows))
	for i := range rows {
		both[i] = max(s.Sum.less(sums[i]), s.Worst.less(worsts[i]))
	}
	s.Both = newRankTable(both)
}

// frame gives the sum and the worst surprise of each of the rows.
func (x *supportScorer) frame(f assay.Frame, names []string, rows []int, give func(i int, sum, worst float64)) {
	cells := make([]func(int) (int, float64), len(x.columns))
	for j := range x.columns {
		cells[j] = x.columns[j].cellsOf(f.Column(names[x.columns[j].field]))
	}
	groups := make([]uint8, len(x.columns))
	sum, worst := make([]float64, 1), make([]float64, 1)
	for i, row := range rows {
		sum[0], worst[0] = 0, 0
		for j := range x.columns {
			cell, cost := cells[j](row)
			cost += x.columns[j].cost[cell]
			groups[j] = x.columns[j].group[cell]
			sum[0] += cost
			worst[0] = max(worst[0], cost)
		}
		for k := range x.pairs {
			p := &x.pairs[k]
			p.score(groups[p.a:p.a+1], groups[p.b:p.b+1], sum, worst)
		}
		give(i, sum[0], worst[0])
	}
}

// Document is the reference as it is stored: equal rows give equal bytes.
func (s *Support) Document() ([]byte, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return nil, assay.Errorf(assay.Internal, "the reference cannot be written: %w", err)
	}
	return b, nil
}

// ReadSupport reads a reference that Document wrote. Errors are Invalid and name everything that is wrong with it.
func ReadSupport(doc []byte) (*Support, error) {
	if len(doc) > maxSupportBytes {
		return nil, assay.Errorf(assay.Invalid, "the reference has %d bytes, more than the limit of %d", len(doc), maxSupportBytes)
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.DisallowUnknownFields()
	s := &Support{}
	if err := d.Decode(s); err != nil {
		return nil, assay.Errorf(assay.Invalid, "the reference cannot be read: %w", err)
	}
	var p assay.Problems
	if s.Schema != supportSchema {
		p.Add("it is %q, not %q", clip(s.Schema), supportSchema)
	}
	for i := range s.Columns {
		s.Columns[i].check(&p)
	}
	for i := range s.Pairs {
		x := &s.Pairs[i]
		if x.A < 0 || x.B < 0 || x.A >= len(s.Columns) || x.B >= len(s.Columns) || x.A == x.B || len(x.Cells) != maxGroups*maxGroups || slices.Min(x.Cells) < 0 {
			p.Add("pair %d does not fit the columns", i)
		}
	}
	s.Sum.check(&p, "the sums")
	s.Worst.check(&p, "the worst surprises")
	s.Both.check(&p, "both")
	if err := p.Err(assay.Invalid, "unusable reference"); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *SupportColumn) check(p *assay.Problems) {
	want := -1
	switch {
	case (s.Edges == nil) == (s.Categories == nil):
	case s.Edges != nil:
		if s.Edges.Check() == nil {
			want = s.Edges.Cells()
		}
	default:
		want = s.Categories.Cells()
	}
	if len(s.Cells) != want || slices.Min(s.Cells) < 0 || s.Missing < 0 || s.Once < 0 || !(s.Low <= s.High) {
		p.Add("column %q: its cells do not fit", clip(s.Name))
	}
}
