"""README.md against the committed metrics and the Makefile."""

import json
import re
import shutil
from pathlib import Path

import pytest
from console import examples
from imports import ROOT
from project import sh

from mocliplite.evaluation.method_table import table

README = (ROOT / "README.md").read_text(encoding="utf-8")


def committed(name):
    """Return metrics/NAME.json from git's index: `make run` on another processor changes the file in the folder."""
    return json.loads(sh(ROOT, f"git show :metrics/{name}.json"))


def test_the_readme_shows_the_committed_table():
    assert table(committed("eval")) in README


def test_the_readme_compares_an_experiment_with_the_committed_metrics():
    (rows,) = (lines for command, lines in examples(README) if command.startswith("dvc metrics diff HEAD"))
    rows = [line.split() for line in rows if line.startswith("metrics/")]
    assert len(rows) >= 4
    for path, metric, before, after, change in rows:
        value = committed(Path(path).stem)
        for key in metric.split("."):
            value = value[key]
        assert float(before) == value
        assert float(after) - float(before) == pytest.approx(float(change), abs=1e-9)


def test_make_run_and_make_test_run_what_the_readme_says():
    run, test = (sh(ROOT, f"make --no-print-directory -n {target}").splitlines() for target in ("run", "test"))
    assert run[-2:] == ["dvc repro", "python -m mocliplite results"]
    assert test[-1].startswith("pytest")


def test_the_commands_without_make_are_those_of_make_run(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    made = sh(tmp_path, "make --no-print-directory -n run PYTHON=python").splitlines()
    (commands,) = re.findall(r"```powershell\n(.*?)```", README, re.DOTALL)
    shown = commands.splitlines()
    assert shown.pop(1) == r".venv\Scripts\activate"  # in place of the path that the Makefile sets
    plain = [re.sub(r" --(quiet|disable-pip-version-check)", "", line) for line in made if line != "touch .venv/ready"]
    assert shown == plain
