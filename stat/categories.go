package stat

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/assay-ml/assay"
)

// DefaultTopCategories is the number of categories of FreezeCategories when nobody asks for another; MaxTailCategories is how many
// rarer ones it still knows as seen.
const (
	DefaultTopCategories = 50
	MaxTailCategories    = 100_000
)

// Categories are the frozen values of a column of text or classes: the most frequent ones have a cell each, then come one cell for the
// rarer values that the reference also had and one for values that it never had. The rarer values are kept as 64-bit hashes, so that
// a long tail of names does not end up in a stored profile. Categories are immutable and safe for concurrent use.
type Categories struct {
	Values []string `json:"values"` // of the first cells, the most frequent first, equal ones in byte order
	Tail   []uint64 `json:"tail"`   // ascending hashes of the rarer values
	Open   bool     `json:"open"`   // there were more rarer values than are kept: nothing can be called unseen, all else is other
	Rows   int64    `json:"rows"`   // values of the reference
	Once   int64    `json:"once"`   // how many values the reference had once; Once/Rows estimates the share of unseen ones (Good, 1953)
	index  map[string]int32
	tail   map[uint64]struct{}
}

// FreezeCategories keeps the top most frequent values of the reference counts; top 0 means DefaultTopCategories. Of a reference without
// counts every value is unseen. It refuses a count that is not positive and a negative top.
func FreezeCategories(counts map[string]int64, top int) (*Categories, error) {
	if top == 0 {
		top = DefaultTopCategories
	}
	var p assay.Problems
	type entry struct {
		value string
		count int64
	}
	all := make([]entry, 0, len(counts))
	var rows, once int64
	for v, n := range counts {
		if n < 1 {
			p.Add("a value with count %d", n)
			continue
		}
		all = append(all, entry{v, n})
		if n == 1 {
			once++
		}
		rows += n
	}
	if top < 1 {
		p.Add("%d categories asked for", top)
	}
	if err := p.Err(assay.Invalid, "cannot freeze categories"); err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b entry) int { return cmp.Or(cmp.Compare(b.count, a.count), cmp.Compare(a.value, b.value)) })
	c := &Categories{Values: make([]string, 0, min(top, len(all))), Tail: []uint64{}, Rows: rows, Once: once}
	for i, e := range all {
		switch {
		case i < top:
			c.Values = append(c.Values, e.value)
		case len(all)-top > MaxTailCategories:
			c.Open = true
		default:
			c.Tail = append(c.Tail, hashCategory(e.value))
		}
	}
	slices.Sort(c.Tail)
	c.Tail = slices.Compact(c.Tail)
	c.derive()
	return c, nil
}

// hashCategory is FNV-1a with a final mix.
func hashCategory[T string | []byte](s T) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return mix64(h)
}

func (c *Categories) derive() {
	c.index = make(map[string]int32, len(c.Values))
	for i, v := range c.Values {
		c.index[v] = int32(i)
	}
	c.tail = make(map[uint64]struct{}, len(c.Tail))
	for _, h := range c.Tail {
		c.tail[h] = struct{}{}
	}
}

// UnmarshalJSON reads categories; it refuses repeated values, hashes that do not ascend, and rows or a tail without values.
func (c *Categories) UnmarshalJSON(data []byte) error {
	type plain Categories
	var p plain
	if err := strictJSON(data, &p); err != nil {
		return assay.Errorf(assay.Invalid, "categories: %w", err)
	}
	*c = Categories(p)
	c.derive()
	if len(c.Values) == 0 && (c.Rows != 0 || c.Open || len(c.Tail) > 0) || len(c.index) != len(c.Values) || !slices.IsSorted(c.Tail) || len(c.tail) != len(c.Tail) || c.Open && len(c.Tail) > 0 {
		return assay.Errorf(assay.Invalid, "categories: no or repeated values, or an unusable tail")
	}
	return nil
}

// Cells is the number of cells: the values, other, unseen.
func (c *Categories) Cells() int { return len(c.Values) + 2 }

// Other is the cell of the rarer values of the reference.
func (c *Categories) Other() int { return len(c.Values) }

// Unseen is the cell of the values that the reference did not have.
func (c *Categories) Unseen() int { return len(c.Values) + 1 }

// Cell returns the cell of a value. It allocates nothing.
func (c *Categories) Cell(v string) int {
	if i, ok := c.index[v]; ok {
		return int(i)
	}
	return c.rare(hashCategory(v))
}

func (c *Categories) rare(hash uint64) int {
	if c.Open {
		return c.Other()
	}
	if _, ok := c.tail[hash]; ok {
		return c.Other()
	}
	return c.Unseen()
}

// CellBytes is Cell of a value that is still in a buffer.
func (c *Categories) CellBytes(v []byte) int {
	if i, ok := c.index[string(v)]; ok {
		return int(i)
	}
	return c.rare(hashCategory(v))
}

// CategoryCounts counts what a categorical column held by the cells of frozen Categories, and rows without a value apart. Like a
// Histogram it does not depend on the order of rows, allocates nothing when adding, and is not safe for concurrent use.
type CategoryCounts struct {
	categories *Categories
	cells      []int64
	presence   [presenceKinds]int64
}

// NewCategoryCounts returns empty counts over the categories.
func NewCategoryCounts(c *Categories) *CategoryCounts {
	return &CategoryCounts{categories: c, cells: make([]int64, c.Cells())}
}

// Add counts a value.
func (c *CategoryCounts) Add(v string) { c.AddCell(c.categories.Cell(v)) }

// AddBytes counts a value that is still in a buffer.
func (c *CategoryCounts) AddBytes(v []byte) { c.AddCell(c.categories.CellBytes(v)) }

// AddCell counts a value whose cell is known.
func (c *CategoryCounts) AddCell(cell int) {
	c.cells[cell]++
	c.presence[PresenceValue]++
}

// AddMissing counts a row without a value.
func (c *CategoryCounts) AddMissing() { c.presence[PresenceMissing]++ }

// AddTypeError counts a row whose value is of another type.
func (c *CategoryCounts) AddTypeError() { c.presence[PresenceTypeError]++ }

// Merge adds the counts of others over equal categories; it is associative and commutative. It refuses other categories.
func (c *CategoryCounts) Merge(o *CategoryCounts) error {
	a, b := c.categories, o.categories
	if a != b && (!slices.Equal(a.Values, b.Values) || !slices.Equal(a.Tail, b.Tail) || a.Open != b.Open) {
		return assay.Errorf(assay.Invalid, "cannot merge counts: their categories differ")
	}
	for i, n := range o.cells {
		c.cells[i] += n
	}
	for i, n := range o.presence {
		c.presence[i] += n
	}
	return nil
}

// Reset empties the counts.
func (c *CategoryCounts) Reset() {
	clear(c.cells)
	c.presence = [presenceKinds]int64{}
}

// Categories returns what is counted over.
func (c *CategoryCounts) Categories() *Categories { return c.categories }

// Rows is the number of rows of every kind.
func (c *CategoryCounts) Rows() (n int64) {
	for _, k := range c.presence {
		n += k
	}
	return n
}

// Values is the number of rows with a value.
func (c *CategoryCounts) Values() int64 { return c.presence[PresenceValue] }

// Counts returns the counts by cell.
func (c *CategoryCounts) Counts() []float64 { return floatCounts(c.cells) }

// Presence returns the number of rows of each kind, as Histogram.Presence does.
func (c *CategoryCounts) Presence() []float64 { return floatCounts(c.presence[:]) }

type categoryCountsJSON struct {
	Cells    []int64      `json:"cells"`
	Presence presenceJSON `json:"presence"`
}

// MarshalJSON writes the counts, without the categories; equal counts have equal bytes.
func (c *CategoryCounts) MarshalJSON() ([]byte, error) {
	return json.Marshal(categoryCountsJSON{c.cells, presenceOf(c.presence)})
}

// ReadCategoryCounts reads the counts that MarshalJSON wrote, over the categories they were counted with. It refuses unknown fields,
// another number of cells, and counts that are negative or do not add up.
func ReadCategoryCounts(categories *Categories, data []byte) (*CategoryCounts, error) {
	var j categoryCountsJSON
	if err := strictJSON(data, &j); err != nil {
		return nil, assay.Errorf(assay.Invalid, "category counts: %w", err)
	}
	c := NewCategoryCounts(categories)
	var ok bool
	if c.presence, ok = j.Presence.counts(j.Cells); !ok || len(j.Cells) != len(c.cells) {
		return nil, assay.Errorf(assay.Invalid, "category counts: %d cells over %d, or counts that do not add up", len(j.Cells), len(c.cells))
	}
	copy(c.cells, j.Cells)
	return c, nil
}
