package learn

import (
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

// Categories are the values that a column may have, each with a code that the model takes instead of it: texts or numbers, of which false
// and true are 0 and 1. They are immutable.
type Categories struct {
	text    bool
	closed  bool // a value that is none of them is refused; otherwise it counts as missing
	cut     bool // a text is cut to as many bytes as it has characters, as XGBoost 3.2 does with those of pandas
	texts   map[string]int
	numbers []float64 // in ascending order
	codes   []int     // of numbers
}

// maxWholeCategory is from where neighbouring whole numbers are the same float64.
const maxWholeCategory = 1 << 53

// categoriesOf makes categories of the values of a list in the order of their codes: strings, float64 and bool as JSON has them. It is nil
// for an empty list.
func categoriesOf(values []any) (*Categories, error) {
	if len(values) == 0 {
		return nil, nil
	}
	c := &Categories{texts: map[string]int{}}
	for code, v := range values {
		number := 0.0
		switch v := v.(type) {
		case string:
			if _, twice := c.texts[v]; twice {
				return nil, fmt.Errorf("category %d is there twice", code)
			}
			c.texts[v], c.text = code, true
			c.cut = c.cut || !utf8.ValidString(v)
			continue
		case float64:
			number = v
		case bool:
			if v {
				number = 1
			}
		default:
			return nil, fmt.Errorf("category %d is neither a text nor a number", code)
		}
		if number != number || math.Abs(number) >= maxWholeCategory {
			return nil, refuse("category %d is no number below 2^53, and larger ones cannot be told apart", code)
		}
		at, twice := slices.BinarySearch(c.numbers, number)
		if twice {
			return nil, fmt.Errorf("category %d is there twice", code)
		}
		c.numbers, c.codes = slices.Insert(c.numbers, at, number), slices.Insert(c.codes, at, code)
	}
	if c.text && len(c.numbers) > 0 {
		return nil, refuse("some categories of a column are texts and some are numbers")
	}
	return c, nil
}

// Text reports whether the values are texts.
func (c *Categories) Text() bool { return c != nil && c.text }

// Closed reports whether the model refuses a value that is no category, as XGBoost does. To others, such as LightGBM, it is missing.
func (c *Categories) Closed() bool { return c.closed }

// OfText returns the code of a text as a number, NaN for one that is no category.
func (c *Categories) OfText(text []byte) float64 {
	if c.cut {
		text = text[:utf8.RuneCount(text)]
	}
	if code, ok := c.texts[string(text)]; ok {
		return float64(code)
	}
	return math.NaN()
}

// OfNumber returns the code of a number as a number, NaN for one that is no category.
func (c *Categories) OfNumber(v float64) float64 {
	if at, ok := slices.BinarySearch(c.numbers, v); ok && v == v {
		return float64(c.codes[at])
	}
	return math.NaN()
}
