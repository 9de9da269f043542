package table

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
)

// integersAsText is the key of a Parquet file's own metadata that lists, as JSON, the columns of integers that the file holds as text.
const integersAsText = "assay_integers"

// parquetColumns are the expressions that put columns into a Parquet file, and what else COPY has to be told. The format knows integers
// of 64 bits, with and without a sign, and exact decimals of 38 digits; the engine would write anything wider as a float64. So a column
// of 128-bit integers becomes the narrowest of BIGINT, UBIGINT and DECIMAL(38,0) that holds all of its values, and text beyond, of which
// the file's metadata says that it is integers. The whole table decides, not the rows that are written, so that the parts of a table
// have one type.
func (t *Table) parquetColumns(ctx context.Context, fields []assay.Field, selects []string) (option string, err error) {
	var whole, names []string
	for _, f := range fields {
		if f.Type == assay.TypeInteger {
			whole, names = append(whole, Ident(f.Name)), append(names, f.Name)
		}
	}
	if len(whole) == 0 {
		return "", nil
	}
	r, err := t.engine.query(ctx, "SELECT column_name FROM (DESCRIBE SELECT "+strings.Join(whole, ", ")+" FROM "+t.From(names...)+") WHERE column_type IN ('HUGEINT', 'UHUGEINT', 'UBIGINT')")
	if err != nil {
		return "", err
	}
	wide := map[string]bool{}
	for r.Next() {
		var name string
		if err := r.Scan(&name); err != nil {
			r.Close()
			return "", err
		}
		wide[name] = true
	}
	if err := r.Close(); err != nil {
		return "", err
	}
	var texts []string
	for i, f := range fields {
		if !wide[f.Name] {
			continue
		}
		typ, err := t.parquetInteger(ctx, f.Name)
		if err != nil {
			return "", err
		}
		if typ == "VARCHAR" {
			texts = append(texts, f.Name)
		}
		selects[i] = fmt.Sprintf("CAST(%s AS %s) AS %s", Ident(f.Name), typ, Ident(f.Name))
	}
	if len(texts) == 0 {
		return "", nil
	}
	list, err := json.Marshal(texts)
	if err != nil {
		return "", err
	}
	return ", KV_METADATA {" + integersAsText + ": " + Literal(string(list)) + "}", nil
}

// parquetInteger names the narrowest type of a Parquet file that holds every value of a column of 128-bit integers.
func (t *Table) parquetInteger(ctx context.Context, column string) (string, error) {
	var least, most *string
	query := fmt.Sprintf("SELECT CAST(min(%[1]s) AS VARCHAR), CAST(max(%[1]s) AS VARCHAR) FROM %[2]s", Ident(column), t.From(column))
	if err := t.engine.queryRow(ctx, query, &least, &most); err != nil {
		return "", err
	}
	if least == nil || most == nil {
		return "BIGINT", nil
	}
	lo, okLo := new(big.Int).SetString(*least, 10)
	hi, okHi := new(big.Int).SetString(*most, 10)
	if !okLo || !okHi {
		return "", assay.Errorf(assay.Internal, "column %q is integers whose extremes are none", column)
	}
	limit := new(big.Int).Exp(big.NewInt(10), big.NewInt(38), nil)
	switch {
	case lo.IsInt64() && hi.IsInt64():
		return "BIGINT", nil
	case lo.Sign() >= 0 && hi.Cmp(new(big.Int).SetUint64(math.MaxUint64)) <= 0:
		return "UBIGINT", nil
	case lo.CmpAbs(limit) < 0 && hi.CmpAbs(limit) < 0:
		return "DECIMAL(38,0)", nil
	}
	return "VARCHAR", nil
}

// textIntegers are the columns of Parquet files that hold integers as text, by what every one of the files says of itself.
func (e *Engine) textIntegers(ctx context.Context, links []string) (map[string]bool, error) {
	said := map[string]int{}
	for _, l := range links {
		r, err := e.query(ctx, "SELECT value FROM parquet_kv_metadata("+Literal(l)+") WHERE key = '"+integersAsText+"'::BLOB")
		if err != nil {
			return nil, err
		}
		for r.Next() {
			var list []byte
			var names []string
			if r.Scan(&list) == nil && json.Unmarshal(list, &names) == nil {
				slices.Sort(names)
				for _, n := range slices.Compact(names) {
					said[n]++
				}
			}
		}
		if err := r.Close(); err != nil {
			return nil, err
		}
	}
	out := map[string]bool{}
	for n, files := range said {
		if files == len(links) {
			out[n] = true
		}
	}
	return out, nil
}
