"""Writes testdata/oracle/stat/expected.json: performance without labels by the estimators of NannyML's CBPE, on given calibrated
probabilities. Usage: python expected_oracle.py OUTPUT_FOLDER (nannyml==0.13.1, pandas<3)."""
import json
import sys

import nannyml
import numpy as np
from nannyml.performance_estimation.confidence_based import metrics as m

rng = np.random.default_rng(7)
cases = []
for name, n, digits in (("distinct", 200, 12), ("ties", 150, 1), ("all predicted positive", 40, 12), ("small", 5, 12)):
    score = np.round(rng.uniform(size=n), digits)
    p = np.clip(score ** 1.5 * 0.9 + 0.03, 0, 1)  # calibrated: a function of the score
    pred = (score > (-1 if "all" in name else 0.4)).astype(int)
    v = {"accuracy": m.estimate_accuracy(pred, p), "precision": m.estimate_precision(pred, p), "recall": m.estimate_recall(pred, p),
         "f1": m.estimate_f1(pred, p), "auc": m.estimate_roc_auc(p, score)}
    if pred.min() == 0:
        v["specificity"] = m.estimate_specificity(pred, p)
    cases.append({"id": name, "fn": "cbpe", "args": {"p": p.tolist(), "predicted": pred.astype(bool).tolist(), "score": score.tolist()},
                  "value": {k: float(x) for k, x in v.items()}})
json.dump({"header": {"generator": "python/expected_oracle.py: nannyml.performance_estimation.confidence_based.metrics.estimate_*",
                      "versions": {"nannyml": nannyml.__version__, "numpy": np.__version__}, "seed": 7,
                      "note": "NannyML rounds the cumulative counts behind the AUC to 5 decimals", "tolerance": {"rel": 1e-9, "abs": 1e-5}},
           "cases": cases}, open(sys.argv[1] + "/expected.json", "w"), indent=1)
