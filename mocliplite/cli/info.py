"""`info`: describe a store."""

import argparse

from mocliplite.cli._shared import for_each, refuse_failed

HELP = "describe a store: kind, clips, dimensions, settings, size, failures"
EXAMPLE = "example: python -m mocliplite info features/motion"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("stores", nargs="+", metavar="STORE", help="folders of shards")


def run(given: argparse.Namespace) -> None:
    """Print a description of each store."""
    from mocliplite.store.info import describe

    refuse_failed(for_each(given.stores, lambda path: print(describe(path))), len(given.stores), "stores")
