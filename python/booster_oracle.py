"""Small models of XGBoost and LightGBM with what the library itself predicts, for testdata/oracle/booster.

    python python/booster_oracle.py DIR

Writes one model file and one .expected (JSON) a case, named after the library's version; run it once in an environment of each version. Inputs
are row-major, NaN is null. Margins are raw scores; predictions are what Booster.predict gives.
"""

import json
import pathlib
import sys

import numpy as np
import pandas as pd

SEED = 20251
ROWS = 24


def table(n=300, missing=True):
    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(n, 5))
    x[:, 3] = np.round(x[:, 3] * 2)
    x[:, 4] = rng.integers(0, 3, n) * (rng.random(n) < 0.6)
    signal = x[:, 0] - 0.7 * x[:, 1] * (x[:, 2] > 0) + 0.4 * x[:, 3] + 0.3 * x[:, 4]
    if missing:
        x[rng.random(x.shape) < 0.1] = np.nan
    return x, signal, rng


def clean(v):
    v = np.asarray(v, dtype=np.float64)
    return [None if np.isnan(e) else float(e) for e in v.reshape(-1)]


def write(directory, name, model, suffix, library, case, x, margin, prediction, columns=None):
    out = pathlib.Path(directory)
    (out / f"{name}.{suffix}").write_bytes(model)
    margin, prediction = np.asarray(margin), np.asarray(prediction)
    document = {
        "header": {"generator": "python/booster_oracle.py", "library": library, "case": case, "seed": SEED, "tolerance": {"abs": 1e-7, "rel": 1e-6}},
        "model": f"{name}.{suffix}", "rows": len(x), "inputs": clean(x),
        "margin": clean(margin), "prediction": clean(prediction),
    }
    if columns is not None:
        document["columns"] = columns
    (out / f"{name}.expected").write_text(json.dumps(document) + "\n")


def number_categories(lightgbm):
    """A table whose categories are numbers, and text; for LightGBM also fractions and truth values, and values that no category is, which
    XGBoost refuses. Some values are missing."""
    rng = np.random.default_rng(SEED + 1)
    n = 300
    frame = pd.DataFrame({
        "constant": pd.Categorical([7] * n), "x": rng.normal(size=n), "code": pd.Categorical(rng.choice([3, 5, 9, 1000000], n)),
        "step": pd.Categorical(rng.choice([0.1, 1.5, 2.5, 7.0], n) if lightgbm else rng.choice([-2, 0, 4], n)),
        "flag": pd.Categorical(rng.choice([True, False], n)) if lightgbm else rng.choice([0.0, 1.0], n),
        "text": pd.Categorical(rng.choice(["1e+06", "1000000", "b", "ä"], n)),
    })
    y = (frame["code"] == 5) * 2.0 + (frame["code"] == 1000000) + (frame["step"].astype(float) > 2) * 1.5 + frame["flag"].astype(float) + (frame["text"] == "1e+06") * 2
    y = (y + frame["x"] * 0.3 > 2.5).astype(int)
    few = frame[:ROWS].copy()
    few["code"] = pd.Categorical(([4, None, 1000001] if lightgbm else [None] * 3) + list(frame["code"][3:ROWS]))
    few["text"] = pd.Categorical(list(frame["text"][: ROWS - 2]) + ["unknown" if lightgbm else None, None])
    codes = few.copy()
    for c in frame:
        if isinstance(frame[c].dtype, pd.CategoricalDtype):
            codes[c] = pd.Categorical(few[c], categories=frame[c].cat.categories).codes.astype(float)
            codes.loc[codes[c] < 0, c] = np.nan
    columns = {c: [None if v is None or v != v else v if isinstance(v, str) else float(v) for v in few[c]] for c in few}
    return frame, y, few, codes.astype(float).to_numpy(), columns


def xgboost_cases(directory):
    import xgboost as xgb

    version = xgb.__version__
    major = tuple(int(p) for p in version.split(".")[:2])
    x, signal, rng = table()
    x = x.astype(np.float32)
    binary = (signal + 0.5 * rng.normal(size=len(x)) > 0).astype(int)
    classes = np.digitize(signal, [-0.7, 0.7])
    counts = rng.poisson(np.exp(np.clip(signal / 2, -2, 2)))
    several = np.column_stack([signal, -signal, signal * signal])
    base = {"max_depth": 3, "seed": 1, "nthread": 1}
    cases = [
        ("binary", {"objective": "binary:logistic"}, binary),
        ("binary_base", {"objective": "binary:logistic", "base_score": 0.3}, binary),
        ("reglogistic", {"objective": "reg:logistic"}, binary),
        ("logitraw", {"objective": "binary:logitraw"}, binary),
        ("hinge", {"objective": "binary:hinge"}, binary),
        ("softprob", {"objective": "multi:softprob", "num_class": 3}, classes),
        ("softmax", {"objective": "multi:softmax", "num_class": 3}, classes),
        ("regression", {"objective": "reg:squarederror"}, signal),
        ("pseudohuber", {"objective": "reg:pseudohubererror"}, signal),
        ("absolute", {"objective": "reg:absoluteerror"}, signal),
        ("poisson", {"objective": "count:poisson"}, counts),
        ("gamma", {"objective": "reg:gamma"}, counts + 1.0),
        ("tweedie", {"objective": "reg:tweedie", "tweedie_variance_power": 1.4}, counts),
        ("dart", {"booster": "dart", "rate_drop": 0.4, "objective": "binary:logistic"}, binary),
        ("linear", {"booster": "gblinear", "objective": "reg:squarederror"}, signal),
        ("linear_classes", {"booster": "gblinear", "objective": "multi:softprob", "num_class": 3}, classes),
        ("parallel", {"num_parallel_tree": 3, "subsample": 0.7, "objective": "binary:logistic"}, binary),
        ("lossguide", {"grow_policy": "lossguide", "max_leaves": 9, "max_depth": 0, "tree_method": "hist", "objective": "reg:squarederror"}, signal),
        ("targets", {"objective": "reg:squarederror"}, several),
    ]
    if major >= (2, 0):
        cases.append(("vector", {"objective": "reg:squarederror", "multi_strategy": "multi_output_tree", "tree_method": "hist"}, several))
        cases.append(("quantiles", {"objective": "reg:quantileerror", "quantile_alpha": np.array([0.2, 0.8])}, signal))
    for i, (name, params, y) in enumerate(cases):
        d = xgb.DMatrix(x, label=y)
        b = xgb.train({**base, **params}, d, 5)
        few = xgb.DMatrix(x[:ROWS])
        suffix = ["json", "ubj"][i % 2]
        write(directory, f"xgb_{version}_{name}", bytes(b.save_raw(suffix)), suffix, f"xgboost {version}", name, x[:ROWS], b.predict(few, output_margin=True), b.predict(few))
    d = xgb.DMatrix(x, label=np.abs(signal) + 0.1)
    d.set_group([50] * 6)
    d.set_label(np.digitize(signal, [0, 1]))
    b = xgb.train({**base, "objective": "rank:ndcg"}, d, 4)
    few = xgb.DMatrix(x[:ROWS])
    write(directory, f"xgb_{version}_rank", bytes(b.save_raw("ubj")), "ubj", f"xgboost {version}", "rank", x[:ROWS], b.predict(few, output_margin=True), b.predict(few))
    # categories: 70 levels need more than one word of bits
    n = len(x)
    many = rng.integers(0, 70, n)
    few_levels = rng.integers(0, 3, n)
    frame = pd.DataFrame({"a": x[:, 0], "many": pd.Categorical([f"k{v:02d}" for v in many]), "number": pd.Categorical(np.array([3, 5, 9])[few_levels])})
    y = (signal + (many % 7) - 3 + few_levels > 0).astype(int)
    d = xgb.DMatrix(frame, label=y, enable_categorical=True)
    b = xgb.train({**base, "objective": "binary:logistic", "tree_method": "hist", "max_cat_to_onehot": 1}, d, 5)
    few = xgb.DMatrix(frame[:ROWS], enable_categorical=True)
    codes = np.column_stack([frame["a"], frame["many"].cat.codes, frame["number"].cat.codes])[:ROWS]
    columns = {"a": clean(frame["a"][:ROWS]), "many": list(map(str, frame["many"][:ROWS])), "number": list(map(float, frame["number"][:ROWS]))}
    for suffix in ("json", "ubj"):
        write(directory, f"xgb_{version}_categories_{suffix}", bytes(b.save_raw(suffix)), suffix, f"xgboost {version}", "categories", codes, b.predict(few, output_margin=True), b.predict(few), columns)
    onehot = xgb.train({**base, "objective": "reg:squarederror", "tree_method": "hist", "max_cat_to_onehot": 100}, xgb.DMatrix(frame, label=signal + few_levels, enable_categorical=True), 5)
    write(directory, f"xgb_{version}_onehot", bytes(onehot.save_raw("ubj")), "ubj", f"xgboost {version}", "onehot", codes, onehot.predict(few, output_margin=True), onehot.predict(few))
    # a probability that rows start from which is close to 0 or 1; the label is the same in every row, and so the file has 0 or 1
    for name, params, y in (("start_low", {"base_score": 1e-9}, binary), ("start_high", {"base_score": 1 - 1e-7}, binary), ("constant_0", {}, 0 * binary), ("constant_1", {}, 0 * binary + 1)):
        if name.startswith("constant") and major < (3, 2):
            continue
        b = xgb.train({**base, "max_depth": 1, "objective": "binary:logistic", **params}, xgb.DMatrix(x, label=y), 2)
        write(directory, f"xgb_{version}_{name}", bytes(b.save_raw("json")), "json", f"xgboost {version}", name, x[:ROWS], b.predict(xgb.DMatrix(x[:ROWS]), output_margin=True), b.predict(xgb.DMatrix(x[:ROWS])))
    if major >= (3, 1):  # earlier files do not have the categories
        frame, y, few, codes, columns = number_categories(False)
        b = xgb.train({**base, "objective": "binary:logistic", "tree_method": "hist", "max_cat_to_onehot": 1}, xgb.DMatrix(frame, label=y, enable_categorical=True), 6)
        b.save_model(pathlib.Path(directory) / "tmp.json")
        b = xgb.Booster(model_file=pathlib.Path(directory) / "tmp.json")
        (pathlib.Path(directory) / "tmp.json").unlink()
        few = xgb.DMatrix(few, enable_categorical=True)
        for suffix in ("json", "ubj"):
            write(directory, f"xgb_{version}_numbers_{suffix}", bytes(b.save_raw(suffix)), suffix, f"xgboost {version}", "categories that are numbers", codes, b.predict(few, output_margin=True), b.predict(few), columns)
    # scikit-learn's interface predicts with the best iteration
    c = xgb.XGBClassifier(n_estimators=60, learning_rate=1.0, max_depth=4, early_stopping_rounds=3, n_jobs=1)
    c.fit(x[:200], binary[:200], eval_set=[(x[200:], binary[200:])], verbose=False)
    path = pathlib.Path(directory) / "tmp.json"
    c.save_model(path)
    write(directory, f"xgb_{version}_sklearn_stopped", path.read_bytes(), "json", f"xgboost {version}", f"best iteration {c.best_iteration} of {c.get_booster().num_boosted_rounds()}", x[:ROWS], c.predict(x[:ROWS], output_margin=True), c.predict_proba(x[:ROWS])[:, 1])
    path.unlink()


def lightgbm_cases(directory):
    import lightgbm as lgb

    version = lgb.__version__
    x, signal, rng = table()
    whole, _, _ = table(missing=False)
    binary = (signal + 0.5 * rng.normal(size=len(x)) > 0).astype(int)
    classes = np.digitize(signal, [-0.7, 0.7])
    counts = rng.poisson(np.exp(np.clip(signal / 2, -2, 2)))
    base = {"num_leaves": 6, "min_data_in_leaf": 5, "verbose": -1, "seed": 1, "num_threads": 1, "deterministic": True}
    cases = [
        ("binary", {"objective": "binary"}, x, binary),
        ("sigmoid", {"objective": "binary", "sigmoid": 0.7}, x, binary),
        ("zero_missing", {"objective": "binary", "zero_as_missing": True}, x, binary),
        ("no_missing", {"objective": "binary", "use_missing": False}, x, binary),
        ("none_missing", {"objective": "regression"}, whole, signal),
        ("multiclass", {"objective": "multiclass", "num_class": 3}, x, classes),
        ("ova", {"objective": "multiclassova", "num_class": 3}, x, classes),
        ("poisson", {"objective": "poisson"}, x, counts),
        ("gamma", {"objective": "gamma"}, x, counts + 1.0),
        ("tweedie", {"objective": "tweedie"}, x, counts),
        ("quantile", {"objective": "quantile", "alpha": 0.8}, x, signal),
        ("l1", {"objective": "regression_l1"}, x, signal),
        ("huber", {"objective": "huber"}, x, signal),
        ("mape", {"objective": "mape"}, x, signal + 5),
        ("sqrt", {"objective": "regression", "reg_sqrt": True}, x, signal * 3),
        ("xentropy", {"objective": "cross_entropy"}, x, 1 / (1 + np.exp(-signal))),
        ("xentlambda", {"objective": "cross_entropy_lambda"}, x, 1 / (1 + np.exp(-signal))),
        ("forest_binary", {"objective": "binary", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}, x, binary),
        ("forest_regression", {"objective": "regression", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}, x, signal),
        ("forest_classes", {"objective": "multiclass", "num_class": 3, "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}, x, classes),
        ("dart", {"objective": "binary", "boosting": "dart", "drop_rate": 0.5}, x, binary),
        ("linear", {"objective": "regression", "linear_tree": True}, x, signal),
    ]
    for name, params, data, y in cases:
        b = lgb.train({**base, **params}, lgb.Dataset(data, label=y, params={**base, **params}), 5)
        few = data[:ROWS].copy()
        if name == "none_missing":
            few[:6, :3] = np.nan  # counts as 0
        write(directory, f"lgbm_{version}_{name}", b.model_to_string().encode(), "txt", f"lightgbm {version}", name, few, b.predict(few, raw_score=True), b.predict(few))
    p = {**base, "objective": "lambdarank"}
    b = lgb.train(p, lgb.Dataset(x, label=np.digitize(signal, [0, 1]), group=[50] * 6), 4)
    write(directory, f"lgbm_{version}_rank", b.model_to_string().encode(), "txt", f"lightgbm {version}", "rank", x[:ROWS], b.predict(x[:ROWS], raw_score=True), b.predict(x[:ROWS]))
    n = len(x)
    many, few_levels = rng.integers(0, 70, n), rng.integers(0, 3, n)
    frame = pd.DataFrame({"a": x[:, 0], "many": pd.Categorical([f"k{v:02d}" for v in many]), "number": pd.Categorical(np.array([3, 5, 9])[few_levels])})
    y = (signal + (many % 7) - 3 + few_levels > 0).astype(int)
    p = {**base, "objective": "binary", "min_data_per_group": 1, "cat_smooth": 1, "max_cat_to_onehot": 1}
    b = lgb.train(p, lgb.Dataset(frame, label=y, params=p), 6)
    few = frame[:ROWS].copy()
    few.loc[3, "many"] = np.nan
    codes = np.column_stack([few["a"], few["many"].cat.codes.replace(-1, np.nan), few["number"].cat.codes])
    columns = {"a": clean(few["a"]), "many": [None if v != v else str(v) for v in few["many"]], "number": list(map(float, few["number"]))}
    write(directory, f"lgbm_{version}_categories", b.model_to_string().encode(), "txt", f"lightgbm {version}", "categories", codes, b.predict(few, raw_score=True), b.predict(few), columns)
    frame, y, few, codes, columns = number_categories(True)
    p = {**base, "objective": "binary", "min_data_per_group": 1, "cat_smooth": 1, "max_cat_to_onehot": 1}
    b = lgb.train(p, lgb.Dataset(frame, label=y, params=p), 6)
    write(directory, f"lgbm_{version}_numbers", b.model_to_string().encode(), "txt", f"lightgbm {version}", "categories that are numbers", codes, b.predict(few, raw_score=True), b.predict(few), columns)
    p = {**base, "objective": "binary", "learning_rate": 0.8, "num_leaves": 20}
    b = lgb.train(p, lgb.Dataset(x[:200], label=binary[:200]), 60, valid_sets=[lgb.Dataset(x[200:], label=binary[200:])], callbacks=[lgb.early_stopping(3, verbose=False)])
    write(directory, f"lgbm_{version}_stopped", b.model_to_string().encode(), "txt", f"lightgbm {version}", f"best iteration {b.best_iteration}", x[:ROWS], b.predict(x[:ROWS], raw_score=True), b.predict(x[:ROWS]))


if __name__ == "__main__":
    pathlib.Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    xgboost_cases(sys.argv[1])
    lightgbm_cases(sys.argv[1])
