package table

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// parquet writes the answer to a query to a Parquet file, with whatever types the query gives.
func parquet(t testing.TB, e *Engine, name, sql string) string {
	t.Helper()
	made := filepath.Join(e.dir, e.name("test"))
	if err := e.exec(context.Background(), "COPY ("+sql+") TO "+Literal(made)+" (FORMAT parquet)"); err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(t.TempDir(), name)
	if err := move(made, p, 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestReadParquetTypes(t *testing.T) {
	e := open(t)
	p := parquet(t, e, "a.parquet", `SELECT 1::TINYINT AS i8, 2::USMALLINT AS u16, 18446744073709551615::UBIGINT AS u64, 1.5::FLOAT AS f32, 1.25::DECIMAL(9,2) AS dec,
		DATE '2020-01-31' AS d, TIME '10:20:30' AS c, TIMESTAMP '2020-01-31 10:20:30.5' AS ts, TIMESTAMP_NS '2020-01-31 10:20:30.123456' AS tn,
		TIMESTAMPTZ '2020-01-31 10:20:30+02' AS tz, 'x' AS s, true AS b, '\x01\x02'::BLOB AS raw, [1, 2] AS list, {'k': 1} AS st, MAP {'a': 1} AS m,
		'6b2d0ae9-1b5c-4e4c-9c3a-0d5c2b0a1f11'::UUID AS u, 'q'::ENUM('p', 'q') AS en`)
	tab := read(t, e, p, ReadOptions{})
	if got, want := schema(tab), "i8:integer u16:integer u64:integer f32:number dec:number d:date c:time ts:timestamp tn:timestamp tz:timestamp s:string b:boolean raw:binary list:json st:json m:json u:string en:string"; got != want {
		t.Errorf("columns %s, want %s", got, want)
	}
	if got, want := dump(t, tab), `1|2|18446744073709551615|1.5|1.25|2020-01-31|10:20:30|2020-01-31 10:20:30.5|2020-01-31 10:20:30.123456|2020-01-31 08:20:30|x|true|\x01\x02|[1,2]|{"k":1}|{"a":1}|6b2d0ae9-1b5c-4e4c-9c3a-0d5c2b0a1f11|q`; got != want {
		t.Errorf("row %s, want %s", got, want)
	}
	ctx := context.Background()
	if _, err := tab.Frame(ctx, nil, ""); err != nil {
		t.Error(err)
	}
	if _, err := tab.ContentDigest(ctx); err != nil {
		t.Error(err)
	}
	if _, err := tab.Summarize(ctx, nil, SummaryOptions{}); err != nil {
		t.Error(err)
	}
}

func TestReadParquetRefuses(t *testing.T) {
	e := open(t)
	ctx := context.Background()
	whole, err := os.ReadFile(example("train_2015.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	damaged := append([]byte(nil), whole...)
	for i := 100; i < len(damaged)-100000; i++ {
		damaged[i] ^= 0x5a
	}
	for name, c := range map[string]struct {
		content string
		want    string
	}{
		"empty":      {"", "is empty"},
		"cut off":    {string(whole[:len(whole)/2]), "cut off"},
		"tiny":       {"PAR1", "cut off"},
		"no magic":   {"hello, this is text", "does not begin with PAR1"},
		"bad footer": {"PAR1" + strings.Repeat("x", 100) + "\xff\xff\xff\xffPAR1", "damaged"},
		"damaged":    {string(damaged), "damaged"},
	} {
		_, err := e.Read(ctx, file(t, "a.parquet", c.content), ReadOptions{})
		if assay.CodeOf(err) != assay.Rejected || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want rejected with %q", name, err, c.want)
		}
	}
	if _, err := e.Read(ctx, example("train_2015.parquet"), ReadOptions{Types: map[string]assay.Type{"id": assay.TypeString}}); assay.CodeOf(err) != assay.Invalid {
		t.Error(err)
	}
}

func TestReadParquetFolder(t *testing.T) {
	e := open(t)
	dir := t.TempDir()
	for name, sql := range map[string]string{
		"b.parquet": "SELECT 3::BIGINT AS a, 'z' AS s", "a.parquet": "SELECT * FROM (VALUES ('x', 1::TINYINT), ('y', 2)) v(s, a)",
	} {
		if err := os.Rename(parquet(t, e, name, sql), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	tab := read(t, e, dir, ReadOptions{})
	if got := schema(tab) + "\n" + dump(t, tab); got != "s:string a:integer\nx|1\ny|2\nz|3" {
		t.Errorf("%s", got)
	}
	if err := os.Rename(parquet(t, e, "c.parquet", "SELECT 1 AS a"), filepath.Join(dir, "c.parquet")); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Read(context.Background(), dir, ReadOptions{}); assay.CodeOf(err) != assay.Rejected || !strings.Contains(err.Error(), `"s" is in a.parquet and not in c.parquet`) {
		t.Error(err)
	}
}

// Row numbers are physical, whatever the number of threads and row groups.
func TestRowNumbersAreStable(t *testing.T) {
	t.Parallel()
	e := open(t, Options{Threads: 4})
	ctx := context.Background()
	p := parquet(t, e, "a.parquet", fmt.Sprintf("SELECT i AS id, hash(i) %% 10 AS g FROM range(%d) r(i)", assaytest.Size(250_000, 500_000))) // three groups of rows
	csv := filepath.Join(t.TempDir(), "a.csv")
	tab := read(t, e, p, ReadOptions{})
	if err := tab.Write(ctx, csv, nil, ""); err != nil {
		t.Fatal(err)
	}
	for _, tab := range []*Table{tab, read(t, e, csv, ReadOptions{})} {
		var wrong int64
		if err := e.queryRow(ctx, "SELECT count(*) FROM "+tab.Relation()+" WHERE _row <> id", &wrong); err != nil || wrong != 0 {
			t.Errorf("%s: %d rows are not in their place, %v", tab.Format(), wrong, err)
		}
		view, err := tab.Where(ctx, "g = 3")
		if err != nil {
			t.Fatal(err)
		}
		f, err := view.Frame(ctx, []string{"id"}, "id > 1000")
		if err != nil {
			t.Fatal(err)
		}
		for i := 1; i < f.Rows(); i++ {
			if f[0].Floats[i-1] >= f[0].Floats[i] {
				t.Fatalf("%s: a frame is not in the order of rows at %d", tab.Format(), i)
			}
		}
		prints, err := tab.Fingerprints(ctx, []string{"id"}, "g = 3")
		if err != nil || int64(len(prints)) != view.Rows() {
			t.Errorf("%d fingerprints of %d rows, %v", len(prints), view.Rows(), err)
		}
		for i := 1; i < len(prints); i++ {
			if prints[i-1].Row >= prints[i].Row {
				t.Fatalf("%s: fingerprints are not in the order of rows", tab.Format())
			}
		}
	}
}

// Fingerprints compare values, not types; what is missing, empty, zero or NaN keeps its difference.
func TestFingerprintsCompareValues(t *testing.T) {
	e := open(t)
	ctx := context.Background()
	print := func(sql string) Fingerprint {
		t.Helper()
		tab := read(t, e, parquet(t, e, "a.parquet", "SELECT "+sql+" AS a, 1 AS b"), ReadOptions{})
		p, err := tab.Fingerprints(ctx, nil, "")
		if err != nil || len(p) != 1 {
			t.Fatal(p, err)
		}
		return p[0].Fingerprint
	}
	for _, same := range [][]string{
		{"1::TINYINT", "1::BIGINT", "1::HUGEINT", "1::DOUBLE", "1::FLOAT", "1.00::DECIMAL(5,2)", "1::UBIGINT"},
		{"0::DOUBLE", "-0.0::DOUBLE", "0::INTEGER"},
		{"'nan'::DOUBLE", "'nan'::FLOAT", "-('nan'::DOUBLE)"},
		{"1.5::DOUBLE", "1.5::DECIMAL(3,1)", "1.50::DECIMAL(18,2)", "1.5::FLOAT"},
		{"18446744073709551616::HUGEINT", "18446744073709551616::DOUBLE"},
	} {
		for _, s := range same[1:] {
			if print(s) != print(same[0]) {
				t.Errorf("%s and %s differ", s, same[0])
			}
		}
	}
	seen := map[Fingerprint]string{}
	for _, s := range []string{
		"NULL::INTEGER", "''", "'a'", "0", "1", "'1'", "true", "'nan'::DOUBLE", "'inf'::DOUBLE", "'-inf'::DOUBLE", "DATE '1970-01-01'", "TIMESTAMP '1970-01-01'", "TIME '00:00:00'",
		"'x'::BLOB", "'x'", "9007199254740993", "9007199254740992", "0.1234567890123456789::DECIMAL(20,19)", "0.1234567890123456788::DECIMAL(20,19)",
	} {
		p := print(s)
		if other, ok := seen[p]; ok {
			t.Errorf("%s and %s are the same", s, other)
		}
		seen[p] = s
	}
}

// The definition of the content digest is a contract: stored evidence refers to it. The value was computed from the definition in Python.
func TestContentDigestIsPinned(t *testing.T) {
	e := open(t)
	ctx := context.Background()
	tab, err := e.FromFrame(ctx, assay.Frame{
		{Name: "b", Type: assay.TypeString, Codes: []int32{0, -1, 1}, Levels: []string{"", "é"}},
		{Name: "a", Type: assay.TypeNumber, Floats: []float64{0.1, math.Inf(-1), 3}},
	})
	if err != nil {
		t.Fatal(err)
	}
	d, err := tab.ContentDigest(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if want := assay.Digest("sha256:c94eeb2fad957506967bdc0d1dfb199e33e42819a22ab89f9ba3b1c38b60fb4c"); d != want {
		t.Errorf("digest %s, want %s", d, want)
	}
}

func TestFromFrameRefuses(t *testing.T) {
	e := open(t)
	_, err := e.FromFrame(context.Background(), assay.Frame{
		{Name: "a", Type: assay.TypeInteger, Floats: []float64{1, 1.5}},
		{Name: "b", Type: assay.TypeBoolean, Floats: []float64{0, 2}},
		{Name: "c", Type: assay.TypeDate, Floats: []float64{1, 86400}},
		{Name: "d", Type: assay.TypeString, Codes: []int32{0, 1}, Levels: []string{"x"}},
		{Name: "e", Type: assay.TypeNumber, Floats: []float64{1}},
		{Name: "f", Type: assay.TypeString, Floats: []float64{1, 2}},
	})
	if assay.CodeOf(err) != assay.Invalid {
		t.Fatal(err)
	}
	for _, w := range []string{`"a" has 1 values`, `"b" has 1 values`, `"c" has 1 values`, `"d" has the code 1`, `"e" has 1 rows`, `"f" is string`} {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v does not say %s", err, w)
		}
	}
	if _, err := e.FromFrame(context.Background(), nil); assay.CodeOf(err) != assay.Invalid {
		t.Error(err)
	}
	if _, err := e.FromFrame(context.Background(), assay.Frame{{Name: "a"}, {Name: "A"}}); assay.CodeOf(err) != assay.Rejected {
		t.Error(err)
	}
}

func TestWrite(t *testing.T) {
	e := open(t)
	ctx := context.Background()
	tab := read(t, e, file(t, "a.csv", "a,b,c\n1,x,true\n2,,false\n3,\"y,z\",\n"), ReadOptions{})
	dir := t.TempDir()
	p := filepath.Join(dir, "out.csv")
	if err := os.WriteFile(p, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tab.Write(ctx, p, []string{"b", "a"}, "a > 1"); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(p); err != nil || string(got) != "b,a\n,2\n\"y,z\",3\n" {
		t.Errorf("%q %v", got, err)
	}
	if err := tab.Write(ctx, filepath.Join(dir, "out.jsonl"), nil, ""); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "out.jsonl")); err != nil || string(got) != "{\"a\":1,\"b\":\"x\",\"c\":true}\n{\"a\":2,\"b\":null,\"c\":false}\n{\"a\":3,\"b\":\"y,z\",\"c\":null}\n" {
		t.Errorf("%q %v", got, err)
	}
	for name, code := range map[string]assay.Code{"out.xlsx": assay.Invalid, "out.parquet.gz": assay.Invalid, "no/such/dir/out.csv": assay.Unavailable} {
		if err := tab.Write(ctx, filepath.Join(dir, name), nil, ""); assay.CodeOf(err) != code {
			t.Errorf("%s: %v, want %s", name, err, code)
		}
	}
	if err := tab.Write(ctx, p, []string{"nope"}, ""); assay.CodeOf(err) != assay.NotFound {
		t.Error(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("%v are left, %v", left, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	ctx := context.Background()
	if _, err := Open(ctx, Options{MemoryBytes: 1000, Threads: -1}); assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), "2 problems") {
		t.Error(err)
	}
	if _, err := Open(ctx, Options{TempDir: filepath.Join(t.TempDir(), "none")}); assay.CodeOf(err) != assay.Unavailable {
		t.Error(err)
	}
	e, err := Open(ctx, Options{TempDir: t.TempDir(), MemoryBytes: 64 << 20, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	dir := e.dir
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory is left: %v", err)
	}
	if _, err := e.Read(ctx, example("train_2015.parquet"), ReadOptions{}); err == nil {
		t.Error("a closed engine reads")
	}
}

// The engine renames a column of a Parquet file whose name equals an earlier one's; such a file is refused like a CSV file.
func TestReadParquetRefusesEqualNames(t *testing.T) {
	e := open(t)
	p := parquet(t, e, "a.parquet", "SELECT [1, 2] AS list, {'name_one': {'k': 2}} AS st, MAP {'a': 1} AS m, 3 AS name_one, 4 AS name_two, 5 AS name_one_1")
	if got, want := schema(read(t, e, p, ReadOptions{})), "list:json st:json m:json name_one:integer name_two:integer name_one_1:integer"; got != want {
		t.Errorf("columns %s, want %s", got, want)
	}
	whole, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"name_one": `the name "name_one" is given to column 4 and column 5`,
		"Name_One": `the names "name_one" of column 4 and "Name_One" of column 5 differ only in case`,
	} {
		same := filepath.Join(t.TempDir(), "b.parquet")
		if err := os.WriteFile(same, bytes.ReplaceAll(whole, []byte("name_two"), []byte(name)), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, engine := range []*Engine{e, open(t, Options{InPlace: true})} {
			_, err := engine.Read(context.Background(), same, ReadOptions{})
			if assay.CodeOf(err) != assay.Rejected || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", name, err, want)
			}
		}
	}
}
