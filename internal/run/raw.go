package run

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
)

// Who watches the raw data while a command runs.
const (
	WatchedBySystem = "system" // the kernel: an opening by any process of this machine is seen
	WatchedByPython = "python" // the start-up hook: what Python opens itself is seen, what a library opens in native code is not
)

// resolved returns the regular files among the given ones, absolute and with links followed. Sources that are no file of this machine are
// left out.
func resolved(files []string) []string {
	var out []string
	for _, f := range files {
		if strings.Contains(f, "://") {
			continue
		}
		if p, err := filepath.EvalSymlinks(f); err == nil {
			f = p
		}
		if f, err := filepath.Abs(f); err == nil {
			if info, err := os.Stat(f); err == nil && info.Mode().IsRegular() {
				out = append(out, f)
			}
		}
	}
	return out
}

// rawData says which raw files were opened, from what the kernel and the hooks of the run saw; nil when there are no raw files.
func rawData(files []string, w *rawWatch, hooks hookReport) *assay.RawData {
	opened, all := w.opened()
	if len(files) == 0 {
		return nil
	}
	d := &assay.RawData{Opened: []string{}}
	switch {
	case all:
		d.Watched = WatchedBySystem
	case hooks.Processes > 0:
		d.Watched = WatchedByPython
	}
	for _, f := range files {
		if name := filepath.Base(f); slices.Contains(opened, name) || slices.Contains(hooks.Opened, f) {
			d.Opened = append(d.Opened, name)
		}
	}
	slices.Sort(d.Opened)
	d.Opened = slices.Compact(d.Opened)
	return d
}
