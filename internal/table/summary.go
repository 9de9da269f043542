package table

import (
	"context"
	"math"
	"slices"
	"strconv"
	"time"

	duckdb "github.com/duckdb/duckdb-go-bindings"
	"golang.org/x/sync/errgroup"

	"github.com/assay-ml/assay"
)

// Defaults of SummaryOptions.
const (
	DefaultTop  = 10
	DefaultBins = 20
)

// SummaryOptions say what a Summary holds. The zero value is a good default.
type SummaryOptions struct {
	Top       int                  // most frequent values; 0: DefaultTop, negative: none
	Bins      int                  // equal-width bins between the least and the greatest finite value; 0: DefaultBins
	Edges     map[string][]float64 // fixed histogram edges by column, increasing; instead of Bins
	Quantiles []float64            // nil: DefaultQuantiles()
	Where     string               // SQL expression; the rows to look at
}

// DefaultQuantiles are the probabilities at which quantiles are taken unless stated otherwise.
func DefaultQuantiles() []float64 {
	return []float64{0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99}
}

// A Summary is what was seen of a column. Everything is exact: nothing is sampled or sketched. Numbers, dates (days), times and
// timestamps (seconds since 1970 UTC), and booleans (0, 1) have Numbers; text has Lengths.
type Summary struct {
	Name     string      `json:"name"`
	Type     assay.Type  `json:"type"`
	Rows     int64       `json:"rows"`
	Nulls    int64       `json:"nulls"`
	NaNs     int64       `json:"nans"`     // apart from Nulls
	Distinct int64       `json:"distinct"` // values, infinities among them, without null and NaN
	Unique   int64       `json:"unique"`   // values that occur once
	Top      []Frequency `json:"top"`      // most frequent first, ties by value
	Numbers  *Numbers    `json:"numbers,omitempty"`
	Lengths  *Lengths    `json:"lengths,omitempty"`
}

// A Frequency is a value and how often it occurs.
type Frequency struct {
	Value string `json:"value"`
	Count int64  `json:"count"`
}

// Numbers describe the finite values of a column. What is not defined is NaN: the variance of one value, a mean of none. A sum beyond
// float64 is infinite, and what follows from it infinite or NaN.
type Numbers struct {
	Count      int64           `json:"count"` // finite values
	PosInf     int64           `json:"positive_infinities"`
	NegInf     int64           `json:"negative_infinities"`
	Zeros      int64           `json:"zeros"`
	Negatives  int64           `json:"negatives"` // finite ones
	Min        assay.Number    `json:"min"`
	Max        assay.Number    `json:"max"`
	ExactMin   string          `json:"min_exact,omitempty"` // of whole numbers from ±2^53 on, in decimal: min, a float64, is the nearest that there is
	ExactMax   string          `json:"max_exact,omitempty"`
	Sum        assay.Number    `json:"sum"`
	Mean       assay.Number    `json:"mean"`
	Variance   assay.Number    `json:"variance"` // n − 1
	Std        assay.Number    `json:"std"`
	Skewness   assay.Number    `json:"skewness"` // bias-corrected (G1), 0 for a constant, as pandas has it
	Kurtosis   assay.Number    `json:"kurtosis"` // excess, bias-corrected (G2), 0 for a constant, as pandas has it
	MAD        assay.Number    `json:"mad"`      // median of the absolute deviations from the median, unscaled
	Quantiles  []QuantileValue `json:"quantiles"`
	Edges      []float64       `json:"edges"`  // of the histogram
	Counts     []int64         `json:"counts"` // len(Edges)−1; bins are half open but the last, as NumPy has them
	Outside    int64           `json:"outside"`
	Increasing bool            `json:"increasing"` // never falls, in the order of rows
	Decreasing bool            `json:"decreasing"` // never rises
}

// A QuantileValue is a quantile, linearly interpolated between order statistics (type 7: the default of NumPy, pandas and R).
type QuantileValue struct {
	P     float64      `json:"p"`
	Value assay.Number `json:"value"`
}

// Lengths describe texts in characters (Unicode code points).
type Lengths struct {
	Min  int64        `json:"min"`
	Max  int64        `json:"max"`
	Mean assay.Number `json:"mean"`
}

// Summarize looks at columns (nil: all), one scan a column of numbers and one grouped count a column of text. Memory in Go: 24 bytes a
// row while a column of numbers is sorted, for two columns at a time. Reference: pandas 2.3, relative tolerance 1e-9 (skewness and kurtosis 1e-8).
func (t *Table) Summarize(ctx context.Context, columns []string, o SummaryOptions) ([]Summary, error) {
	fields, err := t.columns(columns)
	if err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	out := make([]Summary, len(fields))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(summaryColumns)
	for i, f := range fields {
		g.Go(func() error {
			s, err := t.summarize(ctx, f, &o)
			if err == nil {
				out[i] = *s
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return out, nil
}

// summaryColumns is how many columns are summarized at a time: each may hold 24 bytes a row.
const summaryColumns = 2

// check fills in the defaults and refuses what is not defined.
func (o *SummaryOptions) check() error {
	var bad assay.Problems
	if o.Top == 0 {
		o.Top = DefaultTop
	}
	o.Top = max(o.Top, 0)
	if o.Bins == 0 {
		o.Bins = DefaultBins
	}
	if o.Bins < 1 || o.Bins > 100_000 {
		bad.Add("%d bins: want 1 to 100000", o.Bins)
	}
	if o.Quantiles == nil {
		o.Quantiles = DefaultQuantiles()
	}
	for _, p := range o.Quantiles {
		if !(p >= 0 && p <= 1) {
			bad.Add("the quantile %v is not between 0 and 1", p)
		}
	}
	for name, edges := range o.Edges {
		ok := len(edges) >= 2
		for i, e := range edges {
			ok = ok && !math.IsNaN(e) && !math.IsInf(e, 0) && (i == 0 || edges[i-1] < e)
		}
		if !ok {
			bad.Add("the histogram edges of %q are not two or more increasing finite numbers", name)
		}
	}
	slices.Sort(bad)
	return bad.Err(assay.Invalid, "the summary is not defined")
}

func (t *Table) summarize(ctx context.Context, f assay.Field, o *SummaryOptions) (*Summary, error) {
	if textual(f.Type) {
		s := &Summary{Name: f.Name, Type: f.Type, Top: []Frequency{}}
		return s, t.countTexts(ctx, s, f, Ident(f.Name), o, true)
	}
	es, err := t.examineNumbers(ctx, []assay.Field{f}, &ExamineOptions{SummaryOptions: *o}, &scratch{}, false)
	if err != nil {
		return nil, err
	}
	return &es[0].Summary, nil
}

// countTexts fills in what follows from one grouped count of an expression.
func (t *Table) countTexts(ctx context.Context, s *Summary, f assay.Field, expression string, o *SummaryOptions, lengths bool) error {
	size := "length(v)"
	if s.Type == assay.TypeBinary {
		size = "octet_length(v)"
		s.Top = []Frequency{}
	}
	sql := "WITH g AS MATERIALIZED (SELECT " + expression + " AS v, count(*) AS n FROM " + t.read([]assay.Field{f}, o.Where) + " GROUP BY 1)" +
		" SELECT coalesce(sum(n), 0)::BIGINT, coalesce(sum(n) FILTER (v IS NULL), 0)::BIGINT, count(v), count(v) FILTER (n = 1)," +
		" coalesce(min(" + size + "), 0)::BIGINT, coalesce(max(" + size + "), 0)::BIGINT, (sum(" + size + " * n) / sum(n) FILTER (v IS NOT NULL))::DOUBLE, NULL::VARCHAR FROM g"
	if o.Top > 0 && s.Type != assay.TypeBinary {
		sql += " UNION ALL (SELECT n, 0, 0, 0, 0, 0, 0, v FROM g WHERE v IS NOT NULL ORDER BY n DESC, v LIMIT " + strconv.Itoa(o.Top) + ")"
	}
	r, err := t.engine.query(ctx, sql)
	if err != nil {
		return err
	}
	defer r.Close()
	s.Top = []Frequency{}
	for first := true; r.Next(); first = false {
		var n, nulls, distinct, unique, least, most int64
		var mean float64
		var v *string
		if err := r.Scan(&n, &nulls, &distinct, &unique, &least, &most, &mean, &v); err != nil {
			return err
		}
		switch {
		case v != nil:
			s.Top = append(s.Top, Frequency{*v, n})
		case first:
			s.Rows, s.Nulls, s.Distinct, s.Unique = n, nulls, distinct, unique
			if lengths {
				s.Lengths = &Lengths{Min: least, Max: most, Mean: assay.Number(mean)}
			}
		}
	}
	return r.Err()
}

// A column gathers the values of one column as keys that sort as the values do.
type column struct {
	keys               []uint64
	missing            []uint32 // row numbers, ascending, of nulls and NaNs
	floats             bool     // the keys are floats, not integers
	scale              float64  // of an integer key to the unit of Numbers
	kind               duckdb.Type
	wide               bool
	rows, nulls, nans  int64
	last               uint64 // key of the row before
	increase, decrease bool
	begun, valued      bool // a row was there; one with a value
}

// sortable maps a float to an unsigned integer of the same order; -0 is 0.
func sortable(x float64) uint64 {
	if x == 0 {
		x = 0
	}
	b := math.Float64bits(x)
	if b>>63 == 1 {
		return ^b
	}
	return b | 1<<63
}

func (c *column) value(key uint64) float64 {
	if !c.floats {
		return float64(int64(key^1<<63)) * c.scale
	}
	if key>>63 == 1 {
		return math.Float64frombits(key &^ (1 << 63))
	}
	return math.Float64frombits(^key)
}

func (c *column) add(v *vector, n int) error {
	if !c.begun {
		c.begun, c.kind, c.scale, c.increase, c.decrease = true, v.kind, 1, true, true
		switch v.kind {
		case duckdb.TypeDate:
			c.scale = 86400
		case duckdb.TypeTime, duckdb.TypeTimestamp:
			c.scale = 1e-6
		case duckdb.TypeDouble:
			c.floats = true
		case duckdb.TypeHugeInt, duckdb.TypeDecimal:
			c.floats, c.wide = true, true
		}
	}
	from := int(c.rows)
	c.rows += int64(n)
	for i := range n {
		if v.null(i) {
			c.nulls++
			c.missing = append(c.missing, uint32(from+i))
			continue
		}
		var key uint64
		switch v.kind {
		case duckdb.TypeDouble:
			x := at[float64](v, i)
			if x != x {
				c.nans++
				c.missing = append(c.missing, uint32(from+i))
				continue
			}
			key = sortable(x)
		case duckdb.TypeBoolean:
			b := at[uint8](v, i)
			key = uint64(b) ^ 1<<63
		case duckdb.TypeDate:
			d := int64(at[int32](v, i))
			key = uint64(d) ^ 1<<63
		case duckdb.TypeTinyInt, duckdb.TypeSmallInt, duckdb.TypeInteger, duckdb.TypeBigInt, duckdb.TypeUTinyInt, duckdb.TypeUSmallInt,
			duckdb.TypeUInteger, duckdb.TypeTime, duckdb.TypeTimestamp:
			d := v.int(v.kind, i)
			key = uint64(d) ^ 1<<63
		default:
			y, err := v.value(i)
			if err != nil {
				return err
			}
			f, ok := toFloat(y)
			if !ok {
				return assay.Errorf(assay.Internal, "a column has a type without a summary")
			}
			key = sortable(f)
		}
		if c.valued && key < c.last {
			c.increase = false
		}
		if c.valued && key > c.last {
			c.decrease = false
		}
		c.last, c.valued = key, true
		c.keys = append(c.keys, key)
	}
	return nil
}

// text writes a value as a person would read it.
func (c *column) text(key uint64) string {
	x := int64(key ^ 1<<63)
	switch c.kind {
	case duckdb.TypeBoolean:
		return strconv.FormatBool(x == 1)
	case duckdb.TypeDate:
		return time.Unix(x*86400, 0).UTC().Format("2006-01-02")
	case duckdb.TypeTime:
		return time.UnixMicro(x).UTC().Format("15:04:05.999999")
	case duckdb.TypeTimestamp:
		return time.UnixMicro(x).UTC().Format("2006-01-02 15:04:05.999999")
	}
	if c.floats {
		return strconv.FormatFloat(c.value(key), 'g', -1, 64)
	}
	return strconv.FormatInt(x, 10)
}
