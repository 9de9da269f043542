"""Writes testdata/mlflow/nested: an MLflow model with columns of bytes, lists, objects and maps, and parameters; expected.json holds rows and
what MLflow's own python_function answers to them.

    python python/mlflow_nested.py testdata/mlflow/nested

Needs mlflow-skinny, numpy and pandas.
"""
import base64
import json
import os
import shutil
import sys

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array, Map, Object, Property

MODEL = '''import mlflow


class Nested(mlflow.pyfunc.PythonModel):
    """Adds up what it is given, so that each part of a row counts."""

    def predict(self, context, model_input, params=None):
        params = params or {}
        out = []
        for _, r in model_input.iterrows():
            out.append(float(sum(r["a"]) + 10 * len(r["b"]) + 100 * r["o"]["n"] + sum(r["m"].values()) + params["k"] + sum(params["seeds"])))
        return out


mlflow.models.set_model(Nested())
'''
ROWS = [
    {"a": [1.5, 2.0], "b": "aGVsbG8=", "o": {"n": 3, "s": "x"}, "m": {"p": 0.25}},
    {"a": [], "b": "", "o": {"n": 0}, "m": {}},
]
to = sys.argv[1]
shutil.rmtree(to, ignore_errors=True)
with open("model.py", "w") as f:
    f.write(MODEL)
signature = ModelSignature(
    inputs=Schema([
        ColSpec(Array(DataType.double), "a"), ColSpec(DataType.binary, "b"),
        ColSpec(Object([Property("n", DataType.long), Property("s", DataType.string, required=False)]), "o"), ColSpec(Map(DataType.double), "m"),
    ]),
    outputs=Schema([ColSpec(DataType.double)]),
    params=ParamSchema([ParamSpec("k", DataType.long, 7), ParamSpec("seeds", DataType.long, [1, 2], (-1,))]),
)
mlflow.pyfunc.save_model(to, python_model="model.py", signature=signature, pip_requirements=["mlflow-skinny==" + mlflow.__version__])
os.remove("model.py")
with open(to + "/MLmodel") as f:
    text = f.read().replace(os.path.abspath("model.py"), "model.py")  # where it was made is nobody's business
with open(to + "/MLmodel", "w") as f:
    f.write(text)
model = mlflow.pyfunc.load_model(to)
answers = []
for params in (None, {"k": 1000}, {"k": -1, "seeds": []}):
    rows = json.loads(json.dumps(ROWS))  # what MLflow checks it changes
    frame = pd.DataFrame([{**r, "b": base64.b64decode(r["b"])} for r in rows])
    answers.append({"params": params and dict(params), "predictions": model.predict(frame, params=params)})
with open(to + "/expected.json", "w") as f:
    json.dump({"versions": {"mlflow": mlflow.__version__}, "input": ROWS, "answers": answers}, f, indent=1, default=lambda x: x.tolist())
