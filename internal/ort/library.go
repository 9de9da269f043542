// Package ort evaluates ONNX models by ONNX Runtime, a shared library that the user has and names by its path. It is the engine for
// models whose operators Assay's own evaluator does not know; nothing of it is in the binary, and no place is searched for it.
//
// A model runs on one thread, so that the same rows give the same bytes, and several goroutines may ask one model at once. What a model
// holds is given back when its Predictor is closed; the library itself stays until the process ends.
package ort

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	onnxruntime "github.com/yalue/onnxruntime_go"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/learn"
)

// oldest is the oldest version that has the interface which this package is built for.
const oldest = "1.24"

// A Library is a loaded ONNX Runtime. It is safe for use by several goroutines.
type Library struct {
	path    string
	version string
	open    atomic.Int64
}

// loaded is the one library of the process: what is loaded into a process cannot be two.
var loaded struct {
	sync.Mutex
	library *Library
}

// Load loads the library at an absolute path, which stays loaded: a second call with the same path gives the same Library. Errors are
// NotFound without the file, Invalid for a file that is no ONNX Runtime for this processor, Unimplemented for one that is too old,
// Unavailable where the system cannot load it, and Refused when another file is loaded already.
func Load(path string) (*Library, error) {
	loaded.Lock()
	defer loaded.Unlock()
	if l := loaded.library; l != nil {
		if l.path != path {
			return nil, assay.Errorf(assay.Refused, "ONNX Runtime %s is loaded from %s already; a process has one", l.version, l.path)
		}
		return l, nil
	}
	if err := checkFile(path); err != nil {
		return nil, err
	}
	onnxruntime.SetSharedLibraryPath(path)
	if err := onnxruntime.InitializeEnvironment(onnxruntime.WithLogLevelFatal()); err != nil {
		return nil, loadError(path, err)
	}
	if err := onnxruntime.DisableTelemetry(); err != nil {
		return nil, assay.Errorf(assay.Unavailable, "ONNX Runtime does not leave its telemetry off: %w", err)
	}
	loaded.library = &Library{path: path, version: onnxruntime.GetVersion()}
	return loaded.library, nil
}

// loadError tells by the words of the loader what is wrong with a library.
func loadError(path string, err error) error {
	text := err.Error()
	_, why, _ := strings.Cut(text, `": `)
	switch {
	case strings.Contains(text, "looking up OrtGetApiBase"):
		return assay.Errorf(assay.Invalid, "%s is a shared library, but not ONNX Runtime", path).Try(howToGet)
	case strings.Contains(text, "setting ORT API base"):
		return assay.Errorf(assay.Unimplemented, "%s is an ONNX Runtime older than %s, the oldest that can be used", path, oldest).Try(howToGet)
	case strings.Contains(text, "loading ONNX shared library"):
		return assay.Errorf(assay.Unavailable, "%s cannot be loaded: %s", path, strings.TrimPrefix(why, path+": "))
	}
	return assay.Errorf(assay.Unavailable, "%s cannot be started: %w", path, err)
}

// howToGet is the next step of who has no library that can be used.
const howToGet = "pip install onnxruntime, and name libonnxruntime.so in the folder onnxruntime/capi of its package"

// checkFile tells beforehand what the loader would say in other words, or not at all.
func checkFile(path string) error {
	if !filepath.IsAbs(path) {
		return assay.Errorf(assay.Invalid, "%s is not an absolute path of ONNX Runtime", path)
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return assay.Errorf(assay.NotFound, "no file %s: ONNX Runtime is not there", path).Try(howToGet)
	case err != nil:
		return assay.Errorf(assay.Unavailable, "%s cannot be read: %w", path, err)
	case !info.Mode().IsRegular():
		return assay.Errorf(assay.Invalid, "%s is no file; the shared library of ONNX Runtime is wanted", path).Try(howToGet)
	}
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return nil // the loaders there name the architecture themselves
	}
	f, err := elf.Open(path)
	if err != nil {
		return assay.Errorf(assay.Invalid, "%s is not a shared library", path).Try(howToGet)
	}
	defer f.Close()
	machine, ok := machines()[runtime.GOARCH]
	switch {
	case f.Type != elf.ET_DYN:
		return assay.Errorf(assay.Invalid, "%s is not a shared library", path).Try(howToGet)
	case ok && f.Machine != machine:
		return assay.Errorf(assay.Invalid, "%s is made for %s, this assay for %s", path, architecture(f.Machine), runtime.GOARCH).Try(howToGet)
	}
	return nil
}

// machines are the processors for which ONNX Runtime is made, by Go's names.
func machines() map[string]elf.Machine {
	return map[string]elf.Machine{
		"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64, "386": elf.EM_386, "arm": elf.EM_ARM, "riscv64": elf.EM_RISCV, "s390x": elf.EM_S390,
		"ppc64le": elf.EM_PPC64, "loong64": elf.EM_LOONGARCH,
	}
}

// architecture is Go's name of a processor, or the one of the file's format.
func architecture(m elf.Machine) string {
	for name, have := range machines() {
		if have == m {
			return name
		}
	}
	return fmt.Sprint(m)
}

// Version returns the version that the library says it has, such as 1.32.0.
func (l *Library) Version() string { return l.version }

// Open prepares a model to run. A file of XGBoost or LightGBM is opened by Assay's own evaluator. Errors are Invalid for a damaged
// model or one over a limit, and Unimplemented for one that uses what ONNX Runtime does not know. Close the Predictor.
func (l *Library) Open(model []byte, limits learn.Limits) (*learn.Predictor, error) {
	return learn.OpenWith(model, limits, func(in, out []learn.Port) (learn.Evaluator, error) { return l.start(model, in, out) })
}

// Models returns how many models are open.
func (l *Library) Models() int64 { return l.open.Load() }
