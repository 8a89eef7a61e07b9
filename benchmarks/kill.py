"""kill -9 at random moments: does the next run end with the bytes of a run that was never disturbed?

python -m benchmarks.kill [--kills 40] runs the stages motion and keyframes of the project in the working folder (after
`dvc repro`), each time from nothing, kills them, and runs them again. Every second time the main process alone is
killed, so that its workers outlive it for a while. The stores end as they were.
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
    """SHA-256 of every file in a folder, by name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def start(stage: str, project: Path) -> "subprocess.Popen[bytes]":
    """A stage in a process group of its own."""
    command = [sys.executable, "-m", f"stages.{stage}"]
    said = (project / LOG).open("wb")
    return subprocess.Popen(command, cwd=project, start_new_session=True, stdout=said, stderr=said)


def finish(stage: str, project: Path) -> float:
    """Run a stage to its end; returns the seconds."""
    begun = time.perf_counter()
    process = start(stage, project)
    if process.wait():
        said = (project / LOG).read_text()[-500:]
        sys.exit(f"{stage} ended with status {process.returncode}: {said}")
    return time.perf_counter() - begun


def killed(stage: str, project: Path, after: float, group: bool) -> int:
    """Start a stage and kill it, or its main process alone; returns the number of its group."""
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
    """Kill a stage that many times; exits with a sentence where bytes differ. Returns what was seen."""
    folder = project / "features" / stage
    shutil.rmtree(folder)
    seconds = finish(stage, project)
    wanted, rng, kept = digests(folder), random.Random(seed), 0
    for number in range(kills):
        shutil.rmtree(folder)
        group = killed(stage, project, rng.uniform(0, seconds), number % 2 == 0)
        shards = {path: path.stat().st_ino for path in folder.glob("*.h5")} if folder.is_dir() else {}
        finish(stage, project)
        kept += sum(path.stat().st_ino == inode for path, inode in shards.items())
        end_orphans(group)
        if digests(folder) != wanted:
            sys.exit(f"{stage}: other bytes after kill {number} of seed {seed}")
    return {"kills": kills, "seconds": round(seconds, 1), "shards_kept": kept}


def end_orphans(group: int) -> None:
    """End what a killed main process left behind."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def main() -> None:
    """Parse the arguments and run both loops."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=40, help="in all, half for each stage (40)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    seen = {stage: loop(Path(), stage, given.kills // 2, given.seed) for stage in ("motion", "keyframes")}
    print(json.dumps({**seen, "identical": True}))


if __name__ == "__main__":
    main()
