"""`watch`: live streams from standard input, from a network that fails, and from an RTSP server where there is one."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import CHECKOUT, sentence_of
from footage import encode, moving

from mocliplite.cli._main import main
from mocliplite.predict import live
from mocliplite.predict.recognizer import COMPUTE, Recognizer
from mocliplite.predict.timeline import Cost, classify_windows, window_settings
from mocliplite.predict.windows import Window, read_windows
from mocliplite.video.streams import DEFAULT_LIMITS

INLINE = replace(COMPUTE, engine="inline", device="cpu", threads=1)
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
SYSTEM_PYTHON = "/usr/bin/python3"


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Four seconds of H.264 in a container for streams."""
    pictures = [*moving(0, 4, frames=50, size=(96, 128)), *moving(4, 0, frames=50, size=(96, 128))]
    return str(encode(tmp_path_factory.mktemp("film") / "film.ts", pictures, codec="libx264", gop=25))


def command(*arguments):
    return [sys.executable, "-m", "mocliplite", "watch", *arguments]


def test_windows_of_standard_input_are_those_of_the_file(small_project, film):
    recognizer = Recognizer.load("models", INLINE)
    settings = window_settings(recognizer, 1.0, 0.5, motion_only=False)
    windows = list(classify_windows(recognizer, read_windows(film, settings, DEFAULT_LIMITS), settings, Cost()))
    with Path(film).open("rb") as file:
        done = subprocess.run(
            command("-", "--window", "1", "--stride", "0.5", "--json"),
            stdin=file,
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
        )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["start"] for line in found] == [window.start for window in windows]
    for line, window in zip(found, windows, strict=True):
        assert line["class"] == recognizer.classes[window.probabilities.argmax()]
        assert line["probability"] == pytest.approx(window.probabilities.max(), abs=1e-3)
    assert f"windows: {len(windows)}, dropped: 0, connections: 1; " in done.stderr
    assert done.stderr.count("warning: -: this is h264 with a shorter side of 96 pixels, but ") == 1


@pytest.mark.parametrize(
    "source", ["file:///etc/passwd", "film.mp4", "concat:a.ts", "ftp://example.org/a.ts", "ftp://[a"]
)
def test_only_known_protocols_are_opened(source):
    assert sentence_of(main, ["watch", source]).startswith(
        f"{source} is neither a video device nor - nor an address (rtsp://"
    )


@contextmanager
def tcp_server(content, connections):
    """Send the content to each of so many connections, then refuse more."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            for _ in range(connections):
                connection, _ = server.accept()
                with connection:
                    connection.sendall(content)
            server.close()

        threading.Thread(target=serve, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


def test_a_lost_connection_is_tried_again_and_times_and_keyframes_go_on(small_project, film, monkeypatch):
    monkeypatch.setattr(live, "_FIRST_WAIT", 0.01)
    recognizer, notices = Recognizer.load("models", INLINE), []
    settings = window_settings(recognizer, 1.0, 0.5, motion_only=False)
    found = []
    with tcp_server(Path(film).read_bytes(), connections=2) as address:
        windows = live.LiveWindows(address, settings, DEFAULT_LIMITS, notices.append)
        for window in windows:
            found.append(window)
            if len(found) == 14:
                break
    assert [window.start for window in found[:7]] == [0.5 * number for number in range(7)]
    assert found[7].start > 0
    assert (found[7].start / 0.5).is_integer()
    assert min(found[7].keyframes) > max(found[6].keyframes)
    assert windows.counts.connections == 2
    assert notices[0].startswith(f"{address} ended. Connecting again in 0.01 s.")


def test_an_error_of_the_reading_thread_reaches_the_reader(small_project, monkeypatch):
    settings = window_settings(Recognizer.load("models", INLINE), 1.0, 1.0, motion_only=True)
    monkeypatch.setattr(live, "open_live", lambda address, limits: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(live.LiveWindows("tcp://127.0.0.1:1", settings, DEFAULT_LIMITS, print))


def test_an_address_that_does_not_answer_at_first_is_a_sentence(small_project):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    sentence = sentence_of(main, ["watch", f"tcp://127.0.0.1:{port}", "--motion-only"])
    assert sentence.startswith(f"tcp://127.0.0.1:{port} cannot be read (Connection refused")


def test_a_window_that_is_dropped_leaves_its_keyframes_to_later_ones(small_project):
    settings = window_settings(Recognizer.load("models", INLINE), 1.0, 1.0, motion_only=False)
    windows = live.LiveWindows("tcp://127.0.0.1:1", settings, DEFAULT_LIMITS, print)
    image = np.zeros((1, 1, 3), dtype=np.uint8)
    for number in range(live.QUEUE + 3):
        new = ((number // 2, image),) if number % 2 == 0 else ()
        windows._put(Window(number, number + 1, keyframes=(number // 2,), images=new))
    assert windows.counts.dropped == 3
    assert [window.start for window in windows._waiting] == list(range(3, live.QUEUE + 3))
    assert [number for number, _ in windows._waiting[0].images] == [1]


def system_has_gstreamer():
    code = "import gi; gi.require_version('GstRtspServer', '1.0')"
    found = Path(SYSTEM_PYTHON).is_file()
    return found and subprocess.run([SYSTEM_PYTHON, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(
    not system_has_gstreamer(),
    reason="GStreamer's RTSP server is not installed (gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-bad and -good)",
)
def test_an_rtsp_stream_is_watched_until_an_interrupt(small_project, film):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    server = subprocess.Popen(
        [SYSTEM_PYTHON, str(CHECKOUT / "tests/rtsp_server.py"), film, port, "0.01"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout.readline() == "ready\n"
        address = f"rtsp://127.0.0.1:{port}/film"
        watch = subprocess.Popen(
            command(address, "--window", "1", "--motion-only", "--json"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
            # Otherwise ignored where the tests run in the background of a shell.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        lines = [json.loads(watch.stdout.readline()) for _ in range(3)]
        watch.send_signal(signal.SIGINT)
        _, errors = watch.communicate(timeout=60)
    finally:
        server.kill()
        server.communicate()
    assert [line["start"] for line in lines] == [0.0, 0.25, 0.5]
    assert watch.returncode == 0
    assert ", dropped: 0, connections: 1; latency " in errors
