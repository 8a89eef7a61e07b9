"""The motion networks: fields to an embedding and class logits."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mocliplite.encoders.efficientnet import DIM, efficientnet_b0, load_pretrained
from mocliplite.params import MotionNet

# Of GridNet: the histogram's directions, the bins of time, rows and columns that it is taken in, and the channels of
# its two convolutions.
DIRECTIONS = 8
BINS = (8, 12, 16)
CHANNELS = (24, 48)
# Enlarged fields that EfficientNet-B0 embeds at once: more would not fit a small machine.
IMAGES = 64


class Network(nn.Module):
    """What every motion network is: fields to an embedding, and a linear layer from it to class logits."""

    dropout: nn.Dropout  # before the linear layer, in training
    classify: nn.Linear

    def embed(self, fields: Tensor) -> Tensor:
        """Embedding, float32 [B, D], of what views.shown and views.augment give."""
        raise NotImplementedError

    def forward(self, fields: Tensor) -> Tensor:
        """Class logits, float32 [B, C]."""
        logits: Tensor = self.classify(self.dropout(self.embed(fields)))
        return logits


class MotionHistogram(Network):
    """Histograms of motion in bins of time and space, and a small 3-D network on them.

    Input float32 [B, T, 3, rows, cols]: x, y, share known. Each field's motion is projected on DIRECTIONS directions
    and rectified, so that opposite motions within a bin do not cancel; with the share unknown these are averaged over
    BINS. The square root evens out slow and fast clips. What two convolutions find is kept where and when it is, and
    pooled by mean and maximum as well; from both comes the embedding, the hidden layer.
    """

    def __init__(self, settings: MotionNet, classes: int) -> None:
        super().__init__()
        self.normalise = nn.BatchNorm3d(DIRECTIONS + 1)
        near, far = CHANNELS
        self.convolve = nn.Sequential(_convolution(DIRECTIONS + 1, near, (1, 2, 2)), _convolution(near, far, (2, 2, 2)))
        places = math.prod(math.ceil(bins / stride) for bins, stride in zip(BINS, (2, 4, 4), strict=True))
        self.hidden = nn.Sequential(
            nn.Dropout(settings.dropout), nn.Linear(far * (places + 2), settings.width), nn.ReLU()
        )
        self.dropout = nn.Dropout(settings.dropout / 2)
        self.classify = nn.Linear(settings.width, classes)

    @torch.no_grad()
    def histogram(self, fields: Tensor) -> Tensor:
        """float32 [B, DIRECTIONS + 1, *BINS] of fields [B, T, 3, rows, cols]; nothing in it is learned."""
        forth = _along_axes(fields).relu()
        means = nn.functional.adaptive_avg_pool3d(torch.cat([forth, fields], dim=2).transpose(1, 2), BINS)
        forth, moved, known = means.split([DIRECTIONS // 2, 2, 1], dim=1)
        # What goes back is what goes forth less what goes on balance: half of the work.
        back = forth - _along_axes(moved.transpose(1, 2)).transpose(1, 2)
        return torch.cat([forth, back.clamp(min=0), 1 - known], dim=1)

    def embed_histogram(self, histogram: Tensor) -> Tensor:
        """Embedding, float32 [B, width], of histograms [B, DIRECTIONS + 1, *BINS]."""
        # Resampling may leave a share a little above 1; the small number keeps rounding from being enlarged.
        evened = self.normalise((histogram.clamp(min=0) + 1e-4).sqrt())
        # In this layout convolutions are a quarter faster on a CPU.
        found = self.convolve(evened.contiguous(memory_format=torch.channels_last_3d))
        whole = torch.cat([found.mean(dim=(2, 3, 4)), found.amax(dim=(2, 3, 4))], dim=1)
        return self.hidden(torch.cat([found.flatten(1), whole], dim=1))

    def embed(self, fields: Tensor) -> Tensor:
        """Embedding, float32 [B, width], of fields [B, T, 3, rows, cols]."""
        return self.embed_histogram(self.histogram(fields))


def _along_axes(moved: Tensor) -> Tensor:
    """Motion [B, T, 2 or more, rows, cols] along the axes at 0, 45, 90 and 135 degrees: [B, T, 4, rows, cols]."""
    x, y = moved[:, :, 0], moved[:, :, 1]
    return torch.stack([x, (x + y) * math.sqrt(0.5), y, (y - x) * math.sqrt(0.5)], dim=2)


def _convolution(channels: int, out: int, stride: tuple[int, int, int]) -> nn.Sequential:
    convolution = nn.Conv3d(channels, out, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm3d(out), nn.ReLU())


class EfficientNetB0(Network):
    """EfficientNet-B0 on each enlarged field; the mean over fields is the consensus (the paper's).

    Input float32 [B, T, 3, height, width]: x, y, share known, of which it sees x and y behind BatchNorm2d(2).
    """

    def __init__(self, settings: MotionNet, classes: int) -> None:
        super().__init__()
        self.normalise = nn.BatchNorm2d(2)
        self.backbone = efficientnet_b0(channels=2)
        self.dropout = nn.Dropout(settings.dropout)
        self.classify = nn.Linear(DIM, classes)

    def embed(self, fields: Tensor) -> Tensor:
        """Pooled embedding, float32 [B, 1280], of fields [B, T, 3, height, width]."""
        images = self.normalise(fields[:, :, :2].flatten(0, 1)).contiguous(memory_format=torch.channels_last)
        # BatchNorm in training needs the whole batch at once.
        parts = (images,) if self.training else images.split(IMAGES)
        pooled = torch.cat([self.backbone(part).pooler_output for part in parts])
        return pooled.unflatten(0, fields.shape[:2]).mean(dim=1)

    def start_from(self, pretrained: str) -> None:
        """Take the backbone's weights of a hub id or a local folder; the stem's are their mean over the colours.

        Raises UserError where they cannot be had or are of another network.
        """
        load_pretrained(self.backbone, pretrained)


NETWORKS = {"motion_histogram": MotionHistogram, "efficientnet_b0": EfficientNetB0}


def motion_net(settings: MotionNet, classes: int) -> Network:
    """The network that motion_net.arch names, newly initialised."""
    network: Network = NETWORKS[settings.arch](settings, classes)
    return network


def settings_of(config: dict[str, Any]) -> MotionNet:
    """The settings that a checkpoint's network was made with; `views` is no matter of the network's."""
    return MotionNet(**config["net"], views=("plain",))


def load_network(tensors: dict[str, np.ndarray], config: dict[str, Any]) -> Network:
    """A trained network from a checkpoint's tensors and config, in eval mode."""
    net = motion_net(settings_of(config), len(config["classes"]))
    net.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()})
    return net.eval()


def cost(net: nn.Module, example: Tensor) -> dict[str, int]:
    """Parameters, and multiply-accumulates of convolutions and matrix products for one example [1, ...]."""
    from torch.utils.flop_counter import FlopCounterMode

    training = net.training
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.eval()(example)
    net.train(training)
    # It counts a multiply-accumulate as two operations.
    return {"parameters": sum(weight.numel() for weight in net.parameters()), "macs": counter.get_total_flops() // 2}
