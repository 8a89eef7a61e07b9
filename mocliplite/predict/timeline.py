"""What happens when in a video: the classes of its windows, smoothed, and joined to segments."""

import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from mocliplite.errors import UserError
from mocliplite.evaluation.metrics import softmax
from mocliplite.motion import extraction
from mocliplite.motion_net.footage import warning
from mocliplite.predict.windows import Window, WindowSettings, different_positions, read_windows
from mocliplite.runtime.crash_safe import iterate_crash_safe
from mocliplite.video.streams import Limits

if TYPE_CHECKING:
    from mocliplite.predict.recognizer import Recognizer

BATCH = 16  # windows per forward pass
NOTHING = "nothing"  # the class of a span whose most probable class is below the threshold


@dataclass(frozen=True)
class Step:
    """A span of a video with its smoothed answer."""

    start: float  # seconds from the first frame
    end: float
    probabilities: np.ndarray | None  # float64 [C], None if no window that contains it could be classified
    arrived: float = 0.0  # of a single window: as in Window


@dataclass(frozen=True)
class Segment:
    """Consecutive steps with the same most probable class."""

    start: float
    end: float
    name: str | None  # NOTHING below the threshold, None if the windows could not be classified
    probability: float | None  # mean of the steps; None for NOTHING and without a class


@dataclass
class Cost:
    """What classifying windows took."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("decoding", "encoder", "networks"), 0.0))
    windows: int = 0
    end: float = 0.0  # of the last window
    reasons: Counter[str] = field(default_factory=Counter)  # of windows that could not be classified
    warning: str | None = None  # a sentence if a window is unlike the footage that the motion network was trained on


def window_settings(recognizer: "Recognizer", length: float, stride: float, motion_only: bool) -> WindowSettings:
    """Return the settings with which windows are cut for a recogniser. Raises UserError for several labels per clip."""
    if recognizer.is_multi_label:
        raise UserError("the models find several classes per clip, but a window has one class; predict whole clips.")
    keyframes = recognizer.provenance["keyframes"]
    motion = extraction.settings_of(recognizer.provenance["motion_embeddings"]["motion"])
    count = 0 if motion_only else keyframes["frames"]
    return WindowSettings(length, stride, motion, recognizer.net_settings, count, keyframes["pick"])


def classify_file(recognizer: "Recognizer", path: str, settings: WindowSettings, cost: Cost) -> Iterator[Step]:
    """Yield the steps of a file, which is decoded in another process. Raises UserError if it cannot be used."""
    limits = Limits.of(recognizer.compute)
    windows = iterate_crash_safe(read_windows, recognizer.compute, path, settings, limits)
    return smooth(classify_windows(recognizer, windows, settings, cost), settings.stride)


def classify_windows(
    recognizer: "Recognizer", windows: Iterable[Window], settings: WindowSettings, cost: Cost, batch: int = BATCH
) -> Iterator[Step]:
    """Yield each window with its probabilities, which are not smoothed. Without keyframes, motion alone answers."""
    classifier = _Classifier(recognizer, settings, cost)
    windows = iter(windows)
    while held := list(islice(windows, batch)):
        usable = [window for window in held if not window.reason]
        rows = iter(classifier.probabilities(usable) if usable else ())
        for window in held:
            cost.seconds["decoding"] += window.seconds
            cost.windows += 1
            cost.end = max(cost.end, window.end)
            if window.reason:
                cost.reasons[window.reason] += 1
            elif window.footage and not cost.warning:
                cost.warning = warning(window.footage, recognizer.footage)
            yield Step(window.start, window.end, None if window.reason else next(rows), window.arrived)


class _Classifier:
    """Classifies windows. The embedding of a keyframe is held as long as windows share it."""

    def __init__(self, recognizer: "Recognizer", settings: WindowSettings, cost: Cost) -> None:
        self._recognizer, self._settings, self._cost = recognizer, settings, cost
        self._embeddings: dict[int, np.ndarray] = {}  # by number of the keyframe
        _, self._of_view = different_positions(settings.net)

    def probabilities(self, windows: Sequence[Window]) -> np.ndarray:
        """Return the probabilities of windows: float64 [N, C]."""
        recognizer = self._recognizer
        start = time.process_time()
        keyframes = self._keyframes(windows)
        embedded = time.process_time()
        fields = np.stack([window.fields for window in windows if window.fields is not None], axis=1)
        features = recognizer.motion_features([fields[row] for row in self._of_view])
        if keyframes is None:
            temperature = recognizer.calibration["temperature"]["motion"]
            probabilities = softmax(features["motion_logits"] / temperature)
        else:
            features |= recognizer.keyframe_features(keyframes)
            probabilities = recognizer.answers(features).probabilities
        self._cost.seconds["encoder"] += embedded - start
        self._cost.seconds["networks"] += time.process_time() - embedded
        return probabilities

    def _keyframes(self, windows: Sequence[Window]) -> np.ndarray | None:
        """Return the embeddings of the keyframes of windows, float32 [N, F, D], or None without any."""
        if not self._settings.keyframes:
            return None
        images = dict(image for window in windows for image in window.images)
        rows = self._recognizer.networks.embed_images(images.values())
        self._embeddings |= dict(zip(images, rows, strict=True))
        found = np.stack([[self._embeddings[number] for number in window.keyframes] for window in windows])
        oldest = min(windows[-1].keyframes)
        self._embeddings = {number: row for number, row in self._embeddings.items() if number >= oldest}
        return found


def smooth(windows: Iterable[Step], stride: float) -> Iterator[Step]:
    """Yield steps of `stride` seconds: the mean of the probabilities of all windows that contain its middle.

    Windows that could not be classified are left out of the mean.
    """
    held: deque[Step] = deque()
    number, end = 0, 0.0
    for window in windows:
        # The start of the next window is beyond the middle of these steps, so no later window contains it.
        while held and (number + 0.5) * stride < window.start:
            yield _step(held, number * stride, (number + 1) * stride)
            number += 1
            while held and held[0].end <= (number + 0.5) * stride:
                held.popleft()
        if not held:
            number = max(number, round(window.start / stride))
        held.append(window)
        end = max(end, window.end)
    # The last step is longer than half a stride, except for that of a shorter video.
    while held and (number + 1.5) * stride < end:
        yield _step(held, number * stride, (number + 1) * stride)
        number += 1
    if held:
        yield _step(held, number * stride, end)


def _step(windows: Iterable[Step], start: float, end: float) -> Step:
    middle = (start + end) / 2
    rows = [
        window.probabilities
        for window in windows
        if window.start <= middle < window.end and window.probabilities is not None
    ]
    return Step(start, end, np.mean(rows, axis=0) if rows else None)


def segments(steps: Iterable[Step], classes: Sequence[str], threshold: float) -> Iterator[Segment]:
    """Join consecutive steps of the same class; below the threshold, the class of a step is NOTHING."""
    held: list[tuple[Step, float]] = []
    name: str | None = None
    for step in steps:
        label, probability = _answer(step, classes, threshold)
        if held and (label != name or step.start > held[-1][0].end + 1e-6):
            yield _segment(held, name)
            held = []
        name = label
        held.append((step, probability))
    if held:
        yield _segment(held, name)


def _answer(step: Step, classes: Sequence[str], threshold: float) -> tuple[str | None, float]:
    if step.probabilities is None:
        return None, 0.0
    best = int(step.probabilities.argmax())
    probability = float(step.probabilities[best])
    return (classes[best] if probability >= threshold else NOTHING), probability


def _segment(held: Sequence[tuple[Step, float]], name: str | None) -> Segment:
    mean = sum(probability for _, probability in held) / len(held)
    return Segment(held[0][0].start, held[-1][0].end, name, None if name in (None, NOTHING) else mean)
