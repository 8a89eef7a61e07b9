"""Feature stores on the Hugging Face hub, as dataset repositories."""

from pathlib import Path

from mocliplite import hub
from mocliplite.errors import UserError
from mocliplite.store import stores
from mocliplite.store.verification import verify

_FILES = ("[0-9]*.h5", *stores.SIDECAR_FILES)


def push(folder: str | Path, name: str) -> str:
    """Upload a store to a dataset repository of the hub, with a card; return the address of the commit.

    Raises UserError for a damaged store, and as `hub.push`.
    """
    damage = verify(folder)
    if damage:
        raise UserError(f"{folder} is damaged: {damage[0]}")
    paths = {path for pattern in _FILES for path in Path(folder).glob(pattern)}
    files: dict[str, Path | bytes] = {path.name: path for path in paths}
    files["README.md"] = _card(stores.open_store(folder)).encode()
    return hub.push(name, "dataset", files, _FILES)


def _card(store: stores.Store) -> str:
    """Return the card: the description of the format, with metadata by which the hub lists it."""
    metadata = {
        "license": "unknown",
        "tags": ["video", "action-recognition", "hdf5", store.kind.replace("_", "-")],
        "size_categories": [_size_category(len(store.ids))],
        "viewer": False,  # the hub shows no HDF5
    }
    return hub.card(metadata, stores.sidecar_texts(store)["README.md"])


def _size_category(clips: int) -> str:
    """Return the hub's name for a number of rows."""
    limits = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    return next((name for limit, name in limits if clips < limit), "1M<n<10M")
