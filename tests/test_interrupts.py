"""Interrupts: at once, at the end of what must not be interrupted, and in other threads."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from imports import ROOT

from mocliplite import interrupts

pytestmark = pytest.mark.usefixtures("stopping")
BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@BOTH
def test_a_signal_is_raised_at_once(number):
    with pytest.raises(KeyboardInterrupt) as caught:
        signal.raise_signal(number)
    assert interrupts.signal_of(caught.value) == number


@BOTH
def test_a_deferred_signal_is_raised_at_the_end(number):
    done = []

    @interrupts.deferred()
    def go_on():
        signal.raise_signal(number)
        done.append(1)

    with pytest.raises(KeyboardInterrupt) as caught:
        go_on()
    assert (done, interrupts.signal_of(caught.value)) == ([1], number)
    test_a_signal_is_raised_at_once(number)


def test_a_deferred_signal_is_raised_where_it_is_delivered():
    done = []

    @interrupts.deferred()
    def go_on():
        interrupts.deliver()
        signal.raise_signal(signal.SIGTERM)
        done.append(1)
        interrupts.deliver()
        done.append(2)

    with pytest.raises(interrupts.Stopped):
        go_on()
    assert done == [1]


def test_without_a_signal_nothing_is_raised():
    with interrupts.deferred():
        interrupts.deliver()
    interrupts.deliver()


def test_the_error_before_a_deferred_signal_is_kept_as_its_context():
    @interrupts.deferred()
    def fail():
        signal.raise_signal(signal.SIGTERM)
        raise ValueError

    with pytest.raises(interrupts.Stopped) as caught:
        fail()
    assert isinstance(caught.value.__context__, ValueError)


def test_what_another_thread_defers_is_raised_here():
    deferring, end = threading.Event(), threading.Event()

    def defer():
        with interrupts.deferred():
            deferring.set()
            end.wait(60)

    thread = threading.Thread(target=defer)
    thread.start()
    deferring.wait(60)
    with pytest.raises(interrupts.Stopped):
        signal.raise_signal(signal.SIGTERM)
    end.set()
    thread.join()


def test_a_handler_of_another_kind_remains():
    received = []
    signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    interrupts.stop_at_signals()
    with interrupts.deferred():
        signal.raise_signal(signal.SIGTERM)
    assert received == [signal.SIGTERM]


def test_a_signal_while_an_object_is_removed_is_not_lost():
    class Removed:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)

    def go_on():
        Removed()
        time.sleep(60)

    with pytest.raises(interrupts.Stopped):
        go_on()


def test_other_errors_while_an_object_is_removed_are_printed(monkeypatch):
    printed = []
    monkeypatch.setattr(sys, "unraisablehook", interrupts._sender_again(printed.append))

    class Removed:
        def __del__(self):
            raise ValueError

    Removed()
    assert [lost.exc_type for lost in printed] == [ValueError]


LOSES = """
from mocliplite import interrupts
interrupts.stop_at_signals()
try:
    import interrupted
except BaseException:
    pass
print("went on")
"""
RUNS = """
import signal
from mocliplite.errors import run
run(lambda: signal.raise_signal(signal.SIGTERM))
"""
FORKS = """
import os, signal, time
from mocliplite.errors import run
os.register_at_fork(after_in_parent=lambda: signal.raise_signal(signal.SIGTERM))
def fork():
    os.fork() or os._exit(0)
    time.sleep(60)
run(fork)
"""


@pytest.mark.parametrize(
    ("code", "imported"),
    [
        pytest.param(LOSES, "import signal; signal.raise_signal(signal.SIGTERM)", id="while a module is imported"),
        pytest.param("import interrupted", RUNS, id="in a run that an import started"),
        pytest.param(FORKS, "", id="in a callback of fork"),
    ],
)
def test_a_signal_ends_the_process_with_one_line(tmp_path, code, imported):
    (tmp_path / "interrupted.py").write_text(imported)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGTERM, "", f"{interrupts.INTERRUPTED}\n")
