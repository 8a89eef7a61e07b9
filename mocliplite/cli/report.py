"""`report`: a page on the accuracy of the recogniser and on its errors."""

import argparse
import sys

from mocliplite.cli._outputs import check_outputs
from mocliplite.cli._shared import refuse_missing_folder

HELP = "write a page on the accuracy of the recogniser and on its errors"
EXAMPLE = "example: python -m mocliplite report --out report.html"
USES_MODELS = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--out", default="report.html", metavar="FILE", help="output file (report.html)")


def run(given: argparse.Namespace) -> None:
    """Write the report, and name the clips that have no picture in it."""
    from mocliplite.report import report

    refuse_missing_folder(given.out)
    check_outputs({"--out": given.out})
    missing = report.write(given.out)
    for sentence in missing:
        print(f"no picture in the report: {sentence}", file=sys.stderr)
    print(f"wrote {given.out}")
