//go:build unix && !linux

package run

import "syscall"

// residentBytes is the largest resident set of the process; the BSDs and macOS count in bytes.
func residentBytes(u *syscall.Rusage) int64 { return int64(u.Maxrss) }
