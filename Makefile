# Two commands matter: `make run` brings a broker up, `make test` proves it.
# Everything else is written out below; `make help` lists it.

SHELL := /bin/bash
SWIFT ?= swift
PYTHON ?= python3
VENV ?= .venv
DEBUG = .build/debug/apus
RELEASE = .build/release/apus
# With the Swift runtime inside, so that the file runs on a machine without Swift, and starts in half the time.
BUILD_RELEASE = $(SWIFT) build -c release --product apus --static-swift-stdlib
CYCLES ?= 10

# What the build and the tests need from Debian, and the file that shows it is there.
BUILD_PACKAGES = libsqlite3-dev libzstd-dev liblz4-dev libsnappy-dev zlib1g-dev pkg-config
TEST_PACKAGES = kcat python3-venv e2fsprogs lz4 chromium chromium-driver iproute2 haproxy

.PHONY: help run build release test bench fuzz fuzz-short lint format deps deps-test conformance \
        drills drills-full corpus clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

run: deps ## build for release and serve in the foreground: durable, ./apus-data, 127.0.0.1:9092
	$(BUILD_RELEASE)
	exec $(RELEASE) serve $(ARGS)

build: deps ## debug build of everything, tests included
	$(SWIFT) build --build-tests

release: deps ## the executable, optimised
	$(BUILD_RELEASE)

test: deps deps-test $(VENV)/ready ## every Swift test, foreign clients included
	$(SWIFT) build --build-tests
	APUS_PYTHON=$(abspath $(VENV))/bin/python $(SWIFT) test --skip-build

bench: release ## numbers, beside the peers when they are installed; prints the table of docs/benchmarks.md
	./Benchmarks/run $(ARGS)

fuzz: deps ## libFuzzer on every decoder, a minute each (SECONDS_EACH=n)
	./Fuzz/run $(or $(SECONDS_EACH),60)

fuzz-short: deps ## the same, three minutes for all together
	./Fuzz/run --total 180

lint: ## the tree as `swift format` wants it, or a list of what differs
	$(SWIFT) format lint --strict --recursive --parallel Sources Tests Fuzz Package.swift

format: ## rewrite the tree as `swift format` wants it
	$(SWIFT) format --in-place --recursive --parallel Sources Tests Fuzz Package.swift

drills: $(VENV)/ready ## kill, power cut, failing disk, full disk, damage at rest, hostile bytes; short
	$(SWIFT) build --product apus
	$(VENV)/bin/python Drills/all.py --apus $(DEBUG) --cycles $(CYCLES)

drills-full: release $(VENV)/ready ## the same against the release build, 200 kills and 200 power cuts
	$(VENV)/bin/python Drills/all.py --apus $(RELEASE) --cycles 200

corpus: release ## 100 MB of real text through kcat and back, every codec: equal checksums
	$(PYTHON) Drills/corpus.py --apus $(RELEASE) --megabytes 100

deps: ## the Debian packages of the build, installed if missing
	@./.ci/packages $(BUILD_PACKAGES)

deps-test: ## the Debian packages of the tests, installed if missing
	@./.ci/packages $(TEST_PACKAGES)

$(VENV)/ready: Conformance/requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade -r Conformance/requirements.txt
	touch $@

clean: ## remove what the build made; never data
	rm -rf .build $(VENV)
