package table

import (
	"context"
	"io"
	"os"
	"slices"

	"github.com/assay-ml/assay"
)

// ReadOptions say how a source is read. The zero value detects everything and states what it found in Table.Reading.
type ReadOptions struct {
	Format    string                  // csv, json, jsonl, parquet; "": by name, then by content
	Delimiter string                  // one ASCII character; "": detected among comma, tab, semicolon, bar
	Quote     string                  // one ASCII character or "none"; "": a double quote
	Encoding  string                  // utf-8, utf-16le, utf-16be, latin-1; "": detected
	Header    string                  // yes, no; "": detected
	Nulls     []string                // texts that are missing values; nil: DefaultNulls(); empty: none
	Types     map[string]assay.Type   // stated types; every value must fit
	As        map[string]assay.Type   // string, json or binary, of columns for which a schema says so, as StatedAs reads them; those that are not there are ignored
	Stdin     io.Reader               // what "-" reads; nil: standard input
	Progress  func(done, total int64) // bytes of the file that is being read, as stored
}

// What As says of a column of text is followed as far as its values allow, and never an error: what does not fit stays as it looks. A column of
// string in a text file is text whatever its values look like. In one of json each value is its JSON: in a JSON file every value as it stands, in
// others a text that is JSON. In one of binary a text is the base64 of its bytes.

// DefaultNulls are the texts that mean missing unless stated otherwise. NaN and inf are not among them: they are numbers.
func DefaultNulls() []string { return []string{"", "NA", "N/A", "NULL", "null"} }

func (o *ReadOptions) nulls() []string {
	if o.Nulls == nil {
		return DefaultNulls()
	}
	out := slices.Clone(o.Nulls)
	slices.Sort(out)
	return slices.Compact(out)
}

// Read reads a source: a file, a folder (every data file below it, hidden ones left out), a pattern (*, ?, [a-z]) or "-" for standard
// input, which is kept in the engine's directory. All files of a source have one format and the same columns.
//
// The whole source is read into the engine's database at once; the limit of memory holds. Errors: not_found, invalid (options),
// rejected (the content cannot be read without loss: ragged or truncated files name their lines), unavailable (disk, memory, cancelled).
func (e *Engine) Read(ctx context.Context, uri string, o ReadOptions) (*Table, error) {
	var sources []source
	var err error
	if uri == "-" {
		in := o.Stdin
		if in == nil {
			in = os.Stdin
		}
		var s source
		if s, err = e.spool(ctx, in); err == nil {
			sources = []source{s}
		}
	} else {
		sources, err = locate(uri)
	}
	if err != nil {
		return nil, err
	}
	format, err := e.format(ctx, sources, o.Format)
	if err != nil {
		return nil, err
	}
	switch format {
	case CSV:
		return e.readCSV(ctx, sources, &o)
	case Parquet:
		return e.readParquet(ctx, sources, &o)
	case JSON, JSONL:
		return e.readJSON(ctx, sources, &o, format)
	}
	return nil, assay.Errorf(assay.Invalid, "the format %q is not known: want csv, json, jsonl or parquet", format)
}

// format decides the one format of all files.
func (e *Engine) format(ctx context.Context, sources []source, stated string) (string, error) {
	if stated == "tsv" {
		return CSV, nil
	}
	if stated != "" {
		return stated, nil
	}
	format := ""
	for i := range sources {
		f := formatOf(sources[i].name)
		if f == "" || f == JSON {
			t, err := openText(ctx, &sources[i], "", nil)
			if err != nil {
				return "", err
			}
			sniffed := sniff(t.head)
			t.close()
			if f == "" || sniffed == JSONL {
				f = sniffed
			}
		}
		if format != "" && f != format {
			return "", assay.Errorf(assay.Rejected, "%s is %s but %s is %s: the files of one table have one format",
				sources[0].name, format, sources[i].name, f).Try("name one of them, or a pattern such as *.%s", format)
		}
		format = f
	}
	return format, nil
}
