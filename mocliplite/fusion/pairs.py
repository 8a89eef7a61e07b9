"""The joined features of all clips: what must hold before anything is fitted on them, and clips that are alike.

Arrays are those of features/pairs.h5: `keyframe` [N, F, D1], `motion` [N, K, D2], view 0 the one that is judged.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mocliplite.errors import UserError

Arrays = Mapping[str, np.ndarray]


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


def select_split(arrays: Arrays, part: str) -> dict[str, np.ndarray]:
    """The arrays of pairs.h5 with the clips of one split alone; what is no clip's stays whole."""
    chosen = arrays["split"] == part
    whole = ("prompts", "classes", "logit_scale")
    return {name: values if name in whole else values[chosen] for name, values in arrays.items()}


def features(data: Arrays, streams: tuple[str, ...]) -> np.ndarray:
    """What a head or probe sees of the clips: the plain views of the streams side by side, float32 [N, D]."""
    return np.concatenate([data[stream][:, 0] for stream in streams], axis=1)


def check_features(config: Mapping[str, Any], settings: Mapping[str, Any], folder: str) -> None:
    """Raise UserError unless the model in `folder` was fitted on features of these settings, naming what differs."""
    fitted = config["features"]
    for part in sorted(settings.keys() | fitted.keys()):
        mine, theirs = fitted.get(part, {}), settings.get(part, {})
        for key in sorted(mine.keys() | theirs.keys()):
            if mine.get(key) != theirs.get(key):
                differs = f"{folder} was fitted on other features than features/pairs.h5 holds ({part}: {key} differs)"
                raise UserError(f"{differs}; run `dvc repro`.")
