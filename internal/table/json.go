package table

import (
	"context"

	"github.com/assay-ml/assay"
)

func (e *Engine) readJSON(ctx context.Context, sources []source, o *ReadOptions, format string) (*Table, error) {
	return nil, assay.Errorf(assay.Unimplemented, "reading %s is not supported yet", format)
}
