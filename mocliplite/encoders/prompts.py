"""What prompts say: templates, and what classes are called. Both are data, in text files."""

import re
from collections.abc import Sequence
from pathlib import Path

from mocliplite.errors import UserError


def readable_name(name: str) -> str:
    """A class folder's name as one would say it: "HandstandPushups" and "handstand_pushups" are "handstand pushups"."""
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return " ".join(re.split(r"[\s_-]+", parts)).strip().lower()


def read_templates(path: str | Path) -> list[str]:
    """Prompt templates, one a line, each with one {} for the class name; lines that start with # are remarks."""
    templates = [text for _, text in _lines(path, "clip.prompts")]
    for template in templates:
        if template.count("{}") != 1 or template.count("{") != 1 or template.count("}") != 1:
            raise UserError(f"{path}: {template!r} must hold {{}} exactly once, where the class name goes.")
    if not templates:
        raise UserError(f"{path} holds no template; write one a line, such as: a video of {{}}.")
    return templates


def read_names(path: str | Path) -> dict[str, list[str]]:
    """Names of classes by folder, from lines `folder: name, other name`; lines that start with # are remarks."""
    names: dict[str, list[str]] = {}
    for number, line in _lines(path, "clip.names"):
        folder, colon, rest = (part.strip() for part in line.partition(":"))
        own = [name.strip() for name in rest.split(",")]
        if not (folder and colon and all(own)):
            raise UserError(f"{path}, line {number}: {line!r} is not `folder: name, other name`; correct it.")
        if folder in names:
            raise UserError(f"{path}, line {number}: {folder} has names already; put them on one line.")
        names[folder] = own
    return names


def flatten_names(classes: Sequence[str], names: dict[str, list[str]]) -> tuple[list[str], list[int]]:
    """All names of the classes in order, and for each the number of its class."""
    pairs = [(name, number) for number, label in enumerate(classes) for name in names[label]]
    return [name for name, _ in pairs], [number for _, number in pairs]


def _lines(path: str | Path, key: str) -> list[tuple[int, str]]:
    """Lines that say something, with their numbers from 1."""
    try:
        # -sig: editors on Windows put a mark before the first letter.
        lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"params.yaml: {key} names {path}, which is not there; see prompts/.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not text in UTF-8; save it so.") from None
    numbered = enumerate(lines, start=1)
    return [(number, line.strip()) for number, line in numbered if line.strip() and not line.startswith("#")]
