package table

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
)

// Integers of any size come back from every format as what they were: as text, as contents and as rows, in parts of a table too.
func TestWriteKeepsIntegersExact(t *testing.T) {
	e := open(t)
	ctx := context.Background()
	for name, values := range map[string][]string{
		"uint64":    {"18446744073709551615", "18446744073709551614", "9223372036854775808", "0", "7"},
		"20 digits": {"10000000000000000001", "10000000000000000002", "99999999999999999999", "10000000000000000003", "5"},
		"38 digits": {"99999999999999999999999999999999999999", "99999999999999999999999999999999999998", "-99999999999999999999999999999999999999", "1", "0"},
		"39 digits": {"170141183460469231731687303715884105727", "170141183460469231731687303715884105726", "-170141183460469231731687303715884105727", "-1", "12"},
		"negative":  {"-9223372036854775809", "-9223372036854775810", "-1", "3", "-18446744073709551616"},
		"64 bits":   {"9223372036854775807", "-9223372036854775808", "9007199254740993", "0", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			source := filepath.Join(dir, "a.csv")
			if err := os.WriteFile(source, []byte("id,x\n"+strings.Join(values, ",1\n")+",1\n,2\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			tab := read(t, e, source, ReadOptions{})
			content, err := tab.ContentDigest(ctx)
			if err != nil {
				t.Fatal(err)
			}
			prints, err := tab.Fingerprints(ctx, nil, "")
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{"b.parquet", "b.csv", "b.jsonl"} {
				path := filepath.Join(dir, file)
				if err := tab.Write(ctx, path, nil, ""); err != nil {
					t.Fatal(err)
				}
				back := read(t, e, path, ReadOptions{})
				if f, _ := back.Field("id"); f.Type != assay.TypeInteger {
					t.Errorf("%s: id is %s", file, f.Type)
				}
				if got, want := dump(t, back), dump(t, tab); got != want {
					t.Errorf("%s:\n%s\nwant\n%s", file, got, want)
				}
				if again, err := back.ContentDigest(ctx); err != nil || again != content {
					t.Errorf("%s: content %s, want %s (%v)", file, again, content, err)
				}
			}
			// A part has the type of the whole, and its rows the fingerprints that they had.
			types := map[string]bool{}
			for i, cond := range []string{"_row < 1", "_row >= 1 AND _row < 4", "_row >= 4"} {
				path := filepath.Join(dir, "part"+string(rune('0'+i))+".parquet")
				if err := tab.Write(ctx, path, nil, cond); err != nil {
					t.Fatal(err)
				}
				var typ string
				if err := e.queryRow(ctx, "SELECT type FROM parquet_schema("+Literal(inside(t, e, path))+") WHERE name = 'id'", &typ); err != nil {
					t.Fatal(err)
				}
				types[typ] = true
				from := map[string]int{"0": 0, "1": 1, "2": 4}[string(rune('0'+i))]
				got, err := read(t, e, path, ReadOptions{}).Fingerprints(ctx, nil, "")
				if err != nil {
					t.Fatal(err)
				}
				for k := range got {
					if got[k].Fingerprint != prints[from+k].Fingerprint {
						t.Errorf("%s: row %d has another fingerprint", cond, k)
					}
				}
			}
			if len(types) != 1 {
				t.Errorf("parts have the types %v", types)
			}
			if got, want := dump(t, read(t, e, filepath.Join(dir, "part*.parquet"), ReadOptions{})), dump(t, tab); got != want {
				t.Errorf("the parts together:\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// inside gives a file a name in the engine's directory, the only one that statements may read.
func inside(t *testing.T, e *Engine, path string) string {
	t.Helper()
	link, err := e.link(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	return link
}
