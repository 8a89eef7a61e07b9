import numpy as np
import pytest

from mocliplite.fusion.active_learning import choose

DIMENSIONS = {"keyframe": 12, "motion": 6}


def clips_around(centres, count, seed, noise=0.3):
    """Embeddings by stream of `count` clips around each centre; a centre is the position in the keyframe stream."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(centres, count)
    data = {
        stream: rng.normal(scale=noise, size=(len(rows), size)).astype(np.float32)
        for stream, size in DIMENSIONS.items()
    }
    data["keyframe"][np.arange(len(rows)), rows] += 3
    return data, rows


def distances(first, second, train):
    """Root mean square differences in standard deviations, float [N, M], computed pair by pair."""
    total = 0
    for stream, rows in train.items():
        difference = (first[stream][:, None] - second[stream][None]) / rows.std(axis=0)
        total = total + np.square(difference).mean(axis=2) / len(train)
    return np.sqrt(total)


def test_a_class_that_the_recogniser_does_not_know_is_preferred_even_if_it_is_certain():
    train, _ = clips_around([0, 1, 2], 20, seed=0)
    pool, centres = clips_around([0, 1, 2, 3], 15, seed=1)
    margins = np.where(centres == 3, 0.999, 0.9)
    chosen = centres[[choice.row for choice in choose(margins, pool, train, 8)]]
    assert chosen[1] == 3
    assert (chosen == 3).mean() > (centres == 3).mean()


def test_the_least_certain_of_similar_clips_come_first():
    train, _ = clips_around([0, 1, 2], 20, seed=0)
    pool, _ = clips_around([0, 1, 2], 20, seed=1)
    margins = np.full(60, 0.95)
    margins[[7, 33]] = 0.05
    choices = choose(margins, pool, train, 4)
    assert {choice.row for choice in choices if choice.reason == "uncertain"} == {7, 33}


def test_the_rules_take_turns_and_no_clip_is_chosen_twice():
    train, _ = clips_around([0, 1], 5, seed=0)
    pool, _ = clips_around([0, 1], 5, seed=1)
    choices = choose(np.linspace(0, 1, 10), pool, train, 99)
    assert [choice.reason for choice in choices] == ["uncertain", "different"] * 5
    assert sorted(choice.row for choice in choices) == list(range(10))


def test_a_copy_of_a_chosen_clip_comes_last():
    train, _ = clips_around([0, 1], 5, seed=0)
    pool, _ = clips_around([0, 1], 5, seed=1)
    pool = {stream: np.concatenate([rows, rows[:1]]) for stream, rows in pool.items()}
    choices = choose(np.r_[0.0, np.full(9, 0.5), 0.0], pool, train, 11)
    assert (choices[0].row, choices[-1].row) == (0, 10)
    assert choices[-1].distance == pytest.approx(0, abs=1e-6)


def test_distances_are_to_the_nearest_train_clip_or_clip_chosen_before():
    train, _ = clips_around([0, 1], 300, seed=0)
    pool, _ = clips_around([0, 1, 2], 4, seed=1)
    to_train, to_pool = distances(pool, train, train), distances(pool, pool, train)
    chosen = []
    for choice in choose(np.full(12, 0.5), pool, train, 12):
        nearest = min([to_train[choice.row].min(), *to_pool[choice.row, chosen]])
        assert choice.distance == pytest.approx(nearest, rel=1e-6)
        chosen.append(choice.row)


def test_a_constant_feature_of_the_train_clips_does_not_count_in_their_distances():
    train, _ = clips_around([0, 1], 5, seed=0)
    train["motion"][:, 2] = 7
    pool, _ = clips_around([0, 1], 5, seed=1)
    assert all(np.isfinite(choice.distance) for choice in choose(np.full(10, 0.5), pool, train, 10))
