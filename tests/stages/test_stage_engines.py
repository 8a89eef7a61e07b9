"""The three stores of a small project: the same bytes by every engine, in parts, and after faults."""

import itertools
import shutil
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import worker_calls
from builders import sentence_of, set_params
from cluster import Cluster

from mocliplite.extraction import motion_embeddings
from mocliplite.store import schema, stores, update
from stages import embed_motion, keyframes, motion

STAGES = {"motion": motion, "keyframes": keyframes, "embed_motion": embed_motion}


def bytes_of_stores():
    folders = [Path(stage.FOLDER) for stage in STAGES.values()]
    return {path: path.read_bytes() for folder in folders for path in sorted(folder.iterdir())}


@pytest.fixture
def wanted(small_copy):
    """The bytes of the stores by the engine inline; then the stores are removed."""
    found = bytes_of_stores()
    for stage in STAGES.values():
        shutil.rmtree(stage.FOLDER)
    return found


def test_parts_and_the_run_after_them_give_the_same_bytes(wanted, monkeypatch, capsys):
    for name, stage in STAGES.items():
        for part in ("2/3", "1/3", "3/3"):
            monkeypatch.setattr(sys, "argv", [name, "--part", part])
            stage.main()
        assert not Path(stage.FOLDER, "README.md").exists()
        monkeypatch.setattr(sys, "argv", [name])
        capsys.readouterr()
        stage.main()
        assert "computed=0" in capsys.readouterr().err
    assert bytes_of_stores() == wanted


def test_a_lost_scheduler_and_workers_that_are_killed_change_no_byte(wanted, tmp_path, monkeypatch):
    pytest.importorskip("distributed", reason="requirements-dask.txt is not installed")
    set_params(compute={"engine": "dask", "scheduler": str(tmp_path / "scheduler.json")})
    with Cluster(tmp_path, workers=1) as cluster, monkeypatch.context() as patch:
        patch.setattr(motion.motion, "update_shards", worker_calls.motion_after_gate)
        patch.setattr(keyframes.keyframes, "update_shards", worker_calls.keyframes_after_gate)
        with fault(cluster.kill_workers):
            motion.main()
        embed_motion.main()
        with fault(cluster.scheduler.kill):
            assert sentence_of(keyframes.main).startswith("the Dask scheduler was lost; finished shards are kept: ")
    kept = {path: path.stat().st_ino for path in Path(keyframes.FOLDER).glob("*.h5")}
    assert len(kept) >= worker_calls.SHARDS_BEFORE_GATE
    set_params(compute={"engine": "inline"})
    keyframes.main()
    assert all(path.stat().st_ino == inode for path, inode in kept.items())
    assert bytes_of_stores() == wanted


def test_embed_motion_that_was_killed_within_a_shard_keeps_what_it_has_computed(small_copy, monkeypatch, capsys):
    monkeypatch.setitem(schema.SHARDS, "motion_embeddings", 1)
    shard = Path(embed_motion.FOLDER, "0000.h5")
    shutil.rmtree(shard.parent)
    embed_motion.main()
    wanted = shard.read_bytes()
    shutil.rmtree(shard.parent)
    record, calls = motion_embeddings._record, itertools.count()

    def killed(*arguments):
        if next(calls) == 10:
            raise KeyboardInterrupt
        return record(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(motion_embeddings, "_record", killed)
        patch.setattr(update, "_MAX_SECONDS", 0)
        with pytest.raises(KeyboardInterrupt):
            embed_motion.main()
    assert not shard.exists()
    capsys.readouterr()
    embed_motion.main()
    assert f"computed={len(stores.open_store('features/motion').ids) - 10}," in capsys.readouterr().err
    assert shard.read_bytes() == wanted


@contextmanager
def fault(cause):
    """Context in which workers stop at a gate; then the fault is caused and the gate is opened."""
    reached, gate = Path("reached"), Path("gate")
    gate.touch()

    def act():
        while not reached.exists() and gate.exists():
            time.sleep(0.02)
        cause()
        gate.unlink(missing_ok=True)

    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        caused = reached.exists()
        gate.unlink(missing_ok=True)
        thread.join()
        reached.unlink(missing_ok=True)
    assert caused
