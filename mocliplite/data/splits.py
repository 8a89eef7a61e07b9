"""Which clips are for training, validation and test: by official lists, or by a cut of our own.

A clip's id, label and group decide, never the order in which clips come.
"""

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal, cast, get_args

from mocliplite import params
from mocliplite.data.clips import ENDINGS, Clip, included, stem_of
from mocliplite.data.lists import Entry, read_entries
from mocliplite.errors import UserError
from mocliplite.files import read_rows, write_rows

Split = Literal["train", "val", "test", "unused"]


def write_splits(path: str | Path, splits: Mapping[str, Split]) -> None:
    """Replace path by a CSV of id and split in order of id."""
    write_rows(path, ["id", "split"], sorted(splits.items()))


def read_splits(path: str | Path) -> dict[str, Split]:
    """Read what write_splits wrote: split by id. Raises UserError where the file is absent or another one."""
    splits: dict[str, Split] = {}
    for id_, split in read_rows(path, ["id", "split"]):
        if split not in get_args(Split) or id_ in splits:
            raise UserError(f"{path}: {id_} is {split!r}, an unknown or second split; run `dvc repro` to renew it.")
        splits[id_] = cast(Split, split)
    return splits


def split_clips(clips: Sequence[Clip], settings: params.Dataset) -> dict[str, Split]:
    """Split by id: test from the official lists or a cut of our own, then validation out of train; checked."""
    splits = cut(clips, settings) if settings.lists == params.NO_PATH else official_split(clips, settings)
    check_splits(clips, splits, settings, ("train", "test"))
    splits = cut_validation(clips, splits, settings)
    check_splits(clips, splits, settings, ("train", "val", "test"))
    return splits


def check_splits(
    clips: Sequence[Clip], splits: Mapping[str, Split], settings: params.Dataset, parts: Sequence[Split]
) -> None:
    """Raise UserError where a part is empty, a group straddles, or a class has no train clip.

    The group of a clip from official lists is its label and group together: there, g01 of one class has nothing to do
    with g01 of another.
    """
    for part in parts:
        if part not in splits.values():
            raise UserError(f"no clip is for {part}; {_remedy(settings)}.")
    first: dict[str, Clip] = {}
    for clip in sorted(clips, key=lambda clip: clip.id):
        if splits[clip.id] == "unused":
            continue
        other = first.setdefault(group_of(clip, settings), clip)
        here, there = splits[clip.id], splits[other.id]
        if here != there:
            both = f"{other.path} is for {there} and {clip.path} for {here}"
            raise UserError(f"group {group_of(clip, settings)} straddles: {both}; correct dataset.group or the lists.")
    for label in sorted({clip.label for clip in clips}):
        own = Counter(splits[clip.id] for clip in clips if clip.label == label)
        if not own["train"]:
            where = ", ".join(f"{part} {own[part]}" for part in get_args(Split) if own[part])
            raise UserError(f"class {label} has no train clip ({where}); add clips of it, or {_remedy(settings)}.")


def _remedy(settings: params.Dataset) -> str:
    if settings.lists != params.NO_PATH:
        return "change dataset.split, seed or val, or the lists"
    return f"change dataset.{'split, seed' if settings.folds else 'seed, test'} or val"


def group_of(clip: Clip, settings: params.Dataset) -> str:
    """The name of a clip's group among all clips: with official lists, groups are numbered class by class."""
    return clip.group if settings.lists == params.NO_PATH else f"{clip.label}/{clip.group}"


def official_split(clips: Sequence[Clip], settings: params.Dataset) -> dict[str, Split]:
    """Split by id as the lists of dataset.split in the folder dataset.lists say, in UCF101's or HMDB51's format.

    Every clip must be in a list and every clip of the lists among the clips, save those that dataset.include leaves
    out. Endings are not compared: clips may have been re-encoded into another container. Raises UserError otherwise.
    """
    named = _by_stem(read_entries(settings, ENDINGS))
    stems = {stem_of(clip.path): clip for clip in sorted(clips, key=lambda clip: clip.path)}
    lacking = [entry for stem, entry in named.items() if stem not in stems and _may_include(entry, settings.include)]
    if lacking:
        first = f"{lacking[0].where}: {lacking[0].path} is not in {settings.root}"
        raise UserError(f"{first} ({len(lacking)} such clips in all); add the clips or correct the list.")
    surplus = [clip.path for stem, clip in stems.items() if stem not in named]
    if surplus:
        first = f"{settings.lists}: no list of split {settings.split} names {surplus[0]}"
        raise UserError(f"{first} ({len(surplus)} such clips in all); narrow dataset.include or correct the lists.")
    return {clip.id: named[stem].split for stem, clip in stems.items()}


def _may_include(entry: Entry, include: str) -> bool:
    return any(included(stem_of(entry.path) + ending, include) for ending in ENDINGS) or included(entry.path, include)


def _by_stem(entries: Iterable[Entry]) -> dict[str, Entry]:
    named: dict[str, Entry] = {}
    for entry in entries:
        first = named.setdefault(stem_of(entry.path), entry)
        if first is not entry:
            again = f"{entry.path} is for {entry.split} here and for {first.split} in {first.where}"
            raise UserError(f"{entry.where}: {again}; delete one of the two lines.")
    return named


def cut(clips: Sequence[Clip], settings: params.Dataset) -> dict[str, Split]:
    """Train or test by id, for clips that come without lists; whole groups, classes spread evenly, seeded.

    With dataset.folds, fold dataset.split is the test. As many folds as groups leave one group out: fold i is then the
    i-th group, numbers in the names counted as numbers (g2 before g10), and no seed plays a part. Without folds,
    dataset.test is met to the nearest p/q with q up to 10: of q folds, the first p are the test.
    """
    if settings.folds is None:
        test = _share(clips, settings, "test")
    elif settings.folds == len({clip.group for clip in clips}):
        group = sorted({clip.group for clip in clips}, key=_natural)[settings.split - 1]
        test = {clip.id for clip in clips if clip.group == group}
    else:
        most = _most_folds(clips, settings)
        if settings.folds > most:
            raise _too_few(clips, settings, "folds", settings.folds, f"set it to {most} or fewer")
        test = _folds(clips, settings, settings.folds)[settings.split - 1]
    return {clip.id: "test" if clip.id in test else "train" for clip in clips}


def cut_validation(clips: Sequence[Clip], splits: Mapping[str, Split], settings: params.Dataset) -> dict[str, Split]:
    """The same splits with a share dataset.val of train turned into val, as `cut` meets dataset.test."""
    val = _share([clip for clip in clips if splits[clip.id] == "train"], settings, "val")
    return {id_: "val" if id_ in val else split for id_, split in splits.items()}


def _share(clips: Sequence[Clip], settings: params.Dataset, key: Literal["test", "val"]) -> set[str]:
    """Ids of about the share dataset.<key> of the clips."""
    share: float = getattr(settings, key)
    part = Fraction(share).limit_denominator(10)
    if part.denominator == 1:
        wanted = "0.1 or more" if part == 0 else "0.9 or less"
        raise UserError(f"dataset.{key} is {share}, nearer to {part} than to a tenth; set it to {wanted}.")
    most = _most_folds(clips, settings)
    if part.denominator > most:
        raise _too_few(clips, settings, key, part.denominator, f"set it to {_nearest_share(share, most):.2f}")
    return set().union(*_folds(clips, settings, part.denominator)[: part.numerator])


def _nearest_share(share: float, most: int) -> float:
    most = max(most, 2)
    nearest = Fraction(share).limit_denominator(most)
    return float(min(max(nearest, Fraction(1, most)), Fraction(most - 1, most)))


def _too_few(clips: Sequence[Clip], settings: params.Dataset, key: str, parts: int, advice: str) -> UserError:
    groups = len({group_of(clip, settings) for clip in clips})
    there = f"{'train has' if key == 'val' else 'there are'} {groups} groups and at most {_largest_class(clips)} clips"
    advice = advice if _most_folds(clips, settings) > 1 else "add clips, or groups by dataset.group"
    needs = f"dataset.{key} is {getattr(settings, key)}, which takes {parts} groups and {parts} clips in a class"
    return UserError(f"{needs}, but {there} in a class; {advice}.")


def _most_folds(clips: Sequence[Clip], settings: params.Dataset) -> int:
    # The second limit is scikit-learn's: more folds than any class has clips cannot be stratified at all.
    return min(len({group_of(clip, settings) for clip in clips}), _largest_class(clips))


def _largest_class(clips: Sequence[Clip]) -> int:
    return max(Counter(clip.label for clip in clips).values(), default=0)


def _folds(clips: Sequence[Clip], settings: params.Dataset, count: int) -> list[set[str]]:
    """Ids of each of count folds."""
    from sklearn.model_selection import StratifiedGroupKFold  # 1 s that only this stage should pay

    ordered = sorted(clips, key=lambda clip: clip.id)
    kfold = StratifiedGroupKFold(n_splits=count, shuffle=True, random_state=settings.seed)
    labels, groups = [clip.index for clip in ordered], [group_of(clip, settings) for clip in ordered]
    with warnings.catch_warnings():
        # It warns of classes with fewer clips than folds; what matters of that, check_splits refuses.
        warnings.simplefilter("ignore", UserWarning)
        return [{ordered[row].id for row in rows} for _, rows in kfold.split(labels, labels, groups)]


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key by which g2 comes before g10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)] + [(-1, name)]
