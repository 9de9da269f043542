package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/blob"
	"github.com/assay-ml/assay/internal/mlmodel"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/serve"
	"github.com/assay-ml/assay/internal/store"
)

// servedFields are the columns that a request to a model has: those that the model names, or the features of the project where it takes
// one matrix without names.
func (s *session) servedFields(ctx context.Context, m assay.Model) ([]assay.Field, assay.Type, error) {
	r, err := s.latest(ctx, assay.KindSnapshot, m.Data)
	if err != nil {
		return nil, "", err
	}
	if r == nil {
		return nil, "", assay.Errorf(assay.NotFound, "the data that the model learned from has no snapshot").Try("assay snapshot")
	}
	snap, err := assay.Decode[assay.Snapshot](r.Evidence)
	if err != nil {
		return nil, "", err
	}
	types := map[string]assay.Type{}
	for _, f := range snap.Fields {
		types[f.Name] = f.Type
	}
	var out []assay.Field
	for _, f := range m.Inputs {
		if t, ok := types[f.Name]; ok {
			out = append(out, assay.Field{Name: f.Name, Type: t})
		}
	}
	if len(out) == 0 || len(out) < len(m.Inputs) && m.Signed != "columns" { // what a signature lists and the data lacks is told when they are held together
		out = nil
		for _, name := range s.p.features(snap.Fields) {
			out = append(out, assay.Field{Name: name, Type: types[name]})
		}
	}
	return out, types[m.Target], nil
}

// contracts are the schemas that stand before and behind a model.
func (s *session) contracts(ctx context.Context, m assay.Model) (in, out *schema.Schema, label assay.Type, err error) {
	fields, label, err := s.servedFields(ctx, m)
	if err != nil {
		return nil, nil, "", err
	}
	project, err := s.readSchema("")
	if assay.CodeOf(err) == assay.NotFound {
		project, err = nil, nil
	}
	if err != nil {
		return nil, nil, "", err
	}
	in, err = serve.InputSchema(project, "requests to "+s.p.Name, fields, s.p.Serve.Unknown == "reject")
	if err != nil {
		return nil, nil, "", err
	}
	out = predictionSchema(m)
	if m.Format == "mlflow" {
		dir, err := s.directory(ctx, m.File)
		if err != nil {
			return nil, nil, "", err
		}
		if err := s.narrow(dir, in); err != nil {
			return nil, nil, "", err
		}
		if isPython(m) && len(m.Classes) > 0 {
			several, err := s.givesProbabilities(ctx, m, dir)
			if err != nil {
				return nil, nil, "", err
			}
			out = serve.OutputSchema(out.Name, m.Classes, several)
		}
	}
	return in, out, label, nil
}

// narrow adds to the input schema what the signature of an MLflow model says, or tells that it has none.
func (s *session) narrow(dir *mlmodel.Model, in *schema.Schema) error {
	if dir.Signature == nil {
		s.say("The model has no signature: requests are held against the schema of the project's data alone.")
		return nil
	}
	hold := dir.Signature.Narrow
	if s.p.Serve.Coerce != "" {
		hold = dir.Signature.NarrowCast
	}
	if err := hold(in); err != nil {
		return err
	}
	_, err := in.Compile()
	return err
}

// spelled are the types of the columns that are text here and nested or bytes in the signature: text spells both, and the schema says so.
func spelled(sig *mlmodel.Signature, here func(name string) assay.Type) string {
	var out []string
	for _, f := range sig.Fields() {
		if here(f.Name) == assay.TypeString && (f.Type == assay.TypeJSON || f.Type == assay.TypeBinary) {
			out = append(out, fmt.Sprintf("%q for %q", f.Type, f.Name))
		}
	}
	return some(out)
}

// spelledOut refuses a model of which the data that it is registered for spells nested columns or bytes as text: what rests on that data would be held
// against other values than the model gets.
func (s *session) spelledOut(ctx context.Context, m assay.Model) error {
	if m.Format != "mlflow" {
		return nil
	}
	dir, err := s.directory(ctx, m.File)
	if err != nil || dir == nil || dir.Signature == nil {
		return err
	}
	fields, _, err := s.servedFields(ctx, m)
	if err != nil {
		return err
	}
	types := spelled(dir.Signature, func(name string) assay.Type {
		for _, f := range fields {
			if f.Name == name {
				return f.Type
			}
		}
		return ""
	})
	if types == "" {
		return nil
	}
	return assay.Errorf(assay.Invalid, "the data has as text what is to the model %s", types).
		Try("say so in %s, in place of all that it says of those texts; then assay split, and register the model again", s.p.Schema)
}

// contract stores a schema and says how it is bound.
func (s *session) contract(ctx context.Context, sc *schema.Schema) (assay.Contract, error) {
	rec, err := s.schemaEvidence(ctx, sc)
	if err != nil {
		return assay.Contract{}, err
	}
	r, err := assay.Decode[assay.SchemaRecord](rec.Evidence)
	return assay.Contract{Schema: r.Digest, Document: r.Document, Columns: r.Columns, Constraints: r.Constraints}, err
}

// evaluator opens the model file of a version for rows of the input schema.
func (s *session) evaluator(ctx context.Context, m assay.Model, in *schema.Schema) (serve.Engine, error) {
	var fields []assay.Field
	for _, c := range in.Columns {
		fields = append(fields, assay.Field{Name: c.Name, Type: c.Type})
	}
	if isPython(m) {
		pool, columns, err := s.workersOf(ctx, m, fields)
		if err != nil {
			return nil, err
		}
		e, err := serve.Python(pool, columns, fields, m.Classes)
		if err != nil {
			_ = pool.Close()
		}
		return e, err
	}
	p, err := s.predictor(ctx, m)
	if err != nil {
		return nil, err
	}
	e, err := serve.Native(p, fields, m.Classes)
	if err != nil {
		_ = p.Close()
	}
	return e, err
}

// binding makes the binding of a version with the given schemas.
func (s *session) binding(ctx context.Context, v store.Version, m assay.Model, in, out *schema.Schema, label assay.Type) (serve.Binding, error) {
	e, err := s.servedBy(ctx, v, m, in)
	if err != nil {
		return serve.Binding{}, err
	}
	platform := "assay_" + m.Format
	if isONNX(m) && s.onnxRuntimePath() != "" && s.p.Serve.Upstream == nil {
		platform = "onnxruntime_onnx" // as Triton names it
	}
	return serve.Binding{
		Name: v.Name, Number: v.Number, Model: v.Model, Platform: platform, Task: m.Task, Classes: m.Classes, Positive: m.Positive,
		LabelType: label, Input: in, Output: out, Engine: e, Key: s.keyColumns(in),
	}, nil
}

// signature adds to a binding what the signature of an MLflow model says beside the columns: its parameters and, where values are cast, to
// which types; without one it is the widest of each column's type.
func (s *session) signature(ctx context.Context, b *serve.Binding, m assay.Model, coerce string) error {
	b.Coerce = coerce
	dir, err := s.directory(ctx, m.File)
	if err != nil || dir == nil || dir.Signature == nil {
		return err
	}
	for i := range dir.Signature.Params {
		p := &dir.Signature.Params[i]
		b.Params = append(b.Params, serve.Param{Name: p.Name, Type: p.Type, List: p.List, Default: p.Default, Typed: p.Typed})
	}
	if coerce == "" {
		return nil
	}
	fields := make([]assay.Field, len(b.Input.Columns))
	for i, c := range b.Input.Columns {
		fields[i] = assay.Field{Name: c.Name, Type: c.Type}
	}
	b.Kinds, _ = dir.Kinds(fields) // a column that no request can hold is the engine's to refuse
	return nil
}

// keyColumns are the columns by which labels find their predictions, where a request may have one of them beside the inputs; none where the log
// must not have one of them.
func (s *session) keyColumns(in *schema.Schema) []string {
	join, beside := s.labelTable("", "").Join, false
	if slices.Equal(join, monitor.JoinRequest) {
		return nil
	}
	for _, c := range join {
		if slices.Contains(s.p.Serve.Log.Redact, c) {
			return nil
		}
		beside = beside || in.Column(c) == nil
	}
	if !beside {
		return nil
	}
	return join
}

// Largest relative differences between a served and an offline score: the same file evaluated by the same code, and a model that another
// server or a library evaluates, perhaps in 32 bits and by the number of rows in another order.
const (
	sameCodeTolerance  = 1e-9
	otherCodeTolerance = 1e-5
)

// serveCheck binds a version to its schemas, sends held-out rows and broken ones through the whole path, and records what came out.
func (s *session) serveCheck(ctx context.Context, v store.Version) (assay.Record, assay.Serving, error) {
	_, m, err := s.modelOf(ctx, v)
	if err != nil {
		return assay.Record{}, assay.Serving{}, err
	}
	if err := s.p.Data.Target.refuseOutside("no server is for", "serve its ONNX file where it is used; assay done says what else is missing"); err != nil {
		return assay.Record{}, assay.Serving{}, err
	}
	if onlyPredictions(m) {
		return assay.Record{}, assay.Serving{}, assay.Errorf(assay.Refused, "%s is a file of predictions: there is no model to serve", versionName(v)).Try("register the model itself, as ONNX")
	}
	in, out, label, err := s.contracts(ctx, m)
	if err != nil {
		return assay.Record{}, assay.Serving{}, err
	}
	engine, err := s.engineName(m)
	if err != nil {
		return assay.Record{}, assay.Serving{}, err
	}
	p := assay.Serving{
		Data: m.Data, Engine: engine, OnInvalid: s.p.Serve.OnInvalid, OnOutlier: s.p.Serve.OnOutlier, Coerce: s.p.Serve.Coerce, Smoke: []assay.Smoke{}, Problems: []string{},
		Outliers: assay.Number(s.p.Serve.Outliers), Settings: section(s.p.Serve), Tolerance: smokeTolerance(engine), Verdict: assay.Pass,
	}
	if p.Input, err = s.contract(ctx, in); err != nil {
		return assay.Record{}, p, err
	}
	if p.Output, err = s.contract(ctx, out); err != nil {
		return assay.Record{}, p, err
	}
	d, err := s.boundDecision(ctx, v, m, out)
	if err != nil {
		return assay.Record{}, p, err
	}
	p.Threshold = assay.Number(d.threshold)
	b, err := s.binding(ctx, v, m, in, out, label)
	if err != nil {
		return assay.Record{}, p, err
	}
	b.Threshold = d.threshold
	if err := s.signature(ctx, &b, m, p.Coerce); err != nil {
		_ = b.Engine.Close()
		return assay.Record{}, p, err
	}
	owned := false // by the server, which closes it
	defer func() {
		if !owned {
			_ = b.Engine.Close()
		}
	}()
	var ref *serve.Support
	if p.Reference, ref, err = s.outlierReference(ctx, m, in); err != nil {
		return assay.Record{}, p, err
	}
	if ref != nil {
		if b.Outliers, err = ref.Outliers(in, s.p.Serve.Outliers); err != nil {
			return assay.Record{}, p, err
		}
	}
	seen := &smokeLog{}
	server := serve.New(serve.Options{Clock: s.Now, Nonce: "smoke", Log: seen})
	// Held-out rows must be answered and broken ones refused, whatever becomes of them in production: the policy is bound, too, but the
	// smoke predictions go through a version that rejects and flags.
	bound, err := server.Bind(b)
	if err != nil {
		return assay.Record{}, p, err
	}
	if p.Notes, err = s.narrowed(ctx, m, in, bound); err != nil {
		return assay.Record{}, p, err
	}
	b.Policy = serve.Policy{OnInvalid: p.OnInvalid, OnOutlier: p.OnOutlier}
	if b.Policy.Fallback, err = s.fallback(m, in); err != nil {
		return assay.Record{}, p, err
	}
	if b.Policy.Fallback != nil {
		if p.Fallback, err = b.Policy.Fallback.Document(); err != nil {
			return assay.Record{}, p, err
		}
	}
	if _, err := server.Bind(b); err != nil {
		return assay.Record{}, p, err
	}
	server.Set(v.Name, bound, bound)
	owned = true
	server.SetReady(true)
	defer func() { _ = server.Close(ctx) }() // it has answered all that it was asked
	if p.Smoke, err = s.smoke(ctx, server, m, in, d, float64(p.Tolerance), seen); err != nil {
		return assay.Record{}, p, err
	}
	if d.threshold != 0 && seen.classesAlone.Load() {
		return assay.Record{}, p, d.classesAlone(m.Classes)
	}
	for _, x := range p.Smoke {
		if x.Verdict != assay.Pass {
			p.Verdict = assay.Fail
		}
	}
	parents := []assay.Digest{v.Evidence}
	if d.threshold != 0 && d.evaluated != "" {
		parents = append(parents, d.evaluated)
		slices.Sort(parents)
	}
	r, err := s.write(ctx, assay.KindServing, v.Model, parents, p)
	return r, p, err
}

// servingOf is the newest serving evidence about a model that passed, or nil.
func (s *session) servingOf(ctx context.Context, model assay.Digest) (*assay.Record, *assay.Serving, error) {
	all, err := s.st.Find(ctx, store.Query{Kind: assay.KindServing, Subject: model})
	if err != nil {
		return nil, nil, err
	}
	for i := range all {
		p, err := assay.Decode[assay.Serving](all[i].Evidence)
		if err != nil {
			return nil, nil, err
		}
		if p.Verdict == assay.Pass {
			return &all[i], &p, nil
		}
	}
	return nil, nil, nil
}

// boundVersion makes a version ready to serve, from what its serving evidence bound to it.
func (s *session) boundVersion(ctx context.Context, server *serve.Server, v store.Version) (bound *serve.Bound, err error) {
	rec, p, err := s.servingOf(ctx, v.Model)
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, assay.Errorf(assay.Refused, "%s has no input and output checks that passed", versionName(v)).Try("assay serve check %s", versionName(v))
	}
	_, m, err := s.modelOf(ctx, v)
	if err != nil {
		return nil, err
	}
	if other, err := s.checkedBefore(ctx, v.Model, m, p); err != nil || other != 0 {
		if err == nil {
			err = assay.Errorf(assay.Refused, "%s was evaluated with a threshold of %v, and its checks know of none", versionName(v), other).Try("assay serve check %s", versionName(v))
		}
		return nil, err
	}
	engine, err := s.engineName(m)
	if err != nil {
		return nil, err
	}
	if p.Engine != engine {
		return nil, assay.Errorf(assay.Refused, "%s was checked with the engine %q, and %q would answer now", versionName(v), p.Engine, engine).Try("assay serve check %s", versionName(v))
	}
	var sides [2]*schema.Schema
	for i, d := range []assay.Digest{p.Input.Document, p.Output.Document} {
		if sides[i], err = s.storedSchema(ctx, d); err != nil {
			return nil, err
		}
	}
	_, label, err := s.servedFields(ctx, m)
	if err != nil {
		return nil, err
	}
	b, err := s.binding(ctx, v, m, sides[0], sides[1], label)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = b.Engine.Close()
		}
	}()
	b.Evidence, b.Threshold = rec.ID, float64(p.Threshold)
	if err = s.signature(ctx, &b, m, p.Coerce); err != nil {
		return nil, err
	}
	b.Policy = serve.Policy{OnInvalid: p.OnInvalid, OnOutlier: p.OnOutlier}
	if p.Fallback != "" {
		if b.Policy.Fallback, err = serve.ReadFallback(p.Fallback); err != nil {
			return nil, err
		}
		if err = ruled(b.Policy.Fallback, m, sides[0]); err != nil {
			return nil, err
		}
	}
	if b.Outliers, err = s.storedReference(ctx, p, sides[0]); err != nil {
		return nil, err
	}
	return server.Bind(b)
}

// storedSchema reads a schema that evidence names.
func (s *session) storedSchema(ctx context.Context, d assay.Digest) (*schema.Schema, error) {
	doc, err := blob.ReadAll(ctx, s.st.Blobs(), d, maxSchemaBytes)
	if err != nil {
		return nil, err
	}
	return schema.Parse(doc)
}

const maxSchemaBytes = 64 << 20

// wanted are the versions that should answer now: of each model the holder of the stage and up to keep of those that held it before, or
// the versions that were named. Of several versions of one model the first answers requests that name none.
func (s *session) wanted(ctx context.Context, stage assay.Stage, refs []string, keep int) (live []store.Version, err error) {
	if len(refs) > 0 {
		for _, ref := range refs {
			v, err := s.version(ctx, ref)
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(live, func(o store.Version) bool { return o.Name == v.Name && o.Number == v.Number }) {
				return nil, assay.Errorf(assay.Invalid, "version %s is named twice", versionName(v))
			}
			live = append(live, v)
		}
		return live, nil
	}
	models, err := s.st.Models(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range models {
		v, err := s.st.Holder(ctx, m.Name, stage)
		if assay.CodeOf(err) == assay.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		live = append(live, v)
		before, err := s.heldBefore(ctx, v, stage, keep)
		if err != nil {
			return nil, err
		}
		live = append(live, before...)
	}
	return live, nil
}

// heldBefore are up to keep versions that held a stage before its holder, the last one first. One that was rolled back does not count: it
// was taken away because it was bad.
func (s *session) heldBefore(ctx context.Context, holder store.Version, stage assay.Stage, keep int) ([]store.Version, error) {
	if keep == 0 {
		return nil, nil
	}
	events, err := s.st.History(ctx, holder.Name, 0)
	if err != nil {
		return nil, err
	}
	var out []store.Version
	seen := map[int]bool{holder.Number: true}
	for _, e := range events {
		if e.Stage != stage || e.Previous == 0 || seen[e.Previous] || len(out) == keep {
			continue
		}
		seen[e.Previous] = true
		if e.Action == "rollback" {
			continue
		}
		v, err := s.st.Version(ctx, holder.Name, e.Previous)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}
