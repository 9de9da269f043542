package assay_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/assay-ml/assay"
)

func TestFormatCount(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", -1000: "-1,000", -999: "-999", 1234567: "1,234,567", math.MinInt64: "-9,223,372,036,854,775,808",
	} {
		if got := assay.FormatCount(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

// TestAbove: only an interval wholly above the limit passes; whatever is undefined or straddles it is undetermined.
// What rounds to zero has no sign; what does not keeps it.
func TestFormatNumberHasNoMinusZero(t *testing.T) {
	for _, x := range []struct {
		v, width float64
		want     string
	}{
		{-0.0004, 0.017, "0.000"},
		{-0.0006, 0.017, "-0.001"},
		{-1e-9, 1e-8, "0.000000"},
		{-0.4, 30, "0"},
		{math.Copysign(0, -1), math.NaN(), "0"},
		{-0.0004, math.NaN(), "-0.0004"},
		{0.0004, 0.017, "0.000"},
	} {
		if got := assay.FormatNumber(x.v, x.width); got != x.want {
			t.Errorf("FormatNumber(%v, %v) = %q, want %q", x.v, x.width, got, x.want)
		}
	}
	if got := assay.FormatFixed(-0.04, 1); got != "0.0" {
		t.Errorf("FormatFixed(-0.04, 1) = %q", got)
	}
	e := assay.Estimate{Value: -0.0002, Lo: -0.009, Hi: 0.008, Level: 0.95, Method: "t", N: 9}
	if got := e.String(); got != "0.000 [-0.009, 0.008]" {
		t.Errorf("%q", got)
	}
}

func TestAbove(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		e    assay.Estimate
		want assay.Verdict
	}{
		{assay.Estimate{Value: 0.2, Lo: 0.1, Hi: 0.3}, assay.Pass},
		{assay.Estimate{Value: 0.1, Lo: 0, Hi: 0.2}, assay.Undetermined},
		{assay.Estimate{Value: -0.1, Lo: -0.2, Hi: 0}, assay.Fail},
		{assay.Estimate{Value: 0.1, Lo: -0.1, Hi: 0.3}, assay.Undetermined},
		{assay.Estimate{Value: nan, Lo: 0.1, Hi: 0.3}, assay.Undetermined},
		{assay.Estimate{Value: 0.2, Lo: nan, Hi: 0.3}, assay.Undetermined},
		{assay.Point(0.2, "no interval", 3), assay.Undetermined},
	} {
		if got := c.e.Above(0); got != c.want {
			t.Errorf("%v: %s, want %s", c.e, got, c.want)
		}
	}
	if got := (assay.Estimate{Value: 1, Lo: 1, Hi: 1}).Above(nan); got != assay.Undetermined {
		t.Errorf("above NaN: %s", got)
	}
}

func TestEstimateJSON(t *testing.T) {
	b, err := json.Marshal(assay.Undefined("one class", 5))
	if err != nil || string(b) != `{"value":null,"lo":null,"hi":null,"level":0,"method":"undefined: one class","n":5}` {
		t.Fatalf("%s %v", b, err)
	}
	var e assay.Estimate
	if err := json.Unmarshal(b, &e); err != nil || e.Defined() || e.HasInterval() || e.N != 5 {
		t.Errorf("%+v %v", e, err)
	}
}

func TestVerdicts(t *testing.T) {
	if got := assay.Verdicts(); got != assay.Undetermined {
		t.Errorf("nothing proven: %s", got)
	}
	if got := assay.Verdicts(assay.Pass, assay.Undetermined, assay.Fail); got != assay.Fail {
		t.Errorf("a failure among doubt: %s", got)
	}
	if got := assay.Verdicts(assay.Pass, ""); got != assay.Undetermined {
		t.Errorf("an empty verdict: %s", got)
	}
}
