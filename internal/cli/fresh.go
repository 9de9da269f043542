package cli

import (
	"cmp"
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/dataset"
	"github.com/assay-ml/assay/internal/registry"
	"github.com/assay-ml/assay/internal/store"
)

// why says why a stage must run; empty when it need not.
func (m *maker) why(ctx context.Context, name string, in map[string]assay.Digest) string {
	old, ok := m.state[name]
	if !ok {
		return "it never ran"
	}
	for _, k := range slices.Sorted(maps.Keys(in)) {
		if old.Inputs[k] != in[k] {
			return k + " changed"
		}
	}
	for _, path := range slices.Sorted(maps.Keys(old.Modules)) {
		if d, err := m.fileDigest(ctx, m.p.Path(path)); err != nil || d != old.Modules[path] {
			return path + ", which train.command imports, changed"
		}
	}
	if old.No != "" {
		return "its answer was no"
	}
	for _, id := range old.Outputs {
		if why := m.lost(ctx, name, id); why != "" {
			return why
		}
	}
	if name == "split" && len(old.Outputs) == 1 {
		r, err := m.st.Get(ctx, old.Outputs[0])
		if err != nil {
			return "its evidence is gone"
		}
		for _, name := range partNames {
			if state, err := m.partState(ctx, r, name, m.sums); err != nil || state.code != "" {
				return dataset.PartFile(name) + " " + cmp.Or(state.what, "cannot be looked at")
			}
		}
	}
	return ""
}

// lost says what is gone of what a stage left, or why it no longer counts; empty when neither.
func (m *maker) lost(ctx context.Context, name string, id assay.Digest) string {
	r, err := m.st.Get(ctx, id)
	if err != nil {
		return "its evidence is gone"
	}
	blobs, err := store.BlobsOf(r.Evidence)
	if err != nil {
		return "its evidence cannot be read"
	}
	for _, d := range blobs {
		if _, err := m.st.Blobs().Stat(ctx, d); err != nil {
			return "a file of its " + string(r.Kind) + " is gone"
		}
	}
	report := ""
	switch name {
	case "profile":
		report = profileFile
	case "eval", "final":
		report = evaluationFile(r.ID)
	case "card":
		card, err := assay.Decode[assay.Card](r.Evidence)
		if err != nil {
			return "its evidence cannot be read"
		}
		v, err := m.st.Version(ctx, card.Name, card.Version)
		if err != nil {
			return "its version is gone"
		}
		d, err := m.dossier(ctx, v)
		if err != nil {
			return "what it draws on cannot be read"
		}
		if stale := registry.Stale(card, d); len(stale) > 0 {
			return stale[0]
		}
		report = cardFile(v, ".md")
	default:
		return ""
	}
	if _, err := os.Stat(filepath.Join(m.p.Path(m.p.Store), reportsFolder, report)); err != nil {
		return "its report is gone"
	}
	return ""
}
