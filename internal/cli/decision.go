package cli

import (
	"context"
	"slices"

	"github.com/assay-ml/assay"
	"github.com/assay-ml/assay/internal/eval"
	"github.com/assay-ml/assay/internal/monitor"
	"github.com/assay-ml/assay/internal/registry"
	"github.com/assay-ml/assay/internal/schema"
	"github.com/assay-ml/assay/internal/store"
	"github.com/assay-ml/assay/learn"
	"github.com/assay-ml/assay/metric"
)

// A decision is how the class of a row follows from its probabilities, where a binary model's own class does not count.
type decision struct {
	threshold float64 // of the positive class; 0: the class is the model's own
	positive  int
	evaluated assay.Digest // evidence id of the evaluation that decided so; empty: the settings say it
}

// evaluatedDecision is the decision that was evaluated: by the final evaluation, else by the newest on validation rows, of several the one with the
// settings of now; by the settings where there is none. Tasks that are not binary have none.
func (s *session) evaluatedDecision(ctx context.Context, model assay.Digest, m assay.Model) (decision, error) {
	if m.Task != assay.Binary {
		return decision{}, nil
	}
	_, positive, err := s.positive(m.Classes)
	d := decision{threshold: *s.p.Evaluate.Threshold, positive: positive}
	if err != nil {
		return d, err
	}
	now := s.configuration(s.evalOptions())
	var found *registry.Fact[assay.Evaluation]
	for _, final := range []bool{true, false} {
		if found, err = pick(ctx, s, assay.KindEvaluation, model, func(x assay.Evaluation) bool {
			return x.Split == m.Split && x.Final == final && (final || x.Part == assay.Valid) && x.Threshold > 0
		}, func(x assay.Evaluation) bool { return x.Configuration == now }); err != nil || found != nil {
			break
		}
	}
	if found != nil {
		d.threshold, d.evaluated = float64(found.Value.Threshold), found.ID
	}
	return d, err
}

// answeredDecision is evaluatedDecision, but none at the usual threshold, at which the class is the model's own.
func (s *session) answeredDecision(ctx context.Context, model assay.Digest, m assay.Model) (decision, error) {
	d, err := s.evaluatedDecision(ctx, model, m)
	if d.threshold == eval.DefaultThreshold {
		d.threshold = 0
	}
	return d, err
}

// watchedDecision is the decision by which a version answers: that of its checks, else the one that was evaluated.
func (s *session) watchedDecision(ctx context.Context, model assay.Digest, m assay.Model) (decision, error) {
	d, err := s.answeredDecision(ctx, model, m)
	if err != nil || m.Task != assay.Binary {
		return d, err
	}
	_, p, err := s.servingOf(ctx, model)
	if err != nil || p == nil {
		return d, err
	}
	if other, err := s.checkedBefore(ctx, model, m, p); err != nil || other != 0 {
		return d, err
	}
	d.threshold = float64(p.Threshold)
	return d, nil
}

// counts is the threshold that an evaluation of the decision counts by.
func (d decision) counts() float64 {
	if d.threshold == 0 {
		return eval.DefaultThreshold
	}
	return d.threshold
}

// apply makes the classes of predictions those of the decision. Errors are Refused: classes without probabilities, of which it cannot be made.
func (d decision) apply(p *learn.Prediction) error {
	if d.threshold == 0 || p.Rows() == 0 {
		return nil
	}
	if len(p.Proba) == 0 {
		return d.classesAlone(p.Classes)
	}
	p.Labels = metric.Decide(nil, p.Proba, d.positive, d.threshold)
	return nil
}

func (d decision) classesAlone(classes []string) error {
	return assay.Errorf(assay.Refused, "the model answers classes without probabilities: none can be %s from a probability of %v on", classes[d.positive], d.threshold).
		Try("evaluate.threshold: %v in assay.yaml, then assay eval, and this again", eval.DefaultThreshold)
}

// decider answers the rows of a frame by a decision.
type decider struct {
	monitor.Predictor
	decision
}

// PredictParallel implements monitor.Predictor.
func (d decider) PredictParallel(ctx context.Context, x assay.Frame, workers int) (learn.Prediction, error) {
	p, err := d.Predictor.PredictParallel(ctx, x, workers)
	if err == nil {
		err = d.apply(&p)
	}
	return p, err
}

// checkedBefore returns the threshold of the newest evaluation of a model whose checks were made before they knew of any, as all evaluations were by
// another one than the usual; 0 where that is not so.
func (s *session) checkedBefore(ctx context.Context, model assay.Digest, m assay.Model, p *assay.Serving) (float64, error) {
	if p.Threshold != 0 || m.Task != assay.Binary {
		return 0, nil
	}
	of := func(x assay.Evaluation) bool { return x.Split == m.Split && x.Threshold > 0 }
	e, err := pick(ctx, s, assay.KindEvaluation, model, of, func(x assay.Evaluation) bool { return x.Threshold == eval.DefaultThreshold })
	if err != nil || e == nil || e.Value.Threshold == eval.DefaultThreshold {
		return 0, err
	}
	return float64(e.Value.Threshold), nil
}

// ownClasses reports whether a model's own classes are, on all validation rows, those that an evaluation at the usual threshold counts. A model in
// Python answers probabilities or classes, never both.
func (s *session) ownClasses(ctx context.Context, m assay.Model, d decision) (bool, error) {
	if isPython(m) {
		return true, nil
	}
	x, err := s.validationRows(ctx, m)
	if err != nil {
		return false, err
	}
	p, err := s.predictions(ctx, m, x)
	if err != nil || len(p.Proba) == 0 {
		return true, err
	}
	return slices.Equal(p.Labels, metric.Decide(nil, p.Proba, d.positive, d.threshold)), nil
}

// boundDecision is the decision that the checks of a version bind to it: none where its own classes are those that were evaluated.
func (s *session) boundDecision(ctx context.Context, v store.Version, m assay.Model, out *schema.Schema) (decision, error) {
	d, err := s.evaluatedDecision(ctx, v.Model, m)
	if err != nil || d.threshold == 0 {
		return d, err
	}
	alone := len(out.Columns) == 1
	if d.threshold != eval.DefaultThreshold {
		if alone {
			return d, d.classesAlone(m.Classes)
		}
		return d, nil
	}
	own := alone
	if !own {
		if own, err = s.ownClasses(ctx, m, d); err != nil {
			return d, err
		}
	}
	if own {
		d.threshold = 0
	}
	return d, nil
}
