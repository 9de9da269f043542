"""Prints docs/compatibility.md from the results of serving_clients.py and upstreams.py, given as files."""
import json
import sys


def table(head, rows):
    print(head)
    print("|---|---|---|---|")
    for (client, version, transport), what in rows.items():
        print(f"| {client} | {version} | {transport} | {'; '.join(what)} |")


clients, servers = {}, {}
for path in sys.argv[1:]:
    with open(path) as f:
        for r in json.load(f):
            to = servers if r["client"].endswith("upstream") else clients
            to.setdefault((r["client"].removesuffix(", as upstream"), r["version"], r["transport"]), []).append(r["what"])
print("""# Compatibility

What of other projects was run with `assay serve`, and where Assay differs from them. The first two tables are written from what ran and
passed in `scripts/serving_clients.sh`, a part of `make test`; the run fails when they would differ.

## Clients

Unmodified clients against `assay serve`.
""")
table("| client | version | over | what ran |", clients)
print("""
Answers are held against those of `/invocations` for the same rows: labels equal, probabilities within 1e-9.

MLflow's client writes a missing number of a DataFrame as the word `NaN`, which is not JSON; `/invocations` takes it as missing. The
gRPC client of Triton raises `NOT_FOUND` where a model is not served; its HTTP client says that it is not ready.

## Servers behind Assay

Real servers with the model of `testdata/mlflow/sklearn`, and `assay serve` with `serve.upstream` in front.
""")
table("| server | version | over | what ran |", servers)
print("""
Not asked: gRPC, servers that want more than a bearer token, several servers for one model.

## Models of MLflow

| in the directory | served |
|---|---|
| flavour `onnx`, `xgboost`, `lightgbm` (native files) | without Python; answers as MLflow's python_function gives (`testdata/mlflow`) |
| flavour `xgboost`, `lightgbm` of scikit-learn's interface (pickles), `sklearn`, any other `python_function` | in Python workers; MLflow 3.17.2, scikit-learn 1.9.1, pandas 3.1.1 were run |
| flavours without `python_function` that are none of the above (`spark` alone) | refused when it is read |
| columns `boolean`, `integer`, `long`, `float`, `double`, `string`, `datetime` | by all engines |
| columns `binary`, `array`, `object`, `map`, `any` | by Python workers; a native file is refused when the version is checked |
| tensors | one, of two dimensions, as the project's columns in their order |
| `params` | by Python workers and upstreams of `/invocations`; elsewhere a request that names one is refused |
| no signature | served, held against the project's schema alone, and told so |

## The scoring server of MLflow

140 recorded requests to `mlflow models serve` 3.18.0 are replayed (`internal/mlflow/testdata`). With `serve.coerce: mlflow` 125 end as they
do there; without casts 87 do, and 38 that are answered there are refused, because a value does not fit or a time has no zone. The others, in either mode:

| request | MLflow | Assay |
|---|---|---|
| a key twice | the last one counts | 400 |
| null for a truth value, an object for a text, base64 with other characters | answered | 400 |
| null for a parameter | passed on | 400 with its name |
| a byte order mark before JSON | answered | 400 |
| rows or columns without names for a signature with names | 400 | the columns in the order of the schema |
| an optional column is absent; null for a number | 400, where the model fails at it | answered, where the model can |
| CSV for a signature of a tensor | 400 | answered |
| `1e999`, with casts | infinity, at which the model fails | infinity; without casts 400 |

And beyond what was recorded: an unknown parameter of a model that declares some is 400 without casts, and ignored there; no Content-Type is
415, and 500 there; an answer that the output schema forbids is 500 with an incident, or the fallback, and passed on there. Errors have
MLflow's documents and codes, with other words, and never repeat a value. Not read: `application/vnd.apache.parquet`, the unwrapped form for
language models, `Infinity`.

The casts themselves, and where they differ, are in [Serving](serving.md#the-casts-of-mlflow).

## MLServer

83 exchanges with MLServer 1.7.1 over REST and gRPC are replayed (`internal/oip/testdata`), of two scikit-learn models and an MLflow directory. What it answers,
Assay answers in the same form, but for these:

| request | MLServer | Assay |
|---|---|---|
| FP16 in JSON, an unknown `content_type`, a truth value for a number, a negative shape | answered | 400 |
| gRPC: contents of another type than the tensor's, contents beside `raw_input_contents` | answered | `INVALID_ARGUMENT` |
| an optional column is absent; INT64 for an INT32 or FP64 column, within it | 500 | answered |
| anything else that it fails at with 500, `UNKNOWN` or `INTERNAL` | | 400, 404 with the reason |

Versions are numbers: `v1` is 404.

## Logs of other servers

| source | what was read |
|---|---|
| KServe's logger | CloudEvents 1.0 in binary mode, requests and responses of V1 and the Open Inference Protocol |
| Seldon Core, MLServer | CloudEvents 0.3 with `Ce-Requestid` and `Ce-Modelid` |
| SageMaker | data capture and ground truth as JSON Lines |
| Databricks | inference tables, both layouts, from Parquet |
| anything else | a table in CSV, JSON Lines or Parquet |

These are read from files and events made by the tests after the projects' documentation, not from the running services.""")
