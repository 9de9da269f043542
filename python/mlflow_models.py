"""MLflow model directories of the flavours that Assay evaluates itself, for testdata/mlflow, with what MLflow's own python_function answers.

    python python/mlflow_models.py testdata/mlflow

Writes onnx/, onnx_beside/ (the data of large tensors is in a file beside the model), xgboost/, lightgbm/, sklearn/ (python_function only) and
expected.json a directory: the input rows as records, and the predictions
of mlflow.pyfunc.load_model. The columns are those of the small project of the tests of the command line.
"""

import json
import pathlib
import shutil
import sys

import lightgbm
import mlflow
import numpy as np
import onnxruntime
import pandas as pd
import sklearn
import xgboost
from mlflow.models import infer_signature
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

OUT = pathlib.Path(sys.argv[1])
PINS = {p: m.__version__ for p, m in [("scikit-learn", sklearn), ("pandas", pd), ("numpy", np), ("xgboost", xgboost), ("lightgbm", lightgbm)]}


def save(name, saver, model, rows, signature, packages, **more):
    to = OUT / name
    shutil.rmtree(to, ignore_errors=True)
    pins = [f"mlflow-skinny=={mlflow.__version__}"] + [f"{p}=={PINS[p]}" for p in packages]
    saver.save_model(model, to, signature=signature, pip_requirements=pins, **more)
    if name.startswith("onnx"):  # its python_function cannot put outputs of several shapes into one table
        session = onnxruntime.InferenceSession(model.SerializeToString() if name == "onnx" else str(to / "model.onnx"), providers=["CPUExecutionProvider"])
        answer = session.run(["probabilities"], {session.get_inputs()[0].name: rows.to_numpy()})[0]
    else:
        answer = mlflow.pyfunc.load_model(str(to)).predict(rows)
    records = json.loads(rows.to_json(orient="records"))
    answer = np.asarray(answer).tolist()
    versions = {"mlflow": mlflow.__version__, **{p: PINS[p] for p in packages}}
    (to / "expected.json").write_text(json.dumps({"versions": versions, "input": records, "predictions": answer}) + "\n")


def main():
    people = pd.read_csv("internal/cli/testdata/people/people.csv")
    y = (people["churned"] == "yes").astype(int)
    numbers = people[["age", "income", "hours"]].astype("float64")
    few = numbers.head(20)
    booster = xgboost.XGBClassifier(n_estimators=12, max_depth=3, random_state=1, n_jobs=1).fit(numbers, y)
    save("xgboost", mlflow.xgboost, booster, few, infer_signature(numbers, booster.predict(numbers)), ["xgboost", "scikit-learn", "pandas", "numpy"])
    forest = lightgbm.train({"objective": "binary", "num_leaves": 7, "seed": 1, "verbose": -1, "num_threads": 1}, lightgbm.Dataset(numbers, y), 12)
    save("lightgbm", mlflow.lightgbm, forest, few, infer_signature(numbers, forest.predict(numbers)), ["lightgbm", "pandas", "numpy"])
    filled = numbers.fillna(0.0).astype("float32")
    x = filled.to_numpy()
    linear = LogisticRegression(max_iter=2000).fit(x, people["churned"])
    graph = to_onnx(linear, x[:1], options={"zipmap": False}, target_opset=17)
    save("onnx", mlflow.onnx, graph, filled.head(20), infer_signature(filled, linear.predict_proba(x).astype("float32")), ["pandas", "numpy"])
    rng = np.random.default_rng(7)
    net = helper.make_graph(
        [helper.make_node("MatMul", ["X", "W"], ["h"]), helper.make_node("Tanh", ["h"], ["t"]), helper.make_node("MatMul", ["t", "V"], ["s"]), helper.make_node("Softmax", ["s"], ["probabilities"])], "net",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", 3])], [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array((rng.normal(size=(3, 120)) * [[0.02], [1e-5], [0.02]]).astype(np.float32), "W"), numpy_helper.from_array((rng.normal(size=(120, 2)) * 0.2).astype(np.float32), "V")])
    graph = helper.make_model(net, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    save("onnx_beside", mlflow.onnx, graph, filled.head(20), infer_signature(x, linear.predict_proba(x).astype("float32")), ["numpy"])
    mixed = people[["age", "income", "hours", "region"]].astype({"age": "int64", "hours": "int64"})
    pipe = make_pipeline(
        make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["region"]), remainder="passthrough"),
        RandomForestClassifier(10, max_depth=4, random_state=1),
    ).fit(mixed, people["churned"])
    save("sklearn", mlflow.sklearn, pipe, mixed.head(20), infer_signature(mixed, pipe.predict_proba(mixed)), ["scikit-learn", "pandas", "numpy"], pyfunc_predict_fn="predict_proba", serialization_format="cloudpickle")


main()
