package learn

import (
	"errors"
	"io"
	"io/fs"
	"strings"

	"github.com/assay-ml/assay"
)

// modelFiles returns the names under which MLflow's flavours onnx, xgboost and lightgbm keep a model in its folder.
func modelFiles() []string {
	return []string{"model.onnx", "model.ubj", "model.json", "model.xgb", "model.lgb", "model.txt"}
}

// OpenFS reads the model in a folder as MLflow lays it out, with an MLmodel file beside it or not. Errors are NotFound where there is
// no model, Unimplemented where there is only one that needs Python, and those of Open.
func OpenFS(fsys fs.FS, limits Limits) (*Predictor, error) {
	for _, name := range modelFiles() {
		f, err := fsys.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, assay.Errorf(assay.Unavailable, "%s cannot be opened: %w", name, err)
		}
		defer f.Close()
		limit := limits.orDefault().FileBytes
		b, err := io.ReadAll(io.LimitReader(f, limit+1))
		if err != nil {
			return nil, assay.Errorf(assay.Unavailable, "%s cannot be read: %w", name, err)
		}
		if int64(len(b)) > limit {
			return nil, tooLarge("%s has more than %d bytes, which are read at most", name, limit)
		}
		return Open(b, limits)
	}
	for _, name := range []string{"model.pkl", "model.skops", "model.pt", "data/model.pth", "python_model.pkl"} {
		if _, err := fs.Stat(fsys, name); err == nil {
			return nil, refuse("%s needs python to run", name).Try("convert the model to ONNX, for example with skl2onnx")
		}
	}
	return nil, assay.Errorf(assay.NotFound, "the folder has no model: none of %s", strings.Join(modelFiles(), ", "))
}
