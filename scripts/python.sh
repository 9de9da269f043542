#!/usr/bin/env bash
# The whole life for models trained in Python, as a user would type it: a scikit-learn script under `assay run`, once leaving ONNX and
# once leaving predictions. Then the equality of Assay's ONNX files under the real ONNX Runtime is tested by `go test ./learn`.
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
expect 0 "$assay" fsck
echo "python: the life of a scikit-learn model, as ONNX and as predictions, passed"

"$root/scripts/serving_clients.sh"
