"""Keyframe embeddings that were made elsewhere, and are read from a file instead of computed (`encoder.features`).

The arrays are those that `export-store` writes for a keyframe store: `ids`, `embedding` and `name`; optionally
`frame`, `time` and `source`; for zero-shot recognition `classes`, `class_embedding` and `logit_scale`.
"""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mocliplite import versions
from mocliplite.encoders import feature_files
from mocliplite.errors import UserError

_PER_CLIP = ("frame", "time", "source")  # of a keyframe store, besides the embedding
_CLASSES = ("classes", "class_embedding", "logit_scale")
_KINDS = {  # numpy's kinds of types
    **dict.fromkeys(("ids", "name", "settings", "source", "classes"), ("U", "text")),
    **dict.fromkeys(("embedding", "time", "class_embedding", "logit_scale"), ("f", "floating-point numbers")),
    "frame": ("i", "integers"),
}
_UNIT = 1e-5  # difference from length 1 up to which a vector counts as of unit length


@dataclass(frozen=True)
class OwnFeatures:
    """The checked content of a file of embeddings."""

    path: Path
    name: str  # name and version of the model
    digest: str
    ids: list[str]  # of each row: id of the clip, or its path relative to dataset.root
    embedding: np.ndarray  # float32 [N, F, D], finite
    per_clip: dict[str, np.ndarray]  # where given: frame int64 [N, F], time float64 [N, F], source text [N]
    classes: dict[str, np.ndarray]  # classes text [C], class_embedding float32 [C, D], logit_scale float32; or empty


def read_own_features(path: str | Path) -> OwnFeatures:
    """Read a .npz file, a .parquet file, or a folder of .npy files.

    Raises UserError for a file that is missing, damaged or of another format, and for values that are not finite.
    """
    path = Path(path)
    arrays = feature_files.read_arrays(path)
    _check_types(path, arrays)
    ids, embedding = arrays["ids"], arrays["embedding"]
    _check_shape(path, arrays, "name", ())
    _check_shape(path, arrays, "ids", (embedding.shape or (0,))[:1])
    if embedding.ndim not in (2, 3) or not embedding.size:
        raise UserError(f"{path}: embedding is {list(embedding.shape)}; it must be [N, D] or [N, F, D], and not empty.")
    if not str(arrays["name"]).strip():
        raise UserError(f"{path}: name is empty; it must say which model and version made the embeddings.")
    embedding = _finite(path, "embedding", embedding, ids)
    embedding = embedding if embedding.ndim == 3 else embedding[:, None]
    for name in ("frame", "time"):
        _check_shape(path, arrays, name, embedding.shape[:2])
    _check_shape(path, arrays, "source", ids.shape)
    dtypes = {"frame": np.int64, "time": np.float64}
    return OwnFeatures(
        path,
        str(arrays["name"]).strip(),
        feature_files.digest(path),
        ids.tolist(),
        embedding,
        {name: arrays[name].astype(dtypes.get(name, arrays[name].dtype)) for name in _PER_CLIP if name in arrays},
        _class_arrays(path, arrays, embedding.shape[2]),
    )


def cache_key(features: OwnFeatures) -> dict[str, Any]:
    """Return what decides the embeddings, as the settings of a keyframe store."""
    key = {"features": features.digest, "name": features.name, "frames": features.embedding.shape[1]}
    return {**key, "version": versions.KEYFRAMES}


def arrays_by_clip(
    features: OwnFeatures, paths: Mapping[str, str], sources: Mapping[str, str]
) -> dict[str, dict[str, np.ndarray]]:
    """Return the arrays of each clip of a keyframe store, by clip id.

    paths: path of each clip relative to dataset.root, by id; sources: SHA-256 of its video. Raises UserError where a
    clip has no row, a row has no clip, or `source` is another video.
    """
    row_of = _rows_by_clip(features, paths)
    missing = sorted(paths.keys() - row_of.keys())
    if missing:
        raise UserError(
            f"{features.path} has no embedding of {len(missing)} of {len(paths)} clips, such as {missing[0]}; add it, "
            "or exclude such clips by dataset.include."
        )
    arrays = {"embedding": features.embedding, **features.per_clip}
    found = {clip_id: {name: values[row] for name, values in arrays.items()} for clip_id, row in row_of.items()}
    other = sorted(clip_id for clip_id, one in found.items() if one.get("source", sources[clip_id]) != sources[clip_id])
    if other:
        raise UserError(
            f"{features.path} was made from other videos than those in features/clips.csv of {len(other)} clips, "
            f"such as {other[0]}; embed these clips again."
        )
    return found


def prompts(features: OwnFeatures, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """Return `embedding`, float32 [C, D] of unit rows, and `logit_scale` for these classes; empty without classes.

    Raises UserError where the file has classes, but not all of these.
    """
    if not features.classes:
        return {}
    row_of = {_normal(name): row for row, name in enumerate(features.classes["classes"].tolist())}
    missing = [name for name in classes if _normal(name) not in row_of]
    if missing:
        raise UserError(
            f"{features.path}: classes lacks {len(missing)} of {len(classes)} classes, such as {missing[0]}; add it, "
            f"or remove {', '.join(_CLASSES)}."
        )
    rows = features.classes["class_embedding"][[row_of[_normal(name)] for name in classes]]
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    # Vectors of unit length stay the same to the last bit.
    unit = np.where(abs(length - 1) > _UNIT, rows / length, rows)
    return {"embedding": unit, "logit_scale": features.classes["logit_scale"]}


def _rows_by_clip(features: OwnFeatures, paths: Mapping[str, str]) -> dict[str, int]:
    """Return the row of each clip id.

    A clip may be named by its id and, if no other clip is of the same file, by its path with or without the ending.
    """
    clip_of = {_normal(clip_id): clip_id for clip_id in paths}
    clips_of_file = Counter(paths.values())
    for clip_id, path in paths.items():
        if clips_of_file[path] == 1:
            clip_of |= {_normal(path): clip_id, _normal(path.rpartition(".")[0]): clip_id}
    unknown = [name for name in features.ids if _normal(name) not in clip_of]
    if unknown:
        raise UserError(
            f"{features.path} has {len(unknown)} rows of no clip in features/clips.csv, such as {unknown[0]!r}; name "
            "rows by the ids or paths in that file, and remove all others."
        )
    row_of: dict[str, int] = {}
    for row, name in enumerate(features.ids):
        if row_of.setdefault(clip_of[_normal(name)], row) != row:
            raise UserError(f"{features.path} has two rows of clip {clip_of[_normal(name)]}; remove one.")
    return row_of


def _check_types(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    for name in ("ids", "embedding", "name"):
        if name not in arrays:
            raise UserError(f"{path} has no {name}; docs/encoders.md describes the format.")
    for name, array in arrays.items():
        if name not in _KINDS:
            raise UserError(f"{path} contains {name}, which is none of {', '.join(_KINDS)}; rename or remove it.")
        kind, expected = _KINDS[name]
        if array.dtype.kind != kind:
            raise UserError(f"{path}: {name} is of type {array.dtype}; it must be {expected}.")
        if kind == "U":
            # There and back: a number in the file that is no character may become one that only the way back refuses.
            try:
                "".join(array.ravel().tolist()).encode().decode()
            except (ValueError, SystemError) as error:
                raise UserError(f"{path}: {name} is no Unicode text ({error}); correct it.") from None


def _check_shape(path: Path, arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...]) -> None:
    """Raise UserError if the array is there and has another shape."""
    if name in arrays and arrays[name].shape != shape:
        raise UserError(f"{path}: {name} is {list(arrays[name].shape)}; it must be {list(shape)}.")


def _class_arrays(path: Path, arrays: Mapping[str, np.ndarray], width: int) -> dict[str, np.ndarray]:
    """Return the arrays of _CLASSES, checked, or none of them. width: length of the clips' embeddings."""
    given, missing = ([name for name in _CLASSES if (name in arrays) == there] for there in (True, False))
    if not given:
        return {}
    if missing:
        raise UserError(f"{path} has {given[0]} but no {missing[0]}; give all of {', '.join(_CLASSES)}, or none.")
    classes, scale = arrays["classes"], arrays["logit_scale"].astype(np.float32)
    if not classes.size:
        raise UserError(f"{path}: classes is empty; add the classes, or remove {', '.join(_CLASSES)}.")
    _check_shape(path, arrays, "classes", (classes.size,))
    _check_shape(path, arrays, "class_embedding", (classes.size, width))
    _check_shape(path, arrays, "logit_scale", ())
    if not 0 < scale < np.inf:
        raise UserError(f"{path}: logit_scale is {scale:g}; it must be a factor on cosines, above 0, such as 100.")
    if len(set(map(_normal, classes.tolist()))) < classes.size:
        raise UserError(f"{path}: classes contains a class twice; remove one.")
    rows = _finite(path, "class_embedding", arrays["class_embedding"], classes)
    if not rows.any(axis=1).all():
        raise UserError(f"{path}: class_embedding of {classes[~rows.any(axis=1)][0]} is zero; embed the class again.")
    return {"classes": classes, "class_embedding": rows, "logit_scale": scale}


def _finite(path: Path, name: str, rows: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Return rows as float32. Raises UserError if a value is not finite."""
    with np.errstate(over="ignore"):
        rows = rows.astype(np.float32)
    finite = np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
    if not finite.all():
        raise UserError(
            f"{path}: {name} of {names[~finite][0]} ({(~finite).sum()} in all) is not finite; embed it again."
        )
    return rows


def _normal(name: str) -> str:
    """Unicode form NFC: file systems may have stored a name in another."""
    return unicodedata.normalize("NFC", name)
