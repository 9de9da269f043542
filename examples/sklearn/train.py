"""Trains a scikit-learn pipeline under `assay run`. It imports nothing of Assay: inputs, seed and output folder are in the environment.

With --predictions it leaves predictions instead of a model, for models that cannot be written as ONNX.
"""

import json
import os
import sys

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

with open(os.environ["ASSAY_CONFIG"]) as f:
    config = json.load(f)
target = config["data"]["target"]["column"]
out = os.environ["ASSAY_OUT"]

train = pd.read_parquet(os.environ["ASSAY_TRAIN"])
validation = pd.read_parquet(os.environ["ASSAY_VALIDATION"])
drop = [target, *config["data"]["key"], *config["data"]["exclude"]]
features = [c for c in train.columns if c not in drop]
codes = [c for c in config["data"]["categorical"] if c in features]

# No random_state: assay run seeds the generator that scikit-learn falls back on.
model = Pipeline([
    ("columns", ColumnTransformer([("codes", OneHotEncoder(handle_unknown="ignore"), codes)], remainder="passthrough")),
    ("forest", RandomForestClassifier(n_estimators=config["params"]["trees"], min_samples_leaf=20, n_jobs=2)),
])
# Python chooses the class order; the file below states it.
model.fit(train[features].astype(np.int64), train[target])
p = model.predict_proba(validation[features].astype(np.int64))[:, 1]
with open(os.path.join(out, "metrics.json"), "w") as f:
    json.dump({"roc_auc_score": roc_auc_score(validation[target], p), "log_loss": log_loss(validation[target], p)}, f)
with open(os.path.join(out, "params.json"), "w") as f:
    json.dump({"trees": config["params"]["trees"], "min_samples_leaf": 20}, f)

if "--predictions" in sys.argv:
    test = pd.read_parquet(os.environ["ASSAY_TEST_FEATURES"])
    rows = pd.concat([validation[features + config["data"]["key"]], test[features + config["data"]["key"]]])
    proba = model.predict_proba(rows[features].astype(np.int64))
    table = rows[config["data"]["key"]].copy()
    for i, c in enumerate(model.classes_):
        table[f"probability_{c}"] = proba[:, i]
    table.to_parquet(os.path.join(out, "predictions.parquet"), index=False)
else:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import Int64TensorType

    onnx = to_onnx(model, initial_types=[(c, Int64TensorType([None, 1])) for c in features], options={"zipmap": False})
    with open(os.path.join(out, "model.onnx"), "wb") as f:
        f.write(onnx.SerializeToString())
