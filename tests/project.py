"""A copy of the project under git and DVC in a folder of its own, like a fresh clone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from imports import ROOT


def copy_project(folder: Path) -> Path:
    """Copy all files that git does not ignore into folder, and commit them there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    sh(folder, "git init -q . && git config user.name tester && git config user.email tester@example.org")
    sh(folder, "git add -A && git commit -q -m start")
    return folder


def sh(folder: Path, command: str, status: int = 0) -> str:
    """Run a shell command in folder, with this Python first on the path; return stdout and stderr together."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "200",
    }
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == status, f"{command}: exit status {done.returncode}\n{done.stdout[-4000:]}"
    return done.stdout
