#!/usr/bin/env bash
# Runs the demo twice in two empty folders and compares the evidence ids: the same facts must have the same ids. From the plan of the
# monitor on they differ by design: the addresses of the receivers are told apart with a secret of the store, and no two test-fires are one
# fact.
set -euo pipefail
cd "$(dirname "$0")/.."
make -s build
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for i in 1 2; do
	bin/assay demo --dir "$work/$i" >"$work/out$i" 2>"$work/err$i" || { cat "$work/out$i" "$work/err$i"; exit 1; }
	(cd "$work/$i" && plan=$("$OLDPWD/bin/assay" evidence list --kind monitor --ids | tail -1) && [ -n "$plan" ] &&
		"$OLDPWD/bin/assay" evidence list --ids | tac | sed "/$plan/,\$d" | sort) >"$work/ids$i"
	(cd "$work/$i" && "$OLDPWD/bin/assay" fsck)
done
cat "$work/out1"
diff "$work/ids1" "$work/ids2" || { echo "the two demos differ in their evidence"; exit 1; }
echo "two demos, $(wc -l <"$work/ids1") evidence ids, all equal"
