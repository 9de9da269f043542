package web

import (
	"html/template"
	"io"
	"slices"

	"github.com/assay-ml/assay"
)

// A SitePage is one page of the server: tables under headings, each of which says what it is for when it is empty. Nothing on it needs a script.
type SitePage struct {
	Title    string
	Lead     string // the answer to the page's question in one sentence
	Here     string // which of the places of the navigation it belongs to
	Crumbs   []SiteLink
	Facts    []SiteFact
	Sections []SiteSection
}

// A SiteLink leads to another page of the server.
type SiteLink struct{ Text, Path string }

// A SiteFact is one figure with its name.
type SiteFact struct{ Name, Value string }

// A SiteSection is a heading and a table, with a drawing above it where it has one. Rows have as many cells as there are columns.
type SiteSection struct {
	ID, Title, Text string
	Drawing         template.HTML // of Bars and the like
	DrawingTitle    string
	Columns         []SiteColumn
	Rows            [][]SiteCell
	Left            int    // rows that are not shown
	Empty           string // what it is for
	Command         string // what fills it
}

// A SiteColumn heads a column; numbers stand to the right.
type SiteColumn struct {
	Name    string
	Numbers bool
}

// A SiteCell is one cell: a text, with a page that it leads to, or a verdict with its glyph, or another state with a shape of its own.
type SiteCell struct {
	Text    string
	Path    string
	More    []string // further lines, quieter
	Verdict assay.Verdict
	Mark    string // a shape before the text, in the colour of Tone
	Tone    string // pass, undetermined, fail or soft
	Code    bool   // a command or an id
}

// MaxSiteRows is how many rows a table of a page has at most.
const MaxSiteRows = 200

// maxSiteText is how many characters one text of a page has at most.
const maxSiteText = 1000

// clipped is a text of a page in one line that is not too long.
func clipped(s string) string { return assay.ShownLine(s, maxSiteText) }

// places are the navigation of the server's pages.
var places = []SiteLink{{"Home", "/"}, {"Models", "/models"}, {"Traffic", "/traffic"}, {"Monitors", "/monitors"}, {"Alerts", "/alerts"}}

// Site writes a page of the server. Tables that are too long lose their last rows, and say so.
func Site(w io.Writer, p SitePage, f Footer) error {
	sections := make([]SiteSection, len(p.Sections))
	for i, s := range p.Sections {
		if len(s.Rows) > MaxSiteRows {
			s.Left, s.Rows = s.Left+len(s.Rows)-MaxSiteRows, s.Rows[:MaxSiteRows]
		}
		s.Title, s.Text, s.DrawingTitle, s.Empty, s.Command = clipped(s.Title), clipped(s.Text), clipped(s.DrawingTitle), clipped(s.Empty), clipped(s.Command)
		rows := make([][]SiteCell, len(s.Rows))
		for k, row := range s.Rows {
			rows[k] = make([]SiteCell, len(row))
			for j, c := range row {
				c.Text, c.More = clipped(c.Text), slices.Clone(c.More)
				for m := range c.More {
					c.More[m] = clipped(c.More[m])
				}
				rows[k][j] = c
			}
		}
		s.Rows = rows
		sections[i] = s
	}
	p.Title, p.Lead, p.Sections = clipped(p.Title), assay.ShownLine(p.Lead, 4*maxSiteText), sections
	p.Crumbs, p.Facts = slices.Clone(p.Crumbs), slices.Clone(p.Facts)
	for i := range p.Crumbs {
		p.Crumbs[i].Text = clipped(p.Crumbs[i].Text)
	}
	for i := range p.Facts {
		p.Facts[i].Value = clipped(p.Facts[i].Value)
	}
	f.Here = p.Here
	return render(w, "site.html", p.Title, f, p)
}
