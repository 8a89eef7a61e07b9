"""Batches of fields from a store: content and order do not depend on the number of workers."""

from dataclasses import replace

import numpy as np
import torch
from builders import NET, write_motion

from mocliplite.motion_net import loader
from mocliplite.motion_net.loader import ClipSample, MotionClips, load_batches
from mocliplite.motion_net.sampling import load_fields
from mocliplite.store import stores

IDS = [f"clip{i}" for i in range(7)]


def motion_clips(folder, ids=IDS, **changes):
    vectors = {
        clip_id: np.random.default_rng(row).integers(-60, 61, (4 + row, 5 + row, 8, 2)).astype(np.int8)
        for row, clip_id in enumerate(IDS)
    }
    write_motion(folder, vectors)
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
            expected = load_fields(clips.store, IDS[row], positions, (NET.rows, NET.cols), remove_global_motion=True)
            assert np.array_equal(field.numpy(), expected)


def test_the_number_of_workers_changes_no_byte(tmp_path):
    clips = motion_clips(tmp_path)
    none, two, three = ([x.numpy().tobytes() for x, _ in load_batches(clips, batches(), n)] for n in (0, 2, 3))
    assert none == two == three


def test_loading_does_not_change_the_global_random_state_of_torch(tmp_path):
    clips = motion_clips(tmp_path)
    before = torch.get_rng_state()
    list(load_batches(clips, batches(), workers=0))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_clip_is_read_only_when_its_batch_is_requested(tmp_path, monkeypatch):
    clips, read = motion_clips(tmp_path), []
    monkeypatch.setattr(loader, "load_fields", lambda *arguments: read.append(arguments[1]) or load_fields(*arguments))
    loaded = load_batches(clips, batches(), workers=0)
    assert read == []
    next(loaded)
    assert read == ["clip3", "clip0"]
