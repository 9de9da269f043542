package run

import "syscall"

// residentBytes is the largest resident set of the process; Linux counts in KiB.
func residentBytes(u *syscall.Rusage) int64 { return int64(u.Maxrss) << 10 }
