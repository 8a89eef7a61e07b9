"""`serve` as a process of its own: the commands of the documentation, its answers, its end, and what it refuses."""

import builtins
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from builders import CHECKOUT, sentence_of
from console import examples

from mocliplite import params
from mocliplite.cli._main import main
from mocliplite.predict.recognizer import Recognizer

pytest.importorskip("uvicorn", reason="uvicorn and starlette are not installed")

from mocliplite.serving import server as server_module
from mocliplite.serving.clips import Settings
from mocliplite.serving.connections import most_connections

CLIP = "clips/Rolling/1.avi"
CURL = [command for command, _ in examples((CHECKOUT / "docs/serving.md").read_text()) if command.startswith("curl ")]


@contextmanager
def server(models, folder, **environment):
    """Start `serve` on any port, with the folder as root and for its temporary files; yield its process and address."""
    command = [sys.executable, "-m", "mocliplite", "serve", "--port", "0", "--root", folder, "--device", "cpu"]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "TMPDIR": str(folder), **environment}
    with subprocess.Popen(command, cwd=models, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert line.startswith("Serving at http://127.0.0.1:")
            yield process, line.split()[2].removesuffix("/;")
        finally:
            process.kill()


def test_the_documented_requests_are_answered_as_predict_answers(small_project, tmp_path, capsys):
    (tmp_path / "monday").mkdir()
    (tmp_path / "token.txt").write_text("secret")
    (tmp_path / "bad.mp4").write_text("this is not a video")
    for copy in ("my.mp4", "monday/my.mp4"):
        shutil.copy(CLIP, tmp_path / copy)
    main(["predict", CLIP, "--json", "--device", "cpu"])
    (expected,) = json.loads(capsys.readouterr().out)
    del expected["milliseconds"], expected["clip"]
    with server(small_project, tmp_path) as (process, address):

        def sh(command):
            command = command.replace("http://127.0.0.1:8000", address).replace("curl ", "curl -sS ", 1)
            done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
            return done.stdout

        assert len(CURL) == 6
        upload, path, health, metrics, document, with_token = map(sh, CURL)
        bad = json.loads(sh("curl --data-binary @bad.mp4 'http://127.0.0.1:8000/predict?name=bad.mp4'"))
        (uploads,) = tmp_path.glob("mocliplite-*")
        assert list(uploads.iterdir()) == []
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, -signal.SIGTERM)
    for found, name in ((upload, "my.mp4"), (path, "monday/my.mp4"), (with_token, "clip")):
        answer = json.loads(found)
        assert answer.pop("clip") == name
        assert answer.pop("milliseconds").keys() == {"keyframes", "motion", "encoder", "motion network", "head"}
        assert close(answer, expected | {"classes": expected["classes"][: 1 if name.startswith("monday") else 5]})
    assert bad["error"].startswith("bad.mp4 cannot be decoded as video (Invalid data found when processing input)")
    assert json.loads(health) == {"status": "ok"}
    assert 'mocliplite_requests_total{status="200"} 2' in metrics
    assert json.loads(document)["openapi"] == "3.1.0"
    assert not uploads.exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGHUP")
@pytest.mark.parametrize(
    ("sent", "status"), [([signal.SIGHUP], signal.SIGTERM), ([signal.SIGINT, signal.SIGINT], signal.SIGINT)]
)
def test_a_closed_terminal_and_a_second_interrupt_end_the_server_without_a_traceback(
    small_project, tmp_path, capfd, sent, status
):
    with server(small_project, tmp_path) as (process, _):
        for number in sent:
            process.send_signal(number)
            time.sleep(0.2)
        assert process.wait(60) == -status
    assert capfd.readouterr().err == ""


def close(answer, expected):
    """Return whether two answers are equal but for the last digits, which depend on the batch."""
    assert [item["class"] for item in answer["classes"]] == [item["class"] for item in expected["classes"]]
    probabilities = [item["probability"] for item in expected["classes"]]
    assert [item["probability"] for item in answer["classes"]] == pytest.approx(probabilities, abs=2e-4)
    return answer["shares"] == pytest.approx(expected["shares"], abs=2e-3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--host", "0.0.0.0"],
            "--host is 0.0.0.0, which other machines reach; set MOCLIPLITE_TOKEN in the environment",
        ),
        (["--root", "missing"], "--root is missing, which is not a folder; correct the path."),
        (["--host", "256.0.0.1"], "--host is 256.0.0.1, which other machines reach; "),
        (["--port", "70000"], "--host 127.0.0.1 --port 70000 cannot be served ("),
    ],
)
def test_wrong_options_are_refused_before_the_models_are_loaded(arguments, sentence, folder, monkeypatch):
    monkeypatch.delenv("MOCLIPLITE_TOKEN", raising=False)
    assert sentence_of(main, ["serve", "--model", "elsewhere", *arguments]).startswith(sentence)


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        ("a\udce9", "is not valid UTF-8"),
        ("secret\n", "has a line break or another character that no header can contain"),
        ("a\x01b", "has a line break or another character that no header can contain"),
        (" secret", "begins or ends with a space"),
    ],
)
def test_a_token_that_no_request_can_bring_is_refused_and_not_printed(token, problem, folder, monkeypatch):
    # Where the system passes no such text to a process, Python cannot set it either.
    monkeypatch.setattr(os, "environ", {"MOCLIPLITE_TOKEN": token})
    assert sentence_of(main, ["serve"]) == f"MOCLIPLITE_TOKEN {problem}; set it to letters and digits."


def test_options_reach_the_server_and_clips_are_decoded_in_processes(small_project, tmp_path, monkeypatch):
    found = []
    monkeypatch.setenv("MOCLIPLITE_TOKEN", "secret")
    monkeypatch.setattr(Recognizer, "load", lambda *given: SimpleNamespace(predict=given))
    monkeypatch.setattr(server_module, "serve", lambda *arguments: found.append(arguments))
    options = ["--root", str(tmp_path), "--max-size", "3", "--time-limit", "7", "--queue", "5", "--port", "0"]
    main(["serve", "--model", "exported", *options])
    (((model, compute, revision), settings, _),) = found
    assert (model, compute.engine, compute.time_limit, revision) == ("exported", "processes", 7, None)
    assert params.load().compute.engine == "inline"
    assert settings == Settings(tmp_path.resolve(), "secret", 3 << 20, 7, 5, most_connections(5))


def test_more_requests_than_files_may_be_open_are_refused(folder, monkeypatch):
    resource = pytest.importorskip("resource", reason="Windows has no limit of open files")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    assert sentence_of(main, ["serve", "--model", "elsewhere", "--queue", "79"]) == (
        "--queue 79 needs 258 open files, and a process may have 256; run ulimit -n 258 before, or lower --queue."
    )
    assert most_connections(78) == 78


def test_a_host_that_is_no_name_is_a_sentence(folder, monkeypatch):
    monkeypatch.setenv("MOCLIPLITE_TOKEN", "secret")
    for host in ("a\udcff", "\u00e9..b"):
        sentence = sentence_of(main, ["serve", "--host", host])
        assert sentence.startswith(f"--host {host} --port 8000 cannot be served (")


def test_a_port_in_use_is_a_sentence(folder):
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = str(used.getsockname()[1])
        sentence = f"--host 127.0.0.1 --port {port} cannot be served (Address already in use"
        assert sentence_of(main, ["serve", "--model", "elsewhere", "--port", port]).startswith(sentence)


def test_a_missing_library_is_a_sentence(folder, monkeypatch):
    real = builtins.__import__

    def without_uvicorn(name, *rest, **names):
        if name == "uvicorn":
            raise ModuleNotFoundError(name=name)
        return real(name, *rest, **names)

    for name in [name for name in sys.modules if name.startswith("mocliplite.serving")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without_uvicorn)
    assert sentence_of(main, ["serve"]) == 'serve needs uvicorn, which is not installed; run `pip install ".[serve]"`.'
