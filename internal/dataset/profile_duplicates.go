package dataset

import (
	"context"
	"math/bits"
	"slices"
	"strings"

	"github.com/assay-ml/assay/internal/table"
)

// duplicates counts the rows that equal an earlier one, with all columns and without those that tell rows apart by design.
func (p *profiler) duplicates(ctx context.Context) error {
	var all, rest []int
	p.report.Duplicates.Ignored = []string{}
	for i, e := range p.columns {
		all = append(all, i)
		if p.kind[i] == KindIdentifier {
			p.report.Duplicates.Ignored = append(p.report.Duplicates.Ignored, e.Name)
		} else {
			rest = append(rest, i)
		}
	}
	var err error
	if p.report.Duplicates.Rows, err = p.repeats(ctx, all); err != nil {
		return err
	}
	p.report.Duplicates.Without = p.report.Duplicates.Rows
	if len(rest) < len(all) && len(rest) > 0 {
		p.report.Duplicates.Without, err = p.repeats(ctx, rest)
	}
	return err
}

// repeats counts the rows that equal an earlier one in the given columns.
func (p *profiler) repeats(ctx context.Context, columns []int) (int64, error) {
	rows := int(p.report.Rows)
	coded := true
	for _, i := range columns {
		e := p.columns[i]
		if e.Distinct == e.Rows {
			return 0, nil
		}
		coded = coded && e.Codes.Len() == rows
	}
	if rows < 2 {
		return 0, nil
	}
	if p.sieve != nil {
		if len(columns) == len(p.columns) {
			return p.leanRepeats(ctx, p.sieve.rows, columns)
		}
		return p.leanRepeats(ctx, p.sieve.rest, columns)
	}
	if !coded {
		var names []string
		for _, i := range columns {
			names = append(names, table.Ident(p.columns[i].Name))
		}
		r, err := p.table.Query(ctx, "SELECT count(*) FROM (SELECT DISTINCT "+strings.Join(names, ", ")+" FROM "+p.table.Relation()+")")
		if err != nil {
			return 0, err
		}
		defer r.Close()
		var distinct int64
		if r.Next() {
			if err := r.Scan(&distinct); err != nil {
				return 0, err
			}
		}
		return int64(rows) - distinct, r.Err()
	}
	hash := make([]uint64, rows)
	for k, i := range columns {
		mixCodes(hash, &p.columns[i].Codes, uint64(k+1)*0x9e3779b97f4a7c15)
	}
	order := make([]uint32, rows)
	for i := range order {
		order[i] = uint32(i)
	}
	table.SortPairs(hash, order)
	// Equal rows have equal hashes; whether rows of one hash are equal is looked up, so that the count is exact.
	equal := func(a, b uint32) bool {
		for _, i := range columns {
			if c := &p.columns[i].Codes; c.At(int(a)) != c.At(int(b)) {
				return false
			}
		}
		return true
	}
	var repeats int64
	var different []uint32
	for i := 0; i < rows; {
		j := i + 1
		different = append(different[:0], order[i])
		for ; j < rows && hash[j] == hash[i]; j++ {
			if slices.ContainsFunc(different, func(a uint32) bool { return equal(a, order[j]) }) {
				repeats++
			} else {
				different = append(different, order[j])
			}
		}
		i = j
	}
	return repeats, nil
}

func mixCodes(hash []uint64, c *table.Codes, seed uint64) {
	mix := func(h, v uint64) uint64 {
		hi, lo := bits.Mul64(h^v^seed, 0xd6e8feb86659fd93)
		return hi ^ lo + seed
	}
	switch {
	case c.U8 != nil:
		for i, v := range c.U8 {
			hash[i] = mix(hash[i], uint64(v))
		}
	case c.U16 != nil:
		for i, v := range c.U16 {
			hash[i] = mix(hash[i], uint64(v))
		}
	default:
		for i, v := range c.U32 {
			hash[i] = mix(hash[i], uint64(v))
		}
	}
}
