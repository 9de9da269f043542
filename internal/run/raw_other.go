//go:build !linux

package run

// A rawWatch is what other systems than Linux do not have; there the start-up hook watches alone.
type rawWatch struct{}

func watchRaw([]string) *rawWatch { return nil }

func (*rawWatch) opened() (names []string, all bool) { return nil, false }
