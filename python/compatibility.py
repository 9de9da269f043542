"""Prints docs/compatibility.md from the results of serving_clients.py, given as files."""
import json
import sys

print("""# Compatibility

Unmodified clients of other projects, run against `assay serve` by `scripts/serving_clients.sh` as part of `make test`. This page is
written from what ran and passed; the run fails when it would differ.

| client | version | over | what ran |
|---|---|---|---|""")
rows = {}
for path in sys.argv[1:]:
    with open(path) as f:
        for r in json.load(f):
            rows.setdefault((r["client"], r["version"], r["transport"]), []).append(r["what"])
for (client, version, transport), what in rows.items():
    print(f"| {client} | {version} | {transport} | {'; '.join(what)} |")
print("""
Answers are held against those of `/invocations` for the same rows: labels equal, probabilities within 1e-9.

MLflow's client writes a missing number of a DataFrame as the word `NaN`, which is not JSON; `/invocations` takes it as missing. The
gRPC client of Triton raises `NOT_FOUND` where a model is not served; its HTTP client says that it is not ready.""")
