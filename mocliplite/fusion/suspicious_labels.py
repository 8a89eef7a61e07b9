"""Labels that disagree with probes fitted on the clips of other groups."""

from collections.abc import Mapping

import numpy as np

from mocliplite.evaluation.calibration import fit_scale, log_losses
from mocliplite.evaluation.multi_label import joined_names
from mocliplite.fusion import ridge
from mocliplite.fusion.methods import scaled
from mocliplite.fusion.pairs import Arrays, features
from mocliplite.fusion.probes import PROBES
from mocliplite.large_arrays import slices

SCALE_CLIPS = 20_000  # about the most clips that the temperature is fitted on, evenly spaced
_PART = 8192  # clips whose probabilities are computed at a time, to limit memory


def suspicious_labels(train: Arrays, val: Arrays, alphas: Mapping[str, float]) -> list[dict[str, object]]:
    """Return a row per train and validation clip, the least probable label first.

    `loss` is the negative log probability of the label by a ridge on both streams, fitted on the clips of all other
    groups; `keyframe_loss` is the same for a ridge on the keyframe alone. The motion network was trained on the labels
    of the train clips, wrong ones included, so for these clips `keyframe_loss` is more reliable. alphas: penalty of
    each probe by name. Where a clip may have several classes, the label is all of them, and `guess` all that are more
    probable than not.
    """
    data = {name: np.concatenate([train[name], val[name]]) for name in ("ids", "label", "group", "split")}
    loss, guess = {}, {}
    for name in ("ridge", "keyframe_probe"):
        x = np.concatenate([features(part, PROBES[name]) for part in (train, val)])
        scores = ridge.left_out_scores(x, data["label"], data["group"], len(train["classes"]), alphas[name])
        loss[name], guess[name] = _losses_and_guesses(scores, data["label"])
    if data["label"].ndim == 2:
        labels, guesses = (joined_names(found, train["classes"]) for found in (data["label"], guess["ridge"]))
    else:
        labels, guesses = (train["classes"][found] for found in (data["label"], guess["ridge"]))
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


def _losses_and_guesses(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated log loss of each label [N], and the class or classes of the scores [N, C], like the labels."""
    some = slice(None, None, -(-len(scores) // SCALE_CLIPS))
    scale = fit_scale(scores[some], labels[some])
    losses, guesses = [], []
    for rows in slices(len(scores), _PART, scores.shape[1]):
        logits = scaled(scores[rows], *scale)
        losses.append(log_losses(logits, labels[rows]))
        guesses.append(logits.argmax(axis=1) if labels.ndim == 1 else logits > 0)
    return np.concatenate(losses), np.concatenate(guesses)
