"""The server of `serve` in a thread of the test, with a recogniser made up for it."""

import http.client
import json
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from mocliplite.errors import UserError
from mocliplite.predict.recognizer import Prediction
from mocliplite.serving import server
from mocliplite.serving.clips import Settings

SETTINGS = {"root": None, "token": None, "max_size": 1000, "time_limit": 30, "queue": 8, "connections": 100}


class Recognizer:
    """Answers by what is in the file, and notes the batches. While `free` is not set, it waits."""

    def __init__(self):
        self.batches, self.begun, self.free = [], threading.Event(), threading.Event()
        self.free.set()

    def predict(self, paths):
        self.batches.append([Path(path).read_text() for path in paths])
        self.begun.set()
        self.free.wait(30)
        for path in paths:
            content = Path(path).read_text()
            if content == "broken":
                raise ZeroDivisionError
            bad = content == "bad"
            yield UserError(f"{path} is bad.") if bad else Prediction(path, [(content, 0.75), ("b", 0.25)], {}, {}, {})


@contextmanager
def serving(recognizer, **changes):
    """Serve in a thread; yield the server and a function that sends a request to it."""
    running = server.new_server(recognizer.predict, Settings(**SETTINGS | changes))
    with server.listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=running.run, args=([listener],))
        thread.start()

        def send(address, body=b"", method="POST", **headers):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request(method, address, body, headers)
            response = connection.getresponse()
            content = response.read()
            connection.close()
            is_json = response.getheader("content-type") == "application/json"
            return response.status, json.loads(content) if is_json else content.decode(), response.headers

        try:
            until(lambda: running.started)
            yield running, send
        finally:
            recognizer.free.set()
            running.should_exit = True
            thread.join(30)
    assert not thread.is_alive()


def until(true):
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)
