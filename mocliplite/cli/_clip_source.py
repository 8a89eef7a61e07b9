"""How to get the encoder of the settings: from a folder, with `dvc pull`, with `dvc repro`, or from the hub."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mocliplite.encoders import checkpoints
from mocliplite.errors import UserError
from mocliplite.files import read_text

HUB_ID = "openai/clip-vit-base-patch32"


@dataclass(frozen=True)
class Finding:
    """The result of one check. mark: ok, note (works, could be improved), or BAD."""

    mark: str
    sentence: str


def find_clip(model: str, revision: str | None = None, pickled: bool = False) -> Finding:
    """Return whether an encoder is available and, if not, how to get it: dvc pull, dvc repro, or the hub.

    pickled: as encoder.pickled_weights.
    """
    if checkpoints.is_available(model, revision) or Path(model).is_dir():
        try:
            checkpoints.locate(model, revision, pickled)
        except UserError as error:
            return Finding("BAD", str(error))
        return Finding("ok", f"encoder {model} is available")
    if Path(f"{model}.dvc").is_file():
        return Finding("note", f"encoder {model} is not available yet; get it with `dvc pull {model}.dvc`")
    if _is_stage_output(model):
        return Finding(
            "note", f"encoder {model} is not available yet; create it with `dvc repro` or get it with `dvc pull`"
        )
    if not is_hub_id(model):
        return Finding(
            "BAD", f"encoder {model} is neither an existing folder nor a hub id such as {HUB_ID}; check the path."
        )
    option = f" --revision {revision}" if revision else ""
    return Finding(
        "note",
        f"encoder {model} is not available yet; it is downloaded when needed, as by `hf download {model}{option}`",
    )


def is_hub_id(model: str) -> bool:
    """Return whether the name of an encoder is a hub id: owner/name, where owner is not an existing folder."""
    path = Path(model)
    return (
        re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", model) is not None
        and not path.parent.exists()
        and not _is_stage_output(model)
    )


def _is_stage_output(model: str) -> bool:
    """Return whether a path is, or is inside, an output of a stage in the dvc.yaml of a folder above it."""
    target = os.path.relpath(model)
    for folder in Path(target).parents:
        file = folder / "dvc.yaml"
        for stage in read_stages(file) if file.is_file() else ():
            outs = (os.path.normpath(folder / stage.get("wdir", ".") / out) for out in outputs_of(stage, ("outs",)))
            if any(Path(target).is_relative_to(out) for out in outs):
                return True
    return False


def read_stages(file: Path) -> list[dict[str, Any]]:
    """Return the stages of a dvc.yaml, which may have none. Raises UserError if it is missing or no graph of DVC."""
    if not file.is_file():
        raise UserError(f"{file} is missing or is a folder; restore it with `git restore {file}`.")
    try:
        # Not with yaml_text.loader(): libyaml crashes at deep nesting.
        graph = yaml.safe_load(read_text(file)) or {}
        stages = list((graph.get("stages") or {}).values())
        for stage in stages:
            outputs_of(stage)
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{file} is not a graph of DVC ({reason}); restore it with `git restore {file}`.") from None
    return stages


def outputs_of(stage: Mapping[str, Any], kinds: Sequence[str] = ("outs", "metrics", "plots")) -> list[str]:
    """Return the paths of the outputs of a stage of a dvc.yaml, of these kinds."""
    return [output_path(out) for kind in kinds for out in stage.get(kind, [])]


def output_path(out: str | dict[str, object]) -> str:
    """Return the path of an output, metric or plot in dvc.yaml, which is declared as a path or a path with options."""
    (path,) = [out] if isinstance(out, str) else out
    return str(path)
