package dataset

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// SplitOptions say how a table is divided.
type SplitOptions struct {
	By         string // stratified, random, group, stratified_group, time, hash, predefined
	Target     string
	Task       assay.Task
	Key        []string // what identifies a row; none: its content
	Entity     string   // for group and stratified_group
	Time       string   // for time
	Column     string   // for predefined: holds train, validation or test
	Validation float64  // share of the rows
	Test       float64
	Purge      float64 // seconds before each cut of a split by time
	Seed       uint64
	Exclude    []string // columns that are no features, besides key, entity, time and target
}

// A Division is a split table: the part of every row, in row order, and the payload that records it.
type Division struct {
	Part       []uint8     // 0 train, 1 validation, 2 test, 3 left out; one a row of the table
	Prints     [][16]byte  // row fingerprints over all columns, in row order
	Record     assay.Split // Assignment is the digest of Assignment()
	table      *table.Table
	options    SplitOptions
	assignment []byte
}

// Divide splits a table into train, validation and test, and runs every leakage check on the result. Rows that repeat others are
// kept on one side where rows are distinctive; where a table of few coarse columns repeats itself by nature, the overlap is reported
// beside what chance gives.
func Divide(ctx context.Context, t *table.Table, o SplitOptions) (*Division, error) {
	if err := o.check(t); err != nil {
		return nil, err
	}
	n := int(t.Rows())
	if n < 3 {
		return nil, assay.Errorf(assay.Rejected, "%d rows cannot be divided into three parts", n)
	}
	d := &Division{table: t, options: o}
	var err error
	if d.Prints, err = prints(ctx, t, nil); err != nil {
		return nil, err
	}
	cols, err := d.columns(ctx)
	if err != nil {
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
		d.Part, err = assignTime(cols.time, s, o.Purge)
		by = []string{o.Time}
	case "hash":
		keys := d.Prints
		if len(o.Key) > 0 {
			if keys, err = prints(ctx, t, o.Key); err != nil {
				return nil, err
			}
			by = o.Key
		}
		d.Part = assignHash(keys, s, o.Seed)
	case "predefined":
		d.Part, err = cols.predefined, nil
		by = []string{o.Column}
	}
	if err != nil {
		return nil, err
	}
	duplicates, err := d.duplicates(ctx)
	if err != nil {
		return nil, err
	}
	for p, name := range partNames {
		if !slices.Contains(d.Part, uint8(p)) {
			return nil, assay.Errorf(assay.Rejected, "the %s part is empty: %d rows split by %s", name, n, o.By).Try("change split.%s in assay.yaml", name)
		}
	}
	d.assignment = d.encode()
	d.Record = assay.Split{
		By: o.By, Columns: by, Key: append([]string{}, o.Key...), Seed: o.Seed, Sealed: assay.Test,
		Assignment: assay.DigestOf(d.assignment), Parts: d.parts(cols), Findings: []assay.Leakage{},
	}
	d.Record.Findings, err = d.leakage(ctx, cols, duplicates)
	return d, err
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
	need("target", o.Target)
	need("key", o.Key...)
	need("entity", o.Entity)
	need("time", o.Time)
	need("split", o.Column)
	switch o.By {
	case "stratified", "stratified_group":
		if o.Target == "" {
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
	if o.By != "predefined" && !(o.Validation > 0 && o.Test > 0 && o.Validation+o.Test < 1) {
		bad.Add("validation share %v and test share %v: want both above 0 and together below 1", o.Validation, o.Test)
	}
	return bad.Err(assay.Invalid, "cannot split")
}

// splitColumns are the columns that decide the split, row by row in memory.
type splitColumns struct {
	strata, entity []int
	labels         []string // names of the strata
	time           []float64
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
			return nil, nil, assay.Errorf(assay.Rejected, "column %q has no value in %d rows, the first is row %d; a split needs one for each", name, n, i+1)
		}
		return codes, levels, nil
	}
	var err error
	if o.Target != "" && o.Task.Classifies() {
		if c.strata, c.labels, err = codes(o.Target); err != nil {
			return c, err
		}
		if len(c.labels) < 2 {
			return c, assay.Errorf(assay.Rejected, "target %q has one class only: there is nothing to learn", o.Target)
		}
	}
	if o.By == "stratified" && !o.Task.Classifies() {
		return c, assay.Errorf(assay.Invalid, "split by stratified needs classes; the task is %s", o.Task).Try("split.by: random")
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
			return c, assay.Errorf(assay.Rejected, "time column %q is a %s; want a date, a timestamp or a number", o.Time, f[0].Type)
		}
		c.time = f[0].Floats
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
				return c, assay.Errorf(assay.Rejected, "column %q names a part other than train, validation and test", o.Column)
			}
		}
		c.predefined = make([]uint8, len(parts))
		for i, p := range parts {
			if p < 0 {
				return c, assay.Errorf(assay.Rejected, "column %q names no part in row %d", o.Column, i+1)
			}
			c.predefined[i] = to[p]
		}
	}
	return c, nil
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

// encode writes the assignment in its canonical form: fingerprint and part of every row, sorted, 17 bytes each. Rows of equal content
// are interchangeable, so the form does not depend on the order of the rows.
func (d *Division) encode() []byte {
	rows := make([][17]byte, len(d.Part))
	for i, p := range d.Part {
		copy(rows[i][:], d.Prints[i][:])
		rows[i][16] = p
	}
	slices.SortFunc(rows, func(a, b [17]byte) int { return bytes.Compare(a[:], b[:]) })
	out := make([]byte, 0, 17*len(rows))
	for _, r := range rows {
		out = append(out, r[:]...)
	}
	return out
}

// Assignment returns the stored form of the split: what Assign reads back.
func (d *Division) Assignment() []byte { return d.assignment }

// Assign gives the rows with these fingerprints the parts of a stored assignment, in row order. It refuses rows that the split does
// not know and a table that misses rows of it.
func Assign(assignment []byte, prints [][16]byte) ([]uint8, error) {
	if len(assignment)%17 != 0 {
		return nil, assay.Errorf(assay.Internal, "the stored assignment is damaged").Try("assay fsck")
	}
	parts := make(map[[16]byte][]uint8, len(assignment)/17)
	for a := assignment; len(a) > 0; a = a[17:] {
		k := [16]byte(a[:16])
		parts[k] = append(parts[k], a[16])
	}
	out := make([]uint8, len(prints))
	unknown := 0
	for i, p := range prints {
		left := parts[p]
		if len(left) == 0 {
			unknown++
			continue
		}
		out[i], parts[p] = left[0], left[1:]
	}
	if missing := len(assignment)/17 - (len(prints) - unknown); unknown > 0 || missing > 0 {
		return nil, assay.Errorf(assay.Refused, "the table is not the one that was split: %d rows are new and %d are gone", unknown, missing).Try("assay snapshot && assay split")
	}
	return out, nil
}

// RowsDigest identifies a set of rows by content: the SHA-256 of their sorted fingerprints.
func RowsDigest(prints [][16]byte) assay.Digest {
	sorted := slices.Clone(prints)
	slices.SortFunc(sorted, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	h := sha256.New()
	for i := range sorted {
		h.Write(sorted[i][:])
	}
	return assay.DigestSum([sha256.Size]byte(h.Sum(nil)))
}

// Rows returns the row numbers of a part, ascending.
func (d *Division) Rows(part string) []int { return rowsOf(d.Part, part) }

func rowsOf(parts []uint8, part string) []int {
	p := uint8(slices.Index(partNames, part))
	var out []int
	for i, x := range parts {
		if x == p {
			out = append(out, i)
		}
	}
	return out
}

// PartPrints returns the fingerprints of the rows of a part, in row order.
func (d *Division) PartPrints(part string) [][16]byte { return take(d.Prints, d.Rows(part)) }

// Distinct returns the fingerprints of the rows of some parts that occur once in the table: those that tell a row from all others.
func (d *Division) Distinct(parts ...string) [][16]byte {
	count := make(map[[16]byte]int, len(d.Prints))
	for _, p := range d.Prints {
		count[p]++
	}
	var out [][16]byte
	for i, p := range d.Prints {
		if d.Part[i] < dropped && count[p] == 1 && slices.Contains(parts, partNames[d.Part[i]]) {
			out = append(out, p)
		}
	}
	return out
}

// SealedPrints returns the sorted fingerprints of the test rows, 16 bytes each: what the seal keeps.
func (d *Division) SealedPrints() []byte {
	prints := d.PartPrints(assay.Test)
	slices.SortFunc(prints, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	out := make([]byte, 0, 16*len(prints))
	for _, p := range prints {
		out = append(out, p[:]...)
	}
	return out
}

func (d *Division) parts(c splitColumns) []assay.Part {
	out := make([]assay.Part, len(partNames))
	for i, name := range partNames {
		rows := d.Rows(name)
		out[i] = assay.Part{Name: name, Rows: int64(len(rows)), IDs: RowsDigest(take(d.Prints, rows))}
		if c.strata != nil {
			out[i].Labels = map[string]int64{}
			for _, r := range rows {
				out[i].Labels[c.labels[c.strata[r]]]++
			}
		}
	}
	return out
}

// Files are the files of a split: what the training side gets, and what is sealed.
type Files struct {
	Train        string // all columns
	Validation   string // all columns
	TestFeatures string // without the target
	TestLabels   string // key and target of the test rows, in the order of TestFeatures: for the seal only
}

// Write writes the parts as Parquet files into dir.
func (d *Division) Write(ctx context.Context, e *table.Engine, dir string) (Files, error) {
	all := names(d.table.Fields())
	features := slices.DeleteFunc(slices.Clone(all), func(c string) bool { return c == d.options.Target })
	row := make([]float64, len(d.Part))
	part := make([]float64, len(d.Part))
	for i, p := range d.Part {
		row[i], part[i] = float64(i), float64(p)
	}
	parts, err := e.FromFrame(ctx, assay.Frame{{Name: "row_number", Type: assay.TypeInteger, Floats: row}, {Name: "part", Type: assay.TypeInteger, Floats: part}})
	if err != nil {
		return Files{}, err
	}
	f := Files{
		Train: filepath.Join(dir, "train.parquet"), Validation: filepath.Join(dir, "validation.parquet"),
		TestFeatures: filepath.Join(dir, "test_features.parquet"), TestLabels: filepath.Join(dir, "test_labels.parquet"),
	}
	labels := append(slices.DeleteFunc(slices.Clone(d.options.Key), func(c string) bool { return c == d.options.Target }), d.options.Target)
	for _, w := range []struct {
		path    string
		columns []string
		part    uint8
	}{{f.Train, all, inTrain}, {f.Validation, all, inValidation}, {f.TestFeatures, features, inTest}, {f.TestLabels, labels, inTest}} {
		where := fmt.Sprintf("_row IN (SELECT CAST(row_number AS BIGINT) FROM %s WHERE part = %d)", parts.Relation(), w.part)
		if err := d.table.Write(ctx, w.path, w.columns, where); err != nil {
			return Files{}, err
		}
	}
	return f, nil
}

// prints are the fingerprints of all rows over some columns (nil: all), in row order.
func prints(ctx context.Context, t *table.Table, columns []string) ([][16]byte, error) {
	rows, err := t.Fingerprints(ctx, columns, "")
	if err != nil {
		return nil, err
	}
	out := make([][16]byte, len(rows))
	for i, r := range rows {
		out[i] = r.Fingerprint
	}
	return out, nil
}

// Prints returns the fingerprints of all rows of a table over all columns, in row order: what Assign takes.
func Prints(ctx context.Context, t *table.Table) ([][16]byte, error) { return prints(ctx, t, nil) }

func names(fields []assay.Field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.Name
	}
	return out
}

// Outside returns the fingerprints that a stored assignment does not train or validate on.
func Outside(assignment []byte, prints [][16]byte) [][16]byte {
	known := make(map[[16]byte]bool, len(assignment)/17)
	for a := assignment; len(a) >= 17; a = a[17:] {
		if a[16] != inTest {
			known[[16]byte(a[:16])] = true
		}
	}
	var out [][16]byte
	for _, p := range prints {
		if !known[p] {
			out = append(out, p)
		}
	}
	return out
}
