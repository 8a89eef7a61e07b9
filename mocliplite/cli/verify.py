"""`verify`: read every byte of a store."""

import argparse
import sys

from mocliplite.cli._shared import for_each, refuse_failed

HELP = "read every byte of a store and name what is damaged"
EXAMPLE = "example: python -m mocliplite verify features/motion"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "stores", nargs="+", metavar="STORE", help="folders of shards, or an HDF5 file such as features/pairs.h5"
    )


def run(given: argparse.Namespace) -> None:
    """Read every byte of each store; print what is damaged and exit with status 1."""
    from mocliplite.store.verification import verify

    damaged_stores: list[str] = []

    def work(path: str) -> None:
        damage = verify(path)
        print(*damage or [f"{path}: no damage found"], sep="\n", flush=True)
        if damage:
            damaged_stores.append(path)

    failed = for_each(given.stores, work)
    if damaged_stores:
        print(f"error: damaged stores: {len(damaged_stores)} of {len(given.stores)}; see above.", file=sys.stderr)
        sys.exit(1)
    refuse_failed(failed, len(given.stores), "stores")
