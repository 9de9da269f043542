package cli

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/blob"
	"github.com/assay-ml/assay/internal/gate"
	"github.com/assay-ml/assay/internal/registry"
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
			return store.Version{}, assay.Errorf(assay.Invalid, "%q is no version number", number)
		}
		return s.st.Version(ctx, name, n)
	}
	if ref == "" {
		ref = s.p.Name
	}
	all, err := s.st.Versions(ctx, ref)
	if err != nil {
		return store.Version{}, err
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
		Limitations: c.Limitations, OutOfDist: c.OutOfDist, Ethics: c.Ethics,
	}}
	return d, s.gather(ctx, d)
}

// gather fills in the facts of a dossier.
func (s *session) gather(ctx context.Context, d *registry.Dossier) error {
	data, model := d.Model.Value.Data, d.Digest
	var err error
	one := func(kind assay.Kind, subject assay.Digest, fits func(assay.Record) bool) *assay.Record {
		if err != nil {
			return nil
		}
		var all []assay.Record
		all, err = s.st.Find(ctx, store.Query{Kind: kind, Subject: subject})
		for i := range all {
			if fits == nil || fits(all[i]) {
				return &all[i]
			}
		}
		return nil
	}
	boundary := func(r assay.Record) bool {
		v, e := assay.Decode[assay.Validation](r.Evidence)
		return e == nil && v.Boundary == "data"
	}
	final := func(r assay.Record) bool {
		e, bad := assay.Decode[assay.Evaluation](r.Evidence)
		return bad == nil && e.Final && e.Split == d.Model.Value.Split
	}
	ofSplit := func(r assay.Record) bool {
		c, bad := assay.Decode[assay.Comparison](r.Evidence)
		return bad == nil && c.Split == d.Model.Value.Split
	}
	snapshot, sheet := one(assay.KindSnapshot, data, nil), one(assay.KindDatasheet, data, nil)
	validation := one(assay.KindValidation, data, boundary)
	evaluation, comparison := one(assay.KindEvaluation, model, final), one(assay.KindComparison, model, ofSplit)
	disclosure := one(assay.KindDisclosure, model, nil)
	if err != nil {
		return err
	}
	split, err := s.st.Get(ctx, d.Model.Value.Split)
	if err != nil {
		return err
	}
	run, err := s.st.Get(ctx, d.Model.Value.Run)
	if err != nil {
		return err
	}
	if d.Snapshot, err = registry.Of[assay.Snapshot](snapshot); err != nil {
		return err
	}
	if d.Datasheet, err = registry.Of[assay.Datasheet](sheet); err != nil {
		return err
	}
	if d.Validation, err = registry.Of[assay.Validation](validation); err != nil {
		return err
	}
	if d.Split, err = registry.Of[assay.Split](&split); err != nil {
		return err
	}
	if d.Run, err = registry.Of[assay.Run](&run); err != nil {
		return err
	}
	if d.Evaluation, err = registry.Of[assay.Evaluation](evaluation); err != nil {
		return err
	}
	if d.Disclosure, err = registry.Of[assay.Disclosure](disclosure); err != nil {
		return err
	}
	if d.Comparison, err = registry.Of[assay.Comparison](comparison); err != nil {
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
		d.Waivers = append(d.Waivers, *w)
	}
	return nil
}

// facts are what the gate sees of a version: the dossier, and what follows from the store as a whole.
func (s *session) facts(ctx context.Context, v store.Version, d *registry.Dossier, stage assay.Stage, p gate.Policy) (*gate.Facts, error) {
	f := gate.NewFacts(d.Digest, d.Model.Value.Data)
	set := func(name string, id assay.Digest, extra map[string]any) error {
		r, err := s.st.Get(ctx, id)
		if err != nil {
			return err
		}
		return f.Set(name, r, extra)
	}
	if err := set("model", d.Model.ID, nil); err != nil {
		return nil, err
	}
	type fact struct {
		name  string
		id    assay.Digest
		extra map[string]any
	}
	var have []fact
	if x := d.Snapshot; x != nil {
		have = append(have, fact{"snapshot", x.ID, nil})
	}
	if x := d.Datasheet; x != nil {
		have = append(have, fact{"datasheet", x.ID, nil})
	}
	if x := d.Validation; x != nil {
		have = append(have, fact{"validation", x.ID, nil})
	}
	if x := d.Split; x != nil {
		have = append(have, fact{"split", x.ID, nil})
	}
	if x := d.Run; x != nil {
		code := x.Value.Spec.Code
		captured := len(x.Value.Spec.Command) > 1 && x.Value.Spec.Command[0] == "assay" || code.Commit != "" || code.Dirty != ""
		have = append(have, fact{"run", x.ID, map[string]any{"code_captured": captured, "saw_sealed_rows": x.Value.SealedRows > 0}})
	}
	if x := d.Evaluation; x != nil {
		have = append(have, fact{"evaluation", x.ID, nil})
	}
	if x := d.Disclosure; x != nil {
		have = append(have, fact{"disclosure", x.ID, nil})
	}
	if x := d.Comparison; x != nil {
		current, err := s.current(ctx, v, x.Value)
		if err != nil {
			return nil, err
		}
		have = append(have, fact{"comparison", x.ID, map[string]any{"current": current}})
	}
	card, err := s.latest(ctx, assay.KindCard, d.Digest)
	if err != nil {
		return nil, err
	}
	if card != nil {
		c, err := assay.Decode[assay.Card](card.Evidence)
		if err != nil {
			return nil, err
		}
		have = append(have, fact{"card", card.ID, map[string]any{"stale": len(registry.Stale(c, d)) > 0}})
	}
	for _, x := range have {
		if err := set(x.name, x.id, x.extra); err != nil {
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

// current reports whether a comparison was made with what a promotion would replace: the version in production, else the one in
// staging, else the baseline.
func (s *session) current(ctx context.Context, v store.Version, c assay.Comparison) (bool, error) {
	for _, stage := range []assay.Stage{assay.StageProduction, assay.StageStaging} {
		h, err := s.st.Holder(ctx, v.Name, stage)
		if assay.CodeOf(err) == assay.NotFound {
			continue
		}
		if err != nil {
			return false, err
		}
		if h.Number == v.Number {
			continue
		}
		return c.Reference == h.Model, nil
	}
	return true, nil
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

// judge applies the project's policy to a version and writes the verdict.
func (s *session) judge(ctx context.Context, v store.Version, stage assay.Stage) (assay.Record, assay.Judgement, error) {
	p, err := s.policy()
	if err != nil {
		return assay.Record{}, assay.Judgement{}, err
	}
	d, err := s.dossier(ctx, v)
	if err != nil {
		return assay.Record{}, assay.Judgement{}, err
	}
	f, err := s.facts(ctx, v, d, stage, p)
	if err != nil {
		return assay.Record{}, assay.Judgement{}, err
	}
	j, err := gate.Judge(p, stage, f)
	if err != nil {
		return assay.Record{}, j, err
	}
	var parents []assay.Digest
	for _, r := range j.Rules {
		parents = append(parents, r.Evidence...)
		if r.Waived != "" {
			parents = append(parents, r.Waived)
		}
	}
	r, err := s.write(ctx, assay.KindVerdict, v.Model, parents, j)
	return r, j, err
}

// registerStage gives a model a version of the project's name.
func (s *session) registerStage(ctx context.Context, ref, name string) (store.Version, bool, error) {
	rec, _, err := s.model(ctx, ref)
	if err != nil {
		return store.Version{}, false, err
	}
	if name == "" {
		name = s.p.Name
	}
	return s.st.Register(ctx, store.Registration{Name: name, Evidence: rec.ID, Context: s.circumstances()})
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

// promoteStage judges a version and, when the verdict is pass, moves it to the stage.
func (s *session) promoteStage(ctx context.Context, v store.Version, stage assay.Stage) (assay.Judgement, *assay.Promotion, error) {
	r, j, err := s.judge(ctx, v, stage)
	if err != nil || j.Verdict != assay.Pass {
		return j, nil, err
	}
	expect := 0
	h, err := s.st.Holder(ctx, v.Name, stage)
	switch {
	case assay.CodeOf(err) == assay.NotFound:
	case err != nil:
		return j, nil, err
	default:
		expect = h.Number
	}
	pr, err := s.st.Promote(ctx, store.Move{Name: v.Name, Number: v.Number, Stage: stage, Verdict: r.ID, Policy: j.Policy, Expect: &expect, Context: s.circumstances()})
	if err != nil {
		return j, nil, err
	}
	p, err := assay.Decode[assay.Promotion](pr.Evidence)
	return j, &p, err
}

func versionName(v store.Version) string { return fmt.Sprintf("%s:%d", v.Name, v.Number) }
