package table

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
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

// The hashes of a part differ when a set of them is as large as their number, however many share a place.
func TestAllDiffer(t *testing.T) {
	var once, twice marks
	verdicts := map[bool]int{}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{0, 1, 2, 3, 60, 3000}).Draw(t, "n")
		width := rapid.SampledFrom([]uint64{0, 1 << (64 - differBits - placeBits), 1 << 20, 1<<63 - 1}).Draw(t, "width")
		first := rapid.Uint64().Draw(t, "first")
		random := rand.New(rand.NewPCG(first, width))
		hashes := make([]uint64, n)
		for i := range hashes {
			hashes[i] = first
			if width > 0 {
				hashes[i] += random.Uint64N(width)
			}
		}
		if n > 1 && rapid.Bool().Draw(t, "again") {
			hashes[n-1] = hashes[rapid.IntRange(0, n-2).Draw(t, "which")]
		}
		distinct := map[uint64]bool{}
		for _, h := range hashes {
			distinct[h] = true
		}
		want := len(distinct) == n
		verdicts[want]++
		if got := allDiffer(hashes, &once, &twice); got != want {
			t.Fatalf("%d of %d hashes are different, but %v", len(distinct), n, got)
		}
	})
	if verdicts[true] < 10 || verdicts[false] < 10 {
		t.Errorf("how often they differ: %v", verdicts)
	}
}

// BenchmarkDiffer tells a million texts and numbers apart.
func BenchmarkDiffer(b *testing.B) {
	path := os.Getenv("ASSAY_BENCH_TABLE")
	if path == "" {
		b.Skip("needs ASSAY_BENCH_TABLE")
	}
	e := open(b)
	tab, err := e.Read(context.Background(), path, ReadOptions{})
	if err != nil {
		b.Fatal(err)
	}
	for _, key := range []string{"id", "s1"} {
		b.Run(key, func(b *testing.B) {
			for b.Loop() {
				if ok, err := tab.Differ(context.Background(), []string{key}, tab.From(key)); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
