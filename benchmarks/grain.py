"""Measure what the number of shards of a store costs DVC, and what the number of clips in a shard costs a worker.

python -m benchmarks.grain --dvc 64 512 4096 [--bytes 1000000] adds a folder of this many made-up files to a new DVC
repository and prints the processor seconds of each of DVC's commands, without those that DVC needs to start.
python -m benchmarks.grain --memory 64 256 1024 writes one shard of this many made-up motion clips (186 frames of 30x40
cells, as in UCF101) in a new process, again with one more clip, and prints processor seconds and peak memory. The last
line is JSON.
"""

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.store import COLS, FRAMES, ROWS, field
from mocliplite.store import shards, update

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


def peak_megabytes() -> float:
    """Return the peak memory of this process, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def write_shard(path: Path, clips: int) -> tuple[float, float]:
    """Update a motion shard to this many clips. Returns processor seconds, and peak memory in MB above that before."""

    def compute(ids: list[str]) -> Iterator[tuple[str, shards.Record]]:
        for clip_id in ids:
            vectors = field(np.random.default_rng(int(clip_id)), FRAMES)
            arrays = {"vectors": vectors, "kind": np.ones(FRAMES, np.uint8), "time": np.arange(FRAMES) / 25}
            yield clip_id, shards.Record(arrays, {"height": 8 * ROWS, "width": 8 * COLS})

    before, memory = processor_seconds(resource.RUSAGE_SELF), peak_megabytes()
    fingerprints = {f"{number:06d}": "f" for number in range(clips)}
    update.update_shard(path, "motion", {}, fingerprints, compute)
    seconds = processor_seconds(resource.RUSAGE_SELF) - before
    return seconds, peak_megabytes() - memory


def print_memory(counts: list[int]) -> list[dict[str, float]]:
    """Print a table of a worker's costs, a row for each number of clips, and return its rows."""
    columns = ("MB", "seconds", "peak_mb", "seconds_one_more", "peak_mb_one_more")
    print(f"| clips | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
    rows = []
    context = multiprocessing.get_context("spawn")
    for clips in counts:
        with tempfile.TemporaryDirectory() as folder:
            path, measured = Path(folder, "0000.h5"), []
            for number in (clips, clips + 1):
                with ProcessPoolExecutor(1, mp_context=context) as pool:  # a process each, for its peak memory
                    measured += pool.submit(write_shard, path, number).result()
            row = dict(zip(columns, [path.stat().st_size / 1e6, *measured], strict=True))
        rows.append({"clips": clips, **row})
        print(f"| {clips} | {' | '.join(f'{value:.1f}' for value in row.values())} |", flush=True)
    return rows


def main() -> None:
    """Parse the arguments and print the results; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dvc", type=int, nargs="+", default=[], metavar="FILES", help="numbers of files for DVC")
    parser.add_argument("--bytes", type=int, default=1_000_000, help="size of each of these files (1000000)")
    parser.add_argument("--memory", type=int, nargs="+", default=[], metavar="CLIPS", help="numbers of clips")
    given = parser.parse_args()
    results = {"dvc": print_dvc_costs(given.dvc, given.bytes)} if given.dvc else {}
    results |= {"memory": print_memory(given.memory)} if given.memory else {}
    print(json.dumps(results))


if __name__ == "__main__":
    main()
