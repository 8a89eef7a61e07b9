"""Load on the server of `serve`: no answer is lost, memory does not grow, and a restart loses what was in flight alone.

python -m benchmarks.serve [--model models] [--clips FOLDER] [--clients 50] [--seconds 300] starts the server, and
clients that each send the next clip as soon as they have an answer. Every tenth file is not a video. Each answer is
compared with that of the recogniser alone. Then the server is stopped by SIGTERM under the same load, started again,
killed by SIGKILL, and started again. Prints the latencies, clips per second, the memory of the server and its
decoders, and the statuses; exits with status 1 if an answer is lost or wrong. The last line is JSON.
"""

import argparse
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks.fuzz import bad_files
from mocliplite.data.names import ENDINGS
from mocliplite.errors import UserError
from mocliplite.predict.recognizer import Prediction, Recognizer

KINDS = ("text", "noise", "zeros", "cut", "picture", "sound")  # of bad files that can be uploaded
TOLERANCE = 0.01  # of probabilities, which depend on the batch in the last digits


@dataclass
class Load:
    """What the clients got."""

    port: int
    expected: dict[Path, dict[str, float] | str]  # probabilities by class, or the sentence about a bad file
    stop: threading.Event = field(default_factory=threading.Event)
    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def start(model: str, port: int = 0) -> "tuple[subprocess.Popen[str], int]":
    """Start a server; return its process and port."""
    command = [sys.executable, "-m", "mocliplite", "serve", "--model", model, "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    line = server.stdout.readline()
    if not line.startswith("Serving at "):
        sys.exit("the server did not start")
    return server, int(line.split(":")[2].split("/")[0])


def send(connection: http.client.HTTPConnection, path: Path, content: bytes) -> tuple[int, dict[str, Any]]:
    connection.request("POST", f"/predict?top=1000&name={quote(path.name)}", content)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def client(load: Load, number: int) -> None:
    """Send one file after the other until the end or the loss of the connection."""
    connection = http.client.HTTPConnection("127.0.0.1", load.port, timeout=120)
    good = [path for path, value in load.expected.items() if not isinstance(value, str)]
    bad = [path for path, value in load.expected.items() if isinstance(value, str)]
    for turn in count(number):
        if load.stop.is_set():
            return
        path = bad[turn % len(bad)] if turn % 10 == 0 else good[turn % len(good)]
        content, begin = path.read_bytes(), time.perf_counter()
        try:
            status, answer = send(connection, path, content)
        except (OSError, http.client.HTTPException) as error:
            load.statuses[type(error).__name__] += 1
            return
        load.seconds.append(time.perf_counter() - begin)
        load.statuses[str(status)] += 1
        if status == 503:
            load.stop.wait(1)  # as the header Retry-After says
        elif not is_right(status, answer, load.expected[path], path):
            load.wrong.append(f"{path.name}: {status} {answer}")


def is_right(status: int, answer: dict[str, Any], expected: dict[str, float] | str, path: Path) -> bool:
    """Return whether an answer is that of the recogniser alone."""
    if isinstance(expected, str):
        return status == 422 and answer == {"error": expected.replace(str(path), path.name)}
    found = {item["class"]: item["probability"] for item in answer["classes"]} if status == 200 else {}
    return found.keys() == expected.keys() and all(abs(found[name] - expected[name]) < TOLERANCE for name in found)


def begin(load: Load, clients: int) -> list[threading.Thread]:
    threads = [threading.Thread(target=client, args=(load, number)) for number in range(clients)]
    for thread in threads:
        thread.start()
    return threads


def memory(server: "subprocess.Popen[str]") -> float:
    """Return the resident memory in MiB of a process and its children."""
    # Each thread has the children that it started.
    threads = Path(f"/proc/{server.pid}/task").iterdir()
    children = [child for thread in threads for child in (thread / "children").read_text().split()]
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in (server.pid, *children))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def expectations(model: str, clips: Path, folder: Path) -> dict[Path, dict[str, float] | str]:
    """Return what the recogniser alone answers to the clips and to bad files."""
    good = sorted(path for path in clips.rglob("*") if path.suffix.lower() in ENDINGS)[:100]
    bad = [path for path in bad_files.write(folder, 3, good[0]) if path.stem.partition("_")[0] in KINDS]
    paths = [*good, *bad]
    answers = Recognizer.load(model).predict([str(path) for path in paths])
    return {path: _expected(answer) for path, answer in zip(paths, answers, strict=True)}


def _expected(answer: Prediction | UserError) -> dict[str, float] | str:
    return str(answer) if isinstance(answer, UserError) else dict(answer.classes)


def endure(load: Load, clients: int, seconds: float, server: "subprocess.Popen[str]") -> list[float]:
    """Send clips for some seconds; return the memory of the server each second."""
    threads, used = begin(load, clients), []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(1)
        used.append(memory(server))
    load.stop.set()
    for thread in threads:
        thread.join()
    return used


def interrupt(load: Load, clients: int, server: "subprocess.Popen[str]", number: signal.Signals) -> Counter[str]:
    """Send a signal to a server under load; return the statuses and errors of the clients after it."""
    threads = begin(load, clients)
    time.sleep(5)
    before = Counter(load.statuses)
    server.send_signal(number)
    server.wait()
    for thread in threads:
        thread.join()
    return load.statuses - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="models")
    parser.add_argument("--clips", type=Path, default=Path("sample/data/clips"))
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=300)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        expected = expectations(given.model, given.clips, Path(folder))
        server, port = start(given.model)
        load = Load(port, expected)
        used = endure(load, given.clients, given.seconds, server)
        ends = {}
        for number in (signal.SIGTERM, signal.SIGKILL):
            again = Load(port, expected)
            ends[number.name] = interrupt(again, given.clients, server, number)
            load.wrong += again.wrong
            server, _ = start(given.model, port)
        connection = http.client.HTTPConnection("127.0.0.1", port)
        restarted = [
            is_right(*send(connection, path, path.read_bytes()), value, path) for path, value in expected.items()
        ]
        server.terminate()
        server.wait()
    latencies = statistics.quantiles(load.seconds, n=100)
    part = max(1, len(used) // 5)
    report = {
        "requests": len(load.seconds),
        "statuses": load.statuses,
        "per_second": round(len(load.seconds) / given.seconds, 1),
        "p50": round(latencies[49], 3),
        "p99": round(latencies[98], 3),
        "longest": round(max(load.seconds), 3),
        "memory": [round(statistics.median(used[start : start + part])) for start in range(0, len(used), part)],
        "after_signal": ends,
        "right_after_restart": f"{sum(restarted)} of {len(restarted)}",
        "wrong": load.wrong[:5],
    }
    print(json.dumps(report))
    # A connection is refused after the server has stopped.
    lost = set(load.statuses) - {"200", "422"} or set(ends["SIGTERM"]) - {"200", "422", "503", "ConnectionRefusedError"}
    if load.wrong or lost or not all(restarted):
        sys.exit(1)


if __name__ == "__main__":
    main()
