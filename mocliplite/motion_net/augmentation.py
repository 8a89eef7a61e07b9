"""What a network is shown of a clip: places in time; fields shifted, scaled, mirrored or cropped, motion with them."""

from collections.abc import Iterator

import torch
from torch import Tensor

from mocliplite.params import MotionNet

# The paper's input: pixels, of a window of a share of the field's height and width: drawn in training, else CENTRAL.
PAPER_SIDE = 224
PAPER_SHARES = (1.0, 0.875, 0.75)
CENTRAL = 0.875


def flip(fields: Tensor) -> Tensor:
    """The mirrored clip: columns in reverse, and what moved right moves left. [..., 3, rows, cols]."""
    sign = torch.tensor([-1.0, 1.0, 1.0], device=fields.device).reshape(3, 1, 1)
    return fields.flip(-1) * sign


def view_inputs(fields: Tensor, settings: MotionNet, view: str = "plain") -> Iterator[Tensor]:
    """The inputs whose mean embedding is that of the view: one, or for efficientnet_b0 `crops` of them.

    fields: [B, T, 3, rows, cols]; each input float32 [B, T, 3, rows, cols], or the paper's [B, T, 3, 224, 224].
    """
    seen = flip(fields.float()) if view == "flip" else fields.float()
    if settings.arch != "efficientnet_b0":
        yield seen
        return
    corners = [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)] if settings.crops == 10 else []
    for corner in [(0.5, 0.5), *corners]:
        crop = _crop(seen, torch.tensor([(CENTRAL, *corner)]).expand(len(seen), 3))
        yield crop
        if settings.crops == 10:
            yield flip(crop)


def augment(fields: Tensor, settings: MotionNet, generator: torch.Generator) -> Tensor:
    """Training's version of the same clips [B, T, 3, rows, cols], each clip changed as a whole, as `shown` returns it.

    Grid: mirrored, zoomed (motion with it), shifted, made faster or slower. The paper's: mirrored, and cropped to one
    of PAPER_SHARES somewhere.
    """
    change = _augment_paper if settings.arch == "efficientnet_b0" else _augment_histogram
    return change(fields.float(), settings, generator)


def _augment_histogram(fields: Tensor, settings: MotionNet, generator: torch.Generator) -> Tensor:
    """Mirror half of the clips; zoom each by up to e**zoom, axes apart by half of that; shift; change the pace."""

    def within(limit: float) -> Tensor:
        return (2 * torch.rand(len(fields), generator=generator) - 1) * limit

    side = _sides(len(fields), settings, generator)
    across = within(settings.zoom).exp()
    down = across * within(settings.zoom / 2).exp()
    window = torch.zeros(len(fields), 2, 3)
    window[:, 0, 0], window[:, 1, 1] = side / across, 1 / down
    # The window's coordinates go from -1 to 1, twice the share of the picture.
    window[:, 0, 2], window[:, 1, 2] = within(2 * settings.shift), within(2 * settings.shift)
    pace = within(settings.speed_jitter).exp()
    motion = torch.stack([side * across * pace, down * pace, torch.ones(len(fields))], dim=1)
    return (
        _cut(fields, window, (settings.rows, settings.cols), "bilinear")
        * motion.to(fields.device)[:, None, :, None, None]
    )


def _augment_paper(fields: Tensor, settings: MotionNet, generator: torch.Generator) -> Tensor:
    shares = torch.tensor(PAPER_SHARES)[torch.randint(len(PAPER_SHARES), (len(fields), 1), generator=generator)]
    out = _crop(fields, torch.cat([shares, torch.rand(len(fields), 2, generator=generator)], dim=1))
    mirrored = (_sides(len(fields), settings, generator) < 0).to(fields.device)
    return torch.where(mirrored[:, None, None, None, None], flip(out), out)


def _crop(fields: Tensor, windows: Tensor) -> Tensor:
    """Each clip's window (share, down, right) of [B, 3] as PAPER_SIDE pixels a side of its blocks.

    down and right, from 0 to 1, tell where in the room that the share leaves the window lies.
    """
    share, down, right = windows.T
    window = torch.zeros(len(fields), 2, 3)
    window[:, 0, 0], window[:, 1, 1] = share, share
    window[:, 0, 2], window[:, 1, 2] = (2 * right - 1) * (1 - share), (2 * down - 1) * (1 - share)
    return _cut(fields, window, (PAPER_SIDE, PAPER_SIDE), "nearest")


def _sides(clips: int, settings: MotionNet, generator: torch.Generator) -> Tensor:
    """-1 for about half of the clips where motion_net.flip is set, else 1: float32 [B]."""
    drawn = torch.rand(clips, generator=generator)
    return torch.where((drawn < 0.5) & settings.flip, -1.0, 1.0)


def _cut(fields: Tensor, window: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """The window, an affine map [B, 2, 3] as affine_grid takes it, of every field of a clip; unknown outside."""
    clips, frames = fields.shape[:2]
    grid = torch.nn.functional.affine_grid(window, [clips, 1, *size], align_corners=False).to(fields.device)
    cut = torch.nn.functional.grid_sample(fields.flatten(1, 2), grid, mode=mode, align_corners=False)
    return cut.unflatten(1, (frames, 3))
