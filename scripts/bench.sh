#!/usr/bin/env bash
# Repeats the measurements of docs/performance.md. Each script of bench/ runs Assay and its peer in the same run and prints both; the
# peers are installed into .cache. Run it on a quiet machine: `scripts/bench.sh` for all but serve and log, `scripts/bench.sh boosting` for one.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=.cache/peers data=.cache/peers-data drift=.cache/peers-drift
install() { # install VENV REQUIREMENTS: once, and again when the list has changed
	cmp -s "$2" "$1/installed" && return
	python3 -m venv "$1"
	"$1/bin/python" -m pip install --quiet --disable-pip-version-check -r "$2"
	cp "$2" "$1/installed"
}
make -s build
mkdir -p .cache/bench
peer() { # peer NAME: one script, Assay beside its peer
	case $1 in
	boosting | predict | eval) install "$venv" bench/requirements.txt ;;
	profile | check) install "$data" bench/requirements-data.txt ;;
	drift) install "$drift" bench/requirements-drift.txt ;;
	esac
	case $1 in
	boosting) "$venv/bin/python" bench/boosting.py ;;
	predict) "$venv/bin/python" bench/predict.py ;;
	eval) "$venv/bin/python" bench/eval.py 277677 5 ;;
	profile) "$data/bin/python" bench/profiles.py bin/assay .cache/bench ma csv parquet wide ;;
	check) "$data/bin/python" bench/check.py bin/assay .cache/bench ma m1 ;;
	drift) "$drift/bin/python" bench/drift.py bin/assay .cache/bench/drift ;;
	serve) bench/serve.sh 8 30 && go test -run '^$' -bench 'Invocations|Row|Outliers|InferRow' ./internal/serve ./internal/mlflow ./internal/oip ;;
	log) bench/log.sh "${LOG_SECONDS:-600}" ;;
	python) bench/serve.sh python 8 ;;
	*) echo "no measurement $1: boosting, check, drift, eval, log, predict, profile, python, serve" && exit 2 ;;
	esac
}
if [ $# -gt 0 ]; then
	for name in "$@"; do peer "$name"; done
	exit 0
fi
go test -run '^$' -bench . -benchtime 3x ./stat ./metric ./learn ./internal/store ./internal/table ./internal/schema ./internal/eval
for name in boosting check drift eval predict profile; do peer "$name"; done
