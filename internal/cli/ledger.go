package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/dataset"
	"github.com/assay-ml/assay/internal/eval"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/internal/table"
)

// configuration is the digest of everything that decides which figures an evaluation makes of labels: what the ledger holds a further
// read against, and the gate an evaluation. The number of threads decides nothing, nor does the level that a read ends up with.
func (s *session) configuration(o eval.Options) assay.Digest {
	least := o.MinRows
	if least == 0 {
		least = eval.DefaultMinRows
	}
	e, t := s.p.Evaluate, s.p.Data.Target
	b, err := json.Marshal(map[string]any{
		"metrics": o.Metrics, "primary": o.Primary, "business": o.Business, "slices": o.Slices, "sensitive": o.Sensitive, "threshold": o.Threshold,
		"level": e.Level, "replicates": o.Replicates, "seed": o.Seed, "min_rows": max(least, eval.MinSealedRows), "min_positives": o.MinPositives,
		"slice_rule": o.SliceRule, "slice_margin": o.SliceMargin, "slice_limit": o.SliceLimit, "correction": o.Correction,
		"baseline": e.Baseline, "weight": e.Weight, "target": t.names(), "task": t.Task, "positive": t.Positive, "query": t.Query, "entity": s.p.Data.Entity,
	})
	if err != nil {
		panic("BUG: the settings of an evaluation are no JSON: " + err.Error())
	}
	return assay.DigestOf(b)
}

// disclose spends a read of the sealed labels, or finds that this read was made before.
func (s *session) disclose(ctx context.Context, rec, splitRec assay.Record, split assay.Split, o eval.Options, reason string) (assay.Record, assay.Disclosure, error) {
	var rows assay.Digest
	for _, p := range split.Parts {
		if p.Name == assay.Test {
			rows = p.IDs
		}
	}
	metrics := slices.Clone(o.Metrics)
	if o.Business != nil {
		metrics = append(metrics, o.Business.Name)
	}
	r, again, err := s.st.Disclose(ctx, store.DisclosureRequest{Model: rec.Subject, Configuration: s.configuration(o), Split: splitRec.ID, Rows: rows, Metrics: metrics, Reason: reason, Alpha: 1 - s.p.Evaluate.Level, Context: s.circumstances()})
	if err != nil {
		return r, assay.Disclosure{}, err
	}
	d, err := assay.Decode[assay.Disclosure](r.Evidence)
	if err == nil && again {
		s.say("These test labels were read for this model with these settings before; nothing is spent.")
	}
	return r, d, err
}

// sealedLabels reads the labels that a disclosure gives access to.
func (s *session) sealedLabels(ctx context.Context, disclosure assay.Digest) (*table.Table, error) {
	in, err := s.st.SealedLabels(ctx, disclosure)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return s.spooled(ctx, in, "labels.parquet", table.ReadOptions{})
}

// A rival is the model that a candidate is held against.
type rival struct {
	name  string
	rec   assay.Record
	model assay.Model
}

// compareStage holds a model against another: the one named, else the version in production, else its baseline. It is done on the sealed
// rows where the ledger has a disclosure of both models with these settings, which final enters; otherwise on the validation part.
func (s *session) compareStage(ctx context.Context, ref, other string, final bool, reason string) (assay.Record, assay.Comparison, error) {
	rec, m, err := s.candidate(ctx, ref)
	if err != nil {
		return rec, assay.Comparison{}, err
	}
	splitRec, split, err := s.splitOf(ctx, m)
	if err != nil {
		return rec, assay.Comparison{}, err
	}
	against, err := s.rival(ctx, rec, m, other)
	if err != nil {
		return rec, assay.Comparison{}, err
	}
	both := []assay.Record{rec}
	if against != nil && against.rec.Subject != rec.Subject {
		both = append(both, against.rec)
	}
	o := s.evalOptions()
	configuration := s.configuration(o)
	known, lacks, err := s.disclosed(ctx, splitRec.ID, both, configuration)
	if err != nil {
		return rec, assay.Comparison{}, err
	}
	part := assay.Valid
	if o.Sealed = final || len(lacks) == 0; o.Sealed {
		part = split.Sealed
	}
	sc, err := s.score(ctx, splitRec, split, part, m)
	if err != nil {
		return rec, assay.Comparison{}, err
	}
	parents := []assay.Digest{rec.ID, splitRec.ID}
	reference := sc.baseline
	if against != nil {
		theirs, err := s.st.Get(ctx, against.model.Split)
		if err != nil {
			return rec, assay.Comparison{}, err
		}
		if reference, err = s.answers(ctx, against.name, theirs, against.model, sc.part, sc.truth); err != nil {
			return rec, assay.Comparison{}, err
		}
		parents = append(parents, against.rec.ID)
	}
	if o.Sealed {
		if err := eval.Ready(sc.truth, o, sc.model, reference); err != nil {
			return rec, assay.Comparison{}, err
		}
		if err := s.keep(ctx); err != nil {
			return rec, assay.Comparison{}, err
		}
		var level float64
		for i := range both {
			if known[i] == nil {
				r, d, err := s.disclose(ctx, both[i], splitRec, split, o, reason)
				if err != nil {
					return rec, assay.Comparison{}, err
				}
				known[i] = &disclosed{r.ID, d}
			}
			level = max(level, known[i].value.Level)
			parents = append(parents, known[i].id)
		}
		o.Level = level
		evaluation, err := s.finalOf(ctx, rec.Subject, splitRec.ID, configuration)
		if err != nil {
			return rec, assay.Comparison{}, err
		}
		if evaluation != nil {
			parents = append(parents, evaluation.ID)
		}
		if err := s.unseal(ctx, sc, known[0].id); err != nil {
			return rec, assay.Comparison{}, err
		}
	} else {
		names := make([]string, len(lacks))
		for i, r := range lacks {
			names[i] = r.Subject.Short()
		}
		try := "assay eval --final"
		if ref != "" {
			try = "assay eval " + ref + " --final"
		}
		if known[0] != nil {
			try = "assay compare --final, with the same models"
		}
		s.say("compared on the %s part: with these settings the ledger has no disclosure of the test rows to %s. Try: %s", part, strings.Join(names, " and "), try)
	}
	c, err := eval.Compare(ctx, sc.truth, sc.model, reference, s.p.Gate.Margin, o)
	if err != nil {
		return rec, c, err
	}
	if c.Engine, err = s.besidesOwn(m); err != nil {
		return rec, c, err
	}
	if err := s.keep(ctx); err != nil {
		return rec, c, err
	}
	c.Candidate, c.Split, c.Rows, c.Part, c.Configuration, c.Level = rec.Subject, splitRec.ID, sc.rows, part, configuration, o.Level
	if against != nil {
		c.Reference = against.rec.Subject
	}
	slices.Sort(parents)
	r, err := s.write(ctx, assay.KindComparison, rec.Subject, slices.Compact(parents), c)
	if err != nil {
		return r, c, err
	}
	return r, c, s.adopt(ref, rec)
}

// rival is the model that the candidate is held against: the one named, else the one in production; nil for the baseline.
func (s *session) rival(ctx context.Context, rec assay.Record, m assay.Model, name string) (*rival, error) {
	if name == "" {
		incumbent, err := s.incumbent(ctx, s.p.Name, rec.Subject)
		if err != nil || incumbent == "" {
			return nil, err
		}
		all, err := s.st.VersionsOf(ctx, incumbent)
		if err != nil {
			return nil, err
		}
		at := slices.IndexFunc(all, func(v store.Version) bool { return v.Name == s.p.Name })
		if at < 0 {
			return nil, assay.Errorf(assay.Unavailable, "model %s lost its version while it was compared with", incumbent.Short()).Try("assay compare")
		}
		v := all[at]
		name = fmt.Sprintf("%s:%d", v.Name, v.Number)
	}
	orec, om, err := s.candidate(ctx, name)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(om.Classes, m.Classes) {
		return nil, assay.Errorf(assay.Refused, "%s knows the classes %s, this model %s: they cannot be compared", name, strings.Join(om.Classes, ", "), strings.Join(m.Classes, ", ")).Try("assay compare --with MODEL, with one of the same classes")
	}
	return &rival{name, orec, om}, nil
}

// disclosed is a disclosure that the ledger has.
type disclosed struct {
	id    assay.Digest
	value assay.Disclosure
}

// disclosed gives, for each of some models, the disclosure of a split's sealed rows to it with the given settings, nil where the ledger
// has none; and the models without.
func (s *session) disclosed(ctx context.Context, split assay.Digest, models []assay.Record, configuration assay.Digest) (known []*disclosed, lacks []assay.Record, err error) {
	all, err := s.st.Disclosures(ctx, split)
	if err != nil {
		return nil, nil, err
	}
	known = make([]*disclosed, len(models))
	for i, m := range models {
		for _, r := range all {
			if r.Subject != m.Subject {
				continue
			}
			d, err := assay.Decode[assay.Disclosure](r.Evidence)
			if err != nil {
				return nil, nil, err
			}
			if d.Split == split && d.Configuration == configuration {
				known[i] = &disclosed{r.ID, d}
			}
		}
		if known[i] == nil {
			lacks = append(lacks, m)
		}
	}
	return known, lacks, nil
}

// enterSealedRows looks for sealed rows in traffic that labels have come for, and enters a read of them by the model: with the plan as its
// settings, so that the same plan reads once. Rows are recognised by their cells, as in a profile. Of a log a few do not count, fewer than a
// tenth of the sealed rows or of the traffic, for who was tested on may come again.
func (s *session) enterSealedRows(ctx context.Context, v store.Version, plan assay.Digest, p assay.Monitor, t *table.Table, reason string, log bool) error {
	seals, err := s.st.Sealed(ctx)
	if err != nil || len(seals) == 0 {
		return err
	}
	if log { // who comes again is one, or rows would repeat by nature
		if t, err = t.Where(ctx, "_row IN (SELECT min(_row) FROM "+t.Relation()+" GROUP BY coalesce(_key, CAST(_row AS VARCHAR)))"); err != nil {
			return err
		}
	}
	l, err := dataset.NewLook(ctx, t, present(t, s.p.Data.Key), s.p.Data.Target.names()...)
	if err != nil {
		return err
	}
	seen, err := s.sightings(ctx, l, l.All(), func(store.SealRecord) bool { return false })
	if err != nil {
		return err
	}
	metrics, again := []string{"labels of traffic"}, "assay monitor replay FILE"
	if log {
		again = "assay monitor run --model " + versionName(v)
		seen = slices.DeleteFunc(seen, func(o sighting) bool {
			return float64(o.rows) < store.SubstantialOverlap*float64(min(o.seal.Count, t.Rows()))
		})
	}
	if len(seen) == 0 {
		return nil
	}
	for _, m := range p.Performance {
		metrics = append(metrics, m.Name)
	}
	if err := s.keep(ctx); err != nil {
		return err
	}
	for _, o := range seen {
		_, _, err := s.st.Disclose(ctx, store.DisclosureRequest{
			Model: v.Model, Configuration: plan, Split: o.seal.Split, Rows: o.seal.Rows, Metrics: metrics, Reason: reason, Alpha: 1 - s.p.Evaluate.Level, Context: s.circumstances(),
		})
		if assay.CodeOf(err) == assay.Refused {
			return assay.Errorf(assay.Refused, "about %s of the rows are sealed test rows, whose labels this would read: %w", assay.FormatCount(o.rows), err).
				Try(`%s --reason "why", or leave these rows out`, again)
		}
		if err != nil {
			return err
		}
		s.say("about %s of the rows are sealed test rows of split %s: their labels are read, and the ledger says so.", assay.FormatCount(o.rows), o.seal.Split.Short())
	}
	return nil
}

// finalOf returns the newest evaluation of a model on the sealed part of a split with the given settings, or nil.
func (s *session) finalOf(ctx context.Context, model, split, configuration assay.Digest) (*assay.Record, error) {
	all, err := s.st.Find(ctx, store.Query{Kind: assay.KindEvaluation, Subject: model})
	if err != nil {
		return nil, err
	}
	for i := range all {
		e, err := assay.Decode[assay.Evaluation](all[i].Evidence)
		if err != nil {
			return nil, err
		}
		if e.Final && e.Split == split && e.Configuration == configuration {
			return &all[i], nil
		}
	}
	return nil, nil
}
