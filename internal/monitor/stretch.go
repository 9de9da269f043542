package monitor

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
	"github.com/assay-ml/assay/stat"
)

// Bounds of what a reference keeps of stretches of time.
const (
	minStretches = 20   // that do not overlap: the least number whose difference says something
	maxUnits     = 1000 // the newest, of days; of shorter ones whole days, evenly
)

// length is how long a window of a plan is in seconds, by time or by how many come in a year; 0 where that is not known.
func length(p assay.Monitor) float64 {
	if p.Windows.By == ByTime {
		return float64(p.Windows.LengthSeconds)
	}
	if p.Budget.WindowsPerYear > 0 {
		return yearly / p.Budget.WindowsPerYear
	}
	return 0
}

// unitOf is what a reference is counted by for windows so long: days where windows are days or more, else such windows themselves; windows that no whole number of
// days makes are their own unit. By count there is no grid, and the next shorter part of a day is taken.
func unitOf(w assay.WindowPlan, length float64) int64 {
	if w.By == ByTime && (length < day || w.LengthSeconds%day != 0 && w.LengthSeconds%monthly != 0) {
		return w.LengthSeconds
	}
	for _, parts := range []int64{1, 2, 3, 4, 6, 8, 12, 24, 48, 96, 288} {
		if u := int64(day) / parts; float64(u) <= length {
			return u
		}
	}
	return 60
}

// unitSQL is the number of the unit of time that a row came in, by SQL for when it came.
func unitSQL(unit int64, at string) string {
	c := &cutter{plan: assay.WindowPlan{By: ByTime, LengthSeconds: unit}}
	c.byTime(at)
	return c.expr
}

// unitsOf are the numbers of the units that the rows of a table came in, in their order.
func unitsOf(ctx context.Context, t *table.Table, unit int64, at string) (assay.Column, error) {
	v, err := t.Select(ctx, "SELECT CAST("+unitSQL(unit, at)+" AS DOUBLE) AS "+windowColumn+", _row FROM "+t.Relation(), []assay.Field{{Name: windowColumn, Type: assay.TypeNumber}})
	if err != nil {
		return assay.Column{}, err
	}
	f, err := v.Frame(ctx, []string{windowColumn}, "")
	if err != nil {
		return assay.Column{}, err
	}
	return f[0], nil
}

// clocks finds out how the rows of both tables say when they came.
func (x *Subject) clocks(ctx context.Context) error {
	train, err := x.Train.Clock(ctx, x.Time)
	if err != nil {
		return err
	}
	held, err := x.Held.Clock(ctx, x.Time)
	x.trainAt, x.heldAt = train.SQL, held.SQL
	return err
}

// cameBetween is when the first and the last row of a table came, in seconds, and how many have a time.
func cameBetween(ctx context.Context, t *table.Table, at string) (first, last float64, rows int64, err error) {
	r, err := t.Query(ctx, "SELECT coalesce(epoch(min(v)), 0), coalesce(epoch(max(v)), 0), count(v) FROM (SELECT "+at+" AS v FROM "+t.Relation()+")")
	if err != nil {
		return 0, 0, 0, err
	}
	defer r.Close()
	if r.Next() {
		err = r.Scan(&first, &last, &rows)
	}
	if err == nil {
		err = r.Close()
	}
	return first, last, rows, err
}

// rowsPerDay is the traffic that the data had, 0 without a time: that of the training part, and where the held-out part came in the same time the other parts'
// share of all rows too.
func (x *Subject) rowsPerDay(ctx context.Context) (float64, error) {
	if x.trainAt == "" {
		return 0, nil
	}
	first, last, rows, err := cameBetween(ctx, x.Train, x.trainAt)
	if err != nil || !(last > first) {
		return 0, err
	}
	perDay := float64(rows) / (math.Floor(last/day) - math.Floor(first/day) + 1)
	if x.Rows > x.Train.Rows() && x.heldAt != "" {
		from, _, _, err := cameBetween(ctx, x.Held, x.heldAt)
		if err != nil {
			return 0, err
		}
		if from < last {
			perDay *= float64(x.Rows) / float64(x.Train.Rows())
		}
	}
	return perDay, nil
}

// stretches counts the rows of a reference by stretches of time: rows that came together are more alike than others, and a window without drift is such a
// stretch. unit is SQL for the number of the unit that a row came in. A reference of too short a time has none.
func (d *Document) stretches(ctx context.Context, t *table.Table, unit string, seconds int64, window float64) error {
	units, err := groups(ctx, t, unit)
	if err != nil || len(units) < minStretches {
		return err
	}
	kept := unit
	if len(units) > maxUnits {
		if seconds >= day {
			kept = fmt.Sprintf("CASE WHEN %s >= %d THEN %s END", unit, units[len(units)-maxUnits].group, unit)
		} else {
			perDay := int64(day) / seconds
			var days, some []string
			for _, u := range units {
				of := fmt.Sprint(floorDiv(u.group, perDay))
				if len(days) == 0 || days[len(days)-1] != of {
					days = append(days, of)
				}
			}
			most := max(1, maxUnits/int(perDay))
			for i := range min(most, len(days)) {
				some = append(some, days[i*len(days)/min(most, len(days))])
			}
			kept = fmt.Sprintf("CASE WHEN CAST(floor(%s / %d) AS BIGINT) IN (%s) THEN %s END", unit, perDay, strings.Join(some, ", "), unit)
		}
	}
	counts, err := count(ctx, t, d.Features, kept)
	if err != nil {
		return err
	}
	d.UnitSeconds, d.Units = seconds, nil
	at := map[int64]int{}
	for i, c := range counts {
		at[c.key] = i
		d.Units = append(d.Units, c.key)
	}
	for i := range d.Features {
		f := &d.Features[i]
		f.Stretches = nil
		for _, c := range counts {
			x := c.columns[i]
			f.Stretches = append(f.Stretches, append(x.Cells, x.Missing, x.NaN, x.PosInf, x.NegInf, x.TypeErrors))
		}
	}
	long := d.spans(window)
	if long == nil {
		d.UnitSeconds, d.Units = 0, nil
		for i := range d.Features {
			d.Features[i].Stretches = nil
		}
		return nil
	}
	for i := range d.Features {
		if f := &d.Features[i]; f.Categories != nil && !f.Categories.Open {
			if err := f.leaveOut(ctx, t, unit, long.units, at); err != nil {
				return err
			}
		}
	}
	return nil
}

func floorDiv(a, b int64) int64 { return int64(math.Floor(float64(a) / float64(b))) }

// leaveOut counts values that came in one stretch of so many units alone as values never seen before: what they would have been, had that stretch not been a part
// of the reference. at are the units that are kept, by number.
func (f *Feature) leaveOut(ctx context.Context, t *table.Table, unit string, units int64, at map[int64]int) error {
	value, _ := category(f, assay.Field{Name: f.Name, Type: f.Type})
	least := int64(0) // values that are more frequent have a cell of their own
	if len(f.Categories.Tail) > 0 {
		least = f.Counts.Cells[len(f.Categories.Values)-1]
	}
	r, err := t.Query(ctx, fmt.Sprintf(`WITH g AS (SELECT CAST(%s AS BIGINT) AS u, %s AS v FROM %s),
s AS (SELECT u, v, count(*) OVER (PARTITION BY v) AS c, min(floor(u / %d)) OVER (PARTITION BY v) AS lo, max(floor(u / %d)) OVER (PARTITION BY v) AS hi FROM g WHERE u IS NOT NULL AND v IS NOT NULL)
SELECT u, CASE WHEN c > %d THEN v END, count(*) FROM s WHERE lo = hi GROUP BY 1, 2`, unit, value, t.Relation(), units, units, least))
	if err != nil {
		return err
	}
	defer r.Close()
	for r.Next() {
		var u, n int64
		var v *string
		if err := r.Scan(&u, &v, &n); err != nil {
			return err
		}
		i, ok := at[u]
		if !ok {
			continue
		}
		cells := f.Stretches[i]
		from := f.Categories.Other()
		if v != nil {
			from = f.Categories.Cell(*v)
		}
		for _, c := range append([]int{from, f.Categories.Other()}, down(len(f.Categories.Values))...) { // the most frequent are the last to be taken from
			less := min(n, cells[c])
			if c != f.Categories.Unseen() {
				cells[c] -= less
				cells[f.Categories.Unseen()] += less
				n -= less
			}
		}
	}
	return r.Close()
}

// down counts from below n to 0.
func down(n int) []int {
	out := upTo(n)
	slices.Reverse(out)
	return out
}

// spans are the stretches of a reference of about the length of a window, or where it has too few of those the longest of which it has enough.
type spans struct {
	units     int64 // in one
	seconds   float64
	from, to  []int // places among the units of the reference, by stretch
	following [][2]int
	effective float64
	parts     []float64 // weights of the stretches that make a window
}

// spans cuts the reference into stretches for windows of so many seconds; nil where it has none.
func (d *Document) spans(window float64) *spans {
	n := len(d.Units)
	if n < minStretches || d.UnitSeconds <= 0 {
		return nil
	}
	ratio := math.Max(1, window/float64(d.UnitSeconds))
	for units := int64(max(1, math.Round(ratio))); units >= 1; units-- {
		s := &spans{units: units, seconds: float64(units * d.UnitSeconds)}
		next, place := d.Units[0], map[int64]int{}
		for i, u := range d.Units {
			if u+units-1 > d.Units[n-1] {
				break
			}
			to, _ := slices.BinarySearch(d.Units, u+units)
			place[u] = len(s.from)
			s.from, s.to = append(s.from, i), append(s.to, to)
			if u >= next {
				s.effective++
				next = u + units
			}
		}
		if s.effective < minStretches {
			continue
		}
		for i, from := range s.from {
			if k, ok := place[d.Units[from]+units]; ok {
				s.following = append(s.following, [2]int{i, k})
			}
		}
		if units == int64(math.Round(ratio)) || units == 1 && ratio < 1.5 {
			s.parts = []float64{1}
			return s
		}
		for left := ratio; left > 1e-9; left -= float64(units) {
			s.parts = append(s.parts, math.Min(left, float64(units))/ratio)
		}
		return s
	}
	return nil
}

// caution says what is taken for granted where references have too few stretches as long as a window; "" where they have enough, or their rows have no time.
func caution(s *spans, timed bool, window float64) string {
	switch {
	case !timed:
	case s == nil:
		return fmt.Sprintf("takes rows for independent: they came in fewer than %d stretches of time, so what rows of one have in common is an alarm", minStretches)
	case len(s.parts) > 1:
		return fmt.Sprintf("is drawn from stretches of %s put together, as if one told nothing of the next: they came in fewer than %d stretches of %s", about(s.seconds), minStretches, about(window))
	}
	return ""
}

// about is a length of time for people, in whole days, hours or minutes.
func about(seconds float64) string {
	for _, u := range []int64{day, 3600, 60} {
		if seconds >= float64(u) {
			return FormatSpan(int64(math.Round(seconds/float64(u))) * u)
		}
	}
	return FormatSpan(int64(seconds))
}

// A variation is by how much a column differs between stretches of time of the reference.
type variation struct {
	spans  *spans
	counts []Counts // by stretch
	cells  *stat.Stretches
	window []float64 // counts by cell of what windows are drawn from
}

// variation compares the stretches of a column; nil where rows are independent.
func (f *Feature) variation(s *spans) (*variation, error) {
	if s == nil || len(f.Stretches) == 0 {
		return nil, nil
	}
	v := &variation{spans: s}
	cells := f.Cells()
	var by [][]float64
	unseen, values := int64(0), int64(0)
	for i, from := range s.from {
		sum := make([]int64, cells+presences)
		for _, unit := range f.Stretches[from:s.to[i]] {
			for c, n := range unit {
				sum[c] += n
			}
		}
		c := Counts{Cells: sum[:cells], Missing: sum[cells], NaN: sum[cells+1], PosInf: sum[cells+2], NegInf: sum[cells+3], TypeErrors: sum[cells+4]}
		v.counts, by = append(v.counts, c), append(by, floats(c.Cells))
		if f.Categories != nil {
			unseen += c.Cells[f.Categories.Unseen()]
		}
		values += c.Values()
	}
	if values == 0 {
		return nil, nil
	}
	v.window = f.withUnseen(math.Max(float64(unseen)/float64(values), f.onceShare()))
	var err error
	v.cells, err = stat.NewStretches(by, s.effective, f.Edges != nil, s.following)
	return v, err
}

// onceShare is the share of the values that the reference had once: an estimate of that of values that it did not have (Good, 1953).
func (f *Feature) onceShare() float64 {
	if f.Categories == nil || f.Categories.Open || f.Counts.Values() == 0 {
		return 0
	}
	return float64(f.Categories.Once) / float64(f.Counts.Values())
}

// withUnseen are the counts of the reference as a window has them, of which such a share of the values was never seen before: they come instead of the rarest.
// nil without any.
func (f *Feature) withUnseen(share float64) []float64 {
	if f.Categories == nil || !(share > 0) {
		return nil
	}
	out := floats(f.Counts.Cells)
	left := share * float64(f.Counts.Values())
	for _, c := range append([]int{f.Categories.Other()}, down(len(f.Categories.Values))...) {
		less := math.Min(left, out[c])
		out[c] -= less
		out[f.Categories.Unseen()] += less
		left -= less
	}
	return out
}

// scale is how much less the rows of the reference say of a share than independent ones would, above 0 and at most 1: as many independent rows would let the share
// of a window vary as much. By components of variance, as of cells.
func (v *variation) scale(kind string, f *Feature) float64 {
	var with, n, square, rows float64
	stretches := 0.0
	for _, c := range v.counts {
		a, b := property(kind, f, c)
		if b > 0 {
			with, n, stretches = with+float64(a), n+float64(b), stretches+1
		}
	}
	p := with / n
	if !(p > 0 && p < 1) {
		return 1
	}
	for _, c := range v.counts {
		if a, b := property(kind, f, c); b > 0 {
			d := float64(a)/float64(b) - p
			square += float64(b) * d * d
		}
	}
	own := 1 - 1/v.spans.effective
	between := (square - stretches*own*p*(1-p)) / (n * own)
	if !(between > 0) {
		return 1
	}
	made := 0.0
	for _, w := range v.spans.parts {
		made += w * w
	}
	free := v.spans.effective - 1
	between *= (made + 1/v.spans.effective) * free / (free - 2)
	_, whole := property(kind, f, f.Counts)
	rows = float64(whole)
	return math.Min(1, math.Max(1, p*(1-p)/(between+p*(1-p)/rows)-1)/rows)
}

// dependence is how much alike windows are that follow each other, at most over the columns of a reference.
func (d *Document) dependence(window float64) (float64, error) {
	s := d.spans(window)
	if s == nil {
		return 0, nil
	}
	most := 0.0
	for i := range d.Features {
		v, err := d.Features[i].variation(s)
		if err != nil {
			return 0, err
		}
		if v != nil {
			rows := 0.0
			for _, c := range v.counts {
				rows += float64(c.Values()) / float64(len(v.counts))
			}
			most = math.Max(most, v.cells.Dependence(rows))
		}
	}
	return math.Round(most*1000) / 1000, nil
}
