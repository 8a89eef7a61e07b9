"""Check that a failing disk loses nothing: errors of the system in each stage and in the commands that write files.

python -m benchmarks.faults_disk [--faults 20] [--steps index predict ...] works on two copies of the project in the
working folder (after `dvc repro`), whose features and models are hard or symbolic links to a cache, as DVC makes them.
For each kind of fault, such as a full disk, steps and system calls are chosen at random. Some of the outputs of the
step are removed, the step runs, and the call fails: a library that LD_PRELOAD loads (tests/disk_faults.c) stands
between Python, HDF5 and the other libraries and the system. Then

- the step has failed with one sentence that names a file and the reason, or has gone on and written the right bytes;
- no file has been opened for writing through a link, the cache is unchanged, each output is as before or complete, and
  no temporary file is left;
- the next run succeeds, and all bytes are those of an undisturbed run.

Requires Linux and a C compiler. Prints a table with the number of faults of each kind after which the step stopped, went
on, or did wrong, which makes the exit status 1.
"""

import argparse
import errno
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import yaml

from mocliplite import __main__, params
from mocliplite.cli._clip_source import output_path
from mocliplite.data.clips import read_clips
from stages import run_stage

LIBRARY = "disk_faults.so"
ROOT = Path(__file__).parents[1]
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
LINKED = ("features", "models", "metrics", "plots")
LINKS = {"hardlink": os.link, "symlink": os.symlink}
PRINTED = "printed.txt"  # the output of commands, on the same disk
# What runs may leave: nothing reads it, or the next run goes on with it.
UNUSED, KEPT = (".lock", "__pycache__", ".machines", PRINTED), (".motion.resume", ".parts")


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


class Step(NamedTuple):
    """A stage, or the arguments of a command, and the files and folders that it writes."""

    name: str
    command: list[str]  # empty for a stage
    outputs: list[str]
    again: tuple[str, ...] = ()  # arguments to be added when the command is repeated


class Project(NamedTuple):
    """A copy of the project, with links to a cache beside it, and the folder of both."""

    top: Path
    kind: str  # of links

    @property
    def folder(self) -> Path:
        """The working folder of the steps."""
        return self.top / "project"

    @property
    def cache(self) -> Path:
        """The folder of the files that the project has links to."""
        return self.top / "cache"


class WrongError(Exception):
    """An outcome that must not be."""


class Run(NamedTuple):
    """What came of a run."""

    status: int
    error: str  # its standard error
    log: list[str]  # that of the library


def steps_of_project() -> list[Step]:
    """Return the stages, and the commands that write files."""
    stages = [
        Step(name, [], [output_path(out) for key in ("outs", "metrics", "plots") for out in stage.get(key, [])])
        for name, stage in GRAPH.items()
    ]
    root = params.load().dataset.root
    clip = f"{root}/{read_clips('features/clips.csv')[0].path}"
    windows = ["--window", "1", "--srt", "new.srt", "--vtt", "new.vtt", "--plot", "new.png"]
    commands = [
        Step("predict", ["predict", clip, "--csv", "new.csv"], ["new.csv"], ("--resume",)),
        Step("predict --parquet", ["predict", clip, "--parquet", "new.parquet"], ["new.parquet"]),
        Step("predict --window", ["predict", clip, *windows], ["new.srt", "new.vtt", "new.png"]),
        Step("export", ["export", "recogniser"], ["recogniser"]),
        Step("export-store npz", ["export-store", "features/keyframes", "--to", "npz"], ["keyframes.npz"]),
        Step("export-store parquet", ["export-store", "features/motion", "--to", "parquet"], ["motion.parquet"]),
        Step("few-shot", ["few-shot", "--shots", "1", "--draws", "1", "--csv", "shots.csv"], ["shots.csv"]),
        Step("init", ["init", root, "--out", "new.yaml"], ["new.yaml"]),
        Step("report", ["report", "--out", "new.html"], ["new.html"]),
        Step("show", ["show", clip, "--out", "vectors.png"], ["vectors.png"]),
    ]
    return stages + commands


def build_library(folder: Path) -> Path:
    """Compile the library into a folder and return its path."""
    library = folder / LIBRARY
    command = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(ROOT / "tests/disk_faults.c"), "-ldl"]
    subprocess.run(command, check=True)
    return library


def copy_project(source: Path, top: Path, kind: str) -> Project:
    """Copy a project; what its steps write becomes links of this kind to a cache."""
    project = Project(top, kind)
    shutil.copytree(source, project.folder, ignore=shutil.ignore_patterns(".?*", "__pycache__", "tests", "docs"))
    for name in digests(project.folder):
        if name.startswith(LINKED):
            (project.cache / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(project.folder / name, project.cache / name)
            (project.cache / name).chmod(0o444)
            LINKS[kind](project.cache / name, project.folder / name)
    return project


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of all files in a folder by path, but for those that nothing reads."""
    paths = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in paths.items()
        if not any(part.endswith(UNUSED) for part in Path(name).parts)
    }


def restore(step: Step, project: Project) -> None:
    """Make the outputs of a step as before its first run, and remove every second file, so that it has to work."""
    for output in step.outputs:
        path = project.folder / output
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
    cached = [name for name in digests(project.cache) if is_output(name, step)]
    for name in cached[1::2]:
        (project.folder / name).parent.mkdir(parents=True, exist_ok=True)
        LINKS[project.kind](project.cache / name, project.folder / name)


def is_output(name: str, step: Step) -> bool:
    """Return whether a file is one of the outputs of a step, or in one of them."""
    return any(Path(name).is_relative_to(output) for output in step.outputs)


def run(step: Step, project: Project, fault: Mapping[str, str], again: bool = False) -> Run:
    """Run a step in a process of its own, which has imported everything already."""
    log, count = project.top.parent / "log", project.top.parent / "count"
    log.write_text("")
    count.write_bytes(bytes(8))
    place = {"FAULT_FOLDER": str(project.top), "FAULT_LOG": str(log), "FAULT_COUNT": str(count)}
    with tempfile.TemporaryFile() as errors:
        process = os.fork()
        if not process:
            os.chdir(project.folder)
            os.dup2(errors.fileno(), 2)
            os.dup2(os.open(PRINTED, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
            os.environ.update({**place, **fault})
            sys.argv = ["mocliplite", *step.command, *(step.again if again else ())]
            os._exit(status_of(step))
        _, status = os.waitpid(process, 0)
        errors.seek(0)
        return Run(os.waitstatus_to_exitcode(status), errors.read().decode(), log.read_text().splitlines())


def status_of(step: Step) -> int:
    """Run a step in this process and return its exit status; 70 after any other error, whose traceback is printed."""
    try:
        if step.command:
            __main__.cli()
        else:
            run_stage(step.name, import_module(f"stages.{step.name}").main)
        return 0
    except SystemExit as error:
        return int(error.code or 0)
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
        return 70
    finally:
        sys.stderr.flush()


def undisturbed(step: Step, project: Project) -> tuple[list[str], dict[str, str]]:
    """Return the calls of an undisturbed run, such as `read features/clips.csv`, and the digests of its outputs."""
    restore(step, project)
    found = run(step, project, {"FAULT_CALL": "all"})
    require(found.status == 0, f"{step.name} fails without a fault", found)
    refuse_links(step, found)
    return found.log, {name: value for name, value in digests(project.folder).items() if is_output(name, step)}


def require(holds: bool, problem: str, found: Run) -> None:
    """Raise WrongError with what a run printed unless a condition holds."""
    if not holds:
        raise WrongError(f"{problem}; status {found.status}, {found.error[-3000:]}")


def refuse_links(step: Step, found: Run) -> None:
    linked = [line for line in found.log if line.startswith("linked")]
    require(not linked, f"{step.name} opened for writing {linked}", found)


def draw(calls: Sequence[str], kind: Kind, rng: random.Random) -> int | None:
    """Return the number of a call that may fail, in a random folder, None if there is none."""
    by_folder: dict[Path, list[int]] = {}
    for number, line in enumerate((line for line in calls if line.startswith(f"{kind.calls} ")), 1):
        by_folder.setdefault(Path(line).parent, []).append(number)
    return rng.choice(by_folder[rng.choice(sorted(by_folder))]) if by_folder else None


def outcome(step: Step, project: Project, kind: Kind, at: int, expected: Mapping[str, str]) -> str:
    """Run a step with a fault, and again without; return what came of the first run."""
    restore(step, project)
    before, cache = digests(project.folder), digests(project.cache)
    complete = before | expected
    fault = {"FAULT_CALL": kind.calls, "FAULT_ERROR": str(kind.error), "FAULT_AT": str(at)}
    found = run(step, project, fault | ({"FAULT_LASTS": "1"} if kind.lasts else {}))
    faults = [line for line in found.log if line.startswith("fault")]
    what = f"{step.name} with {kind} at {at}, {faults[:1]}"

    refuse_links(step, found)
    stopped = found.status != 0
    if stopped:
        sentences = re.findall(r"^error: .*[\w-][./]\w.*", found.error, re.MULTILINE)
        one_line = found.status in (1, 2) and "Traceback" not in found.error and sentences
        require(bool(one_line), f"{what} did not stop with a sentence", found)
        require(os.strerror(kind.error) in found.error, f"{what} does not give the reason", found)
    after = digests(project.folder)
    is_temporary = {name: ".partial" in name for name in after}
    if kind.calls != "change":  # on a read-only file system nothing can be removed
        require(not any(is_temporary.values()), f"{what} left {after.keys() - before.keys()}", found)
    # Clips that could not be read are failures in their shard, which the next run tries again.
    kept = KEPT + (tuple(step.outputs) if "because the machine failed" in found.error else ())
    wrong = [
        name
        for name in after.keys() | before.keys()
        if after.get(name) not in (before.get(name), expected.get(name))
        and not is_temporary.get(name)
        and not any(part in name for part in kept)
    ]
    require(not wrong, f"{what} changed {wrong}", found)
    require(stopped or after == complete, f"{what} went on and wrote other bytes", found)

    again = run(step, project, {}, again=True)
    require(again.status == 0, f"{what}: the next run failed", again)
    now = digests(project.folder)
    different = sorted(name for name in now.keys() | complete.keys() if now.get(name) != complete.get(name))
    require(not different, f"{what}: after the next run, other bytes in {different}", again)
    require(digests(project.cache) == cache, f"{what}: the cache has changed", again)
    return "not reached" if not faults else "stopped" if stopped else "went on"


def inject(
    projects: Sequence[Project], steps: Sequence[Step], faults: int, rng: random.Random
) -> dict[str, Counter[str]]:
    """Return the outcomes of this many faults of each kind."""
    known: dict[str, tuple[list[str], dict[str, str]]] = {}
    outcomes: dict[str, Counter[str]] = {name: Counter() for name in KINDS}
    for number in range(faults):
        for name, kind in KINDS.items():
            while outcomes[name].total() - outcomes[name]["not reached"] <= number:
                step, project = rng.choice(steps), rng.choice(projects)
                if step.name not in known:
                    known[step.name] = undisturbed(step, project)
                calls, expected = known[step.name]
                at = draw(calls, kind, rng)
                if at is None:
                    continue
                try:
                    came = outcome(step, project, kind, at, expected)
                except WrongError as error:
                    came = "wrong"
                    print(error)
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

    steps = [step for step in steps_of_project() if step.name in (given.steps or step.name)]
    for name in GRAPH:
        import_module(f"stages.{name}")
    with tempfile.TemporaryDirectory() as folder:
        projects = [copy_project(Path(), Path(folder).resolve() / kind, kind) for kind in LINKS]
        outcomes = inject(projects, steps, given.faults, random.Random(given.seed))
    for name, counts in outcomes.items():
        print(f"| {name} | {counts['stopped']} | {counts['went on']} | {counts['wrong']} |")
    print(json.dumps(outcomes))
    sys.exit(any(counts["wrong"] for counts in outcomes.values()))


if __name__ == "__main__":
    main()
