import numpy as np
import pytest
from toy import pairs_of

from mocliplite.fusion import similarity


def test_a_copy_of_a_train_clip_in_both_streams_is_a_near_duplicate():
    arrays = pairs_of()
    train, test = (np.flatnonzero(arrays["split"] == split) for split in ("train", "test"))
    for name in ("keyframe", "motion"):
        arrays[name][test[0]] = arrays[name][train[5]] * 1.001
    nearest, cosine = similarity.nearest_train_clips(arrays)
    assert nearest[test[0]] == train[5]
    assert cosine[test[0]] > similarity.NEAR_DUPLICATE
    assert (np.delete(cosine, test[0]) < similarity.NEAR_DUPLICATE).all()


@pytest.mark.parametrize("stream", ["keyframe", "motion"])
def test_a_copy_in_one_stream_is_not_a_near_duplicate(stream):
    arrays = pairs_of()
    train, test = (np.flatnonzero(arrays["split"] == split) for split in ("train", "test"))
    arrays[stream][test[1]] = arrays[stream][train[6]]
    _, cosine = similarity.nearest_train_clips(arrays)
    assert cosine[test[1]] < similarity.NEAR_DUPLICATE


def test_train_clips_have_no_nearest_clip():
    arrays = pairs_of()
    nearest, cosine = similarity.nearest_train_clips(arrays)
    train = arrays["split"] == "train"
    assert set(nearest[train]) == {-1}
    assert set(cosine[train]) == {0}


def brute_force(arrays):
    """The similarity of each clip to the nearest train clip, 0 below that of near duplicates."""
    train = arrays["split"] == "train"
    cosines = []
    for name in ("keyframe", "motion"):
        x = arrays[name][:, 0] - arrays[name][train, 0].mean(axis=0)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        cosines.append(x @ x[train].T)
    highest = np.minimum(*cosines).max(axis=1)
    return np.where(~train & (highest >= similarity.NEAR_DUPLICATE), highest, 0)


@pytest.mark.parametrize("directions", [1, 8])
def test_every_near_duplicate_is_found_even_in_a_crowd_of_candidates(monkeypatch, directions):
    arrays = pairs_of()
    train, test = (np.flatnonzero(arrays["split"] == split) for split in ("train", "test"))
    rng = np.random.default_rng(1)
    for name in ("keyframe", "motion"):
        arrays[name][test] = arrays[name][train[: len(test)]]
        arrays[name][test] += rng.normal(scale=0.09, size=arrays[name][test].shape)
    expected = brute_force(arrays)
    assert 5 < np.count_nonzero(expected) < len(test) - 5
    monkeypatch.setattr(similarity, "_DIRECTIONS", directions)
    monkeypatch.setattr(similarity, "_CANDIDATES", 2)
    monkeypatch.setattr(similarity, "_PART", 7)
    nearest, cosine = similarity.nearest_train_clips(arrays)
    assert cosine == pytest.approx(expected, abs=1e-6)
    assert ((nearest >= 0) == (expected > 0)).all()
