package eval

import (
	"math"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/metric"
	"github.com/assay-ml/assay/stat"
)

// The rows of a ranking are documents, and what is judged is how the documents of a query are ordered: a query is one answer, however
// many documents it has. So the rows of a ranking are folded before anything is computed: one row a query, with the columns that say
// something about the query. Every metric is a mean over queries, and what is resampled and paired is queries.

// folded are the documents of the queries of a ranking.
type folded struct {
	lists   [][]int32 // of each query, its documents in the order of the rows; queries in the order of their first document
	varying []string  // columns that differ between the documents of a query
	split   []string  // of the entity and the weight, those that do
}

// fold gives a ranking with one row a query; other tasks stay as they are.
func (t *Truth) fold() *Truth {
	if t.Task != assay.Ranking || t.folded != nil {
		return t
	}
	f := &folded{}
	at := map[int32]int{}
	for i, q := range t.Query {
		j, ok := at[q]
		if !ok {
			j = len(f.lists)
			at[q] = j
			f.lists = append(f.lists, nil)
		}
		f.lists[j] = append(f.lists[j], int32(i))
	}
	out := *t
	out.folded, out.Columns = f, nil
	for i := range t.Columns {
		c := &t.Columns[i]
		if !constant(f.lists, func(a, b int32) bool { return c.Missing(int(a)) && c.Missing(int(b)) || sameCell(c, a, b) }) {
			f.varying = append(f.varying, c.Name)
			continue
		}
		one := assay.Column{Name: c.Name, Type: c.Type, Levels: c.Levels}
		for _, l := range f.lists {
			if c.Codes != nil {
				one.Codes = append(one.Codes, c.Codes[l[0]])
			} else {
				one.Floats = append(one.Floats, c.Floats[l[0]])
			}
			if c.Ints != nil {
				one.Ints = append(one.Ints, c.Ints[l[0]])
			}
		}
		out.Columns = append(out.Columns, one)
	}
	if t.Weight != nil {
		out.Weight = firsts(f, t.Weight, "weight "+t.Weighted)
	}
	if t.Entity != nil {
		if out.Entity = firsts(f, t.Entity, "entity "+t.Name); len(distinct(out.Entity)) == len(f.lists) {
			out.Entity = nil // every query is an entity of its own
		}
	}
	return &out
}

func sameCell(c *assay.Column, a, b int32) bool {
	if c.Codes != nil {
		return c.Codes[a] == c.Codes[b]
	}
	return c.Floats[a] == c.Floats[b]
}

// constant reports whether the documents of every query are the same.
func constant(lists [][]int32, same func(a, b int32) bool) bool {
	for _, l := range lists {
		for _, i := range l[1:] {
			if !same(l[0], i) {
				return false
			}
		}
	}
	return true
}

// firsts takes the value of the first document of each query, and notes when the others differ.
func firsts[T comparable](f *folded, column []T, what string) []T {
	if !constant(f.lists, func(a, b int32) bool { return column[a] == column[b] }) {
		f.split = append(f.split, what)
	}
	out := make([]T, len(f.lists))
	for q, l := range f.lists {
		out[q] = column[l[0]]
	}
	return out
}

func distinct(codes []int32) []int32 {
	sorted := slices.Clone(codes)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// checkQueries says what is wrong with the queries themselves, whatever their relevances are, and with slices
// that tear them apart.
func (t *Truth) checkQueries(o Options, bad *assay.Problems) {
	if t.Task != assay.Ranking {
		return
	}
	if len(t.Query) == 0 {
		bad.Add("a ranking needs the query of each row")
		return
	}
	f := t.fold().folded
	single := 0
	for _, l := range f.lists {
		if len(l) == 1 {
			single++
		}
	}
	if single > 0 {
		bad.Add("%d of %d queries have one document: their order says nothing", single, len(f.lists))
	}
	for _, what := range f.split {
		bad.Add("the %s differs between the documents of a query", what)
	}
	for _, def := range o.Slices {
		for _, term := range strings.Split(def, "&") {
			name, _, _ := strings.Cut(term, ":")
			if name = strings.TrimSpace(name); slices.Contains(f.varying, name) {
				bad.Add("slice %q: column %q differs between the documents of a query; a slice of a ranking is of whole queries", def, name)
			}
		}
	}
}

// gradedMetrics are the metrics of a ranking whose relevances may be other than 0 and 1.
func gradedMetrics() []string {
	return slices.DeleteFunc(Metrics(assay.Ranking), func(name string) bool {
		return strings.HasPrefix(name, "label_ranking_") || name == "coverage_error"
	})
}

func (t *Truth) checkRelevance(o Options, bad *assay.Problems) {
	addPlaces(bad, "the relevance is no finite number", notFinite(t.Value))
	var below place
	for i, v := range t.Value {
		if v < 0 {
			below.add(i)
		}
	}
	addPlaces(bad, "the relevance is below 0", below)
	grades := slices.ContainsFunc(t.Value, func(v float64) bool { return v != 0 && v != 1 })
	for _, name := range o.Metrics {
		if d, err := metric.Find(name); grades && err == nil && d.Fits(assay.Ranking) && !slices.Contains(gradedMetrics(), name) {
			bad.Add("metric %q takes relevances of 0 and 1, and these are grades; those that take grades are %s", name, strings.Join(gradedMetrics(), ", "))
		}
	}
	if len(t.Query) != len(t.Value) {
		bad.Add("%d queries for %d rows", len(t.Query), len(t.Value))
	}
}

// queries says what the rows of a ranking are; nil for another task.
func (t *Truth) queries() *assay.Queries {
	if t.folded == nil {
		return nil
	}
	q := &assay.Queries{Column: t.Queried, Documents: int64(len(t.Value))}
	for _, l := range t.folded.lists {
		if !slices.ContainsFunc(l, func(i int32) bool { return t.Value[i] > 0 }) {
			q.Barren++
		}
	}
	return q
}

// lists are the documents of the queries of a sample, query by query.
func (s *sample) lists(p *prepared) metric.Input {
	in := metric.Input{Task: assay.Ranking, Weights: s.w}
	for j := range s.n {
		for _, i := range s.t.folded.lists[s.at(j)] {
			in.Target, in.Values, in.Groups = append(in.Target, s.t.Value[i]), append(in.Values, p.order[i]), append(in.Groups, int32(j))
		}
	}
	return in
}

// certain takes the interval away from a mean whose values are all equal: what does not vary is not certain.
func (m *measure) certain(values []float64, e assay.Estimate) assay.Estimate {
	if !m.s.isOfLists() || len(values) < 2 {
		return e
	}
	if !slices.ContainsFunc(values, func(v float64) bool { return v != values[0] }) {
		return assay.Point(e.Value, "no interval: all "+m.s.rowName()+" have the same value", e.N)
	}
	return e
}

// isOfLists reports whether the rows of the sample are queries, or have several labels.
func (s *sample) isOfLists() bool { return s.t.Task == assay.Ranking || s.t.Task == assay.Multilabel }

// average is the mean of one number a row with its interval. Over queries, or over rows of several labels, most numbers are often at the
// bound of the metric, so the interval is one that knows the bounds.
func (m *measure) average(level float64) assay.Estimate {
	d, ok := metric.Lookup(m.name)
	if !ok || !m.s.isOfLists() {
		return stat.Mean(m.rows, level)
	}
	if least, greatest := d.Range(m.s.t.Task); !math.IsInf(greatest-least, 0) {
		return stat.BoundedMean(m.rows, least, greatest, level)
	}
	e := stat.Mean(m.rows, level)
	if e.HasInterval() {
		e = d.Cut(m.s.t.Task, e)
	}
	return e
}

// standing is how many rows (or entities) of equal size would make up, as unevenly as these do, the distance of a mean from the bound that
// it is nearest to; of a gain, the difference. Where few do, other rows would give another mean than the interval says.
func (x *scoring) standing(i int, gain bool) float64 {
	m := x.first[i]
	if gain {
		diff := make([]float64, len(m.rows))
		for j := range diff {
			diff[j] = m.rows[j] - x.second[i].rows[j]
		}
		return x.s.participation(diff)
	}
	d, _ := metric.Lookup(m.name)
	least, greatest := d.Range(x.s.t.Task)
	out := math.Inf(1)
	for _, bound := range []float64{least, greatest} {
		if math.IsInf(bound, 0) {
			continue
		}
		away := make([]float64, len(m.rows))
		for j, v := range m.rows {
			away[j] = v - bound
		}
		out = math.Min(out, x.s.participation(away))
	}
	return out
}

// participation is stat.Participation of one value a row, those of an entity added up and those of weighted rows times their weight.
func (s *sample) participation(values []float64) float64 {
	for j := range values {
		values[j] *= s.weight(j)
	}
	if s.entity == nil {
		return stat.Participation(values)
	}
	sums := make([]float64, s.groups)
	for j, e := range s.entity {
		sums[e] += values[j]
	}
	return stat.Participation(sums)
}
