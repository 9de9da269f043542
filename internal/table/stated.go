package table

import (
	"context"

	"github.com/assay-ml/assay"
)

// base64Text is a whole text in standard base64 with padding.
const base64Text = `([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?`

// stated returns the type of a column of text of a relation that is stated to be nested or bytes, and the SQL of its value: that type where every
// value is one, and its own otherwise.
func (e *Engine) stated(ctx context.Context, from, column string, own, stated assay.Type) (assay.Type, string, error) {
	is, value := "", column
	switch {
	case own != assay.TypeString:
		return own, column, nil
	case stated == assay.TypeJSON:
		is = "json_valid(" + column + ")"
	case stated == assay.TypeBinary:
		is = "regexp_full_match(" + column + ", " + Literal(base64Text) + ")"
		value = "from_base64(" + column + ")"
	default:
		return own, column, nil
	}
	var others int64
	err := e.queryRow(ctx, "SELECT count(*) FROM (SELECT "+column+" FROM "+from+") WHERE "+column+" IS NOT NULL AND NOT "+is, &others)
	if err != nil || others > 0 {
		return own, column, err
	}
	return stated, value, nil
}
