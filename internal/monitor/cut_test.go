package monitor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay"
)

// moments are rows at times, in seconds after a midnight, with a value each.
func moments(t testing.TB, at []float64) Traffic {
	t.Helper()
	e := engine(t)
	ts, x := make([]float64, len(at)), make([]float64, len(at))
	for i, s := range at {
		ts[i], x[i] = 1_700_006_400+s, 1+float64(i%4)
	}
	return Traffic{By: "ts", Table: tableOf(t, e, assay.Frame{{Name: "ts", Type: assay.TypeTimestamp, Floats: ts}, {Name: "x", Type: assay.TypeNumber, Floats: x}})}
}

// daily are times of so many rows on each of some days.
func daily(days, rows int) (out []float64) {
	for d := range days {
		for i := range rows {
			out = append(out, float64(d)*aDay+float64(i)*aDay/float64(rows))
		}
	}
	return out
}

// cutAs judges rows by windows and returns their labels with the rows of each.
func cutAs(t testing.TB, x Traffic, window string) ([]string, *Replay, error) {
	t.Helper()
	w := watched(t, x.Table.Engine(), assay.LabelPlan{})
	p, err := ParseWindow(window)
	if err != nil {
		t.Fatal(err)
	}
	w.plan.Windows.By, w.plan.Windows.LengthSeconds, w.plan.Windows.Rows = p.By, p.LengthSeconds, p.Rows
	seen, err := w.Run(context.Background(), x)
	if err != nil {
		return nil, nil, err
	}
	var out []string
	for _, j := range seen.Windows {
		out = append(out, fmt.Sprintf("%s: %d", j.Label, j.Drift.Window.Rows))
	}
	return out, seen, nil
}

// Rows whose time lies far from that of all others are set aside and named: what lies between is no silence, and no thousands of windows. An outage and small
// traffic are neither.
func TestTimesOutOfPlace(t *testing.T) {
	far := func(year int) float64 {
		return float64(time.Date(year, 3, 1, 0, 0, 0, 0, time.UTC).Unix() - 1_700_006_400)
	}
	for name, c := range map[string]struct {
		at      []float64
		windows int
		strays  []Stray
	}{
		"none":                       {daily(3, 600), 3, nil},
		"a month late":               {append(daily(3, 600), 33*aDay), 3, []Stray{{"2023-12-18", "2023-12-18", 1}}},
		"1970 and 2999":              {append(daily(3, 600), far(1970), far(2999)), 3, []Stray{{"1970-03-01", "1970-03-01", 1}, {"2999-03-01", "2999-03-01", 1}}},
		"within ten windows":         {append(daily(3, 600), 12*aDay), 13, nil},
		"an outage, then half a day": {slices.Concat(daily(3, 600), shifted(daily(1, 300), 30*aDay)), 31, nil},
		"few rows a window":          {[]float64{0, 30 * aDay, 60 * aDay}, 61, nil},
	} {
		got, seen, err := cutAs(t, moments(t, c.at), "1d")
		if err != nil || len(got) != c.windows || !slices.Equal(seen.Strays, append([]Stray{}, c.strays...)) {
			t.Errorf("%s: %d windows, %v, %v; want %d and %v", name, len(got), seen, err, c.windows, c.strays)
		}
	}
	// Where they are too many to be set aside, the error says what they are.
	_, _, err := cutAs(t, moments(t, append(daily(1, 60), daily(1, 60)[0]+far(1970), far(1970)+1, far(1970)+2)), "1d")
	if err == nil || !strings.Contains(err.Error(), `from 1970-03-01 to 2023-11-15, the first and the last time in column "ts", are more than 10,000`) {
		t.Errorf("%v", err)
	}
}

func shifted(at []float64, by float64) []float64 {
	for i := range at {
		at[i] += by
	}
	return at
}

// Windows of so many rows follow a column of times where one is named, and the last is named by the rows that it has.
func TestWindowsByCountFollowTime(t *testing.T) {
	at := daily(3, 600)
	slices.Reverse(at)
	x := moments(t, at)
	got, seen, err := cutAs(t, x, "700 rows")
	if want := []string{"rows 1 to 700: 700", "rows 701 to 1,400: 700", "rows 1,401 to 1,800: 400"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if !seen.Windows[2].Drift.Window.Partial || seen.Windows[1].Drift.Window.Partial {
		t.Error("the last window alone has fewer rows than asked for")
	}
	// Its first rows are the earliest, not the first of the table.
	w, err := ParseWindow("700 rows")
	if err != nil {
		t.Fatal(err)
	}
	c, err := newCutter(context.Background(), x.Table, w, "ts", true)
	if err != nil {
		t.Fatal(err)
	}
	r, err := x.Table.Query(context.Background(), "SELECT w, count(*), max(ts) < '2023-11-17'::TIMESTAMP FROM (SELECT *, "+c.expr+" AS w FROM "+x.Table.Relation()+") GROUP BY w ORDER BY w")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for r.Next() {
		var k, n int64
		var early bool
		if err := r.Scan(&k, &n, &early); err != nil || early != (k < 1) {
			t.Errorf("window %d of %d rows, all of the first two days: %v, %v", k, n, early, err)
		}
	}
}

// A stretch of time with more rows than asked for is cut into pieces of about one size, by time, none of which has fewer.
func TestPiecesOfAStretch(t *testing.T) {
	for _, c := range []struct {
		rows int
		want []string
	}{
		{600, []string{"2023-11-15 (1): 600", "2023-11-16 (1): 600"}},
		{300, []string{"2023-11-15 (1): 300", "2023-11-16 (1): 300"}},
		{1000, []string{"2023-11-15 (1): 500", "2023-11-15 (2): 500", "2023-11-16 (1): 500", "2023-11-16 (2): 500"}},
		{1300, []string{"2023-11-15 (1): 434", "2023-11-15 (2): 433", "2023-11-15 (3): 433", "2023-11-16 (1): 434", "2023-11-16 (2): 433", "2023-11-16 (3): 433"}},
	} {
		at := daily(2, c.rows)
		slices.Reverse(at)
		if got, _, err := cutAs(t, moments(t, at), "1d or 400 rows"); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%d rows a day: %q, %v; want %q", c.rows, got, err, c.want)
		}
	}
}
