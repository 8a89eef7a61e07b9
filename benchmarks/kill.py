"""Check that a run after `kill -9` at a random time gives the same bytes as an uninterrupted run.

python -m benchmarks.kill [--kills 40] runs the stages motion and keyframes of the project in the working folder (after
`dvc repro`), each time from an empty store, kills them, and runs them again. Every second time only the main process
is killed, so that its workers continue for a while. At the end the stores are the same as before.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

LOG = "features/.kill.log"


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file in a folder by name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def start(stage: str, project: Path) -> "subprocess.Popen[bytes]":
    """Start a stage in its own process group."""
    command = [sys.executable, "-m", f"stages.{stage}"]
    log = (project / LOG).open("wb")
    return subprocess.Popen(command, cwd=project, start_new_session=True, stdout=log, stderr=log)


def finish(stage: str, project: Path) -> float:
    """Run a stage to its end and return the seconds."""
    start_time = time.perf_counter()
    process = start(stage, project)
    if process.wait():
        log = (project / LOG).read_text()[-500:]
        sys.exit(f"{stage} failed with status {process.returncode}: {log}")
    return time.perf_counter() - start_time


def start_and_kill(stage: str, project: Path, after: float, group: bool) -> int:
    """Start a stage and kill its process group, or only its main process. Returns the id of the process group."""
    process = start(stage, project)
    time.sleep(after)
    if process.poll() is None:
        if group:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
    return process.pid


def loop(project: Path, stage: str, kills: int, seed: int) -> dict[str, float]:
    """Kill a stage this many times and return counts. Exits with an error if the bytes of the store differ."""
    folder = project / "features" / stage
    shutil.rmtree(folder)
    seconds = finish(stage, project)
    expected, rng, shards_kept = digests(folder), random.Random(seed), 0
    for number in range(kills):
        shutil.rmtree(folder)
        group = start_and_kill(stage, project, rng.uniform(0, seconds), number % 2 == 0)
        shards = {path: path.stat().st_ino for path in folder.glob("*.h5")} if folder.is_dir() else {}
        finish(stage, project)
        shards_kept += sum(path.stat().st_ino == inode for path, inode in shards.items())
        kill_remaining_workers(group)
        if digests(folder) != expected:
            sys.exit(f"{stage}: the bytes differ after kill {number} with seed {seed}")
    return {"kills": kills, "seconds": round(seconds, 1), "shards_kept": shards_kept}


def kill_remaining_workers(group: int) -> None:
    """Kill the workers of a killed main process."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def main() -> None:
    """Parse the arguments and run both loops."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=40, help="total number of kills, half per stage (40)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    results = {stage: loop(Path(), stage, given.kills // 2, given.seed) for stage in ("motion", "keyframes")}
    print(json.dumps({**results, "identical": True}))


if __name__ == "__main__":
    main()
