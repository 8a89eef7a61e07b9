"""Feature stores on the hub: a server of the hub's protocol, the client as it is."""

from pathlib import Path

import pytest
from builders import run_python, sentence_of
from hub_server import TOKEN, Hub
from huggingface_hub import DatasetCard
from stores import build, bytes_of

from mocliplite.store import published

NAME = "ann/keyframes"


@pytest.fixture
def hub(folder, monkeypatch):
    """A hub on which Ann may write."""
    server = Hub()
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setenv("HF_HOME", str(Path("hf").absolute()))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    yield server
    server.close()


def test_a_store_is_a_dataset_that_reads_as_before(hub):
    build("s", "keyframes")
    hub.put(NAME, {"0099.h5": b"of a store with more shards"}, "dataset")
    done = run_python("-m", "mocliplite", "push-store", "s", NAME)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{hub.address}/datasets/{NAME}/commit/")

    fetched = hub.files(NAME, "dataset")
    readme = fetched.pop("README.md")
    store = bytes_of("s")
    assert store.pop("README.md").decode() in readme.decode()
    assert fetched == store
    card = DatasetCard(readme.decode())
    assert (card.data.license, card.data.size_categories) == ("unknown", ["n<1K"])


@pytest.mark.usefixtures("folder")
def test_a_damaged_store_is_not_pushed():
    build("s", "keyframes")
    shard = next(Path("s").glob("*.h5"))
    shard.write_bytes(shard.read_bytes()[:100])
    assert sentence_of(published.push, "s", NAME).startswith("s is damaged: ")


@pytest.mark.parametrize(
    ("clips", "category"), [(0, "n<1K"), (999, "n<1K"), (1_000, "1K<n<10K"), (240_000, "100K<n<1M")]
)
def test_the_size_is_named_as_on_the_hub(clips, category):
    assert published._size_category(clips) == category
