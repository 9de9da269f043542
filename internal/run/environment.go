package run

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/assay-ml/assay"
)

const redacted = "[redacted]"

// Variables that say how numbers come out are recorded; all others are not. A trailing * stands for any end.
var recorded = []string{
	"PYTHONHASHSEED", "PYTHONOPTIMIZE", "PYTHONUTF8", "PYTHONIOENCODING", "LANG", "LC_*", "TZ",
	"OMP_*", "KMP_*", "GOMP_*", "MKL_*", "OPENBLAS_*", "BLIS_*", "GOTO_*", "VECLIB_*", "NUMEXPR_*", "RAYON_NUM_THREADS", "POLARS_*",
	"CUDA_VISIBLE_DEVICES", "CUDA_LAUNCH_BLOCKING", "CUBLAS_*", "CUDNN_*", "NVIDIA_TF32_OVERRIDE", "NCCL_*",
	"TF_*", "XLA_*", "JAX_*", "TORCH_*", "PYTORCH_*", "ASSAY_TORCH_*", "ASSAY_LIGHTGBM_*", "TOKENIZERS_PARALLELISM", "GOMAXPROCS", "JULIA_NUM_THREADS",
}

var (
	secretName = regexp.MustCompile(`(?i)(secret|passw|pwd|token|api[_-]?key|access[_-]?key|[a-z0-9][_-]key$|private|credential|auth|cookie|session|dsn|conn(ection)?_?str|signature)`)
	// Names that the pattern above would take for secrets and that are not.
	harmlessName = regexp.MustCompile(`^TOKENIZERS_PARALLELISM$|(?i)^n_?tokens|_tokens$|^max_token|^author(s|_names?)?$|(primary|foreign|sort|join|row|group|partition|cache|lookup|index)[_-]key$`)
	secretValue  = regexp.MustCompile(`(?i:bearer)\s+[A-Za-z0-9+/=._~-]{8,}|AKIA[0-9A-Z]{16}|ASIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}|sk-[A-Za-z0-9_-]{16,}|xox[abprs]-[A-Za-z0-9-]{10,}|hf_[A-Za-z0-9]{20,}|AIza[0-9A-Za-z_-]{30,}|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*|-----BEGIN [A-Z ]*PRIVATE KEY|[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s:@]*:[^/\s@]+@`)
	absolutePath = regexp.MustCompile(`(^|[=:,;\s"'(])(/[^\s:,;"')]*)`)
)

// secret reports whether a variable or parameter of this name and value is to be withheld.
func secret(name, value string) bool {
	return value != "" && (secretName.MatchString(name) && !harmlessName.MatchString(name) || secretValue.MatchString(value))
}

// redact returns the value, or what stands for it when it is a secret.
func redact(name, value string) string {
	if secret(name, value) {
		return redacted
	}
	return value
}

// pathless replaces absolute paths by "…/" and their last element: a record says nothing about where on a machine things lay.
func pathless(s string) string {
	return absolutePath.ReplaceAllStringFunc(s, func(m string) string {
		i := strings.IndexByte(m, '/')
		if m[i:] == "/" || i > 0 && m[i-1] == ':' && strings.HasPrefix(m[i:], "//") {
			return m // a lone slash, or the host part of a URL
		}
		return m[:i] + "…/" + filepath.Base(m[i:])
	})
}

// variables picks what is recorded of an environment; extra names variables that the run's own specification set.
func variables(env []string, extra map[string]string) map[string]string {
	out := map[string]string{}
	for _, kv := range env {
		name, value, ok := strings.Cut(kv, "=")
		if !ok || value == "" {
			continue
		}
		if _, set := extra[name]; !set && !matches(recorded, name) || matches([]string{"MLFLOW_*", "PATH", "PYTHONPATH"}, name) {
			continue
		}
		out[name] = strings.ToValidUTF8(pathless(redact(name, value)), "\uFFFD")
	}
	return out
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		prefix, open := strings.CutSuffix(p, "*")
		return p == name || open && strings.HasPrefix(name, prefix)
	})
}

// secrets returns the values in an environment that must not reach a log, longest first. Short ones are left: replacing them would
// tear innocent words.
func secrets(env []string) []string {
	var out []string
	for _, kv := range env {
		if name, value, ok := strings.Cut(kv, "="); ok && len(value) >= 8 && secret(name, value) {
			out = append(out, value)
		}
	}
	sort.Slice(out, func(i, j int) bool { return len(out[i]) > len(out[j]) })
	return out
}

func lookup(env []string, name string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if k, v, ok := strings.Cut(env[i], "="); ok && k == name {
			return v
		}
	}
	return ""
}

// machine describes the processor and the graphics processors, where the system tells.
func machine(ctx context.Context) assay.Environment {
	return assay.Environment{Platform: runtime.GOOS + "/" + runtime.GOARCH, CPU: processor(), Threads: runtime.NumCPU(), GPU: graphics(ctx)}
}

func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		k, v, ok := strings.Cut(sc.Text(), ":")
		if k = strings.TrimSpace(k); ok && (k == "model name" || k == "Model" || k == "cpu model") {
			return strings.Join(strings.Fields(v), " ")
		}
	}
	return runtime.GOARCH
}

// graphics asks nvidia-smi, when there is one, for name and driver of each device; a driver that hangs is given up after a moment.
func graphics(ctx context.Context) []string {
	p, err := exec.LookPath("nvidia-smi")
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, p, "--query-gpu=name,driver_version", "--format=csv,noheader").Output()
	if err != nil {
		return nil
	}
	var gpus []string
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); line != "" {
			gpus = append(gpus, line)
		}
	}
	return gpus
}
