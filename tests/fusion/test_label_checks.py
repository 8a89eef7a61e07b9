import numpy as np
import pytest
from toy import pairs_of

from mocliplite.fusion import learning_curve, suspicious_labels
from mocliplite.fusion.pairs import features, select_split
from mocliplite.fusion.probes import PROBES

ALPHAS = dict.fromkeys(PROBES, 10.0)


def parts(arrays):
    return select_split(arrays, "train"), select_split(arrays, "val")


def test_more_clips_a_class_help_until_all_are_used():
    rows = learning_curve.learning_curve(*parts(pairs_of(takes=4)), ALPHAS)
    curve = {row["clips_per_class"]: row["ridge"] for row in rows}
    assert list(curve) == [1, 2, 4, 8, 16, 24]
    assert curve[24] > curve[1] + 0.1
    assert rows[0].keys() == {"clips_per_class", *(f"{name}{end}" for name in PROBES for end in ("", "_std"))}


def test_last_point_of_the_curve_is_the_ridge_on_all_clips():
    train, val = parts(pairs_of())
    rows = learning_curve.learning_curve(train, val, ALPHAS)
    given = learning_curve.ridge.scaled(features(train, PROBES["ridge"]), train["label"], 6)
    weight = learning_curve.ridge.solve(given, learning_curve.ridge.gram(given), 10.0)
    scores = (features(val, PROBES["ridge"]) - given.mean) / given.std @ weight + given.prior
    assert rows[-1]["ridge"] == pytest.approx((scores.argmax(axis=1) == val["label"]).mean())
    assert rows[-1]["ridge_std"] == 0.0 < rows[0]["ridge_std"]


def test_wrong_labels_come_first():
    arrays = pairs_of(takes=4, noise=0.4)
    train = np.flatnonzero(arrays["split"] == "train")
    wrong = np.random.default_rng(0).choice(train, size=7, replace=False)
    arrays["label"][wrong] = (arrays["label"][wrong] + 3) % 6
    rows = suspicious_labels.suspicious_labels(*parts(arrays), alpha=10.0)
    assert len(rows) == (arrays["split"] != "test").sum()
    assert {row["id"] for row in rows[:10]} >= set(arrays["ids"][wrong])
    losses = [row["loss"] for row in rows]
    assert losses == sorted(losses, reverse=True)
    assert rows[0]["label"] != rows[0]["guess"]
