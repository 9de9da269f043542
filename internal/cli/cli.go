// Package cli is the command tree, assay.yaml, and the stages that strings of commands are made of. It is the only package that
// knows the command line, the working directory and the wall clock; everything below takes them as arguments.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/assay-ml/assay"
)

// Version of Assay, as evidence producers and pages state it.
const Version = "0.1.0"

// A World is everything that the commands touch of the process they run in.
type World struct {
	Dir      string
	Stdin    io.Reader
	Stdout   io.Writer
	Stderr   io.Writer
	Env      func(string) string
	Now      func() time.Time
	Host     string             // as the journal states it
	Machine  *assay.Environment // as training runs state it; nil asks the machine
	Terminal bool               // progress and colour are welcome on Stderr
	Self     string             // this program, for work that may have a process of its own; empty: it is done in this one
}

// System is the world of a real process.
func System() World {
	dir, err := os.Getwd()
	if err != nil {
		dir = "."
	}
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	self, err := os.Executable()
	if err != nil {
		self = ""
	}
	return World{
		Dir: dir, Self: self, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Env: os.Getenv, Now: time.Now, Host: host,
		Terminal: term.IsTerminal(int(os.Stderr.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
	}
}

// app is one run of the binary: the world and the global flags.
type app struct {
	World
	config  string // path of assay.yaml, or empty
	json    bool
	quiet   bool
	memory  string
	threads int

	onnxruntime string // file of ONNX Runtime
}

// errAnswerNo ends a command that worked and whose answer, already printed, is no.
var errAnswerNo = &assay.Error{Code: assay.Rejected}

// Main runs the command line and returns the status that the process should exit with.
func Main(ctx context.Context, args []string, w World) int {
	if w.Stdin != nil {
		w.Stdin = breakable{ctx, w.Stdin}
	}
	a := &app{World: w}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(w.Stdin)
	root.SetOut(w.Stdout)
	root.SetErr(w.Stderr)
	c, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	if strings.HasPrefix(err.Error(), "if any flags in the group ") { // two flags that cannot be used together, which cobra refuses by itself
		err = assay.Errorf(assay.Invalid, "%s", err).Try("%s --help", c.CommandPath())
	}
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || assay.CodeOf(err) == assay.Internal) {
		fmt.Fprintln(w.Stderr, "assay: stopped")
		return interrupted
	}
	var exit exitStatus
	if errors.As(err, &exit) {
		return int(exit)
	}
	if err != error(errAnswerNo) {
		a.report(withHelp(c, err))
	}
	return assay.ExitStatus(err)
}

// exitStatus passes the status of a child through.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// withHelp names the help of the command as the next one, for what was asked wrongly and says nothing of its own. Where assay.yaml is
// wrong, the message names the line, and the help would not.
func withHelp(c *cobra.Command, err error) error {
	if c == nil || assay.CodeOf(err) != assay.Invalid || assay.HintOf(err) != "" {
		return err
	}
	if strings.HasPrefix(err.Error(), ProjectFile) {
		return assay.Errorf(assay.Invalid, "%w", err).Try("mend %s; assay init DATA --target COLUMN writes one with comments", ProjectFile)
	}
	return assay.Errorf(assay.Invalid, "%w", err).Try("%s --help", c.CommandPath())
}

// report writes an error for a person, or as one JSON document with --json.
func (a *app) report(err error) {
	code := assay.CodeOf(err)
	message, hint := shownError(a.pathless(err.Error())), one(a.pathless(assay.HintOf(err)))
	if a.json {
		enc := json.NewEncoder(a.Stderr)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(map[string]any{"schema": "assay.error/1", "code": code, "message": message, "try": hint})
		return
	}
	fmt.Fprintf(a.Stderr, "assay: %s\n", message)
	if code == assay.Internal {
		fmt.Fprintf(a.Stderr, "This is a fault of Assay %s, not of yours.\n", Version)
	}
	if hint != "" {
		fmt.Fprintf(a.Stderr, "Try: %s\n", hint)
	}
}

// shownError is what is wrong, with each of several problems in a line of its own as assay.Problems has them. Whatever else it names can make no line.
func shownError(message string) string {
	problems := strings.Split(message, "\n  - ")
	for i, p := range problems {
		problems[i] = assay.ShownLine(p, maxErrorText)
	}
	return strings.Join(problems, "\n  - ")
}

// maxErrorText is how many characters one problem is told in.
const maxErrorText = 4000

// pathless names files as seen from the working directory.
func (a *app) pathless(s string) string {
	if len(a.Dir) < 2 {
		return s
	}
	s = strings.ReplaceAll(s, a.Dir+string(os.PathSeparator), "")
	if s == "ls "+a.Dir {
		return "ls"
	}
	return s
}

const longHelp = `Assay carries a model through its whole life and proves each step: know the data, say what must hold, version it, split it and
seal the test set, train reproducibly, evaluate with intervals and slices, compare with production, promote through a gate of
evidence, write the model card.

Start:   assay init DATA --target COLUMN    writes a commented assay.yaml
         assay make                         brings every stage up to date
         assay done                         says what is missing before the model may ship

Exit status: 0 yes · 1 could not answer · 2 asked wrongly · 3 worked, and the answer is no · 128+n signal n`

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "assay",
		Short:         "Carry a model through its whole life, and prove each step",
		Long:          longHelp,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          noSuchCommand,
	}
	root.SetVersionTemplate("assay {{.Version}}\n")
	f := root.PersistentFlags()
	f.StringVarP(&a.config, "config", "c", "", "`file` to use instead of the nearest assay.yaml")
	f.BoolVar(&a.json, "json", false, "print one JSON document")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "print no progress and no explanation")
	f.StringVar(&a.memory, "memory", "", "memory limit of the table engine, such as 1GiB")
	f.IntVar(&a.threads, "threads", 0, "threads to use; 0 means all")
	f.StringVar(&a.onnxruntime, "onnxruntime", "", "shared library of ONNX Runtime, a `file` that then evaluates ONNX models; none: Assay does")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return assay.Errorf(assay.Invalid, "%s%s", err, nearFlag(c, err)).Try("%s --help", c.CommandPath())
	})
	root.AddGroup(
		&cobra.Group{ID: "life", Title: "The life of a model:"},
		&cobra.Group{ID: "way", Title: "The short way:"},
		&cobra.Group{ID: "proof", Title: "Proof:"},
	)
	a.commands(root)
	for _, c := range root.Commands() {
		strictArgs(c)
		completeStages(c)
	}
	if a.Stdout != nil {
		root.SetOut(a.Stdout) // the completion command keeps the writer that it finds now
	}
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "completion":
			strictArgs(c)
		case "help": // which the library answers with its own help for a name that is none
			c.Args = func(_ *cobra.Command, args []string) error {
				found, left, err := root.Find(args)
				if err == nil && len(left) > 0 && found.HasSubCommands() {
					err = noSuchCommand(found, left)
				}
				return err
			}
		}
	}
	return root
}

// strictArgs turns the library's argument errors into errors of Assay, with the usage line as the hint. An argument that is empty, as that of an
// unset variable of a shell is, is one: it would stand for the newest. Only a command that is run for somebody may have some of its own.
func strictArgs(c *cobra.Command) {
	check := c.Args
	if check == nil && c.Runnable() {
		check = cobra.NoArgs
	}
	if check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if i := slices.Index(args, ""); i >= 0 && c.CommandPath() != "assay run" {
				return assay.Errorf(assay.Invalid, "argument %d is empty, and the form is: %s", i+1, form(c)).Try("%s --help", c.CommandPath())
			}
			if err := check(c, args); err != nil {
				return assay.Errorf(assay.Invalid, "%d arguments were given, and the form is: %s", len(args), form(c)).Try("%s --help", c.CommandPath())
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		strictArgs(sub)
	}
	if c.HasSubCommands() && !c.Runnable() {
		c.Args = cobra.ArbitraryArgs
		c.RunE = noSuchCommand
	}
}

// completeStages lets shells complete the stage of a model.
func completeStages(c *cobra.Command) {
	for _, flag := range []string{"to", "stage"} {
		if c.Flags().Lookup(flag) != nil {
			_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions([]string{string(assay.StageStaging), string(assay.StageProduction)}, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	for _, sub := range c.Commands() {
		completeStages(sub)
	}
}

// form is how a command is called, without its flags.
func form(c *cobra.Command) string {
	return strings.TrimSuffix(c.UseLine(), " [flags]")
}

// noSuchCommand is what a command that only has others under it runs: help, or an error that names the nearest.
func noSuchCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	hint := ""
	if n := nearest(args[0], names); n != "" {
		hint = fmt.Sprintf("; did you mean %q?", n)
	}
	return assay.Errorf(assay.Invalid, "no command %q%s", strings.TrimPrefix(c.CommandPath()+" ", "assay ")+args[0], hint).Try("%s --help", c.CommandPath())
}

// nearFlag names the flag that was meant, when the error is about an unknown one.
func nearFlag(c *cobra.Command, err error) string {
	got, unknown := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !unknown {
		return ""
	}
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if n := nearest(got, names); n != "" {
		return fmt.Sprintf("; did you mean --%s?", n)
	}
	return ""
}

func version() string {
	v := Version
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				v += " (" + s.Value[:min(12, len(s.Value))] + ")"
			}
		}
	}
	return v
}

// print writes the answer: v as one JSON document with --json, and otherwise what text writes.
func (a *app) print(schema string, v any, text func(w io.Writer)) error {
	if !a.json {
		text(a.out())
		return nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return assay.Errorf(assay.Internal, "the answer cannot be written as JSON: %w", err)
	}
	head, _ := json.Marshal(schema)
	doc := append([]byte(`{"schema":`), head...)
	if body := strings.TrimPrefix(string(b), "{"); body != "}" {
		doc = append(doc, ',')
		doc = append(doc, body...)
	} else {
		doc = append(doc, '}')
	}
	var out strings.Builder
	if err := indent(&out, doc); err != nil {
		return err
	}
	_, err = io.WriteString(a.Stdout, assay.ShownJSON(out.String()))
	return err
}

// out is where answers for people are written: what it writes commands no terminal, whatever names, values and texts it holds. What is data, such as a card or
// a document of JSON, is written to a.Stdout as it is.
func (a *app) out() io.Writer { return shownWriter{a.Stdout} }

// A shownWriter writes text as assay.ShownText makes it. Each piece must end between two characters.
type shownWriter struct{ to io.Writer }

func (w shownWriter) Write(b []byte) (int, error) {
	if _, err := io.WriteString(w.to, assay.ShownText(string(b))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// writeJSON writes a document of JSON that is data, and that a terminal can show too.
func (a *app) writeJSON(doc []byte) { _, _ = io.WriteString(a.Stdout, assay.ShownJSON(string(doc))) }

func indent(w io.Writer, doc []byte) error {
	var v json.RawMessage = doc
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// say explains a step on the error stream, where it disturbs no answer.
func (a *app) say(format string, args ...any) {
	if !a.quiet && !a.json {
		fmt.Fprint(a.Stderr, assay.ShownText(fmt.Sprintf(format+"\n", args...)))
	}
}

// bytesFlag reads a size such as 1GiB, 500MB or 1048576.
func bytesFlag(name, s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	num := strings.TrimRight(s, "KMGTiBkb ")
	unit := strings.TrimSpace(strings.TrimPrefix(s, num))
	scale, ok := map[string]float64{
		"": 1, "B": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
		"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30,
	}[unit]
	var v float64
	if _, err := fmt.Sscanf(num, "%g", &v); err != nil || !ok || v <= 0 {
		return 0, assay.Errorf(assay.Invalid, "%s %q is not a size; want a number and KiB, MiB or GiB", name, s).Try("%s 1GiB", name)
	}
	return int64(v * scale), nil
}
