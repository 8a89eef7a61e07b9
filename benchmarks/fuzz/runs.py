"""Inputs by number, tried in processes that outlive them. The same seed gives the same inputs."""

import json
import os
import shutil
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import numpy as np

from benchmarks.fuzz import outcomes
from benchmarks.fuzz.clips import footage
from benchmarks.fuzz.entries import ENTRIES
from benchmarks.fuzz.outcomes import Outcome, refused
from mocliplite.errors import UserError
from mocliplite.runtime.subprocess_worker import SubprocessWorker, WorkerDiedError
from mocliplite.store import layout, schema

INPUT = Path("input")
TIME_LIMIT = 300  # seconds of an input; the first of a process imports libraries and loads models
MEMORY = 8192  # MiB that an input may allocate
# In memory where the system has such a folder: each store is written to the disk, for which a run would mostly wait.
_TEMPORARY = next((folder for folder in (Path("/dev/shm"),) if folder.is_dir()), None)
_SHARDS = 2  # files of a store that is written


class Run(NamedTuple):
    """What the inputs depend on."""

    seed: int
    project: Path
    footage: str  # folder of real clips; empty: rendered ones alone
    entries: Sequence[str]


class Tried(NamedTuple):
    """What came of an input."""

    number: int
    entry: str
    edit: str
    outcome: Outcome


def entry_of(run: Run, number: int) -> str:
    """Return the entry point of an input: each has its share."""
    shares = np.array([ENTRIES[name].share for name in run.entries], float)
    rng = np.random.default_rng([run.seed, number])
    return run.entries[int(rng.choice(len(shares), p=shares / shares.sum()))]


def make(run: Run, number: int) -> str:
    """Write an input to the folder `input`; return the name of its edit."""
    rng = np.random.default_rng([run.seed, number, 1])
    return ENTRIES[entry_of(run, number)].make(rng, run.project, footage(run.footage))


def read(entry: str, project: Path) -> Outcome:
    """Return what comes of the input in the folder `input`."""
    try:
        return ENTRIES[entry].read(project)
    except UserError as error:
        return refused(error)
    except BaseException:  # noqa: BLE001  what is looked for
        return Outcome(outcomes.TRACEBACK, traceback.format_exc())


def try_input(run: Run, number: int) -> tuple[str, Outcome]:
    """Make an input in a temporary folder, and read it; return the name of the edit and the outcome."""
    schema.SHARDS.update(dict.fromkeys(schema.SHARDS, _SHARDS))
    layout.MOST_SHARDS = _SHARDS
    with _temporary_folder():
        return make(run, number), read(entry_of(run, number), run.project)


def try_file(entry: str, project: Path, source: Path) -> Outcome:
    """Return what comes of an input that was kept."""
    with _temporary_folder():
        shutil.copytree(source, INPUT)
        return read(entry, project)


@contextmanager
def temporary_files() -> Iterator[None]:
    """Context in which processes that are started have their temporary files in a folder that is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_TEMPORARY, ignore_cleanup_errors=True) as folder:
        os.environ["TMPDIR"] = folder
        try:
            yield
        finally:
            del os.environ["TMPDIR"]


@contextmanager
def _temporary_folder() -> Iterator[None]:
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def outcomes_of(run: Run, numbers: Sequence[int], workers: int, errors: Path | None = None) -> Iterator[Tried]:
    """Yield what comes of each input, in order. Errors are written to the folder `errors`, with their input."""
    idle: SimpleQueue[SubprocessWorker] = SimpleQueue()
    for _ in range(workers):
        idle.put(SubprocessWorker(try_input, TIME_LIMIT, MEMORY))

    def call(number: int) -> Tried:
        worker = idle.get()
        entry = entry_of(run, number)
        try:
            edit, outcome = worker(run, number)
        except TimeoutError:
            edit, outcome = "?", Outcome(outcomes.HANG, f"longer than {TIME_LIMIT} s")
        except WorkerDiedError as error:
            edit, outcome = "?", Outcome(outcomes.TRACEBACK, f"the process died: {error.signal}")
        finally:
            idle.put(worker)
        return Tried(number, entry, edit, outcome)

    # In a process of its own, because the folder in which an input is made is the working folder.
    keeper = SubprocessWorker(keep, TIME_LIMIT)
    pool = ThreadPoolExecutor(workers)
    try:
        for tried in pool.map(call, numbers):
            if errors is not None and tried.outcome.kind in outcomes.ERRORS:
                record = {"edit": tried.edit, "outcome": tried.outcome.kind, "text": tried.outcome.text}
                keeper(run, tried.number, record, errors.absolute() / f"{tried.entry}-{tried.number}")
            yield tried
    finally:
        pool.shutdown(cancel_futures=True)


def keep(run: Run, number: int, record: dict[str, str], folder: Path) -> None:
    """Write an input and what came of it to a folder."""
    with _temporary_folder():
        make(run, number)
        shutil.copytree(INPUT, folder / "input", dirs_exist_ok=True, symlinks=True)
    (folder / "outcome.json").write_text(json.dumps(record, indent=1))
