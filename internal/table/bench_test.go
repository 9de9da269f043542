package table

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// full skips what takes minutes or gigabytes unless it is asked for. The peak of memory is the process's, so such a test runs alone and
// without the race detector, whose shadow memory would be counted too.
func full(t testing.TB) {
	t.Helper()
	if os.Getenv("ASSAY_TEST_MEMORY") == "" {
		t.Skip("set ASSAY_TEST_MEMORY=1")
	}
}

// peakBytes returns the most memory that the process has had resident, from the kernel; 0 where it does not say.
func peakBytes() int64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// mixed is SQL for n rows of 16 columns: integers, floats with every digit, categories, distinct texts and timestamps, some missing.
func mixed(n int) string {
	var b strings.Builder
	b.WriteString("SELECT i AS id")
	for k := range 6 {
		fmt.Fprintf(&b, ", CASE WHEN hash(i, %d) %% 50 = 0 THEN NULL ELSE (hash(i, %d) %% 1000003)::DOUBLE / 997 END AS f%d", 100+k, k, k)
	}
	for k := range 4 {
		fmt.Fprintf(&b, ", (hash(i, %d) %% %d)::INTEGER AS n%d", 10+k, 10+1000*k, k)
	}
	b.WriteString(", 'c' || (hash(i, 20) % 7) AS c0, 'level ' || (hash(i, 21) % 300) AS c1, md5(i::VARCHAR) AS u, hash(i, 22) % 2 = 0 AS b")
	b.WriteString(", TIMESTAMP '2020-01-01' + to_seconds((hash(i, 23) % 100000000)::BIGINT) AS t")
	fmt.Fprintf(&b, " FROM range(%d) r(i)", n)
	return b.String()
}

// makeData writes a file of mixed rows once and returns its path.
func makeData(t testing.TB, name string, rows int, options string) string {
	t.Helper()
	e := open(t)
	made := filepath.Join(e.dir, name)
	if err := e.exec(context.Background(), "COPY ("+mixed(rows)+") TO "+Literal(made)+" ("+options+")"); err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(t.TempDir(), name)
	if err := move(made, p, 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDataLargerThanMemory(t *testing.T) {
	full(t)
	ctx := context.Background()
	p := makeData(t, "5m.parquet", 5_000_000, "FORMAT parquet")
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Logf("the peak includes making the data: %v", err)
	}
	e := open(t, Options{MemoryBytes: 1 << 30})
	start := time.Now()
	tab := read(t, e, p, ReadOptions{})
	t.Logf("read %s, peak %d MiB", time.Since(start), peakBytes()>>20)
	if tab.Rows() != 5_000_000 || len(tab.Fields()) != 16 {
		t.Fatalf("%d rows, %d columns", tab.Rows(), len(tab.Fields()))
	}
	start = time.Now()
	var distinct int64
	if err := e.queryRow(ctx, "SELECT count(DISTINCT u) FROM "+tab.Relation(), &distinct); err != nil || distinct != 5_000_000 {
		t.Errorf("%d distinct, %v", distinct, err)
	}
	t.Logf("distinct %s, peak %d MiB", time.Since(start), peakBytes()>>20)
	start = time.Now()
	var gaps int64
	if err := e.queryRow(ctx, "SELECT count(*) FROM "+tab.Relation()+" WHERE _row <> id", &gaps); err != nil || gaps != 0 {
		t.Errorf("%d rows are not in their place, %v", gaps, err)
	}
	t.Logf("row numbers %s", time.Since(start))
	start = time.Now()
	if _, err := tab.ContentDigest(ctx); err != nil {
		t.Error(err)
	}
	t.Logf("content digest %s, peak %d MiB", time.Since(start), peakBytes()>>20)
	if peak := peakBytes(); peak > 1<<30+1<<28 {
		t.Errorf("peak of %d MiB under a limit of 1024 MiB", peak>>20)
	}
}

func BenchmarkRead(b *testing.B) {
	employment := os.Getenv("ASSAY_EMPLOYMENT") // a folder of Parquet files with 277,677 rows
	for _, c := range []struct {
		name string
		path func() string
	}{
		{"parquet_277k_x_18", func() string { return employment }},
		{"csv_1M_x_16", func() string { return makeData(b, "1m.csv", 1_000_000, "FORMAT csv, HEADER") }},
		{"parquet_1M_x_16", func() string { return makeData(b, "1m.parquet", 1_000_000, "FORMAT parquet") }},
	} {
		b.Run(c.name, func(b *testing.B) {
			full(b)
			p := c.path()
			if p == "" {
				b.Skip("ASSAY_EMPLOYMENT names no folder")
			}
			ctx := context.Background()
			var e *Engine
			var tab *Table
			b.Run("read", func(b *testing.B) {
				for b.Loop() {
					e = open(b)
					tab = read(b, e, p, ReadOptions{})
				}
			})
			e = open(b)
			tab = read(b, e, p, ReadOptions{})
			b.Run("frame", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := tab.Frame(ctx, nil, ""); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("digest", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := tab.ContentDigest(ctx); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("summary", func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := tab.Summarize(ctx, nil, SummaryOptions{}); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("duckdb", func(b *testing.B) {
				e := open(b)
				link, err := e.link(ctx, p)
				if err != nil {
					b.Skip("a folder")
				}
				reader := "read_parquet"
				if strings.HasSuffix(p, ".csv") {
					reader = "read_csv"
				}
				for b.Loop() {
					name := e.name("d")
					if err := e.exec(ctx, "CREATE TABLE "+name+" AS SELECT * FROM "+reader+"("+Literal(link)+")"); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
