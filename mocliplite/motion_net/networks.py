"""The motion networks: from motion fields to an embedding and class logits."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mocliplite.encoders import efficientnet
from mocliplite.motion_net.settings import settings_from_config
from mocliplite.params import MotionNet

# Of MotionHistogram: channels of the histogram for one sign of the motion or of its derivatives, bins in time, rows and
# columns, the channels of the two convolutions, and the number of members.
SIGNED = 4
BINS = (8, 12, 16)
CHANNELS = (24, 48)
MEMBERS = 4
# Fields that EfficientNet-B0 embeds at once: more would not fit the memory of a small machine.
MAX_IMAGES = 64


class Network(nn.Module):
    """Base class of motion networks: an embedding of the fields, and a linear layer from it to class logits."""

    dropout: nn.Dropout  # before the linear layer, in training
    classify: nn.Linear

    def embed(self, fields: Tensor) -> Tensor:
        """Return the embedding, float32 [B, D], of inputs from augmentation.view_inputs or augmentation.augment."""
        raise NotImplementedError

    def forward(self, fields: Tensor) -> Tensor:
        """Return class logits, float32 [B, C]."""
        return self.member_logits(self.embed(fields)).mean(dim=1)

    def member_logits(self, embedding: Tensor) -> Tensor:
        """Return class logits, float32 [B, M, C], of M members, each of which has a loss of its own in training.

        classify(embedding) is their mean. A network has one member unless it overrides this method.
        """
        return self.classify(self.dropout(embedding)).unsqueeze(1)


class MotionHistogram(Network):
    """Histograms of motion in bins of time and space, and a small 3-D network on them.

    Input float32 [B, T, 3, rows, cols]: x, y, share known. With motion_net.histogram `boundaries`, the histograms are
    those of the spatial derivatives of the motion (motion boundary histograms, Dalal et al., ECCV 2006); with
    `directions`, those of the motion projected on four axes. Both are split by sign, so that opposite values within a
    bin do not cancel. They and the share unknown are averaged over BINS; the square root reduces the differences
    between slow and fast clips. MEMBERS networks, which differ by their initial weights and by dropout, share the
    histograms. The embedding has the hidden units of all of them, and the logits are the mean of theirs.
    """

    def __init__(self, settings: MotionNet, classes: int) -> None:
        super().__init__()
        self.write = {"boundaries": _write_derivatives, "directions": _write_projections}[settings.histogram]
        channels = 2 * SIGNED + 1
        self.normalise = nn.BatchNorm3d(channels)
        self.members = nn.ModuleList(_Member(channels, settings) for _ in range(MEMBERS))
        self.dropout = nn.Dropout(settings.dropout / 2)
        self.classify = nn.Linear(MEMBERS * settings.width, classes)

    @torch.no_grad()
    def histogram(self, fields: Tensor) -> Tensor:
        """Return the histograms, float32 [B, 9, *BINS], of fields [B, T, 3, rows, cols]; not learned."""
        # The intermediate values of one clip fit the cache of a processor. A graph has no loop over clips.
        one_by_one = fields.device.type == "cpu" and not torch.compiler.is_exporting()
        parts = fields.split(1) if one_by_one else (fields,)
        return torch.cat([self._histogram(part) for part in parts])

    def _histogram(self, fields: Tensor) -> Tensor:
        parts = [SIGNED, SIGNED, 1]
        channels = fields.permute(2, 0, 1, 3, 4).contiguous()
        volume = fields.new_empty(sum(parts), *channels.shape[1:])
        positive, signed, known = volume.split(parts)
        self.write(signed, channels)
        torch.clamp(signed, min=0, out=positive)
        known.copy_(channels[2:])
        positive, signed, known = _mean_in_bins(volume).split(parts)
        # The mean of relu(-v) is the mean of relu(v) less the mean of v: this halves the work.
        return torch.cat([positive, (positive - signed).clamp(min=0), 1 - known]).transpose(0, 1)

    def embed_histogram(self, histogram: Tensor) -> Tensor:
        """Return the embedding, float32 [B, MEMBERS * width], of histograms [B, 9, *BINS]."""
        # Resampling may leave a share slightly above 1. The constant keeps the root from enlarging rounding errors.
        positive = histogram.clamp(min=0) + 1e-4
        # The square root without torch.sqrt, whose last bits differ between makers of processors.
        normalised = self.normalise(positive * positive.rsqrt())
        # In this memory format convolutions are a quarter faster on a CPU.
        normalised = normalised.contiguous(memory_format=torch.channels_last_3d)
        # Divided, so that the linear layer on all of them gives the mean of the members' logits.
        return torch.cat([member(normalised) for member in self.members], dim=1) / MEMBERS

    def embed(self, fields: Tensor) -> Tensor:
        """Return the embedding, float32 [B, MEMBERS * width], of fields [B, T, 3, rows, cols]."""
        return self.embed_histogram(self.histogram(fields))

    def member_logits(self, embedding: Tensor) -> Tensor:
        """Return the class logits of each member, float32 [B, MEMBERS, C]."""
        hidden = self.dropout(embedding * MEMBERS).unflatten(1, (MEMBERS, -1))
        weight = self.classify.weight.unflatten(1, (MEMBERS, -1))
        return torch.einsum("bmd,cmd->bmc", hidden, weight) + self.classify.bias


class _Member(nn.Module):
    """Two convolutions and a hidden layer. The output of the convolutions is used cell by cell and pooled."""

    def __init__(self, channels: int, settings: MotionNet) -> None:
        super().__init__()
        first, second = CHANNELS
        self.convolve = nn.Sequential(_conv_block(channels, first, (1, 2, 2)), _conv_block(first, second, (2, 2, 2)))
        cells = math.prod(math.ceil(bins / stride) for bins, stride in zip(BINS, (2, 4, 4), strict=True))
        self.hidden = nn.Sequential(
            nn.Dropout(settings.dropout), nn.Linear(second * (cells + 2), settings.width), nn.ReLU()
        )

    def forward(self, normalised: Tensor) -> Tensor:
        features = self.convolve(normalised)
        pooled = torch.cat([features.mean(dim=(2, 3, 4)), features.amax(dim=(2, 3, 4))], dim=1)
        hidden: Tensor = self.hidden(torch.cat([features.flatten(1), pooled], dim=1))
        return hidden


def _write_projections(out: Tensor, fields: Tensor) -> None:
    """Write the projections of the motion in fields [3, B, T, rows, cols] to out [SIGNED, B, T, rows, cols].

    The axes are at 0, 45, 90 and 135 degrees.
    """
    x, y = fields[0], fields[1]
    torch.stack([x, (x + y) * math.sqrt(0.5), y, (y - x) * math.sqrt(0.5)], out=out)


def _write_derivatives(out: Tensor, fields: Tensor) -> None:
    """Write the spatial derivatives of the motion in fields [3, B, T, rows, cols] to out [SIGNED, B, T, rows, cols].

    x and y along columns, then x and y along rows: central differences, in cells per frame interval and cell. They are
    0 at the edge of the field and where a neighbour is mostly unknown.
    """
    motion, known = fields[:2], (fields[2] > 0.5).float()
    across, down = out.split(2)
    _write_differences(across, motion, known, -1)
    _write_differences(down, motion, known, -2)


def _write_differences(out: Tensor, motion: Tensor, known: Tensor, dim: int) -> None:
    # The neighbours of a cell are at the same distance in memory for all cells. Long rows of memory are read faster
    # than rows of a field; the differences across its edges have no weight.
    step = known.stride(dim)
    weight = torch.zeros_like(known)
    pair = weight.flatten()[step:-step]
    torch.mul(known.flatten()[2 * step :], known.flatten()[: -2 * step], out=pair).div_(2)
    weight.index_fill_(dim, torch.tensor([0, known.shape[dim] - 1], device=known.device), 0)
    values, result = motion.flatten(1), out.zero_().flatten(1)[:, step:-step]
    torch.mul(values[:, 2 * step :] - values[:, : -2 * step], pair, out=result)


def _mean_in_bins(volume: Tensor) -> Tensor:
    """Average a volume [..., T, rows, cols] in BINS."""
    shape = volume.shape[-3:]
    if any(size % bins for size, bins in zip(shape, BINS, strict=True)):
        if torch.compiler.is_exporting():  # ONNX has no adaptive pooling
            in_time, down, across = (_bin_weights(size, bins) for size, bins in zip(shape, BINS, strict=True))
            means = down @ volume @ across.T
            return (in_time @ means.flatten(-2)).unflatten(-1, means.shape[-2:])
        return nn.functional.adaptive_avg_pool3d(volume, BINS)
    # The same values, four times as fast.
    return nn.functional.avg_pool3d(volume, [size // bins for size, bins in zip(shape, BINS, strict=True)])


def _bin_weights(size: int, bins: int) -> Tensor:
    """Return the weights float32 [bins, size] with which adaptive pooling averages."""
    spans = [(index * size // bins, math.ceil((index + 1) * size / bins)) for index in range(bins)]
    return torch.tensor([[(start <= cell < end) / (end - start) for cell in range(size)] for start, end in spans])


def _conv_block(channels_in: int, channels_out: int, stride: tuple[int, int, int]) -> nn.Sequential:
    convolution = nn.Conv3d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm3d(channels_out), nn.ReLU())


class EfficientNetB0(Network):
    """The paper's network: EfficientNet-B0 on each field, and the mean over fields.

    Input float32 [B, T, 3, height, width]: x, y, share known. The backbone gets x and y, normalised by BatchNorm2d(2).
    """

    def __init__(self, settings: MotionNet, classes: int) -> None:
        super().__init__()
        self.normalise = nn.BatchNorm2d(2)
        self.backbone = efficientnet.efficientnet_b0(channels=2)
        self.dropout = nn.Dropout(settings.dropout)
        self.classify = nn.Linear(efficientnet.DIM, classes)

    def embed(self, fields: Tensor) -> Tensor:
        """Return the pooled embedding, float32 [B, 1280], of fields [B, T, 3, height, width]."""
        images = self.normalise(fields[:, :, :2].flatten(0, 1)).contiguous(memory_format=torch.channels_last)
        # BatchNorm in training needs the whole batch at once. A graph has no loop over clips.
        whole = self.training or torch.compiler.is_exporting()
        parts = (images,) if whole else images.split(MAX_IMAGES)
        pooled = torch.cat([self.backbone(part).pooler_output for part in parts])
        return pooled.unflatten(0, fields.shape[:2]).mean(dim=1)

    def load_pretrained(self, pretrained: str, revision: str | None) -> None:
        """Load the backbone's weights from a hub id or a local folder; the stem's are averaged over the colours.

        Raises UserError where they cannot be loaded or belong to another network.
        """
        efficientnet.load_pretrained(self.backbone, pretrained, revision)


NETWORKS = {"motion_histogram": MotionHistogram, "efficientnet_b0": EfficientNetB0}


def build_network(settings: MotionNet, classes: int) -> Network:
    """Return the network that motion_net.arch names, with new random weights."""
    network: Network = NETWORKS[settings.arch](settings, classes)
    return network


def load_network(tensors: dict[str, np.ndarray], config: dict[str, Any]) -> Network:
    """Return the trained network of a checkpoint's tensors and config, in eval mode."""
    net = build_network(settings_from_config(config), len(config["classes"]))
    net.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()})
    return net.eval()


def cost(net: nn.Module, example: Tensor) -> dict[str, int]:
    """Return `parameters`, and `macs`: multiply-accumulates of convolutions and matrix products for [1, ...]."""
    from torch.utils.flop_counter import FlopCounterMode

    training = net.training
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.eval()(example)
    net.train(training)
    # The counter counts a multiply-accumulate as two operations.
    return {"parameters": sum(weight.numel() for weight in net.parameters()), "macs": counter.get_total_flops() // 2}
