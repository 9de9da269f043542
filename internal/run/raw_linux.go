package run

import (
	"encoding/binary"
	"path/filepath"
	"slices"
	"syscall"
)

// A rawWatch learns from the kernel which of some files were opened, by whatever process.
type rawWatch struct {
	fd    int
	names map[int32]string // by watch: what its file is called
	all   bool             // every file is watched
}

// watchRaw starts to watch files; nil when the kernel gives no watch at all.
func watchRaw(files []string) *rawWatch {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return nil
	}
	w := &rawWatch{fd: fd, names: map[int32]string{}, all: true}
	for _, f := range files {
		wd, err := syscall.InotifyAddWatch(fd, f, syscall.IN_OPEN)
		if err != nil {
			w.all = false
			continue
		}
		w.names[int32(wd)] = filepath.Base(f)
	}
	return w
}

// opened ends the watch and returns the names of the files that were opened since it began, sorted, and whether all were watched. The
// queue of the kernel merges equal events that follow each other; when it overflows, its first 16,384 events still count.
func (w *rawWatch) opened() (names []string, all bool) {
	if w == nil {
		return nil, false
	}
	defer syscall.Close(w.fd)
	buf := make([]byte, 64<<10)
	for {
		n, err := syscall.Read(w.fd, buf)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			break
		}
		for b := buf[:n]; len(b) >= syscall.SizeofInotifyEvent; {
			wd, length := int32(binary.NativeEndian.Uint32(b)), int(binary.NativeEndian.Uint32(b[12:]))
			if name, ok := w.names[wd]; ok {
				names = append(names, name)
			}
			b = b[min(len(b), syscall.SizeofInotifyEvent+length):]
		}
	}
	slices.Sort(names)
	return slices.Compact(names), w.all
}
