"""Models on disk: a folder with model.safetensors and config.json, without pickle and without torch."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as deserialise
from safetensors.numpy import save as serialise

from mocliplite.errors import UserError
from mocliplite.files import errors_mean_damage, parse_json, read_bytes, read_text, write_bytes, write_json

WEIGHTS, CONFIG = "model.safetensors", "config.json"


# Files are written and read as bytes. The library has errors of its own for those of the disk, leaves temporary files
# behind if it is killed, and maps files into memory, where an error of the disk ends the process.


def save(folder: str | Path, tensors: dict[str, np.ndarray], config: dict[str, Any]) -> None:
    """Write the two files of a model. Equal tensors and config give equal bytes."""
    weights = {name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}
    write_bytes(Path(folder, WEIGHTS), serialise(weights))
    write_json(Path(folder, CONFIG), config)


def load(folder: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return (tensors, config) of a model folder. Raises UserError if it is missing or damaged."""
    weights_path, config_path = Path(folder, WEIGHTS), Path(folder, CONFIG)
    if not (weights_path.is_file() and config_path.is_file()):
        raise UserError(f"{folder} contains no trained model; run `dvc repro`, or `dvc pull {folder}`.")
    with errors_mean_damage(config_path, ValueError, TypeError, RecursionError):
        config: dict[str, Any] = dict(parse_json(read_text(config_path)))
    # KeyError, TypeError, AttributeError: a type that numpy lacks, such as bfloat16.
    with errors_mean_damage(weights_path, SafetensorError, KeyError, TypeError, AttributeError):
        tensors = deserialise(read_bytes(weights_path))
        # Where another library has added such types to numpy, they are read.
        if foreign := sorted({str(array.dtype) for array in tensors.values() if array.dtype.kind not in "biuf"}):
            raise TypeError(f"of type {foreign[0]}")
        return tensors, config


def digest(folder: str | Path) -> str:
    """Return the SHA-256 of a model's weights and config, 64 hexadecimal digits.

    The config names the digests of what the model was fitted on, so this identifies the whole chain behind a model.
    """
    hashed = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        hashed.update(hashlib.sha256(read_bytes(Path(folder, name))).digest())
    return hashed.hexdigest()


def check_source(product: str | Path, source: str | Path, recorded: object, actual: object) -> None:
    """Raise UserError unless `product` was made from `source` as it is now.

    recorded: the digest, or the settings, of the source that the product names; actual: those of the source at hand.
    """
    if recorded != actual:
        raise UserError(f"{product} was not made from this {source}, but from another version; run `dvc repro`.")


def save_state(path: Path, tensors: dict[str, np.ndarray], state: dict[str, Any]) -> None:
    """Write the tensors and the JSON-serialisable state of an unfinished training to one file."""
    write_bytes(path, serialise(tensors, metadata={"state": json.dumps(state)}))


def load_state(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """Return (tensors, state) from save_state, None if there is no file. Raises UserError if it is damaged."""
    if not path.is_file():
        return None
    with errors_mean_damage(path, SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        content = read_bytes(path)
        tensors = deserialise(content)
        header = parse_json(content[8 : 8 + int.from_bytes(content[:8], "little")].decode())
        state: dict[str, Any] = dict(parse_json(header["__metadata__"]["state"]))
        return tensors, state
