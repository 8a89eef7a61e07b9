import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler
from toy import pairs_of

from mocliplite.fusion.learning_curve import learning_curve
from mocliplite.fusion.pairs import features, select_split
from mocliplite.fusion.probes import PROBES

ALPHAS = dict.fromkeys(PROBES, 10.0)


def train_and_val(arrays):
    return select_split(arrays, "train"), select_split(arrays, "val")


def test_accuracy_rises_with_the_number_of_clips_per_class_up_to_all():
    rows = learning_curve(*train_and_val(pairs_of(clips=4)), ALPHAS)
    curve = {row["clips_per_class"]: row["ridge"] for row in rows}
    assert list(curve) == [1, 2, 4, 8, 16, 24]
    assert curve[24] > curve[1] + 0.1
    assert rows[0].keys() == {"clips_per_class", *(f"{name}{end}" for name in PROBES for end in ("", "_std"))}


def test_the_last_point_is_the_ridge_on_all_clips():
    train, val = train_and_val(pairs_of())
    rows = learning_curve(train, val, ALPHAS)
    scaler = StandardScaler().fit(features(train, PROBES["ridge"]))
    ridge = Ridge(10.0).fit(scaler.transform(features(train, PROBES["ridge"])), np.eye(6)[train["label"]])
    guess = ridge.predict(scaler.transform(features(val, PROBES["ridge"]))).argmax(axis=1)
    assert rows[-1]["ridge"] == pytest.approx((guess == val["label"]).mean())
    assert rows[-1]["ridge_std"] == 0.0 < rows[0]["ridge_std"]
