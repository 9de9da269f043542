"""Small ONNX models with what ONNX Runtime answers, for testdata/oracle/onnx: estimators of scikit-learn, and single operators.

    python python/onnx_oracle.py DIR [OPERATOR…]

Made with the versions that python/requirements.txt pins; each file's header names them. Existing files of other generators stay.
"""

import json
import pathlib
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
import skl2onnx
import sklearn
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

SEED = 4711
ROWS = 11
VERSIONS = {"scikit-learn": sklearn.__version__, "skl2onnx": skl2onnx.__version__, "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}


def encode(a):
    if isinstance(a, list) and a and isinstance(a[0], dict):
        keys = list(a[0])
        return {"type": "sequence_of_maps", "keys": keys, "data": [[float(row[k]) for k in keys] for row in a]}
    a = np.asarray(a)
    if a.dtype.kind in "OU":
        return {"dtype": "string", "shape": list(a.shape), "data": [str(v) for v in a.reshape(-1)]}
    out = {"dtype": str(a.dtype), "shape": list(a.shape)}
    if a.dtype.kind == "f":
        out["data"] = [float(v) if np.isfinite(v) else ("NaN" if np.isnan(v) else "Infinity" if v > 0 else "-Infinity") for v in a.reshape(-1)]
    else:
        out["data"] = [int(v) for v in a.reshape(-1)]
    return out


def write(directory, name, model, inputs, what, rel=1e-6, absolute=1e-7, asked=None, reference=False):
    """Writes a model and what ONNX Runtime answers, or what it answers for the model asked; with reference what ONNX's own evaluator does."""
    data = model.SerializeToString()
    if reference:
        outputs, names = ReferenceEvaluator(model).run(None, inputs), [o.name for o in model.graph.output]
        what += " (onnx.reference)"
    else:
        session = onnxruntime.InferenceSession((asked or model).SerializeToString(), providers=["CPUExecutionProvider"])
        outputs, names = session.run(None, inputs), [o.name for o in session.get_outputs()]
    document = {
        "header": {"generator": "python/onnx_oracle.py: " + what, "versions": VERSIONS, "seed": SEED, "tolerance": {"abs": absolute, "rel": rel}},
        "model": name,
        "inputs": {k: encode(v) for k, v in inputs.items()},
        "outputs": [{"name": n, **encode(v)} for n, v in zip(names, outputs)],
    }
    pathlib.Path(directory, name + ".onnx").write_bytes(data)
    pathlib.Path(directory, name + ".json").write_text(json.dumps(document) + "\n")


def estimators(directory):
    from sklearn import (cluster, discriminant_analysis, ensemble, feature_selection, gaussian_process, linear_model, mixture, multiclass,
                         naive_bayes, neighbors, neural_network, pipeline, preprocessing, svm, tree, decomposition)

    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(90, 4)).astype(np.float32)
    score = x[:, 0] + x[:, 1] * x[:, 2] - 0.5 * x[:, 3]
    two, three = (score > 0).astype(int), np.digitize(score, [-0.7, 0.7])
    words = np.array(["low", "mid", "high"])[three]
    cases = [
        ("svc_linear_probability", svm.SVC(kernel="linear", probability=True, random_state=1), two),
        ("svc_poly_probability", svm.SVC(kernel="poly", degree=2, coef0=1, probability=True, random_state=1), three),
        ("svc_sigmoid", svm.SVC(kernel="sigmoid"), three),
        ("nusvc", svm.NuSVC(nu=0.3), two),
        ("svr_poly", svm.SVR(kernel="poly"), score),
        ("svr_linear", svm.LinearSVR(), score),
        ("one_class_svm", svm.OneClassSVM(), None),
        ("linear_svc", svm.LinearSVC(), words),
        ("sgd_log", linear_model.SGDClassifier(loss="log_loss", random_state=1), three),
        ("ridge_classifier", linear_model.RidgeClassifier(), two),
        ("tweedie", linear_model.TweedieRegressor(power=1.5), np.abs(score)),
        ("knn_regressor", neighbors.KNeighborsRegressor(3), score),
        ("knn_distance", neighbors.KNeighborsClassifier(3, weights="distance"), three),
        ("isolation_forest", ensemble.IsolationForest(n_estimators=5, random_state=1), None),
        ("ada", ensemble.AdaBoostClassifier(n_estimators=4, random_state=1), three),
        ("ada_regressor", ensemble.AdaBoostRegressor(n_estimators=4, random_state=1), score),
        ("bagging", ensemble.BaggingClassifier(n_estimators=3, random_state=1), two),
        ("stacking", ensemble.StackingClassifier([("a", linear_model.LogisticRegression()), ("b", tree.DecisionTreeClassifier(max_depth=2))]), two),
        ("voting_regressor", ensemble.VotingRegressor([("a", linear_model.LinearRegression()), ("b", tree.DecisionTreeRegressor(max_depth=3))]), score),
        ("tree_regressor_multi", tree.DecisionTreeRegressor(max_depth=3), np.column_stack([score, -score])),
        ("lda", discriminant_analysis.LinearDiscriminantAnalysis(), three),
        ("qda", discriminant_analysis.QuadraticDiscriminantAnalysis(), three),
        ("bernoulli_nb", naive_bayes.BernoulliNB(), three),
        ("multinomial_nb", pipeline.make_pipeline(preprocessing.MinMaxScaler(), naive_bayes.MultinomialNB()), three),
        ("kmeans", cluster.KMeans(3, n_init=1, random_state=1), None),
        ("mixture", mixture.GaussianMixture(2, random_state=1), None),
        ("mlp_logistic", neural_network.MLPClassifier((5,), activation="logistic", max_iter=50, random_state=1), two),
        ("gp_regressor", gaussian_process.GaussianProcessRegressor(gaussian_process.kernels.RBF(), alpha=0.1), score),
        ("polynomial", pipeline.make_pipeline(preprocessing.PolynomialFeatures(2), linear_model.Ridge()), score),
        ("power", pipeline.make_pipeline(preprocessing.PowerTransformer(), linear_model.Ridge()), score),
        ("binarizer", pipeline.make_pipeline(preprocessing.Binarizer(threshold=0.1), linear_model.LogisticRegression()), three),
        ("max_abs", pipeline.make_pipeline(preprocessing.MaxAbsScaler(), linear_model.Lasso(0.01)), score),
        ("select", pipeline.make_pipeline(feature_selection.SelectKBest(k=2), linear_model.LogisticRegression()), two),
        ("truncated_svd", pipeline.make_pipeline(decomposition.TruncatedSVD(2), linear_model.LogisticRegression()), two),
        ("poisson", linear_model.PoissonRegressor(), np.abs(score)),
        ("ovr_logistic", multiclass.OneVsRestClassifier(linear_model.LogisticRegression()), words),
        ("ovr_tree", multiclass.OneVsRestClassifier(tree.DecisionTreeClassifier(max_depth=3, random_state=1)), three),
        ("ovo", multiclass.OneVsOneClassifier(linear_model.LogisticRegression()), three),
        ("normalizer", pipeline.make_pipeline(preprocessing.Normalizer("l2"), linear_model.LogisticRegression()), words),
    ]
    few = x[:ROWS]
    for name, estimator, y in cases:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                estimator.fit(x) if y is None else estimator.fit(x, y)
                options = {"zipmap": False} if hasattr(estimator, "predict_proba") and name != "mixture" else {}
                model = skl2onnx.to_onnx(estimator, few, options=options, target_opset={"": 18, "ai.onnx.ml": 3})
            loose = name in ("qda", "gp_regressor", "mixture", "power", "kmeans", "knn_distance", "svc_linear_probability", "svc_poly_probability", "one_class_svm", "knn_regressor")
            write(directory, "skl_" + name, model, {"X": few}, repr(estimator)[:60], *((1e-4, 1e-4) if loose else (1e-5, 1e-6)))
        except Exception as e:  # an exporter's limit, reported and left out
            print("left out:", name, str(e)[:150].replace("\n", " "))


def numbers(add):
    """Whole numbers at the ends of their types, what has no place in the type that it is cast to, and NaN."""
    odd = [np.nan, np.inf, -np.inf, -1.9, 127, 128, -129, 255, 256, 32768, 65535, -32769, 2.0**31, -(2.0**31), 2.0**32, 5e9, -5e9, 9.21e18, 9.3e18, -9.3e18, 1e30]
    code = lambda t: int(helper.np_dtype_to_tensor_dtype(np.dtype(t)))
    for t in (np.int8, np.uint8, np.int32, np.uint32, np.int64):
        name, least, most = np.dtype(t).name, np.iinfo(t).min, np.iinfo(t).max
        a = np.array([least, most, 0, 1, 2, 3, 7, most - 1, most // 2 + 1, most // 3, least + 1, least // 2], dtype=t)
        b = np.roll(a, 3)
        divisor = np.where((b == 0) | (b == (-1 if least else 0)), 5, b).astype(t)
        for op in "Add Sub Mul Less".split():
            add(f"whole_{op}_{name}".lower(), op, [a, b])
        for op in ("Div", "Mod"):
            add(f"whole_{op}_{name}".lower(), op, [a, divisor])
        add(f"whole_mod_fmod_{name}", "Mod", [a, divisor], {"fmod": 1})
        for op in ["Abs", "Sign"] + (["Neg", "Relu"] if least and t != np.int8 else []):
            add(f"whole_{op}_{name}".lower(), op, [a])
        for op in ("Max", "Min") if np.dtype(t).itemsize > 1 else ():
            add(f"whole_{op}_{name}".lower(), op, [a, b])
        add(f"whole_clip_{name}", "Clip", [a, np.array(3, dtype=t), np.array(most - 1, dtype=t)])
        if t == np.uint32:  # of which ONNX Runtime takes neither this nor what follows
            continue
        add(f"whole_topk_{name}", "TopK", [np.array([5, most - 1, most, most - 2, most - 1], dtype=t), np.array([3])], outputs=2)
        add(f"whole_argmax_{name}", "ArgMax", [np.array([5, most - 1, most, most, least], dtype=t)], {"select_last_index": 1})
        for op in ("ReduceMax", "ReduceMin"):
            add(f"whole_{op}_{name}".lower(), op, [a.reshape(3, 4), np.array([1])], constant=(1,))
            add(f"whole_{op}_none_{name}".lower(), op, [np.zeros((0, 3), dtype=t), np.array([0])], constant=(1,))
        for to in (np.int8, np.uint16, np.int32, np.int64, np.float32, np.bool_):
            if to != t:
                add(f"whole_cast_{name}_{np.dtype(to).name}", "Cast", [a], {"to": code(to)})
        for kind in (np.float32, np.float64):
            add(f"whole_cast_{np.dtype(kind).name}_{name}", "Cast", [np.array(odd, dtype=kind)], {"to": code(t)})
        add(f"whole_cast_text_{name}", "Cast", [np.array(["0", "7", "+5", "007", "300", "-1"], dtype=object)], {"to": code(t)})
    for t in (np.int32, np.int64):
        name, most = np.dtype(t).name, np.iinfo(t).max
        a = np.array([np.iinfo(t).min, most, 0, 1, 2, 3, 7, most - 1, most // 2 + 1, most // 3, np.iinfo(t).min + 1, -most // 2], dtype=t)
        add(f"whole_matmul_{name}", "MatMul", [a.reshape(3, 4), np.roll(a, 3).reshape(4, 3)])
        add(f"whole_cumsum_{name}", "CumSum", [a, np.array(0)])
        add(f"whole_range_{name}", "Range", [np.array(most - 5, dtype=t), np.array(most, dtype=t), np.array(2, dtype=t)])
        add(f"whole_range_down_{name}", "Range", [np.array(7, dtype=t), np.array(-6, dtype=t), np.array(-5, dtype=t)])
        for op in "ReduceSum ReduceMean ReduceProd ReduceSumSquare ReduceL1 ReduceL2".split():
            add(f"whole_{op}_{name}".lower(), op, [a.reshape(3, 4), np.array([1])], constant=(1,))
            add(f"whole_{op}_none_{name}".lower(), op, [np.zeros((3, 0), dtype=t), np.array([1])], constant=(1,))
        for other in (np.int32, np.int64, np.float32, np.float64):
            add(f"whole_pow_{name}_{np.dtype(other).name}", "Pow", [np.array([2, 3, 7, 10, 1, 0], dtype=t), np.array([5, 9, 30, 19, 4, 0], dtype=other)])
        for base in (np.float32, np.float64):
            add(f"whole_pow_{np.dtype(base).name}_{name}", "Pow", [np.array([2, 3.7, 7, 10, 1, 0], dtype=base), np.array([2, 3, -2, 1, 4, 0], dtype=t)])
    for t in (np.float32, np.float64):
        name, nan = np.dtype(t).name, np.nan
        for where in (0, 2):
            x = np.array([0.5, -1, 3, 2], dtype=t)
            x[where] = nan
            for op in ("ArgMax", "ArgMin") if where == 0 else ():  # elsewhere ONNX Runtime answers by the position, the length and the type
                add(f"nan_{op}_{where}_{name}".lower(), op, [x])
            for largest in (0, 1):
                add(f"nan_topk_{where}_{largest}_{name}", "TopK", [x, np.array([3])], {"largest": largest}, 2)
            for op in ("Max", "Min"):
                add(f"nan_{op}_{where}_{name}".lower(), op, [x, x[::-1].copy()])
            add(f"nan_relu_{where}_{name}", "Relu", [x])
            add(f"nan_clip_{where}_{name}", "Clip", [x, np.array(0, dtype=t), np.array(1, dtype=t)])
            add(f"nan_clip_crossed_{where}_{name}", "Clip", [x, np.array(1, dtype=t), np.array(0, dtype=t)])
            add(f"nan_sign_{where}_{name}", "Sign", [x])
        add(f"nan_gemm_beta_{name}", "Gemm", [np.ones((1, 2), dtype=t), np.ones((2, 1), dtype=t), np.array([nan], dtype=t)], {"beta": 0.0})
        add(f"nan_softmax_{name}", "Softmax", [np.array([[np.inf, 1, 2], [np.inf, np.inf, 0], [nan, 1, 2]], dtype=t)])
        add(f"cast_text_{name}", "Cast", [np.array([0.1, 1 / 3, 1e-5, 1e10, 123456789, 1e8, 16777216, 123456.7, nan, np.inf, -np.inf], dtype=t)], {"to": TensorProto.STRING})
        add(f"cast_from_text_{name}", "Cast", [np.array(["nan", "inf", "-INF", "+5", "5.", ".5", "0x1p3", "1e39", "1e-46", "16777217"], dtype=object)], {"to": code(t)})
        for op in "ReduceSum ReduceMean ReduceProd ReduceMax ReduceMin ReduceSumSquare ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp".split():
            add(f"{op}_none_{name}".lower(), op, [np.zeros((3, 0), dtype=t), np.array([1])], constant=(1,))
            add(f"{op}_alone_{name}".lower(), op, [np.array([[1, 2], [3, -4]], dtype=t)], {"noop_with_empty_axes": 1})


def operators(directory, only=()):
    rng = np.random.default_rng(SEED)
    f = lambda *shape: rng.normal(size=shape).astype(np.float32)
    i = lambda *v: np.array(v, dtype=np.int64)
    odd = np.array([[np.nan, np.inf, -np.inf, 0, -0.0, 1.5, -2.5, 3e38]], dtype=np.float32)
    cases = []  # sums of many products get an absolute tolerance: ONNX Runtime adds up in another order in float32

    def add(name, op, inputs, attrs=None, outputs=1, opset=18, constant=(), domain="", ml=3, **kw):
        cases.append((name, op, inputs, attrs or {}, outputs, opset, constant, domain, ml, kw))

    for op in "Abs Neg Ceil Floor Round Sqrt Exp Log Sigmoid Tanh Relu Softplus Softsign Erf Sign Reciprocal Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Elu Selu Celu LeakyRelu HardSigmoid HardSwish ThresholdedRelu Mish".split():
        add(op.lower(), op, [np.clip(f(3, 4), -0.9, 0.9) if op in ("Asin", "Acos", "Atanh") else np.abs(f(3, 4)) + 1 if op == "Acosh" else f(3, 4) * 2], rel=3e-6)
    for op in "Abs Neg Ceil Floor Round Sigmoid Tanh Relu Sign Exp IsNaN IsInf".split():
        add(op.lower() + "_odd", op, [odd])
    for op in "Add Sub Mul Div Pow Max Min Mean Sum".split():
        add(op.lower(), op, [np.abs(f(2, 3, 4)) + 0.5, f(3, 1)])
    for op in "Add Sub Mul Div Max Min".split():
        add(op.lower() + "_int", op, [rng.integers(-9, 9, (3, 4)), rng.integers(1, 9, (4,))])
    add("pow_int", "Pow", [rng.integers(-3, 4, (3, 4)), i(3)])
    add("mod", "Mod", [i(-7, 7, -8, 8, 5), i(3, -3, 3, -3, 5)])
    add("mod_fmod", "Mod", [f(5) * 5, f(5)], {"fmod": 1})
    for op in "Equal Less LessOrEqual Greater GreaterOrEqual".split():
        add(op.lower(), op, [np.round(f(3, 4)), np.round(f(1, 4))])
    bools = lambda *shape: rng.random(shape) < 0.5
    for op in "And Or Xor".split():
        add(op.lower(), op, [bools(3, 4), bools(4)])
    add("where", "Where", [bools(3, 1), f(3, 4), f(4)])
    for op in "ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceSumSquare".split():
        add(op.lower(), op, [np.abs(f(2, 3, 4)) + 0.1, i(1)], {"keepdims": 0}, constant=(1,))
        add(op.lower() + "_all", op, [np.abs(f(2, 3)) + 0.1])
    for op in ("ArgMax", "ArgMin"):
        add(op.lower(), op, [np.round(f(3, 5))], {"axis": 1, "select_last_index": 1, "keepdims": 0})
    add("softmax", "Softmax", [f(2, 3, 4)], {"axis": 1})
    add("softmax_old", "Softmax", [f(2, 3, 4)], {"axis": 1}, opset=11)
    add("logsoftmax", "LogSoftmax", [f(2, 5) * 3])
    add("topk", "TopK", [np.round(f(3, 6), 1), i(3)], {"axis": 1}, 2, constant=(1,))
    add("topk_small", "TopK", [np.round(f(3, 6), 1), i(2)], {"axis": 0, "largest": 0}, 2, constant=(1,))
    add("concat", "Concat", [f(2, 3), f(2, 1)], {"axis": -1})
    add("split", "Split", [f(2, 7), i(3, 4)], {"axis": 1}, 2, constant=(1,))
    add("split_equal", "Split", [f(2, 7)], {"axis": 1, "num_outputs": 3}, 3)
    add("slice", "Slice", [f(4, 5), i(3, -1), i(-5, -6), i(0, 1), i(-1, -2)], constant=(1, 2, 3, 4))
    add("gather", "Gather", [f(4, 3), np.array([[0, -1], [2, 1]])], {"axis": 0})
    add("gather_elements", "GatherElements", [f(3, 3), np.array([[0, -1, 1], [2, 1, 0]])], {"axis": 0})
    add("gather_nd", "GatherND", [f(2, 3, 4), np.array([[[1, 2]], [[0, -1]]])], {"batch_dims": 1}, opset=18)
    add("gather_nd_plain", "GatherND", [f(2, 3, 4), np.array([[1, 2], [0, -1]])])
    add("scatter_elements", "ScatterElements", [f(3, 3), np.array([[1, 0, 2], [0, 2, 1]]), f(2, 3)], {"axis": 0})
    add("onehot", "OneHot", [i(0, 2, -1, 7), i(4), np.array([2, 5], dtype=np.float32)], {"axis": 0}, constant=(1, 2))
    for mode in ("constant", "edge", "reflect"):
        add("pad_" + mode, "Pad", [f(3, 4), i(1, 2, 1, 3)], {"mode": mode}, constant=(1,))
    add("expand", "Expand", [f(3, 1), i(2, 1, 4)], constant=(1,))
    add("tile", "Tile", [f(2, 3), i(2, 3)], constant=(1,))
    add("cumsum", "CumSum", [f(3, 4), i(1)[0]], {"exclusive": 1, "reverse": 1}, constant=(1,))
    add("range", "Range", [np.int64(2), np.int64(11), np.int64(3)])
    add("nonzero", "NonZero", [np.round(f(3, 4))])
    add("transpose", "Transpose", [f(2, 3, 4)], {"perm": [2, 0, 1]})
    add("clip", "Clip", [odd, np.float32(-2), np.float32(2)], constant=(1, 2))
    add("cast_int", "Cast", [np.array([1.7, -1.7, 0.2, 100.9], dtype=np.float32)], {"to": TensorProto.INT64})
    add("cast_string", "Cast", [np.array([1.5, -0.25, 100, 1e-7, 123456789], dtype=np.float32)], {"to": TensorProto.STRING})
    add("cast_from_string", "Cast", [np.array(["1.5", "-2", "1e3"], dtype=object)], {"to": TensorProto.FLOAT})
    add("matmul_batch", "MatMul", [f(2, 3, 4), f(2, 4, 5)])
    add("matmul_vector", "MatMul", [f(4), f(2, 4, 5)])
    add("gemm", "Gemm", [f(4, 3), f(5, 4), f(3, 1)], {"transA": 1, "transB": 1, "alpha": 0.5, "beta": 2.0})
    add("conv1d", "Conv", [f(2, 4, 9), f(6, 2, 3), f(6)], {"group": 2, "dilations": [2], "pads": [1, 2]}, absolute=2e-6)
    add("conv2d", "Conv", [f(1, 3, 7, 8), f(4, 3, 3, 2)], {"strides": [2, 1], "auto_pad": "SAME_LOWER"}, absolute=2e-6)
    add("conv_valid", "Conv", [f(1, 2, 6, 6), f(2, 1, 3, 3), f(2)], {"group": 2, "auto_pad": "VALID"}, absolute=2e-6)
    add("maxpool", "MaxPool", [f(1, 2, 7, 7)], {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1, "pads": [1, 0, 1, 1]})
    add("averagepool", "AveragePool", [f(1, 2, 7, 7)], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1})
    add("averagepool_exclude", "AveragePool", [f(1, 2, 9)], {"kernel_shape": [3], "strides": [2], "auto_pad": "SAME_UPPER"})
    add("globalmaxpool", "GlobalMaxPool", [f(2, 3, 4, 4)])
    add("batchnorm", "BatchNormalization", [f(2, 3, 4), f(3), f(3), f(3), np.abs(f(3))])
    add("layernorm", "LayerNormalization", [f(2, 3, 4), f(4), f(4)], rel=1e-5)
    add("instancenorm", "InstanceNormalization", [f(2, 3, 4), f(3), f(3)], rel=1e-5)
    for direction in ("forward", "reverse", "bidirectional"):
        d = 2 if direction == "bidirectional" else 1
        add("lstm_" + direction, "LSTM", [f(4, 2, 3), f(d, 20, 3), f(d, 20, 5), f(d, 40)], {"hidden_size": 5, "direction": direction}, 3, rel=1e-5)
        add("rnn_" + direction, "RNN", [f(4, 2, 3), f(d, 5, 3), f(d, 5, 5), f(d, 10)], {"hidden_size": 5, "direction": direction}, 2, rel=1e-5)
        for linear in (0, 1):
            add(f"gru_{direction}_{linear}", "GRU", [f(4, 2, 3), f(d, 15, 3), f(d, 15, 5), f(d, 30)], {"hidden_size": 5, "direction": direction, "linear_before_reset": linear}, 2, rel=1e-5)
    add("gelu", "Gelu", [f(3, 4)], opset=20)
    ml = "ai.onnx.ml"
    add("label_encoder_float", "LabelEncoder", [np.array([1.5, np.nan, 2, 9], dtype=np.float32)], {"keys_floats": [1.5, 2.0, float("nan")], "values_strings": ["a", "b", "n"], "default_string": "?"}, domain=ml)
    add("label_encoder_string", "LabelEncoder", [np.array(["x", "q"], dtype=object)], {"keys_strings": ["x", "y"], "values_floats": [1.5, 2.5], "default_float": -3.0}, domain=ml)
    add("label_encoder_first", "LabelEncoder", [np.array(["x", "q", "y"], dtype=object)], {"classes_strings": ["x", "y"], "default_int64": -7}, domain=ml, ml=1)
    add("category_mapper", "CategoryMapper", [i(4, 9, 1)], {"cats_strings": ["a", "b"], "cats_int64s": [4, 1], "default_string": "?"}, domain=ml)
    add("feature_vectorizer", "FeatureVectorizer", [f(3, 2), f(3, 1)], {"inputdimensions": [2, 1]}, domain=ml)
    for norm in ("MAX", "L1", "L2"):
        add("normalizer_" + norm.lower(), "Normalizer", [np.vstack([f(3, 4), np.zeros((1, 4), dtype=np.float32)])], {"norm": norm}, domain=ml)
    for post in ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"):
        add("linear_classifier_" + post.lower(), "LinearClassifier", [np.abs(f(4, 2)) * 0.2], {"classlabels_ints": [3, 5, 8], "coefficients": [0.5, 0.2, 0.1, 0.7, 0.3, 0.9], "intercepts": [0.1, 0.2, 0.3], "post_transform": post}, 2, domain=ml, rel=1e-5)
    vectors = {"classlabels_ints": [4, 6], "support_vectors": [0.5, 1.0, -1.0, 0.25, 0.75, -0.5], "vectors_per_class": [1, 2], "coefficients": [0.5, -0.25, -0.25], "rho": [0.1]}
    for post in ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"):
        for kernel in ("LINEAR", "RBF"):
            add(f"svm_{kernel.lower()}_{post.lower()}", "SVMClassifier", [f(5, 2)], {**vectors, "kernel_type": kernel, "kernel_params": [0.5, 0.25, 3.0], "post_transform": post}, 2, domain=ml, rel=1e-5)
    for one_class in (0, 1):
        add(f"svm_regressor_{one_class}", "SVMRegressor", [f(5, 2)], {"support_vectors": vectors["support_vectors"], "coefficients": vectors["coefficients"], "rho": [0.1], "n_supports": 3, "kernel_type": "POLY", "kernel_params": [0.5, 1.0, 2.0], "one_class": one_class}, domain=ml, rel=1e-5)
    add("imputer_int", "Imputer", [np.array([[1, 5], [5, 2]])], {"imputed_value_int64s": [7, 8], "replaced_value_int64": 5}, domain=ml)
    member = np.array([1, 3, 7, np.nan], dtype=np.float32)
    trees = {
        "nodes_splits": numpy_helper.from_array(np.array([0.3, 232344.0, -0.4, 1.0], dtype=np.float32)), "nodes_modes": numpy_helper.from_array(np.array([0, 6, 1, 4], dtype=np.uint8)),
        "nodes_featureids": [0, 1, 0, 1], "nodes_truenodeids": [1, 0, 0, 3], "nodes_trueleafs": [0, 1, 1, 1], "nodes_falsenodeids": [2, 1, 2, 4], "nodes_falseleafs": [0, 1, 1, 1],
        "leaf_targetids": [0, 1, 0, 1, 0], "leaf_weights": numpy_helper.from_array(np.array([5.23, 12.12, -12.23, 7.21, 1.5], dtype=np.float32)), "membership_values": numpy_helper.from_array(member),
        "tree_roots": [0, 3], "n_targets": 2, "post_transform": 0,
    }
    data = np.array([[0.1, 3], [0.1, 2], [-0.5, 1], [0.9, 7], [0.2, 1], [np.nan, 7], [0.1, np.nan]], dtype=np.float32)
    trees["nodes_truenodeids"], trees["nodes_trueleafs"] = [1, 0, 2, 3], [0, 1, 1, 1]
    for how in (0, 1, 2, 3):
        add(f"tree_ensemble_{how}", "TreeEnsemble", [data], {**trees, "aggregate_function": how}, domain=ml, ml=5, opset=21)
    old = {
        "nodes_treeids": [0] * 7 + [1] * 3, "nodes_nodeids": [0, 1, 2, 3, 4, 5, 6, 0, 1, 2], "nodes_featureids": [0, 1, 1, 0, 0, 0, 0, 1, 0, 0],
        "nodes_truenodeids": [1, 3, 5, 0, 0, 0, 0, 1, 0, 0], "nodes_falsenodeids": [2, 4, 6, 0, 0, 0, 0, 2, 0, 0], "nodes_missing_value_tracks_true": [1, 0, 0, 0, 0, 0, 0, 1, 0, 0],
        "target_treeids": [0, 0, 0, 0, 1, 1], "target_nodeids": [3, 4, 5, 6, 1, 2], "target_ids": [0] * 6, "n_targets": 1,
    }
    points = np.array([[0, 0], [0.5, 0.5], [0.5, 2], [3, 0.5], [-1, 0.25], [np.nan, 2], [1, np.nan], [0.25, 0.25]], dtype=np.float32)
    for mode in ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ"):
        modes = ["BRANCH_" + mode] * 3 + ["LEAF"] * 4 + ["BRANCH_" + mode, "LEAF", "LEAF"]
        values = [0.5, 0.25, 2.0, 0, 0, 0, 0, 0.5, 0, 0]
        weights = [1.0, 2.0, 4.0, 8.0, 0.5, 0.25]
        add("tree_" + mode.lower(), "TreeEnsembleRegressor", [points], {**old, "nodes_modes": modes, "nodes_values": values, "target_weights": weights}, domain=ml)
        doubles = {k + "_as_tensor": numpy_helper.from_array(np.array(v, dtype=np.float64)) for k, v in (("nodes_values", values), ("target_weights", weights))}
        add(f"tree_{mode.lower()}_double", "TreeEnsembleRegressor", [points.astype(np.float64)], {**old, "nodes_modes": modes, **doubles}, domain=ml)
    text = lambda *v: np.array(v, dtype=object)
    add("cast_like_float", "CastLike", [i(1, -7, 300), np.zeros(1, dtype=np.float32)])
    add("cast_like_int", "CastLike", [np.array([1.9, -1.9, 0.2], dtype=np.float32), i(0)])
    add("cast_like_bool", "CastLike", [np.array([0, 0.5, -2], dtype=np.float32), np.array([True])])
    add("cast_like_string", "CastLike", [i(5, -6), text("")])
    add("prelu_channels", "PRelu", [np.array([[[1, -1.5], [-2, 0]], [[-0.25, 3], [4, -8]]], dtype=np.float32), np.array([[0.5], [-2]], dtype=np.float32)])
    add("prelu_one", "PRelu", [odd, np.array([0.25], dtype=np.float32)])
    add("size", "Size", [np.zeros((3, 0, 2), dtype=np.float32)])
    add("size_text", "Size", [text("a", "b", "c").reshape(3, 1)])
    add("dropout", "Dropout", [np.array([[1, -2], [3, 0]], dtype=np.float32)], outputs=2)
    add("dropout_old", "Dropout", [np.array([[1, -2], [3, 0]], dtype=np.float32)], {"ratio": 0.9}, opset=10)
    add("dropout_no_training", "Dropout", [np.array([1, -2], dtype=np.float32), np.float32(0.75), np.array(False)], constant=(1, 2))
    add("string_concat", "StringConcat", [text("a", "", "\u00fc").reshape(3, 1), text("x", "yz")], opset=20)
    locale = {"locale": "C.UTF-8"}  # the default, en_US, is not installed everywhere; the cases are the same
    words = text("Monday", "tuesday", "", "STRASSE", "\u00c9t\u00e9", "monday")
    for change in ("NONE", "LOWER", "UPPER"):
        for sensitive in (0, 1):
            add(f"string_normalizer_{change.lower()}_{sensitive}", "StringNormalizer", [words], {**locale, "case_change_action": change, "is_case_sensitive": sensitive, "stopwords": ["monday"]})
    add("string_normalizer_row", "StringNormalizer", [words.reshape(1, 6)], {**locale, "case_change_action": "UPPER", "is_case_sensitive": 1, "stopwords": ["Monday", "tuesday"]})
    add("string_normalizer_nothing_left", "StringNormalizer", [text("a", "A")], {**locale, "is_case_sensitive": 0, "stopwords": ["a"]})
    add("string_normalizer_plain", "StringNormalizer", [words], {**locale, "case_change_action": "LOWER"})
    grams = {"ngram_counts": [0, 4], "ngram_indexes": [0, 1, 2, 3, 4, 6, 5], "pool_int64s": [2, 3, 5, 4, 5, 6, 7, 8, 6, 7], "max_skip_count": 0}
    rows = np.array([[1, 1, 3, 3, 3, 7], [8, 6, 7, 5, 6, 8], [2, 3, 5, 6, 7, 8]])
    weights = [0.5, 1.5, 2.5, -1.0, 4.0, 0.25, 8.0]
    for mode in ("TF", "IDF", "TFIDF"):
        for least, most in ((1, 1), (2, 2), (1, 2)):
            add(f"tfidf_{mode.lower()}_{least}_{most}", "TfIdfVectorizer", [rows], {**grams, "mode": mode, "min_gram_length": least, "max_gram_length": most, "weights": weights})
    add("tfidf_unweighted", "TfIdfVectorizer", [rows], {**grams, "mode": "TFIDF", "min_gram_length": 1, "max_gram_length": 2})
    spoken = {"ngram_counts": [0, 2], "ngram_indexes": [1, 0, 2], "pool_strings": ["the", "cat", "the", "cat"], "max_skip_count": 0, "mode": "TF", "min_gram_length": 1, "max_gram_length": 2}
    add("tfidf_text", "TfIdfVectorizer", [text("the", "cat", "saw", "the", "cat", "The")], spoken)
    add("tfidf_text_rows", "TfIdfVectorizer", [text("the", "cat", "cat", "the", "a", "").reshape(2, 3)], spoken)
    first = np.array([[1, 3, 3], [np.nan, 1, 2], [1, np.nan, 2], [-np.inf] * 3, [2, np.inf, np.inf]], dtype=np.float32)
    add("hardmax", "Hardmax", [first])
    add("hardmax_axis", "Hardmax", [np.round(f(2, 3, 4))], {"axis": 1})
    add("hardmax_old", "Hardmax", [np.round(f(2, 3, 4))], {"axis": 1}, opset=11)
    for k in (0, 2, -1, -5):
        add(f"eyelike_{k}".replace("-", "minus_"), "EyeLike", [f(3, 4)], {"k": k})
    add("eyelike_type", "EyeLike", [i(1, 2, 3, 4).reshape(2, 2)], {"dtype": TensorProto.DOUBLE})
    add("compress", "Compress", [f(3, 2), np.array([True, False, True, True])])
    add("compress_surplus", "Compress", [f(3, 2), np.array([[True, False, True, False], [True, True, True, True]])])
    add("compress_axis", "Compress", [f(2, 4, 2), np.array([False, True, True])], {"axis": -2})
    add("compress_text", "Compress", [text("a", "b", "c"), np.array([False, True, True])], {"axis": 0})
    at = np.array([[1], [-1], [1], [2], [0]])
    new = np.array([10, 20, 30, 40, np.nan], dtype=np.float32)
    for reduction in ("none", "add", "mul", "max", "min"):
        add("scatter_nd_" + reduction, "ScatterND", [np.array([1, 2, np.nan, 4, 5], dtype=np.float32), at, new], {"reduction": reduction})
        add(f"scatter_nd_{reduction}_int", "ScatterND", [i(1, 2, 3), at[:3], i(2**62 + 1, 2**62, -(2**62))], {"reduction": reduction})
    add("scatter_nd_slices", "ScatterND", [f(3, 2, 2), np.array([[[0, 1], [2, 0]], [[0, 0], [0, 1]]]), f(2, 2, 2)])
    add("scatter_nd_row", "ScatterND", [f(3, 2), i(-1), f(2)])
    add("scatter_nd_text", "ScatterND", [text("a", "b"), np.array([[1], [1]]), text("c", "d")])
    sayings = text("a b", "  a\tb\n c ", "", "a,b,,c,", ",", "x\u00a0y\u2003z", "abab", " ", "a  b c ")
    for name, how in (("spaces", {}), ("space", {"delimiter": " "}), ("comma", {"delimiter": ","}), ("two", {"delimiter": "ab"})):
        for most in (-1, 0, 1):
            add(f"string_split_{name}_{most}".replace("-1", "all"), "StringSplit", [sayings], {**how, "maxsplit": most} if most >= 0 else how, 2, opset=20)
    add("string_split_matrix", "StringSplit", [text("a b", "c", "", "d e f").reshape(2, 2)], {}, 2, opset=20)
    add("string_split_nothing", "StringSplit", [text("", " ")], {}, 2, opset=20)
    for name, equation, left, right in (
        ("matrix", "ij,jk->ik", (2, 3), (3, 4)), ("understood", "nk, kb", (2, 3), (3, 4)), ("batch", "bij,bjk->bik", (2, 3, 4), (2, 4, 2)),
        ("rows", "nf,f->n", (5, 3), (3,)), ("outer", "i,j->ji", (2,), (3,)), ("elements", "ij,ij->ij", (2, 3), (2, 3)), ("stretched", "ij,kj->ik", (3, 1), (2, 3)),
        ("diagonal", "ii,i->i", (3, 3), (3,)), ("apart", "ij,Kl->", (2, 3), (3, 2)), ("number", "i,->i", (3,), ()), ("nothing", "ij,jk->ik", (2, 0), (0, 2)),
        ("attention", "bhqd,bhkd->bhqk", (1, 2, 3, 4), (1, 2, 5, 4)),
    ):
        add("einsum_" + name, "Einsum", [f(*left), f(*right)], {"equation": equation}, rel=1e-5, absolute=1e-6)
    add("einsum_double", "Einsum", [f(2, 3).astype(np.float64), f(3, 2).astype(np.float64)], {"equation": "ij,jk->ki"}, rel=1e-12)
    add("einsum_int", "Einsum", [np.array([2**30, 3], dtype=np.int32), np.array([5, 7], dtype=np.int32)], {"equation": "i,i->"})
    add("einsum_long", "Einsum", [i(2**40 + 1, 3), i(5, 7)], {"equation": "i,i->i"})
    one_class = lambda ids, weights, post, **more: {
        "nodes_treeids": [0, 0, 0, 1, 1, 1], "nodes_nodeids": [0, 1, 2] * 2, "nodes_featureids": [0, 0, 0, 1, 0, 0], "nodes_values": [0.0] * 6, "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"] * 2,
        "nodes_truenodeids": [1, 0, 0] * 2, "nodes_falsenodeids": [2, 0, 0] * 2, "class_treeids": [0, 0, 1, 1], "class_nodeids": [1, 2] * 2, "class_ids": ids, "class_weights": weights,
        "classlabels_int64s": [5, 7], "post_transform": post, **more}
    corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], dtype=np.float32)
    for sign, weights in (("positive", [0.1, 0.2, 0.3, 0.4]), ("mixed", [-0.1, 0.2, 0.3, -0.4])):
        for post in ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"):
            add(f"tree_first_{sign}_{post.lower()}", "TreeEnsembleClassifier", [corners], one_class([0] * 4, weights, post), 2, domain=ml)
            add(f"tree_first_base_{sign}_{post.lower()}", "TreeEnsembleClassifier", [corners], one_class([0] * 4, weights, post, base_values=[0.25]), 2, domain=ml)
            add(f"tree_second_{sign}_{post.lower()}", "TreeEnsembleClassifier", [corners], one_class([1] * 4, weights, post), 2, domain=ml)
    for post in ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"):
        add("linear_one_score_" + post.lower(), "LinearClassifier", [np.array([[-3], [-0.2], [0], [0.3], [2]], dtype=np.float32)], {"classlabels_ints": [3, 5], "coefficients": [1.0], "intercepts": [0.0], "post_transform": post}, 2, domain=ml)
    # classes that no leaf of a row weighs take no part in the choice of its class
    for name, ids, weights in (("negative", [0, 1, 1, 2], [-0.1, -0.2, -0.3, -0.4]), ("mixed", [0, 1, 1, 2], [0.1, 0.2, -0.3, 0.4]), ("one", [1, 1, 1, 2], [-0.1, -0.2, -0.3, -0.4])):
        for post in ("NONE", "SOFTMAX"):
            add(f"tree_unreached_{name}_{post.lower()}", "TreeEnsembleClassifier", [corners], {**one_class(ids, weights, post), "classlabels_int64s": [5, 7, 9]}, 2, domain=ml)
    # thresholds and features between which and 0.1 only doubles tell; the transforms 1 and 2 are exchanged in ONNX Runtime, and checked elsewhere
    tenth = float(np.float32(0.1))
    near = np.array([[0.1, 0.1], [0.1, tenth], [tenth, 0.1], [1, 1], [np.nan, 0.1]])
    for kind in (np.float32, np.float64):
        for target, targets in (("one", [0] * 4), ("two", [0, 0, 1, 1]), ("apart", [0, 1, 0, 1])):
            for how in (0, 1, 2, 3):
                for post in (0, 3, 4):
                    if (post and target == "one") or (post and how != 1):
                        continue
                    add(f"tree5_{np.dtype(kind).name}_{target}_{how}_{post}", "TreeEnsemble", [near.astype(kind)], {
                        "nodes_splits": numpy_helper.from_array(np.array([0.1, 0.1], dtype=kind)), "nodes_modes": numpy_helper.from_array(np.array([0, 0], dtype=np.uint8)), "nodes_featureids": [0, 1],
                        "nodes_truenodeids": [0, 2], "nodes_trueleafs": [1, 1], "nodes_falsenodeids": [1, 3], "nodes_falseleafs": [1, 1], "leaf_targetids": targets,
                        "leaf_weights": numpy_helper.from_array(np.array([0.1, 0.7, 0.2, 0.25], dtype=kind)), "tree_roots": [0, 1], "n_targets": 1 if target == "one" else 2, "post_transform": post, "aggregate_function": how,
                    }, domain=ml, ml=5, opset=21, rel=1e-5)
    for auto in ("SAME_UPPER", "SAME_LOWER"):
        for include in (0, 1):
            add(f"averagepool_{auto.lower()}_{include}", "AveragePool", [f(1, 2, 7, 6)], {"kernel_shape": [4, 3], "strides": [2, 2], "auto_pad": auto, "count_include_pad": include})
    hard = np.array([[3, 4, 0], [0, 0, 0], [1e-30, 2e-30, -1e-30], [1e30, 2e30, -3e30], [3e38, 3e38, 3e38], [np.nan, 1, 2], [np.inf, 1, -2], [-np.inf, 1, -2], [-1, -2, -3], [-5, 0, -0.0], [1e-19, -2e-19, 1e-20]], dtype=np.float32)
    for norm in ("MAX", "L1", "L2"):
        add(f"normalizer_{norm.lower()}_odd", "Normalizer", [hard], {"norm": norm}, domain=ml)
    for p in (1, 2):
        add(f"lp_normalization_{p}_odd", "LpNormalization", [hard], {"p": p})
        add(f"lp_normalization_{p}_double", "LpNormalization", [hard.astype(np.float64)], {"p": p}, rel=1e-12)
        for axis in (0, 1, -1):
            add(f"lp_normalization_{p}_{axis}".replace("-1", "last"), "LpNormalization", [f(2, 3, 4)], {"p": p, "axis": axis})
    add("lp_normalization", "LpNormalization", [f(5, 7)], opset=22)
    add("lp_normalization_nothing", "LpNormalization", [np.zeros((0, 3), dtype=np.float32)])

    steps, batch, features, hidden = 5, 3, 2, 3
    def layer(name, op, attrs=None, d=1, lengths=None, start=False, peepholes=False, **kw):
        gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op]
        layout = (attrs or {}).get("layout", 0)
        turn = lambda a: np.ascontiguousarray(a.swapaxes(0, 1)) if layout else a
        inputs = [turn(f(steps, batch, features)), f(d, gates * hidden, features) / 2, f(d, gates * hidden, hidden) / 2, f(d, 2 * gates * hidden) / 2]
        inputs += [None if lengths is None else np.array(lengths, dtype=np.int32), turn(f(d, batch, hidden)) if start else None]
        if op == "LSTM":
            inputs += [turn(f(d, batch, hidden)) if start else None, f(d, 3 * hidden) if peepholes else None]
        while inputs[-1] is None:
            inputs.pop()
        add(f"{op.lower()}_{name}", op, inputs, {"hidden_size": hidden, **(attrs or {})}, 3 if op == "LSTM" else 2, rel=1e-5, absolute=1e-6, **kw)
    both = {"direction": "bidirectional"}
    for op, ends in (("LSTM", 3), ("GRU", 2), ("RNN", 1)):
        for direction in ("forward", "reverse", "bidirectional"):
            layer("sequences_" + direction, op, {"direction": direction}, 2 if direction == "bidirectional" else 1, [5, 2, 0], True)
        layer("start", op, both, 2, start=True)
        layer("full_sequences", op, None, 1, [5, 5, 5], True)
        layer("clip", op, {**both, "clip": 0.4}, 2, [4, 5, 1], True)
        if op != "RNN":  # ONNX Runtime knows those of an RNN by their exact names only
            layer("letters", op, {"activations": ["SIGMOID", "tanh", "relu"][:ends]})
        layer("layout", op, {"layout": 1}, start=True, reference=True)
    for name, alpha, beta in (("Relu", (), ()), ("Tanh", (), ()), ("Sigmoid", (), ()), ("Affine", (0.3,), (0.2,)), ("LeakyRelu", (0.2,), ()), ("ThresholdedRelu", (0.3,), ()), ("ScaledTanh", (0.9,), (0.6,)),
                              ("HardSigmoid", (0.3,), (0.4,)), ("Elu", (0.6,), ()), ("Softsign", (), ()), ("Softplus", (), ())):
        for op, ends in (("LSTM", 3), ("GRU", 2), ("RNN", 1)):
            more = {k: v for k, v in (("activation_alpha", list(alpha) * ends), ("activation_beta", list(beta) * ends)) if v}
            layer("activation_" + name.lower(), op, {"activations": [name] * ends, **more}, opset=22)
            if name not in ("Affine", "ScaledTanh", "ThresholdedRelu") and more:
                layer(f"activation_{name.lower()}_default", op, {"activations": [name] * ends})
    layer("activations", "LSTM", {**both, "activations": ["HardSigmoid", "LeakyRelu", "Elu", "Sigmoid", "ScaledTanh", "ThresholdedRelu"], "activation_alpha": [0.3, 0.02, 0.7, 1.1, 0.1], "activation_beta": [0.4, 0.8]}, 2)
    layer("activations", "GRU", {**both, "activations": ["HardSigmoid", "Softsign", "Sigmoid", "Affine"], "activation_alpha": [0.3, 0.9], "activation_beta": [0.4, -0.1], "linear_before_reset": 1}, 2)
    layer("activations", "RNN", {**both, "activations": ["Elu", "Softplus"], "activation_alpha": [0.25]}, 2)
    for name, attrs in (("peepholes", {}), ("peepholes_clip", {"clip": 0.5}), ("peepholes_forget", {"input_forget": 1}), ("peepholes_all", {**both, "input_forget": 1, "clip": 0.6, "activations": ["HardSigmoid", "Tanh", "Softsign"] * 2})):
        layer(name, "LSTM", attrs, 2 if "direction" in attrs else 1, start=True, peepholes=True)
    layer("forget", "LSTM", {"input_forget": 1})
    layer("peepholes_layout", "LSTM", {"layout": 1}, start=True, peepholes=True, reference=True)
    layer("linear_clip", "GRU", {"linear_before_reset": 1, "clip": 0.3}, 1, [5, 3, 4], True)
    layer("layout_linear", "GRU", {"layout": 1, "linear_before_reset": 1}, start=True, reference=True)

    stained = np.array([1, np.nan, -0.0, 0.0, 5], dtype=np.float32)
    fresh = np.array([np.nan, 2, 0.0, -0.0, np.nan, 7, 3], dtype=np.float32)
    where = i(0, 1, 2, 3, 4, -1, -5)
    for reduction in ("add", "mul", "max", "min"):
        for name, a, b in (("", stained, fresh), ("_double", stained.astype(np.float64), fresh.astype(np.float64)), ("_long", i(2**62 + 1, 2**53 + 1, -3, 4, 5), i(2**62, 2**53 + 2, -3, 0, 9, 2**53 + 1, -(2**63))),
                           ("_byte", np.array([1, 2, 3, 250, 255], dtype=np.uint8), np.array([255, 3, 3, 7, 2, 200, 128], dtype=np.uint8)), ("_int", np.array([1, 2, 3, 4, -5], dtype=np.int32), np.array([2**31 - 1, 3, 3, 7, 2, -(2**31), 9], dtype=np.int32))):
            add(f"scatter_elements_{reduction}{name}", "ScatterElements", [a, where, b], {"reduction": reduction}, opset=18)
            if name in ("_byte", "_double"):
                add(f"scatter_nd_{reduction}{name}", "ScatterND", [a, where.reshape(-1, 1), b], {"reduction": reduction}, opset=18)
        add(f"scatter_elements_{reduction}_axis", "ScatterElements", [f(2, 3, 2), np.array([[[0, -1], [2, 1], [0, 0], [1, -3]]]), f(1, 4, 2)], {"reduction": reduction, "axis": -2}, opset=16)
    for reduction in ("add", "mul"):
        for op, at in (("ScatterElements", i(0, 0, -1, 1)), ("ScatterND", i(0, 0, -1, 1).reshape(4, 1))):
            add(f"{'scatter_nd' if op == 'ScatterND' else 'scatter_elements'}_{reduction}_bool", op, [np.array([True, False, True]), at, np.array([True, False, False, True])], {"reduction": reduction})
    add("scatter_elements_add_text", "ScatterElements", [text("a", "b", "c"), i(0, -1, 0), text("x", "y", "z")], {"reduction": "add"})
    add("scatter_nd_add_text", "ScatterND", [text("a", "b", "c"), i(0, -1, 0).reshape(3, 1), text("x", "y", "z")], {"reduction": "add"})
    add("scatter_elements_text", "ScatterElements", [text("a", "b", "c"), np.array([0, -1, 0], dtype=np.int32), text("x", "y", "z")])
    add("scatter_elements_old", "ScatterElements", [f(3, 2), np.array([[2, 0], [2, -1]]), f(2, 2)], opset=11)
    add("scatter_elements_nothing", "ScatterElements", [f(3), i(), f(0)], {"reduction": "mul"})
    add("scatter", "Scatter", [f(3, 3), np.array([[1, 0, 2], [0, 2, 1]]), f(2, 3)], {"axis": 0}, opset=10)

    table = np.arange(12, dtype=np.float32).reshape(3, 4)
    for mode in ("constant", "edge", "reflect", "wrap"):
        for k, pads in enumerate(([-1, 0, 0, 0], [0, 1, 0, -2], [-1, 2, 1, -1], [1, -1, -1, 1], [-2, -2, 0, 0], [2, 3, 2, 3], [0, -2, 0, 1], [-1, -1, -1, -1], [5, 9, 5, 9], [0, 5, 0, -3], [-3, 1, 1, 1], [-2, 0, -1, 0])):
            if mode == "constant" or k < 8 or (mode != "reflect" and k < 10):
                add(f"pad_{mode}_{k}", "Pad", [table, i(*pads)], {"mode": mode}, opset=19)
        for name, a in (("double", np.array([0.5, 1, 3])), ("long", i(2**62 + 1, 1, -3)), ("int", np.array([7, 1, -3], dtype=np.int32)), ("byte", np.array([0, 1, 255], dtype=np.uint8)), ("bool", np.array([True, False, True]))):
            value = [np.array(a[0])] if mode == "constant" and name != "bool" else []
            add(f"pad_{mode}_{name}", "Pad", [a, i(1 if mode == "reflect" else 2, -1)] + value, {"mode": mode}, opset=21)
    for name, left, right in (("layers", (2, 3, 4), (4, 5)), ("layer", (1, 3, 4), (4, 5)), ("layers_vector", (2, 3, 4), (4,)), ("deep", (2, 1, 3, 4), (4, 2)), ("spread", (2, 1, 3, 4), (5, 4, 2)), ("matrix_layers", (3, 4), (2, 4, 5))):
        add("matmul_" + name, "MatMul", [f(*left), f(*right)], absolute=1e-6)
    sentences = text("a bb ccc", "", "  x_1,y", "\u00e9t\u00e9 bb", "a\tb\nc", "abcab")
    plain = {"mark": 0, "pad_value": "#", "mincharnum": 1}
    for name, expression, more in (("words", "[a-zA-Z0-9_]+", {}), ("marks", "[a-zA-Z0-9_]+", {"mark": 1}), ("two", "\\w+", {"mincharnum": 2}), ("letters", ".", {}), ("bounds", "\\b\\w\\w+\\b", {}), ("longest", "a|ab|abc", {}),
                                   ("empty", "a*", {}), ("first", "^a", {}), ("case", "(?i)B+", {}), ("group", "(a)(b)", {}), ("nothing", "z", {}), ("nothing_marks", "z", {"mark": 1}), ("accents", "[^ ]+", {"mincharnum": 3})):
        add("tokenizer_" + name, "Tokenizer", [sentences], {**plain, "tokenexp": expression, **more}, domain="com.microsoft")
    add("tokenizer_table", "Tokenizer", [sentences.reshape(2, 3)], {**plain, "tokenexp": "[a-z]+"}, domain="com.microsoft")
    add("pad_axes", "Pad", [table, i(1, -1, 2, 0), np.float32(9), i(1, 0)], opset=18)
    add("pad_axes_last", "Pad", [table, i(1, 2), None, np.array([-1], dtype=np.int32)], {"mode": "wrap"}, opset=19)
    add("pad_three", "Pad", [np.arange(8, dtype=np.float32).reshape(2, 2, 2), i(0, -1, 1, 1, 1, 0)], {"mode": "edge"}, opset=13)
    add("pad_old", "Pad", [table], {"pads": [0, 1, 1, -1], "value": 2.5}, opset=2)
    add("pad_old_double", "Pad", [table.astype(np.float64)], {"pads": [0, 1, 1, -1], "value": 2.5}, opset=10)
    add("pad_old_reflect", "Pad", [table], {"pads": [0, 1, 1, 1], "mode": "reflect"}, opset=10)
    add("pad_empty", "Pad", [np.zeros((0, 2), dtype=np.float32), i(1, 0, 1, 1), np.float32(3)], opset=19)
    add("pad_empty_edge", "Pad", [np.zeros((0, 2), dtype=np.float32), i(0, 1, 0, 1)], {"mode": "edge"}, opset=19)
    numbers(add)
    for name, op, inputs, attrs, outputs, opset, constant, domain, mlv, kw in cases:
        if only and not any(name.startswith(o) for o in only):
            continue
        try:
            names = ["" if v is None else f"in{k}" for k, v in enumerate(inputs)]
            values = [np.asarray(v) for v in inputs]
            kind = lambda v: TensorProto.STRING if v.dtype.kind in "OU" else helper.np_dtype_to_tensor_dtype(v.dtype)
            node = helper.make_node(op, names, [f"out{k}" for k in range(outputs)], name="node", domain=domain, **attrs)
            graph = helper.make_graph(
                [node], name, [helper.make_tensor_value_info(n, kind(v), v.shape) for k, (n, v) in enumerate(zip(names, values)) if n and k not in constant],
                [helper.make_empty_tensor_value_info(f"out{k}") for k in range(outputs)], [numpy_helper.from_array(v, n) for k, (n, v) in enumerate(zip(names, values)) if k in constant])
            model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid(ml, mlv)] + ([helper.make_opsetid(domain, 1)] if domain == "com.microsoft" else []), ir_version=9)
            write(directory, "op_" + name, model, {n: v for k, (n, v) in enumerate(zip(names, values)) if n and k not in constant}, op, **kw)
        except Exception as e:
            print("left out:", name, str(e)[:150].replace("\n", " "))


def conditions(directory):
    """If, whose branches read what is around them, with each condition."""
    branch = lambda name, op, other: helper.make_graph(
        [helper.make_node(op, ["x", other], ["r"], name=name)], name, [], [helper.make_tensor_value_info("r", TensorProto.FLOAT, [None, 2])])
    node = helper.make_node("If", ["c"], ["y"], name="node", then_branch=branch("then", "Add", "k"), else_branch=branch("else", "Mul", "k"))
    k = numpy_helper.from_array(np.array([10, -3], dtype=np.float32), "k")
    graph = helper.make_graph(
        [node], "if", [helper.make_tensor_value_info("c", TensorProto.BOOL, []), helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])], [k])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    for c in (True, False):
        write(directory, f"op_if_{c}".lower(), model, {"c": np.array(c), "x": np.array([[1, 2], [-0.5, 4]], dtype=np.float32)}, "If")


def exchanged(directory):
    """TreeEnsemble with a softmax (1) and a logistic (2): ONNX Runtime takes each for the other, and is asked for the other."""
    for kind in (np.float32, np.float64):
        def model(post):
            node = helper.make_node(
                "TreeEnsemble", ["x"], ["y"], name="node", domain="ai.onnx.ml", n_targets=2, aggregate_function=1, post_transform=post, tree_roots=[0, 1], nodes_featureids=[0, 1], nodes_truenodeids=[0, 2],
                nodes_trueleafs=[1, 1], nodes_falsenodeids=[1, 3], nodes_falseleafs=[1, 1], leaf_targetids=[0, 0, 1, 1], nodes_splits=numpy_helper.from_array(np.array([0.1, 0.1], dtype=kind)),
                nodes_modes=numpy_helper.from_array(np.array([0, 0], dtype=np.uint8)), leaf_weights=numpy_helper.from_array(np.array([0.1, 0.7, 0.2, 0.25], dtype=kind)))
            typ = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
            graph = helper.make_graph([node], "exchanged", [helper.make_tensor_value_info("x", typ, [None, 2])], [helper.make_tensor_value_info("y", typ, [None, 2])])
            return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 5)], ir_version=9)
        for post in (1, 2):
            write(directory, f"op_tree5_exchanged_{np.dtype(kind).name}_{post}", model(post), {"x": np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=kind)}, "TreeEnsemble", asked=model(3 - post))


def serials(directory):
    """The last digits of numbers beyond 2^53, and of those that float32 rounds, of inputs with a row for each."""
    for name, kind, values in (("serial", TensorProto.INT64, [2**53 + 1, -(2**53) - 1, 2**63 - 1, 17]), ("serial_float", TensorProto.FLOAT, [2**24 + 1, -(2**24) - 1, 3, 17])):
        whole = helper.make_node("Cast", ["serial"], ["whole"], to=TensorProto.INT64)
        digits = helper.make_node("Mod", ["whole", "thousand"], ["digits"], name="digits")
        value = helper.make_node("Cast", ["digits"], ["value"], to=TensorProto.FLOAT)
        graph = helper.make_graph([whole, digits, value], name, [helper.make_tensor_value_info("serial", kind, [None, 1])], [helper.make_tensor_value_info("value", TensorProto.FLOAT, [None, 1])],
                                  [numpy_helper.from_array(np.array([1000], dtype=np.int64), "thousand")])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        write(directory, "op_" + name, model, {"serial": np.array(values).reshape(-1, 1).astype(helper.tensor_dtype_to_np_dtype(kind))}, "Mod")


def votes(directory):
    """Support vector machines whose class, by votes, is often not the one of the greatest probability; and a forest whose leaves are all positive."""
    from sklearn import ensemble, svm

    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(160, 2)).astype(np.float32)
    s = x[:, 0] + rng.normal(size=len(x)) * 0.8
    cases = [
        ("svc_balanced", svm.SVC(probability=True, class_weight="balanced", random_state=0), np.where(s > 0.9, "yes", "no")),
        ("svc_votes", svm.SVC(probability=True, random_state=0), np.where(s > 1.3, "yes", "no")),
        ("svc_votes_three", svm.SVC(probability=True, class_weight="balanced", random_state=0), np.digitize(s, [0.8, 1.3])),
        ("nusvc_votes", svm.NuSVC(nu=0.1, probability=True, random_state=0), np.where(s > 1.3, 1, 0)),
        ("boosting_positive", ensemble.GradientBoostingClassifier(init="zero", n_estimators=4, max_depth=1), np.where(s > -2, "yes", "no")),
    ]
    for name, estimator, y in cases:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator.fit(x[:60], y[:60])
            model = skl2onnx.to_onnx(estimator, x[:1], options={"zipmap": False}, target_opset={"": 18, "ai.onnx.ml": 3})
        write(directory, "skl_" + name, model, {"X": x[60:]}, repr(estimator)[:60], 1e-4, 1e-4)


def rounded(directory):
    """A forest whose shares, added in float32, are a little more than 1, and one less them a little less than 0."""
    from sklearn import ensemble

    a, b = np.arange(48), np.arange(48) * 11 % 48
    x = np.column_stack([a, b]).astype(np.float32)
    forest = ensemble.RandomForestClassifier(20, random_state=0).fit(x, np.where(a + b > 48, "yes", "no"))
    model = skl2onnx.to_onnx(forest, x[:1], options={"zipmap": False}, target_opset={"": 18, "ai.onnx.ml": 3})
    write(directory, "skl_forest_rounded", model, {"X": x}, repr(forest)[:60], 1e-5, 1e-6)


if __name__ == "__main__":  # further arguments: single operators alone, by how their names begin
    if len(sys.argv) == 2:
        estimators(sys.argv[1])
        rounded(sys.argv[1])
        votes(sys.argv[1])
        exchanged(sys.argv[1])
    operators(sys.argv[1], sys.argv[2:])
    conditions(sys.argv[1])
    serials(sys.argv[1])
