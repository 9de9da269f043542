"""Writes weights.json: scikit-learn's metrics with sample_weight on small simulated rows. Run it with the versions its header names."""

import json

import numpy as np
import sklearn
from sklearn import metrics as m

rng = np.random.RandomState(20)


def weights(n):
    w = np.round(rng.lognormal(0, 1, n), 6)
    w[rng.choice(n, n // 10, replace=False)] = 0
    return w


def binary():
    n = 80
    y = (rng.uniform(size=n) < 0.4).astype(int)
    p = np.clip(np.round(1 / (1 + np.exp(-(1.5 * y - 0.7 + rng.normal(size=n)))), 2), 0.01, 0.99)
    w, hat = weights(n), (p >= 0.5).astype(int)
    k = dict(sample_weight=w)
    return dict(
        truth=y.tolist(), proba=p.tolist(), weight=w.tolist(),
        metrics=dict(
            accuracy_score=m.accuracy_score(y, hat, **k), precision_score=m.precision_score(y, hat, **k), recall_score=m.recall_score(y, hat, **k),
            f1_score=m.f1_score(y, hat, **k), balanced_accuracy_score=m.balanced_accuracy_score(y, hat, **k),
            matthews_corrcoef=m.matthews_corrcoef(y, hat, **k), cohen_kappa_score=m.cohen_kappa_score(y, hat, **k),
            roc_auc_score=m.roc_auc_score(y, p, **k), average_precision_score=m.average_precision_score(y, p, **k),
            log_loss=m.log_loss(y, p, **k), brier_score_loss=m.brier_score_loss(y, p, **k), d2_log_loss_score=m.d2_log_loss_score(y, p, **k),
        ),
    )


def multiclass():
    n = 90
    y = rng.randint(0, 3, n)
    p = rng.dirichlet([1, 1, 1], n) + 0.8 * np.eye(3)[y]
    p /= p.sum(axis=1, keepdims=True)
    w, hat = weights(n), p.argmax(axis=1)
    k = dict(sample_weight=w)
    return dict(
        truth=y.tolist(), proba=p.ravel().tolist(), weight=w.tolist(),
        metrics=dict(
            accuracy_score=m.accuracy_score(y, hat, **k), f1_score_macro=m.f1_score(y, hat, average="macro", **k),
            f1_score_weighted=m.f1_score(y, hat, average="weighted", **k), log_loss=m.log_loss(y, p, **k),
            roc_auc_score_ovr=m.roc_auc_score(y, p, multi_class="ovr", **k),
            roc_auc_score_ovr_weighted=m.roc_auc_score(y, p, multi_class="ovr", average="weighted", **k),
            top_k_accuracy_score=m.top_k_accuracy_score(y, p, k=2, **k),
        ),
    )


def regression():
    n = 70
    y = np.round(rng.normal(10, 3, n), 3)
    v, w = np.round(y + rng.normal(0.2, 1, n), 3), weights(n)
    k = dict(sample_weight=w)
    return dict(
        truth=y.tolist(), value=v.tolist(), weight=w.tolist(),
        metrics=dict(
            mean_absolute_error=m.mean_absolute_error(y, v, **k), mean_squared_error=m.mean_squared_error(y, v, **k),
            root_mean_squared_error=m.root_mean_squared_error(y, v, **k), median_absolute_error=m.median_absolute_error(y, v, **k),
            r2_score=m.r2_score(y, v, **k), explained_variance_score=m.explained_variance_score(y, v, **k),
            d2_absolute_error_score=m.d2_absolute_error_score(y, v, **k), mean_pinball_loss=m.mean_pinball_loss(y, v, **k),
        ),
    )


if __name__ == "__main__":
    origin = f"weights.py, scikit-learn {sklearn.__version__}, NumPy {np.__version__}; simulated rows, no licence needed"
    with open("weights.json", "w") as f:
        json.dump(dict(origin=origin, tolerance=1e-12, binary=binary(), multiclass=multiclass(), regression=regression()), f)
        f.write("\n")
