package metric

import (
	"cmp"
	"slices"
	"strings"

	"github.com/assay-ml/assay"
)

// A Need says what of the prediction a metric reads.
type Need string

const (
	NeedLabels        Need = "labels"      // predicted classes
	NeedScores        Need = "score"       // an order of the rows (or of the labels of a row); probabilities serve
	NeedProbabilities Need = "probability" // probabilities as such
	NeedValues        Need = "value"       // predicted numbers
	NeedGroups        Need = "group"       // predicted classes, and the group of each row
)

// A Definition is one metric of the registry. ID pins the definition: the name, whose definition it is and from which version on, by
// its release notes, the values are these, edge cases included; a stored score carries it.
type Definition struct {
	Name   string // "roc_auc_score"
	ID     string // "roc_auc_score@sklearn>=1.6"
	Higher bool   // higher is better
	Tasks  []assay.Task
	Input  Need
	Doc    string // one sentence, with the range

	compute computation
}

// A computation is how a metric is had from an input, and, where it can be, from less.
type computation struct {
	score  func(*Input) (Value, error)
	counts confusionScore         // nil when the metric is not a function of the confusion matrix
	tables func([]Counts) Value   // of a multilabel task: nil when it is not a function of the tables of its labels
	perRow func(*Input) []float64 // nil when it is not a mean over the rows, or the queries of a ranking
}

func by(score func(*Input) (Value, error)) computation { return computation{score: score} }

func (c computation) counted(f confusionScore) computation {
	c.counts = f
	return c
}

func (c computation) rows(f func(*Input) []float64) computation {
	c.perRow = f
	return c
}

// Fits reports whether the metric is defined for the task.
func (d Definition) Fits(t assay.Task) bool { return slices.Contains(d.Tasks, t) }

// All lists the registry: by what is read, then in an order of use. The caller owns the slice.
func All() []Definition {
	return slices.Concat(labelDefinitions(), scoreDefinitions(), orderDefinitions(), probabilityDefinitions(), valueDefinitions(), groupDefinitions())
}

// For lists the metrics of a task, in the order of All.
func For(t assay.Task) []Definition {
	return slices.DeleteFunc(All(), func(d Definition) bool { return !d.Fits(t) })
}

// Lookup finds a metric by its exact name.
func Lookup(name string) (Definition, bool) {
	for _, d := range All() {
		if d.Name == name {
			return d, true
		}
	}
	return Definition{}, false
}

// Find is Lookup with an error that names the nearest metrics.
func Find(name string) (Definition, error) {
	d, ok := Lookup(name)
	if ok {
		return d, nil
	}
	err := assay.Errorf(assay.NotFound, "there is no metric %q", name)
	if near := Nearest(name); len(near) > 0 {
		return d, err.Try("did you mean %s?", strings.Join(near, ", "))
	}
	return d, err
}

// Nearest lists up to three names like the given one, the likeliest first: other libraries' names for the same thing, names that
// contain it, and names a few letters away.
func Nearest(name string) []string {
	name = strings.ToLower(strings.NewReplacer("-", "_", " ", "_").Replace(strings.TrimSpace(name)))
	if name == "" || len(name) > 100 {
		return nil
	}
	type candidate struct {
		name string
		cost int
	}
	var found []candidate
	synonym := synonyms(name)
	for _, d := range All() {
		cost := distance(name, d.Name)
		switch {
		case d.Name == name || slices.Contains(synonym, d.Name):
			cost = -1
		case strings.HasPrefix(d.Name, name+"_"):
			cost = 0
		case cost <= max(1, len(name)/4):
		case len(name) > 2 && strings.Contains(d.Name, name):
			cost = len(name)
		default:
			continue
		}
		found = append(found, candidate{d.Name, cost})
	}
	slices.SortStableFunc(found, func(a, b candidate) int { return cmp.Compare(a.cost, b.cost) })
	var out []string
	for _, c := range found[:min(3, len(found))] {
		out = append(out, c.name)
	}
	return out
}

// synonyms are the names of scikit-learn's scorers, of MLflow and of the trade.
func synonyms(name string) []string {
	name = strings.TrimPrefix(name, "neg_")
	switch name {
	case "auc", "auroc", "roc_auc":
		return []string{"roc_auc_score", "roc_auc_score_ovr"}
	case "ap", "auprc", "pr_auc", "average_precision", "precision_recall_auc":
		return []string{"average_precision_score"}
	case "acc":
		return []string{"accuracy_score"}
	case "mcc":
		return []string{"matthews_corrcoef"}
	case "kappa":
		return []string{"cohen_kappa_score"}
	case "logloss", "cross_entropy", "nll":
		return []string{"log_loss"}
	case "brier", "brier_score":
		return []string{"brier_score_loss"}
	case "ece":
		return []string{"expected_calibration_error"}
	case "sensitivity", "tpr":
		return []string{"recall_score"}
	case "specificity", "tnr":
		return []string{"true_negative_rate"}
	case "fpr":
		return []string{"false_positive_rate"}
	case "fnr":
		return []string{"false_negative_rate"}
	case "ppv":
		return []string{"precision_score"}
	case "f2", "f2_score":
		return []string{"fbeta_score_2"}
	case "f0.5", "f0.5_score", "f05_score":
		return []string{"fbeta_score_0.5"}
	case "fbeta", "fbeta_score":
		return []string{"fbeta_score_2", "fbeta_score_0.5", "f1_score"}
	case "pinball", "quantile_loss":
		return []string{"mean_pinball_loss"}
	case "mae":
		return []string{"mean_absolute_error"}
	case "mse":
		return []string{"mean_squared_error"}
	case "rmse":
		return []string{"root_mean_squared_error"}
	case "rmsle":
		return []string{"root_mean_squared_log_error"}
	case "ndcg":
		return []string{"ndcg_score", "ndcg_score_k_10"}
	case "dcg":
		return []string{"dcg_score", "dcg_score_k_10"}
	case "mrr", "reciprocal_rank":
		return []string{"mean_reciprocal_rank"}
	case "map", "mean_average_precision_score":
		return []string{"mean_average_precision"}
	case "lrap":
		return []string{"label_ranking_average_precision_score"}
	case "mape":
		return []string{"mean_absolute_percentage_error"}
	}
	if base, k, ok := strings.Cut(strings.ReplaceAll(name, "@", "_at_"), "_at_"); ok {
		return []string{base + "_score_k_" + k, base + "_score"}
	}
	for _, suffix := range []string{"_macro", "_micro", "_weighted", "_samples"} {
		if base, ok := strings.CutSuffix(name, suffix); ok {
			return []string{base + "_score" + suffix}
		}
	}
	return []string{name}
}

// distance is the number of letters to insert, delete or replace (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
