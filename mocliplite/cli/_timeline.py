"""`predict --window`: the segments of long videos, printed and written to files."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mocliplite import csv_files, files
from mocliplite.cli import _subtitles
from mocliplite.cli._results_file import path_cell
from mocliplite.cli._shared import refuse_missing_folder, window_seconds
from mocliplite.errors import UserError

if TYPE_CHECKING:
    from mocliplite.predict.recognizer import Recognizer
    from mocliplite.predict.timeline import Cost, Segment
    from mocliplite.predict.windows import WindowSettings

STRIDES = 4  # of a window, without --stride
FILES = ("srt", "vtt", "plot")  # options for one video each


def add_window_arguments(parser: argparse._ActionsContainer, window: float | None) -> None:
    """Declare the options of windows. window: the default of --window."""
    add = parser.add_argument
    default = f" ({window:g})" if window else ", to find what happens when in long videos"
    add("--window", type=window_seconds, default=window, metavar="S", help=f"classify windows of S seconds{default}")
    add("--stride", type=window_seconds, metavar="S", help="seconds from a window to the next (a quarter of --window)")
    add(
        "--threshold",
        type=_threshold_value,
        default=0.0,
        metavar="P",
        help="call it nothing below this probability; auto: as validation says",
    )
    add("--motion-only", action="store_true", help="answer with the motion network alone, which is faster")


def _threshold_value(text: str) -> float | str:
    """Return the value of --threshold. Raises ArgumentTypeError unless it is auto or from 0 to 1."""
    try:
        value = text if text == "auto" else float(text)
    except ValueError:
        value = -1.0
    if isinstance(value, float) and not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is neither auto nor a number from 0 to 1")
    return value


@dataclass(frozen=True)
class Timeline:
    """A recogniser of windows, as the options ask for it."""

    recognizer: "Recognizer"
    settings: "WindowSettings"
    threshold: float
    classes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, given: argparse.Namespace, recognizer: "Recognizer") -> "Timeline":
        """Return it. Raises UserError for options that do not fit together."""
        from mocliplite.predict.timeline import window_settings

        stride = given.stride or given.window / STRIDES
        if stride > given.window:
            raise UserError(f"--stride is {stride:g}, longer than --window, {given.window:g}; give at most its length.")
        settings = window_settings(recognizer, given.window, stride, given.motion_only)
        return cls(recognizer, settings, _threshold(given, recognizer), recognizer.classes)

    def segments(self, path: str, cost: "Cost") -> Iterator["Segment"]:
        """Yield the segments of a file as they are found. Raises UserError if it cannot be used."""
        from mocliplite.predict import timeline

        steps = timeline.classify_file(self.recognizer, path, self.settings, cost)
        return timeline.segments(steps, self.classes, self.threshold)


def _threshold(given: argparse.Namespace, recognizer: "Recognizer") -> float:
    """Return the threshold. That of validation is printed with what it did there."""
    if given.threshold != "auto":
        return float(given.threshold)
    method = "motion" if given.motion_only else recognizer.calibration["answer"]
    found = recognizer.calibration.get("threshold", {}).get(method)
    if found is None:
        raise UserError(f"{given.model}/head records no threshold; run `dvc repro`, or give a number to --threshold.")
    print(
        f"threshold {found['threshold']:.3f}: {found['coverage']:.0%} of {found['clips']} validation clips reach it, "
        f"and {found['precision']:.0%} of these are right",
        file=sys.stderr,
    )
    return float(found["threshold"])


def check_files(given: argparse.Namespace, paths: Sequence[str]) -> None:
    """Raise UserError for options that need one video, for a missing folder, and for a plot that is no PNG."""
    for option in FILES:
        path = getattr(given, option)
        if path is None:
            continue
        if len(paths) != 1:
            raise UserError(f"--{option} is for one video, but there are {len(paths)}; use --csv, or give one video.")
        refuse_missing_folder(path, f"--{option}")
    if given.plot and not given.plot.lower().endswith(".png"):
        raise UserError(
            f"--plot is {given.plot}, which is not the name of a PNG file; choose a name that ends in .png."
        )


def write_files(given: argparse.Namespace, segments: "Sequence[Segment]", duration: float) -> None:
    """Write the files of --srt, --vtt and --plot. Subtitles have no text where nothing was found."""
    from mocliplite.predict.timeline import NOTHING

    named = [segment for segment in segments if segment.name not in (None, NOTHING)]
    if given.srt:
        files.write_text(given.srt, _subtitles.srt(named))
    if given.vtt:
        files.write_text(given.vtt, _subtitles.vtt(named))
    if given.plot:
        from mocliplite.report import timeline_chart

        timeline_chart.write_png(given.plot, segments, duration)


def rows_of(path: str, segments: "Sequence[Segment]", model: str) -> list[tuple[object, ...]]:
    """Return the rows of a video for the CSV file, see _results_file.SEGMENTS."""
    return [
        (
            path_cell(path),
            f"{segment.start:.3f}",
            f"{segment.end:.3f}",
            csv_files.text_cell(segment.name or ""),
            "" if segment.probability is None else f"{segment.probability:.4f}",
            "",
            model,
        )
        for segment in segments
    ]


def json_of(path: str, segments: "Sequence[Segment]", cost: "Cost") -> dict[str, Any]:
    """Return a video and its segments for JSON."""
    return {
        "clip": path,
        "segments": [segment_json(segment) for segment in segments],
        "windows": cost.windows,
        "seconds": {part: round(seconds, 3) for part, seconds in cost.seconds.items()},
    }


def segment_json(segment: "Segment") -> dict[str, Any]:
    """Return a segment for JSON."""
    return {
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "class": segment.name,
        "probability": None if segment.probability is None else round(segment.probability, 4),
    }


def line_of(segment: "Segment") -> str:
    """Return the line of a segment in the table."""
    probability = "" if segment.probability is None else f"{segment.probability:.1%}"
    times = f"{_subtitles.clock(segment.start)[:-2]}  {_subtitles.clock(segment.end)[:-2]}"
    return f"  {times}  {probability:>6}  {segment.name or 'not classified'}"


def cost_line(cost: "Cost") -> str:
    """Return the line on speed: processor time against the length of the video, and the share of each part."""
    total = sum(cost.seconds.values())
    parts = ", ".join(f"{part} {seconds / total:.0%}" for part, seconds in cost.seconds.items() if seconds)
    return f"  windows: {cost.windows}, {cost.end / total:.1f} times as fast as playing on one core: {parts}"
