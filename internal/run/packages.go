package run

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
)

// maxPackages bounds the packages of one environment; the largest known ones hold some hundreds.
const maxPackages = 20000

// A distribution is one installed Python package.
type distribution struct {
	name, version string
	origin        string // how the version names its source when an index does not: "git+https://…@commit"; "editable" for a work tree
}

var separators = regexp.MustCompile(`[-_.]+`)

// distributions lists what is installed on an interpreter's path, the first of a name winning as it does for an import. It reads the
// metadata that installers leave (PEP 376, 610, 639) and needs no interpreter, so that a killed run is described too.
func distributions(path []string) []distribution {
	seen := map[string]bool{}
	var out []distribution
	for _, dir := range path {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // zip files and directories that do not exist stand on every path
		}
		for _, e := range entries {
			file := ""
			switch full := filepath.Join(dir, e.Name()); {
			case strings.HasSuffix(e.Name(), ".dist-info"):
				file = filepath.Join(full, "METADATA")
			case strings.HasSuffix(e.Name(), ".egg-info") && e.IsDir():
				file = filepath.Join(full, "PKG-INFO")
			case strings.HasSuffix(e.Name(), ".egg-info"):
				file = full
			default:
				continue
			}
			d, ok := readMetadata(file)
			if key := normalName(d.name); ok && !seen[key] && len(out) < maxPackages {
				seen[key] = true
				d.origin = origin(filepath.Join(dir, e.Name(), "direct_url.json"))
				out = append(out, d)
			}
		}
	}
	sort.Slice(out, func(i, j int) bool { return normalName(out[i].name) < normalName(out[j].name) })
	return out
}

// normalName is a package name as PEP 503 compares them.
func normalName(name string) string { return strings.ToLower(separators.ReplaceAllString(name, "-")) }

func readMetadata(file string) (distribution, bool) {
	f, err := os.Open(file)
	if err != nil {
		return distribution{}, false
	}
	defer f.Close()
	var d distribution
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		line := sc.Text()
		if line == "" { // the headers end here
			break
		}
		if v, ok := strings.CutPrefix(line, "Name:"); ok && d.name == "" {
			d.name = strings.TrimSpace(v)
		}
		if v, ok := strings.CutPrefix(line, "Version:"); ok && d.version == "" {
			d.version = strings.TrimSpace(v)
		}
	}
	return d, d.name != ""
}

func origin(file string) string {
	b, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	var u struct {
		URL string `json:"url"`
		Dir *struct {
			Editable bool `json:"editable"`
		} `json:"dir_info"`
		VCS *struct {
			VCS    string `json:"vcs"`
			Commit string `json:"commit_id"`
		} `json:"vcs_info"`
	}
	switch {
	case json.Unmarshal(b, &u) != nil:
		return ""
	case u.VCS != nil:
		return u.VCS.VCS + "+" + redact("", u.URL) + "@" + u.VCS.Commit
	case u.Dir != nil:
		return "editable" // a directory: its content may change under the same version
	}
	return ""
}

// lockFile writes the packages in the form that pip installs from.
func lockFile(ds []distribution) []byte {
	var b strings.Builder
	for _, d := range ds {
		switch {
		case d.origin == "editable" || d.version == "":
			b.WriteString("# not pinned: " + d.name + "==" + d.version + "\n")
		case d.origin != "":
			b.WriteString(d.name + " @ " + d.origin + "\n")
		default:
			b.WriteString(d.name + "==" + d.version + "\n")
		}
	}
	return []byte(b.String())
}

// unpinned names the packages whose version does not say what code they hold.
func unpinned(ds []distribution) []string {
	var out []string
	for _, d := range ds {
		if d.origin == "editable" || d.version == "" {
			out = append(out, d.name)
		}
	}
	slices.Sort(out)
	return out
}
