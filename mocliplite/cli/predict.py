"""`predict`: the classes of clips."""

import argparse
import codecs
import os
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from glob import glob
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from mocliplite import locks, params
from mocliplite.cli import _report, _results_file, _timeline
from mocliplite.cli._outputs import CHECKPOINT, check_outputs, files_in
from mocliplite.cli._shared import (
    MODELS,
    add_model,
    clip_paths,
    compute,
    positive_int,
    refuse_missing_folder,
    refuse_undecodable,
    time_limit,
)
from mocliplite.errors import UserError

if TYPE_CHECKING:
    from mocliplite.predict.recognizer import Recognizer
    from mocliplite.predict.zero_shot import ZeroShotRecognizer

HELP = "classify clips"
EXAMPLE = (
    "examples: python -m mocliplite predict my.mp4; ls clips/*.mp4 | python -m mocliplite predict -; "
    'python -m mocliplite predict my.mp4 --words "waving, falling, walking"'
)
USES_MODELS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("clips", nargs="+", metavar="CLIP", help="videos, folders or globs, or - to read a list from standard input")
    add("--top", type=positive_int, default=5, help="number of classes to print (5)")
    add("--json", action="store_true", help="print one JSON list")
    add_model(parser)
    add("--words", metavar="W,W", help="choose from these words instead: zero-shot, without trained models")
    add("--clip", metavar="CLIP", help="CLIP for --words: a folder or hub id (encoder.model of params.yaml)")
    add("--time-limit", type=time_limit, metavar="SECONDS", help="of decoding one clip (compute.time_limit, else 300)")
    add("--device", choices=["auto", "cpu", "cuda"], default="auto", help="device of the networks (auto)")
    table = parser.add_argument_group("tables of many files")
    table.add_argument(
        "--csv", metavar="FILE", help="write a row per clip, or per segment with --window, and a summary"
    )
    table.add_argument("--parquet", metavar="FILE", help="write the same rows as Parquet")
    table.add_argument("--wide", action="store_true", help="add a column with the probability of each class")
    table.add_argument(
        "--resume", action="store_true", help="go on with the file of --csv; failed clips are tried again"
    )
    windows = parser.add_argument_group("long videos")
    _timeline.add_window_arguments(windows, window=None)
    windows.add_argument("--srt", metavar="FILE", help="write the segments as SubRip subtitles")
    windows.add_argument("--vtt", metavar="FILE", help="write the segments as WebVTT subtitles")
    windows.add_argument("--plot", metavar="FILE", help="draw the segments as PNG")


def run(given: argparse.Namespace) -> None:
    """Print the classes of each clip; for a bad clip, print an error and go on with the others."""
    _check_options(given)
    paths, empty = _clips(_places(given.clips))
    if given.window:
        _timeline.check_files(given, paths)
    outputs = {f"--{option}": getattr(given, option) for option in ("csv", "parquet", *_timeline.FILES)}
    check_outputs(outputs, chain(paths, _other_inputs(given)))
    for option in ("csv", "parquet"):
        if getattr(given, option):
            refuse_undecodable(paths, f"--{option}")
            refuse_missing_folder(getattr(given, option), f"--{option}")
    with locks.locked(Path(given.csv), remove=True) if given.csv else nullcontext():
        _predict(given, paths, empty)


def _predict(given: argparse.Namespace, paths: list[str], empty: dict[str, UserError]) -> None:
    from mocliplite.predict.recognizer import Recognizer

    settings = compute()
    settings = replace(settings, device=given.device, time_limit=given.time_limit or settings.time_limit)
    recognizer, classes, model = _load(given, settings)
    header = (*_results_file.CLIPS, *(f"{_results_file.WIDE}{name}" for name in classes if given.wide))
    results = _results_file.ResultsFile(given, _results_file.SEGMENTS if given.window else header, model, paths)
    left = [path for path in paths if _results_file.path_cell(path) not in results.done]
    report = _report.Report(given, results, len(paths), len(left), empty)
    if isinstance(recognizer, Recognizer) and given.window:
        _predict_windows(given, recognizer, left, report)
    else:
        for path, prediction in zip(left, recognizer.predict(left), strict=True):
            report.clip(path, prediction, classes)
    report.close()


def _predict_windows(
    given: argparse.Namespace, recognizer: "Recognizer", paths: list[str], report: _report.Report
) -> None:
    from mocliplite.predict.timeline import Cost

    timeline = _timeline.Timeline.of(given, recognizer)
    for path in paths:
        cost, segments = Cost(), []
        report.begin(path)
        try:
            for segment in timeline.segments(path, cost):
                segments.append(segment)
                report.segment(segment)
            _timeline.write_files(given, segments, cost.end)
        except UserError as error:
            report.fail(path, error)
        else:
            report.end(path, segments, cost)


def _load(
    given: argparse.Namespace, settings: params.Compute
) -> tuple["Recognizer | ZeroShotRecognizer", list[str], str]:
    """Return the recogniser, its classes, and a name of the models for the tables."""
    from mocliplite import checkpoint
    from mocliplite.cli import _words
    from mocliplite.predict.published import folder_of
    from mocliplite.predict.recognizer import Recognizer

    if given.words is not None:
        zero_shot = _words.load(given.words, given.clip, settings)
        return zero_shot, zero_shot.words, "words"
    folder = folder_of(given.model, given.revision)
    recognizer = Recognizer.load(folder, settings)
    return recognizer, recognizer.classes, checkpoint.digest(folder / "head")[:12]


def _check_options(given: argparse.Namespace) -> None:
    """Raise UserError for options that do not go together."""
    if given.words is not None and (given.model != MODELS or given.revision is not None):
        raise UserError("--words uses no trained models; leave out --model and --revision.")
    if given.words is None and given.clip is not None:
        raise UserError("--clip is used with --words only; the trained models name their own CLIP.")
    if given.window is None:
        used = [name for name in ("stride", "threshold", "motion_only", *_timeline.FILES) if getattr(given, name)]
        if used:
            raise UserError(f"--{used[0].replace('_', '-')} is for windows of long videos; give --window, such as 2.")
    elif given.words is not None or given.wide:
        option = "--wide" if given.wide else "--words"
        raise UserError(f"{option} is for whole clips; leave out --window.")


def _clips(places: list[str]) -> tuple[list[str], dict[str, UserError]]:
    """Return the clips in order, folders replaced by theirs, and the error for each folder without any."""
    paths: list[str] = []
    empty: dict[str, UserError] = {}
    for place in chain.from_iterable(map(_expanded, places)):
        try:
            paths += clip_paths(place)
        except UserError as error:
            paths.append(place)
            empty[place] = error
    return paths, empty


def _other_inputs(given: argparse.Namespace) -> Iterator[Path | int]:
    """Yield what else is read: the list of the clips, and the models."""
    from mocliplite.predict.published import FILES

    if given.clips == ["-"]:
        yield 0  # standard input, to which the shell may have connected a file
    yield from files_in(given.model, *FILES)
    yield from files_in(given.clip, *CHECKPOINT)


def _expanded(place: str) -> list[str]:
    """Return what matches a glob that the shell did not expand, as on Windows or in quotes; else the place itself."""
    if os.path.exists(place):  # noqa: PTH110  unlike Path.exists, False for a name that is too long
        return [place]
    try:
        found = sorted(glob(place, recursive=True))  # noqa: PTH207  Path.glob refuses absolute ones
    except RecursionError:
        raise UserError(f"{place} stands for folders in too many others; give the uppermost folder itself.") from None
    # A folder stands for its clips, so what is in it must not be listed again.
    folders = {Path(path) for path in found if Path(path).is_dir()}
    return [path for path in found if folders.isdisjoint(Path(path).parents)] or [place]


def _places(clips: list[str]) -> list[str]:
    """Return the arguments, or the lines of standard input that are not blank, whoever ended them.

    Raises UserError if there are none, or they cannot be names.
    """
    if clips != ["-"]:
        return clips
    text = sys.stdin.buffer.read().removeprefix(codecs.BOM_UTF8)
    if b"\0" in text:  # as in UTF-16, or after `find -print0`
        raise UserError("the list on standard input has the character NUL; write one name per line, in UTF-8.")
    if not text.strip():
        raise UserError("the list on standard input is empty; write one name per line.")
    return [os.fsdecode(line) for line in text.splitlines() if line.strip()]
