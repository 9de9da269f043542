"""Gradient boosting: learn.FitBoosting beside LightGBM (and, for quality, scikit-learn) on the same rows in the same run.

    python bench/boosting.py [--data DIR] [--rounds 5] [--threads 1,2]

DIR holds train_2015.parquet, live_YEAR.parquet and labels_YEAR.parquet (YEAR 2016 to 2018) of the MA employment data; without it
the example's 2015 table is used, 80 % of it to train. Needs numpy, duckdb, lightgbm and scikit-learn, and go.

Every fit is 100 trees of 31 leaves on 255 bins at rate 0.1, from float64 columns in memory to the finished ensemble, binning
included, on every row. Fits of the two take turns; the figure is the fastest of the rounds. The quality is of a fit on 2015 scored on
the later years (or on the other 20 %).
"""

import argparse
import os
import pathlib
import re
import struct
import subprocess
import tempfile
import time

import duckdb
import lightgbm
import numpy
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss, roc_auc_score

ROOT = pathlib.Path(__file__).resolve().parent.parent


def load(directory):
    """Returns (all rows, training rows, test rows), the label in the last column."""
    db = duckdb.connect()

    def table(sql):
        columns = db.execute(sql + " order by id").fetchnumpy()
        return numpy.column_stack([numpy.asarray(v, dtype=numpy.float64) for k, v in columns.items() if k not in ("id", "year")])

    if directory is None:
        rows = table(f"select * from '{ROOT}/examples/employment/train_2015.parquet'")
        order = numpy.random.RandomState(42).permutation(len(rows))
        cut = -(-len(rows) // 5)
        return rows, rows[order[cut:]], rows[order[:cut]]
    train = table(f"select * from '{directory}/train_2015.parquet'")
    names = [r[0] for r in db.execute(f"describe select * from '{directory}/train_2015.parquet'").fetchall()]
    names = ", ".join(n for n in names if n != "year")
    later = numpy.concatenate([
        table(f"select {names} from '{directory}/live_{y}.parquet' join '{directory}/labels_{y}.parquet' using (id)") for y in (2016, 2017, 2018)
    ])
    return numpy.concatenate([train, later]), train, later


def write(path, rows):
    with open(path, "wb") as out:
        out.write(struct.pack("<QQ", *rows.shape))
        out.write(numpy.ascontiguousarray(rows.T, dtype="<f8").tobytes())


def light(rows, threads):
    data = lightgbm.Dataset(rows[:, :-1], rows[:, -1], params={"max_bin": 255, "verbose": -1})
    params = {"objective": "binary", "num_leaves": 31, "learning_rate": 0.1, "max_bin": 255, "num_threads": threads, "verbose": -1}
    return lightgbm.train(params, data, 100)


def go(binary, pattern, **files):
    env = dict(os.environ, **{"ASSAY_BENCH_BOOSTING" + k: str(v) for k, v in files.items()})
    command = [binary, "-test.run", "^$", "-test.bench", pattern, "-test.benchtime", "1x"]
    return subprocess.run(command, env=env, cwd=ROOT / "learn", check=True, capture_output=True, text=True).stdout


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--data")
    args.add_argument("--rounds", type=int, default=5)
    args.add_argument("--threads", default="1,2")
    args = args.parse_args()
    every, train, test = load(args.data)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        binary = scratch / "learn.test"
        subprocess.run(["go", "test", "-c", "-o", binary, "./learn"], cwd=ROOT, check=True)
        for name, rows in {"all": every, "train": train, "test": test}.items():
            write(scratch / name, rows)
        print(f"{len(every)} rows x {every.shape[1] - 1}, lightgbm {lightgbm.__version__}, seconds, fastest of {args.rounds}")
        for threads in map(int, args.threads.split(",")):
            ours, peer = [], []
            for _ in range(args.rounds):
                start = time.perf_counter()
                light(every, threads)
                peer.append(time.perf_counter() - start)
                out = go(binary, f"^BenchmarkFitBoosting$/^threads={threads}$", **{"": scratch / "all"})
                ours.append(float(re.search(r"\s([\d.]+) ns/op", out).group(1)) / 1e9)
            print(f"threads {threads}: learn {min(ours):.3f}  lightgbm {min(peer):.3f}  ratio {min(ours) / min(peer):.2f}")
        print(f"train {len(train)}, test {len(test)}: AUC, log loss")
        out = go(binary, "^BenchmarkBoostingQuality$", _TRAIN=scratch / "train", _TEST=scratch / "test")
        print("learn        {}  {}".format(*(re.search(r"([\d.]+) " + m, out).group(1) for m in ("auc", "log_loss"))))
        for name, p in {
            "lightgbm": light(train, 2).predict(test[:, :-1]),
            "scikit-learn": HistGradientBoostingClassifier(early_stopping=False).fit(train[:, :-1], train[:, -1]).predict_proba(test[:, :-1])[:, 1],
        }.items():
            print(f"{name:12} {roc_auc_score(test[:, -1], p):.5f}  {log_loss(test[:, -1], p):.5f}")


if __name__ == "__main__":
    main()
