# A bare `make` lists the targets, from the comments behind them.
.DEFAULT_GOAL := help
.PHONY: help run build test test-long check check-vulnerable check-aws check-template deploy dist keep fuzz bench smoke lines fmt

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
# A count, not a time: until Go 1.27 the fuzzer may report the end of its time as a failure (go.dev/issue/75804).
FUZZTIME ?= 10000x
# What `mailtrail version` says it was built from. It is empty outside of a checkout.
HEAD := $(shell git rev-parse --short=12 HEAD 2>/dev/null)
LDFLAGS := -X main.commit=$(HEAD)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## start Mailtrail on this machine (ADDR=127.0.0.1:8080 DATA=data RECORDS=file)
	@$(MAKE) --no-print-directory build
	@ADDR='$(ADDR)' DATA='$(DATA)' RECORDS='$(RECORDS)' exec bin/mailtrail serve

build: ## build bin/mailtrail, which run starts; without C, so that Go is all it takes
	@mkdir -p bin && CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/mailtrail ./local

test: ## run every test, with the race detector and in random order
	go test -short -race -shuffle=on -timeout 30m ./...

test-long: ## the same tests, the largest of them with more data
	go test -race -shuffle=on -timeout 60m ./...

check: ## what CI checks beyond the tests: format, lines, vet, staticcheck, tidy
	@test -z "$$(gofmt -l .)" || { gofmt -l . ; echo 'run: make fmt'; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...
	go mod tidy -diff
	@.ci/lines

lines: ## look for lines of Go and Markdown above 120 columns
	@.ci/lines

check-vulnerable: ## look for known vulnerabilities in what is called (uses the database of vuln.go.dev)
	go run $(GOVULNCHECK) ./...

check-aws: ## run the AWS adapters against engines that speak AWS's protocols (fetched once; needs cargo, java, mvn)
	go vet -tags engines ./shared/dynamo ./shared/sqs
	@.ci/engines sh -c 'go test -count=1 -race -shuffle=on ./shared/dynamo ./shared/sqs && go run ./proof/story'

check-template: ## check the AWS template and build every function, without an AWS account
	@.ci/template

deploy: ## build and deploy to AWS; the first time it asks for the stack's parameters
	@sam=$$(command -v sam) || sam=$$(.ci/tools)/sam || exit 1; set -x; functions/flags "$$sam" build && \
		"$$sam" deploy $$(grep -q '^stack_name' samconfig.toml || echo --guided)

dist: ## build the binaries of a release with checksums and a bill of materials into dist/
	@.ci/dist

keep: ## keep the store of a release for the tests (RELEASE=0.1.0 COMMIT=5d45e87)
	@go run ./proof/keep '$(RELEASE)' '$(COMMIT)'

fuzz: ## fuzz every parser with FUZZTIME inputs each (10000x)
	@.ci/fuzz $(FUZZTIME)

smoke: ## start `make run`, run the curl line that it prints, stop it, start it again
	@.ci/smoke

bench: ## measure speed and memory; one JSON object a line
	@go run ./proof/bench

fmt: ## format the code
	gofmt -w .
