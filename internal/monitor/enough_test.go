package monitor

import (
	"context"
	"testing"

	"github.com/assay-ml/assay/stat"
)

// TestEnoughRows: the rows that a plan asks for find what docs/monitoring.md says that they find: in one share of the rows a change of twice the floor four times of five
// or more, and in how often each of 30 values comes one of 3.2 times the floor, or with two and a half times the rows one of twice the floor, and no less.
func TestEnoughRows(t *testing.T) {
	const level, windows = 1e-4, 2000
	rows := func(floor float64) float64 { // without rounding
		z := -stat.NormalQuantile(level/2) - stat.NormalQuantile(0.2)
		return z * z / (4 * floor * floor)
	}
	for _, c := range []struct {
		cells               int
		floor, change, rows float64
		least, most         float64 // of the windows, in which it is found
	}{
		{2, 0.1, 0.2, float64(enough(level, 0.1)), 0.78, 1},
		{2, 0.0625, 0.125, float64(enough(level, 0.0625)), 0.78, 1},
		{30, 0.1, 0.2, rows(0.1), 0, 0.3},
		{30, 0.1, 0.32, rows(0.1), 0.78, 0.95},
		{30, 0.1, 0.2, 2.5 * rows(0.1), 0.78, 0.95},
	} {
		reference, shares := make([]float64, c.cells), make([]float64, c.cells)
		for i := range reference {
			reference[i] = 1e9
			shares[i] = (1 + c.change*float64(1-2*(i%2))) / float64(c.cells) // Cohen's w is the change
		}
		drawn, err := stat.NewNulls(context.Background(), stat.NullSpec{Reference: reference, Rows: int64(c.rows), Scores: []stat.DriftScore{stat.DriftJS}, Seed: 5, Draws: 4000})
		if err != nil {
			t.Fatal(err)
		}
		found, window := 0.0, make([]float64, c.cells)
		for k := range uint64(windows) {
			g := stat.NewRand(9, k, uint64(c.cells))
			g.Multinomial(int64(c.rows), shares, window)
			if drawn[0].P(stat.DriftJS.Of(reference, window, nil)) <= level {
				found += 1.0 / windows
			}
		}
		if !(found >= c.least && found <= c.most) {
			t.Errorf("%d cells, a floor of %v, a change of %v, %.0f rows: found in %.3f of the windows, want %v to %v", c.cells, c.floor, c.change, c.rows, found, c.least, c.most)
		}
	}
}
