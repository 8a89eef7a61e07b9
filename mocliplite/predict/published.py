"""Exported recognisers on the Hugging Face hub: how they are loaded from it and written to it."""

import re
from pathlib import Path

from mocliplite import hub
from mocliplite.errors import UserError

CARD = "README.md"
_FOLDERS = ("head", "motion", "probes", "prompts", "clip", "onnx")
_ENDINGS = ("json", "safetensors", "txt", "model", "onnx")
# What an exported folder contains. Nothing else is downloaded, so nothing that is pickled.
FILES = ("clip.json", *(f"{folder}/*.{ending}" for folder in _FOLDERS for ending in _ENDINGS))
_NEEDED = ("head/config.json", "head/model.safetensors", "motion/config.json", "probes/config.json")


def folder_of(model: str | Path, revision: str | None) -> Path:
    """Return the folder of trained models: `model` itself, or that of owner/name on the hub, downloaded if not cached.

    revision: branch, tag or commit on the hub; None for main. A commit that is cached needs no network. A branch is
    looked up, and without network its cached commit is taken.

    Raises UserError if the hub has no such recogniser, and for a revision of a local folder.
    """
    if not _is_on_hub(model):
        if revision is not None:
            raise UserError(f"{model} is a local folder, which has no revision; leave out --revision.")
        if not Path(model).is_dir():
            raise UserError(f"{model} is not a folder; check the path, or run `dvc repro` to train models.")
        return Path(model)
    name, at = str(model), f"revision {revision or 'main'}"
    hub.check_owner_and_name(name)
    try:
        folder = hub.download(name, revision, FILES)
    except hub.NotOnHubError:
        raise UserError(
            f"{name} is neither a local folder nor on the hub ({at}), or not for you; {hub.CHECK_LOGIN}."
        ) from None
    if folder is None:
        raise UserError(
            f"{name} ({at}) is neither a local folder nor in the local hub cache, and the hub cannot be reached; "
            f"check the path, or run `hf download {name}` on a machine with network and copy the folder it prints."
        )
    missing = [path for path in _NEEDED if not (folder / path).is_file()]
    if missing:
        raise UserError(f"{name} ({at}) on the hub is not an exported recogniser: {missing[0]} is missing.")
    return folder


def push(folder: str | Path, name: str) -> str:
    """Upload an exported recogniser to a model repository of the hub; return the address of the commit.

    Raises UserError for another folder, and as `hub.push`.
    """
    missing = [path for path in (*_NEEDED, CARD) if not Path(folder, path).is_file()]
    if missing:
        raise UserError(f"{folder} has no {missing[0]}; write it with `python -m mocliplite export`.")
    paths = {path for pattern in (*FILES, CARD) for path in Path(folder).glob(pattern)}
    files: dict[str, Path | bytes] = {path.relative_to(folder).as_posix(): path for path in paths}
    return hub.push(name, "model", files, (*FILES, CARD))


def _is_on_hub(model: str | Path) -> bool:
    """Return whether a name, which may also be the path of a folder, is meant to be that of a repository."""
    path = Path(model)
    return not path.exists() and not path.parent.exists() and re.fullmatch(r"[^/.~][^/]*/[^/]+", str(model)) is not None
