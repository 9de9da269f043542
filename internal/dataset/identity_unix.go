//go:build linux || darwin

package dataset

import (
	"fmt"
	"os"
	"syscall"
)

// identity changes when a file is replaced, grows or is written: inode, size, modification and change time. The change time cannot
// be set back by a program that restores the modification time.
func identity(fi os.FileInfo) string {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Sprintf("%d:%d", fi.Size(), fi.ModTime().UnixNano())
	}
	return fmt.Sprintf("%d:%d:%d:%d:%d", st.Dev, st.Ino, fi.Size(), fi.ModTime().UnixNano(), changed(st))
}
