package serve

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
)

// An Import is a piece of a log that is written as a whole: rows that another program kept as a table.
type Import struct {
	Path    string        // of the Parquet file to write
	Inputs  []assay.Field // of the version's columns that are logged: the names that they have in the log, in the order of Columns
	Columns []string      // the names that they have in the version's input schema
	Outputs []assay.Field // of the version's answers, likewise
}

// Import makes room in the log of a version's model for a piece with its columns. The piece counts from when the file is there.
func (l *Log) Import(b *Bound) (*Import, error) {
	s, err := l.begun(b.Name)
	if err != nil {
		return nil, err
	}
	if err := s.adopt(b.layout(s.redact)); err != nil {
		return nil, err
	}
	named := func(f assay.Field) assay.Field {
		if s.fields.types[f.Name] != f.Type {
			f.Name += "__" + string(f.Type) // as adopt names it
		}
		return f
	}
	out := &Import{}
	for i := range b.in.Fields() {
		if f := b.in.Field(i); written(f, s.redact) {
			out.Inputs, out.Columns = append(out.Inputs, named(f)), append(out.Columns, f.Name)
		}
	}
	for i := range b.out.Fields() {
		out.Outputs = append(out.Outputs, named(b.out.Field(i)))
	}
	for n := 0; ; n++ {
		out.Path = filepath.Join(s.dir, s.hour.Format(hourLayout)+"-"+l.o.Nonce+"-import-"+strconv.Itoa(n)+".parquet")
		if _, err := os.Stat(out.Path); os.IsNotExist(err) {
			return out, nil
		}
	}
}

// RemovePieces removes the pieces of a model's log that were written under a nonce, open or closed: nobody may be writing them.
func RemovePieces(dir, nonce string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return assay.Errorf(assay.Unavailable, "the folder of the prediction log cannot be read: %w", bare(err))
	}
	for _, f := range files {
		if rest, ok := strings.CutPrefix(f.Name()[min(len(hourLayout), len(f.Name())):], "-"+nonce+"-"); !ok || rest == "" {
			continue
		}
		if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
			return assay.Errorf(assay.Unavailable, "a piece of the prediction log cannot be removed: %w", bare(err))
		}
	}
	return nil
}
