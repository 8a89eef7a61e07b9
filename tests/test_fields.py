"""What a network sees of a motion field: places, area means, units."""

import numpy as np
import pytest
from builders import PLAIN
from footage import encode, moving

from mocliplite import motion, store
from mocliplite.fields import MISSING, load_fields, sample_fields

I, P, B, GONE = 0, 1, 2, 3  # noqa: E741


def random_vectors(frames=6, rows=6, cols=8, unknown=0.0, limit=60, seed=0):
    """int8 [T, rows, cols, 2], the share `unknown` of its cells MISSING."""
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-limit, limit + 1, (frames, rows, cols, 2)).astype(np.int8)
    vectors[rng.random((frames, rows, cols)) < unknown] = MISSING
    return vectors


def seen(vectors, shape, size=None, kind=None):
    kind = np.full(len(vectors), P) if kind is None else np.array(kind)
    return sample_fields(vectors, kind, size or (8 * vectors.shape[1], 8 * vectors.shape[2]), shape)


def doubled(vectors):
    """The same clip at twice the size: four cells for one, and each moves twice as far."""
    large = np.where(vectors == MISSING, MISSING, 2 * vectors.astype(int)).astype(np.int8)
    return large.repeat(2, axis=1).repeat(2, axis=2)


@pytest.mark.parametrize("shape", [(16, 15, 20), (1, 1, 1), (3, 6, 8), (2, 5, 9)])
def test_fields_are_float16_of_the_shape_asked_for(shape):
    count, rows, cols = shape
    fields = seen(random_vectors(frames=4), shape)
    assert (fields.shape, fields.dtype) == ((count, 3, rows, cols), np.float16)


def test_displacements_are_in_cells_of_the_new_grid():
    # 32 quarter pixels right and 16 down: on 10 x 10 cells of 8 pixels one cell and a half, on 5 x 5 half of that.
    vectors = np.full((1, 10, 10, 2), (32, 16), dtype=np.int8)
    assert seen(vectors, (1, 10, 10))[0, :, 0, 0].tolist() == [1, 0.5, 1]
    assert seen(vectors, (1, 5, 5))[0, :, 0, 0].tolist() == [0.5, 0.25, 1]


@pytest.mark.parametrize("grid", [(15, 20), (3, 4), (5, 7), (13, 9), (1, 1)])
def test_a_constant_field_stays_constant(grid):
    # The weights of an area mean sum to one, also where cells do not fit.
    vectors = np.full((1, 6, 8, 2), 40, dtype=np.int8)
    x, y, known = seen(vectors, (1, *grid))[0].astype(float)
    rows, cols = grid
    assert np.allclose(x, 40 / 4 * cols / 64, rtol=1e-3)
    assert np.allclose(y, 40 / 4 * rows / 48, rtol=1e-3)
    assert np.allclose(known, 1)


@pytest.mark.parametrize("grid", [(15, 20), (3, 4), (5, 7), (13, 9)])
def test_the_mean_over_the_picture_is_conserved(grid):
    vectors = random_vectors(frames=1)
    x, y, _ = seen(vectors, (1, *grid))[0].astype(float).mean(axis=(1, 2))
    wanted = vectors[0].mean(axis=(0, 1)) / 4 * (grid[1] / 64, grid[0] / 48)
    assert [x, y] == pytest.approx(wanted, abs=2e-3)


def test_a_grid_of_the_same_size_keeps_each_cell():
    vectors = random_vectors(frames=1)
    fields = seen(vectors, (1, 6, 8))[0, :2].astype(float)
    assert np.allclose(fields, vectors[0].transpose(2, 0, 1) / 32, atol=1e-3)


@pytest.mark.parametrize("unknown", [0, 0.3])
@pytest.mark.parametrize("shape", [(3, 6, 8), (3, 15, 20), (3, 4, 5)])
def test_a_clip_and_its_twin_of_twice_the_size_look_the_same(shape, unknown):
    vectors = random_vectors(unknown=unknown)
    assert np.allclose(seen(vectors, shape), seen(doubled(vectors), shape), atol=2e-3)


def test_twins_that_went_through_a_codec_look_the_same(tmp_path):
    sizes = {"small.avi": (96, 128), "large.avi": (192, 256)}
    means = []
    for times, (name, size) in enumerate(sizes.items(), start=1):
        path = encode(tmp_path / name, moving(right=3 * times, down=2 * times, frames=12, size=size))
        field = motion.motion_field(path, PLAIN)
        fields = sample_fields(field.vectors, field.kind, (field.height, field.width), (4, 12, 16)).astype(float)
        means.append(np.median(fields[:, :2, 2:-2, 2:-2], axis=(0, 2, 3)))
    # 3 of 128 pixels are 0.375 of 16 cells.
    assert np.allclose(means, [[0.375, 0.25]] * 2, atol=0.01)


def test_unknown_cells_lower_the_share_and_not_the_motion():
    vectors = np.full((1, 4, 4, 2), 32, dtype=np.int8)
    vectors[0, :, ::2] = MISSING
    vectors[0, :2] = MISSING
    x, y, known = seen(vectors, (1, 2, 2))[0].tolist()
    assert known == [[0, 0], [0.5, 0.5]]
    assert (x, y) == ([[0, 0], [0.5, 0.5]],) * 2


@pytest.mark.parametrize("shape", [(2, 6, 8), (2, 5, 7), (2, 15, 20)])
def test_a_mirrored_clip_gives_the_mirrored_field(shape):
    vectors = random_vectors(unknown=0.3)
    mirrored = vectors[:, :, ::-1].copy()
    mirrored[..., 0] = np.where(mirrored[..., 0] == MISSING, MISSING, -mirrored[..., 0])
    turned = seen(mirrored, shape)[..., ::-1] * np.array([-1, 1, 1]).reshape(3, 1, 1)
    assert np.allclose(turned, seen(vectors, shape), atol=2e-3)


@pytest.mark.parametrize(("count", "wanted"), [(1, [5]), (2, [2, 6]), (4, [1, 2, 5, 6]), (8, [1, 1, 2, 2, 5, 5, 6, 6])])
def test_only_frames_with_vectors_are_taken_at_even_places(count, wanted):
    vectors = np.arange(8, dtype=np.int8).reshape(8, 1, 1, 1).repeat(2, axis=3)
    kind = [I, P, B, GONE, I, P, P, GONE]
    fields = seen(vectors, (count, 1, 1), kind=kind)
    assert (fields[:, 0, 0, 0] * 32).tolist() == wanted


def test_the_largest_motion_keeps_its_size_in_float16():
    vectors = np.full((1, 30, 40, 2), (127, -127), dtype=np.int8)
    x, y, _ = seen(vectors, (1, 15, 20))[0, :, 3, 3].tolist()
    assert (x, y) == pytest.approx((127 / 64, -127 / 64), rel=1e-3)


def test_fields_of_a_store_come_in_the_order_of_ids(tmp_path):
    records = {
        f"clip{i}": store.Record(
            {"vectors": random_vectors(frames=3, rows=2 + i, seed=i), "kind": np.array([P] * 3, dtype=np.uint8)},
            {"height": 8 * (2 + i), "width": 64},
        )
        for i in range(4)
    }
    for number, ids in enumerate(store.by_shard(records, "motion")):
        shard = store.Shard({clip_id: records[clip_id] for clip_id in ids}, {}, dict.fromkeys(ids, "f"))
        store.write_shard(store.shard_path(tmp_path, number), "motion", {}, shard)
    store.finish(tmp_path, "motion")

    order = ["clip2", "clip0", "clip3"]
    loaded = load_fields(store.open_store(tmp_path), order, (2, 3, 4))
    wanted = [seen(records[clip_id].arrays["vectors"], (2, 3, 4)) for clip_id in order]
    assert loaded.dtype == np.float16
    assert np.array_equal(loaded, wanted)
