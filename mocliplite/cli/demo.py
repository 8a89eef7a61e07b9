"""`demo`: a local web page that classifies uploaded clips."""

import argparse

from mocliplite.cli._shared import add_model, positive_int

HELP = "serve a local web page that classifies uploaded clips"
EXAMPLE = "example: python -m mocliplite demo --port 8000"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_model(parser)
    parser.add_argument("--port", type=positive_int, default=7860, help="port of 127.0.0.1 (7860)")


def run(given: argparse.Namespace) -> None:
    """Serve the page until interrupted."""
    from mocliplite.cli import _demo
    from mocliplite.predict.published import folder_of

    _demo.serve(str(folder_of(given.model, given.revision)), given.port)
