"""Clips of several classes: their labels in a CSV file, and folds in which classes are spread evenly."""

from collections import Counter

import numpy as np
import pytest
from builders import CHECKOUT, put, put_clips, sentence_of, settings_of

from mocliplite.data.clips import class_names, read_clips, write_clips
from mocliplite.data.folds import group_folds
from mocliplite.data.index import find_clips
from mocliplite.data.splits import split_clips

pytestmark = pytest.mark.usefixtures("folder")


def clips_of(text, header="path,label", **settings):
    """Return the clips of a CSV file whose files exist."""
    put("", {"list.csv": f"{header}\n{text}"})
    put_clips(*(line.split(",")[0] for line in text.splitlines()))
    return find_clips(settings_of(lists="list.csv", **{"multi_label": True} | settings))


def test_a_clip_has_the_classes_of_its_label_in_order_of_index():
    a, b, c = clips_of("a.avi,Wave | Run\nb.avi,Run\nc.avi,\n")
    assert (a.label, a.labels, a.indices) == ("Run|Wave", ["Run", "Wave"], (0, 1))
    assert (b.labels, b.indices, c.labels, c.indices) == (["Run"], (0,), [], ())
    assert class_names([a, b, c]) == ["Run", "Wave"]


def test_without_the_setting_the_separator_is_part_of_the_name():
    clips = clips_of("a.avi,Wave|Run\nb.avi,Run\n", multi_label=False)
    assert [(clip.labels, clip.index) for clip in clips] == [(["Wave|Run"], 1), (["Run"], 0)]


@pytest.mark.parametrize("multi_label", [True, False])
def test_clips_are_read_as_they_were_written(multi_label):
    clips = clips_of("a.avi,Wave|Run\nb.avi,Run\n", multi_label=multi_label)
    write_clips("clips.csv", clips)
    assert read_clips("clips.csv") == clips


@pytest.mark.parametrize("label", ["Run||Wave", "Run|Run", "Run|"])
def test_a_label_with_an_empty_or_repeated_part_is_refused_with_its_line(label):
    problem = f"the label {label!r} has an empty or repeated part; separate the classes by one '|' each."
    assert sentence_of(clips_of, f"a.avi,{label}\n") == f"list.csv line 2, column label: {problem}"


def test_the_classes_of_a_clip_stand_in_one_line():
    problem = "a.avi is listed here (Run) and in list.csv line 2 (Wave); join their classes with '|' in one line."
    assert sentence_of(clips_of, "a.avi,Wave\na.avi,Run\n") == f"list.csv line 3: {problem}"


def test_class_folders_and_other_formats_have_one_class_per_clip():
    wanted = "params.yaml: dataset.multi_label is True; it must be false without a CSV file in dataset.lists."
    assert sentence_of(lambda: settings_of(multi_label=True)) == wanted
    put("", {"list.txt": "a.avi 0\nb.avi 1\n"})
    problem = "dataset.multi_label is true, but list.txt has the format MMAction2, in which a clip has one class"
    advice = "set it to false, or use a CSV file with the columns path and label."
    assert sentence_of(find_clips, settings_of(lists="list.txt", multi_label=True)) == f"{problem}; {advice}"


def test_every_class_is_spread_over_the_folds_and_groups_stay_whole():
    rng = np.random.default_rng(0)
    indices = [tuple(np.flatnonzero(rng.random(6) < 0.3).tolist()) for _ in range(240)]
    groups = [f"g{number // 4}" for number in range(240)]

    folds = group_folds([clip or (-1,) for clip in indices], groups, 4, seed=0)

    assert len(set(zip(groups, folds.tolist(), strict=True))) == len(set(groups))
    assert max(Counter(folds.tolist()).values()) <= 66
    by_class = np.array(
        [
            [sum(c in clip for clip, f in zip(indices, folds, strict=True) if f == fold) for fold in range(4)]
            for c in range(6)
        ]
    )
    assert (by_class.max(axis=1) - by_class.min(axis=1) <= 4).all()


def test_every_class_is_in_train_validation_and_test():
    kinds = {"a": "Run|Wave", "b": "Wave|Hop", "c": "Hop"}
    clips = clips_of("".join(f"{name}{number}.avi,{kinds[name]}\n" for name in kinds for number in range(8)))
    splits = split_clips(clips, settings_of(lists="list.csv", multi_label=True))
    found = {(splits[clip.id], label) for clip in clips for label in clip.labels}
    assert found == {(split, label) for split in ("train", "val", "test") for label in ("Hop", "Run", "Wave")}


def test_the_list_in_the_docs_has_clips_of_two_one_and_no_class():
    page = (CHECKOUT / "docs/multi-label.md").read_text()
    text = page.split("```csv\n")[1].split("```")[0].removeprefix("path,label,group\n")
    clips = clips_of(text, header="path,label,group")
    assert [(clip.labels, clip.group) for clip in clips] == [
        ([], "garden"),
        (["Cutting", "Talking"], "kitchen"),
        (["Talking"], "kitchen"),
    ]
