package serve

import (
	"os"
	"syscall"
)

// mapFile maps the first size bytes of a new file, which are on the disk before: a store to memory cannot find the disk full.
func mapFile(f *os.File, size int) ([]byte, error) {
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, int64(size)); err != nil {
		return nil, err
	}
	return syscall.Mmap(int(f.Fd()), 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
}

func unmapFile(b []byte) error { return syscall.Munmap(b) }

// bootID names the running of the machine, in 36 characters; "" where nobody knows.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil || len(b) < journalTable-journalBoot {
		return ""
	}
	return string(b[:journalTable-journalBoot])
}
