"""Segments of a video as subtitles, and times as text."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mocliplite.predict.timeline import Segment


def srt(segments: Iterable["Segment"]) -> str:
    """Return SubRip text."""
    cues = enumerate(segments, 1)
    return "".join(
        f"{number}\n{clock(segment.start, ',')} --> {clock(segment.end, ',')}\n{_caption(segment)}\n\n"
        for number, segment in cues
    )


def vtt(segments: Iterable["Segment"]) -> str:
    """Return WebVTT text."""
    escaped = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
    cues = (
        f"{clock(segment.start)} --> {clock(segment.end)}\n{_caption(segment).translate(escaped)}\n"
        for segment in segments
    )
    return "\n".join(["WEBVTT\n", *cues])


def clock(seconds: float, separator: str = ".") -> str:
    """Return a time as hh:mm:ss.mmm."""
    milliseconds = round(1000 * seconds)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{separator}{rest % 1000:03}"


def _caption(segment: "Segment") -> str:
    # An empty line in a name would end the cue.
    lines = f"{segment.name} {segment.probability:.0%}".splitlines()
    return " ".join(line.strip() for line in lines if line.strip())
