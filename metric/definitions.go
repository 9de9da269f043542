package metric

import "github.com/assay-ml/assay"

func sklearn(name, since string) string   { return name + "@sklearn>=" + since }
func fairlearn(name, since string) string { return name + "@fairlearn>=" + since }
func own(name string) string              { return name + "@assay/1" }

func binaryOnly() []assay.Task { return []assay.Task{assay.Binary} }
func singleLabel() []assay.Task {
	return []assay.Task{assay.Binary, assay.Multiclass}
}
func severalClasses() []assay.Task { return []assay.Task{assay.Multiclass, assay.Multilabel} }
func multilabelOnly() []assay.Task { return []assay.Task{assay.Multilabel} }
func everyClassification() []assay.Task {
	return []assay.Task{assay.Binary, assay.Multiclass, assay.Multilabel}
}

type labelScore func(truth, pred []int32, o LabelOptions) (Value, error)

func fromLabels(f labelScore, a Average) computation {
	return by(func(in *Input) (Value, error) { return f(in.Truth, in.Labels, in.labelOptions(a)) })
}

// whole is a label metric that has no average.
func whole(f labelScore) computation { return fromLabels(f, Macro) }

// fromCounts is a score of two-by-two tables under an average.
func fromCounts(f countScore, a Average) computation {
	c := fromLabels(func(truth, pred []int32, o LabelOptions) (Value, error) { return setScore(truth, pred, o, f) }, a)
	if a == Samples {
		return c
	}
	c.tables = func(counts []Counts) Value {
		v, _ := oneVsRest{counts: counts}.average(LabelOptions{Average: a}, f) // it fails for no average of tables
		return v
	}
	return c.counted(averaged(f, a))
}

func labelDefinitions() []Definition {
	kappa := func(w KappaWeight) computation {
		return whole(func(a, b []int32, o LabelOptions) (Value, error) { return CohenKappaScore(a, b, w, o) }).
			counted(plainly(func(c Confusion) Value { return c.choose(c.present()).kappa(w) }))
	}
	likelihood := func(negative bool) computation {
		f := likelihoodOf(negative)
		return by(func(in *Input) (Value, error) {
			c, err := countLabels(in.Truth, in.Labels, in.labelOptions(Macro))
			if err != nil {
				return Value{}, err
			}
			return f(c, in.Positive)
		}).counted(f)
	}
	defs := []Definition{
		{
			"accuracy_score", sklearn("accuracy_score", "1.8"), true, everyClassification(), NeedLabels,
			"Share of rows whose label is right; of a multilabel row, every label. In [0,1].", whole(AccuracyScore).counted(plainly(Confusion.accuracy)).rows(hits(false)),
		},
		{
			"balanced_accuracy_score", sklearn("balanced_accuracy_score", "1.8"), true, singleLabel(), NeedLabels,
			"Mean recall over the classes of the truth. In [0,1].", whole(BalancedAccuracyScore).counted(plainly(Confusion.balanced)),
		},
		{
			"matthews_corrcoef", sklearn("matthews_corrcoef", "1.8"), true, singleLabel(), NeedLabels,
			"Correlation of truth and prediction. In [-1,1]; 0 for a constant prediction.", whole(MatthewsCorrcoef).counted(plainly(Confusion.matthews)),
		},
		{
			"cohen_kappa_score", sklearn("cohen_kappa_score", "1.8"), true, singleLabel(), NeedLabels,
			"Agreement beyond chance. At most 1; undefined when both columns hold one same class.", kappa(KappaUnweighted),
		},
		{
			"cohen_kappa_score_linear", sklearn("cohen_kappa_score_linear", "1.8"), true,
			[]assay.Task{assay.Multiclass},
			NeedLabels,
			"Kappa with linear weights: the classes are in order. At most 1.", kappa(KappaLinear),
		},
		{
			"cohen_kappa_score_quadratic", sklearn("cohen_kappa_score_quadratic", "1.8"), true,
			[]assay.Task{assay.Multiclass},
			NeedLabels,
			"Kappa with quadratic weights: the classes are in order. At most 1.", kappa(KappaQuadratic),
		},
		{
			"hamming_loss", sklearn("hamming_loss", "1.8"), false, everyClassification(), NeedLabels,
			"Share of labels that are wrong. In [0,1].", whole(HammingLoss).counted(plainly(Confusion.zeroOneLoss)).rows(wrongShare),
		},
		{
			"zero_one_loss", sklearn("zero_one_loss", "1.8"), false, everyClassification(), NeedLabels,
			"Share of rows whose label is wrong; of a multilabel row, any label. In [0,1].", whole(ZeroOneLoss).counted(plainly(Confusion.zeroOneLoss)).rows(hits(true)),
		},
		{
			"positive_likelihood_ratio", sklearn("class_likelihood_ratios[0]", "1.8"), true, binaryOnly(), NeedLabels,
			"Sensitivity / (1 - specificity). At least 0; undefined without a false positive.", likelihood(false),
		},
		{
			"negative_likelihood_ratio", sklearn("class_likelihood_ratios[1]", "1.8"), false, binaryOnly(), NeedLabels,
			"(1 - sensitivity) / specificity. At least 0; undefined without a true negative.", likelihood(true),
		},
		{
			"false_positive_rate", fairlearn("false_positive_rate", "0.12"), false, binaryOnly(), NeedLabels,
			"Share of the negatives that are predicted positive. In [0,1].", fromCounts(Counts.FalsePositiveRate, Positive),
		},
		{
			"false_negative_rate", fairlearn("false_negative_rate", "0.12"), false, binaryOnly(), NeedLabels,
			"Share of the positives that are predicted negative. In [0,1].", fromCounts(Counts.FalseNegativeRate, Positive),
		},
		{
			"true_negative_rate", fairlearn("true_negative_rate", "0.12"), true, binaryOnly(), NeedLabels,
			"Share of the negatives that are predicted negative: specificity. In [0,1].", fromCounts(Counts.TrueNegativeRate, Positive),
		},
	}
	for _, m := range []struct {
		name, doc string
		f         countScore
	}{
		{"precision_score", "Share of the predicted positives that are positive. In [0,1].", Counts.Precision},
		{"recall_score", "Share of the positives that are predicted positive. In [0,1].", Counts.Recall},
		{"f1_score", "Harmonic mean of precision and recall. In [0,1].", func(n Counts, z ZeroDivision) Value { return n.Fbeta(1, z) }},
		{"fbeta_score_2", "F-score in which recall counts twice as much as precision (beta 2). In [0,1].", func(n Counts, z ZeroDivision) Value { return n.Fbeta(2, z) }},
		{"fbeta_score_0.5", "F-score in which precision counts twice as much as recall (beta 0.5). In [0,1].", func(n Counts, z ZeroDivision) Value { return n.Fbeta(0.5, z) }},
		{"jaccard_score", "Intersection over union of true and predicted positives. In [0,1].", Counts.Jaccard},
	} {
		for _, a := range []struct {
			suffix, doc string
			tasks       []assay.Task
			average     Average
		}{
			{"", "", binaryOnly(), Positive},
			{"_macro", " Mean over the classes.", everyClassification(), Macro},
			{"_micro", " Of the counts of all classes.", everyClassification(), Micro},
			{"_weighted", " Mean over the classes, weighted by how often each is true.", everyClassification(), Weighted},
			{"_samples", " Mean over the rows.", multilabelOnly(), Samples},
		} {
			name := m.name + a.suffix
			defs = append(defs, Definition{name, sklearn(name, "1.8"), true, a.tasks, NeedLabels, m.doc + a.doc, fromCounts(m.f, a.average)})
		}
	}
	return defs
}

func scoreDefinitions() []Definition {
	type rankScore func([]int32, []float64, RankOptions) (Value, error)
	two := func(f rankScore) computation {
		return by(func(in *Input) (Value, error) {
			truth, p, err := in.binary()
			if err != nil {
				return Value{}, err
			}
			return f(truth, p, RankOptions{Weights: in.Weights})
		})
	}
	partial := func(rate float64) rankScore {
		return func(truth []int32, p []float64, o RankOptions) (Value, error) {
			o.MaxFPR = rate
			return RocAucScore(truth, p, o)
		}
	}
	many := func(f rankScore, a Average, m Multiclass) computation {
		return by(func(in *Input) (Value, error) { return f(in.Truth, in.Proba, in.rankOptions(a, m)) })
	}
	topK := func(k int) computation {
		return by(func(in *Input) (Value, error) {
			return TopKAccuracyScore(in.Truth, in.Proba, k, ProbaOptions{in.Weights, len(in.Classes)})
		})
	}
	multiclass := []assay.Task{assay.Multiclass}
	const auc = "Probability that a positive row scores higher than a negative one. In [0,1], 0.5 is chance; undefined when a class is missing."
	const ap = "Mean precision over the recall gained at each threshold: a step sum. In [0,1], the share of positives is chance."
	return []Definition{
		{"roc_auc_score", sklearn("roc_auc_score", "1.6"), true, binaryOnly(), NeedScores, auc, two(RocAucScore)},
		{
			"roc_auc_score_max_fpr_0.1", sklearn("roc_auc_score_max_fpr_0.1", "1.6"), true, binaryOnly(), NeedScores,
			"Area under the ROC curve up to a false positive rate of 0.1, rescaled after McClish. In [0,1], 0.5 is chance; undefined when a class is missing.", two(partial(0.1)),
		},
		{
			"roc_auc_score_ovr", sklearn("roc_auc_score_ovr", "1.6"), true, multiclass, NeedScores,
			auc + " Each class against the rest, plain mean.", many(RocAucScore, Macro, OneVsRestMean),
		},
		{
			"roc_auc_score_ovr_weighted", sklearn("roc_auc_score_ovr_weighted", "1.6"), true, multiclass, NeedScores,
			auc + " Each class against the rest, weighted by how often it is true.", many(RocAucScore, Weighted, OneVsRestMean),
		},
		{
			"roc_auc_score_ovo", sklearn("roc_auc_score_ovo", "1.6"), true, multiclass, NeedScores,
			auc + " Each pair of classes both ways, plain mean; takes no weights.", many(RocAucScore, Macro, OneVsOneMean),
		},
		{
			"roc_auc_score_ovo_weighted", sklearn("roc_auc_score_ovo_weighted", "1.6"), true, multiclass, NeedScores,
			auc + " Each pair of classes both ways, weighted by their rows; takes no weights.", many(RocAucScore, Weighted, OneVsOneMean),
		},
		{
			"roc_auc_score_macro", sklearn("roc_auc_score_macro", "1.6"), true, multilabelOnly(), NeedScores,
			auc + " Mean over the labels.", many(RocAucScore, Macro, ""),
		},
		{
			"roc_auc_score_micro", sklearn("roc_auc_score_micro", "1.6"), true, multilabelOnly(), NeedScores,
			auc + " Over all cells.", many(RocAucScore, Micro, ""),
		},
		{
			"roc_auc_score_weighted", sklearn("roc_auc_score_weighted", "1.6"), true, multilabelOnly(), NeedScores,
			auc + " Mean over the labels, weighted by how often each is true.", many(RocAucScore, Weighted, ""),
		},
		{"average_precision_score", sklearn("average_precision_score", "1.6"), true, binaryOnly(), NeedScores, ap, two(AveragePrecisionScore)},
		{
			"average_precision_score_macro", sklearn("average_precision_score_macro", "1.6"), true, severalClasses(), NeedScores,
			ap + " Mean over the classes.", many(AveragePrecisionScore, Macro, ""),
		},
		{
			"average_precision_score_micro", sklearn("average_precision_score_micro", "1.6"), true, severalClasses(), NeedScores,
			ap + " Over all cells.", many(AveragePrecisionScore, Micro, ""),
		},
		{
			"average_precision_score_weighted", sklearn("average_precision_score_weighted", "1.6"), true, severalClasses(), NeedScores,
			ap + " Mean over the classes, weighted by how often each is true.", many(AveragePrecisionScore, Weighted, ""),
		},
		{
			"average_precision_score_samples", sklearn("average_precision_score_samples", "1.6"), true, multilabelOnly(), NeedScores,
			ap + " Mean over the rows.", many(AveragePrecisionScore, Samples, ""),
		},
		{"top_k_accuracy_score", sklearn("top_k_accuracy_score", "1.8"), true, multiclass, NeedScores, "Share of rows whose true class is among the two that score highest. In [0,1].", topK(2)},
		{"top_k_accuracy_score_3", sklearn("top_k_accuracy_score_3", "1.8"), true, multiclass, NeedScores, "Share of rows whose true class is among the three that score highest. In [0,1].", topK(3)},
		{"top_k_accuracy_score_5", sklearn("top_k_accuracy_score_5", "1.8"), true, multiclass, NeedScores, "Share of rows whose true class is among the five that score highest. In [0,1].", topK(5)},
	}
}

func probabilityDefinitions() []Definition {
	from := func(f func([]int32, []float64, ProbaOptions) (Value, error)) computation {
		return by(func(in *Input) (Value, error) {
			truth, p, o, err := in.proba()
			if err != nil {
				return Value{}, err
			}
			return f(truth, p, o)
		})
	}
	calibration := func(f func(CalibrationCurve) float64) computation {
		return by(func(in *Input) (Value, error) {
			truth, p, err := in.binary()
			if err != nil {
				return Value{}, err
			}
			c, err := NewCalibrationCurve(truth, p, in.Weights, DefaultBins, UniformBins)
			if err != nil {
				return Value{}, err
			}
			return defined(f(c)), nil
		})
	}
	return []Definition{
		{
			"log_loss", sklearn("log_loss", "1.7"), false, singleLabel(), NeedProbabilities,
			"Mean of -ln of the probability of the true class, clipped at 2^-52. At least 0.", from(LogLoss).rows(rowLosses(proba.rowLogLoss)),
		},
		{
			"brier_score_loss", sklearn("brier_score_loss", "1.7"), false, singleLabel(), NeedProbabilities,
			"Mean squared distance of the probabilities from the truth. In [0,1] for two classes, in [0,2] for more.",
			from(func(t []int32, p []float64, o ProbaOptions) (Value, error) { return BrierScoreLoss(t, p, BrierAuto, o) }).
				rows(rowLosses(proba.rowBrier)),
		},
		{
			"d2_log_loss_score", sklearn("d2_log_loss_score", "1.7"), true, singleLabel(), NeedProbabilities,
			"Share of the log loss of the class shares that is saved. At most 1, 0 for the class shares.", from(D2LogLossScore),
		},
		{
			"d2_brier_score", sklearn("d2_brier_score", "1.8"), true, singleLabel(), NeedProbabilities,
			"Share of the Brier score of the class shares that is saved. At most 1, 0 for the class shares.", from(D2BrierScore),
		},
		{
			"expected_calibration_error", own("expected_calibration_error"), false, binaryOnly(), NeedProbabilities,
			"Mean distance of probability and share of positives over 10 bins of equal width. In [0,1].", calibration(CalibrationCurve.ECE),
		},
		{
			"maximum_calibration_error", own("maximum_calibration_error"), false, binaryOnly(), NeedProbabilities,
			"Greatest distance of probability and share of positives over 10 bins of equal width. In [0,1].", calibration(CalibrationCurve.MCE),
		},
	}
}

func valueDefinitions() []Definition {
	regression := []assay.Task{assay.Regression}
	from := func(f func([]float64, []float64, ValueOptions) (Value, error)) computation {
		return by(func(in *Input) (Value, error) { return f(in.Target, in.Values, ValueOptions{Weights: in.Weights}) })
	}
	type valueScore = func([]float64, []float64, ValueOptions) (Value, error)
	pinballAt := func(alpha float64) valueScore {
		return func(y, p []float64, o ValueOptions) (Value, error) { return MeanPinballLoss(y, p, alpha, o) }
	}
	tweedieAt := func(power float64) valueScore {
		return func(y, p []float64, o ValueOptions) (Value, error) { return MeanTweedieDeviance(y, p, power, o) }
	}
	savedAt := func(alpha float64) valueScore {
		return func(y, p []float64, o ValueOptions) (Value, error) { return D2PinballScore(y, p, alpha, o) }
	}
	var defs []Definition
	for _, d := range []struct {
		name, since string
		higher      bool
		doc         string
		f           valueScore
		row         func(y, p float64) float64
	}{
		{"mean_squared_error", "1.8", false, "Mean squared error, in the squared unit of the truth.", MeanSquaredError, squared},
		{"root_mean_squared_error", "1.8", false, "Root of the mean squared error, in the unit of the truth.", RootMeanSquaredError, nil},
		{"mean_absolute_error", "1.8", false, "Mean absolute error, in the unit of the truth.", MeanAbsoluteError, absolute},
		{"median_absolute_error", "1.8", false, "Median absolute error, in the unit of the truth.", MedianAbsoluteError, nil},
		{"max_error", "1.8", false, "Greatest absolute error, in the unit of the truth; weights do not count.", MaxError, nil},
		{"mean_absolute_percentage_error", "1.8", false, "Mean of |error| / |truth|, a fraction; a zero in the truth makes it about 1e15.", MeanAbsolutePercentageError, percentage},
		{"mean_squared_log_error", "1.8", false, "Mean squared error of ln(1 + value); values above -1.", MeanSquaredLogError, squaredLogs},
		{"root_mean_squared_log_error", "1.8", false, "Root of the mean squared error of ln(1 + value); values above -1.", RootMeanSquaredLogError, nil},
		{"mean_poisson_deviance", "1.8", false, "Mean Poisson deviance; truth at least 0, predictions above 0.", MeanPoissonDeviance, tweedie(1)},
		{"mean_gamma_deviance", "1.8", false, "Mean gamma deviance; truth and predictions above 0.", MeanGammaDeviance, tweedie(2)},
		{"mean_tweedie_deviance_1.5", "1.8", false, "Mean Tweedie deviance of power 1.5, between Poisson and gamma: amounts with zeros; truth at least 0, predictions above 0.", tweedieAt(1.5), tweedie(1.5)},
		{"mean_pinball_loss", "1.8", false, "Mean pinball loss of the median: half of the mean absolute error, in the unit of the truth.", pinballAt(0.5), pinball(0.5)},
		{"mean_pinball_loss_0.1", "1.8", false, "Mean pinball loss of the quantile 0.1, in the unit of the truth.", pinballAt(0.1), pinball(0.1)},
		{"mean_pinball_loss_0.9", "1.8", false, "Mean pinball loss of the quantile 0.9, in the unit of the truth.", pinballAt(0.9), pinball(0.9)},
		{"r2_score", "1.8", true, "Share of the variance that is explained. At most 1, 0 for the mean; undefined for one row.", R2Score, nil},
		{"explained_variance_score", "1.8", true, "Share of the variance that is explained, not counting a constant error. At most 1.", ExplainedVarianceScore, nil},
		{"d2_absolute_error_score", "1.8", true, "Share of the absolute error of the median that is saved. At most 1, 0 for the median.", D2AbsoluteErrorScore, nil},
		{"d2_pinball_score", "1.8", true, "Share of the pinball loss of the median that is saved. At most 1, 0 for the median.", savedAt(0.5), nil},
		{"d2_pinball_score_0.1", "1.8", true, "Share of the pinball loss of the quantile 0.1 that is saved. At most 1, 0 for that quantile.", savedAt(0.1), nil},
		{"d2_pinball_score_0.9", "1.8", true, "Share of the pinball loss of the quantile 0.9 that is saved. At most 1, 0 for that quantile.", savedAt(0.9), nil},
	} {
		c := from(d.f)
		if d.row != nil {
			c = c.rows(rowErrors(d.row))
		}
		defs = append(defs, Definition{d.name, sklearn(d.name, d.since), d.higher, regression, NeedValues, d.doc, c})
	}
	return defs
}

func groupDefinitions() []Definition {
	from := func(f func(truth, pred, groups []int32, o FairnessOptions) (Value, error)) computation {
		return by(func(in *Input) (Value, error) {
			var p assay.Problems
			checkBinary(&p, in.Truth)
			checkClasses(&p, "the prediction of row", in.Labels, 2)
			if err := p.Err(assay.Invalid, "two classes"); err != nil {
				return Value{}, err
			}
			truth, pred := in.Truth, in.Labels
			if in.Positive == 0 {
				truth, pred = OneVsRest(truth, 0), OneVsRest(pred, 0)
			}
			return f(truth, pred, in.Groups, FairnessOptions{Weights: in.Weights})
		})
	}
	const worse = " The worse of the two is taken."
	return []Definition{
		{
			"demographic_parity_difference", fairlearn("demographic_parity_difference", "0.12"), false, binaryOnly(), NeedGroups,
			"Greatest less smallest selection rate over the groups. In [0,1], 0 is equal.", from(DemographicParityDifference),
		},
		{
			"demographic_parity_ratio", fairlearn("demographic_parity_ratio", "0.12"), true, binaryOnly(), NeedGroups,
			"Smallest by greatest selection rate over the groups. In [0,1], 1 is equal.", from(DemographicParityRatio),
		},
		{
			"equal_opportunity_difference", fairlearn("equal_opportunity_difference", "0.12"), false, binaryOnly(), NeedGroups,
			"Greatest less smallest true positive rate over the groups. In [0,1], 0 is equal.", from(EqualOpportunityDifference),
		},
		{
			"equal_opportunity_ratio", fairlearn("equal_opportunity_ratio", "0.12"), true, binaryOnly(), NeedGroups,
			"Smallest by greatest true positive rate over the groups. In [0,1], 1 is equal.", from(EqualOpportunityRatio),
		},
		{
			"equalized_odds_difference", fairlearn("equalized_odds_difference", "0.12"), false, binaryOnly(), NeedGroups,
			"Greatest less smallest true and false positive rate over the groups. In [0,1], 0 is equal." + worse, from(EqualizedOddsDifference),
		},
		{
			"equalized_odds_ratio", fairlearn("equalized_odds_ratio", "0.12"), true, binaryOnly(), NeedGroups,
			"Smallest by greatest true and false positive rate over the groups. In [0,1], 1 is equal." + worse, from(EqualizedOddsRatio),
		},
	}
}
