"""Parameters and multiply-accumulates (MACs) per clip."""

from collections.abc import Mapping
from typing import Any

from mocliplite.fusion.pairs import Arrays


def cost(tensors: Arrays, settings: Mapping[str, Any], provenance: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Return parameters and MACs per clip of the encoder, the motion network and one seed of the fusion head.

    `total` is their sum. Where the cost of the encoder is not known, there is neither `encoder` nor `total`.

    tensors: those of models/head; settings and provenance: those of features/pairs.h5.
    """
    encoder, frames = provenance["cost"]["encoder"], settings["keyframes"]["frames"]
    layers = [tensors[f"fusion.{name}"][0] for name in ("weight1", "bias1", "weight2", "bias2")]
    linear = tensors["fusion.linear"].size if "fusion.linear" in tensors else 0
    # Attention multiplies each keyframe by the query, and then by its weight.
    query = tensors["fusion.query"][0].size if "fusion.query" in tensors else 0
    parameters = sum(layer.size for layer in layers) + linear + query
    head = {"parameters": parameters, "macs": layers[0].size + layers[2].size + linear + 2 * frames * query}
    parts = {"motion": provenance["cost"]["motion"], "head": head}
    if encoder is None:
        return parts
    parts = {"encoder": {"parameters": encoder["parameters"], "macs": encoder["macs"] * frames}, **parts}
    total = {key: sum(part[key] for part in parts.values()) for key in ("parameters", "macs")}
    return {**parts, "total": total}
