"""Trains XGBoost or LightGBM under `assay run` and leaves the file that the library itself writes: python3 boost.py xgboost|lightgbm.

No conversion: Assay reads model.json and model.txt as they are. Classes are the target's in their order, which is what 0 and 1 mean here.
"""

import json
import os
import sys

import numpy as np
import pandas as pd
from sklearn.metrics import log_loss, roc_auc_score

with open(os.environ["ASSAY_CONFIG"]) as f:
    config = json.load(f)
target = config["data"]["target"]["column"]
out = os.environ["ASSAY_OUT"]

train = pd.read_parquet(os.environ["ASSAY_TRAIN"])
validation = pd.read_parquet(os.environ["ASSAY_VALIDATION"])
drop = [target, *config["data"]["key"], *config["data"]["exclude"]]
features = [c for c in train.columns if c not in drop]
classes = sorted(train[target].unique())


def split(part):
    return part[features].astype(np.float64), part[target].map(classes.index).to_numpy()


x, y = split(train)
xv, yv = split(validation)
rounds = config["params"]["trees"]
if sys.argv[1] == "xgboost":
    import xgboost

    model = xgboost.train({"objective": "binary:logistic", "max_depth": 5, "nthread": 2}, xgboost.DMatrix(x, y), num_boost_round=rounds)
    p = model.predict(xgboost.DMatrix(xv))
    model.save_model(os.path.join(out, "model.json"))
else:
    import lightgbm

    model = lightgbm.train({"objective": "binary", "num_leaves": 31, "num_threads": 2, "verbose": -1}, lightgbm.Dataset(x, y), num_boost_round=rounds)
    p = model.predict(xv)
    model.save_model(os.path.join(out, "model.txt"))
with open(os.path.join(out, "metrics.json"), "w") as f:
    json.dump({"roc_auc_score": roc_auc_score(yv, p), "log_loss": log_loss(yv, p)}, f)
