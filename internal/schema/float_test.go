package schema

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestFloat: numbers are read to the bit as strconv reads them, where they end as JSON has it, and what is none is left alone.
func TestFloat(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(
			rapid.StringMatching(`-?(0|[1-9][0-9]{0,19})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?`),
			rapid.StringMatching(`-?[0-9]{0,3}\.?[0-9]{0,9}`),
			rapid.StringMatching(`[-0-9.eE:/ ]{0,12}`)).Draw(t, "text")
		behind := rapid.SampledFrom([]string{"", ",", "]", ", 1", ",12345678", "/", ":", "x", "\n         ", "\x80\xff\xff\xff\xff\xff\xff\xff"}).Draw(t, "behind")
		z := tokenizer{b: []byte(text + behind)}
		x, ok := z.float()
		if !ok {
			if z.i != 0 {
				t.Fatalf("%q: refused, and %d bytes read", text, z.i)
			}
			if want, err := strconv.ParseFloat(text, 64); err == nil && numberToken(text) && !strings.ContainsAny(text, "eE") && len(text) <= 15 && (behind == "" || ends[behind[0]]) && math.Abs(want) < 1e15 {
				t.Fatalf("%q: not read", text)
			}
			return
		}
		n, _ := numberLen(z.b)
		if n != z.i {
			t.Fatalf("%q: %d bytes read, the number has %d", z.b, z.i, n)
		}
		want, err := strconv.ParseFloat(string(z.b[:n]), 64)
		if err != nil || math.Float64bits(want) != math.Float64bits(x) {
			t.Fatalf("%q: %v, strconv says %v, %v", z.b[:n], x, want, err)
		}
		s := tokenizer{b: z.b}
		if !s.skip(1) || s.i != n {
			t.Fatalf("%q: %d bytes skipped of %d", z.b, s.i, n)
		}
	})
}
