#!/usr/bin/env bash
# Repeats the measurements of docs/performance.md. Each script of bench/ runs Assay and its peer in the same run and prints both; the
# peers are installed into .cache/peers. Run it on a quiet machine: `scripts/bench.sh` for all, `scripts/bench.sh boosting` for one.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=.cache/peers
if [ ! -x "$venv/bin/python" ]; then
	python3 -m venv "$venv"
	"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r bench/requirements.txt
fi
make -s build
if [ $# -gt 0 ]; then
	for name in "$@"; do "$venv/bin/python" "bench/$name.py"; done
	exit 0
fi
go test -run '^$' -bench . -benchtime 3x ./stat ./metric ./learn ./internal/store ./internal/table ./internal/schema ./internal/eval
for script in bench/*.py; do "$venv/bin/python" "$script"; done
