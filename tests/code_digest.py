"""Digests of the code of extraction and of the motion network, for tests/test_versions.py.

After an edit that changes values, raise the version in mocliplite/versions.py. After any edit, record the digests
again: python tests/code_digest.py
"""

import ast
import hashlib
import json
import sys
from pathlib import Path

from imports import ROOT, code_of

RECORDED = Path(__file__).with_suffix(".json")
# By version: the stages, and the packages whose modules, where the stages import them, decide the values.
DECIDING = {
    "MOTION": (["motion"], ["extraction", "motion", "video"]),
    "KEYFRAMES": (["keyframes"], ["encoders", "extraction", "video"]),
    "MOTION_NET": (["train_motion", "embed_motion"], ["extraction", "motion_net"]),
}


def deciding_files(version: str) -> list[str]:
    """Return the paths, relative to the project, of the modules that a version covers."""
    stages, packages = DECIDING[version]
    imported = set().union(*(code_of(f"stages.{stage}") for stage in stages))
    return sorted(
        path for path in imported if path.startswith(("stages/", *(f"mocliplite/{package}/" for package in packages)))
    )


def digest(files: list[str], root: Path = ROOT) -> str:
    """Return the SHA-256 of the syntax trees of modules, without comments, docstrings and annotations."""
    trees = [_as_lists(ast.parse((root / file).read_text(encoding="utf-8"))) for file in files]
    return hashlib.sha256(json.dumps([files, trees]).encode()).hexdigest()


def _as_lists(node: object) -> object:
    """Return a syntax tree as nested lists, without empty fields, which depend on the version of Python."""
    if isinstance(node, list):
        return [_as_lists(item) for item in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: value for name, value in ast.iter_fields(node) if value not in (None, [])}
    for name in ("annotation", "returns", "type_comment", "type_params", "kind", "type_ignores"):
        fields.pop(name, None)
    body = fields.get("body")
    if isinstance(body, list):
        fields["body"] = [item for item in body if not _has_no_effect(item)]
    return [type(node).__name__, {name: _as_lists(value) for name, value in sorted(fields.items())}]


def _has_no_effect(statement: ast.stmt) -> bool:
    """Return whether a statement is a docstring or another constant, or an annotation without a value."""
    constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return constant or (isinstance(statement, ast.AnnAssign) and statement.value is None)


def state() -> dict[str, dict[str, object]]:
    """Return the version and the digest of the current code by name of the version."""
    sys.path.insert(0, str(ROOT))
    from mocliplite import versions

    return {
        name: {"version": getattr(versions, name), "digest": digest(deciding_files(name))} for name in sorted(DECIDING)
    }


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(state(), indent=2) + "\n")
