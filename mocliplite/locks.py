"""Locks: one run at a time writes a file or a folder."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mocliplite.errors import UserError, writing


@contextmanager
def locked(path: Path, wait: float = 0, remove: bool = False) -> Iterator[None]:
    """Lock path for this process with a lock file next to it; `remove` removes that at the end.

    Raises UserError if another process holds the lock for longer than `wait` seconds. A killed process does not block
    others: the system releases its lock, and on file systems without locks filelock checks whether the process still
    runs. That of another machine cannot be checked there, so the message names it, and the file to delete.
    """
    import filelock

    file = path.with_name(f".{path.name}.lock")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock: filelock.BaseFileLock = filelock.FileLock(file, timeout=wait)
        try:
            lock.acquire()
        except filelock.Timeout:  # a subclass of OSError
            host = _other_host(file)
            by, rest = (f"a run on {host}", f" If it was killed, delete {file}.") if host else ("another run", "")
            raise UserError(f"{by} is writing {path}; wait for it or stop it, and run again.{rest}") from None
    try:
        yield
    finally:
        # While it is locked: whoever has opened it finds that it has no name, and tries again. SoftFileLock removes it.
        if remove and not isinstance(lock, filelock.SoftFileLock):
            with suppress(OSError):  # Windows deletes no file that is open
                file.unlink(missing_ok=True)
        lock.release()


def _other_host(lock: Path) -> str:
    """Return the machine that a lock file names, on file systems without locks, if it is not this one."""
    with suppress(OSError, UnicodeDecodeError):
        _, host, *_ = [*lock.read_text(encoding="utf-8").splitlines(), "", ""]
        return "" if host == platform.node() else host
    return ""
