package dataset

import (
	"regexp"
	"strconv"

	"github.com/assay-ml/assay/internal/table"
)

// DatePattern matches a date that is not written as ISO 8601 has it: two numbers and a year, or a year and two numbers, between the same
// kind of marks, with or without a time of day behind. The reader leaves such a column as text, for 08.05.2022 says not which number is
// the month. It is a pattern of RE2, which Go and the engine share; the first two groups are the numbers where the year comes last.
const DatePattern = `(?:(\d{1,2})[./-](\d{1,2})[./-](?:\d{4}|\d{2})|\d{4}[./]\d{1,2}[./]\d{1,2})(?:[ T]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?`

// DateOrder says how the dates of a column are written, from the greatest first and the greatest second number of those whose year comes
// last; 0 where there is none. It is empty when one of them is no day.
func DateOrder(first, second int) string {
	switch {
	case first == 0 && second == 0:
		return "year first"
	case first > 31 || second > 31 || first > 12 && second > 12:
		return ""
	case first > 12:
		return "day first"
	case second > 12:
		return "month first"
	}
	return "day or month first"
}

// IsDateText reports whether a text matches DatePattern.
func IsDateText(s string) bool {
	return len(s) <= maxDateText && regexp.MustCompile(`^`+DatePattern+`$`).MatchString(s)
}

// dateOrder is DateOrder of a column of text, empty when one value is no date.
func dateOrder(e *table.Examined) string {
	if len(e.Texts) < 2 || !IsDateText(e.Texts[0]) {
		return ""
	}
	date := regexp.MustCompile(`^` + DatePattern + `$`)
	first, second := 0, 0
	for _, s := range e.Texts {
		if len(s) > maxDateText {
			return ""
		}
		m := date.FindStringSubmatch(s)
		if m == nil {
			return ""
		}
		a, _ := strconv.Atoi(m[1]) // 0 where the year comes first
		b, _ := strconv.Atoi(m[2])
		first, second = max(first, a), max(second, b)
	}
	return DateOrder(first, second)
}

// maxDateText is more than any date that DatePattern matches has.
const maxDateText = 40
