"""`upgrade`: adapt a project to the installed version of the package."""

import argparse
from pathlib import Path

HELP = "write dvc.yaml, versions.yaml and configs/ of a project for the installed version"


def run(_: argparse.Namespace) -> None:
    """Write the files that belong to a version of the package."""
    from mocliplite import __version__
    from mocliplite.cli import _project

    _project.upgrade(Path())
    print(f"this project is now for mocliplite {__version__}; `git diff` shows the changes, `dvc repro` applies them")
