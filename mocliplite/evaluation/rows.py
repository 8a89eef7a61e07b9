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


def near_duplicates_note(metrics: Mapping[str, Any], figure: str) -> list[str]:
    """Return the last line of a table where there are near duplicates, otherwise nothing. figure: name of a metric."""
    found = metrics.get("near_duplicates", {"clips": 0})
    if not found["clips"]:
        return []
    return [
        f"warning: {found['clips']} test clips are near duplicates of a train clip "
        f"(features/near_duplicates.csv); without them, the {figure} of fusion is {found['fusion_without']:.3f}"
    ]
