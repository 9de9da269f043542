package eval

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
)

// MinSealedRows is the fewest rows of a sealed part that a figure is told of. Settings can ask for more and not for fewer.
const MinSealedRows = 10

// Reasons of slices that are large enough themselves.
var (
	reasonRest = fmt.Sprintf("withheld: with the other slices it would tell of fewer than %d sealed rows", MinSealedRows)
	reasonNear = fmt.Sprintf("withheld: it differs from another slice, or from all rows, by fewer than %d sealed rows", MinSealedRows)
)

// checkSealed refuses slices of sealed rows by what identifies a row: a slice could be made of any rows that one likes.
func (t *Truth) checkSealed(o Options, bad *assay.Problems) {
	if !o.Sealed {
		return
	}
	seen := map[string]bool{}
	for _, def := range o.Slices {
		for _, term := range strings.Split(def, "&") {
			name, _, banded := strings.Cut(term, ":")
			name = strings.TrimSpace(name)
			col := t.Columns.Column(name)
			if seen[name] || col == nil { // an unknown column is told of where slices are read
				continue
			}
			seen[name] = true
			switch {
			case len(o.Key) == 1 && o.Key[0] == name:
				bad.Add("slices by %q, which is data.key and identifies a row: sealed rows have no slices by it", name)
			case identifies(col, banded):
				bad.Add("slices by %q, which has another value in every row: sealed rows have no slices by it", name)
			}
		}
	}
}

// identifies reports whether a column has another value in every row. A measured number may have: its bands are slices like others.
func identifies(c *assay.Column, banded bool) bool {
	if c.Len() < 2 || banded && c.Type != assay.TypeInteger {
		return false
	}
	if c.Codes != nil {
		seen := make(map[int32]bool, c.Len())
		for i, v := range c.Codes {
			if c.Missing(i) || seen[v] {
				return false
			}
			seen[v] = true
		}
		return true
	}
	seen := make(map[float64]bool, c.Len())
	for i, v := range c.Floats {
		if c.Missing(i) || seen[v] {
			return false
		}
		seen[v] = true
	}
	return true
}

// withhold takes from slices of sealed rows what they would tell of too few of them: the positives of those that are too small, and of
// those that would give them away by a difference, to all rows, to the other slices of the same definition, or to one other slice.
func withhold(parsed []sliceRows, out []assay.Slice, n int) {
	open := make([]bool, len(out))
	sizes := make([]int, len(out))
	for i := range out {
		open[i], sizes[i] = out[i].Reason == "", len(parsed[i].rows)
	}
	hide := func(i int, why string) {
		open[i], out[i].Reason = false, why
	}
	for again := true; again; {
		again = false
		for i := range open {
			if left := n - sizes[i]; open[i] && left > 0 && left < MinSealedRows {
				hide(i, reasonNear)
			}
		}
		for a := 0; a < len(parsed); {
			b := a + 1
			for b < len(parsed) && parsed[b].def == parsed[a].def {
				b++
			}
			for _, i := range shade(sizes[a:b], open[a:b], n) {
				hide(a+i, reasonRest)
				again = true
			}
			a = b
		}
		for _, i := range alike(parsed, open) {
			hide(i, reasonNear)
			again = true
		}
	}
	for i := range out {
		if !open[i] {
			out[i].Positives = nil
		}
	}
}

// shade closes parts of n rows, the smallest first, until the rows that are in no open part are none or enough, and returns which.
func shade(sizes []int, open []bool, n int) []int {
	var order, closed []int
	left := n
	for i, size := range sizes {
		if open[i] {
			order, left = append(order, i), left-size
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(sizes[a], sizes[b]) })
	for _, i := range order {
		if left <= 0 || left >= MinSealedRows {
			break
		}
		open[i], left = false, left+sizes[i]
		closed = append(closed, i)
	}
	return closed
}

// alike returns open slices that differ from an earlier open one, but by too few rows.
func alike(parsed []sliceRows, open []bool) []int {
	var order, out []int
	for i := range parsed {
		if open[i] {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(len(parsed[a].rows), len(parsed[b].rows)) })
	closed := map[int]bool{}
	for at, i := range order {
		for _, j := range order[at+1:] {
			if len(parsed[j].rows)-len(parsed[i].rows) >= MinSealedRows || closed[i] {
				break
			}
			if d := apart(parsed[i].rows, parsed[j].rows, MinSealedRows); !closed[j] && d > 0 && d < MinSealedRows {
				later := max(i, j)
				closed[later] = true
				out = append(out, later)
			}
		}
	}
	return out
}

// apart counts the rows that are in one of two ascending lists and not in the other, up to a limit.
func apart(a, b []int32, limit int) (n int) {
	for len(a) > 0 && len(b) > 0 && n < limit {
		switch {
		case a[0] == b[0]:
			a, b = a[1:], b[1:]
		case a[0] < b[0]:
			a, n = a[1:], n+1
		default:
			b, n = b[1:], n+1
		}
	}
	return min(n+len(a)+len(b), limit)
}

// coarse gives neighbouring scores one value, the lowest of them, so that at least so many rows share each; a side of the threshold that
// has fewer rows has one value. Which rows score at least the threshold does not change.
func coarse(score []float64, threshold float64, least int) []float64 {
	order := make([]int, len(score))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(score[b], score[a]), cmp.Compare(a, b)) })
	below := len(order)
	for k, i := range order {
		if score[i] < threshold {
			below = k
			break
		}
	}
	out := make([]float64, len(score))
	for _, side := range [][]int{order[:below], order[below:]} {
		for len(side) > 0 {
			n := min(least, len(side))
			for n < len(side) && score[side[n]] == score[side[n-1]] {
				n++
			}
			if len(side)-n < least {
				n = len(side)
			}
			for _, i := range side[:n] {
				out[i] = score[side[n-1]]
			}
			side = side[n:]
		}
	}
	return out
}
