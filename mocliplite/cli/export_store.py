"""`export-store`: a store as one file of another format."""

import argparse

HELP = "write a store as one npz or parquet file"
EXAMPLE = "example: python -m mocliplite export-store features/keyframes --to parquet"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("store", metavar="STORE", help="a folder of shards")
    add("--to", required=True, choices=("npz", "parquet"))
    add("--out", metavar="FILE", help="output file (named after the store, in the working folder)")


def run(given: argparse.Namespace) -> None:
    """Write the store and print the path of the file."""
    from mocliplite.store.export import export_store

    print(export_store(given.store, given.to, given.out))
