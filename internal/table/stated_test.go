package table

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/assay-ml/assay"
)

// TestStatedNestedAndBytes: what a schema calls nested values and bytes is read as such from every format, where the values allow it, and
// otherwise as it looks; an order of rows is kept.
func TestStatedNestedAndBytes(t *testing.T) {
	t.Parallel()
	e := open(t)
	ctx := context.Background()
	as := map[string]assay.Type{"y": assay.TypeJSON, "b": assay.TypeBinary, "absent": assay.TypeBinary}
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	values := func(tab *Table, column string) []string {
		t.Helper()
		f, err := tab.Frame(ctx, []string{column}, "")
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for i := range f.Rows() {
			if f[0].Missing(i) {
				out = append(out, "<missing>")
			} else {
				out = append(out, f[0].Levels[f[0].Codes[i]])
			}
		}
		return out
	}
	types := func(tab *Table) string {
		var out []string
		for _, f := range tab.Fields() {
			out = append(out, f.Name+" "+string(f.Type))
		}
		return strings.Join(out, ", ")
	}
	const csvLines = "k,y,b\n1,1,aGVsbG8=\n2,\"\"\"a\"\"\",\"\"\n3,\"{\"\"n\"\": [1, 2.0]}\",\n4,,AP8=\n5,true,aGVsbG9=\n"
	files := []struct{ name, text string }{
		{"a.jsonl", `{"k":1,"y":1,"b":"aGVsbG8="}` + "\n" + `{"k":2,"y":"a","b":null}` + "\n" + `{"k":3,"y":{"n": [1, 2.0]}}` + "\n" + `{"k":4,"b":"AP8="}` + "\n" + `{"k":5,"y":true,"b":"aGVsbG9="}`},
		{"a.csv", csvLines},
	}
	for _, x := range files {
		tab := read(t, e, write(x.name, x.text), ReadOptions{As: as})
		object := `{"n":[1,2.0]}`
		if x.name == "a.csv" {
			object = `{"n": [1, 2.0]}` // as it was written
		}
		if got := types(tab); got != "k integer, y json, b binary" {
			t.Fatalf("%s: %s", x.name, got)
		}
		if d := cmp.Diff([]string{"1", `"a"`, object, "<missing>", "true"}, values(tab, "y")); d != "" {
			t.Errorf("%s: %s", x.name, d)
		}
		if d := cmp.Diff([]string{"hello", "<missing>", "<missing>", "\x00\xff", "hello"}, values(tab, "b")); d != "" {
			t.Errorf("%s: %s", x.name, d)
		}
		// A Parquet file keeps the types without anybody stating them, and has the same content.
		digest, err := tab.ContentDigest(ctx)
		if err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(dir, x.name+".parquet")
		if err := tab.Write(ctx, out, nil, ""); err != nil {
			t.Fatal(err)
		}
		back := read(t, e, out, ReadOptions{})
		if again, err := back.ContentDigest(ctx); err != nil || again != digest || types(back) != types(tab) {
			t.Errorf("%s: %s: %s: %v", out, types(back), again, err)
		}
	}
	// Where a value is none, the column stays as it looks.
	for _, x := range []struct{ name, text, types string }{
		{"b.csv", "k,y,b\n1,{},aGVsbG8=\n2,{,aGVsbG8\n", "k integer, y string, b string"},
		{"b.jsonl", `{"k":1,"y":[1],"b":"aGVsbG8="}` + "\n" + `{"k":2,"y":[],"b":"a-_="}`, "k integer, y json, b string"},
		{"c.jsonl", `{"k":1,"y":null,"b":5}`, "k integer, y json, b integer"},
		{"c.csv", "k,y,b\n1,,\n", "k integer, y json, b binary"},
	} {
		if got := types(read(t, e, write(x.name, x.text), ReadOptions{As: as})); got != x.types {
			t.Errorf("%s: %s, want %s", x.name, got, x.types)
		}
	}
	// Texts of a Parquet file are read so, too, loaded or in place, and rows stay in their order.
	texts := read(t, e, write("d.csv", csvLines), ReadOptions{As: map[string]assay.Type{"y": assay.TypeString, "b": assay.TypeString}})
	if err := texts.Write(ctx, filepath.Join(dir, "d.parquet"), nil, ""); err != nil {
		t.Fatal(err)
	}
	for _, e := range []*Engine{e, open(t, Options{InPlace: true})} {
		tab := read(t, e, filepath.Join(dir, "d.parquet"), ReadOptions{As: as})
		if got := types(tab) + strings.Join(values(tab, "b"), " "); got != "k integer, y json, b binary"+"hello <missing> <missing> \x00\xff hello" {
			t.Errorf("%q", got)
		}
	}
	// JSON Lines have nested values as such, CSV the text of their JSON, and both have bytes in base64: what is written is read again.
	tab := read(t, e, filepath.Join(dir, "a.jsonl"), ReadOptions{As: as})
	for name, want := range map[string]string{
		"e.jsonl": `{"k":3,"y":{"n":[1,2.0]},"b":null}` + "\n" + `{"k":4,"y":null,"b":"AP8="}` + "\n",
		"e.csv":   "k,y,b\n3,\"{\"\"n\"\":[1,2.0]}\",\n4,,AP8=\n",
	} {
		out := filepath.Join(dir, name)
		if err := tab.Write(ctx, out, nil, "k = 3 OR k = 4"); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(out); err != nil || string(b) != want {
			t.Errorf("%s: %s, want %s: %v", name, b, want, err)
		}
	}
}

// TestEmptySegments: a log without rows may have a field of any type.
func TestEmptySegments(t *testing.T) {
	t.Parallel()
	var fields []assay.Field
	for _, typ := range []assay.Type{assay.TypeBoolean, assay.TypeInteger, assay.TypeNumber, assay.TypeString, assay.TypeDate, assay.TypeTime, assay.TypeTimestamp, assay.TypeBinary, assay.TypeJSON, ""} {
		fields = append(fields, assay.Field{Name: "f " + string(typ), Type: typ})
	}
	tab, err := open(t).ReadSegments(context.Background(), nil, nil, fields)
	if err != nil || tab.Rows() != 0 || len(tab.Fields()) != len(fields) {
		t.Error(tab, err)
	}
}
