"""The bare service of bench/serve.sh: FastAPI in front of ONNX Runtime, rows as records, nothing checked. MODEL names the file."""
import os

import numpy as np
import onnxruntime as rt
from fastapi import FastAPI

options = rt.SessionOptions()
options.intra_op_num_threads = 1
session = rt.InferenceSession(os.environ.get("MODEL", "model.onnx"), options, providers=["CPUExecutionProvider"])
names = [i.name for i in session.get_inputs()]
app = FastAPI()


@app.get("/health")
def health():
    return {}


@app.post("/predict")
async def predict(body: dict):
    rows = body["dataframe_records"]
    label, proba = session.run(None, {n: np.array([[r[n]] for r in rows], np.float32) for n in names})
    return {"predictions": label.tolist(), "probabilities": proba.tolist()}
