package table

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
)

// drawFrame draws a frame of every type that a frame can hold. Without missing values if none is set.
func drawFrame(t *rapid.T) assay.Frame {
	rows := rapid.IntRange(1, 30).Draw(t, "rows")
	kinds := rapid.SliceOfN(rapid.SampledFrom([]assay.Type{
		assay.TypeBoolean, assay.TypeInteger, assay.TypeNumber, assay.TypeString, assay.TypeDate, assay.TypeTimestamp, assay.TypeTime,
	}), 1, 6).Draw(t, "types")
	var f assay.Frame
	for i, k := range kinds {
		c := assay.Column{Name: fmt.Sprintf("%s %d", rapid.SampledFrom([]string{"a", "B\"", "é,", "order"}).Draw(t, "name"), i), Type: k}
		if k == assay.TypeString {
			texts := rapid.SliceOfN(rapid.OneOf(
				rapid.StringMatching(`[a-z ,"'\n\r\t;|\\Né東0-9.]{1,8}`),
				rapid.SampledFrom([]string{"1", "true", "2020-01-01", "nan", "-0", "\\N", "'", "\"", "NA", " "}),
			), rows, rows).Draw(t, "texts")
			c.Codes = make([]int32, rows)
			c.Levels = slices.Clone(texts)
			slices.Sort(c.Levels)
			c.Levels = slices.Compact(c.Levels)
			for j, s := range texts {
				code, _ := slices.BinarySearch(c.Levels, s)
				c.Codes[j] = int32(code)
			}
		} else {
			c.Floats = make([]float64, rows)
			for j := range c.Floats {
				switch k {
				case assay.TypeBoolean:
					c.Floats[j] = float64(rapid.IntRange(0, 1).Draw(t, "b"))
				case assay.TypeInteger:
					c.Floats[j] = float64(rapid.Int64Range(-1<<53, 1<<53).Draw(t, "i"))
				case assay.TypeNumber:
					c.Floats[j] = rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.Inf(1), math.Inf(-1), 0, 1e-308, 5e-324, math.MaxFloat64, 0.1, 123456789.123})).Draw(t, "f")
				case assay.TypeDate:
					c.Floats[j] = 86400 * float64(rapid.IntRange(-700_000, 2_000_000).Draw(t, "d"))
				case assay.TypeTime:
					c.Floats[j] = float64(rapid.Int64Range(0, 86_399_999).Draw(t, "h")) / 1e3
				case assay.TypeTimestamp:
					c.Floats[j] = float64(rapid.Int64Range(-8_000_000_000_000, 8_000_000_000_000).Draw(t, "t")) / 1e3
				}
			}
		}
		for j := range rows {
			if rapid.IntRange(0, 9).Draw(t, "missing") == 0 {
				if c.Codes != nil {
					c.Codes[j] = -1
				} else {
					c.Floats[j] = math.NaN()
				}
			}
		}
		trimLevels(&c)
		f = append(f, c)
	}
	return f
}

// trimLevels drops levels that no row has, as a table would.
func trimLevels(c *assay.Column) {
	if c.Codes == nil {
		return
	}
	var used []string
	for _, code := range c.Codes {
		if code >= 0 {
			used = append(used, c.Levels[code])
		}
	}
	slices.Sort(used)
	used = slices.Compact(used)
	for i, code := range c.Codes {
		if code >= 0 {
			at, _ := slices.BinarySearch(used, c.Levels[code])
			c.Codes[i] = int32(at)
		}
	}
	c.Levels = used
}

func infinite(f assay.Frame) bool {
	for _, c := range f {
		for _, x := range c.Floats {
			if math.IsInf(x, 0) {
				return true
			}
		}
	}
	return false
}

var sameFrame = cmp.Options{cmpopts.EquateNaNs(), cmpopts.EquateEmpty()}

// What a frame holds comes back from memory, and from every format that Write makes when the types are stated where a format has none.
func TestWriteThenReadIsIdentity(t *testing.T) {
	t.Parallel()
	e := open(t)
	ctx := context.Background()
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		want := drawFrame(rt)
		tab, err := e.FromFrame(ctx, want)
		if err != nil {
			rt.Fatal(err)
		}
		got, err := tab.Frame(ctx, nil, "")
		if err != nil {
			rt.Fatal(err)
		}
		if d := cmp.Diff(want, got, sameFrame); d != "" {
			rt.Fatalf("memory: %s", d)
		}
		digest, err := tab.ContentDigest(ctx)
		if err != nil {
			rt.Fatal(err)
		}
		for _, name := range []string{"a.parquet", rapid.SampledFrom([]string{"a.csv", "a.tsv.gz", "a.jsonl", "a.csv.gz"}).Draw(rt, "file")} {
			p := filepath.Join(dir, name)
			err := tab.Write(ctx, p, nil, "")
			if name == "a.jsonl" && infinite(want) {
				if assay.CodeOf(err) != assay.Rejected {
					rt.Fatalf("infinities in JSON: %v", err)
				}
				continue
			}
			if err != nil {
				rt.Fatalf("%s: %v", name, err)
			}
			o := ReadOptions{}
			if name != "a.parquet" {
				// Text formats do not say that 1 is a number, or "1" a text, or that all values of a column are missing.
				o.Types = map[string]assay.Type{}
				for _, c := range want {
					o.Types[c.Name] = c.Type
				}
				o.Header, o.Nulls = "yes", []string{""}
				o.Delimiter = ","
				if name == "a.tsv.gz" {
					o.Delimiter = `\t`
				}
			}
			if name == "a.jsonl" {
				o = ReadOptions{Types: o.Types}
			}
			back, err := e.Read(ctx, p, o)
			if err != nil {
				rt.Fatalf("%s: %v", name, err)
			}
			got, err := back.Frame(ctx, nil, "")
			if err != nil {
				rt.Fatalf("%s: %v", name, err)
			}
			if d := cmp.Diff(want, got, sameFrame); d != "" {
				rt.Fatalf("%s: %s", name, d)
			}
			again, err := back.ContentDigest(ctx)
			if err != nil {
				rt.Fatal(err)
			}
			if again != digest {
				rt.Fatalf("%s: digest %s, want %s", name, again, digest)
			}
		}
	})
}

// The content digest sees rows as a multiset and columns as a set.
func TestContentDigestIgnoresOrder(t *testing.T) {
	t.Parallel()
	e := open(t)
	ctx := context.Background()
	digest := func(rt *rapid.T, f assay.Frame) assay.Digest {
		tab, err := e.FromFrame(ctx, f)
		if err != nil {
			rt.Fatal(err)
		}
		d, err := tab.ContentDigest(ctx)
		if err != nil {
			rt.Fatal(err)
		}
		return d
	}
	rapid.Check(t, func(rt *rapid.T) {
		f := drawFrame(rt)
		rows := make([]int, f.Rows())
		for i := range rows {
			rows[i] = i
		}
		want := digest(rt, f)
		shuffled := f.Take(rapid.Permutation(rows).Draw(rt, "rows order"))
		if digest(rt, rapid.Permutation(shuffled).Draw(rt, "columns order")) != want {
			rt.Fatal("the order of rows or columns matters")
		}
		twice := append(slices.Clone(rows), rapid.SampledFrom(rows).Draw(rt, "repeated"))
		if digest(rt, f.Take(twice)) == want {
			rt.Fatal("a repeated row does not matter")
		}
		if digest(rt, f.Take(rows[1:])) == want {
			rt.Fatal("a lost row does not matter")
		}
	})
}

// TestMicros: a moment of whole milliseconds, and of microseconds as far as float64 tells them apart, is the same after it was stored.
func TestMicros(t *testing.T) {
	for _, seconds := range []float64{-4294967297.008, 4294967297.008, -4294967296.001, 8e9 - 0.001, 0, 0.000001, -0.000001, 1700000000.123456} {
		if got := float64(micros(seconds)) / 1e6; got != seconds {
			t.Errorf("%v became %v", seconds, got)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		seconds := float64(rapid.Int64Range(-8_000_000_000_000, 8_000_000_000_000).Draw(rt, "ms")) / 1e3
		if got := float64(micros(seconds)) / 1e6; got != seconds {
			rt.Errorf("%v became %v", seconds, got)
		}
	})
}
