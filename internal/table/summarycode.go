package table

import (
	"context"
	"math"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/assay-ml/assay"
)

// Limits of Examine.
const (
	// MaxCodes is how many distinct values a column may have to be coded by value; beyond it numbers are coded by rank.
	MaxCodes = math.MaxUint16
	// maxTextBytes is how many bytes the distinct texts of a coded column may have.
	maxTextBytes = 32 << 20
	// maxJoint is how many cells of value by class are counted.
	maxJoint = 16 << 20
)

// Codes is one small number a row. Zero is a missing value, NaN included. Exactly one of the slices is set, the narrowest that fits.
type Codes struct {
	U8  []uint8
	U16 []uint16
	U32 []uint32
}

// Len returns the number of rows.
func (c *Codes) Len() int { return len(c.U8) + len(c.U16) + len(c.U32) }

// At returns the code of row i.
func (c *Codes) At(i int) uint32 {
	switch {
	case c.U8 != nil:
		return uint32(c.U8[i])
	case c.U16 != nil:
		return uint32(c.U16[i])
	}
	return c.U32[i]
}

func makeCodes(n, most int) Codes {
	switch {
	case most <= math.MaxUint8:
		return Codes{U8: make([]uint8, n)}
	case most <= math.MaxUint16:
		return Codes{U16: make([]uint16, n)}
	}
	return Codes{U32: make([]uint32, n)}
}

func (c *Codes) set(i int, v uint32) {
	switch {
	case c.U8 != nil:
		c.U8[i] = uint8(v)
	case c.U16 != nil:
		c.U16[i] = uint16(v)
	default:
		c.U32[i] = v
	}
}

// An Examined column is its summary and, where it has few enough distinct values or is numeric, a code for every row: from the codes
// of two columns everything that concerns both can be counted without reading the table again.
type Examined struct {
	Summary
	Codes      Codes       // of text with more than MaxCodes distinct values: none
	Ranked     bool        // a code is twice the midrank of the value; otherwise it is 1 + its index in Values or Texts
	Values     []float64   // distinct numbers, ascending, infinities at the ends; nil when Ranked
	Texts      []string    // distinct texts, by bytes
	Counts     []int64     // of each distinct value; nil when Ranked
	Characters *Characters // of text
	Groups     []Numbers   // of the rows of each class of By, over the same histogram edges; nil without By and for text
	AUC        float64     // chance that a value of the second class of By exceeds one of the first, ties half; NaN unless By has two
}

// ExamineOptions say what to examine, and how rows fall into classes.
type ExamineOptions struct {
	SummaryOptions
	By     *Examined               // a coded column: the class of each row, under the same Where
	AtOnce int                     // columns at a time; 0: two
	Each   func(e *Examined) error // called for each column as it is done, one call at a time
}

// Examine summarizes columns (nil: all) as Summarize does, and codes them. Memory in Go: for each of the columns at a time 32 bytes a
// row and, with By, 4 for each class and distinct value; what Each keeps of Codes is 1, 2 or 4 bytes a row.
func (t *Table) Examine(ctx context.Context, columns []string, o ExamineOptions) error {
	fields, err := t.columns(columns)
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	if t.rows >= math.MaxUint32/2 {
		return assay.Errorf(assay.Unimplemented, "%d rows are too many to code: at most %d", t.rows, math.MaxUint32/2)
	}
	at := o.AtOnce
	if at <= 0 {
		at = summaryColumns
	}
	free := make(chan *scratch, at)
	for range at {
		free <- &scratch{}
	}
	turn := make(chan struct{}, 1)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(at)
	for _, fs := range t.groups(fields) {
		g.Go(func() error {
			sc := <-free
			defer func() { free <- sc }()
			var es []*Examined
			var err error
			if textual(fs[0].Type) {
				es, err = t.examineTexts(ctx, fs, &o)
			} else {
				es, err = t.examineNumbers(ctx, fs, &o, sc, true)
			}
			if err != nil {
				return err
			}
			turn <- struct{}{}
			defer func() { <-turn }()
			for _, e := range es {
				if err := o.Each(e); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// Limits of a group of columns that one statement reads. A statement over a wide table costs milliseconds however few rows there are.
const (
	groupValues  = 1 << 20
	groupColumns = 256
)

// groupSize is how many columns one statement reads at a time.
func (t *Table) groupSize() int {
	if len(t.fields) < WideColumns {
		return 1
	}
	return int(max(1, min(groupColumns, groupValues/max(t.rows, 1))))
}

// groups puts columns together that one statement reads: of numbers or of text, in the order of fields. Where a column has many rows,
// or the table few columns, each is alone.
func (t *Table) groups(fields []assay.Field) [][]assay.Field {
	size := t.groupSize()
	var out [][]assay.Field
	var open [2][]assay.Field
	for _, f := range fields {
		kind := 0
		if textual(f.Type) {
			kind = 1
		}
		if open[kind] = append(open[kind], f); len(open[kind]) == size {
			out, open[kind] = append(out, open[kind]), nil
		}
	}
	for _, fs := range open {
		if len(fs) > 0 {
			out = append(out, fs)
		}
	}
	return out
}

// idents lists the names of columns for SELECT.
func idents(fields []assay.Field) string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = Ident(f.Name)
	}
	return strings.Join(names, ", ")
}

// A scratch is what one worker uses again for each column.
type scratch struct {
	keys        [][]uint64 // one for each column of a group
	keys2       []uint64
	rows, rows2 []uint32
	counts      []uint32
}

func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// examineNumbers reads some columns that are not text, all at once.
func (t *Table) examineNumbers(ctx context.Context, fields []assay.Field, o *ExamineOptions, sc *scratch, coded bool) ([]*Examined, error) {
	for len(sc.keys) < len(fields) {
		sc.keys = append(sc.keys, nil)
	}
	columns := make([]column, len(fields))
	for i := range columns {
		columns[i].keys = sized(sc.keys[i], int(t.rows))[:0]
	}
	r, err := t.engine.query(ctx, "SELECT "+idents(fields)+" FROM "+t.read(fields, o.Where))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for r.nextChunk() {
		for i := range columns {
			if err := columns[i].add(&r.vectors[i], r.size); err != nil {
				return nil, err
			}
		}
	}
	if err := r.Close(); err != nil {
		return nil, err
	}
	out := make([]*Examined, len(fields))
	for i := range columns {
		sc.keys[i] = columns[i].keys
		if out[i], err = t.examineColumn(ctx, fields[i], &columns[i], o, sc, coded); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// examineColumn describes a column whose values are read.
func (t *Table) examineColumn(ctx context.Context, f assay.Field, c *column, o *ExamineOptions, sc *scratch, coded bool) (*Examined, error) {
	e := &Examined{Summary: Summary{Name: f.Name, Type: f.Type, Rows: c.rows, Nulls: c.nulls, NaNs: c.nans, Top: []Frequency{}}, AUC: math.NaN()}
	by := o.By
	if !coded {
		by = nil
	}
	q, joint := c.encode(e, sc, by, coded)
	c.describe(&e.Summary, &o.SummaryOptions, o.Edges[f.Name], q)
	if coded && !e.Ranked {
		e.Values, e.Counts = make([]float64, len(q.keys)), make([]int64, len(q.keys))
		for i, k := range q.keys {
			e.Values[i], e.Counts[i] = c.value(k), int64(q.counts[i])
		}
	}
	if joint != nil {
		c.groups(e, &o.SummaryOptions, q, joint, len(by.Counts))
	}
	if c.wide {
		// float64 cannot tell all values of a 128-bit integer or a decimal apart; their texts can.
		e.Distinct, e.Unique = 0, 0
		if f.Type == assay.TypeInteger && e.Numbers.Count > 0 {
			var ends [2]string
			x := Ident(f.Name)
			if err := t.engine.queryRow(ctx, "SELECT CAST(min("+x+") AS VARCHAR), CAST(max("+x+") AS VARCHAR) FROM "+t.relation+where(o.Where), &ends[0], &ends[1]); err != nil {
				return nil, err
			}
			e.Numbers.exact(ends[0], ends[1])
		}
		return e, t.countTexts(ctx, &e.Summary, f, "CAST("+Ident(f.Name)+" AS VARCHAR)", &o.SummaryOptions, false)
	}
	return e, nil
}

// encode finds the distinct keys and how often each occurs, and gives every row its code. With by it counts each distinct key in each
// class too. Integers of a narrow range are counted in place; anything else is sorted.
func (c *column) encode(e *Examined, sc *scratch, by *Examined, coded bool) (runs, []uint32) {
	if len(c.keys) == 0 {
		if coded {
			e.Codes = makeCodes(int(c.rows), 0)
		}
		return runs{}, nil
	}
	lo, hi := slices.Min(c.keys), slices.Max(c.keys)
	narrow := !c.floats && hi-lo < uint64(max(1<<16, 4*len(c.keys)))
	var q runs
	rows := sc.rows
	if narrow {
		table := sized(sc.counts, int(hi-lo)+1)
		sc.counts = table
		clear(table)
		for _, k := range c.keys {
			table[k-lo]++
		}
		q.keys = sized(sc.keys2, len(c.keys))[:0]
		for i, n := range table {
			if n > 0 {
				q.keys = append(q.keys, lo+uint64(i))
				q.counts = append(q.counts, n)
				table[i] = uint32(len(q.keys)) // from here on the code of the key
			}
		}
		sc.keys2 = q.keys
	} else if coded {
		rows = c.rowNumbers(sized(sc.rows, len(c.keys)))
		sc.keys2, sc.rows2 = sized(sc.keys2, len(c.keys)), sized(sc.rows2, len(c.keys))
		sortPairs(c.keys, rows, sc.keys2, sc.rows2)
		sc.rows = rows
		q = compact(c.keys, sc)
	} else {
		sortKeys(c.keys)
		q = compact(c.keys, sc)
	}
	if !coded {
		return q, nil
	}
	e.Ranked = len(q.keys) > MaxCodes
	most := len(q.keys)
	if e.Ranked {
		most = math.MaxUint32
	}
	e.Codes = makeCodes(int(c.rows), most)
	var joint []uint32
	classes := 0
	if by != nil && len(q.keys)*len(by.Counts) <= maxJoint {
		classes = len(by.Counts)
		joint = make([]uint32, len(q.keys)*classes)
	}
	var ranks []uint32
	if e.Ranked {
		ranks = doubleRanks(q.counts)
	}
	give := func(row int, code uint32) {
		if joint != nil {
			if class := by.Codes.At(row); class > 0 {
				joint[int(code-1)*classes+int(class-1)]++
			}
		}
		if e.Ranked {
			code = ranks[code-1]
		}
		e.Codes.set(row, code)
	}
	if !narrow {
		at := 0
		for code, n := range q.counts {
			for range n {
				give(int(rows[at]), uint32(code+1))
				at++
			}
		}
		return q, joint
	}
	table := sc.counts
	row, skip := 0, 0
	for _, k := range c.keys {
		for skip < len(c.missing) && int(c.missing[skip]) == row {
			row++
			skip++
		}
		give(row, table[k-lo])
		row++
	}
	return q, joint
}

// rowNumbers fills in the row of each key.
func (c *column) rowNumbers(rows []uint32) []uint32 {
	row, skip := uint32(0), 0
	for i := range rows {
		for skip < len(c.missing) && c.missing[skip] == row {
			row++
			skip++
		}
		rows[i] = row
		row++
	}
	return rows
}

// compact turns sorted keys into runs, in place.
func compact(keys []uint64, sc *scratch) runs {
	counts := sized(sc.counts, len(keys))[:0]
	n := 0
	for i := 0; i < len(keys); {
		j := i + 1
		for j < len(keys) && keys[j] == keys[i] {
			j++
		}
		keys[n] = keys[i]
		n++
		counts = append(counts, uint32(j-i))
		i = j
	}
	sc.counts = counts
	return runs{keys[:n], counts}
}

// doubleRanks gives each run twice the midrank of its values: a whole number.
func doubleRanks(counts []uint32) []uint32 {
	out := make([]uint32, len(counts))
	before := uint32(0)
	for i, n := range counts {
		out[i] = 2*before + n + 1
		before += n
	}
	return out
}

// groups describes the rows of each class, and how well the column orders two classes.
func (c *column) groups(e *Examined, o *SummaryOptions, q runs, joint []uint32, classes int) {
	e.Groups = make([]Numbers, classes)
	counts := make([]uint32, len(q.keys))
	for class := range classes {
		for i := range counts {
			counts[i] = joint[i*classes+class]
		}
		e.Groups[class] = *c.numbers(o, e.Numbers.Edges, runs{q.keys, counts})
	}
	if classes != 2 {
		return
	}
	var area, first, second float64
	for i := range q.keys {
		a, b := float64(joint[2*i]), float64(joint[2*i+1])
		area += b * (first + a/2)
		first += a
		second += b
	}
	if first > 0 && second > 0 {
		e.AUC = area / first / second
	}
}

// sortPairs sorts keys and carries rows along, stable; keys2 and rows2 are as long and hold nothing of use afterwards.
func sortPairs(keys []uint64, rows []uint32, keys2 []uint64, rows2 []uint32) {
	var counts [8][256]int
	for _, k := range keys {
		for b := range 8 {
			counts[b][byte(k>>(8*b))]++
		}
	}
	from, to, fromRows, toRows := keys, keys2, rows, rows2
	for b := range 8 {
		if counts[b][byte(from[0]>>(8*b))] == len(keys) {
			continue
		}
		next := 0
		var at [256]int
		for v, n := range counts[b] {
			at[v] = next
			next += n
		}
		for i, k := range from {
			v := byte(k >> (8 * b))
			to[at[v]], toRows[at[v]] = k, fromRows[i]
			at[v]++
		}
		from, to, fromRows, toRows = to, from, toRows, fromRows
	}
	if &from[0] != &keys[0] {
		copy(keys, from)
		copy(rows, fromRows)
	}
}

// SortPairs sorts keys and carries rows along; equal keys keep their order. It takes 12 bytes of memory a key.
func SortPairs(keys []uint64, rows []uint32) {
	if len(keys) > 0 {
		sortPairs(keys, rows, make([]uint64, len(keys)), make([]uint32, len(rows)))
	}
}
