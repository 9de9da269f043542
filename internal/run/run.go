// Package run executes a training command with seeds, captures what it was given and what came out, and says whether it can be
// repeated. It also trains the built-in learners, searches their parameters, and runs a recorded run again to compare.
//
// A command needs no Assay package: it finds its configuration, seed, inputs and output directory in the environment, and a start-up
// hook seeds Python's generators before the program sees them. What a run used of time, memory and machine names goes to the journal;
// its payload holds facts only, so the same run gives the same evidence.
//
// The package does not isolate: a command may read and write what its user may. It sees processes of its own process group; one that
// starts a session of its own escapes it.
package run

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/store"
	"github.com/goccy/go-yaml"
	"github.com/gowebpki/jcs"
)

// What a run came to.
const (
	Finished = "finished" // exit status 0 and readable outputs
	Failed   = "failed"   // another exit status, or outputs that break a rule
	Killed   = "killed"   // ended by a signal
)

// A Spec says what to run and with what. Command and Seed are the least that is needed.
type Spec struct {
	Command []string // program and arguments; the program is looked up in the PATH of the run
	Dir     string   // working directory; empty: the current one
	Config  []byte   // the experiment's part of assay.yaml as YAML or JSON, a mapping
	Seed    uint64
	Inputs  map[string]assay.Digest // content of each input by name: data, split, train, validation, test_features
	Files   map[string]string       // input files by name; "train" is handed over as $ASSAY_TRAIN, and so on
	Raw     []string                // files that the data set was read from; opening one is recorded, not prevented
	Env     map[string]string       // variables to set besides those of this process; recorded
	Stdin   *os.File                // nil: empty, so that nothing typed becomes part of a result
	Stdout  io.Writer               // where the command's output goes as it comes; nil: to the log only
	Stderr  io.Writer
	Out     string           // output directory, empty or absent; "" makes one that is gone after the run
	Store   string           // directory of the evidence store, which is no part of the source; may be empty
	Parents []assay.Digest   // evidence that the run builds on: snapshot, split
	Sealed  int64            // of the rows handed over, how many an earlier split had sealed
	Signals <-chan os.Signal // signals to pass on to the command; nil: none
	Clock   func() time.Time // nil: the journal says nothing of the duration
	// Imported, when it is set, is told which Python source files below Dir the command read, by their path from there with slashes, and
	// their digests; the digest is empty when a file is not what it was when it was read.
	Imported func(map[string]assay.Digest)

	probe string // what a reproduction holds still, with commas between
}

var (
	inputName    = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	otherRunes   = regexp.MustCompile(`[^A-Z0-9]+`)
)

// Names that Execute sets itself, so an input may not take them.
var reserved = []string{"config", "out", "seed", "store", "param", "hook"}

const (
	maxConfigVariables = 1000
	maxSeed            = 1<<53 - 1
)

// check finds everything that is wrong with the specification.
func (s Spec) check() error {
	var p assay.Problems
	if s.Seed > maxSeed {
		p.Add("seed %d is larger than %d, the largest that JSON keeps exactly", s.Seed, uint64(maxSeed))
	}
	if len(s.Command) == 0 || s.Command[0] == "" {
		p.Add("no command")
	}
	for _, a := range s.Command {
		if strings.ContainsRune(a, 0) {
			p.Add("an argument of the command holds a NUL byte")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Files)) {
		if !inputName.MatchString(name) || slices.Contains(reserved, name) || strings.HasPrefix(name, "hook_") || strings.HasPrefix(name, "config_") {
			p.Add("%q is no name of an input", name)
		}
		if info, err := os.Stat(s.Files[name]); err != nil {
			p.Add("the file of input %q cannot be read: %v", name, reason(err))
		} else if info.IsDir() {
			p.Add("the file of input %q is a directory", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Inputs)) {
		if _, err := assay.ParseDigest(string(s.Inputs[name])); err != nil {
			p.Add("the digest of input %q is no digest", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		if !variableName.MatchString(name) || strings.ContainsRune(s.Env[name], 0) {
			p.Add("%q cannot be set as an environment variable", name)
		} else if strings.HasPrefix(name, "ASSAY_HOOK_") {
			p.Add("%s is set by assay itself", name)
		}
	}
	return p.Err(assay.Invalid, "this cannot be run")
}

// Execute runs the command of the specification, records it as evidence of KindRun and returns the record. A command that fails, or is
// killed, is recorded as such and is no error: Run.Exit is its status, 128 + n after signal n. An error means that nothing ran (a
// wrong specification, a command that is not there) or that the record could not be kept.
//
// The journal entry of the record holds the circumstances: directory, host, user, time and memory used, and the digest of the log.
func Execute(ctx context.Context, s Spec, st store.Store) (assay.Record, error) {
	res, err := execute(ctx, s, st.Blobs())
	if err != nil {
		return assay.Record{}, err
	}
	return res.record(context.WithoutCancel(ctx), st, s.Parents)
}

// record appends the result.
func (res result) record(ctx context.Context, st store.Store, parents []assay.Digest) (assay.Record, error) {
	ev, err := store.Evidence(assay.KindRun, res.subject, parents, res.run)
	if err != nil {
		return assay.Record{}, err
	}
	records, err := st.Append(ctx, res.context, ev)
	if err != nil {
		return assay.Record{}, err
	}
	return records[0], nil
}

// A result is everything that one execution gave: the facts, and the circumstances for the journal.
type result struct {
	run     assay.Run
	subject assay.Digest
	context map[string]string
}

// execute runs the command and gathers the record. An error means that nothing ran or that its record could not be kept; a command that
// fails is a result.
func execute(ctx context.Context, s Spec, blobs putter) (result, error) {
	var res result
	if err := s.check(); err != nil {
		return res, err
	}
	dir, err := filepath.Abs(s.Dir)
	if err != nil {
		return res, unavailable("the working directory", err)
	}
	config, values, err := canonical(s.Config)
	if err != nil {
		return res, err
	}
	scratch, err := os.MkdirTemp("", "assay-run-")
	if err != nil {
		return res, unavailable("the directory for temporary files", err)
	}
	defer os.RemoveAll(scratch)
	out, err := prepare(s.Out, scratch)
	if err != nil {
		return res, err
	}
	hook, report := filepath.Join(scratch, "hook"), filepath.Join(scratch, "report")
	if err := writeHook(hook); err != nil {
		return res, err
	}
	configFile := filepath.Join(scratch, "config.json")
	if err := os.WriteFile(configFile, config, 0o600); err != nil {
		return res, unavailable("the configuration file", err)
	}

	spec := assay.RunSpec{Seed: s.Seed, Config: assay.DigestOf(config), Inputs: map[string]assay.Digest{}}
	files, before := map[string]string{}, map[string]os.FileInfo{}
	maps.Copy(spec.Inputs, s.Inputs)
	for name, file := range s.Files {
		if files[name], err = filepath.Abs(file); err != nil {
			return res, unavailable("the file of input "+name, err)
		}
		if before[name], err = os.Stat(files[name]); err != nil {
			return res, unavailable("the file of input "+name, err)
		}
		if _, known := spec.Inputs[name]; !known {
			if spec.Inputs[name], err = fileDigest(ctx, files[name]); err != nil {
				return res, unavailable("the file of input "+name, err)
			}
		}
	}
	skip := []string{out}
	if s.Store != "" {
		if p, err := filepath.Abs(s.Store); err == nil {
			skip = append(skip, p)
		}
	}
	var incomplete bool
	if spec.Code, incomplete, err = readSource(ctx, dir, skip, blobs); err != nil {
		return res, err
	}
	spec.Command = portable(s.Command, dir, out, files)
	if _, _, err := blobs.Put(ctx, bytes.NewReader(config)); err != nil {
		return res, err
	}
	if res.subject, err = subject(spec); err != nil {
		return res, err
	}

	raw := resolved(s.Raw)
	env := environment(s, hook, report, configFile, out, files, values)
	if s.Imported != nil {
		env = append(env, "ASSAY_HOOK_DIR="+dir)
	}
	if len(raw) > 0 {
		env = append(env, "ASSAY_HOOK_RAW="+strings.Join(raw, string(os.PathListSeparator)))
	}
	log, err := openLog(filepath.Join(scratch, "log"))
	if err != nil {
		return res, err
	}
	defer log.close()
	var began time.Time
	if s.Clock != nil {
		began = s.Clock()
	}
	watch := watchRaw(raw)
	end, err := start(ctx, s.Command, dir, s.Stdin, env, log.tee(s.Stdout), log.tee(s.Stderr), s.Signals)
	if err != nil {
		watch.opened()
		return res, err
	}
	cancelled := ctx.Err() != nil
	ctx = context.WithoutCancel(ctx) // what ran is recorded, even when nobody waits for it any more

	res.context = circumstances(s, dir, out, end)
	if s.Clock != nil {
		res.context["seconds"] = strconv.FormatFloat(s.Clock().Sub(began).Seconds(), 'f', 3, 64)
	}
	digest, err := log.keep(ctx, blobs, secrets(env))
	if err != nil {
		return res, err
	}
	res.context[assay.LogContext] = string(digest)

	hooks, err := readHookReport(report)
	if err != nil {
		return res, err
	}
	if s.Imported != nil {
		modules, err := hooks.modules(ctx, dir)
		if err != nil {
			return res, err
		}
		s.Imported(modules)
	}
	rawSeen := rawData(raw, watch, hooks)
	left, err := collect(ctx, out, blobs)
	if err != nil {
		return res, err
	}
	r := assay.Run{
		Spec: spec, Status: Finished, Exit: end.exit, Signal: end.signal,
		Params: left.params, Metrics: left.metrics, Outputs: left.files, Model: left.model,
		Seeded: append([]string{}, hooks.Seeded...), Unseeded: append([]string{}, hooks.Unseeded...),
		Environment: machine(ctx), Problems: left.problems, Missing: []string{}, SealedRows: s.Sealed, RawData: rawSeen,
	}
	switch {
	case end.signal != "" || cancelled:
		r.Status = Killed
	case end.exit != 0 || len(left.problems) > 0:
		r.Status = Failed
	}
	if end.outside {
		r.Problems = append(r.Problems, "SIGKILL came from outside: the system may have run out of memory")
	}
	if end.orphans {
		r.Problems = append(r.Problems, "processes outlived the command and were ended")
	}
	if end.detached {
		r.Problems = append(r.Problems, "a process that left the command's group still holds its output open")
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if after, err := os.Stat(files[name]); err != nil || after.Size() != before[name].Size() || !after.ModTime().Equal(before[name].ModTime()) {
			r.Status = Failed
			r.Problems = append(r.Problems, fmt.Sprintf("the file of input %q changed while the command ran", name))
		}
	}
	if hooks.Processes == 0 {
		if opt := bypass(s.Command); opt != "" {
			r.Unseeded = append(r.Unseeded, "everything: python "+opt+" skips the start-up hook")
		} else {
			r.Unseeded = append(r.Unseeded, "everything: no Python with the start-up hook ran")
		}
	}
	packages := distributions(hooks.Path)
	r.Environment.Variables = variables(env, s.Env)
	if r.Environment.Interpreter = hooks.Interpreter; hooks.Interpreter != "" {
		r.Environment.Packages = map[string]string{}
		for _, d := range packages {
			r.Environment.Packages[d.name] = d.version
		}
		if r.Environment.Lock, _, err = blobs.Put(ctx, bytes.NewReader(lockFile(packages))); err != nil {
			return res, err
		}
	}
	r.Missing = missing(s, r, hooks, packages, incomplete)
	r.Score = score(r.Missing)
	res.run = r
	return res, nil
}

// missing lists what stands between the run and its repetition, in the order of Requirements.
func missing(s Spec, r assay.Run, hooks hookReport, packages []distribution, incomplete bool) []string {
	out := []string{}
	if len(r.Unseeded) > 0 {
		out = append(out, "unseeded_generator")
	}
	if len(r.Spec.Inputs) == 0 {
		out = append(out, "unversioned_input")
	}
	for _, name := range slices.Sorted(maps.Keys(s.Files)) {
		if _, ok := s.Inputs[name]; !ok {
			out = append(out, "unversioned_input: "+name)
		}
	}
	if r.RawData != nil {
		for _, name := range r.RawData.Opened {
			out = append(out, "unversioned_input: "+name+" (opened beside what was handed over)")
		}
	}
	if r.Spec.Code.Commit == "" {
		out = append(out, "no_git")
	}
	for _, name := range unpinned(packages) {
		out = append(out, "unpinned_package: "+name)
	}
	if r.Spec.Code.Commit != "" && r.Spec.Code.Dirty != "" {
		out = append(out, "dirty_tree")
	}
	if incomplete {
		out = append(out, "dirty_tree: some files are too large or too many to keep")
	}
	if r.Environment.Interpreter == "" {
		out = append(out, "no_environment")
	}
	if len(s.Config) == 0 {
		out = append(out, "no_config")
	}
	if hooks.Network {
		out = append(out, "network")
	}
	return out
}

// subject is the digest of what was run.
func subject(spec assay.RunSpec) (assay.Digest, error) {
	b, err := json.Marshal(spec)
	if err == nil {
		b, err = jcs.Transform(b)
	}
	if err != nil {
		return "", assay.Errorf(assay.Internal, "the specification of a run cannot be written: %w", err)
	}
	return assay.DigestOf(b), nil
}

// canonical turns the configuration into RFC 8785 JSON and, for the environment, its scalars by dotted name.
func canonical(config []byte) ([]byte, map[string]any, error) {
	v := map[string]any{}
	if len(bytes.TrimSpace(config)) > 0 {
		if err := yaml.Unmarshal(config, &v); err != nil {
			return nil, nil, assay.Errorf(assay.Invalid, "the configuration of the run is not a YAML mapping: %w", err)
		}
	}
	if v == nil {
		v = map[string]any{}
	}
	b, err := json.Marshal(v)
	if err == nil {
		b, err = jcs.Transform(b)
	}
	if err != nil {
		return nil, nil, assay.Errorf(assay.Invalid, "the configuration of the run has no JSON form: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	v = map[string]any{}
	if err := d.Decode(&v); err != nil {
		return nil, nil, assay.Errorf(assay.Internal, "the configuration of the run cannot be read back: %w", err)
	}
	flat := map[string]any{}
	if err := flatten("", v, flat, 0); err != nil {
		return nil, nil, assay.Errorf(assay.Invalid, "the configuration of the run: %w", err)
	}
	return b, flat, nil
}

// prepare makes the output directory, which must be empty: what lies there afterwards is the run's.
func prepare(out, scratch string) (string, error) {
	if out == "" {
		out = filepath.Join(scratch, "out")
	}
	out, err := filepath.Abs(out)
	if err != nil {
		return "", unavailable("the output directory", err)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return "", unavailable("the output directory", err)
	}
	entries, err := os.ReadDir(out)
	if err != nil {
		return "", unavailable("the output directory", err)
	}
	if len(entries) > 0 {
		return "", assay.Errorf(assay.Exists, "the output directory %q holds %d files of something else", filepath.Base(out), len(entries)).
			Try("name another directory, or none to have one made")
	}
	probe, err := os.CreateTemp(out, ".assay-")
	if err != nil {
		return "", unavailable("the output directory", err)
	}
	probe.Close()
	if err := os.Remove(probe.Name()); err != nil {
		return "", unavailable("the output directory", err)
	}
	return out, nil
}

// environment is what the command runs in: this process's, the specification's, and what Assay hands over, later ones winning.
func environment(s Spec, hook, report, config, out string, files map[string]string, values map[string]any) []string {
	set := map[string]string{}
	for _, kv := range os.Environ() {
		k, v, ok := strings.Cut(kv, "=")
		// What an Assay around this one handed over is not this run's.
		if !ok || k == "" || strings.HasPrefix(k, "ASSAY_HOOK_") || strings.HasPrefix(k, "ASSAY_CONFIG_") {
			continue
		}
		set[k] = v
	}
	for _, name := range []string{"ASSAY_TRAIN", "ASSAY_VALIDATION", "ASSAY_TEST_FEATURES"} {
		delete(set, name)
	}
	maps.Copy(set, s.Env)
	for _, d := range []struct{ name, value string }{
		{"CUBLAS_WORKSPACE_CONFIG", ":4096:8"}, // read when CUDA starts, so it cannot wait for the import of torch
		{"TF_DETERMINISTIC_OPS", "1"},
		{"TF_CUDNN_DETERMINISTIC", "1"},
	} {
		if set[d.name] == "" {
			set[d.name] = d.value
		}
	}
	names := slices.Sorted(maps.Keys(values))
	for _, name := range names[:min(len(names), maxConfigVariables)] {
		var text string
		switch v := values[name].(type) {
		case string:
			text = v
		case json.Number:
			text = v.String()
		case bool:
			text = strconv.FormatBool(v)
		default:
			continue // lists and nulls are in the file
		}
		key := "ASSAY_CONFIG_" + strings.Trim(otherRunes.ReplaceAllString(strings.ToUpper(name), "_"), "_")
		if _, taken := set[key]; !taken && !strings.ContainsRune(text, 0) && len(text) <= maxParamBytes {
			set[key] = text
		}
	}
	for name, file := range files {
		set["ASSAY_"+strings.ToUpper(name)] = file
	}
	set["ASSAY_SEED"] = strconv.FormatUint(s.Seed, 10)
	set["ASSAY_CONFIG"], set["ASSAY_OUT"] = config, out
	set["ASSAY_HOOK_REPORT"] = report
	if s.probe != "" {
		set["ASSAY_HOOK_PROBE"] = s.probe
	}
	set["PYTHONHASHSEED"] = strconv.FormatUint(s.Seed&0xFFFFFFFF, 10)
	if p := set["PYTHONPATH"]; p != "" {
		hook += string(os.PathListSeparator) + p
	}
	set["PYTHONPATH"] = hook
	env := make([]string, 0, len(set))
	for _, k := range slices.Sorted(maps.Keys(set)) {
		env = append(env, k+"="+set[k])
	}
	return env
}

// portable rewrites a command so that it says the same on every machine and gives no secret away.
func portable(command []string, dir, out string, files map[string]string) []string {
	home, _ := os.UserHomeDir()
	words := make([]string, len(command))
	for i, w := range hideSecrets(command) {
		if i == 0 && filepath.IsAbs(w) {
			words[i] = filepath.Base(w)
			continue
		}
		w = strings.ReplaceAll(w, out, "$ASSAY_OUT")
		for _, name := range slices.Sorted(maps.Keys(files)) {
			w = strings.ReplaceAll(w, files[name], "$ASSAY_"+strings.ToUpper(name))
		}
		if dir != "/" {
			w = strings.ReplaceAll(w, dir+"/", "")
		}
		if home != "" && home != "/" {
			w = strings.ReplaceAll(w, home+"/", "~/")
		}
		words[i] = strings.ToValidUTF8(pathless(w), "\uFFFD")
	}
	return words
}

// hideSecrets redacts the words of a command that are secrets by their form, or by the name of the option before them.
func hideSecrets(command []string) []string {
	words := slices.Clone(command)
	hide := false
	for i, w := range words {
		flag, value, assigned := strings.Cut(w, "=")
		name := strings.TrimLeft(flag, "-")
		switch {
		case hide && !strings.HasPrefix(w, "-"):
			words[i] = redacted
		case assigned && secret(name, value):
			words[i] = flag + "=" + redacted
		case header(w) != "":
			words[i] = header(w) + ": " + redacted
		default:
			words[i] = redact("", w)
		}
		hide = !assigned && strings.HasPrefix(flag, "-") && secret(name, "x")
	}
	return words
}

// header returns the name of a word that is a header with a secret, as X-Api-Key: or Authorization:.
func header(word string) string {
	name, value, ok := strings.Cut(word, ":")
	if !ok || strings.ContainsAny(name, "/\\ {\"'") || strings.HasPrefix(value, "//") || !secret(name, strings.TrimSpace(value)) {
		return ""
	}
	return name
}

// circumstances is what the journal keeps of an execution and the payload must not.
func circumstances(s Spec, dir, out string, end ended) map[string]string {
	c := map[string]string{
		"dir":             dir,
		"user_seconds":    strconv.FormatFloat(end.user.Seconds(), 'f', 3, 64),
		"system_seconds":  strconv.FormatFloat(end.sys.Seconds(), 'f', 3, 64),
		"max_rss_bytes":   strconv.FormatInt(end.maxRSS, 10),
		"seed":            strconv.FormatUint(s.Seed, 10),
		"output_retained": strconv.FormatBool(s.Out != ""),
	}
	if s.Out != "" {
		c["out"] = out
	}
	// What Recall needs to run the same again. Secrets are not kept, so a run that was given one asks for it again.
	given := recall{Command: hideSecrets(s.Command), Files: s.Files, Inputs: s.Inputs, Raw: s.Raw, Env: map[string]string{}}
	for name, value := range s.Env {
		given.Env[name] = redact(name, value)
	}
	if b, err := json.Marshal(given); err == nil {
		c["spec"] = string(b)
	}
	if h, err := os.Hostname(); err == nil {
		c["host"] = h
	}
	if u, err := user.Current(); err == nil {
		c["user"] = u.Username
	}
	return c
}
