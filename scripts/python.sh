#!/usr/bin/env bash
# The whole life for models trained in Python, as a user would type it: a scikit-learn script under `assay run`, once leaving ONNX and
# once leaving predictions, and one that leaves the native files of XGBoost and LightGBM. Then the equality of Assay's ONNX files under
# the real ONNX Runtime is tested by `go test ./learn`.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
make -s build
scripts/pyenv.sh
export PATH="$root/.cache/venv/bin:$PATH"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r examples/sklearn examples/employment "$work/"
cd "$work/sklearn"
git init -q . && git add -A && git -c user.name=test -c user.email=test@example.org commit -qm example
assay=$root/bin/assay
expect() { # expect STATUS COMMAND...
	local want=$1 got=0
	shift
	"$@" >"$work/out" 2>&1 || got=$?
	if [ "$got" != "$want" ]; then
		echo "$*: exit status $got, expected $want"
		cat "$work/out"
		exit 1
	fi
	echo "ok $* ($got)"
}
expect 0 "$assay" schema infer -o schema.json
expect 0 "$assay" snapshot
expect 0 "$assay" check
expect 0 "$assay" split
expect 0 "$assay" run
grep -q 'exit status 0' "$work/out"
expect 0 "$assay" reproduce
expect 0 "$assay" eval
expect 0 "$assay" eval --final
expect 0 "$assay" register
expect 0 "$assay" compare
expect 0 "$assay" card
expect 0 "$assay" promote --to staging
expect 3 "$assay" done
expect 0 "$assay" run -- python3 train.py --predictions
expect 0 "$assay" eval
expect 0 "$assay" eval --final --reason 'the same forest, handed over as predictions'
expect 0 "$assay" register
# The files that XGBoost and LightGBM write: read as they are, and Assay's figures are those that the libraries gave.
for library in xgboost lightgbm; do
	expect 0 "$assay" run -- python3 boost.py "$library"
	cp "$work/out" "$work/run"
	expect 0 "$assay" eval --json
	python3 - "$work/run" "$work/out" <<-'END'
		import json, sys
		said = dict(line.split() for line in open(sys.argv[1]) if line.startswith(("  roc_auc_score", "  log_loss")))
		got = {m["name"]: m["estimate"]["value"] for m in json.load(open(sys.argv[2]))["evaluation"]["metrics"]}
		assert len(said) == 2, said
		for name, value in said.items():
		    assert abs(got[name] - float(value)) < 1e-5, (name, got[name], value)
	END
	expect 0 "$assay" register
done
expect 0 "$assay" fsck
echo "python: the life of a scikit-learn model, as ONNX and as predictions, and native files of XGBoost and LightGBM passed"

# A model that only Python can load, in an environment that is made of its own requirements, by the network: checked, watched, served.
mkdir "$work/people"
cp "$root"/internal/cli/testdata/people/* "$work/people/"
cd "$work/people"
expect 0 "$assay" make register
expect 0 "$assay" register "$root/testdata/mlflow/rule"
expect 0 "$assay" serve check people:2
grep -q "Installing the model's Python requirements" "$work/out"
expect 0 "$assay" eval people:2
! grep -q Installing "$work/out" || { echo "the environment was made again"; exit 1; }
expect 0 "$assay" monitor plan people:2
expect 0 "$assay" predict --model people:2 people.csv
ls .assay/cache/python/*/assay-ready >/dev/null
echo "python: an environment of a model's own requirements passed"

"$root/scripts/serving_clients.sh"
