"""Writes examples/employment/naive_bayes.onnx: a model that goes wrong as real models do, for the demo of a canary.

usage: python python/naive_bayes.py examples/employment/train_2015.csv.gz examples/employment/naive_bayes.onnx

It is a naive Bayes classifier, fitted without smoothing on the first 1,000 rows of the file: the logarithm of the share of each code among
those at work and among the others, added up over the columns. A code that its class does not have gets the logarithm of 0. A row with one
code that nobody at work had and another that everybody had who was at work is impossible in both classes, and its probabilities are 0/0.
Rows like those that it was fitted on are answered well. The same input gives the same bytes.
"""

import csv
import gzip
import math
import sys

from onnx import TensorProto, checker, helper

ROWS = 1000
TARGET, LEFT_OUT = "employed", ("id", "year")
CLASSES = (0, 1)


def log(share):
    return math.log(share) if share > 0 else -math.inf


def main(source, out):
    with gzip.open(source, "rt", newline="") as f:
        rows = [row for _, row in zip(range(ROWS), csv.DictReader(f))]
    features = [c for c in rows[0] if c != TARGET and c not in LEFT_OUT]
    of = {k: [row for row in rows if int(row[TARGET]) == k] for k in CLASSES}

    nodes, scores = [], []
    for k in CLASSES:
        terms = []
        for c in features:
            codes = sorted({int(row[c]) for row in rows})
            shares = [sum(int(row[c]) == code for row in of[k]) / len(of[k]) for code in codes]
            terms.append(f"{c}_given_{k}")
            nodes.append(helper.make_node(
                "LabelEncoder", [c], [terms[-1]], domain="ai.onnx.ml",
                keys_int64s=codes, values_floats=[log(s) for s in shares], default_float=-math.inf,
            ))
        nodes.append(helper.make_node("Sum", [*terms, f"prior_{k}"], [f"score_{k}"]))
        scores.append(f"score_{k}")
    nodes += [
        helper.make_node("Concat", scores, ["scores"], axis=1),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes, "naive_bayes",
        [helper.make_tensor_value_info(c, TensorProto.INT64, ["rows", 1]) for c in features],
        [helper.make_tensor_value_info("label", TensorProto.INT64, ["rows"]),
         helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", len(CLASSES)])],
        [helper.make_tensor(f"prior_{k}", TensorProto.FLOAT, [1], [log(len(of[k]) / len(rows))]) for k in CLASSES],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 2)], ir_version=8)
    checker.check_model(model)
    with open(out, "wb") as f:
        f.write(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
