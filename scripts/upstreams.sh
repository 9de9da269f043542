#!/usr/bin/env bash
# The real servers that `serve.upstream` is for, with the model of testdata/mlflow/sklearn: `mlflow models serve` over /invocations and MLServer
# over the Open Inference Protocol. Assay checks the version through each, serves it, and the rows of expected.json get the answers that MLflow gave.
# Writes OUT, a list as python/serving_clients.py does. Called by scripts/serving_clients.sh, which has installed what is needed.
# Usage: scripts/upstreams.sh OUT
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD assay=$PWD/bin/assay out=$1 model=$PWD/testdata/mlflow/sklearn
upstream=$root/.cache/clients/upstream/bin mlserver=$root/.cache/clients/mlserver/bin
work=$(mktemp -d)
pids=()
trap 'for p in "${pids[@]}"; do kill -- -"$p" 2>/dev/null || true; done; rm -rf "$work"' EXIT
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
fail() {
	echo "$1"
	tail -40 "$work"/*.log
	exit 1
}
ready() { # ready URL PID
	for _ in $(seq 600); do
		curl -sf "$1" >/dev/null && return
		kill -0 "$2" 2>/dev/null || break
		sleep 0.1
	done
	fail "$1 does not answer"
}
# Both servers load while the project is made.
mlflow_port=$(port) oip_port=$(port)
PATH="$upstream:$PATH" setsid "$upstream/mlflow" models serve -m "$model" --env-manager local -h 127.0.0.1 -p "$mlflow_port" >"$work/mlflow.log" 2>&1 &
mlflow_pid=$!
pids+=("$mlflow_pid")
mkdir "$work/mlserver"
cp "$model/model.pkl" "$work/mlserver/model.pkl"
cat >"$work/mlserver/settings.json" <<END
{"host": "127.0.0.1", "http_port": $oip_port, "grpc_port": $(port), "metrics_port": $(port), "parallel_workers": 0}
END
cat >"$work/mlserver/model-settings.json" <<'END'
{"name": "people", "implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": "./model.pkl"}}
END
(cd "$work/mlserver" && exec setsid "$mlserver/mlserver" start .) >"$work/mlserver.log" 2>&1 &
oip_pid=$!
pids+=("$oip_pid")
mkdir "$work/people"
cp internal/cli/testdata/people/* "$work/people/"
cd "$work/people"
step() { "$assay" "$@" >>"$work/assay.log" 2>&1 || fail "assay $*"; }
echo "serve: {python: {interpreter: $upstream/python, workers: 1}}" >>assay.yaml
step make register
step register "$model"
step eval people:2
ready "http://127.0.0.1:$mlflow_port/ping" "$mlflow_pid"
ready "http://127.0.0.1:$oip_port/v2/models/people/ready" "$oip_pid"
check() { # check NAME VERSION SERVER-PID UPSTREAM: the version is checked and served through an upstream, which then ends
	local pid url
	sed -i '/^serve:/d' assay.yaml
	echo "serve: {python: {interpreter: $upstream/python, workers: 1}, upstream: {$4}}" >>assay.yaml
	step serve check people:2
	setsid "$assay" serve --model people:2 --listen 127.0.0.1:0 --grpc-listen none >"$work/serve.log" 2>&1 &
	pid=$!
	pids+=("$pid")
	for _ in $(seq 100); do
		grep -q http:// "$work/serve.log" && break
		sleep 0.1
	done
	url=$(sed -n 's|.*\(http://[^ ]*\).*|\1|p' "$work/serve.log" | head -1)
	python3 "$root/python/upstreams.py" "$1" "$2" "$url" "$model/expected.json" "$3" "$work/$1.json" || fail "$1 as upstream"
	kill "$pid"
	wait "$pid" || true
}
check mlflow "$("$upstream/python" -c 'import mlflow; print(mlflow.__version__)')" "$mlflow_pid" "url: \"http://127.0.0.1:$mlflow_port/invocations\", protocol: invocations"
check mlserver "$("$mlserver/python" -c 'import mlserver; print(mlserver.__version__)')" "$oip_pid" "url: \"http://127.0.0.1:$oip_port\", probabilities_output: predict_proba"
python3 -c 'import json, sys; json.dump([r for f in sys.argv[2:] for r in json.load(open(f))], open(sys.argv[1], "w"))' "$out" "$work/mlflow.json" "$work/mlserver.json"
echo "python: real servers behind serve.upstream passed"
