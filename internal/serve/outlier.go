package serve

import (
	"math"
	"slices"
	"sort"
	"sync"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/stat"
)

// DefaultOutlierShare is the share of ordinary rows that count as out of distribution when nobody asks for another.
const DefaultOutlierShare = 0.001

// noGroup is the group of a cell that the training rows never fell into: nothing is known of what goes with it.
const noGroup = 0xff

// A supportScorer is a Support made ready to score the rows of one input schema. It is immutable.
type supportScorer struct {
	columns   []scoredColumn
	pairs     []scoredPair
	sum       rankTable
	worst     rankTable
	both      rankTable
	guides    [3]*guide // of sum, worst and both
	threshold float64
	space     sync.Pool // *scoreSpace
}

// A scoredColumn turns a value into a cell, and a cell into how surprising it is.
type scoredColumn struct {
	field      int
	edges      *stat.Edges // of numbers
	categories *stat.Categories
	cost       []float64 // by cell, then of a missing value, then of one of another type
	group      []uint8   // as cost
	low, high  float64   // the range of the training rows
	scale      float64
	guide      *guide // of the edges
}

// cellOf is Edges.Cell, by the guide.
func (c *scoredColumn) cellOf(v float64) int {
	if v-v != 0 {
		return -1
	}
	return c.guide.find(c.edges.Upper, v)
}

// A scoredPair says how much more surprising two columns are together than each alone.
type scoredPair struct {
	a, b int
	tree bool
	cost [maxGroups * maxGroups]float32
}

// Outliers makes the reference ready to score rows of the input schema: a row counts as out of distribution when at most that share of
// the held-out rows is as unusual. Columns that the schema does not have are not looked at. The result is safe for concurrent use.
// Errors are Invalid.
func (s *Support) Outliers(in *schema.Schema, share float64) (Outliers, error) {
	if !(share >= 0 && share < 1) {
		return nil, assay.Errorf(assay.Invalid, "a share of %v of the rows cannot be out of distribution: it must be from 0 to below 1", share)
	}
	names := make([]string, len(in.Columns))
	for i := range in.Columns {
		names[i] = in.Columns[i].Name
	}
	x := s.scorer(names)
	x.threshold = 1 - share
	return x, nil
}

func (s *Support) scorer(names []string) *supportScorer {
	x := &supportScorer{sum: s.Sum, worst: s.Worst, both: s.Both}
	for i, t := range []*rankTable{&x.sum, &x.worst, &x.both} {
		x.guides[i] = t.guide()
	}
	at := make([]int, len(s.Columns)) // of the columns that are left
	for i := range s.Columns {
		at[i] = -1
		if f := slices.Index(names, s.Columns[i].Name); f >= 0 {
			at[i] = len(x.columns)
			x.columns = append(x.columns, s.Columns[i].scored(f))
		}
	}
	for i := range s.Pairs {
		p := &s.Pairs[i]
		if at[p.A] < 0 || at[p.B] < 0 {
			continue
		}
		x.pairs = append(x.pairs, p.scored(at[p.A], at[p.B], s.Rows))
	}
	n := len(x.columns)
	x.space.New = func() any { return &scoreSpace{groups: make([]uint8, n*scoreBlock)} }
	return x
}

// Threshold implements Outliers.
func (x *supportScorer) Threshold() float64 { return x.threshold }

// scoreBlock is how many rows are scored together, column after column.
const scoreBlock = 128

// A scoreSpace is what the scores of a block are made in.
type scoreSpace struct {
	groups     []uint8 // scoreBlock of each column
	values     [scoreBlock]float64
	sum, worst [scoreBlock]float64
}

// Score implements Outliers. It does not allocate where out has room.
func (x *supportScorer) Score(rows *schema.Batch, out []float64) []float64 {
	s := x.space.Get().(*scoreSpace)
	for from := 0; from < rows.Rows(); from += scoreBlock {
		n := min(scoreBlock, rows.Rows()-from)
		clear(s.sum[:n])
		clear(s.worst[:n])
		for i := range x.columns {
			x.columns[i].score(rows, from, s.values[:n], s.groups[i*scoreBlock:i*scoreBlock+n], s.sum[:n], s.worst[:n])
		}
		for i := range x.pairs {
			p := &x.pairs[i]
			p.score(s.groups[p.a*scoreBlock:p.a*scoreBlock+n], s.groups[p.b*scoreBlock:p.b*scoreBlock+n], s.sum[:n], s.worst[:n])
		}
		for i := range n {
			rank := max(x.sum.share(x.guides[0].find(x.sum.At, s.sum[i])), x.worst.share(x.guides[1].find(x.worst.At, s.worst[i])))
			out = append(out, x.both.share(x.guides[2].find(x.both.At, rank)))
		}
	}
	x.space.Put(s)
	return out
}

// score adds what the column says of rows, and notes the groups that they fall into. values has room for what it reads.
func (c *scoredColumn) score(rows *schema.Batch, from int, values []float64, groups []uint8, sum, worst []float64) {
	if c.categories == nil {
		rows.Floats(from, c.field, values)
	}
	for i := range groups {
		cell, beyond := len(c.cost)-1, 0.0
		switch {
		case c.categories != nil:
			if text, ok := rows.Text(from+i, c.field); ok {
				cell = c.categories.CellBytes(text)
			} else if rows.Missing(from+i, c.field) {
				cell--
			}
		case values[i]-values[i] == 0:
			v := values[i]
			cell = c.guide.find(c.edges.Upper, v)
			if v < c.low || v > c.high {
				beyond = c.beyond(v)
			}
		case rows.Missing(from+i, c.field):
			cell--
		}
		cost := beyond + c.cost[cell]
		groups[i] = c.group[cell]
		sum[i] += cost
		worst[i] = max(worst[i], cost)
	}
}

// beyond grows with the distance to the range of the training rows, in robust standard deviations.
func (c *scoredColumn) beyond(v float64) float64 {
	switch {
	case v < c.low:
		return math.Log1p((c.low - v) / c.scale)
	case v > c.high:
		return math.Log1p((v - c.high) / c.scale)
	}
	return 0
}

// score adds what two columns say together of rows whose groups are a and b.
func (p *scoredPair) score(a, b []uint8, sum, worst []float64) {
	for i := range a {
		if a[i]|b[i] >= maxGroups {
			continue
		}
		cost := float64(p.cost[a[i]*maxGroups+b[i]])
		if p.tree {
			sum[i] += cost
		}
		worst[i] = max(worst[i], cost)
	}
}

// A rankTable is where values lie among those of the held-out rows: exactly in the upper tail, from below elsewhere.
type rankTable struct {
	At   []float64 `json:"at"`   // values of held-out rows, ascending, without repeats
	UpTo []int64   `json:"upto"` // how many held-out rows have at most that value
	Rows int64     `json:"rows"` // held-out rows
}

// The upper tail is kept whole, the rest in steps.
const (
	rankTail  = 1000
	rankSteps = 256
)

func newRankTable(values []float64) rankTable {
	s := slices.Clone(values)
	slices.Sort(s)
	t := rankTable{At: []float64{}, UpTo: []int64{}, Rows: int64(len(s))}
	step := max(1, (len(s)-rankTail)/rankSteps)
	for i := 0; i < len(s); i++ {
		last := i+1 == len(s) || s[i+1] != s[i] // counts every equal one
		if last && (i >= len(s)-rankTail || i%step == 0 || len(s) <= rankTail) {
			t.At, t.UpTo = append(t.At, s[i]), append(t.UpTo, int64(i+1))
		}
	}
	return t
}

// less is the share of held-out rows with a smaller value.
func (t *rankTable) less(v float64) float64 { return t.share(sort.SearchFloat64s(t.At, v)) }

// share is that of the held-out rows with one of the first i values.
func (t *rankTable) share(i int) float64 {
	if i == 0 {
		return 0
	}
	return float64(t.UpTo[i-1]) / float64(t.Rows)
}

func (t *rankTable) guide() *guide {
	if len(t.At) == 0 {
		return newGuide(nil, 0, 0)
	}
	return newGuide(t.At, t.At[0], t.At[len(t.At)-1])
}

func (t *rankTable) check(p *assay.Problems, name string) {
	ok := len(t.At) == len(t.UpTo) && len(t.At) > 0 && t.UpTo[len(t.UpTo)-1] <= t.Rows
	for i := range t.At {
		ok = ok && !math.IsNaN(t.At[i]) && t.UpTo[i] > 0 && (i == 0 || t.At[i] > t.At[i-1] && t.UpTo[i] > t.UpTo[i-1])
	}
	if !ok {
		p.Add("the ranks of %s are out of order", name)
	}
}
