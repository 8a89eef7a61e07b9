"""A classifier that sees how a clip was encoded and nothing of its content.

Where the clips of a class come from few sources, such as those of UCF101, the settings of the encoder may give the
class away. A network that sees them indirectly, for example through the number of I-frames, has an advantage that
says nothing about actions.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mocliplite.data.clips import Clip
from mocliplite.fusion.pairs import read_split
from mocliplite.motion.field import KIND_CODES
from mocliplite.store import stores

DEPTHS = range(1, 9)  # of the decision tree, chosen on the validation clips
LEAF = 3  # least number of train clips in a leaf


def traits(store: stores.Store, clips: Sequence[Clip]) -> np.ndarray:
    """Traits of clips, float64 [N, 6], from a motion store of their own vectors.

    They are frame rate, frames per I-frame, width, height, frames, and bytes per frame.
    """
    rows = {}
    sizes = {clip.id: clip.bytes for clip in clips}
    for clip_id, record in store.records([clip.id for clip in clips]):
        kind, attributes = record.arrays["kind"], record.attributes
        intra = max(1, np.count_nonzero(kind == KIND_CODES["I"]))
        size = float(attributes["width"]), float(attributes["height"])
        rows[clip_id] = [float(attributes["fps"]), len(kind) / intra, *size, len(kind), sizes[clip_id] / len(kind)]
    return np.array([rows[clip.id] for clip in clips])


def evaluate(store: stores.Store, clips: Sequence[Clip], folds: Sequence[Path]) -> np.ndarray:
    """Whether the tree of each fold is right on its test clips: bool [N], in the order of the folds.

    folds: pairs files, for the split and the labels.
    """
    by_id = dict(zip((clip.id for clip in clips), traits(store, clips), strict=True))
    return np.concatenate([_evaluate_fold(path, by_id) for path in folds])


def _evaluate_fold(path: Path, by_id: dict[str, np.ndarray]) -> np.ndarray:
    from sklearn.tree import DecisionTreeClassifier

    parts = {name: read_split(path, name).arrays for name in ("train", "val", "test")}
    x = {name: np.stack([by_id[clip_id] for clip_id in data["ids"].tolist()]) for name, data in parts.items()}
    trees = [
        DecisionTreeClassifier(max_depth=depth, min_samples_leaf=LEAF, random_state=0).fit(
            x["train"], parts["train"]["label"]
        )
        for depth in DEPTHS
    ]
    best = max(trees, key=lambda tree: tree.score(x["val"], parts["val"]["label"]))
    return best.predict(x["test"]) == parts["test"]["label"]
