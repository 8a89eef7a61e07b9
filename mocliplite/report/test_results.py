"""The test clips as the fusion head classified them, and what the report derives from them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mocliplite import checkpoint
from mocliplite.data.clips import Clip
from mocliplite.evaluation.metrics import softmax
from mocliplite.files import read_csv
from mocliplite.fusion import methods
from mocliplite.fusion.pairs import check_features, select_split
from mocliplite.fusion.shares import logits_by_streams, stream_shares
from mocliplite.report.report import SHOWN
from mocliplite.store import stores, table_file

NEAREST = 5  # clips that vote where the frame's size alone is asked for the class


@dataclass(frozen=True)
class TestResults:
    """The test clips as the fusion saw them: rows in the order of ids."""

    ids: list[str]
    labels: np.ndarray  # int64 [N]
    fusion: np.ndarray  # probabilities [N, C], mean over seeds
    keyframe: np.ndarray  # the same of the keyframe's head
    shares: dict[str, np.ndarray]  # [N] by stream
    classes: list[str]

    @property
    def guess(self) -> np.ndarray:
        """What fusion answers: int64 [N]."""
        return self.fusion.argmax(axis=1)


def test_results() -> TestResults:
    """Look at the test clips again, as `evaluate` did."""
    table = table_file.read_table("features/pairs.h5", "pairs")
    probes, _ = checkpoint.load("models/probes")
    tensors, config = checkpoint.load("models/head")
    check_features(config, table.settings, "models/head")
    data = select_split(table.arrays, "test")
    logits = methods.calibrate(methods.all_logits(tensors, probes, data), config["calibration"])
    fusion, keyframe = (softmax(logits[name]).mean(axis=0) for name in ("fusion", "keyframe"))
    shares = stream_shares(logits_by_streams(tensors, data), fusion.argmax(axis=1))
    return TestResults(data["ids"].tolist(), data["label"], fusion, keyframe, shares, data["classes"].tolist())


def confusion(judged: TestResults) -> np.ndarray:
    """Shares of each class's clips by answer: float64 [C, C], rows of classes without test clips 0."""
    counts = np.zeros((len(judged.classes),) * 2)
    np.add.at(counts, (judged.labels, judged.guess), 1)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def confusions(judged: TestResults) -> list[dict[str, Any]]:
    """The most frequent wrong answers."""
    wrong = Counter(
        (judged.classes[label], judged.classes[guess])
        for label, guess in zip(judged.labels, judged.guess, strict=True)
        if label != guess
    )
    order = sorted(wrong, key=lambda pair: (-wrong[pair], pair))
    return [{"was": was, "answered": answered, "clips": wrong[was, answered]} for was, answered in order[: 2 * SHOWN]]


def by_frame_size(judged: TestResults, clips: Mapping[str, Clip]) -> dict[str, Any]:
    """How far the frame's size alone tells the class: a test clip gets that of the train clips nearest in size.

    No network here is told the size, but cameras and crops that differ by class betray it in other ways too.
    """
    motion = stores.open_store("features/motion")
    splits = {row["id"]: row["split"] for row in read_csv("features/splits.csv")}
    train = [clip_id for clip_id in motion.ids if splits[clip_id] in ("train", "val")]
    known = np.log([motion.sizes[clip_id] for clip_id in train])
    labels = np.array([clips[clip_id].index for clip_id in train])
    asked = np.log([motion.sizes[clip_id] for clip_id in judged.ids])
    if len(np.unique(known, axis=0)) == 1:
        return {"one": f"{motion.sizes[train[0]][1]}x{motion.sizes[train[0]][0]}"}
    guess = np.array([_vote(labels[np.argsort(((known - one) ** 2).sum(axis=1), kind="stable")]) for one in asked])
    right = guess == judged.labels
    found = {name: float(right[judged.labels == index].mean()) for index, name in _present(judged)}
    return {"one": "", "top1": float(right.mean()), "chance": 1 / len(judged.classes), "classes": found}


def _vote(labels: np.ndarray) -> int:
    return int(np.bincount(labels[:NEAREST]).argmax())


def _present(judged: TestResults) -> list[tuple[int, str]]:
    return [(int(label), judged.classes[label]) for label in np.unique(judged.labels)]
