"""Smoothing of windows and joining to segments, on toy probabilities."""

import numpy as np
import pytest

from mocliplite.predict.timeline import NOTHING, Segment, Step, segments, smooth

CLASSES = ["a", "b"]


def window(start, end, p):
    return Step(start, end, None if p is None else np.array([p, 1 - p]))


def test_a_step_has_the_mean_of_the_windows_that_contain_its_middle():
    found = list(smooth([window(0, 2, 1.0), window(1, 3, 0.5), window(2, 4, 0.0)], stride=1))
    assert [(step.start, step.end) for step in found] == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert [step.probabilities[0] for step in found] == [1.0, 0.75, 0.25, 0.0]


def test_steps_come_as_soon_as_no_later_window_contains_them():
    windows = iter([window(0, 2, 1.0), window(1, 3, 0.5), window(2, 4, 0.0)])
    steps = smooth(windows, stride=1)
    assert next(steps).end == 1
    assert next(windows).start == 2


def test_the_last_step_ends_with_the_last_window():
    found = list(smooth([window(0, 2, 1.0), window(1, 3, 1.0), window(1.3, 3.3, 0.0)], stride=1))
    assert [(step.start, step.end) for step in found] == [(0, 1), (1, 2), (2, 3.3)]
    assert found[2].probabilities[0] == 0.5


@pytest.mark.parametrize("end", [0.7, 0.2])
def test_a_video_shorter_than_a_stride_is_one_step(end):
    (short,) = smooth([window(0, end, 1.0)], stride=1)
    assert (short.start, short.end, short.probabilities[0]) == (0, end, 1.0)


def test_windows_without_an_answer_are_left_out_of_the_mean():
    found = list(smooth([window(0, 2, None), window(1, 3, 0.5), window(2, 4, None)], stride=1))
    assert [None if step.probabilities is None else step.probabilities[0] for step in found] == [None, 0.5, 0.5, None]


def test_steps_are_left_out_where_the_times_have_a_gap():
    found = list(smooth([window(0, 1, 1.0), window(100, 101, 1.0)], stride=0.5))
    assert [step.start for step in found] == [0, 0.5, 100, 100.5]
    joined = list(segments(found, CLASSES, 0))
    assert [(segment.start, segment.end) for segment in joined] == [(0, 1), (100, 101)]


def test_segments_join_steps_of_one_class_and_below_the_threshold_it_is_nothing():
    steps = [window(0, 1, 0.9), window(1, 2, 0.7), window(2, 3, 0.55), window(3, 4, 0.2), window(4, 5, None)]
    assert list(segments(steps, CLASSES, 0.6)) == [
        Segment(0, 2, "a", pytest.approx(0.8)),
        Segment(2, 3, NOTHING, None),
        Segment(3, 4, "b", pytest.approx(0.8)),
        Segment(4, 5, None, None),
    ]
