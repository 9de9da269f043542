"""Every estimator of scikit-learn that skl2onnx exports, with what ONNX Runtime answers, for TestExports of package learn.

    python python/onnx_exports.py DIR [NAME…]

Each estimator is exported for the inputs it takes (float32, double, int64, texts) and asked for plain rows, for rows of zeros, very small and
very large numbers, and, where it takes them, for missing values. A case is NAME.onnx and NAME.json in DIR; left_out.json says what the
exporter or ONNX Runtime refuses itself.
"""

import json
import os
import pathlib
import sys
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import onnx
import onnxruntime
import skl2onnx
from onnx_oracle import encode
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType
from sklearn import (calibration, cluster, compose, cross_decomposition, decomposition, discriminant_analysis, ensemble, feature_extraction, feature_selection,
                     gaussian_process, impute, kernel_approximation, linear_model, mixture, model_selection, multiclass, multioutput, naive_bayes, neighbors,
                     neural_network, pipeline, preprocessing, random_projection, svm, tree)

SEED = 20
TRAIN, ROWS, COLUMNS = 120, 100, 4


def estimators(y):
    """The cases: name, estimator, target (None for none) and what more it takes: nan, positive (no number under 0), counts (integers only),
    distances (of rows, which cancel in float32)."""
    two, three, words, value, count, both, marks = (y[k] for k in ("two", "three", "words", "value", "count", "both", "marks"))
    few = {"n_estimators": 4, "random_state": 0}
    logistic = linear_model.LogisticRegression
    stump = tree.DecisionTreeClassifier
    pipe = pipeline.make_pipeline
    for name, e in (("logistic", logistic()), ("tree", stump(max_depth=4, random_state=0)), ("svc", svm.SVC(probability=True, random_state=0)), ("forest", ensemble.RandomForestClassifier(**few)),
                    ("gb", ensemble.GradientBoostingClassifier(**few)), ("sgd", linear_model.SGDClassifier(loss="log_loss", random_state=0)), ("nb", naive_bayes.GaussianNB()), ("mlp", neural_network.MLPClassifier((4,), max_iter=30, random_state=0))):
        yield "ovr_" + name, multiclass.OneVsRestClassifier(e), three
    yield "ovr_words", multiclass.OneVsRestClassifier(logistic()), words
    yield "ovr_two", multiclass.OneVsRestClassifier(logistic()), two
    yield "ovr_marks", multiclass.OneVsRestClassifier(logistic()), marks
    yield "ovr_linear_svc", multiclass.OneVsRestClassifier(svm.LinearSVC()), three
    yield "ovo", multiclass.OneVsOneClassifier(logistic()), three
    yield "ovo_tree", multiclass.OneVsOneClassifier(stump(max_depth=3, random_state=0)), words
    yield "multi_classifier", multioutput.MultiOutputClassifier(logistic()), marks
    yield "multi_regressor", multioutput.MultiOutputRegressor(linear_model.Ridge()), both
    for name, target in (("two", two), ("three", three), ("words", words)):
        yield "logistic_" + name, logistic(), target
        yield "tree_" + name, stump(max_depth=4, random_state=0), target, "nan"
        yield "forest_" + name, ensemble.RandomForestClassifier(max_depth=4, **few), target, "nan"
        yield "gb_" + name, ensemble.GradientBoostingClassifier(**few), target
        yield "hist_gb_" + name, ensemble.HistGradientBoostingClassifier(max_iter=4), target, "nan"
        yield "mlp_" + name, neural_network.MLPClassifier((4,), max_iter=40, random_state=0), target
        yield "svc_" + name, svm.SVC(), target
        yield "svc_probability_" + name, svm.SVC(probability=True, random_state=0), target
        yield "gaussian_nb_" + name, naive_bayes.GaussianNB(), target
        yield "knn_" + name, neighbors.KNeighborsClassifier(3), target, "distances"
        yield "linear_svc_" + name, svm.LinearSVC(), target
        yield "calibrated_" + name, calibration.CalibratedClassifierCV(logistic(), cv=2), target
        yield "perceptron_" + name, linear_model.Perceptron(), target
    yield "tree_marks", stump(max_depth=4, random_state=0), marks
    yield "forest_marks", ensemble.RandomForestClassifier(max_depth=4, **few), marks
    yield "extra_tree", tree.ExtraTreeClassifier(max_depth=4, random_state=0), three
    yield "extra_trees", ensemble.ExtraTreesClassifier(max_depth=4, **few), three, "nan"
    yield "knn_marks", neighbors.KNeighborsClassifier(3), marks, "distances"
    yield "knn_distance", neighbors.KNeighborsClassifier(3, weights="distance"), three, "distances"
    yield "knn_manhattan", neighbors.KNeighborsClassifier(3, metric="manhattan"), three, "distances"
    yield "logistic_l1", logistic(l1_ratio=1, solver="liblinear"), two
    yield "ridge_classifier", linear_model.RidgeClassifier(), three
    yield "passive", linear_model.SGDClassifier(loss="hinge", penalty=None, learning_rate="pa1", random_state=0), three
    yield "sgd_huber", linear_model.SGDClassifier(loss="modified_huber", random_state=0), three
    yield "ada_three", ensemble.AdaBoostClassifier(**few), three
    yield "ada_two", ensemble.AdaBoostClassifier(**few), two
    yield "bagging_tree", ensemble.BaggingClassifier(stump(max_depth=3), **few), three
    yield "bagging_logistic", ensemble.BaggingClassifier(logistic(), max_features=0.5, **few), words
    yield "voting_soft", ensemble.VotingClassifier([("a", logistic()), ("b", stump(max_depth=3, random_state=0))], voting="soft", weights=np.array([1, 3])), three
    yield "voting_hard", ensemble.VotingClassifier([("a", logistic()), ("b", stump(max_depth=3, random_state=0)), ("c", naive_bayes.GaussianNB())], flatten_transform=False), three
    yield "stacking", ensemble.StackingClassifier([("a", logistic()), ("b", stump(max_depth=3, random_state=0))]), three
    yield "stacking_through", ensemble.StackingClassifier([("a", logistic()), ("b", stump(max_depth=3, random_state=0))], passthrough=True), words
    yield "isotonic", calibration.CalibratedClassifierCV(naive_bayes.GaussianNB(), method="isotonic", cv=2), two
    yield "isotonic_three", calibration.CalibratedClassifierCV(naive_bayes.GaussianNB(), method="isotonic", cv=2), three
    yield "calibrated_tree", calibration.CalibratedClassifierCV(stump(max_depth=3), cv=2), three
    yield "nusvc", svm.NuSVC(nu=0.2), three
    yield "svc_linear", svm.SVC(kernel="linear"), three
    yield "svc_poly", svm.SVC(kernel="poly", coef0=1, break_ties=False), three
    yield "svc_ovo", svm.SVC(decision_function_shape="ovo"), three
    yield "bernoulli_nb", naive_bayes.BernoulliNB(), three
    yield "multinomial_nb", naive_bayes.MultinomialNB(), three, "positive"
    yield "complement_nb", naive_bayes.ComplementNB(), three, "positive"
    yield "categorical_nb", naive_bayes.CategoricalNB(), three, "counts"
    yield "lda", discriminant_analysis.LinearDiscriminantAnalysis(), three
    yield "lda_two", discriminant_analysis.LinearDiscriminantAnalysis(), two
    yield "qda", discriminant_analysis.QuadraticDiscriminantAnalysis(), three, "distances"
    yield "gp_classifier", gaussian_process.GaussianProcessClassifier(), two
    yield "tuned", model_selection.TunedThresholdClassifierCV(logistic(), cv=2), two
    yield "grid", model_selection.GridSearchCV(logistic(), {"C": [0.1, 1]}, cv=2), three
    # regressors
    for name, e in (("linear", linear_model.LinearRegression()), ("ridge", linear_model.Ridge()), ("lasso", linear_model.Lasso(0.01)), ("elastic", linear_model.ElasticNet(0.01)), ("lars", linear_model.LassoLars(0.01)),
                    ("bayes", linear_model.BayesianRidge()), ("ard", linear_model.ARDRegression()), ("huber", linear_model.HuberRegressor()), ("sgd", linear_model.SGDRegressor(random_state=0)), ("quantile", linear_model.QuantileRegressor(alpha=0)),
                    ("omp", linear_model.OrthogonalMatchingPursuit()), ("theil", linear_model.TheilSenRegressor(random_state=0)), ("ransac", linear_model.RANSACRegressor(random_state=0)), ("svr", svm.SVR()),
                    ("nusvr", svm.NuSVR(kernel="poly")), ("linear_svr", svm.LinearSVR()), ("gb", ensemble.GradientBoostingRegressor(**few)), ("ada", ensemble.AdaBoostRegressor(**few)), ("knn", neighbors.KNeighborsRegressor(3)),
                    ("knn_distance", neighbors.KNeighborsRegressor(3, weights="distance")), ("mlp", neural_network.MLPRegressor(hidden_layer_sizes=(4,), max_iter=60, random_state=0)),
                    ("pls", cross_decomposition.PLSRegression(2)), ("gp", gaussian_process.GaussianProcessRegressor(alpha=0.1)), ("bagging", ensemble.BaggingRegressor(**few)),
                    ("voting", ensemble.VotingRegressor([("a", linear_model.Ridge()), ("b", tree.DecisionTreeRegressor(max_depth=3, random_state=0))])),
                    ("stacking", ensemble.StackingRegressor([("a", linear_model.Ridge()), ("b", tree.DecisionTreeRegressor(max_depth=3, random_state=0))]))):
        yield "reg_" + name, e, value, *(["distances"] if name in ("gp", "knn", "knn_distance") else [])
    for name, e in (("tree", tree.DecisionTreeRegressor(max_depth=4, random_state=0)), ("forest", ensemble.RandomForestRegressor(max_depth=4, **few)), ("hist_gb", ensemble.HistGradientBoostingRegressor(max_iter=4)),
                    ("extra_trees", ensemble.ExtraTreesRegressor(max_depth=4, **few))):
        yield "reg_" + name, e, value, "nan"
    for name, e in (("linear", linear_model.LinearRegression()), ("tree", tree.DecisionTreeRegressor(max_depth=4, random_state=0)), ("forest", ensemble.RandomForestRegressor(max_depth=4, **few)), ("knn", neighbors.KNeighborsRegressor(3)),
                    ("multi_task", linear_model.MultiTaskLasso(0.01)), ("mlp", neural_network.MLPRegressor(hidden_layer_sizes=(4,), max_iter=40, random_state=0)), ("gp", gaussian_process.GaussianProcessRegressor(alpha=0.1))):
        yield "both_" + name, e, both, *(["distances"] if name in ("gp", "knn") else [])
    for name, e in (("poisson", linear_model.PoissonRegressor()), ("gamma", linear_model.GammaRegressor()), ("tweedie", linear_model.TweedieRegressor(power=1.5)), ("hist_gb_poisson", ensemble.HistGradientBoostingRegressor(max_iter=4, loss="poisson"))):
        yield "reg_" + name, e, count
    # outliers, clusters, mixtures
    yield "isolation", ensemble.IsolationForest(**few), None, "nan"
    yield "one_class", svm.OneClassSVM(), None
    yield "sgd_one_class", linear_model.SGDOneClassSVM(random_state=0), None
    yield "lof", neighbors.LocalOutlierFactor(5, novelty=True), None, "distances"
    yield "kmeans", cluster.KMeans(3, n_init=1, random_state=0), None, "distances"
    yield "mini_kmeans", cluster.MiniBatchKMeans(3, n_init=1, random_state=0), None, "distances"
    for covariance in ("full", "tied", "diag", "spherical"):
        yield "mixture_" + covariance, mixture.GaussianMixture(2, covariance_type=covariance, random_state=0), None, "distances"
    yield "bayes_mixture", mixture.BayesianGaussianMixture(n_components=2, random_state=0), None, "distances"
    yield "nearest", neighbors.NearestNeighbors(n_neighbors=2), None, "distances"
    # transformers, alone and before a classifier
    for name, e, *more in (
        ("standard", preprocessing.StandardScaler(), "nan"), ("robust", preprocessing.RobustScaler(), "nan"), ("min_max", preprocessing.MinMaxScaler(clip=True), "nan"), ("max_abs", preprocessing.MaxAbsScaler(), "nan"),
        ("normalizer_l1", preprocessing.Normalizer("l1")), ("normalizer_l2", preprocessing.Normalizer("l2")), ("normalizer_max", preprocessing.Normalizer("max")), ("binarizer", preprocessing.Binarizer(threshold=0.2)),
        ("polynomial", preprocessing.PolynomialFeatures(2)), ("interactions", preprocessing.PolynomialFeatures(2, interaction_only=True)), ("yeo", preprocessing.PowerTransformer(), "nan"),
        ("quantile", preprocessing.QuantileTransformer(n_quantiles=20)), ("quantile_normal", preprocessing.QuantileTransformer(n_quantiles=20, output_distribution="normal")), ("bins", preprocessing.KBinsDiscretizer(4, encode="onehot-dense", quantile_method="averaged_inverted_cdf")),
        ("bins_ordinal", preprocessing.KBinsDiscretizer(4, encode="ordinal", strategy="uniform")), ("imputer", impute.SimpleImputer(), "nan"), ("imputer_indicator", impute.SimpleImputer(strategy="median", add_indicator=True), "nan"),
        ("imputer_frequent", impute.SimpleImputer(strategy="most_frequent"), "nan"), ("imputer_constant", impute.SimpleImputer(strategy="constant", fill_value=-1), "nan"), ("knn_imputer", impute.KNNImputer(n_neighbors=2), "nan"), ("indicator", impute.MissingIndicator(features="all"), "nan"),
        ("pca", decomposition.PCA(2)), ("pca_white", decomposition.PCA(2, whiten=True)), ("incremental_pca", decomposition.IncrementalPCA(2)), ("svd", decomposition.TruncatedSVD(2)), ("kernel_pca", decomposition.KernelPCA(2, kernel="rbf")),
        ("kernel_pca_poly", decomposition.KernelPCA(2, kernel="poly")), ("nca", neighbors.NeighborhoodComponentsAnalysis(random_state=0, max_iter=5)), ("projection", random_projection.GaussianRandomProjection(2, random_state=0)),
        ("k_best", feature_selection.SelectKBest(k=2)), ("percentile", feature_selection.SelectPercentile(percentile=50)), ("variance", feature_selection.VarianceThreshold()), ("from_model", feature_selection.SelectFromModel(logistic())),
        ("rfe", feature_selection.RFE(logistic(), n_features_to_select=2)), ("rfecv", feature_selection.RFECV(logistic(), cv=2)), ("fpr", feature_selection.SelectFpr()), ("fdr", feature_selection.SelectFdr()), ("embedding", ensemble.RandomTreesEmbedding(3, max_depth=2, random_state=0)),
        ("function", preprocessing.FunctionTransformer()), ("union", pipeline.make_union(preprocessing.StandardScaler(), decomposition.PCA(2))), ("lda", discriminant_analysis.LinearDiscriminantAnalysis()),
        ("columns", compose.ColumnTransformer([("a", preprocessing.StandardScaler(), [0, 2]), ("b", preprocessing.MinMaxScaler(), [1])], remainder="passthrough")),
    ):
        yield "trans_" + name, e, three, *more
        yield "pipe_" + name, pipe(e, logistic(max_iter=30)) if "nan" not in more or "imputer" in name else pipe(e, stump(max_depth=4, random_state=0)), three, *more
    yield "pipe_imputer_scaler_tree", pipe(impute.SimpleImputer(), preprocessing.StandardScaler(), ensemble.GradientBoostingClassifier(**few)), words, "nan"
    yield "pipe_regressor", pipe(impute.SimpleImputer(add_indicator=True), preprocessing.PolynomialFeatures(2), linear_model.Ridge()), value, "nan"
    for name, e in (("onehot", preprocessing.OneHotEncoder(handle_unknown="ignore")), ("onehot_drop", preprocessing.OneHotEncoder(drop="first")), ("ordinal", preprocessing.OrdinalEncoder()),
                    ("ordinal_unknown", preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)), ("target_encoder", preprocessing.TargetEncoder(cv=2, random_state=0)), ("onehot_rare", preprocessing.OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=20))):
        yield "trans_" + name, e, two, "counts"
        yield "pipe_" + name, pipe(e, logistic()), two, "counts"


def texts(y):
    """The same for two columns of words, or for one of sentences."""
    two, words = y["two"], y["words"]
    pipe, logistic = pipeline.make_pipeline, linear_model.LogisticRegression
    one_hot = lambda **more: preprocessing.OneHotEncoder(handle_unknown="ignore", **more)
    yield "text_onehot", one_hot(), two, "words"
    yield "text_onehot_logistic", pipe(one_hot(), logistic()), words, "words"
    yield "text_onehot_rare", pipe(preprocessing.OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=20), logistic()), words, "words"
    yield "text_onehot_drop", pipe(preprocessing.OneHotEncoder(drop="if_binary"), logistic()), words, "known"
    yield "text_ordinal_tree", pipe(preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), tree.DecisionTreeClassifier(max_depth=3, random_state=0)), words, "words"
    yield "text_ordinal", preprocessing.OrdinalEncoder(), two, "known"
    yield "text_target_encoder", pipe(preprocessing.TargetEncoder(cv=2, random_state=0), logistic()), two, "known"
    yield "text_imputer", pipe(impute.SimpleImputer(missing_values="", strategy="most_frequent"), one_hot(), logistic()), words, "words"
    yield "text_count", feature_extraction.text.CountVectorizer(token_pattern="[a-z]+"), two, "sentences"
    yield "text_count_logistic", pipe(feature_extraction.text.CountVectorizer(token_pattern="[a-z]+"), logistic()), two, "sentences"
    yield "text_tfidf_logistic", pipe(feature_extraction.text.TfidfVectorizer(token_pattern="[a-z]+", ngram_range=(1, 2)), logistic()), words, "sentences"
    yield "text_tfidf_plain", feature_extraction.text.TfidfVectorizer(), words, "sentences"
    yield "text_hasher", feature_extraction.FeatureHasher(8, input_type="string"), two, "words"


def data():
    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(TRAIN, COLUMNS)) * [1, 2, 0.5, 3] + [0, 1, -2, 5]
    score = x[:, 0] + x[:, 1] * x[:, 2] / 2 - 0.1 * x[:, 3] + rng.normal(size=TRAIN) * 0.3
    score -= np.median(score)
    three = np.digitize(score, np.quantile(score, [0.33, 0.66]))
    y = {"two": (score > 0).astype(int), "three": three, "words": np.array(["low", "mid", "high"])[three], "value": score, "count": np.abs(score) + 0.1,
         "both": np.column_stack([score, -2 * score + x[:, 0]]), "marks": np.column_stack([score > 0, x[:, 1] > 1]).astype(int)}
    return x, y, rng


def rows_of(kind, rng, what):
    """The rows that a case is asked for, by the name of their group."""
    x = rng.normal(size=(ROWS, COLUMNS)) * [1, 2, 0.5, 3] + [0, 1, -2, 5]
    if "positive" in what:
        x = np.abs(x)
    if "counts" in what:
        x = rng.integers(0, 3, x.shape).astype(float)
    out = {"plain": x}
    if "counts" not in what:
        odd = np.array([0, -0.0, 1e-30, -1e-30, 1e-45, 1, -1, 1e3, -1e3, 1e6, -1e6, 16777217, 0.1, 0.5])
        odd = np.abs(odd) if "positive" in what else odd
        if "distances" in what:  # of which the float32 kernels keep no digit that matters where a coordinate is a million
            odd = odd[np.abs(odd) <= 1000]
        out["odd"] = rng.choice(odd, x.shape)
        if "positive" not in what and "distances" not in what and kind != "int64":
            out["large"] = x.copy()
            out["large"][np.arange(ROWS), rng.integers(0, COLUMNS, ROWS)] = rng.choice([3e38, -3e38, 1e20, -1e20, 1e9, -1e9], ROWS)
        if "nan" in what and kind != "int64":
            out["nan"] = np.where(rng.random(x.shape) < 0.3, np.nan, x)
    if kind == "int64":
        out = {k: np.round(v).astype(np.int64) for k, v in out.items()}
    elif kind == "float32":
        out = {k: v.astype(np.float32) for k, v in out.items()}
    return out


def scikit_learn(estimator, output, x):
    """What scikit-learn says in double precision of the output of that name, or None."""
    if x.dtype == object and x.shape[1] == 1:
        x = x[:, 0]
    asked = {"label": ["predict"], "output_label": ["predict"], "probabilities": ["predict_proba", "decision_function"], "scores": ["transform", "decision_function"], "GPmean": ["predict"]}
    for method in asked.get(output, ["transform", "predict"]):
        if hasattr(estimator, method):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    out = getattr(estimator, method)(x)
            except ValueError:  # numbers that float64 has and the estimator does not take
                return None
            out = np.asarray(out.toarray() if hasattr(out, "toarray") else out)
            return np.column_stack([-out, out]) if output == "probabilities" and out.ndim == 1 else out
    return None


def tolerance(name):
    """The tolerance of a case. Some sum large terms that nearly cancel, so that float32 leaves them few digits, in ONNX Runtime too."""
    if "double" not in name:
        if "gp." in name or "perceptron" in name:
            return {"rel": 2e-2, "abs": 2e-2}
        if any(k in name for k in ("one_class.", "nusvr", "kernel_pca_poly")):
            return {"rel": 1e-3, "abs": 1e-3}
    return {"rel": 1e-5, "abs": 1e-6}


def export(directory, name, estimator, types, groups, left_out):
    """Writes the cases of one export."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "predict_proba") or hasattr(estimator, "decision_function") else None
            try:
                model = skl2onnx.to_onnx(estimator, initial_types=types, options=options)
            except (NameError, ValueError, KeyError):
                model = skl2onnx.to_onnx(estimator, initial_types=types)
    except Exception as e:
        left_out[name] = "exporter: " + type(e).__name__ + " " + str(e)[:160]
        return
    blob = model.SerializeToString()
    for node in model.graph.node:  # the default, en_US, is not installed everywhere; the cases are the same
        if node.op_type == "StringNormalizer":
            node.attribute.append(onnx.helper.make_attribute("locale", "C.UTF-8"))
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception as e:
        left_out[name] = "ONNX Runtime: " + str(e)[:300]
        return
    for group, inputs in groups.items():
        case = name + "." + group
        try:
            outputs = session.run(None, inputs)
        except Exception as e:
            left_out[case] = "ONNX Runtime: " + str(e)[:300]
            continue
        names, truth = [o.name for o in session.get_outputs()], {}
        for n, v in zip(names, outputs):
            x = inputs["X"]
            said = scikit_learn(estimator, n, x if x.dtype == object else x.astype(np.float64))
            if said is not None and not isinstance(v, list) and said.size == v.size:
                truth[n] = encode((said if said.dtype.kind in "OU" else said.astype(v.dtype if v.dtype.kind == "i" else np.float64)).reshape(v.shape))
        document = {"header": {"tolerance": tolerance(name)}, "model": case, "inputs": {k: encode(v) for k, v in inputs.items()},
                    "outputs": [{"name": n, **encode(v)} for n, v in zip(names, outputs)], "scikit-learn": truth}
        pathlib.Path(directory, case + ".onnx").write_bytes(blob)
        pathlib.Path(directory, case + ".json").write_text(json.dumps(document) + "\n")


def main(directory, only):
    onnxruntime.set_default_logger_severity(4)
    left_out = {}
    x, y, rng = data()
    tensor = {"float32": FloatTensorType, "double": DoubleTensorType, "int64": Int64TensorType}
    for name, estimator, target, *what in estimators(y):
        if only and not any(name.startswith(o) for o in only):
            continue
        train = np.abs(x) if "positive" in what else np.random.default_rng(1).integers(0, 3, x.shape) if "counts" in what else x
        if "nan" in what and "forest" not in name and "extra" not in name and "tree" not in name:
            train = np.where(np.random.default_rng(2).random(x.shape) < 0.1, np.nan, train)
        for kind in tensor if not name.startswith("pipe_") else ["float32"]:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    seen = train if kind == "double" else train.astype(np.float32)
                    estimator.fit(seen) if target is None else estimator.fit(seen, target)
            except Exception as e:
                left_out[name] = "scikit-learn: " + str(e)[:160]
                break
            groups = {g: {"X": v} for g, v in rows_of(kind, np.random.default_rng(SEED + 1), what).items()}
            export(directory, f"{name}.{kind}", estimator, [("X", tensor[kind]([None, COLUMNS]))], groups, left_out)
    vocabulary = np.array(["red", "green", "blue", "", "Red", "été", "a b"])
    weights = [0.3, 0.3, 0.2, 0.1, 0.05, 0.03, 0.02]
    for name, estimator, target, what in texts(y):
        if only and not any(name.startswith(o) for o in only):
            continue
        rng = np.random.default_rng(SEED + 2)
        if what == "sentences":
            draw = lambda n, v: np.array([" ".join(rng.choice(v, rng.integers(0, 6))) for _ in range(n)])
            train, asked = draw(TRAIN, vocabulary[:5]), draw(ROWS, np.append(vocabulary, ["unseen", "red,", "x.y"]))
            columns, asked = 1, asked.reshape(-1, 1)
        else:
            train = rng.choice(vocabulary, (TRAIN, 2), p=weights).astype(object)
            asked = rng.choice(vocabulary if what == "known" else np.append(vocabulary, ["unseen", "RED"]), (ROWS, 2)).astype(object)
            columns = 2
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                estimator.fit(train, target)
        except Exception as e:
            left_out[name] = "scikit-learn: " + str(e)[:160]
            continue
        if what == "known":
            known = [set(train[:, 0]), set(train[:, 1])]
            asked = np.array([r for r in asked if r[0] in known[0] and r[1] in known[1]], dtype=object)
        groups = {"plain": {"X": asked.astype(object)}}
        if what == "sentences":
            groups["empty"] = {"X": np.array([[""]], dtype=object)}
        export(directory, name, estimator, [("X", StringTensorType([None, columns]))], groups, left_out)
    pathlib.Path(directory, "left_out.json").write_text(json.dumps(left_out, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
