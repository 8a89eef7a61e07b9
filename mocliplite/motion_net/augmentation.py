"""The inputs of a motion network: views of a clip, and random augmentation in training.

Every change of the picture changes its motion in the same way: a mirrored clip moves in the opposite direction, an
enlarged one moves further.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from mocliplite.params import MotionNet

# The paper's input: square crops of CROP_SIZE pixels. A crop covers a share of the field's height and width: one of
# CROP_SCALES in training, else CENTRE_CROP_SCALE.
CROP_SIZE = 224
CROP_SCALES = (1.0, 0.875, 0.75)
CENTRE_CROP_SCALE = 0.875


def flip(fields: Tensor) -> Tensor:
    """Return the horizontally mirrored fields [..., 3, rows, cols]: columns reversed, x negated."""
    sign = torch.tensor([-1.0, 1.0, 1.0], device=fields.device).reshape(3, 1, 1)
    return fields.flip(-1) * sign


def view_inputs(fields: Tensor, settings: MotionNet, view: str = "plain") -> Iterator[Tensor]:
    """Yield the network inputs of a view; the view's embedding is the mean of their embeddings.

    There is one input, or for efficientnet_b0 `crops` inputs. fields is [B, T, 3, rows, cols]; each input is float32
    [B, T, 3, rows, cols], or [B, T, 3, 224, 224] for efficientnet_b0.
    """
    inputs = flip(fields.float()) if view == "flip" else fields.float()
    if settings.arch != "efficientnet_b0":
        yield inputs
        return
    # In these two functions, fields.shape[0]: in a graph, len would fix the number of clips.
    corners = [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)] if settings.crops == 10 else []
    for corner in [(0.5, 0.5), *corners]:
        crop = _crop(inputs, torch.tensor([(CENTRE_CROP_SCALE, *corner)]).expand(inputs.shape[0], 3))
        yield crop
        if settings.crops == 10:
            yield flip(crop)


def augment(fields: Tensor, settings: MotionNet, generator: torch.Generator) -> Tensor:
    """Return randomly augmented inputs of the clips [B, T, 3, rows, cols], of the shapes of `view_inputs`.

    All fields of a clip are changed alike. motion_histogram: mirror, zoom, shift, change of speed. efficientnet_b0:
    mirror, and a random crop at one of CROP_SCALES.
    """
    change = _augment_crop if settings.arch == "efficientnet_b0" else _augment_affine
    return change(fields.float(), settings, generator)


def _augment_affine(fields: Tensor, settings: MotionNet, generator: torch.Generator) -> Tensor:
    """Mirror half of the clips, and zoom, shift and speed up or slow down each one.

    zoom is up to e**zoom; the zooms of the two axes differ by up to e**(zoom / 2).
    """

    def uniform(limit: float) -> Tensor:
        return (2 * torch.rand(len(fields), generator=generator) - 1) * limit

    sign = _random_signs(len(fields), settings, generator)
    zoom_x = uniform(settings.zoom).exp()
    zoom_y = zoom_x * uniform(settings.zoom / 2).exp()
    transform = torch.zeros(len(fields), 2, 3)
    transform[:, 0, 0], transform[:, 1, 1] = sign / zoom_x, 1 / zoom_y
    # The coordinates of affine_grid go from -1 to 1: twice the share of the picture.
    transform[:, 0, 2], transform[:, 1, 2] = uniform(2 * settings.shift), uniform(2 * settings.shift)
    speed = uniform(settings.speed_jitter).exp()
    motion_scale = torch.stack([sign * zoom_x * speed, zoom_y * speed, torch.ones(len(fields))], dim=1)
    resampled = _resample(fields, transform, (settings.rows, settings.cols), "bilinear")
    return resampled.mul_(motion_scale.to(fields.device)[:, None, :, None, None])


def _augment_crop(fields: Tensor, settings: MotionNet, generator: torch.Generator) -> Tensor:
    scales = torch.tensor(CROP_SCALES)[torch.randint(len(CROP_SCALES), (len(fields), 1), generator=generator)]
    crops = _crop(fields, torch.cat([scales, torch.rand(len(fields), 2, generator=generator)], dim=1))
    mirrored = (_random_signs(len(fields), settings, generator) < 0).to(fields.device)
    return torch.where(mirrored[:, None, None, None, None], flip(crops), crops)


def _crop(fields: Tensor, windows: Tensor) -> Tensor:
    """Return each clip's window, enlarged to [B, T, 3, CROP_SIZE, CROP_SIZE] without interpolation.

    windows is float32 [B, 3]: scale, and the position (down, right) of the window between the edges, from 0 to 1.
    """
    scale, down, right = windows.T
    transform = torch.zeros(fields.shape[0], 2, 3)
    transform[:, 0, 0], transform[:, 1, 1] = scale, scale
    transform[:, 0, 2], transform[:, 1, 2] = (2 * right - 1) * (1 - scale), (2 * down - 1) * (1 - scale)
    return _resample(fields, transform, (CROP_SIZE, CROP_SIZE), "nearest")


def _random_signs(clips: int, settings: MotionNet, generator: torch.Generator) -> Tensor:
    """float32 [B]: -1 for about half of the clips where motion_net.flip is set, else 1."""
    uniform = torch.rand(clips, generator=generator)
    return torch.where((uniform < 0.5) & settings.flip, -1.0, 1.0)


def _resample(fields: Tensor, transform: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """Apply each clip's affine transform [B, 2, 3], as affine_grid defines it, to all its fields; unknown outside."""
    clips, frames = fields.shape[:2]
    grid = torch.nn.functional.affine_grid(transform, [clips, 1, *size], align_corners=False).to(fields.device)
    resampled = torch.nn.functional.grid_sample(fields.flatten(1, 2), grid, mode=mode, align_corners=False)
    return resampled.unflatten(1, (frames, 3))
