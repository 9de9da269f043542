package dataset

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-ml/assay/internal/table"
)

const (
	// sentinelRows is how many rows a value must have to be a sentinel.
	sentinelRows = 3
	// sentinelRun is how many codes may lie beside each other at an end, such as 97, 98 and 99.
	sentinelRun = 3
)

// An end is the values at one end of a column, and the rest as seen from there. Of a column of too many values to keep them, the rest is known by
// its histogram: next is then a bound, and the middle half is left out.
type end struct {
	values  []string // from the outermost, with their counts
	counts  []int64
	at      float64  // the innermost of the values
	low     bool     // the least values, not the greatest
	next    float64  // the value of the rest that is nearest
	width   float64  // from the least to the greatest of the rest
	half    float64  // from the first to the third quartile of the rest; NaN: not known
	most    int64    // rows of the most frequent value of the rest
	near    [2]int64 // rows of the two values of the rest that are nearest
	repdig  bool     // the outermost is a repdigit, not 0 or -1
	onlyNeg bool     // the values are below 0, and nothing else is
}

// sentinels looks at both ends of a quantity for a value that people write where there is none: 0, -1, or a repdigit such as 99, -999 or 999.9, alone
// or as the end of a run such as 97, 98, 99. It stands for none where one of these holds:
//
// It is frequent, at least half as much as the most frequent value of the rest, and farther from the rest than the middle half of that is wide.
//
// It is a repdigit, and farther from the rest than all of that is wide.
//
// It is below 0, which nothing else is: a repdigit, or a -1 that has at least twice or at most half as many rows as the next value, and is not
// where the rest fades out.
func (p *profiler) sentinels(e *table.Examined) {
	for _, low := range []bool{true, false} {
		var x end
		var ok bool
		if e.Ranked {
			x, ok = rankedEnd(e, low)
		} else {
			x, ok = codedEnd(e, low)
		}
		if !ok {
			continue
		}
		gap := math.Abs(x.at - x.next)
		var why string
		switch {
		case 2*slices.Max(x.counts) >= x.most && gap > math.Max(x.half, 1):
			why = fmt.Sprintf("at the end of the column, frequent, and farther from the next value than the middle half of the others is wide (%.4g)", x.half)
		case x.repdig && gap > math.Max(x.width, 1):
			why = fmt.Sprintf("at the end of the column, repeated, and farther from the next value than all of the others are from each other (%.4g)", x.width)
		case x.onlyNeg && x.repdig:
			why = "repeated, and nothing else is below 0"
		case x.onlyNeg && (x.counts[0] >= 2*x.near[0] || x.near[0] >= x.near[1] && x.near[0] >= 2*x.counts[0]):
			why = "repeated, nothing else is below 0, and it does not go on from the others"
		default:
			continue
		}
		if !low {
			why += "; a cap looks the same"
		}
		for k, v := range x.values {
			p.report.Disguised = append(p.report.Disguised, Disguise{e.Name, v, x.counts[k], "sentinel", why})
		}
	}
}

// codedEnd looks at an end of a column whose values are known.
func codedEnd(e *table.Examined, low bool) (end, bool) {
	values, counts := e.Values, e.Counts
	if !low {
		values, counts = slices.Clone(values), slices.Clone(counts)
		slices.Reverse(values)
		slices.Reverse(counts)
	}
	if len(values) < 5 || math.IsInf(values[0], 0) || !(values[0] == 0 || values[0] == -1 || repdigit(values[0])) {
		return end{}, false
	}
	run := 1
	for run < sentinelRun && repdigit(values[0]) && math.Abs(values[run]-values[run-1]) == 1 && math.Abs(values[0]) > 10 {
		run++
	}
	if run > 1 && math.Abs(values[run]-values[run-1]) <= 1 {
		run = 1 // the rest goes on without a gap
	}
	rest, times := values[run:], counts[run:]
	if math.IsInf(rest[0], 0) || math.IsInf(rest[len(rest)-1], 0) || len(rest) < 4 {
		return end{}, false
	}
	x := end{
		at: values[run-1], low: low, next: rest[0], width: math.Abs(rest[len(rest)-1] - rest[0]), half: math.NaN(),
		most: slices.Max(times), near: [2]int64{times[0], times[1]}, repdig: repdigit(values[0]), onlyNeg: low && values[run-1] < 0 && rest[0] >= 0,
	}
	var all, n, seen int64
	for k := range run {
		x.values, x.counts = append(x.values, strconv.FormatFloat(values[k], 'g', -1, 64)), append(x.counts, counts[k])
		all += counts[k]
	}
	for _, c := range times {
		n += c
	}
	q1 := math.NaN()
	for k := range times {
		if !low { // quartiles are taken from below
			k = len(times) - 1 - k
		}
		seen += times[k]
		if math.IsNaN(q1) && 4*seen >= n {
			q1 = rest[k]
		}
		if 4*seen >= 3*n {
			x.half = rest[k] - q1
			break
		}
	}
	return x, all >= sentinelRows
}

// rankedEnd looks at an end of a column of too many values to keep them: its value must be among the frequent ones, and alone in its bin.
func rankedEnd(e *table.Examined, low bool) (end, bool) {
	n := e.Numbers
	v := float64(n.Max)
	if low {
		v = float64(n.Min)
	}
	at := slices.IndexFunc(e.Top, func(f table.Frequency) bool { x, err := strconv.ParseFloat(f.Value, 64); return err == nil && x == v })
	if at < 0 || e.Top[at].Count < sentinelRows || n.PosInf+n.NegInf > 0 || !(v == 0 || v == -1 || repdigit(v)) {
		return end{}, false
	}
	x := end{
		values: []string{strconv.FormatFloat(v, 'g', -1, 64)}, counts: []int64{e.Top[at].Count}, at: v, low: low, next: v, width: math.Inf(1), half: math.Inf(1),
		repdig: repdigit(v), onlyNeg: low && v < 0 && n.Negatives == e.Top[at].Count,
	}
	for k, f := range e.Top {
		if k != at {
			x.most = max(x.most, f.Count)
		}
	}
	x.near = [2]int64{x.most, x.most}
	bins := len(n.Counts)
	bin := func(k int) int {
		if low {
			return k
		}
		return bins - 1 - k
	}
	if bins < 2 || n.Counts[bin(0)] != x.counts[0] {
		return x, true
	}
	for k := 1; k < bins; k++ {
		if n.Counts[bin(k)] > 0 {
			if low {
				x.next, x.width = n.Edges[k], float64(n.Max)-n.Edges[k]
			} else {
				x.next, x.width = n.Edges[bins-k], n.Edges[bins-k]-float64(n.Min)
			}
			break
		}
	}
	return x, true
}

// repdigit recognises 9, 99, 999, 999.9 … and their negatives, and -8, -88 and so on.
func repdigit(v float64) bool {
	s := strings.TrimPrefix(strconv.FormatFloat(v, 'f', -1, 64), "-")
	whole, decimals, broken := strings.Cut(s, ".")
	if broken && (whole[0] != '9' || len(whole) < 2 || strings.Trim(decimals, "9") != "") {
		return false
	}
	if len(s) > 10 || strings.Trim(whole, whole[:1]) != "" {
		return false
	}
	return s[0] == '9' && (v < 0 || len(whole) > 1) || v < 0 && s[0] >= '6' || s[0] == '8' && len(s) > 2 && !broken
}
