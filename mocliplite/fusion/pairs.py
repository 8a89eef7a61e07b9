"""The joined features of all clips: checks before anything is fitted, and selection of splits and streams.

Arrays are those of features/pairs.h5: `keyframe` [N, K1, D1], see `keyframe_views`, and `motion` [N, K2, D2]. View 0 is
the plain view, the only one used for validation and test. Without embeddings of the classes, `prompts` and
`logit_scale` are absent. `label` is the class of each clip, int64 [N], or with dataset.multi_label whether the clip has
each class, uint8 [N, C].
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mocliplite import checkpoint
from mocliplite.errors import UserError
from mocliplite.large_arrays import slices

if TYPE_CHECKING:
    from mocliplite.store.table_file import Table

Arrays = Mapping[str, np.ndarray]

PER_CLIP = ("ids", "label", "split", "group", "keyframe", "motion", "motion_logits", "similarity")
_NOT_PER_CLIP = ("prompts", "classes", "logit_scale")
_PART = 2048  # clips; the logits of all methods and seeds for all clips would need gigabytes


def check(arrays: Arrays) -> None:
    """Check that heads can be fitted on the arrays of pairs.h5.

    Raises UserError where features are not finite, a split is empty, there is only one class, a class has no train
    clip, no validation or test clip has a class, or a group is in two splits. Classes without validation or test clips
    are allowed; metrics then cover the classes that occur.
    """
    _check_finite(arrays)
    empty = [split for split in ("train", "val", "test") if split not in arrays["split"]]
    if empty:
        raise UserError(
            f"no usable clip is left for {empty[0]}; see failures.csv in features/keyframes and features/motion."
        )
    _check_classes(arrays)
    _check_groups(arrays)


def _check_finite(arrays: Arrays) -> None:
    for name in [name for name in ("keyframe", "motion", "motion_logits", "prompts") if name in arrays]:
        finite = np.isfinite(arrays[name]).reshape(len(arrays[name]), -1).all(axis=1)
        if not finite.all():
            invalid = arrays["classes" if name == "prompts" else "ids"][~finite]
            advice = "lower motion_net.lr, or download the checkpoint of the encoder again"
            raise UserError(f"the {name} features of {invalid[0]} ({len(invalid)} in all) are not finite; {advice}.")


def _check_classes(arrays: Arrays) -> None:
    classes = arrays["classes"]
    if len(classes) < 2:
        raise UserError(f"all clips belong to the class {classes[0]}; add clips of another class to dataset.root.")
    labels = arrays["label"][arrays["split"] == "train"]
    trained = labels if labels.ndim == 1 else np.flatnonzero(labels.any(axis=0))
    untrained = sorted(set(range(len(classes))) - set(trained.tolist()))
    if untrained:
        name = classes[untrained[0]]
        raise UserError(f"class {name} has no usable train clip ({len(untrained)} such classes); add clips of it.")
    if arrays["label"].ndim == 2:
        for split in ("val", "test"):
            if not arrays["label"][arrays["split"] == split].any():
                raise UserError(f"no usable {split} clip has a class; add clips that have one.")


def _check_groups(arrays: Arrays) -> None:
    ids, split = arrays["ids"], arrays["split"]
    first_row: dict[str, int] = {}
    for row, group in enumerate(arrays["group"].tolist()):
        first = first_row.setdefault(group, row)
        if split[first] != split[row]:
            raise UserError(
                f"group {group} is in both {split[first]} ({ids[first]}) and {split[row]} ({ids[row]}); "
                "run `dvc repro split`."
            )


def read_split(path: str | Path, split: str, names: Collection[str] = PER_CLIP) -> "Table":
    """Return pairs.h5 with only the clips of one split, and of the arrays per clip only `names`.

    The other clips are not held in memory. Raises UserError if the file is missing or of another kind or schema.
    """
    from mocliplite.store import table_file  # imports h5py, which prediction does not need

    return table_file.read_rows(path, "pairs", ("split", split), names, _NOT_PER_CLIP)


def select_clips(arrays: Arrays, rows: np.ndarray | slice) -> dict[str, np.ndarray]:
    """Return the arrays of pairs.h5 with only some clips: row numbers, a mask or a slice.

    Arrays that are not per clip stay whole.
    """
    return {name: values if name in _NOT_PER_CLIP else values[rows] for name, values in arrays.items()}


def parts(arrays: Arrays) -> Iterator[dict[str, np.ndarray]]:
    """Yield the arrays of pairs.h5 for at most _PART clips at a time, in order, without copying them.

    Of many classes, see `slices`, they are fewer clips.
    """
    for rows in slices(len(arrays["ids"]), _PART, len(arrays["classes"])):
        yield select_clips(arrays, rows)


def class_weights(labels: np.ndarray, classes: int) -> np.ndarray:
    """Weight of a clip of each class, float64 [C], with which all classes have the same total weight.

    labels: int64 [N], those of the train clips. As `class_weight="balanced"` of scikit-learn, the weight is inversely
    proportional to the clips of the class, and the mean over the clips is 1. A class without clips has the weight 0.
    """
    counts = np.bincount(labels, minlength=classes)
    return np.where(counts > 0, len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1)), 0.0)


def features(data: Arrays, streams: tuple[str, ...]) -> np.ndarray:
    """Input of a head or probe: plain views of the streams, float32 [N, D]: concatenated, or a view of one."""
    views = [data[stream][:, 0] for stream in streams]
    return views[0] if len(views) == 1 else np.concatenate(views, axis=1)


def keyframe_views(frames: np.ndarray) -> np.ndarray:
    """Views [N, 1 + F, D] of keyframes [N, F, D]: view 0 is their mean; they follow. A single keyframe is view 0."""
    return np.concatenate([frames.mean(axis=1, keepdims=True), frames], axis=1) if frames.shape[1] > 1 else frames


def digest_of_clips(ids: Sequence[str], labels: Sequence[object], classes: Sequence[str]) -> str:
    """Return 8 hexadecimal digits that tell whether figures are of the same clips with the same classes.

    ids: sorted; labels: of each clip, an index or a list of numbers.
    """
    return hashlib.sha256(json.dumps([ids, labels, classes]).encode()).hexdigest()[:8]


def check_fitted_on(config: Mapping[str, Any], table: "Table", folder: str) -> None:
    """Raise UserError unless the model in `folder` was fitted on this features/pairs.h5.

    config: the model's config.json. The error names the setting that differs, if one does.
    """
    fitted = config["features"]
    for part in sorted(table.settings.keys() | fitted.keys()):
        theirs, ours = fitted.get(part, {}), table.settings.get(part, {})
        for key in sorted(theirs.keys() | ours.keys()):
            if theirs.get(key) != ours.get(key):
                raise UserError(
                    f"{folder} was not fitted on the features in features/pairs.h5 ({part}: {key} differs); "
                    "run `dvc repro`."
                )
    checkpoint.check_source(folder, "features/pairs.h5", config.get("pairs"), table.digest)
