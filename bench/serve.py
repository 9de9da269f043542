"""Makes what bench/serve.sh serves in the folder it is given: data, a scikit-learn model, its ONNX file, a project of Assay, a model folder
of MLflow and one of MLServer, and the bodies of the requests."""
import json
import os
import sys

import joblib
import mlflow.models
import mlflow.sklearn
import numpy as np
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

work = sys.argv[1]
rng = np.random.default_rng(1)
n, k = 4000, 16
names = [f"x{i:02d}" for i in range(k)]
x = rng.normal(size=(n, k)).round(4)
y = (x @ rng.normal(size=k) + rng.normal(size=n) > 0).astype(int)
os.makedirs(f"{work}/project")
table = pd.DataFrame(x, columns=names)
table.insert(0, "id", [f"r{i:05d}" for i in range(n)])
table["y"] = y
table.to_csv(f"{work}/project/data.csv", index=False)
with open(f"{work}/project/assay.yaml", "w") as f:
    f.write("""project: bench
data:
  uri: data.csv
  key: id
  target: {column: y, task: binary, positive: 1}
  documentation: {sources: made up, time_range: none, population: nobody, known_gaps: none, exclusions: none, imputations: none, licence: CC0}
split: {by: stratified, validation: 0.2, test: 0.2, seed: 7}
train: {command: [python3, train.py], seed: 7}
evaluate: {metrics: [roc_auc_score], baseline: prior, replicates: 200, seed: 7}
""")
with open(f"{work}/project/train.py", "w") as f:
    f.write("import os, shutil\nshutil.copy('../model.onnx', os.path.join(os.environ['ASSAY_OUT'], 'model.onnx'))\n")

frame = pd.DataFrame(x, columns=names)
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame.to_numpy(), y)

# A column an input, as tables are served.
columns = Pipeline([("columns", ColumnTransformer([("all", "passthrough", names)])), ("scale", StandardScaler()), ("model", LogisticRegression())]).fit(frame, y)
onnx = to_onnx(columns, initial_types=[(c, FloatTensorType([None, 1])) for c in names], options={"zipmap": False})
with open(f"{work}/model.onnx", "wb") as f:
    f.write(onnx.SerializeToString())

os.makedirs(f"{work}/mlserver/bench")
joblib.dump(model, f"{work}/mlserver/bench/model.joblib")
with open(f"{work}/mlserver/bench/model-settings.json", "w") as f:
    json.dump({"name": "bench", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./model.joblib", "version": "v1"}}, f)
with open(f"{work}/mlserver/settings.json", "w") as f:
    json.dump({"http_port": 18520, "grpc_port": 18521, "metrics_port": 18522, "debug": False, "parallel_workers": 0}, f)

mlflow.sklearn.save_model(columns, f"{work}/mlflow", signature=mlflow.models.infer_signature(frame), pip_requirements=["scikit-learn"])

for rows, suffix in ((1, ""), (100, "100")):
    part = frame[:rows]
    with open(f"{work}/records{suffix}.json", "w") as f:
        json.dump({"dataframe_records": part.to_dict("records")}, f)
    with open(f"{work}/columns{suffix}.json", "w") as f:
        json.dump({"inputs": [{"name": c, "shape": [rows], "datatype": "FP64", "data": part[c].tolist()} for c in names]}, f)
    with open(f"{work}/matrix{suffix}.json", "w") as f:
        json.dump({"inputs": [{"name": "x", "shape": [rows, k], "datatype": "FP64", "data": part.to_numpy().ravel().tolist()}], "outputs": [{"name": "predict_proba"}]}, f)
