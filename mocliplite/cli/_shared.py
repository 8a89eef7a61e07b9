"""Shared by several commands: common arguments, and error handling of commands that accept several paths."""

import argparse
import math
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mocliplite import params
from mocliplite.errors import MachineError, UserError

MODELS = "models"  # folder to which `dvc repro` writes the trained models

SHORTEST_WINDOW = 0.01  # seconds; shorter than a frame, and a video has more windows than anybody waits for


def positive_int(text: str) -> int:
    """Return an option's value as int. Raises ArgumentTypeError unless it is a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def time_limit(text: str) -> int:
    """Return an option's value as int. Raises ArgumentTypeError unless it is allowed as compute.time_limit."""
    seconds = positive_int(text)
    if seconds > params.MAX_TIME_LIMIT:
        raise argparse.ArgumentTypeError(f"{text!r} is more than {params.MAX_TIME_LIMIT} seconds")
    return seconds


def window_seconds(text: str) -> float:
    """Return an option's value as float. Raises ArgumentTypeError unless it is finite and at least SHORTEST_WINDOW."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not SHORTEST_WINDOW <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds of at least {SHORTEST_WINDOW}")
    return value


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add --model, the folder of the trained models, and --revision."""
    add = parser.add_argument
    add(
        "--model", default=MODELS, metavar="DIR", help="folder of the trained models, or owner/name on the hub (models)"
    )
    add("--revision", metavar="R", help="branch, tag or commit of --model on the hub (main)")


def compute() -> params.Compute:
    """Return the settings `compute` of params.yaml, or the defaults if the file is missing or invalid.

    Raises MachineError if the disk fails: the limits of the defaults may be others.
    """
    try:
        return params.load().compute
    except MachineError:
        raise
    except UserError:
        return params.DEFAULT_COMPUTE


def check_text(text: str, option: str) -> None:
    """Raise UserError for the text of an option that is not valid UTF-8, which no encoder can read."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(f"{option} {text!r} is not valid UTF-8; check the encoding of the terminal.") from None


def for_each(paths: Sequence[str], work: Callable[[str], None]) -> int:
    """Call work for every path; print each UserError and continue. Returns the number of paths that failed."""
    failed = 0
    for path in paths:
        try:
            if not path:  # as Path, the working folder
                raise UserError("a name is empty; check the arguments.")
            work(path)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            failed += 1
    return failed


def clip_paths(place: str) -> list[str]:
    """Return the clips in a folder, at any depth, or the path itself if it is not a folder."""
    from mocliplite.data.folders import find_videos
    from mocliplite.data.names import SUCH_AS

    if not place:  # as Path, the working folder
        raise UserError("the name of a clip is empty; check the arguments.")
    if not os.path.isdir(place):  # noqa: PTH112  unlike Path.is_dir, False for a name that is too long
        return [place]
    found = [str(Path(place, path)) for path in find_videos(Path(place))]
    if not found:
        raise UserError(f"{place} has no clip ({SUCH_AS}); check the path.")
    return found


def refuse_failed(failed: int, total: int, what: str = "clips") -> None:
    """Raise UserError if some of the paths failed; the reasons have been printed before."""
    if failed:
        raise UserError(f"{failed} of {total} {what} could not be used; see above.")


def refuse_missing_folder(path: str, option: str = "--out") -> None:
    """Raise UserError if the folder of an output file does not exist.

    The folder is not created, because the path may be misspelt.
    """
    folder = Path(path).parent
    if not folder.is_dir():
        raise UserError(f"{option} is {path}, but the folder {folder} does not exist; create it or correct the path.")


def refuse_undecodable(paths: Iterable[str], option: str) -> None:
    """Raise UserError for a file name that an output file cannot contain, before the clips are decoded."""
    for path in paths:
        try:
            path.encode("utf-8")
        except UnicodeEncodeError:
            raise UserError(
                f"the name of {path!r} is not UTF-8, so {option} cannot contain it; rename the file."
            ) from None
