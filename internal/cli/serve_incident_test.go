package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/assay-ml/assay/internal/serve"
)

// TestIncidentsAreTold: each incident is a line of its own, a flood of them is a few lines and their number, and nothing is told twice or kept for good.
func TestIncidentsAreTold(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	v := &incidentVoice{}
	v.take(serve.Incident{ID: "t-7", At: at, Model: "people", Version: 2, Edge: "oip", Request: "a\nb", Trace: "0af7", Status: 500, Reason: "engine", Fault: `node "x" failed`})
	v.take(serve.Incident{ID: "t-8", At: at, Model: "people", Version: 2, Edge: "mlflow", Request: "c", Status: 200, Reason: "output", Fault: "p does not sum to 1", Fallback: true})
	want := []string{
		`incident id=t-7 at=2026-01-02T03:04:05.000006Z model=people:2 edge=oip status=500 reason=engine trace=0af7 request="a\nb" fault="node \"x\" failed"`,
		`incident id=t-8 at=2026-01-02T03:04:05.000006Z model=people:2 edge=mlflow status=200 reason=output fallback=true request="c" fault="p does not sum to 1"`,
	}
	if got := v.lines(at); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("told %q", got)
	}
	if got := v.lines(at); len(got) != 0 {
		t.Errorf("told again: %q", got)
	}
	told, untold := 2, 0
	for second := range 60 {
		for range 50 {
			v.take(serve.Incident{ID: fmt.Sprint(second), At: at})
		}
		for _, line := range v.lines(at.Add(time.Duration(second) * time.Second)) {
			if n := 0; strings.HasPrefix(line, "incidents ") {
				if _, err := fmt.Sscanf(line, "incidents untold=%d", &n); err != nil {
					t.Fatal(err)
				}
				untold += n
				continue
			}
			told++
		}
	}
	for _, line := range v.lines(at.Add(time.Hour)) {
		n := 0
		if _, err := fmt.Sscanf(line, "incidents untold=%d", &n); err != nil {
			t.Fatal(err)
		}
		untold += n
	}
	if told-2+untold != 60*50 || told < incidentBurst || told > incidentBurst+60/3+1 {
		t.Errorf("%d incidents were told, and %d counted, of 3,000", told-2, untold)
	}
}
