package run

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/blob"
	"github.com/assay-ml/assay/internal/store"
)

// What can explain that a run came out otherwise the second time.
const (
	CauseThreads     = "threads"            // sums in another order: with one thread the difference is gone
	CauseGenerator   = "unseeded_generator" // with every generator seeded it is gone, or one cannot be held still and nothing else is left
	CauseTime        = "time"               // with a clock that always tells the same it is gone
	CauseNetwork     = "network"            // without the network it is gone, or the run cannot do without and nothing else is left
	CauseInput       = "input"              // command, configuration, seed, source or data are not what they were
	CauseEnvironment = "environment"        // it repeats here, and packages, interpreter or machine are not what they were
	CauseUnknown     = "unknown"
)

// probeRuns is how often a run is repeated while one thing is held still; all must agree for that thing to be the cause.
const probeRuns = 3

// ReproduceOptions say how a reproduction is judged.
type ReproduceOptions struct {
	Tolerance float64 // largest relative difference of a metric that still passes; 0: bit for bit, outputs included
	NoProbes  bool    // do not look for the cause of a difference
}

// Reproduce runs a recorded run again and records whether it came out the same, and if not, why. The specification is the one that
// was run; Recall gives it back. The second run is recorded as a run of its own, and is the same evidence when nothing differs.
//
// The verdict is Pass when outputs, metrics and exit status are the same, or when the metrics are within the tolerance; Fail when they
// are not; Undetermined when what was run is not what was run then. To find a cause the command is run again, up to thirteen times holding
// still one thing after another (entropy, the clock, the number of threads, the network), then up to fifteen times several of them at once.
// These runs are not recorded. Several causes are named together, with a comma between them.
func Reproduce(ctx context.Context, run assay.Record, s Spec, o ReproduceOptions, st store.Store) (assay.Record, error) {
	if run.Kind != assay.KindRun {
		return assay.Record{}, assay.Errorf(assay.Invalid, "%s is %s evidence, not a run", run.ID.Short(), run.Kind)
	}
	first, err := assay.Decode[assay.Run](run.Evidence)
	if err != nil {
		return assay.Record{}, err
	}
	s.Out = ""
	again, err := execute(ctx, s, st.Blobs())
	if err != nil {
		return assay.Record{}, err
	}
	if err := ctx.Err(); err != nil {
		return assay.Record{}, assay.Errorf(assay.Unavailable, "the reproduction was interrupted: %w", err)
	}
	second, err := again.record(ctx, st, s.Parents)
	if err != nil {
		return assay.Record{}, err
	}
	given, around, came := specDifferences(first.Spec, again.run.Spec), environmentDifferences(first.Environment, again.run.Environment), Differences(first, again.run)
	rep := assay.Reproduction{Run: run.ID, Identical: len(given) == 0 && len(came) == 0, Differences: slices.Concat(came, given, around)}
	switch {
	case len(given) > 0:
		rep.Verdict, rep.Cause = assay.Undetermined, CauseInput
	case len(came) == 0:
		rep.Verdict = assay.Pass
	default:
		rep.Verdict = assay.Fail
		if o.Tolerance > 0 && near(first, again.run, o.Tolerance) {
			rep.Verdict = assay.Pass
		}
		if rep.Cause = CauseUnknown; !o.NoProbes {
			if rep.Cause, err = explain(ctx, s, again.run, len(around) > 0); err != nil {
				return assay.Record{}, err
			}
		}
	}
	ev, err := store.Evidence(assay.KindReproduction, run.Subject, []assay.Digest{run.ID, second.ID}, rep)
	if err != nil {
		return assay.Record{}, err
	}
	records, err := st.Append(ctx, nil, ev)
	if err != nil {
		return assay.Record{}, err
	}
	return records[0], nil
}

// recall is the journal's copy of what Execute was given.
type recall struct {
	Command []string                `json:"command"`
	Files   map[string]string       `json:"files,omitempty"`
	Inputs  map[string]assay.Digest `json:"inputs,omitempty"`
	Raw     []string                `json:"raw,omitempty"`
	Env     map[string]string       `json:"env,omitempty"`
}

// Recall gives back the specification of a recorded run from its payload and the journal of this store. It refuses a run that was
// given a secret, which is not kept, and a built-in learner, which is no command.
func Recall(ctx context.Context, run assay.Record, st store.Store) (Spec, error) {
	r, err := assay.Decode[assay.Run](run.Evidence)
	if err != nil {
		return Spec{}, err
	}
	var given recall
	if err := json.Unmarshal([]byte(run.Entry.Context["spec"]), &given); err != nil || len(given.Command) == 0 {
		return Spec{}, assay.Errorf(assay.Unavailable, "the journal does not say how run %s was started", run.ID.Short()).Try("assay run -- COMMAND, twice")
	}
	if b, _ := json.Marshal(given); strings.Contains(string(b), redacted) {
		return Spec{}, assay.Errorf(assay.Refused, "run %s was given a secret, which is not kept", run.ID.Short()).Try("assay run -- COMMAND, twice")
	}
	config, err := blob.ReadAll(ctx, st.Blobs(), r.Spec.Config, maxDocument)
	if err != nil {
		return Spec{}, err
	}
	s := Spec{Command: given.Command, Dir: run.Entry.Context["dir"], Seed: r.Spec.Seed, Files: given.Files, Inputs: given.Inputs, Raw: given.Raw, Env: given.Env, Parents: run.Parents}
	if string(config) != "{}" {
		s.Config = config
	}
	if r.Amends != "" {
		s.Parents = slices.DeleteFunc(slices.Clone(s.Parents), func(d assay.Digest) bool { return d == r.Amends })
	}
	if _, err := os.Stat(s.Dir); err != nil {
		return Spec{}, assay.Errorf(assay.NotFound, "the directory that run %s ran in is gone", run.ID.Short())
	}
	return s, nil
}

// A digester names bytes by their digest and keeps nothing: what a probe leaves is compared and forgotten.
type digester struct{}

func (digester) Put(ctx context.Context, r io.Reader) (assay.Digest, int64, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err == nil {
		err = ctx.Err()
	}
	return assay.DigestSum([sha256.Size]byte(h.Sum(nil))), n, err
}

// explain finds what makes a command come out differently each time. second is one such result.
func explain(ctx context.Context, s Spec, second assay.Run, environment bool) (string, error) {
	blobs := digester{}
	control, err := agree(ctx, s, second, 1, blobs)
	if err != nil {
		return "", err
	}
	if control { // it repeats here and now, so the cause lies between then and now
		if environment {
			return CauseEnvironment, nil
		}
		return CauseUnknown, nil
	}
	broke := map[string]bool{}
	var tried []string
	for _, cause := range []string{CauseGenerator, CauseTime, CauseThreads, CauseNetwork} {
		// Holding still what the run did not use changes nothing, and runs that then agree would agree by chance.
		if cause == CauseNetwork && !slices.Contains(second.Missing, "network") ||
			cause == CauseGenerator && !slices.ContainsFunc(second.Unseeded, func(g string) bool { return slices.Contains(holdable, g) }) {
			continue
		}
		same, ran, err := agreeHolding(ctx, s, []string{cause}, second, blobs)
		if err != nil {
			return "", err
		}
		if same {
			return cause, nil
		}
		if broke[cause] = !ran; ran {
			tried = append(tried, cause)
		}
	}
	if len(tried) > 1 {
		// No single one: all together, and then without each that is not needed.
		same, _, err := agreeHolding(ctx, s, tried, second, blobs)
		if err != nil {
			return "", err
		}
		for i := 0; same && i < len(tried); {
			rest := slices.Delete(slices.Clone(tried), i, i+1)
			without, _, err := agreeHolding(ctx, s, rest, second, blobs)
			if err != nil {
				return "", err
			}
			if without {
				tried = rest
			} else {
				i++
			}
		}
		if same {
			return strings.Join(tried, ", "), nil
		}
	}
	// What could not be held still may be the cause; it is named when it is the only one left.
	generator := broke[CauseGenerator] || slices.ContainsFunc(second.Unseeded, func(g string) bool { return !slices.Contains(holdable, g) })
	switch network := broke[CauseNetwork]; {
	case generator && !network:
		return CauseGenerator, nil
	case network && !generator:
		return CauseNetwork, nil
	}
	return CauseUnknown, nil
}

// agreeHolding runs the specification probeRuns times while the named things are held still, and reports whether all came out the same,
// and whether the program could run so at all: where holding them still broke it, that says nothing.
func agreeHolding(ctx context.Context, s Spec, causes []string, second assay.Run, blobs putter) (same, ran bool, err error) {
	var probes []string
	for _, c := range causes {
		if c != CauseThreads {
			probes = append(probes, c)
			continue
		}
		s.Env = maps.Clone(s.Env)
		if s.Env == nil {
			s.Env = map[string]string{}
		}
		for _, name := range threadVariables {
			s.Env[name] = "1"
		}
	}
	s.probe = strings.Join(probes, ",")
	s.Stdout, s.Stderr = nil, nil
	one, err := execute(ctx, s, blobs)
	if err != nil || one.run.Status != second.Status {
		return false, false, err
	}
	same, err = agree(ctx, s, one.run, probeRuns-1, blobs)
	return same, true, err
}

// holdable are the unseeded generators that a probe derives from the seed: when the difference stays, they are not its cause.
var holdable = []string{"os.urandom", "uuid.uuid4", "secrets", "random.SystemRandom"}

var threadVariables = []string{
	"OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS",
	"RAYON_NUM_THREADS", "POLARS_MAX_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "JULIA_NUM_THREADS", "LOKY_MAX_CPU_COUNT",
}

// agree runs the specification n times and reports whether every result is that of like.
func agree(ctx context.Context, s Spec, like assay.Run, n int, blobs putter) (bool, error) {
	s.Stdout, s.Stderr = nil, nil
	for range n {
		res, err := execute(ctx, s, blobs)
		if err != nil {
			return false, err
		}
		if err := ctx.Err(); err != nil {
			return false, assay.Errorf(assay.Unavailable, "the search for the cause was interrupted: %w", err)
		}
		if len(Differences(like, res.run)) > 0 {
			return false, nil
		}
	}
	return true, nil
}

// maxDifferences bounds each list of differences; the last one counts the rest.
const maxDifferences = 100

type differences []assay.Difference

func (d *differences) add(what, first, second string) {
	if first != second {
		*d = append(*d, assay.Difference{What: what, First: first, Second: second})
	}
}

func (d differences) bounded() []assay.Difference {
	if more := len(d) - maxDifferences; more > 0 {
		return append(d[:maxDifferences:maxDifferences], assay.Difference{What: "further differences", Second: strconv.Itoa(more)})
	}
	return d
}

func specDifferences(a, b assay.RunSpec) []assay.Difference {
	var d differences
	d.add("command", strings.Join(a.Command, " "), strings.Join(b.Command, " "))
	d.add("config", string(a.Config), string(b.Config))
	d.add("seed", strconv.FormatUint(a.Seed, 10), strconv.FormatUint(b.Seed, 10))
	for _, name := range keys(a.Inputs, b.Inputs) {
		d.add("input "+name, string(a.Inputs[name]), string(b.Inputs[name]))
	}
	d.add("commit", a.Code.Commit, b.Code.Commit)
	d.add("uncommitted source", string(a.Code.Dirty), string(b.Code.Dirty))
	return d.bounded()
}

func environmentDifferences(a, b assay.Environment) []assay.Difference {
	var d differences
	d.add("platform", a.Platform, b.Platform)
	d.add("cpu", a.CPU, b.CPU)
	d.add("threads", strconv.Itoa(a.Threads), strconv.Itoa(b.Threads))
	d.add("gpu", strings.Join(a.GPU, ", "), strings.Join(b.GPU, ", "))
	d.add("interpreter", a.Interpreter, b.Interpreter)
	for _, name := range keys(a.Packages, b.Packages) {
		d.add("package "+name, a.Packages[name], b.Packages[name])
	}
	for _, name := range keys(a.Variables, b.Variables) {
		d.add("variable "+name, a.Variables[name], b.Variables[name])
	}
	return d.bounded()
}

// Differences lists what came out otherwise in the second of two runs: status, exit status, metrics, parameters and outputs.
func Differences(a, b assay.Run) []assay.Difference {
	var d differences
	d.add("status", fmt.Sprintf("%s %d", a.Status, a.Exit), fmt.Sprintf("%s %d", b.Status, b.Exit))
	for _, name := range keys(a.Metrics, b.Metrics) {
		x, inA := a.Metrics[name]
		y, inB := b.Metrics[name]
		d.add("metric "+name, number(x, inA), number(y, inB))
	}
	for _, name := range keys(a.Params, b.Params) {
		d.add("param "+name, a.Params[name], b.Params[name])
	}
	digest := func(r assay.Run) map[string]assay.Digest {
		out := map[string]assay.Digest{}
		for _, f := range r.Outputs {
			out[f.Name] = f.Digest
		}
		return out
	}
	x, y := digest(a), digest(b)
	for _, name := range keys(x, y) {
		d.add("output "+name, string(x[name]), string(y[name]))
	}
	return d.bounded()
}

func number(n assay.Number, present bool) string {
	switch {
	case !present:
		return ""
	case math.IsNaN(float64(n)):
		return "undefined"
	}
	return strconv.FormatFloat(float64(n), 'g', -1, 64)
}

// near reports whether both ended alike and every metric differs by at most tol of the larger one.
func near(a, b assay.Run, tol float64) bool {
	if a.Status != b.Status || a.Exit != b.Exit || len(a.Metrics) != len(b.Metrics) || len(a.Metrics) == 0 {
		return false
	}
	for name, n := range a.Metrics {
		m, ok := b.Metrics[name]
		x, y := float64(n), float64(m)
		if !ok || !same(n, m) && !(math.Abs(x-y) <= tol*max(math.Abs(x), math.Abs(y))) {
			return false
		}
	}
	return true
}

func keys[V any](a, b map[string]V) []string {
	out := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(out)
	return slices.Compact(out)
}
