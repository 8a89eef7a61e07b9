"""What a network is shown of a clip. Each change of the picture must be the same change of the motion."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import NET, PLAIN
from footage import encode, moving

from mocliplite.motion import extraction
from mocliplite.motion_net import augmentation, sampling
from mocliplite.motion_net.sampling import frames_at, sample_fields

PAPER = replace(NET, arch="efficientnet_b0", rows=6, cols=8, frames=2, segments=2)
STILL = replace(NET, flip=False, zoom=0.0, shift=0.0, speed_jitter=0.0)


def constant(x, y, clips=100, rows=6, cols=8):
    """Known fields of one motion everywhere: float16 [clips, 1, 3, rows, cols]."""
    return torch.tensor([x, y, 1.0]).half()[:, None, None].expand(clips, 1, 3, rows, cols)


def augmented(fields, settings, seed=0):
    return augmentation.augment(fields, settings, torch.Generator().manual_seed(seed))


def middle(fields):
    """x, y and share known in the middle of the first field of each clip, to which every window reaches: [B, 3]."""
    return fields[:, 0, :, fields.shape[-2] // 2, fields.shape[-1] // 2]


# Places


def test_plain_places_are_even_and_shifted_ones_begin_later():
    settings = replace(NET, frames=4)
    assert sampling.positions(settings).tolist() == [0.125, 0.375, 0.625, 0.875]
    assert sampling.positions(settings, "flip").tolist() == [0.125, 0.375, 0.625, 0.875]
    assert sampling.positions(settings, "shift").tolist() == pytest.approx([0.2125, 0.4375, 0.6625, 0.8875])


def test_random_places_are_one_of_each_span_of_what_trimming_leaves():
    settings = replace(NET, segments=5, temporal_crop=0.0)
    drawn = np.array([sampling.random_positions(settings, np.random.default_rng(seed)) for seed in range(200)])
    assert (np.floor(drawn * 5) == np.arange(5)).all()
    trimmed = replace(settings, temporal_crop=0.2)
    drawn = np.array([sampling.random_positions(trimmed, np.random.default_rng(seed)) for seed in range(200)])
    assert 0.1 < drawn[:, 0].max() < 0.2 + 1 / 5
    assert 0.8 - 1 / 5 < drawn[:, -1].min() < 0.9


# Meaning


def test_a_clip_that_moves_right_flipped_is_the_clip_that_moves_left(tmp_path):
    """Through the codec: the flipped field of one video against the field of its mirror image."""
    pair = []
    for name, right in (("right.avi", 4), ("left.avi", -4)):
        frames = moving(right=4, down=0, frames=12)
        path = encode(tmp_path / name, frames if right > 0 else [np.ascontiguousarray(one[:, ::-1]) for one in frames])
        field = extraction.motion_field(path, PLAIN)
        chosen = field.vectors[frames_at(field.kind, np.array([0.2, 0.6]))]
        pair.append(
            torch.from_numpy(
                sample_fields(chosen, (field.height, field.width), (6, 8), remove_global_motion=False)
            ).float()
        )
    right, left = (fields[:, 0, 1:-1, 1:-1].median().item() for fields in pair)
    assert right == pytest.approx(8 * 4 / 176, abs=0.02)  # 4 of 176 pixels, on 8 cells
    assert left == pytest.approx(-right, abs=0.02)
    assert augmentation.flip(pair[0])[:, 0, 1:-1, 1:-1].median().item() == pytest.approx(left, abs=0.02)


def test_flip_reverses_columns_and_the_sign_of_x():
    x, y, known = [[1.0, 2.0]], [[3.0, 4.0]], [[0.5, 1.0]]
    wanted = [[[-2.0, -1.0]], [[4.0, 3.0]], [[1.0, 0.5]]]
    assert augmentation.flip(torch.tensor([x, y, known])).tolist() == wanted


@pytest.mark.parametrize("settings", [replace(STILL, flip=True), replace(PAPER, flip=True)])
def test_half_of_the_clips_are_mirrored_and_then_move_the_other_way(settings):
    x, y, _ = middle(augmented(constant(1.0, 0.5), settings)).T
    assert set(x.tolist()) == {-1.0, 1.0}
    assert 33 <= int((x < 0).sum()) <= 67
    assert y.tolist() == [0.5] * 100


@pytest.mark.parametrize("settings", [STILL, replace(PAPER, flip=False)])
def test_where_left_and_right_are_classes_nothing_is_mirrored(settings):
    assert middle(augmented(constant(1.0, 0.5), settings)).tolist() == [[1.0, 0.5, 1.0]] * 100


def test_what_is_zoomed_moves_as_much_more_as_it_is_larger():
    # A block of 8 x 8 cells in the middle that moves by (1, 1): its size is told by the share known, to half a cell.
    fields = torch.zeros(200, 2, 3, 24, 24)
    fields[..., 8:16, 8:16] = 1.0
    out = augmented(fields, replace(STILL, rows=24, cols=24, zoom=0.3))
    known = out[:, 0, 2]
    width, height = known[:, 12].sum(dim=1) / 8, known[:, :, 12].sum(dim=1) / 8
    assert width.max() > 1.25
    assert width.min() < 0.8
    assert torch.allclose(middle(out)[:, 0], width, rtol=0.06)
    assert torch.allclose(middle(out)[:, 1], height, rtol=0.06)
    # The axes differ by up to e**0.15.
    assert 0.1 < (width / height).log().abs().max() < 0.2


def test_shift_moves_the_picture_and_leaves_the_motion():
    fields = torch.zeros(200, 2, 3, 24, 24)
    fields[..., 8:16, 8:16] = 1.0
    out = augmented(fields, replace(STILL, rows=24, cols=24, shift=0.125))
    assert torch.allclose(middle(out), torch.ones(200, 3), atol=1e-5)
    columns = torch.arange(24) + 0.5
    centre = (out[:, 0, 2] * columns).sum(dim=(1, 2)) / out[:, 0, 2].sum(dim=(1, 2))
    assert 2.5 < centre.max() - 12 <= 3.01  # an eighth of 24
    assert -3.01 <= centre.min() - 12 < -2.5


def test_pace_changes_speed_and_not_direction():
    x, y, known = middle(augmented(constant(1.0, -0.5), replace(STILL, speed_jitter=0.2))).T
    assert torch.allclose(y, -0.5 * x)
    assert 0.81 < x.min() < 0.87
    assert 1.15 < x.max() < 1.23
    assert known.tolist() == [1.0] * 100


@pytest.mark.parametrize("settings", [NET, replace(PAPER, flip=True)])
def test_a_clip_is_changed_as_a_whole_and_by_its_seed_alone(settings):
    fields = torch.randn(6, 1, 3, settings.rows, settings.cols).expand(-1, 4, -1, -1, -1)
    out = augmented(fields, settings)
    assert torch.equal(out, out[:, :1].expand_as(out))
    assert torch.equal(out, augmented(fields, settings))
    assert not torch.equal(out, augmented(fields, settings, seed=1))


def test_outside_the_picture_nothing_is_known():
    out = augmented(constant(1.0, 1.0), replace(STILL, shift=0.3))
    corner = out[:, 0, :, 0, 0]
    gone = corner[:, 2] == 0
    assert 5 < int(gone.sum()) < 95
    assert corner[gone].abs().max() == 0


# The paper's crops


def test_paper_is_shown_the_central_window_enlarged_block_by_block():
    fields = torch.arange(48.0).reshape(1, 1, 1, 6, 8).expand(1, 2, 3, 6, 8)
    (crop,) = augmentation.view_inputs(fields, PAPER)
    assert crop.shape == (1, 2, 3, 224, 224)
    # 7/8 of 6 rows from 0.375 on; pixel p of 224 lies at 0.375 + (p + 0.5) / 224 * 5.25.
    rows = np.floor(0.375 + (np.arange(224) + 0.5) / 224 * 5.25)
    cols = np.floor(0.5 + (np.arange(224) + 0.5) / 224 * 7)
    assert np.array_equal(crop[0, 0, 0].numpy(), rows[:, None] * 8 + cols)


def test_ten_crops_are_middle_and_corners_and_their_mirror_images():
    fields = torch.randn(1, 2, 3, 6, 8)
    crops = list(augmentation.view_inputs(fields, replace(PAPER, crops=10)))
    assert len(crops) == 10
    assert all(torch.equal(crops[i + 1], augmentation.flip(crops[i])) for i in range(0, 10, 2))
    corners = [(0, 0), (0, -1), (-1, 0), (-1, -1)]
    for crop, (row, col) in zip(crops[2::2], corners, strict=True):
        assert torch.equal(crop[..., row, col], fields[..., row, col])


def test_grid_is_shown_the_fields_as_they_are():
    fields = torch.randn(2, 2, 3, 6, 8).half()
    assert torch.equal(next(augmentation.view_inputs(fields, NET)), fields.float())
    assert torch.equal(next(augmentation.view_inputs(fields, NET, "shift")), fields.float())
    assert torch.equal(next(augmentation.view_inputs(fields, NET, "flip")), augmentation.flip(fields.float()))
