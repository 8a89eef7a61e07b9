"""Calls in a subprocess that crash, hang, raise or return."""

import ctypes
import errno
import os
import pkgutil
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
    """Behave as a decoder may do with a clip."""
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
        raise UserError(f"{path} is not a video.")
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


def test_calls_share_one_other_process(call):
    first, second = call("a.avi"), call("b.avi")
    assert (first[0], second[0]) == ("a.avi", "b.avi")
    assert first[1] == second[1] != os.getpid()


@pytest.mark.parametrize(("how", "name"), [("crash", "SIGSEGV"), ("abort", "SIGABRT")])
def test_a_crash_is_a_failure_to_retry_and_the_next_call_works(call, how, name):
    reason = f"the decoder crashed ({name}); run again, and remove the clip if it crashes every time."
    found = call("a.avi", how)
    assert (found, found.transient) == (Failure(f"a.avi was not read: {reason}", retry=True), False)
    assert call("b.avi")[0] == "b.avi"


KILLED = "its process was killed, probably because memory was full; lower compute.workers."


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("out of memory", f"a.avi was not read: {KILLED}"),
        ("no memory", f"a.avi was not read: {KILLED}"),
        ("exit", "a.avi was not read: its process exited (exit status 3); see its output for the reason."),
        ("EIO", "a.avi was not read (Input/output error); check the disks of this machine."),
        ("ESTALE", "a.avi was not read (Stale file handle); check the disks of this machine."),
        ("disk", "the disk of a.avi failed"),
    ],
)
def test_an_error_of_the_machine_is_a_transient_failure(call, how, reason):
    found = call("a.avi", how)
    assert (found, found.transient) == (Failure(reason, retry=True), True)
    assert call("b.avi")[0] == "b.avi"


def test_a_call_beyond_the_time_limit_is_a_failure_to_retry():
    call = crash_safe.crash_safe(behave, replace(COMPUTE, time_limit=3))
    limit = "compute.time_limit, 3 s (for predict: --time-limit)"
    expected = Failure(f"a.avi took longer than {limit}; raise the limit, or replace or remove the clip.", retry=True)
    assert call("a.avi", "hang") == expected
    assert call("b.avi")[0] == "b.avi"


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="only Linux enforces the memory limit")
def test_a_call_beyond_the_memory_limit_is_a_failure():
    call = crash_safe.crash_safe(behave, replace(COMPUTE, max_memory=64))
    assert call("a.avi", "large") == Failure(f"a.avi was not read: {KILLED}", retry=True)
    assert call("b.avi")[0] == "b.avi"


def test_a_user_error_is_a_failure_of_the_clip(call):
    assert call("a.avi", "bad file") == Failure("a.avi is not a video.", retry=False)


@pytest.mark.parametrize(("how", "kind"), [("disk", MachineError), ("bad file", UserError)])
def test_a_command_tells_an_error_of_the_machine_from_one_of_the_clip(how, kind):
    with pytest.raises(UserError) as error:
        crash_safe.call_crash_safe(behave, COMPUTE, "a.avi", how)
    assert type(error.value) is kind


def test_a_missing_library_stops_the_stage(call):
    expected = 'this needs nowhere, which is not installed; run `pip install ".[train]"`.'
    assert sentence_of(call, "a.avi", "import") == expected


def test_a_function_that_cannot_be_imported_stops_the_stage(monkeypatch):
    monkeypatch.setattr(behave, "__qualname__", "gone")
    sentence = sentence_of(crash_safe.crash_safe(behave, replace(COMPUTE, time_limit=61)), "a.avi")
    assert sentence.startswith("no clip can be read: AttributeError: ")
    assert sentence.endswith("; repair the installation, then run again.")


def test_a_python_that_does_not_start_stops_the_stage(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    sentence = sentence_of(crash_safe.crash_safe(behave, replace(COMPUTE, time_limit=62)), "a.avi")
    assert sentence.startswith("no clip can be read: /nowhere/python does not start (No such file or directory)")


def test_output_of_a_function_does_not_change_its_result(call):
    assert call("a.avi", "print")[0] == "a.avi"


def test_a_function_runs_in_the_working_folder_of_the_caller(call, tmp_path, monkeypatch):
    call("a.avi")
    monkeypatch.chdir(tmp_path)
    assert call("a.avi", "where")[0] == str(tmp_path)


def test_a_large_result_is_complete(call):
    assert len(call("a.avi", "long")[0]) == 20_000_000


def test_other_exceptions_are_raised_in_the_caller(call):
    with pytest.raises(LookupError, match=r"^a\.avi$"):
        call("a.avi", "raise")


def test_the_engine_inline_calls_the_function_in_this_process():
    assert crash_safe.crash_safe(behave, replace(COMPUTE, engine="inline"))("a.avi") == ("a.avi", os.getpid())


@pytest.mark.skipif(os.name == "nt", reason="os.kill sends no interrupts on Windows")
def test_an_interrupt_while_python_starts_does_not_end_the_process(tmp_path, monkeypatch):
    start = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nopen('started', 'w').close()"
    (tmp_path / "sitecustomize.py").write_text(start)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    worker = SubprocessWorker(behave, 60)
    assert worker("a.avi")[0] == "a.avi"
    assert Path("started").exists(), "Python read the file"
    worker.close()


@pytest.mark.usefixtures("stopping")
def test_interrupts_of_the_caller_are_not_blocked_by_starting_a_process():
    worker = SubprocessWorker(behave, 60)
    worker("a.avi")
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    worker.close()


def test_close_kills_the_process():
    worker = SubprocessWorker(behave, 60)
    _, process_id = worker("a.avi")
    worker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)


def test_a_crash_raises_an_error_with_the_name_of_the_signal():
    worker = SubprocessWorker(behave, 60)
    with pytest.raises(WorkerDiedError, match="SIGSEGV"):
        worker("a.avi", "crash")
    worker.close()


class Unreadable:
    def __reduce__(self):
        return pkgutil.resolve_name, ("os:gone",)


def test_a_request_that_cannot_be_read_ends_its_call_at_once(capfd):
    worker = SubprocessWorker(behave, 60)
    with pytest.raises(WorkerDiedError, match=r"^exit status 1$"):
        worker(Unreadable())
    assert "AttributeError: module 'os' has no attribute 'gone'" in capfd.readouterr().err
    assert worker("a.avi")[0] == "a.avi"
    worker.close()


def output_of(*arguments):
    """Return the output of a Python program that can import the modules of the tests."""
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


def test_a_script_without_a_main_guard_is_not_run_again_in_the_process(tmp_path):
    (tmp_path / "script.py").write_text(CALL)
    assert output_of(tmp_path / "script.py").startswith("a.avi ")


def test_no_process_outlives_the_program():
    _, process_id = output_of("-c", CALL).split()
    with pytest.raises(ProcessLookupError):
        os.kill(int(process_id), 0)


def count(path, how="well"):
    """Yield numbers, then behave as a decoder may do."""
    yield from ((number, os.getpid()) for number in range(3))
    if how != "well":
        behave(path, how)


def test_items_come_from_one_process_that_is_used_again():
    worker = SubprocessWorker(count, 60)
    first, again = list(worker.items("a")), list(worker.items("a"))
    assert [number for number, _ in first] == [0, 1, 2]
    assert first == again
    assert first[0][1] != os.getpid()


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("bad file", "a is not a video."),
        ("crash", "a was not read: the decoder crashed (SIGSEGV); run again, and remove the clip if it crashes"),
        ("disk", "the disk of a failed"),
    ],
)
def test_items_before_a_failure_are_kept_and_it_is_a_sentence(how, sentence):
    found = []
    with pytest.raises(UserError) as raised:
        found.extend(number for number, _ in crash_safe.iterate_crash_safe(count, COMPUTE, "a", how))
    assert found == [0, 1, 2]
    assert str(raised.value).startswith(sentence)


def test_the_process_of_items_that_are_not_taken_ends():
    worker = SubprocessWorker(count, 60)
    items = worker.items("a")
    next(items)
    process = worker._process
    items.close()
    assert process.poll() is not None
