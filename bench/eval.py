"""A full evaluation with scikit-learn and NumPy: 8 metrics of a model on all rows and on 20 slices, percentile intervals of B replicates.

A few replicates are timed and B of them extrapolated; the work of a replicate does not depend on its number.
Usage: python bench/eval.py [rows] [replicates to time]
"""
import resource
import sys
import time

import numpy as np
import sklearn
from sklearn.metrics import (accuracy_score, average_precision_score, balanced_accuracy_score, brier_score_loss, f1_score, log_loss,
                             matthews_corrcoef, roc_auc_score)

n = int(sys.argv[1]) if len(sys.argv) > 1 else 277_677
timed = int(sys.argv[2]) if len(sys.argv) > 2 else 5
B = 2000

rng = np.random.default_rng(1)
y = (rng.random(n) < 0.49).astype(int)
p = 1 / (1 + np.exp(-(2.6 * y - 1.3) - 1.3 * rng.normal(size=n)))
sex, race, age, region = rng.integers(2, size=n), rng.integers(9, size=n), rng.integers(90, size=n), rng.integers(3, size=n)
bands = np.digitize(age, [16, 25, 35, 50, 65])
slices = [c == v for c, k in ((sex, 2), (race, 9), (bands, 6), (region, 3)) for v in range(k)]

SCORED = [roc_auc_score, average_precision_score, log_loss, brier_score_loss]
LABELLED = [accuracy_score, f1_score, balanced_accuracy_score, matthews_corrcoef]


def scores(y, p):
    label = (p >= 0.5).astype(int)
    return [f(y, p) for f in SCORED] + [f(y, label) for f in LABELLED]


start = time.perf_counter()
point = [scores(y, p)] + [scores(y[s], p[s]) for s in slices]
first = time.perf_counter() - start
start = time.perf_counter()
for _ in range(timed):
    i = rng.integers(n, size=n)
    by, bp = y[i], p[i]
    scores(by, bp)
    for s in slices:
        m = s[i]
        scores(by[m], bp[m])
each = (time.perf_counter() - start) / timed
print(f"scikit-learn {sklearn.__version__}, NumPy {np.__version__}: {n} rows, {len(slices)} slices, 8 metrics")
print(f"once {first:.2f} s; a replicate {each:.2f} s; {B} replicates {B * each:.0f} s (extrapolated from {timed})")
print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
