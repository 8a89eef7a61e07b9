"""Files: atomic writes, so that a reader never sees a partial file; locks; JSON and CSV."""

import csv
import errno
import io
import itertools
import json
import os
import platform
import re
import shutil
import tempfile
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from glob import escape
from pathlib import Path
from typing import Any

from mocliplite.errors import UserError, reading, refuse_special, writing

# Spreadsheets take cells that begin with these characters for formulas.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
# Files that are being written end in `.<host>.<process id>.<number>.partial`: machines that share a folder may have
# processes of the same id, and threads of one process may write the same file.
_PARTIAL = ".partial"
_HOST = f"{zlib.crc32(platform.node().encode()):08x}"
_numbers = itertools.count()


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
    with tempfile.TemporaryDirectory(prefix=f"{_folder_prefix()}{os.getpid()}-") as folder:
        yield Path(folder)


def _folder_prefix() -> str:
    """Return how the names of temporary folders begin on this machine; others may have the same TMPDIR."""
    return f"mocliplite-{platform.node()}-"


@cache
def _remove_old_folders() -> None:
    """Remove, once per process, the temporary folders that killed processes of this machine left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{escape(_folder_prefix())}*-*"):
        pid, _, rest = folder.name.removeprefix(_folder_prefix()).partition("-")
        # With another hyphen, it is of a machine whose name begins as that of this one.
        if "-" not in rest and pid.isdecimal() and not is_running(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)  # perhaps another process removes it, too


def remove_partial_files(folder: Path) -> None:
    """Remove the partial files that killed runs left in a folder."""
    for path in folder.glob(f".*{_PARTIAL}"):
        path.unlink(missing_ok=True)


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


def write_rows(path: str | Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write the rows, each as long as the header, to path as CSV."""
    write_text(path, rows_text(header, rows))


def rows_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return the rows, each as long as the header, as CSV text."""
    return _rows_text([header, *rows])


def _rows_text(rows: Iterable[Sequence[object]]) -> str:
    text = io.StringIO(newline="")
    for row in rows:
        # With this line ending csv.writer does not quote "\r", which csv.reader treats as the end of a row.
        returns = any("\r" in str(value) for value in row)
        csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL).writerow(row)
    return text.getvalue()


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet would take a cell for a formula."""
    return text.startswith(_FORMULA)


def text_cell(text: str) -> str:
    """Return the cell of a text in a table for readers, with an apostrophe in front of what would be a formula."""
    return f"'{text}" if is_formula(text) else text


def append_rows(path: str | Path, rows: Iterable[Sequence[object]]) -> None:
    """Append rows to a CSV file in one write, for results that come one by one and must outlast a killed run."""
    with writing(path), Path(path).open("a", encoding="utf-8", newline="") as file:
        file.write(_rows_text(rows))


def resume_rows(path: str | Path, header: Sequence[str]) -> list[list[str]]:
    """Return the rows that a run wrote with append_rows, without the last one if the run was killed in its middle.

    Raises UserError if the file has another header.
    """
    text = read_bytes(path).decode("utf-8", errors="replace")
    try:
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except csv.Error as error:
        raise UserError(f"{path} is not valid CSV ({error}); repair it, or give another file.") from None
    if rows[:1] != [list(header)]:
        raise UserError(
            f"{path} is from a run with other options, whose columns differ; give them again, or another file."
        )
    if len(rows[-1]) != len(header) or not text.endswith("\n"):
        rows.pop()
    if any(len(row) != len(header) for row in rows):
        raise UserError(f"{path} has rows of different lengths; repair them, or give another file.")
    return rows[1:]


def read_rows(path: str | Path, header: Sequence[str]) -> list[list[str]]:
    """Return the rows written by write_rows. Raises UserError if the file is missing or has another header."""
    rows = _read(path)
    if rows[:1] != [list(header)] or any(len(row) != len(header) for row in rows):
        columns = ",".join(header)
        raise UserError(f"{path} does not have the columns {columns} in every row; run `dvc repro` to write it again.")
    return rows[1:]


def read_csv(path: str | Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file as dicts by column. Raises UserError if it is missing or is not a table."""
    header, *rows = _read(path) or [[]]
    if any(len(row) != len(header) for row in rows):
        raise UserError(f"{path} has rows of different lengths; run `dvc repro` to write it again.")
    return [dict(zip(header, row, strict=True)) for row in rows]


def _read(path: str | Path) -> list[list[str]]:
    refuse_special(path)
    try:
        with reading(path), Path(path).open(encoding="utf-8", newline="") as file:
            return list(csv.reader(_without_nul(file)))
    except FileNotFoundError:
        # Not `dvc repro` first: without the clips it fails, and with them it may compute again what others have pushed.
        raise UserError(f"{path} does not exist; run `dvc pull --allow-missing`, or else `dvc repro`.") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid CSV ({error}); run `dvc repro` to write it again.") from None


def _without_nul(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines. Raises csv.Error for the character NUL, which no path can contain, as Python did before 3.11."""
    for line in lines:
        if "\0" in line:
            raise csv.Error("line contains NUL")
        yield line


def write_csv(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table for readers to path as CSV: the keys of the first row as header, and floats with 6 decimals.

    Texts become cells that no spreadsheet takes for formulas.
    """
    header = list(rows[0])
    if any(row.keys() != rows[0].keys() for row in rows):
        raise ValueError(f"{path}: not all rows have the keys {header}")
    values = ([row[key] for key in header] for row in rows)
    write_rows(path, header, ([_cell(value) for value in row] for row in values))


def _cell(value: object) -> object:
    return round(value, 6) if isinstance(value, float) else text_cell(value) if isinstance(value, str) else value


def rounded(value: Any) -> Any:
    """Return the same nested value with every float rounded to 4 decimals, as in the metrics files."""
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return round(float(value), 4) if isinstance(value, float) else value
