"""The project modules that a module imports, directly or indirectly."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]


def code_of(module: str) -> set[str]:
    """Return the paths of a module and of all project modules that it imports, relative to the project."""
    found: set[str] = set()
    queue = [_file(module)]
    while queue:
        path = queue.pop()
        if path is None or path in found:
            continue
        found.add(path)
        queue += [_file(name) for name in imported_names(ROOT / path)]
    return found


def _file(module: str) -> str | None:
    path = Path(*module.split(".")).with_suffix(".py")
    return path.as_posix() if (ROOT / path).is_file() else None


def imported_names(path: Path) -> list[str]:
    """Return the dotted names that a module imports anywhere; of `from a import b` both a and a.b."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
    return names
