# Two commands matter: `make demo` and `make test`.
GO      ?= go
BIN     := bin/assay
comma   := ,
STAMP   := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

# Nothing loads this program, so that what its static libraries export needs no names in it.
LINK    := $(if $(filter Linux,$(shell uname -s)),-extldflags=-Wl$(comma)--exclude-libs$(comma)ALL)

.PHONY: build demo test quick lint docs bench clean

build: ## build bin/assay
	@mkdir -p bin
	$(GO) build -trimpath -buildvcs=auto -ldflags='-s -w $(LINK)' -o $(BIN) ./cmd/assay

demo: build ## run the whole life of a model on bundled real data
	@$(BIN) demo

quick: ## the inner loop
	$(GO) build ./... && $(GO) test ./...

lint: ## format, vet, staticcheck
	@scripts/lint.sh

test: ## install what the tests need and run all of them
	@scripts/test.sh

docs: build ## write the generated references again
	$(GO) test ./internal/cli ./internal/store ./metric -run 'TestReference|TestGolden|TestDocs|TestSchemas' -update

bench: build ## repeat the measurements of docs/performance.md
	@scripts/bench.sh

clean:
	rm -rf bin .cache .tmp
