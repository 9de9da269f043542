#!/usr/bin/env bash
# Requests a second and latency of one scikit-learn model (StandardScaler and LogisticRegression over 16 numbers) behind Assay and its
# peers, by wrk (Debian's package), one after the other, with the same rows. Usage: bench/serve.sh [SECONDS each]
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD seconds=${1:-5}
[ -x bin/assay ] || make -s build
venv=.cache/peers-serve mls=.cache/peers-mlserver
if [ ! -x "$venv/bin/uvicorn" ]; then
	python3 -m venv "$venv"
	"$venv/bin/python" -m pip install --quiet --disable-pip-version-check mlflow-skinny==3.17.2 'pandas<3' skops fastapi uvicorn onnxruntime==1.32.0 onnx==1.23.2 skl2onnx==1.20.0 scikit-learn==1.9.1
fi
if [ ! -x "$mls/bin/mlserver" ]; then
	python3 -m venv "$mls"
	"$mls/bin/python" -m pip install --quiet --disable-pip-version-check mlserver==1.7.1 mlserver-sklearn==1.7.1 'uvloop<0.22' scikit-learn==1.9.1
fi
work=$(mktemp -d)
server=
stop() {
	[ -z "$server" ] || { kill -- -"$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
	server=
}
trap 'stop; rm -rf "$work"' EXIT
"$venv/bin/python" bench/serve.py "$work"
cd "$work/project"
for step in 'schema infer -o schema.json' snapshot check split run eval 'eval --final' register 'serve check'; do
	PATH="$root/$venv/bin:$PATH" "$root/bin/assay" $step >>"$work/make.log" 2>&1 || { cat "$work/make.log"; exit 1; }
done
cd "$work"
start() { # start PORT PATH COMMAND...: in a process group of its own, until it answers
	local port=$1 path=$2
	shift 2
	setsid "$@" >"$work/server.log" 2>&1 &
	server=$!
	for _ in $(seq 600); do
		curl -sf "http://127.0.0.1:$port$path" >/dev/null && return
		kill -0 "$server" 2>/dev/null || break
		sleep 0.1
	done
	cat "$work/server.log"
	exit 1
}
load() { # load NAME PORT PATH BODY
	local c out
	curl -sf -o /dev/null -H 'Content-Type: application/json' -d "@$work/$4.json" "http://127.0.0.1:$2$3" || { echo "$1 refuses the request"; exit 1; }
	for c in 1 8; do
		out=$(BODY="$work/$4.json" wrk -t1 -c"$c" -d"${seconds}s" --latency -s "$root/bench/serve.lua" "http://127.0.0.1:$2$3")
		printf '| %s | %s | %s | %s | %s | %s | %s |\n' "$1" "$4" "$c" "$(awk '/Requests\/sec/{print $2}' <<<"$out")" \
			"$(awk '$1=="50%"{print $2}' <<<"$out")" "$(awk '$1=="99%"{print $2}' <<<"$out")" "$(awk '/Non-2xx/{print $NF}' <<<"$out")"
	done
}
echo '| server | request | connections | requests/s | p50 | p99 | errors |'
echo '|---|---|---|---|---|---|---|'
start 18500 /readyz env -C "$work/project" "$root/bin/assay" serve --model bench:1 --listen 127.0.0.1:18500
load 'Assay, /invocations' 18500 /invocations records
load 'Assay, OIP infer' 18500 /v2/models/bench/infer columns
load 'Assay, /invocations' 18500 /invocations records100
load 'Assay, OIP infer' 18500 /v2/models/bench/infer columns100
load 'Assay, OIP infer' 18500 /v2/models/bench/infer matrix100
stop
start 18510 /health "$root/$venv/bin/uvicorn" --log-level warning --port 18510 --app-dir "$root/bench" serve_fastapi:app
load 'FastAPI, ONNX Runtime' 18510 /predict records
load 'FastAPI, ONNX Runtime' 18510 /predict records100
stop
start 18520 /v2/models/bench/ready "$root/$mls/bin/mlserver" start "$work/mlserver"
load 'MLServer' 18520 /v2/models/bench/infer matrix
load 'MLServer' 18520 /v2/models/bench/infer matrix100
stop
start 18530 /health env PATH="$root/$venv/bin:$PATH" "$root/$venv/bin/mlflow" models serve --env-manager local --port 18530 --model-uri "$work/mlflow"
load 'mlflow models serve' 18530 /invocations records
load 'mlflow models serve' 18530 /invocations records100
stop
