"""Small ONNX models that Assay's own evaluator refuses and ONNX Runtime runs, for testdata/onnxruntime.

    python python/onnxruntime_oracle.py DIR

What they must answer is computed by NumPy, not by ONNX Runtime. Made with the versions that python/requirements.txt pins; each file's
header names them.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SEED = 4712
ROWS = 7
FLOAT, HALF, STRING, INT64 = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.STRING, TensorProto.INT64
OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]


def encode(a):
    if isinstance(a, dict):
        return {"type": "sequence_of_maps", **a}
    a = np.asarray(a)
    if a.dtype.kind in "OU":
        return {"dtype": "string", "shape": list(a.shape), "data": [str(v) for v in a.reshape(-1)]}
    return {"dtype": str(a.dtype), "shape": list(a.shape), "data": a.reshape(-1).tolist()}


def write(directory, name, what, nodes, inputs, outputs, constants, given, expected, functions=(), opsets=()):
    graph = helper.make_graph(nodes, name, inputs, outputs, [numpy_helper.from_array(v, k) for k, v in constants.items()])
    model = helper.make_model(graph, opset_imports=OPSETS + list(opsets), functions=list(functions), ir_version=9)
    document = {
        "header": {
            "generator": "python/onnxruntime_oracle.py: " + what, "versions": {"numpy": np.__version__, "onnx": onnx.__version__}, "seed": SEED,
            # Between two nodes of 16 bits ONNX Runtime may keep 32.
            "tolerance": {"abs": 1e-6, "rel": 2e-3 if name == "half" else 1e-5},
        },
        "model": name,
        "inputs": {k: encode(v) for k, v in given.items()},
        "outputs": [{"name": k, **encode(v)} for k, v in expected.items()],
    }
    pathlib.Path(directory, name + ".onnx").write_bytes(model.SerializeToString())
    pathlib.Path(directory, name + ".json").write_text(json.dumps(document) + "\n")


def value(name, kind, *shape):
    return helper.make_tensor_value_info(name, kind, shape)


def maps(name):
    kind = helper.make_sequence_type_proto(helper.make_map_type_proto(STRING, helper.make_tensor_type_proto(FLOAT, None)))
    return helper.make_value_info(name, kind)


def binary(x, w, b):
    p = 1 / (1 + np.exp(-(x.astype(np.float64) @ w + b)))
    return np.stack([1 - p, p], axis=1).astype(np.float32)


def main(directory):
    rng = np.random.default_rng(SEED)
    node = helper.make_node
    age = rng.integers(18, 80, size=(ROWS, 1)).astype(np.float32)
    hours = rng.integers(5, 60, size=(ROWS, 1)).astype(np.float32)
    w, b = np.array([0.03, -0.05], np.float32), np.array([0.2], np.float32)
    p = binary(np.concatenate([age, hours], axis=1), w, b[0])
    label = np.array(["no", "yes"], object)[(p[:, 1] > 0.5).astype(int)]
    head = [
        node("Einsum", ["x", "w"], ["z"], equation="...f,f->...", name="score"), node("Add", ["z", "b"], ["margin"]), node("Sigmoid", ["margin"], ["yes"]),
        node("Sub", ["one", "yes"], ["no"]), node("Unsqueeze", ["yes", "last"], ["yes1"]), node("Unsqueeze", ["no", "last"], ["no1"]),
        node("Greater", ["yes", "half"], ["is"]), node("Cast", ["is"], ["code"], to=INT64),
        node("LabelEncoder", ["code"], ["label"], domain="ai.onnx.ml", keys_int64s=[0, 1], values_strings=["no", "yes"]),
    ]
    constants = {"w": w, "b": b, "one": np.float32([1]), "half": np.float32([0.5]), "last": np.int64([1])}
    write(
        directory, "columns", "Einsum over two columns; label and probabilities",
        [node("Concat", ["age", "hours"], ["x"], axis=1), *head, node("Concat", ["no1", "yes1"], ["probabilities"], axis=1)],
        [value("age", FLOAT, "N", 1), value("hours", FLOAT, "N", 1)], [value("label", STRING, "N"), value("probabilities", FLOAT, "N", 2)],
        constants, {"age": age, "hours": hours}, {"label": label, "probabilities": p},
    )
    write(
        directory, "zipmap", "Einsum over a matrix; a sequence of maps whose keys are not in the order of the classes' names",
        [*head, node("Concat", ["yes1", "no1"], ["both"], axis=1), node("ZipMap", ["both"], ["probabilities"], domain="ai.onnx.ml", classlabels_strings=["yes", "no"])],
        [value("x", FLOAT, "N", 2)], [value("label", STRING, "N"), maps("probabilities")],
        constants, {"x": np.concatenate([age, hours], axis=1)}, {"label": label, "probabilities": {"keys": ["yes", "no"], "data": p[:, ::-1].tolist()}},
    )
    x = rng.normal(size=(ROWS, 3)).astype(np.float32)
    write(
        directory, "function", "a function that the model defines",
        [node("Twice", ["x"], ["y"], domain="local")], [value("x", FLOAT, "N", 3)], [value("y", FLOAT, "N", 3)], {}, {"x": x}, {"y": x + x},
        [helper.make_function("local", "Twice", ["a"], ["c"], [node("Add", ["a", "a"], ["c"])], OPSETS[:1])], [helper.make_opsetid("local", 1)],
    )
    write(
        directory, "half", "16-bit floats inside; an output of them is left out",
        [node("Cast", ["x"], ["h"], to=HALF), node("Mul", ["h", "k"], ["m"]), node("Cast", ["m"], ["y"], to=FLOAT)],
        [value("x", FLOAT, "N", 3)], [value("m", HALF, "N", 3), value("y", FLOAT, "N", 3)], {"k": np.array([[1.1, 2.2, -3.3]], np.float16)},
        {"x": x}, {"y": (x.astype(np.float16) * np.float16([[1.1, 2.2, -3.3]])).astype(np.float32)},
    )
    write(
        directory, "single", "an output that is one number",
        [node("Einsum", ["x"], ["y"], equation="ij->")], [value("x", FLOAT, "N", 3)], [value("y", FLOAT)], {}, {"x": x}, {"y": np.float32(x.astype(np.float64).sum())},
    )


main(sys.argv[1])
