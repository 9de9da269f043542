package table

import (
	"bytes"
	"context"
	"encoding/csv"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
)

// FuzzReadCSV checks that whatever the bytes and options are, a table has as many rows as the scanner counted, or there is an error that
// is the file's or the caller's fault. A type that the first pass proves and the second cannot load would be an internal error.
func FuzzReadCSV(f *testing.F) {
	for _, s := range []string{
		"a,b\n1,x\n", "a;b\r\n1;2\r\n", "\"a\nb\",c\n1,2", "1\n2\n", "\xef\xbb\xbfa\n\xff", "a\rb\r", "a,b\n\"\",\"\"\"\"\n", "x\n1e5\n.5\n5.\n-0\n-.5e-3\n",
		"d,t\n2020-02-29,2020-01-01T00:00\n0001-01-01,9999-12-31 23:59:59.999999+15:59\n", "a\n 1\n\t2 \n nan \n-Infinity\n", "a\n00:00\n23:59:59.1\n",
		"a\n\"\r\"\n1\n", "a,b\r\n\"x\ny\",1\r\n", "n\nTRUE\nfalse\nFalse\n", "a\n170141183460469231731687303715884105727\n-170141183460469231731687303715884105728\n", "a\n" + strings.Repeat("9", 299) + "\n1.5\n",
	} {
		f.Add([]byte(s), "", "", "", "")
	}
	f.Add([]byte("a|b\n1|2\n"), "|", "'", "yes", "utf-8")
	f.Add([]byte("a b\n1 2\n"), " ", "none", "no", "latin-1")
	f.Add([]byte("gr\xf6\xdfe,x\n\xe9,2\n"), "", "", "", "")
	f.Add([]byte("\xd6,\xf6\n1,2\n"), "", "", "", "latin-1")
	f.Add([]byte(utf16Text("a,é\n1,ü\n", true, false)), "", "", "", "utf-16be")
	f.Add([]byte("a,b\n1,2\n"), "", "", "maybe", "ebcdic")
	e := open(f)
	ctx := context.Background()
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte, delimiter, quote, header, encoding string) {
		p := filepath.Join(dir, "x.csv")
		if err := os.WriteFile(p, data, 0o600); err != nil {
			t.Fatal(err)
		}
		tab, err := e.Read(ctx, p, ReadOptions{Delimiter: delimiter, Quote: quote, Header: header, Encoding: encoding, Format: CSV})
		if err != nil {
			if c := assay.CodeOf(err); c != assay.Rejected && c != assay.Invalid {
				t.Fatalf("%v (%s)", err, c)
			}
			return
		}
		if _, err := tab.Frame(ctx, nil, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := tab.ContentDigest(ctx); err != nil {
			t.Fatal(err)
		}
		if err := tab.Drop(ctx); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzScanner checks the record scanner against the standard library's CSV reader where both define the result, and against itself
// when the buffer ends anywhere.
func FuzzScanner(f *testing.F) {
	f.Add([]byte("a,b\n\"x\"\"y\",\"\n\"\n"), uint8(3))
	f.Add([]byte("a\r\nb\r\n\r\n"), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, step uint8) {
		whole := scanAll(t, newScanner(bytes.NewReader(data), dialect{',', '"'}))
		small := newScanner(&stepReader{data, int(step%7) + 1}, dialect{',', '"'})
		small.buf = make([]byte, 8)
		if got := scanAll(t, small); !equalRecords(got, whole) {
			t.Fatalf("in steps %q, at once %q", got, whole)
		}
		if bytes.IndexByte(data, '\r') >= 0 {
			return // the library drops carriage returns inside quotes
		}
		r := csv.NewReader(bytes.NewReader(data))
		r.FieldsPerRecord = -1
		want, err := r.ReadAll()
		if err != nil {
			return
		}
		var got [][]string
		for _, rec := range whole {
			if len(rec) != 1 || rec[0] != "" {
				got = append(got, rec)
			}
		}
		// The library drops empty lines but not a quoted empty field alone.
		var kept [][]string
		for _, rec := range want {
			if len(rec) != 1 || rec[0] != "" {
				kept = append(kept, rec)
			}
		}
		if !equalRecords(got, kept) {
			t.Fatalf("scanner %q, library %q", got, kept)
		}
	})
}

type stepReader struct {
	data []byte
	step int
}

func (s *stepReader) Read(p []byte) (int, error) {
	n := copy(p[:min(len(p), s.step)], s.data)
	s.data = s.data[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func scanAll(t *testing.T, s *scanner) [][]string {
	t.Helper()
	var out [][]string
	for {
		ok, err := s.record()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return out
		}
		rec := make([]string, len(s.cells))
		for i, c := range s.cells {
			rec[i] = string(s.text(c))
		}
		out = append(out, rec)
	}
}

func equalRecords(a, b [][]string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if strings.Join(a[i], "\x00") != strings.Join(b[i], "\x00") || len(a[i]) != len(b[i]) {
			return false
		}
	}
	return true
}

// FuzzClassify checks that what is classified as a number is one for the standard library too, with the same bounds.
func FuzzClassify(f *testing.F) {
	for _, s := range []string{"1", "-1.5e3", "9223372036854775808", "2020-02-29", "nan", "00.5", "1e400", "+1", ".", "2020-01-01T10:20Z"} {
		f.Add(s)
	}
	null := newTokens(DefaultNulls())
	f.Fuzz(func(t *testing.T, s string) {
		k, _ := classify([]byte(s), null)
		trimmed := strings.Trim(s, " \t")
		switch k {
		case kindInt:
			if _, err := strconv.ParseInt(trimmed, 10, 64); err != nil {
				t.Errorf("%q is no 64-bit integer", s)
			}
		case kindNumber, kindHuge, kindVast, kindNaN, kindInf:
			if _, err := strconv.ParseFloat(trimmed, 64); err != nil {
				t.Errorf("%q is no number", s)
			}
		case kindText, kindCode:
			if n, err := strconv.ParseInt(trimmed, 10, 64); err == nil && strconv.FormatInt(n, 10) == trimmed {
				t.Errorf("%q is an integer", s)
			}
		}
	})
}

func FuzzReadJSON(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `[{"a":1.5,"b":"x"},{"b":null}]`, "{\"a\":\"\\u0000\"}", `{"a":"\\N"}{"a":""}`, `{"":{"x":[1]}}`, `[{"a":-0},{"a":1e5}]`, `{"a":"\r"}`} {
		f.Add([]byte(s))
	}
	e := open(f)
	ctx := context.Background()
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		p := filepath.Join(dir, "x.jsonl")
		if err := os.WriteFile(p, data, 0o600); err != nil {
			t.Fatal(err)
		}
		tab, err := e.Read(ctx, p, ReadOptions{Format: JSONL})
		if err != nil {
			if c := assay.CodeOf(err); c != assay.Rejected && c != assay.Invalid {
				t.Fatalf("%v (%s)", err, c)
			}
			return
		}
		if _, err := tab.ContentDigest(ctx); err != nil {
			t.Fatal(err)
		}
		if err := tab.Drop(ctx); err != nil {
			t.Fatal(err)
		}
	})
}
