"""Measure what the number of shards of a store costs DVC, and what the number of clips of a shard costs a worker.

python -m benchmarks.grain --dvc 64 512 4096 [--bytes 1000000] adds a folder of this many made-up files to a new DVC
repository and prints the processor seconds of DVC's commands, in total and without those of `dvc --version`.
python -m benchmarks.grain --memory 64 256 1024 [--frames 186] writes one shard of this many made-up motion clips in a
new process, and again with one more clip, and prints processor seconds, bytes and peak memory. The last line is JSON.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mocliplite.store import shards, stores

COMMANDS = ("add", "status", "push", "checkout", "pull", "add one", "push one")


def processor_seconds(who: int = resource.RUSAGE_CHILDREN) -> float:
    """Return the processor seconds of all finished child processes, or of this process."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def seconds_of(folder: Path, *command: str) -> float:
    """Run a command in a folder and return its processor seconds."""
    before = processor_seconds()
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(folder.parent / "site")}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return processor_seconds() - before


def dvc_costs(folder: Path, files: int, size: int) -> dict[str, float]:
    """Return the processor seconds of DVC's commands for a folder of files of random bytes."""
    project, store = folder / "project", folder / "project/store"
    store.mkdir(parents=True)
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "remote", "add", "-d", "team", "../remote"]):
        seconds_of(project, *command)
    for number in range(files):
        (store / f"{number:04d}.h5").write_bytes(os.urandom(size))
    started = seconds_of(project, "dvc", "--version")

    def measure(*command: str) -> float:
        return seconds_of(project, "dvc", *command) - started

    costs = {"dvc --version": started, "add": measure("add", "store"), "status": measure("status")}
    costs["push"] = measure("push")
    shutil.rmtree(store)
    costs["checkout"] = measure("checkout")
    shutil.rmtree(store)
    shutil.rmtree(project / ".dvc/cache")
    costs["pull"] = measure("pull")
    (store / "0000.h5").unlink()
    (store / "0000.h5").write_bytes(os.urandom(size))
    return costs | {"add one": measure("add", "store"), "push one": measure("push")}


def print_dvc_costs(counts: list[int], size: int) -> list[dict[str, float]]:
    """Print a table of DVC's costs, a row for each number of files, and return its rows."""
    print(f"| files | {' | '.join(COMMANDS)} |\n|{'---|' * (len(COMMANDS) + 1)}")
    rows = []
    for files in counts:
        with tempfile.TemporaryDirectory() as folder:
            rows.append({"files": files, **dvc_costs(Path(folder), files, size)})
        print(f"| {files} | {' | '.join(f'{rows[-1][name]:.1f}' for name in COMMANDS)} |", flush=True)
    return rows
