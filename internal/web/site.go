package web

import (
	"html/template"
	"io"

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

// A SiteCell is one cell: a text, with a page that it leads to, or a verdict with its glyph.
type SiteCell struct {
	Text    string
	Path    string
	More    []string // further lines, quieter
	Verdict assay.Verdict
	Code    bool // a command or an id
}

// MaxSiteRows is how many rows a table of a page has at most.
const MaxSiteRows = 200

// places are the navigation of the server's pages.
var places = []SiteLink{{"Home", "/"}, {"Models", "/models"}, {"Traffic", "/traffic"}, {"Monitors", "/monitors"}, {"Alerts", "/alerts"}}

// Site writes a page of the server. Tables that are too long lose their last rows, and say so.
func Site(w io.Writer, p SitePage, f Footer) error {
	sections := make([]SiteSection, len(p.Sections))
	for i, s := range p.Sections {
		if len(s.Rows) > MaxSiteRows {
			s.Left, s.Rows = s.Left+len(s.Rows)-MaxSiteRows, s.Rows[:MaxSiteRows]
		}
		sections[i] = s
	}
	p.Sections = sections
	f.Here = p.Here
	return render(w, "site.html", p.Title, f, p)
}
