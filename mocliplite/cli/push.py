"""`push`: an exported recogniser to the Hugging Face hub."""

import argparse

HELP = "upload an exported recogniser to the Hugging Face hub"
EXAMPLE = "example: python -m mocliplite push recogniser ann/my-recogniser"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("folder", metavar="DIR", help="folder that `export` has written")
    parser.add_argument("name", metavar="OWNER/NAME", help="model repository; a new one is private")


def run(given: argparse.Namespace) -> None:
    """Upload the folder and print the address of the commit."""
    from mocliplite.predict.published import push

    print(push(given.folder, given.name))
