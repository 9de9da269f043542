"""A running `assay serve` whose model another server has: its answers, its refusals, and what it says once that server is gone.

Usage: python python/upstreams.py NAME VERSION URL EXPECTED PID OUT
EXPECTED holds rows and what MLflow answered to them; PID is the process group of the other server, which is ended. Standard library only.
"""
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request

name, version, url, expected, pid, out = sys.argv[1:]
client, transport = {"mlflow": ("mlflow models serve, as upstream", "HTTP, /invocations"), "mlserver": ("mlserver, as upstream", "HTTP, Open Inference Protocol")}[name]
ran = ["serve check: held-out rows as offline, broken rows refused"]


def post(rows):
    request = urllib.request.Request(url + "/invocations", json.dumps({"dataframe_records": rows}).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as e:
        return e.code, json.load(e)


def check(what, holds, seen):
    if not holds:
        sys.exit(f"{client}: {what}: {seen}")
    ran.append(what)
    print(f"ok {client} {version}: {what}")


with open(expected) as f:
    table = json.loads(f.read().replace("NaN", "null"))
status, body = post(table["input"])
got = [[p["probability_no"], p["probability_yes"]] for p in body.get("predictions", [])]
near = len(got) == len(table["predictions"]) and all(abs(a - b) < 1e-6 for x, y in zip(got, table["predictions"]) for a, b in zip(x, y))
check("rows, one with a missing value, answered as MLflow does", status == 200 and near, (status, body))
status, body = post([{**table["input"][0], "age": "seventy"}])
check("a value that does not fit is refused in front", status == 400 and "age" in json.dumps(body) and "seventy" not in json.dumps(body), (status, body))
os.killpg(int(pid), signal.SIGKILL)
for _ in range(50):
    status, body = post(table["input"][:1])
    if status == 503:
        break
    time.sleep(0.1)
check("503 when it is gone", status == 503, (status, body))
with open(out, "w") as f:
    json.dump([{"client": client, "version": version, "transport": transport, "what": w} for w in ran], f)
