"""`export-store`: write a store to one file of another format."""

import argparse

from mocliplite.cli._outputs import check_outputs, files_in

HELP = "write a store as one npz or parquet file"
EXAMPLE = "example: python -m mocliplite export-store features/keyframes --to parquet"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("store", metavar="STORE", help="a folder of shards")
    add("--to", required=True, choices=("npz", "parquet"), help="format of the file")
    add("--out", metavar="FILE", help="output file (default: named after the store, in the working folder)")


def run(given: argparse.Namespace) -> None:
    """Write the store and print the path of the file."""
    from mocliplite.store.export import default_name, export_store

    out = given.out or default_name(given.store, given.to)
    check_outputs({"--out": out}, files_in(given.store, "*"))
    print(export_store(given.store, given.to, out))
