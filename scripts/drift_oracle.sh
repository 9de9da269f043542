#!/usr/bin/env bash
# Makes testdata/oracle/stat/drift.json and detector.json anew, with the pinned packages of python/drift-requirements.txt, and compares them with what
# is there: they must be equal to the byte. With -update they take its place.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=.cache/venv-drift
want=$(sha256sum python/drift-requirements.txt | cut -d' ' -f1)
if [ "$(cat "$venv/requirements.sha256" 2>/dev/null || true)" != "$want" ]; then
	rm -rf "$venv"
	"${PYTHON:-python3}" -m venv "$venv"
	"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r python/drift-requirements.txt
	echo "$want" >"$venv/requirements.sha256"
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$venv/bin/python" python/drift_oracle.py "$work"
for table in drift.json detector.json; do
	[ "${1:-}" != -update ] || cp "$work/$table" testdata/oracle/stat/
	cmp "$work/$table" "testdata/oracle/stat/$table" || { echo "testdata/oracle/stat/$table is not what the script makes: scripts/drift_oracle.sh -update"; exit 1; }
done
(cd testdata/oracle/stat && sha256sum drift.json detector.json)
