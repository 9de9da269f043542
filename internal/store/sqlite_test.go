package store

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/blob"
)

// fullTest names the variable that asks for the full test: on the disk, with as many kills as the durability claim needs.
const fullTest = "ASSAY_TEST_FULL"

func openDir(t testing.TB, dir string) *SQLite {
	t.Helper()
	s := must(OpenSQLite(t.Context(), Options{Dir: dir, Clock: assaytest.Clock(), Producer: "assay test"}))(t)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// scratch returns a directory in memory where there is one, for tests that make many stores; the full test uses the disk.
func scratch(t testing.TB) string {
	t.Helper()
	const memory = "/dev/shm"
	if _, err := os.Stat(memory); err != nil || os.Getenv(fullTest) != "" {
		return t.TempDir()
	}
	dir := must(os.MkdirTemp(memory, "assay-test-"))(t)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// brief opens a new store for one round of a property.
func brief(t testing.TB, dir string) (*SQLite, func()) {
	t.Helper()
	dir = must(os.MkdirTemp(dir, "round-"))(t)
	s := must(OpenSQLite(t.Context(), Options{Dir: dir, Clock: assaytest.Clock(), Producer: "assay test"}))(t)
	return s, func() {
		if err := errors.Join(s.Close(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	}
}

func TestSQLite(t *testing.T) {
	dir := scratch(t)
	conformance(t, func(t testing.TB, name string) Store { return openDir(t, filepath.Join(dir, name)) })
}

// TestOpenSweeps: opening removes what interrupted writes left a week ago, and nothing younger.
func TestOpenSweeps(t *testing.T) {
	dir := scratch(t)
	openDir(t, dir)
	now := assaytest.Clock()()
	for name, age := range map[string]time.Duration{"put-old": 8 * 24 * time.Hour, "put-new": time.Hour} {
		p := filepath.Join(dir, blobsName, "tmp", name)
		if err := errors.Join(os.WriteFile(p, nil, 0o644), os.Chtimes(p, now.Add(-age), now.Add(-age))); err != nil {
			t.Fatal(err)
		}
	}
	r := checkClean(t, openDir(t, dir))
	if len(r.Orphans) != 1 || !strings.Contains(r.Orphans[0].Detail, "put-new") {
		t.Errorf("%+v", r.Orphans)
	}
}

// TestOpenAtOnce: whoever opens a new store while others make it waits for them. SQLite does not, where waiting could be a deadlock: about
// one opening of 600 found the database locked within milliseconds.
func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	rounds := 5
	if os.Getenv(fullTest) != "" {
		rounds = 100
	}
	for round := range rounds {
		dir := filepath.Join(scratch(t), strconv.Itoa(round))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				s, err := OpenSQLite(t.Context(), Options{Dir: dir, Clock: assaytest.Clock(), Producer: "assay test"})
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
}

// TestUpgradeToWindows: a store of version 1 is brought up to date when it is opened, its windows are found, by their index and not by reading them all.
func TestUpgradeToWindows(t *testing.T) {
	dir := scratch(t)
	s := must(OpenSQLite(t.Context(), Options{Dir: dir, Clock: assaytest.Clock(), Producer: "assay test"}))(t)
	plan := add(t, s, assay.KindCI, digest("a"), nil, assay.CI{}).ID
	report := must(blob.PutBytes(t.Context(), s.Blobs(), []byte("{}")))(t)
	for _, n := range []int64{5, 9, 7} {
		add(t, s, assay.KindDrift, digest("model"), []assay.Digest{plan}, assay.Drift{Monitor: plan, Window: assay.Window{Number: n}, Signals: []assay.Signal{}, Ranking: []assay.Cause{}, Report: report, Verdict: assay.Pass})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tamper(t, dir, `DROP INDEX evidence_window`, `DELETE FROM goose_db_version WHERE version_id = 2`)
	s = openDir(t, dir)
	rs := must(s.Find(t.Context(), Query{Kind: assay.KindDrift, Subject: digest("model"), Parent: plan, Windows: true, Limit: 1}))(t)
	if len(rs) != 1 || must(assay.Decode[assay.Drift](rs[0].Evidence))(t).Window.Number != 9 {
		t.Errorf("%+v", rs)
	}
	if r := must(s.Fsck(t.Context()))(t); len(r.Problems) > 0 {
		t.Errorf("%+v", r.Problems)
	}
	var steps []string
	err := each(t.Context(), s.reads, func(scan func(...any) error) error {
		var a, b, c any
		var text string
		err := scan(&a, &b, &c, &text)
		steps = append(steps, text)
		return err
	}, `EXPLAIN QUERY PLAN `+windowsQuery(true, true), digest("model"), assay.KindDrift, plan, 1)
	if text := strings.Join(steps, "; "); err != nil || !strings.Contains(text, "USING COVERING INDEX evidence_window") {
		t.Errorf("%v: %s", err, text)
	}
}
