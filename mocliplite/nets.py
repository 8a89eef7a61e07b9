"""The motion networks: fields to an embedding and class logits."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mocliplite.params import MotionNet

PAPER_SIZE = 224  # pixels, the side that EfficientNet-B0 was made for


class GridNet(nn.Module):
    """A small network that works on the block grid itself.

    Input float32 [B, T, 3, rows, cols]: x, y, share known. Convolutions over space within each field alternate with
    convolutions over time at each place; mean and maximum over both are projected to the embedding [B, width].
    """

    def __init__(self, settings: MotionNet, classes: int) -> None:
        super().__init__()
        self.space = nn.ModuleList([_space(3, 24, 1), _space(24, 48, 2), _space(48, 96, 2)])
        self.time = nn.ModuleList([nn.Identity(), _time(48), _time(96)])
        self.project = nn.Sequential(nn.Linear(2 * 96, settings.width), nn.ReLU())
        self.dropout = nn.Dropout(settings.dropout)
        self.classify = nn.Linear(settings.width, classes)

    def embed(self, fields: Tensor) -> Tensor:
        """Pooled embedding, float32 [B, width], of fields [B, T, 3, rows, cols]."""
        clips, frames = fields.shape[:2]
        x = fields
        for space, time in zip(self.space, self.time, strict=True):
            x = space(x.flatten(0, 1)).unflatten(0, (clips, frames))
            # Time goes last but one: [B, C, T, places], which a 2-D convolution of height 3 takes as it is.
            x = time(x.flatten(3).transpose(1, 2)).transpose(1, 2).reshape(x.shape)
        x = x.transpose(1, 2).flatten(2)
        return self.project(torch.cat([x.mean(dim=2), x.amax(dim=2)], dim=1))

    def forward(self, fields: Tensor) -> Tensor:
        """Class logits, float32 [B, C]."""
        return self.classify(self.dropout(self.embed(fields)))


class EfficientNetB0(nn.Module):
    """EfficientNet-B0 on each field, enlarged to 224 x 224; the mean over fields is the consensus (the paper's)."""

    def __init__(self, settings: MotionNet, classes: int) -> None:
        super().__init__()
        from transformers import EfficientNetConfig, EfficientNetModel

        config = EfficientNetConfig(
            width_coefficient=1.0,
            depth_coefficient=1.0,
            image_size=PAPER_SIZE,
            hidden_dim=1280,
            num_channels=2,
            # transformers' own 0.99 is TensorFlow's; to torch it means that the last batch decides.
            batch_norm_momentum=0.1,
        )
        self.normalise = nn.BatchNorm2d(2)
        self.backbone = EfficientNetModel(config)
        # transformers starts BatchNorm's weights near 0, for a checkpoint to replace: trained from there, signals die.
        for layer in self.backbone.modules():
            if isinstance(layer, nn.Conv2d | nn.BatchNorm2d):
                layer.reset_parameters()
        self.dropout = nn.Dropout(settings.dropout)
        self.classify = nn.Linear(config.hidden_dim, classes)

    def embed(self, fields: Tensor) -> Tensor:
        """Pooled embedding, float32 [B, 1280], of fields [B, T, 3, rows, cols]."""
        clips, frames = fields.shape[:2]
        large = nn.functional.interpolate(fields[:, :, :2].flatten(0, 1), size=(PAPER_SIZE, PAPER_SIZE))
        pooled = self.backbone(self.normalise(large)).pooler_output
        return pooled.unflatten(0, (clips, frames)).mean(dim=1)

    def forward(self, fields: Tensor) -> Tensor:
        """Class logits, float32 [B, C]."""
        return self.classify(self.dropout(self.embed(fields)))


def motion_net(settings: MotionNet, classes: int) -> GridNet | EfficientNetB0:
    """The network that motion_net.arch names, newly initialised."""
    return (GridNet if settings.arch == "grid" else EfficientNetB0)(settings, classes)


def settings(config: dict[str, Any]) -> MotionNet:
    """The settings that a checkpoint's network was built with."""
    return MotionNet(**{**config["net"], "views": tuple(config["net"]["views"])})


def restore(tensors: dict[str, np.ndarray], config: dict[str, Any]) -> GridNet | EfficientNetB0:
    """A trained network from a checkpoint's tensors and config, in eval mode."""
    net = motion_net(settings(config), len(config["classes"]))
    net.load_state_dict({name: torch.from_numpy(value) for name, value in tensors.items()})
    return net.eval()


def cost(net: nn.Module, example: Tensor) -> dict[str, int]:
    """Parameters, and multiply-accumulates of convolutions and linear layers for one example [1, ...]."""
    macs = 0

    def count(layer: nn.Module, _: object, out: Tensor) -> None:
        nonlocal macs
        if isinstance(layer, nn.Conv2d):
            macs += out.numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.Linear):
            macs += out.numel() * layer.in_features

    hooks = [layer.register_forward_hook(count) for layer in net.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    training = net.training
    with torch.inference_mode():
        net.eval()(example)
    net.train(training)
    for hook in hooks:
        hook.remove()
    return {"parameters": sum(weight.numel() for weight in net.parameters()), "macs": macs}


def _space(channels: int, out: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out), nn.ReLU())


def _time(channels: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels, channels, (3, 1), padding=(1, 0), bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels), nn.ReLU())
