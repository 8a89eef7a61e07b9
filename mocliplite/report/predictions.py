"""The answers to the test clips, and the figures that the report derives from them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mocliplite import checkpoint
from mocliplite.csv_files import read_csv
from mocliplite.data.clips import Clip
from mocliplite.fusion import methods
from mocliplite.fusion.answers import answer
from mocliplite.fusion.pairs import Arrays, check_fitted_on, parts, read_split
from mocliplite.predict.models import check_version
from mocliplite.store import stores

NEIGHBOURS = 5  # of the classifier that gets the frame size alone


@dataclass(frozen=True)
class Predictions:
    """Predictions on the test clips, in the order of `ids`."""

    ids: list[str]
    labels: np.ndarray  # int64 [N], or uint8 [N, C] where a clip may have several classes
    probabilities: np.ndarray  # of the answers as `predict` gives them [N, C]
    shares: dict[str, np.ndarray]  # see Answers
    keyframe: np.ndarray  # probabilities of the keyframe head [N, C], mean over seeds
    classes: list[str]
    thresholds: tuple[float, float] | None = None  # of both probabilities where a clip may have several classes

    @property
    def correct(self) -> np.ndarray:
        """Whether the answer is right: bool [N]. Of several classes, all must be found, and no other."""
        return self._is_correct(self.probabilities, 0)

    @property
    def keyframe_correct(self) -> np.ndarray:
        """Whether the answer of the keyframe head is right: bool [N]."""
        return self._is_correct(self.keyframe, 1)

    def _is_correct(self, probabilities: np.ndarray, part: int) -> np.ndarray:
        if self.thresholds is None:
            return probabilities.argmax(axis=1) == self.labels
        return ((probabilities >= self.thresholds[part]) == (self.labels != 0)).all(axis=1)

    @property
    def predicted(self) -> np.ndarray:
        """Index of the predicted class: int64 [N]."""
        return self.probabilities.argmax(axis=1)

    @property
    def confidence(self) -> tuple[np.ndarray, np.ndarray]:
        """Confidence of each answer, and whether it is right. Of several classes, each is an answer."""
        if self.thresholds is None:
            return self.probabilities.max(axis=1), self.correct
        return self.probabilities, self.labels


def predict_test_clips() -> Predictions:
    """Return the predictions on the test clips, computed as `evaluate` computes them.

    Raises UserError where features or models are missing or do not belong together.
    """
    table = read_split("features/pairs.h5", "test")
    data = table.arrays
    probes, _ = checkpoint.load("models/probes")
    tensors, config = checkpoint.load("models/head")
    check_version("models/head", config)
    check_fitted_on(config, table, "models/head")
    checkpoint.check_source("models/head", "models/probes", config["probes"], checkpoint.digest("models/probes"))
    calibration = config["calibration"]
    multi_label, thresholds = methods.is_multi_label(calibration), calibration.get("f1_threshold", {})
    predicted = [_predict(part, tensors, probes, calibration) for part in parts(data)]
    probabilities, shares, keyframe = zip(*predicted, strict=True)
    return Predictions(
        data["ids"].tolist(),
        data["label"],
        np.concatenate(probabilities),
        {stream: np.concatenate([part[stream] for part in shares]) for stream in shares[0]},
        np.concatenate(keyframe),
        data["classes"].tolist(),
        (thresholds[calibration["answer"]], thresholds["keyframe"]) if multi_label else None,
    )


def _predict(
    data: Arrays, heads: Arrays, probes: Arrays, calibration: Mapping[str, Any]
) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """Return probabilities, shares and probabilities of the keyframe head for a part of the clips; see Predictions."""
    logits = methods.calibrate(methods.trained_logits(heads, probes, data), calibration)
    answers = answer(calibration, logits, heads, data)
    keyframe = methods.mean_probabilities(logits["keyframe"], methods.is_multi_label(calibration))
    return answers.probabilities, answers.shares, keyframe


def confusion_matrix(predictions: Predictions) -> np.ndarray:
    """Return the number of clips by true class, a row each, and predicted class: int64 [C, C]."""
    counts = np.zeros((len(predictions.classes),) * 2, np.int64)
    np.add.at(counts, (predictions.labels, predictions.predicted), 1)
    return counts


def frequent_errors(predictions: Predictions, limit: int) -> list[dict[str, Any]]:
    """Return the most frequent pairs of label and wrong prediction, at most `limit`, the most frequent first."""
    errors = Counter(
        (predictions.classes[label], predictions.classes[predicted])
        for label, predicted in zip(predictions.labels, predictions.predicted, strict=True)
        if label != predicted
    )
    order = sorted(errors, key=lambda pair: (-errors[pair], pair))
    return [{"label": label, "predicted": wrong, "clips": errors[label, wrong]} for label, wrong in order[:limit]]


def frame_size_accuracy(predictions: Predictions, clips: Mapping[str, Clip]) -> dict[str, Any]:
    """Return the accuracy of a nearest-neighbour classifier that gets only the width and height of the frame.

    Its neighbours are the train and validation clips closest in size. An accuracy above chance shows that frame size
    and class are correlated in this data set. `only_size` is set instead where all those clips have one size.
    """
    motion = stores.open_store("features/motion")
    splits = {row["id"]: row["split"] for row in read_csv("features/splits.csv")}
    train = [clip_id for clip_id in motion.ids if splits[clip_id] in ("train", "val")]
    train_sizes = np.log([motion.sizes[clip_id] for clip_id in train])
    train_labels = np.array([clips[clip_id].index for clip_id in train])
    if len(np.unique(train_sizes, axis=0)) == 1:
        height, width = motion.sizes[train[0]]
        return {"only_size": f"{width}x{height}"}
    test_sizes, size_of = np.unique(
        np.log([motion.sizes[clip_id] for clip_id in predictions.ids]), axis=0, return_inverse=True
    )
    # Few sizes occur, and of the train clips of one size, only the first can be neighbours.
    kept = _first_of_each(train_sizes, NEIGHBOURS)
    predicted = [_vote(train_labels[kept], ((train_sizes[kept] - size) ** 2).sum(axis=1)) for size in test_sizes]
    correct = np.array(predicted)[size_of] == predictions.labels
    by_class = {
        predictions.classes[label]: float(correct[predictions.labels == label].mean())
        for label in np.unique(predictions.labels)
    }
    top1, chance = float(correct.mean()), 1 / len(predictions.classes)
    return {"only_size": "", "top1": top1, "chance": chance, "classes": by_class}


def _first_of_each(values: np.ndarray, count: int) -> np.ndarray:
    """Return the sorted numbers of the first `count` rows of each distinct row of values [N, D]."""
    _, number = np.unique(values, axis=0, return_inverse=True)
    order = np.argsort(number, kind="stable")
    first = np.searchsorted(number[order], number[order])
    return np.sort(order[np.arange(len(order)) - first < count])


def _vote(labels: np.ndarray, distances: np.ndarray) -> int:
    """Return the most frequent label of the nearest neighbours."""
    nearest = np.argsort(distances, kind="stable")[:NEIGHBOURS]
    return int(np.bincount(labels[nearest]).argmax())
