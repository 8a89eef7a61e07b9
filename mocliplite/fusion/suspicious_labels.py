"""Labels that disagree with probes fitted on the clips of other groups."""

from collections.abc import Mapping

import numpy as np

from mocliplite.evaluation.calibration import fit_scale, log_losses
from mocliplite.evaluation.multi_label import joined_names
from mocliplite.fusion import ridge
from mocliplite.fusion.methods import scaled
from mocliplite.fusion.pairs import Arrays, features
from mocliplite.fusion.probes import PROBES


def suspicious_labels(train: Arrays, val: Arrays, alphas: Mapping[str, float]) -> list[dict[str, object]]:
    """Return a row per train and validation clip, the least probable label first.

    `loss` is the negative log probability of the label by a ridge on both streams, fitted on the clips of all other
    groups; `keyframe_loss` is the same for a ridge on the keyframe alone. The motion network was trained on the labels
    of the train clips, wrong ones included, so for these clips `keyframe_loss` is more reliable. alphas: penalty of
    each probe by name. Where a clip may have several classes, the label is all of them, and `guess` all that are more
    probable than not.
    """
    data = {name: np.concatenate([train[name], val[name]]) for name in ("ids", "label", "group", "split")}
    logits, loss = {}, {}
    for name in ("ridge", "keyframe_probe"):
        x = np.concatenate([features(part, PROBES[name]) for part in (train, val)])
        scores = ridge.left_out_scores(x, data["label"], data["group"], len(train["classes"]), alphas[name])
        logits[name] = scaled(scores, *fit_scale(scores, data["label"]))
        loss[name] = log_losses(logits[name], data["label"])
    if data["label"].ndim == 2:
        labels, guesses = (joined_names(found, train["classes"]) for found in (data["label"], logits["ridge"] > 0))
    else:
        labels, guesses = (train["classes"][found] for found in (data["label"], logits["ridge"].argmax(axis=1)))
    order = np.lexsort((data["ids"], -loss["ridge"]))
    return [
        {
            "id": data["ids"][row],
            "split": data["split"][row],
            "label": labels[row],
            "guess": guesses[row],
            "loss": float(loss["ridge"][row]),
            "keyframe_loss": float(loss["keyframe_probe"][row]),
        }
        for row in order.tolist()
    ]
