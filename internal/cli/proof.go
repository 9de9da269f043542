package cli

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/blob"
	"github.com/assay-ml/assay/internal/dataset"
	"github.com/assay-ml/assay/internal/gate"
	"github.com/assay-ml/assay/internal/registry"
	"github.com/assay-ml/assay/internal/run"
	"github.com/assay-ml/assay/internal/store"
)

// version finds a registered version by NAME (the newest), NAME:NUMBER or NAME@STAGE-OR-ALIAS. A number alone is a version of the
// project's model.
func (s *session) version(ctx context.Context, ref string) (store.Version, error) {
	if n, err := strconv.Atoi(ref); err == nil {
		return s.st.Version(ctx, s.p.Name, n)
	}
	if name, at, ok := strings.Cut(ref, "@"); ok {
		switch stage := assay.Stage(at); stage {
		case assay.StageStaging, assay.StageProduction:
			return s.st.Holder(ctx, name, stage)
		}
		return s.st.Alias(ctx, name, at)
	}
	if name, number, ok := strings.Cut(ref, ":"); ok && name != "sha256" {
		n, err := strconv.Atoi(number)
		if err != nil {
			return store.Version{}, assay.Errorf(assay.Invalid, "%q is no version number", number).Try("assay model list")
		}
		v, err := s.st.Version(ctx, name, n)
		return v, s.misnamed(ctx, name, err)
	}
	if ref == "" {
		ref = s.p.Name
	}
	all, err := s.st.Versions(ctx, ref)
	if err != nil {
		return store.Version{}, s.misnamed(ctx, ref, err)
	}
	if len(all) == 0 {
		return store.Version{}, assay.Errorf(assay.NotFound, "model %s has no version", ref).Try("assay register")
	}
	return all[0], nil
}

// dossier gathers the evidence that counts for a version: about this model and this data, the newest of each kind.
func (s *session) dossier(ctx context.Context, v store.Version) (*registry.Dossier, error) {
	rec, err := s.st.Get(ctx, v.Evidence)
	if err != nil {
		return nil, err
	}
	m, err := assay.Decode[assay.Model](rec.Evidence)
	if err != nil {
		return nil, err
	}
	c := s.p.Card
	d := &registry.Dossier{Name: v.Name, Version: v.Number, Digest: rec.Subject, Model: registry.Fact[assay.Model]{ID: rec.ID, Value: m}, Say: registry.Statements{
		Description: c.Description, Licence: c.Licence, Owners: c.Owners, Contact: c.Contact, IntendedUse: c.IntendedUse, OutOfScope: c.OutOfScope,
		Limitations: c.Limitations, OutOfDist: c.OutOfDist, Ethics: c.Ethics, Users: c.Users, Tradeoffs: c.Tradeoffs,
	}}
	return d, s.gather(ctx, d)
}

// gather fills in the facts of a dossier. Of several evidences about the same thing the one counts that fits the present state (this
// schema, this documentation, this incumbent), and the newest where none or several do: evidence that was found a second time keeps
// its old place in the journal, so that the newest alone would be the wrong one after a change was taken back.
func (s *session) gather(ctx context.Context, d *registry.Dossier) error {
	data, model, split := d.Model.Value.Data, d.Digest, d.Model.Value.Split
	var err error
	if d.Split, err = at[assay.Split](ctx, s, split); err != nil {
		return err
	}
	if d.Run, err = at[assay.Run](ctx, s, d.Model.Value.Run); err != nil {
		return err
	}
	if d.Snapshot, err = pick[assay.Snapshot](ctx, s, assay.KindSnapshot, data, nil, nil); err != nil {
		return err
	}
	sheet := dataset.Datasheet(s.p.Data.Document)
	if d.Datasheet, err = pick(ctx, s, assay.KindDatasheet, data, nil, func(x assay.Datasheet) bool { return reflect.DeepEqual(x, sheet) }); err != nil {
		return err
	}
	schema := s.schemaDigest()
	if d.Validation, err = pick(ctx, s, assay.KindValidation, data, func(x assay.Validation) bool { return x.Boundary == "data" },
		func(x assay.Validation) bool { return x.Schema == schema }); err != nil {
		return err
	}
	configuration := s.configuration(s.evalOptions())
	if d.Evaluation, err = pick(ctx, s, assay.KindEvaluation, model, func(x assay.Evaluation) bool { return x.Final && x.Split == split },
		func(x assay.Evaluation) bool { return x.Configuration == configuration }); err != nil {
		return err
	}
	if d.Disclosure, err = pick(ctx, s, assay.KindDisclosure, model, nil, func(x assay.Disclosure) bool {
		return d.Evaluation != nil && x.Read == d.Evaluation.Value.Read && x.Rows == d.Evaluation.Value.Rows && x.Configuration == d.Evaluation.Value.Configuration
	}); err != nil {
		return err
	}
	incumbent, err := s.incumbent(ctx, d.Name, model)
	if err != nil {
		return err
	}
	if d.Comparison, err = pick(ctx, s, assay.KindComparison, model, func(x assay.Comparison) bool { return x.Split == split },
		func(x assay.Comparison) bool {
			return x.Reference == incumbent && x.Margin == s.p.Gate.Margin && d.Evaluation != nil && x.Rows == d.Evaluation.Value.Rows && x.Configuration == configuration
		}); err != nil {
		return err
	}
	if d.Serving, err = pick(ctx, s, assay.KindServing, model, func(x assay.Serving) bool { return x.Data == data }, nil); err != nil {
		return err
	}
	if d.Monitor, err = pick(ctx, s, assay.KindMonitor, model, func(x assay.Monitor) bool { return x.Data == data }, nil); err != nil {
		return err
	}
	if d.Monitor != nil {
		if d.TestFire, err = pick(ctx, s, assay.KindTestFire, model, func(x assay.TestFire) bool { return x.Monitor == d.Monitor.ID }, nil); err != nil {
			return err
		}
	}
	if d.Incident, err = s.staleIncident(ctx, model); err != nil {
		return err
	}
	waivers, err := s.st.Find(ctx, store.Query{Kind: assay.KindWaiver, Subject: model})
	if err != nil {
		return err
	}
	for i := range waivers {
		w, err := registry.Of[assay.Waiver](&waivers[i])
		if err != nil {
			return err
		}
		if w.Value.Name == d.Name && w.Value.Version == d.Version {
			d.Waivers = append(d.Waivers, *w)
		}
	}
	return nil
}

// at reads the evidence of an id.
func at[T any](ctx context.Context, s *session, id assay.Digest) (*registry.Fact[T], error) {
	r, err := s.st.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	return registry.Of[T](&r)
}

// pick returns, of the evidence of a kind about a subject that fits, the newest that is preferred, else the newest; nil for none. A nil
// function takes all.
func pick[T any](ctx context.Context, s *session, kind assay.Kind, subject assay.Digest, fits, prefer func(T) bool) (*registry.Fact[T], error) {
	all, err := s.st.Find(ctx, store.Query{Kind: kind, Subject: subject})
	if err != nil {
		return nil, err
	}
	var newest *registry.Fact[T]
	for i := range all {
		f, err := registry.Of[T](&all[i])
		if err != nil {
			return nil, err
		}
		if fits != nil && !fits(f.Value) {
			continue
		}
		if newest == nil {
			newest = f
		}
		if prefer == nil || prefer(f.Value) {
			return f, nil
		}
	}
	return newest, nil
}

// schemaDigest is that of the project's schema file as it is now; empty when there is none to read.
func (s *session) schemaDigest() assay.Digest {
	sc, err := s.readSchema("")
	if err != nil {
		return ""
	}
	d, err := sc.Digest()
	if err != nil {
		return ""
	}
	return d
}

// incumbent is the model that a candidate would take the place of: the one in production, else the one in staging, of the versions
// that are not the candidate itself; empty when there is none, and the candidate is held against its baseline.
func (s *session) incumbent(ctx context.Context, name string, candidate assay.Digest) (assay.Digest, error) {
	for _, stage := range []assay.Stage{assay.StageProduction, assay.StageStaging} {
		h, err := s.st.Holder(ctx, name, stage)
		switch {
		case assay.CodeOf(err) == assay.NotFound:
		case err != nil:
			return "", err
		case h.Model != candidate:
			return h.Model, nil
		}
	}
	return "", nil
}

// facts are what the gate sees of a version: the dossier, and what follows from the store and the project as a whole.
func (s *session) facts(ctx context.Context, d *registry.Dossier, stage assay.Stage, p gate.Policy) (*gate.Facts, error) {
	f := gate.NewFacts(d.Digest, d.Model.Value.Data)
	extra := map[string]map[string]any{}
	if x := d.Validation; x != nil {
		extra["validation"] = map[string]any{"schema_current": x.Value.Schema != "" && x.Value.Schema == s.schemaDigest()}
	}
	if x := d.Run; x != nil {
		code := x.Value.Spec.Code
		builtIn := len(x.Value.Spec.Command) > 1 && x.Value.Spec.Command[0] == "assay" && d.Model.Value.Learner != commandLearner // and no program that is called so
		captured := builtIn || code.Commit != "" || code.Dirty != ""
		untouched := assay.Undetermined // nobody watched
		switch raw := x.Value.RawData; {
		case builtIn: // a built-in learner reads the parts alone
			untouched = assay.Pass
		case raw == nil:
		case len(raw.Opened) > 0:
			untouched = assay.Fail
		case raw.Watched == run.WatchedBySystem:
			untouched = assay.Pass
		}
		reproduced, err := s.reproduced(ctx, x.ID)
		if err != nil {
			return nil, err
		}
		extra["run"] = map[string]any{"code_captured": captured, "saw_sealed_rows": x.Value.SealedRows > 0, "reproduced": reproduced, "raw_data_untouched": string(untouched)}
	}
	if x := d.Comparison; x != nil {
		incumbent, err := s.incumbent(ctx, d.Name, d.Digest)
		if err != nil {
			return nil, err
		}
		extra["comparison"] = map[string]any{"current": x.Value.Reference == incumbent, "margin_current": x.Value.Margin == s.p.Gate.Margin}
	}
	if x, e := d.Serving, d.Evaluation; x != nil && e != nil && e.Value.Threshold > 0 && e.Value.Task == assay.Binary {
		if served := (decision{threshold: float64(x.Value.Threshold)}).counts(); served != float64(e.Value.Threshold) {
			extra["serving"] = map[string]any{"problems": append(x.Value.Problems, fmt.Sprintf("it answers by a threshold of %v, and was evaluated by one of %v", served, float64(e.Value.Threshold)))}
		}
	}
	configuration, other := s.configuration(s.evalOptions()), map[string]bool{}
	if x := d.Evaluation; x != nil && x.Value.Configuration != configuration {
		other["evaluation"] = true
	}
	if x := d.Comparison; x != nil && x.Value.Configuration != configuration {
		other["comparison"] = true
	}
	ids := d.Facts()
	card, err := s.card(ctx, d)
	if err != nil {
		return nil, err
	}
	if card != nil {
		ids = append(ids, registry.Named{Name: "card", ID: card.ID})
		extra["card"] = map[string]any{"stale": len(registry.Stale(card.Value, d)) > 0}
	}
	if d.Monitor != nil {
		watched, err := s.watched(ctx, d.Digest, d.Monitor.ID)
		if err != nil {
			return nil, err
		}
		ids = append(ids, watched...)
	}
	for _, x := range ids {
		if other[x.Name] {
			f.Lack(x.Name, "those there are were made with other settings than assay.yaml has now")
			continue
		}
		r, err := s.st.Get(ctx, x.ID)
		if err != nil {
			return nil, err
		}
		if err := f.Set(x.Name, r, extra[x.Name]); err != nil {
			return nil, err
		}
	}
	for _, w := range d.Waivers {
		if _, have := f.Waivers[w.Value.Rule]; have || w.Value.Stage != stage || w.Value.Policy != p.Digest() {
			continue
		}
		r, err := s.st.Get(ctx, w.ID)
		if err != nil {
			return nil, err
		}
		f.Waivers[w.Value.Rule] = r
	}
	return f, nil
}

// watched is what is known of the newest window of a plan, and of the newest one with an outcome.
func (s *session) watched(ctx context.Context, model, plan assay.Digest) ([]registry.Named, error) {
	var out []registry.Named
	for _, k := range []assay.Kind{assay.KindDrift, assay.KindOutcome} {
		rs, err := s.st.Find(ctx, store.Query{Kind: k, Subject: model, Parent: plan, Windows: true, Limit: 1})
		if err != nil {
			return nil, err
		}
		for _, r := range rs {
			out = append(out, registry.Named{Name: string(k), ID: r.ID})
		}
	}
	return out, nil
}

// card is the card of a version that counts: one that is not stale, else the newest; nil for none.
func (s *session) card(ctx context.Context, d *registry.Dossier) (*registry.Fact[assay.Card], error) {
	return pick(ctx, s, assay.KindCard, d.Digest, func(c assay.Card) bool { return c.Name == d.Name && c.Version == d.Version },
		func(c assay.Card) bool { return len(registry.Stale(c, d)) == 0 })
}

// policy is the policy of the project.
func (s *session) policy() (gate.Policy, error) {
	if s.p.Gate.Policy == "" || s.p.Gate.Policy == "default" {
		return gate.Default(), nil
	}
	src, err := os.ReadFile(s.p.Path(s.p.Gate.Policy))
	if err != nil {
		return gate.Policy{}, assay.Errorf(assay.NotFound, "gate.policy: no policy file %s", s.p.Gate.Policy).Try("assay gate show > %s", s.p.Gate.Policy)
	}
	return gate.Parse(src)
}

// judge applies the project's policy to a version and writes the verdict. seen is the journal's head before the evidence was read.
func (s *session) judge(ctx context.Context, v store.Version, stage assay.Stage) (r assay.Record, j assay.Judgement, seen int64, err error) {
	if seen, err = s.st.Head(ctx); err != nil {
		return r, j, seen, err
	}
	p, err := s.policy()
	if err != nil {
		return r, j, seen, err
	}
	d, err := s.dossier(ctx, v)
	if err != nil {
		return r, j, seen, err
	}
	f, err := s.facts(ctx, d, stage, p)
	if err != nil {
		return r, j, seen, err
	}
	if j, err = gate.Judge(p, stage, f); err != nil {
		return r, j, seen, err
	}
	var parents []assay.Digest
	for _, rule := range j.Rules {
		parents = append(parents, rule.Evidence...)
		if rule.Waived != "" {
			parents = append(parents, rule.Waived)
		}
	}
	slices.Sort(parents)
	r, err = s.write(ctx, assay.KindVerdict, v.Model, slices.Compact(parents), j)
	return r, j, seen, err
}

// judgeUnregistered applies the project's policy where nothing is registered yet: to the newest model, or to the data alone. No verdict is
// written, because there is no version that it could be about.
func (s *session) judgeUnregistered(ctx context.Context, stage assay.Stage) (assay.Judgement, error) {
	p, err := s.policy()
	if err != nil {
		return assay.Judgement{}, err
	}
	models, err := s.st.Find(ctx, store.Query{Kind: assay.KindModel, Limit: 1})
	if err != nil {
		return assay.Judgement{}, err
	}
	err = assay.Errorf(assay.NotFound, "no model")
	var rec assay.Record
	if len(models) > 0 {
		rec, _, err = s.model(ctx, "")
	}
	if err == nil {
		d, err := s.dossier(ctx, store.Version{Name: s.p.Name, Model: rec.Subject, Evidence: rec.ID})
		if err != nil {
			return assay.Judgement{}, err
		}
		f, err := s.facts(ctx, d, stage, p)
		if err != nil {
			return assay.Judgement{}, err
		}
		return gate.Judge(p, stage, f)
	}
	if assay.CodeOf(err) != assay.NotFound {
		return assay.Judgement{}, err
	}
	f, err := s.dataFacts(ctx)
	if err != nil {
		return assay.Judgement{}, err
	}
	return gate.Judge(p, stage, f)
}

// dataFacts are what the gate sees of a project without a model: its newest snapshot, and what was found about that.
func (s *session) dataFacts(ctx context.Context) (*gate.Facts, error) {
	rs, snaps, err := s.snapshots(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(snaps, func(x assay.Snapshot) bool { return x.Name == s.p.Name })
	if i < 0 {
		return gate.NewFacts("", ""), nil
	}
	f := gate.NewFacts("", snaps[i].Content)
	if err := f.Set("snapshot", rs[i], nil); err != nil {
		return nil, err
	}
	sheet, schema := dataset.Datasheet(s.p.Data.Document), s.schemaDigest()
	documented, err := pick(ctx, s, assay.KindDatasheet, f.Data, nil, func(x assay.Datasheet) bool { return reflect.DeepEqual(x, sheet) })
	if err != nil {
		return nil, err
	}
	valid, err := pick(ctx, s, assay.KindValidation, f.Data, func(x assay.Validation) bool { return x.Boundary == "data" },
		func(x assay.Validation) bool { return x.Schema == schema })
	if err != nil {
		return nil, err
	}
	if documented != nil {
		r, err := s.st.Get(ctx, documented.ID)
		if err != nil {
			return nil, err
		}
		if err := f.Set("datasheet", r, nil); err != nil {
			return nil, err
		}
	}
	if valid != nil {
		r, err := s.st.Get(ctx, valid.ID)
		if err != nil {
			return nil, err
		}
		if err := f.Set("validation", r, map[string]any{"schema_current": valid.Value.Schema != "" && valid.Value.Schema == schema}); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// registerStage gives a model a version of the project's name.
func (s *session) registerStage(ctx context.Context, ref, name string) (store.Version, bool, error) {
	rec, m, err := s.candidate(ctx, ref)
	if err != nil {
		return store.Version{}, false, err
	}
	if onlyPredictions(m) && s.offered != nil {
		if err := s.answersPart(ctx, m); err != nil {
			return store.Version{}, false, err
		}
	}
	if err := s.keep(ctx); err != nil {
		return store.Version{}, false, err
	}
	if err := s.spelledOut(ctx, m); err != nil {
		return store.Version{}, false, err
	}
	if name == "" {
		name = s.p.Name
	}
	return s.st.Register(ctx, store.Registration{Name: name, Evidence: rec.ID, Context: s.circumstances()})
}

// answersPart refuses a file that holds predictions neither of the validation rows nor of the test rows: a version is for good.
func (s *session) answersPart(ctx context.Context, m assay.Model) error {
	rec, split, err := s.splitOf(ctx, m)
	if err != nil {
		return err
	}
	_, err = s.score(ctx, rec, split, assay.Valid, m)
	if err != nil {
		if _, sealed := s.score(ctx, rec, split, split.Sealed, m); sealed == nil {
			return nil
		}
	}
	return err
}

// cardStage writes the model card of a version.
func (s *session) cardStage(ctx context.Context, v store.Version) (assay.Record, assay.Card, []byte, error) {
	d, err := s.dossier(ctx, v)
	if err != nil {
		return assay.Record{}, assay.Card{}, nil, err
	}
	doc, card, err := registry.WriteCard(d)
	if err != nil {
		return assay.Record{}, card, nil, err
	}
	if _, err := blob.PutBytes(ctx, s.st.Blobs(), doc); err != nil {
		return assay.Record{}, card, nil, err
	}
	r, err := s.write(ctx, assay.KindCard, v.Model, card.Sources, card)
	return r, card, doc, err
}

// promotions is how often a promotion is tried when evidence or stages move between the verdict and the move.
const promotions = 3

// promoteStage judges a version afresh and, when the verdict is pass, moves it to the stage. When something that the verdict rests on
// moved in between, the store refuses and the version is judged again: an old verdict never promotes.
func (s *session) promoteStage(ctx context.Context, v store.Version, stage assay.Stage) (assay.Judgement, *assay.Promotion, error) {
	for try := 1; ; try++ {
		held, err := s.held(ctx, v.Name, stage)
		if err != nil {
			return assay.Judgement{}, nil, err
		}
		r, j, seen, err := s.judge(ctx, v, stage)
		if err != nil || j.Verdict != assay.Pass {
			return j, nil, err
		}
		if err := store.ModelWhole(ctx, s.st, v); err != nil {
			return j, nil, err
		}
		pr, err := s.st.Promote(ctx, store.Move{Name: v.Name, Number: v.Number, Stage: stage, Verdict: r.ID, Policy: j.Policy, Expect: &held, Seen: &seen, Context: s.circumstances()})
		if assay.CodeOf(err) == assay.Refused && try < promotions {
			continue
		}
		if err != nil {
			return j, nil, err
		}
		p, err := assay.Decode[assay.Promotion](pr.Evidence)
		return j, &p, err
	}
}

// held is the number of the version that holds a stage; 0 for none.
func (s *session) held(ctx context.Context, name string, stage assay.Stage) (int, error) {
	h, err := s.st.Holder(ctx, name, stage)
	if assay.CodeOf(err) == assay.NotFound {
		return 0, nil
	}
	return h.Number, err
}

func versionName(v store.Version) string { return fmt.Sprintf("%s:%d", v.Name, v.Number) }

// reproduced reports whether a run was run again and came out the same.
func (s *session) reproduced(ctx context.Context, id assay.Digest) (bool, error) {
	rs, err := s.st.Find(ctx, store.Query{Kind: assay.KindReproduction, Parent: id})
	for _, r := range rs {
		p, err := assay.Decode[assay.Reproduction](r.Evidence)
		if err != nil {
			return false, err
		}
		if p.Run == id && p.Identical {
			return true, nil
		}
	}
	return false, err
}

// misnamed is the error that a model or a version was not found with; where there are models and none has that name, it says which name may be meant.
func (s *session) misnamed(ctx context.Context, name string, err error) error {
	if assay.CodeOf(err) != assay.NotFound {
		return err
	}
	models, listed := s.st.Models(ctx)
	if listed != nil || len(models) == 0 {
		return err
	}
	names := make([]string, len(models))
	for i, m := range models {
		if names[i] = m.Name; m.Name == name {
			return err
		}
	}
	return assay.Errorf(assay.NotFound, "no model is registered as %q%s", name, didYouMean(name, names)).Try("assay model list")
}
