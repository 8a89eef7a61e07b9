import numpy as np
from toy import pairs_of

from mocliplite.fusion.pairs import select_split
from mocliplite.fusion.suspicious_labels import suspicious_labels


def test_wrong_labels_come_first():
    arrays = pairs_of(clips=4, noise=0.4)
    train = np.flatnonzero(arrays["split"] == "train")
    wrong = np.random.default_rng(0).choice(train, size=7, replace=False)
    arrays["label"][wrong] = (arrays["label"][wrong] + 3) % 6
    rows = suspicious_labels(
        select_split(arrays, "train"), select_split(arrays, "val"), {"ridge": 10.0, "keyframe_probe": 10.0}
    )
    assert len(rows) == (arrays["split"] != "test").sum()
    assert {row["id"] for row in rows[:10]} >= set(arrays["ids"][wrong])
    losses = [row["loss"] for row in rows]
    assert losses == sorted(losses, reverse=True)
    assert rows[0]["label"] != rows[0]["guess"]
