"""Whether what `dvc repro` left is still what params.yaml asks for."""

from pathlib import Path
from typing import Any

import yaml

from mocliplite import params

LOCK = "dvc.lock"
_SHOWN = 3  # settings named


def out_of_date_warning() -> str | None:
    """A sentence where params.yaml was changed, or `dvc repro` ended early, since the models here were made; else None.

    dvc.lock records the settings that each stage last ran with, and the hashes of what it read and wrote. Nothing is
    hashed anew, so files that were changed by hand are not noticed.
    """
    if not (Path(LOCK).is_file() and Path(params.FILE).is_file()):
        return None
    try:
        locked, given = (yaml.safe_load(Path(name).read_text(encoding="utf-8")) for name in (LOCK, params.FILE))
        stages = locked["stages"].values()
        changed = sorted({key for stage in stages for key in _changed(stage.get("params", {}), given)})
        if changed:
            rest = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
            names = ", ".join(changed[:_SHOWN]) + rest
            return f"{params.FILE} was changed since the last `dvc repro` ({names}); this is from before, run it anew."
        written = {out["path"]: out.get("md5") for stage in stages for out in stage.get("outs", [])}
        read = [(dep["path"], dep.get("md5")) for stage in stages for dep in stage.get("deps", [])]
        if any(path in written and written[path] != md5 for path, md5 in read):
            return "the last `dvc repro` did not reach its end; this is from before, run it again."
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        return f"{LOCK} and {params.FILE} cannot be compared; run `dvc repro`."
    return None


def _changed(locked: dict[str, dict[str, Any]], given: dict[str, Any]) -> list[str]:
    """Full names of the settings that a stage ran with and that are different now."""
    before = _flat(locked.get(params.FILE, {}))
    now = _flat(given)
    return [key for key, value in before.items() if now.get(key) != value]


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Every setting by its full name; values as text, since 1e-05 is a number to DVC and text to PyYAML."""
    flat: dict[str, str] = {}
    for key, value in settings.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: str(value)}
    return flat
