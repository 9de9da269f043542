package assay

import "fmt"

// Evaluation is the payload of KindEvaluation. The subject is the model's digest.
type Evaluation struct {
	Data          Digest           `json:"data" names:"content"`   // content of the data set
	Split         Digest           `json:"split" names:"evidence"` // evidence id
	Part          string           `json:"part"`
	Rows          Digest           `json:"rows" names:"content"` // of the row ids that were scored
	Count         int64            `json:"count"`
	Final         bool             `json:"final"`                                   // read from the sealed part
	Read          int              `json:"read,omitempty"`                          // which read of the sealed part this was, from 1
	Configuration Digest           `json:"configuration,omitempty" names:"content"` // of the settings of the evaluation
	Level         float64          `json:"level"`
	Seed          uint64           `json:"seed"`
	Replicates    int              `json:"replicates"`
	Task          Task             `json:"task"`
	Classes       []string         `json:"classes,omitempty"`
	Positive      string           `json:"positive,omitempty"`
	Engine        string           `json:"engine,omitempty"`  // what evaluated the model: onnxruntime with its version, python_function; empty: Assay, or a file of predictions
	Clipped       int64            `json:"clipped,omitempty"` // probabilities that float32 rounding had put outside 0 to 1, and that count as the bound
	Threshold     Number           `json:"threshold"`
	Entity        string           `json:"entity,omitempty"`      // intervals resample whole entities
	Weight        string           `json:"weight,omitempty"`      // the column that says how many rows each stands for
	Effective     float64          `json:"effective_n,omitempty"` // of weighted rows: how many of equal weight know as much (Kish)
	Primary       string           `json:"primary"`
	Baseline      string           `json:"baseline"` // what the model was held against: prior, majority, …
	Metrics       []Metric         `json:"metrics"`
	Business      *Metric          `json:"business,omitempty"`
	Labels        []LabelScores    `json:"labels,omitempty"`  // of a multilabel task: each label as a binary task of its own
	Queries       *Queries         `json:"queries,omitempty"` // of a ranking, whose Count is of queries
	Slices        []Slice          `json:"slices"`
	SliceRule     string           `json:"slice_rule,omitempty"`   // what a slice is judged by: baseline, or rest (all other rows; also where it is missing)
	SliceMargin   float64          `json:"slice_margin,omitempty"` // how much worse than that a slice may be, in the unit of the primary metric
	SliceLimit    *float64         `json:"slice_limit,omitempty"`  // the worst value of the primary metric that a slice may have
	Fairness      []Disparity      `json:"fairness"`
	Confusion     [][]int64        `json:"confusion,omitempty"` // rows true, columns predicted, in the order of Classes
	Calibration   []CalibrationBin `json:"calibration,omitempty"`
	Curves        Digest           `json:"curves,omitempty" names:"blob"` // blob: ROC, PR, lift and threshold table
}

// ClippedSentence says what was done to probabilities that rounding had put outside 0 to 1; empty without any.
func (e Evaluation) ClippedSentence() string { return ClippedSentence(e.Clipped) }

// ClippedSentence says of how many probabilities float32 rounding was taken back; empty of none.
func ClippedSentence(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("Probabilities that rounding in float32 had put outside 0 to 1, by at most 0.000001, and that count as the bound: %s.", FormatCount(n))
}

// Metric is one score with its interval, beside the baseline's.
type Metric struct {
	Name       string   `json:"name"`
	Definition string   `json:"definition"` // "roc_auc_score@sklearn>=1.6"
	Higher     bool     `json:"higher_is_better"`
	Estimate   Estimate `json:"estimate"`
	Baseline   Estimate `json:"baseline"`
	Gain       Estimate `json:"gain"`              // paired difference to the baseline; positive is better whatever the metric's direction
	Verdict    Verdict  `json:"verdict"`           // Gain is above 0
	Caution    string   `json:"caution,omitempty"` // why an interval must not be relied on; one of the gain makes the verdict undetermined
}

// LabelScores are the scores of one label of a multilabel task. Their verdicts are not corrected for the number of labels and decide
// nothing.
type LabelScores struct {
	Name      string    `json:"name"`
	Positives int64     `json:"positives"` // rows of which it is true
	Metrics   []Metric  `json:"metrics"`
	Confusion [][]int64 `json:"confusion"` // rows true, columns predicted: not, then of the label
}

// Queries are the units of a ranking: what documents are ranked for, and what every metric is a mean over.
type Queries struct {
	Column    string `json:"column"`
	Documents int64  `json:"documents"`
	Barren    int64  `json:"without_relevant"` // queries without a relevant document: what they count is said by the metric's definition
}

// Units is the word for what an evaluation counts: queries of a ranking, else rows.
func (q *Queries) Units() string {
	if q == nil {
		return "rows"
	}
	return "queries"
}

// Sentence says what a ranking is judged by.
func (q Queries) Sentence() string {
	text := fmt.Sprintf("%s documents, ranked by %s; every figure is a mean over queries.", FormatCount(q.Documents), q.Column)
	if q.Barren > 0 {
		text += fmt.Sprintf(" Queries without a relevant document: %s; whatever their order, they count 0 in gains, precision and reciprocal rank.", FormatCount(q.Barren))
	}
	return text
}

// Slice is the same scores on some of the rows. Reference and Gain are of the primary metric, and decide unless the rule is "rest".
type Slice struct {
	Name      string        `json:"name"` // "SEX = 1", "AGEP 18–29", "SEX = 1 & RAC1P = 2"
	Count     int64         `json:"count"`
	Positives *int64        `json:"positives,omitempty"`   // absent where it is withheld: of sealed rows, in a slice that is too small to be told
	Effective float64       `json:"effective_n,omitempty"` // of weighted rows: how many of equal weight know as much (Kish)
	Metrics   []SliceMetric `json:"metrics"`
	Reference *Estimate     `json:"reference,omitempty"` // the baseline on the same rows
	Gain      *Estimate     `json:"gain,omitempty"`      // paired difference to it on the same rows, positive is better
	PValue    *Number       `json:"p_value,omitempty"`   // that the slice is as bad as the margin allows, corrected over the slices
	Verdict   Verdict       `json:"verdict"`             // pass: certainly not worse beyond the margin; fail: certainly worse, after correction over the slices
	Reason    string        `json:"reason,omitempty"`    // of a verdict that is not pass
}

// SliceSentence says what the verdicts on the slices of an evaluation mean.
func (e Evaluation) SliceSentence() string {
	margin, limit := "", ""
	if e.SliceMargin > 0 {
		margin = fmt.Sprintf(" by more than %v", e.SliceMargin)
	}
	if e.SliceLimit != nil {
		limit = fmt.Sprintf(" Nor may its value be worse than %v.", *e.SliceLimit)
	}
	if e.SliceRule != "baseline" {
		return "A slice fails when it is certainly worse than all other rows" + margin + ", after the correction over the slices." + limit
	}
	return "A slice passes when the model is certainly not worse there than the baseline on the same rows" + margin +
		", and fails when it certainly is, after the correction over the slices." + limit + " The gap to the rest says how hard a slice is, and does not decide."
}

// WeightSentence says what the weights of an evaluation's rows do; empty without weights.
func (e Evaluation) WeightSentence() string {
	if e.Weight == "" {
		return ""
	}
	return fmt.Sprintf("Rows are weighted by %s: they tell as much as %s rows of equal weight.", e.Weight, FormatCount(int64(e.Effective)))
}

// SliceMetric is one metric on one slice. The gap says how much harder or easier the slice is; it decides only under the rule "rest".
type SliceMetric struct {
	Name     string   `json:"name"`
	Estimate Estimate `json:"estimate"`
	Gap      Estimate `json:"gap"`     // slice minus all other rows, positive is better
	PValue   Number   `json:"p_value"` // of no gap, corrected over the slices
}

// Disparity is one group-fairness figure over the groups of a sensitive column.
type Disparity struct {
	Column   string   `json:"column"`
	Name     string   `json:"name"` // demographic_parity_difference, equalized_odds_ratio, …
	Estimate Estimate `json:"estimate"`
	Low      string   `json:"low"`      // the group with the smallest rate
	High     string   `json:"high"`     // the group with the largest rate
	Left     []string `json:"left_out"` // groups with too few of the rows that the figure is a rate of: of all, of positives or of negatives
}

// CalibrationBin is one bin of the reliability curve.
type CalibrationBin struct {
	Lower    float64  `json:"lower"`
	Upper    float64  `json:"upper"`
	Mean     float64  `json:"mean_predicted"`
	Fraction Estimate `json:"fraction_positive"`
}

// Comparison is the payload of KindComparison: a candidate against another model on the same rows. The subject is the candidate's
// digest.
type Comparison struct {
	Candidate     Digest             `json:"candidate" names:"content"`
	Reference     Digest             `json:"reference" names:"content"` // the other model's digest; empty when it is a baseline
	Name          string             `json:"name"`                      // the other model's name, or the baseline's
	Split         Digest             `json:"split" names:"evidence"`
	Rows          Digest             `json:"rows" names:"content"`
	Part          string             `json:"part,omitempty"`                          // of the split whose rows these are: test is the sealed part
	Configuration Digest             `json:"configuration,omitempty" names:"content"` // of the settings of the evaluation
	Level         float64            `json:"level,omitempty"`                         // of the intervals
	Count         int64              `json:"count"`
	Engine        string             `json:"engine,omitempty"`      // what evaluated the candidate, as in an evaluation
	Clipped       int64              `json:"clipped,omitempty"`     // of both models, as in an evaluation
	Weight        string             `json:"weight,omitempty"`      // as in an evaluation
	Effective     float64            `json:"effective_n,omitempty"` // as in an evaluation
	Queries       *Queries           `json:"queries,omitempty"`     // of a ranking, as in an evaluation
	Margin        float64            `json:"margin"`                // how much worse still counts as not worse, in the metric's unit
	Primary       string             `json:"primary"`
	Metrics       []MetricDifference `json:"metrics"`
	Slices        []SliceDifference  `json:"slices,omitempty"` // of the primary metric
	Verdict       Verdict            `json:"verdict"`          // of the primary metric: non-inferior within the margin
	Better        Verdict            `json:"better"`           // of the primary metric: better than 0
}

// PartName says in words which rows a comparison was made on.
func (c Comparison) PartName() string {
	switch c.Part {
	case "":
		return "split"
	case Test:
		return "sealed test part"
	}
	return c.Part + " part"
}

// MetricDifference is one paired difference; positive means that the candidate is better, whatever the metric's direction.
type MetricDifference struct {
	Name       string   `json:"name"`
	Definition string   `json:"definition"`
	Candidate  Estimate `json:"candidate"`
	Reference  Estimate `json:"reference"`
	Difference Estimate `json:"difference"`
	PValue     Number   `json:"p_value"`
	Test       string   `json:"test"` // delong, mcnemar, paired_bootstrap, …
	Verdict    Verdict  `json:"verdict"`
	Caution    string   `json:"caution,omitempty"` // why the interval of the difference must not be relied on: the verdict is undetermined
}

// SliceDifference is the paired difference in the primary metric on some of the rows; positive means that the candidate is better.
type SliceDifference struct {
	Name       string   `json:"name"`
	Count      int64    `json:"count"`
	Positives  *int64   `json:"positives,omitempty"` // absent where it is withheld, as in an evaluation
	Candidate  Estimate `json:"candidate"`
	Reference  Estimate `json:"reference"`
	Difference Estimate `json:"difference"`
	PValue     Number   `json:"p_value"` // of a difference of minus the slices' margin, corrected over the slices
	Verdict    Verdict  `json:"verdict"` // pass: certainly not worse beyond the margin; fail: certainly worse, after correction over the slices
	Reason     string   `json:"reason,omitempty"`
}

// Disclosure is the payload of KindDisclosure: the sealed labels were used once more. The subject is the model's digest.
type Disclosure struct {
	Split         Digest   `json:"split" names:"evidence"`
	Rows          Digest   `json:"rows" names:"content"`
	Read          int      `json:"read"`                                    // 1 for the first read of these rows, under whatever name
	Level         float64  `json:"level"`                                   // 1 − α/k for the k-th read, α being the smallest that any read until then stated
	Metrics       []string `json:"metrics"`                                 // what was disclosed
	Configuration Digest   `json:"configuration,omitempty" names:"content"` // of the settings of the evaluation that it was disclosed to
	Reason        string   `json:"reason,omitempty"`                        // required from the second read on
}

// Curves is the document that Evaluation.Curves names: what a binary task's report draws. Every curve is thinned to a few hundred
// points, so that its size does not depend on the number of rows.
type Curves struct {
	Models     []ModelCurves   `json:"models"`     // the model, then its baseline
	Thresholds []ThresholdRow  `json:"thresholds"` // of the model, by falling threshold
	Scores     ScoreHistograms `json:"scores"`
}

// ModelCurves are the curves of one model, as points [x, y].
type ModelCurves struct {
	Name            string       `json:"name"`
	ROC             [][2]float64 `json:"roc"`              // false positive rate, true positive rate
	PrecisionRecall [][2]float64 `json:"precision_recall"` // recall, precision
	Lift            [][2]float64 `json:"lift"`             // share of rows selected, times as many positives as at random
}

// ThresholdRow says what follows from calling rows positive that score at least Threshold.
type ThresholdRow struct {
	Threshold float64  `json:"threshold"`
	Selected  float64  `json:"selected"` // share of rows called positive
	Precision Estimate `json:"precision"`
	Recall    Estimate `json:"recall"`
	FalseRate Estimate `json:"false_positive_rate"`
	F1        Number   `json:"f1"`
}

// ScoreHistograms count the model's scores by true class over equal bins of [0, 1].
type ScoreHistograms struct {
	Positive []int64 `json:"positive"`
	Negative []int64 `json:"negative"`
}
