package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/assay-ml/assay/internal/assaytest"
	"github.com/assay-ml/assay/internal/cli"
)

// sitePages serves the newest version, and puts the pages of the server beside the reports.
func sitePages(t *testing.T, dir string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	world := func(ctx context.Context, errs io.Writer, args ...string) int {
		return cli.Main(ctx, args, cli.World{Dir: dir, Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: errs, Env: os.Getenv, Now: time.Now})
	}
	var said strings.Builder
	for _, args := range [][]string{{"serve", "check"}, {"monitor", "plan"}} {
		if status := world(ctx, &said, args...); status != 0 {
			t.Fatalf("assay %v: exit status %d\n%s", args, status, said.String())
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "assay.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(string(b)[strings.Index(string(b), "project: ")+len("project: "):], "\n")
	name = strings.Trim(name, "\" ")
	r, w := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		ended <- world(ctx, w, "serve", "--listen", "127.0.0.1:0", "--grpc-listen", "none", "--model", name+":1")
		w.Close()
	}()
	lines, url := bufio.NewScanner(r), ""
	for url == "" && lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if _, at, ok := strings.Cut(lines.Text(), " on http://"); ok {
			url = "http://" + strings.Fields(at)[0]
		}
	}
	if url == "" {
		t.Fatalf("assay serve: exit status %d\n%s", <-ended, said.String())
	}
	go func() { _, _ = io.Copy(io.Discard, r) }()
	for _, path := range []string{"/", "/models", "/models/" + name, "/traffic", "/monitors", "/alerts"} {
		answer, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: status %d, %v", path, answer.StatusCode, err)
		}
		if err := os.WriteFile(filepath.Join(dir, ".assay", "reports", "site"+strings.ReplaceAll(path, "/", "-")+".html"), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	<-ended
}

// What a sheet of A4 holds between the browser's margins of 1 cm, in pixels of CSS.
const (
	paperWidth  = 718
	paperHeight = 1047
)

// onPaper is what goes wrong in print.
type onPaper struct {
	Wide   float64  `json:"wide"`   // px beyond the paper
	High   float64  `json:"high"`   // px of the whole page
	Cut    []string `json:"cut"`    // elements whose content is wider than they are and is clipped, or that reach beyond the paper
	Hidden []string `json:"hidden"` // texts that take no room or are not painted, navigation aside
}

const paperScript = `(() => {
	const say = e => (e.nodeName + '.' + (e.getAttribute && e.getAttribute('class') || '') + ' ' + e.textContent.trim().slice(0, 40)).trim();
	const width = document.documentElement.clientWidth;
	const cut = [...document.querySelectorAll('main *, header *, footer *')].filter(e => {
		if (e.closest('nav') || e.closest('svg') && e.nodeName.toLowerCase() !== 'svg') return false;
		const r = e.getBoundingClientRect(), s = getComputedStyle(e);
		if (r.width === 0 || s.display === 'none') return false;
		return r.right > width + 1 || r.left < -1 || s.overflowX !== 'visible' && e.scrollWidth > e.clientWidth + 1;
	}).map(say);
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), hidden = [];
	for (let n; n = walk.nextNode();) {
		const e = n.parentElement;
		if (!n.data.trim() || e.closest('nav, .skip, style, title, desc')) continue;
		const range = document.createRange();
		range.selectNodeContents(n);
		const r = range.getBoundingClientRect();
		if (r.width === 0 || r.height === 0 || !e.checkVisibility({visibilityProperty: true, opacityProperty: true})) hidden.push(n.data.trim().slice(0, 40));
	}
	return {wide: document.documentElement.scrollWidth - width, high: document.documentElement.scrollHeight, cut: cut.slice(0, 8), hidden: hidden.slice(0, 8)};
})()`

// TestReportsInABrowser makes the reports of a small life and opens each in Chromium: as a desktop, as a phone, in the dark and on
// paper. A report must load without an error and without asking for anything else, fit a phone's width, and be readable by a screen
// reader and a keyboard.
func TestReportsInABrowser(t *testing.T) {
	if os.Getenv("ASSAY_TEST_FULL") != "1" {
		t.Skip("set ASSAY_TEST_FULL=1")
	}
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("no chromium: run scripts/deps.sh")
	}
	dir := t.TempDir()
	csv, err := os.ReadFile(filepath.Join(assaytest.Root(), "testdata", "oracle", "data", "tables", "titanic.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "titanic.csv"), csv, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"init", "titanic.csv", "--target", "Survived"}, {"make", "card"}, {"card", "--format", "html"}} {
		want := 0
		if args[0] == "make" {
			want = 3 // the card is made, and nobody has written what only people can say
		}
		var out strings.Builder
		status := cli.Main(t.Context(), args, cli.World{Dir: dir, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Env: os.Getenv, Now: assaytest.Clock()})
		if status != want {
			t.Fatalf("assay %v: exit status %d\n%s", args, status, out.String())
		}
	}
	sitePages(t, dir)
	pages, err := filepath.Glob(filepath.Join(dir, ".assay", "reports", "*.html"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("no report was made: %v", err)
	}
	full, err := filepath.Glob(filepath.Join(assaytest.Root(), "internal", "web", "testdata", "*.html"))
	if err != nil || len(full) == 0 {
		t.Fatalf("no page of every part of a report was found: %v", err)
	}
	pages = append(pages, full...)

	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("disable-quic", true))
	alloc, cancel := chromedp.NewExecAllocator(t.Context(), opts...)
	defer cancel()
	for _, file := range pages {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if st, err := os.Stat(file); err != nil || st.Size() > 2<<20 {
				t.Errorf("%d bytes; a report stays under 2 MB (%v)", st.Size(), err)
			}
			ctx, cancel := chromedp.NewContext(alloc)
			defer cancel()
			ctx, stop := context.WithTimeout(ctx, time.Minute)
			defer stop()
			var faults []string
			if err := chromedp.Listen(ctx, func(ev any) {
				switch e := ev.(type) {
				case *runtime.EventExceptionThrown:
					faults = append(faults, "exception: "+e.ExceptionDetails.Text)
				case *log.EventEntryAdded:
					faults = append(faults, "log: "+e.Entry.Text)
				case *network.EventRequestWillBeSent:
					if !strings.HasPrefix(e.Request.URL, "file://") && !strings.HasPrefix(e.Request.URL, "data:") {
						faults = append(faults, "request: "+e.Request.URL)
					}
				}
			}); err != nil {
				t.Fatal(err)
			}
			type look struct {
				Title    string   `json:"title"`
				Lang     string   `json:"lang"`
				H1       int      `json:"h1"`
				Main     int      `json:"main"`
				Scripts  int      `json:"scripts"`
				Wide     float64  `json:"wide"`
				Unscoped int      `json:"unscoped"`
				Unnamed  int      `json:"unnamed"`
				Broken   []string `json:"broken"`
				Back     string   `json:"back"`
				Colours  string   `json:"colours"`
			}
			const script = `(() => ({
				title: document.title, lang: document.documentElement.lang,
				h1: document.querySelectorAll('h1').length, main: document.querySelectorAll('main').length, scripts: document.querySelectorAll('script').length,
				wide: document.documentElement.scrollWidth - window.innerWidth,
				unscoped: [...document.querySelectorAll('th')].filter(e => !e.hasAttribute('scope')).length,
				unnamed: [...document.querySelectorAll('svg')].filter(e => !e.getAttribute('aria-label')).length,
				broken: [...document.querySelectorAll('a[href^="#"]')].map(e => e.getAttribute('href')).filter(h => !document.getElementById(h.slice(1))),
				back: getComputedStyle(document.body).backgroundColor,
				colours: ['pass', 'fail', 'doubt'].map(c => getComputedStyle(document.documentElement).getPropertyValue('--' + c)).join(' ') }))()`
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			see := func() look {
				t.Helper()
				l, err := chromedp.Run(ctx, chromedp.Evaluate[look](script))
				must(err)
				return l
			}
			media := func(p emulation.SetEmulatedMediaParams) {
				t.Helper()
				_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, p)
				must(err)
			}
			_, err := chromedp.Call(ctx, network.Enable, network.EnableParams{})
			must(err)
			must(chromedp.Do(ctx, chromedp.EmulateViewport(1200, 900), chromedp.Navigate("file://"+file)))
			desktop := see()
			must(chromedp.Do(ctx, chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile)))
			phone := see()
			media(emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
			dark := see()
			media(emulation.SetEmulatedMediaParams{Media: "print", Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "light"}}})
			must(chromedp.Do(ctx, chromedp.EmulateViewport(paperWidth, paperHeight)))
			paper, err := chromedp.Run(ctx, chromedp.Evaluate[onPaper](paperScript))
			must(err)
			if paper.Wide > 0 || len(paper.Cut) > 0 {
				t.Errorf("on paper the page is %v px too wide, and this is cut off: %q", paper.Wide, paper.Cut)
			}
			if len(paper.Hidden) > 0 {
				t.Errorf("this is not printed: %q", paper.Hidden)
			}
			printed, err := chromedp.Call(ctx, page.PrintToPDF, page.PrintToPDFParams{PaperWidth: 8.27, PaperHeight: 11.69})
			must(err)
			// Nothing is left out, and nothing is made smaller to fit the width: there are as many sheets as the page is high. What may not be
			// broken leaves a sheet half empty at worst on average: what went to the next sheet was larger than the room that it left.
			sheets, least := bytes.Count(printed.Data, []byte("/Type /Page\n")), int(paper.High)/paperHeight
			if sheets < max(least, 1) || sheets > 2*least+1 {
				t.Errorf("%v px are printed on %d sheets", paper.High, sheets)
			}
			media(emulation.SetEmulatedMediaParams{Media: "print", Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
			if at := see(); at.Back != desktop.Back || at.Colours != desktop.Colours {
				t.Errorf("on paper the background is %s and the verdicts are %s where the system is dark; they are %s and %s in light", at.Back, at.Colours, desktop.Back, desktop.Colours)
			}
			nav, err := chromedp.Run(ctx, chromedp.Evaluate[string](`getComputedStyle(document.querySelector('nav') || document.body).display`))
			must(err)
			for _, f := range faults {
				t.Error(f)
			}
			if desktop.Title == "" || desktop.Lang == "" || desktop.H1 != 1 || desktop.Main != 1 || desktop.Scripts != 0 {
				t.Errorf("title %q, language %q, %d h1, %d main, %d scripts", desktop.Title, desktop.Lang, desktop.H1, desktop.Main, desktop.Scripts)
			}
			if desktop.Unscoped > 0 || desktop.Unnamed > 0 || len(desktop.Broken) > 0 {
				t.Errorf("%d header cells without a scope, %d drawings without a name, links to nowhere %v", desktop.Unscoped, desktop.Unnamed, desktop.Broken)
			}
			if desktop.Wide > 0 || phone.Wide > 0 {
				t.Errorf("the page is wider than the window: by %v px on a desktop, by %v px on a phone", desktop.Wide, phone.Wide)
			}
			if desktop.Back == dark.Back {
				t.Errorf("the background is %s in light and in dark", dark.Back)
			}
			if nav != "none" {
				t.Errorf("navigation is printed (display %s)", nav)
			}
		})
	}
}
