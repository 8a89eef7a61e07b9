import numpy as np
import pytest
from builders import sentence_of
from toy import pairs_of

from mocliplite.fusion import pairs, similarity
from mocliplite.fusion.pairs import check


def said(**changes):
    return sentence_of(check, pairs_of() | changes)


def test_good_pairs_pass():
    check(pairs_of())


@pytest.mark.parametrize("name", ["keyframe", "motion", "motion_logits"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_refused_by_name(name, value):
    arrays = pairs_of()
    arrays[name][3].flat[0] = value
    assert sentence_of(check, arrays).startswith(f"the {name} features of c0_g1_t1 (1 in all) are not finite")


def test_prompts_that_are_not_finite_name_their_class():
    prompts = np.eye(6, 8)
    prompts[2, 0] = np.nan
    assert said(prompts=prompts).startswith("the prompts features of BoxFalling (1 in all) are not finite")


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_an_empty_split_is_refused(part):
    arrays = pairs_of()
    kept = {
        name: values[arrays["split"] != part]
        for name, values in arrays.items()
        if len(values.shape) and len(values) > 6
    }
    assert sentence_of(check, arrays | kept).startswith(f"no usable clip is left for {part}")


def test_a_class_without_a_train_clip_is_refused():
    arrays = pairs_of()
    lost = (arrays["label"] == 2) & (arrays["split"] == "train")
    kept = {name: values[~lost] for name, values in arrays.items() if len(values.shape) and len(values) > 6}
    assert sentence_of(check, arrays | kept).startswith("class BoxFalling has no usable train clip (1 such classes)")


def test_one_class_alone_is_refused():
    arrays = pairs_of()
    kept = {
        name: values[arrays["label"] == 0] for name, values in arrays.items() if len(values.shape) and len(values) > 6
    }
    one = {"classes": arrays["classes"][:1], "prompts": arrays["prompts"][:1]}
    assert sentence_of(check, arrays | kept | one).startswith("all clips are of the class BallFalling;")


def test_a_group_on_two_sides_is_refused():
    arrays = pairs_of()
    arrays["split"][1] = "test"
    wanted = "group BallFalling/g0 straddles: c0_g0_t0 is for train and c0_g0_t1 for test; run `dvc repro split`."
    assert sentence_of(check, arrays) == wanted


def test_a_copy_of_a_train_clip_is_found_by_both_streams():
    arrays = pairs_of()
    train, test = (np.flatnonzero(arrays["split"] == part) for part in ("train", "test"))
    for name in ("keyframe", "motion"):
        arrays[name][test[0]] = arrays[name][train[5]] * 1.001
    arrays["keyframe"][test[1]] = arrays["keyframe"][train[6]]  # the scene alone
    twin, alike = similarity.nearest_train_clips(arrays)
    assert twin[test[0]] == train[5]
    assert alike[test[0]] > similarity.NEAR_DUPLICATE
    assert alike[test[1]] < 0.95
    assert set(twin[train]) == {-1}
    assert (np.delete(alike, test[0]) < similarity.NEAR_DUPLICATE).all()


def test_likeness_does_not_depend_on_how_many_are_compared_at_a_time(monkeypatch):
    whole = similarity.nearest_train_clips(pairs_of())
    monkeypatch.setattr(pairs, "_ROWS", 7)
    parts = similarity.nearest_train_clips(pairs_of())
    assert whole[0].tolist() == parts[0].tolist()
    assert whole[1] == pytest.approx(parts[1], abs=1e-6)
