"""Fields straight from the store: those asked for, in the order asked for, however many processes read."""

from dataclasses import replace

import numpy as np
import torch
from builders import NET, write_motion

from mocliplite.motion_net import loader
from mocliplite.motion_net.loader import ClipSample, MotionClips, batches
from mocliplite.motion_net.sampling import load_fields
from mocliplite.store import stores

IDS = [f"clip{i}" for i in range(7)]


def clips_of(folder, ids=IDS, **changes):
    vectors = {
        clip_id: np.random.default_rng(row).integers(-60, 61, (4 + row, 5 + row, 8, 2)).astype(np.int8)
        for row, clip_id in enumerate(IDS)
    }
    write_motion(folder, vectors)
    return MotionClips(stores.open_store(folder), ids, replace(NET, **changes))


def picks():
    """Clips in no order, one of them twice, each at places of its own."""
    generator = np.random.default_rng(0)
    return [[ClipSample(row, generator.random(3)) for row in rows] for rows in ([3, 0], [6, 6, 1], [2])]


def test_batches_hold_the_fields_of_the_places_of_each_pick(tmp_path):
    clips = clips_of(tmp_path, remove_global_motion=True)
    read = list(batches(clips, picks(), workers=0))
    assert [rows.tolist() for _, rows in read] == [[3, 0], [6, 6, 1], [2]]
    for (fields, _), wanted in zip(read, picks(), strict=True):
        assert (fields.dtype, fields.shape[1:]) == (torch.float16, (3, 3, NET.rows, NET.cols))
        for field, (row, places) in zip(fields, wanted, strict=True):
            alone = load_fields(clips.store, IDS[row], places, (NET.rows, NET.cols), remove_global_motion=True)
            assert np.array_equal(field.numpy(), alone)


def test_the_number_of_workers_changes_no_byte(tmp_path):
    clips = clips_of(tmp_path)
    alone, two, three = ([fields.numpy().tobytes() for fields, _ in batches(clips, picks(), n)] for n in (0, 2, 3))
    assert alone == two == three


def test_reading_leaves_the_random_numbers_of_torch_alone(tmp_path):
    clips = clips_of(tmp_path)
    before = torch.get_rng_state()
    list(batches(clips, picks(), workers=0))
    assert torch.equal(torch.get_rng_state(), before)


def test_no_clip_is_read_before_it_is_asked_for(tmp_path, monkeypatch):
    clips, asked = clips_of(tmp_path), []
    monkeypatch.setattr(loader, "load_fields", lambda *given: asked.append(given[1]) or load_fields(*given))
    stream = batches(clips, picks(), workers=0)
    assert asked == []
    next(stream)
    assert asked == ["clip3", "clip0"]
