"""Split of the clips into train, validation and test: from official lists, or by groups with a seed.

The split depends on the ids, labels and groups of the clips, never on their order.
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
from mocliplite.data.clips import Clip, check_classes
from mocliplite.data.groups import group_of
from mocliplite.data.listed import split_of_list
from mocliplite.data.lists import formats
from mocliplite.data.lists.entry import Entry, Key, key_of
from mocliplite.data.names import ENDINGS, included, stem_of
from mocliplite.data.segments import check_overlaps
from mocliplite.errors import UserError
from mocliplite.files import read_rows, write_rows

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
    check_splits(clips, splits, settings, ("train", "test"))
    if "val" not in splits.values():
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
    params.require(settings.split <= highest, "dataset.split", settings.split, f"at most {highest}, {reason}")
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
    """Return train or test by id for clips without lists: whole groups, stratified by class, with dataset.seed.

    With dataset.folds, fold dataset.split is the test fold. If there are as many folds as groups, the split is
    leave-one-group-out: fold i is the i-th group in natural order (g2 before g10), independent of the seed. Without
    folds, dataset.test is rounded to the nearest fraction p/q with q up to 10, and the first p of q folds are the test
    clips.
    """
    if settings.folds is None:
        test = _select_fraction(clips, settings, "test")
    elif settings.folds == len(groups := {group_of(clip, settings) for clip in clips}):
        group = sorted(groups, key=_natural_sort_key)[settings.split - 1]
        test = {clip.id for clip in clips if group_of(clip, settings) == group}
    else:
        limit = _max_folds(clips, settings)
        if settings.folds > limit:
            raise _too_few(clips, settings, "folds", settings.folds, f"set it to {limit} or fewer")
        test = _folds(clips, settings, settings.folds)[settings.split - 1]
    return {clip.id: "test" if clip.id in test else "train" for clip in clips}


def split_validation(clips: Sequence[Clip], splits: Mapping[str, Split], settings: params.Dataset) -> dict[str, Split]:
    """Return the splits with the fraction dataset.val of the train clips, whole groups, moved to val."""
    val = _select_fraction([clip for clip in clips if splits[clip.id] == "train"], settings, "val")
    return {clip_id: "val" if clip_id in val else split for clip_id, split in splits.items()}


def _select_fraction(clips: Sequence[Clip], settings: params.Dataset, key: Literal["test", "val"]) -> set[str]:
    """Return the ids of about the fraction dataset.<key> of the clips."""
    given: float = getattr(settings, key)
    fraction = Fraction(given).limit_denominator(10)
    if fraction.denominator == 1:
        allowed = "at least 0.1" if fraction == 0 else "at most 0.9"
        raise UserError(f"dataset.{key} is {given}, which is rounded to {fraction}; set it to {allowed}.")
    limit = _max_folds(clips, settings)
    if fraction.denominator > limit:
        raise _too_few(clips, settings, key, fraction.denominator, f"set it to {_nearest_fraction(given, limit):.2f}")
    return set().union(*_folds(clips, settings, fraction.denominator)[: fraction.numerator])


def _nearest_fraction(given: float, folds: int) -> float:
    """Return the nearest fraction between 0 and 1, both excluded, that this number of folds can give."""
    folds = max(folds, 2)
    nearest = Fraction(given).limit_denominator(folds)
    return float(min(max(nearest, Fraction(1, folds)), Fraction(folds - 1, folds)))


def _too_few(clips: Sequence[Clip], settings: params.Dataset, key: str, folds: int, advice: str) -> UserError:
    """Return the error for a setting that needs more folds than the clips allow."""
    groups = len({group_of(clip, settings) for clip in clips})
    found = f"{'train has' if key == 'val' else 'there are'} {groups} groups and at most {_largest_class(clips)} clips"
    advice = advice if _max_folds(clips, settings) > 1 else "add clips, or define more groups with dataset.group"
    needs = f"dataset.{key} is {getattr(settings, key)}, which needs {folds} groups and {folds} clips per class"
    return UserError(f"{needs}, but {found} per class; {advice}.")


def _max_folds(clips: Sequence[Clip], settings: params.Dataset) -> int:
    # Every fold gets a clip of the largest class.
    return min(len({group_of(clip, settings) for clip in clips}), _largest_class(clips))


def _largest_class(clips: Sequence[Clip]) -> int:
    return max(Counter(label for clip in clips for label in clip.labels).values(), default=0)


def _folds(clips: Sequence[Clip], settings: params.Dataset, count: int) -> list[set[str]]:
    """Return the ids of each of count folds."""
    from mocliplite.data.folds import group_folds  # imported here because numpy takes 0.1 s

    ordered = sorted(clips, key=lambda clip: clip.id)
    # Clips without a class are spread like those of one.
    classes, groups = [clip.indices or (-1,) for clip in ordered], [group_of(clip, settings) for clip in ordered]
    fold_of = group_folds(classes, groups, count, settings.seed)
    return [{clip.id for clip, of in zip(ordered, fold_of, strict=True) if of == fold} for fold in range(count)]


def _natural_sort_key(name: str) -> list[tuple[int, str]]:
    """Return a sort key that orders g2 before g10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)] + [(-1, name)]
