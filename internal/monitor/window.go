package monitor

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// Ways to cut traffic.
const (
	ByTime        = "time"
	ByCount       = "count"
	ByTimeOrCount = "time_or_count"
)

const (
	day        = 86400
	monthly    = 2629746 // seconds of a mean Gregorian month; windows of a multiple of it follow the calendar
	yearly     = 12 * monthly
	maxWindows = 10_000
)

// weekStart is a Monday: windows of other lengths than months begin at whole multiples of their length from here, in UTC.
var weekStart = time.Date(1970, 1, 5, 0, 0, 0, 0, time.UTC)

var (
	spanForm = regexp.MustCompile(`^(\d{1,6})(m|h|d|w|mo|y)$`)
	rowsForm = regexp.MustCompile(`^(\d{1,12}) rows$`)
	units    = map[string]int64{"m": 60, "h": 3600, "d": day, "w": 7 * day, "mo": monthly, "y": yearly}
)

// ParseSpan reads a length of time such as 15m, 12h, 1d, 2w, 1mo or 1y as whole seconds.
func ParseSpan(s string) (int64, error) {
	m := spanForm.FindStringSubmatch(s)
	if m == nil {
		return 0, assay.Errorf(assay.Invalid, "%q is no length of time: want a number and m, h, d, w, mo or y, such as 12h or 30d", s)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if err != nil || n == 0 {
		return 0, assay.Errorf(assay.Invalid, "%q is no length of time: it is zero", s)
	}
	return n * units[m[2]], nil
}

// FormatSpan writes seconds as ParseSpan reads them.
func FormatSpan(seconds int64) string {
	for _, u := range []string{"y", "mo", "w", "d", "h", "m"} {
		if n := units[u]; seconds >= n && seconds%n == 0 {
			return strconv.FormatInt(seconds/n, 10) + u
		}
	}
	return strconv.FormatInt(seconds, 10) + "s"
}

// ParseWindow reads how traffic is cut: "1d", "5000 rows", or "1d or 5000 rows", whichever comes first.
func ParseWindow(s string) (assay.WindowPlan, error) {
	var w assay.WindowPlan
	for _, part := range strings.Split(s, " or ") {
		if m := rowsForm.FindStringSubmatch(part); m != nil && w.Rows == 0 {
			n, err := strconv.ParseInt(m[1], 10, 64)
			if err != nil || n == 0 {
				return w, assay.Errorf(assay.Invalid, "%q is no window: it has no rows", s)
			}
			w.Rows = n
			continue
		}
		n, err := ParseSpan(part)
		if err != nil || w.LengthSeconds != 0 {
			return w, assay.Errorf(assay.Invalid, `%q is no window: want a length of time such as 1d, a number of rows such as "5000 rows", or "1d or 5000 rows"`, s)
		}
		w.LengthSeconds = n
	}
	switch {
	case w.Rows == 0:
		w.By = ByTime
	case w.LengthSeconds == 0:
		w.By = ByCount
	default:
		w.By = ByTimeOrCount
	}
	return w, nil
}

// FormatWindow writes a window as ParseWindow reads it.
func FormatWindow(w assay.WindowPlan) string {
	var parts []string
	if w.LengthSeconds > 0 {
		parts = append(parts, FormatSpan(w.LengthSeconds))
	}
	if w.Rows > 0 {
		parts = append(parts, strconv.FormatInt(w.Rows, 10)+" rows")
	}
	return strings.Join(parts, " or ")
}

// A cutter assigns the rows of a table to windows.
type cutter struct {
	expr   string // SQL for the number of a row's window, BIGINT; NULL for a row without a time
	timed  bool   // numbers without rows in between are windows without traffic
	moment string // SQL for when a row came, TIMESTAMP; "" where nothing says
	column string // that says it
	fine   bool   // to the second or better
	counts bool   // windows are of so many rows each
	place  string // of those: SQL for the place of a row in their order, from 0
	plan   assay.WindowPlan
	first  int64 // what is added to the number of a window, so that the numbers of a plan are positive and stay
	bound  func(key int64) (start, end assay.Instant, label string)
	names  []string // by number, for a column whose values are windows
}

// partBits is room in a window's number for pieces of a stretch of time.
const partBits = 20

// datelike is a text that people read as a date, of which nobody can know which number is the month.
const datelike = `\d{1,4}[./-]\d{1,2}[./-]\d{1,4}([ T].*)?`

// newCutter makes the cutter of a table. Column is the column that says when a row came, "" for windows by count. What Table.Clock reads as a time is cut by the
// plan's length; any other column has a window for each of its values, unless it must say when rows came, or holds texts that look like dates: those are refused.
func newCutter(ctx context.Context, t *table.Table, w assay.WindowPlan, column string, must bool) (*cutter, error) {
	c := &cutter{plan: w, column: column}
	if column == "" {
		if w.By != ByCount {
			return nil, assay.Errorf(assay.Invalid, "windows of %s need a column that says when a row came", FormatWindow(w)).Try("set monitor.time, or use --by COLUMN")
		}
		place := "_row"
		if _, ok := t.Field("_outcome"); ok { // a log has rows of other versions, and some that no window looks at, between those of its windows
			place = "greatest(0, count(*) FILTER (" + JudgedRows + ") OVER (ORDER BY _row ROWS UNBOUNDED PRECEDING) - 1)"
		}
		c.byCount(place)
		return c, nil
	}
	f, ok := t.Field(column)
	if !ok {
		return nil, t.NoClock(column)
	}
	clock, err := t.Clock(ctx, column)
	if err != nil {
		return nil, err
	}
	id := table.Ident(column)
	switch c.fine = clock.Fine; {
	case clock.Year != "":
		c.byMonths(clock.SQL, clock.Year+" * 12")
		return c, nil
	case clock.SQL != "" && w.By == ByCount:
		c.moment = clock.SQL
		c.byCount("CASE WHEN " + id + " IS NOT NULL THEN row_number() OVER (ORDER BY " + id + " NULLS LAST, _row) - 1 END")
		return c, nil
	case clock.SQL != "":
		c.byTime(clock.SQL)
		return c, nil
	}
	if !must && f.Type == assay.TypeString {
		r, err := t.Query(ctx, "SELECT coalesce(bool_and(regexp_full_match("+id+", "+table.Literal(datelike)+")), false) FROM "+t.Relation())
		if err != nil {
			return nil, err
		}
		defer r.Close()
		if r.Next() {
			err = r.Scan(&must)
		}
		if err = cmp.Or(err, r.Close()); err != nil {
			return nil, err
		}
	}
	if must {
		return nil, t.NoClock(column)
	}
	return c, c.byValue(ctx, t, id)
}

// byCount makes windows of so many rows; number is SQL for the place of a row in their order, from 0.
func (c *cutter) byCount(number string) {
	c.counts, c.place, c.first = true, number, 1
	c.expr = fmt.Sprintf("CAST((%s) // %d AS BIGINT)", number, c.plan.Rows)
	c.bound = func(k int64) (assay.Instant, assay.Instant, string) { return "", "", c.rowsLabel(k, c.plan.Rows) }
}

// from makes windows by count begin with one of a number, at a place; rows before it are in none.
func (c *cutter) from(a Anchor) {
	c.expr = fmt.Sprintf("CAST(CASE WHEN (%[1]s) >= %[2]d THEN ((%[1]s) - %[2]d) // %[3]d + %[4]d END AS BIGINT)", c.place, a.Place, c.plan.Rows, a.Number-1)
}

// rowsLabel names a window of n rows by their places.
func (c *cutter) rowsLabel(k, n int64) string {
	return fmt.Sprintf("rows %s to %s", assay.FormatCount(k*c.plan.Rows+1), assay.FormatCount(k*c.plan.Rows+n))
}

// startLabel names a stretch of time of so many seconds by its beginning.
func startLabel(s time.Time, length int64) string {
	switch {
	case length == yearly:
		return s.Format("2006")
	case length%monthly == 0:
		return s.Format("2006-01")
	case length%day == 0:
		return s.Format("2006-01-02")
	}
	return s.Format("2006-01-02 15:04")
}

// WindowLabel names a window of a plan for people.
func WindowLabel(p assay.WindowPlan, w assay.Window) string {
	start, err := w.Start.Time()
	if err != nil {
		return "window " + strconv.FormatInt(w.Number, 10)
	}
	length := p.LengthSeconds
	if length == 0 {
		length = yearly
	}
	return startLabel(start, length)
}

// keyTime names a window by its beginning, without spaces, or by its number where it has no time.
func keyTime(w assay.Window) string {
	start, err := w.Start.Time()
	end, err2 := w.End.Time()
	if err != nil || err2 != nil {
		return strconv.FormatInt(w.Number, 10)
	}
	length := int64(end.Sub(start) / time.Second)
	if begins := func(t time.Time) bool { return t.Day() == 1 && t.Truncate(24*time.Hour).Equal(t) }; begins(start) && begins(end) {
		length = monthly
		if start.Month() == time.January && end.Month() == time.January {
			length = yearly
		}
	}
	return strings.NewReplacer(" ", "T", ":", "").Replace(startLabel(start, length))
}

// EndOf is when the window ends that an instant is in. It returns false for windows that are not by time alone.
func EndOf(p assay.WindowPlan, at time.Time) (time.Time, bool) {
	if p.By != ByTime || p.LengthSeconds <= 0 {
		return time.Time{}, false
	}
	k, length := numberOf(p, at), p.LengthSeconds
	if length%monthly == 0 {
		return time.Date(0, time.Month(1+(k+1)*(length/monthly)), 1, 0, 0, 0, 0, time.UTC), true
	}
	return weekStart.Add(time.Duration((k+1)*length) * time.Second), true
}

// numberOf counts the windows by time of a plan up to the one that an instant is in.
func numberOf(p assay.WindowPlan, at time.Time) int64 {
	at = at.UTC()
	if length := p.LengthSeconds; length%monthly == 0 {
		return (int64(at.Year())*12 + int64(at.Month()) - 1) / (length / monthly)
	}
	length := time.Duration(p.LengthSeconds) * time.Second
	since := at.Sub(weekStart)
	k := int64(since / length)
	if since < 0 && since%length != 0 {
		k--
	}
	return k
}

// maxSilent is how many windows are judged of a traffic in which nothing ever came.
const maxSilent = 64

// silent is the key of the first window of a traffic that was expected from then on and in which nothing came until then: the first that begins after it was
// expected, or one of the newest.
func (c *cutter) silent(from, until time.Time) []int64 {
	if !c.timed || c.plan.By != ByTime || c.plan.LengthSeconds <= 0 {
		return nil
	}
	return []int64{max(numberOf(c.plan, from)+1, numberOf(c.plan, until)-maxSilent)}
}

// wholeCutter makes one window of all rows.
func wholeCutter() *cutter {
	return &cutter{expr: "0::BIGINT", bound: func(int64) (assay.Instant, assay.Instant, string) { return "", "", "all rows" }}
}

func (c *cutter) byTime(ts string) {
	c.byMonths(ts, fmt.Sprintf("year(%s) * 12 + month(%s) - 1", ts, ts))
}

// byMonths is byTime where there is quicker SQL for how many months a row came after January of the year 0.
func (c *cutter) byMonths(ts, since string) {
	c.timed, c.moment = true, ts
	length := c.plan.LengthSeconds
	if length == 0 { // a plan by count over a column of years
		length = yearly
	}
	var start func(k int64) time.Time
	if length%monthly == 0 {
		months := length / monthly
		c.expr = fmt.Sprintf("CAST(floor((%s) / %d) AS BIGINT)", since, months)
		start = func(k int64) time.Time { return time.Date(0, time.Month(1+k*months), 1, 0, 0, 0, 0, time.UTC) }
	} else {
		c.expr = fmt.Sprintf("CAST(floor((epoch_us(%s) - %d) / %d) AS BIGINT)", ts, weekStart.UnixMicro(), length*1e6)
		start = func(k int64) time.Time { return time.Unix(weekStart.Unix()+k*length, 0).UTC() }
	}
	label := func(s time.Time) string { return startLabel(s, length) }
	c.first = 1
	if length%monthly == 0 {
		c.first = 0
	}
	c.bound = func(k int64) (assay.Instant, assay.Instant, string) {
		return assay.InstantOf(start(k)), assay.InstantOf(start(k + 1)), label(start(k))
	}
	if c.plan.By == ByTimeOrCount {
		inner := c.bound
		// The rows of a stretch of time are cut into as many pieces of about the same size as have that many rows: a rest would be too few to judge.
		c.expr = fmt.Sprintf("CAST(%[1]s * %[2]d + (row_number() OVER (PARTITION BY %[1]s ORDER BY %[3]s, _row) - 1) * greatest(1, count(*) OVER (PARTITION BY %[1]s) // %[4]d) // count(*) OVER (PARTITION BY %[1]s) AS BIGINT)",
			c.expr, 1<<partBits, ts, c.plan.Rows)
		c.bound = func(k int64) (assay.Instant, assay.Instant, string) {
			a, b, s := inner(k >> partBits)
			return a, b, fmt.Sprintf("%s (%d)", s, k&(1<<partBits-1)+1)
		}
	}
}

// byValue gives each value of a column a window, in their order.
func (c *cutter) byValue(ctx context.Context, t *table.Table, id string) error {
	r, err := t.Query(ctx, fmt.Sprintf("SELECT CAST(%s AS VARCHAR) FROM (SELECT DISTINCT %s FROM %s WHERE %s IS NOT NULL ORDER BY 1 LIMIT %d)", id, id, t.Relation(), id, maxWindows+1))
	if err != nil {
		return err
	}
	defer r.Close()
	for r.Next() {
		var v string
		if err := r.Scan(&v); err != nil {
			return err
		}
		c.names = append(c.names, v)
	}
	if err := r.Close(); err != nil {
		return err
	}
	c.expr = fmt.Sprintf("CASE WHEN %s IS NULL THEN NULL ELSE dense_rank() OVER (ORDER BY %s NULLS LAST) - 1 END", id, id)
	c.bound = func(k int64) (assay.Instant, assay.Instant, string) {
		if k < 0 || int(k) >= len(c.names) {
			return "", "", strconv.FormatInt(k, 10)
		}
		return "", "", c.names[k]
	}
	return nil
}

// fill returns the keys of all windows from the first to the last, those without rows included where time says that there are some. With until they
// go on to the last window that has ended by then, and no further.
func (c *cutter) fill(keys []int64, until time.Time) ([]int64, error) {
	if !c.timed || len(keys) == 0 {
		return keys, nil
	}
	if !until.IsZero() {
		over := func(k int64) bool {
			_, end, _ := c.bound(k)
			t, err := end.Time()
			return err != nil || t.After(until)
		}
		for len(keys) > 0 && over(keys[len(keys)-1]) {
			keys = keys[:len(keys)-1]
		}
		if len(keys) == 0 {
			return nil, nil
		}
		step := int64(1)
		if c.plan.By == ByTimeOrCount {
			step = 1 << partBits
		}
		for k := (keys[len(keys)-1]/step + 1) * step; !over(k) && len(keys) <= maxWindows; k += step {
			keys = append(keys, k)
		}
	}
	shift := 0
	if c.plan.By == ByTimeOrCount {
		shift = partBits
	}
	var out []int64
	for i, k := range keys {
		if i > 0 {
			for gap := keys[i-1]>>shift + 1; gap < k>>shift; gap++ {
				if out = append(out, gap<<shift); len(out) > maxWindows {
					break
				}
			}
		}
		if out = append(out, k); len(out) > maxWindows {
			_, _, from := c.bound(keys[0])
			_, _, to := c.bound(keys[len(keys)-1])
			return nil, assay.Errorf(assay.Rejected, "windows of %s from %s to %s, the first and the last time in column %q, are more than %s", FormatWindow(c.plan), from, to, c.column, assay.FormatCount(maxWindows)).
				Try("use longer windows, or look whether the first and the last time are right")
		}
	}
	return out, nil
}

// A Stray is rows whose time lies far from that of nearly all rows: a clock or a spelling is wrong, and the time between was not without traffic.
type Stray struct {
	First string `json:"first"` // label of the first window that has some
	Last  string `json:"last"`  // and of the last one
	Rows  int64  `json:"rows"`  // in them
}

// Rows are out of place in time where they are fewer than a thousandth of all, or one, and than a twentieth of what a window has otherwise, and more windows than these
// lie between them and the others.
const (
	strayShare = 1000
	strayPart  = 20
	strayGap   = 10
)

// strays sets windows aside whose rows are out of place in time. tallies are those of windows with rows, in order.
func (c *cutter) strays(tallies []tally, minRows int64) (keys []int64, out []Stray) {
	type cluster struct {
		keys []int64
		rows int64
	}
	shift := 0
	if c.plan.By == ByTimeOrCount {
		shift = partBits
	}
	var all []cluster
	var rows int64
	most := 0
	for i, t := range tallies {
		if i == 0 || !c.timed || t.key>>shift-tallies[i-1].key>>shift > strayGap {
			if i == 0 || c.timed {
				all = append(all, cluster{})
			}
		}
		x := &all[len(all)-1]
		x.keys, x.rows = append(x.keys, t.key), x.rows+t.rows
		if rows += t.rows; x.rows > all[most].rows {
			most = len(all) - 1
		}
	}
	for i, x := range all {
		bulk := all[most]
		if i == most || x.rows > max(1, rows/strayShare) || x.rows >= minRows || x.rows*strayPart > bulk.rows/int64(len(bulk.keys)) {
			keys = append(keys, x.keys...)
			continue
		}
		_, _, first := c.bound(x.keys[0])
		_, _, last := c.bound(x.keys[len(x.keys)-1])
		out = append(out, Stray{first, last, x.rows})
	}
	return keys, out
}

// perYear is how many windows of a plan come in a year; perDay is the traffic in rows, for windows by count.
func perYear(w assay.WindowPlan, perDay float64) float64 {
	var n float64
	if w.LengthSeconds > 0 {
		n = yearly / float64(w.LengthSeconds)
	}
	if w.Rows > 0 {
		n = math.Max(n, perDay*yearly/day/float64(w.Rows))
	}
	return n
}
