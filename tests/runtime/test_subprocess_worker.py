"""Functions that crash, hang, raise or answer, in a process of their own."""

import ctypes
import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from builders import CHECKOUT, sentence_of

from mocliplite import params
from mocliplite.errors import Failure, MachineError, UserError
from mocliplite.runtime import crash_safe
from mocliplite.runtime.subprocess_worker import SubprocessWorker, WorkerDiedError

COMPUTE = replace(params.load(CHECKOUT / "params.yaml").compute, workers=2, time_limit=60)


def behave(path, how="well"):
    """What a decoder may do with a clip."""
    if how == "crash":
        ctypes.string_at(0)
    if how == "abort":
        os.abort()
    if how == "out of memory":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "hang":
        time.sleep(600)
    if how == "raise":
        raise LookupError(path)
    if how == "no memory":
        raise MemoryError
    if how == "large":
        return bytearray(1 << 30)[:1], 0
    if how == "exit":
        os._exit(3)
    if how in ("EIO", "ESTALE"):
        raise OSError(getattr(errno, how), os.strerror(getattr(errno, how)))
    if how == "disk":
        raise MachineError(f"the disk of {path} failed")
    if how == "bad file":
        raise UserError(f"{path} is no video.")
    if how == "import":
        import nowhere  # noqa: F401
    if how == "print":
        os.write(1, b"a library says something")
    if how == "where":
        return str(Path.cwd()), 0
    if how == "long":
        path = path * 4_000_000
    return path, os.getpid()


@pytest.fixture(scope="module")
def call():
    return crash_safe.crash_safe(behave, COMPUTE)


def test_a_function_answers_from_a_process_that_is_kept(call):
    first, again = call("a.avi"), call("b.avi")
    assert (first[0], again[0]) == ("a.avi", "b.avi")
    assert first[1] == again[1] != os.getpid()


@pytest.mark.parametrize(("how", "name"), [("crash", "SIGSEGV"), ("abort", "SIGABRT")])
def test_a_crash_is_told_and_tried_again_and_the_next_clip_is_read(call, how, name):
    why = f"the decoder crashed ({name}); the next run tries it again; if it crashes always, remove it."
    found = call("a.avi", how)
    assert (found, found.transient) == (Failure(f"a.avi was not read: {why}", retry=True), False)
    assert call("b.avi")[0] == "b.avi"


ENDED = "its process was ended from outside, most likely for lack of memory; lower compute.workers."


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("out of memory", f"a.avi was not read: {ENDED}"),
        ("no memory", f"a.avi was not read: {ENDED}"),
        ("exit", "a.avi was not read: its process ended by itself (exit status 3); what it printed says why."),
        ("EIO", "a.avi was not read (Input/output error); see to this machine's disks."),
        ("ESTALE", "a.avi was not read (Stale file handle); see to this machine's disks."),
        ("disk", "the disk of a.avi failed"),
    ],
)
def test_what_the_machine_does_is_no_fault_of_the_clip_and_ends_the_stage(call, how, why):
    found = call("a.avi", how)
    assert (found, found.transient) == (Failure(why, retry=True), True)
    assert call("b.avi")[0] == "b.avi"


def test_a_clip_that_takes_too_long_is_given_up_and_may_be_tried_again():
    call = crash_safe.crash_safe(behave, replace(COMPUTE, time_limit=3))
    limit = "compute.time_limit, 3 s (of predict: --time-limit)"
    wanted = Failure(f"a.avi took longer than {limit}; raise that, or replace or remove it.", retry=True)
    assert call("a.avi", "hang") == wanted
    assert call("b.avi")[0] == "b.avi"


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="only Linux holds a process to its memory")
def test_a_clip_that_takes_too_much_memory_is_given_up():
    call = crash_safe.crash_safe(behave, replace(COMPUTE, max_memory=64))
    assert call("a.avi", "large") == Failure(f"a.avi was not read: {ENDED}", retry=True)
    assert call("b.avi")[0] == "b.avi"


def test_a_sentence_of_the_function_is_the_clips_own_failure(call):
    assert call("a.avi", "bad file") == Failure("a.avi is no video.", retry=False)


def test_a_library_that_is_missing_ends_all_at_once(call):
    wanted = "no clip can be read here: No module named 'nowhere'; install what is missing, then run again."
    assert sentence_of(call, "a.avi", "import") == wanted


def test_a_function_that_no_process_finds_ends_all_at_once(monkeypatch):
    monkeypatch.setattr(behave, "__qualname__", "gone")
    sentence = sentence_of(crash_safe.crash_safe(behave, replace(COMPUTE, time_limit=61)), "a.avi")
    assert sentence.startswith("no clip can be read here: AttributeError: ")
    assert sentence.endswith("; mend the installation, then run again.")


def test_a_python_that_does_not_start_ends_all_at_once(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    sentence = sentence_of(crash_safe.crash_safe(behave, replace(COMPUTE, time_limit=62)), "a.avi")
    assert sentence.startswith("no clip can be read here: /nowhere/python does not start (No such file or directory)")


def test_what_a_function_prints_does_not_disturb_its_answers(call):
    assert call("a.avi", "print")[0] == "a.avi"


def test_a_function_works_in_the_folder_of_the_caller(call, tmp_path, monkeypatch):
    call("a.avi")
    monkeypatch.chdir(tmp_path)
    assert call("a.avi", "where")[0] == str(tmp_path)


def test_a_large_answer_comes_whole(call):
    assert len(call("a.avi", "long")[0]) == 20_000_000


def test_what_a_function_raises_is_raised_here(call):
    with pytest.raises(LookupError, match=r"^a\.avi$"):
        call("a.avi", "raise")


def test_the_engine_inline_calls_the_function_itself():
    assert crash_safe.crash_safe(behave, replace(COMPUTE, engine="inline"))("a.avi") == ("a.avi", os.getpid())


def test_closing_ends_the_process():
    one = SubprocessWorker(behave, 60)
    _, number = one("a.avi")
    one.close()
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_a_death_tells_its_signal():
    one = SubprocessWorker(behave, 60)
    with pytest.raises(WorkerDiedError, match="SIGSEGV"):
        one("a.avi", "crash")
    one.close()


def alone(*arguments):
    """A Python program's output, where the modules of the tests can be imported."""
    path = os.pathsep.join(map(str, (CHECKOUT, CHECKOUT / "tests", Path(__file__).parent)))
    done = subprocess.run(
        [sys.executable, *arguments], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout


CALL = (
    "from test_subprocess_worker import COMPUTE, behave, crash_safe; "
    "print(*crash_safe.crash_safe(behave, COMPUTE)('a.avi'))"
)


def test_a_script_without_a_guard_for_its_main_part_is_not_run_again_over_there(tmp_path):
    (tmp_path / "script.py").write_text(CALL)
    assert alone(tmp_path / "script.py").startswith("a.avi ")


def test_no_process_outlives_the_program():
    _, number = alone("-c", CALL).split()
    with pytest.raises(ProcessLookupError):
        os.kill(int(number), 0)
