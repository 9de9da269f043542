package schema_test

import (
	stdcsv "encoding/csv"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/assay-ml/assay/internal/schema"
)

// rowsOf reads all rows of a text, up to the first fault.
func rowsOf(text string) (rows [][]string, err error) {
	var r schema.CSVReader
	r.Reset([]byte(text), 0)
	var kept [][][]byte
	for {
		var row [][]byte
		if row, err = r.Read(nil); err != nil {
			break
		}
		kept = append(kept, row)
	}
	for _, row := range kept {
		var out []string
		for _, f := range row {
			out = append(out, string(f))
		}
		rows = append(rows, out)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return rows, err
}

// FuzzCSV holds the reader against encoding/csv, which turns the line ends of a quoted field into line feeds and is otherwise the same.
func FuzzCSV(f *testing.F) {
	for _, s := range []string{
		"", "a", "a,b\n1,2\n", "a\r\n1\r", "\"a\r\nb\",\"c\"\"d\"\r\n", "a\n\n\r\n1", "\"a\"x", "a\"b", "\"a", "a,b\n1\n", "\"\"\"\"", "\"a\"\r", "\r\r\n", ",\n,", "\"\",\"\r\r\n\"\n1,2", "a\rb,c", "\"a\"\n\"b\nc\",\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := rowsOf(text)
		r := stdcsv.NewReader(strings.NewReader(text))
		var want [][]string
		var fault error
		for {
			var row []string
			if row, fault = r.Read(); fault != nil {
				break
			}
			want = append(want, row)
		}
		for _, row := range got {
			for i := range row {
				row[i] = strings.ReplaceAll(row[i], "\r\n", "\n")
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if errors.Is(fault, io.EOF) != (err == nil) {
			t.Fatalf("%q: %v, want %v", text, err, fault)
		}
		if err == nil || errors.Is(err, stdcsv.ErrFieldCount) { // which is told without a look at the rest of the row
			return
		}
		for _, kind := range []error{stdcsv.ErrBareQuote, stdcsv.ErrQuote, stdcsv.ErrFieldCount} {
			if errors.Is(fault, kind) != errors.Is(err, kind) {
				t.Errorf("%q: %v, want %v", text, err, fault)
			}
		}
	})
}

// TestCSVKeeps: a line end within quotes is part of the value, and a fault names its line.
func TestCSVKeeps(t *testing.T) {
	rows, err := rowsOf("a,b\r\n\"1\r\n2\",\"\"\"\r\n\"\r\n")
	if want := [][]string{{"a", "b"}, {"1\r\n2", "\"\r\n"}}; err != nil || !reflect.DeepEqual(rows, want) {
		t.Errorf("%q %v", rows, err)
	}
	if _, err := rowsOf("a\n\"x\ny\"\n\n1,2\n"); err == nil || !strings.Contains(err.Error(), "line 5: wrong number of fields") {
		t.Error(err)
	}
}
