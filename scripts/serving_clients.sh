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
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
cp internal/cli/testdata/people/* "$work/"
cd "$work"
"$assay" make register >make.log 2>&1 || { cat make.log; exit 1; }
"$assay" serve check >check.log 2>&1 || { cat check.log; exit 1; }
"$assay" serve --model people:1 --listen 127.0.0.1:0 2>serve.log &
server=$!
for _ in $(seq 100); do
	grep -q grpc:// serve.log && break
	kill -0 "$server" 2>/dev/null || { cat serve.log; exit 1; }
	sleep 0.1
done
http=$(sed -n 's|.*http://\([^ ]*\).*|\1|p' serve.log | head -1)
grpc=$(sed -n 's|.*grpc://\([^ ]*\).*|\1|p' serve.log | head -1)
run() { "$root/.cache/clients/$1/bin/python" "$root/python/serving_clients.py" "$2" "$http" "$grpc" "$work/$3.json" 2>"$work/client.log" || { cat "$work/client.log" serve.log; exit 1; }; }
run inference triton 1
run inference kserve 2
run mlserver mlserver 3
run mlflow mlflow 4
kill "$server"
wait "$server" || true
server=
cd "$root"
scripts/upstreams.sh "$work/5.json"
python3 python/compatibility.py "$work"/[1-5].json >"$work/compatibility.md"
if [ "${1:-}" = -update ]; then
	cp "$work/compatibility.md" docs/compatibility.md
fi
diff docs/compatibility.md "$work/compatibility.md" || { echo "docs/compatibility.md is not what ran: scripts/serving_clients.sh -update"; exit 1; }
echo "python: unmodified clients of serving passed"
