#!/usr/bin/env bash
# Installs what the full test command needs beyond Go: from Debian (when root and missing) Chromium, Prometheus, Alertmanager and an SMTP
# server in Python, none of which is started; and a virtual environment in .cache.
set -euo pipefail
cd "$(dirname "$0")/.."
missing() {
	command -v chromium >/dev/null 2>&1 || echo chromium
	command -v prometheus >/dev/null 2>&1 && command -v promtool >/dev/null 2>&1 || echo prometheus
	command -v prometheus-alertmanager >/dev/null 2>&1 || echo prometheus-alertmanager
	/usr/bin/python3 -c 'import aiosmtpd' >/dev/null 2>&1 || echo python3-aiosmtpd
	command -v openssl >/dev/null 2>&1 || echo openssl
}
if [ -n "$(missing)" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	# packages must not start their services: they would take ports and run beside the tests
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod +x "$policy"
		trap 'rm -f "$policy"' EXIT
	fi
	# shellcheck disable=SC2046
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(missing) >/dev/null
fi
for package in $(missing); do
	echo "$package is missing: install Debian's package of that name"
	exit 1
done
scripts/pyenv.sh
