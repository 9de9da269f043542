package run

import (
	"math"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/blob"
	"github.com/assay-ml/assay/internal/store"
)

func openStore(t *testing.T) store.Store {
	t.Helper()
	st, err := store.OpenSQLite(t.Context(), store.Options{Dir: t.TempDir(), Clock: assaytest.Clock(), Producer: "assay test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

func TestExecuteWritesEvidence(t *testing.T) {
	st := openStore(t)
	s := Spec{Command: []string{"sh", "-c", `echo '{"loss": 0.5, "bad": NaN}' > "$ASSAY_OUT/metrics.json"`}, Dir: t.TempDir(), Seed: 7, Clock: assaytest.Clock()}
	first, err := Execute(t.Context(), s, st)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Execute(t.Context(), s, st)
	if err != nil {
		t.Fatal(err)
	}
	if first.ID != second.ID || first.Kind != assay.KindRun {
		t.Errorf("the same run has the ids %s and %s", first.ID, second.ID)
	}
	r, err := assay.Decode[assay.Run](first.Evidence)
	if err != nil || r.Metrics["loss"] != 0.5 || !math.IsNaN(float64(r.Metrics["bad"])) {
		t.Errorf("metrics %v, %v", r.Metrics, err)
	}
	if b, err := blob.ReadAll(t.Context(), st.Blobs(), assay.Digest(first.Entry.Context["log"]), 1<<20); err != nil || len(b) != 0 {
		t.Errorf("log %q, %v", b, err)
	}
	if _, err := Execute(t.Context(), Spec{Command: []string{"true"}, Seed: 1 << 60}, st); assay.CodeOf(err) != assay.Invalid {
		t.Errorf("a seed that JSON would round: %v", err)
	}
}

func TestAFinishedRunIsFrozen(t *testing.T) {
	st := openStore(t)
	first, err := Execute(t.Context(), Spec{Command: []string{"sh", "-c", `echo '{"loss": 0.5}' > "$ASSAY_OUT/metrics.json"`}, Dir: t.TempDir()}, st)
	if err != nil {
		t.Fatal(err)
	}
	d, err := blob.PutBytes(t.Context(), st.Blobs(), []byte("late"))
	if err != nil {
		t.Fatal(err)
	}
	late := Addition{Metrics: map[string]assay.Number{"accuracy": 0.9}, Outputs: []assay.File{{Name: "late.txt", Bytes: 4, Digest: d}}}
	amended, err := Amend(t.Context(), first, late, st)
	if err != nil {
		t.Fatal(err)
	}
	r, err := assay.Decode[assay.Run](amended.Evidence)
	if err != nil || r.Amends != first.ID || amended.Subject != first.Subject || len(amended.Parents) != 1 || amended.Parents[0] != first.ID {
		t.Errorf("amendment %+v of %s, %v", amended.Evidence, first.ID, err)
	}
	if r.Metrics["loss"] != 0.5 || r.Metrics["accuracy"] != 0.9 || len(r.Outputs) != 2 || r.Outputs[0].Name != "late.txt" {
		t.Errorf("metrics %v, outputs %v", r.Metrics, r.Outputs)
	}
	kept, err := st.Get(t.Context(), first.ID)
	if err != nil || string(kept.Payload) != string(first.Payload) {
		t.Errorf("the run itself changed: %v", err)
	}
	_, err = Amend(t.Context(), first, Addition{Metrics: map[string]assay.Number{"loss": 0.1}, Outputs: []assay.File{{Name: "metrics.json", Digest: d}}}, st)
	if assay.CodeOf(err) != assay.Refused || !strings.Contains(err.Error(), "2 problems") {
		t.Errorf("a changed metric: %v", err)
	}
}
