# The program of a worker: loads one MLflow python_function and answers frames on file descriptor 3 until it is closed.
#
# A frame is a 32-bit length and that many bytes; all numbers are little-endian. The first one, from the server, is JSON: what to load and which
# columns a request has. The answer is b"R", or b"E" and why the model cannot be loaded. Then each request is b"P", id (64 bits), rows (32 bits),
# and a length and bytes for its parameters, which are JSON or nothing, and for each column; its answer b"A", id, type, or b"E", id, and what kind of error it was. No row is ever part of an error.
import os
import signal
import socket
import struct
import sys


def guard():
    """A process that outlives nobody: when the server is gone, its end of our standard input is, too, and the whole group ends."""
    if os.fork() == 0:
        os.closerange(1, 64)
        while os.read(0, 4096):
            pass
        os.killpg(0, signal.SIGKILL)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)  # what a model prints is no frame


def receive(conn):
    head = exactly(conn, 4)
    return exactly(conn, struct.unpack("<I", head)[0])


def exactly(conn, n):
    out = bytearray(n)
    view, at = memoryview(out), 0
    while at < n:
        got = conn.recv_into(view[at:])
        if got == 0:
            os._exit(0)
        at += got
    return out


def send(conn, *parts):
    conn.sendall(struct.pack("<I", sum(map(len, parts))) + b"".join(parts))


def pieces(data, read):
    out, at = [], 0
    while at < len(data):
        n = struct.unpack_from("<I", data, at)[0]
        at += 4
        if n == 0xFFFFFFFF:
            out.append(None)
        else:
            out.append(read(data[at : at + n]))
            at += n
    return out


def packed(values):
    out = []
    for v in values:
        b = str(v).encode()
        out += (struct.pack("<I", len(b)), b)
    return b"".join(out)


def where(e):
    """The type of an exception and where it was raised; its message may hold data and is left out."""
    t = e.__traceback__
    while t is not None and t.tb_next is not None:
        t = t.tb_next
    at = "" if t is None else f" at {os.path.basename(t.tb_frame.f_code.co_filename)}:{t.tb_lineno}"
    return (type(e).__name__ + at)[:300].encode()


def main():
    conn = socket.socket(fileno=3)
    guard()
    import json

    config = json.loads(receive(conn))
    if config["address_bytes"]:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (config["address_bytes"],) * 2)
    try:
        import numpy as np
        import pandas as pd
        from mlflow.pyfunc import load_model

        model = load_model(config["dir"])
    except BaseException as e:
        import traceback

        traceback.print_exc()
        send(conn, b"E", (type(e).__name__ + ": " + str(e))[:2000].encode(errors="replace"))
        os._exit(3)
    send(conn, b"R")
    columns, tensor = config["columns"], config["tensor"]

    readers = {"string": bytearray.decode, "bytes": bytes, "json": json.loads}

    def column(kind, data):
        if kind in readers:
            values = pieces(data, readers[kind])
            if kind == "string":
                return np.array(values, dtype=object)
            out = np.empty(len(values), dtype=object)  # lists of one length are no matrix
            out[:] = values
            return out
        if kind == "datetime":
            return np.frombuffer(data, "<i8").view("datetime64[us]").astype("datetime64[ns]")
        return np.frombuffer(data, {"bool": "?"}.get(kind, kind))

    def answer(out):
        names = []
        if isinstance(out, pd.DataFrame):
            names = [str(c) for c in out.columns]
            out = out.to_numpy() if len(names) != 1 else out.iloc[:, 0].to_numpy()
            names = names if out.ndim == 2 else []
        elif isinstance(out, pd.Series):
            out = out.to_numpy()
        elif not isinstance(out, np.ndarray):
            if not isinstance(out, (list, tuple)):
                raise TypeError("the answer is neither a table, an array nor a list")
            out = np.array(out)
        if out.ndim > 2:
            raise TypeError("the answer has more than two dimensions")
        if out.dtype == object:
            if out.ndim == 2:
                out = out.astype("f8")
            elif all(isinstance(v, str) for v in out):
                pass
            else:
                out = np.array(out.tolist())
        if out.dtype.kind == "b":
            kind, data = b"b", out.astype("?").tobytes()
        elif out.dtype.kind in "iu":
            kind, data = b"i", out.astype("<i8", casting="same_kind" if out.dtype.kind == "i" else "unsafe").tobytes()
        elif out.dtype.kind == "f":
            kind, data = b"f", out.astype("<f8").tobytes()
        elif out.ndim == 1:
            kind, data = b"s", packed(out.tolist())
        else:
            raise TypeError("the answer is a table that is not of numbers")
        labels = packed(names)
        return (kind, struct.pack("<B", out.ndim), struct.pack(f"<{out.ndim}I", *out.shape), struct.pack("<I", len(labels)), labels, data)

    while True:
        frame = receive(conn)
        id_, rows = struct.unpack_from("<QI", frame, 1)
        n = struct.unpack_from("<I", frame, 13)[0]
        params = json.loads(frame[17 : 17 + n]) if n else None
        at, values = 17 + n, []
        for c in columns:
            n = struct.unpack_from("<I", frame, at)[0]
            values.append(column(c["kind"], frame[at + 4 : at + 4 + n]))
            at += 4 + n
        try:
            if tensor:
                data = np.stack(values, axis=1) if config["matrix"] else values[0]
            else:
                data = pd.DataFrame({c["name"]: v for c, v in zip(columns, values)}, copy=False)
            parts = answer(model.predict(data) if params is None else model.predict(data, params=params))
        except MemoryError:
            os._exit(4)
        except Exception as e:
            send(conn, b"E", struct.pack("<Q", id_), where(e))
            continue
        send(conn, b"A", struct.pack("<Q", id_), *parts)


main()
