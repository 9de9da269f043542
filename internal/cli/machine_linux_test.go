package cli

import "syscall"

func mountSmall(dir, size string) error { return syscall.Mount("none", dir, "tmpfs", 0, "size="+size) }

func unmount(dir string) error { return syscall.Unmount(dir, 0) }
