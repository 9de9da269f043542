#!/usr/bin/env bash
# Runs the demo twice in two empty folders and compares the evidence ids: the same facts must have the same ids. Left out is what is derived
# from a plan of the monitor, which differs by design: the addresses of the receivers are told apart with a secret of the store, and no two
# test-fires are one fact.
set -euo pipefail
cd "$(dirname "$0")/.."
make -s build
size=$(stat -c %s bin/assay)
[ "$size" -lt 100000000 ] || { echo "bin/assay has $size bytes; it must stay below 100,000,000"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for i in 1 2; do
	bin/assay demo --dir "$work/$i" >"$work/out$i" 2>"$work/err$i" || { cat "$work/out$i" "$work/err$i"; exit 1; }
	(cd "$work/$i" && "$OLDPWD/bin/assay" fsck && "$OLDPWD/bin/assay" --json evidence list --limit 10000 >"$work/list$i")
done
cat "$work/out1"
python3 - "$work/list1" "$work/list2" <<'END'
import json, sys

def facts(path):
    derived, out = set(), {}
    for x in reversed(json.load(open(path))["evidence"]):  # the oldest first
        if x["kind"] == "monitor" or derived & set(x["parents"]):
            derived.add(x["id"])
        else:
            out[x["id"]] = x["kind"]
    return out, len(derived)

(one, left), (two, _) = (facts(path) for path in sys.argv[1:])
if one != two or "rollout" not in one.values():
    sys.exit(f"the two demos differ in their evidence: {sorted(set(one.items()) ^ set(two.items()))}")
print(f"two demos, {len(one)} evidence ids, all equal; {left} more are derived from a plan")
END
