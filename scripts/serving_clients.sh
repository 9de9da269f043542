#!/usr/bin/env bash
# Unmodified Python clients of Triton, KServe, MLServer and MLflow against `assay serve`, and `assay serve` in front of real servers of MLflow
# and MLServer. docs/compatibility.md is the list of what ran: it must be as this run makes it, or is written anew with -update.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD assay=$PWD/bin/assay
[ -x "$assay" ] || make -s build
for list in python/clients/*.txt; do
	venv=.cache/clients/$(basename "$list" .txt)
	want=$(sha256sum "$list" | cut -d' ' -f1)
	[ "$(cat "$venv/installed" 2>/dev/null || true)" != "$want" ] || continue
	rm -rf "$venv"
	"${PYTHON:-python3}" -m venv "$venv"
	"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$list"
	echo "$want" >"$venv/installed"
done
work=$(mktemp -d)
servers=()
trap '[ ${#servers[@]} = 0 ] || kill "${servers[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT
cp internal/cli/testdata/people/* "$work/"
cd "$work"
step() { "$assay" "$@" >step.log 2>&1 || { cat step.log; exit 1; }; }
serve() { # serve VERSION LOG: a server, whose addresses are in http and grpc and whose process is in server
	"$assay" serve --model "$1" --listen 127.0.0.1:0 2>"$2" &
	server=$!
	servers+=("$server")
	for _ in $(seq 300); do
		grep -q grpc:// "$2" && break
		kill -0 "$server" 2>/dev/null || { cat "$2"; exit 1; }
		sleep 0.1
	done
	http=$(sed -n 's|.*http://\([^ ]*\).*|\1|p' "$2" | head -1)
	grpc=$(sed -n 's|.*grpc://\([^ ]*\).*|\1|p' "$2" | head -1)
}
step make register
step serve check people:1
# A version that declares a parameter, in a server of its own.
echo "serve: {python: {interpreter: $root/.cache/clients/upstream/bin/python, workers: 1}}" >>assay.yaml
step register "$root/testdata/mlflow/shift"
step eval people:2
step serve check people:2
serve people:2 shift.log
export ASSAY=$assay SHIFT_HTTP=$http SHIFT_GRPC=$grpc
serve people:1 serve.log
run() { "$root/.cache/clients/$1/bin/python" "$root/python/serving_clients.py" "$2" "$http" "$grpc" "$work/$3.json" 2>"$work/client.log" || { cat "$work/client.log" serve.log; exit 1; }; }
run inference triton 1
run inference kserve 2
run mlserver mlserver 3
run mlflow mlflow 4
kill "${servers[@]}"
wait "${servers[@]}" || true
servers=()
cd "$root"
scripts/upstreams.sh "$work/5.json"
python3 python/compatibility.py "$work"/[1-5].json >"$work/compatibility.md"
if [ "${1:-}" = -update ]; then
	cp "$work/compatibility.md" docs/compatibility.md
fi
diff docs/compatibility.md "$work/compatibility.md" || { echo "docs/compatibility.md is not what ran: scripts/serving_clients.sh -update"; exit 1; }
echo "python: unmodified clients of serving passed"
