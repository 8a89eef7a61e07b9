"""Which files there are below an address, with their sizes and versions."""

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from mocliplite.errors import MachineError, UserError
from mocliplite.remote.connection import (
    ADVICE,
    CONNECTIONS,
    connect,
    has_listing,
    is_missing,
    path_below,
    protocol_of,
    reason_of,
)

State = tuple[int, str]  # size in bytes; ETag or time of modification, empty if the server gives neither
Info = dict[str, Any]  # what fsspec says of a file

_FLAT = ("s3", "gs")  # protocols without folders, which list all files in few requests
_VERSIONS = (
    *("ETag", "etag", "mtime", "modify", "modified"),
    *("Last-Modified", "LastModified", "updated", "last_modified"),
)
_BROKEN = "broken link"


def list_files(root: str, candidates: Collection[str]) -> dict[str, State]:
    """Return size and version of each file below an address, by POSIX path relative to it, in order of path.

    candidates: the paths to look for if the server cannot list its files. Raises UserError if there are no files, and
    MachineError if the server does not answer.
    """
    if not (has_listing(root) or candidates):
        raise UserError(
            f"dataset.root is {root}, whose server lists no files; set dataset.lists to a list of the clips."
        )
    try:
        system, top = connect(root)
        infos = _list(root, system, top) if has_listing(root) else _probe(root, system, top, candidates)
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001  each file system of fsspec has exceptions of its own
        if not is_missing(error):
            raise MachineError(f"{root} was not listed ({reason_of(error)}); {ADVICE}") from None
        infos = {}
    if not infos:
        raise UserError(f"dataset.root is {root}, where no files are; correct the address.")
    return {path: _state(root, path, infos[path]) for path in sorted(infos)}


def _list(root: str, system: Any, top: str) -> dict[str, Info]:
    listed = system.find(top, detail=True) if protocol_of(root) in _FLAT else _walk(system, top)
    links = [name for name, info in listed.items() if info["type"] == "link"]
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        listed |= dict(zip(links, pool.map(partial(_target, system), links), strict=True))
    names = {name: name.removeprefix(top).lstrip("/") for name in listed}
    for name in links:
        if listed[name]["type"] == _BROKEN:
            raise UserError(f"{root}/{names[name]} is a broken link; mend or remove it.")
        if listed[name]["type"] == "directory":
            raise UserError(f"{root}/{names[name]} is a link to a folder; put the folder itself there.")
    return {names[name]: info for name, info in listed.items() if info["type"] == "file" and not name.endswith("/")}


def _target(system: Any, link: str) -> Info:
    """Return what fsspec says of the target of a link."""
    try:
        info: Info = system.info(link)
    except FileNotFoundError:
        return {"type": _BROKEN}
    return info


def _walk(system: Any, top: str) -> dict[str, Info]:
    # Not find or walk of fsspec, which leave out the folders that cannot be read.
    listed, folders = dict[str, Info](), [top]
    while folders:
        infos = system.ls(folders.pop(), detail=True)
        listed |= {info["name"]: info for info in infos if info["type"] != "directory"}
        folders += [info["name"] for info in infos if info["type"] == "directory"]
    return listed


def _probe(root: str, system: Any, top: str, candidates: Collection[str]) -> dict[str, Info]:
    """Return what the server says of each candidate that exists."""

    def info_of(path: str) -> Info | None:
        try:
            return dict(system.info(path_below(root, top, path)))
        except FileNotFoundError as error:
            if is_missing(error):
                return None
            raise

    paths = sorted(set(candidates))
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        infos = zip(paths, pool.map(info_of, paths), strict=True)
        return {path: info for path, info in infos if info is not None}


def _state(root: str, path: str, info: Info) -> State:
    if info["size"] is None:
        raise UserError(f"{root}/{path} has no size according to its server; put the files on another one.")
    version = next((str(info[key]) for key in _VERSIONS if info.get(key) is not None), "")
    return int(info["size"]), version.strip('"')
