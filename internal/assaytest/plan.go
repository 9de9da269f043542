package assaytest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A planNode is a step of a statement of DuckDB, as its EXPLAIN has it in JSON.
type planNode struct {
	Name     string     `json:"name"`
	Children []planNode `json:"children"`
}

// pairing are the joins that look at pairs of rows one by one, and those by inequality, whose answer may be as many.
var pairing = []string{"NESTED_LOOP_JOIN", "BLOCKWISE_NL_JOIN", "CROSS_PRODUCT", "IE_JOIN", "PIECEWISE_MERGE_JOIN"}

// SlowJoins are the joins of a plan whose work grows with the product of the rows of both sides: all but those by equality, and those with a side that is one
// row whatever the data. joins is how many joins there are in all.
func SlowJoins(plan string) (slow []string, joins int, err error) {
	var roots []planNode
	if err := json.Unmarshal([]byte(plan), &roots); err != nil {
		return nil, 0, fmt.Errorf("a plan cannot be read: %w", err)
	}
	var walk func(n planNode)
	walk = func(n planNode) {
		name := strings.TrimSpace(n.Name)
		if strings.HasSuffix(name, "JOIN") || name == "CROSS_PRODUCT" {
			joins++
		}
		if slices.Contains(pairing, name) && !slices.ContainsFunc(n.Children, oneRow) {
			slow = append(slow, name)
		}
		for _, c := range n.Children {
			walk(c)
		}
	}
	for _, n := range roots {
		walk(n)
	}
	return slow, joins, nil
}

// oneRow reports whether a step gives at most one row.
func oneRow(n planNode) bool {
	switch strings.TrimSpace(n.Name) {
	case "UNGROUPED_AGGREGATE", "DUMMY_SCAN", "SIMPLE_AGGREGATE":
		return true
	case "PROJECTION", "FILTER", "LIMIT", "STREAMING_LIMIT", "ORDER_BY", "TOP_N":
		return len(n.Children) == 1 && oneRow(n.Children[0])
	}
	return false
}

// NoSlowJoins fails a test whose engine runs a statement with such a join; explain is the engine's Explain. Benchmarks are left alone.
func NoSlowJoins(t testing.TB, explain func(told func(sql, plan string))) {
	if _, bench := t.(*testing.B); bench {
		return
	}
	explain(func(sql, plan string) {
		slow, _, err := SlowJoins(plan)
		if err != nil || len(slow) > 0 {
			t.Errorf("work that grows with the product of rows: %s (%v) in\n%s", strings.Join(slow, ", "), err, sql)
		}
	})
}
