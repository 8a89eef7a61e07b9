"""`push-store`: a feature store to the Hugging Face hub."""

import argparse

HELP = "upload a feature store to the Hugging Face hub"
EXAMPLE = "example: python -m mocliplite push-store features/keyframes ann/my-keyframes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("store", metavar="STORE", help="a folder of shards")
    parser.add_argument("name", metavar="OWNER/NAME", help="dataset repository; a new one is private")


def run(given: argparse.Namespace) -> None:
    """Upload the store and print the address of the commit."""
    from mocliplite.store.published import push

    print(push(given.store, given.name))
