#!/usr/bin/env bash
# Installs the deep-learning libraries that the tests of seeded runs need: PyTorch from Debian for Debian's own Python (when root and
# missing), TensorFlow in .cache/venv-tensorflow. Does nothing when both are there. Downloads stay in .cache/pip.
set -euo pipefail
cd "$(dirname "$0")/.."
has_torch() { /usr/bin/python3 -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)' 2>/dev/null; }
if ! has_torch && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=600 python3-torch python3-numpy >/dev/null
fi
has_torch || { echo "PyTorch is missing: install Debian's package python3-torch"; exit 1; }
venv=.cache/venv-tensorflow
want=$(sha256sum python/tensorflow-requirements.txt | cut -d' ' -f1)
[ "$(cat "$venv/requirements.sha256" 2>/dev/null || true)" != "$want" ] || exit 0
python=${PYTHON:-python3}
rm -rf "$venv"
"$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --cache-dir "$PWD/.cache/pip" -r python/tensorflow-requirements.txt
"$venv/bin/python" -m pip check
echo "$want" >"$venv/requirements.sha256"
