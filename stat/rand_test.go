package stat_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/stat"
	"pgregory.net/rapid"
)

func TestRandIsRandomAccess(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed, stream := rapid.Uint64().Draw(rt, "seed"), rapid.Uint64().Draw(rt, "stream")
		r := stat.NewRand(seed, stream)
		for i := range uint64(20) {
			if got, want := r.Uint64(), stat.NewRand(seed, stream).Uint64At(i); got != want {
				rt.Fatalf("draw %d is %x in sequence and %x at random", i, got, want)
			}
		}
		from := rapid.Uint64Range(0, 1000).Draw(rt, "from")
		counts := make([]uint8, rapid.IntRange(0, 200).Draw(rt, "n"))
		r.PoissonFill(from, counts)
		for j, c := range counts {
			if want := r.PoissonAt(from + uint64(j)); int(c) != want {
				rt.Fatalf("row %d: %d in a block, %d alone", from+uint64(j), c, want)
			}
		}
	})
}

// TestRandStreams looks for what a weak hash would show: uneven bytes, correlation of neighbours, of streams and of seeds.
func TestRandStreams(t *testing.T) {
	const n = 200_000
	pairs := map[string]func(i uint64) (float64, float64){
		"neighbours": func(i uint64) (float64, float64) {
			r := stat.NewRand(1)
			return r.Float64At(i), r.Float64At(i + 1)
		},
		"streams": func(i uint64) (float64, float64) {
			return stat.NewRand(1, i).Float64At(0), stat.NewRand(1, i+1).Float64At(0)
		},
		"seeds": func(i uint64) (float64, float64) {
			return stat.NewRand(i).Float64At(0), stat.NewRand(i + 1).Float64At(0)
		},
		"row and replicate": func(i uint64) (float64, float64) {
			return stat.NewRand(1, i%100).Float64At(i / 100), stat.NewRand(1, i/100).Float64At(i % 100)
		},
	}
	for name, draw := range pairs {
		cells := make([]float64, 16*16)
		for i := range uint64(n) {
			a, b := draw(i)
			cells[int(a*16)*16+int(b*16)]++
		}
		var chi2 float64
		for _, c := range cells {
			d := c - n/256.
			chi2 += d * d / (n / 256.)
		}
		// 255 degrees of freedom: mean 255, standard deviation 22.6; "row and replicate" repeats some pairs in mirror image.
		if chi2 > 255+8*22.6 || chi2 < 255-6*22.6 {
			t.Errorf("%s: chi-squared %.0f on 255 degrees of freedom", name, chi2)
		}
	}
}

func TestPoissonAt(t *testing.T) {
	const n = 1_000_000
	counts := make([]uint8, n)
	stat.NewRand(7, 3).PoissonFill(0, counts)
	var seen [12]float64
	for _, c := range counts {
		seen[min(int(c), 11)]++
	}
	p := math.Exp(-1)
	var chi2 float64
	for k := range 8 {
		want := p * n
		chi2 += (seen[k] - want) * (seen[k] - want) / want
		p /= float64(k + 1)
	}
	if chi2 > 30 {
		t.Errorf("Poisson(1) counts are off: chi-squared %.1f on 8 cells, counts %v", chi2, seen)
	}
}

func TestRandDistributions(t *testing.T) {
	r := stat.NewRand(11)
	const n = 200_000
	var sum, sq, exp float64
	var below [7]float64
	for range n {
		z := r.Normal()
		sum += z
		sq += z * z
		exp += r.Exponential()
		below[r.Intn(7)]++
	}
	if m := sum / n; math.Abs(m) > 0.012 {
		t.Errorf("mean of normal draws %v", m)
	}
	if v := sq / n; math.Abs(v-1) > 0.016 {
		t.Errorf("variance of normal draws %v", v)
	}
	if m := exp / n; math.Abs(m-1) > 0.012 {
		t.Errorf("mean of exponential draws %v", m)
	}
	for i, b := range below {
		if math.Abs(b/n-1./7) > 0.004 {
			t.Errorf("Intn(7) gives %d in %v of draws", i, b/n)
		}
	}
	p := r.Perm(1000)
	slices.Sort(p)
	for i, v := range p {
		if i != v {
			t.Fatal("Perm is not a permutation")
		}
	}
}

// digest is SHA-256 over the numbers as little-endian int64.
func digest(p []int) string {
	b := make([]byte, 8*len(p))
	for i, v := range p {
		binary.LittleEndian.PutUint64(b[8*i:], uint64(v))
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func TestRandomStateOracle(t *testing.T) {
	cases, tol := assaytest.Oracle(t, "stat/randomstate.json")
	for _, c := range cases {
		var seed uint32
		into(t, c.Args["seed"], &seed)
		var want map[string]json.RawMessage
		into(t, c.Value, &want)
		for name, raw := range want {
			t.Run(c.ID+"/"+name, func(t *testing.T) {
				s := stat.NewRandomState(seed)
				ints := func(n int, draw func() int) {
					t.Helper()
					var w []int
					into(t, raw, &w)
					got := make([]int, n)
					for i := range got {
						got[i] = draw()
					}
					if !slices.Equal(got, w) {
						t.Errorf("got %v, want %v", got, w)
					}
				}
				floats := func(n int, draw func() float64, tol assaytest.Tolerance) {
					t.Helper()
					for i, w := range assaytest.Floats(t, raw) {
						if got := draw(); !tol.Near(got, w) {
							t.Errorf("draw %d: %v, want %v", i, got, w)
						}
					}
				}
				list := func(got []int) {
					i := -1
					ints(len(got), func() int { i++; return got[i] })
				}
				switch name {
				case "uint32_first8":
					ints(8, func() int { return int(s.Uint32()) })
				case "random_sample_5":
					floats(5, s.RandomSample, assaytest.Tolerance{Rel: 1e-15})
				case "standard_normal_5":
					floats(5, s.StandardNormal, tol)
				case "randint_0_10":
					ints(12, func() int { return s.RandInt(0, 10) })
				case "randint_0_1000000007":
					ints(6, func() int { return s.RandInt(0, 1000000007) })
				case "choice_with_replacement_20":
					list(s.Choice(20, 12, true))
				case "choice_without_replacement_20":
					list(s.Choice(20, 8, false))
				case "shuffle_twice_8":
					got := [][]int{{0, 1, 2, 3, 4, 5, 6, 7}, {0, 1, 2, 3, 4, 5, 6, 7}}
					s.Shuffle(got[0])
					s.Shuffle(got[1])
					var w [][]int
					into(t, raw, &w)
					if !slices.EqualFunc(got, w, slices.Equal) {
						t.Errorf("got %v, want %v", got, w)
					}
				default:
					size, ok := strings.CutPrefix(name, "permutation_")
					n, err := strconv.Atoi(size)
					if !ok || err != nil {
						t.Fatalf("no test for %s", name)
					}
					p := s.Permutation(n)
					if n <= 50 {
						list(p)
						return
					}
					var w struct {
						First10 []int  `json:"first10"`
						Last10  []int  `json:"last10"`
						Digest  string `json:"sha256_int64_le"`
					}
					into(t, raw, &w)
					if digest(p) != w.Digest || !slices.Equal(p[:10], w.First10) || !slices.Equal(p[n-10:], w.Last10) {
						t.Errorf("permutation of %d differs: starts %v, want %v", n, p[:10], w.First10)
					}
				}
			})
		}
	}
}

func TestRandomStateOfSplitTable(t *testing.T) {
	var table struct {
		MT []struct {
			Seed    uint32    `json:"seed"`
			Bits    []uint32  `json:"random_uint32"`
			P10     []int     `json:"permutation_10"`
			P50     []int     `json:"permutation_50"`
			Sample  []float64 `json:"random_sample_5"`
			RandInt []int     `json:"randint_0_100_10"`
			Choice  []int     `json:"choice_20_7_noreplace"`
			Normal  []float64 `json:"standard_normal_4"`
			Shuffle []int     `json:"shuffle_12"`
		} `json:"mt19937"`
	}
	assaytest.OracleInto(t, "data/sklearn_splits.json", &table)
	if len(table.MT) != 5 {
		t.Fatalf("%d generators in the table, want 5", len(table.MT))
	}
	tol := assaytest.Tolerance{Rel: 1e-15, Abs: 1e-15}
	for _, w := range table.MT {
		s := stat.NewRandomState
		g := s(w.Seed)
		for i, b := range w.Bits {
			if got := g.Uint32(); got != b {
				t.Errorf("seed %d: word %d is %d, want %d", w.Seed, i, got, b)
			}
		}
		g = s(w.Seed)
		for i, x := range w.Sample {
			if got := g.RandomSample(); !tol.Near(got, x) {
				t.Errorf("seed %d: sample %d is %v, want %v", w.Seed, i, got, x)
			}
		}
		g = s(w.Seed)
		for i, x := range w.Normal {
			if got := g.StandardNormal(); !tol.Near(got, x) {
				t.Errorf("seed %d: normal %d is %v, want %v", w.Seed, i, got, x)
			}
		}
		g = s(w.Seed)
		for i, x := range w.RandInt {
			if got := g.RandInt(0, 100); got != x {
				t.Errorf("seed %d: integer %d is %v, want %v", w.Seed, i, got, x)
			}
		}
		shuffled := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
		s(w.Seed).Shuffle(shuffled)
		for what, pair := range map[string][2][]int{
			"permutation of 10": {s(w.Seed).Permutation(10), w.P10},
			"permutation of 50": {s(w.Seed).Permutation(50), w.P50},
			"choice":            {s(w.Seed).Choice(20, 7, false), w.Choice},
			"shuffle":           {shuffled, w.Shuffle},
		} {
			if !slices.Equal(pair[0], pair[1]) {
				t.Errorf("seed %d: %s is %v, want %v", w.Seed, what, pair[0], pair[1])
			}
		}
	}
}

func ExampleNewRand() {
	r := stat.NewRand(42, 7) // seed 42, replicate 7
	fmt.Println(r.PoissonAt(1000), r.PoissonAt(0), r.PoissonAt(1000))
	// Output: 1 3 1
}

func BenchmarkPoissonFill(b *testing.B) {
	counts := make([]uint8, 1<<16)
	b.SetBytes(1 << 16)
	b.ReportAllocs()
	for b.Loop() {
		stat.NewRand(1).PoissonFill(0, counts)
	}
}
