import numpy as np
import pytest
import torch

from mocliplite import params
from mocliplite.cli._retrained_motion import retrain
from mocliplite.fusion.pairs import read_split, select_clips


@pytest.fixture
def splits(small_project):
    return tuple(read_split("features/pairs.h5", split).arrays for split in ("train", "val", "test"))


def retrained(splits, ids):
    return retrain(params.load(), ids, torch.device("cpu"))(splits)


def test_a_motion_network_trained_on_all_train_clips_is_that_of_the_pipeline(splits):
    again = retrained(splits, [clip_id for split in splits for clip_id in split["ids"].tolist()])
    for before, after in zip(splits, again, strict=True):
        np.testing.assert_allclose(after["motion"], before["motion"], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(after["motion_logits"], before["motion_logits"], rtol=1e-5, atol=1e-5)
        assert after["ids"].tolist() == before["ids"].tolist()


def test_a_motion_network_trained_on_fewer_clips_is_another_one(splits):
    train, val, test = splits
    fewer = select_clips(train, np.arange(len(train["label"])) % 2 == 0)
    ids = sorted(clip_id for split in splits for clip_id in split["ids"].tolist())
    again = retrained((fewer, val, test), ids)
    assert [len(split["motion"]) for split in again] == [len(split["label"]) for split in (fewer, val, test)]
    for name in ("motion", "motion_logits"):
        assert not np.allclose(again[2][name], test[name], rtol=1e-2, atol=1e-3)
