package dataset

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"sort"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// leanColumns is from how many columns on a profile lets go of a column's codes as soon as all is counted that concerns the column alone,
// or it and the target: then memory follows the columns that are compared with each other, not all of them.
const leanColumns = 1000

// leanValues is how many distinct values a column may have so that they are kept.
const leanValues = 1000

// A sieve is what a lean profile keeps of the rows while columns pass by.
type sieve struct {
	rows, rest []rowSum // sums of hashed codes of all columns, and of those that are no identifiers
	uncoded    []int    // columns that have no codes
	kept       []int    // columns that may be compared with each other, twice PairColumns at most
	eligible   int      // how many could be
	masks      []holeMask
}

// A rowSum is the sum of 128-bit hashes of a row's cells, which does not depend on the order in which columns come. Rows that differ have
// the same sum with a chance of 2^-128.
type rowSum struct{ hi, lo uint64 }

// A holeMask has a bit for each row in which a column is missing.
type holeMask struct {
	column int
	bits   []uint64
	n      int64
}

// pass takes what is needed later of a column that was examined, and lets the rest go.
func (p *profiler) pass(i int) {
	e, s := p.columns[i], p.sieve
	p.relateColumn(i)
	p.kind[i] = p.kindOf(e)
	p.disguised(i)
	if m, ok := maskOf(i, e); ok {
		s.masks = append(s.masks, m)
	}
	if e.Codes.Len() == 0 {
		s.uncoded = append(s.uncoded, i)
	} else {
		for r := range s.rows {
			h := hashCell(uint64(i), uint64(e.Codes.At(r)))
			s.rows[r].add(h)
			if p.kind[i] != KindIdentifier {
				s.rest[r].add(h)
			}
		}
	}
	if quantitative(e) || categorical(e) {
		s.eligible++
		if s.kept = append(s.kept, i); len(s.kept) > 2*PairColumns {
			p.prune()
		}
	} else if i != p.target {
		letGo(e)
	}
}

// prune keeps the columns most related to the target, then the first, and lets the others go.
func (p *profiler) prune() {
	kept := p.sieve.kept
	sort.Slice(kept, func(a, b int) bool {
		x, y := p.strength(kept[a]), p.strength(kept[b])
		return x > y || x == y && kept[a] < kept[b]
	})
	for len(kept) > PairColumns {
		letGo(p.columns[kept[len(kept)-1]])
		kept = kept[:len(kept)-1]
	}
	p.sieve.kept = kept
}

func letGo(e *table.Examined) {
	e.Codes = table.Codes{}
	if len(e.Counts) > leanValues && e.Type != assay.TypeDate && e.Type != assay.TypeTimestamp { // their weekdays are counted yet
		e.Values, e.Texts, e.Counts = nil, nil, nil
	}
}

// hashCell mixes a column and a code into 128 bits.
func hashCell(column, code uint64) rowSum {
	a := (code + 0x9e3779b97f4a7c15) ^ (column+1)*0xd6e8feb86659fd93
	hi, lo := bits.Mul64(a^a>>32, 0xa0761d6478bd642f)
	a = hi ^ lo
	hi, lo = bits.Mul64(a^code^0xe7037ed1a0b428db, column^0x8ebc6af09c88c6e3)
	b := hi ^ lo ^ a
	hi, lo = bits.Mul64(b^b>>29, 0x589965cc75374cc3)
	return rowSum{hi ^ lo ^ a, (a ^ b>>31) * 0x1d8e4e27c47d124f}
}

func (s *rowSum) add(h rowSum) {
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, h.lo, 0)
	s.hi, _ = bits.Add64(s.hi, h.hi, carry)
}

// leanRepeats counts the rows that equal an earlier one from their sums, and from fingerprints of the columns without codes.
func (p *profiler) leanRepeats(ctx context.Context, sums []rowSum, columns []int) (int64, error) {
	var names []string
	for _, i := range columns {
		if p.columns[i].Distinct == p.columns[i].Rows {
			return 0, nil
		}
		if slices.Contains(p.sieve.uncoded, i) {
			names = append(names, p.columns[i].Name)
		}
	}
	sums = slices.Clone(sums)
	if len(names) > 0 {
		prints, err := p.table.Fingerprints(ctx, names, "")
		if err != nil {
			return 0, err
		}
		for r := range prints {
			f := prints[r].Fingerprint[:]
			sums[r].add(rowSum{binary.BigEndian.Uint64(f), binary.BigEndian.Uint64(f[8:])})
		}
	}
	slices.SortFunc(sums, func(a, b rowSum) int { return cmp.Or(cmp.Compare(a.hi, b.hi), cmp.Compare(a.lo, b.lo)) })
	return int64(len(sums) - len(slices.Compact(sums))), nil
}

// strength is by what columns are chosen that are compared with each other.
func (p *profiler) strength(i int) float64 {
	if i == p.target {
		return 2
	}
	if p.rel[i] == nil || math.IsNaN(float64(p.rel[i].Strength)) {
		return -1
	}
	return float64(p.rel[i].Strength)
}

// limitPairs says how many columns were compared.
func (p *profiler) limitPairs(all int) {
	which := "the first"
	if p.target >= 0 {
		which = "those most related to the target, then the first"
	}
	p.report.Limits = append(p.report.Limits, fmt.Sprintf("%d of %d columns are compared with each other: %s", PairColumns, all, which))
}
