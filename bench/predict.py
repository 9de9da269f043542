"""Prediction with trees: learn.Predictor beside ONNX Runtime, LightGBM, XGBoost and scikit-learn, the same models in the same run.

    python bench/predict.py [--rounds 5]

100 trees of 31 leaves on 16 numeric features, one thread each. The peers and Go take turns; a figure is the fastest of the rounds.
Needs numpy, lightgbm, xgboost, scikit-learn, onnxmltools, skl2onnx and onnxruntime, and go.
"""

import argparse
import os
import pathlib
import re
import subprocess
import tempfile
import time

import lightgbm
import numpy
import onnxmltools
import onnxruntime
import xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.ensemble import HistGradientBoostingClassifier

ROOT = pathlib.Path(__file__).resolve().parent.parent


def fastest(call, seconds=0.4):
    call()
    start, best, n = time.perf_counter(), float("inf"), 0
    while time.perf_counter() - start < seconds or n < 5:
        t = time.perf_counter()
        call()
        best, n = min(best, time.perf_counter() - t), n + 1
    return best * 1e6


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--rounds", type=int, default=5)
    args = args.parse_args()
    rng = numpy.random.default_rng(7)
    x = rng.normal(size=(20000, 16)).astype(numpy.float32)
    y = (x[:, 0] + x[:, 1] * x[:, 2] + numpy.sin(2 * x[:, 3]) + 0.3 * rng.normal(size=len(x)) > 0).astype(int)
    lgbm = lightgbm.LGBMClassifier(n_estimators=100, num_leaves=31, n_jobs=1, verbose=-1).fit(x, y)
    booster = xgboost.train({"objective": "binary:logistic", "max_leaves": 31, "max_depth": 0, "grow_policy": "lossguide", "tree_method": "hist", "nthread": 1}, xgboost.DMatrix(x, label=y), 100)
    sklearn = HistGradientBoostingClassifier(max_iter=100, max_leaf_nodes=31, early_stopping=False).fit(x, y)
    model = onnxmltools.convert_lightgbm(lgbm, initial_types=[("X", FloatTensorType([None, 16]))], zipmap=False, target_opset=15)
    with tempfile.TemporaryDirectory() as directory:
        d = pathlib.Path(directory)
        (d / "model.onnx").write_bytes(model.SerializeToString())
        lgbm.booster_.save_model(d / "model.txt")
        booster.save_model(d / "model.json")
        x[:1000].tofile(d / "rows.f32")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(d / "model.onnx", options, providers=["CPUExecutionProvider"])
        best = {}

        def keep(name, us):
            best[name] = min(best.get(name, float("inf")), us)

        binary = d / "learn.test"
        beside = d / "ort.test"
        library = next((pathlib.Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so*"))
        subprocess.run(["go", "test", "-c", "-o", binary, "./learn"], cwd=ROOT, check=True)
        subprocess.run(["go", "test", "-c", "-o", beside, "./internal/ort"], cwd=ROOT, check=True)

        def timed(binary, name, package):
            command = [binary, "-test.run", "xxx", "-test.bench", name, "-test.benchtime", "0.4s", "-test.cpu", "1"]
            environment = {**os.environ, "ASSAY_BENCH_MODELS": directory, "ASSAY_TEST_ONNXRUNTIME": str(library)}
            out = subprocess.run(command, cwd=ROOT / package, check=True, capture_output=True, text=True, env=environment).stdout
            return re.findall(name + r"/(\S+?)/rows=(\d+)\s+\d+\s+[\d.]+ ns/op\s+([\d.]+) fastest-ns", out)

        for _ in range(args.rounds):
            for rows in (1, 1000):
                part, frame = x[:rows], x[:rows].astype(numpy.float64)
                keep(f"ONNX Runtime {onnxruntime.__version__}, {rows} rows", fastest(lambda: session.run(None, {"X": part})))
                keep(f"LightGBM {lightgbm.__version__}, {rows} rows", fastest(lambda: lgbm.booster_.predict(frame, num_threads=1)))
                keep(f"XGBoost {xgboost.__version__}, {rows} rows", fastest(lambda: booster.inplace_predict(part)))
                keep(f"scikit-learn, {rows} rows", fastest(lambda: sklearn.predict_proba(part)))
            for name, rows, ns in timed(binary, "BenchmarkModelFile", "learn"):
                keep(f"Assay, {name}, {rows} rows", float(ns) / 1e3)
            for name, rows, ns in timed(beside, "BenchmarkEvaluators", "internal/ort"):
                keep(f"Assay, ONNX through {'the library of ONNX Runtime' if name == 'library' else 'Go'}, {rows} rows", float(ns) / 1e3)
    for name in sorted(best, key=lambda n: (int(n.split()[-2]), best[n])):
        rows = name.split()[-2]
        ratio = best[name] / best[f"ONNX Runtime {onnxruntime.__version__}, {rows} rows"]
        print(f"{name:45} {best[name]:10.1f} µs   {ratio:6.2f} × ONNX Runtime")


if __name__ == "__main__":
    main()
