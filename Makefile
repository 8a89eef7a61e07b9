# Two commands for a fresh machine: `make run` and `make test`. Each makes .venv where it is not there, as does `make env`.
# `make env REQUIREMENTS=requirements.lock` installs what the lock has, by hash: docs/security.md.
PYTHON ?= python3.11
REQUIREMENTS ?= requirements.txt
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: env run test test-long test-oldest lint docs demo demo-test lock audit sbom clean

env: .venv/ready

run: .venv/ready
	dvc repro
	python -m mocliplite results

test: lint
	pytest -n 2 --dist loadfile

test-long: .venv/ready
	pytest -n 2 --dist loadfile -m long

test-oldest: .venv-oldest/ready
	.venv-oldest/bin/python -m pytest -n 2 --dist loadfile

lint: .venv/ready
	ruff format --check
	ruff check
	mypy
	lint-imports

docs: .venv/ready
	python docs/reference.py

# In an environment of its own: requirements-demo.txt says why.
demo: .venv-demo/ready
	.venv-demo/bin/python -m mocliplite demo

demo-test: .venv-demo/ready
	.venv-demo/bin/python -m pytest tests/cli/test_demo.py

# With this Python or a later one, on any system; hosts and local paths of this machine are left out.
lock: .venv-audit/ready
	.venv-audit/bin/uv pip compile --quiet --no-config --universal --python-version 3.11 --generate-hashes \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links requirements.txt --output-file requirements.lock

# Strict, because an audit that the service cannot answer would pass.
audit: .venv-audit/ready
	.venv-audit/bin/pip-audit --strict --require-hashes --disable-pip --requirement requirements.lock

sbom: .venv/ready .venv-audit/ready
	.venv-audit/bin/cyclonedx-py environment --output-reproducible --output-file sbom.json .venv/bin/python

.venv/ready: $(REQUIREMENTS)
	$(PYTHON) -m venv .venv
	pip install --quiet --disable-pip-version-check -r $(REQUIREMENTS)
	touch $@

.venv-demo/ready: requirements-demo.txt
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/pip install --quiet --disable-pip-version-check ".[train]" -r requirements-demo.txt
	touch $@

.venv-audit/ready: requirements-audit.txt
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/pip install --quiet --disable-pip-version-check -r requirements-audit.txt
	touch $@

.venv-oldest/ready: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/pip install --quiet --disable-pip-version-check -c constraints-oldest.txt \
		".[dask,dvc,onnx,predict,serve,sftp]" "dvc[ssh]" pytest pytest-xdist scikit-learn setuptools
	touch $@

clean:
	rm -rf .venv .venv-demo .venv-audit .venv-oldest
