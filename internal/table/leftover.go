package table

import (
	"os"
	"path/filepath"
	"syscall"
)

const (
	dirPrefix = "assay-table-"
	dirLock   = "owner" // held by the process whose directory it is, from before it has this name to its end
)

// claim holds the lock of the engine's directory, so that others see that it is in use.
func claim(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "owner-")
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, dirLock)); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// clearLeftovers removes the directories that killed processes of this user left beside dir: whole tables lie in them, with the labels
// that a split was about to seal. What is in use, or cannot be removed, stays.
func clearLeftovers(dir string) {
	others, err := filepath.Glob(filepath.Join(filepath.Dir(dir), dirPrefix+"*"))
	if err != nil {
		return
	}
	for _, other := range others {
		info, err := os.Lstat(other)
		if err != nil || !info.IsDir() || other == dir {
			continue
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != os.Getuid() {
			continue
		}
		lock, err := os.OpenFile(filepath.Join(other, dirLock), os.O_RDWR, 0)
		if err != nil {
			continue // of a process that starts just now, or of another version
		}
		if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			_ = os.RemoveAll(other)
		}
		lock.Close()
	}
}

// Scratch makes a folder in the engine's directory, which goes with it, and with it alone when the process is killed.
func (e *Engine) Scratch() (string, error) { return os.MkdirTemp(e.dir, "scratch-") }
