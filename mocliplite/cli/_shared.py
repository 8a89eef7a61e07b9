"""What several commands share: common arguments, and how a command that takes many paths ends."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mocliplite.errors import UserError

MODELS = "models"  # where `dvc repro` leaves the trained models


def positive_int(text: str) -> int:
    """The type of an option that takes a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add --model, the folder of the trained models."""
    parser.add_argument("--model", default=MODELS, metavar="DIR", help="folder of the trained models (models)")


def for_each(paths: Sequence[str], work: Callable[[str], None]) -> int:
    """Call work for every path; a UserError is printed and does not stop the others. Returns how many failed."""
    failed = 0
    for path in paths:
        try:
            work(path)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            failed += 1
    return failed


def refuse_failed(failed: int, total: int, what: str = "clips") -> None:
    """Raise UserError where some of the paths could not be used; the reasons have been printed."""
    if failed:
        raise UserError(f"{failed} of {total} {what} could not be used; see above.")


def refuse_missing_folder(path: str, option: str = "--out") -> None:
    """Raise UserError where the folder of an output file does not exist.

    It is not created: the path may be misspelt.
    """
    folder = Path(path).parent
    if not folder.is_dir():
        raise UserError(f"{option} is {path}, but the folder {folder} does not exist; create it or correct the path.")
