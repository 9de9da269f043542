package table

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
)

// conditionBytes is how long a condition may be.
const conditionBytes = 16 << 10

// conditionFunctions are what a condition may call: functions of the row alone, without side effects, of bounded cost.
var conditionFunctions = strings.Fields(`+ - * / % // ** ^ || ~~ !~~ ~~* !~~* abs ceil ceiling floor round sign sqrt exp ln log log10 log2 pow power
	greatest least isnan isinf isfinite lower upper trim ltrim rtrim length strlen left right substring substr contains starts_with ends_with
	prefix suffix concat replace regexp_matches like_escape not_like_escape year month day hour minute second quarter week dayofweek
	date_part date_trunc`)

// Condition accepts or refuses a text from a user as a row condition over the table: one SQL expression of columns, _row, constants,
// comparisons, AND, OR, NOT, IN, BETWEEN, IS NULL, LIKE, CASE, CAST, arithmetic and a fixed list of functions. There are no
// subqueries, aggregates, windows, parameters or other functions in it, so it can read nothing but the row. It is parsed, not run:
// the types of what it compares are checked when it is used.
func (t *Table) Condition(ctx context.Context, cond string) error {
	if len(cond) > conditionBytes {
		return assay.Errorf(assay.Invalid, "the condition is too long: %d bytes, at most %d", len(cond), conditionBytes)
	}
	if strings.TrimSpace(cond) == "" || strings.Contains(cond, "\x00") {
		return assay.Errorf(assay.Invalid, "the condition is empty or holds a NUL character")
	}
	// The call around the condition shows whether it is one expression: closing its parenthesis early changes the outermost node.
	clause, rest, err := t.engine.parseWhere(ctx, "assay_condition("+cond+"\n)")
	if err != nil {
		return err
	}
	_, plain, err := t.engine.parseWhere(ctx, "assay_condition(true\n)")
	if err != nil {
		return err
	}
	call, _ := clause.(map[string]any)
	children, _ := call["children"].([]any)
	if rest != plain || call["class"] != "FUNCTION" || call["function_name"] != "assay_condition" || len(children) != 1 ||
		call["distinct"] != false || call["filter"] != nil {
		return assay.Errorf(assay.Invalid, "the condition is not one expression")
	}
	var bad assay.Problems
	t.checkNode(&bad, children[0])
	slices.Sort(bad)
	return slices.Compact(bad).Err(assay.Invalid, "the condition is not allowed")
}

// parseWhere parses a WHERE clause and returns it as DuckDB's syntax tree, and all that is around it as text.
func (e *Engine) parseWhere(ctx context.Context, clause string) (any, string, error) {
	r, err := e.query(ctx, "SELECT CAST(json_serialize_sql(CAST(? AS VARCHAR)) AS VARCHAR)", "SELECT 1 FROM x WHERE "+clause)
	if err != nil {
		return nil, "", err
	}
	defer r.Close()
	var text string
	if !r.Next() {
		return nil, "", assay.Errorf(assay.Invalid, "the condition cannot be parsed")
	}
	if err := r.Scan(&text); err != nil {
		return nil, "", err
	}
	var doc struct {
		Error      bool `json:"error"`
		Statements []struct {
			Node  map[string]any `json:"node"`
			Named any            `json:"named_param_map"`
		} `json:"statements"`
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil || doc.Error || len(doc.Statements) != 1 {
		return nil, "", assay.Errorf(assay.Invalid, "the condition is not an SQL expression")
	}
	s := doc.Statements[0]
	where := s.Node["where_clause"]
	delete(s.Node, "where_clause")
	rest, err := json.Marshal(s)
	if err != nil {
		return nil, "", assay.Errorf(assay.Internal, "a syntax tree cannot be written: %w", err)
	}
	return where, string(rest), nil
}

// checkNode walks a syntax tree. What it does not know is refused.
func (t *Table) checkNode(bad *assay.Problems, node any) {
	n, ok := node.(map[string]any)
	if !ok {
		return
	}
	switch class, _ := n["class"].(string); class {
	case "COLUMN_REF":
		names, _ := n["column_names"].([]any)
		name, _ := names[len(names)-1].(string)
		if len(names) != 1 || !t.has(name) {
			bad.Add("there is no column %q", name)
		}
		return
	case "CONSTANT":
		return
	case "FUNCTION":
		name, _ := n["function_name"].(string)
		schema, _ := n["schema"].(string)
		if !slices.Contains(conditionFunctions, strings.ToLower(name)) || schema != "" && schema != "main" || n["filter"] != nil || n["distinct"] == true {
			bad.Add("the function %s may not be called", name)
		}
	case "COMPARISON", "CONJUNCTION", "BETWEEN", "CASE", "CAST":
	case "OPERATOR":
		switch kind, _ := n["type"].(string); kind {
		case "COMPARE_IN", "COMPARE_NOT_IN", "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL", "OPERATOR_NOT", "OPERATOR_COALESCE", "OPERATOR_NULLIF":
		default:
			bad.Add("the operator %s may not be used", strings.ToLower(strings.TrimPrefix(kind, "OPERATOR_")))
		}
	case "":
		// A part of a node, such as a branch of CASE.
	default:
		bad.Add("a %s may not be used", strings.ToLower(class))
		return
	}
	for key, child := range n {
		if key == "cast_type" || key == "order_bys" || key == "value" {
			continue
		}
		switch child := child.(type) {
		case map[string]any:
			t.checkNode(bad, child)
		case []any:
			for _, c := range child {
				t.checkNode(bad, c)
			}
		}
	}
}

// has reports whether name is a column or _row. SQL names ignore case.
func (t *Table) has(name string) bool {
	if strings.EqualFold(name, "_row") {
		return true
	}
	for _, f := range t.fields {
		if strings.EqualFold(f.Name, name) {
			return true
		}
	}
	return false
}
