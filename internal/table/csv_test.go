package table

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// schema writes a table's columns as "name:type …".
func schema(t *Table) string {
	var b []string
	for _, f := range t.Fields() {
		b = append(b, f.Name+":"+string(f.Type))
	}
	return strings.Join(b, " ")
}

// dump writes all rows, "~" for missing, as DuckDB writes values.
func dump(t testing.TB, tab *Table) string {
	t.Helper()
	var sel []string
	for _, f := range tab.Fields() {
		sel = append(sel, "coalesce(CAST("+Ident(f.Name)+" AS VARCHAR), '~')")
	}
	r, err := tab.Query(context.Background(), "SELECT concat_ws('|', "+strings.Join(sel, ", ")+") FROM "+tab.Relation()+" ORDER BY _row")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out []string
	for r.Next() {
		var s string
		if err := r.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	return strings.Join(out, "\n")
}

func TestReadCSV(t *testing.T) {
	e := open(t)
	for _, c := range []struct {
		name, in     string
		o            ReadOptions
		schema, rows string
	}{
		{
			"types", "b,i,f,s,d,t,c\ntrue,1,1.5,x,2020-01-31,2020-01-31 10:20:30,10:20:30\nFALSE,-2,1e3,y,2020-02-29,2020-01-31T10:20,23:59:59.5\n",
			ReadOptions{},
			"b:boolean i:integer f:number s:string d:date t:timestamp c:time",
			"true|1|1.5|x|2020-01-31|2020-01-31 10:20:30|10:20:30\nfalse|-2|1000.0|y|2020-02-29|2020-01-31 10:20:00|23:59:59.5",
		},
		{"null tokens", "a,b\n1,NA\nNA,x\nN/A,NULL\nnull,\n,n/a\n", ReadOptions{}, "a:integer b:string", "1|~\n~|x\n~|~\n~|~\n~|n/a"},
		{"stated nulls", "a,b\n?,NA\n1,-\n", ReadOptions{Nulls: []string{"?", "-"}}, "a:integer b:string", "~|NA\n1|~"},
		{"no nulls", "a,b\nx,NA\ny,\n", ReadOptions{Nulls: []string{}}, "a:string b:string", "x|NA\ny|"},
		{"nan and inf are numbers", "a\n1\nnan\n-inf\nInfinity\n\n", ReadOptions{}, "a:number", "1.0\nnan\n-inf\ninf\n~"},
		{"leading zeros stay", "zip,n\n01234,1\n90210,2\n", ReadOptions{}, "zip:string n:integer", "01234|1\n90210|2"},
		{"plus signs stay", "tel\n+49123\n+4412\n", ReadOptions{}, "tel:string", "+49123\n+4412"},
		{"64 bits", "a\n9223372036854775807\n-9223372036854775808\n", ReadOptions{}, "a:integer", "9223372036854775807\n-9223372036854775808"},
		{"128 bits", "a\n9223372036854775808\n-170141183460469231731687303715884105727\n", ReadOptions{}, "a:integer", "9223372036854775808\n-170141183460469231731687303715884105727"},
		{"beyond 128 bits", "a\n1\n170141183460469231731687303715884105728\n", ReadOptions{}, "a:string", "1\n170141183460469231731687303715884105728"},
		{"yes and no stay text", "a\nYes\nNo\n", ReadOptions{}, "a:string", "Yes\nNo"},
		{"ambiguous dates stay text", "a,b\n01/02/2020,2020/01/02\n13/02/2020,x\n", ReadOptions{}, "a:string b:string", "01/02/2020|2020/01/02\n13/02/2020|x"},
		{"impossible dates stay text", "a\n2021-02-29\n", ReadOptions{}, "a:string", "2021-02-29"},
		{"dates with timestamps", "a\n2020-01-01\n2020-01-02 03:04:05.123456\n", ReadOptions{}, "a:timestamp", "2020-01-01 00:00:00\n2020-01-02 03:04:05.123456"},
		{"offsets become UTC", "a\n2020-01-01T00:00:00+02:00\n2020-06-01 12:00:00Z\n", ReadOptions{}, "a:timestamp", "2019-12-31 22:00:00\n2020-06-01 12:00:00"},
		{"some offsets", "a\n2020-01-01T00:00:00Z\n2020-06-01 12:00:00\n", ReadOptions{}, "a:string", "2020-01-01T00:00:00Z\n2020-06-01 12:00:00"},
		{"nanoseconds stay text", "a\n2020-01-01 00:00:00.123456789\n", ReadOptions{}, "a:string", "2020-01-01 00:00:00.123456789"},
		{"spaces around numbers", "a, b,c\n 1, x,  2.5 \n 2 ,y , NA\n , z,\n", ReadOptions{}, "a:integer b:string c:number", "1| x|2.5\n2|y |~\n~| z|~"},
		{"a late text", "a\n" + strings.Repeat("1\n", 30000) + "x\n", ReadOptions{}, "a:string", strings.Repeat("1\n", 30000) + "x"},
		{"quotes", "a,b\n\"x,y\",\"say \"\"hi\"\"\"\n\"two\nlines\",z\n", ReadOptions{}, "a:string b:string", "x,y|say \"hi\"\ntwo\nlines|z"},
		{"quoted numbers", "\"a\",\"b\"\n\"1\",\"\"\n\"2\",\"NA\"\n", ReadOptions{}, "a:integer b:string", "1|~\n2|~"},
		{"a quote inside", "a,b\n5\" pipe,1\n6\" pipe,2\n", ReadOptions{}, "a:string b:integer", "5\" pipe|1\n6\" pipe|2"},
		{"semicolons", "a;b\n1,5;x\n2,5;y\n", ReadOptions{}, "a:string b:string", "1,5|x\n2,5|y"},
		{"tabs", "a\tb\n1\tx, y\n", ReadOptions{}, "a:integer b:string", "1|x, y"},
		{"bars", "a|b\n1|x\n", ReadOptions{}, "a:integer b:string", "1|x"},
		{"a stated delimiter", "a:b\n1:2\n", ReadOptions{Delimiter: ":"}, "a:integer b:integer", "1|2"},
		{"single quotes", "a,b\n'x,y',1\n", ReadOptions{Quote: "'"}, "a:string b:integer", "x,y|1"},
		{"no quotes", "a,b\n\"x,1\n", ReadOptions{Quote: "none"}, "a:string b:integer", "\"x|1"},
		{"carriage returns", "a,b\r1,x\r2,y\r", ReadOptions{}, "a:integer b:string", "1|x\n2|y"},
		{"windows lines", "a,b\r\n1,x\r\n2,y", ReadOptions{}, "a:integer b:string", "1|x\n2|y"},
		{"mixed lines", "a,b\r\n1,x\n2,y\r\n3,\"p\rq\"\n", ReadOptions{}, "a:integer b:string", "1|x\n2|y\n3|p\rq"},
		{"empty lines", "a,b\n\n1,x\n\n\n2,y\n\n", ReadOptions{}, "a:integer b:string", "1|x\n2|y"},
		{"empty lines of one column", "a\n1\n\n3\n", ReadOptions{}, "a:integer", "1\n~\n3"},
		{"empty lines before one column", "\n\na\n1\n\n3\n", ReadOptions{}, "a:integer", "1\n~\n3"},
		{"no last newline", "a,b\n1,x\n2,", ReadOptions{}, "a:integer b:string", "1|x\n2|~"},
		{"no header", "1,x\n2,y\n", ReadOptions{}, "column_1:integer column_2:string", "1|x\n2|y"},
		{"a header of years", "country,2015,2016\nA,1,2\nB,3,4\n", ReadOptions{}, "country:string 2015:integer 2016:integer", "A|1|2\nB|3|4"},
		{"a stated header", "1,2\n3,4\n", ReadOptions{Header: "yes"}, "1:integer 2:integer", "3|4"},
		{"a refused header", "a,b\nc,d\n", ReadOptions{Header: "no"}, "column_1:string column_2:string", "a|b\nc|d"},
		{"an unnamed index", ",a\n0,x\n1,y\n", ReadOptions{}, "column_1:integer a:string", "0|x\n1|y"},
		{"header only", "a,b\n", ReadOptions{}, "a:string b:string", ""},
		{"one row", "a,b\n1,x\n", ReadOptions{}, "a:integer b:string", "1|x"},
		{"nothing but missing", "a,b\n1,\n2,\n", ReadOptions{}, "a:integer b:string", "1|~\n2|~"},
		{"hard names", "rowid,c0,\"a\"\"b\",select,a b\n1,2,3,4,5\n", ReadOptions{}, `rowid:integer c0:integer a"b:integer select:integer a b:integer`, "1|2|3|4|5"},
		{
			"stated types", "zip,n,when,code\n01,1,2020-01-01,1\n02,2,2020-01-02,2\n",
			ReadOptions{Types: map[string]assay.Type{"zip": assay.TypeInteger, "n": assay.TypeNumber, "when": assay.TypeTimestamp, "code": assay.TypeString}},
			"zip:integer n:number when:timestamp code:string", "1|1.0|2020-01-01 00:00:00|1\n2|2.0|2020-01-02 00:00:00|2",
		},
		{"latin-1", "a,b\nM\xfcller,1\nS\xe9e,2\n", ReadOptions{}, "a:string b:integer", "Müller|1\nSée|2"},
		{"a header in latin-1", "id;gr\xf6\xdfe\n1;x\n2;\xe9\n", ReadOptions{}, "id:integer größe:string", "1|x\n2|é"},
		{"a header in latin-1 over ASCII", "id,gr\xf6\xdfe\n1,2\n", ReadOptions{}, "id:integer größe:integer", "1|2"},
		{"utf-8", "a,b\nMüller,1\n東京,2\n", ReadOptions{}, "a:string b:integer", "Müller|1\n東京|2"},
		{"utf-8 with a mark", "\ufeffa,b\nMüller,1\n", ReadOptions{}, "a:string b:integer", "Müller|1"},
		{"utf-16le with a mark", utf16Text("a,b\nMüller,1\n", false, true), ReadOptions{}, "a:string b:integer", "Müller|1"},
		{"utf-16be with a mark", utf16Text("a,b\n東京,1\n", true, true), ReadOptions{}, "a:string b:integer", "東京|1"},
		{"utf-16le", utf16Text("a,b\nMüller,1\nx,2\n", false, false), ReadOptions{}, "a:string b:integer", "Müller|1\nx|2"},
		{"utf-16be", utf16Text("a,b\nMüller,1\nx,2\n", true, false), ReadOptions{}, "a:string b:integer", "Müller|1\nx|2"},
		{"stated latin-1", "a,b\nM\xc3\xbc,1\n", ReadOptions{Encoding: Latin1}, "a:string b:integer", "MÃ¼|1"},
		{"gzip", gzipped("a,b\n1,x\n2,y\n"), ReadOptions{}, "a:integer b:string", "1|x\n2|y"},
		{"zstd", zstded("a,b\n1,x\n2,y\n"), ReadOptions{}, "a:integer b:string", "1|x\n2|y"},
		{"gzip of utf-16 with windows lines", gzipped(utf16Text("a,b\r\n1,x\r\n\r\n2,é\r\n", false, true)), ReadOptions{}, "a:integer b:string", "1|x\n2|é"},
		{"a number that float64 cannot hold", "a\n1e999\n2\n", ReadOptions{}, "a:string", "1e999\n2"},
		{"words that begin like numbers", "a,b,c\n-,e5,.\n1e,--1,1.2.3\n", ReadOptions{}, "a:string b:string c:string", "-|e5|.\n1e|--1|1.2.3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tab := read(t, e, file(t, "a.csv", c.in), c.o)
			if got := schema(tab); got != c.schema {
				t.Errorf("columns %s, want %s", got, c.schema)
			}
			if got := dump(t, tab); got != c.rows {
				t.Errorf("rows\n%.300s\nwant\n%.300s", got, c.rows)
			}
		})
	}
}

func utf16Text(s string, big, mark bool) string {
	var b bytes.Buffer
	units := utf16.Encode([]rune(s))
	if mark {
		units = append([]uint16{0xfeff}, units...)
	}
	for _, u := range units {
		if big {
			b.Write([]byte{byte(u >> 8), byte(u)})
		} else {
			b.Write([]byte{byte(u), byte(u >> 8)})
		}
	}
	return b.String()
}

func gzipped(s string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(s))
	z.Close()
	return b.String()
}

func zstded(s string) string {
	z, err := zstd.NewWriter(nil)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return string(z.EncodeAll([]byte(s), nil))
}

func TestReadingIsStated(t *testing.T) {
	e := open(t)
	for _, c := range []struct {
		in   string
		want assay.Reading
	}{
		{"a;b\n1;2\n", assay.Reading{Encoding: UTF8, Delimiter: ";", Quote: `"`, Header: true}},
		{gzipped("1\t2\n"), assay.Reading{Encoding: UTF8, Compression: "gzip", Delimiter: "\t", Quote: `"`}},
		{"a,b\n\xe9,2\n", assay.Reading{Encoding: Latin1, Delimiter: ",", Quote: `"`, Header: true}},
		{utf16Text("a,b\nx,2\n", true, true), assay.Reading{Encoding: UTF16BE, Delimiter: ",", Quote: `"`, Header: true}},
		{zstded(utf16Text("a,b\nx,2\n", false, true)), assay.Reading{Encoding: UTF16LE, Compression: "zstd", Delimiter: ",", Quote: `"`, Header: true}},
	} {
		tab := read(t, e, file(t, "x", c.in), ReadOptions{})
		got := tab.Reading()
		if strings.Join(got.Nulls, "|") != "|NA|N/A|NULL|null" {
			t.Errorf("nulls %q", got.Nulls)
		}
		got.Nulls = nil
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%.10q: reading %+v, want %+v", c.in, got, c.want)
		}
		if tab.Format() != CSV {
			t.Errorf("format %s", tab.Format())
		}
	}
}

// TestForeignLetters holds that text with the letters of another format is text.
func TestForeignLetters(t *testing.T) {
	e := open(t)
	for _, in := range []string{"a,b,c,d\nDUCK,1,2,3\n", "PK,b\n1,2\n", "BZh9,b\n1,2\n", "a\n" + strings.Repeat("xyz\n", 63) + "xx\nustar\n"} {
		if tab := read(t, e, file(t, "a.csv", in), ReadOptions{Header: "yes"}); tab.Rows() == 0 {
			t.Errorf("%q has no rows", in)
		}
	}
}

func TestReadCSVRefuses(t *testing.T) {
	e := open(t)
	whole := gzipped("a,b\n" + strings.Repeat("1,x\n", 5000))
	for _, c := range []struct {
		name, in string
		o        ReadOptions
		code     assay.Code
		want     []string
	}{
		{"empty", "", ReadOptions{}, assay.Rejected, []string{"a.csv is empty"}},
		{"only newlines", "\n\n", ReadOptions{Header: "yes"}, assay.Rejected, nil},
		{"ragged", "a,b\n1,2\n3\n4,5,6\n7,8\n", ReadOptions{}, assay.Rejected, []string{"ragged", "first record has 2 fields", "2 records", "line 3 has 1", "line 4 has 3"}},
		{"ragged after a quoted newline", "a,b\n\"x\ny\",2\n3\n", ReadOptions{}, assay.Rejected, []string{"1 records", "line 4 has 1"}},
		{"the silent loss", "a,b\n1,2\n6,7,8,9\n", ReadOptions{}, assay.Rejected, []string{"line 3 has 4"}},
		{"many ragged", "a,b\n" + strings.Repeat("1\n", 100), ReadOptions{}, assay.Rejected, []string{"100 records", "and 95 more"}},
		{"cut off in quotes", "a,b\n1,\"x\n2,y\n", ReadOptions{}, assay.Rejected, []string{"line 2", "never closed"}},
		{"text after a quote", "a,b\n1,\"x\" y\n2,\"say \"hi\"\"\n", ReadOptions{}, assay.Rejected, []string{"2 records", "lines 2, 3"}},
		{"cut off gzip", whole[:len(whole)-20], ReadOptions{}, assay.Rejected, []string{"cut off", "gzip"}},
		{"damaged gzip", whole[:30] + "xxxxxxxx" + whole[38:], ReadOptions{}, assay.Rejected, []string{"gzip"}},
		{"cut off zstd", zstded(strings.Repeat("a,b\n1,x\n", 5000))[:30], ReadOptions{}, assay.Rejected, []string{"cut off", "zstd"}},
		{"NUL bytes", "a,b\n1,x\n2,\x00\n", ReadOptions{}, assay.Rejected, []string{"NUL", "line 3"}},
		{"a zip archive", "PK\x03\x04\x14\x00\x00\x00\x08\x00table.csv", ReadOptions{}, assay.Rejected, []string{"a.csv is a zip archive", "want CSV"}},
		{"an Excel workbook", "PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00!\x00[Content_Types].xml", ReadOptions{}, assay.Rejected, []string{"an Excel workbook (.xlsx)"}},
		{"bzip2", "BZh91AY&SY\xd8r\x01/\x00\x00\x01W\x80", ReadOptions{}, assay.Rejected, []string{"bzip2"}},
		{"xz", "\xfd7zXZ\x00\x00\x04\xe6\xd6", ReadOptions{}, assay.Rejected, []string{"compressed with xz"}},
		{"a tar archive in gzip", gzipped("a.csv" + strings.Repeat("\x00", 252) + "ustar  \x00" + strings.Repeat("\x00", 400)), ReadOptions{}, assay.Rejected, []string{"a tar archive"}},
		{"a database", "SQLite format 3\x00\x10\x00", ReadOptions{}, assay.Rejected, []string{"SQLite"}},
		{"Parquet under another name", "PAR1\x15\x04\x15\x10", ReadOptions{}, assay.Rejected, []string{"a Parquet file"}},
		{"mixed encodings", "a,b\nMüller,1\nM\xfcller,2\n", ReadOptions{}, assay.Rejected, []string{"mixes encodings", "line 2", "lines 3"}},
		{"not UTF-8 as stated", "a,b\nM\xfcller,2\n", ReadOptions{Encoding: UTF8}, assay.Rejected, []string{"not UTF-8", "lines 2"}},
		{"duplicate names", "a,b,a,b,a\n1,2,3,4,5\n", ReadOptions{}, assay.Rejected, []string{`"a" is given to column 1 and column 3`, `"b" is given to column 2 and column 4`, "column 5"}},
		{"names that differ in case", "Age,age\n1,2\n", ReadOptions{}, assay.Rejected, []string{"differ only in case"}},
		{"the reserved name", "_row,a\n1,2\n", ReadOptions{}, assay.Rejected, []string{"reserved"}},
		{
			"types that do not fit", "a,b\n1,x\n2.5,2020-01-01\nq,2020-01-02\n",
			ReadOptions{Types: map[string]assay.Type{"a": assay.TypeInteger, "b": assay.TypeDate, "c": assay.TypeString}},
			assay.Rejected,
			[]string{`"a" cannot be read as integer: 2 of 3 values are not, the first on line 3`, `"b" cannot be read as date: 1 of 3 values are not, the first on line 2`, `no column "c"`},
		},
		{"a bad delimiter", "a\n", ReadOptions{Delimiter: "ab"}, assay.Invalid, []string{"delimiter"}},
		{"a bad quote", "a\n", ReadOptions{Quote: "ab"}, assay.Invalid, []string{"quote"}},
		{"a bad encoding", "a\n", ReadOptions{Encoding: "ebcdic"}, assay.Invalid, []string{"ebcdic"}},
		{"a bad header", "a\n", ReadOptions{Header: "maybe"}, assay.Invalid, []string{"maybe"}},
		{"a bad format", "a\n", ReadOptions{Format: "xlsx"}, assay.Invalid, []string{"xlsx"}},
		{"a mark against the statement", "\ufeffa\n", ReadOptions{Encoding: UTF16LE}, assay.Invalid, []string{"mark"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := e.Read(context.Background(), file(t, "a.csv", c.in), c.o)
			if assay.CodeOf(err) != c.code {
				t.Fatalf("%v (%s), want %s", err, assay.CodeOf(err), c.code)
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
			if strings.Contains(err.Error(), "not a table that can be read") && assay.HintOf(err) == "" {
				t.Errorf("%q does not say what to do", err)
			}
		})
	}
	left, err := os.ReadDir(e.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		if !strings.HasPrefix(f.Name(), "main.duckdb") && f.Name() != "spill" && f.Name() != dirLock {
			t.Errorf("%s is left behind", f.Name())
		}
	}
}

func TestReadCSVWithALongField(t *testing.T) {
	t.Parallel()
	e := open(t)
	ctx := context.Background()
	length := int64(assaytest.Size(20<<20, 50<<20))
	field := strings.Repeat("x", int(length))
	tab := read(t, e, file(t, "long.csv", "a,b\n1,"+field+"\n2,\"y\n\"\n"), ReadOptions{})
	var n int64
	if err := e.queryRow(ctx, "SELECT max(length(b)) FROM "+tab.Relation(), &n); err != nil || n != length || tab.Rows() != 2 {
		t.Errorf("%d characters, %d rows, %v", n, tab.Rows(), err)
	}
}

func TestReadCSVWithManyColumns(t *testing.T) {
	t.Parallel()
	e := open(t)
	ctx := context.Background()
	var names, row []string
	columns := assaytest.Size(3_000, 10_000)
	for i := range columns {
		names = append(names, fmt.Sprintf("n%d", i))
		row = append(row, fmt.Sprint(i))
	}
	line := strings.Join(row, ",") + "\n"
	tab := read(t, e, file(t, "wide.csv", strings.Join(names, ",")+"\n"+line+line+line), ReadOptions{})
	f, err := tab.Frame(ctx, []string{names[columns-1]}, "")
	if err != nil || len(tab.Fields()) != columns || f.Rows() != 3 || f[0].Floats[2] != float64(columns-1) {
		t.Errorf("%d columns, %v", len(tab.Fields()), err)
	}
}

func TestReadCSVNotes(t *testing.T) {
	e := open(t)
	in := "age,zip,when,big,mix\n" + strings.Repeat("1,01,2020-01-01,1,1.5\n", 20) + "?,2,x,170141183460469231731687303715884105728,9223372036854775808\n"
	tab := read(t, e, file(t, "a.csv", in), ReadOptions{})
	want := map[string]string{
		"age":  "kept as text: 1 of 21 values are not numbers, the first on line 22",
		"zip":  "kept as text: 20 values have leading zeros or a plus sign, the first on line 2",
		"when": "kept as text: 1 of 21 values are not ISO 8601 dates, the first on line 22",
		"big":  "kept as text: 1 integers are beyond 128 bits, the first on line 22",
		"mix":  "1 integers beyond 64 bits are rounded to float64, because other values have decimals",
	}
	for _, n := range tab.Notes() {
		if want[n.Column] != n.Message {
			t.Errorf("%s: %s, want %s", n.Column, n.Message, want[n.Column])
		}
		delete(want, n.Column)
	}
	if len(want) > 0 {
		t.Errorf("no note about %v", want)
	}
}

// Notes name what two files put together are, integers that a column of numbers rounds, and columns that are stated to be text.
func TestReadCSVNotesOfRecords(t *testing.T) {
	e := open(t)
	notes := func(name, in string, o ReadOptions) string {
		var out []string
		for _, n := range read(t, e, file(t, name, in), o).Notes() {
			out = append(out, n.String())
		}
		return strings.Join(out, "\n")
	}
	part := "id,x\n" + strings.Repeat("1,2.5\n", 20)
	for _, c := range []struct {
		name, in, want string
		o              ReadOptions
	}{
		{"a.csv", part, "", ReadOptions{}},
		{"a.csv", part + part + part, "2 records of a.csv repeat its header, the first on line 22: files seem to have been put one after the other\n" +
			"id: kept as text: 2 of 62 values are not numbers, the first on line 22\nx: kept as text: 2 of 62 values are not numbers, the first on line 22", ReadOptions{}},
		{"a.csv", "x\n" + strings.Repeat("1\n", 20) + "x\n", "x: kept as text: 1 of 21 values are not numbers, the first on line 22", ReadOptions{}},
		{"a.csv", "x,y\n9007199254740993,1\n9007199254740992,1\n-9007199254740995,1\n0.5,1\n", "x: 2 integers beyond 2^53 are rounded to float64, because other values have decimals, the first on line 2", ReadOptions{}},
		{"a.csv", "x,y\n9007199254740993,1\n5,1\n", "", ReadOptions{}},
		{"a.csv", "x,y\n9007199254740993,1\n" + strings.Repeat("1,1\n", 20) + "u,1\n", "x: kept as text: 1 of 22 values are not numbers, the first on line 23", ReadOptions{As: map[string]assay.Type{"x": assay.TypeString, "y": assay.TypeString}}},
		{"a.jsonl", "{\"x\": 9223372036854775807}\n{\"x\": 0.5}\n", "x: 1 integers beyond 2^53 are rounded to float64, because other values have decimals, the first on record 1", ReadOptions{}},
		{"a.csv", "at,y\n" + strings.Repeat("2020-01-01T00:00:00Z,1\n", 9) + "2020-01-01T00:00:00,1\n", "at: kept as text: some timestamps have an offset from UTC and some have none", ReadOptions{}},
	} {
		if got := notes(c.name, c.in, c.o); got != c.want {
			t.Errorf("%q:\n%s\nwant\n%s", c.in, got, c.want)
		}
	}
}

func TestReadSeveralFiles(t *testing.T) {
	ctx := context.Background()
	e := open(t)
	dir := t.TempDir()
	write := func(name, content string) {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("2.csv", "a,b\n2,y\n")
	write("1.csv", "a,b\n1,x\n")
	write("sub/3.csv.gz", gzipped("a,b\r\n3,z\r\n2.5,\r\n"))
	write(".hidden.csv", "q\n1\n")
	write("_SUCCESS", "")
	tab := read(t, e, dir, ReadOptions{})
	if got := dump(t, tab); got != "1.0|x\n2.0|y\n3.0|z\n2.5|~" {
		t.Errorf("rows\n%s", got)
	}
	var names []string
	for _, f := range tab.Files() {
		names = append(names, f.Name)
	}
	if got := strings.Join(names, " "); got != "1.csv 2.csv sub/3.csv.gz" {
		t.Errorf("files %s", got)
	}
	if got := dump(t, read(t, e, filepath.Join(dir, "*.csv"), ReadOptions{})); got != "1|x\n2|y" {
		t.Errorf("pattern gives\n%s", got)
	}
	write("4.csv", "a,c\n1,x\n")
	if _, err := e.Read(ctx, dir, ReadOptions{}); assay.CodeOf(err) != assay.Rejected || !strings.Contains(err.Error(), `"c" is in 4.csv and not in 1.csv`) {
		t.Error(err)
	}
	os.Remove(filepath.Join(dir, "4.csv"))
	write("4.jsonl", "{\"a\":1}\n")
	if _, err := e.Read(ctx, dir, ReadOptions{}); assay.CodeOf(err) != assay.Rejected || !strings.Contains(err.Error(), "one format") {
		t.Error(err)
	}
	os.Remove(filepath.Join(dir, "4.jsonl"))
	write("_delta_log/00000000000000000000.json", "{}\n")
	if _, err := e.Read(ctx, dir, ReadOptions{}); assay.CodeOf(err) != assay.Unimplemented || !strings.Contains(err.Error(), "is a Delta table") {
		t.Error(err)
	}
	for uri, code := range map[string]assay.Code{
		filepath.Join(dir, "none.csv"): assay.NotFound, filepath.Join(dir, "*.xyz"): assay.NotFound, t.TempDir(): assay.NotFound,
		"s3://bucket/x.csv": assay.Unimplemented, filepath.Join(dir, "["): assay.Invalid, "/dev/null": assay.Invalid,
	} {
		if _, err := e.Read(ctx, uri, ReadOptions{}); assay.CodeOf(err) != code {
			t.Errorf("%s: %v, want %s", uri, err, code)
		}
	}
}

func TestReadStandardInput(t *testing.T) {
	e := open(t)
	for in, want := range map[string]string{
		"a,b\n1,x\n":            CSV,
		"{\"a\":1,\"b\":\"x\"}": JSONL,
		gzipped("a,b\n1,x\n"):   CSV,
	} {
		tab := read(t, e, "-", ReadOptions{Stdin: strings.NewReader(in)})
		if got := dump(t, tab); got != "1|x" || tab.Format() != want || tab.Files()[0].Name != "-" {
			t.Errorf("%.10q: %s %s %v", in, got, tab.Format(), tab.Files())
		}
	}
	parquet, err := os.ReadFile(example("train_2015.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	if tab := read(t, e, "-", ReadOptions{Stdin: bytes.NewReader(parquet)}); tab.Format() != Parquet || tab.Rows() != 68785 {
		t.Errorf("%s, %d rows", tab.Format(), tab.Rows())
	}
}

// A file that grows between the two passes is not read half-and-half.
func TestReadOfAChangingFile(t *testing.T) {
	e := open(t)
	p := file(t, "a.csv", "a,b\n"+strings.Repeat("1,x\n", 1<<18))
	grown := false
	_, err := e.Read(context.Background(), p, ReadOptions{Progress: func(done, total int64) {
		if !grown && done < total {
			grown = true
			f, err := os.OpenFile(p, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Error(err)
				return
			}
			f.WriteString("2,y\n")
			f.Close()
		}
	}})
	if !grown {
		t.Fatal("the file did not change while it was read")
	}
	if assay.CodeOf(err) != assay.Rejected || !strings.Contains(err.Error(), "changed while it was being read") {
		t.Errorf("%v", err)
	}
	tab := read(t, e, p, ReadOptions{})
	if err := tab.Unchanged(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(p, []byte("a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tab.Unchanged(); assay.CodeOf(err) != assay.Rejected {
		t.Error(err)
	}
}

func TestReadIsCancelled(t *testing.T) {
	e := open(t)
	p := file(t, "a.csv", "a,b\n"+strings.Repeat("1,x\n", 1<<20))
	ctx, cancel := context.WithCancel(context.Background())
	_, err := e.Read(ctx, p, ReadOptions{Progress: func(done, _ int64) { cancel() }})
	if assay.CodeOf(err) != assay.Unavailable {
		t.Errorf("%v", err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	cancel()
	if _, err := e.query(ctx, "SELECT 1"); assay.CodeOf(err) != assay.Unavailable {
		t.Errorf("%v", err)
	}
}

func TestFrame(t *testing.T) {
	e := open(t)
	ctx := context.Background()
	tab := read(t, e, file(t, "a.csv", "i,f,s,b,d,t,h\n1,1.5,y,true,1970-01-02,1970-01-01 00:00:01.5,9223372036854775808\n,inf,x,false,,,1\n3,nan,,,1969-12-31,1970-01-01 00:00:00,2\n"), ReadOptions{})
	f, err := tab.Frame(ctx, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	nan := math.NaN()
	for name, want := range map[string][]float64{"i": {1, nan, 3}, "f": {1.5, math.Inf(1), nan}, "b": {1, 0, nan}, "d": {86400, nan, -86400}, "t": {1.5, nan, 0}, "h": {9223372036854775808, 1, 2}} {
		if got := f.Column(name).Floats; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if s := f.Column("s"); fmt.Sprint(s.Codes, s.Levels) != "[1 0 -1] [x y]" {
		t.Errorf("s: %v %v", s.Codes, s.Levels)
	}
	f, err = tab.Frame(ctx, []string{"s", "i"}, "i >= 1")
	if err != nil || f.Rows() != 2 || f[0].Name != "s" || f[1].Floats[1] != 3 {
		t.Errorf("%v %v", f, err)
	}
	if _, err = tab.Frame(ctx, []string{"x", "i", "i", "y"}, ""); assay.CodeOf(err) != assay.NotFound || !strings.Contains(err.Error(), `"x"`) || !strings.Contains(err.Error(), `"y"`) {
		t.Error(err)
	}
}
