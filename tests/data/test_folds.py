import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from mocliplite.data.folds import group_folds


@pytest.mark.filterwarnings("ignore:The least populated class")
@pytest.mark.parametrize("seed", range(8))
def test_folds_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    clips, classes, count = int(rng.integers(40, 200)), int(rng.integers(2, 12)), int(rng.integers(2, 9))
    labels = rng.integers(classes, size=clips)
    # Groups within a class for even seeds, shared by classes for odd ones.
    names = [
        f"{label * (seed % 2 == 0)}/{group}" for label, group in zip(labels, rng.integers(9, size=clips), strict=True)
    ]
    reference = StratifiedGroupKFold(count, shuffle=True, random_state=seed).split(labels, labels, names)
    wanted = np.full(clips, -1)
    for fold, (_, rows) in enumerate(reference):
        wanted[rows] = fold
    assert group_folds(labels[:, None].tolist(), names, count, seed).tolist() == wanted.tolist()
