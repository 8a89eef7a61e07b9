"""Fixtures that several test files use."""

import mocliplite  # noqa: F401  (sets environment variables that numpy and torch read when they are imported)

# isort: split
import shutil
import signal
import sys

import pytest
from builders import UCF101_LISTS, look_for_few_shards, put, settings_of
from project import copy_project, sh
from windows import refuse_open_files

from mocliplite import interrupts
from mocliplite.data.index import find_clips
from mocliplite.store import schema


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Change to an empty working directory."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def few_shards(monkeypatch):
    """Use fewer files per store, which makes tests faster."""
    monkeypatch.setattr(schema, "SHARDS", {"motion": 5, "keyframes": 4, "motion_embeddings": 3})
    look_for_few_shards(monkeypatch)


@pytest.fixture
def stopping():
    """Handle signals that end a run as a stage does, also where a shell ignores them, as in its background."""
    before = {
        getattr(signal, name): signal.signal(getattr(signal, name), handler)
        for name, handler in interrupts._USUAL.items()
        if hasattr(signal, name)
    }
    hook = sys.unraisablehook
    interrupts.stop_at_signals()
    yield
    sys.unraisablehook = hook
    interrupts._status.clear()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def small_models(tmp_path_factory):
    """A folder in which the whole pipeline ran on a few clips (small_project.py), for tests that read it.

    It ran on a file system like that of Windows (windows.py).
    """
    from small_project import build

    with pytest.MonkeyPatch.context() as patch:
        refuse_open_files(patch)
        look_for_few_shards(patch)
        return build(tmp_path_factory.mktemp("small"), patch)


@pytest.fixture(scope="session")
def exports(small_models, tmp_path_factory):
    """A folder with the models of small_models, exported to its subfolders torch and onnx, for tests that read them."""
    from mocliplite.predict.export import export

    folder = tmp_path_factory.mktemp("exports")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(small_models)
        export(folder / "torch", with_clip=True)
        export(folder / "onnx", with_clip=False, onnx=True)
    return folder


@pytest.fixture(scope="session")
def other_models(tmp_path_factory):
    """As small_models, of the same clips, but with another split, another CLIP and other seeds."""
    from small_project import build

    with pytest.MonkeyPatch.context() as patch:
        look_for_few_shards(patch)
        return build(tmp_path_factory.mktemp("other"), patch, seed=1)


@pytest.fixture
def small_copy(small_models, tmp_path, monkeypatch):
    """A copy of the folder of small_models as the working directory, for tests that change its files."""
    shutil.copytree(small_models, tmp_path / "copy")
    look_for_few_shards(monkeypatch)
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setattr(sys, "argv", ["stage"])
    return tmp_path / "copy"


@pytest.fixture
def small_project(small_models, monkeypatch):
    """The folder of small_models as the working directory; tests do not change its files."""
    monkeypatch.chdir(small_models)
    return small_models


@pytest.fixture(scope="session")
def project(tmp_path_factory):
    """A copy of the project after `dvc repro`. The tests of a file share it and run in order."""
    folder = copy_project(tmp_path_factory.mktemp("project"))
    sh(folder, "dvc repro")
    return folder


@pytest.fixture(scope="session")
def ucf101_clips(tmp_path_factory):
    """Clips and settings of UCF101 with its real names and lists; each clip is a file of a few bytes."""
    if not UCF101_LISTS.is_dir():
        pytest.skip(f"UCF101's split lists are not at {UCF101_LISTS}")
    root = tmp_path_factory.mktemp("UCF-101")
    for name in ("trainlist01.txt", "testlist01.txt"):
        put(root, {line.split()[0]: line for line in (UCF101_LISTS / name).read_text().splitlines()})
    settings = settings_of(root=str(root), lists=str(UCF101_LISTS), group=r"_(g\d+)_", shared_groups=False, val=0.1)
    return find_clips(settings), settings
