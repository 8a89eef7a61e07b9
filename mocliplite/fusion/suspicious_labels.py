"""Labels that probes fitted on other groups contradict."""

import numpy as np

from mocliplite.evaluation import calibration
from mocliplite.evaluation.metrics import softmax
from mocliplite.fusion import ridge
from mocliplite.fusion.pairs import Arrays, features
from mocliplite.fusion.probes import PROBES


def suspicious_labels(train: Arrays, val: Arrays, alpha: float) -> list[dict[str, object]]:
    """A row a train or validation clip, the most doubtful label first; each judged by the clips of other groups.

    `loss` is the negative log probability of the label, of a ridge that has not seen the clip's group; `keyframe_loss`
    the same of the keyframe alone, which no network has been fitted on. The motion network has learned the train clips'
    labels, right or wrong: of them, trust the keyframe where the two differ.
    """
    data = {name: np.concatenate([train[name], val[name]]) for name in ("ids", "label", "group", "split")}
    probabilities, loss = {}, {}
    for name in ("ridge", "keyframe_probe"):
        seen = PROBES[name]
        x = np.concatenate([features(part, seen) for part in (train, val)])
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
