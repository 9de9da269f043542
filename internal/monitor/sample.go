package monitor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/stat"
)

// Bounds of a sample of reference rows. What is compared in one window is bounded by them too, whatever its size.
const (
	sampleRows    = 10_000
	sampleColumns = 100 // those that weigh most in the model, where there are more
	sampleBlocks  = 40  // of rows that came together, where the reference has a time
	minSampleRows = 200 // with fewer a classifier learns nothing
	liveRows      = 5_000
	batchRows     = 200_000 // of windows that are brought into memory together
	noCell        = 255     // the row has no value, or none of the column's type
	maxSampleCell = noCell - 1
)

const sampleFormat = "assay.monitor.sample/1"

// A Sample is some rows of the training part, what windows are told from where the columns are looked at together. It holds no value: of each row and
// column the number of the cell of the features' reference, in which the value lies. Where the reference has a time the rows are of whole blocks, drawn
// at random.
type Sample struct {
	Format    string         `json:"format"`
	Rows      int            `json:"rows"`
	Columns   []SampleColumn `json:"columns"`
	Blocks    []int          `json:"blocks,omitempty"` // rows of each block, in the order of the rows
	BlockRows float64        `json:"block_rows"`       // that a block of the reference has on average; 0 without blocks
}

// A SampleColumn is one column of a sample.
type SampleColumn struct {
	Name  string `json:"name"`
	Cells []byte `json:"cells"` // of each row; 255: no value
}

// ReadSample reads a sample. It refuses unknown fields, another format, more than the bounds, and columns or blocks that do not fit the rows.
func ReadSample(b []byte) (*Sample, error) {
	var s Sample
	if err := strict(b, &s); err != nil {
		return nil, assay.Errorf(assay.Invalid, "the sample of reference rows cannot be read: %w", err)
	}
	var bad assay.Problems
	if s.Format != sampleFormat {
		bad.Add("the format is %q, not %q", s.Format, sampleFormat)
	}
	if s.Rows < 2 || s.Rows > sampleRows || len(s.Columns) < 2 || len(s.Columns) > sampleColumns {
		bad.Add("it has %d rows and %d columns; 2 to %d and 2 to %d are used", s.Rows, len(s.Columns), sampleRows, sampleColumns)
	}
	for _, c := range s.Columns {
		if len(c.Cells) != s.Rows {
			bad.Add("column %q has %d rows, not %d", c.Name, len(c.Cells), s.Rows)
		}
	}
	if len(s.Blocks) > 0 {
		n, least := 0, 1
		for _, b := range s.Blocks {
			if least = min(least, b); b <= sampleRows {
				n += b
			}
		}
		if least < 1 || n != s.Rows || !(s.BlockRows > 0) || math.IsInf(s.BlockRows, 0) {
			bad.Add("its %d blocks do not make up its rows", len(s.Blocks))
		}
	}
	return &s, bad.Err(assay.Invalid, "the sample of reference rows cannot be used")
}

// freezeSample keeps rows of the training part. It returns nil where there are too few rows or columns to look at them together.
func (o *Settings) freezeSample(ctx context.Context, x Subject, d *Document, weights map[string]float64) ([]byte, int64, error) {
	features := slices.DeleteFunc(slices.Clone(d.Features), func(f Feature) bool {
		return f.Type == assay.TypeJSON || f.empty() || f.Cells() > maxSampleCell || slices.Contains(o.Redacted, f.Name)
	})
	if len(features) > sampleColumns {
		order := make([]int, len(features))
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(weights[features[b].Name], weights[features[a].Name]) })
		order = order[:sampleColumns]
		slices.Sort(order)
		kept := make([]Feature, 0, len(order))
		for _, i := range order {
			kept = append(kept, features[i])
		}
		features = kept
	}
	if len(features) < 2 || x.Train.Rows() < minSampleRows {
		return nil, 0, nil
	}
	s := &Sample{Format: sampleFormat}
	g := stat.NewRand(o.Seed, 0x73616d706c65)
	group := "0::BIGINT"
	chosen := []pick{{0, places(x.Train.Rows(), sampleRows, &g)}}
	if o.blockSeconds > 0 {
		block := unitSQL(o.blockSeconds, x.trainAt)
		blocks, err := groups(ctx, x.Train, block)
		if err != nil {
			return nil, 0, err
		}
		if len(blocks) >= minStretches {
			group = block
			chosen = s.blocks(blocks, &g)
		}
	}
	parts, err := rowsOf(ctx, x.Train, features, group, chosen)
	if err != nil {
		return nil, 0, err
	}
	for i, f := range features {
		c := SampleColumn{Name: f.Name}
		for _, p := range parts {
			c.Cells = append(c.Cells, p[i]...)
		}
		s.Rows, s.Columns = len(c.Cells), append(s.Columns, c)
	}
	b, err := json.Marshal(s)
	if err != nil {
		return nil, 0, assay.Errorf(assay.Internal, "a sample of reference rows cannot be written: %w", err)
	}
	return b, int64(s.Rows), nil
}

// blocks chooses blocks at random, and rows of each, about as many of one as of another.
func (s *Sample) blocks(all []pick, g *stat.Rand) []pick {
	for _, b := range all {
		s.BlockRows += float64(b.rows()) / float64(len(all))
	}
	order := g.Perm(len(all))[:min(len(all), sampleBlocks)]
	slices.Sort(order)
	out := make([]pick, 0, len(order))
	for _, i := range order {
		p := pick{all[i].group, places(all[i].rows(), sampleRows/sampleBlocks, g)}
		out, s.Blocks = append(out, p), append(s.Blocks, len(p.places))
	}
	return out
}

// A pick is rows of one group by their places in it, from 0, in the order of the table.
type pick struct {
	group  int64
	places []int64
}

// rows is the number of rows of a group of which all rows are picked: that after the last place.
func (p pick) rows() int64 { return p.places[len(p.places)-1] + 1 }

// groups are the groups of a table, each with its last place.
func groups(ctx context.Context, t *table.Table, group string) ([]pick, error) {
	r, err := t.Query(ctx, "SELECT g, count(*) FROM (SELECT "+group+" AS g FROM "+t.Relation()+") WHERE g IS NOT NULL GROUP BY 1 ORDER BY 1")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var out []pick
	for r.Next() {
		var g, n int64
		if err := r.Scan(&g, &n); err != nil {
			return nil, err
		}
		out = append(out, pick{g, []int64{n - 1}})
	}
	return out, r.Close()
}

// places chooses k of n rows: one at random in each of k stretches of about the same length, so that no time is left out, and nothing that comes back at
// regular intervals is hit each time. All rows where there are no more.
func places(n, k int64, g *stat.Rand) []int64 {
	k = min(n, k)
	out := make([]int64, k)
	for i := range out {
		lo, hi := int64(i)*n/k, (int64(i)+1)*n/k
		out[i] = lo + int64(g.Intn(int(hi-lo)))
	}
	return out
}

// rowsOf brings chosen rows into memory: of each pick, by feature, the cells of its rows in their order; nil for a feature that the table does not have.
// group is SQL for the group of a row.
func rowsOf(ctx context.Context, t *table.Table, features []Feature, group string, chosen []pick) ([][][]byte, error) {
	out := make([][][]byte, len(chosen))
	at := make(map[int64]int, len(chosen))
	picked := assay.Frame{{Name: "g", Type: assay.TypeInteger, Floats: []float64{}}, {Name: "p", Type: assay.TypeInteger, Floats: []float64{}}}
	for i, p := range chosen {
		at[p.group] = i
		for _, k := range p.places {
			picked[0].Floats, picked[1].Floats = append(picked[0].Floats, float64(i)), append(picked[1].Floats, float64(k))
		}
		out[i] = make([][]byte, len(features))
	}
	keys := assay.Frame{{Name: "g", Type: assay.TypeInteger, Floats: make([]float64, len(chosen))}, {Name: "i", Type: assay.TypeInteger, Floats: make([]float64, len(chosen))}}
	for i, p := range chosen {
		keys[0].Floats[i], keys[1].Floats[i] = float64(p.group), float64(i)
	}
	var tables [2]*table.Table
	for i, f := range []assay.Frame{picked, keys} {
		x, err := t.Engine().FromFrame(ctx, f)
		if err != nil {
			return nil, err
		}
		defer x.Drop(context.WithoutCancel(ctx))
		tables[i] = x
	}
	fields := []assay.Field{{Name: "g", Type: assay.TypeInteger}}
	names, selects := []string{"g"}, []string{"_assay_group AS g"}
	var there []int
	for i := range features {
		f := &features[i]
		live, ok := t.Field(f.Name)
		if !ok {
			continue
		}
		name := fmt.Sprintf("v%d", i)
		if f.Edges != nil {
			v, _ := numeric(f, live)
			fields, selects = append(fields, assay.Field{Name: name, Type: assay.TypeNumber}), append(selects, v+" AS "+name)
		} else {
			v, _ := category(f, live)
			fields, selects = append(fields, assay.Field{Name: name, Type: assay.TypeString}), append(selects, v+" AS "+name)
		}
		names, there = append(names, name), append(there, i)
	}
	// Which rows are chosen is settled on their numbers alone, before any other column is read.
	rows := fmt.Sprintf(`SELECT n.r AS _assay_row, n.g AS _assay_group, n.p AS _assay_place
FROM (SELECT _row AS r, i AS g, row_number() OVER (PARTITION BY i ORDER BY _row) - 1 AS p FROM (SELECT _row, %s AS g FROM %s) JOIN %s USING (g)) n JOIN %s k ON n.g = k.g AND n.p = k.p`,
		group, t.Relation(), "(SELECT g, i FROM "+tables[1].Relation()+")", tables[0].Relation())
	v, err := t.Select(ctx, "SELECT "+strings.Join(selects, ", ")+", _assay_place AS _row FROM "+t.Relation()+" JOIN ("+rows+") ON _row = _assay_row ORDER BY _assay_group, _assay_place", fields)
	if err != nil {
		return nil, err
	}
	f, err := v.Frame(ctx, names, "")
	if err != nil {
		return nil, err
	}
	if f.Rows() != len(picked[0].Floats) {
		return nil, assay.Errorf(assay.Internal, "%d rows were chosen and %d came", len(picked[0].Floats), f.Rows())
	}
	for k, i := range there {
		cells := features[i].cells(&f[k+1])
		from := 0
		for j, p := range chosen {
			out[j][i] = cells[from : from+len(p.places) : from+len(p.places)]
			from += len(p.places)
		}
	}
	return out, nil
}

// cells are the cells of values.
func (f *Feature) cells(c *assay.Column) []byte {
	out := make([]byte, c.Len())
	if f.Edges != nil {
		for i, v := range c.Floats {
			switch {
			case math.IsNaN(v):
				out[i] = noCell
			case math.IsInf(v, 1):
				out[i] = byte(f.Cells() - 1)
			case math.IsInf(v, -1):
				out[i] = 0
			default:
				out[i] = byte(f.Edges.Cell(v))
			}
		}
		return out
	}
	of := make([]byte, len(c.Levels))
	for i, s := range c.Levels {
		of[i] = byte(min(f.Categories.Cell(s), f.Categories.Other())) // rows of the reference never have a value that it never had, and rows of a window do
	}
	for i, code := range c.Codes {
		out[i] = noCell
		if code >= 0 {
			out[i] = of[code]
		}
	}
	return out
}
