"""`new`: a project for the installed package."""

import argparse
from pathlib import Path

HELP = "make a folder for a new project, without cloning the repository"
EXAMPLE = "example: mocliplite new my_project"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("folder", metavar="DIR", help="folder to create")


def run(given: argparse.Namespace) -> None:
    """Write the files of a project, and make a git repository of it unless it is in one."""
    from mocliplite.cli import _project

    folder = Path(given.folder)
    _project.create(folder)
    outer = _project.git_root(folder)
    where = f" in the git repository {outer}" if outer else ""
    step = "" if outer or _project.init_git(folder) else " `git init`,"
    print(
        f"wrote {folder}{where}; next, in this folder:{step} `mocliplite init CLIPS --force`, `git add .`, "
        "`git commit`, which experiments need, and `dvc repro`"
    )
