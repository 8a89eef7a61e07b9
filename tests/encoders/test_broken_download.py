"""A download of an encoder that breaks off is one sentence, and the next run continues it."""

import math
from pathlib import Path

import pytest
from builders import run_python
from hub_server import Hub

MODEL = "ann/clip"
CHUNK = 10 << 20  # bytes that the hub's client writes at a time
FILES = {
    "config.json": b"{}",
    "preprocessor_config.json": b"{}",
    "tokenizer.json": b"{}",
    "model.safetensors": bytes(CHUNK * 2 + 1),
}
# The hub's client tries again five times, after a second each.
CODE = """
import sys, time
from mocliplite import errors
from mocliplite.encoders import checkpoints
time.sleep = lambda seconds: None
errors.run(lambda: print(checkpoints.locate(sys.argv[1], None)))
"""


@pytest.fixture
def hub(folder, monkeypatch):
    """A hub with a checkpoint, of which this machine has an empty cache."""
    server = Hub()
    server.put(MODEL, FILES)
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setenv("HF_HOME", str(Path("hf").absolute()))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    yield server
    server.close()


def test_a_download_that_breaks_off_is_one_sentence_and_the_next_run_continues_it(hub):
    hub.most = CHUNK + 1
    hub.requests.clear()
    done = run_python("-c", CODE, MODEL)
    assert done.returncode == 0, done.stderr  # a break now and then is no matter
    assert ("Range", CHUNK) in hub.requests
    assert Path(done.stdout.strip(), "model.safetensors").read_bytes() == FILES["model.safetensors"]


def test_a_connection_that_always_breaks_is_one_sentence(hub):
    hub.most = CHUNK // 2
    done = run_python("-c", CODE, MODEL)
    assert done.returncode == 1
    wanted = f"error: the download of {MODEL!r} from the hub broke off; run the same command again to continue it.\n"
    assert done.stderr.endswith(wanted)
    assert "Traceback" not in done.stderr

    hub.most = math.inf
    done = run_python("-c", CODE, MODEL)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in Path(done.stdout.strip()).iterdir()} == FILES.keys()
