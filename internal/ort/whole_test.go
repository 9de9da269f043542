package ort

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay/learn"
)

// vector declares the input (11) or output (12) of a graph as a vector of a type.
func vector(num int, x string, typ learn.ElementType) []byte {
	dim := message(1, name(2, "n"))
	return message(num, name(1, x), message(2, message(1, varint(1, uint64(typ)), message(2, dim))))
}

// TestWholeNumbers: arithmetic of whole numbers is the same in Go and in ONNX Runtime, up to the ends of each type.
func TestWholeNumbers(t *testing.T) {
	l := library(t)
	all := []learn.ElementType{learn.Int8, learn.Uint8, learn.Int16, learn.Uint16, learn.Int32, learn.Uint32, learn.Int64}
	signed := []learn.ElementType{learn.Int32, learn.Int64}
	for _, c := range []struct {
		op    string
		types []learn.ElementType
		two   bool
		truth bool
	}{
		{"Add", all, true, false},
		{"Sub", all, true, false},
		{"Mul", all, true, false},
		{"Div", all, true, false},
		{"Mod", all, true, false},
		{"Less", all, true, true},
		{"Equal", all, true, true},
		{"GreaterOrEqual", all, true, true},
		{"Max", signed, true, false},
		{"Min", signed, true, false},
		{"Abs", all, false, false},
		{"Sign", all, false, false},
		{"Neg", signed, false, false},
		{"Relu", signed[:1], false, false},
		{"Pow", signed, true, false},
		{"ReduceMax", signed, false, false},
		{"ReduceMin", signed, false, false},
	} {
		for _, typ := range c.types {
			t.Run(c.op+"_"+typ.String(), func(t *testing.T) {
				out, in := typ, []string{"a", "b"}
				if c.truth {
					out = learn.Bool
				}
				if !c.two {
					in = in[:1]
				}
				parts := [][]byte{node(c.op, "y", in...), vector(12, "y", out)}
				for _, x := range in {
					parts = append(parts, vector(11, x, typ))
				}
				file := onnxFile(parts...)
				inGo, err := learn.Open(file, learn.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				theirs := open(t, l, file, learn.Limits{})
				least, most := typ.Bounds()
				number := rapid.OneOf(rapid.Int64Range(least, most), rapid.Int64Range(max(least, -3), 3), rapid.SampledFrom([]int64{least, most, least + 1, most - 1}))
				rapid.Check(t, func(t *rapid.T) {
					n := rapid.IntRange(1, 20).Draw(t, "n")
					columns := make([][]int64, len(in))
					for i := range columns {
						columns[i] = rapid.SliceOfN(number, n, n).Draw(t, in[i])
					}
					if c.op == "Div" || c.op == "Mod" {
						for i, v := range columns[1] { // by 0 is refused, and the least by -1 ends a process with ONNX Runtime
							if v == 0 || v == -1 && columns[0][i] == least {
								columns[1][i] = 1
							}
						}
					}
					want, got := answer(t, theirs, columns), answer(t, inGo, columns)
					for i := range want {
						if c.op == "Pow" && sameFloat(got[i], want[i]) {
							continue
						}
						if got[i] != want[i] {
							t.Fatalf("number %d of %v is %d, in ONNX Runtime %d", i, columns, got[i], want[i])
						}
					}
				})
			})
		}
	}
}

// sameFloat reports whether two whole numbers beyond 2^53 are neighbours among those of float64, in which both engines raise to powers: which of them comes is up
// to the library of C there.
func sameFloat(a, b int64) bool {
	x, y := float64(a), float64(b)
	return math.Abs(y) > 1<<53 && math.Abs(y) < 1<<62 && (x == math.Nextafter(y, math.Inf(1)) || x == math.Nextafter(y, math.Inf(-1)))
}

// TestFloatsToWholeNumbers: what a float becomes in a type that may not hold it is the same in Go and in ONNX Runtime. Of a uint32 ONNX Runtime
// answers by the position, so it is left out.
func TestFloatsToWholeNumbers(t *testing.T) {
	l := library(t)
	for _, to := range []learn.ElementType{learn.Int8, learn.Uint8, learn.Int16, learn.Uint16, learn.Int32, learn.Int64, learn.Bool} {
		t.Run(to.String(), func(t *testing.T) {
			cast := message(1, name(1, "a"), name(2, "y"), name(4, "Cast"), message(5, name(1, "to"), varint(3, uint64(to)), varint(20, 2)))
			file := onnxFile(cast, vector(11, "a", learn.Float64), vector(12, "y", to))
			inGo, err := learn.Open(file, learn.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			theirs := open(t, l, file, learn.Limits{})
			number := rapid.OneOf(rapid.Float64(), rapid.Float64Range(-70000, 70000), rapid.Float64Range(-5e9, 5e9), rapid.Float64Range(-1e19, 1e19), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 1 << 63, -1 << 63, 1 << 31, -1<<31 - 0.5}))
			rapid.Check(t, func(t *rapid.T) {
				x := rapid.SliceOfN(number, 1, 20).Draw(t, "a")
				want, got := answer(t, theirs, x), answer(t, inGo, x)
				for i := range want {
					if got[i] != want[i] {
						t.Fatalf("%v is %d, in ONNX Runtime %d", x[i], got[i], want[i])
					}
				}
			})
		})
	}
}

// answer is the one output of a model to vectors of whole numbers, or to one of floats.
func answer(t *rapid.T, p *learn.Predictor, values any) []int64 {
	s := p.Session()
	defer s.Close()
	fill := func(i, n int, to func(x *learn.Tensor)) {
		x, err := s.Input(i, n)
		if err != nil {
			t.Fatal(err)
		}
		to(x)
	}
	switch v := values.(type) {
	case []float64:
		fill(0, len(v), func(x *learn.Tensor) { copy(x.Doubles, v) })
	case [][]int64:
		for i := range v {
			fill(i, len(v[i]), func(x *learn.Tensor) { copy(x.Ints, v[i]) })
		}
	}
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	return append([]int64(nil), s.Output(0).Ints...)
}
