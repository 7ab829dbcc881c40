# What one does with this repository. `make` alone lists it.

.DEFAULT_GOAL := help
.PHONY: help run test check fmt bench setup

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Build Munadi, load a demo programme and serve it (data in ./data)
	@scripts/run.sh

test: ## Everything: format, lints, docs, tests on both back ends, end to end. Ends with "N passed, N failed"
	@scripts/test.sh

check: ## The quick half of it: format, lints, documentation
	@scripts/test.sh --check

fmt: ## Format the code
	@cargo fmt --all

bench: ## Measure fan-out and latency against a Munadi of this build
	@scripts/bench.sh

setup: ## Install what the tests need from the distribution, or say what is missing
	@scripts/setup.sh
