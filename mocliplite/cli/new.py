"""`new`: a project for the installed package."""

import argparse
from pathlib import Path

HELP = "make a folder for a new project, without cloning the repository"
EXAMPLE = "example: mocliplite new my_project"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("folder", metavar="DIR", help="folder to create")


def run(given: argparse.Namespace) -> None:
    """Write the files of a project, and make a git repository of it."""
    from mocliplite.cli import _project

    folder = Path(given.folder)
    _project.create(folder)
    step = "" if _project.init_git(folder) else " `git init`,"
    print(f"wrote {folder}; next, in this folder:{step} `mocliplite init CLIPS --force` and `dvc repro`")
