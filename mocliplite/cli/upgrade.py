"""`upgrade`: adapt a project to the installed version of the package."""

import argparse
from pathlib import Path

HELP = "write dvc.yaml, versions.yaml, configs/ and docs/ of a project for the installed version"


def run(_: argparse.Namespace) -> None:
    """Write the files that belong to a version of the package."""
    from mocliplite import __version__
    from mocliplite.cli import _project

    written, own = _project.upgrade(Path())
    if own:
        print(f"kept {', '.join(own)}, which are not pages of mocliplite; rename them and run this again to get those")
    if written:
        print(f"wrote {', '.join(written)}; `git diff` shows the changes, `dvc repro` applies them")
    else:
        print(f"this project is for mocliplite {__version__} already; nothing is changed")
