"""`manifest`: size, time and hash of each clip, in the one file that DVC watches."""

import argparse

from mocliplite import params
from mocliplite.errors import UserError

HELP = "write the manifest of the clips that dataset.files names; only new and changed files are read"


def run(given: argparse.Namespace) -> None:
    """Write the manifest of the data set in params.yaml."""
    from mocliplite.data.index import update_manifest

    settings = params.load().dataset
    if not settings.has_manifest:
        advice = "set it to the file to write, such as clips_manifest.csv"
        raise UserError(f"{params.FILE}: dataset.files is {settings.files}, the folder dataset.root; {advice}.")
    count, hashed = update_manifest(settings)
    print(f"{settings.files}: files: {count}, new or changed: {hashed}")
