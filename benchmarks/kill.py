"""Check that a run after a signal at a random time gives the same bytes as an undisturbed run, and leaves nothing else.

python -m benchmarks.kill [--kills 100] [--stages motion keyframes ...] runs the long stages of the project in the
working folder (after `dvc repro`), or those named, and the commands `report` and `predict`, each from no output or from
half of its files, and sends each run SIGKILL, SIGTERM, SIGINT or SIGHUP: every second time to its process alone,
otherwise to its children as well. A stopped run must end with one line and status 128 + signal, its children must end,
and after the next run the outputs are the same bytes, and no temporary file is left. At the end, DVC's cache is the
same as before.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from itertools import chain, cycle, product
from pathlib import Path
from typing import Any

import psutil
import yaml

from mocliplite import params
from mocliplite.cli import _clip_source
from mocliplite.interrupts import INTERRUPTED

# Commands that take as long as some stages, and their output.
COMMANDS = {"report": "report.html", "predict": "features/.kill.csv"}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LONG = ("motion", "keyframes", "train_motion", "embed_motion", "train_probes", "train_head", "evaluate", *COMMANDS)
WAIT = 60  # seconds in which the children of a killed process must end
AT_ONCE = 3  # seconds after a signal in which a process may still succeed, because it was ending
FOLDERS = ("features", "models", "metrics", "plots")
LEFT = ("*.partial", ".parts", "*.resume", "*.unfinished")
LOG = Path("features/.kill.log")


def files_in(path: Path) -> list[Path]:
    """Return the files in a folder, or the file, sorted."""
    return sorted(filter(Path.is_file, path.rglob("*"))) if path.is_dir() else [path] if path.exists() else []


def digests(path: Path) -> dict[str, str]:
    """Return the SHA-256 of every file in a folder by its path there, or of one file."""
    return {str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files_in(path)}


def outputs_of(stage: str) -> list[Path]:
    """Return the outputs of a stage or a command."""
    if stage in COMMANDS:
        return [Path(COMMANDS[stage])]
    return list(map(Path, _clip_source.outputs_of(yaml.safe_load(Path("dvc.yaml").read_text())["stages"][stage])))


def words_of(stage: str, project: Path) -> list[str]:
    """Return the module of a stage or a command, and its arguments."""
    if stage == "predict":
        root = params.load(project / params.FILE).dataset.root
        return ["mocliplite", "predict", root, "--csv", COMMANDS[stage], "--resume"]
    return ["mocliplite", stage] if stage in COMMANDS else [f"stages.{stage}"]


def start(stage: str, project: Path = Path(), temporary: str | None = None) -> "subprocess.Popen[bytes]":
    """Start a stage in its own session. temporary: its folder for temporary files."""
    with (project / LOG).open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", *words_of(stage, project)],
            cwd=project,
            start_new_session=True,
            stdout=log,
            stderr=log,
            env=os.environ | ({"TMPDIR": temporary} if temporary else {}),
            preexec_fn=_heed_signals,
        )


def _heed_signals() -> None:
    """Undo that a shell ignores signals in its background, and nohup."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def finish(stage: str, project: Path = Path(), temporary: str | None = None) -> float:
    """Run a stage to its end and return the seconds."""
    begin = time.perf_counter()
    process = start(stage, project, temporary)
    if process.wait():
        sys.exit(f"{stage} failed with status {process.returncode}: {(project / LOG).read_text()[-500:]}")
    return time.perf_counter() - begin


def remove(outputs: Iterable[Path], step: int) -> None:
    """Remove every output, or every file of them whose number in order is a multiple of `step`."""
    for number, path in enumerate(chain.from_iterable(map(files_in, outputs))):
        if number % step == 0:
            path.unlink()


def stop(process: "subprocess.Popen[bytes]", number: int, whole_group: bool) -> float:
    """Send a signal to a process or its group; return the seconds until it and its children have ended."""
    begin = time.perf_counter()
    if whole_group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    process.wait()
    while children := members(process.pid):
        if time.perf_counter() - begin > WAIT:
            sys.exit(f"{process.args}: {children} go on after signal {number}")
        time.sleep(0.1)
    return time.perf_counter() - begin


def members(session: int) -> list[list[str]]:
    """Return the command lines of the processes of a session that run."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.cmdline())
    return found


def leftovers(temporary: str) -> set[str]:
    """Return the files that runs must not leave."""
    partial = (path for name in FOLDERS for pattern in LEFT for path in Path(name).rglob(pattern))
    return {str(path) for path in (*partial, *Path(temporary).iterdir())}


def outcome(status: int, number: int, seconds: float) -> str:
    """Return how a process ended, so many seconds after a signal, with an error if not as documented."""
    text = LOG.read_text(errors="replace")
    if status == 0 and seconds < AT_ONCE:
        return "was done"
    if number == signal.SIGKILL and status == -number:
        return "killed"
    # At SIGHUP nobody reads what processes print, such as those that multiprocessing starts for itself.
    one_line = text.rstrip().endswith(INTERRUPTED) and "Traceback" not in text
    if status == 128 + number and (one_line or number == signal.SIGHUP):
        return "stopped"
    # Until the package of the stages is imported, signals do what they do to any Python, also while it starts: then no
    # line of a traceback is the project's.
    begun = "run_stage" in text or str(Path.cwd() / "mocliplite") in text or str(Path.cwd() / "stages") in text
    if not begun and (status == -number or (status in (1, 130) and "Traceback" in text)):
        return "had not begun"
    sys.exit(f"status {status} after signal {number}: {text[-3000:]}")


def loop(stage: str, kills: int, rng: random.Random, temporary: str) -> dict[str, Any]:
    """Stop a stage this many times and return counts. Exits with an error if anything is not as it should be."""
    outputs = outputs_of(stage)
    remove(outputs, 1)
    seconds, slowest, ends = finish(stage, temporary=temporary), 0.0, Counter[str]()
    expected, before = list(map(digests, outputs)), leftovers(temporary)  # torch has a folder of its own
    numbers = cycle(product((True, False), SIGNALS))
    while ends["killed"] + ends["stopped"] < kills:
        whole_group, number = next(numbers)
        remove(outputs, rng.choice((1, 2)))
        process = start(stage, temporary=temporary)
        time.sleep(rng.uniform(0, seconds))
        ending = stop(process, number, whole_group)
        slowest = max(slowest, ending)
        ends[outcome(process.returncode, number, ending)] += 1
        seconds = min(seconds, finish(stage, temporary=temporary))  # the first run may have been slow
        if list(map(digests, outputs)) != expected:
            sys.exit(f"{stage}: the bytes differ after signal {number}")
        if left := sorted(leftovers(temporary) - before):
            sys.exit(f"{stage}: {left} are left after signal {number}")
    return {**ends, "seconds": round(seconds, 1), "slowest_end_s": round(slowest, 1)}


def main() -> None:
    """Parse the arguments and run all loops."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="number of signals, over all stages (100)")
    parser.add_argument("--stages", nargs="+", default=list(LONG))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    folder = Path(subprocess.run(["dvc", "cache", "dir"], check=True, capture_output=True, text=True).stdout.strip())
    cache, rng, results = digests(folder), random.Random(given.seed), {}
    if not cache:
        sys.exit(f"{folder}, DVC's cache, has no files; run `dvc repro` first.")
    temporary = tempfile.mkdtemp(prefix="kill-")
    for number, stage in enumerate(given.stages):
        kills = given.kills // len(given.stages) + (number < given.kills % len(given.stages))
        results[stage] = loop(stage, kills, rng, temporary)
        print(stage, results[stage], flush=True)
    if digests(folder) != cache:
        sys.exit("DVC's cache has changed")
    shutil.rmtree(temporary)
    print(json.dumps({**results, "identical": True, "cache_files": len(cache)}))


if __name__ == "__main__":
    main()
