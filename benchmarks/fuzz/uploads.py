"""Edited requests to a server of `serve` at a loopback address."""

import json
import socket
import threading
import time
from functools import cache
from pathlib import Path
from urllib.parse import quote

import numpy as np

from benchmarks.fuzz import outcomes
from benchmarks.fuzz.clips import Clip, edited_clip
from benchmarks.fuzz.odd import NUMBERS, TEXTS, edited, pick
from benchmarks.fuzz.outcomes import Outcome
from mocliplite.serving import server
from mocliplite.serving.clips import Settings
from mocliplite.serving.connections import CONNECTIONS

INPUT = Path("input")
_MAX_SIZE, _TIME_LIMIT = 1 << 20, 2
_KINDS = ("clip", "clip", "query", "query", "headers", "multipart", "chunks", "length", "bytes", "method")
_HEADERS = (
    *("Host", "Content-Length", "Content-Type", "Authorization", "Expect", "Transfer-Encoding", "Connection"),
    *("Upgrade", "Range", "Accept-Encoding", "X"),
)
_GOOD = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
_STATUSES = {200, 400, 403, 404, 405, 408, 411, 413, 415, 422, 431, 501, 503, 505}


def make(rng: np.random.Generator, project: Path, clips: list[Clip]) -> str:
    """Write the bytes of a request."""
    INPUT.mkdir()
    name, (ending, body) = edited_clip(clips, rng)
    kind = str(pick(rng, _KINDS))
    target, method = f"/predict?name=clip.{ending}", "POST"
    headers = {"Host": "127.0.0.1", "Connection": "close", "Content-Length": str(len(body))}
    if kind == "query":
        text = str(pick(rng, TEXTS))[:3000]
        encoded = quote(text, safe="") if rng.random() < 0.8 else "".join(one for one in text if " " < one < "\x7f")
        key = str(pick(rng, ("name", "top", "path", "other", "name=x&name")))
        target = f"/predict?{key}={encoded}" if rng.random() < 0.8 else f"/{encoded}"
    elif kind == "headers":
        key = str(pick(rng, _HEADERS))
        headers[key] = "".join(one for one in str(pick(rng, TEXTS))[:3000] if one.isprintable() and ord(one) < 256)
    elif kind == "length":
        lengths = (*NUMBERS, len(body) + 1, len(body) - 1, "-1", "+1", "0x10", "", "1, 1")
        headers["Content-Length"] = str(pick(rng, lengths))
    elif kind == "multipart":
        headers["Content-Type"] = f"multipart/form-data; boundary={pick(rng, ('x', '', 'y' * 300))}"
        body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="../x"\r\n\r\n' + body + b"\r\n--x--"
        headers["Content-Length"] = str(len(body))
    elif kind == "chunks":
        del headers["Content-Length"]
        headers["Transfer-Encoding"] = str(pick(rng, ("chunked", "chunked, chunked", "gzip, chunked")))
        size = str(pick(rng, (f"{len(body):x}", "ffffffffffffffff", "-1", "", "0", "1;x=y", "zz")))
        body = size.encode() + b"\r\n" + body + b"\r\n0\r\n\r\n"
    elif kind == "method":
        method = str(pick(rng, ("GET", "PUT", "HEAD", "OPTIONS", "TRACE", "CONNECT", "x", "post", "A" * 100)))
    elif kind == "clip" and rng.random() < 0.05:
        body = bytes(_MAX_SIZE + 1)
        headers["Content-Length"] = str(len(body))
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    request = head.encode("latin-1", "replace") + b"\r\n" + body
    if kind == "bytes":
        end = len(head)
        edit, changed = edited(request[:end], rng)
        request = changed + request[end:]
        return _written(request, f"bytes: {edit}")
    return _written(request, f"clip: {name}" if kind == "clip" else kind)


def _written(request: bytes, name: str) -> str:
    (INPUT / "request").write_bytes(request)
    return name


@cache
def _port(project: Path) -> int:
    """Start a server in a thread of this process; return its port."""
    from benchmarks.fuzz.footage_entries import recognizer

    listener = server.listen("127.0.0.1", 0)
    settings = Settings(project, None, _MAX_SIZE, _TIME_LIMIT, 64, CONNECTIONS)
    running = server.new_server(recognizer(project).predict, settings)
    threading.Thread(target=running.run, args=([listener],), daemon=True).start()
    port: int = listener.getsockname()[1]
    while not running.started:
        time.sleep(0.01)
    return port


def send(project: Path) -> Outcome:
    """Send the request; the server must answer it, and the next one."""
    port = _port(project)
    answer = _answer(port, (INPUT / "request").read_bytes())
    health = _answer(port, _GOOD)
    if not health.startswith(b"HTTP/1.1 200 ") or b'"ok"' not in health:
        return Outcome(outcomes.LOST, f"the server no longer answers: {health[:100]!r}")
    return _judged(answer)


def _answer(port: int, request: bytes) -> bytes:
    """Return all bytes that come back. Where nothing comes in time, the request is incomplete, and it is ended."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=2 * _TIME_LIMIT) as connection:
        try:
            connection.sendall(request)
            while part := _received(connection):
                received += part
        except (ConnectionResetError, BrokenPipeError):  # the server has closed the connection
            pass
    return received


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1 << 16)
    except TimeoutError:
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(60)
        return connection.recv(1 << 16)


def _judged(answer: bytes) -> Outcome:
    if not answer:
        return Outcome(outcomes.REFUSED, "the connection was closed, because the request is incomplete")
    # 100 Continue comes before the answer.
    head, _, body = answer.removeprefix(b"HTTP/1.1 100 \r\n\r\n").partition(b"\r\n\r\n")
    status = int(head.split(b" ")[1])
    if status == 200:
        return Outcome(outcomes.ACCEPTED)
    if status not in _STATUSES:
        return Outcome(outcomes.TRACEBACK if status == 500 else outcomes.OTHER, answer[:2000].decode("latin-1"))
    # The HTTP library itself refuses what is no HTTP, in plain text.
    is_json = b"application/json" in head
    if is_json and body:
        # What follows the request may be refused as a second one, whose answer comes after the first.
        answered, _ = json.JSONDecoder().raw_decode(body.decode())
        return Outcome(outcomes.REFUSED, f"{status}: {answered['error']}")
    text = body.decode("latin-1")
    return Outcome(outcomes.REFUSED, f"{status}: {text}")
