#!/usr/bin/env bash
# Format, vet and staticcheck, with the versions pinned in tools/go.mod.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=$(go tool -modfile=tools/go.mod gofumpt -l $(git ls-files '*.go' ':!*.pb.go'))
if [ -n "$bad" ]; then
	echo "gofumpt would change:" && echo "$bad" && exit 1
fi
go vet ./...
go tool -modfile=tools/go.mod staticcheck ./...
long=$(git ls-files '*.go' ':!*.pb.go' | grep -v '_test.go$\|\.pb\.go$' | xargs wc -l | awk '$2 != "total" && $1 > 700 {print $2 ": " $1 " lines"}')
if [ -n "$long" ]; then
	echo "one noun a file, under 700 lines:" && echo "$long" && exit 1
fi
echo "lint: clean"
