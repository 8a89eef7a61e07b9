"""Files: atomic writes, so that a reader never sees a partial file; temporary files and folders; text and JSON."""

import errno
import itertools
import json
import os
import platform
import re
import shutil
import tempfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from glob import escape
from pathlib import Path
from typing import Any

from mocliplite.errors import UserError, reading, refuse_special, writing

# Files that are being written end in `.<host>.<process id>.<number>.partial`: machines that share a folder may have
# processes of the same id, and threads of one process may write the same file.
_PARTIAL = ".partial"
_numbers = itertools.count()


def _host() -> str:
    """Return a name, of 8 hexadecimal digits, of where the numbers of processes are those of this process.

    A container may have the name of another one, or of its machine, but has numbers of its own.
    """
    namespace = Path("/proc/self/ns/pid")
    with suppress(OSError):
        return f"{zlib.crc32(f'{platform.node()} {namespace.readlink()}'.encode()):08x}"
    return f"{zlib.crc32(platform.node().encode()):08x}"


_HOST = _host()


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; at the end, flush it to disk and rename it to path.

    The old file is never opened for writing: it may be a read-only link into a shared DVC cache. Raises MachineError
    if the disk is full or fails, or the folder is not writable, and UserError for a pipe or a device.
    """
    partial = path.with_name(f".{path.name}.{_HOST}.{os.getpid()}.{next(_numbers)}{_PARTIAL}")
    with writing(path):
        refuse_target(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for old in path.parent.glob(f".{escape(path.name)}.*{_PARTIAL}"):
                if not _writer_may_be_running(old):
                    old.unlink(missing_ok=True)
            yield partial
            with partial.open("r+b") as file:  # Windows flushes no file that is open for reading only
                os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:  # including KeyboardInterrupt
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise


def refuse_target(path: str | Path) -> None:
    """Raise UserError for an output file that is a pipe or a device: the file would replace it for all programs.

    So it would replace the link of the system to standard output, also while that leads to a regular file.
    """
    advice = "give another file, or remove it"
    refuse_special(path, advice)
    if Path(path).is_symlink() and str(Path(path).readlink()).startswith("/proc/"):
        raise UserError(f"{path} is not a regular file; {advice}.")


def _writer_may_be_running(partial: Path) -> bool:
    """Return whether the process that writes a partial file may still be running. That of another machine may be."""
    host, pid = partial.name.split(".")[-4:-2]
    return host != _HOST or (pid.isdecimal() and is_running(int(pid)))


def writer_of(path: Path) -> str:
    """Return who may be writing this file, as the subject of a sentence; empty if it is no partial file of a run."""
    if not re.fullmatch(rf"\..+\.[0-9a-f]{{8}}\.\d+\.\d+{re.escape(_PARTIAL)}", path.name, re.ASCII | re.DOTALL):
        return ""
    if not _writer_may_be_running(path):
        return ""
    return "another run" if path.name.split(".")[-4] == _HOST else "a run on another machine"


def is_running(pid: int) -> bool:
    """Return whether there is a process with this number on this machine. On Windows, which cannot be asked, True."""
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # the process of another user
        return True
    return True


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a folder that only this user can read, in the system's folder for temporary files, which TMPDIR sets.

    It is deleted at the end. What killed processes of this machine left is deleted first.
    """
    _remove_old_folders()
    with tempfile.TemporaryDirectory(prefix=f"mocliplite-{_HOST}-{os.getpid()}-") as folder:
        yield Path(folder)


@cache
def _remove_old_folders() -> None:
    """Remove, once per process, the temporary folders that killed processes of this machine left."""
    for folder in Path(tempfile.gettempdir()).glob(f"mocliplite-{_HOST}-*-*"):  # others may have the same TMPDIR
        pid = folder.name.split("-")[2]
        if pid.isdecimal() and not is_running(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)  # perhaps another process removes it, too


def remove_partial_files(folder: Path) -> None:
    """Remove the partial files that killed runs left in a folder."""
    for path in folder.glob(f".*{_PARTIAL}"):
        path.unlink(missing_ok=True)


@contextmanager
def errors_mean_damage(path: str | Path, *errors: type[Exception]) -> Iterator[None]:
    """Context in which any of these exceptions means that path is damaged and is raised as a UserError.

    Errors of the disk are a MachineError; see errors.reading.
    """
    try:
        with reading(path):
            yield
    except errors as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is damaged ({reason}); restore it with `dvc checkout -f` or delete it.") from None


def keep_only(folder: Path, names: Collection[str]) -> None:
    """Remove everything from a folder except these names. A link is removed, its target is not.

    A file that is busy stays: on NFS, one that was replaced while a process of this machine has it open is called
    `.nfs...` and cannot be removed. The system removes it when it is closed.
    """
    for path in folder.iterdir():
        if path.name not in names:
            try:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise


def read_text(path: str | Path) -> str:
    """Return the text of a file in UTF-8. Errors are those of `read_bytes`."""
    return read_bytes(path).decode("utf-8")


def read_bytes(path: str | Path) -> bytes:
    """Return the content of a file.

    Raises UserError for a pipe or a device, and MachineError if the disk fails; see errors.reading.
    """
    refuse_special(path)
    with reading(path):
        return Path(path).read_bytes()


@contextmanager
def new_folder(path: Path) -> Iterator[None]:
    """Context that fills a folder. If it fails, the folder is as before, so that it can run again.

    Raises UserError for a folder that is not empty, and MachineError if it cannot be created.
    """
    existed = path.exists()
    if existed and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path} is not empty; give a new folder.")
    try:
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:  # including KeyboardInterrupt
        with suppress(OSError):
            keep_only(path, ())
            if not existed:
                path.rmdir()
        raise


def write_text(path: str | Path, text: str) -> None:
    """Write text to path, in UTF-8 with its line endings."""
    write_bytes(path, text.encode())


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write content to path."""
    with atomic_write(Path(path)) as partial:
        partial.write_bytes(content)


def write_json(path: str | Path, value: Mapping[str, Any]) -> None:
    """Write value to path as JSON with sorted keys, so that equal values give equal bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def parse_json(text: str) -> Any:
    """Return the value of a JSON text. Raises ValueError if it is none, and UnicodeError for texts that are no Unicode.

    JSON can escape half of a character, which no file, page or answer could then contain. All JSON of others, such as
    that of models, is read by this function.
    """
    value = json.loads(text)
    if "\\u" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise UnicodeError(f"{error.object[error.start]!a} is half of a character") from None
    return value


def read_json(path: str | Path) -> dict[str, Any]:
    """Return the object written by write_json. Raises UserError if the file is missing or is not a JSON object."""
    try:
        return dict(parse_json(read_text(path)))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run `dvc repro` in the project folder.") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}); run `dvc repro` to write it again.") from None


def rounded(value: Any) -> Any:
    """Return the same nested value with every float rounded to 4 decimals, as in the metrics files."""
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return round(float(value), 4) if isinstance(value, float) else value
