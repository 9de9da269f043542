package cli

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/assay-ml/assay/internal/serve"
)

// How many incidents are told a line each at once, and how often one more afterwards.
const (
	incidentBurst = 20
	incidentEvery = 3 * time.Second
)

// An incidentVoice tells whoever runs the server of each incident in a line: a model that failed, or gave what must not be passed on. Where there are
// many, it tells how many it kept to itself; the log has all of them.
type incidentVoice struct {
	lock    sync.Mutex
	waiting []serve.Incident
	untold  int64
	room    float64 // lines that may be told now
	filled  time.Time
}

// take notes an incident. It does not wait for whoever reads.
func (v *incidentVoice) take(i serve.Incident) {
	v.lock.Lock()
	defer v.lock.Unlock()
	if len(v.waiting) < incidentBurst {
		v.waiting = append(v.waiting, i)
	} else {
		v.untold++
	}
}

// lines are what is to be told now.
func (v *incidentVoice) lines(now time.Time) []string {
	v.lock.Lock()
	defer v.lock.Unlock()
	if v.filled.IsZero() {
		v.room = incidentBurst
	} else if passed := now.Sub(v.filled); passed > 0 {
		v.room = min(incidentBurst, v.room+passed.Seconds()/incidentEvery.Seconds())
	}
	v.filled = now
	var out []string
	for _, i := range v.waiting {
		if v.room < 1 {
			v.untold++
			continue
		}
		v.room--
		if v.untold > 0 {
			out = append(out, fmt.Sprintf("incidents untold=%d", v.untold))
			v.untold = 0
		}
		out = append(out, incidentLine(i))
	}
	v.waiting = v.waiting[:0]
	if v.untold > 0 && v.room >= 1 {
		v.room--
		out = append(out, fmt.Sprintf("incidents untold=%d", v.untold))
		v.untold = 0
	}
	return out
}

// incidentLine is an incident as words of the form name=value; texts are quoted as Go does, so that a line is one.
func incidentLine(i serve.Incident) string {
	var b strings.Builder
	fmt.Fprintf(&b, "incident id=%s at=%s model=%s:%d edge=%s status=%d reason=%s", i.ID, i.At.UTC().Format(time.RFC3339Nano), i.Model, i.Version, i.Edge, i.Status, i.Reason)
	if i.Fallback {
		b.WriteString(" fallback=true")
	}
	if i.Trace != "" {
		b.WriteString(" trace=" + i.Trace)
	}
	b.WriteString(" request=" + strconv.Quote(i.Request) + " fault=" + strconv.Quote(i.Fault))
	return b.String()
}
