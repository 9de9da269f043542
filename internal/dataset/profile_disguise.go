package dataset

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// A value stands for a missing one in disguise, as far as rows can show it, in three ways.
//
// A skip: a question that was not asked. An integer column of at most CodeValues codes takes its least or its greatest code in every row
// on one side of a threshold of another column, and hardly anywhere else, while its other codes vary freely on the other side. "All rows
// with an age under 17 have the military code 0" is one. That the other codes vary excludes a column that merely is a function of the
// other one, and a column with two codes has nothing left to vary.
//
// A sentinel: a value at the end of a quantity that people write for none, and that stands apart; see sentinels.
//
// A placeholder: a text that says it, such as "?", "unknown" or "not applicable".
//
// A code for "not reported" that occurs among all kinds of rows looks like any category: no rule on rows can find it.
const (
	// skipCoverage is the share of the rows with the code that must lie on that side.
	skipCoverage = 0.9
	// skipChance is the logarithm of the probability above which the side may hold one code by chance.
	skipChance = -20
	// skipFree is the share of the rows on the other side that must leave the column free to vary.
	skipFree = 0.5
)

// skips looks for codes of a that a threshold of b explains. The joint count has a row a code of a; missing values come first.
func (p *profiler) skips(a, b *table.Examined, joint []uint32, width int) []Disguise {
	if a.Type != assay.TypeInteger || b.Numbers == nil || !(b.Type.Numeric() || b.Type == assay.TypeDate || b.Type == assay.TypeTimestamp) {
		return nil
	}
	ka, kb := len(a.Counts), len(b.Counts)
	if ka < 3 || ka > CodeValues || kb < 3 || missing(b) > 0 {
		return nil
	}
	present := float64(a.Rows - missing(a))
	var out []Disguise
	for _, code := range []int{1, ka} {
		share := float64(a.Counts[code-1]) / present
		for _, up := range []bool{true, false} {
			inside, edge := int64(0), -1
			for step := range kb {
				j := step + 1
				if !up {
					j = kb - step
				}
				alone := int64(joint[code*width+j])
				for i := 1; i <= ka; i++ {
					if i != code && joint[i*width+j] > 0 {
						alone = -1
						break
					}
				}
				if alone < 0 {
					break
				}
				inside, edge = inside+alone, j
			}
			if edge < 0 || inside == int64(present) || float64(inside) < skipCoverage*float64(a.Counts[code-1]) || float64(inside)*math.Log(share) > skipChance {
				continue
			}
			free, outside, same := int64(0), int64(0), a.Counts[code-1]-inside
			kinds := map[int]bool{}
			for j := 1; j <= kb; j++ {
				if up && j <= edge || !up && j >= edge {
					continue
				}
				total, different := int64(0), 0
				for i := 1; i <= ka; i++ {
					if v := joint[i*width+j]; v > 0 {
						total += int64(v)
						if i != code {
							different++
							kinds[i] = true
						}
					}
				}
				outside += total
				if different > 1 {
					free += total
				}
			}
			if len(kinds) < 2 || float64(free) < skipFree*float64(outside) || 2*same > outside {
				continue
			}
			relation := "at most"
			if !up {
				relation = "at least"
			}
			out = append(out, Disguise{
				Column: a.Name, Value: valueText(a, code-1), Count: a.Counts[code-1], Rule: "skip",
				Why: fmt.Sprintf("the only value where %s is %s %s (%d rows), and %.1f %% of its rows lie there", b.Name, relation, p.shown(b, valueText(b, edge-1)), inside,
					100*float64(inside)/float64(a.Counts[code-1])),
			})
		}
	}
	return out
}

// shown hides a value of a sensitive column.
func (p *profiler) shown(e *table.Examined, value string) string {
	if slices.Contains(p.options.Sensitive, e.Name) {
		return "(hidden)"
	}
	return value
}

// placeholderTexts say that there is no value, in lower case.
var placeholderTexts = []string{
	"?", "-", "--", ".", "..", "...", "*", "n.a.", "n/a", "na", "nan", "#n/a", "#na", "#null!", "null", "nil", "none", "(none)", "missing", "(missing)", "unknown", "(unknown)",
	"undefined", "unspecified", "not applicable", "not available", "not reported", "not known", "no answer", "no data", "tbd", "tba", "refused", "n/k", "xxx", "9999-12-31", "1900-01-01", "0000-00-00",
}

// disguised looks at one column.
func (p *profiler) disguised(i int) {
	e := p.columns[i]
	if e.Texts != nil && e.Type == assay.TypeString {
		for k, s := range e.Texts {
			plain := strings.ToLower(strings.TrimSpace(s))
			if plain == "" || slices.Contains(placeholderTexts, plain) {
				why := "a text that says so"
				if plain == "" {
					why = "an empty text or spaces only"
				}
				p.report.Disguised = append(p.report.Disguised, Disguise{e.Name, s, e.Counts[k], "placeholder", why})
			}
		}
	}
	if e.Texts == nil && e.Numbers != nil && e.Type.Numeric() && i != p.target {
		p.sentinels(e)
	}
}

// placeholders looks for sentinels and for texts that say that there is no value, and keeps the best reason for each value.
func (p *profiler) placeholders() {
	if p.sieve == nil {
		for i := range p.columns {
			p.disguised(i)
		}
	}
	best := map[[2]string]Disguise{}
	var order [][2]string
	for _, d := range p.report.Disguised {
		key := [2]string{d.Column, d.Value}
		old, ok := best[key]
		if !ok {
			order = append(order, key)
		}
		if !ok || covers(d) > covers(old) {
			best[key] = d
		}
	}
	p.report.Disguised = p.report.Disguised[:0]
	slices.SortFunc(order, func(a, b [2]string) int {
		if c := p.index[a[0]] - p.index[b[0]]; c != 0 {
			return c
		}
		return strings.Compare(a[1], b[1])
	})
	for _, key := range order {
		d := best[key]
		if slices.Contains(p.options.Sensitive, d.Column) {
			d.Value = "(hidden)"
		}
		p.report.Disguised = append(p.report.Disguised, d)
	}
}

// covers is the share that a skip's reason states.
func covers(d Disguise) float64 {
	var share float64
	if i := strings.LastIndex(d.Why, "and "); d.Rule == "skip" && i >= 0 {
		_, _ = fmt.Sscanf(d.Why[i:], "and %f", &share)
	}
	return share
}
