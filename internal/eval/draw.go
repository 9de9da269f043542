package eval

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
)

// cellStream keeps the draws of cells apart from those of rows under the same seed.
const cellStream = 0x63656c6c

// drawCells makes the replicates of the measures that are functions of confusion counts: rows that agree in truth and predictions of
// both models are interchangeable, so a replicate is one draw of how many there are of each kind.
func (x *scoring) drawCells(ctx context.Context) error {
	var tables [][2]*measure
	for i, m := range x.first {
		if m.table == nil || x.closed(i) {
			continue
		}
		tables = append(tables, [2]*measure{m, x.second[i]})
	}
	if len(tables) == 0 {
		return nil
	}
	joint := x.joint(tables[max(0, slices.IndexFunc(tables, func(t [2]*measure) bool { return t[1] != nil }))])
	for _, t := range tables {
		for _, m := range t {
			if m != nil {
				m.draws = make([]float64, x.o.Replicates)
			}
		}
	}
	k := len(x.s.t.Classes)
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(threads(x.o), x.o.Replicates) {
		wait.Go(func() {
			a := metric.Confusion{Classes: k, Counts: make([]float64, k*k)}
			b := metric.Confusion{Classes: k, Counts: make([]float64, k*k)}
			out := make([]int64, len(joint.count))
			for ctx.Err() == nil {
				r := int(next.Add(1)) - 1
				if r >= x.o.Replicates {
					return
				}
				rnd := stat.NewRand(x.o.Seed, cellStream, uint64(r))
				rnd.ResampleCells(joint.count, out)
				clear(a.Counts)
				clear(b.Counts)
				for c, n := range out {
					a.Counts[joint.first[c]] += float64(n)
					b.Counts[joint.second[c]] += float64(n)
				}
				for _, t := range tables {
					t[0].draws[r] = t[0].table(a)
					if t[1] != nil {
						t[1].draws[r] = t[1].table(b)
					}
				}
			}
		})
	}
	wait.Wait()
	if err := ctx.Err(); err != nil {
		return assay.Errorf(assay.Unavailable, "resampling stopped: %w", err)
	}
	return nil
}

// jointCells are the kinds of rows that occur: how many there are, and the confusion cell of each under either model.
type jointCells struct {
	count         []int64
	first, second []int32
}

// joint counts the kinds in the order of their cells, whatever the order of the rows.
func (x *scoring) joint(m [2]*measure) jointCells {
	k := len(x.s.t.Classes)
	var j jointCells
	if m[1] == nil {
		for c, n := range m[0].count.Counts {
			if n > 0 {
				j.count, j.first, j.second = append(j.count, int64(n)), append(j.first, int32(c)), append(j.second, int32(c))
			}
		}
		return j
	}
	seen := map[[2]int32]int64{}
	for i, c := range m[0].cell {
		seen[[2]int32{c, m[1].cell[i]}]++
	}
	swapped := jointCells{}
	for truth := range int32(k) {
		for p := range int32(k) {
			for q := range int32(k) {
				a, b := truth*int32(k)+p, truth*int32(k)+q
				if n := seen[[2]int32{a, b}]; n > 0 {
					j.count, j.first, j.second = append(j.count, n), append(j.first, a), append(j.second, b)
				}
				if n := seen[[2]int32{b, a}]; n > 0 {
					swapped.count, swapped.first, swapped.second = append(swapped.count, n), append(swapped.first, b), append(swapped.second, a)
				}
			}
		}
	}
	// Which model comes first decides nothing: one order of the two is drawn, whoever asks.
	if slices.Compare(swapped.count, j.count) < 0 {
		return swapped
	}
	return j
}
