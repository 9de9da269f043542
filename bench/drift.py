"""A drift report beside Evidently's, in one run.

    python bench/drift.py ASSAY DIR

ASSAY is the binary; DIR receives a project made of examples/employment. Both hold the rows of a later year against those of 2015, 16
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


if __name__ == "__main__":
    if sys.argv[1] == "evidently":
        evidently(sys.argv[2])
    else:
        main(*sys.argv[1:])
