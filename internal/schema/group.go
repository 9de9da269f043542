package schema

import (
	"context"
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
)

// Strings that repeat are held against a rule once each. The engine evaluates a length or a comparison once for each entry of a
// dictionary by itself, and turns a pattern that is a literal at the start, at the end or anywhere into a comparison (measured: 5 ms for
// a million rows, as the functions take that one could name instead). A regular expression it evaluates for every row: 60 ms, where
// grouping 300 different strings and asking them takes 8 ms for all rules of the column together. Of a million different strings it is
// the other way round, 240 ms against 530, so a look at some rows decides. The look changes no answer.

// A look reads lookRows rows; strings repeat when at most one in lookRepeats of them is new.
const (
	lookRows    = 20_000
	lookRepeats = 8
)

// groupings gathers the rules that are counted on the different strings of a column, a list of rules a column.
func (c *checking) groupings(ctx context.Context) ([][]int, error) {
	var order []string
	by := map[string][]int{}
	for i := range c.rules {
		r := &c.rules[i]
		if r.grouped == "" {
			continue
		}
		if by[r.grouped] == nil {
			order = append(order, r.grouped)
		}
		by[r.grouped] = append(by[r.grouped], i)
	}
	var out [][]int
	for _, v := range order {
		group, err := c.grouping(ctx, by[v])
		if err != nil {
			return nil, err
		}
		if len(group) > 0 {
			out = append(out, group)
		}
	}
	return out, nil
}

// grouping returns those of the rules on one column that gain from its different strings.
func (c *checking) grouping(ctx context.Context, rules []int) ([]int, error) {
	var always, patterns []int
	for _, i := range rules {
		switch c.rules[i].gain {
		case gainAlways:
			always = append(always, i)
		case gainRepeats:
			patterns = append(patterns, i)
		}
	}
	if len(patterns) > 0 {
		repeats, err := c.repeats(ctx, &c.rules[patterns[0]])
		if err != nil {
			return nil, err
		}
		if repeats {
			return rules, nil
		}
	}
	if len(always) > 0 && len(patterns) == 0 {
		return rules, nil
	}
	return always, nil
}

// repeats reports whether the strings of a rule repeat, as far as a look at some rows tells.
func (c *checking) repeats(ctx context.Context, r *tableRule) (bool, error) {
	n := make([]int64, 2)
	err := c.row(ctx, fmt.Sprintf("SELECT count(x), count(DISTINCT x) FROM (SELECT %s AS x FROM %s AS t LIMIT %d)", r.grouped, c.from(r.columns), lookRows), n)
	return n[0] >= lookRepeats*n[1] && n[1] > 0, err
}

// countGroups counts the rows that break each of the rules of one column, in one grouping.
func (c *checking) countGroups(ctx context.Context, rules []int, bad []int64) error {
	sums := make([]string, len(rules))
	for j, i := range rules {
		sums[j] = "CAST(coalesce(sum(CASE WHEN " + c.rules[i].groupBad + " THEN n END), 0) AS BIGINT)"
	}
	r := &c.rules[rules[0]]
	counts := make([]int64, len(rules))
	err := c.row(ctx, "SELECT "+strings.Join(sums, ", ")+" FROM (SELECT "+r.grouped+" AS x, count(*) AS n FROM "+c.from(r.columns)+" AS t GROUP BY 1)", counts)
	for j, i := range rules {
		bad[i] = counts[j]
	}
	return err
}

// literal reports whether a pattern is plain text at the start, at the end, anywhere or all of a string, which the engine turns into a
// comparison.
func literal(pattern string) bool {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return false
	}
	plain := func(re *syntax.Regexp) bool { return re.Op == syntax.OpLiteral && re.Flags&syntax.FoldCase == 0 }
	if re.Op != syntax.OpConcat {
		return plain(re)
	}
	parts := re.Sub
	if parts[0].Op == syntax.OpBeginText {
		parts = parts[1:]
	}
	if n := len(parts); n > 0 && parts[n-1].Op == syntax.OpEndText {
		parts = parts[:n-1]
	}
	return len(parts) > 0 && !slices.ContainsFunc(parts, func(re *syntax.Regexp) bool { return !plain(re) })
}
