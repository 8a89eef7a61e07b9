"""The wheel: what it holds, that it is built the same again, and a project that it makes."""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from imports import ROOT
from project import copy_project, sh
from small_project import CLASSES, render, save_clip

from mocliplite import versions
from mocliplite.cli import _project


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """The files of the project without what was built or computed in it."""
    return copy_project(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="session")
def wheel(source, tmp_path_factory):
    return build_wheel(source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def installed(wheel, tmp_path, monkeypatch):
    """The content of the wheel on Python's path, beside the packages of this environment."""
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def build_wheel(source, folder):
    # Without isolation: the packages of this environment build it, and nothing is downloaded.
    options = ["--no-build-isolation", "--no-deps", "--quiet", "--wheel-dir", folder]
    subprocess.run([sys.executable, "-m", "pip", "wheel", source, *options], check=True)
    (path,) = Path(folder).glob("*.whl")
    return path


def test_the_wheel_has_all_code_and_the_files_of_a_project(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    code = {path.relative_to(ROOT).as_posix() for path in (ROOT / "mocliplite").rglob("*.py")}
    stages = {f"mocliplite/stages/{path.name}" for path in (ROOT / "stages").glob("*.py")}
    assert len(code) > 100
    assert len(stages) > 10
    assert {name for name in names if name.endswith(".py")} == code | stages
    files = (".dvcignore", ".dvc/.gitignore", ".dvc/config", ".dvc/plots/curves.json", "dvc.yaml", "prompts/names.txt")
    configs = [f"configs/{path.name}" for path in (ROOT / "configs").iterdir()]
    assert {f"mocliplite/project/{name}" for name in (*files, *configs)} < names


def test_the_source_distribution_builds_the_same_wheel(source, wheel, tmp_path):
    code = "import sys, setuptools.build_meta as backend; backend.build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, tmp_path], cwd=source, check=True, stdout=subprocess.DEVNULL)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        assert [name for name in file.getnames() if "/tests" in name] == []
        file.extractall(tmp_path, filter="data")
    again = build_wheel(tmp_path / archive.name.removesuffix(".tar.gz"), tmp_path / "wheel")
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(wheel.read_bytes()).digest()


def test_a_new_project_is_ready_for_dvc(installed):
    sh(installed, "python -m mocliplite new p")
    project = installed / "p"
    assert sh(project, "python -m mocliplite new .", status=2) == "error: . is not empty; give a new folder.\n"
    os.chdir(project)
    for label, step in CLASSES.items():
        render(f"my_clips/{label}", step)
    save_clip("clip")
    sh(project, "python -m mocliplite init my_clips --force --clip clip")
    sh(project, "git add .")
    assert set(sh(project, "git ls-files").split()) >= {"dvc.yaml", "params.yaml", ".dvc/plots/curves.json"}
    assert sh(project, "git ls-files my_clips") == ""
    assert "Running stage 'motion'" in sh(project, "dvc repro split motion")
    assert Path("features/splits.csv").is_file()

    # A later version of the package: a stage refuses, until the project is upgraded; then short stages run again.
    package = installed / "site/mocliplite/__init__.py"
    package.write_text(package.read_text().replace("__version__ =", '__version__ = "9.9"; _ ='))
    failed = sh(project, "python -m mocliplite.stages.split", status=1)
    assert failed == "error: versions.yaml is not that of the installed mocliplite 9.9; run `mocliplite upgrade`.\n"
    upgraded = sh(project, "python -m mocliplite upgrade")
    assert upgraded == "wrote versions.yaml; `git diff` shows the changes, `dvc repro` applies them\n"
    again = sh(project, "python -m mocliplite upgrade")
    assert again == "this project is for mocliplite 9.9 already; nothing is changed\n"
    status = sh(project, "dvc status index split motion")
    changed = {line.removesuffix(":") for line in status.splitlines() if line and not line.startswith("\t")}
    assert changed == {"index", "split"}


def test_a_new_project_within_a_git_repository_is_part_of_it(installed):
    sh(installed, "git init -q work")
    written = sh(installed / "work", "python -m mocliplite new part/p")
    assert written.startswith(
        f"wrote part/p in the git repository {installed}/work; next, in this folder: `mocliplite "
    )
    assert not (installed / "work/part/p/.git").exists()
    assert sh(installed / "work/part/p", "dvc root") == ".\n"


def test_the_pages_that_settings_and_errors_name_are_in_a_new_project(installed):
    sh(installed, "python -m mocliplite new p")
    texts = [
        path.read_text()
        for folder in ("p/configs", "site/mocliplite")
        for path in (installed / folder).rglob("*.*")
        if path.suffix in (".py", ".yaml") and "project" not in path.parts
    ]
    named = {page for text in texts for page in re.findall(r"docs/[\w-]+\.md", text)}
    assert len(named) > 5
    assert [page for page in sorted(named) if not (installed / "p" / page).is_file()] == []


def test_upgrade_keeps_pages_of_the_project_and_writes_those_of_the_package(installed):
    sh(installed, "python -m mocliplite new p")
    page = installed / "p/docs/lists.md"
    text = page.read_text()
    assert text == f"{_project._PAGE_MARK}{(ROOT / 'docs/lists.md').read_text()}"
    page.write_text(f"{_project._PAGE_MARK}An earlier version.")
    (installed / "p/docs/results.md").write_text("My results.")
    assert sh(installed / "p", "python -m mocliplite upgrade") == (
        "kept docs/results.md, which are not pages of mocliplite; rename them and run this again to get those\n"
        "wrote docs/lists.md; `git diff` shows the changes, `dvc repro` applies them\n"
    )
    assert page.read_text() == text
    assert (installed / "p/docs/results.md").read_text() == "My results."


def test_every_stage_of_the_wheel_can_be_imported(installed):
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    code = f"import {', '.join(f'mocliplite.stages.{name}' for name in stages)}"
    assert sh(installed, f"python -c '{code}'") == ""


def test_the_stages_of_a_project_depend_on_versions_instead_of_code(installed):
    sh(installed, "python -m mocliplite new p")
    ours = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    stages = yaml.safe_load((installed / "p/dvc.yaml").read_text())["stages"]
    assert list(stages) == list(ours)
    assert [name for name in stages if stages[name]["cmd"] != f"python -m mocliplite.stages.{name}"] == []
    assert [dep for stage in stages.values() for dep in stage["deps"] if dep.startswith(("mocliplite", "stages"))] == []
    names = yaml.safe_load((installed / "p" / versions.FILE).read_text())
    watched = {name: [item for item in stage["params"] if isinstance(item, dict)] for name, stage in stages.items()}
    assert watched["motion"] == [{versions.FILE: ["MOTION", "SCHEMA"]}]
    assert watched["evaluate"] == [{versions.FILE: ["PACKAGE"]}]
    assert {key for items in watched.values() for item in items for key in item[versions.FILE]} == names.keys()


def test_a_checkout_is_no_place_for_a_new_project(tmp_path):
    for command in ("new p", "upgrade"):
        failed = sh(tmp_path, f"PYTHONPATH={ROOT} python -m mocliplite {command}", status=2)
        assert failed.startswith(f"error: {ROOT} is a checkout of mocliplite, and a project itself; ")


def test_only_a_project_is_upgraded(installed):
    failed = sh(installed, "python -m mocliplite upgrade", status=2)
    assert failed == "error: versions.yaml is missing; run this in a folder that `mocliplite new` has made.\n"
