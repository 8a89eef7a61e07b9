"""Writing files so that a reader meets the old one or the new one, never half of one; and reading CSVs back."""

import csv
import io
import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import Any

from mocliplite.errors import UserError

# How the names of files end that are being written.
_PARTIAL = ".partial"


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a partial name in the same folder; on leaving well it is flushed and takes the place of path.

    The old file is never written to: DVC may have linked it, read-only, from a cache that a team shares. Raises
    UserError where the disk is full or the folder may not be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{_PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in path.parent.glob(f".{escape(path.name)}.*{_PARTIAL}"):
            if not _lives(old):
                old.unlink(missing_ok=True)
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException as error:  # an interrupt too
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UserError(
                f"{path} cannot be written ({error.strerror or error}); make room or mend the permissions and run "
                "again: what was finished is kept."
            ) from None
        raise


def _lives(partial: Path) -> bool:
    """Whether the process that writes a partial file may still be at work."""
    try:
        os.kill(int(partial.name.split(".")[-2]), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def remove_partial_files(folder: Path) -> None:
    """Remove what killed runs left half written in a folder."""
    for path in folder.glob(f".*{_PARTIAL}"):
        path.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold path for this process, by a lock file beside it. Raises UserError where another process holds it.

    A killed process holds nothing: the system lets go of its lock, and where a file system knows none, filelock looks
    whether the process still lives.
    """
    import filelock

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path.with_name(f".{path.name}.lock"), timeout=0)
        lock.acquire()
    except filelock.Timeout:
        raise UserError(f"another run is writing {path}; wait for it, or end it, and run again.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror or error}); mend the permissions.") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def errors_mean_damage(path: str | Path, *errors: type[Exception]) -> Iterator[None]:
    """Within it, these exceptions mean that path is damaged, and become a UserError that says so."""
    try:
        yield
    except errors as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is damaged ({reason}); restore it with `dvc checkout` or delete it.") from None


def keep_only(folder: Path, names: Collection[str]) -> None:
    """Remove from a folder whatever has none of these names; a link is removed, not what it points to."""
    for path in folder.iterdir():
        if path.name not in names:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def write_text(path: str | Path, text: str) -> None:
    """Replace path by text, UTF-8 with "\\n" line ends."""
    with atomic_write(Path(path)) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, value: Mapping[str, Any]) -> None:
    """Replace path by value as JSON with sorted keys, so that equal values give equal bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> dict[str, Any]:
    """Read what write_json wrote. Raises UserError where the file is absent or holds no object."""
    try:
        return dict(json.loads(Path(path).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(f"{path} is not here; run `dvc repro`, in the project's folder.") from None
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}); run `dvc repro` to renew it.") from None


def write_rows(path: str | Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Replace path by a CSV of the rows, each as long as the header."""
    write_text(path, rows_text(header, rows))


def rows_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A CSV of the rows, each as long as the header."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(header)
    for row in rows:
        # csv quotes "\n" by itself but, with this line end, not "\r", which its reader then takes for one.
        returns = any("\r" in str(value) for value in row)
        csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL if returns else csv.QUOTE_MINIMAL).writerow(row)
    return text.getvalue()


def read_rows(path: str | Path, header: Sequence[str]) -> list[list[str]]:
    """Read what write_rows wrote under this header. Raises UserError where the file is absent or another one."""
    rows = _read(path)
    if rows[:1] != [list(header)] or any(len(row) != len(header) for row in rows):
        raise UserError(f"{path} has not the columns {','.join(header)} throughout; run `dvc repro` to renew it.")
    return rows[1:]


def read_csv(path: str | Path) -> list[dict[str, str]]:
    """Read what write_rows or write_csv wrote, rows by column. Raises UserError where it is absent or no table."""
    header, *rows = _read(path) or [[]]
    if any(len(row) != len(header) for row in rows):
        raise UserError(f"{path} has rows of different lengths; run `dvc repro` to renew it.")
    return [dict(zip(header, row, strict=True)) for row in rows]


def _read(path: str | Path) -> list[list[str]]:
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            return list(csv.reader(file))
    except FileNotFoundError:
        raise UserError(f"{path} is not here; run `dvc repro`.") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a CSV ({error}); run `dvc repro` to renew it.") from None


def write_csv(path: str | Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Replace path by a CSV of the rows, with the first row's keys as header; floats to 6 places."""
    header = list(rows[0])
    if any(row.keys() != rows[0].keys() for row in rows):
        raise ValueError(f"{path}: not all rows have the keys {header}")
    values = ([row[key] for key in header] for row in rows)
    write_rows(path, header, ([round(cell, 6) if isinstance(cell, float) else cell for cell in row] for row in values))


def rounded(value: Any) -> Any:
    """The same nested value with every float rounded to 4 places, as metrics are kept."""
    if isinstance(value, Mapping):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return round(float(value), 4) if isinstance(value, float) else value
