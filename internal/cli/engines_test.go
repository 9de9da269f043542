package cli

import (
	"testing"
	"time"

	"github.com/assay-ml/assay"
)

// TestEngines: what answered in a window is the engine of the newest check that passed before the window ended; of windows before all checks, and
// of those without times, the only one that can be named.
func TestEngines(t *testing.T) {
	_, dir := registered(t)
	p := &watchedProject{t: t, dir: dir, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	s := p.session()
	defer s.Close()
	ctx := t.Context()
	versions, err := s.st.Versions(ctx, "people")
	if err != nil || len(versions) != 1 {
		t.Fatal(versions, err)
	}
	v := versions[0]
	var at []time.Time
	for _, x := range []struct {
		engine  string
		verdict assay.Verdict
	}{{ownEngine, assay.Pass}, {pythonEngine, assay.Fail}, {"onnxruntime 1.32.0", assay.Pass}} {
		r, err := s.write(ctx, assay.KindServing, v.Model, []assay.Digest{v.Evidence}, assay.Serving{Engine: x.engine, Verdict: x.verdict, Smoke: []assay.Smoke{}, Problems: []string{}})
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, r.Entry.At)
		p.forward(time.Second)
	}
	if !at[0].Before(at[1]) || !at[1].Before(at[2]) {
		t.Fatalf("times do not rise: %v", at)
	}
	engine, err := s.engines(ctx, v.Model)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		end  assay.Instant
		want string
	}{
		{assay.InstantOf(at[0].Add(-time.Hour)), ""}, {assay.InstantOf(at[2].Add(-time.Millisecond)), ""}, {assay.InstantOf(at[2].Add(time.Hour)), "onnxruntime 1.32.0"}, {"", "onnxruntime 1.32.0"},
	} {
		if got := engine(assay.Window{End: c.end}); got != c.want {
			t.Errorf("%s: %q, want %q", c.end, got, c.want)
		}
	}
}
