"""Functions that crash, hang, raise or answer, in a process of their own."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from builders import CHECKOUT

from mocliplite import params
from mocliplite.errors import Failure
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
    return path, os.getpid()


@pytest.fixture(scope="module")
def call():
    return crash_safe.crash_safe(behave, COMPUTE)


def test_a_function_answers_from_a_process_that_is_kept(call):
    first, again = call("a.avi"), call("b.avi")
    assert (first[0], again[0]) == ("a.avi", "b.avi")
    assert first[1] == again[1] != os.getpid()


@pytest.mark.parametrize(("how", "name"), [("crash", "SIGSEGV"), ("abort", "SIGABRT")])
def test_a_crash_is_the_clips_failure_and_the_next_clip_is_read(call, how, name):
    wanted = Failure(f"a.avi crashes the decoder ({name}); encode it again, or replace or remove it.", retry=False)
    assert call("a.avi", how) == wanted
    assert call("b.avi")[0] == "b.avi"


@pytest.mark.parametrize("how", ["out of memory", "no memory"])
def test_lack_of_memory_is_the_machines_failure(call, how):
    why = "its process was ended from outside, most likely for lack of memory; lower compute.workers."
    assert call("a.avi", how) == Failure(f"a.avi was not read: {why}", retry=True)
    assert call("b.avi")[0] == "b.avi"


def test_a_clip_that_takes_too_long_is_given_up_and_may_be_tried_again():
    call = crash_safe.crash_safe(behave, replace(COMPUTE, time_limit=3))
    wanted = Failure("a.avi took longer than compute.time_limit, 3 s; raise that, or replace or remove it.", retry=True)
    assert call("a.avi", "hang") == wanted
    assert call("b.avi")[0] == "b.avi"


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
    path = os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "tests")])
    done = subprocess.run(
        [sys.executable, *arguments], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout


CALL = "from test_isolated import COMPUTE, behave, parallel; print(*parallel.guarded(behave, COMPUTE)('a.avi'))"


def test_a_script_without_a_guard_for_its_main_part_is_not_run_again_over_there(tmp_path):
    (tmp_path / "script.py").write_text(CALL)
    assert alone(tmp_path / "script.py").startswith("a.avi ")


def test_no_process_outlives_the_program():
    _, number = alone("-c", CALL).split()
    with pytest.raises(ProcessLookupError):
        os.kill(int(number), 0)
