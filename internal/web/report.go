// Package web makes what people look at in a browser: self-contained reports and, later, the pages of the server. It renders payloads
// and computes nothing: every number on a page comes out of evidence.
//
// A report is one HTML file without scripts or outside references: it opens from disk, in the dark, on a phone and on paper.
package web

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
)

//go:embed assets/tokens.css assets/*.html
var assets embed.FS

// MaxReportBytes is the size that no report exceeds, whatever the number of rows.
const MaxReportBytes = 2 << 20

// A Footer says where a report comes from.
type Footer struct {
	Version  string       // of Assay
	Evidence assay.Digest // id of the evidence that the report shows
	Data     assay.Digest // content of the data set
	At       string       // when, RFC 3339; empty leaves it out
	Here     string       // on a server the place of its navigation; empty for a file, which has no other pages
}

// Places are the links of the navigation; none for a file.
func (f Footer) Places() []SiteLink {
	if f.Here == "" {
		return nil
	}
	return places
}

// page is what the frame around every report needs.
type page struct {
	Title  string
	CSS    template.CSS
	Footer Footer
	Body   any
}

// render writes one report through its template.
func render(w io.Writer, name, title string, f Footer, body any) error {
	b, err := rendered(name, title, f, body)
	if err != nil {
		return err
	}
	return written(w, b)
}

// written writes a report that is within the limit.
func written(w io.Writer, b []byte) error {
	if len(b) > MaxReportBytes {
		return assay.Errorf(assay.Internal, "the report is %d bytes; the limit is %d", len(b), MaxReportBytes)
	}
	_, err := w.Write(b)
	return err
}

// rendered is one report, however large.
func rendered(name, title string, f Footer, body any) ([]byte, error) {
	css, err := assets.ReadFile("assets/tokens.css")
	if err != nil {
		panic("BUG: the style sheet is not embedded")
	}
	t, err := template.New("").Funcs(functions()).ParseFS(assets, "assets/frame.html", "assets/"+name)
	if err != nil {
		panic("BUG: a template does not parse: " + err.Error())
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "frame.html", page{title, template.CSS(css), f, body}); err != nil {
		return nil, assay.Errorf(assay.Internal, "the report cannot be rendered: %w", err)
	}
	return []byte(assay.ShownText(b.String())), nil // what HTML lets through still turns the direction of a line, or hides a part of it
}

func functions() template.FuncMap {
	return template.FuncMap{
		"count": func(n int64) string { return assay.FormatCount(n) },
		"percent": func(f float64) string {
			switch { // neither none nor all where it is not
			case f > 0 && f < 0.0005:
				return "< 0.1 %"
			case f < 1 && f >= 0.9995:
				return "> 99.9 %"
			}
			return strconv.FormatFloat(100*f, 'f', 1, 64) + " %"
		},
		"command": func(s string) template.HTML { // whose words do not break at their hyphens
			var b strings.Builder
			for i, w := range strings.Fields(s) {
				if i > 0 {
					b.WriteByte(' ')
				}
				if strings.Contains(w, "-") {
					b.WriteString(`<span class="nb">` + template.HTMLEscapeString(w) + `</span>`)
				} else {
					b.WriteString(template.HTMLEscapeString(w))
				}
			}
			return template.HTML(b.String())
		},
		"number": func(v float64) string { return assay.FormatNumber(v, math.NaN()) },
		"verdict": func(v assay.Verdict) template.HTML {
			return template.HTML(fmt.Sprintf(`<span class="verdict %s">%s %s</span>`, template.HTMLEscapeString(string(v)), v.Glyph(), template.HTMLEscapeString(string(v))))
		},
		"estimate": estimate,
		"known": func(e assay.Estimate) template.HTML { // in tables, where many are not
			if !e.Defined() {
				return template.HTML(fmt.Sprintf(`<span class="soft" title="%s">–</span>`, template.HTMLEscapeString(e.Method)))
			}
			return estimate(e)
		},
		"share": func(e assay.Estimate) template.HTML {
			if !e.Defined() {
				return "none"
			}
			return template.HTML(fmt.Sprintf(`<span title="%s">%s %%</span>`, template.HTMLEscapeString(e.String()), strconv.FormatFloat(100*e.Value, 'f', 1, 64)))
		},
		"num":   significant,
		"pct":   func(v assay.Number) string { return strconv.FormatFloat(100*float64(v), 'f', 1, 64) + " %" },
		"words": func(v any) string { return strings.ReplaceAll(fmt.Sprint(v), "_", " ") },
		"corr": func(v assay.Number) string {
			if math.IsNaN(float64(v)) {
				return "–"
			}
			if math.Abs(float64(v)) >= 10_000 {
				return significant(v)
			}
			return assay.FormatFixed(float64(v), 3)
		},
		"meter": func(n, of int64) template.HTML {
			share := 100 * float64(n) / float64(max(of, 1))
			return template.HTML(fmt.Sprintf(`<span class="meter"><i style="width:%.1f%%"></i></span> %.1f %%`, share, share))
		},
		"pvalue": func(p assay.Number) string {
			switch v := float64(p); {
			case math.IsNaN(v):
				return ""
			case v < 0.0001:
				return "< 0.0001"
			default:
				return strconv.FormatFloat(v, 'f', 4, 64)
			}
		},
		"decimal":    func(digits int, v any) string { return assay.FormatFixed(float(v), digits) },
		"level":      func(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) },
		"defined":    func(v any) bool { return !math.IsNaN(float(v)) },
		"same":       func(a, b any) bool { return float(a) == float(b) },
		"join":       strings.Join,
		"paragraphs": cardParagraphs,
		"hundred":    func(f float64) float64 { return 100 * f },
		"inc":        func(i int) int { return i + 1 },
	}
}

// estimate is a figure with how it was made.
func estimate(e assay.Estimate) template.HTML {
	title := e.Method
	if e.HasInterval() {
		title = fmt.Sprintf("%s, level %s, n = %s", e.Method, strconv.FormatFloat(e.Level, 'g', 4, 64), assay.FormatCount(e.N))
	}
	return template.HTML(fmt.Sprintf(`<span title="%s">%s</span>`, template.HTMLEscapeString(title), template.HTMLEscapeString(e.String())))
}

// float is a number of either of the types that payloads use.
func float(v any) float64 {
	switch v := v.(type) {
	case float64:
		return v
	case assay.Number:
		return float64(v)
	}
	return math.NaN()
}
