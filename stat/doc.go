// Package stat holds the statistics that Assay decides with: intervals, tests, distances, corrections for many tests, resampling,
// seeded generators and the splitters of scikit-learn.
//
// It is pure: no file, no clock, no global state. Whatever is random takes a seed and draws from Rand, whose numbers are a function
// of (seed, stream, index) alone, so that neither the number of threads nor their order changes a result; RandomState exists only to
// repeat what NumPy drew. Quantities that somebody decides on are returned as assay.Estimate; a quantity that the data do not
// determine is NaN with a method that says why, never a made-up zero.
//
// Values are checked against SciPy, statsmodels, NumPy, scikit-learn, river, NannyML and R's pROC by the tables under testdata/oracle, within the
// tolerance that each table states. Functions are safe for concurrent use unless their type says otherwise.
//
// For monitoring it freezes a reference into Edges or Categories, counts windows into mergeable histograms, scores the counts
// (DriftScore) and calibrates the scores against windows without drift (NewNulls) at the level that an AlarmBudget comes to.
//
// The package deliberately does not read data, know metrics by name, or judge: it computes.
package stat
