package monitor

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
)

// TestEndOf: the end of the window that an instant is in is after it, is the end of all of the window, and the one before it is not.
func TestEndOf(t *testing.T) {
	for spec, want := range map[string]string{
		"15m": "2026-02-28T23:45:00Z", "1d": "2026-03-01T00:00:00Z", "1w": "2026-03-02T00:00:00Z", "1mo": "2026-03-01T00:00:00Z", "3mo": "2026-04-01T00:00:00Z", "1y": "2027-01-01T00:00:00Z",
	} {
		w, err := ParseWindow(spec)
		if err != nil {
			t.Fatal(err)
		}
		if end, ok := EndOf(w, time.Date(2026, 2, 28, 23, 30, 0, 0, time.UTC)); !ok || end.Format(time.RFC3339) != want {
			t.Errorf("%s: %s, want %s", spec, end.Format(time.RFC3339), want)
		}
	}
	if _, ok := EndOf(assay.WindowPlan{By: ByCount, Rows: 5000}, start); ok {
		t.Error("windows by rows have an end in time")
	}
	rapid.Check(t, func(t *rapid.T) {
		w, err := ParseWindow(rapid.SampledFrom([]string{"1m", "7h", "1d", "2w", "1mo", "5mo", "1y"}).Draw(t, "window"))
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(rapid.Int64Range(-1e9, 4e9).Draw(t, "at"), 0)
		end, _ := EndOf(w, at)
		if last, _ := EndOf(w, end.Add(-time.Nanosecond)); !end.After(at) || !last.Equal(end) {
			t.Fatalf("%s ends at %s, and its last moment at %s", at, end, last)
		}
		if next, _ := EndOf(w, end); !next.After(end) {
			t.Fatalf("the window after %s ends at %s", end, next)
		}
	})
}
