"""Whether the results of the last `dvc repro` are out of date with respect to params.yaml."""

from pathlib import Path
from typing import Any

import yaml

from mocliplite import params, yaml_text
from mocliplite.errors import UserError
from mocliplite.files import read_text

LOCK = "dvc.lock"
_MAX_LISTED = 3  # settings named in the warning
_ADVICE = "its results are out of date; run `dvc repro`."


def out_of_date_warning() -> str | None:
    """Return a sentence if params.yaml has changed or `dvc repro` was interrupted since the last run, else None.

    dvc.lock records the settings with which each stage last ran, and the hashes of its inputs and outputs. No file is
    hashed again, so edits of the files themselves are not detected.
    """
    if not (Path(LOCK).is_file() and Path(params.FILE).is_file()):
        return None
    try:
        locked = yaml.safe_load(read_text(LOCK))
        given = yaml_text.parse(read_text(params.FILE), params.FILE)
        stages = locked["stages"].values()
        changed = sorted({key for stage in stages for key in _changed(stage.get("params", {}), given)})
        if changed:
            rest = f" and {len(changed) - _MAX_LISTED} more" if len(changed) > _MAX_LISTED else ""
            names = ", ".join(changed[:_MAX_LISTED]) + rest
            return f"{params.FILE} has changed since the last `dvc repro` ({names}); {_ADVICE}"
        written = {out["path"]: out.get("md5") for stage in stages for out in stage.get("outs", [])}
        read = [(dep["path"], dep.get("md5")) for stage in stages for dep in stage.get("deps", [])]
        if any(path in written and written[path] != md5 for path, md5 in read):
            return f"the last `dvc repro` was interrupted; {_ADVICE}"
    except (yaml.YAMLError, UserError, KeyError, TypeError, AttributeError, ValueError, RecursionError):
        return f"{LOCK} and {params.FILE} cannot be compared; run `dvc repro`."
    return None


def _changed(locked: dict[str, dict[str, Any]], given: Any) -> list[str]:
    """Return the full names of the settings of a stage that differ from its last run."""
    last_run, current = _flatten(locked.get(params.FILE, {})), _flatten(given)
    return [key for key, value in last_run.items() if current.get(key) != value]


def _flatten(settings: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return the settings by full name, values as text: DVC reads 1e-05 as a number and PyYAML as text."""
    flat: dict[str, str] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        flat |= _flatten(value, f"{name}.") if isinstance(value, dict) else {name: str(value)}
    return flat
