package schema

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/assay-ml/assay"
)

// TestGroupsEqualRows holds the counts that are taken on the different strings of a column against those of the same rules row by row,
// for strings that repeat and strings that do not.
func TestGroupsEqualRows(t *testing.T) {
	e := engine(t)
	base := csv(t, e, "a\n1\n")
	words := []string{"", "a", "ab", "b", "b\n", "\nab", "aéb", "日本", "it's", "A-12", "a b", "x_1", "%", "a%b", "éb"}
	patterns := []string{"^a", "b$", "ab", "^a$", "^ab?$", "a.*b", "(?i)A", "^.b$", "^\\w*$", "[^a]", "(?s)é.b", "(?m)^b", "\\pL{2}", "'", "^%", "^[a-z]{1,2}$", "^[A-Z]-[0-9]{2}$", "_", "^$"}
	taken, rows, broken := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		c := Column{Name: "s", Type: assay.TypeString, Pattern: &Pattern{Regexp: rapid.SampledFrom(patterns).Draw(t, "pattern")}}
		if rapid.Bool().Draw(t, "length") {
			n := rapid.Int64Range(0, 3).Draw(t, "least")
			c.Length = &Length{Min: &n}
		}
		if rapid.Bool().Draw(t, "set") {
			c.Set = &Set{Values: []Value{Text("a"), Text("ab"), Text(rapid.SampledFrom(words).Draw(t, "member"))}}
		}
		s := New("generated")
		s.Columns = append(s.Columns, c)
		var values []string
		for range rapid.IntRange(1, 4).Draw(t, "words") {
			w := quote(rapid.SampledFrom(words).Draw(t, "word"))
			if rapid.IntRange(0, 5).Draw(t, "missing") == 0 {
				w = "NULL"
			}
			for range rapid.IntRange(1, 20).Draw(t, "times") {
				values = append(values, fmt.Sprintf("(%d, CAST(%s AS VARCHAR))", len(values), w))
			}
		}
		tab, err := base.Select(context.Background(), "SELECT * FROM (VALUES "+strings.Join(values, ", ")+") AS v(_row, s)", []assay.Field{{Name: "s", Type: assay.TypeString}})
		if err != nil {
			t.Fatal(err)
		}
		canonical, err := s.canonical()
		if err != nil {
			t.Skip()
		}
		rules, err := canonical.rules(tab)
		if err != nil {
			t.Fatal(err)
		}
		k := &checking{table: tab, rules: rules}
		groups, err := k.groupings(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range groups {
			bad := make([]int64, len(rules))
			if err := k.countGroups(context.Background(), g, bad); err != nil {
				t.Fatal(err)
			}
			for _, i := range g {
				want := make([]int64, 1)
				if err := k.row(context.Background(), "SELECT coalesce(count_if("+rules[i].bad+"), 0) FROM "+k.from(rules[i].columns)+" AS t", want); err != nil {
					t.Fatal(err)
				}
				if bad[i] != want[0] {
					t.Fatalf("%s %s: %d by group, %d by row", rules[i].rule, rules[i].detail, bad[i], want[0])
				}
				taken, broken = taken+1, broken+int(want[0])
			}
		}
		if len(groups) == 0 {
			rows++
		}
	})
	if taken == 0 || rows == 0 || broken == 0 {
		t.Errorf("%d counts by group with %d broken, %d tables by row: the test shows nothing", taken, broken, rows)
	}
}

func TestLiteral(t *testing.T) {
	for pattern, want := range map[string]bool{
		"abc": true, "^abc": true, "abc$": true, "^abc$": true, `a\.b`: true, "日本$": true,
		"": false, "^": false, "^$": false, "(?i)abc": false, "ab?": false, "a.c": false, "(?m)^b": false, "a|b": false, "[ab]c": false, `^\d$`: false, "^a$b": false, "(": false,
	} {
		if literal(pattern) != want {
			t.Errorf("literal(%q) is %v", pattern, !want)
		}
	}
}
