import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler
from toy import pairs_of, split_of

from mocliplite.fusion.draws import draw_clips
from mocliplite.fusion.learning_curve import DRAWS, learning_curve
from mocliplite.fusion.pairs import features
from mocliplite.fusion.probes import PROBES

ALPHAS = dict.fromkeys(PROBES, 10.0)


def train_and_val(arrays):
    return split_of(arrays, "train"), split_of(arrays, "val")


def test_accuracy_rises_with_the_number_of_clips_per_class_up_to_all():
    rows = learning_curve(*train_and_val(pairs_of(clips=4)), ALPHAS)
    curve = {row["clips_per_class"]: row["top1"] for row in rows if row["curve"] == "ridge"}
    assert list(curve) == [1, 2, 4, 8, 16, 24]
    assert curve[24] > curve[1] + 0.1
    assert [row["curve"] for row in rows] == list(PROBES) * len(curve)


def ridge_top1(train, val, rows, alpha):
    """Validation top-1 of scikit-learn's ridge on both streams of some train clips."""
    x, x_val = (features(data, PROBES["ridge"]).astype(float) for data in (train, val))
    scaler = StandardScaler().fit(x[rows])
    ridge = Ridge(alpha).fit(scaler.transform(x[rows]), np.eye(6)[train["label"][rows]])
    return (ridge.predict(scaler.transform(x_val)).argmax(axis=1) == val["label"]).mean()


def test_the_last_point_is_the_ridge_on_all_clips():
    train, val = train_and_val(pairs_of())
    rows = [row for row in learning_curve(train, val, ALPHAS) if row["curve"] == "ridge"]
    assert rows[-1]["top1"] == pytest.approx(ridge_top1(train, val, np.arange(len(train["label"])), 10.0))
    assert rows[-1]["std"] == 0.0 < rows[0]["std"]


def test_the_penalty_is_scaled_with_the_number_of_clips():
    train, val = train_and_val(pairs_of(groups=40, noise=1.5))
    rows = [row for row in learning_curve(train, val, dict.fromkeys(PROBES, 100.0)) if row["curve"] == "ridge"]
    subsets = [draw_clips(train["label"], train["group"], 4, draw) for draw in range(DRAWS)]
    scaled, unscaled = (
        [ridge_top1(train, val, subset, alpha) for subset in subsets]
        for alpha in (100.0 * 24 / len(train["label"]), 100.0)
    )
    assert rows[2]["clips_per_class"] == 4
    assert rows[2]["top1"] == pytest.approx(np.mean(scaled))
    assert rows[2]["top1"] != pytest.approx(np.mean(unscaled))
