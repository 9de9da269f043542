package cli

import (
	"context"
	"net/http"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/web"
)

// maxStandsOn is how much evidence that stands on one is listed.
const maxStandsOn = 50

// evidenceLink leads to the page of evidence.
func evidenceLink(id assay.Digest) web.SiteCell {
	return web.SiteCell{Text: id.Short(), Path: "/evidence/" + id.Short()}
}

func kindName(k assay.Kind) string { return strings.ReplaceAll(string(k), "_", " ") }

// evidence says where one record comes from and what stands on it. Its content, which may hold values of the data, is left to the command line.
func (p *pages) evidence(ctx context.Context, r *http.Request) (web.SitePage, error) {
	x := web.SitePage{Title: "Where does this come from?", Here: "Models", Crumbs: []web.SiteLink{{Text: "Models", Path: "/models"}, {Text: "Evidence"}}}
	id, err := p.s.st.Resolve(ctx, r.PathValue("id"))
	if err != nil {
		return x, err
	}
	rec, err := p.s.st.Get(ctx, id)
	if err != nil {
		return x, err
	}
	x.Lead = "It is evidence of the kind " + kindName(rec.Kind) + ", recorded by " + rec.Entry.Producer + " " + ago(p.s.Now().Sub(rec.Entry.At)) + "."
	x.Facts = []web.SiteFact{{Name: "id", Value: id.Short()}, {Name: "subject", Value: rec.Subject.Short()}, {Name: "recorded", Value: rec.Entry.At.UTC().Format("2006-01-02 15:04 UTC")}}
	columns := []web.SiteColumn{{Name: "kind"}, {Name: "recorded"}, {Name: "by"}, {Name: "evidence"}}
	from := web.SiteSection{ID: "from", Title: "It stands on", Columns: columns, Empty: "No other evidence."}
	onto := web.SiteSection{ID: "onto", Title: "What stands on it, the newest first", Columns: columns, Empty: "Nothing yet."}
	row := func(y assay.Record) []web.SiteCell {
		return []web.SiteCell{{Text: kindName(y.Kind)}, p.when(y.Entry.At), {Text: y.Entry.Producer}, evidenceLink(y.ID)}
	}
	for _, parent := range rec.Parents {
		y, err := p.s.st.Get(ctx, parent)
		if err != nil {
			return x, err
		}
		from.Rows = append(from.Rows, row(y))
	}
	after, err := p.s.st.Find(ctx, store.Query{Parent: id, Limit: maxStandsOn})
	if err != nil {
		return x, err
	}
	for _, y := range after {
		onto.Rows = append(onto.Rows, row(y))
	}
	x.Sections = []web.SiteSection{from, onto, {ID: "content", Title: "What it says", Empty: "Its content is shown by", Command: "assay evidence show " + id.Short()}}
	return x, nil
}
