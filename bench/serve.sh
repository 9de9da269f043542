#!/usr/bin/env bash
# Requests a second and latency of one scikit-learn model (StandardScaler and LogisticRegression over 16 numbers) behind Assay and its
# peers, and a bare net/http server as the floor, by wrk (Debian's package), one after the other, with the same rows; how long each takes to
# be ready and what it holds in memory; and 20,000 rows a second for a while without a loss. It ends with the ratios against the goals.
# Usage: bench/serve.sh [SECONDS of each load, 8] [SECONDS of the sustained load, 30; 600 is the goal's]
#        bench/serve.sh python [SECONDS of each load, 8]: Python workers beside mlflow models serve alone, the same python_function of MLflow
set -euo pipefail
cd "$(dirname "$0")/.."
mode=all
if [ "${1:-}" = python ]; then
	mode=python
	shift
fi
root=$PWD seconds=${1:-8} sustained=${2:-30}
command -v wrk >/dev/null || { echo "wrk is missing: install Debian's package of that name"; exit 1; }
make -s build
venv=.cache/peers-serve mls=.cache/peers-mlserver
if [ ! -x "$venv/bin/uvicorn" ]; then
	python3 -m venv "$venv"
	"$venv/bin/python" -m pip install --quiet --disable-pip-version-check mlflow-skinny==3.17.2 'pandas<3' skops fastapi uvicorn onnxruntime==1.32.0 onnx==1.23.2 skl2onnx==1.20.0 scikit-learn==1.9.1
fi
if [ "$mode" = all ] && [ ! -x "$mls/bin/mlserver" ]; then
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
resident() { # MB of the server's process group
	local kb=0 pid
	for pid in $(pgrep -g "$server"); do
		kb=$((kb + $(awk '/^VmRSS/{print $2}' "/proc/$pid/status" 2>/dev/null || echo 0)))
	done
	echo $((kb / 1024))
}
# start NAME PORT PATH COMMAND...: in a process group of its own, until it answers. Not in a session of its own: the kernel shares the processors
# between sessions first, and would hold a server of two threads against a load generator of one, to twice the p99 of any of them.
start() {
	local name=$1 port=$2 path=$3 began
	shift 3
	began=$(date +%s%N)
	set -m
	"$@" >"$work/server.log" 2>&1 &
	server=$!
	set +m
	for _ in $(seq 6000); do
		if curl -sf "http://127.0.0.1:$port$path" >/dev/null; then
			printf '%s\t%s\t%s\n' "$name" $((($(date +%s%N) - began) / 1000000)) "$(resident)" >>"$work/starts"
			return
		fi
		kill -0 "$server" 2>/dev/null || break
		sleep 0.01
	done
	cat "$work/server.log"
	exit 1
}
load() { # load NAME PORT PATH BODY
	local c out
	curl -sf -o /dev/null -H 'Content-Type: application/json' -d "@$work/$4.json" "http://127.0.0.1:$2$3" || { echo "$1 refuses the request"; exit 1; }
	BODY="$work/$4.json" wrk -t1 -c8 -d1s -s "$root/bench/serve.lua" "http://127.0.0.1:$2$3" >/dev/null
	for c in 1 8; do
		out=$(BODY="$work/$4.json" wrk -t1 -c"$c" -d"${seconds}s" --latency -s "$root/bench/serve.lua" "http://127.0.0.1:$2$3")
		printf '| %s | %s | %s | %s | %s | %s | %s |\n' "$1" "$4" "$c" "$(awk '/Requests\/sec/{print $2}' <<<"$out")" \
			"$(awk '$1=="50%"{print $2}' <<<"$out")" "$(awk '$1=="99%"{print $2}' <<<"$out")" "$(awk '/Non-2xx/{print $NF}' <<<"$out")" | tee -a "$work/loads"
	done
}
rate() { awk -F' *[|] *' -v s="$1" -v r="$2" '$2==s && $3==r && $4==8 {print $5}' "$work/loads"; }
ratio() { # ratio TEXT GOAL OURS BODY THEIRS BODY
	awk -v a="$(rate "$3" "$4")" -v b="$(rate "$5" "$6")" -v t="$1" -v g="$2" 'BEGIN {printf "| %s | %.1f | ≥ %s |%s\n", t, a/b, g, (a/b >= g ? "" : " missed")}'
}
mlflow() { # mlflow NAME WORKERS
	start "$1" 18530 /health env PATH="$root/$venv/bin:$PATH" "$root/$venv/bin/mlflow" models serve --env-manager local --workers "$2" --port 18530 --model-uri "$work/mlflow"
	load "$1" 18530 /invocations records
	load "$1" 18530 /invocations records100
	stop
}
echo "load of the machine: $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) cores"
echo '| server | request | connections | requests/s | p50 | p99 | errors |'
echo '|---|---|---|---|---|---|---|'
if [ "$mode" = python ]; then
	# MLflow serves with one worker unless told otherwise; two stand beside Assay's two.
	(
		cd "$work/project"
		printf 'serve: {python: {interpreter: %s, workers: 2}}\n' "$root/$venv/bin/python" >>assay.yaml
		for step in "register $work/mlflow" 'serve check bench:2'; do
			"$root/bin/assay" $step >>"$work/make.log" 2>&1 || { cat "$work/make.log"; exit 1; }
		done
	)
	start 'Assay, two Python workers' 18540 /readyz env -C "$work/project" "$root/bin/assay" serve --model bench:2 --listen 127.0.0.1:18540
	load 'Assay, two Python workers' 18540 /invocations records
	load 'Assay, two Python workers' 18540 /invocations records100
	stop
	mlflow 'mlflow models serve' 1
	mlflow 'mlflow models serve, two workers' 2
	echo
	echo '| server | ready after, ms | resident then, MB |'
	echo '|---|---|---|'
	awk -F'\t' '{printf "| %s | %s | %s |\n", $1, $2, $3}' "$work/starts"
	echo
	echo '| at 8 connections | ratio | goal |'
	echo '|---|---|---|'
	for body in records records100; do
		ratio "python_function, $body, mlflow" 1.5 'Assay, two Python workers' "$body" 'mlflow models serve' "$body"
		ratio "python_function, $body, mlflow with two workers" 1.5 'Assay, two Python workers' "$body" 'mlflow models serve, two workers' "$body"
	done
	exit 0
fi
start Assay 18500 /readyz env -C "$work/project" "$root/bin/assay" serve --model bench:1 --listen 127.0.0.1:18500
load 'Assay, /invocations' 18500 /invocations records
load 'Assay, OIP infer' 18500 /v2/models/bench/infer columns
load 'Assay, /invocations' 18500 /invocations records100
load 'Assay, OIP infer' 18500 /v2/models/bench/infer columns100
load 'Assay, OIP infer' 18500 /v2/models/bench/infer matrix100
loaded=$(resident)
stop
# The floor: Go's HTTP server that only reads and answers.
go build -o "$work/bare" "$root/bench/bare.go"
for body in records records100; do
	bytes=64
	[ "$body" = records ] || bytes=2000
	start 'bare net/http' 18505 / "$work/bare" 127.0.0.1:18505 "$bytes"
	load 'bare net/http' 18505 / "$body"
	stop
done
start 'FastAPI, ONNX Runtime' 18510 /health "$root/$venv/bin/uvicorn" --log-level warning --port 18510 --app-dir "$root/bench" serve_fastapi:app
load 'FastAPI, ONNX Runtime' 18510 /predict records
load 'FastAPI, ONNX Runtime' 18510 /predict records100
stop
start MLServer 18520 /v2/models/bench/ready "$root/$mls/bin/mlserver" start "$work/mlserver"
load 'MLServer' 18520 /v2/models/bench/infer matrix
load 'MLServer' 18520 /v2/models/bench/infer matrix100
stop
mlflow 'mlflow models serve' 1

echo
echo '| server | ready after, ms | resident then, MB |'
echo '|---|---|---|'
awk -F'\t' '{printf "| %s | %s | %s |\n", $1, $2, $3}' "$work/starts"
echo "Assay after all loads: $loaded MB"

echo
echo '| at 8 connections | ratio | goal |'
echo '|---|---|---|'
ratio '1 row, /invocations, mlflow' 100 'Assay, /invocations' records 'mlflow models serve' records
ratio '1 row, OIP infer, MLServer' 20 'Assay, OIP infer' columns MLServer matrix
ratio '1 row, /invocations, FastAPI' 5 'Assay, /invocations' records 'FastAPI, ONNX Runtime' records
ratio '100 rows, /invocations, mlflow' 40 'Assay, /invocations' records100 'mlflow models serve' records100
ratio '100 rows, OIP infer, MLServer' 8 'Assay, OIP infer' matrix100 MLServer matrix100
ratio '100 rows, /invocations, FastAPI' 4 'Assay, /invocations' records100 'FastAPI, ONNX Runtime' records100

echo
cd "$root"
bench/log.sh "$sustained" 20000 "$work/project" bench:1 "$work/records100.json" || true
