"""Profiles beside ydata-profiling and beside DuckDB alone, in one run.

    python bench/profiles.py ASSAY DIR [ma] [csv] [parquet] [wide]

ASSAY is the binary, DIR holds (or receives) the data. Needs bench/requirements-data.txt. The table of `ma` is the employment data of 2015
to 2018 in one file, put together from examples/employment. Each figure is the least wall time of the runs, and the
greatest peak memory, of whole processes.
"""

import os
import subprocess
import sys
import time

SELF = os.path.abspath(__file__)
RUNS = int(os.environ.get("RUNS", "3"))

TABLE = """select i as id, random() * 1000 as f1, random() as f2, exp(random() * 5) as f3, round(random() * 100, 2) as f4, ln(random() + 1e-9) as f5,
 case when random() < 0.05 then null else random() * 7 end as f6, (random() * 50)::int as n1, (random() * 1000000)::int as n2, (random() * 3)::int as n3,
 (random() * random() * 20)::int as n4, md5(i::varchar) as s1, 'c' || (random() * 20)::int as s2, 'w' || (random() * 5000)::int as s3, random() < 0.3 as b,
 timestamp '2020-01-01' + to_seconds((random() * 1e8)::bigint) as t from range({n}) r(i)"""

EMPLOYMENT = """select * from 'examples/employment/train_2015.parquet' union all by name
 select * from (select * from read_parquet('examples/employment/live_*.parquet', union_by_name = true) as live
 join read_parquet('examples/employment/labels_*.parquet', union_by_name = true) as labels using (id))"""


def measure(name, command, runs=RUNS):
    best, peak = float("inf"), 0
    for _ in range(runs):
        begin = time.monotonic()
        p = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(p.pid, 0)
        if status:
            sys.exit(f"{name}: status {status}")
        best, peak = min(best, time.monotonic() - begin), max(peak, usage.ru_maxrss)
    print(f"{name:42} {best:7.2f} s {peak / 1024:7.0f} MiB", flush=True)
    return best


def duck(path, memory):
    """The exact aggregates of a profile in DuckDB alone: counts, distinct values, moments, quantiles, the deviation from the median,
    frequent values and a histogram of every column; the file is read once."""
    import duckdb

    c = duckdb.connect(path + ".duckdb" if memory else ":memory:")
    c.execute("set threads = 2")
    if memory:
        c.execute(f"set memory_limit = '{memory}'")
    c.execute(f"create or replace table t as select * from '{path}'")
    for name, kind in [r[:2] for r in c.execute("describe t").fetchall()]:
        q = f'"{name}"'
        c.execute(f"select count(*), count({q}), count(distinct {q}) from t").fetchall()
        c.execute(f"select {q}, count(*) as n from t group by 1 order by n desc limit 10").fetchall()
        if kind in ("DOUBLE", "BIGINT", "INTEGER", "SMALLINT", "TINYINT"):
            c.execute(
                f"select min({q}), max({q}), sum({q}), avg({q}), stddev_samp({q}), skewness({q}), kurtosis({q}), mad({q}),"
                f" quantile_cont({q}, [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99]), count(*) filter ({q} = 0), count(*) filter ({q} < 0) from t"
            ).fetchall()
            lo, hi = c.execute(f"select min({q}), max({q}) from t").fetchone()
            c.execute(f"select least(19, floor(20 * ({q} - {lo}) / {max(hi - lo, 1e-300)})), count(*) from t group by 1").fetchall()
        elif kind == "VARCHAR":
            c.execute(f"select min(length({q})), max(length({q})), avg(length({q})) from t").fetchall()


def ydata(path, minimal, out):
    import pandas
    from ydata_profiling import ProfileReport

    ProfileReport(pandas.read_parquet(path), minimal=minimal, progress_bar=False).to_file(out)


def main():
    assay, folder, jobs = sys.argv[1], sys.argv[2], sys.argv[3:] or ["ma", "csv", "parquet", "wide"]
    data = lambda name: os.path.join(folder, name)

    def make(name, sql):
        if not os.path.exists(data(name)):
            import duckdb

            c = duckdb.connect()
            c.execute("select setseed(0.5)")
            c.execute(f"copy ({sql}) to '{data(name)}'" + (" (header)" if name.endswith(".csv") else ""))

    if "ma" in jobs:
        make("ma.parquet", EMPLOYMENT)
        page = data("ma.html")
        measure("assay, 277,677 rows, page", [assay, "profile", data("ma.parquet"), "--target", "employed", "--html", page])
        print(f"  page of {os.path.getsize(page):,} bytes")
        for minimal in (True, False):
            out = data("ydata.html")
            measure(f"ydata-profiling, {'minimal' if minimal else 'full'}", [sys.executable, SELF, "--ydata", data("ma.parquet"), str(minimal), out], 1)
            print(f"  page of {os.path.getsize(out):,} bytes")
    for job, name, rows, memory in (("csv", "m1.csv", 1_000_000, ""), ("parquet", "m5.parquet", 5_000_000, "1GiB")):
        if job in jobs:
            make(name, TABLE.format(n=rows))
            flags = ["--memory", memory] if memory else []
            measure(f"assay, {name} {memory}", [assay, "profile", data(name), "--html", data("page.html"), *flags])
            measure(f"duckdb alone, {name} {memory}", [sys.executable, SELF, "--duck", data(name), memory])
    if "wide" in jobs:
        columns = [f"random() * {10 ** (i % 5)} as f{i}" for i in range(100)] + [f"(random() * {3 + 3 * i})::int as n{i}" for i in range(80)]
        columns += [f"'k' || (random() * {3 + 7 * i})::int as s{i}" for i in range(20)]
        make("w200.csv", f"select {', '.join(columns)} from range(100000)")
        measure("assay, 100,000 x 200", [assay, "profile", data("w200.csv"), "--html", data("page.html")])


if __name__ == "__main__":
    if sys.argv[1] == "--duck":
        duck(sys.argv[2], sys.argv[3])
    elif sys.argv[1] == "--ydata":
        ydata(sys.argv[2], sys.argv[3] == "True", sys.argv[4])
    else:
        main()
