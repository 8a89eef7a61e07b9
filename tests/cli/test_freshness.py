"""The warning that the results of the last `dvc repro` are out of date, and the commands that print it."""

from pathlib import Path

import pytest
import yaml
from builders import CHECKOUT, put

from mocliplite import params
from mocliplite.cli import _freshness
from mocliplite.cli._main import main

pytestmark = pytest.mark.usefixtures("folder")

CHANGED = "params.yaml has changed since the last `dvc repro` ({}); its results are out of date; run `dvc repro`."


def put_lock(text):
    """Write params.yaml, and dvc.lock as DVC 3.67.1 writes it after two stages ran with these settings."""
    put(".", {"params.yaml": text})
    settings = yaml.safe_load(text)
    lock = {
        "schema": "2.0",
        "stages": {
            "index": {
                "params": {"params.yaml": {"dataset.root": settings["dataset"]["root"]}},
                "outs": [{"path": "features/clips.csv", "hash": "md5", "md5": "a", "size": 3}],
            },
            "train_head": {
                "deps": [{"path": "features/clips.csv", "hash": "md5", "md5": "a", "size": 3}],
                "params": {"params.yaml": {"head": settings["head"]}},
                "outs": [{"path": "models/head", "hash": "md5", "md5": "b.dir", "size": 3, "nfiles": 2}],
            },
        },
    }
    put(".", {"dvc.lock": yaml.safe_dump(lock).replace("1.0e-05", "1e-05")})  # as DVC writes it


LAST_RUN = (
    "dataset: {root: clips, seed: 0}\nhead: {lr: 1.0e-05, hidden: 8, epochs: 3, seeds: 2}\ncompute: {workers: 2}\n"
)


def test_there_is_no_warning_while_the_settings_are_those_of_the_last_run():
    assert _freshness.out_of_date_warning() is None  # no project in this folder
    put_lock(LAST_RUN)
    assert _freshness.out_of_date_warning() is None
    put(".", {"params.yaml": LAST_RUN.replace("workers: 2", "workers: 1").replace("seed: 0", "seed: 1")})
    assert _freshness.out_of_date_warning() is None  # no stage in dvc.lock depends on these settings


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"root: clips": "root: mine"}, "dataset.root"),
        ({"1.0e-05": "1.0e-04"}, "head.lr"),
        ({"lr: 1.0e-05, ": ""}, "head.lr"),
        (
            {"clips": "mine", "8": "9", "epochs: 3": "epochs: 4", "seeds: 2": "seeds: 1"},
            "dataset.root, head.epochs, head.hidden and 1 more",
        ),
    ],
)
def test_the_warning_names_the_changed_settings(changes, names):
    put_lock(LAST_RUN)
    text = LAST_RUN
    for old, new in changes.items():
        text = text.replace(old, new)
    put(".", {"params.yaml": text})
    assert _freshness.out_of_date_warning() == CHANGED.format(names)


def test_an_interrupted_run_gives_a_warning():
    put_lock(LAST_RUN)
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    lock["stages"]["index"]["outs"][0]["md5"] = "new"
    put(".", {"dvc.lock": yaml.safe_dump(lock)})
    wanted = "the last `dvc repro` was interrupted; its results are out of date; run `dvc repro`."
    assert _freshness.out_of_date_warning() == wanted


@pytest.mark.parametrize("lock", [b"stages: {index: 3}", b"\xff", b"stages: " + b"[" * 600 + b"]" * 600])
def test_files_that_cannot_be_compared_give_a_warning(lock):
    put(".", {"params.yaml": LAST_RUN})
    Path("dvc.lock").write_bytes(lock)
    assert _freshness.out_of_date_warning() == "dvc.lock and params.yaml cannot be compared; run `dvc repro`."


def test_the_dvc_lock_of_the_project_can_be_compared(monkeypatch):
    lock = yaml.safe_load((CHECKOUT / "dvc.lock").read_text())
    locked = lock["stages"]["train_motion"]["params"]["params.yaml"]
    given = yaml.safe_load((CHECKOUT / "params.yaml").read_text())
    monkeypatch.setattr(_freshness, "_MAX_LISTED", len(locked) + len(params.keys()))
    put(".", {"dvc.lock": yaml.safe_dump(lock), "params.yaml": yaml.safe_dump(given | {"motion_net": {}})})
    names = _freshness.out_of_date_warning().partition("(")[2].partition(")")[0].split(", ")
    expected = {name for name in locked if name.startswith("motion_net.")}
    assert len(expected) > 10
    assert expected <= set(names)


@pytest.mark.parametrize("arguments", [["predict", "a.mp4"], ["results"], ["report"], ["export", "out"]])
def test_commands_that_use_the_trained_models_warn(arguments, capsys):
    put_lock(LAST_RUN)
    put(".", {"params.yaml": LAST_RUN.replace("clips", "mine")})
    with pytest.raises(Exception):  # noqa: B017, PT011
        main(arguments)
    assert capsys.readouterr().err.startswith(f"warning: {CHANGED.format('dataset.root')}\n")


def test_an_exported_model_folder_gives_no_warning(capsys):
    put_lock(LAST_RUN)
    put(".", {"params.yaml": LAST_RUN.replace("clips", "mine")})
    with pytest.raises(Exception):  # noqa: B017, PT011
        main(["predict", "a.mp4", "--model", "recogniser"])
    assert "warning" not in capsys.readouterr().err
