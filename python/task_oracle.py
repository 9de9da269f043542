"""Writes metric/testdata/orders.json and testdata/oracle/task/: the scores of multilabel tasks and of rankings, and two small data sets with
predictions, by scikit-learn. Usage: python task_oracle.py REPOSITORY (scikit-learn==1.9.1, numpy==2.4.6).

scikit-learn scores a ranking of queries of equal length only. Here every query is scored alone and the scores are averaged. It has no
mean reciprocal rank: that is taken over all orders of the documents that tie. Two ONNX models of the articles (one output of four columns, four
outputs of one) need onnx==1.23.2."""
import csv
import itertools
import json
import os
import sys

import numpy as np
import onnx
import sklearn
from onnx import TensorProto, helper, numpy_helper
from sklearn import metrics as m

root = sys.argv[1]
PLACES = (1, 3, 5, 10, 20, 100)
HEADER = {"generator": "python/task_oracle.py: scikit-learn", "versions": {"scikit-learn": sklearn.__version__, "numpy": np.__version__},
          "seed": 11, "tolerance": {"rel": 1e-12, "abs": 1e-14}}
rng = np.random.default_rng(11)


def reciprocal_rank(y, s):
    """The mean over the orders of ties, by listing which of the tied places the relevant documents may take."""
    if not (y > 0).any():
        return 0.0
    best = s[y > 0].max()
    above, tied, hits = int((s > best).sum()), int((s == best).sum()), int(((s == best) & (y > 0)).sum())
    return float(np.mean([1 / (above + 1 + min(c)) for c in itertools.combinations(range(tied), hits)]))


def ranked(y, s, w=None):
    """Every metric of a ranking; y and s are lists, one array a query."""
    binary = all(set(np.unique(q)) <= {0, 1} for q in y)
    one = {"ndcg_score": lambda q, r: m.ndcg_score([q], [r]), "dcg_score": lambda q, r: m.dcg_score([q], [r]),
           "mean_average_precision": lambda q, r: m.average_precision_score(q > 0, r) if (q > 0).any() else 0.0,
           "mean_reciprocal_rank": reciprocal_rank}
    for k in PLACES:
        one[f"ndcg_score_k_{k}"] = lambda q, r, k=k: m.ndcg_score([q], [r], k=k)
        one[f"dcg_score_k_{k}"] = lambda q, r, k=k: m.dcg_score([q], [r], k=k)
    if binary:
        for name in ("label_ranking_average_precision_score", "coverage_error", "label_ranking_loss"):
            one[name] = lambda q, r, f=getattr(m, name): f([q.astype(int)], [r])
    return {name: float(np.average([f(q, r) for q, r in zip(y, s)], weights=w)) for name, f in one.items()}


def orders(y, s, w=None):
    out = {"ndcg_score": m.ndcg_score(y, s, sample_weight=w), "dcg_score": m.dcg_score(y, s, sample_weight=w)}
    for k in PLACES:
        out[f"ndcg_score_k_{k}"] = m.ndcg_score(y, s, k=k, sample_weight=w)
        out[f"dcg_score_k_{k}"] = m.dcg_score(y, s, k=k, sample_weight=w)
    for name in ("label_ranking_average_precision_score", "coverage_error", "label_ranking_loss"):
        out[name] = getattr(m, name)(y, s, sample_weight=w)
    return {k: float(v) for k, v in out.items()}


cases = []
y, s = (rng.uniform(size=(50, 4)) < 0.4).astype(int), np.round(rng.uniform(size=(50, 4)), 1)
for w in (None, np.round(rng.uniform(0.1, 3, 50), 2)):
    cases.append({"task": "multilabel", "classes": 4, "truth": y.ravel().tolist(), "labels": (s >= 0.5).astype(int).ravel().tolist(),
                  "proba": s.ravel().tolist(), "weights": None if w is None else w.tolist(), "want": orders(y, s, w)})
for top in (1, 3):
    sizes = rng.integers(2, 15, 25)
    y = [rng.integers(0, top + 1, n).astype(float) for n in sizes]
    y[3] = np.zeros(sizes[3])                     # nothing is relevant
    y[4] = np.full(sizes[4], float(top))          # everything is
    s = [np.round(rng.normal(size=n), 1) for n in sizes]
    s[5] = np.zeros(sizes[5])                     # everything ties
    group = np.repeat(np.arange(25), sizes)
    for w in (None, np.round(rng.uniform(0.1, 3, 25), 2)):
        order = rng.permutation(len(group))       # the rows of a query need not lie side by side
        cases.append({"task": "ranking", "classes": 0, "target": np.concatenate(y)[order].tolist(), "values": np.concatenate(s)[order].tolist(),
                      "groups": group[order].tolist(), "weights": None if w is None else w.tolist(), "want": ranked(y, s, w)})
json.dump({"header": HEADER, "cases": cases}, open(f"{root}/metric/testdata/orders.json", "w"), separators=(",", ":"))

out = f"{root}/testdata/oracle/task"
os.makedirs(out, exist_ok=True)


def write(name, head, rows):
    with open(f"{out}/{name}", "w", newline="") as f:
        c = csv.writer(f, lineterminator="\n")
        c.writerow(head)
        c.writerows(rows)


def parts(n):
    return np.array(["train", "validation", "test"])[rng.choice(3, n, p=(0.4, 0.3, 0.3))]


expected = {"header": HEADER}

# Articles with any of four subjects: each subject follows from two of the six measures.
n, labels = 600, ["news", "sport", "tech", "arts"]
x = np.round(rng.normal(size=(n, 6)), 3)
logit = x @ rng.normal(size=(6, 4)) * 1.3 + np.array([-0.5, -1.2, 0.0, -2.0])
y = (rng.uniform(size=(n, 4)) < 1 / (1 + np.exp(-logit))).astype(int)
part = parts(n)
section = rng.choice(["home", "world"], n)
write("articles.csv", ["id", "author", "part", "section", *[f"x{j}" for j in range(6)], *labels],
      [[i, f"a{i % 120}", part[i], section[i], *x[i], *y[i]] for i in range(n)])
for name, noise in (("good", 0.7), ("weak", 2.5)):
    p = np.round(1 / (1 + np.exp(-(logit + rng.normal(scale=noise, size=logit.shape)))), 3)
    write(f"articles_{name}.csv", ["id", *[f"probability_{c}" for c in labels]], [[i, *p[i]] for i in rng.permutation(n)])
    v = part == "validation"
    yv, pv = y[v], p[v]
    hard = (pv >= 0.5).astype(int)
    want = orders(yv, pv)
    for a in ("macro", "micro", "weighted"):
        want[f"roc_auc_score_{a}"] = m.roc_auc_score(yv, pv, average=a)
        want[f"average_precision_score_{a}"] = m.average_precision_score(yv, pv, average=a)
        for f in ("f1", "precision", "recall", "jaccard"):
            want[f"{f}_score_{a}"] = getattr(m, f"{f}_score")(yv, hard, average=a, zero_division=0)
    want["accuracy_score"], want["hamming_loss"], want["zero_one_loss"] = m.accuracy_score(yv, hard), m.hamming_loss(yv, hard), m.zero_one_loss(yv, hard)
    expected[f"articles_{name}"] = {k: float(z) for k, z in want.items()}
    expected[f"articles_{name}_labels"] = {c: {"roc_auc_score": float(m.roc_auc_score(yv[:, j], pv[:, j])), "average_precision_score": float(m.average_precision_score(yv[:, j], pv[:, j])),
                                               "f1_score": float(m.f1_score(yv[:, j], hard[:, j])), "precision_score": float(m.precision_score(yv[:, j], hard[:, j])),
                                               "recall_score": float(m.recall_score(yv[:, j], hard[:, j]))} for j, c in enumerate(labels)}

# Searches: documents of graded relevance, some queries without a relevant one, some scores that tie.
rows, scores = [], {"good": [], "weak": []}
for q in range(150):
    where, lang = rng.choice(["train", "validation", "test"], p=(0.3, 0.4, 0.3)), rng.choice(["en", "de"])
    for d in range(rng.integers(2, 13)):
        a, b = np.round(rng.normal(size=2), 2)
        rel = 0 if q % 25 == 7 else int(np.clip(np.round(a + 0.5 * b + rng.normal(scale=0.7)), 0, 3))
        rows.append([f"q{q}d{d}", f"q{q}", where, lang, a, b, rel])
        scores["good"].append(round(float(a + 0.5 * b), 1))
        scores["weak"].append(round(float(b + rng.normal()), 1))
order = rng.permutation(len(rows))
write("searches.csv", ["id", "query", "part", "language", "bm25", "clicks", "relevance"], [rows[i] for i in order])
for name, s in scores.items():
    write(f"searches_{name}.csv", ["id", "prediction"], [[rows[i][0], s[i]] for i in rng.permutation(len(rows))])
for name, s in [*scores.items(), ("constant", [0.0] * len(rows)), ("rule", [r[4] for r in rows])]:
    by = {}
    for r, v in zip(rows, s):
        if r[2] == "validation":
            by.setdefault(r[1], []).append((float(r[6]), v))
    expected[f"searches_{name}"] = ranked([np.array([a for a, _ in l]) for l in by.values()], [np.array([b for _, b in l]) for l in by.values()])
    expected["queries"] = {"count": len(by), "documents": sum(map(len, by.values())), "without_relevant": sum(not any(a > 0 for a, _ in l) for l in by.values())}

# The same logistic regressions as ONNX, in 32 bits: scores to 1e-6.
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.multiclass import OneVsRestClassifier  # noqa: E402

model = OneVsRestClassifier(LogisticRegression()).fit(x[part == "train"], y[part == "train"])
w = np.stack([e.coef_[0] for e in model.estimators_], 1).astype(np.float32)
b = np.array([e.intercept_[0] for e in model.estimators_], np.float32)
p = model.predict_proba(x[part == "validation"])
yv = y[part == "validation"]
expected["articles_onnx"] = {"roc_auc_score_macro": float(m.roc_auc_score(yv, p)), "hamming_loss": float(m.hamming_loss(yv, (p >= 0.5).astype(int))),
                             "f1_score_macro": float(m.f1_score(yv, (p >= 0.5).astype(int), average="macro")),
                             "label_ranking_average_precision_score": float(m.label_ranking_average_precision_score(yv, p))}
for name, nodes, outputs in (("one", [], [("probabilities", 4)]), ("four", [helper.make_node("Split", ["probabilities", "sizes"], labels, axis=1)], [(c, 1) for c in labels])):
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["input", "w", "b"], ["z"]), helper.make_node("Sigmoid", ["z"], ["probabilities"]), *nodes], name,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, 6])], [helper.make_tensor_value_info(o, TensorProto.FLOAT, [None, k]) for o, k in outputs],
        [numpy_helper.from_array(w, "w"), numpy_helper.from_array(b, "b"), *([numpy_helper.from_array(np.ones(4, np.int64), "sizes")] if nodes else [])])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), f"{out}/articles_{name}.onnx")
json.dump(expected, open(f"{out}/expected.json", "w"), indent=1)
