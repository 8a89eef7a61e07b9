import numpy as np
import pytest

from mocliplite.fusion.draws import draw_clips

# Two classes with five groups of three clips each. A group belongs to one class, or is shared by both.
LABELS = np.repeat([0, 1], 15)
SCENES = np.tile(np.repeat(np.arange(5), 3), 2)
OWN = np.array([f"{label}/{scene}" for label, scene in zip(LABELS, SCENES, strict=True)])
SHARED = SCENES.astype(str)


@pytest.mark.parametrize("groups", [OWN, SHARED])
@pytest.mark.parametrize("shots", [1, 4, 15])
def test_every_class_has_as_many_clips_as_asked_for(groups, shots):
    rows = draw_clips(LABELS, groups, shots, draw=0)
    assert np.bincount(LABELS[rows]).tolist() == [shots, shots]
    assert rows.tolist() == sorted(set(rows.tolist()))


@pytest.mark.parametrize("groups", [OWN, SHARED])
def test_the_clips_of_a_class_are_from_as_few_groups_as_possible(groups):
    for draw in range(5):
        rows = draw_clips(LABELS, groups, 4, draw)
        for label in (0, 1):
            _, clips = np.unique(groups[rows[LABELS[rows] == label]], return_counts=True)
            assert sorted(clips.tolist()) == [1, 3]


def test_classes_that_share_groups_are_drawn_from_the_same_groups():
    rows = draw_clips(LABELS, SHARED, 4, draw=0)
    assert len(set(SHARED[rows].tolist())) == 2


def test_draws_differ_and_the_clips_of_fewer_shots_are_among_those_of_more():
    drawn = {(shots, draw): set(draw_clips(LABELS, OWN, shots, draw).tolist()) for shots in (2, 7) for draw in range(3)}
    assert len({tuple(sorted(rows)) for rows in drawn.values()}) == 6
    assert all(drawn[2, draw] < drawn[7, draw] for draw in range(3))


def test_a_class_with_fewer_clips_contributes_all_it_has():
    rows = draw_clips(np.array([0, 0, 0, 1]), np.array(["a", "b", "c", "d"]), 2, draw=0)
    assert rows[-1] == 3
    assert len(rows) == 3
