"""Digests of the code that decides extraction and the motion network, for tests/test_versions.py.

After an edit that changes values, raise the version in mocliplite/versions.py. Then, or where an edit provably changes
no value, record the digests again: python tests/code_digest.py
"""

import ast
import hashlib
import json
from pathlib import Path

from imports import ROOT, code_of

RECORDED = Path(__file__).with_suffix(".json")
# By version: the stages, and the rooms of the modules they import that decide the values.
DECIDING = {
    "MOTION": (["motion"], ["motion", "video"]),
    "KEYFRAMES": (["keyframes"], ["encoders", "video"]),
    "MOTION_NET": (["train_motion", "embed_motion"], ["motion_net"]),
}


def deciding_files(version: str) -> list[str]:
    """Paths below the project of the modules whose values a version stands for."""
    stages, rooms = DECIDING[version]
    imported = set().union(*(code_of(f"stages.{stage}") for stage in stages))
    return sorted(path for path in imported if path.startswith(("stages/", *(f"mocliplite/{room}/" for room in rooms))))


def digest(files: list[str], root: Path = ROOT) -> str:
    """SHA-256 of the syntax trees of modules: comments, docstrings and annotations do not count."""
    trees = [_plain(ast.parse((root / file).read_text(encoding="utf-8"))) for file in files]
    return hashlib.sha256(json.dumps([files, trees]).encode()).hexdigest()


def _plain(node: object) -> object:
    """A syntax tree as lists; what is absent is left out, so that Python's version plays no part."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: value for name, value in ast.iter_fields(node) if value not in (None, [])}
    for name in ("annotation", "returns", "type_comment", "type_params", "kind", "type_ignores"):
        fields.pop(name, None)
    body = fields.get("body")
    if isinstance(body, list):
        fields["body"] = [item for item in body if not _says_nothing(item)]
    return [type(node).__name__, {name: _plain(value) for name, value in sorted(fields.items())}]


def _says_nothing(statement: ast.stmt) -> bool:
    """Whether it is a docstring or another bare constant, or a declaration without a value."""
    constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return constant or (isinstance(statement, ast.AnnAssign) and statement.value is None)


def state() -> dict[str, dict[str, object]]:
    """Version and digest of the code as it is."""
    from mocliplite import versions

    return {
        name: {"version": getattr(versions, name), "digest": digest(deciding_files(name))} for name in sorted(DECIDING)
    }


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(state(), indent=2) + "\n")
