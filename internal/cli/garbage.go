package cli

import (
	"runtime/debug"
	"runtime/metrics"
)

// Bounds of what a server leaves uncollected. A collection takes a share of the processors from the requests of its time, so that it
// should not come at every four megabytes, as Go would have it with so little that is live. Nor should each have a large heap to sweep,
// whose memory no cache holds any more: with 48 MB the slowest of a hundred requests of one row took 5 to 8 ms, with 12 MB 4.3 to 4.7 ms,
// as without any collection. A heap that is large anyway grows by no more than Go lets it.
const (
	garbageRoom  = 12 << 20 // bytes
	leastLive    = 4 << 20
	usualPercent = 100 // Go's own

	memoryRoom = 192 << 20 // bytes beside what is live before it is collected at any price: what a burst of large requests may leave
	spareRoom  = 2 * garbageRoom
	spareLooks = 10
)

// garbage sets how often the process of a server collects what its requests leave behind.
type garbage struct {
	before, percent int
	limit, room     int64 // of all memory of Go: before, now
	live            []metrics.Sample
	spare           int // looks in a row that found much more than what is live
}

// sparingly begins to collect seldom. It is nil, and does nothing, where the environment says how often.
func sparingly(env func(string) string) *garbage {
	if env("GOGC") != "" || env("GOMEMLIMIT") != "" {
		return nil
	}
	g := &garbage{live: []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/free:bytes"}}}
	g.percent = garbagePercent(0)
	g.limit = debug.SetMemoryLimit(-1)
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
	if room := int64(g.live[0].Value.Uint64()) + memoryRoom; room < g.room*4/5 || room > g.room*5/4 {
		g.room = room
		debug.SetMemoryLimit(room)
	}
	// Large requests in a moment leave more behind than the percentage foresaw: the operating system gets it back when they are over.
	held := g.live[1].Value.Uint64() + g.live[2].Value.Uint64() + g.live[3].Value.Uint64()
	if held < g.live[0].Value.Uint64()+spareRoom {
		g.spare = 0
	} else if g.spare++; g.spare >= spareLooks {
		g.spare = 0
		debug.FreeOSMemory()
	}
}

// usual gives back what was set before.
func (g *garbage) usual() {
	if g != nil {
		debug.SetGCPercent(g.before)
		debug.SetMemoryLimit(g.limit)
	}
}
