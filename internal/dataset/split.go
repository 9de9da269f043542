package dataset

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// SplitOptions say how a table is divided.
type SplitOptions struct {
	By         string // stratified, random, group, stratified_group, time, hash, predefined
	Target     string
	Labels     []string // of a multilabel task, in the place of Target
	Query      string   // of a ranking: the column of what the rows are ranked for; a query is never torn apart
	Task       assay.Task
	Key        []string // what identifies a row: unique and never missing; none: its content
	Entity     string   // for group and stratified_group
	Time       string   // for time
	Column     string   // for predefined: holds train, validation or test
	Validation float64  // share of the rows; of the groups for group
	Test       float64
	Purge      float64 // seconds before each cut of a split by time that are left out
	Embargo    float64 // seconds after each cut of a split by time that are left out
	Seed       uint64
	Exclude    []string // columns that are no features, besides key, entity, time and target
}

// A Division is a split table: the part of every row, in row order, and the payload that records it.
type Division struct {
	Part       []uint8     // 0 train, 1 validation, 2 test, 3 left out; one a row of the table
	Prints     [][16]byte  // row fingerprints over all columns, in row order
	Record     assay.Split // Assignment is the digest of Assignment()
	Look       *Look       // what the seal compares
	shown      [][16]byte  // row fingerprints over all columns but the target
	table      *table.Table
	options    SplitOptions
	known      splitColumns
	by         []string
	scan       scanned
	assignment []byte
	sketch     []byte
}

// scanned is what the leakage checks know of the features.
type scanned struct {
	twins            twins
	features, folded *cells
	signals          []*signals // one; of a multilabel task one a label
	ordered          []string   // features that grow with the row number
}

// Divide splits a table into train, validation and test, and runs every leakage check on the result. Rows that repeat others are
// kept on one side where rows are distinctive; where a table of few coarse columns repeats itself by nature, the overlap is reported
// beside what chance gives. Splits that are stratified or random follow the order of the rows, as scikit-learn's do; all others follow
// from the content alone.
func Divide(ctx context.Context, t *table.Table, o SplitOptions) (*Division, error) {
	if err := o.check(t); err != nil {
		return nil, err
	}
	n := int(t.Rows())
	if n < 3 {
		return nil, assay.Errorf(assay.Rejected, "%d rows cannot be divided into three parts", n).Try("data.uri in assay.yaml must name a table with more rows")
	}
	d := &Division{table: t, options: o}
	features := d.features()
	if len(features) == 0 {
		return nil, assay.Errorf(assay.Rejected, "no column is left to learn from: every one is a key, the target or excluded").Try("data.exclude and data.key in assay.yaml")
	}
	cols, err := d.columns(ctx)
	if err != nil {
		return nil, err
	}
	if d.Prints, err = prints(ctx, t, nil); err != nil {
		return nil, err
	}
	if d.shown, err = prints(ctx, t, d.without(o.targets())); err != nil {
		return nil, err
	}
	s := shares{o.Validation, o.Test}
	by := []string{}
	switch o.By {
	case "stratified":
		d.Part, err = assignRandom(n, cols.strata, s, o.Seed)
		by = []string{o.Target}
	case "random":
		d.Part, err = assignRandom(n, nil, s, o.Seed)
	case "group":
		d.Part, err = assignGroups(cols.entity, nil, s, o.Seed)
		by = []string{o.Entity}
	case "stratified_group":
		d.Part, err = assignGroups(cols.entity, cols.strata, s, o.Seed)
		by = []string{o.Target, o.Entity}
	case "time":
		d.Part, err = assignTime(cols.time, s, o.Purge, o.Embargo)
		by = []string{o.Time}
	case "hash":
		ids := cols.keys
		if ids == nil { // the features alone, so that copies stay together and a corrected label moves nothing
			if ids, err = prints(ctx, t, features); err != nil {
				return nil, err
			}
		} else {
			by = o.Key
		}
		d.Part = assignHash(ids, s, o.Seed)
	case "predefined":
		d.Part = cols.predefined
		by = []string{o.Column}
	}
	if err != nil {
		return nil, err
	}
	if d.Look, err = NewLook(ctx, t, o.Key, o.targets()...); err != nil {
		return nil, err
	}
	d.known, d.by = cols, by
	if err := d.checkQueries(ctx); err != nil {
		return nil, err
	}
	d.scan = scanned{features: d.Look.cells.only(features), folded: &cells{names: features}}
	d.scan.twins = findTwins(d.scan.features)
	if d.scan.twins.distinctive && (o.By == "stratified" || o.By == "random") {
		d.scan.twins.gather(d.Part)
	}
	for p, name := range partNames {
		if !slices.Contains(d.Part, uint8(p)) {
			return nil, assay.Errorf(assay.Rejected, "the %s part is empty: %d rows split by %s", name, n, o.By).Try("other shares or another split.by in assay.yaml")
		}
	}
	return d, d.settle(ctx, d.Part)
}

// settle makes parts the parts of the split: it runs the checks and writes the record.
func (d *Division) settle(ctx context.Context, parts []uint8) error {
	d.Part = parts
	d.scan.signals = newSignals(d.known, parts)
	d.scan.folded.hash, d.scan.ordered = nil, nil
	err := d.table.EachColumn(ctx, d.scan.folded.names, func(c *assay.Column) error {
		d.scan.folded.hash = append(d.scan.folded.hash, fold(c, len(d.scan.folded.names) == 1))
		for _, s := range d.scan.signals {
			s.add(c)
		}
		if grows(c) {
			d.scan.ordered = append(d.scan.ordered, c.Name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.assignment = encodeAssignment(d.Prints, parts)
	test := d.Rows(assay.Test)
	others := make([]int, 0, len(parts)-len(test))
	for i, p := range parts {
		if p != inTest {
			others = append(others, i)
		}
	}
	of, err := d.Look.shape(ctx, d.table, d.scan.folded.names, test, others)
	if err != nil {
		return err
	}
	d.sketch = d.Look.sketch(test, of, d.options.By == "stratified" || d.options.By == "random")
	d.Record = assay.Split{
		By: d.options.By, Columns: d.by, Key: append([]string{}, d.options.Key...), Seed: d.options.Seed, Sealed: assay.Test, Assignment: assay.DigestOf(d.assignment),
		Sketch: assay.DigestOf(d.sketch), Options: d.options.digest(), Parts: d.parts(d.known), Findings: d.leakage(d.known, d.scan),
	}
	return ctx.Err()
}

// digest names the options: equal options divide equal rows in equal order equally.
func (o SplitOptions) digest() assay.Digest {
	said := []any{o.By, o.Target, o.Task, o.Key, o.Entity, o.Time, o.Column, o.Validation, o.Test, o.Purge, o.Embargo, o.Seed, o.Exclude}
	if len(o.Labels) > 0 || o.Query != "" { // the digest of other splits stays as it was
		said = append(said, o.Labels, o.Query)
	}
	return assay.DigestOf(fmt.Appendf(nil, "assay.split/1 %q", said))
}

// features are the columns that a model could learn from.
func (d *Division) features() []string {
	o := d.options
	drop := slices.Concat([]string{o.Entity, o.Query, o.Time, o.Column}, o.targets(), o.Key, o.Exclude)
	return slices.DeleteFunc(names(d.table.Fields()), func(c string) bool { return slices.Contains(drop, c) })
}

func (o SplitOptions) check(t *table.Table) error {
	have := names(t.Fields())
	var bad assay.Problems
	need := func(what string, cols ...string) {
		for _, c := range cols {
			if c != "" && !slices.Contains(have, c) {
				bad.Add("%s column %q is not in the table; it has %s", what, c, strings.Join(have, ", "))
			}
		}
	}
	need("target", o.targets()...)
	need("query", o.Query)
	need("key", o.Key...)
	need("entity", o.Entity)
	need("time", o.Time)
	need("split", o.Column)
	switch o.By {
	case "stratified", "stratified_group":
		if len(o.targets()) == 0 {
			bad.Add("split by %s needs a target", o.By)
		}
	case "random", "group", "time", "hash", "predefined":
	default:
		bad.Add("split by %q is none of stratified, random, group, stratified_group, time, hash, predefined", o.By)
	}
	if (o.By == "group" || o.By == "stratified_group") && o.Entity == "" {
		bad.Add("split by %s needs an entity column", o.By)
	}
	if o.By == "time" && o.Time == "" {
		bad.Add("split by time needs a time column")
	}
	if o.By == "predefined" && o.Column == "" {
		bad.Add("split by predefined needs the column that names the part")
	}
	if !(o.Purge >= 0 && o.Embargo >= 0) {
		bad.Add("purge %v s and embargo %v s: want none below 0", o.Purge, o.Embargo)
	}
	for _, y := range o.targets() {
		if slices.Contains(o.Key, y) {
			bad.Add("the target %q cannot be part of the key", y)
		}
	}
	if o.By != "predefined" && !(o.Validation > 0 && o.Test > 0 && o.Validation+o.Test < 1) {
		bad.Add("validation share %v and test share %v: want both above 0 and together below 1", o.Validation, o.Test)
	}
	return bad.Err(assay.Invalid, "cannot split")
}

// splitColumns are the columns that decide the split, row by row in memory.
type splitColumns struct {
	name           string // of the label that the strata are of; empty: the target
	strata, entity []int
	labels         []string       // names of the strata
	each           []splitColumns // of a multilabel task: the strata of each label
	time           []float64
	values         []float64 // the target, where it is a number
	keys           [][16]byte
	predefined     []uint8
}

func (d *Division) columns(ctx context.Context) (splitColumns, error) {
	o := d.options
	var c splitColumns
	codes := func(name string) ([]int, []string, error) {
		f, err := d.table.Frame(ctx, []string{name}, "")
		if err != nil {
			return nil, nil, err
		}
		codes, levels := Classes(&f[0])
		if i := slices.Index(codes, -1); i >= 0 {
			n := 0
			for _, x := range codes {
				if x < 0 {
					n++
				}
			}
			return nil, nil, assay.Errorf(assay.Rejected, "column %q has no value in %d rows, the first is row %d; a split needs one for each", name, n, i+1).
				Try("leave those rows out of the data, and say so under exclusions in data.documentation")
		}
		return codes, levels, nil
	}
	var err error
	if len(o.Key) > 0 {
		if c.keys, err = d.uniqueKeys(ctx); err != nil {
			return c, err
		}
	}
	if o.Target != "" && o.Task.Classifies() {
		if c.strata, c.labels, err = codes(o.Target); err != nil {
			return c, err
		}
		if len(c.labels) < 2 {
			return c, assay.Errorf(assay.Rejected, "target %q has one class only: there is nothing to learn", o.Target).Try("data.target.column in assay.yaml")
		}
		if err := apart(o.Target, c.labels); err != nil {
			return c, err
		}
	}
	if o.Target != "" && !o.Task.Classifies() {
		f, err := d.table.Frame(ctx, []string{o.Target}, "")
		if err != nil {
			return c, err
		}
		if f[0].Floats == nil {
			return c, assay.Errorf(assay.Rejected, "target %q is a %s; %s needs a number", o.Target, f[0].Type, o.Task).Try("data.target.task in assay.yaml")
		}
		if bad := count(f[0].Floats, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }); bad > 0 {
			return c, assay.Errorf(assay.Rejected, "target %q has no finite value in %d of %d rows; a split needs one for each", o.Target, bad, len(f[0].Floats)).
				Try("leave those rows out of the data, and say so under exclusions in data.documentation")
		}
		c.values = f[0].Floats
	}
	if (o.By == "stratified" || o.By == "stratified_group") && (!o.Task.Classifies() || o.Task == assay.Multilabel) {
		other := map[string]string{"stratified": "random", "stratified_group": "group"}[o.By]
		return c, assay.Errorf(assay.Invalid, "split by %s needs classes, one a row; the task is %s", o.By, o.Task).Try("split.by: %s", other)
	}
	if len(o.Labels) > 0 {
		if c.each, err = d.labels(ctx); err != nil {
			return c, err
		}
	}
	if o.Entity != "" {
		if c.entity, _, err = codes(o.Entity); err != nil {
			return c, err
		}
	}
	if o.Time != "" {
		f, err := d.table.Frame(ctx, []string{o.Time}, "")
		if err != nil {
			return c, err
		}
		if f[0].Floats == nil {
			return c, assay.Errorf(assay.Rejected, "time column %q is a %s; want a date, a timestamp or a number", o.Time, f[0].Type).Try("data.time in assay.yaml")
		}
		if c.time = f[0].Floats; f[0].Type.Numeric() && (o.Purge > 0 || o.Embargo > 0) {
			if c.time, err = seconds(c.time, o.Time); err != nil {
				return c, err
			}
		}
	}
	if o.By == "predefined" {
		f, err := d.table.Frame(ctx, []string{o.Column}, "")
		if err != nil {
			return c, err
		}
		parts, levels := Classes(&f[0])
		to := make([]uint8, len(levels))
		for i, l := range levels {
			switch strings.ToLower(strings.TrimSpace(l)) {
			case "train", "training":
				to[i] = inTrain
			case "validation", "valid", "val", "dev":
				to[i] = inValidation
			case "test":
				to[i] = inTest
			default:
				return c, assay.Errorf(assay.Rejected, "column %q names a part other than train, validation and test", o.Column).Try("split.column in assay.yaml")
			}
		}
		c.predefined = make([]uint8, len(parts))
		for i, p := range parts {
			if p < 0 {
				return c, assay.Errorf(assay.Rejected, "column %q names no part in row %d", o.Column, i+1).Try("split.column in assay.yaml")
			}
			c.predefined[i] = to[p]
		}
	}
	return c, nil
}

// uniqueKeys returns the fingerprints of the key, and refuses one that repeats or is missing.
func (d *Division) uniqueKeys(ctx context.Context) ([][16]byte, error) {
	key := d.options.Key
	var missing []string
	for _, k := range key {
		missing = append(missing, table.Ident(k)+" IS NULL")
	}
	rows, err := d.table.Query(ctx, "SELECT count(*) FILTER ("+strings.Join(missing, " OR ")+") FROM "+d.table.From(key...))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var null int64
	if rows.Next() {
		if err := rows.Scan(&null); err != nil {
			return nil, err
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	ids, err := prints(ctx, d.table, key)
	if err != nil {
		return nil, err
	}
	times := make(map[[16]byte]int, len(ids))
	for _, p := range ids {
		times[p]++
	}
	repeated, most := 0, 0
	for _, n := range times {
		if n > 1 {
			repeated++
		}
		most = max(most, n)
	}
	var bad assay.Problems
	if null > 0 {
		bad.Add("%d of %d rows have no key", null, len(ids))
	}
	if repeated > 0 {
		bad.Add("%d keys repeat, in %d of %d rows; the most frequent occurs %d times", repeated, len(ids)-len(times)+repeated, len(ids), most)
	}
	if err := bad.Err(assay.Rejected, "key "+strings.Join(key, ", ")+" does not identify a row"); err != nil {
		return nil, err.(*assay.Error).Try("data.key in assay.yaml: name the columns that identify a row together, or none; what may repeat is data.entity")
	}
	return ids, nil
}

func count(xs []float64, is func(float64) bool) int {
	n := 0
	for _, x := range xs {
		if is(x) {
			n++
		}
	}
	return n
}

// Classes returns the class of each row of a column as an index into the distinct values in ascending order (numbers by size,
// text by bytes), -1 where there is none, and the names of the classes.
func Classes(c *assay.Column) ([]int, []string) {
	out := make([]int, c.Len())
	if c.Codes != nil {
		used := make([]int, len(c.Levels))
		for _, x := range c.Codes {
			if x >= 0 {
				used[x] = 1
			}
		}
		var labels []string
		for i, u := range used {
			used[i] = len(labels)
			if u == 1 {
				labels = append(labels, c.Levels[i])
			}
		}
		for i, x := range c.Codes {
			out[i] = -1
			if x >= 0 {
				out[i] = used[x]
			}
		}
		return out, labels
	}
	seen := map[float64]int{}
	for _, v := range c.Floats {
		if !math.IsNaN(v) {
			seen[v] = 0
		}
	}
	values := make([]float64, 0, len(seen))
	for v := range seen {
		values = append(values, v)
	}
	slices.Sort(values)
	labels := make([]string, len(values))
	for i, v := range values {
		seen[v] = i
		labels[i] = ClassName(c.Type, v)
	}
	for i, v := range c.Floats {
		out[i] = -1
		if !math.IsNaN(v) {
			out[i] = seen[v]
		}
	}
	return out, labels
}

// ClassName writes a class that is a number or a boolean, as assay.yaml writes it.
func ClassName(t assay.Type, v float64) string {
	if t == assay.TypeBoolean {
		return map[bool]string{false: "false", true: "true"}[v != 0]
	}
	return fmt.Sprint(v)
}

// Keep gives the rows the parts of a stored assignment of the same content instead, and measures the leakage of those.
func (d *Division) Keep(ctx context.Context, assignment []byte) error {
	parts, err := Assign(assignment, d.Prints)
	if err != nil {
		return err
	}
	return d.settle(ctx, parts)
}

// seconds are numbers that count years, or a unit of time since 1970, as seconds since then: what a purge and an embargo are told in.
func seconds(times []float64, column string) ([]float64, error) {
	low, high, whole := math.Inf(1), math.Inf(-1), true
	for _, t := range times {
		if !math.IsNaN(t) { // which is refused later
			low, high, whole = math.Min(low, t), math.Max(high, t), whole && t == math.Trunc(t)
		}
	}
	out := slices.Clone(times)
	ticks := table.Ticks(low, high)
	if years := whole && low >= 1000 && high <= 9999; ticks == 0 && !years {
		return nil, assay.Errorf(assay.Rejected, "time column %q holds numbers of no known unit, which split.purge and split.embargo cannot be measured in: want dates, timestamps, years, or seconds, milliseconds, microseconds or nanoseconds since 1970", column).
			Try("make timestamps of it, or leave out split.purge and split.embargo")
	}
	for i, t := range out {
		switch {
		case ticks > 0:
			out[i] = t / ticks
		case !math.IsNaN(t):
			out[i] = float64(time.Date(int(t), 1, 1, 0, 0, 0, 0, time.UTC).Unix())
		}
	}
	return out, nil
}
