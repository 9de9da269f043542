//go:build race

package assaytest

// Race reports whether the race detector is on: it makes pools forget, so that allocations cannot be counted.
const Race = true
