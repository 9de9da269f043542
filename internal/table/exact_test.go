package table

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/assay-ml/assay"
)

// TestFrameIsExact: a column with an integer beyond 2^53 has all of its integers beside the rounded numbers, through batches and missing values, and a
// table that is made of the frame has them too; others have none.
func TestFrameIsExact(t *testing.T) {
	e, ctx := open(t), context.Background()
	const rows, wide = 5000, 1<<53 + 1
	path := filepath.Join(t.TempDir(), "a.csv")
	text := "small,late,most,beyond\n"
	for i := range rows {
		switch i {
		case 7:
			text += "9007199254740992,,,3\n"
		case rows - 1:
			text += "-9007199254740992,-9007199254740993,9223372036854775807,9223372036854775808\n"
		default:
			text += "5,6,-9223372036854775808,8\n"
		}
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tab := read(t, e, path, ReadOptions{})
	x, err := tab.Frame(ctx, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if c := x.Column("small"); c.Ints != nil || c.Floats[7] != 1<<53 {
		t.Errorf("small: %v and %v", c.Ints != nil, c.Floats[7])
	}
	late, most := x.Column("late"), x.Column("most")
	if len(late.Ints) != rows || late.Ints[0] != 6 || late.Ints[7] != 0 || !late.Missing(7) || late.Ints[rows-1] != -wide {
		t.Errorf("late: %d integers, %d, %d", len(late.Ints), late.Ints[7], late.Ints[len(late.Ints)-1])
	}
	if len(most.Ints) != rows || most.Ints[0] != math.MinInt64 || most.Ints[rows-1] != math.MaxInt64 {
		t.Errorf("most: %d integers", len(most.Ints))
	}
	if c := x.Column("beyond"); c.Ints != nil || c.Floats[rows-1] != 1<<63 {
		t.Errorf("beyond: %v and %v", c.Ints != nil, c.Floats[rows-1])
	}
	taken := x[1:3].Take([]int{rows - 1, 7, 0})
	again, err := e.FromFrame(ctx, taken)
	if err != nil {
		t.Fatal(err)
	}
	y, err := again.Frame(ctx, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(y[0].Ints, []int64{-wide, 0, 6}) || !slices.Equal(y[1].Ints, []int64{math.MaxInt64, 0, math.MinInt64}) {
		t.Errorf("made of a frame: %v, %v", y[0].Ints, y[1].Ints)
	}
	taken[0].Ints = taken[0].Ints[:1]
	if _, err := e.FromFrame(ctx, taken); assay.CodeOf(err) != assay.Invalid {
		t.Errorf("fewer integers than rows: %v", err)
	}
}
