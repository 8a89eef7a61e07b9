"""What a network sees of a motion field: places, area means, units."""

import numpy as np
import pytest
from builders import PLAIN, write_motion
from footage import encode, moving

from mocliplite.motion import extraction
from mocliplite.motion.field import MISSING
from mocliplite.motion_net.sampling import even_positions, frames_at, load_fields, sample_fields
from mocliplite.store import stores

I, P, B, GONE = 0, 1, 2, 3  # noqa: E741


def random_vectors(frames=6, rows=6, cols=8, unknown=0.0, limit=60, seed=0):
    """int8 [T, rows, cols, 2], the share `unknown` of its cells MISSING."""
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-limit, limit + 1, (frames, rows, cols, 2)).astype(np.int8)
    vectors[rng.random((frames, rows, cols)) < unknown] = MISSING
    return vectors


def seen(vectors, grid, size=None, remove_global_motion=False):
    return sample_fields(vectors, size or (8 * vectors.shape[1], 8 * vectors.shape[2]), grid, remove_global_motion)


def doubled(vectors):
    """The same clip at twice the size: four cells for one, and each moves twice as far."""
    large = np.where(vectors == MISSING, MISSING, 2 * vectors.astype(int)).astype(np.int8)
    return large.repeat(2, axis=1).repeat(2, axis=2)


@pytest.mark.parametrize("grid", [(15, 20), (1, 1), (6, 8), (5, 9)])
def test_fields_are_float16_of_the_size_asked_for(grid):
    fields = seen(random_vectors(frames=4), grid)
    assert (fields.shape, fields.dtype) == ((4, 3, *grid), np.float16)


def test_displacements_are_in_cells_of_the_new_grid():
    # 32 quarter pixels right and 16 down: on 10 x 10 cells of 8 pixels one cell and a half, on 5 x 5 half of that.
    vectors = np.full((1, 10, 10, 2), (32, 16), dtype=np.int8)
    assert seen(vectors, (10, 10))[0, :, 0, 0].tolist() == [1, 0.5, 1]
    assert seen(vectors, (5, 5))[0, :, 0, 0].tolist() == [0.5, 0.25, 1]


@pytest.mark.parametrize("grid", [(15, 20), (3, 4), (5, 7), (13, 9), (1, 1)])
def test_a_constant_field_stays_constant(grid):
    # The weights of an area mean sum to one, also where cells do not fit.
    vectors = np.full((1, 6, 8, 2), 40, dtype=np.int8)
    x, y, known = seen(vectors, grid)[0].astype(float)
    rows, cols = grid
    assert np.allclose(x, 40 / 4 * cols / 64, rtol=1e-3)
    assert np.allclose(y, 40 / 4 * rows / 48, rtol=1e-3)
    assert np.allclose(known, 1)


@pytest.mark.parametrize("grid", [(15, 20), (3, 4), (5, 7), (13, 9)])
def test_the_mean_over_the_picture_is_conserved(grid):
    vectors = random_vectors(frames=1)
    x, y, _ = seen(vectors, grid)[0].astype(float).mean(axis=(1, 2))
    wanted = vectors[0].mean(axis=(0, 1)) / 4 * (grid[1] / 64, grid[0] / 48)
    assert [x, y] == pytest.approx(wanted, abs=2e-3)


def test_a_grid_of_the_same_size_keeps_each_cell():
    vectors = random_vectors(frames=1)
    fields = seen(vectors, (6, 8))[0, :2].astype(float)
    assert np.allclose(fields, vectors[0].transpose(2, 0, 1) / 32, atol=1e-3)


@pytest.mark.parametrize("unknown", [0, 0.3])
@pytest.mark.parametrize("grid", [(6, 8), (15, 20), (4, 5)])
def test_a_clip_and_its_twin_of_twice_the_size_look_the_same(grid, unknown):
    vectors = random_vectors(unknown=unknown)
    assert np.allclose(seen(vectors, grid), seen(doubled(vectors), grid), atol=2e-3)


def test_twins_that_went_through_a_codec_look_the_same(tmp_path):
    sizes = {"small.avi": (96, 128), "large.avi": (192, 256)}
    means = []
    for times, (name, size) in enumerate(sizes.items(), start=1):
        path = encode(tmp_path / name, moving(right=3 * times, down=2 * times, frames=12, size=size))
        field = extraction.motion_field(path, PLAIN)
        chosen = field.vectors[frames_at(field.kind, even_positions(4))]
        fields = sample_fields(chosen, (field.height, field.width), (12, 16), remove_global_motion=False).astype(float)
        means.append(np.median(fields[:, :2, 2:-2, 2:-2], axis=(0, 2, 3)))
    # 3 of 128 pixels are 0.375 of 16 cells.
    assert np.allclose(means, [[0.375, 0.25]] * 2, atol=0.01)


def test_unknown_cells_lower_the_share_and_not_the_motion():
    vectors = np.full((1, 4, 4, 2), 32, dtype=np.int8)
    vectors[0, :, ::2] = MISSING
    vectors[0, :2] = MISSING
    x, y, known = seen(vectors, (2, 2))[0].tolist()
    assert known == [[0, 0], [0.5, 0.5]]
    assert (x, y) == ([[0, 0], [0.5, 0.5]],) * 2


@pytest.mark.parametrize("remove_global_motion", [False, True])
@pytest.mark.parametrize("grid", [(6, 8), (5, 7), (15, 20)])
def test_a_mirrored_clip_gives_the_mirrored_field(grid, camera):
    # Of an odd number of cells, so that the median is one of them.
    vectors = random_vectors(cols=9, rows=7)
    mirrored = vectors[:, :, ::-1].copy()
    mirrored[..., 0] = np.where(mirrored[..., 0] == MISSING, MISSING, -mirrored[..., 0])
    turned = seen(mirrored, grid, remove_global_motion=camera)[..., ::-1] * np.array([-1, 1, 1]).reshape(3, 1, 1)
    assert np.allclose(turned, seen(vectors, grid, remove_global_motion=camera), atol=2e-3)


@pytest.mark.parametrize(("count", "wanted"), [(1, [5]), (2, [2, 6]), (4, [1, 2, 5, 6]), (8, [1, 1, 2, 2, 5, 5, 6, 6])])
def test_only_frames_with_vectors_are_taken_at_even_places(count, wanted):
    kind = np.array([I, P, B, GONE, I, P, P, GONE])
    assert frames_at(kind, even_positions(count)).tolist() == wanted


def test_the_end_of_a_clip_is_its_last_frame():
    assert frames_at(np.array([P, P, P, GONE]), np.array([0.0, 0.999999, 1.0])).tolist() == [0, 2, 2]


@pytest.mark.parametrize("unknown", [0, 0.3])
def test_a_camera_that_moves_is_no_motion_and_what_moves_against_it_is(unknown):
    still = np.zeros((3, 12, 16, 2), dtype=np.int8)
    still[:, 4:8, 4:8] = (20, -8)
    still[np.random.default_rng(0).random((3, 12, 16)) < unknown] = MISSING
    # Each field with a jerk of its own.
    jerks = np.array([[[[9, -3]]], [[[-14, 0]]], [[[0, 0]]]])
    shaken = np.where(still == MISSING, MISSING, still + jerks).astype(np.int8)
    assert np.array_equal(seen(shaken, (12, 16), remove_global_motion=True), seen(still, (12, 16)))
    assert not np.allclose(seen(shaken, (12, 16)), seen(still, (12, 16)), atol=0.1)


def test_where_nothing_is_known_the_camera_stands():
    vectors = np.full((1, 4, 4, 2), MISSING, dtype=np.int8)
    assert seen(vectors, (2, 2), remove_global_motion=True).tolist() == np.zeros((1, 3, 2, 2)).tolist()


def test_the_largest_motion_keeps_its_size_in_float16():
    vectors = np.full((1, 30, 40, 2), (127, -127), dtype=np.int8)
    x, y, _ = seen(vectors, (15, 20))[0, :, 3, 3].tolist()
    assert (x, y) == pytest.approx((127 / 64, -127 / 64), rel=1e-3)


def test_fields_of_a_store_are_those_of_the_places_asked_for(tmp_path):
    write_motion(tmp_path, {"clip": random_vectors(frames=9), "other": random_vectors(frames=5, seed=1)})
    places = np.array([0.95, 0.0, 0.5, 0.5])
    fields = load_fields(stores.open_store(tmp_path), "clip", places, (3, 4), remove_global_motion=True)
    assert np.array_equal(fields, seen(random_vectors(frames=9)[[8, 0, 4, 4]], (3, 4), remove_global_motion=True))
