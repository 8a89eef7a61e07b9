"""`cost`: parameters, operations, bytes and time per clip."""

import argparse

from mocliplite.cli._shared import add_model

HELP = "show parameters, operations, bytes and time per clip"
EXAMPLE = "example: python -m mocliplite cost my.mp4"
USES_MODELS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "clips", nargs="*", metavar="CLIP", help="clips to time (default: the first 16 of the data set)"
    )
    add_model(parser)


def run(given: argparse.Namespace) -> None:
    """Print parameters and MACs by part, bytes by store, and milliseconds by phase on this machine."""
    from mocliplite.cli import _cost
    from mocliplite.predict.published import folder_of

    for line in _cost.lines(given.clips, str(folder_of(given.model, given.revision))):
        print(line, flush=True)
