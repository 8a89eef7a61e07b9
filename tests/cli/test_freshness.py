"""Whether what lies in models/ is still what params.yaml asks for, and who is told."""

from pathlib import Path

import pytest
import yaml
from builders import CHECKOUT, put

from mocliplite.cli import _freshness
from mocliplite.cli._main import main

pytestmark = pytest.mark.usefixtures("folder")

CHANGED = "params.yaml was changed since the last `dvc repro` ({}); this is from before, run it anew."


def put_lock(text):
    """params.yaml, and the lock that DVC 3.67.1 writes once two stages ran with it."""
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


BEFORE = "dataset: {root: clips, seed: 0}\nhead: {lr: 1.0e-05, hidden: 8, epochs: 3, seeds: 2}\ncompute: {workers: 2}\n"


def test_nothing_is_said_where_the_settings_are_those_of_the_last_run():
    assert _freshness.out_of_date_warning() is None  # no project here
    put_lock(BEFORE)
    assert _freshness.out_of_date_warning() is None
    put(".", {"params.yaml": BEFORE.replace("workers: 2", "workers: 1").replace("seed: 0", "seed: 1")})
    assert _freshness.out_of_date_warning() is None  # no stage of the lock reads these


@pytest.mark.parametrize(
    ("changes", "named"),
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
def test_settings_that_were_changed_are_named(changes, named):
    put_lock(BEFORE)
    after = BEFORE
    for old, new in changes.items():
        after = after.replace(old, new)
    put(".", {"params.yaml": after})
    assert _freshness.out_of_date_warning() == CHANGED.format(named)


def test_a_run_that_ended_early_is_told():
    put_lock(BEFORE)
    lock = yaml.safe_load(Path("dvc.lock").read_text())
    lock["stages"]["index"]["outs"][0]["md5"] = "new"
    put(".", {"dvc.lock": yaml.safe_dump(lock)})
    assert (
        _freshness.out_of_date_warning()
        == "the last `dvc repro` did not reach its end; this is from before, run it again."
    )


def test_files_that_cannot_be_compared_are_told():
    put(".", {"params.yaml": BEFORE, "dvc.lock": "stages: {index: 3}"})
    assert _freshness.out_of_date_warning() == "dvc.lock and params.yaml cannot be compared; run `dvc repro`."


def test_the_lock_of_the_project_is_understood():
    lock = yaml.safe_load((CHECKOUT / "dvc.lock").read_text())
    locked = lock["stages"]["train_motion"]["params"]["params.yaml"]
    given = yaml.safe_load((CHECKOUT / "params.yaml").read_text())
    assert len(locked) > 10
    put(".", {"dvc.lock": yaml.safe_dump(lock), "params.yaml": yaml.safe_dump(given | {"motion_net": {}})})
    assert _freshness.out_of_date_warning().startswith(CHANGED.split("(")[0] + "(motion_net.")


@pytest.mark.parametrize("words", [["predict", "a.mp4"], ["results"], ["report"], ["export", "out"]])
def test_commands_that_show_what_was_trained_warn(words, capsys):
    put_lock(BEFORE)
    put(".", {"params.yaml": BEFORE.replace("clips", "mine")})
    with pytest.raises(Exception):  # noqa: B017, PT011
        main(words)
    assert capsys.readouterr().err.startswith(f"warning: {CHANGED.format('dataset.root')}\n")


def test_an_exported_folder_is_not_judged_by_the_settings_here(capsys):
    put_lock(BEFORE)
    put(".", {"params.yaml": BEFORE.replace("clips", "mine")})
    with pytest.raises(Exception):  # noqa: B017, PT011
        main(["predict", "a.mp4", "--model", "recogniser"])
    assert "warning" not in capsys.readouterr().err
