"""What a stage's result depends on in code: its module and all project modules that it imports, directly or not."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]


def code_of(module: str) -> set[str]:
    """Paths below the project of a module and of everything of the project that it imports."""
    found: set[str] = set()
    waiting = [_file(module)]
    while waiting:
        path = waiting.pop()
        if path is None or path in found:
            continue
        found.add(path)
        waiting += [_file(name) for name in imported_names(ROOT / path)]
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
