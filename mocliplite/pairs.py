"""The joined features of all clips: what must hold before anything is fitted on them, and clips that are alike.

Arrays are those of features/pairs.h5: `keyframe` [N, F, D1], `motion` [N, K, D2], view 0 the one that is judged.
"""

from collections.abc import Mapping

import numpy as np

from mocliplite.errors import UserError

ALIKE = 0.995  # cosine of both streams above which two clips are taken for one and the same
_ROWS = 512  # compared at a time, to keep memory small


def check(arrays: Mapping[str, np.ndarray]) -> None:
    """Raise UserError for features that are not finite, an empty split, a group on two sides, or a class not trained.

    One class alone is refused too. Validation and test may lack classes; their figures are over those they have.
    """
    ids, label, split = arrays["ids"], arrays["label"], arrays["split"]
    for name in ("keyframe", "motion", "motion_logits", "prompts"):
        rows = np.isfinite(arrays[name]).reshape(len(arrays[name]), -1).all(axis=1)
        if not rows.all():
            odd = (arrays["classes"] if name == "prompts" else ids)[~rows]
            cause = "lower motion_net.lr, or get the CLIP again"
            raise UserError(f"the {name} features of {odd[0]} ({len(odd)} in all) are not finite; {cause}.")
    empty = [part for part in ("train", "val", "test") if part not in split]
    if empty:
        raise UserError(f"no usable clip is left for {empty[0]}; see failures.csv in features/keyframes and motion.")
    if len(arrays["classes"]) < 2:
        raise UserError(f"all clips are of the class {arrays['classes'][0]}; add clips of another to dataset.root.")
    untrained = sorted(set(range(len(arrays["classes"]))) - set(label[split == "train"].tolist()))
    if untrained:
        name = arrays["classes"][untrained[0]]
        raise UserError(f"class {name} has no usable train clip ({len(untrained)} such classes); add clips of it.")
    first: dict[str, int] = {}
    for row, group in enumerate(arrays["group"].tolist()):
        other = first.setdefault(group, row)
        if split[other] != split[row]:
            both = f"{ids[other]} is for {split[other]} and {ids[row]} for {split[row]}"
            raise UserError(f"group {group} straddles: {both}; run `dvc repro split`.")


def likeness(arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """For each clip that is not for training, the train clip most like it: row int64 [N] and likeness float32 [N].

    Likeness is the lower of the two streams' cosines: a train clip that shares the scene alone, or the movement alone,
    is no twin. Train clips have row -1 and likeness 0.
    """
    train, others = np.flatnonzero(arrays["split"] == "train"), np.flatnonzero(arrays["split"] != "train")
    streams = [_unit(arrays[name][:, 0], train) for name in ("keyframe", "motion")]
    row, alike = np.full(len(arrays["ids"]), -1), np.zeros(len(arrays["ids"]), dtype=np.float32)
    for start in range(0, len(others), _ROWS):
        part = others[start : start + _ROWS]
        cosine = np.minimum(*(stream[part] @ stream[train].T for stream in streams))
        best = cosine.argmax(axis=1)
        row[part], alike[part] = train[best], cosine[np.arange(len(part)), best]
    return row, alike


def _unit(rows: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Rows of length 1 once the train clips' mean is off: what all clips share says nothing of any two."""
    centred = rows - rows[train].mean(axis=0)
    return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
