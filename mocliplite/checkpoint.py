"""A model on disk: a folder with model.safetensors and config.json. Nothing is pickled, torch is not needed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from mocliplite.errors import UserError
from mocliplite.files import replacing, write_json


def save(folder: str | Path, tensors: dict[str, np.ndarray], config: dict[str, Any]) -> None:
    """Replace a model's two files; equal tensors and config give equal bytes."""
    with replacing(Path(folder, "model.safetensors")) as partial:
        save_file({name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}, partial)
    write_json(Path(folder, "config.json"), config)


def load(folder: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """(tensors, config) of a model folder. Raises UserError where it is missing or damaged."""
    try:
        config: dict[str, Any] = json.loads(Path(folder, "config.json").read_text(encoding="utf-8"))
        return load_file(Path(folder, "model.safetensors")), config
    except FileNotFoundError:
        raise UserError(f"{folder} holds no trained model; run `dvc repro`, or `dvc pull {folder}`.") from None
    except (ValueError, SafetensorError) as error:
        raise UserError(f"{folder} is damaged ({error}); restore it with `dvc checkout {folder}`.") from None
