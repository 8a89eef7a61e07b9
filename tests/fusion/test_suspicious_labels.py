import numpy as np
import pytest
from toy import pairs_of, split_of

from mocliplite.fusion import suspicious_labels as module
from mocliplite.fusion.suspicious_labels import suspicious_labels


def test_wrong_labels_come_first():
    arrays = pairs_of(clips=4, noise=0.4)
    train = np.flatnonzero(arrays["split"] == "train")
    wrong = np.random.default_rng(0).choice(train, size=7, replace=False)
    arrays["label"][wrong] = (arrays["label"][wrong] + 3) % 6
    rows = suspicious_labels(
        split_of(arrays, "train"), split_of(arrays, "val"), {"ridge": 10.0, "keyframe_probe": 10.0}
    )
    assert len(rows) == (arrays["split"] != "test").sum()
    assert {row["id"] for row in rows[:10]} >= set(arrays["ids"][wrong])
    losses = [row["loss"] for row in rows]
    assert losses == sorted(losses, reverse=True)
    assert rows[0]["label"] != rows[0]["guess"]


def test_parts_and_a_temperature_of_some_clips_keep_the_order(monkeypatch):
    arrays = pairs_of(clips=4)
    splits = split_of(arrays, "train"), split_of(arrays, "val")
    alphas = {"ridge": 10.0, "keyframe_probe": 10.0}
    whole = suspicious_labels(*splits, alphas)
    monkeypatch.setattr(module, "_PART", 7)
    assert suspicious_labels(*splits, alphas) == whole
    monkeypatch.setattr(module, "SCALE_CLIPS", 64)
    fewer = suspicious_labels(*splits, alphas)
    assert [row["guess"] for row in sorted(fewer, key=lambda row: row["id"])] == [
        row["guess"] for row in sorted(whole, key=lambda row: row["id"])
    ]
    assert [row["loss"] for row in fewer] == pytest.approx([row["loss"] for row in whole], abs=0.2)
    assert fewer != whole
