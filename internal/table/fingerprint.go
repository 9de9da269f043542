package table

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/big"
	"slices"
	"strings"

	duckdb "github.com/duckdb/duckdb-go-bindings"

	"github.com/assay-ml/assay"
)

// A Fingerprint stands for the content of a row: the first 16 bytes of the SHA-256 of its canonical bytes.
type Fingerprint [16]byte

// A RowFingerprint is a row's number and fingerprint.
type RowFingerprint struct {
	Row         int64 // _row
	Fingerprint Fingerprint
}

// The canonical bytes of a row are those of its columns in the order of their names by bytes, each a tag and a payload. They follow from
// the values alone: not from the file format, the width of a type, the order of columns or the version of DuckDB. Equal numbers have
// equal bytes whatever their type: 1, 1.0 and a decimal 1.00 are one value; -0 is 0; every NaN is one value; a missing value is no other.
const (
	tagNull      = 0
	tagFalse     = 1
	tagTrue      = 2
	tagInteger   = 3  // zigzag varint: integers and integral floats of 64 bits
	tagHuge      = 4  // 16 bytes, big-endian two's complement: integers beyond, of 128 bits
	tagFloat     = 5  // 8 bytes of IEEE 754, big-endian: all other floats, and decimals that have at most 15 digits
	tagText      = 6  // uvarint length, UTF-8; JSON too
	tagDate      = 7  // zigzag varint days since 1970
	tagTime      = 8  // zigzag varint microseconds since midnight
	tagTimestamp = 9  // zigzag varint microseconds since 1970 UTC
	tagBinary    = 10 // uvarint length, bytes
	tagDecimal   = 11 // uvarint length, digits without trailing zeros: other decimals
)

// Fingerprints returns the fingerprints of the rows for which the SQL expression cond is true ("": all), over the given columns (nil:
// all), in the order of _row. Memory: 24 bytes a row.
func (t *Table) Fingerprints(ctx context.Context, columns []string, cond string) ([]RowFingerprint, error) {
	n := t.rows
	if cond != "" {
		n = 0
	}
	out := make([]RowFingerprint, 0, n)
	fields, err := t.columns(columns)
	if err != nil {
		return nil, err
	}
	err = t.eachFingerprint(ctx, fields, "_row", t.read(fields, cond)+t.inOrder(cond), func(row int64, f Fingerprint) {
		out = append(out, RowFingerprint{row, f})
	})
	return out, err
}

// ContentDigest returns the digest of the table's rows as a multiset: it does not depend on the order of rows or columns, nor on the
// file format. It is the SHA-256 of "assay.content/1", the number of columns and their names sorted (each after its length), the number
// of rows, and the rows' fingerprints sorted, numbers as uvarints. Memory: 16 bytes a row.
func (t *Table) ContentDigest(ctx context.Context) (assay.Digest, error) {
	all := make([]Fingerprint, 0, t.rows)
	if err := t.eachFingerprint(ctx, t.fields, "_row", t.read(t.fields, ""), func(_ int64, f Fingerprint) { all = append(all, f) }); err != nil {
		return "", err
	}
	return t.contentOf(all), nil
}

// ContentDigests returns the content digest of groups of rows, as ContentDigest has it, in one pass over the table. by is an SQL expression
// over the columns and _row, a BIGINT: the number of a row's group. by must not hold text from a user unless Condition has accepted it.
// Memory: 16 to 32 bytes a row.
func (t *Table) ContentDigests(ctx context.Context, by string, groups []int64) ([]assay.Digest, error) {
	at := make(map[int64]int, len(groups))
	for i, k := range groups {
		at[k] = i
	}
	all := make([][]Fingerprint, len(groups))
	group, i, known := int64(0), 0, false // of the row before: rows of a group often follow each other
	if err := t.eachFingerprint(ctx, t.fields, by, t.relation, func(of int64, f Fingerprint) {
		if !known || of != group {
			group = of
			if i, known = at[of]; !known {
				return
			}
		}
		all[i] = append(all[i], f)
	}); err != nil {
		return nil, err
	}
	out := make([]assay.Digest, len(groups))
	for i := range all {
		out[i] = t.contentOf(all[i])
	}
	return out, nil
}

// contentOf is the digest of rows with these fingerprints, which it sorts.
func (t *Table) contentOf(all []Fingerprint) assay.Digest {
	sortFingerprints(all)
	h := sha256.New()
	var b []byte
	b = append(b, "assay.content/1"...)
	b = binary.AppendUvarint(b, uint64(len(t.fields)))
	for _, f := range sortedFields(t.fields) {
		b = binary.AppendUvarint(b, uint64(len(f.Name)))
		b = append(b, f.Name...)
	}
	b = binary.AppendUvarint(b, uint64(len(all)))
	h.Write(b)
	for i := range all {
		h.Write(all[i][:])
	}
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return assay.DigestSum(sum)
}

// sortFingerprints sorts by bytes: a pass over the first two, which are uniform, then each small bucket.
func sortFingerprints(all []Fingerprint) {
	compare := func(a, b Fingerprint) int { return bytes.Compare(a[:], b[:]) }
	if len(all) < 1<<14 {
		slices.SortFunc(all, compare)
		return
	}
	const buckets = 1 << 16
	var ends [buckets]int
	for i := range all {
		ends[binary.BigEndian.Uint16(all[i][:])]++
	}
	sum := 0
	var starts [buckets]int
	for i, n := range ends {
		starts[i] = sum
		sum += n
		ends[i] = sum
	}
	next := starts
	for b := range buckets {
		for next[b] < ends[b] {
			to := int(binary.BigEndian.Uint16(all[next[b]][:]))
			if to == b {
				next[b]++
				continue
			}
			all[next[b]], all[next[to]] = all[next[to]], all[next[b]]
			next[to]++
		}
	}
	for b := range buckets {
		if ends[b]-starts[b] > 1 {
			slices.SortFunc(all[starts[b]:ends[b]], compare)
		}
	}
}

func sortedFields(fields []assay.Field) []assay.Field {
	out := slices.Clone(fields)
	slices.SortFunc(out, func(a, b assay.Field) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// A hashing is the rows of one chunk on their way to fingerprints.
type hashing struct {
	rows    [][]byte // canonical bytes
	numbers []int64
	counts  []bool // whether a row has a number
}

// eachFingerprint hands on the fingerprints of the rows of a relation over the given fields, each with number, an SQL expression of type BIGINT;
// rows without a number are passed over. Rows are written as bytes in one goroutine and hashed in another, which calls each, in order.
func (t *Table) eachFingerprint(ctx context.Context, fields []assay.Field, number, from string, each func(number int64, f Fingerprint)) error {
	fields = sortedFields(fields)
	selects := []string{number}
	for _, f := range fields {
		selects = append(selects, Ident(f.Name))
	}
	r, err := t.engine.query(ctx, "SELECT "+strings.Join(selects, ", ")+" FROM "+from)
	if err != nil {
		return err
	}
	defer r.Close()
	const ahead = 4
	full, empty := make(chan *hashing, ahead), make(chan *hashing, ahead)
	for range ahead {
		empty <- &hashing{}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for h := range full {
			for i, b := range h.rows[:len(h.numbers)] {
				if h.counts[i] {
					sum := sha256.Sum256(b)
					each(h.numbers[i], Fingerprint(sum[:16]))
				}
			}
			empty <- h
		}
	}()
	defer func() { close(full); <-done }()
	for r.nextChunk() {
		h := <-empty
		for len(h.rows) < r.size {
			h.rows = append(h.rows, make([]byte, 0, 64))
		}
		batch := h.rows[:r.size]
		for i := range batch {
			batch[i] = batch[i][:0]
		}
		for i := range fields {
			if err := r.vectors[i+1].canonical(batch); err != nil {
				return err
			}
		}
		h.numbers, h.counts = append(h.numbers[:0], slice[int64](&r.vectors[0], r.size)...), h.counts[:0]
		for i := range r.size {
			h.counts = append(h.counts, !r.vectors[0].null(i))
		}
		full <- h
	}
	return r.err
}

// canonical appends every row's canonical bytes of this column.
func (v *vector) canonical(rows [][]byte) error {
	switch v.kind {
	case duckdb.TypeTinyInt:
		canonicalInts[int8](v, rows, tagInteger)
	case duckdb.TypeSmallInt:
		canonicalInts[int16](v, rows, tagInteger)
	case duckdb.TypeInteger:
		canonicalInts[int32](v, rows, tagInteger)
	case duckdb.TypeBigInt:
		canonicalInts[int64](v, rows, tagInteger)
	case duckdb.TypeUTinyInt:
		canonicalInts[uint8](v, rows, tagInteger)
	case duckdb.TypeUSmallInt:
		canonicalInts[uint16](v, rows, tagInteger)
	case duckdb.TypeUInteger:
		canonicalInts[uint32](v, rows, tagInteger)
	case duckdb.TypeDate:
		canonicalInts[int32](v, rows, tagDate)
	case duckdb.TypeTime:
		canonicalInts[int64](v, rows, tagTime)
	case duckdb.TypeTimestamp:
		canonicalInts[int64](v, rows, tagTimestamp)
	case duckdb.TypeDouble:
		for i, x := range slice[float64](v, len(rows)) {
			if v.null(i) {
				rows[i] = append(rows[i], tagNull)
			} else {
				rows[i] = canonicalFloat(rows[i], x)
			}
		}
	case duckdb.TypeBoolean:
		for i, x := range slice[uint8](v, len(rows)) {
			if v.null(i) {
				rows[i] = append(rows[i], tagNull)
			} else {
				rows[i] = append(rows[i], tagFalse+x)
			}
		}
	case duckdb.TypeVarchar, duckdb.TypeBlob:
		tag := byte(tagText)
		if v.kind == duckdb.TypeBlob {
			tag = tagBinary
		}
		for i := range rows {
			if v.null(i) {
				rows[i] = append(rows[i], tagNull)
				continue
			}
			rows[i] = canonicalText(rows[i], tag, v.text(i))
		}
	default:
		for i := range rows {
			x, err := v.value(i)
			if err != nil {
				return err
			}
			switch x := x.(type) {
			case nil:
				rows[i] = append(rows[i], tagNull)
			case *big.Int:
				rows[i] = canonicalBig(rows[i], x)
			case decimal:
				rows[i] = canonicalDecimal(rows[i], x)
			default:
				return assay.Errorf(assay.Internal, "a column has a type without canonical bytes")
			}
		}
	}
	return nil
}

func canonicalInts[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32](v *vector, rows [][]byte, tag byte) {
	values := slice[T](v, len(rows))
	if v.mask == nil {
		for i, x := range values {
			rows[i] = binary.AppendVarint(append(rows[i], tag), int64(x))
		}
		return
	}
	for i, x := range values {
		if v.null(i) {
			rows[i] = append(rows[i], tagNull)
		} else {
			rows[i] = binary.AppendVarint(append(rows[i], tag), int64(x))
		}
	}
}

func canonicalText(b []byte, tag byte, s string) []byte {
	b = binary.AppendUvarint(append(b, tag), uint64(len(s)))
	return append(b, s...)
}

func canonicalFloat(b []byte, x float64) []byte {
	if x == math.Trunc(x) {
		if x >= -1<<63 && x < 1<<63 {
			return binary.AppendVarint(append(b, tagInteger), int64(x))
		}
		if math.Abs(x) < 0x1p127 {
			n, _ := big.NewFloat(x).Int(nil)
			return canonicalBig(b, n)
		}
	}
	if x != x {
		x = math.NaN()
	}
	return binary.BigEndian.AppendUint64(append(b, tagFloat), math.Float64bits(x))
}

func canonicalBig(b []byte, n *big.Int) []byte {
	if n.IsInt64() {
		return binary.AppendVarint(append(b, tagInteger), n.Int64())
	}
	m := new(big.Int).Set(n)
	if m.Sign() < 0 {
		m.Add(m, new(big.Int).Lsh(big.NewInt(1), 128))
	}
	var raw [16]byte
	m.FillBytes(raw[:])
	return append(append(b, tagHuge), raw[:]...)
}

func canonicalDecimal(b []byte, d decimal) []byte {
	n, scale := new(big.Int).Set(d.unscaled), d.scale
	ten, rest := big.NewInt(10), new(big.Int)
	for scale > 0 {
		q, r := new(big.Int).QuoRem(n, ten, rest)
		if r.Sign() != 0 {
			break
		}
		n, scale = q, scale-1
	}
	if scale == 0 {
		return canonicalBig(b, n)
	}
	reduced := decimal{n, scale}
	if len(new(big.Int).Abs(n).String()) <= 15 {
		return canonicalFloat(b, reduced.float())
	}
	return canonicalText(b, tagDecimal, reduced.String())
}
