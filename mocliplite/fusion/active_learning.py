"""Which clips to label next: those that the recogniser is least certain of, and those unlike all labelled clips.

Two rules take turns. The first is margin sampling (Scheffer, Decomain and Wrobel 2001): the clip with the smallest gap
between its two most probable classes, here weighted by its distance, so that copies of one scene are not all chosen.
The second is the greedy k-centre rule of core-set selection (Sener and Savarese 2018): the clip that is farthest from
all train clips and all clips chosen before, whatever its probabilities. It finds clips of a class that the recogniser
does not know, of which it may be certain all the same.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

REASONS = ("uncertain", "different")  # the rules, in the order of their turns
_BATCH = 512  # train clips compared at a time, to limit memory


class Choice(NamedTuple):
    """A clip to label."""

    row: int
    distance: float  # to the nearest train clip or clip chosen before; see `choose`
    reason: str  # one of REASONS


def choose(
    margins: np.ndarray, clips: Mapping[str, np.ndarray], train: Mapping[str, np.ndarray], count: int
) -> list[Choice]:
    """Return up to `count` clips in the order in which to label them. Of equally good clips, the first is chosen.

    margins: probability of the first class minus that of the second, float [N]; clips and train: embeddings by stream,
    float32 [N, D] and [M, D]. A distance is the root mean square difference of two clips in standard deviations of the
    train clips, in which both streams weigh the same.
    """
    pool, labelled = (_scaled(data, train) for data in (clips, train))
    batches = range(0, len(labelled), _BATCH)
    squares = np.min([_squares(pool, labelled[start : start + _BATCH]).min(axis=1) for start in batches], axis=0)
    free = np.ones(len(pool), dtype=bool)
    choices = []
    for rank in range(min(count, len(pool))):
        distances = np.sqrt(squares)
        reason = REASONS[rank % len(REASONS)]
        scores = distances * (1 - margins) if reason == "uncertain" else distances
        row = int(np.where(free, scores, -1).argmax())
        choices.append(Choice(row, float(distances[row]), reason))
        free[row] = False
        squares = np.minimum(squares, _squares(pool, pool[row : row + 1])[:, 0])
    return choices


def _scaled(data: Mapping[str, np.ndarray], train: Mapping[str, np.ndarray]) -> np.ndarray:
    """Embeddings of both streams, standardised by the train clips and concatenated, float64 [N, D1 + D2]."""
    parts = []
    for stream, rows in train.items():
        std = rows.std(axis=0, dtype=np.float64)
        scale = np.where(std > 1e-6, std, 1) * np.sqrt(rows.shape[1] * len(train))
        parts.append((data[stream] - rows.mean(axis=0, dtype=np.float64)) / scale)
    return np.concatenate(parts, axis=1)


def _squares(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Squared distances float64 [N, M] of the rows of two arrays."""
    squares = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1) - 2 * first @ second.T
    return np.maximum(squares, 0)
