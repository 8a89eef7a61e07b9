"""Questions about the data, answered by ridge: would more clips help, and which labels look wrong?

Arrays are those of features/pairs.h5 for the train or the validation clips.
"""

from collections.abc import Mapping

import numpy as np

from mocliplite.fusion import ridge
from mocliplite.fusion.pairs import Arrays, features
from mocliplite.fusion.probes import PROBES

DRAWS = 3  # of clips at each point of the learning curve


def learning_curve(train: Arrays, val: Arrays, alphas: Mapping[str, float]) -> list[dict[str, object]]:
    """A row a number of train clips a class, 1, 2, 4, ... up to all: validation top-1 of each probe.

    Mean and deviation over draws. Classes with fewer clips give all they have. The penalty shrinks with the number of
    clips, so that it weighs the same against each. The motion network has seen all train clips, so that the curves
    with motion start higher than they should.
    """
    labels = train["label"]
    largest = int(np.bincount(labels).max())
    sizes = [2**power for power in range(largest.bit_length()) if 2**power < largest] + [largest]
    rows: list[dict[str, object]] = []
    for size in sizes:
        draws = [_draw(labels, size, draw) for draw in range(DRAWS if size < largest else 1)]
        row: dict[str, object] = {"clips_per_class": size}
        for name in PROBES:
            top1 = [_top1_of(train, val, name, chosen, alphas[name]) for chosen in draws]
            row |= {name: float(np.mean(top1)), f"{name}_std": float(np.std(top1, ddof=1)) if len(top1) > 1 else 0.0}
        rows.append(row)
    return rows


def _top1_of(train: Arrays, val: Arrays, probe: str, chosen: np.ndarray, alpha: float) -> float:
    x, x_val = (features(data, PROBES[probe]) for data in (train, val))
    given = ridge.standardised(x[chosen], train["label"][chosen], len(train["classes"]))
    weight = ridge.solve(given, ridge.gram(given), alpha * len(chosen) / len(x))
    scores = (x_val - given.mean) / given.std @ weight + given.prior
    return float((scores.argmax(axis=1) == val["label"]).mean())


def _draw(labels: np.ndarray, size: int, draw: int) -> np.ndarray:
    order = np.random.default_rng([draw, size]).permutation(len(labels))
    own = [order[labels[order] == label][:size] for label in np.unique(labels)]
    return np.sort(np.concatenate(own))
