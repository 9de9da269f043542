"""Check that ONNX Runtime gives what a model file gave in Go.

usage: python onnx_equality.py FOLDER

For each NAME.onnx in FOLDER there is a NAME.csv: one column an input of the model (a missing number is an empty cell), and the
expected outputs in "expected:label" and "expected:value" or "expected:probability:0", "expected:probability:1", and so on. Prints one
line a model; exits 1 when any output differs by more than 1e-5 (absolute, or relative to the value), or a label differs although the
two best classes are further apart than that.
"""

import csv
import pathlib
import sys

import numpy
import onnxruntime

TOLERANCE = 1e-5
TYPES = {"tensor(float)": numpy.float32, "tensor(double)": numpy.float64, "tensor(int64)": numpy.int64}


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    return {name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])}


def tensor(cells, kind):
    if kind == "tensor(string)":
        return numpy.array(cells, dtype=object).reshape(-1, 1)
    return numpy.array([cell or "nan" for cell in cells]).astype(TYPES[kind]).reshape(-1, 1)


def expected_matrix(table):
    names = [n for n in table if n.startswith("expected:probability:")] or ["expected:value"]
    return numpy.array([[float(cell) for cell in table[n]] for n in names]).T


def compare(model):
    table = read(model.with_suffix(".csv"))
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    answers = session.run(None, {i.name: tensor(table[i.name], i.type) for i in session.get_inputs()})
    got = answers[-1].astype(float)
    want = expected_matrix(table)
    problems = []
    if got.shape != want.shape:
        return [f"shape {got.shape} instead of {want.shape}"], float("nan")
    gap = numpy.abs(got - want) / numpy.maximum(1, numpy.abs(want))
    if not (gap <= TOLERANCE).all():
        row = int(numpy.argmax(gap.max(axis=1)))
        problems.append(f"row {row}: {got[row]} instead of {want[row]}")
    if "expected:label" in table:
        best = numpy.sort(want, axis=1)
        clear = best[:, -1] - best[:, -2] > TOLERANCE
        wrong = [i for i, (a, b) in enumerate(zip(answers[0], table["expected:label"])) if str(a) != b and clear[i]]
        if wrong:
            problems.append(f"label of row {wrong[0]} differs, and of {len(wrong) - 1} more")
    return problems, float(gap.max())


def main(folder):
    models = sorted(pathlib.Path(folder).glob("*.onnx"))
    failed = not models
    for model in models:
        problems, gap = compare(model)
        failed = failed or bool(problems)
        print(model.name, "; ".join(problems) or f"equal, largest difference {gap:.2g}")
    print(f"onnxruntime {onnxruntime.__version__}, {len(models)} models")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
