"""Check that workers that are killed, a scheduler that is lost, and parts give the same bytes as an undisturbed run.

python -m benchmarks.faults [--workers 4] [--kills 20] [--stages motion keyframes embed_motion] computes the stores of
the project in the working folder (after `dvc repro`) by the engine `processes`; with a Dask scheduler and workers on
this machine; again while random workers are killed, every fourth time with their nanny, which a new one replaces; and
in as many parts as there are workers, at the same time. The first stage also runs while the scheduler is killed.
Requires requirements-dask.txt.
"""

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from benchmarks.kill import digests

FOLDERS = {name: Path("features", name) for name in ("motion", "keyframes")}
FOLDERS["embed_motion"] = Path("features/motion_embeddings")
PARAMS = Path("params.yaml")


def start(*command: str) -> "subprocess.Popen[bytes]":
    """Start a Python module in a process group of its own."""
    with Path("features/.kill.log").open("ab") as log:
        return subprocess.Popen([sys.executable, "-m", *command], stdout=log, stderr=log, start_new_session=True)


def finish(process: "subprocess.Popen[bytes]") -> None:
    """Wait for a stage, which must succeed."""
    if process.wait():
        sys.exit(f"{process.args} failed; see features/.kill.log")


class Cluster:
    """A scheduler and workers."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.file = folder / f"{time.monotonic_ns()}.json"
        self.scheduler = self.start("scheduler", "--host", "127.0.0.1", "--port", "0")
        while not self.file.is_file():
            time.sleep(0.1)
        self.nannies = [self.start("worker", "--nthreads", "1") for _ in range(workers)]

    def start(self, what: str, *options: str) -> "subprocess.Popen[bytes]":
        """Start one of its processes."""
        return start("dask", what, "--no-dashboard", "--scheduler-file", str(self.file), *options)

    def kill_worker(self, rng: random.Random, nanny_too: bool) -> bool:
        """Kill a random worker; return whether there was one."""
        number = rng.randrange(len(self.nannies))
        nanny = psutil.Process(self.nannies[number].pid)
        workers = [child for child in nanny.children() if "spawn_main" in " ".join(child.cmdline())]
        if nanny_too:
            nanny.kill()
            self.nannies[number].wait()
            self.nannies[number] = self.start("worker", "--nthreads", "1")
        for worker in workers:
            worker.kill()
        return bool(workers)

    def end(self) -> None:
        """Kill all processes."""
        for process in [self.scheduler, *self.nannies]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def cluster(folder: Path, workers: int) -> Iterator[Cluster]:
    """Start a cluster that params.yaml names."""
    before, found = PARAMS.read_text(), Cluster(folder, workers)
    text = re.sub(r"^  engine: \w+", "  engine: dask", before, flags=re.MULTILINE)
    PARAMS.write_text(re.sub(r"^  scheduler: \S+", f"  scheduler: {found.file}", text, flags=re.MULTILINE))
    try:
        yield found
    finally:
        PARAMS.write_text(before)
        found.end()


def undisturbed(stage: str) -> None:
    """Run a stage from an empty store."""
    shutil.rmtree(FOLDERS[stage], ignore_errors=True)
    finish(start(f"stages.{stage}"))


def with_killed_workers(stage: str, found: Cluster, kills: int, seconds: float, rng: random.Random) -> int:
    """Run a stage from an empty store and kill workers meanwhile; return how many were killed."""
    shutil.rmtree(FOLDERS[stage], ignore_errors=True)
    process, killed = start(f"stages.{stage}"), 0
    while killed < kills and process.poll() is None:
        time.sleep(rng.uniform(0, 2 * seconds / kills))
        killed += process.poll() is None and found.kill_worker(rng, killed % 4 == 3)
    finish(process)
    return killed


def with_lost_scheduler(stage: str, found: Cluster) -> int:
    """Run a stage from an empty store and kill the scheduler when a quarter is done; return the number of shards."""
    wanted = len(list(FOLDERS[stage].glob("*.h5")))
    shutil.rmtree(FOLDERS[stage], ignore_errors=True)
    process = start(f"stages.{stage}")
    while len(list(FOLDERS[stage].glob("*.h5"))) < wanted // 4:
        time.sleep(0.02)
    found.scheduler.kill()
    if process.wait() != 1:
        sys.exit(f"{stage} ended with status {process.returncode} after its scheduler was killed")
    return len(list(FOLDERS[stage].glob("*.h5")))


def in_parts(stage: str, parts: int) -> None:
    """Compute the parts of a store at the same time, then run the stage."""
    shutil.rmtree(FOLDERS[stage], ignore_errors=True)
    processes = [start(f"stages.{stage}", "--part", f"{number}/{parts}") for number in range(1, parts + 1)]
    for process in processes:
        finish(process)
    finish(start(f"stages.{stage}"))


def main() -> None:
    """Parse the arguments, compare, and print counts and seconds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--kills", type=int, default=20, help="number of killed workers, over all stages (20)")
    parser.add_argument("--stages", nargs="+", choices=FOLDERS, default=list(FOLDERS))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng, results = random.Random(given.seed), {}

    def compared(stage: str, run: Callable[[], object]) -> float:
        begin = time.perf_counter()
        run()
        if digests(FOLDERS[stage]) != expected[stage]:
            sys.exit(f"{stage}: the bytes differ (seed {given.seed})")
        return round(time.perf_counter() - begin, 1)

    expected: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for stage in given.stages:
            undisturbed(stage)
            expected[stage] = digests(FOLDERS[stage])
            found: dict[str, float] = {"parts_s": compared(stage, lambda stage=stage: in_parts(stage, given.workers))}
            with cluster(Path(folder), given.workers) as cluster_:
                found["dask_s"] = compared(stage, lambda stage=stage: undisturbed(stage))
                found["killed"], wanted = 0, given.kills // len(given.stages)
                while found["killed"] < wanted:
                    left = int(wanted - found["killed"])
                    found["killed"] += with_killed_workers(stage, cluster_, left, found["dask_s"], rng)
                    compared(stage, lambda: None)
                if stage == given.stages[0]:
                    found["kept"] = with_lost_scheduler(stage, cluster_)
            if stage == given.stages[0]:
                with cluster(Path(folder), given.workers):
                    compared(stage, lambda stage=stage: finish(start(f"stages.{stage}")))
            results[stage] = found
            print(stage, found, flush=True)
    print(json.dumps({**results, "identical": True}))


if __name__ == "__main__":
    main()
