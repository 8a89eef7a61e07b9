"""Connections on which clients send no request, or too many: each ends, and the others are answered."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from builders import CHECKOUT

pytest.importorskip("uvicorn", reason="uvicorn and starlette are not installed")

from toy_server import Recognizer, serving, until

from mocliplite.serving import server

HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
UPLOAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\na"
LONG = 600  # seconds, which no test waits

# A server whose process may open few files: before it takes its limit from that, or after.
STARVED = """
import resource, sys
from mocliplite.serving import connections, server
from mocliplite.serving.clips import Settings

before, after = map(int, sys.argv[1:])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))
settings = Settings(None, None, 1000, 600, 8, connections.most_connections(8))
resource.setrlimit(resource.RLIMIT_NOFILE, (after, hard))
with server.listen("127.0.0.1", 0) as listener:
    server.serve(None, settings, listener)
"""


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(server, "LINGER", 0.05)


def connect(running, sent=b""):
    (listener,) = running.servers[0].sockets
    client = socket.create_connection(listener.getsockname(), timeout=30)
    client.sendall(sent)
    return client


def has_ended(client):
    """Wait for the end of a connection, after what the server still sends."""
    try:
        while client.recv(1 << 16):
            pass
    except ConnectionError:
        pass
    return True


def is_refused(client, content):
    try:
        client.sendall(content)
    except ConnectionError:
        return True
    return False


def waits(running):
    """Return which connections have a limit of time now."""
    return [connection.end is not None for connection in running.server_state.connections]


@pytest.mark.parametrize(
    ("answered", "rest"),
    [(b"", b""), (b"", HEALTH[:20]), (HEALTH, HEALTH[:1]), (UPLOAD.replace(b"1\r\n\r\na", b"9\r\n\r\n"), b"a")],
    ids=["nothing", "half a header", "a byte after an answer", "a part of a body after its refusal"],
)
def test_a_connection_without_a_complete_request_is_ended(answered, rest):
    with serving(Recognizer(), time_limit=1, token="secret") as (running, _), connect(running, answered) as client:
        if answered:
            assert client.recv(1000).startswith(b"HTTP/1.1 ")
        is_refused(client, rest)
        assert has_ended(client)


def test_a_header_that_comes_byte_by_byte_is_ended():
    with serving(Recognizer(), time_limit=1) as (running, _), connect(running) as client:
        until(lambda: is_refused(client, b"x"))


def test_a_client_that_takes_no_answer_is_ended():
    with serving(Recognizer(), time_limit=1) as (running, _), connect(running) as client:
        # The answers are larger than what the system keeps of them.
        is_refused(client, HEALTH.replace(b"/health", b"/openapi.json") * 2000)
        until(lambda: is_refused(client, b"x"))


def test_a_last_answer_that_the_client_does_not_take_is_given_up():
    with serving(Recognizer(), time_limit=1) as (running, _):
        (listener,) = running.servers[0].sockets
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # that of its connections, too
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            client.connect(listener.getsockname())
            request = HEALTH.replace(b"/health", b"/openapi.json")
            client.sendall(request * 2 + request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            until(lambda: running.server_state.total_requests == 3)
            until(lambda: not running.server_state.connections)


def test_a_request_whose_answer_the_client_does_not_take_waits_for_it():
    recognizer = Recognizer()
    recognizer.free.clear()
    with serving(recognizer) as (running, _), connect(running, UPLOAD):
        assert recognizer.begun.wait(30)
        (connection,) = running.server_state.connections
        call = running.servers[0].get_loop().call_soon_threadsafe
        for change, expected in ((connection.pause_writing, [True]), (connection.resume_writing, [False])):
            call(change)  # as asyncio does when its buffer is full, and empty again
            until(lambda expected=expected: waits(running) == expected)


def test_a_request_at_work_has_no_limit_of_the_connection_and_others_follow_on_it():
    begun, turns = threading.Semaphore(0), threading.Semaphore(0)

    class Slow(Recognizer):
        def predict(self, paths):
            begun.release()
            turns.acquire(timeout=30)
            yield from super().predict(paths)

    with serving(Slow()) as (running, _), connect(running, UPLOAD * 2) as client:
        for _ in range(2):  # the second was sent with the first
            assert begun.acquire(timeout=30)
            until(lambda: waits(running) == [False])
            turns.release()
            response = http.client.HTTPResponse(client)
            response.begin()
            assert (response.status, b'"clip":"clip"' in response.read()) == (200, True)
        until(lambda: waits(running) == [True])
        client.sendall(HEALTH)
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_a_new_connection_ends_the_one_that_has_waited_longest():
    with serving(Recognizer(), connections=3, time_limit=LONG) as (running, send), ExitStack() as clients:
        first, *others = [clients.enter_context(connect(running)) for _ in range(3)]
        until(lambda: waits(running) == [True] * 3)
        assert send("/health", method="GET")[0] == 200
        assert has_ended(first)
        for other in others:
            other.sendall(HEALTH)
            assert other.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_a_connection_at_work_is_not_ended_for_a_new_one():
    recognizer = Recognizer()
    recognizer.free.clear()
    with serving(recognizer, connections=1, time_limit=LONG) as (running, send), ThreadPoolExecutor(1) as client:
        answer = client.submit(send, "/predict", b"a")
        assert recognizer.begun.wait(30)
        with connect(running) as new:
            assert has_ended(new)
        recognizer.free.set()
        assert answer.result()[0] == 200


def test_connections_that_come_at_once_wait_until_they_are_accepted():
    with serving(Recognizer()) as (running, _), ExitStack() as clients:
        free = threading.Event()
        running.servers[0].get_loop().call_soon_threadsafe(free.wait, 60)
        clients.callback(free.set)
        uploads = [clients.enter_context(connect(running, HEALTH)) for _ in range(50)]
        free.set()
        assert all(upload.recv(1000).startswith(b"HTTP/1.1 200 ") for upload in uploads)


@contextmanager
def starved(before, after, clients):
    """Start a server that may open few files, and let many clients connect at once; yield all three."""
    pytest.importorskip("resource", reason="Windows has no limit of open files")
    command = [sys.executable, "-c", STARVED, str(before), str(after)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=CHECKOUT, **pipes) as process, ExitStack() as stack:
        try:
            port = int(process.stdout.readline().split(":")[2].split("/")[0])
            process.send_signal(signal.SIGSTOP)
            for _ in range(clients):
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            process.send_signal(signal.SIGCONT)
            yield process, port, stack
        finally:
            process.kill()


def answers(port):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(HEALTH)
        return client.recv(1000).startswith(b"HTTP/1.1 200 ")


def end(process):
    process.terminate()
    process.wait(60)
    return process.stderr.read()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit of open files")
def test_silent_connections_leave_files_for_others():
    with starved(120, 120, clients=125) as (process, port, _):
        assert answers(port)
        assert end(process) == ""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit of open files")
def test_a_process_without_files_says_so_in_one_line_and_goes_on_later():
    with starved(250, 60, clients=100) as (process, port, clients):
        sentence = "no connection can be accepted (Too many open files); start the server with a higher ulimit -n.\n"
        assert process.stderr.readline() == sentence
        clients.close()
        assert answers(port)
        assert end(process) == ""
