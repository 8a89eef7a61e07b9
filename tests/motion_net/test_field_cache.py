"""The cache of fields: it gives what the store gives, and leaves nothing behind."""

import errno
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from builders import NET, sentence_of, write_motion

from mocliplite.motion_net import field_cache
from mocliplite.motion_net.loader import ClipSample, MotionClips, load_batches
from mocliplite.store import stores

LENGTHS = {"a": 1, "b": 9, "c": 4, "d": 23}


@pytest.fixture
def clips(tmp_path):
    """Clips of several lengths and sizes."""
    generator = np.random.default_rng(0)
    vectors = {
        clip_id: generator.integers(-60, 61, (length, 6 + length, 8, 2)).astype(np.int8)
        for clip_id, length in LENGTHS.items()
    }
    write_motion(tmp_path / "motion", vectors)
    return MotionClips(stores.open_store(tmp_path / "motion"), list(vectors), replace(NET, remove_global_motion=True))


def batches():
    generator = np.random.default_rng(1)
    return [[ClipSample(row, generator.random(5)) for row in rows] for rows in ([3, 0, 1], [2, 2], [1])]


def loaded(clips):
    return [(fields.numpy().tobytes(), rows.tolist()) for fields, rows in load_batches(clips, batches(), workers=2)]


@pytest.mark.parametrize("part", [4, 256])
@pytest.mark.parametrize("workers", [0, 2])
def test_cached_clips_equal_those_of_the_store(clips, tmp_path, monkeypatch, workers, part):
    monkeypatch.setattr(field_cache, "_PART", part)
    cached = field_cache.cache_fields(clips, tmp_path, workers)
    assert isinstance(cached, field_cache.CachedClips)
    assert cached.lengths == list(LENGTHS.values())
    assert loaded(cached) == loaded(clips)


def test_a_clip_may_have_fewer_frames_with_vectors_than_its_length(tmp_path, monkeypatch):
    monkeypatch.setattr(field_cache, "_PART", 4)
    vectors = np.random.default_rng(0).integers(-60, 61, (5, 6, 8, 2)).astype(np.int8)
    write_motion(tmp_path / "motion", {"clip": vectors}, kind={"clip": np.array([0, 1, 1, 1, 1], np.uint8)})
    settings = replace(NET, remove_global_motion=True)
    clips = MotionClips(stores.open_store(tmp_path / "motion"), ["clip"], settings)
    cached = field_cache.cache_fields(clips, tmp_path, workers=0)
    assert cached.lengths == [4]
    sample = ClipSample(0, np.linspace(0, 1, 9))
    assert np.array_equal(cached[sample][0], clips[sample][0])


def test_the_file_has_no_name(clips, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    cached = field_cache.cache_fields(clips, tmp_path, workers=0)
    assert sorted(tmp_path.rglob("*")) == before
    assert len(loaded(cached)) == 3


def test_without_enough_disk_the_store_is_read_in_every_epoch(clips, tmp_path, monkeypatch, capsys):
    usage = shutil.disk_usage(tmp_path)
    needed = sum(LENGTHS.values()) * 3 * NET.rows * NET.cols * 2
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=needed))
    assert field_cache.cache_fields(clips, tmp_path, workers=0) is clips
    assert "the store is read in every epoch instead, which is slower" in capsys.readouterr().err
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=2 * needed))
    assert field_cache.cache_fields(clips, tmp_path, workers=0) is not clips


def test_a_cache_that_is_incomplete_or_cannot_be_read_is_an_error(clips, tmp_path, monkeypatch):
    cached = field_cache.cache_fields(clips, tmp_path, workers=0)
    sample = ClipSample(3, np.ones(1))
    cached.file.truncate(cached.file.seek(0, os.SEEK_END) - 1)
    assert sentence_of(cached.__getitem__, sample) == (
        "the cache of the fields ends too early; check its disk and run again."
    )

    class BadDisk:
        def seek(self, position):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(cached, "file", BadDisk())
    assert sentence_of(cached.__getitem__, sample) == (
        "the cache of the fields cannot be read (Input/output error); check its disk and run again."
    )


def test_an_error_of_the_loader_is_not_one_of_the_cache(clips, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        yield

    monkeypatch.setattr(field_cache, "_read_parts", fail)
    with pytest.raises(OSError, match="Cannot allocate memory"):
        field_cache.cache_fields(clips, tmp_path, 0)


def test_a_cache_that_cannot_be_written_is_an_error_that_names_the_folder(clips, tmp_path):
    (tmp_path / "models").write_text("a file in place of the folder")
    assert sentence_of(field_cache.cache_fields, clips, tmp_path / "models", 0) == (
        f"the cache of the fields in {tmp_path}/models cannot be written (File exists); check the path and run again: "
        "finished work is kept."
    )
