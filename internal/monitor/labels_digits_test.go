package monitor

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/table"
)

// TestWholeKeysKeepTheirDigits: whole numbers of any size are the same key beside a row, in labels by HTTP and in labels of a file, whatever the
// format; those next to each other stay apart.
func TestWholeKeysKeepTheirDigits(t *testing.T) {
	e, ctx := engine(t), context.Background()
	in := schema.New("in")
	in.Columns = []schema.Column{{Name: "x", Type: assay.TypeNumber, Optional: true}}
	v, err := in.Compile()
	if err != nil {
		t.Fatal(err)
	}
	for _, keys := range [][]string{
		{"0", "9007199254740992", "9007199254740993"},
		{"9223372036854775807", "9223372036854775808", "9223372036854775811", "18446744073709551615"},
		{"-9223372036854775809", "-9223372036854775808", "18446744073709551616", "170141183460469231731687303715884105727"},
		{"99999999999999999999999999999999999998", "99999999999999999999999999999999999999"},
		{"1000000000000000000000000000000000000000000000001", "1000000000000000000000000000000000000000000000002"},
	} {
		rows := v.NewBatch()
		rows.KeyedBy([]string{"id"})
		files := map[string]string{"csv": "id,y\n", "jsonl": ""}
		request := `{"labels":[`
		for i, k := range keys {
			var r schema.Reader
			r.Reset([]byte(`{"id":`+k+`}`), 0)
			if found, ok := rows.Object(&r, nil); !ok || len(found) > 0 || string(rows.Key(i, nil)) != k {
				t.Errorf("%s beside a row: %q %v", k, rows.Key(i, nil), found)
			}
			request += `{"key":` + k + `,"label":"a"},`
			files["csv"] += k + ",a\n"
			files["jsonl"] += `{"id":` + k + `,"y":"a"}` + "\n"
		}
		rows.Release()
		labels, _, err := ReadLabelRequest([]byte(strings.TrimSuffix(request, ",")+"]}"), []string{"id"}, time.Unix(1_700_000_000, 0))
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range labels {
			if l.Key != keys[i] {
				t.Errorf("%s by HTTP: %q", keys[i], l.Key)
			}
		}
		dir := t.TempDir()
		for ext, text := range files {
			path := filepath.Join(dir, "labels."+ext)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var x *table.Table
			x, err = e.Read(ctx, path, table.ReadOptions{})
			if err != nil {
				t.Fatal(ext, err)
			}
			keyedAs(t, keys, x)
			parquet := filepath.Join(dir, ext+".parquet")
			if err := x.Write(ctx, parquet, nil, ""); err != nil {
				t.Fatal(ext, err)
			}
			if x, err = e.Read(ctx, parquet, table.ReadOptions{}); err != nil {
				t.Fatal(ext, err)
			}
			keyedAs(t, keys, x)
		}
	}
}

// keyedAs holds the keys of a table of labels against those that it should have.
func keyedAs(t *testing.T, want []string, x *table.Table) {
	t.Helper()
	l, _, err := LabelTable{Join: []string{"id"}, Label: "y"}.Labels(context.Background(), x)
	if err != nil {
		t.Fatal(err)
	}
	f, err := l.Frame(context.Background(), []string{"_key"}, "")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, code := range f[0].Codes {
		got = append(got, f[0].Levels[code])
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", x.Format(), got, want)
	}
}
