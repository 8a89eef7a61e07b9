"""A copy of a project whose outputs are links to a cache, and its steps on a failing disk (tests/disk_faults.c)."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from mocliplite import __main__
from stages import run_stage

LIBRARY = "disk_faults.so"
ROOT = Path(__file__).parents[1]
LINKED = ("features", "models", "metrics", "plots")
LINKS = {"hardlink": os.link, "symlink": os.symlink}
PRINTED = "printed.txt"  # the output of commands, on the same disk
# What runs may leave: nothing reads it, or the next run goes on with it.
UNUSED, KEPT = (r"\..*\.lock|__pycache__|\.machines|" + re.escape(PRINTED)), (".motion.resume", ".parts")
GROWS = ("plots/motion_training.csv", "new.csv")  # have a row more after each epoch, and after each clip


class Step(NamedTuple):
    """A stage, or the arguments of a command, and the files and folders that it writes."""

    name: str
    command: tuple[str, ...]  # empty for a stage
    outputs: tuple[str, ...]
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


class Run(NamedTuple):
    """What came of a run."""

    status: int
    error: str  # its standard error
    log: list[str]  # that of the library


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
        if not any(re.fullmatch(UNUSED, part) for part in Path(name).parts)
    }


def has_part(path: Path, complete: bytes) -> bool:
    """Return whether a file has the first lines, whole ones, of its complete content."""
    content = path.read_bytes()
    return content.endswith(b"\n") and complete.startswith(content)


def restore(step: Step, project: Project) -> None:
    """Put the outputs of a step back from the cache, but for some four files, or half of a few, which are to write."""
    for output in step.outputs:
        path = project.folder / output
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
    cached = [name for name in digests(project.cache) if is_output(name, step)]
    every = max(2, len(cached) // 4)
    for name in [name for number, name in enumerate(cached) if number % every]:
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
