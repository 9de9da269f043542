package dataset

import (
	"math"
	"slices"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// The kinds of columns: what the values are to a person.
const (
	KindEmpty      = "empty"      // no value
	KindConstant   = "constant"   // one value, nothing missing
	KindIdentifier = "identifier" // differs in (nearly) every row and is no measurement
	KindBoolean    = "boolean"    // two values
	KindCode       = "code"       // integers that name categories
	KindCount      = "count"      // integers from zero or one, ever rarer
	KindQuantity   = "quantity"
	KindCategory   = "category" // text that repeats
	KindText       = "text"
	KindDate       = "date"
)

// kinds decides what each column is.
func (p *profiler) kinds() {
	for i, e := range p.columns {
		p.kind[i] = p.kindOf(e)
	}
}

func (p *profiler) kindOf(e *table.Examined) string {
	present := e.Rows - missing(e)
	switch {
	case present == 0:
		return KindEmpty
	case e.Distinct == 1 && missing(e) == 0:
		return KindConstant
	case slices.Contains(p.options.Key, e.Name):
		return KindIdentifier
	case e.Type == assay.TypeDate || e.Type == assay.TypeTimestamp || e.Type == assay.TypeTime:
		return KindDate
	case e.Distinct == present && present > 20 && p.identifies(e):
		return KindIdentifier
	case e.Distinct <= 2:
		return KindBoolean
	case e.Numbers == nil && (e.Distinct <= CategoryValues || 2*e.Distinct <= present && e.Distinct <= 1000):
		return KindCategory
	case e.Numbers == nil:
		return KindText
	case e.Type == assay.TypeInteger && e.Distinct <= CodeValues && !e.Ranked:
		return codeOrCount(e)
	}
	return KindQuantity
}

// identifies reports whether a column without repeats is a name of rows: a text without spaces inside, or integers that leave few gaps.
// Measurements do not repeat either, but they have decimals or gaps.
func (p *profiler) identifies(e *table.Examined) bool {
	switch {
	case p.target >= 0 && e.Name == p.options.Target:
		return false
	case e.Numbers == nil:
		return e.Lengths != nil && (e.Lengths.Max <= 64 && e.Characters != nil && e.Characters.Spaces == 0)
	case e.Type == assay.TypeInteger:
		return float64(e.Numbers.Max-e.Numbers.Min) < 2*float64(e.Distinct) || e.Numbers.Increasing || e.Numbers.Decreasing
	}
	return false
}

// codeOrCount tells integers that name categories from counts and other quantities. Counts begin at zero or one and get rarer; a year is
// a quantity; small integers whose frequencies rise and fall are codes. An ordered scale is called a code as well.
func codeOrCount(e *table.Examined) string {
	lo, hi := e.Values[0], e.Values[len(e.Values)-1]
	k := float64(len(e.Values))
	switch {
	case lo >= 1800 && hi <= 2200:
		return KindQuantity
	case lo < -9 || hi-lo > math.Max(2*k, k+10):
		return KindQuantity
	}
	rises, falls := 0, 0 // changes beyond what counting noise explains
	fell := false
	for i := 1; i < len(e.Counts); i++ {
		a, b := float64(e.Counts[i-1]), float64(e.Counts[i])
		noise := 4 * math.Sqrt(a+b+1)
		if b-a > noise {
			if fell {
				rises++
			}
			fell = false
		} else if a-b > noise {
			falls++
			fell = true
		}
	}
	mode := slices.Index(e.Counts, slices.Max(e.Counts))
	switch {
	case (lo == 0 || lo == 1) && mode <= 1 && rises == 0 && k > 3:
		return KindCount
	case k <= 10 || rises > 0:
		return KindCode
	}
	return KindQuantity
}
