package cli

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay/internal/serve"
)

// parquetDays writes a closed segment of the log for each day.
func (p *watchedProject) parquetDays(days map[string]string) (paths []string) {
	p.t.Helper()
	folder := serve.LogDir(filepath.Join(p.dir, ".assay", "log"), "people")
	for _, day := range sortedKeys(days) {
		logDays(p.t, p.dir, day+"T12", map[string]string{day: days[day]})
		segment := filepath.Join(folder, day+"T12-x-0.jsonl")
		fields, err := serve.LogFieldsOf(folder)
		if err == nil {
			err = compactSegment(p.t.Context(), segment, serve.ParquetPath(segment), fields)
		}
		if err == nil {
			err = os.Remove(segment)
		}
		if err != nil {
			p.t.Fatal(err)
		}
		paths = append(paths, serve.ParquetPath(segment))
	}
	return paths
}

// withoutRows takes the values out of a Parquet file and leaves its footer: whoever reads one of them cannot.
func withoutRows(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	footer := len(b) - 8 - int(binary.LittleEndian.Uint32(b[len(b)-8:]))
	copy(b[4:footer], bytes.Repeat([]byte{0xff}, footer))
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestLookReadsWhatIsNew: a look reads nothing of segments whose windows are closed and judged, and finds what a look over everything does.
func TestLookReadsWhatIsNew(t *testing.T) {
	p, _ := heldProject(t, twoAlerts)
	paths := p.parquetDays(map[string]string{"2026-01-03": "", "2026-01-04": "south", "2026-01-05": "south", "2026-01-06": "south"})
	p.forward(5 * 24 * time.Hour)
	w := p.watcher()
	tick := func() {
		t.Helper()
		if err := w.tick(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	tick()
	everything := &watchedProject{t: t, dir: t.TempDir(), env: p.env}
	newest := p.parquetDays(map[string]string{"2026-01-07": "south", "2026-01-08": ""})
	p.forward(48 * time.Hour)
	if err := os.CopyFS(everything.dir, os.DirFS(p.dir)); err != nil {
		t.Fatal(err)
	}
	everything.now = p.now
	everything.run(3, "monitor", "run")
	for _, path := range paths {
		withoutRows(t, path)
	}
	tick()
	got, want := p.onRecord(), everything.onRecord()
	if !slices.Equal(got, want) || len(got) != 6 {
		t.Errorf("%d windows are on record, a look over everything makes %d", len(got), len(want))
	}
	if out := p.run(3, "monitor", "run"); !strings.Contains(out, "2026-01-03T12-x-0.parquet is damaged") { // it reads everything
		t.Errorf("%s", out)
	}
	for _, path := range newest {
		withoutRows(t, path)
	}
	p.parquetDays(map[string]string{"2026-01-09": "north"})
	p.forward(24 * time.Hour)
	tick()
	if n := len(p.onRecord()); n != 7 {
		t.Errorf("%d windows are on record, want 7", n)
	}
}
