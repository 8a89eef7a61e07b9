"""Views and augmentation: each change of the picture must be the same change of the motion."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from builders import NET, PLAIN
from footage import encode, moving

from mocliplite.motion import extraction
from mocliplite.motion_net import augmentation
from mocliplite.motion_net.sampling import frames_at, sample_fields

PAPER = replace(NET, arch="efficientnet_b0", rows=6, cols=8, frames=2, segments=2)
UNCHANGED = replace(NET, flip=False, zoom=0.0, shift=0.0, speed_jitter=0.0)


def constant(x, y, clips=100, rows=6, cols=8):
    """Known fields of one motion everywhere: float16 [clips, 1, 3, rows, cols]."""
    return torch.tensor([x, y, 1.0]).half()[:, None, None].expand(clips, 1, 3, rows, cols)


def augmented(fields, settings, seed=0):
    return augmentation.augment(fields, settings, torch.Generator().manual_seed(seed))


def middle(fields):
    """x, y and share known in the middle of the first field of each clip: [B, 3]. Every window contains it."""
    return fields[:, 0, :, fields.shape[-2] // 2, fields.shape[-1] // 2]


# Mirroring


def encoded_fields(path, frames):
    """Two fields, float32 [2, 3, 6, 8], of frames that went through the codec."""
    field = extraction.motion_field(encode(path, frames), PLAIN)
    vectors = field.vectors[frames_at(field.kind, np.array([0.2, 0.6]))]
    fields = sample_fields(vectors, (field.height, field.width), (6, 8), remove_global_motion=False)
    return torch.from_numpy(fields).float()


def inner_x(fields):
    return fields[:, 0, 1:-1, 1:-1].median().item()


def test_flipped_fields_of_a_video_are_the_fields_of_the_mirrored_video(tmp_path):
    frames = moving(right=4, down=0, frames=12)
    fields = encoded_fields(tmp_path / "right.avi", frames)
    mirrored = encoded_fields(tmp_path / "left.avi", [np.ascontiguousarray(frame[:, ::-1]) for frame in frames])
    assert inner_x(fields) == pytest.approx(8 * 4 / 176, abs=0.02)  # 4 of 176 pixels, on 8 cells
    assert inner_x(mirrored) == pytest.approx(-8 * 4 / 176, abs=0.02)
    assert inner_x(augmentation.flip(fields)) == pytest.approx(inner_x(mirrored), abs=0.02)


def test_flip_reverses_columns_and_the_sign_of_x():
    x, y, known = [[1.0, 2.0]], [[3.0, 4.0]], [[0.5, 1.0]]
    expected = [[[-2.0, -1.0]], [[4.0, 3.0]], [[1.0, 0.5]]]
    assert augmentation.flip(torch.tensor([x, y, known])).tolist() == expected


@pytest.mark.parametrize("settings", [replace(UNCHANGED, flip=True), replace(PAPER, flip=True)])
def test_half_of_the_clips_are_mirrored_with_their_motion(settings):
    x, y, _ = middle(augmented(constant(1.0, 0.5), settings)).T
    assert set(x.tolist()) == {-1.0, 1.0}
    assert 33 <= int((x < 0).sum()) <= 67
    assert y.tolist() == [0.5] * 100


@pytest.mark.parametrize("settings", [UNCHANGED, replace(PAPER, flip=False)])
def test_no_clip_is_mirrored_if_flip_is_false(settings):
    assert middle(augmented(constant(1.0, 0.5), settings)).tolist() == [[1.0, 0.5, 1.0]] * 100


# Zoom, shift and speed


def test_zoom_scales_the_motion_with_the_picture():
    # A block of 8 x 8 known cells in the middle that moves by (1, 1): the known cells show its size, to half a cell.
    fields = torch.zeros(200, 2, 3, 24, 24)
    fields[..., 8:16, 8:16] = 1.0
    out = augmented(fields, replace(UNCHANGED, rows=24, cols=24, zoom=0.3))
    known = out[:, 0, 2]
    width, height = known[:, 12].sum(dim=1) / 8, known[:, :, 12].sum(dim=1) / 8
    assert width.max() > 1.25
    assert width.min() < 0.8
    assert torch.allclose(middle(out)[:, 0], width, rtol=0.06)
    assert torch.allclose(middle(out)[:, 1], height, rtol=0.06)
    # The axes differ by up to e**0.15.
    assert 0.1 < (width / height).log().abs().max() < 0.2


def test_shift_moves_the_picture_and_does_not_change_the_motion():
    fields = torch.zeros(200, 2, 3, 24, 24)
    fields[..., 8:16, 8:16] = 1.0
    out = augmented(fields, replace(UNCHANGED, rows=24, cols=24, shift=0.125))
    assert torch.allclose(middle(out), torch.ones(200, 3), atol=1e-5)
    columns = torch.arange(24) + 0.5
    centre = (out[:, 0, 2] * columns).sum(dim=(1, 2)) / out[:, 0, 2].sum(dim=(1, 2))
    assert 2.5 < centre.max() - 12 <= 3.01  # an eighth of 24
    assert -3.01 <= centre.min() - 12 < -2.5


def test_speed_jitter_changes_speed_and_not_direction():
    x, y, known = middle(augmented(constant(1.0, -0.5), replace(UNCHANGED, speed_jitter=0.2))).T
    assert torch.allclose(y, -0.5 * x)
    assert 0.81 < x.min() < 0.87
    assert 1.15 < x.max() < 1.23
    assert known.tolist() == [1.0] * 100


@pytest.mark.parametrize("settings", [NET, replace(PAPER, flip=True)])
def test_all_fields_of_a_clip_are_changed_alike_and_the_seed_decides_how(settings):
    fields = torch.randn(6, 1, 3, settings.rows, settings.cols).expand(-1, 4, -1, -1, -1)
    out = augmented(fields, settings)
    assert torch.equal(out, out[:, :1].expand_as(out))
    assert torch.equal(out, augmented(fields, settings))
    assert not torch.equal(out, augmented(fields, settings, seed=1))


def test_cells_outside_the_picture_are_unknown():
    out = augmented(constant(1.0, 1.0), replace(UNCHANGED, shift=0.3))
    corner = out[:, 0, :, 0, 0]
    outside = corner[:, 2] == 0
    assert 5 < int(outside.sum()) < 95
    assert corner[outside].abs().max() == 0


# Views


def test_efficientnet_gets_the_centre_crop_enlarged_without_interpolation():
    fields = torch.arange(48.0).reshape(1, 1, 1, 6, 8).expand(1, 2, 3, 6, 8)
    (crop,) = augmentation.view_inputs(fields, PAPER)
    assert crop.shape == (1, 2, 3, 224, 224)
    # 7/8 of 6 rows from 0.375 on; pixel p of 224 lies at 0.375 + (p + 0.5) / 224 * 5.25.
    rows = np.floor(0.375 + (np.arange(224) + 0.5) / 224 * 5.25)
    cols = np.floor(0.5 + (np.arange(224) + 0.5) / 224 * 7)
    assert np.array_equal(crop[0, 0, 0].numpy(), rows[:, None] * 8 + cols)


def test_ten_crops_are_centre_and_corners_and_their_mirror_images():
    fields = torch.randn(1, 2, 3, 6, 8)
    crops = list(augmentation.view_inputs(fields, replace(PAPER, crops=10)))
    assert len(crops) == 10
    for crop, mirrored in zip(crops[::2], crops[1::2], strict=True):
        assert torch.equal(mirrored, augmentation.flip(crop))
    corners = [(0, 0), (0, -1), (-1, 0), (-1, -1)]
    for crop, (row, col) in zip(crops[2::2], corners, strict=True):
        assert torch.equal(crop[..., row, col], fields[..., row, col])


def test_motion_histogram_gets_the_fields_unchanged_or_mirrored():
    fields = torch.randn(2, 2, 3, 6, 8).half()
    assert torch.equal(next(augmentation.view_inputs(fields, NET)), fields.float())
    assert torch.equal(next(augmentation.view_inputs(fields, NET, "shift")), fields.float())
    assert torch.equal(next(augmentation.view_inputs(fields, NET, "flip")), augmentation.flip(fields.float()))
