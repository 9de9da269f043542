package assay

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// An Estimate is a number that somebody decides on, with the interval that says how far to trust it.
//
// Value, Lo and Hi share the unit of the quantity; NaN means undefined (one class, no rows, a degenerate resample). Level is the
// nominal coverage in (0,1), for example 0.95. Method names how Lo and Hi were made ("wilson", "delong", "bca", …), or, where there
// is no interval, why. N is the number of rows (or clusters) behind the value. In JSON an undefined number is null.
type Estimate struct {
	Value  float64
	Lo     float64
	Hi     float64
	Level  float64
	Method string
	N      int64
}

// Undefined is the estimate of a quantity that has no value here; why says so in a few words.
func Undefined(why string, n int64) Estimate {
	nan := math.NaN()
	return Estimate{Value: nan, Lo: nan, Hi: nan, Method: "undefined: " + why, N: n}
}

// Point is an estimate without an interval; why says what stands in the way of one.
func Point(value float64, why string, n int64) Estimate {
	return Estimate{Value: value, Lo: math.NaN(), Hi: math.NaN(), Method: why, N: n}
}

// Defined reports whether the value is a finite number.
func (e Estimate) Defined() bool { return finite(e.Value) }

// HasInterval reports whether both ends are finite numbers.
func (e Estimate) HasInterval() bool { return finite(e.Lo) && finite(e.Hi) }

// Above judges the requirement "the quantity is greater than limit" on the interval: Pass when the whole interval lies above,
// Fail when it lies wholly at or below, Undetermined when it straddles the limit or anything is undefined.
func (e Estimate) Above(limit float64) Verdict {
	switch {
	case !e.Defined() || !e.HasInterval() || math.IsNaN(limit):
		return Undetermined
	case e.Lo > limit:
		return Pass
	case e.Hi <= limit:
		return Fail
	}
	return Undetermined
}

// String reads "0.871 [0.866, 0.876]", with the fewest digits that the interval justifies.
func (e Estimate) String() string {
	if !e.Defined() {
		return "undefined"
	}
	if !e.HasInterval() {
		return FormatNumber(e.Value, math.NaN())
	}
	w := e.Hi - e.Lo
	return fmt.Sprintf("%s [%s, %s]", FormatNumber(e.Value, w), FormatNumber(e.Lo, w), FormatNumber(e.Hi, w))
}

// FormatNumber writes v with the fewest decimals that an interval of the given width justifies: two significant digits of the
// width, at most 6 decimals. A width that is not a positive number gives four significant digits. What rounds to zero has no sign.
func FormatNumber(v, width float64) string {
	if !finite(v) {
		return "undefined"
	}
	if !(width > 0) || math.IsInf(width, 0) {
		return strconv.FormatFloat(v+0, 'g', 4, 64)
	}
	digits := 1 - int(math.Floor(math.Log10(width)))
	return FormatFixed(v, min(max(digits, 0), 6))
}

// FormatFixed writes v with the given number of decimals; what rounds to zero has no sign, as a minus before zeros says that something
// fell and not by how much.
func FormatFixed(v float64, decimals int) string {
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.HasPrefix(s, "-") && strings.Trim(s, "-0.") == "" {
		return s[1:]
	}
	return s
}

// FormatCount writes a count with thousands separated by commas.
func FormatCount(n int64) string {
	s := strconv.FormatInt(n, 10)
	digits := strings.TrimPrefix(s, "-")
	sign := s[:len(s)-len(digits)]
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

type estimateJSON struct {
	Value  *float64 `json:"value"`
	Lo     *float64 `json:"lo"`
	Hi     *float64 `json:"hi"`
	Level  float64  `json:"level"`
	Method string   `json:"method"`
	N      int64    `json:"n"`
}

// MarshalJSON writes undefined and infinite numbers as null.
func (e Estimate) MarshalJSON() ([]byte, error) {
	return json.Marshal(estimateJSON{number(e.Value), number(e.Lo), number(e.Hi), e.Level, e.Method, e.N})
}

// UnmarshalJSON reads null as NaN.
func (e *Estimate) UnmarshalJSON(b []byte) error {
	var j estimateJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*e = Estimate{orNaN(j.Value), orNaN(j.Lo), orNaN(j.Hi), j.Level, j.Method, j.N}
	return nil
}

// A Number is a float64 whose undefined and infinite values are null in JSON. Payloads use it for numbers that may be undefined.
type Number float64

// MarshalJSON writes NaN and infinities as null.
func (n Number) MarshalJSON() ([]byte, error) { return json.Marshal(number(float64(n))) }

// UnmarshalJSON reads null as NaN.
func (n *Number) UnmarshalJSON(b []byte) error {
	var p *float64
	if err := json.Unmarshal(b, &p); err != nil {
		return err
	}
	*n = Number(orNaN(p))
	return nil
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

func number(v float64) *float64 {
	if !finite(v) {
		return nil
	}
	return &v
}

func orNaN(p *float64) float64 {
	if p == nil {
		return math.NaN()
	}
	return *p
}
