#!/usr/bin/env bash
# Writes internal/oip/wire/*.pb.go from inference.proto. Needs protoc (Debian: protobuf-compiler); its plugins are pinned in tools/go.mod.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .cache/bin
for plugin in google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc; do
	go build -modfile=tools/go.mod -o ".cache/bin/${plugin##*/}" "$plugin"
done
PATH=$PWD/.cache/bin:$PATH protoc -I internal/oip/wire --go_out=internal/oip/wire --go_opt=paths=source_relative \
	--go-grpc_out=internal/oip/wire --go-grpc_opt=paths=source_relative inference.proto
