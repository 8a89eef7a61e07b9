"""`show`: a picture of a clip's motion."""

import argparse

from mocliplite.cli._outputs import check_outputs
from mocliplite.cli._shared import compute, refuse_missing_folder

HELP = "draw a clip's motion vectors"
EXAMPLE = "example: python -m mocliplite show my.mp4 --out vectors.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("clip", metavar="CLIP")
    parser.add_argument("--span", metavar="SPAN", help="a part of the clip, in seconds, such as 12.5-15 or 12.5-end")
    parser.add_argument("--out", default="vectors.png", metavar="PNG", help="output file (vectors.png)")


def run(given: argparse.Namespace) -> None:
    """Write a picture of a clip's motion."""
    from mocliplite.report import overlay
    from mocliplite.runtime.crash_safe import call_crash_safe
    from mocliplite.spans import WHOLE_FILE, span_of
    from mocliplite.video.streams import Limits

    refuse_missing_folder(given.out)
    check_outputs({"--out": given.out}, [given.clip])
    settings = compute()
    span = span_of(given.span) if given.span else WHOLE_FILE
    print(call_crash_safe(overlay.show, settings, given.clip, given.out, Limits.of(settings), span))
