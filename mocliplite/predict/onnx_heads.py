"""The answer of a recogniser as one network: from the features of clips to the probabilities of their classes.

It computes what methods.calibrate and answers.answer do, in torch, to be written as an ONNX graph. Shares are left out.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mocliplite.fusion.heads import attend
from mocliplite.fusion.methods import MIXED, STREAMS, is_multi_label
from mocliplite.fusion.probes import PROBES, tensors_of

Tensors = dict[str, Tensor]


class AnswerGraph(nn.Module):
    """The method with which `predict` answers.

    Inputs of N clips: keyframe float32 [N, K, D1], as pairs.keyframe_views; motion float32 [N, D2], the embedding of
    the plain view; motion_logits float32 [N, C], the mean over the views.
    """

    def __init__(
        self, heads: Mapping[str, np.ndarray], probes: Mapping[str, np.ndarray], calibration: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self.calibration, self.multi_label = calibration, is_multi_label(calibration)
        self.heads, self.probes = _by_name(heads, STREAMS), _by_name(probes, PROBES)

    def forward(self, keyframe: Tensor, motion: Tensor, motion_logits: Tensor) -> Tensor:
        """Return the probabilities, float32 [N, C]."""
        data = {"keyframe": keyframe, "motion": motion, "motion_logits": motion_logits}
        logits = self._calibrated(self.calibration["answer"], data)
        return (logits.sigmoid() if self.multi_label else logits.softmax(dim=2)).mean(dim=0)

    def _calibrated(self, name: str, data: Tensors) -> Tensor:
        """Return the calibrated logits of a method, [S, N, C]; S is 1 for a method without seeds."""
        bias = self.calibration.get("bias", {}).get(name, 0.0)
        return self._logits(name, data) / self.calibration["temperature"][name] + bias

    def _logits(self, name: str, data: Tensors) -> Tensor:
        if name in MIXED:
            parts = [self._calibrated(part, data) for part in MIXED[name]]
            terms = parts if self.multi_label else [(part.softmax(dim=2) + 1e-12).log() for part in parts]
            weighted = [weight * term for weight, term in zip(self.calibration["weights"][name], terms, strict=True)]
            return torch.stack(torch.broadcast_tensors(*weighted)).sum(dim=0)
        if name == "motion":
            return data["motion_logits"][None]
        if name in STREAMS:
            return _head(self.heads[name], data, STREAMS[name])
        return _probe(self.probes[name], data, PROBES[name])


def _by_name(tensors: Mapping[str, np.ndarray], names: Iterable[str]) -> dict[str, Tensors]:
    parts = {name: tensors_of(tensors, name) for name in names}
    return {name: {key: torch.from_numpy(value).float() for key, value in part.items()} for name, part in parts.items()}


def _features(data: Tensors, streams: tuple[str, ...]) -> Tensor:
    """Return the plain views of the streams, concatenated, [N, D]."""
    plain = {"keyframe": data["keyframe"][:, 0], "motion": data["motion"]}
    return torch.cat([plain[stream] for stream in streams], dim=1)


def _head(head: Tensors, data: Tensors, streams: tuple[str, ...]) -> Tensor:
    """Return the logits of a head, [S, N, C]; see methods.head_logits."""
    x = ((_features(data, streams) - head["mean"]) / head["std"])[None]
    if "query" in head:
        seeds, length = head["query"].shape
        frames = (data["keyframe"][:, 1:] - head["mean"][:length]) / head["std"][:length]
        pooled = attend(frames.expand(seeds, -1, -1, -1), head["query"])
        x = torch.cat([pooled, x[..., length:].expand(seeds, -1, -1)], dim=2)
    logits = (x @ head["weight1"] + head["bias1"]).relu() @ head["weight2"] + head["bias2"]
    return logits + x @ head["linear"] if "linear" in head else logits


def _probe(probe: Tensors, data: Tensors, streams: tuple[str, ...]) -> Tensor:
    """Return the scores of a probe, [1, N, C]; see ridge.probe_logits."""
    x = (_features(data, streams) - probe["mean"]) / probe["std"]
    return (x @ probe["weight"] + probe["bias"])[None]
