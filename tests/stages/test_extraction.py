"""The motion stage on a folder of clips: the same bytes for every engine, and no clip stops the run."""

import hashlib
import sys
from pathlib import Path

import pytest
import yaml
from builders import CHECKOUT, put, sentence_of
from footage import encode, moving, overwritten

from mocliplite import params
from mocliplite.data.clips import write_clips
from mocliplite.data.index import find_clips
from mocliplite.errors import MachineError
from mocliplite.extraction import motion
from mocliplite.store import stores
from stages import motion as stage

pytestmark = pytest.mark.usefixtures("folder", "few_shards")


def extract(**compute):
    """Run the stage on all clips of root/; return a digest of each file of the store."""
    settings = yaml.safe_load((CHECKOUT / "params.yaml").read_text(encoding="utf-8"))
    settings["dataset"].update(root="root", files="root", lists=params.NO_PATH, group=None, max_failed=1.0)
    settings["compute"].update(compute)
    put(".", {"params.yaml": yaml.safe_dump(settings)})
    write_clips("features/clips.csv", find_clips(params.load().dataset))
    stage.main()
    files = sorted(path for path in Path(stage.FOLDER).rglob("*") if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(autouse=True)
def no_arguments(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["motion"])


def put_footage():
    """Write seven clips with vectors, one without (HEVC) and one damaged file below root/."""
    Path("root/walk").mkdir(parents=True)
    for number in range(6):
        encode(f"root/walk/{number}.avi", moving(right=number, frames=8), b_frames=number % 3)
    encode("root/walk/h.mp4", moving(frames=8), "libx264", b_frames=2)
    encode("root/walk/hevc.mp4", moving(frames=4), "libx265")
    overwritten("root/walk/1.avi", "root/walk/noise.avi", 0)


def test_engine_and_number_of_workers_do_not_change_the_bytes():
    put_footage()
    runs = []
    for compute in ({"engine": "inline"}, {"workers": 1}, {"workers": 4}, {"workers": 4}):
        runs.append(extract(**compute))
        for path in Path(stage.FOLDER).iterdir():
            path.unlink()
    assert runs[0] == runs[1] == runs[2] == runs[3]
    assert len(runs[0]) >= 6


def test_every_clip_is_in_the_store_or_in_failures_with_a_reason(capsys):
    put_footage()
    extract(engine="inline")
    assert capsys.readouterr().out == "motion: 9 clips = 7 stored + 2 failed\n"
    store = stores.open_store(stage.FOLDER)
    assert store.ids == [*(f"walk__{number}" for number in range(6)), "walk__h"]
    reasons = {clip_id: failure.reason for clip_id, failure in store.failures.items()}
    assert sorted(reasons) == ["walk__hevc", "walk__noise"]
    assert "motion.reencode: auto" in reasons["walk__hevc"]
    assert reasons["walk__noise"].startswith("root/walk/noise.avi cannot be decoded as video (")


def test_a_crash_of_the_decoder_is_recorded_and_the_run_continues(monkeypatch):
    put_footage()
    monkeypatch.setattr(motion, "records", crashing_records)
    sentence = sentence_of(lambda: extract(workers=1))
    assert sentence.startswith(
        "motion: 1 of 9 clips were not read, because the machine failed or the file has changed; all others are kept."
    )
    extract(workers=1)  # tried again; the same failure does not stop the stage twice
    store = stores.open_store(stage.FOLDER)
    failure = store.failures["walk__3"]
    assert failure.reason.startswith("root/walk/3.avi was not read: the decoder crashed (SIGSEGV)")
    assert failure.retry is True
    assert "walk__4" in store.ids


def test_what_the_machine_failed_at_ends_the_stage_and_is_had_by_the_next_run(monkeypatch):
    put_footage()
    monkeypatch.setattr(motion, "records", failing_records)
    Path("disk").touch()
    sentence = sentence_of(lambda: extract(workers=1))
    head, row = sentence.splitlines()
    assert head.startswith(
        "motion: 1 of 9 clips were not read, because the machine failed or the file has changed; all others are kept."
    )
    assert row == "  walk__3: root/walk/3.avi could not be read (Stale file handle)"
    assert stores.open_store(stage.FOLDER).failures["walk__3"].retry
    Path("disk").unlink()
    before = {path.name: path.stat().st_mtime_ns for path in Path(stage.FOLDER).glob("*.h5")}
    extract(workers=1)
    opened = stores.open_store(stage.FOLDER)
    assert "walk__3" in opened.ids
    after = {path.name: path.stat().st_mtime_ns for path in Path(stage.FOLDER).glob("*.h5")}
    assert sum(after[name] != before[name] for name in after) == 1


real_records = motion.records


def crashing_records(path, *arguments):
    if path.endswith("/3.avi"):
        import ctypes

        ctypes.string_at(0)
    return real_records(path, *arguments)


def failing_records(path, *arguments):
    if path.endswith("/3.avi") and Path("disk").exists():
        raise MachineError(f"{path} could not be read (Stale file handle)")
    return real_records(path, *arguments)
