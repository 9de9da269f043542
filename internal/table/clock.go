package table

import (
	"context"
	"fmt"

	"github.com/assay-ml/assay"
)

// A Clock is how a column says when a row came.
type Clock struct {
	SQL  string // a TIMESTAMP in UTC of a row, NULL without one; "": the column does not say it
	Fine bool   // to the second or better: rows are in an order
	Year string // where the values are years, SQL for the one of a row
}

// Clock reads a column that somebody calls a time: dates and timestamps; whole numbers from 1000 to 9999, which are years; and numbers of seconds, milliseconds,
// microseconds or nanoseconds since 1970, which of them following from their size, where all of them are of one. It returns no SQL for any other column, and for
// one that the table does not have.
func (t *Table) Clock(ctx context.Context, column string) (Clock, error) {
	f, ok := t.Field(column)
	if !ok || column == "" {
		return Clock{}, nil
	}
	id := Ident(column)
	switch f.Type {
	case assay.TypeDate, assay.TypeTimestamp:
		return Clock{SQL: "CAST(" + id + " AS TIMESTAMP)", Fine: f.Type == assay.TypeTimestamp}, nil
	case assay.TypeInteger, assay.TypeNumber:
	default:
		return Clock{}, nil
	}
	r, err := t.Query(ctx, "SELECT CAST(min("+id+") AS DOUBLE), CAST(max("+id+") AS DOUBLE) FROM "+t.Relation())
	if err != nil {
		return Clock{}, err
	}
	defer r.Close()
	var low, high *float64
	if r.Next() {
		err = r.Scan(&low, &high)
	}
	if err == nil {
		err = r.Close()
	}
	if err != nil || low == nil {
		return Clock{}, err
	}
	if f.Type == assay.TypeInteger && *low >= 1000 && *high <= 9999 {
		year := "CAST(" + id + " AS BIGINT)"
		return Clock{SQL: "make_timestamp(" + year + ", 1, 1, 0, 0, 0)", Year: year}, nil
	}
	switch ticks := Ticks(*low, *high); {
	case ticks == 0:
		return Clock{}, nil
	case f.Type == assay.TypeNumber:
		return Clock{SQL: fmt.Sprintf("make_timestamp(CAST(round(%s * %g) AS BIGINT))", id, 1e6/ticks), Fine: true}, nil
	case ticks > 1e6:
		return Clock{SQL: fmt.Sprintf("make_timestamp(CAST(%s // %d AS BIGINT))", id, int64(ticks/1e6)), Fine: true}, nil
	default:
		return Clock{SQL: fmt.Sprintf("make_timestamp(CAST(%s AS BIGINT) * %d)", id, int64(1e6/ticks)), Fine: true}, nil
	}
}

// Ticks is how many of a unit make a second, where numbers from low to high count seconds, milliseconds, microseconds or nanoseconds since 1970, of moments from 1973
// on: 1, 1e3, 1e6 or 1e9. 0 where they are of no unit, or of more than one.
func Ticks(low, high float64) float64 {
	least := 1e8
	for _, ticks := range []float64{1, 1e3, 1e6, 1e9} {
		if low >= least && high < 1e3*least && high < 9.2e18 {
			return ticks
		}
		least *= 1e3
	}
	return 0
}

// NoClock is the error for a column that was to say when rows came, and does not.
func (t *Table) NoClock(column string) error {
	f, ok := t.Field(column)
	if !ok {
		return assay.Errorf(assay.NotFound, "the data has no column %q to cut windows by", column)
	}
	e := assay.Errorf(assay.Rejected, "column %q is of type %s and does not say when a row came: want dates or timestamps in ISO 8601, years, or seconds, milliseconds, microseconds or nanoseconds since 1970, of one unit throughout", column, f.Type)
	if f.Type == assay.TypeString {
		return e.Try("make dates of it, such as 2026-01-31: in pandas pd.to_datetime(df[%q], dayfirst=True)", column)
	}
	return e.Try("make timestamps of it: in pandas pd.to_datetime(df[%q], unit=\"s\")", column)
}
