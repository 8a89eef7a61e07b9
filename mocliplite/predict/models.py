"""The trained models of a folder, loaded together and checked to belong together, and the networks that run them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mocliplite import checkpoint
from mocliplite.errors import UserError
from mocliplite.evaluation.rows import METHODS
from mocliplite.fusion.methods import MIXED

CLIP_FILE = "clip.json"  # of an exported folder without a copy of the encoder: hub id and revision
_OF_THRESHOLD = ("threshold", "coverage", "clips", "precision")
ONNX = "onnx"  # subfolder of an exported folder with the networks as ONNX graphs


@dataclass(frozen=True)
class Models:
    """Tensors and configs of head/, probes/ and motion/."""

    head: dict[str, np.ndarray]
    head_config: dict[str, Any]
    probes: dict[str, np.ndarray]
    probes_config: dict[str, Any]
    motion: dict[str, np.ndarray]
    motion_config: dict[str, Any]

    def feature_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape per clip of what the heads get: `keyframe` (K, D1), `motion` (D2,), `motion_logits` (C,)."""
        frames = self.head_config["features"]["keyframes"]["frames"]
        both, keyframe = len(self.head["fusion.mean"]), len(self.head["keyframe.mean"])
        return {
            "keyframe": (1 if frames == 1 else 1 + frames, keyframe),  # see pairs.keyframe_views
            "motion": (both - keyframe,),
            "motion_logits": (len(self.head_config["classes"]),),
        }


@dataclass(frozen=True)
class Networks:
    """The two networks of a recogniser, whatever runs them."""

    # RGB uint8 [H, W, 3] images of any sizes to the embedding of each, float32 [D], not of unit length.
    embed_images: Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]
    # Fields [N, frames, 3, rows, cols] and the name of their view to embeddings float32 [N, D] and logits [N, C].
    embed_motion: Callable[[np.ndarray, str], tuple[np.ndarray, np.ndarray]]
    # One image to its embedding, float32 [D], in a pass of its own: the last bits may be others.
    embed_one: Callable[[np.ndarray], np.ndarray]


def load_models(folder: str | Path) -> Models:
    """Load the models of a folder.

    Raises UserError where one is missing or damaged, where the head was not fitted on the outputs of the others, and
    where it is from a version of the code with other methods.
    """
    head, probes, motion = (Path(folder, name) for name in ("head", "probes", "motion"))
    tensors, config = checkpoint.load(head)
    check_version(head, config)
    models = Models(tensors, config, *checkpoint.load(probes), *checkpoint.load(motion))
    checkpoint.check_source(head, probes, config.get("probes"), checkpoint.digest(probes))
    fitted_on = config["features"]["motion_embeddings"].get("model")
    checkpoint.check_source(head, motion, fitted_on, checkpoint.digest(motion))
    return models


def check_version(head: str | Path, config: dict[str, Any]) -> None:
    """Raise UserError unless a head's config has what the methods of this version of the code need."""
    calibration = config.get("calibration", {})
    weights, temperature = (calibration.get(name, {}) for name in ("weights", "temperature"))
    complete = {"features", "classes"} <= config.keys() and MIXED.keys() <= temperature.keys()
    mixed = all(len(weights.get(name, ())) == len(parts) for name, parts in MIXED.items())
    if not (complete and mixed and calibration.get("answer") in METHODS):
        raise other_version(head)


def check_values(config: dict[str, Any]) -> None:
    """Raise ValueError unless the values of a head's config that are used only later are of their types."""
    classes, keyframes = config["classes"], config["features"]["keyframes"]
    thresholds = config["calibration"].get("threshold", {}).values()
    if not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
        raise ValueError("classes are names")
    counts = keyframes["frames"], keyframes["batch"]
    if keyframes["pick"] not in ("middle", "key") or not all(type(count) is int and count > 0 for count in counts):
        raise ValueError("keyframes are counted and picked")
    if not all(isinstance(found[name], int | float) for found in thresholds for name in _OF_THRESHOLD):
        raise ValueError("a threshold and its figures are numbers")


def other_version(model: str | Path) -> UserError:
    """Return the error for a model from another version of the code, whose settings or tensors are others."""
    return UserError(f"{model} is from another version of MoCLIP-Lite; run `dvc repro`, and export it again if needed.")
