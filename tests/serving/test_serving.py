"""The server over real HTTP on this machine, with a recogniser made up for the test."""

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import pytest

pytest.importorskip("uvicorn", reason="uvicorn and starlette are not installed")

from toy_server import SETTINGS, Recognizer, serving, until

from mocliplite.serving import server
from mocliplite.serving.api import application
from mocliplite.serving.batches import STOPPING
from mocliplite.serving.clips import Settings


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(server, "LINGER", 0.05)


def requests_of(running):
    return running._batches.requests


def test_requests_that_wait_are_one_batch_and_each_has_its_own_answer():
    recognizer = Recognizer()
    recognizer.free.clear()
    with serving(recognizer) as (running, send), ThreadPoolExecutor(8) as clients:
        first = clients.submit(send, "/predict?name=first.avi", b"a")
        assert recognizer.begun.wait(30)
        names = ["a", "bad", "c", "broken", "e"]
        others = [clients.submit(send, f"/predict?top=1&name={name}.avi", name.encode()) for name in names]
        until(lambda: requests_of(running) == 6)
        (folder,) = {path.parent for path in [running.config.app.state.uploads / "x"]}
        assert len(list(folder.iterdir())) == 6
        assert folder.stat().st_mode & 0o077 == 0 or os.name == "nt"
        recognizer.free.set()
        status, answer, _ = first.result()
        found = {name: other.result()[:2] for name, other in zip(names, others, strict=True)}
        assert list(folder.iterdir()) == []
        _, metrics, _ = send("/metrics", method="GET")
    assert (status, answer["clip"], len(answer["classes"])) == (200, "first.avi", 2)
    for name in ("a", "c", "e"):
        expected = {"clip": f"{name}.avi", "classes": [{"class": name, "probability": 0.75}]}
        assert found[name] == (200, expected | {"shares": {}, "milliseconds": {}})
    assert found["bad"] == (422, {"error": "bad.avi is bad."})
    assert found["broken"] == (500, {"error": "the recogniser failed; the output of the server says why."})
    assert recognizer.batches[0] == ["a"]
    assert sorted(recognizer.batches[1]) == sorted(names)
    assert not folder.exists()
    lines = metrics.splitlines()
    for line in ('requests_total{status="200"} 4', 'requests_total{status="422"} 1', "batches_total 2", "queue 0"):
        assert f"mocliplite_{line}" in lines
    assert 'mocliplite_clips_total{result="classified"} 4' in lines
    assert 'mocliplite_request_seconds_bucket{le="+Inf"} 6' in lines


def test_a_full_queue_refuses_and_takes_clips_again_later():
    recognizer = Recognizer()
    recognizer.free.clear()
    with serving(recognizer, queue=1) as (_, send), ThreadPoolExecutor(1) as client:
        first = client.submit(send, "/predict", b"a")
        assert recognizer.begun.wait(30)
        status, answer, headers = send("/predict", b"b")
        assert (status, headers["Retry-After"]) == (503, "1")
        assert answer == {"error": "the server has 1 clips to classify; send the clip again later."}
        assert send("/health", method="GET")[:2] == (200, {"status": "ok"})
        refused = send("/predict", method="GET")
        assert refused[:2] == (405, {"error": "/predict does not take GET; send POST."})
        assert send("/health")[1] == {"error": "/health does not take POST; send GET or HEAD."}
        recognizer.free.set()
        assert first.result()[0] == 200
        assert send("/predict", b"b")[0] == 200


def test_a_server_that_stops_answers_its_batch_and_refuses_what_waits(monkeypatch):
    monkeypatch.setattr(server, "LINGER", 0.5)
    recognizer = Recognizer()
    recognizer.free.clear()
    with serving(recognizer) as (running, send), ThreadPoolExecutor(2) as clients:
        first = clients.submit(send, "/predict", b"a")
        assert recognizer.begun.wait(30)
        second = clients.submit(send, "/predict", b"b")
        until(lambda: requests_of(running) == 2)
        running.should_exit = True
        status, answer, headers = second.result()
        assert (status, answer, headers["Connection"]) == (503, {"error": STOPPING}, "close")
        assert send("/health", method="GET")[:2] == (503, {"status": "stopping"})
        recognizer.free.set()
        assert first.result()[0] == 200
    assert recognizer.batches == [["a"]]


def test_an_upload_that_ends_after_the_signal_is_refused_with_an_answer():
    recognizer = Recognizer()
    with serving(recognizer) as (running, _):
        (listener,) = running.servers[0].sockets
        with socket.create_connection(listener.getsockname(), timeout=10) as client:
            client.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\nabc")
            until(lambda: requests_of(running) == 1)
            running.should_exit = True
            until(lambda: running._batches.stopping)
            client.sendall(b"def")
            response = b"".join(iter(lambda: client.recv(1000), b""))
    assert response.startswith(b"HTTP/1.1 503 ")
    assert STOPPING.encode() in response
    assert recognizer.batches == []


def test_a_server_that_stops_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(server, "GRACE", 0.1)
    recognizer = Recognizer()
    recognizer.free.clear()
    with serving(recognizer) as (running, send), ThreadPoolExecutor(1) as client:
        first = client.submit(send, "/predict", b"a")
        assert recognizer.begun.wait(30)
        running.should_exit = True
        assert first.result()[:2] == (503, {"error": STOPPING})


def chunks(number):
    return (b"x" * 100 for _ in range(number))


@pytest.mark.parametrize(
    ("address", "body", "headers", "status", "sentence"),
    [
        ("/predict", b"x" * (1 << 20), {}, 413, "the clip is larger than 0 MiB; send a smaller one."),
        ("/predict", "chunks", {}, 413, "the clip is larger than 0 MiB; send a smaller one."),
        ("/predict", b"", {}, 400, "the body is empty; send the bytes of a clip, or name a file with ?path=."),
        ("/predict", b"x", {"Content-Type": "multipart/form-data; boundary=x"}, 415, "the body is a form; "),
        ("/predict?top=0", b"x", {}, 400, "top is '0'; it must be a whole number of at least 1."),
        ("/predict?tops=1", b"x", {}, 400, "tops is not a parameter; there are name, path, top."),
        ("/predict?path=a", b"", {}, 403, "this server reads no files; "),
        ("/predict", b"x", {"Content-Type": "Multipart/Form-Data; boundary=x"}, 415, "the body is a form; "),
        ("/other", b"", {}, 404, "/other is no address of this server; there are /predict, /health, /metrics, "),
        ("/predict", b"x", {"Host": "example.org"}, 403, "the host of the address is not this machine; "),
    ],
)
def test_a_wrong_request_is_refused_with_a_sentence(address, body, headers, status, sentence):
    recognizer = Recognizer()
    with serving(recognizer) as (_, send):
        found, answer, _ = send(address, chunks(100) if body == "chunks" else body, **headers)
        assert (found, answer["error"][: len(sentence)]) == (status, sentence)
        assert send("/predict", b"a")[0] == 200
    assert recognizer.batches == [["a"]]


def test_an_upload_that_stalls_is_ended():
    with serving(Recognizer(), time_limit=1) as (running, _):
        (listener,) = running.servers[0].sockets
        with socket.create_connection(listener.getsockname(), timeout=10) as client:
            client.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc")
            assert client.recv(1000).startswith(b"HTTP/1.1 408 ")
        assert requests_of(running) == 0


def test_only_files_below_the_root_are_read(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside.avi"
    (root / "deep").mkdir(parents=True)
    for path in (outside, root / "deep/a.avi"):
        path.write_text(path.stem)
    (root / "link.avi").symlink_to(outside)
    (root / "folder").symlink_to(tmp_path)
    (root / "inner.avi").symlink_to("deep/a.avi")
    recognizer = Recognizer()
    with serving(recognizer, root=root.resolve()) as (_, send):
        for path in ("deep/a.avi", "inner.avi", str(root / "deep/a.avi")):
            status, answer, _ = send(f"/predict?path={quote(path)}")
            assert (status, answer["clip"]) == (200, path)
        for path in ("link.avi", "folder/outside.avi", "../outside.avi", str(outside), "/etc/passwd", "../root2/a"):
            status, answer, _ = send(f"/predict?path={quote(path)}")
            assert status == 403
            assert answer["error"].startswith(f"{path} is not in the folder of this server; ")
        assert send("/predict?path=%00")[0] == 422
    assert {name for batch in recognizer.batches for name in batch} == {"a"}


def test_the_token_is_asked_for_everything_but_the_health():
    with serving(Recognizer(), token="sécret") as (_, send):
        right = "Bearer sécret".encode()
        for wrong in ({}, {"Authorization": "Bearer secret"}, {"Authorization": b"Basic s\xc3\xa9cret"}):
            status, answer, headers = send("/predict", b"a", **wrong)
            assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
            assert answer["error"].startswith("the token is missing or wrong; ")
        assert send("/metrics", method="GET")[0] == 401
        assert send("/health", method="GET")[0] == 200
        assert send("/predict", b"a", Host="example.org", Authorization=right)[0] == 200


def test_the_description_has_the_addresses_of_the_server():
    app = application(None, Settings(**SETTINGS))
    with serving(Recognizer()) as (_, send):
        _, document, _ = send("/openapi.json", method="GET")
        _, answer, _ = send("/predict", b"a")
    methods = {path: {method.upper() for method in item} for path, item in document["paths"].items()}
    assert methods == {route.path: route.methods - {"HEAD"} for route in app.routes}
    schema = document["components"]["schemas"]["Prediction"]
    assert set(schema["required"]) == answer.keys()
