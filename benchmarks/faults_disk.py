"""Check that a failing disk loses nothing: errors of the system in each stage and in the commands that write files.

python -m benchmarks.faults_disk [--faults 20] [--steps index predict ...] works on two copies of the project in the
working folder (after `dvc repro`), whose features and models are hard or symbolic links to a cache, as DVC makes them.
For each kind of fault, such as a full disk, steps and system calls are chosen at random. Some of the outputs of the
step are removed, the step runs, and the call fails: a library that LD_PRELOAD loads (tests/disk_faults.c) stands
between Python, HDF5 and the other libraries and the system. Then

- the step has failed with one sentence that names a file and the reason, or has gone on and written the right bytes,
  or a report that lacks the picture of a clip, and says so;
- no file has been opened for writing through a link, the cache is unchanged, each output is as before or complete, the
  curve of a training up to some epoch, the table of `predict` up to some clip, and no temporary file is left;
- the next run succeeds, and all bytes are those of an undisturbed run.

Requires Linux and a C compiler. Prints a table with the number of faults of each kind after which the step stopped,
went on, or did wrong, which makes the exit status 1.
"""

import argparse
import errno
import itertools
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import yaml

from benchmarks.failing_disk import (
    GROWS,
    KEPT,
    LIBRARY,
    LINKS,
    PRINTED,
    ROOT,
    Project,
    Run,
    Step,
    build_library,
    copy_project,
    digests,
    has_part,
    is_output,
    restore,
    run,
)
from mocliplite import params
from mocliplite.cli._clip_source import outputs_of
from mocliplite.data.clips import read_clips

GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


class Kind(NamedTuple):
    """A kind of fault: which calls fail, with which error (0: a write is short), and whether all later calls do too."""

    calls: str
    error: int
    lasts: bool


KINDS = {
    "full disk": Kind("write", errno.ENOSPC, True),
    "quota": Kind("write", errno.EDQUOT, True),
    "short writes": Kind("write", 0, True),
    "write error": Kind("write", errno.EIO, False),
    "read error": Kind("read", errno.EIO, False),
    "fsync error": Kind("sync", errno.EIO, False),
    "rename error": Kind("rename", errno.EIO, False),
    "open error": Kind("open", errno.EIO, False),
    "read-only": Kind("change", errno.EROFS, True),
}


# What runs say of clips that could not be read, which the next run tries again.
INCOMPLETE = ("because the machine failed", "no picture in the report", "clips could not be used")


class WrongError(Exception):
    """An outcome that must not be."""


def steps_of_project() -> list[Step]:
    """Return the stages, and the commands that write files."""
    stages = [Step(name, (), tuple(outputs_of(stage))) for name, stage in GRAPH.items()]
    root = params.load().dataset.root
    clip = f"{root}/{read_clips('features/clips.csv')[0].path}"
    windows = ("--window", "1", "--srt", "new.srt", "--vtt", "new.vtt", "--plot", "new.png")
    commands = [
        Step("predict", ("predict", clip, "--csv", "new.csv"), ("new.csv",), ("--resume",)),
        Step("predict --parquet", ("predict", clip, "--parquet", "new.parquet"), ("new.parquet",)),
        Step("predict --window", ("predict", clip, *windows), ("new.srt", "new.vtt", "new.png")),
        Step("export", ("export", "recogniser"), ("recogniser",)),
        Step("export-store npz", ("export-store", "features/keyframes", "--to", "npz"), ("keyframes.npz",)),
        Step("export-store parquet", ("export-store", "features/motion", "--to", "parquet"), ("motion.parquet",)),
        Step("few-shot", ("few-shot", "--shots", "1", "--draws", "1", "--csv", "shots.csv"), ("shots.csv",)),
        Step("init", ("init", root, "--out", "new.yaml"), ("new.yaml",)),
        Step("report", ("report", "--out", "new.html"), ("new.html",)),
        Step("show", ("show", clip, "--out", "vectors.png"), ("vectors.png",)),
    ]
    return stages + commands


class Undisturbed(NamedTuple):
    """What an undisturbed run of a step calls and writes."""

    calls: list[str]  # such as `read features/clips.csv`
    outputs: dict[str, str]  # digests
    growing: dict[str, bytes]  # complete content of the files that grow row by row


def undisturbed(step: Step, project: Project) -> Undisturbed:
    """Run a step without faults. Raises WrongError if it fails, or does not give the bytes that the project has."""
    restore(step, project)
    found = run(step, project, {"FAULT_CALL": "all"})
    require(found.status == 0, f"{step.name} fails without a fault", found)
    refuse_links(step, found)
    outputs = {name: value for name, value in digests(project.folder).items() if is_output(name, step)}
    cached = digests(project.cache)
    differ = [name for name, value in outputs.items() if name in cached and cached[name] != value]
    require(not differ, f"{step.name} gives other bytes than the project has: {differ}; run `dvc repro` first", found)
    growing = {name: (project.folder / name).read_bytes() for name in GROWS if name in outputs}
    return Undisturbed(found.log, outputs, growing)


def require(holds: bool, problem: str, found: Run) -> None:
    """Raise WrongError with what a run printed unless a condition holds."""
    if not holds:
        raise WrongError(f"{problem}; status {found.status}, {found.error[-3000:]}")


def refuse_links(step: Step, found: Run) -> None:
    linked = [line for line in found.log if line.startswith("linked")]
    require(not linked, f"{step.name} opened for writing {linked}", found)


def draw(calls: Sequence[str], rng: random.Random) -> int:
    """Return the number of one of these calls, from 1, in a random folder."""
    by_folder: dict[Path, list[int]] = {}
    for number, line in enumerate(calls, 1):
        by_folder.setdefault(Path(line).parent, []).append(number)
    return rng.choice(by_folder[rng.choice(sorted(by_folder))])


def outcome(step: Step, project: Project, kind: Kind, at: int, known: Undisturbed) -> str:
    """Run a step with a fault, and again without; return what came of the first run."""
    restore(step, project)
    before, cache = digests(project.folder), digests(project.cache)
    complete = before | known.outputs
    fault = {"FAULT_CALL": kind.calls, "FAULT_ERROR": str(kind.error), "FAULT_AT": str(at)}
    found = run(step, project, fault | ({"FAULT_LASTS": "1"} if kind.lasts else {}))
    faults = [line for line in found.log if line.startswith("fault")]
    what = f"{step.name} with {kind} at {at}, {faults[:1]}"

    refuse_links(step, found)
    stopped = found.status != 0
    if stopped:
        named = "the output" if faults and faults[0].endswith(PRINTED) else rf"[\s\S]*({names(step, faults)})"
        has_sentence = re.search(f"^error: {named}", found.error, re.MULTILINE) and "Traceback" not in found.error
        require(bool(has_sentence) and found.status in (1, 2), f"{what} did not stop with a sentence", found)
        require(os.strerror(kind.error) in found.error, f"{what} does not give the reason", found)
    after = digests(project.folder)
    is_temporary = {name: ".partial" in name for name in after}
    if kind.calls != "change":  # on a read-only file system nothing can be removed
        require(not any(is_temporary.values()), f"{what} left {after.keys() - before.keys()}", found)
    incomplete = any(sentence in found.error for sentence in INCOMPLETE)
    kept = KEPT + (tuple(step.outputs) if incomplete else ())
    wrong = [
        name
        for name in after.keys() | before.keys()
        if after.get(name) not in (before.get(name), known.outputs.get(name))
        and not is_temporary.get(name)
        and not any(part in name for part in kept)
        and not (name in known.growing and name in after and has_part(project.folder / name, known.growing[name]))
    ]
    require(not wrong, f"{what} changed {wrong}", found)
    require(stopped or incomplete or after == complete, f"{what} went on and wrote other bytes", found)

    # `export` does not write into a folder that it has filled. On a read-only file system it cannot empty it.
    if after == complete or (kind.calls == "change" and step.name == "export"):
        restore(step, project)
    again = run(step, project, {}, again=True)
    require(again.status == 0, f"{what}: the next run failed", again)
    now = digests(project.folder)
    different = sorted(name for name in now.keys() | complete.keys() if now.get(name) != complete.get(name))
    require(not different, f"{what}: after the next run, other bytes in {different}", again)
    require(digests(project.cache) == cache, f"{what}: the cache has changed", again)
    return "not reached" if not faults else "stopped" if stopped else "went on"


def names(step: Step, faults: Sequence[str]) -> str:
    """Return a pattern of what a sentence must name: a file whose call failed, its folder, or an output of the step."""
    paths = [Path(fault.partition(" ")[2]) for fault in faults]
    files = {re.sub(r"^\.(.+?)(\.\w{8}\.\d+\.\d+\.partial|\.lock)$", r"\1", path.name) for path in paths}
    # A temporary file without a name is in a folder.
    folders = {path.parent.name for path in paths} | {f"in {Path(output).parent} cannot be" for output in step.outputs}
    nameless = {"the cache of the fields"} if any(path.name.endswith("(deleted)") for path in paths) else set()
    return "|".join(map(re.escape, sorted({*step.outputs, *files, *folders, *nameless})))


def inject(
    projects: Sequence[Project], steps: Sequence[Step], faults: int, rng: random.Random
) -> dict[str, Counter[str]]:
    """Return the outcomes of this many faults of each kind. Raises WrongError if a step fails without any."""
    known = {step: undisturbed(step, projects[0]) for step in steps}
    outcomes: dict[str, Counter[str]] = {name: Counter() for name in KINDS}
    for number, (name, kind) in itertools.product(range(1, faults + 1), KINDS.items()):
        calls = {step: [line for line in known[step].calls if line.startswith(f"{kind.calls} ")] for step in steps}
        possible = [step for step in steps if calls[step]]
        if not possible:
            raise WrongError(f"no step has a call of the kind {kind.calls}")
        while outcomes[name].total() - outcomes[name]["not reached"] < number:
            if outcomes[name]["not reached"] > faults:
                raise WrongError(f"{name}: most faults are not reached, {outcomes[name]}")
            step, project = rng.choice(possible), rng.choice(projects)
            at = draw(calls[step], rng)
            try:
                came = outcome(step, project, kind, at, known[step])
            except WrongError as error:
                came = "wrong"
                print(error)
                shutil.rmtree(project.top)
                copy_project(Path(), project.top, project.kind)
            outcomes[name][came] += 1
            print(f"{name}: {step.name}, call {at}, {project.kind}: {came}", flush=True)
    return outcomes


def main() -> None:
    """Parse the arguments, start again with the library, inject faults, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=20, help="of each kind (20)")
    parser.add_argument("--steps", nargs="+", metavar="STEP", help="names of stages and commands (all)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if LIBRARY not in os.environ.get("LD_PRELOAD", ""):
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "LD_PRELOAD": str(build_library(Path(folder)))}
            sys.exit(
                subprocess.run(
                    [sys.executable, "-m", "benchmarks.faults_disk", *sys.argv[1:]], env=environment
                ).returncode
            )

    steps = [step for step in steps_of_project() if given.steps is None or step.name in given.steps]
    if len(steps) < len(given.steps or []):
        parser.error(f"the steps are {', '.join(step.name for step in steps_of_project())}")
    for name in GRAPH:
        import_module(f"stages.{name}")
    with tempfile.TemporaryDirectory() as folder:
        projects = [copy_project(Path(), Path(folder).resolve() / kind, kind) for kind in LINKS]
        try:
            outcomes = inject(projects, steps, given.faults, random.Random(given.seed))
        except WrongError as error:
            sys.exit(f"error: {error}")
    for name, counts in outcomes.items():
        print(f"| {name} | {counts['stopped']} | {counts['went on']} | {counts['wrong']} |")
    print(json.dumps(outcomes))
    sys.exit(any(counts["wrong"] for counts in outcomes.values()))


if __name__ == "__main__":
    main()
