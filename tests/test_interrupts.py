"""Interrupts: at once, at the end of what must not be interrupted, and in other threads."""

import importlib
import signal
import threading
import time

import pytest

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


def test_a_signal_during_an_import_is_raised_after_it(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "slow_module.py").write_text("import signal\nsignal.raise_signal(signal.SIGTERM)\nvalue = 1\n")
    values = []

    def go_on():
        values.append(importlib.import_module("slow_module").value)
        time.sleep(60)

    with pytest.raises(interrupts.Stopped):
        go_on()
    assert values == [1]


def test_a_signal_while_an_object_is_removed_is_not_lost():
    class Removed:
        def __del__(self):
            signal.raise_signal(signal.SIGTERM)

    def go_on():
        Removed()
        time.sleep(60)

    with pytest.raises(interrupts.Stopped):
        go_on()


def test_a_signal_that_arrives_again_while_it_waits_is_raised_once(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    twice = "import signal\nsignal.raise_signal(signal.SIGTERM)\nsignal.raise_signal(signal.SIGTERM)\n"
    (tmp_path / "slower_module.py").write_text(twice)

    def go_on():
        importlib.import_module("slower_module")
        time.sleep(60)

    with pytest.raises(interrupts.Stopped):
        go_on()
    time.sleep(0.2)  # a second one would be raised here
