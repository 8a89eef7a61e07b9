"""The stages on segments of files: one decode and one failure per file, and the whole pipeline on a list of them."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from builders import look_for_few_shards, put, sentence_of, set_params
from footage import encode, moving
from small_project import CLASSES, STAGES, save_clip, write_params

from mocliplite import csv_files
from mocliplite.data.clips import read_clips
from mocliplite.data.splits import read_splits
from mocliplite.errors import MachineError
from mocliplite.extraction import motion as motion_store
from mocliplite.motion import extraction as fields
from mocliplite.store import layout, shards, stores, table_file
from mocliplite.video import keyframes as pictures
from stages import index, keyframes, motion

RECORDINGS = 8
STARTS = (0, 0.48, 0.96)  # one action after the other, 12 frames each


@pytest.fixture(autouse=True)
def recordings(folder, monkeypatch):
    """Write params.yaml, recordings of three actions each and the list of their segments; record the calls by file."""
    look_for_few_shards(monkeypatch)
    monkeypatch.setattr(sys, "argv", ["stage"])
    Path("clips").mkdir()
    lines = ["path,label,start,end"]
    for number in range(RECORDINGS):
        frames = [picture for step in CLASSES.values() for picture in moving(*step, frames=12, size=(96, 128))]
        encode(f"clips/{number}.avi", frames[number:] + frames[:number], gop=12)
        lines += [f"{number}.avi,{label},{start},{start + 0.48}" for label, start in zip(CLASSES, STARTS, strict=True)]
    put(".", {"segments.csv": "\n".join(lines)})
    save_clip("clip")
    write_params()
    set_params(dataset={"lists": "segments.csv", "max_failed": 1.0})


def test_the_pipeline_runs_on_segments_and_keeps_those_of_a_file_in_one_split_and_shard():
    for stage in STAGES:
        stage.main()

    clips, splits = read_clips("features/clips.csv"), read_splits("features/splits.csv")
    assert clips[0].id == "0@0-0.48"
    assert len({(clip.path, splits[clip.id]) for clip in clips}) == RECORDINGS
    assert {splits[clip.id] for clip in clips} == {"train", "val", "test"}
    for kind in ("motion", "keyframes", "motion_embeddings"):
        store = stores.open_store(f"features/{kind}")
        assert store.ids == [clip.id for clip in clips]
        assert store.verify() == []
        assert len({(clip.path, layout.shard_of(clip.id, store.shards)) for clip in clips}) == RECORDINGS
    pairs = table_file.read_table("features/pairs.h5", "pairs").arrays
    assert Counter(pairs["group"].tolist()) == dict.fromkeys(map(str, range(RECORDINGS)), len(STARTS))
    assert stores.open_store("features/keyframes").read(["0@0.48-0.96"], "frame").tolist() == [[6]]


def test_keyframes_and_fields_are_computed_once_per_file_and_again_only_for_new_segments(monkeypatch):
    index.main()
    calls = []
    for stage, name in ((fields, "motion_fields"), (pictures, "read_keyframes_of_spans")):
        function = getattr(stage, name)

        def counting(path, spans, *arguments, function=function):
            calls.append((function.__name__, path, len(spans)))
            return function(path, spans, *arguments)

        counting.__name__ = name
        monkeypatch.setattr(stage, name, counting)
    motion.main()
    keyframes.main()
    assert sorted(Counter(calls).items()) == [
        ((name, f"clips/{number}.avi", 3), 1)
        for name in ("motion_fields", "read_keyframes_of_spans")
        for number in range(RECORDINGS)
    ]

    del calls[:]
    with Path("segments.csv").open("a") as file:
        file.write("\n3.avi,Falling,0.2,0.6")
    index.main()
    motion.main()
    assert calls == [("motion_fields", "clips/3.avi", 1)]


def test_embeddings_from_a_file_have_the_fingerprints_of_their_segments():
    index.main()
    clips = read_clips("features/clips.csv")
    ids = np.array([clip.id for clip in clips])
    np.savez("own.npz", ids=ids, embedding=np.ones((len(ids), 5), np.float32), name=np.array("videonet 3"))
    set_params(encoder={"features": "own.npz"})

    keyframes.main()

    store = stores.open_store("features/keyframes")
    assert store.fingerprints == {clip.id: shards.fingerprint(clip.content, store.settings) for clip in clips}


@pytest.mark.parametrize(
    ("stage", "module", "name"),
    [(motion, motion_store, "records"), (keyframes, pictures, "read_keyframes_of_spans")],
    ids=["motion", "keyframes"],
)
def test_what_fails_a_file_fails_all_of_its_segments_and_no_other(stage, module, name, monkeypatch):
    index.main()
    function = getattr(module, name)

    def failing(path, *arguments):
        if path.endswith("/3.avi"):
            raise MachineError("the disk is full")
        return function(path, *arguments)

    monkeypatch.setattr(module, name, failing)

    sentence = sentence_of(stage.main)

    assert (
        ": 3 of 24 clips were not read, because the machine failed or the file has changed; all others are kept."
        in sentence
    )
    rows = csv_files.read_csv(f"{stage.FOLDER}/failures.csv")
    assert rows == [
        {"id": clip_id, "reason": "the disk is full"} for clip_id in ("3@0-0.48", "3@0.48-0.96", "3@0.96-1.44")
    ]


def test_a_segment_beyond_the_end_of_its_file_is_a_row_of_the_failures_alone():
    with Path("segments.csv").open("a") as file:
        file.write("\n3.avi,Falling,1,9.5")
    index.main()
    motion.main()
    keyframes.main()
    for folder in ("features/motion", "features/keyframes"):
        (row,) = csv_files.read_csv(f"{folder}/failures.csv")
        assert row["id"] == "3@1-9.5"
        assert row["reason"].startswith("clips/3.avi lasts 1.44 s, so it does not contain the span 1-9.5 s; ")
        assert len(stores.open_store(folder).ids) == 24
