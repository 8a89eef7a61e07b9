"""The trained models of a folder, loaded together and checked to belong together."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mocliplite import checkpoint


@dataclass(frozen=True)
class Models:
    """Tensors and configs of head/, probes/ and motion/."""

    head: dict[str, np.ndarray]
    head_config: dict[str, Any]
    probes: dict[str, np.ndarray]
    probes_config: dict[str, Any]
    motion: dict[str, np.ndarray]
    motion_config: dict[str, Any]


def load_models(folder: str | Path) -> Models:
    """Load the models of a folder.

    Raises UserError where one is missing or damaged, or where the head was not fitted on the outputs of the others.
    """
    head, probes, motion = (Path(folder, name) for name in ("head", "probes", "motion"))
    tensors, config = checkpoint.load(head)
    models = Models(tensors, config, *checkpoint.load(probes), *checkpoint.load(motion))
    checkpoint.check_source(head, probes, config.get("probes"), checkpoint.digest(probes))
    fitted_on = config["features"]["motion_embeddings"].get("model")
    checkpoint.check_source(head, motion, fitted_on, checkpoint.digest(motion))
    return models
