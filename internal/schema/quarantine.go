package schema

import (
	"context"
	"strings"

	"github.com/assay-ml/assay"
)

// Columns that a quarantine file has besides those of the table.
const (
	QuarantineRow     = "_row"     // the row's number in its source, from 1
	QuarantineReasons = "_reasons" // "column: rule" of every violated constraint that the row breaks, separated by "; "
)

// quarantine writes every failing row with its reasons. The file is written even when no row fails, so that an old one cannot be
// taken for the answer. It is the one place where values of failing rows go.
func (c *checking) quarantine(ctx context.Context, path string) error {
	fields := c.table.Fields()
	for _, f := range fields {
		if f.Name == QuarantineReasons || f.Name == QuarantineRow {
			return assay.Errorf(assay.Invalid, "the table has a column %s, which a quarantine file needs for itself", f.Name)
		}
	}
	from := c.source(c.violated, true)
	reasons, failing := []string{"'; '"}, []string{"false"}
	for _, b := range c.violated {
		if b.bad == "" {
			continue
		}
		what := pick(b.rule.name == "", "", b.rule.name+": ") + b.rule.rule
		reasons = append(reasons, "CASE WHEN "+b.bad+" THEN "+quote(what)+" END")
		if b.rule.terms.Severity != Warning {
			failing = append(failing, "("+b.bad+")")
		}
	}
	if len(reasons) == 1 {
		reasons = append(reasons, "''")
	}
	selects := make([]string, 0, len(fields)+2)
	for _, f := range fields {
		selects = append(selects, ident(f.Name))
	}
	selects = append(selects, "t._row + 1 AS "+QuarantineRow, "concat_ws("+strings.Join(reasons, ", ")+") AS "+QuarantineReasons)
	view, err := c.table.Select(ctx, "SELECT "+strings.Join(selects, ", ")+" FROM "+from+" WHERE "+strings.Join(failing, " OR ")+" ORDER BY t._row",
		append(fields, assay.Field{Name: QuarantineRow, Type: assay.TypeInteger}, assay.Field{Name: QuarantineReasons, Type: assay.TypeString}))
	if err != nil {
		return err
	}
	return view.Write(ctx, path, nil, "")
}
