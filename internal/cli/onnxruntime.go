package cli

import (
	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/ort"
	"github.com/assay-ml/assay/learn"
)

const (
	// onnxRuntimeEnv names the shared library of ONNX Runtime where the flag does not.
	onnxRuntimeEnv = "ASSAY_ONNXRUNTIME"
	// ownEvaluator in place of a path is Assay's own evaluator, whatever is named elsewhere.
	ownEvaluator = "none"
)

// onnxRuntimePath is the shared library of ONNX Runtime that evaluates ONNX models, or "" for Assay's own evaluator.
func (s *session) onnxRuntimePath() string {
	path := s.p.Path(s.p.Serve.ONNXRuntime)
	if s.p.Serve.ONNXRuntime == "" || s.p.Serve.ONNXRuntime == ownEvaluator {
		path = ""
	}
	for _, named := range []string{s.Env(onnxRuntimeEnv), s.onnxruntime} {
		switch named {
		case "":
		case ownEvaluator:
			path = ""
		default:
			path = s.path(named)
		}
	}
	return path
}

// onnxRuntime loads ONNX Runtime, or returns nil where Assay evaluates models itself.
func (s *session) onnxRuntime() (*ort.Library, error) {
	path := s.onnxRuntimePath()
	if path == "" {
		return nil, nil
	}
	return ort.Load(path)
}

// openModel opens a model file with what evaluates models of its format here.
func (s *session) openModel(b []byte) (*learn.Predictor, error) {
	l, err := s.onnxRuntime()
	if err != nil {
		return nil, err
	}
	if l != nil {
		return l.Open(b, learn.Limits{})
	}
	p, err := learn.Open(b, learn.Limits{})
	if assay.CodeOf(err) == assay.Unimplemented && assay.HintOf(err) == "" {
		return nil, assay.Errorf(assay.Unimplemented, "%w", err).Try("--onnxruntime FILE, or serve.onnxruntime in assay.yaml: ONNX Runtime may know it")
	}
	return p, err
}

// isONNX reports whether a model is a file of ONNX, by itself or in a directory of MLflow.
func isONNX(m assay.Model) bool { return m.Format == "onnx" || m.Flavour == "onnx" }

// evaluatedBy is what evaluates the file of a model, as evidence names it.
func (s *session) evaluatedBy(m assay.Model) (string, error) {
	if isPython(m) {
		return pythonEngine, nil
	}
	if !isONNX(m) {
		return ownEngine, nil
	}
	l, err := s.onnxRuntime()
	if l == nil || err != nil {
		return ownEngine, err
	}
	return onnxRuntimeEngine + " " + l.Version(), nil
}

// besidesOwn is what evaluates the file of a model, or "" for Assay itself and for a file of predictions.
func (s *session) besidesOwn(m assay.Model) (string, error) {
	e, err := s.evaluatedBy(m)
	if e == ownEngine {
		e = ""
	}
	return e, err
}
