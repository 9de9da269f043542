package eval

import (
	"runtime"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
)

// A sample is some of the rows of a truth.
type sample struct {
	t      *Truth
	rows   []int32 // ascending; nil means all
	keep   []bool  // one for each row of the truth; nil means all
	n      int
	w      []float64 // the weights of the sample's rows; nil: 1 each
	entity []int     // one code for each row of the sample; nil when rows are independent
	groups int       // how many entities
}

// newSample takes the given rows, ascending; nil means all.
func newSample(t *Truth, rows []int32) *sample {
	s := &sample{t: t, rows: rows, n: t.N()}
	if rows != nil {
		s.n = len(rows)
		s.keep = make([]bool, t.N())
		for _, i := range rows {
			s.keep[i] = true
		}
	}
	s.w = take(s, t.Weight, 1)
	if t.Entity != nil {
		seen := map[int32]int{}
		s.entity = make([]int, s.n)
		for j := range s.entity {
			e := t.Entity[s.at(j)]
			code, ok := seen[e]
			if !ok {
				code = len(seen)
				seen[e] = code
			}
			s.entity[j] = code
		}
		s.groups = len(seen)
	}
	return s
}

// at is the row of the truth at position j.
func (s *sample) at(j int) int {
	if s.rows == nil {
		return j
	}
	return int(s.rows[j])
}

// units is how many independent units the sample has: entities, or rows.
func (s *sample) units() int64 {
	if s.entity != nil {
		return int64(s.groups)
	}
	return int64(s.n)
}

// unitName says in words what units counts.
func (s *sample) unitName() string {
	if s.entity != nil {
		return "entities"
	}
	return s.rowName()
}

// rowName is the word for the rows: of a ranking they are queries.
func (s *sample) rowName() string {
	if s.t.folded != nil {
		return "queries"
	}
	return "rows"
}

// others are the rows that are not in the sample.
func (s *sample) others() []int32 {
	out := make([]int32, 0, s.t.N()-s.n)
	for i, in := range s.keep {
		if !in {
			out = append(out, int32(i))
		}
	}
	return out
}

// positives counts the rows of the positive class of a binary task.
func (s *sample) positives() (n int64) {
	if s.t.Task != assay.Binary {
		return 0
	}
	for j := range s.n {
		if int(s.t.Class[s.at(j)]) == s.t.Positive {
			n++
		}
	}
	return n
}

// threads is how many goroutines an evaluation uses.
func threads(o Options) int {
	if o.Threads > 0 {
		return o.Threads
	}
	return runtime.GOMAXPROCS(0)
}

// take gathers the sample's part of a column of width numbers a row.
func take[T any](s *sample, column []T, width int) []T {
	if s.rows == nil || column == nil {
		return column
	}
	out := make([]T, 0, s.n*width)
	for _, i := range s.rows {
		out = append(out, column[int(i)*width:(int(i)+1)*width]...)
	}
	return out
}

// input is what a metric reads of the sample.
func (s *sample) input(p *prepared) metric.Input {
	in := p.input
	if s.rows == nil {
		return in
	}
	if s.t.folded != nil {
		return s.lists(p)
	}
	wide, k := s.t.wide(), len(s.t.Classes)
	in.Truth, in.Labels = take(s, in.Truth, wide), take(s, in.Labels, wide)
	in.Proba = take(s, in.Proba, k)
	in.Target, in.Values = take(s, in.Target, 1), take(s, in.Values, 1)
	in.Weights = s.w
	return in
}

// cells are the confusion cells of the sample's rows, truth × prediction, and their counts or weights.
func (s *sample) cells(p *prepared) ([]int32, metric.Confusion) {
	k := len(s.t.Classes)
	c := metric.Confusion{Classes: k, Counts: make([]float64, k*k)}
	out := make([]int32, s.n)
	for j := range out {
		i := s.at(j)
		out[j] = s.t.Class[i]*int32(k) + p.input.Labels[i]
		c.Counts[out[j]] += s.weight(j)
	}
	return out, c
}

// ranked is the ranking of the sample's rows among one of all rows.
func (s *sample) ranked(r *stat.Ranking) *stat.Ranking {
	if s.keep == nil {
		return r
	}
	return r.Subset(s.keep)
}
