"""A signal to the process of a stage ends it with one line, and with it all processes that it has started."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from builders import CHECKOUT

from mocliplite.interrupts import INTERRUPTED

CODE = """
import sys
sys.path[:0] = sys.argv[1:3]
from worker_calls import hang_in_decoder
from mocliplite.errors import run
from mocliplite.runtime import processes
run(lambda: list(processes.outcomes(hang_in_decoder, [sys.argv[3]] * 2, 2)))
"""
THREADS = """
import pathlib, sys, time
import torch
from mocliplite.errors import run
from mocliplite.runtime import engines
def hang(number):
    pathlib.Path(sys.argv[3], str(number)).touch()
    while number == 1:
        torch.zeros(1000, 1000).sum()  # Python may not end a thread in C++ code
    time.sleep(600)
run(lambda: list(engines.map_ahead(hang, [1, 2], 2)))
"""
SLOW_START = """
import os, pathlib, sys, time
if "--multiprocessing-fork" in sys.orig_argv:
    pathlib.Path(os.environ["STARTED"], str(os.getpid())).touch()
    time.sleep(2)
"""
LIMIT = 120  # seconds until the test fails


def wait_until(holds):
    end = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def started(folder, code=CODE, **variables):
    return subprocess.Popen(
        [sys.executable, "-c", code, CHECKOUT, CHECKOUT / "tests", folder],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | variables,
        start_new_session=True,
        # Otherwise ignored where the tests run in the background of a shell.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.mark.parametrize(
    ("number", "status", "printed"),
    [
        (signal.SIGTERM, 143, f"{INTERRUPTED}\n"),
        (signal.SIGKILL, -9, ""),
        pytest.param(signal.SIGINT, 130, f"{INTERRUPTED}\n", marks=pytest.mark.long),
        pytest.param(signal.SIGHUP, 129, f"{INTERRUPTED}\n", marks=pytest.mark.long),
    ],
)
def test_workers_and_their_decoders_end_with_the_process(tmp_path, number, status, printed):
    process = started(tmp_path)
    wait_until(lambda: len(list(tmp_path.iterdir())) == 4)
    children = [psutil.Process(int(path.name)) for path in tmp_path.iterdir()]
    process.send_signal(number)
    errors = process.communicate(timeout=LIMIT)[1]
    assert process.returncode == status
    # The tracker of multiprocessing complains of what killed processes leave.
    assert errors == printed or number == signal.SIGKILL
    wait_until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children))


def test_workers_that_start_print_nothing_at_an_interrupt_of_the_terminal(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(SLOW_START)
    (tmp_path / "workers").mkdir()
    process = started(tmp_path, PYTHONPATH=str(tmp_path), STARTED=str(tmp_path / "workers"))
    wait_until(lambda: len(list((tmp_path / "workers").iterdir())) == 2)
    os.killpg(process.pid, signal.SIGINT)
    errors = process.communicate(timeout=LIMIT)[1]
    assert (process.returncode, errors) == (130, f"{INTERRUPTED}\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_does_not_wait_for_calls_in_threads(tmp_path, number):
    process = started(tmp_path, THREADS)
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    process.send_signal(number)
    errors = process.communicate(timeout=LIMIT)[1]
    assert (process.returncode, errors) == (128 + number, f"{INTERRUPTED}\n")
