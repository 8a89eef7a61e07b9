"""The files below dataset.root: they must be those that were indexed. Of those at an address there are local copies.

A copy exists while it is used.
"""

import hashlib
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from mocliplite.errors import Failure, MachineError, UserError, not_readable
from mocliplite.files import temporary_folder
from mocliplite.params import is_address
from mocliplite.remote.connection import ADVICE, answers, connect, forget, is_missing, path_below, reason_of

Outcome = TypeVar("Outcome")
_State = tuple[int, int, int]

_PAUSES = (1, 5, None)  # seconds after the attempts to copy a file, None after the last
_REPRO = "run `dvc repro` (with a manifest in dataset.files, `python -m mocliplite manifest` first)."
_MANIFEST = "run `python -m mocliplite manifest`, then `dvc repro`."


def call_with_copy(
    function: Callable[..., Outcome | Failure], root: str, path: str, sha256: str, *arguments: object
) -> Outcome | Failure:
    """Return function(local path, *arguments) for a file below dataset.root, where function is from crash_safe.

    If a file has another hash than sha256, or one at an address cannot be copied, the result is a Failure that the next
    run tries again. In the Failures that function returns, alone or in a list, the address replaces the path of the
    copy. sha256 is empty for a file that was missing. Raises MachineError if the server does not answer any more.
    """
    address = f"{root}/{path}"
    if not sha256:
        return Failure(f"{address} is not a file; check the path.")
    if not is_address(root):
        return _call_if_unchanged(function, address, sha256, *arguments)
    is_read = False
    try:
        with local_copy(root, path) as copy:
            with copy.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                    raise UserError(f"{address} has changed; {_MANIFEST}")
            is_read = True
            return _renamed(function(str(copy), *arguments), str(copy), address)
    except UserError as error:
        if is_read:  # no process can call the function
            raise
        # Otherwise each of the remaining clips would wait for the server.
        if isinstance(error, MachineError) and not answers(root):
            raise MachineError(f"{error} Finished shards are kept.") from None
        return Failure(str(error), retry=True, transient=True)


def _call_if_unchanged(
    function: Callable[..., Outcome | Failure], path: str, sha256: str, *arguments: object
) -> Outcome | Failure:
    """Return function(path, *arguments), or a Failure if the file was another one, before or during the call.

    The hash is computed after the call, when the file is still in the cache of the system: 1 ms per MB. It is kept,
    because a long file is read in many calls.
    """
    changed = Failure(f"{path} has changed since it was indexed; {_REPRO}", retry=True, transient=True)
    try:
        before = _state_of(path)
        found = function(path, *arguments) if before else changed
        if isinstance(found, Failure) and found.transient:
            return found
        is_same = before and _state_of(path) == before and _digest_of(path, before) == sha256
        return found if is_same else changed
    except (FileNotFoundError, NotADirectoryError):
        return changed
    except OSError as error:
        return Failure(str(not_readable(path, error)), retry=True, transient=True)


@lru_cache(maxsize=256)  # more than there are threads, each of which reads a file
def _digest_of(path: str, state: _State) -> str:
    """Return the SHA-256 of a file in this state. Raises FileNotFoundError if it is in another one afterwards."""
    with Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if _state_of(path) != state:
        raise FileNotFoundError(path)
    return digest


def _state_of(path: str) -> _State | None:
    """Return what changes with the content of a file, None for a folder or a pipe. Raises OSError."""
    status = Path(path).stat()
    return (status.st_ino, status.st_size, status.st_mtime_ns) if stat.S_ISREG(status.st_mode) else None


@contextmanager
def local_copy(root: str, path: str) -> Iterator[Path]:
    """Yield the local path of a file below dataset.root. A file at an address is copied, and the copy is deleted.

    The copy is in the system's folder for temporary files, which TMPDIR sets. Raises UserError for a file that does not
    exist, and MachineError if it cannot be copied. In a UserError of the block the address replaces the copy.
    """
    if not is_address(root):
        yield Path(root, path)
        return
    with temporary_folder() as folder:
        copy = folder / f"clip{Path(path).suffix}"
        _download(root, path, copy)
        try:
            yield copy
        except UserError as error:
            raise type(error)(str(error).replace(str(copy), f"{root}/{path}")) from None


def _renamed(found: Any, copy: str, address: str) -> Any:
    """Return the result of a function, with the address instead of the copy in the reason of each Failure."""
    if isinstance(found, list):
        return [_renamed(item, copy, address) if isinstance(item, Failure) else item for item in found]
    if isinstance(found, Failure):
        return Failure(found.reason.replace(copy, address), found.retry, found.transient)
    return found


def _download(root: str, path: str, copy: Path) -> None:
    """Copy a file from an address, in several attempts."""
    for pause in _PAUSES:
        try:
            _copy_once(root, path, copy)
            return
        except UserError:
            raise
        except Exception as error:  # noqa: BLE001  each file system of fsspec has exceptions of its own
            if is_missing(error):
                raise UserError(f"{root}/{path} does not exist any more; {_MANIFEST}") from None
            forget(root)
            if pause is None or isinstance(error, PermissionError):
                raise MachineError(f"{root}/{path} was not copied ({reason_of(error)}); {ADVICE}") from None
            time.sleep(pause)


def _copy_once(root: str, path: str, copy: Path) -> None:
    from fsspec.callbacks import Callback

    system, top = connect(root)
    source = path_below(root, top, path)
    size = system.info(source)["size"]
    free = shutil.disk_usage(copy.parent).free
    if size > free:
        needed = f"{root}/{path} has {size / 1e6:.0f} MB, but {copy.parent.parent} has {free / 1e6:.0f} MB free"
        raise MachineError(f"{needed}; free disk space, or set TMPDIR to another folder.")

    def check_arrived(_: int | None, arrived: int) -> None:
        # Otherwise a server that sends without an end fills the disk.
        if arrived > size:
            raise OSError(f"more than its {size} bytes arrived")

    system.get_file(source, str(copy), callback=Callback(hooks={"arrived": check_arrived}))
    if copy.stat().st_size != size:
        raise OSError(f"{copy.stat().st_size} of {size} bytes arrived")
