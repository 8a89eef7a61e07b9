"""Memory, descriptors and speed of the stages and of `predict` on one long video, over time.

`python -m benchmarks.film FILM`, in a project after `dvc repro`: FILM is the only clip of a new project in a temporary
folder or in --work, with limits that it does not reach. The stages motion and keyframes, for which the video is one
clip, and `predict --window 2` run on it one after another. Every --seconds, the memory and the open files of the
command and of all processes that it has started are counted. Prints the most of both in each tenth of the time: what
stays the same from tenth to tenth does not depend on the length of a video. Requires Linux.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil

from benchmarks import extraction

ROOT = Path(__file__).parents[1]
CLIP = "clips/film/film.mp4"
LIMITS = {"max_frames": 10_000_000, "max_memory": 1 << 17, "time_limit": 100_000}
STEPS = {
    "motion": ["stages.motion"],
    "keyframes": ["stages.keyframes"],
    "predict --window 2": ["mocliplite", "predict", CLIP, "--model", "export", "--window", "2"],
}


class Held(NamedTuple):
    """What a process, and those that it has started, hold at one time."""

    mebibytes: float  # what processes share is divided among them
    descriptors: int


def main() -> None:
    given = _arguments()
    results = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.work or Path(temporary)
        _write_project(folder, given.film.resolve(strict=True), given.cell_size)
        subprocess.run([sys.executable, "-m", "mocliplite", "export", str(folder / "export")], check=True)
        _measure(["stages.index"], folder, given.seconds)
        for step in given.steps:
            results[step] = _measure(STEPS[step], folder, given.seconds)
            print(step, json.dumps(results[step]), flush=True)


def _write_project(folder: Path, film: Path, cell_size: int) -> None:
    """Write the settings of the sample for one clip, which is linked, with limits that it does not reach."""
    clip = folder / CLIP
    clip.parent.mkdir(parents=True)
    clip.symlink_to(film)
    changes = {"dataset": {"group": None}, "motion": {"cell_size": cell_size}, "compute": LIMITS}
    extraction.write_settings(folder, changes)


def _measure(module: Sequence[str], folder: Path, pause: float) -> dict[str, Any]:
    """Run a module to its end; return its seconds, and the most that it held in each tenth of them."""
    begin, samples = time.perf_counter(), list[Held]()
    process = _start(module, folder)
    while process.poll() is None:
        samples.append(_held(psutil.Process(process.pid)))
        time.sleep(pause)
    if process.returncode:
        sys.exit(f"{module} ended with status {process.returncode}; see {folder / 'log'}")
    tenths = np.array_split(np.array(samples), min(10, len(samples)))
    return {
        "seconds": round(time.perf_counter() - begin),
        "mebibytes": [round(part[:, 0].max()) for part in tenths],
        "descriptors": [round(part[:, 1].max()) for part in tenths],
    }


def _start(module: Sequence[str], folder: Path) -> "subprocess.Popen[bytes]":
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with (folder / "log").open("wb") as log:
        command = [sys.executable, "-m", *module]
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)


def _held(process: psutil.Process) -> Held:
    memory, descriptors = 0, 0
    with contextlib.suppress(psutil.Error):  # has ended
        for one in (process, *process.children(recursive=True)):
            memory += one.memory_full_info().pss
            descriptors += one.num_fds()
    return Held(memory / 2**20, descriptors)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("film", type=Path)
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--cell-size", type=int, default=8, help="motion.cell_size of the stage (8)")
    parser.add_argument("--seconds", type=float, default=2.0, help="time between two counts (2)")
    parser.add_argument("--work", type=Path, help="folder for the new project; default: a temporary folder")
    return parser.parse_args()


if __name__ == "__main__":
    main()
