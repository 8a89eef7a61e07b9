"""A model on disk: a folder with model.safetensors and config.json. Nothing is pickled, torch is not needed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from mocliplite.errors import UserError
from mocliplite.files import atomic_write, errors_mean_damage, write_json


def save(folder: str | Path, tensors: dict[str, np.ndarray], config: dict[str, Any]) -> None:
    """Replace a model's two files; equal tensors and config give equal bytes."""
    with atomic_write(Path(folder, "model.safetensors")) as partial:
        save_file({name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}, partial)
    write_json(Path(folder, "config.json"), config)


def load(folder: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(tensors, config) of a model folder. Raises UserError where it is missing or damaged."""
    weights, described = Path(folder, "model.safetensors"), Path(folder, "config.json")
    if not (weights.is_file() and described.is_file()):
        raise UserError(f"{folder} holds no trained model; run `dvc repro`, or `dvc pull {folder}`.")
    with errors_mean_damage(described, ValueError, TypeError):
        config: dict[str, Any] = dict(json.loads(described.read_text(encoding="utf-8")))
    with errors_mean_damage(weights, SafetensorError):
        return load_file(weights), config


def save_state(path: Path, tensors: dict[str, np.ndarray], state: dict[str, Any]) -> None:
    """Replace one file by tensors and a state of JSON's types: a training to be gone on with."""
    with atomic_write(path) as partial:
        save_file(tensors, partial, metadata={"state": json.dumps(state)})


def load_state(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """(tensors, state) of what save_state wrote; None where there is none. Raises UserError where it is damaged."""
    if not path.is_file():
        return None
    with errors_mean_damage(path, SafetensorError, ValueError, KeyError, TypeError):
        with safe_open(path, framework="np") as file:
            state: dict[str, Any] = dict(json.loads(file.metadata()["state"]))
        return load_file(path), state
