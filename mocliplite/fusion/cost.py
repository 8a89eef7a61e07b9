"""Parameters and multiply-accumulates per clip."""

from typing import Any

from mocliplite.fusion.pairs import Arrays


def cost(tensors: Arrays, made_of: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Parameters and multiply-accumulates of one clip by part; the head's are one seed's."""
    clip, frames = made_of["keyframes"]["cost"], made_of["keyframes"]["frames"]
    layers = [tensors[f"fusion.{name}"][0] for name in ("weight1", "bias1", "weight2", "bias2")]
    head = {"parameters": sum(layer.size for layer in layers), "macs": layers[0].size + layers[2].size}
    parts = {
        "clip": {"parameters": clip["parameters"], "macs": clip["macs"] * frames},
        "motion": made_of["motion_embeddings"]["cost"],
        "head": head,
    }
    total = {key: sum(part[key] for part in parts.values()) for key in ("parameters", "macs")}
    return {**parts, "total": total}
