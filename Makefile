# What one does with this repository. `make` alone lists it.

.DEFAULT_GOAL := help
.PHONY: help run test check fmt bench bench-full setup

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Build Munadi, load a demo programme and serve it (data in ./data)
	@scripts/run.sh

test: ## Everything: format, lints, docs, tests on both back ends, end to end. Ends with "N passed, N failed"
	@scripts/test.sh

check: ## The quick half of it: format, lints, documentation
	@scripts/test.sh --check

fmt: ## Format the code
	@cargo fmt --all

bench: ## Measure what Munadi promises beside the floor, and write docs/performance.md (20 minutes)
	@scripts/bench.sh

bench-full: ## The same with a million connections and the whole storm
	@scripts/bench.sh --full

setup: ## Install what the tests need from the distribution, or say what is missing
	@scripts/setup.sh
