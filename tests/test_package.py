"""Facts that several files of the project state: version, requirements, notices."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from builders import CHECKOUT, run_python
from threadpoolctl import threadpool_info

import mocliplite

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]


def test_all_files_state_the_same_version():
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "mocliplite.__version__"}
    assert yaml.safe_load((CHECKOUT / "CITATION.cff").read_text())["version"] == mocliplite.__version__
    assert f"\n## {mocliplite.__version__}" in (CHECKOUT / "CHANGELOG.md").read_text()
    assert run_python("-m", "mocliplite", "--version").stdout == f"{mocliplite.__version__}\n"


def test_the_package_requires_no_newer_versions_than_the_pinned_ones():
    files = ("requirements.txt", "requirements-dask.txt")
    lines = [line for file in files for line in (CHECKOUT / file).read_text().splitlines()]
    pinned = dict(line.split("#")[0].split(";")[0].strip().split("==") for line in lines if "==" in line)
    extras = (EXTRAS[name] for name in ("predict", "train", "onnx", "dask"))
    declared = [*PROJECT["project"]["dependencies"], *(dependency for extra in extras for dependency in extra)]
    minimum = dict(oldest(dependency).split("==") for dependency in declared if ">=" in dependency)
    assert len(minimum) > 5
    newer = [name for name in minimum if version_of(minimum[name]) > version_of(pinned[name])]
    assert newer == []


def test_the_constraints_are_the_oldest_versions_that_the_package_allows():
    lines = (CHECKOUT / "constraints-oldest.txt").read_text(encoding="utf-8").splitlines()
    groups = (PROJECT["project"]["dependencies"], *EXTRAS.values())
    declared = {oldest(dependency) for group in groups for dependency in group if ">=" in dependency}
    assert lines[1:] == sorted(declared, key=str.lower)


def test_the_versions_of_python_that_are_declared_are_those_of_the_table():
    page = (CHECKOUT / "docs/reproducibility.md").read_text(encoding="utf-8")
    tested = {line.split("|")[1].strip() for line in page.splitlines() if re.match(r"\| 3\.\d+ \|", line)}
    names = [f"Programming Language :: Python :: {version}" for version in sorted(tested, key=version_of)]
    assert names == PROJECT["project"]["classifiers"]
    assert PROJECT["project"]["requires-python"] == f">={min(tested, key=version_of)}"


def test_torch_and_numpy_run_the_code_that_every_processor_with_avx2_has():
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file() or " avx2 " not in cpuinfo.read_text():
        pytest.skip("this is not Linux on a processor with AVX2")
    found = run_without_settings(
        "import mocliplite, json, numpy, torch, scipy.linalg; from threadpoolctl import threadpool_info;"
        "from numpy._core._multiarray_umath import __cpu_features__ as numpys;"
        "blas = {(p['architecture'], p['num_threads']) for p in threadpool_info() if p['user_api'] == 'blas'};"
        "avx512 = [numpys['AVX512_ICL'], numpys.get('X86_V4', False)];"  # the second from NumPy 2.4 on
        "print(json.dumps([torch.backends.cpu.get_cpu_capability(), sorted(blas), avx512]))"
    )
    assert found == ["AVX2", [["Haswell", 1]], [False, False]]


def test_the_tests_run_this_code_too():
    if not mocliplite._has_avx2():
        pytest.skip("this is not Linux on a processor with AVX2")
    found = {library["architecture"] for library in threadpool_info() if library["user_api"] == "blas"}
    assert found == {os.environ["OPENBLAS_CORETYPE"]}


def test_a_setting_in_the_environment_is_kept():
    code = "import mocliplite, json, os; print(json.dumps(os.environ['MKL_CBWR']))"
    assert run_without_settings(code, MKL_CBWR="AUTO") == "AUTO"


MODULES = ("mocliplite", "mocliplite.predict", "stages", "stages.train_motion", "sample.clip", "benchmarks.head")


@pytest.mark.parametrize("module", MODULES)
def test_the_settings_are_made_before_any_numerical_library_is_imported(module):
    code = (
        "import builtins, json, os; real = builtins.__import__\n"
        "def stop():\n"
        "    print(json.dumps('MKL_CBWR' in os.environ), flush=True); os._exit(0)\n"
        "def watch(name, *rest, **names):\n"
        "    return stop() if name.partition('.')[0] in ('torch', 'numpy', 'scipy') else real(name, *rest, **names)\n"
        f"builtins.__import__ = watch; __import__({module!r}); stop()"
    )
    if not mocliplite._has_avx2():
        pytest.skip("this is not Linux on a processor with AVX2")
    assert run_without_settings(code) is True


def run_without_settings(code, **settings):
    """Run Python code without the environment of this process that decides the instruction set; return its JSON."""
    clean = {key: value for key, value in os.environ.items() if key not in mocliplite.SAME_CODE}
    clean |= settings | {"PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def oldest(dependency):
    """Return `name==version` for `name>=version,<other`."""
    return dependency.partition(",")[0].replace(">=", "==")


def version_of(text):
    return [int(part) for part in text.split(".")]


def test_notice_lists_every_dependency():
    titles = {"av": "PyAV", "torch": "PyTorch", "numpy": "NumPy", "pillow": "Pillow", "scipy": "SciPy"}
    notice = (CHECKOUT / "NOTICE").read_text()
    packages = [*PROJECT["project"]["dependencies"], *EXTRAS["predict"], *EXTRAS["train"], *EXTRAS["onnx"][1:]]
    names = [dependency.partition(">=")[0] for dependency in packages]
    assert names
    assert [name for name in names if f"\n{titles.get(name, name)} " not in notice] == []
