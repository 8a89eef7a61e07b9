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
    assert set(arrays["split"][nearest[~train]]) == {"train"}


def test_similarity_does_not_depend_on_the_batch_size(monkeypatch):
    arrays = pairs_of()
    nearest, cosine = similarity.nearest_train_clips(arrays)
    monkeypatch.setattr(similarity, "_BATCH", 7)
    nearest_in_batches, cosine_in_batches = similarity.nearest_train_clips(arrays)
    assert nearest.tolist() == nearest_in_batches.tolist()
    assert cosine == pytest.approx(cosine_in_batches, abs=1e-6)
