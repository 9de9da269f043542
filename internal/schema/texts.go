package schema

import (
	"context"
	"fmt"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// narrow looks at columns of a text file that are text where the schema wants another type. A single text among integers makes a column
// text, and then it is that text that is at fault and not every row: where most texts would do, the violation is of the others. Files that
// say themselves what is text, such as JSON and Parquet, are taken at their word.
func (c *checking) narrow(ctx context.Context, s *Schema) error {
	if c.table.Format() != table.CSV {
		return nil
	}
	var which []int
	var bad, counts, columns []string
	for i := range c.rules {
		r := &c.rules[i]
		if r.rule != RuleType || r.bad == "" {
			continue
		}
		col := &s.Columns[r.column]
		f, _ := c.table.Field(col.Name)
		reads := readsAs(col.Type, ident(col.Name), c.table.Reading().Nulls)
		if f.Type != assay.TypeString || reads == "" {
			continue
		}
		which, columns = append(which, i), append(columns, col.Name)
		bad = append(bad, ident(col.Name)+" IS NOT NULL AND NOT coalesce("+reads+", false)")
		counts = append(counts, "count_if("+bad[len(bad)-1]+")", "count("+ident(col.Name)+")")
	}
	if len(which) == 0 {
		return nil
	}
	n := make([]int64, len(counts))
	if err := c.row(ctx, "SELECT "+strings.Join(counts, ", ")+" FROM "+c.from(columns)+" t", n); err != nil {
		return err
	}
	for i, rule := range which {
		if failing, all := n[2*i], n[2*i+1]; failing > 0 && 2*failing < all {
			r := &c.rules[rule]
			r.bad, r.detail = bad[i], "must be of type "+string(s.Columns[r.column].Type)+", which these texts are not"
		}
	}
	return nil
}

// readsAs is an SQL condition: a text is one that Read takes for a value of the type, or for a missing one. "" where it takes any text.
func readsAs(t assay.Type, column string, nulls []string) string {
	x := "trim(" + column + ", ' ' || chr(9))"
	is := func(pattern string) string { return "regexp_full_match(" + x + ", " + quote(pattern) + ")" }
	fits := func(sql string) string { return "TRY_CAST(" + x + " AS " + sql + ") IS NOT NULL" }
	const whole = "(0|[1-9][0-9]*)"
	reads := ""
	switch t {
	case assay.TypeInteger:
		reads = is("-?"+whole) + " AND " + fits("HUGEINT")
	case assay.TypeNumber:
		reads = is(fmt.Sprintf(`-?(%s(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]{1,3})?|nan|NaN|NAN|[-+]?(inf|Inf|INF|infinity|Infinity|INFINITY)`, whole)) + " AND " + fits("DOUBLE")
	case assay.TypeBoolean:
		reads = is("true|True|TRUE|false|False|FALSE")
	case assay.TypeDate:
		reads = is("[0-9]{4}-[0-9]{2}-[0-9]{2}") + " AND " + fits("DATE")
	case assay.TypeTime:
		reads = is(`[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?`) + " AND " + fits("TIME")
	case assay.TypeTimestamp:
		reads = is("[0-9]{4}-[0-9]{2}-[0-9]{2}([ T].*)?") + " AND " + fits("TIMESTAMP")
	default:
		return ""
	}
	missing := []string{"''"}
	for _, n := range nulls {
		missing = append(missing, quote(n))
	}
	return "(" + x + " IN (" + strings.Join(missing, ", ") + ") OR " + reads + ")"
}
