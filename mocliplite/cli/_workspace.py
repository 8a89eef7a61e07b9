"""Checks of the clone for what DVC's experiments cannot cope with, and for what a stopped run left behind."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

from mocliplite.cli._clip_source import Finding
from mocliplite.errors import UserError
from mocliplite.store.verification import unfinished

RESTORE = "git restore -SW . && dvc checkout -f --allow-missing"
_STORES = ("features/motion", "features/keyframes", "features/motion_embeddings")


def workspace_findings() -> Iterator[Finding]:
    """Yield the findings on the clone in the working folder; none if all is well."""
    if stdout("git", "rev-parse", "--is-shallow-repository").strip() == "true":
        yield Finding(
            "note",
            "this is a shallow clone, in which queued experiments are lost without an error; run "
            "`git fetch --unshallow`",
        )
    if not str(Path.cwd()).isascii():
        yield Finding(
            "note", f"queued experiments fail in {Path.cwd()}, because the path is not ASCII; move the project"
        )
    if staged := stdout("git", "diff", "--cached", "--name-only").split("\n")[:-1]:
        yield Finding(
            "note",
            f"{len(staged)} changes are staged, such as {staged[0]}; a stopped `dvc exp run` leaves such changes: "
            f"commit them, or go back with `{RESTORE}`",
        )
    for folder in _STORES:
        if Path(folder).is_dir():
            try:
                yield from (Finding("BAD", sentence) for sentence in unfinished(folder))
            except UserError as error:
                yield Finding("BAD", str(error))


def stdout(*command: str) -> str:
    """Return what a command prints to stdout; an empty text if it is not installed."""
    try:
        return subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False).stdout
    except FileNotFoundError:
        return ""
