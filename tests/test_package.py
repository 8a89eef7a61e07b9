"""What is said of the project in several places, and the command that `pip install .` brings."""

import tomllib

import yaml
from builders import CHECKOUT, run_python

import mocliplite

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())


def test_the_version_is_said_once_and_repeated_rightly():
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "mocliplite.__version__"}
    assert yaml.safe_load((CHECKOUT / "CITATION.cff").read_text())["version"] == mocliplite.__version__
    assert f"\n## {mocliplite.__version__}" in (CHECKOUT / "CHANGELOG.md").read_text()
    assert run_python("-m", "mocliplite", "--version").stdout == f"{mocliplite.__version__}\n"


def test_the_package_needs_what_the_pipeline_pins_and_no_newer():
    lines = (CHECKOUT / "requirements.txt").read_text().splitlines()
    pinned = dict(line.split("#")[0].split(";")[0].strip().split("==") for line in lines if "==" in line)
    for need in PROJECT["project"]["dependencies"]:
        name, _, least = need.partition(">=")
        assert [*map(int, least.split("."))] <= [*map(int, pinned[name].split("."))], name


def test_notice_names_every_package_that_the_library_needs():
    known = {"av": "PyAV", "torch": "PyTorch", "numpy": "NumPy", "pillow": "Pillow", "scipy": "SciPy"}
    notice = (CHECKOUT / "NOTICE").read_text()
    for need in PROJECT["project"]["dependencies"]:
        name = need.partition(">=")[0]
        assert f"\n{known.get(name, name)} " in notice
