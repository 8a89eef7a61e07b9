"""Clips that are segments of a file: ids, shards, groups, splits."""

from dataclasses import replace
from pathlib import Path

import pytest
from builders import clip_of, sentence_of, settings_of

from mocliplite.data.clips import id_of, read_clips, write_clips
from mocliplite.data.groups import group_of
from mocliplite.data.segments import check_overlaps
from mocliplite.spans import Span
from mocliplite.store.layout import shard_of


def segment(start, end, path="run/x.avi", group="run__x"):
    return replace(clip_of(path, group), id=id_of(path, Span(start, end)), start=start, end=end)


@pytest.mark.parametrize(
    ("span", "name"),
    [
        (Span(12.5, 15.0), "wave__video1@12.5-15"),
        (Span(None, 100), "wave__video1@0-100"),
        (Span(0.1, None), "wave__video1@0.1-end"),
        (Span(1e-05, 1 / 3), "wave__video1@0.00001-0.3333333333333333"),
        (Span(), "wave__video1"),
    ],
)
def test_the_id_of_a_segment_says_its_span_and_its_shard_is_that_of_the_file(span, name):
    clip_id = id_of("wave/video1.mp4", span)

    assert clip_id == name
    assert shard_of(clip_id, 1 << 60) == shard_of("wave__video1", 1 << 60)


@pytest.mark.usefixtures("folder")
def test_the_spans_of_segments_are_kept_in_the_file_and_are_part_of_what_decides_their_values():
    clips = [clip_of("run/x.avi"), segment(0.1, 1 / 3), segment(2.0, None)]
    write_clips("clips.csv", clips)

    assert read_clips("clips.csv") == clips
    assert Path("clips.csv").read_text(encoding="utf-8").splitlines()[1] == "run__x,run/x.avi,run,0,g,1,0,,"
    assert [clip.content for clip in clips] == ["0", "0 0.1-0.3333333333333333", "0 2-end"]


def test_segments_of_a_file_are_one_group_in_all_classes_unless_they_have_groups_of_their_own():
    settings = settings_of(shared_groups=False)
    runs, hops = segment(0, 1), replace(segment(1, 2), label="hop")

    assert group_of(runs, settings) == group_of(hops, settings) == "run__x"
    assert group_of(replace(hops, group="g1"), settings) == "hop/g1"
    assert group_of(clip_of("run/x.avi", "run__x"), settings) == "run/run__x"


def test_overlapping_segments_of_a_file_are_in_one_split():
    clips = [segment(0, 10), segment(2, 3), segment(9.5, 12), segment(12, None), segment(0, None, "run/y.avi")]
    splits = dict(zip([clip.id for clip in clips], ["train", "train", "test", "train", "test"], strict=True))

    reason = sentence_of(check_overlaps, clips, splits)

    assert reason == (
        "run/x.avi: 0-10 s are in train, 9.5-12 s in test, but they overlap; correct the spans, or put them into one "
        "group."
    )
    check_overlaps(clips, splits | {"run__x@9.5-12": "train"})
    check_overlaps([clips[0], clips[3]], splits | {"run__x@12-end": "test"})
