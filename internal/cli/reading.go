package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/table"
)

// A textReading is how a person says that a text file is read, where detection is not to decide.
type textReading struct{ delimiter, quote, encoding, header string }

// flags adds what says it to a command that reads a file of any project or none.
func (r *textReading) flags(c *cobra.Command) {
	c.Flags().StringVar(&r.delimiter, "delimiter", "", "one `character` between the fields of a text file, \\t for a tab; detected without it")
	c.Flags().StringVar(&r.quote, "quote", "", "the `character` around fields of a text file, or none; a double quote without it")
	c.Flags().StringVar(&r.encoding, "encoding", "", "of a text file: utf-8, utf-16le, utf-16be, latin-1; detected without it")
	c.Flags().StringVar(&r.header, "header", "", "whether a text file begins with the names of its columns: yes, no; detected without it")
}

// over returns o with what was said in place of what it says.
func (r *textReading) over(o table.ReadOptions) table.ReadOptions {
	for _, f := range []struct {
		to   *string
		said string
	}{{&o.Delimiter, r.delimiter}, {&o.Quote, r.quote}, {&o.Encoding, r.encoding}, {&o.Header, r.header}} {
		if f.said != "" {
			*f.to = f.said
		}
	}
	return o
}

// yaml is the same in assay.yaml, a line for each thing that was said.
func (r *textReading) yaml() string {
	var b strings.Builder
	for _, f := range []struct{ key, said string }{{"delimiter", r.delimiter}, {"quote", r.quote}, {"encoding", r.encoding}, {"header", r.header}} {
		if f.said != "" {
			fmt.Fprintf(&b, "  %s: %s\n", f.key, strconv.Quote(f.said))
		}
	}
	return b.String()
}

// detected says how a text file was read, where that is not what everybody expects: in UTF-8, with commas.
func detected(r assay.Reading) string {
	var out []string
	if r.Encoding != "" && r.Encoding != table.UTF8 {
		out = append(out, "as "+r.Encoding)
	}
	if r.Delimiter != "" && r.Delimiter != "," {
		out = append(out, fmt.Sprintf("with %q between fields", r.Delimiter))
	}
	if r.Compression != "" {
		out = append(out, "from "+r.Compression)
	}
	if len(out) == 0 {
		return ""
	}
	return "read " + strings.Join(out, ", ")
}

// maxNotes is how many notes on how a table was read a terminal shows.
const maxNotes = 5

// fewNotes are the first notes as lines, and where the others are.
func fewNotes(notes []table.Note, rest string) []string {
	var out []string
	for i, n := range notes {
		if i == maxNotes {
			return append(out, fmt.Sprintf("and %s more: %s", assay.FormatCount(int64(len(notes)-i)), rest))
		}
		out = append(out, assay.ShownLine(n.Column, 40)+": "+n.Message)
		if n.Column == "" {
			out[i] = assay.ShownLine(n.Message, 400)
		}
	}
	return out
}

// sayNotes says on standard error what a person should know about how a table was read.
func (a *app) sayNotes(t *table.Table) {
	for _, n := range fewNotes(t.Notes(), "assay profile --html FILE") {
		a.say("note: %s", n)
	}
}

// reading says how the project's data is read, and another file like it: as assay.yaml says, and what the schema calls text as text. Otherwise a
// column of codes would be numbers as soon as all of them look like some, and the same rows another table, which nobody would know again. Nested
// values and bytes, which text can only spell, are what the schema says, too.
func (s *session) reading() table.ReadOptions {
	o := s.p.readOptions(s.app)
	if sc, err := s.readSchema(""); err == nil {
		o.As = statedTypes(sc)
	}
	return o
}

// statedTypes are the columns of which a schema says what a file does not: text, so that codes stay codes in a file where all of them look like
// numbers, nested values and bytes.
func statedTypes(sc *schema.Schema) map[string]assay.Type {
	out := map[string]assay.Type{}
	for i := range sc.Columns {
		switch c := &sc.Columns[i]; c.Type {
		case assay.TypeString, assay.TypeJSON, assay.TypeBinary:
			out[c.Name] = c.Type
		}
	}
	return out
}

// schemaTexts is which columns the schema calls text, nested or bytes: it decides how a file is read.
const schemaTexts = "what the schema calls text"

func (m *maker) schemaTexts() assay.Digest {
	sc, err := m.readSchema("")
	if err != nil {
		return absent // and the file is read as it looks
	}
	var texts, others []string
	for name, t := range statedTypes(sc) {
		if t == assay.TypeString {
			texts = append(texts, name)
		} else {
			others = append(others, string(t)+" "+name)
		}
	}
	slices.Sort(texts)
	slices.Sort(others)
	if len(others) > 0 {
		return section([][]string{texts, others})
	}
	return section(texts)
}
