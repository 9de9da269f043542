package cli

import (
	"regexp"
	"strings"
	"testing"

	"github.com/assay-ml/assay/internal/gate"
)

// What a run says to do about opened raw data is what the built-in policy gives as its reason.
func TestRawDataRemedyIsThePolicys(t *testing.T) {
	t.Parallel()
	joined := regexp.MustCompile(`" \+\s+"`).ReplaceAllString(string(gate.DefaultSource()), "")
	if !strings.Contains(joined, rawDataRemedy) {
		t.Errorf("the built-in policy does not say %q", rawDataRemedy)
	}
}
