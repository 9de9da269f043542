package run

import (
	"bufio"
	"context"
	"embed"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
)

//go:embed shim/sitecustomize.py shim/_assay_hook.py
var shim embed.FS

// writeHook lays the Python start-up hook down in dir, which then belongs first on PYTHONPATH.
func writeHook(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return unavailable("the directory of the start-up hook", err)
	}
	for _, name := range []string{"sitecustomize.py", "_assay_hook.py"} {
		b, err := shim.ReadFile("shim/" + name)
		if err != nil {
			return assay.Errorf(assay.Internal, "the start-up hook is not in this build: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return unavailable("the start-up hook", err)
		}
	}
	return nil
}

// A hookReport is what the start-up hooks of all processes of one run said.
type hookReport struct {
	Interpreter string   // "CPython 3.11.7"; empty when no hook ran
	Path        []string // sys.path of the first interpreter
	Processes   int
	Seeded      []string // sorted, unique
	Unseeded    []string
	Opened      []string // raw data files that Python opened; sorted, unique
	Modules     []readModule
	Network     bool // a connection beyond this machine was opened
}

// A readModule is a Python source file of the run's directory, as it was when Python read it.
type readModule struct {
	path           string // from the run's directory, with slashes
	size, modified string // bytes, and nanoseconds since 1970
}

const maxReportLine = 1 << 20

// readHookReport reads the lines that the hooks appended. An absent file is a report without a process; a torn last line, left by a
// process that was killed, is passed over.
func readHookReport(file string) (hookReport, error) {
	var r hookReport
	f, err := os.Open(file)
	if os.IsNotExist(err) {
		return r, nil
	}
	if err != nil {
		return r, unavailable("the report of the start-up hook", err)
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	sc.Buffer(make([]byte, 64<<10), maxReportLine)
	for sc.Scan() {
		var l struct {
			Event, Role, What, Name, Version, Size, Modified string
			Path                                             []string
		}
		if json.Unmarshal(sc.Bytes(), &l) != nil {
			continue
		}
		switch l.Event {
		case "interpreter":
			if r.Interpreter == "" {
				r.Interpreter, r.Path = interpreterName(l.Name)+" "+l.Version, l.Path
			}
		case "start":
			r.Processes++
		case "seeded":
			r.Seeded = append(r.Seeded, l.What)
		case "unseeded":
			r.Unseeded = append(r.Unseeded, l.What)
		case "opened":
			r.Opened = append(r.Opened, l.What)
		case "module":
			r.Modules = append(r.Modules, readModule{filepath.ToSlash(l.What), l.Size, l.Modified})
		case "network":
			r.Network = true
		}
	}
	slices.Sort(r.Seeded)
	slices.Sort(r.Unseeded)
	slices.Sort(r.Opened)
	r.Seeded, r.Unseeded, r.Opened = slices.Compact(r.Seeded), slices.Compact(r.Unseeded), slices.Compact(r.Opened)
	return r, nil
}

// modules returns the digests of the Python source files below dir that the processes of a run read, by their path from dir with slashes.
// The digest of a file that is not what it was when it was read is empty.
func (r hookReport) modules(ctx context.Context, dir string) (map[string]assay.Digest, error) {
	out := map[string]assay.Digest{}
	for _, m := range r.Modules {
		if d, ok := out[m.path]; ok && d == "" {
			continue
		}
		out[m.path] = ""
		f, err := os.Open(filepath.Join(dir, filepath.FromSlash(m.path)))
		if err != nil {
			continue
		}
		info, err := f.Stat()
		if err == nil && strconv.FormatInt(info.Size(), 10) == m.size && strconv.FormatInt(info.ModTime().UnixNano(), 10) == m.modified {
			out[m.path], _, err = digester{}.Put(ctx, f)
		}
		f.Close()
		if err != nil {
			return nil, unavailable("module "+m.path, err)
		}
	}
	return out, nil
}

func interpreterName(name string) string {
	switch name {
	case "cpython":
		return "CPython"
	case "pypy":
		return "PyPy"
	}
	return name
}

// bypass returns the Python option of a command line that keeps the start-up hook from loading: -I and -E ignore PYTHONPATH, -S skips
// the site module. It is empty for other commands and for a shell that starts Python later.
func bypass(command []string) string {
	if len(command) == 0 {
		return ""
	}
	base := filepath.Base(command[0])
	if !strings.HasPrefix(base, "python") && !strings.HasPrefix(base, "pypy") {
		return ""
	}
	for i := 1; i < len(command); i++ {
		arg := command[i]
		switch {
		case arg == "-W" || arg == "-X" || arg == "--check-hash-based-pycs":
			i++
		case len(arg) < 2 || arg[0] != '-':
			return ""
		case strings.HasPrefix(arg, "--"):
		default:
			for _, c := range arg[1:] {
				if strings.ContainsRune("IES", c) {
					return "-" + string(c)
				}
				if strings.ContainsRune("cmWX", c) { // the rest of the word, or the next one, is its value
					break
				}
			}
			if strings.ContainsAny(arg[1:], "cm") {
				return ""
			}
		}
	}
	return ""
}

func unavailable(what string, err error) *assay.Error {
	return assay.Errorf(assay.Unavailable, "%s cannot be used: %w", what, reason(err))
}

// reason strips the path from an error of the file system: what it names must not hold a path.
func reason(err error) error {
	switch e := err.(type) {
	case *os.PathError:
		return e.Err
	case *os.LinkError:
		return e.Err
	case *os.SyscallError:
		return e.Err
	}
	return err
}
