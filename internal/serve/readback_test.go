package serve

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/table"
)

// hostile are values of requests that some reader or other has trouble with.
func hostile() []string {
	out := []string{
		"9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616",
		"1e18", "1e19", "-1e19", "1e300", "1e999", "-1e999", "1e-999", "0.1", "-0", "-0.0", "1.5", "1e2", "12345678901234567890.5", "5e-324", "NaN", "Infinity",
		strings.Repeat("9", 300), strings.Repeat("9", 400), "-" + strings.Repeat("9", 5000), "0." + strings.Repeat("3", 400),
		`""`, `"a"`, `"\u0000"`, `"a\u0000b"`, `"\ud800"`, `"\udc00\ud800"`, `"\uffff"`, "\"\xff\xfe\"", "\"\x00\"", `"\"\\\n\r\t\b\f\u001f\u007f\u2028"`, `"null"`, `"NaN"`, `"1e999"`,
		`"0000-01-01"`, `"0001-01-01"`, `"9999-12-31"`, `"10000-01-01"`, `"-0001-01-01"`, `"2026-02-30"`, `"1970-01-01"`, `"0000-02-29"`, `"294247-01-10"`,
		`"00:00:00"`, `"23:59:59.999999999"`, `"24:00:00"`, `"23:59:60"`,
		`"0000-01-01T00:00:00Z"`, `"0001-01-01T00:00:00+23:59"`, `"9999-12-31T23:59:59-23:59"`, `"9999-12-31T23:59:59.999999999Z"`, `"2026-01-01T00:00:00.5+05:30"`,
		"null", "true", "false", "[]", "[1,[2,[3]]]", `{"a":{"a":[{}]}}`, `{"a":1,"a":2}`, strings.Repeat("[", 300) + strings.Repeat("]", 300), "", "{", "01", "+1",
		`"` + strings.Repeat("x", 1<<20) + `"`,
	}
	return out
}

// FuzzWhatIsLoggedIsRead: whatever stands in a request, accepted or refused, in whichever column, as a key, a parameter or an id, what is
// logged of it can be read by the table engine, made Parquet, and read again.
func FuzzWhatIsLoggedIsRead(f *testing.F) {
	for _, v := range hostile() {
		f.Add([]byte(v))
	}
	e, err := table.Open(f.Context(), table.Options{Threads: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { e.Close() })
	f.Fuzz(func(t *testing.T, value []byte) {
		s, b, l := everyType(t, LogOptions{})
		rows := 0
		end := func(c *Call, err error) {
			if c.Found = c.Rows.Check(c.Found); err != nil {
				_ = c.Malform(err)
			} else if len(c.Found) > 0 {
				c.Outcome = Refused
			}
			rows += max(1, c.Rows.Rows())
			c.End()
		}
		begin := func(id string) *Call {
			c, err := s.Begin("test", "m", "", id)
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		// As JSON, in every column at once and in each alone.
		for i := -1; i < b.in.Fields(); i++ {
			var body bytes.Buffer
			body.WriteString(`[{}`)
			for j := range b.in.Fields() {
				if i < 0 || i == j {
					fmt.Fprintf(&body, `,{%q:%s}`, b.in.Field(j).Name, value)
				}
			}
			body.WriteString(`]`)
			c := begin(string(value))
			c.Reader.Reset(body.Bytes(), 0)
			err := c.ReadInstances(&c.Reader)
			if err == nil && !c.Reader.End() {
				err = assay.Errorf(assay.Invalid, "no JSON")
			}
			end(c, err)
		}
		// As a value of a protocol with types, a key and a parameter.
		c := begin("")
		c.Params = append(c.Params, value...)
		c.Trace, c.Incident, c.Took = string(value), string(value), -time.Hour
		var bits [8]byte
		copy(bits[:], value)
		x, err := strconv.ParseUint(string(value), 10, 64)
		if err != nil {
			x = binary.LittleEndian.Uint64(bits[:])
		}
		number, _ := strconv.ParseFloat(string(value), 64)
		c.Rows.Add(5)
		c.Rows.KeyedBy([]string{"key"})
		for i := range b.in.Fields() {
			c.Rows.SetText(0, i, value)
			c.Rows.SetUint(1, i, x)
			c.Rows.SetInt(2, i, int64(x))
			c.Rows.SetFloat(3, i, number)
			c.Rows.SetFloat(4, i, math.Float64frombits(x))
			c.Found = c.Rows.SetKey(i%5, []byte("key"), value, c.Found)
		}
		end(c, nil)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		readBack(t, e, LogDir(l.o.Dir, "m"), rows)
	})
}

// readBack reads the only segment of a log that has so many rows, in which nothing may be lost, and once more as Parquet.
func readBack(t *testing.T, e *table.Engine, dir string, rows int) {
	fields, err := LogFieldsOf(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, open, err := Segments(dir)
	if err != nil || len(open) != 1 {
		t.Fatal(open, err)
	}
	tb, err := e.ReadSegments(t.Context(), nil, []table.Piece{{Name: "segment", WriteLines: func(w io.Writer) error { return Lines(open[0], w) }}}, fields)
	if err != nil || tb.Rows() != int64(rows) {
		t.Fatalf("of %d rows are read: %v %v", rows, tb, err)
	}
	parquet := ParquetPath(open[0])
	if err := tb.Write(t.Context(), parquet, nil, ""); err != nil {
		t.Fatal(err)
	}
	again, err := e.ReadSegments(t.Context(), []string{parquet}, nil, fields)
	if err != nil || again.Rows() != int64(rows) {
		t.Fatalf("of %d rows are read from Parquet: %v %v", rows, again, err)
	}
	for _, x := range []*table.Table{tb, again} {
		if err := x.Drop(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLongTextsAreRead: a text that a request just holds is longer than the line that the engine reads without being told.
func TestLongTextsAreRead(t *testing.T) {
	e, err := table.Open(t.Context(), table.Options{Threads: 1, MemoryBytes: 256 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s, _, l := everyType(t, LogOptions{})
	c, err := s.Begin("test", "m", "", "")
	if err != nil {
		t.Fatal(err)
	}
	c.Rows.Add(1)
	c.Rows.SetText(0, 3, bytes.Repeat([]byte{1}, 15<<20))
	c.End()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	readBack(t, e, LogDir(l.o.Dir, "m"), 1)
}

// TestUnreadableLines: lines of a segment that cannot be read do not hide the others, and each is a row that is missing, at its time.
func TestUnreadableLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "2026-05-01T10-x-0.jsonl")
	var text strings.Builder
	for i := range 100 {
		switch i {
		case 0, 57, 58, 99:
			fmt.Fprintf(&text, `{"_at":"2026-05-01T10:00:%02d.000000","_index":0,"_outcome":"refused","AGEP":9223372036854775808}`+"\n", i%60)
		case 30:
			text.WriteString("{\"_at\":\"2026-05-01T10:00:30.0000\x00\n")
		default:
			fmt.Fprintf(&text, `{"_at":"2026-05-01T10:00:%02d.000000","_index":%d,"_outcome":"answered","AGEP":%d}`+"\n", i%60, i, i)
		}
	}
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := table.Open(t.Context(), table.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	piece := table.Piece{Name: "segment", WriteLines: func(w io.Writer) error { return Lines(path, w) }}
	fields := append(LogFields(), assay.Field{Name: "AGEP", Type: assay.TypeInteger})
	if _, err := e.ReadSegments(t.Context(), nil, []table.Piece{piece}, fields); assay.CodeOf(err) != assay.Rejected {
		t.Errorf("without a line that stands for them: %v", err)
	}
	piece.Lost = func(line []byte) []byte { return LostLine(path, line) }
	tb, err := e.ReadSegments(t.Context(), nil, []table.Piece{piece}, fields)
	if err != nil {
		t.Fatal(err)
	}
	r, err := tb.Query(t.Context(), "SELECT count(*) FILTER (AGEP = _index), sum(_lost)::BIGINT, string_agg(strftime(_at, '%H:%M:%S'), ' ' ORDER BY _row) FILTER (_outcome = 'lost') FROM "+tb.Relation())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var good, lost int64
	var times string
	if !r.Next() || r.Scan(&good, &lost, &times) != nil || good != 95 || lost != 5 || times != "10:00:00 10:00:00 10:00:57 10:00:58 10:00:39" {
		t.Errorf("%d rows, %d lost at %s, %v", good, lost, times, r.Err())
	}
}
