#!/usr/bin/env bash
# Installs what the full test command needs beyond Go: Chromium from Debian (when root and missing) and a virtual environment in .cache.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v chromium >/dev/null 2>&1 && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	apt-get update -qq && apt-get install -y -qq chromium >/dev/null
fi
command -v chromium >/dev/null 2>&1 || { echo "chromium is missing: install Debian's package chromium"; exit 1; }
scripts/pyenv.sh
