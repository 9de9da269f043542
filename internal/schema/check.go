package schema

import (
	"context"
	"fmt"
	"math/bits"
	"slices"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// DefaultFirstRows is how many row numbers a violation lists when CheckOptions.FirstRows is 0.
const DefaultFirstRows = 10

// CheckOptions say how to check a table.
type CheckOptions struct {
	Boundary   string // which boundary is checked, for the record: data, train, validation, test, predictions
	Quarantine string // a file to which all failing rows go, with _row and _reasons; "": none
	FirstRows  int    // how many row numbers a violation lists; 0: DefaultFirstRows
}

// Check holds a table against the schema and reports every constraint that does not hold. One scan decides; a second one, only when
// something is violated, finds the rows.
//
// A row fails when it breaks a constraint of severity error that does not hold. The verdict is Fail when such a constraint exists,
// Undetermined for a table without rows that breaks nothing, and Pass otherwise. The payload's violations hold no value of the data.
//
// A table that is read in place (table.Options.InPlace) is checked in the same way, and every column of it is read: damage in one that
// the schema does not name is an error as well, and so is a file that changed before the verdict (both rejected).
func (s *Schema) Check(ctx context.Context, t *table.Table, o CheckOptions) (assay.Validation, error) {
	v, err := s.check(ctx, t, o)
	if err = t.ReadError(ctx, err); err != nil {
		return assay.Validation{}, err
	}
	return v, nil
}

func (s *Schema) check(ctx context.Context, t *table.Table, o CheckOptions) (assay.Validation, error) {
	s, err := s.canonical()
	if err != nil {
		return assay.Validation{}, err
	}
	digest, err := s.Digest()
	if err != nil {
		return assay.Validation{}, err
	}
	rules, err := s.rules(t)
	if err != nil {
		return assay.Validation{}, err
	}
	c := &checking{table: t, rules: rules, first: o.FirstRows}
	if c.first <= 0 {
		c.first = DefaultFirstRows
	}
	out := assay.Validation{
		Schema: digest, Boundary: o.Boundary, Rows: t.Rows(), Constraints: len(s.constraints()),
		Violations: []assay.Violation{}, Verdict: assay.Pass,
	}
	if err := c.narrow(ctx, s); err != nil {
		return assay.Validation{}, err
	}
	if err := c.count(ctx); err != nil {
		return assay.Validation{}, err
	}
	if err := c.locate(ctx); err != nil {
		return assay.Validation{}, err
	}
	if o.Quarantine != "" {
		if err := c.quarantine(ctx, o.Quarantine); err != nil {
			return assay.Validation{}, err
		}
	}
	out.Failing = c.failing
	out.Violations = append(out.Violations, c.violations...)
	sort.SliceStable(out.Violations, func(i, j int) bool { return out.Violations[i].Count > out.Violations[j].Count })
	switch {
	case c.failed:
		out.Verdict = assay.Fail
	case t.Rows() == 0:
		out.Verdict = assay.Undetermined
	}
	return out, nil
}

// checking is one check of one table.
type checking struct {
	table      *table.Table
	rules      []tableRule
	first      int
	violated   []broken
	violations []assay.Violation
	failing    int64
	failed     bool
}

// broken is a rule that does not hold.
type broken struct {
	rule      *tableRule
	violation int    // index into violations
	bad       string // SQL that is true for a row that fails; "" for none
}

// A tally gathers counts over one relation, each expression once.
type tally struct {
	sums    []string
	suspect []string   // SQL that is true at least of the rows that each counts
	columns [][]string // that each reads
	at      map[string]int
}

// add returns the index of the count of rows for which where, which reads the given columns, is true. suspect is as in tableRule.
func (y *tally) add(where, suspect string, columns []string) int {
	i, ok := y.at[where]
	if !ok {
		i = len(y.sums)
		y.at[where] = i
		y.columns = append(y.columns, columns)
		y.suspect = append(y.suspect, pick(suspect != "", suspect, where))
		if value, ok := strings.CutSuffix(where, " IS NOT NULL"); ok {
			y.sums = append(y.sums, "count("+value+")")
		} else {
			y.sums = append(y.sums, "coalesce(count_if("+where+"), 0)")
		}
	}
	return i
}

// screen returns the counts, as run does, of a table of many columns of which few are expected not to be 0: one statement asks of many
// whether any may be, and only those of a group in which one is are counted. What the statement costs is its planning, and that takes half
// the time when there are few aggregates.
func (c *checking) screen(ctx context.Context, y *tally) ([]int64, error) {
	counts := make([]int64, len(y.sums))
	rest, at := &tally{}, []int{}
	for from := 0; from < len(counts); from += screenGroups * screenGroup {
		to := min(from+screenGroups*screenGroup, len(counts))
		var sums []string
		for i := from; i < to; i += screenGroup {
			each := slices.Compact(slices.Clone(y.suspect[i:min(i+screenGroup, to)])) // rules of a column follow each other
			sums = append(sums, "count(CASE WHEN ("+strings.Join(each, ") OR (")+") THEN 1 END)")
		}
		found := make([]int64, len(sums))
		if err := c.row(ctx, "SELECT "+strings.Join(sums, ", ")+" FROM "+c.from(y.columns[from:to]...)+" AS t", found); err != nil {
			return nil, err
		}
		for g, n := range found {
			for i := from + g*screenGroup; n > 0 && i < min(from+(g+1)*screenGroup, to); i++ {
				rest.sums, rest.columns, at = append(rest.sums, y.sums[i]), append(rest.columns, y.columns[i]), append(at, i)
			}
		}
	}
	some, err := c.run(ctx, rest)
	for i, n := range some {
		counts[at[i]] = n
	}
	return counts, err
}

// How many counts an aggregate of screen stands for, and how many aggregates a statement of it has.
const (
	screenGroup  = 24
	screenGroups = 32
)

// run returns the counts.
func (c *checking) run(ctx context.Context, y *tally) ([]int64, error) {
	counts := make([]int64, len(y.sums))
	for from := 0; from < len(counts); from += maxSums {
		to := min(from+maxSums, len(counts))
		if err := c.row(ctx, "SELECT "+strings.Join(y.sums[from:to], ", ")+" FROM "+c.from(y.columns[from:to]...)+" AS t", counts[from:to]); err != nil {
			return nil, err
		}
	}
	return counts, nil
}

// from returns what to select from so that the given columns can be read.
func (c *checking) from(columns ...[]string) string {
	all := slices.Concat(columns...)
	slices.Sort(all)
	return c.table.From(slices.Compact(all)...)
}

// maxSums is how many aggregates one statement holds. The engine plans a statement in time that grows with the square of them, while a
// further statement over other columns reads nothing twice.
const maxSums = 128

// count counts the rows that break each rule and notes the rules that do not hold. How many rows a rule speaks of is counted only where
// some of them break it. What must not repeat is looked for beside the scan: each alone leaves a processor idle for some of its time.
func (c *checking) count(ctx context.Context) error {
	bad := make([]int64, len(c.rules)) // of each rule; the two ways write different ones
	ways, wctx := errgroup.WithContext(ctx)
	ways.Go(func() error { return c.countRepeated(wctx, bad) })
	ways.Go(func() error { return c.countBroken(wctx, bad) })
	if err := ways.Wait(); err != nil {
		return err
	}
	y, slots := &tally{at: map[string]int{}}, make([]int, len(c.rules))
	for i := range c.rules {
		if r := &c.rules[i]; bad[i] > 0 && r.checked != "" {
			slots[i] = y.add(r.checked, "", r.columns)
		}
	}
	counts, err := c.run(ctx, y)
	if err != nil {
		return err
	}
	for i := range c.rules {
		checked := c.table.Rows()
		if bad[i] > 0 && c.rules[i].checked != "" {
			checked = counts[slots[i]]
		}
		c.judge(&c.rules[i], bad[i], checked)
	}
	return nil
}

// countRepeated counts the rows that break the rules of uniqueness.
func (c *checking) countRepeated(ctx context.Context, bad []int64) (err error) {
	for i := range c.rules {
		if r := &c.rules[i]; r.keys != nil {
			if bad[i], err = c.repeated(ctx, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// countBroken counts the rows that break the other rules, in one scan, and in a grouping of each column whose rules gain from it.
func (c *checking) countBroken(ctx context.Context, bad []int64) error {
	groups, err := c.groupings(ctx)
	if err != nil {
		return err
	}
	grouped := map[int]bool{}
	for _, g := range groups {
		for _, i := range g {
			grouped[i] = true
		}
		if err := c.countGroups(ctx, g, bad); err != nil {
			return err
		}
	}
	y, slots := &tally{at: map[string]int{}}, make([]int, len(c.rules))
	for i := range c.rules {
		if r := &c.rules[i]; r.bad != "" && r.bad != "true" && !grouped[i] {
			slots[i] = y.add(r.bad, r.suspect, r.columns)
		}
	}
	if c.table.InPlace() {
		c.readAll(y)
	}
	count := c.run
	if len(c.table.Fields()) >= table.WideColumns {
		count = c.screen
	}
	counts, err := count(ctx, y)
	if err != nil {
		return err
	}
	for i := range c.rules {
		switch r := &c.rules[i]; {
		case grouped[i] || r.keys != nil:
		case r.whole():
			bad[i] = c.table.Rows()
		case r.bad != "":
			bad[i] = counts[slots[i]]
		}
	}
	return nil
}

// readAll adds a count of each column that no rule reads, so that damage in it is found.
func (c *checking) readAll(y *tally) {
	read := map[string]bool{}
	for i := range c.rules {
		if r := &c.rules[i]; !r.whole() {
			for _, name := range r.columns {
				read[name] = true
			}
		}
	}
	for _, f := range c.table.Fields() {
		if !read[f.Name] {
			y.add(ident(f.Name)+" IS NOT NULL", "", []string{f.Name})
		}
	}
}

// whole reports whether r is violated by the table as a whole, and so by every row of it.
func (r *tableRule) whole() bool {
	return r.keys == nil && (r.bad == "true" || r.bad == "" && !r.holds)
}

// judge notes a violation unless enough of the checked rows satisfy the rule.
func (c *checking) judge(r *tableRule, bad, checked int64) {
	if !r.whole() && (bad == 0 || float64(checked-bad)/float64(checked) >= r.terms.required()) {
		return
	}
	v := assay.Violation{Column: r.name, Rule: r.rule, Detail: r.detail, Count: bad, Fraction: 1, Rows: []int64{}}
	if r.column < 0 && r.rule != RuleUnknown {
		v.Column, v.Detail = "", pick(r.name == "", "", r.name+": ")+r.detail
	}
	if checked > 0 {
		v.Fraction = float64(bad) / float64(checked)
	}
	if p := r.terms.required(); p < 1 {
		v.Detail += fmt.Sprintf(" in at least %v of the rows", p)
	}
	if r.terms.Severity == Warning {
		v.Severity = string(Warning)
	} else {
		c.failed = true
	}
	c.violated = append(c.violated, broken{rule: r, violation: len(c.violations), bad: r.bad})
	c.violations = append(c.violations, v)
}

// repeated counts the rows whose key occurs more than once, and for a compound or stated key those in which a part is missing.
func (c *checking) repeated(ctx context.Context, r *tableRule) (int64, error) {
	n := make([]int64, 1)
	distinct, err := c.dense(ctx, r)
	if err != nil {
		return 0, err
	}
	if !distinct {
		if distinct, err = c.table.Differ(ctx, r.keys, c.from(r.columns)); err != nil {
			return 0, err
		}
	}
	if !distinct {
		err = c.grouped(ctx, r, n)
	}
	if err != nil || r.rule != RuleKey {
		return n[0], err
	}
	missing := make([]int64, 1)
	err = c.row(ctx, "SELECT count(*) FROM "+c.from(r.columns)+" AS t WHERE NOT ("+present(r.keys)+")", missing)
	return n[0] + missing[0], err
}

// Integers are looked for in a bitmap when their span is at most maxBits and sparseness times their number.
const (
	maxBits    = 1 << 27
	sparseness = 64
)

// dense reports whether the key is an integer that certainly does not repeat: as many bits of a bitmap are set as there are values,
// which takes a fraction of the time of a grouping. False decides nothing.
func (c *checking) dense(ctx context.Context, r *tableRule) (bool, error) {
	if !r.integers {
		return false, nil
	}
	k := r.keys[0]
	from := " FROM " + c.from(r.columns) + " AS t"
	span := make([]int64, 3)
	if err := c.row(ctx, "SELECT count("+k+"), coalesce(TRY_CAST(min("+k+") AS BIGINT), 0), coalesce(TRY_CAST(max("+k+") AS BIGINT), -1)"+from, span); err != nil {
		return false, err
	}
	n, lo, hi := span[0], span[1], span[2]
	if bits := uint64(hi) - uint64(lo); hi < lo || bits >= maxBits || bits >= uint64(n)*sparseness {
		return false, nil
	}
	set := make([]int64, 1)
	err := c.row(ctx, fmt.Sprintf("SELECT bit_count(bitstring_agg(CAST(%s AS BIGINT), %s, %s))%s", k, val{kind: valInt, i: lo}.sql(), val{kind: valInt, i: hi}.sql(), from), set)
	return set[0] == n, err
}

// grouped counts the rows whose key occurs more than once.
func (c *checking) grouped(ctx context.Context, r *tableRule, n []int64) error {
	return c.row(ctx, "SELECT CAST(coalesce(sum(n), 0) AS BIGINT) FROM (SELECT count(*) AS n FROM "+c.from(r.columns)+" AS t WHERE "+
		present(r.keys)+" GROUP BY "+strings.Join(r.keys, ", ")+" HAVING count(*) > 1)", n)
}

// present is true for a row that has every part of a key.
func present(keys []string) string { return strings.Join(keys, " IS NOT NULL AND ") + " IS NOT NULL" }

// source returns what to select from so that the given violated rules have their SQL, repeated keys included, and fills in the latter.
// With it are the columns of the table that the rules read, unless all are wanted.
func (c *checking) source(violated []broken, all bool) string {
	from := c.table.Relation() + " AS t"
	if !all {
		read := make([][]string, len(violated))
		for i := range violated {
			read[i] = violated[i].rule.columns
		}
		from = c.from(read...) + " AS t"
	}
	for i := range violated {
		b := &violated[i]
		if b.rule.keys == nil {
			continue
		}
		d := "d" + strconv.Itoa(i)
		var parts, on []string
		for j, k := range b.rule.keys {
			part := "k" + strconv.Itoa(j)
			parts = append(parts, k+" AS "+part)
			on = append(on, k+" = "+d+"."+part)
		}
		from += " LEFT JOIN (SELECT " + strings.Join(parts, ", ") + " FROM " + c.from(b.rule.columns) + " AS t WHERE " + present(b.rule.keys) +
			" GROUP BY " + strings.Join(b.rule.keys, ", ") + " HAVING count(*) > 1) AS " + d + " ON " + strings.Join(on, " AND ")
		b.bad = d + ".k0 IS NOT NULL"
		if b.rule.rule == RuleKey {
			b.bad += " OR NOT (" + present(b.rule.keys) + ")"
		}
	}
	return from
}

// locate runs the second scan: the first rows of each violated rule, and how many rows fail.
func (c *checking) locate(ctx context.Context) error {
	var every []int
	var some []broken
	for _, b := range c.violated {
		switch {
		case b.bad == "true":
			every = append(every, b.violation)
			if b.rule.terms.Severity != Warning {
				c.failing = c.table.Rows()
			}
		case b.bad != "" || b.rule.keys != nil:
			some = append(some, b)
		}
	}
	if len(every) > 0 {
		if err := c.rows(ctx, fmt.Sprintf("SELECT array_to_string(min(t._row, %d), ',') FROM %s AS t", c.first, c.from()), every[:1]); err != nil {
			return err
		}
		for _, i := range every[1:] {
			c.violations[i].Rows = append(c.violations[i].Rows, c.violations[every[0]].Rows...)
		}
	}
	var failing []uint64 // a bit a row, where one statement cannot hold all rules
	for batch := range slices.Chunk(some, maxSums) {
		from := c.source(batch, false)
		var sums, bads []string
		var which []int
		for _, b := range batch {
			which = append(which, b.violation)
			sums = append(sums, fmt.Sprintf("array_to_string(min(CASE WHEN %s THEN t._row END, %d), ',')", b.bad, c.first))
			if b.rule.terms.Severity != Warning {
				bads = append(bads, "("+b.bad+")")
			}
		}
		if err := c.rows(ctx, "SELECT "+strings.Join(sums, ", ")+" FROM "+from, which); err != nil {
			return err
		}
		if len(bads) == 0 || c.failing == c.table.Rows() {
			continue
		}
		bad := strings.Join(bads, " OR ")
		if len(some) <= maxSums {
			n := make([]int64, 1)
			err := c.row(ctx, "SELECT coalesce(count_if("+bad+"), 0) FROM "+from, n)
			c.failing = n[0]
			return err
		}
		var err error
		if failing, err = c.mark(ctx, "SELECT t._row FROM "+from+" WHERE "+bad, failing); err != nil {
			return err
		}
	}
	for _, w := range failing {
		c.failing += int64(bits.OnesCount64(w))
	}
	return nil
}

// mark sets the bit of every row number that a query answers, and returns the bits.
func (c *checking) mark(ctx context.Context, query string, set []uint64) ([]uint64, error) {
	rows, err := c.table.Query(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		for int(n/64) >= len(set) {
			set = append(set, 0) // a view keeps the numbers of its rows, so they may exceed their count
		}
		set[n/64] |= 1 << (n % 64)
	}
	return set, rows.Close()
}

// rows runs a query that answers lists of row numbers, and adds them to the violations.
func (c *checking) rows(ctx context.Context, query string, which []int) error {
	rows, err := c.table.Query(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	texts, dest := make([]*string, len(which)), make([]any, len(which))
	for i := range texts {
		dest[i] = &texts[i]
	}
	if !rows.Next() {
		return rows.Err()
	}
	if err := rows.Scan(dest...); err != nil {
		return err
	}
	for i, text := range texts {
		if text == nil || *text == "" {
			continue
		}
		v := &c.violations[which[i]]
		for _, n := range strings.Split(*text, ",") {
			row, err := strconv.ParseInt(n, 10, 64)
			if err != nil {
				return assay.Errorf(assay.Internal, "row numbers cannot be read: %w", err)
			}
			v.Rows = append(v.Rows, row+1)
		}
	}
	return rows.Close()
}

// row runs a query that answers one row of integers.
func (c *checking) row(ctx context.Context, query string, dest []int64) error {
	rows, err := c.table.Query(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return err
		}
		return assay.Errorf(assay.Internal, "an aggregate answered no row")
	}
	to := make([]any, len(dest))
	for i := range dest {
		to[i] = &dest[i]
	}
	if err := rows.Scan(to...); err != nil {
		return err
	}
	return rows.Close()
}
