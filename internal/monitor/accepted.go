package monitor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// accepted are the rows of a traffic as its model takes them: columns that came as text with the values that the text holds, and columns that did not come as
// missing in every row. A row with a value that is none of its column's type is refused, as a server refuses it; so is one without a value where the model cannot
// do without. Nothing of a row is lost for the counts, which are of the table as it came.
type accepted struct {
	table    *table.Table  // a view
	selected string        // SQL of its columns over the table as it came
	fields   []assay.Field // of it
	refused  string        // SQL over the table as it came: whether a row is refused; "" where none can be
	absent   []string
}

// accept makes them; nil where the table is as the model takes it.
func (x *Traffic) accept(ctx context.Context) (*accepted, error) {
	if x.Model == nil {
		return nil, nil
	}
	out := &accepted{selected: "*", fields: x.Table.Fields()}
	var replaced, added, refused []string
	for _, name := range x.Model.Inputs {
		i := slices.IndexFunc(x.Model.Fields, func(f assay.Field) bool { return f.Name == name })
		live, ok := x.Table.Field(name)
		if i < 0 {
			if !ok {
				return nil, assay.Errorf(assay.Rejected, "the data has no column %q that the model needs", name)
			}
			continue
		}
		want := x.Model.Fields[i]
		whole := slices.Contains(x.Model.Whole, name)
		if !ok {
			out.absent = append(out.absent, name)
			typ := "DOUBLE"
			if want.Type = flat(want.Type); want.Type == assay.TypeString {
				typ = "VARCHAR"
			}
			added, out.fields = append(added, "NULL::"+typ+" AS "+table.Ident(name)), append(out.fields, want)
			if whole {
				refused = append(refused, "true")
			}
			continue
		}
		value, wrong := typed(want.Type, live)
		if value != "" {
			replaced = append(replaced, value+" AS "+table.Ident(name))
			out.fields[slices.IndexFunc(out.fields, func(f assay.Field) bool { return f.Name == name })].Type = flat(want.Type)
		} else {
			value = table.Ident(name)
		}
		if wrong != "" {
			refused = append(refused, wrong)
		}
		if whole {
			v := "CAST(" + value + " AS DOUBLE)"
			refused = append(refused, fmt.Sprintf("coalesce(%s <> trunc(%s) OR isnan(%s), true)", v, v, v))
		}
	}
	if len(replaced)+len(added)+len(refused) == 0 {
		return nil, nil
	}
	if len(refused) > 0 {
		out.refused = "(" + strings.Join(refused, " OR ") + ")"
	}
	if len(replaced) > 0 {
		out.selected += " REPLACE (" + strings.Join(replaced, ", ") + ")"
	}
	if len(added) > 0 {
		out.selected += ", " + strings.Join(added, ", ")
	}
	var err error
	out.table, err = x.Table.Select(ctx, "SELECT "+out.selected+" FROM "+x.Table.Relation(), out.fields)
	return out, err
}

// flat is the type of which a column comes to a model: text, or numbers.
func flat(t assay.Type) assay.Type {
	if t == assay.TypeString || t == assay.TypeJSON || t == assay.TypeBinary {
		return assay.TypeString
	}
	return assay.TypeNumber
}

// typed is the SQL of a column's values as a model takes them, "" where they are so already, and that of a value being of another type, "" where none can be.
func typed(want assay.Type, live assay.Field) (value, wrong string) {
	switch {
	case flat(want) == flat(live.Type):
		return "", ""
	case flat(want) == assay.TypeString:
		value, _ = category(&Feature{Type: assay.TypeString}, live)
		return value, ""
	case live.Type != assay.TypeString:
		return "NULL::DOUBLE", table.Ident(live.Name) + " IS NOT NULL"
	case want == assay.TypeBoolean:
		value = "CAST(TRY_CAST(" + table.Ident(live.Name) + " AS BOOLEAN) AS DOUBLE)"
		return value, table.Ident(live.Name) + " IS NOT NULL AND " + value + " IS NULL"
	}
	return numeric(&Feature{Type: want}, live)
}

// missing are the columns that did not come.
func (a *accepted) missing() []string {
	if a == nil {
		return nil
	}
	return a.absent
}

// window is SQL by which only rows that were not refused are of a window.
func (a *accepted) window(expr string) string {
	if a == nil || a.refused == "" {
		return expr
	}
	return "CASE WHEN NOT " + a.refused + " THEN " + expr + " END"
}

// refusals counts the refused rows by window.
func (a *accepted) refusals(ctx context.Context, t *table.Table, window string) (map[int64]int64, error) {
	if a == nil || a.refused == "" {
		return nil, nil
	}
	return perWindow(ctx, t, window, "CASE WHEN "+a.refused+" THEN _row END", "count(v)")
}
