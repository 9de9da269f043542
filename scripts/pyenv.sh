#!/usr/bin/env bash
# Makes .cache/venv with the pinned packages of python/requirements.txt. Does nothing when it is up to date.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=.cache/venv
want=$(sha256sum python/requirements.txt | cut -d' ' -f1)
[ "$(cat "$venv/requirements.sha256" 2>/dev/null || true)" != "$want" ] || exit 0
python=${PYTHON:-python3}
command -v "$python" >/dev/null 2>&1 || { echo "python3 is missing: install Python 3.11 or later"; exit 1; }
rm -rf "$venv"
"$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r python/requirements.txt
"$venv/bin/python" -m pip check
echo "$want" >"$venv/requirements.sha256"
