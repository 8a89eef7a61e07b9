"""Batches of fields from a store: content and order do not depend on the number of workers."""

import multiprocessing
from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import NET, write_motion

from mocliplite.errors import UserError
from mocliplite.motion_net.loader import ClipSample, MotionClips, load_batches
from mocliplite.motion_net.sampling import sample_fields
from mocliplite.store import stores

IDS = [f"clip{i}" for i in range(7)]


def vectors_of(row):
    """Vectors of a clip of IDS; clips differ in length and height."""
    return np.random.default_rng(row).integers(-60, 61, (4 + row, 5 + row, 8, 2)).astype(np.int8)


def motion_clips(folder, ids=IDS, **changes):
    write_motion(folder, {clip_id: vectors_of(row) for row, clip_id in enumerate(IDS)})
    return MotionClips(stores.open_store(folder), ids, replace(NET, **changes))


def batches():
    """Clips in no particular order, one of them twice, each at different random positions."""
    generator = np.random.default_rng(0)
    return [[ClipSample(row, generator.random(3)) for row in rows] for rows in ([3, 0], [6, 6, 1], [2])]


def test_batches_contain_the_fields_at_the_positions_of_each_sample(tmp_path):
    clips = motion_clips(tmp_path, remove_global_motion=True)
    loaded = list(load_batches(clips, batches(), workers=0))
    assert [rows.tolist() for _, rows in loaded] == [[3, 0], [6, 6, 1], [2]]
    for (fields, _), samples in zip(loaded, batches(), strict=True):
        assert (fields.dtype, fields.shape[1:]) == (torch.float16, (3, 3, NET.rows, NET.cols))
        for field, (row, positions) in zip(fields, samples, strict=True):
            frames = np.floor(positions * (4 + row)).astype(int)
            expected = sample_fields(vectors_of(row)[frames], (8 * (5 + row), 64), (NET.rows, NET.cols), True)
            assert np.array_equal(field.numpy(), expected)


def test_the_number_of_workers_changes_no_byte(tmp_path):
    clips = motion_clips(tmp_path)
    none, two, three = ([x.numpy().tobytes() for x, _ in load_batches(clips, batches(), n)] for n in (0, 2, 3))
    assert none == two == three


def test_workers_that_are_started_anew_load_the_same(tmp_path):
    # By default on macOS and Windows, and from Python 3.14 on.
    clips, usual = motion_clips(tmp_path), multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        started = [x.numpy().tobytes() for x, _ in load_batches(clips, batches(), workers=1)]
    finally:
        multiprocessing.set_start_method(usual, force=True)
    assert started == [x.numpy().tobytes() for x, _ in load_batches(clips, batches(), workers=0)]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_shard_is_one_sentence_with_worker_processes_too(tmp_path, workers):
    clips = motion_clips(tmp_path)
    damaged = clips.store._shard[IDS[3]]
    damaged.write_bytes(bytes(99))
    with pytest.raises(UserError) as raised:
        list(load_batches(clips, batches(), workers))
    assert str(raised.value).startswith(f"{damaged} is damaged (")
    assert "\n" not in str(raised.value)


def test_loading_does_not_change_the_global_random_state_of_torch(tmp_path):
    clips = motion_clips(tmp_path)
    before = torch.get_rng_state()
    list(load_batches(clips, batches(), workers=0))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_clip_is_read_only_when_its_batch_is_requested(tmp_path, monkeypatch):
    clips, read = motion_clips(tmp_path), []
    read_frames = clips.store.read_frames
    monkeypatch.setattr(clips.store, "read_frames", lambda key, select: read.append(key) or read_frames(key, select))
    loaded = load_batches(clips, batches(), workers=0)
    assert read == []
    next(loaded)
    assert read == ["clip3", "clip0"]
