"""Clips that are segments of one file."""

from collections.abc import Iterable, Mapping
from itertools import groupby

from mocliplite.data.clips import Clip
from mocliplite.errors import UserError


def by_file(clips: Iterable[Clip]) -> dict[str, list[Clip]]:
    """Return the clips of each file by path, in order of path; those of a file in order of their start, then of id."""
    ordered = sorted(clips, key=lambda clip: (clip.path, clip.span.interval, clip.id))
    return {path: list(found) for path, found in groupby(ordered, key=lambda clip: clip.path)}


def check_overlaps(clips: Iterable[Clip], splits: Mapping[str, str]) -> None:
    """Raise UserError for two clips of one file that are in different splits and have time in common."""
    for path, segments in by_file(clips).items():
        longest: dict[str, Clip] = {}  # by split, the clip with the latest end so far
        for clip in segments:
            split, (start, end) = splits[clip.id], clip.span.interval
            for other_split, other in longest.items():
                if other_split != split and other.span.interval[1] > start:
                    both = f"{other.span} s are in {other_split}, {clip.span} s in {split}"
                    raise UserError(f"{path}: {both}, but they overlap; correct the spans, or put them into one group.")
            if split not in longest or longest[split].span.interval[1] < end:
                longest[split] = clip
