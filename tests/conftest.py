"""Fixtures of several test files."""

import pytest
from builders import UCF101_LISTS, put, settings_of
from project import copy_project, sh

from mocliplite.data.clips import find_clips
from mocliplite.store import schema


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder as the working directory."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def few_shards(monkeypatch):
    """Fewer files a store, so that the tests are quick."""
    monkeypatch.setattr(schema, "SHARDS", {"motion": 5, "keyframes": 4, "motion_embeddings": 3})


@pytest.fixture(scope="session")
def small_models(tmp_path_factory):
    """A folder in which the whole pipeline ran on a few clips (small_project.py), for tests that read it."""
    from small_project import build

    with pytest.MonkeyPatch.context() as patch:
        return build(tmp_path_factory.mktemp("small"), patch)


@pytest.fixture
def small_project(small_models, monkeypatch):
    """The folder of small_models as the working directory; tests do not change its files."""
    monkeypatch.chdir(small_models)
    return small_models


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """A fresh copy of the project after `dvc repro`; a file's tests share it, and run in order."""
    folder = copy_project(tmp_path_factory.mktemp("project"))
    sh(folder, "dvc repro")
    return folder


@pytest.fixture(scope="session")
def names_of_ucf101(tmp_path_factory):
    """UCF101 with its real names and lists, each clip a few bytes: the clips and the settings."""
    if not UCF101_LISTS.is_dir():
        pytest.skip(f"UCF101's split lists are not at {UCF101_LISTS}")
    root = tmp_path_factory.mktemp("UCF-101")
    for file in ("trainlist01.txt", "testlist01.txt"):
        put(root, {line.split()[0]: line for line in (UCF101_LISTS / file).read_text().splitlines()})
    settings = settings_of(root=str(root), lists=str(UCF101_LISTS), group=r"_(g\d+)_", val=0.1)
    return find_clips(settings), settings
