package table

// Finite returns SQL that is the expression where it is a finite number and NULL where it is NaN or infinite. Every aggregate over
// numbers that may hold them must go through it: to DuckDB, NaN is a value greater than all others, avg of it is NaN, and its moments fail.
func Finite(expression string) string {
	return "CASE WHEN isfinite(CAST(" + expression + " AS DOUBLE)) THEN " + expression + " END"
}

// NaNAsNull returns SQL that is the expression, or NULL where it is NaN. Infinities stay.
func NaNAsNull(expression string) string {
	return "CASE WHEN NOT isnan(CAST(" + expression + " AS DOUBLE)) THEN " + expression + " END"
}

// NonFinite returns three SQL aggregates over the expression: how many values are NaN, +∞ and −∞. NULLs are counted by none.
func NonFinite(expression string) (nan, positive, negative string) {
	x := "CAST(" + expression + " AS DOUBLE)"
	count := func(cond string) string { return "count(*) FILTER (" + cond + ")" }
	return count("isnan(" + x + ")"), count("isinf(" + x + ") AND " + x + " > 0"), count("isinf(" + x + ") AND " + x + " < 0")
}
