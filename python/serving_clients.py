"""Unmodified clients of other projects against a running `assay serve`, each with the same rows: the answers must agree.

Usage: python python/serving_clients.py GROUP HTTP GRPC OUT
GROUP is triton, kserve, mlserver or mlflow: what the environment has. Writes OUT, a JSON list of {client, version, transport, what}.
A check that fails ends the script with status 1.
"""
import asyncio
import json
import sys
import urllib.request
from importlib.metadata import version as installed

group, http, grpc, out = sys.argv[1:]
base = f"http://{http}"
MODEL = "people"
AGE, SEX, REGION, INCOME, HOURS, TENURE = [34, 61], ["F", "M"], ["north", "south"], [31000.5, None], [38, 20], [2.5, 0.75]
NAMES = ["age", "sex", "region", "income", "hours", "tenure"]
ROWS = [dict(zip(NAMES, row)) for row in zip(AGE, SEX, REGION, INCOME, HOURS, TENURE)]
ran = []


def post(path, body):
    request = urllib.request.Request(base + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


# What no client library stands between.
plain = post("/invocations", {"dataframe_records": ROWS})["predictions"]
LABELS = [p["prediction"] for p in plain]
PROBA = [[p["probability_no"], p["probability_yes"]] for p in plain]


def ok(client, version, transport, what, holds=True):
    if not holds:
        sys.exit(f"{client} {version} over {transport}: {what}: the answer is another one")
    ran.append({"client": client, "version": version, "transport": transport, "what": what})
    print(f"ok {client} {version} over {transport}: {what}")


def refused(client, version, transport, call, names):
    """An income of text in the second row must be refused, with its place and without its value."""
    try:
        call()
    except Exception as e:  # each client has its own
        message = str(e)
        body = getattr(e, "response", None)  # httpx and requests keep the answer apart
        if body is not None:
            message += body.text
        ok(client, version, transport, "a value that does not fit is refused with its row and column", all(n in message for n in names))
        return
    sys.exit(f"{client} over {transport}: a row that does not fit was answered")


def strings(xs):
    return [x.decode() if isinstance(x, bytes) else x for x in xs]


def triton():
    import numpy as np
    import tritonclient.grpc as tgrpc
    import tritonclient.http as thttp
    from tritonclient.utils import InferenceServerException

    version = installed("tritonclient")
    columns = [
        ("age", np.array(AGE, np.int64), "INT64"), ("sex", np.array([s.encode() for s in SEX], object), "BYTES"),
        ("region", np.array([s.encode() for s in REGION], object), "BYTES"), ("income", np.array([x if x is not None else np.nan for x in INCOME]), "FP64"),
        ("hours", np.array(HOURS, np.int32), "INT32"), ("tenure", np.array(TENURE, np.float32), "FP32"),
    ]
    for transport, lib, address in (("HTTP", thttp, http), ("gRPC", tgrpc, grpc)):
        client = lib.InferenceServerClient(address)
        ok("tritonclient", version, transport, "live, ready, model ready", client.is_server_live() and client.is_server_ready() and client.is_model_ready(MODEL) and client.is_model_ready(MODEL, "1"))
        about = client.get_server_metadata()
        have = about["extensions"] if transport == "HTTP" else list(about.extensions)
        ok("tritonclient", version, transport, "server metadata", "binary_tensor_data" in have)
        meta = client.get_model_metadata(MODEL)
        names = [i["name"] for i in meta["inputs"]] if transport == "HTTP" else [i.name for i in meta.inputs]
        ok("tritonclient", version, transport, "model metadata", sorted(names) == sorted(NAMES))
        index = client.get_model_repository_index()
        ok("tritonclient", version, transport, "repository index", (index[0]["name"] if transport == "HTTP" else index.models[0].name) == MODEL)

        def inputs(binary=True, columns=columns):
            made = []
            for name, x, typ in columns:
                i = lib.InferInput(name, list(x.shape), typ)
                if transport == "HTTP":
                    i.set_data_from_numpy(x, binary_data=binary)
                else:
                    i.set_data_from_numpy(x)
                made.append(i)
            return made

        def same(r):
            return strings(r.as_numpy("prediction").tolist()) == LABELS and np.allclose(r.as_numpy("probabilities"), PROBA, rtol=0, atol=1e-9)

        ok("tritonclient", version, transport, "infer, tensors as bytes", same(client.infer(MODEL, inputs())))
        ok("tritonclient", version, transport, "infer of a version, with an id", client.infer(MODEL, inputs(), model_version="1", request_id="t-1").get_response()["id"] == "t-1" if transport == "HTTP"
           else client.infer(MODEL, inputs(), model_version="1", request_id="t-1").get_response().id == "t-1")
        wanted = [lib.InferRequestedOutput("probabilities")]
        r = client.infer(MODEL, inputs(), outputs=wanted)
        ok("tritonclient", version, transport, "requested outputs only", r.as_numpy("prediction") is None and np.allclose(r.as_numpy("probabilities"), PROBA, rtol=0, atol=1e-9))
        if transport == "HTTP":
            no_nan = [c for c in columns]
            no_nan[3] = ("income", np.array([31000.5, 20000.0]), "FP64")
            as_json = client.infer(MODEL, inputs(False, no_nan), outputs=[lib.InferRequestedOutput("probabilities", binary_data=False)])
            as_bytes = client.infer(MODEL, inputs(True, no_nan))
            ok("tritonclient", version, transport, "infer, tensors as JSON", np.array_equal(as_json.as_numpy("probabilities"), as_bytes.as_numpy("probabilities")))
            for algorithm in ("gzip", "deflate"):
                ok("tritonclient", version, transport, f"request body in {algorithm}", same(client.infer(MODEL, inputs(), request_compression_algorithm=algorithm)))
        else:
            ok("tritonclient", version, transport, "messages in gzip", same(client.infer(MODEL, inputs(), compression_algorithm="gzip")))
        bad = list(columns)
        bad[1] = ("sex", np.array([b"F", b"secret"], object), "BYTES")
        refused("tritonclient", version, transport, lambda: client.infer(MODEL, inputs(True, bad)), ["row 1", "sex"])
        client.unload_model(MODEL)
        try:
            gone = not client.is_model_ready(MODEL)
        except InferenceServerException as e:  # over gRPC it raises what is NOT_FOUND
            gone = "not served" in str(e)
        client.load_model(MODEL)
        ok("tritonclient", version, transport, "unload and load", gone and client.is_model_ready(MODEL) and same(client.infer(MODEL, inputs())))
        client.close()


def kserve():
    import numpy as np
    from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

    version = installed("kserve")

    def inputs(sex=SEX, raw=False, income=INCOME):
        made = []
        for name, typ, x in (("age", "INT64", AGE), ("sex", "BYTES", sex), ("region", "BYTES", REGION), ("income", "FP64", income), ("hours", "INT32", HOURS), ("tenure", "FP64", TENURE)):
            i = InferInput(name, [2], typ)
            if raw:
                dtype = {"INT64": np.int64, "INT32": np.int32, "FP64": np.float64, "BYTES": object}[typ]
                i.set_data_from_numpy(np.array([np.nan if e is None else e for e in x], dtype), binary_data=True)
            else:
                i.data = x
            made.append(i)
        return made

    async def rest():
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        ok("kserve", version, "HTTP", "live, ready, model ready", await client.is_server_live(base) and await client.is_server_ready(base) and await client.is_model_ready(base, MODEL))
        for raw, what in ((False, "infer, tensors as JSON, null for a missing value"), (True, "infer, tensors as bytes")):
            r = await client.infer(base, InferRequest(MODEL, inputs(raw=raw), request_id="k-1"), model_name=MODEL)
            by = {o.name: o for o in r.outputs}
            ok("kserve", version, "HTTP", what, strings(by["prediction"].data) == LABELS and np.allclose(by["probabilities"].as_numpy(), PROBA, rtol=0, atol=1e-12) and r.id == "k-1")
        try:
            await client.infer(base, InferRequest(MODEL, inputs(sex=["F", "secret"])), model_name=MODEL)
            sys.exit("kserve: a row that does not fit was answered")
        except Exception as e:
            message = str(e) + (e.response.text if getattr(e, "response", None) is not None else "")
            ok("kserve", version, "HTTP", "a value that does not fit is refused with its row and column", "row 1" in message and "sex" in message and "secret" not in message)
        v1 = InferenceRESTClient(RESTConfig(protocol="v1"))
        ok("kserve", version, "HTTP, V1", "model ready", await v1.is_model_ready(base, MODEL))
        r = await v1.infer(base, {"instances": ROWS}, model_name=MODEL)
        ok("kserve", version, "HTTP, V1", "predict", r["predictions"] == LABELS)

    async def rpc():
        client = InferenceGRPCClient(grpc)
        ok("kserve", version, "gRPC", "live, ready, model ready", await client.is_server_live() and await client.is_server_ready() and await client.is_model_ready(MODEL))
        income = [31000.5, float("nan")]
        r = await client.infer(InferRequest(MODEL, inputs(raw=True, income=income), request_id="k-2"))
        by = {o.name: o for o in r.outputs}
        ok("kserve", version, "gRPC", "infer, raw contents", strings(by["prediction"].as_numpy().tolist()) == LABELS and np.allclose(by["probabilities"].as_numpy(), PROBA, rtol=0, atol=1e-12) and r.id == "k-2")
        typed = inputs(sex=[s.encode() for s in SEX], income=income)
        typed[2].data = [s.encode() for s in REGION]
        r = await client.infer(InferRequest(MODEL, typed))
        by = {o.name: o for o in r.outputs}
        ok("kserve", version, "gRPC", "infer, typed contents", np.allclose(by["probabilities"].as_numpy(), PROBA, rtol=0, atol=1e-12))
        try:
            await client.infer(InferRequest(MODEL, inputs(raw=True, sex=["F", "secret"], income=income)))
            sys.exit("kserve: a row that does not fit was answered")
        except Exception as e:
            ok("kserve", version, "gRPC", "a value that does not fit is refused with its row and column", "row 1" in str(e) and "sex" in str(e) and "secret" not in str(e))
        await client.close()

    asyncio.run(rest())
    asyncio.run(rpc())


def mlserver():
    import mlserver
    import pandas as pd
    from mlserver.codecs import NumpyCodec, NumpyRequestCodec, PandasCodec, StringCodec
    from mlserver.grpc import converters
    from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
    from mlserver.types import InferenceRequest, InferenceResponse
    import grpc as rpc
    import numpy as np

    version = mlserver.__version__
    frame = pd.DataFrame({"age": AGE, "sex": pd.Series(SEX, dtype=object), "region": pd.Series(REGION, dtype=object), "income": pd.Series([31000.5, 20000.0]), "hours": HOURS, "tenure": TENURE})
    want = post("/invocations", {"dataframe_records": json.loads(frame.to_json(orient="records"))})["predictions"]
    labels, proba = [p["prediction"] for p in want], [[p["probability_no"], p["probability_yes"]] for p in want]

    def same(response):
        by = {o.name: o for o in response.outputs}
        return strings(StringCodec.decode_output(by["prediction"])) == labels and np.allclose(NumpyCodec.decode_output(by["probabilities"]), proba, rtol=0, atol=1e-12)

    def over_http(request):
        body = json.loads(request.model_dump_json(exclude_none=True))
        return InferenceResponse(**post(f"/v2/models/{MODEL}/infer", body))

    for use_bytes in (True, False):
        request = PandasCodec.encode_request(frame, use_bytes=use_bytes)
        ok("mlserver codecs", version, "HTTP", "pandas codec" + ("" if use_bytes else ", strings as text"), same(over_http(InferenceRequest(**json.loads(request.model_dump_json())))))
    mixed = InferenceRequest(inputs=[
        NumpyCodec.encode_input("age", np.array(AGE)), StringCodec.encode_input("sex", SEX, use_bytes=False), StringCodec.encode_input("region", REGION, use_bytes=False),
        NumpyCodec.encode_input("income", np.array([31000.5, 20000.0])), NumpyCodec.encode_input("hours", np.array(HOURS)), NumpyCodec.encode_input("tenure", np.array(TENURE)),
    ])
    ok("mlserver codecs", version, "HTTP", "numpy and string codecs", same(over_http(mixed)))
    missing = frame.assign(income=[31000.5, None])
    request = json.loads(PandasCodec.encode_request(missing, use_bytes=False).model_dump_json())
    answer = InferenceResponse(**post(f"/v2/models/{MODEL}/infer", request))
    by = {o.name: o for o in answer.outputs}
    ok("mlserver codecs", version, "HTTP", "NaN as null", np.allclose(NumpyCodec.decode_output(by["probabilities"]), PROBA, rtol=0, atol=1e-12))
    stub = GRPCInferenceServiceStub(rpc.insecure_channel(grpc))
    message = converters.ModelInferRequestConverter.from_types(PandasCodec.encode_request(frame), model_name=MODEL, model_version="1")
    ok("mlserver", version, "gRPC", "infer with its converters", same(converters.ModelInferResponseConverter.to_types(stub.ModelInfer(message))))


def mlflow():
    import mlflow
    import pandas as pd
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

    version = mlflow.__version__
    host, port = http.split(":")
    client = ScoringServerClient(host, int(port))
    client.ping()  # raises when the answer is not the server's
    ok("mlflow scoring client", version, "HTTP", "ping and version", client.get_version() == client.get_version() != "")
    frame = pd.DataFrame(ROWS)
    r = client.invoke(frame)
    got = r.get_predictions()
    ok("mlflow scoring client", version, "HTTP", "invoke with a DataFrame", list(got["prediction"]) == LABELS and abs(got["probability_yes"] - [p[1] for p in PROBA]).max() < 1e-12)
    r = client.invoke(frame, params={"predict_method": "predict"})
    ok("mlflow scoring client", version, "HTTP", "params", [x for x in r.get_predictions()[0]] == LABELS)
    refused("mlflow scoring client", version, "HTTP", lambda: client.invoke(frame.assign(sex=["F", "secret"])), ["row 1", "sex"])


{"triton": triton, "kserve": kserve, "mlserver": mlserver, "mlflow": mlflow}[group]()
with open(out, "w") as f:
    json.dump(ran, f, indent=1)
