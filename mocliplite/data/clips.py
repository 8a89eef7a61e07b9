"""The clips of a data set, each with its label, group and content hash.

The path of a clip is a POSIX path relative to dataset.root.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mocliplite import params
from mocliplite.csv_files import read_rows, write_rows
from mocliplite.data.lists.entry import Entry, is_number, labels_of
from mocliplite.data.names import is_below_root, stem_of
from mocliplite.errors import UserError
from mocliplite.params import CLASS_SEPARATOR
from mocliplite.spans import WHOLE_FILE, Span


@dataclass(frozen=True)
class Clip:
    """One video file, or a segment of it: the frames from `start` on and before `end`."""

    id: str  # see `id_of`
    path: str  # POSIX, relative to dataset.root
    label: str  # name of the class; of several classes "Run|Wave", of none empty
    indices: tuple[int, ...]  # of the classes, from 0, in increasing order; one unless dataset.multi_label
    group: str  # all clips of a group are in the same split
    bytes: int  # of the file
    sha256: str  # of the file
    start: float | None = None  # seconds from the first frame; None: the beginning of the file
    end: float | None = None  # None: the end of the file

    @property
    def index(self) -> int:
        """Index of the class of a clip with one class."""
        (index,) = self.indices
        return index

    @property
    def labels(self) -> list[str]:
        """Names of the classes, in order of index."""
        return [self.label] if len(self.indices) == 1 else self.label.split(CLASS_SEPARATOR) if self.label else []

    @property
    def span(self) -> Span:
        """The span of the file."""
        return Span(self.start, self.end)

    @property
    def content(self) -> str:
        """What decides the frames of the clip: the hash of the file, with the span of a segment."""
        return self.sha256 if self.span.is_whole_file else f"{self.sha256} {self.span}"


def id_of(path: str, span: Span = WHOLE_FILE) -> str:
    """Return the id of a clip, which can be the name of a file or an HDF5 group: `class__file`, `class__file@12.5-15`.

    It is the path without its extension, with "__" for "/", and for a segment its span after "@". The part after "@"
    has no influence on the shard of a clip, so that a file is decoded once for all of its segments.
    """
    file_id = stem_of(path).replace("/", "__")
    return file_id if span.is_whole_file else f"{file_id}@{span}"


_COLUMNS = ["id", "path", "label", "index", "group", "bytes", "sha256", "start", "end"]


def write_clips(path: str | Path, clips: Iterable[Clip]) -> None:
    """Write the clips to a CSV file, sorted by id."""
    write_rows(path, _COLUMNS, [_row(clip) for clip in sorted(clips, key=lambda clip: clip.id)])


def _row(clip: Clip) -> list[object]:
    numbers = CLASS_SEPARATOR.join(map(str, clip.indices))
    return [clip.id, clip.path, clip.label, numbers, clip.group, clip.bytes, clip.sha256, clip.start, clip.end]


def read_clips(path: str | Path) -> list[Clip]:
    """Return the clips in a file of write_clips. Raises UserError if it is missing or has another format."""
    clips = []
    for id_, clip_path, label, index, group, size, digest, *span in read_rows(path, _COLUMNS):
        numbers = index.split(CLASS_SEPARATOR) if index else []
        # A class name may contain the separator where each clip has one class.
        complete = len(numbers) in (1, len(label.split(CLASS_SEPARATOR)) if label else 0)
        if not (complete and all(map(is_number, (*numbers, size)))):
            raise UserError(
                f"{path}: clip {id_} has index {index!r:.100} and bytes {size!r:.100}; run `dvc repro` to create it"
                " again."
            )
        try:
            start, end = (float(seconds) if seconds else None for seconds in span)
        except ValueError:
            raise UserError(
                f"{path}: clip {id_} has the span {span!s:.100}; run `dvc repro` to create it again."
            ) from None
        if not is_below_root(clip_path):
            raise UserError(f"{path}: {clip_path!r} is outside dataset.root; run `dvc repro` to create it again.")
        clips.append(Clip(id_, clip_path, label, tuple(map(int, numbers)), group, int(size), digest, start, end))
    return clips


def class_names(clips: Iterable[Clip]) -> list[str]:
    """Return the class names in order of index."""
    pairs = {pair for clip in clips for pair in zip(clip.indices, clip.labels, strict=True)}
    return [label for _, label in sorted(pairs)]


def check_classes(clips: Sequence[Clip], settings: params.Dataset) -> None:
    """Raise UserError if there are less than two classes, or for a class with a single clip, which cannot be tested."""
    counts = Counter(label for clip in clips for label in clip.labels)
    if clips and not counts:
        raise UserError(f"no clip of {settings.lists} has a class; fill the column label.")
    if len(counts) == 1:
        raise UserError(f"{settings.root} has the class {next(iter(counts))} alone; add clips of another class.")
    for label, count in sorted(counts.items()):
        if count == 1:
            raise UserError(f"class {label} has a single clip, so it cannot be tested; add clips of it or remove it.")


def clips_of(entries: Iterable[Entry], labels: Sequence[str], settings: params.Dataset) -> list[Clip]:
    """Return the clips of entries in order of id, without reading their files: bytes is 0 and sha256 is empty.

    labels: the class names in order of index. A clip without a group of its own or by dataset.group has that of its
    file. Raises UserError for two clips with the same id, and for a path in which dataset.group finds no group.
    """
    index = {label: number for number, label in enumerate(labels)}
    clips: dict[str, Clip] = {}
    owners: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda entry: entry.path):
        clip_id = entry.id or id_of(entry.path, Span(entry.start, entry.end))
        owner = owners.setdefault(clip_id, entry)
        if owner is not entry:
            both = f"{owner.location} and {entry.location}"
            raise UserError(f"{both} have the same id; rename or remove one of them.")
        group = entry.group or group_in(entry.path, settings.group) or id_of(entry.path)
        names = sorted(labels_of(entry, settings.multi_label), key=index.__getitem__)
        indices, span = tuple(index[name] for name in names), (entry.start, entry.end)
        clips[clip_id] = Clip(clip_id, entry.path, CLASS_SEPARATOR.join(names), indices, group, 0, "", *span)
    return [clips[clip_id] for clip_id in sorted(clips)]


def group_in(path: str, pattern: str | None) -> str | None:
    """Return the group that a pattern captures in a path, None without a pattern. Raises UserError if there is none."""
    if pattern is None:
        return None
    match = re.search(pattern, path)
    if match is None or not match[1]:
        raise UserError(f"dataset.group {pattern!r} finds no group in {path}; correct the pattern, or set it to null.")
    return match[1]
