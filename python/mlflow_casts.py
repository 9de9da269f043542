"""Records what MLflow's scoring server makes of values before a model sees them: one column of each type, each list of values in each form
of a request. Writes internal/mlflow/testdata/casts.json.

    python python/mlflow_casts.py internal/mlflow/testdata/casts.json

Needs mlflow-skinny, numpy, pandas and pyarrow; the versions are in the file.
"""
import io
import json
import platform
import sys
import warnings

import mlflow
import numpy as np
import pandas as pd
from mlflow.models.utils import _enforce_schema
from mlflow.pyfunc import scoring_server
from mlflow.types import ColSpec, Schema

warnings.filterwarnings("ignore")
TYPES = ["integer", "long", "float", "double", "boolean", "string", "datetime"]
VALUES = """
[1] [0] [-1] [3] [2147483647] [2147483648] [-2147483649] [3000000000] [4294967296] [9007199254740991] [9007199254740993] [9223372036854775807]
[9223372036854775808] [-9223372036854775809] [18446744073709551615] [18446744073709551616] [123456789012345678901234567890] [16777217]
[1.0] [1.5] [3.9] [-3.9] [0.1] [1.1] [1e3] [1e16] [1e22] [1e-5] [0.0001] [3e9] [-3e9] [1e19] [1e39] [-1e39] [1e300] [1e999] [-0.0] [NaN]
[true] [false] [null]
[""] ["12"] ["-7"] ["+7"] [" 12 "] ["1_000"] ["1__0"] ["_1"] ["007"] ["1.5"] ["1e3"] ["3000000000"] ["9223372036854775808"] ["0x10"] ["nan"]
["inf"] ["-Infinity"] ["1e39"] ["1e999"] ["."] [".5"] ["5."] ["1.1"] ["9007199254740993"] ["true"] ["false"] ["False"] ["0"] ["some text"]
["\\u0661\\u0662"]
[[]] [[1]] [{}] [{"a": 1}]
["2026-01-02"] ["2026-01-02T03:04:05"] ["2026-01-02 03:04:05.678901"] ["2026-01-02T03:04:05Z"] ["2026-01-02T03:04:05+02:00"] ["2 Jan 2026"]
[1767323045] [1767323045000000000] [-1] [-1000]
[1, 2.5] [2.5, 1] [2, null] [null, 2] [1.5, null] [9007199254740993, 2.5] [9007199254740993, null] [3000000000, 2.5] [9223372036854775808, 2.5]
[9223372036854775808, 1] [9223372036854775808, -1] [18446744073709551616, 2.5] [1e19, 1] [2.5, 1e999] [1.1, 16777217]
[true, false] [true, 2] [true, 2.5] [true, null] [false, null] [true, "x"] [1, "x"] [1, "2"] [3000000000, "2"] [3000000000, true]
[3e9, "2"] [2.5, "2"] [1e19, "2"] [2.9, true] [1e300, "2"] [1e39, true] [16777217, true] [9007199254740993, true] [123456789012345678901234567890, true]
["a", null] ["2", null] ["", "x"] [0, ""] [1, [2]] [null, null] ["a", 1.0] [12, null] [12, 1.5] [12, true] [1.5, true] [100000000000000000000, 1.5]
[1e16, 1] ["2026-01-02", null] ["2026-01-02", 5] [5, null] [1.5, 2]
"""


CELLS = ["1", "0", "-1", "1.5", "1.1", "1e3", "1e39", "3000000000", "9223372036854775808", "true", "True", "TRUE", "false", "yes", "", "007", "a", "nan", "NaN", "NA", "None", " 1", "+1", "1_0", "inf", "16777217"]


def values():
    decoder, at, out = json.JSONDecoder(), 0, []
    while at < len(VALUES):
        if VALUES[at].isspace():
            at += 1
            continue
        _, end = decoder.raw_decode(VALUES, at)
        out.append(VALUES[at:end])
        at = end
    return out


def body(form, text):
    """The request with the values of text in column c, in the words of text."""
    items = []
    decoder, at = json.JSONDecoder(), 1
    while text[at] != "]":
        if text[at] in ", ":
            at += 1
            continue
        _, end = decoder.raw_decode(text, at)
        items.append(text[at:end])
        at = end
    if form == "dataframe_records":
        return '{"dataframe_records": [' + ", ".join('{"c": %s}' % x for x in items) + "]}"
    if form == "dataframe_split":
        return '{"dataframe_split": {"columns": ["c"], "data": [' + ", ".join("[%s]" % x for x in items) + "]}}"
    if form == "instances":
        return '{"instances": [' + ", ".join('{"c": %s}' % x for x in items) + "]}"
    return '{"inputs": {"c": [' + ", ".join(items) + "]}}"


def plain(v):
    """A value as JSON has it; floats and times as texts, because JSON has no infinity and readers round."""
    if v is None or v is pd.NaT or isinstance(v, float) and v != v:
        return None
    if isinstance(v, (bool, np.bool_)):
        return bool(v)
    if isinstance(v, (int, np.integer)):
        return {"int": str(int(v))}
    if isinstance(v, (float, np.floating)):
        return {"float": repr(float(v))} if v == v else None
    if isinstance(v, np.datetime64):
        v = pd.Timestamp(v)
    if isinstance(v, pd.Timestamp):
        return None if pd.isna(v) else {"time": str(v.value)}
    if isinstance(v, str):
        return str(v)
    return {"object": type(v).__name__}


def seen(form, text, kind):
    schema = Schema([ColSpec(kind, "c")])
    try:
        if form == "csv":
            data = scoring_server.parse_csv_input(io.StringIO(text), schema)
        else:
            data = scoring_server.infer_and_parse_data(json.loads(text), schema)
        data = _enforce_schema(data, schema)
    except Exception as e:
        return {"error": type(e).__name__}
    column = data["c"]
    column = column.tolist() if column.dtype.kind == "M" else list(column)
    out = {"values": [plain(v) for v in column], "dtype": str(data["c"].dtype)}
    return out


def main():
    cases = []
    for text in values():
        found = {}
        for form in ("dataframe_records", "dataframe_split", "instances", "inputs"):
            result = {kind: seen(form, body(form, text), kind) for kind in TYPES}
            found.setdefault(json.dumps(result), (result, [], body(form, text)))[1].append(form)
        cases += [{"forms": forms, "body": sent, "seen": result} for result, forms, sent in found.values()]
    for cell in CELLS:
        sent = "c\n" + ('""' if cell == "" else cell) + "\n"
        cases.append({"forms": ["csv"], "body": sent, "seen": {kind: seen("csv", sent, kind) for kind in TYPES[:-1]}})
    header = {
        "generator": "python/mlflow_casts.py",
        "versions": {"mlflow": mlflow.__version__, "numpy": np.__version__, "pandas": pd.__version__, "python": platform.python_version(), "machine": platform.machine()},
    }
    with open(sys.argv[1], "w") as f:
        f.write('{"header": ' + json.dumps(header) + ',\n"cases": [\n' + ",\n".join(json.dumps(c) for c in cases) + "\n]}\n")
    print(len(cases), "cases")


main()
