"""Where the CLIP of the settings comes from: a folder, `dvc pull`, `dvc repro`, or the hub."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from mocliplite.encoders import clip
from mocliplite.errors import UserError

_HUB_ID = "openai/clip-vit-base-patch32"


@dataclass(frozen=True)
class Finding:
    """One thing looked at. mark: ok, note (works, could be better), or BAD."""

    mark: str
    sentence: str


def find_clip(model: str, revision: str | None = None) -> Finding:
    """Whether a CLIP is at hand, and where it will come from: dvc repro, dvc pull, the hub, or nowhere."""
    if clip.at_hand(model, revision):
        return Finding("ok", f"CLIP {model} is at hand")
    if Path(model).is_dir():
        try:
            clip.locate(model, revision)
        except UserError as error:
            return Finding("BAD", str(error))
    if Path(f"{model}.dvc").is_file():
        return Finding("note", f"CLIP {model} is not at hand; get it first: `dvc pull {model}.dvc`")
    if _made(model):
        return Finding("note", f"CLIP {model} is not at hand; it is made by `dvc repro`, or got by `dvc pull`")
    if not is_hub_id(model):
        return Finding("BAD", f"CLIP {model} is neither a folder here nor a hub id such as {_HUB_ID}; check the path.")
    at = f" --revision {revision}" if revision else ""
    return Finding("note", f"CLIP {model} is not at hand; it will be fetched: `hf download {model}{at}`")


def is_hub_id(model: str) -> bool:
    """Whether a CLIP's name is meant for the hub: owner/name, where owner is no folder here."""
    path = Path(model)
    return re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", model) is not None and not path.parent.exists() and not _made(model)


def _made(model: str) -> bool:
    """Whether a path is an output of a stage, or below one; looks at the dvc.yaml of each folder here above it."""
    target = os.path.relpath(model)
    for folder in Path(target).parents:
        file = folder / "dvc.yaml"
        stages = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("stages", {}) if file.is_file() else {}
        for stage in stages.values():
            outs = (
                os.path.normpath(folder / stage.get("wdir", ".") / output_path(out)) for out in stage.get("outs", [])
            )
            if any(Path(target).is_relative_to(out) for out in outs):
                return True
    return False


def output_path(out: str | dict[str, object]) -> str:
    """The path of an output, metric or plot as dvc.yaml declares it: a path, or a path with options."""
    return out if isinstance(out, str) else next(iter(out))
