"""Split of the clips into train, validation and test: from official lists, or by groups with a seed.

The split depends on the ids, labels and groups of the clips, never on their order. Official lists do not grow, so the
validation clips that are taken from them are the most even folds; other data sets grow, see `group_split`.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal, cast, get_args

from mocliplite import params
from mocliplite.csv_files import read_rows, write_rows
from mocliplite.data import group_split
from mocliplite.data.clips import Clip, check_classes
from mocliplite.data.groups import group_of
from mocliplite.data.listed import split_of_list
from mocliplite.data.lists import formats
from mocliplite.data.lists.entry import Entry, Key, key_of
from mocliplite.data.names import ENDINGS, included, stem_of
from mocliplite.data.segments import check_overlaps
from mocliplite.errors import UserError
from mocliplite.sections import require

Split = Literal["train", "val", "test", "unused"]


def write_splits(path: str | Path, splits: Mapping[str, Split]) -> None:
    """Write the splits to path as CSV with the columns id and split, in order of id."""
    write_rows(path, ["id", "split"], sorted(splits.items()))


def read_splits(path: str | Path) -> dict[str, Split]:
    """Return the split of each clip by id. Raises UserError if the file is missing or not from write_splits."""
    splits: dict[str, Split] = {}
    for clip_id, split in read_rows(path, ["id", "split"]):
        if split not in get_args(Split) or clip_id in splits:
            problem = f"clip {clip_id} has the unknown or repeated split {split!r}"
            raise UserError(f"{path}: {problem}; run `dvc repro` to write it again.")
        splits[clip_id] = cast(Split, split)
    return splits


def digest_of_fitted(clips: Mapping[str, Clip], splits: Mapping[str, Split], fingerprints: Mapping[str, str]) -> str:
    """Return the SHA-256 of what a model is fitted and chosen on, 64 hexadecimal digits.

    It covers id, features, split and class of each train and validation clip. clips and splits: by id; fingerprints:
    those of the features, by id of the usable clips.
    """
    fitted = sorted(clip_id for clip_id in fingerprints if splits[clip_id] in ("train", "val"))
    rows = [(clip_id, fingerprints[clip_id], splits[clip_id], clips[clip_id].label) for clip_id in fitted]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def split_clips(clips: Sequence[Clip], settings: params.Dataset) -> dict[str, Split]:
    """Return the split of each clip by id: from lists or by groups, where there is no validation also that from train.

    Raises UserError if there is one class only, a class with one clip, or if the result fails check_splits.
    """
    check_classes(clips, settings)
    splits = _listed_split(clips, settings) or split_by_group(clips, settings)
    if "val" not in splits.values():
        check_splits(clips, splits, settings, ("train", "test"))
        splits = split_validation(clips, splits, settings)
    check_splits(clips, splits, settings, ("train", "val", "test"))
    return splits


def check_splits(
    clips: Sequence[Clip], splits: Mapping[str, Split], settings: params.Dataset, required: Sequence[Split]
) -> None:
    """Raise UserError if a required split is empty, a group is in two splits, or a class has no train clip."""
    for split in required:
        if split not in splits.values():
            raise UserError(f"there is no {split} clip; {_advice(settings)}.")
    first_of_group: dict[str, Clip] = {}
    for clip in sorted(clips, key=lambda clip: clip.id):
        if splits[clip.id] == "unused":
            continue
        group = group_of(clip, settings)
        other = first_of_group.setdefault(group, clip)
        if splits[clip.id] != splits[other.id]:
            both = f"{splits[other.id]} ({other.path}) and {splits[clip.id]} ({clip.path})"
            raise UserError(f"group {group} is in both {both}; correct dataset.group or the lists.")
    check_overlaps([clip for clip in clips if splits[clip.id] != "unused"], splits)
    counts = Counter((label, splits[clip.id]) for clip in clips for label in clip.labels)
    for label in sorted({label for label, _ in counts}):
        if not counts[label, "train"]:
            found = ", ".join(f"{split} {counts[label, split]}" for split in get_args(Split) if counts[label, split])
            raise UserError(f"class {label} has no train clip ({found}); add clips to it, or {_advice(settings)}.")


def _advice(settings: params.Dataset) -> str:
    if settings.lists != params.NO_PATH:
        return "change dataset.split, seed or val, or the lists"
    return f"change dataset.{'split, seed' if settings.folds else 'seed, test'} or val"


def _listed_split(clips: Sequence[Clip], settings: params.Dataset) -> dict[str, Split] | None:
    """Return the split of each clip by id that the lists give, or None if they give none.

    Raises UserError for a dataset.split that there is not.
    """
    name = formats.list_format(settings)
    if name in formats.SPLIT_LISTS:
        return official_split(clips, settings)
    splits = None if name == "none" else split_of_list(clips, settings)
    highest = (settings.folds or 1) if splits is None else 1
    reason = "the number of dataset.folds" if splits is None else f"because {settings.lists} has one split"
    require(settings.split <= highest, "dataset.split", settings.split, f"at most {highest}, {reason}")
    return splits


def official_split(clips: Sequence[Clip], settings: params.Dataset) -> dict[str, Split]:
    """Return the split of each clip by id from the official lists of dataset.split, in UCF101 or HMDB51 format.

    Raises UserError if a clip is in no list or a listed clip is missing, unless dataset.include excludes it. File name
    extensions are not compared, because clips may have been re-encoded to another container.
    """
    entries = list(formats.read_split_lists(settings))
    formats.refuse_repeated(entries)
    listed = {entry.keys[0]: entry for entry in entries}
    found = {_key_of(clip): clip for clip in sorted(clips, key=lambda clip: clip.path)}
    missing = [entry for key, entry in listed.items() if key not in found and _may_include(entry, settings.include)]
    if missing:
        first = f"{missing[0].location}: {missing[0].path} is not in {settings.root}"
        raise UserError(f"{first} ({len(missing)} missing in total); add the clips or correct the list.")
    unlisted = [clip.path for key, clip in found.items() if key not in listed]
    if unlisted:
        first = f"{settings.lists}: {unlisted[0]} is in no list of split {settings.split}"
        raise UserError(f"{first} ({len(unlisted)} unlisted in total); narrow dataset.include or correct the lists.")
    return {clip.id: split for key, clip in found.items() if (split := listed[key].split)}


def _key_of(clip: Clip) -> Key:
    return key_of(clip.path, clip.start, clip.end)


def _may_include(entry: Entry, include: str) -> bool:
    return any(included(stem_of(entry.path) + ending, include) for ending in ENDINGS) or included(entry.path, include)


def split_by_group(clips: Sequence[Clip], settings: params.Dataset) -> dict[str, Split]:
    """Return train, val or test by id for clips without lists: whole groups, stratified by class, with dataset.seed.

    The test clips are the fraction dataset.test, or with dataset.folds those of fold dataset.split, and the validation
    clips are the fraction dataset.val of the others. If there are as many folds as groups, the split is
    leave-one-group-out: fold i is the i-th group in natural order (g2 before g10), independent of the seed. Raises
    UserError if there are too few groups.
    """
    groups: dict[str, Counter[int]] = {}
    for clip in clips:
        # Clips without a class are spread like those of one.
        groups.setdefault(group_of(clip, settings), Counter()).update(clip.indices or (-1,))
    if settings.folds is None:
        test = _select_groups(groups, settings, "test")
    else:
        test = _test_fold(groups, settings, settings.folds)
    rest = {group: classes for group, classes in groups.items() if group not in test}
    val = _select_groups(rest, settings, "val")
    part: dict[str, Split] = {
        group: "test" if group in test else "val" if group in val else "train" for group in groups
    }
    return {clip.id: part[group_of(clip, settings)] for clip in clips}


def _select_groups(groups: group_split.Groups, settings: params.Dataset, key: Literal["test", "val"]) -> set[str]:
    """Return the names of the groups with the fraction dataset.<key> of the clips."""
    if max(Counter(index for classes in groups.values() for index in classes).values(), default=0) < 2:
        where = "left for train and validation" if key == "val" else "in the clips"
        problem = f"no class has two groups {where}, so dataset.{key} cannot be cut off in whole groups"
        raise UserError(f"{problem}; add clips, or define more groups with dataset.group.")
    return group_split.select_fraction(groups, getattr(settings, key), settings.seed)


def _test_fold(groups: group_split.Groups, settings: params.Dataset, count: int) -> set[str]:
    """Return the names of the groups in fold dataset.split of so many folds."""
    if count > len(groups):
        advice = f"set it to {len(groups)} or fewer, or define more groups with dataset.group"
        raise UserError(f"dataset.folds is {count}, but there are {len(groups)} groups; {advice}.")
    if count == len(groups):
        return {sorted(groups, key=_natural_sort_key)[settings.split - 1]}
    folds = group_split.assign_folds(groups, count, settings.seed)
    return {group for group, fold in folds.items() if fold == settings.split - 1}


def split_validation(clips: Sequence[Clip], splits: Mapping[str, Split], settings: params.Dataset) -> dict[str, Split]:
    """Return the splits of lists with the fraction dataset.val of the train clips, whole groups, moved to val.

    dataset.val is rounded to the nearest fraction p/q with q up to 10, and the first p of q folds are the validation
    clips. Raises UserError if there are too few groups or clips for q folds.
    """
    train = [clip for clip in clips if splits[clip.id] == "train"]
    fraction = Fraction(settings.val).limit_denominator(10)
    if fraction.denominator == 1:
        allowed = "at least 0.1" if fraction == 0 else "at most 0.9"
        raise UserError(f"dataset.val is {settings.val}, which is rounded to {fraction}; set it to {allowed}.")
    _check_count(train, settings, fraction.denominator)
    val = set().union(*even_folds(train, settings, fraction.denominator)[: fraction.numerator])
    return {clip_id: "val" if clip_id in val else split for clip_id, split in splits.items()}


def _check_count(train: Sequence[Clip], settings: params.Dataset, folds: int) -> None:
    """Raise UserError unless every fold gets a clip of the largest class."""
    groups = len({group_of(clip, settings) for clip in train})
    largest = max(Counter(label for clip in train for label in clip.labels).values(), default=0)
    limit = min(groups, largest)
    if folds > limit:
        needs = f"dataset.val is {settings.val}, which needs {folds} groups and {folds} clips per class"
        advice = f"set it to {_nearest_fraction(settings.val, limit):.2f}"
        advice = advice if limit > 1 else "add clips, or define more groups with dataset.group"
        raise UserError(f"{needs}, but train has {groups} groups and at most {largest} clips per class; {advice}.")


def _nearest_fraction(given: float, folds: int) -> float:
    """Return the nearest fraction between 0 and 1, both excluded, that this number of folds can give."""
    nearest = Fraction(given).limit_denominator(max(folds, 2))
    return float(min(max(nearest, Fraction(1, folds)), Fraction(folds - 1, folds)))


def even_folds(clips: Sequence[Clip], settings: params.Dataset, count: int) -> list[set[str]]:
    """Return the ids of each of count folds of whole groups, with the most similar numbers of clips of each class."""
    from mocliplite.data.folds import group_folds  # imported here because numpy takes 0.1 s

    ordered = sorted(clips, key=lambda clip: clip.id)
    # Clips without a class are spread like those of one.
    classes, groups = [clip.indices or (-1,) for clip in ordered], [group_of(clip, settings) for clip in ordered]
    fold_of = group_folds(classes, groups, count, settings.seed)
    return [{clip.id for clip, of in zip(ordered, fold_of, strict=True) if of == fold} for fold in range(count)]


def _natural_sort_key(name: str) -> list[tuple[int, str]]:
    """Return a sort key that orders g2 before g10."""
    # The digits, not the number: Python takes no number of thousands of digits.
    digits = [(part, part.lstrip("0")) for part in re.split(r"(\d+)", name)]
    return [(len(rest), rest) if part.isdecimal() else (-1, part) for part, rest in digits] + [(-1, name)]
