"""The rows of the tables. A module of its own, so that the command line need not import numpy for its help."""

from collections.abc import Mapping
from typing import Any

# In the order of the tables, with what they mean.
METHODS = {
    "zero_shot": "encoder without training: keyframe against class names",
    "keyframe_probe": "keyframe, linear",
    "keyframe": "keyframe, MLP",
    "motion": "motion network",
    "motion_probe": "motion embedding, linear",
    "score_fusion": "weighted scores of keyframe and motion",
    "ridge": "keyframe and motion, linear",
    "fusion": "keyframe and motion, MLP",
    "blend": "weighted scores of keyframe, motion and fusion",
}


def are_of_one_group(figures: Mapping[str, Mapping[str, float]]) -> bool:
    """Return whether the test clips are of one group, so that the intervals of all methods allow any value."""
    return all((row["low"], row["high"]) == (0, 1) for row in figures.values())


def notes(metrics: Mapping[str, Any], one_group: bool, figure: str) -> list[str]:
    """Return the last lines of the table of metrics/eval.json. figure: the name of that of near_duplicates."""
    lines = ["* the method with which predict answers"]
    if one_group:
        lines.append("there are no intervals: all test clips are of one group, which says nothing about other groups")
    duplicates = metrics.get("near_duplicates", {"clips": 0})
    if duplicates["clips"]:
        without = f"without them, the {figure} of fusion is {duplicates['fusion_without']:.3f}"
        lines.append(
            f"warning: near duplicates of a train clip among the test clips: {duplicates['clips']} "
            f"(features/near_duplicates.csv); {without}"
        )
    return lines
