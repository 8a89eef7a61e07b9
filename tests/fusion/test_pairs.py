import re

import numpy as np
import pytest
from builders import sentence_of
from sklearn.utils.class_weight import compute_class_weight
from toy import CLASSES, pairs_of, put_pairs, split_of

from mocliplite.fusion.pairs import (
    check,
    check_fitted_on,
    class_weights,
    digest_of_clips,
    features,
    read_split,
    select_clips,
)
from mocliplite.store.table_file import Table


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_class_may_have_no_validation_or_test_clips_but_needs_a_train_clip(split):
    arrays = pairs_of()
    of_class = arrays["label"] == 2
    check(select_clips(arrays, ~(of_class & (arrays["split"] == split))))
    untrained = select_clips(arrays, ~(of_class & (arrays["split"] == "train")))
    assert sentence_of(check, untrained) == (
        "class BoxFalling has no usable train clip (1 such classes); add clips of it."
    )


@pytest.mark.parametrize("name", ["keyframe", "motion", "motion_logits"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused_by_name(name, value):
    arrays = pairs_of()
    arrays[name][3].flat[0] = value
    assert sentence_of(check, arrays) == (
        f"the {name} features of c0_g1_t1 (1 in all) are not finite; lower motion_net.lr, or download the "
        "checkpoint of the encoder again."
    )


def test_prompts_that_are_not_finite_are_refused_with_the_class():
    arrays = pairs_of()
    arrays["prompts"][2, 0] = np.nan
    assert sentence_of(check, arrays).startswith("the prompts features of BoxFalling (1 in all) are not finite")


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_an_empty_split_is_refused(split):
    arrays = pairs_of()
    assert sentence_of(check, select_clips(arrays, arrays["split"] != split)) == (
        f"no usable clip is left for {split}; see failures.csv in features/keyframes and features/motion."
    )


def test_a_data_set_with_one_class_is_refused():
    arrays = pairs_of()
    one_class = select_clips(arrays, arrays["label"] == 0)
    one_class |= {"classes": arrays["classes"][:1], "prompts": arrays["prompts"][:1]}
    assert sentence_of(check, one_class) == (
        "all clips belong to the class BallFalling; add clips of another class to dataset.root."
    )


def test_a_group_in_two_splits_is_refused():
    arrays = pairs_of()
    arrays["split"][1] = "test"
    assert sentence_of(check, arrays) == (
        "group BallFalling/g0 is in both train (c0_g0_t0) and test (c0_g0_t1); run `dvc repro split`."
    )


def test_selected_clips_keep_the_arrays_that_are_not_per_clip():
    arrays = pairs_of()
    val = split_of(arrays, "val")
    assert set(val["split"]) == {"val"}
    assert val["ids"].tolist() == [
        key for key, split in zip(arrays["ids"], arrays["split"], strict=True) if split == "val"
    ]
    assert len(val["keyframe"]) == len(val["motion"]) == len(val["label"]) == 24
    assert val["classes"].tolist() == CLASSES.tolist()
    assert val["prompts"].shape == (6, 8)
    assert val["logit_scale"] == arrays["logit_scale"]


def test_a_split_that_is_read_is_that_which_is_selected(folder):
    arrays = pairs_of()
    put_pairs(arrays)
    val = read_split("features/pairs.h5", "val").arrays
    assert {name: values.tolist() for name, values in val.items()} == {
        name: values.tolist() for name, values in split_of(arrays, "val").items()
    }


def test_features_are_the_plain_views_with_the_keyframe_before_the_motion():
    data = {"keyframe": np.array([[[1.0, 2.0]]]), "motion": np.array([[[3.0], [9.0]]])}
    assert features(data, ("keyframe", "motion")).tolist() == [[1.0, 2.0, 3.0]]


@pytest.mark.parametrize(
    ("part", "key", "value"), [("keyframes", "weights", "f00"), ("motion_embeddings", "model", "f00")]
)
def test_a_model_is_refused_on_features_with_other_settings(part, key, value):
    settings = {"keyframes": {"weights": "abc"}, "motion_embeddings": {"model": "abc"}}
    fitted_on = {"features": settings, "pairs": "1"}
    check_fitted_on(fitted_on, Table({}, settings, {}, "1"), "models/head")
    other = {**settings, part: {**settings[part], key: value}}
    assert sentence_of(check_fitted_on, fitted_on, Table({}, other, {}, "1"), "models/head") == (
        f"models/head was not fitted on the features in features/pairs.h5 ({part}: {key} differs); run `dvc repro`."
    )


def test_a_setting_that_only_one_side_has_is_a_difference():
    settings = {"keyframes": {"weights": "abc"}}
    longer = {"keyframes": {"weights": "abc", "frames": 3}}
    for fitted, current in ((settings, longer), (longer, settings)):
        assert "(keyframes: frames differs)" in sentence_of(
            check_fitted_on, {"features": fitted, "pairs": "1"}, Table({}, current, {}, "1"), "models/head"
        )


def test_a_model_is_refused_on_other_clips_with_the_same_settings():
    fitted_on = {"features": {"keyframes": {}}, "pairs": "1"}
    assert sentence_of(check_fitted_on, fitted_on, Table({}, {"keyframes": {}}, {}, "2"), "models/head") == (
        "models/head was not made from this features/pairs.h5, but from another version; run `dvc repro`."
    )


def test_class_weights_equal_those_of_scikit_learn():
    labels = np.array([0] * 7 + [1] * 2 + [3] * 5)
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=labels)
    assert class_weights(labels, 5)[[0, 1, 3]] == pytest.approx(expected)
    assert class_weights(labels, 5)[[2, 4]].tolist() == [0, 0]


def test_the_digest_tells_other_clips_labels_and_classes_apart():
    given = (["a", "b"], [0, 1], ["Hop", "Run"])
    others = (
        (["a", "c"], [0, 1], ["Hop", "Run"]),
        (["a", "b"], [1, 1], ["Hop", "Run"]),
        (["a", "b"], [0, 1], ["Hop", "Sit"]),
    )
    assert len({digest_of_clips(*clips) for clips in (given, *others)}) == 4
    assert re.fullmatch("[0-9a-f]{8}", digest_of_clips(*given))
