package gate

import (
	"strings"
	"testing"

	"github.com/assay-ml/assay"
)

// Where nobody could watch the raw data, that is not held against the run.
func TestUnwatchedRawDataDoesNotBlock(t *testing.T) {
	f := complete(t)
	f.values["run"].(map[string]any)["raw_data_untouched"] = "undetermined"
	if j := judge(t, Default(), assay.StageStaging, f); j.Verdict != assay.Pass {
		t.Errorf("%s: %s", j.Verdict, rule(j, "experiment").Reason)
	}
}

// TestAcceptedSealedRowsAreNamed: a split that was made with a reason, of data that probably has sealed rows, passes and is told of; rows
// that it seals again are not.
func TestAcceptedSealedRowsAreNamed(t *testing.T) {
	for _, c := range []struct {
		sealed bool
		want   string
	}{
		{false, "; the data has probably 1,240 sealed test rows of split 0123456789ab in another form, accepted with the reason: another survey"},
		{true, ""},
	} {
		f := complete(t)
		f.values["split"].(map[string]any)["alike"] = []any{map[string]any{
			"split": "sha256:0123456789abcdef", "rows": 1240.0, "sealed": c.sealed, "by": "counts", "reason": "another survey",
		}}
		r := rule(judge(t, Default(), assay.StageStaging, f), "experiment")
		_, told, _ := strings.Cut(r.Reason, "; ")
		if r.Verdict != assay.Pass || told != strings.TrimPrefix(c.want, "; ") {
			t.Errorf("sealed again: %v: %s: %s", c.sealed, r.Verdict, r.Reason)
		}
	}
}

func TestReasonsAreShort(t *testing.T) {
	f := complete(t)
	f.values["disclosure"].(map[string]any)["level"] = 0.9833333333333333
	f.values["evaluation"].(map[string]any)["level"] = 0.9833333333333333
	r := rule(judge(t, Default(), assay.StageStaging, f), "evaluation")
	if r.Verdict != assay.Pass || !strings.Contains(r.Reason, "at level 0.9833,") {
		t.Errorf("%s: %s", r.Verdict, r.Reason)
	}
}

// TestTheBuiltInNameIsReserved: the built-in policy may be read from a file; another one may not be called so.
func TestTheBuiltInNameIsReserved(t *testing.T) {
	src := string(DefaultSource())
	if p, err := Parse([]byte(src)); err != nil || p.Digest() != Default().Digest() {
		t.Errorf("the built-in policy from a file: %v", err)
	}
	loose := strings.Replace(src, "  staging: [data, experiment,", "  staging: [data,", 1)
	for name, ok := range map[string]bool{"definition-of-done": false, "Definition-of-Done": false, `" definition-of-done"`: false, "team": true} {
		_, err := Parse([]byte(strings.Replace(loose, "name: definition-of-done", "name: "+name, 1)))
		if ok != (err == nil) || !ok && (assay.CodeOf(err) != assay.Invalid || !strings.Contains(err.Error(), "the name is the built-in policy's")) {
			t.Errorf("name %s: %v", name, err)
		}
	}
}
