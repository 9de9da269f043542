"""Checks a Parquet file against its schema beside Great Expectations, in one run.

    python bench/check.py ASSAY DIR [ma] [m1]

ASSAY is the binary, DIR holds (or receives) the data: `ma` is the employment data of 2015 to 2018 (277,677 rows), `m1` a table of
1,000,000 x 16. The schema is the one that `assay schema infer` proposes, and the peer gets the expectations that say the same: column exists,
not null, unique, between, in set, length, regular expression. Both must say that all hold. Each figure is the least wall and user time of the runs of
whole processes, reading included, and of the peer's `validate` alone. Needs bench/requirements-data.txt.
"""

import json
import os
import subprocess
import sys
import time

from profiles import EMPLOYMENT, TABLE

SELF = os.path.abspath(__file__)
RUNS = int(os.environ.get("RUNS", "3"))


def measure(name, command, runs):
    wall, user, peak, said = float("inf"), float("inf"), 0, ""
    for _ in range(runs):
        begin = time.monotonic()
        p = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        said = p.stdout.read()
        _, status, usage = os.wait4(p.pid, 0)
        if status:
            sys.exit(f"{name}: status {status}\n{said}")
        wall, user, peak = min(wall, time.monotonic() - begin), min(user, usage.ru_utime), max(peak, usage.ru_maxrss)
    print(f"{name:44} {wall:7.2f} s wall {user:7.2f} s user {peak / 1024:7.0f} MiB", flush=True)
    return wall, said


def expectations(schema):
    import great_expectations.expectations as gxe

    for c in schema["columns"]:
        name = c["name"]
        yield gxe.ExpectColumnToExist(column=name)
        if "not_null" in c:
            yield gxe.ExpectColumnValuesToNotBeNull(column=name)
        if "unique" in c:
            yield gxe.ExpectColumnValuesToBeUnique(column=name)
        if "range" in c and c["type"] in ("integer", "number"):
            yield gxe.ExpectColumnValuesToBeBetween(column=name, min_value=c["range"].get("min"), max_value=c["range"].get("max"))
        if "set" in c:
            yield gxe.ExpectColumnValuesToBeInSet(column=name, value_set=c["set"]["values"])
        if "length" in c:
            yield gxe.ExpectColumnValueLengthsToBeBetween(column=name, min_value=c["length"].get("min"), max_value=c["length"].get("max"))
        if "pattern" in c:
            yield gxe.ExpectColumnValuesToMatchRegex(column=name, regex=c["pattern"]["regexp"])


def peer(path, schema):
    import great_expectations as gx
    import pandas

    with open(schema) as f:
        rules = list(expectations(json.load(f)))
    frame = pandas.read_parquet(path)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    batch = context.data_sources.add_pandas("p").add_dataframe_asset("t").add_batch_definition_whole_dataframe("b").get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(name="s", expectations=rules)
    begin = time.monotonic()
    result = batch.validate(suite)
    took = time.monotonic() - begin
    failed = [r.expectation_config.type + " " + r.expectation_config.kwargs.get("column", "") for r in result.results if not r.success]
    if failed:
        sys.exit(f"the peer says no: {failed}")
    print(f"{len(rules)} expectations, validate alone {took:.3f} s")


def main():
    assay, folder, jobs = sys.argv[1], sys.argv[2], sys.argv[3:] or ["ma", "m1"]
    import duckdb

    for job, sql in (("ma", EMPLOYMENT), ("m1", TABLE.format(n=1_000_000))):
        if job not in jobs:
            continue
        path, schema = os.path.join(folder, job + ".parquet"), os.path.join(folder, job + ".schema.json")
        c = duckdb.connect()
        c.execute("select setseed(0.5)")
        if not os.path.exists(path):
            c.execute(f"copy ({sql}) to '{path}'")
        rows, columns = c.execute(f"select count(*) from '{path}'").fetchone()[0], len(c.execute(f"describe from '{path}'").fetchall())
        subprocess.run([assay, "schema", "infer", path, "-o", schema, "--quiet"], check=True)
        print(f"{rows:,} x {columns}")
        ours, _ = measure("assay check", [assay, "check", path, "--schema", schema, "--quiet"], 2 * RUNS)
        theirs, said = measure("great expectations, read_parquet, validate", [sys.executable, SELF, "--peer", path, schema], 1)
        print(f"  {said.strip()}; whole process {theirs / ours:.0f} times")


if sys.argv[1] == "--peer":
    peer(sys.argv[2], sys.argv[3])
else:
    main()
