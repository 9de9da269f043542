package dataset

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// encodeAssignment writes the assignment in its canonical form: fingerprint and part of every row, sorted, 17 bytes each. Rows of equal content
// are interchangeable, so the form does not depend on the order of the rows.
func encodeAssignment(prints [][16]byte, parts []uint8) []byte {
	rows := make([][17]byte, len(parts))
	for i, p := range parts {
		copy(rows[i][:], prints[i][:])
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

// PartFile is what the file of a part is called.
func PartFile(part string) string {
	if part == assay.Test {
		return "test_features.parquet"
	}
	return part + ".parquet"
}

// LabelsFile is the file of the labels to seal, until they are.
const LabelsFile = "test_labels.parquet"

// Written is the digest of a table as the file of a part is held against it: the SHA-256 of "assay.part/1", the names of the columns
// sorted, each after its length, the number of rows, and the rows' fingerprints in their order. It does not depend on how the file is
// encoded, for a writer of Parquet promises no bytes.
func Written(ctx context.Context, t *table.Table) (assay.Digest, error) {
	p, err := prints(ctx, t, nil)
	if err != nil {
		return "", err
	}
	return written(names(t.Fields()), p), nil
}

func written(columns []string, prints [][16]byte) assay.Digest {
	h := sha256.New()
	b := binary.AppendUvarint([]byte("assay.part/1"), uint64(len(columns)))
	for _, name := range slices.Sorted(slices.Values(columns)) {
		b = binary.AppendUvarint(b, uint64(len(name)))
		b = append(b, name...)
	}
	h.Write(binary.AppendUvarint(b, uint64(len(prints))))
	for i := range prints {
		h.Write(prints[i][:])
	}
	return assay.DigestSum([sha256.Size]byte(h.Sum(nil)))
}

// without are the columns of the table but some.
func (d *Division) without(some []string) []string {
	return slices.DeleteFunc(names(d.table.Fields()), func(c string) bool { return slices.Contains(some, c) })
}

func (d *Division) parts(c splitColumns) []assay.Part {
	out := make([]assay.Part, len(partNames))
	for i, name := range partNames {
		rows := d.Rows(name)
		out[i] = assay.Part{Name: name, Rows: int64(len(rows)), IDs: RowsDigest(take(d.Prints, rows))}
		if name == assay.Test {
			out[i].Written = written(d.without(d.options.targets()), take(d.shown, rows))
		} else {
			out[i].Written = written(d.without(nil), take(d.Prints, rows))
		}
		if c.each != nil && name != assay.Test { // labels decide nothing here, so those of the sealed part stay sealed
			out[i].Labels = map[string]int64{}
			for _, l := range c.each {
				for _, r := range rows {
					out[i].Labels[l.name] += int64(l.strata[r])
				}
			}
		}
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

// Write writes the parts as Parquet files into dir, and the labels to seal into another folder, sealing, so that no end of the process
// leaves them beside the parts.
func (d *Division) Write(ctx context.Context, e *table.Engine, dir, sealing string) (Files, error) {
	targets := d.options.targets()
	all, features := d.without(nil), d.without(targets)
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
		Train: filepath.Join(dir, PartFile(assay.Train)), Validation: filepath.Join(dir, PartFile(assay.Valid)),
		TestFeatures: filepath.Join(dir, PartFile(assay.Test)), TestLabels: filepath.Join(sealing, LabelsFile),
	}
	labels := slices.Concat(d.options.Key, targets)
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
