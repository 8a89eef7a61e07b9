"""The most similar train clip of each validation and test clip that is a near duplicate of one.

Near duplicates are close in any projection of the features, so a k-d tree finds the candidates, and only these are
compared. The time is far from that of all pairs of clips, and no near duplicate is overlooked.
"""

from collections.abc import Callable

import numpy as np

from mocliplite.fusion.pairs import Arrays
from mocliplite.large_arrays import slices

NEAR_DUPLICATE = 0.995  # lower of the two streams' cosines from which on two clips count as near duplicates
# Two unit vectors with this cosine are sqrt(2 - 2 cosine) apart. The factor allows for rounding errors.
_RADIUS = 1.001 * (2 * (2 - 2 * NEAR_DUPLICATE)) ** 0.5
_DIRECTIONS = 8  # of the features of each stream, in which candidates are searched
_CANDIDATES = 16  # train clips that are compared with a clip, unless none of so many is a near duplicate
_PART = 4096  # clips or pairs of clips compared at a time, to limit memory

Unit = Callable[[np.ndarray], np.ndarray]  # rows of clips -> their features, centred and scaled to length 1


def nearest_train_clips(arrays: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest train clip of each near duplicate: row int64 [N], and similarity float32 [N].

    The similarity is the lower of the two streams' cosines, since a train clip with only the same scene, or only the
    same motion, is not a duplicate. Train clips, and clips with a similarity below NEAR_DUPLICATE, have row -1 and
    similarity 0. If more than _CANDIDATES train clips are near duplicates of a clip, the nearest is among those that
    are nearest in the projection.
    """
    from scipy.spatial import KDTree  # imported here because it takes 0.2 s

    train, others = np.flatnonzero(arrays["split"] == "train"), np.flatnonzero(arrays["split"] != "train")
    units = [_unit_features(arrays[name][:, 0], train) for name in ("keyframe", "motion")]
    points = np.concatenate([_projected(unit, train, len(arrays["ids"])) for unit in units], axis=1)
    count = min(_CANDIDATES, len(train))
    distances, found = KDTree(points[train]).query(points[others], range(1, count + 1), distance_upper_bound=_RADIUS)
    best, cosine = _best_candidates(units, train, others, found)
    crowded = np.flatnonzero(np.isfinite(distances[:, -1]) & (cosine < NEAR_DUPLICATE))
    best[crowded], cosine[crowded] = _best_of_all(units, train, others[crowded])

    nearest, similarity = np.full(len(arrays["ids"]), -1), np.zeros(len(arrays["ids"]), dtype=np.float32)
    duplicate = cosine >= NEAR_DUPLICATE
    nearest[others[duplicate]], similarity[others[duplicate]] = best[duplicate], cosine[duplicate]
    return nearest, similarity


def _unit_features(features: np.ndarray, train: np.ndarray) -> Unit:
    """Features [N, D] minus the mean of the train clips, which all clips share, scaled to length 1."""
    total = np.sum([features[rows].sum(axis=0, dtype=np.float64) for rows in _parts(train)], axis=0)
    mean = (total / len(train)).astype(features.dtype)

    def unit(rows: np.ndarray) -> np.ndarray:
        centred = features[rows] - mean
        return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)

    return unit


def _projected(unit: Unit, train: np.ndarray, count: int) -> np.ndarray:
    """Projection of all clips onto orthonormal directions in which the train clips vary much, float32 [N, K]."""
    some = unit(train[:: -(-len(train) // _PART)])
    random = np.random.default_rng(0).standard_normal((some.shape[1], min(_DIRECTIONS, some.shape[1])))
    directions = np.linalg.qr(some.T @ (some @ random))[0].astype(np.float32)
    return np.concatenate([unit(rows) @ directions for rows in _parts(np.arange(count))])


def _best_candidates(
    units: list[Unit], train: np.ndarray, others: np.ndarray, found: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The best of the candidates of each clip, and its similarity; found: positions in train, len(train) for none."""
    clips, rank = np.nonzero(found < len(train))
    cosine = np.full(found.shape, -1, dtype=np.float32)
    for part in _parts(np.arange(len(clips))):
        first, second = others[clips[part]], train[found[clips[part], rank[part]]]
        cosines = (np.einsum("nd,nd->n", unit(first), unit(second)) for unit in units)
        cosine[clips[part], rank[part]] = np.minimum(*cosines)
    best = cosine.argmax(axis=1)[:, None]
    positions = np.minimum(np.take_along_axis(found, best, axis=1)[:, 0], len(train) - 1)
    return train[positions], np.take_along_axis(cosine, best, axis=1)[:, 0]


def _best_of_all(units: list[Unit], train: np.ndarray, clips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The most similar of all train clips, and its similarity, for clips with too many candidates."""
    best, highest = np.full(len(clips), -1), np.full(len(clips), -1, dtype=np.float32)
    for part in _parts(np.arange(len(clips))):
        of_clips = [unit(clips[part]) for unit in units]
        for rows in _parts(train):
            cosine = np.minimum(*(of @ unit(rows).T for of, unit in zip(of_clips, units, strict=True)))
            column = cosine.argmax(axis=1)
            value = cosine[np.arange(len(part)), column]
            higher = value > highest[part]
            best[part[higher]], highest[part[higher]] = rows[column[higher]], value[higher]
    return best, highest


def _parts(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[part] for part in slices(len(rows), _PART)]
