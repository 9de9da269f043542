package web

import (
	"io"
	"strings"

	"github.com/assay-ml/assay/internal/registry"
)

// ModelCard writes the card of a model version as one HTML file: the content of the Markdown card, each row linked to the evidence that
// it comes from.
func ModelCard(w io.Writer, d *registry.Dossier, f Footer) error {
	page := registry.Describe(d)
	return render(w, "card.html", page.Title, f, page)
}

// cardParagraphs divides a text at its empty lines.
func cardParagraphs(s string) []string {
	var out []string
	for p := range strings.SplitSeq(strings.ReplaceAll(s, "\r\n", "\n"), "\n\n") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}
