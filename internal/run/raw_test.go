package run

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/assaytest"
)

// Whatever opens the raw data while the command runs is seen; nothing is seen when nobody opens it.
func TestTheRawDataIsWatched(t *testing.T) {
	for _, c := range []struct {
		name    string
		command []string
		opened  bool
		python  bool // the start-up hook sees it too
	}{
		{"Python opens it", []string{python(t), "-c", `open("data/raw.csv").read()`}, true, true},
		{"Python opens it below the file system's layer", []string{python(t), "-c", `import os; os.read(os.open("data/raw.csv", os.O_RDONLY), 1)`}, true, true},
		{"by a link", []string{python(t), "-c", `import os; os.symlink("data/raw.csv", "other"); open("other").read()`}, true, true},
		{"by a hard link", []string{python(t), "-c", `import os; os.link("data/raw.csv", "other"); open("other").read()`}, true, false},
		{"a child opens it", []string{python(t), "-c", `import subprocess, sys; subprocess.run([sys.executable, "-c", "open('data/raw.csv')"])`}, true, true},
		{"another program opens it", []string{"sh", "-c", `cat data/raw.csv`}, true, false},
		{"an isolated Python opens it", []string{python(t), "-I", "-c", `open("data/raw.csv")`}, true, false},
		{"only its size is asked", []string{python(t), "-c", `import os; os.stat("data/raw.csv")`}, false, false},
		{"a file of the same name", []string{python(t), "-c", `open("raw.csv")`}, false, false},
		{"nothing", []string{"true"}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			raw := write(t, dir, "data/raw.csv", "x,y\n1,0\n")
			write(t, dir, "raw.csv", "")
			s := Spec{Command: c.command, Dir: dir, Seed: 7, Raw: []string{raw, "s3://bucket/raw.csv", filepath.Join(dir, "absent")}, Clock: assaytest.Clock()}
			res, err := execute(t.Context(), s, &memory{})
			if err != nil {
				t.Fatal(err)
			}
			r := res.run
			if r.RawData == nil {
				t.Fatal("nothing was watched")
			}
			want := c.python
			if runtime.GOOS == "linux" {
				want = c.opened
				if r.RawData.Watched != WatchedBySystem {
					t.Errorf("watched by %q", r.RawData.Watched)
				}
			}
			if got := slices.Equal(r.RawData.Opened, []string{"raw.csv"}); got != want || !want && len(r.RawData.Opened) != 0 {
				t.Errorf("opened %q, want it seen: %v", r.RawData.Opened, want)
			}
			if got := slices.Contains(r.Missing, "unversioned_input: raw.csv (opened beside what was handed over)"); got != want {
				t.Errorf("missing %q", r.Missing)
			}
		})
	}
}

// The hook alone sees what Python opens; without either nothing is claimed.
func TestWhoWatchedTheRawDataIsSaid(t *testing.T) {
	file := write(t, t.TempDir(), "raw.csv", "")
	files := resolved([]string{file})
	for _, c := range []struct {
		hooks hookReport
		want  assay.RawData
	}{
		{hookReport{}, assay.RawData{Opened: []string{}}},
		{hookReport{Processes: 1}, assay.RawData{Watched: WatchedByPython, Opened: []string{}}},
		{hookReport{Processes: 1, Opened: files}, assay.RawData{Watched: WatchedByPython, Opened: []string{"raw.csv"}}},
	} {
		if d := rawData(files, nil, c.hooks); d.Watched != c.want.Watched || !slices.Equal(d.Opened, c.want.Opened) {
			t.Errorf("%+v: %+v", c.hooks, d)
		}
	}
	if d := rawData(nil, nil, hookReport{Processes: 1}); d != nil {
		t.Errorf("no raw file: %+v", d)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if got := resolved([]string{link, t.TempDir()}); !slices.Equal(got, files) {
		t.Errorf("a link to it is %q, want %q", got, files)
	}
}

// Python's report of what was opened, without the kernel's.
func TestTheHookSeesWhatPythonOpens(t *testing.T) {
	dir := t.TempDir()
	raw := write(t, dir, "raw.csv", "")
	_, out := script(t, python(t), `
import os
os.symlink(os.environ["ASSAY_HOOK_RAW"], "link")
open("link"); open(os.environ["ASSAY_HOOK_RAW"].encode())
print(open(os.environ["ASSAY_HOOK_REPORT"]).read())
`, func(s *Spec) { s.Raw = []string{raw} })
	if n := strings.Count(out, `"event":"opened"`); n != 1 {
		t.Errorf("reported %d times:\n%s", n, out)
	}
}

// Libraries that read in native code are seen by the kernel alone.
func TestLibrariesThatOpenTheRawDataAreSeen(t *testing.T) {
	interpreter := venv(t)
	for _, read := range []string{
		"import pandas; pandas.read_csv(raw)", "import pyarrow.csv; pyarrow.csv.read_csv(raw)", "import pandas; pandas.read_csv(raw, engine='pyarrow')",
		"import numpy; numpy.genfromtxt(raw, delimiter=',')", "import mmap; f = open(raw); mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)",
	} {
		dir := t.TempDir()
		raw := write(t, dir, "raw.csv", "x,y\n1,0\n")
		res, out := script(t, interpreter, "raw = '"+raw+"'\n"+read, func(s *Spec) { s.Raw = []string{raw} })
		if res.run.Exit != 0 || runtime.GOOS == "linux" && !slices.Equal(res.run.RawData.Opened, []string{"raw.csv"}) {
			t.Errorf("%s: %+v\n%s", read, res.run.RawData, out)
		}
	}
}
