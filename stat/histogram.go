package stat

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"

	"github.com/assay-ml/assay"
)

// The kinds of row of a Histogram and of CategoryCounts that have no ordinary value, in the order in which Presence counts them.
const (
	PresenceValue     = iota // an ordinary value
	PresenceMissing          // no value
	PresenceNaN              // a number that is not one
	PresencePosInf           // +Inf
	PresenceNegInf           // -Inf
	PresenceTypeError        // a value of another type than the column's
	presenceKinds
)

// A Histogram counts what a numeric column held: the finite values by the cells of frozen Edges, and every other kind of row apart. It
// keeps whole counts and extremes only, so that the histogram of a window is the same in whatever order, batches or shards its rows
// came, to the byte. Adding allocates nothing. It is not safe for concurrent use: give each goroutine its own and merge them.
type Histogram struct {
	edges    *Edges
	cells    []int64
	presence [presenceKinds]int64
	min, max float64 // of the finite values; +Inf and -Inf without one
}

// NewHistogram returns an empty histogram over the edges.
func NewHistogram(e *Edges) *Histogram {
	return &Histogram{edges: e, cells: make([]int64, e.Cells()), min: math.Inf(1), max: math.Inf(-1)}
}

// Add counts a value, finite or not.
func (h *Histogram) Add(v float64) {
	if i := h.edges.Cell(v); i >= 0 {
		h.cells[i]++
		h.presence[PresenceValue]++
		if v < h.min {
			h.min = v
		}
		if v > h.max {
			h.max = v
		}
		return
	}
	switch {
	case v != v:
		h.presence[PresenceNaN]++
	case v > 0:
		h.presence[PresencePosInf]++
	default:
		h.presence[PresenceNegInf]++
	}
}

// AddMissing counts a row without a value.
func (h *Histogram) AddMissing() { h.presence[PresenceMissing]++ }

// AddTypeError counts a row whose value is not a number.
func (h *Histogram) AddTypeError() { h.presence[PresenceTypeError]++ }

// Merge adds the counts of another histogram over equal edges; it is associative and commutative. It refuses other edges.
func (h *Histogram) Merge(o *Histogram) error {
	if h.edges != o.edges && !slices.Equal(h.edges.Upper, o.edges.Upper) {
		return assay.Errorf(assay.Invalid, "cannot merge histograms: their edges differ")
	}
	for i, c := range o.cells {
		h.cells[i] += c
	}
	for i, c := range o.presence {
		h.presence[i] += c
	}
	h.min, h.max = math.Min(h.min, o.min), math.Max(h.max, o.max)
	return nil
}

// Reset empties the histogram.
func (h *Histogram) Reset() {
	clear(h.cells)
	h.presence = [presenceKinds]int64{}
	h.min, h.max = math.Inf(1), math.Inf(-1)
}

// Edges returns what the histogram counts over.
func (h *Histogram) Edges() *Edges { return h.edges }

// Rows is the number of rows of every kind.
func (h *Histogram) Rows() (n int64) {
	for _, c := range h.presence {
		n += c
	}
	return n
}

// Values is the number of finite values.
func (h *Histogram) Values() int64 { return h.presence[PresenceValue] }

// Presence returns the number of rows of each kind, PresenceValue to PresenceTypeError, as counts to compare.
func (h *Histogram) Presence() []float64 { return floatCounts(h.presence[:]) }

// Counts returns the counts of the finite values by cell, in ascending order.
func (h *Histogram) Counts() []float64 { return floatCounts(h.cells) }

// Range returns the least and the greatest finite value, NaN without one.
func (h *Histogram) Range() (lo, hi float64) {
	if h.Values() == 0 {
		return math.NaN(), math.NaN()
	}
	return h.min, h.max
}

// Outside returns how many finite values lie below and above every reference value.
func (h *Histogram) Outside() (below, above int64) { return h.cells[0], h.cells[len(h.cells)-1] }

// Quantile returns the p-quantile of the finite values, straight within a cell; the outermost cells reach to the least and the
// greatest value. NaN without values or for p outside [0, 1].
func (h *Histogram) Quantile(p float64) float64 {
	if h.Values() == 0 || !(p >= 0 && p <= 1) {
		return math.NaN()
	}
	want, before := p*float64(h.Values()), 0.0
	for i, c := range h.cells {
		n := float64(c)
		if c > 0 && before+n >= want {
			lo, hi := h.min, h.max
			if i > 0 {
				lo = math.Max(lo, h.edges.Upper[i-1])
			}
			if i < len(h.edges.Upper) {
				hi = math.Min(hi, h.edges.Upper[i])
			}
			f := (want - before) / n
			return math.Max(lo, math.Min(hi, lo*(1-f)+hi*f))
		}
		before += n
	}
	return h.max
}

// histogramJSON has no edges: they are frozen once and stored with the reference.
type histogramJSON struct {
	Cells    []int64      `json:"cells"`
	Presence presenceJSON `json:"presence"`
	Min      *float64     `json:"min"`
	Max      *float64     `json:"max"`
}

type presenceJSON struct {
	Value     int64 `json:"value"`
	Missing   int64 `json:"missing"`
	NaN       int64 `json:"nan"`
	PosInf    int64 `json:"pos_inf"`
	NegInf    int64 `json:"neg_inf"`
	TypeError int64 `json:"type_error"`
}

// MarshalJSON writes the counts, without the edges; equal histograms have equal bytes.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	j := histogramJSON{Cells: h.cells, Presence: presenceOf(h.presence)}
	if h.Values() > 0 {
		j.Min, j.Max = &h.min, &h.max
	}
	return json.Marshal(j)
}

func presenceOf(p [presenceKinds]int64) presenceJSON {
	return presenceJSON{p[PresenceValue], p[PresenceMissing], p[PresenceNaN], p[PresencePosInf], p[PresenceNegInf], p[PresenceTypeError]}
}

// counts checks that no count is negative and that the values add up to the cells.
func (j presenceJSON) counts(cells []int64) ([presenceKinds]int64, bool) {
	p := [presenceKinds]int64{j.Value, j.Missing, j.NaN, j.PosInf, j.NegInf, j.TypeError}
	var sum int64
	ok := true
	for _, c := range cells {
		ok = ok && c >= 0 && sum <= math.MaxInt64-c
		sum += c
	}
	for _, c := range p {
		ok = ok && c >= 0
	}
	return p, ok && sum == j.Value
}

// ReadHistogram reads the counts that MarshalJSON wrote, over the edges they were counted with. It refuses unknown fields, another
// number of cells, negative counts, and counts or extremes that contradict each other.
func ReadHistogram(e *Edges, data []byte) (*Histogram, error) {
	var j histogramJSON
	if err := strictJSON(data, &j); err != nil {
		return nil, assay.Errorf(assay.Invalid, "histogram: %w", err)
	}
	h := NewHistogram(e)
	var ok bool
	if h.presence, ok = j.Presence.counts(j.Cells); !ok || len(j.Cells) != len(h.cells) {
		return nil, assay.Errorf(assay.Invalid, "histogram: %d cells over %d, or counts that do not add up", len(j.Cells), len(h.cells))
	}
	if (h.Values() > 0) != (j.Min != nil && j.Max != nil) || h.Values() == 0 && (j.Min != nil || j.Max != nil) {
		return nil, assay.Errorf(assay.Invalid, "histogram: the range does not fit the number of values")
	}
	copy(h.cells, j.Cells)
	if j.Min != nil {
		h.min, h.max = *j.Min, *j.Max
		if !(h.min <= h.max) || h.cells[e.Cell(h.min)] == 0 || h.cells[e.Cell(h.max)] == 0 {
			return nil, assay.Errorf(assay.Invalid, "histogram: the range does not fit the cells")
		}
	}
	return h, nil
}

func strictJSON(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if d.More() {
		return assay.Errorf(assay.Invalid, "more than one value")
	}
	return nil
}

// UnmarshalJSON reads edges and checks them.
func (e *Edges) UnmarshalJSON(data []byte) error {
	type plain Edges
	var p plain
	if err := strictJSON(data, &p); err != nil {
		return assay.Errorf(assay.Invalid, "edges: %w", err)
	}
	*e = Edges(p)
	if err := e.Check(); err != nil {
		return err
	}
	e.derive()
	return nil
}

func floatCounts(counts []int64) []float64 {
	out := make([]float64, len(counts))
	for i, c := range counts {
		out[i] = float64(c)
	}
	return out
}
