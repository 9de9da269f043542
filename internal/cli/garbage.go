package cli

import (
	"runtime/debug"
	"runtime/metrics"
)

// Bounds of what a server leaves uncollected. A collection takes a share of the processors from the requests of its time, so that it
// should come seldom; a heap that is large anyway grows by no more than Go lets it.
const (
	garbageRoom  = 48 << 20 // bytes
	leastLive    = 4 << 20
	usualPercent = 100 // Go's own
)

// garbage sets how often the process of a server collects what its requests leave behind.
type garbage struct {
	before, percent int
	live            []metrics.Sample
}

// sparingly begins to collect seldom. It is nil, and does nothing, where the environment says how often.
func sparingly(env func(string) string) *garbage {
	if env("GOGC") != "" || env("GOMEMLIMIT") != "" {
		return nil
	}
	g := &garbage{live: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}}
	g.percent = garbagePercent(0)
	g.before = debug.SetGCPercent(g.percent)
	return g
}

// garbagePercent is the value of GOGC with which garbageRoom may be left beside so many live bytes.
func garbagePercent(live uint64) int {
	return max(usualPercent, int(100*garbageRoom/max(live, leastLive)))
}

// adjust follows what is live. Changing the percentage stops the world for a moment, so that small changes are left.
func (g *garbage) adjust() {
	if g == nil {
		return
	}
	metrics.Read(g.live)
	if p := garbagePercent(g.live[0].Value.Uint64()); p < g.percent*4/5 || p > g.percent*5/4 {
		g.percent = p
		debug.SetGCPercent(p)
	}
}

// usual gives back what was set before.
func (g *garbage) usual() {
	if g != nil {
		debug.SetGCPercent(g.before)
	}
}
