"""A drift report beside Evidently's, in one run.

    python bench/drift.py ASSAY DIR

ASSAY is the binary; DIR receives a project made of examples/employment, DIR-million one of made-up numbers. Both hold the rows of a later year against those of 2015, 16
columns, and write a page of HTML. Evidently reads both tables and runs its drift preset with its defaults. Assay holds the columns against
the plan; it has frozen 2015 before, once, when the plan was made: that is timed by itself, and counted for it in the second ratio. What it
does beside, with the model, evidence and labels, is timed below. Figures are the least wall time of the runs, their processor time, and
the greatest peak memory, of whole processes.
"""

import os
import shutil
import subprocess
import sys
import time

SELF = os.path.abspath(__file__)
ROOT = os.path.dirname(os.path.dirname(SELF))
RUNS = int(os.environ.get("RUNS", "3"))
COLUMNS = "AGEP SCHL MAR RELP DIS ESP CIT MIG MIL ANC NATIVITY DEAR DEYE DREM SEX RAC1P".split()
LIVE = "live_2016.parquet"


def measure(name, command, cwd, allowed=(0,), runs=RUNS):
    best, cpu, peak = float("inf"), 0, 0
    for _ in range(runs):
        begin = time.monotonic()
        p = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(p.pid, 0)
        if os.waitstatus_to_exitcode(status) not in allowed:
            sys.exit(f"{name}: status {os.waitstatus_to_exitcode(status)}")
        took = time.monotonic() - begin
        if took < best:
            best, cpu = took, usage.ru_utime + usage.ru_stime
        peak = max(peak, usage.ru_maxrss)
    print(f"{name:52} {best:7.2f} s wall {cpu:7.2f} s processor {peak / 1024:6.0f} MiB", flush=True)
    return best, cpu


def evidently(directory):
    import pandas
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    categories = [c for c in COLUMNS if c not in ("AGEP", "SCHL")]
    definition = DataDefinition(numerical_columns=["AGEP", "SCHL"], categorical_columns=categories)
    read = lambda name: Dataset.from_pandas(pandas.read_parquet(os.path.join(directory, name), columns=COLUMNS), data_definition=definition)
    Report([DataDriftPreset()]).run(read(LIVE), read("train_2015.parquet")).save_html(os.path.join(directory, "evidently.html"))


def main(assay, directory):
    assay = os.path.abspath(assay)
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(os.path.join(ROOT, "examples", "employment"), directory)
    subprocess.run([assay, "-q", "make", "register"], cwd=directory, check=True, stdout=subprocess.DEVNULL)
    plan = measure("assay monitor plan, once for a version", [assay, "-q", "monitor", "plan"], directory, runs=1)
    mine = measure("assay monitor replay --inputs-only -o, the page too", [assay, "-q", "monitor", "replay", LIVE, "--inputs-only", "-o", "assay.html"], directory, allowed=(0, 3))
    measure("assay monitor replay, predictions and evidence too", [assay, "-q", "monitor", "replay", LIVE], directory, allowed=(0, 3))
    measure("assay monitor report", [assay, "-q", "monitor", "report", "-o", "report.html"], directory)
    years = [assay, "-q", "monitor", "replay", "live_*.parquet", "--by", "year"]
    measure("assay monitor replay of three years, estimates too", years, directory, allowed=(0, 3))
    measure("the same with their labels", [*years, "--labels", "labels_*.parquet", "--delay", "1y"], directory, allowed=(0, 3))
    peer = measure("evidently, drift preset and page", [sys.executable, SELF, "evidently", directory], ROOT)
    for name, i in (("wall", 0), ("processor", 1)):
        print(f"{name} time: Evidently / Assay = {peer[i] / mine[i]:.1f}; with the plan {peer[i] / (mine[i] + plan[i]):.1f}")
    size = lambda name: os.path.getsize(os.path.join(directory, name)) / 1024
    print(f"page: Assay {size('assay.html'):.0f} KiB, Evidently {size('evidently.html'):.0f} KiB")


PROJECT = """project: million
data:
  uri: reference.parquet
  target: {column: y, task: binary, positive: 1}
  documentation: {sources: made up, time_range: none, population: nobody, known_gaps: none, exclusions: none, imputations: none, licence: CC0}
split: {by: stratified, validation: 0.2, test: 0.2, seed: 7}
train: {learner: logistic_regression, seed: 7}
evaluate: {metrics: [roc_auc_score], baseline: prior, replicates: 200, seed: 7}
monitor: {window: 1000000 rows, rows_per_day: 1000000}
"""


def made(directory):
    import numpy
    import pandas

    for name, rows, seed in (("reference", 166_667, 1), ("window", 1_000_000, 2)):
        g = numpy.random.default_rng(seed)
        levels = numpy.array([f"level {i:02d}" for i in range(20)])
        column = lambda i: levels[(20 * g.random(rows) * g.random(rows)).astype(int)] if i % 5 == 4 else g.normal(size=rows)
        table = pandas.DataFrame({f"c{i:02d}": column(i) for i in range(50)})
        if name == "reference":
            table["y"] = (table["c00"] + g.normal(size=rows) > 0).astype(int)
        table.to_parquet(os.path.join(directory, name + ".parquet"), index=False)


def million(assay, directory):
    """A window of 1,000,000 rows and 50 columns, 40 of them numbers, against a reference of 100,000: Evidently does not finish it in 280 s."""
    assay = os.path.abspath(assay)
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    subprocess.run([sys.executable, SELF, "made", directory], check=True)  # a process's peak counts that of the one it was forked from
    with open(os.path.join(directory, "assay.yaml"), "w") as f:
        f.write(PROJECT)
    for step in (["schema", "infer", "-o", "schema.json"], ["make", "register"]):
        subprocess.run([assay, "-q", *step], cwd=directory, check=True, stdout=subprocess.DEVNULL)
    measure("assay monitor plan of 50 columns", [assay, "-q", "monitor", "plan"], directory, runs=1)
    measure("assay monitor replay --inputs-only -o, 1,000,000 x 50", [assay, "-q", "monitor", "replay", "window.parquet", "--inputs-only", "-o", "page.html"], directory, allowed=(0, 3))
    print(f"page: {os.path.getsize(os.path.join(directory, 'page.html')) / 1024:.0f} KiB")


if __name__ == "__main__":
    if sys.argv[1] in ("evidently", "made"):
        globals()[sys.argv[1]](sys.argv[2])
    else:
        main(sys.argv[1], sys.argv[2])
        million(sys.argv[1], sys.argv[2] + "-million")
