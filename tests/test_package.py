"""Facts that several files of the project state: version, requirements, notices."""

import tomllib

import yaml
from builders import CHECKOUT, run_python

import mocliplite

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())


def test_all_files_state_the_same_version():
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "mocliplite.__version__"}
    assert yaml.safe_load((CHECKOUT / "CITATION.cff").read_text())["version"] == mocliplite.__version__
    assert f"\n## {mocliplite.__version__}" in (CHECKOUT / "CHANGELOG.md").read_text()
    assert run_python("-m", "mocliplite", "--version").stdout == f"{mocliplite.__version__}\n"


def test_the_package_requires_no_newer_versions_than_the_pinned_ones():
    lines = (CHECKOUT / "requirements.txt").read_text().splitlines()
    pinned = dict(line.split("#")[0].split(";")[0].strip().split("==") for line in lines if "==" in line)
    minimum = dict(dependency.split(">=") for dependency in PROJECT["project"]["dependencies"])
    assert len(minimum) > 5
    newer = [name for name in minimum if version_of(minimum[name]) > version_of(pinned[name])]
    assert newer == []


def version_of(text):
    return [int(part) for part in text.split(".")]


def test_notice_lists_every_dependency():
    titles = {"av": "PyAV", "torch": "PyTorch", "numpy": "NumPy", "pillow": "Pillow", "scipy": "SciPy"}
    notice = (CHECKOUT / "NOTICE").read_text()
    names = [dependency.partition(">=")[0] for dependency in PROJECT["project"]["dependencies"]]
    assert names
    assert [name for name in names if f"\n{titles.get(name, name)} " not in notice] == []
