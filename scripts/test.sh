#!/usr/bin/env bash
# The full test command: installs what the tests need, then lints, tests with the race detector, runs the demo twice and compares
# its evidence, and runs the Python conformance checks. Caches live in .cache, which git ignores.
set -euo pipefail
cd "$(dirname "$0")/.."
export ASSAY_TEST_FULL=1 ASSAY_PYTHON="$PWD/.cache/venv/bin/python"
started=$(date +%s)
step() { printf '\n== %s (%ss)\n' "$*" "$(($(date +%s) - started))"; }

step "what the tests need"
scripts/deps.sh
for library in "$PWD"/.cache/venv/lib/python*/site-packages/onnxruntime/capi/libonnxruntime.so*; do
	export ASSAY_TEST_ONNXRUNTIME=$library
done
# The deep-learning libraries are large: they come while lint runs.
scripts/frameworks.sh >.cache/frameworks.log 2>&1 &
frameworks=$!

step "lint"
scripts/lint.sh

step "PyTorch and TensorFlow"
wait "$frameworks" || { cat .cache/frameworks.log; exit 1; }

step "go test -race -shuffle=on"
go test -race -shuffle=on -timeout 40m ./...

step "what is about memory, alone and without the race detector"
ASSAY_TEST_MEMORY=1 go test -run LargerThanMemory ./internal/table
go test -run ManyLargeBodies ./internal/cli

step "windows without drift, many of them, without the race detector"
go test -run 'Joint|Events|Worlds' ./internal/monitor

step "the demo, twice from nothing, with the same evidence"
scripts/demo_twice.sh

step "Python conformance"
scripts/python.sh

step "all passed"
