"""Unmodified clients of other projects against a running `assay serve`, each with the same rows: the answers must agree.

Usage: python python/serving_clients.py GROUP HTTP GRPC OUT
GROUP is triton, kserve, mlserver or mlflow: what the environment has. Writes OUT, a JSON list of {client, version, transport, what}. Runs in the project's folder;
ASSAY is the program, SHIFT_HTTP and SHIFT_GRPC are a server of testdata/mlflow/shift, whose version declares a parameter.
A check that fails ends the script with status 1.
"""
import asyncio
import json
import os
import subprocess
import sys
import time
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


SHIFTED = "the caller's key and a declared parameter, in the answer and in the log"


def logged(*keys):
    """What the log has of the predictions with those keys: label and parameters, in their order."""
    ask = "SELECT _key, prediction, _params FROM log WHERE _key IN (%s)" % ", ".join(f"'{k}'" for k in keys)
    for _ in range(100):
        found = subprocess.run([os.environ["ASSAY"], "log", "query", ask, "--json"], check=True, capture_output=True, text=True).stdout
        rows = {key: (label, json.loads(params) if params else None) for key, label, params in json.loads(found)["rows"]}
        if len(rows) == len(keys):
            return [rows[k] for k in keys]
        time.sleep(0.1)
    sys.exit(f"the log has {sorted(rows)} of {keys}")


def kept(labels, *keys, params=None):
    return logged(*keys) == [(label, params) for label in labels]


def unknown(client, version, transport, call):
    """A parameter that the model does not declare is refused by its name."""
    try:
        call()
    except Exception as e:
        message = str(e) + (getattr(e, "response", None).text if getattr(e, "response", None) is not None else "")
        ok(client, version, transport, "a parameter that the model does not take is refused by name", "nosuch" in message)
        return
    sys.exit(f"{client} over {transport}: a parameter that the model does not take was answered")


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
        ids = [f"triton-{transport}-{i}" for i in range(6)]
        key = lib.InferInput("id", [2], "BYTES")
        key.set_data_from_numpy(np.array([i.encode() for i in ids[:2]], object))
        ok("tritonclient", version, transport, "the caller's key as a tensor, in the log", same(client.infer(MODEL, inputs() + [key])) and kept(LABELS, *ids[:2]))
        one = [(name, x[:1], typ) for name, x, typ in columns]
        r = client.infer(MODEL, inputs(True, one), parameters={"id": ids[2]})
        ok("tritonclient", version, transport, "the caller's key as a parameter, in the log", strings(r.as_numpy("prediction").tolist()) == LABELS[:1] and kept(LABELS[:1], ids[2]))
        if transport == "HTTP":
            r = client.infer(MODEL, inputs(), parameters={"id": ids[3:5]})
            ok("tritonclient", version, transport, "the keys of two rows as a parameter, in the log", same(r) and kept(LABELS, *ids[3:5]))
        shift = lib.InferenceServerClient(os.environ["SHIFT_HTTP" if transport == "HTTP" else "SHIFT_GRPC"])
        r = shift.infer(MODEL, inputs(True, one), parameters={"shift": 100.0, "id": ids[5]})
        ok("tritonclient", version, transport, SHIFTED, r.as_numpy("probabilities")[0][1] > 1 - 1e-9 and kept(["yes"], ids[5], params={"shift": 100}))
        unknown("tritonclient", version, transport, lambda: shift.infer(MODEL, inputs(), parameters={"nosuch": 1}))
        shift.close()
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


def raises(error):
    raise error


def kserve():
    import numpy as np
    from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, RESTConfig

    version = installed("kserve")

    def inputs(sex=SEX, raw=False, income=INCOME, rows=2, ids=None):
        made = []
        for name, typ, x in (("age", "INT64", AGE), ("sex", "BYTES", sex), ("region", "BYTES", REGION), ("income", "FP64", income), ("hours", "INT32", HOURS), ("tenure", "FP64", TENURE), ("id", "BYTES", ids)):
            if x is None:
                continue
            x = x[:rows]
            i = InferInput(name, [rows], typ)
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
        keys = [f"kserve-HTTP-{i}" for i in range(12)]
        for raw, what in ((False, "as JSON"), (True, "as bytes")):
            mine, keys = keys[:2], keys[2:]
            await client.infer(base, InferRequest(MODEL, inputs(raw=raw, ids=mine)), model_name=MODEL)
            ok("kserve", version, "HTTP", f"the caller's key as a tensor {what}, in the log", kept(LABELS, *mine))
        await client.infer(base, InferRequest(MODEL, inputs(), parameters={"id": keys[:2]}), model_name=MODEL)
        ok("kserve", version, "HTTP", "the keys of two rows as a parameter, in the log", kept(LABELS, *keys[:2]))
        shifted = f"http://{os.environ['SHIFT_HTTP']}"
        r = await client.infer(shifted, InferRequest(MODEL, inputs(rows=1), parameters={"id": keys[2], "shift": 100}), model_name=MODEL)
        by = {o.name: o for o in r.outputs}
        ok("kserve", version, "HTTP", SHIFTED, by["probabilities"].as_numpy()[0][1] > 1 - 1e-9 and kept(["yes"], keys[2], params={"shift": 100}))
        v1 = InferenceRESTClient(RESTConfig(protocol="v1"))
        ok("kserve", version, "HTTP, V1", "model ready", await v1.is_model_ready(base, MODEL))
        r = await v1.infer(base, {"instances": ROWS}, model_name=MODEL)
        ok("kserve", version, "HTTP, V1", "predict", r["predictions"] == LABELS)
        r = await v1.infer(base, {"instances": [{"id": k, **row} for k, row in zip(keys[3:], ROWS)]}, model_name=MODEL)
        ok("kserve", version, "HTTP, V1", "the caller's key in the instances, in the log", r["predictions"] == LABELS and kept(LABELS, *keys[3:5]))
        r = await v1.infer(base, {"instances": [list(row.values()) for row in ROWS], "parameters": {"id": keys[5:7]}}, model_name=MODEL)
        ok("kserve", version, "HTTP, V1", "the keys as a parameter, in the log", r["predictions"] == LABELS and kept(LABELS, *keys[5:7]))
        r = await v1.infer(shifted, {"instances": ROWS[:1], "parameters": {"id": keys[7], "shift": 100}}, model_name=MODEL)
        ok("kserve", version, "HTTP, V1", SHIFTED, r["predictions"] == ["yes"] and kept(["yes"], keys[7], params={"shift": 100}))
        for name, how in (("HTTP", client.infer(shifted, InferRequest(MODEL, inputs(), parameters={"nosuch": 1}), model_name=MODEL)), ("HTTP, V1", v1.infer(shifted, {"instances": ROWS, "parameters": {"nosuch": 1}}, model_name=MODEL))):
            try:
                await how
            except Exception as e:
                why = e
            unknown("kserve", version, name, lambda: raises(why))

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
        keys = [f"kserve-gRPC-{i}" for i in range(4)]
        await client.infer(InferRequest(MODEL, inputs(raw=True, income=income, ids=keys[:2])))
        ok("kserve", version, "gRPC", "the caller's key as a tensor, in the log", kept(LABELS, *keys[:2]))
        await client.infer(InferRequest(MODEL, inputs(raw=True, rows=1), parameters={"id": keys[2]}))
        ok("kserve", version, "gRPC", "the caller's key as a parameter, in the log", kept(LABELS[:1], keys[2]))
        shift = InferenceGRPCClient(os.environ["SHIFT_GRPC"])
        r = await shift.infer(InferRequest(MODEL, inputs(raw=True, rows=1), parameters={"id": keys[3], "shift": 100}))
        by = {o.name: o for o in r.outputs}
        ok("kserve", version, "gRPC", SHIFTED, by["probabilities"].as_numpy()[0][1] > 1 - 1e-9 and kept(["yes"], keys[3], params={"shift": 100}))
        await shift.close()
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
    from mlserver.types import InferenceRequest, InferenceResponse, Parameters
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

    keys = [f"mlserver-{i}" for i in range(8)]
    keyed = PandasCodec.encode_request(frame.assign(id=pd.Series(keys[:2], dtype=object)))
    ok("mlserver codecs", version, "HTTP", "the caller's key as a column, in the log", same(over_http(keyed)) and kept(labels, *keys[:2]))
    listed = PandasCodec.encode_request(frame)
    listed.parameters = Parameters(content_type="pd", id=keys[2:4])
    ok("mlserver codecs", version, "HTTP", "the keys as a parameter, in the log", same(over_http(listed)) and kept(labels, *keys[2:4]))
    keyed = PandasCodec.encode_request(frame.assign(id=pd.Series(keys[4:6], dtype=object)))
    message = converters.ModelInferRequestConverter.from_types(keyed, model_name=MODEL, model_version="1")
    ok("mlserver", version, "gRPC", "the caller's key as a column, in the log", same(converters.ModelInferResponseConverter.to_types(stub.ModelInfer(message))) and kept(labels, *keys[4:6]))
    one = PandasCodec.encode_request(frame[:1])
    one.parameters = Parameters(content_type="pd", id=keys[6], shift=100)
    answer = InferenceResponse(**json.load(urllib.request.urlopen(urllib.request.Request(
        f"http://{os.environ['SHIFT_HTTP']}/v2/models/{MODEL}/infer", one.model_dump_json(exclude_none=True).encode(), {"Content-Type": "application/json"}))))
    by = {o.name: o for o in answer.outputs}
    ok("mlserver codecs", version, "HTTP", SHIFTED, NumpyCodec.decode_output(by["probabilities"])[0][1] > 1 - 1e-9 and kept(["yes"], keys[6], params={"shift": 100}))
    one.parameters = Parameters(content_type="pd", id=keys[7], shift=100)
    stub = GRPCInferenceServiceStub(rpc.insecure_channel(os.environ["SHIFT_GRPC"]))
    message = converters.ModelInferRequestConverter.from_types(one, model_name=MODEL, model_version="2")
    by = {o.name: o for o in converters.ModelInferResponseConverter.to_types(stub.ModelInfer(message)).outputs}
    ok("mlserver", version, "gRPC", SHIFTED, NumpyCodec.decode_output(by["probabilities"])[0][1] > 1 - 1e-9 and kept(["yes"], keys[7], params={"shift": 100}))


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
    keys = [f"mlflow-{i}" for i in range(3)]
    r = client.invoke(frame.assign(id=keys[:2]))
    ok("mlflow scoring client", version, "HTTP", "the caller's key as a column, in the log", list(r.get_predictions()["prediction"]) == LABELS and kept(LABELS, *keys[:2]))
    host, port = os.environ["SHIFT_HTTP"].split(":")
    shift = ScoringServerClient(host, int(port))
    r = shift.invoke(frame[:1].assign(id=keys[2]), params={"shift": 100.0})
    ok("mlflow scoring client", version, "HTTP", SHIFTED, r.get_predictions()["probability_yes"][0] > 1 - 1e-9 and kept(["yes"], keys[2], params={"shift": 100}))
    unknown("mlflow scoring client", version, "HTTP", lambda: shift.invoke(frame, params={"nosuch": 1}))
    refused("mlflow scoring client", version, "HTTP", lambda: client.invoke(frame.assign(sex=["F", "secret"])), ["row 1", "sex"])


{"triton": triton, "kserve": kserve, "mlserver": mlserver, "mlflow": mlflow}[group]()
with open(out, "w") as f:
    json.dump(ran, f, indent=1)
