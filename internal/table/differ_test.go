package table

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Rows differ exactly when no two of them have the same values and none that is missing: whatever the values look like.
func TestDiffer(t *testing.T) {
	e := open(t)
	ctx := context.Background()
	base := readText(t, e, "a\n1\n")
	same, different := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		// Strings of up to 12 bytes lie in place, longer ones behind a pointer, of which the engine keeps the first four bytes.
		text := rapid.OneOf(rapid.SampledFrom([]string{"", " ", "a", "A", "a ", "é", "e\u0301", "NULL", "0", "twelve bytes", "twelve bytes ", "twelve byteS", "thirteen bytes"}),
			rapid.StringMatching("(prefix){3}[ab]{1,4}"))
		number := rapid.SampledFrom([]string{"0.0", "-0.0", "1.0", "1.0000000000000002", "5e-324", "1e300", "'nan'", "'-inf'"})
		var values []string
		seen := map[string]bool{}
		repeats := false
		for range rapid.IntRange(1, 6).Draw(t, "rows") {
			if n := len(values); n > 0 && rapid.IntRange(0, 9).Draw(t, "again") == 0 {
				values = append(values, values[n-1])
				repeats = repeats || !strings.Contains(values[n-1], "CAST(NULL")
				continue
			}
			s, x := text.Draw(t, "text"), number.Draw(t, "number")
			literal := Literal(s)
			if rapid.IntRange(0, 5).Draw(t, "missing") == 0 {
				literal = "NULL"
			} else {
				key := strings.TrimPrefix(x, "-0.") + "\x00" + s
				if x == "0.0" {
					key = "0\x00" + s
				}
				repeats = repeats || seen[key]
				seen[key] = true
			}
			values = append(values, fmt.Sprintf("(CAST(%s AS VARCHAR), CAST(%s AS DOUBLE))", literal, x))
		}
		got, err := base.Differ(ctx, []string{"s", "x"}, "(SELECT * FROM (VALUES "+strings.Join(values, ", ")+") AS v(s, x))")
		if err != nil || got == repeats {
			t.Fatalf("%v, %v, but repeats: %v\n%s", got, err, repeats, values)
		}
		if repeats {
			same++
		} else {
			different++
		}
	})
	if same < 3 || different < 20 {
		t.Errorf("%d tables repeat a row, %d do not", same, different)
	}
	if ok, err := base.Differ(ctx, []string{"i % 299999"}, "(SELECT i FROM range(300000) r(i))"); ok || err != nil {
		t.Errorf("of 300,000 rows two are the same: %v, %v", ok, err)
	}
	if ok, err := base.Differ(ctx, []string{"i"}, "(SELECT i FROM range(300000) r(i))"); !ok || err != nil {
		t.Errorf("of 300,000 rows all differ: %v, %v", ok, err)
	}
	if ok, err := (&Table{rows: MaxDiffer + 1}).Differ(ctx, nil, ""); ok || err != nil {
		t.Errorf("more rows than are taken on: %v, %v", ok, err)
	}
}

// Hashes that are the same decide nothing, wherever they fall; others differ though they fall on one place.
func TestAllDiffer(t *testing.T) {
	room := []uint64{7, 7, 7, 7, 7, 7, 7, 7}
	for _, c := range []struct {
		hashes []uint64
		want   bool
	}{
		{nil, true},
		{[]uint64{0}, true},
		{[]uint64{0, 0}, false},
		{[]uint64{0, 1}, false}, // a place that is free is 0
		{[]uint64{7, 15, 23}, true},
		{[]uint64{7, 15, 23, 15}, false},
		{[]uint64{1 << 63, 1<<63 + 8, 8, 16}, true},
		{[]uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 1}, false},
	} {
		var got bool
		if room, got = allDiffer(c.hashes, room); got != c.want {
			t.Errorf("%v: %v, want %v", c.hashes, got, c.want)
		}
	}
}
