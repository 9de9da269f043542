package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/run"
	"github.com/assay-ml/assay/internal/table"
)

// A stage is one step of assay make: what it depends on, and how it is brought up to date.
type stage struct {
	name  string
	says  string   // what it does, in a few words
	after []string // stages that must have left their evidence
	yes   []string // and stages whose answer must not have been no
	// inputs are named digests; the stage runs when one of them changes.
	inputs func(ctx context.Context, m *maker) (map[string]assay.Digest, error)
	// run does the work and returns the evidence that it leaves; no says what is wrong when the work was done and its answer is no.
	run func(ctx context.Context, s *maker) (out []assay.Digest, no string, err error)
}

// made is what make remembers of a stage.
type made struct {
	Inputs  map[string]assay.Digest `json:"inputs"`
	Outputs []assay.Digest          `json:"outputs"`
	No      string                  `json:"no,omitempty"`      // what was wrong, when the answer was no: the stage runs again
	Modules map[string]assay.Digest `json:"modules,omitempty"` // the project's Python files that train.command imported, as they were
}

// A maker brings stages up to date.
type maker struct {
	*session
	state   map[string]made
	path    string
	modules map[string]assay.Digest // what the stage that runs imported
}

func (s *session) maker() (*maker, error) {
	m := &maker{session: s, state: map[string]made{}, path: filepath.Join(s.p.Path(s.p.Store), "make.json")}
	b, err := os.ReadFile(m.path)
	if err == nil && json.Unmarshal(b, &m.state) != nil {
		m.state = map[string]made{}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, assay.Errorf(assay.Unavailable, "the memory of make cannot be read: %w", err)
	}
	return m, nil
}

func (m *maker) save() error {
	b, err := json.MarshalIndent(m.state, "", "  ")
	if err != nil {
		return assay.Errorf(assay.Internal, "the memory of make cannot be written: %w", err)
	}
	if err := replaceFile(m.path, append(b, '\n')); err != nil {
		return assay.Errorf(assay.Unavailable, "the memory of make cannot be written: %w", err)
	}
	return nil
}

// section is the digest of a part of assay.yaml.
func section(v any) assay.Digest {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: a part of assay.yaml cannot be written as JSON: " + err.Error())
	}
	return assay.DigestOf(b)
}

// dataDigest is the digest of the bytes of the data files, which unchanged files give without being read.
func (m *maker) dataDigest(ctx context.Context) (assay.Digest, error) {
	paths, err := table.Locate(m.p.Path(m.p.Data.URI))
	if err != nil {
		return "", err
	}
	ds, err := m.sums.Digest(ctx, paths)
	if err != nil {
		return "", err
	}
	return section([]any{paths, ds}), nil
}

// absent stands for the digest of a file that is not there.
const absent assay.Digest = "sha256:absent"

func (m *maker) fileDigest(ctx context.Context, path string) (assay.Digest, error) {
	ds, err := m.sums.Digest(ctx, []string{path})
	if assay.CodeOf(err) == assay.NotFound {
		return absent, nil
	}
	if err != nil {
		return "", err
	}
	return ds[0], nil
}

// after is the digest of what another stage left.
func (m *maker) after(name string) assay.Digest { return section(m.state[name].Outputs) }

// stages returns the life of a model in order.
func stages() []stage {
	data := func(ctx context.Context, m *maker, more map[string]assay.Digest) (map[string]assay.Digest, error) {
		d, err := m.dataDigest(ctx)
		more["the data files"], more[schemaTexts] = d, m.schemaTexts()
		more["data in assay.yaml"] = section([]any{m.p.Data.URI, m.p.Data.Nulls, m.p.Data.Delimiter, m.p.Data.Quote, m.p.Data.Encoding, m.p.Data.Header})
		return more, err
	}
	return []stage{
		{
			"snapshot", "version and document the data",
			nil, nil,
			func(ctx context.Context, m *maker) (map[string]assay.Digest, error) {
				return data(ctx, m, map[string]assay.Digest{"data.documentation": section(m.p.Data.Document), "project": section(m.p.Name)})
			},
			func(ctx context.Context, s *maker) ([]assay.Digest, string, error) {
				r, snap, sheet, err := s.snapshotStage(ctx)
				if err != nil {
					return nil, "", err
				}
				s.sayNotes(s.data)
				printSnapshot(s.out(), r, snap, sheet)
				return []assay.Digest{r.ID}, "", nil
			},
		},
		{
			"check", "hold the data against the schema",
			[]string{"snapshot"},
			nil,
			func(ctx context.Context, m *maker) (map[string]assay.Digest, error) {
				sc, err := m.fileDigest(ctx, m.p.Path(m.p.Schema))
				return map[string]assay.Digest{"the snapshot": m.after("snapshot"), "the schema": sc}, err
			},
			func(ctx context.Context, s *maker) ([]assay.Digest, string, error) {
				if _, err := os.Stat(s.p.Path(s.p.Schema)); errors.Is(err, fs.ErrNotExist) {
					if err := s.writeInferred(ctx); err != nil {
						return nil, "", err
					}
					s.state["snapshot"].Inputs[schemaTexts] = s.schemaTexts() // which come from how the data was read
				}
				r, v, err := s.checkStage(ctx, "")
				if err != nil {
					return nil, "", err
				}
				printValidation(s.out(), v)
				if v.Verdict != assay.Pass {
					return []assay.Digest{r.ID}, "the data does not pass its schema", nil
				}
				return []assay.Digest{r.ID}, "", nil
			},
		},
		{
			"profile", "look at the rows that no test seals",
			[]string{"snapshot"},
			nil,
			func(ctx context.Context, m *maker) (map[string]assay.Digest, error) {
				d := m.p.Data
				return map[string]assay.Digest{
					"the snapshot": m.after("snapshot"), "assay": section(Version),
					"data and split in assay.yaml": section([]any{m.p.Split, d.Key, d.Entity, d.Time, d.Target, d.Exclude, d.Sensitive}),
				}, nil
			},
			func(ctx context.Context, s *maker) ([]assay.Digest, string, error) {
				r, report, err := s.profileStage(ctx, false)
				if err != nil {
					return nil, "", err
				}
				return []assay.Digest{r.ID}, "", s.printAlerts(r, report)
			},
		},
		{
			"split", "divide the rows and seal the test labels",
			nil,
			[]string{"check"},
			func(ctx context.Context, m *maker) (map[string]assay.Digest, error) {
				d := m.p.Data
				return map[string]assay.Digest{"the snapshot": m.after("snapshot"), "split in assay.yaml": section([]any{m.p.Split, d.Key, d.Entity, d.Time, d.Target, d.Exclude})}, nil
			},
			func(ctx context.Context, s *maker) ([]assay.Digest, string, error) {
				r, split, err := s.splitStage(ctx, "")
				if err != nil {
					return nil, "", err
				}
				printSplit(s.out(), s.session, r, split)
				if leakageVerdict(split) == assay.Fail {
					return []assay.Digest{r.ID}, "a leakage check failed", nil
				}
				return []assay.Digest{r.ID}, "", nil
			},
		},
		{
			"train", "train the model",
			nil,
			[]string{"split"},
			func(ctx context.Context, m *maker) (map[string]assay.Digest, error) {
				in := map[string]assay.Digest{"the split": m.after("split"), "train in assay.yaml": section([]any{m.p.Train, m.p.Data.Category, m.p.unlearned()}), "assay": section(Version)}
				var err error
				if len(m.p.Train.Command) > 0 {
					in["a file that train.command names"], err = m.commandFiles(ctx)
				}
				return in, err
			},
			func(ctx context.Context, s *maker) ([]assay.Digest, string, error) {
				if command := s.p.Train.Command; len(command) > 0 {
					return s.makeRun(ctx, command)
				}
				r, m, err := s.trainProject(ctx)
				if err != nil {
					return nil, "", err
				}
				return []assay.Digest{r.ID}, "", s.printTrained(ctx, r, m)
			},
		},
		{
			"eval", "evaluate on the validation part",
			nil,
			[]string{"train"},
			func(ctx context.Context, m *maker) (map[string]assay.Digest, error) {
				engine, err := m.trainedEngine(ctx)
				return map[string]assay.Digest{
					"the model": m.after("train"), "evaluate in assay.yaml": section([]any{m.p.Evaluate, m.p.Data.Sensitive}), "what evaluates the model": section(engine), "assay": section(Version),
				}, err
			},
			func(ctx context.Context, s *maker) ([]assay.Digest, string, error) { return s.makeEval(ctx, false) },
		},
		{
			"final", "evaluate on the sealed test part, once",
			nil,
			[]string{"train", "eval"},
			func(ctx context.Context, m *maker) (map[string]assay.Digest, error) {
				return map[string]assay.Digest{"the model": m.after("train"), "evaluate in assay.yaml": section([]any{m.p.Evaluate, m.p.Data.Sensitive}), "assay": section(Version)}, nil
			},
			func(ctx context.Context, s *maker) ([]assay.Digest, string, error) { return s.makeEval(ctx, true) },
		},
		{
			"register", "give the model a version",
			nil,
			[]string{"train"},
			func(_ context.Context, m *maker) (map[string]assay.Digest, error) {
				return map[string]assay.Digest{"the model": m.after("train"), "project": section(m.p.Name)}, nil
			},
			func(ctx context.Context, s *maker) ([]assay.Digest, string, error) {
				v, _, err := s.registerStage(ctx, s.trained(), "")
				if err != nil {
					return nil, "", err
				}
				fmt.Fprintf(s.out(), "%s is model %s\n", versionName(v), v.Model.Short())
				return []assay.Digest{v.Evidence}, "", nil
			},
		},
		{
			"compare", "hold it against what is in production",
			[]string{"final"},
			nil,
			func(ctx context.Context, m *maker) (map[string]assay.Digest, error) {
				return map[string]assay.Digest{"the final evaluation": m.after("final"), "gate.margin": section(m.p.Gate.Margin), "what is in production": m.holders(ctx)}, nil
			},
			func(ctx context.Context, s *maker) ([]assay.Digest, string, error) {
				r, c, err := s.compareStage(ctx, s.trained(), "", false, "")
				if err != nil {
					return nil, "", err
				}
				printComparison(s.out(), r, c)
				if c.Verdict != assay.Pass {
					return []assay.Digest{r.ID}, fmt.Sprintf("%s is not shown to be as good as that of %s", c.Primary, c.Name), nil
				}
				return []assay.Digest{r.ID}, "", nil
			},
		},
		{
			"card", "write the model card",
			[]string{"register", "compare"},
			nil,
			func(_ context.Context, m *maker) (map[string]assay.Digest, error) {
				return map[string]assay.Digest{"the comparison": m.after("compare"), "the version": m.after("register"), "the check": m.after("check"), "card in assay.yaml": section(m.p.Card)}, nil
			},
			func(ctx context.Context, s *maker) ([]assay.Digest, string, error) {
				v, _, err := s.registerStage(ctx, s.trained(), "")
				if err != nil {
					return nil, "", err
				}
				r, card, doc, err := s.cardStage(ctx, v)
				if err != nil {
					return nil, "", err
				}
				path, err := s.writeCard(v, doc, "")
				if err != nil {
					return nil, "", err
				}
				fmt.Fprintf(s.out(), "card of %s in %s\n", versionName(v), s.shown(path))
				if !card.Complete {
					return []assay.Digest{r.ID}, "the card lacks " + strings.Join(card.Missing, ", "), nil
				}
				return []assay.Digest{r.ID}, "", nil
			},
		},
	}
}

// makeRun trains with the command of assay.yaml.
func (s *maker) makeRun(ctx context.Context, command []string) ([]assay.Digest, string, error) {
	r, model, err := s.runStage(ctx, command, func(modules map[string]assay.Digest) { s.modules = modules })
	if err != nil {
		return nil, "", err
	}
	p, err := assay.Decode[assay.Run](r.Evidence)
	if err != nil {
		return nil, "", err
	}
	printRun(s.out(), r, p, model)
	switch {
	case p.Status != run.Finished:
		return []assay.Digest{r.ID}, fmt.Sprintf("the command %s with exit status %d", p.Status, p.Exit), nil
	case model == nil:
		return []assay.Digest{r.ID}, "the command left no model", nil
	}
	return []assay.Digest{model.ID}, "", nil
}

// commandFiles is the digest of the files in the project that train.command names, such as its script. What Python imports besides is in
// made.Modules; what else a command reads is not known: assay run trains again whatever changed.
func (m *maker) commandFiles(ctx context.Context) (assay.Digest, error) {
	var out []assay.Digest
	for _, arg := range m.p.Train.Command {
		path := m.p.Path(arg)
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			continue
		}
		d, err := m.fileDigest(ctx, path)
		if err != nil {
			return "", err
		}
		out = append(out, d)
	}
	return section(out), nil
}

// holders is the digest of what holds the stages now.
func (m *maker) holders(ctx context.Context) assay.Digest {
	var out []assay.Digest
	for _, st := range []assay.Stage{assay.StageProduction, assay.StageStaging} {
		if v, err := m.st.Holder(ctx, m.p.Name, st); err == nil {
			out = append(out, v.Model)
		}
	}
	return section(out)
}

func (s *maker) makeEval(ctx context.Context, final bool) ([]assay.Digest, string, error) {
	r, e, err := s.evalStage(ctx, s.trained(), final, "")
	if err != nil {
		return nil, "", err
	}
	path, err := s.evaluationReport(ctx, r, e, "")
	if err != nil {
		return nil, "", err
	}
	printEvaluation(s.out(), r, e)
	fmt.Fprintf(s.out(), "report %s\n", s.shown(path))
	if primaryFails(e) {
		return []assay.Digest{r.ID}, fmt.Sprintf("%s is worse than that of the baseline %s", e.Primary, e.Baseline), nil
	}
	return []assay.Digest{r.ID}, "", nil
}

// trained names the model that the train stage left.
func (m *maker) trained() string {
	if out := m.state["train"].Outputs; len(out) > 0 {
		return string(out[0])
	}
	return ""
}

// trainedEngine is what evaluates the model that the train stage left, as evidence names it; "" for Assay itself, and without a model.
func (m *maker) trainedEngine(ctx context.Context) (string, error) {
	name := m.trained()
	if name == "" {
		return "", nil
	}
	r, err := m.st.Get(ctx, assay.Digest(name))
	if err != nil || r.Kind != assay.KindModel {
		return "", nil // the stage itself says what is wrong
	}
	model, err := assay.Decode[assay.Model](r.Evidence)
	if err != nil {
		return "", err
	}
	return m.besidesOwn(model)
}

// defaultStage is how far assay make goes by itself: everything that spends nothing.
const defaultStage = "eval"

func (a *app) makeCommand() *cobra.Command {
	var names []string
	for _, st := range stages() {
		names = append(names, st.name)
	}
	return &cobra.Command{
		Use: "make [STAGE]", Short: "Bring every stage up to date, and say why each runs or is skipped",
		Long: "Bring every stage up to STAGE up to date; eval when none is given. A stage runs when one of its inputs changed or\nsomething that it left is gone, and a card also when it is stale. Of train.command, the files that it names and the Python modules of\nthe project that it imported are inputs; what else it reads is not known.\n\nStages: " + strings.Join(names, ", ") +
			".\n\nA stage whose answer is no holds up only what depends on it; the exit status is 3 then.\nThe stages from final on use the sealed test labels; they run only when asked for.",
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: names,
		RunE: a.with("make", func(ctx context.Context, s *session, args []string) error {
			to := first(args)
			if to == "" {
				to = defaultStage
			}
			if !slices.Contains(names, to) {
				return assay.Errorf(assay.Invalid, "no stage %q%s", to, didYouMean(to, names)).Try("assay make --help")
			}
			m, err := s.maker()
			if err != nil {
				return err
			}
			return m.make(ctx, to)
		}),
	}
}

// A stageAnswer is what make did about one stage.
type stageAnswer struct {
	Stage    string         `json:"stage"`
	Why      string         `json:"why"`                 // it ran; empty when it was up to date or waits
	Evidence []assay.Digest `json:"evidence"`            // that it left, now or before
	No       string         `json:"no,omitempty"`        // what is wrong, when its answer is no
	Try      string         `json:"try,omitempty"`       // what to do about it
	WaitsFor string         `json:"waits_for,omitempty"` // the stage that keeps it from running
}

// make brings the stages up to date in order, and prints what it did: as it goes, or with --json at the end. A stage whose answer is no
// holds up only what depends on it.
func (m *maker) make(ctx context.Context, to string) error {
	out := m.Stdout
	if m.json {
		m.Stdout = io.Discard
		defer func() { m.Stdout = out }()
	}
	var done []stageAnswer
	by := map[string]stageAnswer{}
	var noes, tries []string
	tell := func(w io.Writer) {
		for i, no := range noes {
			fmt.Fprintf(w, "%s %s\nTry: %s\n", assay.Fail.Glyph(), no, tries[i])
		}
	}
	for _, st := range stages() {
		answer, err := m.bring(ctx, st, by)
		if err != nil {
			tell(m.Stdout)
			return err
		}
		if answer.No != "" {
			noes, tries = append(noes, st.name+": "+answer.No), append(tries, answer.Try)
		}
		done, by[st.name] = append(done, answer), answer
		if st.name == to {
			break
		}
	}
	m.Stdout = out
	if err := m.print("assay.make/1", map[string]any{"stages": done, "stopped": strings.Join(noes, "; ")}, tell); err != nil {
		return err
	}
	if len(noes) > 0 {
		return errAnswerNo
	}
	return nil
}

// afterNo is what to do when the answer of a stage is no.
func afterNo(name string) string {
	switch name {
	case "check":
		return "assay check --quarantine failed.csv, for the rows and their reasons; mend the data, or schema.json where it asks too much, then assay make"
	case "split":
		return "mend the data, or data.key, data.entity, data.exclude and split in assay.yaml, then assay make"
	case "train":
		return "mend the command; assay run shows what it printed, and runs it again"
	case "eval":
		return "assay search, or change train in assay.yaml, then assay make"
	case "final":
		return "change train in assay.yaml, then assay make; each further read of the sealed labels costs level"
	case "card":
		return "fill card and data.documentation in " + ProjectFile + ", then assay make card"
	case "compare":
		return "keep what is in production (assay model list), or change train in assay.yaml, then assay make"
	}
	return "assay make " + name + " --help"
}

// bring brings one stage up to date, or says which of those before it keeps it waiting.
func (m *maker) bring(ctx context.Context, st stage, before map[string]stageAnswer) (stageAnswer, error) {
	answer := stageAnswer{Stage: st.name, Evidence: []assay.Digest{}}
	if err := ctx.Err(); err != nil {
		return answer, err
	}
	for _, name := range append(slices.Clone(st.after), st.yes...) {
		if b := before[name]; b.WaitsFor != "" || b.No != "" && slices.Contains(st.yes, name) {
			answer.WaitsFor = name
			fmt.Fprintf(m.out(), "%-9s waits for %s\n", st.name, name)
			return answer, nil
		}
	}
	in, err := st.inputs(ctx, m)
	if err != nil {
		return answer, err
	}
	if answer.Why = m.why(ctx, st.name, in); answer.Why == "" {
		fmt.Fprintf(m.out(), "%-9s up to date\n", st.name)
		answer.Evidence = append(answer.Evidence, m.state[st.name].Outputs...)
		return answer, nil
	}
	fmt.Fprintf(m.out(), "%-9s %s (%s)\n", st.name, st.says, answer.Why)
	m.modules = nil
	out, no, err := st.run(ctx, m)
	if err != nil {
		return answer, err
	}
	answer.Evidence, answer.No = append(answer.Evidence, out...), no
	if no != "" {
		answer.Try = afterNo(st.name)
	}
	for name, d := range in {
		if d == absent { // the stage made it
			now, err := st.inputs(ctx, m)
			if err != nil {
				return answer, err
			}
			in[name] = now[name]
		}
	}
	m.state[st.name] = made{in, out, no, m.modules}
	return answer, m.save()
}

func (a *app) doneCommand() *cobra.Command {
	var to string
	c := &cobra.Command{
		Use: "done [VERSION]", Short: "Print the Definition of Done, with the missing command for each item",
		Args: cobra.MaximumNArgs(1),
		RunE: a.with("done", func(ctx context.Context, s *session, args []string) error {
			stage, err := stageFlag("to", to)
			if err != nil {
				return err
			}
			v, err := s.version(ctx, first(args))
			unregistered := len(args) == 0 && assay.CodeOf(err) == assay.NotFound
			if err != nil && !unregistered {
				return err
			}
			name := s.p.Name + ", of which no version is registered,"
			var j assay.Judgement
			if unregistered {
				j, err = s.judgeUnregistered(ctx, stage)
				j.Verdict = assay.Verdicts(j.Verdict, assay.Undetermined)
			} else {
				name = versionName(v)
				_, j, _, err = s.judge(ctx, v, stage)
			}
			if err != nil {
				return err
			}
			if err := s.print("assay.done/1", j, func(w io.Writer) {
				printJudgement(w, name, j, true)
				done, spared := 0, 0
				for _, r := range j.Rules {
					switch {
					case r.Verdict == assay.Pass || r.Waived != "":
						done++
					case !r.Required:
						spared++
					}
				}
				fmt.Fprintf(w, "%d of %d items are done", done, len(j.Rules))
				if spared > 0 {
					fmt.Fprintf(w, ", and %d more are not required for %s", spared, stage)
				}
				fmt.Fprintln(w)
				if unregistered {
					fmt.Fprintln(w, "Try: assay make card, which trains what is missing and registers a version")
				}
			}); err != nil {
				return err
			}
			return answer(j.Verdict)
		}),
	}
	c.Flags().StringVar(&to, "to", "production", "staging or production")
	return c
}
