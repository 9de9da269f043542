package stat_test

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/stat"
	"pgregory.net/rapid"
)

func TestDetectorOracle(t *testing.T) {
	cases, tol := assaytest.Oracle(t, "stat/detector.json")
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			arg := func(name string) (v float64) {
				if raw, ok := c.Args[name]; ok {
					into(t, raw, &v)
				}
				return v
			}
			var at []int
			want := fields(t, c.Value)
			into(t, want.get("at"), &at)
			var add func(float64) bool
			var check func()
			switch c.Fn {
			case "adwin":
				a, err := stat.NewADWIN(stat.ADWINOptions{
					Delta: arg("delta"), Clock: int(arg("clock")), MaxBuckets: int(arg("max_buckets")),
					MinWindow: int(arg("min_window_length")), Grace: int(arg("grace_period")),
				})
				if err != nil {
					t.Fatal(err)
				}
				add = a.Add
				check = func() {
					if float64(a.Width()) != want.float("width") || !tol.Near(a.Mean(), want.float("estimation")) || a.Detections() != len(at) ||
						!tol.Near(a.Variance()*float64(a.Width()), want.float("variance")) {
						t.Errorf("width %d, mean %v, variance %v, want %v, %v, %v", a.Width(), a.Mean(), a.Variance(), want.float("width"), want.float("estimation"), want.float("variance"))
					}
				}
			case "page-hinkley":
				alt := map[string]stat.Alternative{"": "", `"up"`: stat.Greater, `"down"`: stat.Less}[string(c.Args["mode"])]
				p, err := stat.NewPageHinkley(stat.PageHinkleyOptions{
					Min: int(arg("min_instances")), Delta: arg("delta"), Threshold: arg("threshold"), Alpha: arg("alpha"), Alternative: alt,
				})
				if err != nil {
					t.Fatal(err)
				}
				add, check = p.Add, func() {}
			case "kswin", "kswin all":
				o := stat.KSWINOptions{Alpha: arg("alpha"), Window: int(arg("window_size")), Recent: int(arg("stat_size"))}
				if c.Fn == "kswin" { // the values from a place on that moves with every test
					tests := 0
					o.Draw = func(of, k int) (out []int) {
						tests++
						for j := range k {
							out = append(out, (7*tests+j)%of)
						}
						return out
					}
				}
				k, err := stat.NewKSWIN(o)
				if err != nil {
					t.Fatal(err)
				}
				add = k.Add
				check = func() {
					if p := want.float("p"); !tol.Near(k.P(), p) {
						t.Errorf("p is %v, want %v", k.P(), p)
					}
				}
			default:
				t.Fatalf("no detector %s", c.Fn)
			}
			var got []int
			for i, v := range assaytest.Floats(t, json.RawMessage(c.Args["stream"])) {
				if add(v) {
					got = append(got, i)
				}
			}
			if !slices.Equal(got, at) {
				t.Errorf("changes at %v, want %v", got, at)
			}
			check()
		})
	}
}

// The window's mean and variance are those of the latest values.
func TestADWINKeepsItsWindow(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a, err := stat.NewADWIN(stat.ADWINOptions{Clock: rapid.IntRange(1, 8).Draw(rt, "clock"), MaxBuckets: rapid.IntRange(1, 6).Draw(rt, "buckets"), Delta: 0.1, Keep: true})
		if err != nil {
			rt.Fatal(err)
		}
		var seen []float64
		r := stat.NewRand(rapid.Uint64().Draw(rt, "seed"))
		for i := range rapid.IntRange(1, 300).Draw(rt, "n") {
			v := r.Float64() + float64(i/100)
			seen = append(seen, v)
			a.Add(v)
			a.Add(math.NaN())
			a.Add(math.Inf(-1))
			w := seen[len(seen)-int(a.Width()):]
			var mean, square float64
			for _, v := range w {
				mean += v / float64(len(w))
			}
			for _, v := range w {
				square += (v - mean) * (v - mean) / float64(len(w))
			}
			if math.Abs(a.Mean()-mean) > 1e-9 || math.Abs(a.Variance()-square) > 1e-9 {
				rt.Fatalf("after %d values the window of %d has mean %v and variance %v, want %v and %v", len(seen), a.Width(), a.Mean(), a.Variance(), mean, square)
			}
		}
	})
	for name, o := range map[string]stat.ADWINOptions{"delta": {Delta: 1}, "NaN": {Delta: math.NaN()}, "clock": {Clock: -1}} {
		if _, err := stat.NewADWIN(o); err == nil {
			t.Errorf("%s: made", name)
		}
	}
	for name, o := range map[string]stat.PageHinkleyOptions{"threshold": {Threshold: -1}, "alpha": {Alpha: 2}, "way": {Alternative: "x"}, "min": {Min: -1}, "delta": {Delta: math.NaN()}} {
		if _, err := stat.NewPageHinkley(o); err == nil {
			t.Errorf("%s: made", name)
		}
	}
}

func ExampleADWIN() {
	a, err := stat.NewADWIN(stat.ADWINOptions{})
	if err != nil {
		panic(err)
	}
	r := stat.NewRand(1)
	for i := range 2000 {
		rate := 0.1
		if i >= 1000 {
			rate = 0.3 // the model became wrong more often
		}
		wrong := 0.0
		if r.Float64() < rate {
			wrong = 1
		}
		if a.Add(wrong) {
			fmt.Printf("row %d: error rate now %.2f over %d rows\n", i, a.Mean(), a.Width())
			break
		}
	}
	// Output: row 1215: error rate now 0.12 over 832 rows
}

func BenchmarkADWIN(b *testing.B) {
	a, err := stat.NewADWIN(stat.ADWINOptions{})
	if err != nil {
		b.Fatal(err)
	}
	x := normals(1<<16, 0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		a.Add(x[i&(1<<16-1)])
	}
}
