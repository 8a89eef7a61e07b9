"""Sampling of fields: positions, area means, units."""

from dataclasses import replace

import numpy as np
import pytest
from builders import NET, PLAIN
from footage import encode, moving

from mocliplite.motion import extraction
from mocliplite.motion.field import MISSING
from mocliplite.motion_net.sampling import (
    even_positions,
    frames_at,
    random_positions,
    sample_fields,
    view_positions,
)

I, P, B, UNKNOWN = 0, 1, 2, 3  # noqa: E741


def random_vectors(frames=6, rows=6, cols=8, unknown=0.0, limit=60, seed=0):
    """int8 [T, rows, cols, 2], the share `unknown` of its cells MISSING."""
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-limit, limit + 1, (frames, rows, cols, 2)).astype(np.int8)
    vectors[rng.random((frames, rows, cols)) < unknown] = MISSING
    return vectors


def sampled(vectors, grid, remove_global_motion=False):
    """sample_fields of vectors on cells of 8 pixels."""
    return sample_fields(vectors, (8 * vectors.shape[1], 8 * vectors.shape[2]), grid, remove_global_motion)


def doubled(vectors):
    """The same clip at twice the size: four cells for each cell, and twice the motion."""
    large = np.where(vectors == MISSING, MISSING, 2 * vectors.astype(int)).astype(np.int8)
    return large.repeat(2, axis=1).repeat(2, axis=2)


# Positions


def test_plain_positions_are_even_and_those_of_shift_begin_later():
    settings = replace(NET, frames=4)
    assert view_positions(settings).tolist() == [0.125, 0.375, 0.625, 0.875]
    assert view_positions(settings, "flip").tolist() == [0.125, 0.375, 0.625, 0.875]
    assert view_positions(settings, "shift").tolist() == pytest.approx([0.2125, 0.4375, 0.6625, 0.8875])


def test_there_is_one_random_position_in_each_span():
    settings = replace(NET, segments=5, temporal_crop=0.0)
    positions = np.array([random_positions(settings, np.random.default_rng(seed)) for seed in range(200)])
    assert positions.shape == (200, 5)
    assert (np.floor(positions * 5) == np.arange(5)).all()


def test_temporal_crop_leaves_out_a_random_part_of_either_end():
    settings = replace(NET, segments=20, temporal_crop=0.2)
    positions = np.array([random_positions(settings, np.random.default_rng(seed)) for seed in range(200)])
    # Without the crop, the first position is below 1 / 20 and the last one above 19 / 20.
    assert 0.15 < positions[:, 0].max() < 0.2 + 1 / 20
    assert 0.8 - 1 / 20 < positions[:, -1].min() < 0.85


@pytest.mark.parametrize(("count", "frames"), [(1, [5]), (2, [2, 6]), (4, [1, 2, 5, 6]), (8, [1, 1, 2, 2, 5, 5, 6, 6])])
def test_only_frames_with_vectors_are_sampled(count, frames):
    kind = np.array([I, P, B, UNKNOWN, I, P, P, UNKNOWN])
    assert frames_at(kind, even_positions(count)).tolist() == frames


def test_position_1_is_the_last_frame_with_vectors():
    assert frames_at(np.array([P, P, P, UNKNOWN]), np.array([0.0, 0.999999, 1.0])).tolist() == [0, 2, 2]


# Resampling


@pytest.mark.parametrize("grid", [(15, 20), (1, 1), (6, 8), (5, 9)])
def test_fields_are_float16_of_the_size_of_the_grid(grid):
    fields = sampled(random_vectors(frames=4), grid)
    assert (fields.shape, fields.dtype) == ((4, 3, *grid), np.float16)


def test_displacements_are_in_cells_of_the_new_grid():
    # 32 quarter pixels right and 16 down: 1 and 0.5 cells of 8 pixels, half of that on a grid of 5 x 5.
    vectors = np.full((1, 10, 10, 2), (32, 16), dtype=np.int8)
    assert sampled(vectors, (10, 10))[0, :, 0, 0].tolist() == [1, 0.5, 1]
    assert sampled(vectors, (5, 5))[0, :, 0, 0].tolist() == [0.5, 0.25, 1]


@pytest.mark.parametrize("grid", [(15, 20), (3, 4), (5, 7), (13, 9), (1, 1)])
def test_a_constant_field_stays_constant(grid):
    # The weights of an area mean sum to 1, also where cells of the two grids overlap in part.
    vectors = np.full((1, 6, 8, 2), 40, dtype=np.int8)
    x, y, known = sampled(vectors, grid)[0].astype(float)
    rows, cols = grid
    assert np.allclose(x, 40 / 4 * cols / 64, rtol=1e-3)
    assert np.allclose(y, 40 / 4 * rows / 48, rtol=1e-3)
    assert np.allclose(known, 1)


@pytest.mark.parametrize("grid", [(15, 20), (3, 4), (5, 7), (13, 9)])
def test_the_mean_over_the_picture_is_conserved(grid):
    vectors = random_vectors(frames=1)
    x, y, _ = sampled(vectors, grid)[0].astype(float).mean(axis=(1, 2))
    expected = vectors[0].mean(axis=(0, 1)) / 4 * (grid[1] / 64, grid[0] / 48)
    assert [x, y] == pytest.approx(expected, abs=2e-3)


def test_a_grid_of_the_same_size_does_not_change_the_cells():
    vectors = random_vectors(frames=1)
    fields = sampled(vectors, (6, 8))[0, :2].astype(float)
    assert np.allclose(fields, vectors[0].transpose(2, 0, 1) / 32, atol=1e-3)


@pytest.mark.parametrize("unknown", [0, 0.3])
@pytest.mark.parametrize("grid", [(6, 8), (15, 20), (4, 5)])
def test_fields_do_not_depend_on_the_size_of_the_video(grid, unknown):
    vectors = random_vectors(unknown=unknown)
    assert np.allclose(sampled(vectors, grid), sampled(doubled(vectors), grid), atol=2e-3)


def test_fields_do_not_depend_on_the_size_of_an_encoded_video(tmp_path):
    sizes = {"small.avi": (96, 128), "large.avi": (192, 256)}
    means = []
    for scale, (name, size) in enumerate(sizes.items(), start=1):
        path = encode(tmp_path / name, moving(right=3 * scale, down=2 * scale, frames=12, size=size))
        field = extraction.motion_field(path, PLAIN)
        vectors = field.vectors[frames_at(field.kind, even_positions(4))]
        fields = sample_fields(vectors, (field.height, field.width), (12, 16), remove_global_motion=False).astype(float)
        means.append(np.median(fields[:, :2, 2:-2, 2:-2], axis=(0, 2, 3)))
    # 3 of 128 pixels are 0.375 of 16 cells.
    assert np.allclose(means, [[0.375, 0.25]] * 2, atol=0.01)


def test_unknown_cells_lower_the_share_known_and_not_the_motion():
    vectors = np.full((1, 4, 4, 2), 32, dtype=np.int8)
    vectors[0, :, ::2] = MISSING
    vectors[0, :2] = MISSING
    x, y, known = sampled(vectors, (2, 2))[0].tolist()
    assert known == [[0, 0], [0.5, 0.5]]
    assert (x, y) == ([[0, 0], [0.5, 0.5]],) * 2


@pytest.mark.parametrize("remove_global_motion", [False, True])
@pytest.mark.parametrize("grid", [(6, 8), (5, 7), (15, 20)])
def test_a_mirrored_clip_gives_the_mirrored_field(grid, remove_global_motion):
    # The number of cells is odd, so that the median is the motion of one of them.
    vectors = random_vectors(cols=9, rows=7)
    mirrored = vectors[:, :, ::-1].copy()
    mirrored[..., 0] = np.where(mirrored[..., 0] == MISSING, MISSING, -mirrored[..., 0])
    mirrored_back = sampled(mirrored, grid, remove_global_motion)[..., ::-1] * np.array([-1, 1, 1]).reshape(3, 1, 1)
    assert np.allclose(mirrored_back, sampled(vectors, grid, remove_global_motion), atol=2e-3)


# Global motion


@pytest.mark.parametrize("unknown", [0, 0.3])
def test_removing_global_motion_leaves_the_motion_relative_to_the_camera(unknown):
    still = np.zeros((3, 12, 16, 2), dtype=np.int8)
    still[:, 4:8, 4:8] = (20, -8)
    still[np.random.default_rng(0).random((3, 12, 16)) < unknown] = MISSING
    # The camera moves differently in each field.
    camera = np.array([[[[9, -3]]], [[[-14, 0]]], [[[0, 0]]]])
    shaken = np.where(still == MISSING, MISSING, still + camera).astype(np.int8)
    assert np.array_equal(sampled(shaken, (12, 16), remove_global_motion=True), sampled(still, (12, 16)))
    assert not np.allclose(sampled(shaken, (12, 16)), sampled(still, (12, 16)), atol=0.1)


def test_a_field_without_known_cells_has_no_global_motion():
    vectors = np.full((1, 4, 4, 2), MISSING, dtype=np.int8)
    assert sampled(vectors, (2, 2), remove_global_motion=True).tolist() == np.zeros((1, 3, 2, 2)).tolist()


def test_float16_is_precise_enough_for_the_largest_motion():
    vectors = np.full((1, 30, 40, 2), (127, -127), dtype=np.int8)
    x, y, _ = sampled(vectors, (15, 20))[0, :, 3, 3].tolist()
    assert (x, y) == pytest.approx((127 / 64, -127 / 64), rel=1e-3)
