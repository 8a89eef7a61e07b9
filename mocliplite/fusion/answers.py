"""The answer to a clip: the calibrated probabilities of one method, and what each stream contributes to it.

`evaluate`, the report and `predict` all call `answer`, so that the evaluation is that of the answers that users get.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mocliplite.fusion.methods import is_multi_label, mean_probabilities
from mocliplite.fusion.pairs import Arrays
from mocliplite.fusion.shares import logits_by_streams, stream_shares


@dataclass(frozen=True)
class Answers:
    """Answers to N clips."""

    probabilities: np.ndarray  # float64 [N, C], mean over seeds
    shares: dict[str, np.ndarray]  # by stream, float [N]: Shapley value in the fusion head's logit of the first class
    by_streams: dict[tuple[str, ...], np.ndarray]  # logits of the fusion head by subset of its streams

    @property
    def predicted(self) -> np.ndarray:
        """Index of the most probable class, int64 [N]."""
        return self.probabilities.argmax(axis=1)


def answer(calibration: Mapping[str, Any], logits: Mapping[str, np.ndarray], heads: Arrays, data: Arrays) -> Answers:
    """Return the answers to the clips of data.

    calibration: the result of methods.fit_calibration; logits: that of methods.calibrate; heads: the tensors of
    models/head; data: the arrays of pairs.h5, of which `keyframe` and `motion` are used, so this works for new clips.
    """
    probabilities = mean_probabilities(logits[calibration["answer"]], is_multi_label(calibration))
    by_streams = logits_by_streams(heads, data)
    return Answers(probabilities, stream_shares(by_streams, probabilities.argmax(axis=1)), by_streams)
