package table

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/assay-ml/assay"
)

func TestFiniteAndNaN(t *testing.T) {
	e := open(t)
	ctx := context.Background()
	tab := read(t, e, file(t, "a.csv", "x\n1\n3\nnan\ninf\n-inf\ninf\n\n"), ReadOptions{})
	nan, positive, negative := NonFinite("x")
	var n, p, m, nulls int64
	var mean, least, most float64
	sql := fmt.Sprintf("SELECT %s, %s, %s, count(*) - count(x), avg(%s), min(%s), max(%s) FROM %s", nan, positive, negative, Finite("x"), NaNAsNull("x"), NaNAsNull("x"), tab.Relation())
	if err := e.queryRow(ctx, sql, &n, &p, &m, &nulls, &mean, &least, &most); err != nil {
		t.Fatal(err)
	}
	if n != 1 || p != 2 || m != 1 || nulls != 1 || mean != 2 || !math.IsInf(least, -1) || !math.IsInf(most, 1) {
		t.Errorf("%d NaN, %d and %d infinite, %d null, mean %v, %v to %v", n, p, m, nulls, mean, least, most)
	}
}

func TestRowsScan(t *testing.T) {
	e := open(t)
	ctx := context.Background()
	r, err := e.query(ctx, `SELECT true, 1::TINYINT, 2::HUGEINT, 170141183460469231731687303715884105727::HUGEINT, 1.25::DECIMAL(9,2), 'x', 'ab'::BLOB,
		TIMESTAMP '2020-01-01 00:00:01', NULL, NULL::DOUBLE, [1, NULL], -0.05::DECIMAL(4,2), ?::BIGINT, ?::VARCHAR, ?::DOUBLE, ?::BOOLEAN, ?::TIMESTAMP, ?::INTEGER`,
		int64(7), "it's", 0.5, true, time.Unix(5, 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if !r.Next() {
		t.Fatal(r.Err())
	}
	var b, arg4 bool
	var i, arg1 int64
	var h int
	var huge, list any
	var d, f, arg3 float64
	var s, dec, arg2 string
	var raw []byte
	var ts, arg5 time.Time
	var null *string
	var arg6 *int64
	if err := r.Scan(&b, &i, &h, &huge, &d, &s, &raw, &ts, &null, &f, &list, &dec, &arg1, &arg2, &arg3, &arg4, &arg5, &arg6); err != nil {
		t.Fatal(err)
	}
	if !b || i != 1 || h != 2 || huge.(*big.Int).BitLen() != 127 || d != 1.25 || s != "x" || string(raw) != "ab" || ts.Unix() != 1577836801 ||
		null != nil || !math.IsNaN(f) || fmt.Sprint(list) != "[1 <nil>]" || dec != "-0.05" ||
		arg1 != 7 || arg2 != "it's" || arg3 != 0.5 || !arg4 || arg5.Unix() != 5 || arg6 != nil {
		t.Error(b, i, h, huge, d, s, raw, ts, null, f, list, dec, arg1, arg2, arg3, arg4, arg5, arg6)
	}
	if r.Next() || r.Err() != nil || r.Close() != nil || r.Close() != nil || r.Next() {
		t.Error("the rows do not end as they should")
	}
	for _, bad := range []func() error{
		func() error { return e.queryRow(ctx, "SELECT 'x'", new(int64)) },
		func() error { return e.queryRow(ctx, "SELECT 1.5", new(int64)) },
		func() error { return e.queryRow(ctx, "SELECT NULL", new(string)) },
		func() error { return e.queryRow(ctx, "SELECT 1, 2", new(int64)) },
		func() error { return e.queryRow(ctx, "SELECT 1 WHERE false", new(int64)) },
		func() error { _, err := e.query(ctx, "SELECT ?"); return err },
		func() error { _, err := e.query(ctx, "SELECT ?", struct{}{}); return err },
	} {
		if bad() == nil {
			t.Error("no error")
		}
	}
}

func TestLiteralsAndIdentifiers(t *testing.T) {
	e := open(t)
	ctx := context.Background()
	for _, v := range []any{"it's", "a\x00b", "", "日本\n\\'", int64(math.MinInt64), uint64(math.MaxUint64), 0.1, -5e-324, math.MaxFloat64, true, nil} {
		var got string
		want := fmt.Sprint(v)
		sql := "SELECT CAST(" + Literal(v) + " AS VARCHAR)"
		switch v := v.(type) {
		case nil:
			sql, want = "SELECT CASE WHEN "+Literal(v)+" IS NULL THEN 'null' END", "null"
		case float64:
			var f float64
			if err := e.queryRow(ctx, "SELECT "+Literal(v), &f); err != nil || f != v {
				t.Errorf("%v became %v, %v", v, f, err)
			}
			continue
		}
		if err := e.queryRow(ctx, sql, &got); err != nil || got != want {
			t.Errorf("%v became %q, %v", v, got, err)
		}
	}
	for v, want := range map[float64]string{math.Inf(1): "inf", math.Inf(-1): "-inf", math.NaN(): "nan"} {
		var got string
		if err := e.queryRow(ctx, "SELECT CAST("+Literal(v)+" AS VARCHAR)", &got); err != nil || got != want {
			t.Errorf("%v became %q, %v", v, got, err)
		}
	}
	for _, name := range []string{`a"b`, "select", "é ü", `"`, "a;b--"} {
		r, err := e.query(ctx, "SELECT 1 AS "+Ident(name))
		if err != nil || r.Columns()[0] != name {
			t.Errorf("%q: %v", name, err)
			continue
		}
		r.Close()
	}
}

func TestConcurrentUse(t *testing.T) {
	e := open(t)
	ctx := context.Background()
	tab := read(t, e, example("train_2015.parquet"), ReadOptions{})
	want, err := tab.ContentDigest(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var g errgroup.Group
	for i := range 8 {
		g.Go(func() error {
			view, err := tab.Where(ctx, fmt.Sprintf("id %% 8 = %d", i))
			if err != nil {
				return err
			}
			f, err := view.Frame(ctx, []string{"id", "employed"}, "")
			if err != nil {
				return err
			}
			if int64(f.Rows()) != view.Rows() {
				return fmt.Errorf("%d rows of %d", f.Rows(), view.Rows())
			}
			if d, err := tab.ContentDigest(ctx); err != nil || d != want {
				return fmt.Errorf("digest %s, %v", d, err)
			}
			other, err := e.Read(ctx, example("train_2015.parquet"), ReadOptions{})
			if err != nil {
				return err
			}
			return other.Drop(ctx)
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
}

// A query that runs is stopped when its context ends.
func TestQueryIsInterrupted(t *testing.T) {
	e := open(t)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	err := e.queryRow(ctx, "SELECT count(*) FROM range(1000000000) a, range(1000000) b WHERE hash(a.range, b.range) = 1", new(int64))
	if assay.CodeOf(err) != assay.Unavailable {
		t.Errorf("%v", err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("it took %s to stop", took)
	}
}

// A query beyond the memory limit spills or fails in words that help; the engine lives on.
func TestMemoryLimit(t *testing.T) {
	e := open(t, Options{MemoryBytes: 64 << 20, Threads: 1})
	ctx := context.Background()
	err := e.queryRow(ctx, "SELECT length(string_agg(md5(i::VARCHAR), '')) FROM range(20000000) r(i)", new(int64))
	if assay.CodeOf(err) != assay.Unavailable || !strings.Contains(err.Error(), "memory limit") {
		t.Errorf("%v", err)
	}
	var n int64
	if err := e.queryRow(ctx, "SELECT count(DISTINCT hash(i)) FROM range(3000000) r(i)", &n); err != nil || n != 3_000_000 {
		t.Errorf("%d, %v", n, err)
	}
}

// Sources and temporary directories may be symbolic links, and lie on different file systems.
func TestLinksAndFileSystems(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	data := file(t, "data.csv", "a,b\n1,x\n")
	link := filepath.Join(dir, "link.csv")
	if err := os.Symlink(data, link); err != nil {
		t.Fatal(err)
	}
	temp := filepath.Join(dir, "temp")
	if err := os.Symlink(t.TempDir(), temp); err != nil {
		t.Fatal(err)
	}
	temps := []string{temp}
	if shm, err := os.MkdirTemp("/dev/shm", "assay-test-"); err == nil {
		defer os.RemoveAll(shm)
		temps = append(temps, shm)
	}
	for _, temp := range temps {
		e, err := Open(ctx, Options{TempDir: temp})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{data, link} {
			tab, err := e.Read(ctx, p, ReadOptions{})
			if err != nil {
				t.Fatalf("%s: %v", temp, err)
			}
			if got := dump(t, tab); got != "1|x" {
				t.Errorf("%s: %s", temp, got)
			}
			if err := tab.Write(ctx, filepath.Join(dir, "out.parquet"), nil, ""); err != nil {
				t.Error(err)
			}
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}
