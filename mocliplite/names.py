"""What classes are called in prompts: data, in a text file."""

from collections.abc import Sequence
from pathlib import Path

from mocliplite.errors import UserError


def read_names(path: str | Path) -> dict[str, list[str]]:
    """Names of classes by folder, from lines `folder: name, other name`; lines that start with # are remarks."""
    try:
        # -sig: editors on Windows put a mark before the first letter.
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"params.yaml: clip.names names {path}, which is not there; see prompts/.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not text in UTF-8; save it so.") from None
    names: dict[str, list[str]] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        folder, colon, rest = (part.strip() for part in line.partition(":"))
        own = [name.strip() for name in rest.split(",")]
        if not (folder and colon and all(own)):
            raise UserError(f"{path}, line {number}: {line!r} is not `folder: name, other name`; correct it.")
        if folder in names:
            raise UserError(f"{path}, line {number}: {folder} has names already; put them on one line.")
        names[folder] = own
    return names


def flat(classes: Sequence[str], names: dict[str, list[str]]) -> tuple[list[str], list[int]]:
    """All names of the classes in order, and for each the number of its class."""
    pairs = [(name, number) for number, label in enumerate(classes) for name in names[label]]
    return [name for name, _ in pairs], [number for _, number in pairs]
