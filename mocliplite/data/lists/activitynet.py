"""ActivityNet's JSON format, which HACS and THUMOS use too: segments of videos, in seconds.

A video `abc` is the file v_abc.mp4 or abc.mp4 in dataset.root, or one with another extension.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mocliplite.data.lists.entry import Annotations, Entry, checked_span, read_json, split_of, value_of
from mocliplite.data.names import normal
from mocliplite.errors import UserError


def read(file: Path) -> Annotations:
    """Return the segments in a file. Raises UserError for an invalid record."""
    videos = value_of(read_json(file), "database", dict, str(file))
    entries = [entry for name, video in videos.items() for entry in _entries(name, video, f"{file} video {name}")]
    without = sum(not video["annotations"] for video in videos.values())
    notes = [f"{file}: {without} videos have no annotations and are not used."] if without else []
    return Annotations(entries, notes=notes)


def _entries(name: str, video: Any, location: str) -> Iterator[Entry]:
    split = split_of(value_of(video, "subset", str, location), f"{location}, subset")
    for number, annotation in enumerate(value_of(video, "annotations", list, location), 1):
        where = f"{location}, annotation {number}"
        segment = value_of(annotation, "segment", list, where)
        if len(segment) != 2:
            raise UserError(f"{where}: the segment is {segment}; it must be [start, end] in seconds.")
        start, end = checked_span(segment[0], segment[1], where)
        label = normal(value_of(annotation, "label", str, where).strip())
        yield Entry(f"v_{name}.mp4", label, where, split, None, start, end, other_paths=(f"{name}.mp4",))
