package assay

// A Verdict is what a check, a comparison or a gate says. There are three, never two: without enough evidence, with a NaN, or
// with an interval that straddles the margin the answer is Undetermined, and Undetermined opens no gate.
type Verdict string

const (
	Pass         Verdict = "pass"
	Fail         Verdict = "fail"
	Undetermined Verdict = "undetermined"
)

// And is the verdict on two requirements that must both hold: a failure wins, then doubt. The zero Verdict counts as Undetermined.
func (v Verdict) And(w Verdict) Verdict {
	switch {
	case v == Fail || w == Fail:
		return Fail
	case v == Pass && w == Pass:
		return Pass
	}
	return Undetermined
}

// Glyph is the mark that stands for the verdict beside its word, in the terminal and on pages.
func (v Verdict) Glyph() string {
	switch v {
	case Pass:
		return "●"
	case Fail:
		return "✕"
	}
	return "◐"
}

// Verdicts returns the conjunction of vs; the conjunction of nothing is Undetermined, for nothing was proven.
func Verdicts(vs ...Verdict) Verdict {
	if len(vs) == 0 {
		return Undetermined
	}
	out := Pass
	for _, v := range vs {
		out = out.And(v)
	}
	return out
}
