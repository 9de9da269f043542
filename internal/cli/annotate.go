package cli

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/assay-ml/assay"
)

// Limits of GitHub Actions: annotations of each level in a step, and bytes of a step summary.
const (
	maxAnnotations  = 10
	maxSummaryBytes = 1 << 20
)

// reportCI writes the checks in the forms that the machine that runs them reads.
func (a *app) reportCI(junit string, checks []ciCheck, out assay.CI) error {
	if junit != "" {
		b, err := junitXML(checks)
		if err != nil {
			return err
		}
		if err := os.WriteFile(junit, b, 0o644); err != nil {
			return assay.Errorf(assay.Unavailable, "the JUnit file cannot be written: %w", err)
		}
	}
	if a.Env("GITHUB_ACTIONS") != "true" {
		return nil
	}
	for _, l := range annotations(checks) {
		fmt.Fprintln(a.Stderr, l) // the runner reads both streams; the answer stays alone on the other
	}
	if path := a.Env("GITHUB_STEP_SUMMARY"); path != "" {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return assay.Errorf(assay.Unavailable, "the step summary cannot be written: %w", err)
		}
		_, err = f.Write(stepSummary(checks, out))
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return assay.Errorf(assay.Unavailable, "the step summary cannot be written: %w", err)
		}
	}
	return nil
}

// annotations are the workflow commands for what did not pass: errors for failures, warnings for the rest, at most maxAnnotations of
// each; the last one counts what is left out.
func annotations(checks []ciCheck) []string {
	var errs, warns []string
	for _, c := range checks {
		if c.Verdict == assay.Pass || c.Advisory && len(c.notes) == 0 {
			continue
		}
		level, to := "warning", &warns
		if c.Verdict == assay.Fail && !c.Advisory {
			level, to = "error", &errs
		}
		add := func(line int, message string) {
			var props []string
			if c.file != "" {
				props = append(props, "file="+property(c.file))
				if line > 0 {
					props = append(props, "line="+strconv.Itoa(line))
				}
			}
			props = append(props, "title="+property("assay ci: "+c.Name))
			*to = append(*to, fmt.Sprintf("::%s %s::%s", level, strings.Join(props, ","), escaped(message)))
		}
		add(c.line, c.Message)
		for _, n := range c.notes {
			add(n.line, n.message)
		}
	}
	limit := func(all []string, level string) []string {
		if len(all) <= maxAnnotations {
			return all
		}
		return append(all[:maxAnnotations-1:maxAnnotations-1], fmt.Sprintf("::%s title=assay ci::%d more findings; the log and the step summary have them all", level, len(all)-maxAnnotations+1))
	}
	return append(limit(errs, "error"), limit(warns, "warning")...)
}

// escaped and property escape what a workflow command gives a meaning to.
func escaped(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func property(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}

// stepSummary is the table of the checks in Markdown, within the limit of a summary.
func stepSummary(checks []ciCheck, out assay.CI) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "### assay ci: %s %s\n\n| | check | finding |\n|---|---|---|\n", out.Verdict.Glyph(), out.Verdict)
	const last = "\nThe rest is in the log.\n"
	for _, c := range checks {
		texts := []string{c.Message}
		for _, n := range c.notes {
			texts = append(texts, n.message)
		}
		for i, t := range texts {
			glyph, name := "", ""
			if i == 0 {
				glyph, name = glyphOf(c), c.Name
			}
			row := fmt.Sprintf("| %s | %s | %s |\n", glyph, name, summaryCell(t))
			if b.Len()+len(row)+len(last) > maxSummaryBytes {
				b.WriteString(last)
				return b.Bytes()
			}
			b.WriteString(row)
		}
	}
	b.WriteString("\n")
	return b.Bytes()
}

func summaryCell(s string) string {
	return strings.NewReplacer("\\", "\\\\", "|", "\\|", "<", "&lt;", "&", "&amp;", "*", "\\*", "`", "\\`", "[", "\\[", "]", "\\]").Replace(strings.Join(strings.Fields(s), " "))
}

// The parts of a JUnit report that its readers agree on.
type junitSuites struct {
	XMLName  xml.Name   `xml:"testsuites"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Skipped  int        `xml:"skipped,attr"`
	Time     string     `xml:"time,attr"`
	Suite    junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string      `xml:"classname,attr"`
	Name    string      `xml:"name,attr"`
	Time    string      `xml:"time,attr"`
	File    string      `xml:"file,attr,omitempty"`
	Failure *junitText  `xml:"failure"`
	Skipped *junitText  `xml:"skipped"`
	Output  *junitPlain `xml:"system-out"`
}

type junitText struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

type junitPlain struct {
	Text string `xml:",chardata"`
}

// junitXML writes the checks as one test suite. What did not pass is a failure, what does not decide is skipped.
func junitXML(checks []ciCheck) ([]byte, error) {
	s := junitSuite{Name: "assay ci", Tests: len(checks)}
	total := 0.0
	for _, c := range checks {
		x := junitCase{Class: "assay.ci", Name: c.Name, File: c.file, Time: strconv.FormatFloat(c.took.Seconds(), 'f', 3, 64)}
		total += c.took.Seconds()
		text := []string{c.Message}
		for _, n := range c.notes {
			text = append(text, n.message)
		}
		all := strings.Join(text, "\n")
		switch {
		case c.Advisory && c.Verdict != assay.Pass:
			s.Skipped++
			x.Skipped = &junitText{Message: c.Message, Text: all}
		case c.Verdict != assay.Pass:
			s.Failures++
			x.Failure = &junitText{Message: c.Message, Type: string(c.Verdict), Text: all}
		default:
			x.Output = &junitPlain{all}
		}
		s.Cases = append(s.Cases, x)
	}
	s.Time = strconv.FormatFloat(total, 'f', 3, 64)
	b, err := xml.MarshalIndent(junitSuites{Tests: s.Tests, Failures: s.Failures, Skipped: s.Skipped, Time: s.Time, Suite: s}, "", "  ")
	if err != nil {
		return nil, assay.Errorf(assay.Internal, "the JUnit report cannot be written: %w", err)
	}
	return append([]byte(xml.Header), append(b, '\n')...), nil
}

// inRepository names a file as the repository's own tools do: relative to the workspace of the runner, else to the working directory.
func (a *app) inRepository(path string) string {
	if path == "" {
		return ""
	}
	root := a.Env("GITHUB_WORKSPACE")
	if root == "" {
		root = a.Dir
	}
	rel, err := filepath.Rel(root, path)
	if err != nil || strings.HasPrefix(rel, "..") {
		return filepath.Base(path)
	}
	return filepath.ToSlash(rel)
}

var lineNumber = regexp.MustCompile(`(?:\bline |\[)(\d+)`)

// lineIn is the first line number that an error about a file names; 0 for none.
func lineIn(err error) int {
	m := lineNumber.FindStringSubmatch(err.Error())
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return n
}

// lineOf is the first line of a file that holds a text; 0 when there is none or the file cannot be read.
func lineOf(path, text string) int {
	b, err := os.ReadFile(path)
	if err != nil || text == "" || text == `""` {
		return 0
	}
	at := bytes.Index(b, []byte(text))
	if at < 0 {
		return 0
	}
	return 1 + bytes.Count(b[:at], []byte("\n"))
}

// singleLine is an error's message on one line of valid text.
func singleLine(err error) string {
	return strings.ToValidUTF8(strings.Join(strings.Fields(err.Error()), " "), string(utf8.RuneError))
}
