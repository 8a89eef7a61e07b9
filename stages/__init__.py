"""The stages of dvc.yaml, one module each: read parameters and files, call mocliplite, write files."""

import sys

if sys.argv[0] == "-m":  # a stage is run, not imported
    from mocliplite.errors import report_interrupts

    report_interrupts()  # also those during the other imports

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mocliplite import files, params, versions, yaml_text
from mocliplite.errors import MachineError, UserError, reading, run


def run_stage(name: str, main: Callable[[], None], graph: str = "dvc.yaml") -> None:
    """Call the main function of a stage of a graph. A UserError is printed as one line, and exits with status 1.

    DVC records the settings and the code that it finds when a stage ends, not those with which the stage began. So a
    stage fails if one of them changed in the meantime: otherwise DVC would keep its results as those of other settings.
    """

    def checked() -> None:
        with reading(versions.FILE):
            problem = versions.problem()
        if problem:
            raise UserError(problem)
        before = _recorded(name, graph)
        main()
        after = _recorded(name, graph)
        changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
        if changed:
            raise UserError(f"{changed[0]} was changed while {name} was running; run `dvc repro` again.")

    run(checked)


def _recorded(name: str, graph: str) -> dict[str, object]:
    """Return the settings of a stage, and digests of its code, as DVC records them; empty if there is no graph."""
    stage = _read_yaml(graph).get("stages", {}).get(name, {})
    leaves = dict(_leaves("", _read_yaml(params.FILE, yaml_text.parse)))
    found: dict[str, object] = {}
    for item in stage.get("params", []):
        if isinstance(item, str):
            found |= {
                f"{params.FILE}: {key}": value for key, value in leaves.items() if f"{key}.".startswith(f"{item}.")
            }
        else:
            for file, names in item.items():
                lines = files.read_text(file).splitlines() if Path(file).is_file() else []
                found |= {
                    f"{file}: {one}": [line for line in lines if line.startswith((f"{one} =", f"{one}:"))]
                    for one in names
                }
    code = [dep for dep in stage.get("deps", []) if dep.endswith(".py") or Path(dep, "__init__.py").is_file()]
    return found | {dep: _digest(Path(dep)) for dep in code}


def _leaves(prefix: str, section: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield the full name and the value of every setting of a section."""
    for name, value in section.items():
        if isinstance(value, Mapping):
            yield from _leaves(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}", value


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of all Python files in a folder and their names; of nothing if it is gone."""
    paths = sorted(filter(Path.is_file, path.rglob("*.py"))) if path.is_dir() else [path] if path.is_file() else []
    return hashlib.sha256(b"".join(str(one).encode() + files.read_bytes(one) for one in paths)).hexdigest()


def _load_graph(text: str, path: str) -> object:
    """Return the value of a YAML text of DVC. Raises UserError for text that is not YAML."""
    import yaml

    try:
        return yaml.load(text, yaml_text.loader())
    except yaml.YAMLError as error:
        raise yaml_text.refusal(path, error) from None


def _read_yaml(path: str, load: Callable[[str, str], object] = _load_graph) -> dict[str, Any]:
    """Return the content of a YAML file, {} if there is none or it is not valid, about which others complain."""
    try:
        found = load(files.read_text(path), path)
    except MachineError:
        raise
    except (OSError, UnicodeDecodeError, UserError):
        return {}
    return found if isinstance(found, dict) else {}
