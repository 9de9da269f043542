// Package mlmodel reads MLflow model directories: the MLmodel file with its flavours, the signature, and the model file of the flavours
// that Assay evaluates itself. A directory becomes one archive with one digest (Pack), which is what is stored, registered and served.
//
// The signature becomes a schema: what it says of a column is checked as it is written, without the casts that MLflow makes. The package runs
// no Python: what a python_function answers is the business of package pyfunc.
package mlmodel

import (
	"path"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/manifest"
	"github.com/assay-ml/assay/learn"
)

// FileName is the name of the file that makes a directory an MLflow model.
const FileName = "MLmodel"

// A Model is what a directory says of itself. Files are those of the directory; their bytes are not to be changed.
type Model struct {
	MLflow    string     // version of MLflow that wrote it, or ""
	Native    *Native    // what Assay evaluates itself; nil: only Python can
	Python    *Python    // nil: the directory has no python_function
	Signature *Signature // nil: it has none, so that nothing is known of what it takes
	Files     map[string][]byte
}

// Native is a flavour whose file Assay evaluates itself.
type Native struct {
	Flavour string // onnx, xgboost, lightgbm
	File    string // path within the directory
}

// NativeFile returns the file of the flavour that Assay evaluates itself, whole: what tensors of ONNX keep in files beside it, as MLflow
// writes them, is in it. Errors are Invalid, and name the tensor and its file.
func (m *Model) NativeFile() ([]byte, error) {
	return learn.Inline(m.Files[m.Native.File], learn.Limits{FileBytes: MaxBytes}, func(name string) ([]byte, bool) {
		b, ok := m.Files[path.Join(path.Dir(m.Native.File), name)]
		return b, ok
	})
}

// Python is the python_function flavour.
type Python struct {
	Loader       string // module that loads it
	Version      string // of Python, as MAJOR.MINOR.PATCH, or ""
	Requirements string // path of requirements.txt within the directory, or ""
}

// document is the part of an MLmodel file that is read; MLflow adds keys with every version, so that unknown ones are left alone.
type document struct {
	MLflow  string `yaml:"mlflow_version"`
	Flavors map[string]struct {
		Data    string `yaml:"data"`
		Loader  string `yaml:"loader_module"`
		Version string `yaml:"python_version"`
		Class   string `yaml:"model_class"`
	} `yaml:"flavors"`
	Signature *struct {
		Inputs  string `yaml:"inputs"`
		Outputs string `yaml:"outputs"`
		Params  string `yaml:"params"`
	} `yaml:"signature"`
}

// natives are the flavours that Assay evaluates itself, in the order of preference.
var natives = []string{"onnx", "xgboost", "lightgbm"}

// Read makes a model of the files of a directory, by their paths with slashes. Errors are Invalid and name the file and what is wrong with
// it.
func Read(files map[string][]byte) (*Model, error) {
	src, ok := files[FileName]
	if !ok {
		return nil, assay.Errorf(assay.Invalid, "the directory has no file %s: it is not an MLflow model", FileName)
	}
	if _, err := manifest.Parse(FileName, src, manifest.Plain); err != nil {
		return nil, err
	}
	var d document
	if err := yaml.Unmarshal(src, &d); err != nil {
		return nil, assay.Errorf(assay.Invalid, "%s cannot be read: %s", FileName, manifest.Plain(err))
	}
	if len(d.Flavors) == 0 {
		return nil, assay.Errorf(assay.Invalid, "%s names no flavour", FileName)
	}
	m := &Model{MLflow: d.MLflow, Files: files}
	for _, name := range natives {
		f, ok := d.Flavors[name]
		if !ok || m.Native != nil {
			continue
		}
		if f.Data == "" {
			return nil, assay.Errorf(assay.Invalid, "%s: flavour %s has no data: the file of the model", FileName, name)
		}
		file := path.Clean(f.Data)
		if _, ok := files[file]; !ok {
			return nil, assay.Errorf(assay.Invalid, "%s: flavour %s: the file %q is not in the directory", FileName, name, f.Data)
		}
		if ext := path.Ext(file); ext == ".pkl" || ext == ".pickle" || ext == ".skops" {
			continue // an estimator of scikit-learn's interface, which only Python can load
		}
		m.Native = &Native{Flavour: name, File: file}
	}
	if f, ok := d.Flavors["python_function"]; ok {
		if f.Loader == "" {
			return nil, assay.Errorf(assay.Invalid, "%s: flavour python_function has no loader_module", FileName)
		}
		m.Python = &Python{Loader: f.Loader, Version: f.Version}
		if _, ok := files["requirements.txt"]; ok {
			m.Python.Requirements = "requirements.txt"
		}
	}
	if m.Native == nil && m.Python == nil {
		names := make([]string, 0, len(d.Flavors))
		for name := range d.Flavors {
			names = append(names, name)
		}
		slices.Sort(names)
		return nil, assay.Errorf(assay.Unimplemented, "%s: none of the flavours %s can be evaluated", FileName, strings.Join(names, ", ")).
			Try("save the model with one of the flavours %s or python_function", strings.Join(natives, ", "))
	}
	if d.Signature != nil {
		var err error
		if m.Signature, err = readSignature(d.Signature.Inputs, d.Signature.Outputs, d.Signature.Params); err != nil {
			return nil, err
		}
	}
	return m, nil
}
