# Two commands for a fresh machine: `make run` and `make test`. Each makes .venv where it is not there, as does `make env`.
PYTHON ?= python3.11
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: env run test test-long test-oldest lint docs demo demo-test clean

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

.venv/ready: requirements.txt
	$(PYTHON) -m venv .venv
	pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv-demo/ready: requirements-demo.txt
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/pip install --quiet --disable-pip-version-check ".[train]" -r requirements-demo.txt
	touch $@

.venv-oldest/ready: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/pip install --quiet --disable-pip-version-check -c constraints-oldest.txt \
		".[dask,dvc,onnx,predict,serve,sftp]" "dvc[ssh]" pytest pytest-xdist scikit-learn setuptools
	touch $@

clean:
	rm -rf .venv .venv-demo .venv-oldest
