"""Questions about the data, answered by ridge: would more clips help, and which labels look wrong?

Arrays are those of features/pairs.h5 for the train or the validation clips.
"""

from collections.abc import Mapping

import numpy as np

from mocliplite import calibration, head, ridge
from mocliplite.scores import softmax

Arrays = Mapping[str, np.ndarray]
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
        for name in head.PROBES:
            top1 = [_top1_of(train, val, name, chosen, alphas[name]) for chosen in draws]
            row |= {name: float(np.mean(top1)), f"{name}_std": float(np.std(top1, ddof=1)) if len(top1) > 1 else 0.0}
        rows.append(row)
    return rows


def _top1_of(train: Arrays, val: Arrays, probe: str, chosen: np.ndarray, alpha: float) -> float:
    x, x_val = (head.features(data, head.PROBES[probe]) for data in (train, val))
    given = ridge.scaled(x[chosen], train["label"][chosen], len(train["classes"]))
    weight = ridge.solve(given, ridge.gram(given), alpha * len(chosen) / len(x))
    scores = (x_val - given.mean) / given.std @ weight + given.prior
    return float((scores.argmax(axis=1) == val["label"]).mean())


def _draw(labels: np.ndarray, size: int, draw: int) -> np.ndarray:
    order = np.random.default_rng([draw, size]).permutation(len(labels))
    own = [order[labels[order] == label][:size] for label in np.unique(labels)]
    return np.sort(np.concatenate(own))


def suspicious_labels(train: Arrays, val: Arrays, alpha: float) -> list[dict[str, object]]:
    """A row a train or validation clip, the most doubtful label first; each judged by the clips of other groups.

    `loss` is the negative log probability of the label, of a ridge that has not seen the clip's group; `keyframe_loss`
    the same of the keyframe alone, which no network has been fitted on. The motion network has learned the train clips'
    labels, right or wrong: of them, trust the keyframe where the two differ.
    """
    data = {name: np.concatenate([train[name], val[name]]) for name in ("ids", "label", "group", "split")}
    probabilities, loss = {}, {}
    for name in ("ridge", "keyframe_probe"):
        seen = head.PROBES[name]
        x = np.concatenate([head.features(part, seen) for part in (train, val)])
        scores = ridge.left_out_scores(x, data["label"], data["group"], len(train["classes"]), alpha)
        calm = scores / calibration.fit_temperature(scores, data["label"])
        probabilities[name], loss[name] = softmax(calm), calibration.losses(calm, data["label"])
    guess = probabilities["ridge"].argmax(axis=1)
    order = np.lexsort((data["ids"], -loss["ridge"]))
    return [
        {
            "id": data["ids"][row],
            "split": data["split"][row],
            "label": train["classes"][data["label"][row]],
            "guess": train["classes"][guess[row]],
            "loss": float(loss["ridge"][row]),
            "keyframe_loss": float(loss["keyframe_probe"][row]),
        }
        for row in order.tolist()
    ]
