"""`verify`: read every byte of a store."""

import argparse
import sys

HELP = "read every byte of a store and name what is damaged"
EXAMPLE = "example: python -m mocliplite verify features/motion"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("stores", nargs="+", metavar="STORE", help="folders of shards, or single HDF5 files")


def run(given: argparse.Namespace) -> None:
    """Read every byte of each store; print what is damaged and exit with status 1."""
    from mocliplite.store.verification import verify

    damaged_stores = 0
    for path in given.stores:
        damage = verify(path)
        print(*damage or [f"{path}: no damage found"], sep="\n")
        damaged_stores += bool(damage)
    if damaged_stores:
        print(f"error: damaged stores: {damaged_stores} of {len(given.stores)}; see above.", file=sys.stderr)
        sys.exit(1)
