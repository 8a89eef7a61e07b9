"""Prompt templates and class names, which users edit as text files."""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from mocliplite.errors import UserError, reading

# Those of prompts/templates.txt, for use without a project folder.
TEMPLATES = (
    "a photo of {}.",
    "a video of {}.",
    "a photo of a person {}.",
    "a video of a person {}.",
    "an example of {}.",
    "an example of a person {}.",
    "a demonstration of {}.",
    "a picture of {}.",
    "a still from a video of {}.",
    "a blurry photo of {}.",
    "a close-up of {}.",
    "somebody is {}.",
)


def readable_name(name: str) -> str:
    """Return a class folder's name as words: "HandstandPushups" and "handstand_pushups" give "handstand pushups"."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return " ".join(re.split(r"[\s_-]+", words)).strip().lower()


def read_templates(path: str | Path) -> list[str]:
    """Return the prompt templates of a text file, one per line, each with one {} for the class name.

    Blank lines and lines that start with # are skipped. Raises UserError for a file without templates, or a template
    without exactly one {}.
    """
    templates = [line for _, line in _read_lines(path, "encoder.prompts")]
    for template in templates:
        if template.count("{}") != 1 or template.count("{") != 1 or template.count("}") != 1:
            raise UserError(f"{path}: {template!r} must contain {{}} exactly once, where the class name goes.")
    if not templates:
        raise UserError(f"{path} has no template; write one per line, such as: a video of {{}}.")
    return templates


def read_names(path: str | Path) -> dict[str, list[str]]:
    """Return the names of classes by folder, from lines `folder: name, other name`.

    Blank lines and lines that start with # are skipped. Raises UserError for any other line, and for a folder that is
    listed twice.
    """
    names: dict[str, list[str]] = {}
    for number, line in _read_lines(path, "encoder.names"):
        # In Unicode form NFC, like the names of classes: see data.clips.find_labels.
        folder, colon, rest = (part.strip() for part in unicodedata.normalize("NFC", line).partition(":"))
        class_names = [name.strip() for name in rest.split(",")]
        if not (folder and colon and all(class_names)):
            raise UserError(f"{path}, line {number}: {line!r} is not `folder: name, other name`; correct it.")
        if folder in names:
            raise UserError(f"{path}, line {number}: {folder} is listed twice; put all its names on one line.")
        names[folder] = class_names
    return names


def flatten_names(classes: Sequence[str], names: dict[str, list[str]]) -> tuple[list[str], list[int]]:
    """Return the names of all classes in order, and for each name the index of its class."""
    pairs = [(name, index) for index, label in enumerate(classes) for name in names[label]]
    return [name for name, _ in pairs], [index for _, index in pairs]


def _read_lines(path: str | Path, key: str) -> list[tuple[int, str]]:
    """Return the lines that are neither blank nor comments, with their numbers from 1."""
    if not Path(path).is_file():
        raise UserError(f"params.yaml: {key} is {path}, which is not a file; see prompts/ for examples.")
    try:
        # utf-8-sig: editors on Windows may write a byte order mark.
        with reading(path):
            text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        text = None
    if text is None or "\0" in text:  # as in UTF-16 without a byte order mark
        raise UserError(f"{path} is not UTF-8 text; save it as UTF-8.")
    numbered = enumerate(text.splitlines(), start=1)
    return [(number, line.strip()) for number, line in numbered if line.strip() and not line.startswith("#")]
